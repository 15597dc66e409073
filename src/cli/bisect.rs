//! `optbuild bisect`: which functions llvm-bolt breaks.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use indicatif::{ProgressBar, ProgressStyle};

use super::args::{BisectArgs, LastRunArgs};
use super::exit::{FAILED, INTERRUPTED, Usage};
use super::output::{print, tell};
use super::project::Project;
use super::{project, run};
use crate::bisect::bench::{Listener, StageBench};
use crate::bisect::tries::Tries;
use crate::bisect::{self, Finding, Tried, Variant};
use crate::fs::disk;
use crate::pipeline::Stage;
use crate::profile::names::demangle;
use crate::run::control::Control;
use crate::run::decide::{Judge, Verdict, Work, survey};
use crate::run::select::{Request, select};
use crate::run::session;
use crate::run::trial::{NotTried, Trials};
use crate::stage::bolt::Bolt;
use crate::stage::bolt::trial::Trial;
use crate::stage::kind_as;
use crate::text;

/// So many functions are hardly to blame each for itself.
const MANY: usize = 8;

/// `optbuild bisect`
pub fn bisect(args: &BisectArgs) -> Result<u8> {
    let control = Arc::new(Control::default());
    run::obey_signals(&control)?;
    let last = LastRunArgs { pipeline: args.pipeline.clone(), settings: args.settings.clone() };
    let project = Project::last(&last)?;
    let name = args.stage.as_str();
    let stage = project.named(name)?;
    let Some(kind) = kind_as::<Bolt>(stage) else { return Err(not_bolt(&project, stage).into()) };
    let Some(state) = project.state.clone() else {
        return Err(Usage(format!("nothing was run here yet; `optbuild run --until {name}` comes first")).into());
    };
    let work = work(&project, args)?;
    let trial =
        Trial::of(&work.plan).with_context(|| format!("the plan of stage `{name}` has no step that is llvm-bolt"))?;
    if let Some(option) = trial.picks() {
        let what =
            format!("`{option}` among the options of stage `{name}` names the functions that llvm-bolt works on");
        return Err(Usage(format!("{what}; take it out, and `bisect` finds those to leave out")).into());
    }
    let lock = session::lock(&state, format!("optbuild bisect {name}"))?;
    let root = project.layout.bisect(name);
    let tries = open(&root, &work)?;
    project.save_caches();

    let mut screen = Screen::new(name, &tries);
    control.begin();
    let mut bench = StageBench {
        trial,
        trials: Trials {
            stage: name.into(),
            control,
            optbuild: run::own_program()?,
            supervisor: run::SUPERVISOR.into(),
            marks: lock.marks(),
            state: project.layout.root().to_owned(),
            inputs: work.input_paths.clone(),
            timeout: stage.common.timeout,
            slots: std::thread::available_parallelism().map_or(1, usize::from),
        },
        tries,
        listener: &mut screen,
        told: BTreeSet::new(),
    };
    let found = bisect::find(&mut bench);
    let kept = bench.tries.root().to_owned();
    let interrupted = |error: &anyhow::Error| matches!(error.downcast_ref(), Some(NotTried::Interrupted));
    match found {
        Err(error) if interrupted(&error) => {
            tell("interrupted; the same command goes on from here");
            Ok(INTERRUPTED)
        }
        found => say(&found?, name, kind, &kept),
    }
}

/// What the stage is made from, and its plan. All that it is made from must be there.
fn work(project: &Project, args: &BisectArgs) -> Result<Work> {
    let name = &args.stage;
    let request = Request { only: vec![name.clone()], accept_stale: args.accept_stale, ..Request::default() };
    let selection = select(&project.pipeline, &project.graph, &request)?;
    let mut judge = Judge::new(project, &selection);
    let survey = survey(&mut judge)?;
    survey.check(&selection)?;
    let verdict = survey.stages.into_iter().find(|(stage, _)| stage == name.as_str()).map(|(_, verdict)| verdict);
    match verdict {
        Some(Verdict::Run(work)) => {
            for input in &work.inputs {
                project.record_of(&input.stage)?.map_or(Ok(()), |record| record.is_here())?;
            }
            Ok(*work)
        }
        Some(other) => Err(Usage(format!("stage `{name}` cannot be tried: {}", other.words())).into()),
        None => Err(Usage(format!("the pipeline has no stage `{name}`")).into()),
    }
}

fn not_bolt(project: &Project, stage: &Stage) -> Usage {
    let bolt = project.pipeline.stages.iter().filter(|stage| kind_as::<Bolt>(stage).is_some());
    let names: Vec<String> = bolt.map(|stage| format!("`{}`", stage.common.name)).collect();
    let there = if names.is_empty() { "none".into() } else { names.join(", ") };
    let (name, kind) = (&stage.common.name, stage.kind.name);
    Usage(format!("stage `{name}` is of kind `{kind}`, and `bisect` is for stages of kind `bolt`; here: {there}"))
}

