//! `optbuild run` and `optbuild resume`, and who is told of a run: people and CI systems. The journal has its events already.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::args::{ExecutionArgs, PlanArgs, ResumeArgs, RunArgs};
use super::exit::{FAILED, INTERRUPTED, MACHINE, Machine};
use super::output::tell;
use super::plan;
use super::project::{self, Mode, Project};
use crate::event::{Outcome, Stamped};
use crate::facts::{Facts, Memory};
use crate::names::StageName;
use crate::pipeline::{Choice, shipped};
use crate::proc::signals::{self, Signal};
use crate::proc::start;
use crate::report::console::LastLine;
use crate::report::github::StepSummary;
use crate::report::model::past;
use crate::report::summary::Again;
use crate::report::{Console, ConsoleOptions, Json, Listener as _, Mode as Form, Past, RunModel, Verbosity};
use crate::run::control::{Control, GRACE};
use crate::run::costs::Costs;
use crate::run::publish::{Instead, Published};
use crate::run::scheduler::{Budget, FailurePolicy, RunEnd};
use crate::run::session::{Listener, Options, Session};
use crate::run::tail;
use crate::stage::{self, StageKind, kind_of};
use crate::state::layout::Layout;
use crate::text::shell::quote;
use crate::text::{duration, percent, plural};

/// This program by a path that stays good when its file is replaced while a run is under way.
pub(super) const SUPERVISOR: &str = "/proc/self/exe";

/// `optbuild run`
pub fn run(args: &RunArgs) -> Result<u8> {
    if args.dry_run {
        return plan::plan(&PlanArgs::of(&args.pipeline, &args.selection, &args.cache));
    }
    anew(args)
}

/// Runs what the command line says, or an experiment.
pub(super) fn anew(args: &RunArgs) -> Result<u8> {
    let words = std::env::args().skip(1).collect();
    let here = project::current_dir()?;
    begin(args, &Origin { words, cwd: here.clone(), here, still_forced: None, pipeline_hash: None })
}

/// `optbuild resume`
pub fn resume(args: &ResumeArgs) -> Result<u8> {
    let layout = project::existing_state(args.state_dir.as_deref())?;
    let last = project::last_run(&layout)?;
    if last.outcome == Some(Outcome::Done) {
        tell(&format!("the last run ({}) is done; `optbuild run` begins another", last.run));
        return Ok(0);
    }
    let here = project::current_dir()?;
    let mut run = last.args;
    run.pipeline.settings.set.extend(args.set.iter().cloned());
    run.pipeline.settings.state_dir = Some(layout.named().to_owned());
    run.execution = merge(run.execution, &args.execution, &here);
    // Of this run as well, for a `resume` that continues it.
    let mut words = last.words;
    words.extend(args.set.iter().map(|set| format!("--set={set}")));
    let still_forced = Some(last.still_forced);
    begin(&run, &Origin { words, here, cwd: last.cwd, still_forced, pipeline_hash: Some(last.pipeline_hash) })
}

/// Flags given to `resume` win over those of the run that it continues.
fn merge(run: ExecutionArgs, resume: &ExecutionArgs, here: &Utf8Path) -> ExecutionArgs {
    ExecutionArgs {
        jobs: resume.jobs.or(run.jobs),
        keep_going: resume.keep_going || (run.keep_going && !resume.fail_fast),
        fail_fast: resume.fail_fast || (run.fail_fast && !resume.keep_going),
        strict: run.strict || resume.strict,
        out: resume.out.as_ref().map(|out| here.join(out)).or(run.out),
        put_anyway: resume.put_anyway || run.put_anyway,
        json: resume.json,
        verbose: resume.verbose,
        quiet: resume.quiet,
    }
}

/// Where a run comes from.
struct Origin {
    /// The command line of `run`, for a later `resume`.
    words: Vec<String>,
    /// Where the user is.
    here: Utf8PathBuf,
    /// What paths of the command line are relative to: where a run that is resumed was begun.
    cwd: Utf8PathBuf,
    /// For `resume`: what is still to be begun afresh.
    still_forced: Option<BTreeSet<StageName>>,
    /// For `resume`: the hash that the pipeline had.
    pipeline_hash: Option<String>,
}

