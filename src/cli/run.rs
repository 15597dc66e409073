//! `optbuild run` and `optbuild resume`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Instant;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

use super::args::{ExecutionArgs, PlanArgs, ResumeArgs, RunArgs, SelectionArgs};
use super::exit::{FAILED, INTERRUPTED, MACHINE, Machine};
use super::project::{Mode, Project};
use super::{interrupt, last_run, listen, plan, project, survivors};
use crate::event::{Event, Outcome, Stamped};
use crate::facts::{Facts, Memory};
use crate::names::StageName;
use crate::pipeline::shipped;
use crate::proc::tree;
use crate::report::summary::Again;
use crate::run::control::Control;
use crate::run::environment;
use crate::run::process;
use crate::run::publish::{self, Published, publish};
use crate::run::sampler::Sampler;
use crate::run::scheduler::{self, FailurePolicy, RunEnd};
use crate::run::select::{Request, Selection, select};
use crate::run::share::Budget;
use crate::run::stage::Shared;
use crate::run::step::Events;
use crate::run::survey::survey;
use crate::run::verdict::Settled;
use crate::state::store::LockInfo;

/// `optbuild run`
pub fn run(args: &RunArgs) -> Result<u8> {
    if args.dry_run {
        let args = PlanArgs {
            pipeline: args.pipeline.clone(),
            selection: args.selection.clone(),
            shell: false,
            dot: false,
            mermaid: false,
            facts: None,
            record_facts: None,
        };
        return plan::plan(&args);
    }
    let words = std::env::args().skip(1).collect();
    begin(args, &Origin { words, cwd: project::current_dir()?, forced: None, changed: None })
}

/// `optbuild resume`
pub fn resume(args: &ResumeArgs) -> Result<u8> {
    let layout = project::existing_state(args.state_dir.as_deref())?;
    let last = last_run::last_run(&layout)?;
    if last.outcome == Some(Outcome::Done) {
        super::tell(&format!("the last run ({}) is done; `optbuild run` begins another", last.run));
        return Ok(0);
    }
    let cwd = project::current_dir()?;
    last.enter_directory()?;
    let mut run = last.args;
    run.pipeline.settings.set.extend(args.set.iter().cloned());
    run.pipeline.settings.state_dir = Some(layout.root().to_owned());
    run.execution = merge(run.execution, &args.execution);
    // Of this run as well, for a `resume` that continues it.
    let mut words = last.words;
    words.extend(args.set.iter().map(|set| format!("--set={set}")));
    let origin = Origin { words, cwd, forced: Some(last.still_forced), changed: Some(last.pipeline_hash) };
    begin(&run, &origin)
}

/// Flags given to `resume` win over those of the run that it continues.
fn merge(run: ExecutionArgs, resume: &ExecutionArgs) -> ExecutionArgs {
    ExecutionArgs {
        jobs: resume.jobs.or(run.jobs),
        keep_going: resume.keep_going || (run.keep_going && !resume.fail_fast),
        fail_fast: resume.fail_fast || (run.fail_fast && !resume.keep_going),
        strict: run.strict || resume.strict,
        out: resume.out.clone().or(run.out),
        json: resume.json,
        verbose: resume.verbose,
        quiet: resume.quiet,
    }
}

/// Where a run comes from.
struct Origin {
    /// The command line of `run`, for a later `resume`.
    words: Vec<String>,
    /// Where the user is. A resumed run works in the directory in which it was begun.
    cwd: Utf8PathBuf,
    /// For `resume`: what is still to be begun afresh.
    forced: Option<BTreeSet<String>>,
    /// For `resume`: the hash that the pipeline had.
    changed: Option<String>,
}