/// The tries of this very stage. Those of another declaration, of other inputs or tools tell nothing about it, and are removed.
fn open(root: &Utf8Path, work: &Work) -> Result<Tries> {
    let id = work.fingerprint.id();
    let own = &id[..id.len().min(16)];
    disk::make_dir(root)?;
    disk::sweep(root)?;
    for other in disk::names_in(root)?.iter().filter(|other| *other != own) {
        disk::discard(&root.join(other))?;
    }
    Tries::open(&root.join(own))
}

/// Tells what was found. The line for the pipeline goes to standard output.
fn say(finding: &Finding, stage: &str, kind: &Bolt, kept: &Utf8Path) -> Result<u8> {
    let here = project::current_dir()?;
    let logs = format!("The logs of all tries are in {}.", kept.strip_prefix(&here).unwrap_or(kept));
    let text = match finding {
        Finding::Functions { names, option, what } => {
            tell(&format!("\nBOLT breaks {}:", text::plural(names.len(), "function")));
            names.iter().for_each(|name| tell(&format!("  {}", shown(name))));
            let them = if names.len() == 1 { "it" } else { "them" };
            tell(&format!("Stage `{stage}` fails with {them} ({what}), and succeeds without."));
            if names.len() >= MANY {
                tell("These are many: more likely one of llvm-bolt's options breaks them. Try the stage with fewer options.");
            }
            tell(&format!("{logs}\nIn the pipeline, for stage `{stage}`:"));
            print(&format!("{}\n", kind.line_with(option)))?;
            return Ok(0);
        }
        Finding::FailsWithoutBolt { what } => format!(
            "stage `{stage}` fails without llvm-bolt too ({what}): what is wrong is in what it is made from, or in the check"
        ),
        Finding::Flaky { what } => format!(
            "without llvm-bolt stage `{stage}` succeeded once and failed once ({what}): as long as its check does not give the same \
             answer each time, nothing can be found with it"
        ),
        Finding::Succeeds => format!(
            "stage `{stage}` succeeds: there is nothing to find. `bisect` needs a `check` in the stage that fails; what another stage \
             or a user noticed can be made one"
        ),
        Finding::NoFunction { what } => format!(
            "stage `{stage}` fails ({what}) also when llvm-bolt leaves all functions out: no function is to blame, but another \
             option of llvm-bolt, or what the stage does after it"
        ),
        Finding::NoNames => {
            "this llvm-bolt does not say which functions it leaves out (`-v=1 -skip-funcs=.*`), and so none can be tried".to_owned()
        }
        Finding::NotByName { what } => format!(
            "stage `{stage}` fails as it is ({what}), and succeeds when llvm-bolt is told to work on the same functions by their \
             names: a part of a function is to blame that has no name of its own, or the check does not always give the same answer"
        ),
        Finding::Unconfirmed { names, option, what } => format!(
            "stage `{stage}` succeeded without {}, and fails with `{option}` ({what}): its check does not always give the same answer",
            names.join(", ")
        ),
    };
    tell(&format!("\n{text}.\n{logs}"));
    Ok(FAILED)
}

/// A name, and how it is written in its own language.
fn shown(name: &str) -> String {
    let symbol = name.split('/').next().unwrap_or(name);
    let readable = demangle(symbol);
    if readable == symbol { name.to_owned() } else { format!("{name}  {readable}") }
}

/// A line for each try, and on a terminal one that moves while a try is under way.
struct Screen {
    bar: ProgressBar,
    stage: String,
    made: usize,
    /// About so many tries in all.
    expected: Option<usize>,
}

impl Screen {
    fn new(stage: &str, tries: &Tries) -> Screen {
        if tries.count() > 0 {
            tell(&format!("{stage}: tries that an earlier call made: {}", tries.count()));
        }
        let bar = ProgressBar::no_length();
        // The only template there is.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}") {
            bar.set_style(style);
        }
        Screen { bar, stage: stage.to_owned(), made: 0, expected: None }
    }

    fn heading(&self, variant: &Variant) -> String {
        let of = self.expected.map(|expected| format!(" of about {}", expected.max(self.made))).unwrap_or_default();
        format!("{}: try {}{of}: {}", self.stage, self.made, variant.words())
    }
}

impl Listener for Screen {
    fn begins(&mut self, variant: &Variant) {
        self.made += 1;
        self.bar.reset();
        self.bar.set_message(self.heading(variant));
        self.bar.enable_steady_tick(Duration::from_millis(100));
    }

    fn ended(&mut self, variant: &Variant, tried: Option<&Tried>) {
        self.bar.disable_steady_tick();
        self.bar.finish_and_clear();
        let Some(tried) = tried else { return };
        let verdict = if tried.passed { "succeeds".to_owned() } else { format!("fails ({})", tried.what) };
        tell(&format!("{}: {verdict}, {}", self.heading(variant), text::duration(tried.seconds)));
    }

    fn known(&mut self, _variant: &Variant, _tried: &Tried) {
        self.made += 1;
    }

    fn looks_at(&mut self, functions: usize, tries: usize) {
        self.expected = Some(self.made + tries);
        let functions = text::plural(functions, "function");
        tell(&format!("{}: {functions}; about {tries} more tries, if one of them is to blame", self.stage));
    }
}