fn begin(args: &RunArgs, origin: &Origin) -> Result<u8> {
    let control = Arc::new(Control::default());
    obey_signals(&control)?;
    let mut project = Project::open_in(&origin.cwd, &args.pipeline, Mode::Create, None)?;
    project.use_caches(&args.cache, &origin.cwd)?;
    let options = options(args, &project, origin)?;
    let session = Session::begin(&project, &options.words)?;
    if origin.pipeline_hash.as_ref().is_some_and(|hash| *hash != project.pipeline.hash) {
        tell("the pipeline file changed since the run began; going on with the file as it is now");
    }
    if !args.execution.quiet {
        let supplied = project.pipeline.stages.iter().filter_map(|stage| stage.supplied.as_ref());
        project.pipeline.idle().iter().for_each(|idle| tell(&format!("note: {idle}")));
        let unlike = stage::unlike(&project.pipeline);
        unlike.iter().chain(&stage::flattered(&project.pipeline)).for_each(|note| tell(&format!("note: {note}")));
        project.overlooked().iter().for_each(|setting| tell(&format!("note: {setting}")));
        supplied.flat_map(|supplied| &supplied.notes).for_each(|note| tell(&format!("note: {note}")));
    }
    let mut audience = Audience::new(&args.execution, &project.layout, again(args, &project, origin));
    let finished = session.run(&options, &control, &mut audience);
    let finished = finished.map_err(|problem| plan::explained(problem, &args.pipeline.pipeline))?;
    let published = finished.published.map_err(|error| Machine(format!("{error:#}")))?;
    if !args.execution.quiet {
        say_where(&published, &origin.here);
    }
    let lacking = say_instead(&published, &project, &origin.here);
    if !args.execution.quiet {
        shared(&project, &finished.end).iter().for_each(|line| tell(line));
    }
    // A variant that is not there is a row, and the run is not what was asked for.
    let strict = args.execution.strict || args.pipeline.experiment.is_some();
    // A failure that leaves nothing in the place of an output is not one to go on with.
    let code = match exit_code(&finished.end, strict) {
        0 if lacking => FAILED,
        code => code,
    };
    match (code, finished.told) {
        (0, Err(error)) => Err(error),
        (code, Err(error)) => {
            tracing::warn!("{error:#}");
            Ok(code)
        }
        (code, Ok(())) => Ok(code),
    }
}

fn options(args: &RunArgs, project: &Project, origin: &Origin) -> Result<Options> {
    Ok(Options {
        words: without_secrets(project, &origin.words),
        cwd: origin.cwd.clone(),
        request: args.selection.clone(),
        still_forced: origin.still_forced.clone(),
        budget: budget(&args.execution, &project.facts),
        policy: match (args.execution.keep_going, args.execution.fail_fast) {
            (true, _) => FailurePolicy::KeepGoing,
            (_, true) => FailurePolicy::FailFast,
            _ => FailurePolicy::Finish,
        },
        out: args.execution.out.as_ref().map(|out| origin.cwd.join(out)),
        put_anyway: args.execution.put_anyway,
        optbuild: own_program()?,
        supervisor: SUPERVISOR.into(),
    })
}

/// The file of this program: it supervises commands and runs operations.
pub(super) fn own_program() -> Result<Utf8PathBuf> {
    let path = std::env::current_exe().map_err(|error| {
        let proc = if Utf8Path::new(SUPERVISOR).exists() { "" } else { "; /proc is not mounted, which a run needs" };
        Machine(format!("optbuild cannot find its own program file: {error}{proc}"))
    })?;
    Utf8PathBuf::from_path_buf(path).map_err(|path| Machine(format!("{} is not UTF-8", path.display())).into())
}

/// From here on signals end or pause the run instead of this process. As long as the run has not begun there is nothing to put
/// in order: an interrupt exits.
pub(super) fn obey_signals(control: &Arc<Control>) -> Result<()> {
    let received = signals::install().context("signals cannot be handled")?;
    let control = Arc::clone(control);
    start::thread("interrupts", move || {
        for signal in received {
            match signal {
                Signal::Interrupt(_) if !control.has_begun() => std::process::exit(INTERRUPTED.into()),
                Signal::Interrupt(_) => control.interrupt(GRACE),
                // Whoever asks twice does not want to wait.
                Signal::Kill => control.interrupt(Duration::ZERO),
                Signal::Pause => {
                    control.pause(true);
                    if let Err(error) = signals::stop_self() {
                        tracing::warn!("cannot stop: {error}");
                    }
                }
                Signal::Continue => control.pause(false),
            }
        }
    })?;
    Ok(())
}

fn exit_code(end: &RunEnd, strict: bool) -> u8 {
    match end.outcome {
        Outcome::Done if strict && end.tolerated => FAILED,
        Outcome::Done => 0,
        Outcome::Failed if end.environment => MACHINE,
        Outcome::Failed => FAILED,
        Outcome::Interrupted => INTERRUPTED,
    }
}