fn begin(args: &RunArgs, origin: &Origin) -> Result<u8> {
    let began = Instant::now();
    let control = Arc::new(Control::default());
    interrupt::install(&control)?;
    let project = Project::open(&args.pipeline, Mode::Create)?;
    let Some(state) = project.state.clone() else {
        anyhow::bail!("the state directory {} was not made", project.layout.root());
    };
    let _lock = state.lock(&LockInfo {
        pid: std::process::id(),
        command: format!("optbuild {}", without_secrets(&project, &origin.words).join(" ")),
        since: Timestamp::now(),
    })?;
    survivors::end(&project.layout)?;
    if origin.changed.as_ref().is_some_and(|hash| *hash != project.pipeline.hash) {
        super::tell("the pipeline file changed since the run began; going on with the file as it is now");
    }

    let supplied = project.pipeline.stages.iter().filter_map(|stage| stage.supplied.as_ref());
    if !args.execution.quiet {
        project.pipeline.idle().iter().for_each(|idle| super::tell(&format!("note: {idle}")));
        supplied.flat_map(|supplied| &supplied.notes).for_each(|note| super::tell(&format!("note: {note}")));
    }
    let selection = selection(&project, &args.selection, origin)?;
    let planner = |stage: &str, unavailable: &BTreeSet<String>| project.plan(stage, unavailable);
    let mut judge = project.judge(&selection, &planner);
    let looked = survey(&mut judge, &project.graph)?;
    looked.check(&judge).map_err(|problem| plan::explained(problem, &args.pipeline.pipeline))?;
    publish::check(&project.pipeline, &state, &out_dir(&project, args.execution.out.as_deref())?)?;

    let (sender, receiver) = channel();
    let events = Events(sender);
    let (run, mut options) = listen::Options::new(args, &project, again(args, &project, &origin.cwd))?;
    let budget = budget(&args.execution, &project.facts);
    let started = Stamped { time: Timestamp::now(), event: started(&project, &selection, origin, &run, budget) };
    options.begin(&started)?;
    let took = options.took();
    let listener = std::thread::spawn(move || listen::listen(started, receiver, options));
    control.begin();

    let mut base_env = environment::current();
    base_env.insert(process::RUN_VARIABLE.into(), project.layout.run(&run).into_string());
    let shared = Shared {
        state: Arc::clone(&state),
        sources: Arc::clone(&project.sources),
        tools: Arc::clone(&project.tools),
        control: Arc::clone(&control),
        events: events.clone(),
        optbuild: own_path()?,
        base_env,
        run: run.clone(),
        pipeline: project.pipeline.name.clone(),
        took,
    };
    let policy = match (args.execution.keep_going, args.execution.fail_fast) {
        (true, _) => FailurePolicy::KeepGoing,
        (_, true) => FailurePolicy::FailFast,
        _ => FailurePolicy::Finish,
    };
    let sampler = Sampler::start(&control, events.clone());
    // What was looked at is looked at again when its turn comes: stages that run may have changed it.
    let end = scheduler::run(&mut judge, &project.graph, &shared, budget, policy);
    drop(sampler);
    let published = match &end {
        Ok(end) => put_outputs(&project, &end.settled, args.execution.out.as_deref()),
        Err(_) => Ok(Published::default()),
    };
    let outcome = match &end {
        Ok(end) if published.is_ok() => end.outcome,
        _ => Outcome::Failed,
    };
    events.send(Event::RunFinished { outcome, duration: began.elapsed().as_secs_f64() });
    drop((events, shared));
    let listened = listener.join().map_err(|_| anyhow::anyhow!("the listener of the run's events died")).flatten();
    project.save_caches();
    for warning in state.take_warnings() {
        tracing::warn!("{warning}");
    }
    let end = end?;
    let published = published.map_err(|error| Machine(format!("{error:#}")))?;
    if !args.execution.quiet {
        say_where(&published, &origin.cwd);
    }
    match (exit_code(&end, args.execution.strict), listened) {
        (0, Err(error)) => Err(error),
        (code, Err(error)) => {
            tracing::warn!("{error:#}");
            Ok(code)
        }
        (code, Ok(())) => Ok(code),
    }
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

/// What the command line selects; for `resume`, without what was begun afresh already.
fn selection(project: &Project, args: &SelectionArgs, origin: &Origin) -> Result<Selection> {
    let mut selection = select(&project.pipeline, &project.graph, &request(args))?;
    if let Some(still_forced) = &origin.forced {
        selection.forced.retain(|stage| still_forced.contains(stage));
        selection.fresh = selection.fresh && !selection.forced.is_empty();
    }
    Ok(selection)
}

/// The flags as a request.
pub fn request(args: &SelectionArgs) -> Request {
    Request {
        from: args.from.clone(),
        until: args.until.clone(),
        only: args.only.clone(),
        skip: args.skip.clone(),
        force: args.force,
        fresh: args.fresh,
        accept_stale: args.accept_stale,
    }
}

fn started(project: &Project, selection: &Selection, origin: &Origin, run: &str, budget: Budget) -> Event {
    let shown = project.pipeline.vars.iter().filter(|(_, variable)| !variable.secret);
    let vars: BTreeMap<String, serde_json::Value> =
        shown.map(|(name, variable)| (name.clone(), serde_json::json!(variable.value))).collect();
    let stages = project.pipeline.stages.iter().filter(|stage| stage.common.when);
    Event::RunStarted {
        run: run.into(),
        pipeline: project.pipeline.name.clone(),
        file: project.pipeline.file.clone(),
        cwd: project::current_dir().unwrap_or_default(),
        pipeline_hash: project.pipeline.hash.clone(),
        args: without_secrets(project, &origin.words),
        vars,
        forced: selection.forced.iter().map(StageName::from).collect(),
        stages: stages.map(|stage| (&stage.common.name).into()).collect(),
        jobs: budget.slots,
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        pid_start: tree::start_time_of(std::process::id()),
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

/// This program, which supervises commands and runs operations.
fn own_path() -> Result<Utf8PathBuf> {
    let path = std::env::current_exe().context("optbuild cannot find its own program file")?;
    Utf8PathBuf::from_path_buf(path).map_err(|path| anyhow::anyhow!("{} is not UTF-8", path.display()))
}

fn put_outputs(project: &Project, settled: &BTreeMap<String, Settled>, out: Option<&Utf8Path>) -> Result<Published> {
    let Some(state) = &project.state else { return Ok(Published::default()) };
    if project.pipeline.outputs.is_empty() {
        return Ok(Published::default());
    }
    let dir = out_dir(project, out)?;
    publish(&project.pipeline, settled, state, project.sources.hasher(), &dir)
}

/// What was put where, if anything was.
fn say_where(published: &Published, cwd: &Utf8Path) {
    let fresh = published.files.iter().filter(|(_, put)| *put).map(|(path, _)| path.strip_prefix(cwd).unwrap_or(path));
    let fresh: Vec<&str> = fresh.map(Utf8Path::as_str).collect();
    if !fresh.is_empty() {
        anstream::eprintln!("put in place: {}", fresh.join(", "));
    }
}

/// The commands that go on with a run, as they work where the user is.
fn again(args: &RunArgs, project: &Project, cwd: &Utf8Path) -> Again {
    let word = |word: &str| shlex::try_quote(word).map_or_else(|_| word.to_owned(), |word| word.into_owned());
    let begun = project::current_dir().unwrap_or_default();
    let named = &args.pipeline.pipeline;
    // In another directory the same words would name another file.
    let named = if *cwd != begun && shipped::is_path(named, &begun) { project.pipeline.file.as_str() } else { named };
    let root = project.layout.root();
    let option = format!(" --state-dir {}", word(root.strip_prefix(cwd).unwrap_or(root).as_str()));
    let mut resume = "optbuild resume".to_owned();
    if project::nearest_state(cwd).is_none_or(|layout| layout.root() != root) {
        resume.push_str(&option);
    }
    let mut run = format!("optbuild run {}", word(named));
    if project::state_root(named, None, cwd) != root {
        run.push_str(&option);
    }
    // Secrets are left out: they belong into the environment.
    let set = args.pipeline.settings.set.iter().filter(|setting| !is_secret(project, setting));
    set.for_each(|setting| run.push_str(&format!(" --set {}", word(setting))));
    if let Some(bundle) = &args.pipeline.settings.profiles {
        let file = begun.join(bundle);
        run.push_str(&format!(" --profiles {}", word(file.strip_prefix(cwd).unwrap_or(&file).as_str())));
        run.push_str(if args.pipeline.settings.allow_stale_profiles { " --allow-stale-profiles" } else { "" });
    }
    if let Some(out) = &args.execution.out {
        let dir = begun.join(out);
        run.push_str(&format!(" --out {}", word(dir.strip_prefix(cwd).unwrap_or(&dir).as_str())));
    }
    Again { resume, run }
}

/// Where the pipeline's outputs are put.
pub fn out_dir(project: &Project, out: Option<&Utf8Path>) -> Result<Utf8PathBuf> {
    match out {
        Some(dir) => Ok(project::current_dir()?.join(dir)),
        None => Ok(publish::own_dir(&project.pipeline, project.layout.root())),
    }
}