/// The command line without the values of secret variables.
fn without_secrets(project: &Project, words: &[String]) -> Vec<String> {
    let secret = |setting: &str| is_secret(project, setting);
    let mut kept = Vec::new();
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        if word == "--set" && words.peek().is_some_and(|next| secret(next)) {
            words.next();
        } else if !word.strip_prefix("--set=").is_some_and(secret) {
            kept.push(word.clone());
        }
    }
    kept
}

/// Whether `NAME=VALUE` sets a secret.
fn is_secret(project: &Project, setting: &str) -> bool {
    let name = setting.split('=').next().unwrap_or_default();
    project.pipeline.vars.get(name).is_some_and(|variable| variable.secret)
}

fn budget(args: &ExecutionArgs, facts: &Facts) -> Budget {
    let slots = match args.jobs {
        Some(jobs) => jobs as usize,
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    Budget { slots, memory: Memory::of(facts).map_or(u64::MAX, |memory| memory.available) }
}

/// What was put where, if anything was.
fn say_where(published: &Published, here: &Utf8Path) {
    let fresh = published.files.iter().filter(|(_, put)| *put).map(|(path, _)| path.strip_prefix(here).unwrap_or(path));
    let fresh: Vec<&str> = fresh.map(Utf8Path::as_str).collect();
    if !fresh.is_empty() {
        tell(&format!("put in place: {}", fresh.join(", ")));
    }
    let gone: Vec<&str> =
        published.gone.iter().map(|path| path.strip_prefix(here).unwrap_or(path)).map(Utf8Path::as_str).collect();
    if !gone.is_empty() {
        tell(&format!(
            "note: in place of what another run had put there: {}. The same command as then puts it back, without building it anew; \
             with `--out DIR`, each has a place of its own",
            gone.join(", ")
        ));
    }
}

/// Says which outputs are not what the pipeline was to make, as a stage failed, and what stands in their place. Whether nothing does.
fn say_instead(published: &Published, project: &Project, here: &Utf8Path) -> bool {
    for Instead { path, failed, by } in &published.instead {
        let path = path.strip_prefix(here).unwrap_or(path);
        let Some(by) = by else {
            tell(&format!("warning: {path} was not made: stage `{failed}` has no outputs"));
            continue;
        };
        let stage = project.pipeline.stage(by);
        let relocated =
            stage.and_then(kind_of).and_then(StageKind::relocations).is_some_and(|relocations| relocations.kept);
        let larger = if relocated { ", linked with relocations for BOLT and larger for it" } else { "" };
        // What is without the stage is linked as it should be.
        let off = project.pipeline.stage(failed).map(|stage| stage.origin.off_with.clone()).unwrap_or_default();
        let off = off.first().filter(|_| relocated).map(|off| format!("; `--set {off}` links it without"));
        let off = off.unwrap_or_default();
        tell(&format!("warning: stage `{failed}` has no outputs, so {path} is what stage `{by}` made{larger}{off}"));
    }
    published.instead.iter().any(|instead| instead.by.is_none())
}

/// What is said at the end of a run of an experiment: what sharing has saved.
fn shared(project: &Project, end: &RunEnd) -> Vec<String> {
    let variants = project.pipeline.variants.len();
    // Of a run that goes on later, the rest is not known.
    if variants == 0 || end.outcome == Outcome::Interrupted {
        return Vec::new();
    }
    let costs = Costs::settled(&project.pipeline, &end.settled);
    let alone = costs.alone();
    if alone <= 0.0 {
        return Vec::new();
    }
    vec![format!(
        "{}: building them took {} in all; separate runs would take {}, so it was {} of that",
        plural(variants, "variant"),
        duration(costs.together),
        duration(alone),
        percent(costs.together, alone)
    )]
}

/// The commands that go on with a run, as they work where the user is.
fn again(args: &RunArgs, project: &Project, origin: &Origin) -> Again {
    let (here, begun) = (&origin.here, &origin.cwd);
    let from_here = |path: &Utf8Path| quote(path.strip_prefix(here).unwrap_or(path).as_str());
    let named = &args.pipeline.pipeline;
    // In another directory the same words would name another file.
    let named = if here != begun && shipped::is_path(named, begun) { project.pipeline.file.as_str() } else { named };
    let state = project.layout.named();
    let option = format!(" --state-dir {}", from_here(state));
    let mut resume = "optbuild resume".to_owned();
    if project::nearest_state(here).is_none_or(|layout| layout.named() != state) {
        resume.push_str(&option);
    }
    let experiment = args.pipeline.experiment.as_ref();
    let mut run = format!("optbuild {} {}", if experiment.is_some() { "experiment" } else { "run" }, quote(named));
    if let Some(Choice { variants, base }) = experiment {
        let options = [("--variants", variants.join(",")), ("--base", base.clone().unwrap_or_default())];
        options
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .for_each(|(name, value)| run.push_str(&format!(" {name} {value}")));
    }
    if project::state_of(named, None, here).named() != state {
        run.push_str(&option);
    }
    let settings = &args.pipeline.settings;
    // Secrets are left out: they belong into the environment.
    let set = settings.set.iter().filter(|setting| !is_secret(project, setting));
    set.for_each(|setting| run.push_str(&format!(" --set {}", quote(setting))));
    if let Some(bundle) = &settings.profiles {
        run.push_str(&format!(" --profiles {}", from_here(&begun.join(bundle))));
        run.push_str(if settings.allow_stale_profiles { " --allow-stale-profiles" } else { "" });
    }
    if let Some(out) = &args.execution.out {
        run.push_str(&format!(" --out {}", from_here(&begun.join(out))));
    }
    Again { resume, run }
}

fn has_gone(error: &anyhow::Error) -> bool {
    let mut kinds = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    kinds.any(|kind| kind == io::ErrorKind::BrokenPipe)
}

/// Those whom a run tells of itself. One that fails is not asked again. The first failure counts, unless it is that of the terminal
/// or of a report: a run does not fail because nobody watches it, or because nobody can read of it afterwards.
struct Audience {
    layout: Layout,
    again: Again,
    verbosity: Verbosity,
    /// None before the run begins, and when the terminal is gone.
    console: Option<Console>,
    /// What is written when all is over. That it cannot be is worth a warning.
    summary: Option<StepSummary>,
    /// None when there is none, or when it failed.
    json: Option<Json<std::io::Stdout>>,
    /// Why.
    failure: Option<anyhow::Error>,
}

impl Audience {
    fn new(args: &ExecutionArgs, layout: &Layout, again: Again) -> Audience {
        let verbosity = match (args.verbose, args.quiet) {
            (true, _) => Verbosity::Verbose,
            (_, true) => Verbosity::Quiet,
            _ => Verbosity::Normal,
        };
        let json = args.json.then(|| Json::new(std::io::stdout()));
        let layout = layout.clone();
        Audience { layout, again, verbosity, console: None, summary: None, json, failure: None }
    }
}

impl Listener for Audience {
    /// Looks for earlier runs that this one can be compared with.
    fn begin(&mut self, started: &Stamped) -> BTreeMap<StageName, f64> {
        let past = past::latest(&self.layout, &RunModel::of([started])).unwrap_or_else(|error| {
            tracing::warn!("what changed since earlier runs is not shown: {error}");
            Past::default()
        });
        let took = past.took().into_iter().map(|(stage, seconds)| (stage.into(), seconds)).collect();
        let last_line: LastLine = Box::new(|log| tail::last_line(log).unwrap_or_default());
        self.console = Some(Console::new(ConsoleOptions {
            verbosity: self.verbosity,
            past,
            again: Some(self.again.clone()),
            last_line: Some(last_line),
            ..ConsoleOptions::new(Form::detect())
        }));
        self.summary = StepSummary::file_from_environment()
            .map(|file| StepSummary::new(file, Some(self.layout.clone()), Some(self.again.clone())));
        took
    }

    fn event(&mut self, stamped: &Stamped) {
        self.console.take_if(|console| console.event(stamped).is_err());
        warn_of(self.summary.as_mut().map_or(Ok(()), |summary| summary.event(stamped)));
        if let Some(Err(error)) = self.json.as_mut().map(|json| json.event(stamped)) {
            self.json = None;
            // A reader who has gone has what it wanted.
            if !has_gone(&error) {
                self.failure.get_or_insert(Machine(format!("{error:#}")).into());
            }
        }
    }

    fn tick(&mut self) {
        self.console.iter_mut().for_each(|console| console.tick());
    }

    fn finish(&mut self) -> Result<()> {
        if let Some(mut console) = self.console.take() {
            let _ = console.finish();
        }
        warn_of(self.summary.take().map_or(Ok(()), |mut summary| summary.finish()));
        let told = self.json.take().map_or(Ok(()), |mut json| json.finish());
        self.failure.take().map_or(told, Err)
    }
}

fn warn_of(written: Result<()>) {
    if let Err(error) = written {
        tracing::warn!("{error:#}");
    }
}
