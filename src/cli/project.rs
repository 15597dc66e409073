//! Opens what a subcommand works on: the pipeline that was named, or that of the last run, with its variables, and the state directory.

use std::collections::BTreeSet;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use clap::Parser as _;

use super::args::{Cli, Command, LastRunArgs, PipelineArgs, RunArgs, Settings};
use super::exit::{BadFile, Usage, usage};
use super::output::color;
use super::profile::origin;
use crate::cache::config::CacheArgs;
use crate::cache::opening::{Lazy, Request};
use crate::event::{Event, Outcome};
use crate::facts::Facts;
use crate::names::{RunId, StageName};
use crate::pipeline::shipped::{self, FindError};
use crate::pipeline::{self, LoadOptions, Pipeline, Stage};
use crate::run::earlier::last_begun;
use crate::run::environment;
pub use crate::run::project::Project;
use crate::run::select::no_stage;
use crate::stage;
use crate::stage::overlooked::{Overlooked, overlooked};
use crate::state::build_dir;
use crate::state::layout::Layout;
use crate::state::record::Record;
use crate::state::store::{State, StateError};

/// The name of a state directory.
pub const STATE_DIR: &str = ".optbuild";

/// What a subcommand does with what it opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It changes what was built. The state directory is made where there is none.
    Create,
    /// It changes nothing.
    Look,
    /// As `Look`; and required variables may have no value.
    Describe,
}

/// From the command line to a project.
impl Project {
    /// Opens the pipeline that was named.
    pub fn open(args: &PipelineArgs, mode: Mode) -> Result<Project> {
        Project::open_in(&current_dir()?, args, mode, None)
    }

    /// The same with paths on the command line relative to `cwd`. With `facts`, it is planned with those in a file instead of
    /// those of this machine.
    pub fn open_in(cwd: &Utf8Path, args: &PipelineArgs, mode: Mode, facts: Option<&Utf8Path>) -> Result<Project> {
        let layout = state_of(&args.pipeline, args.settings.state_dir.as_deref(), cwd);
        let file = find_pipeline(args, cwd, mode, &layout)?;
        let here = facts.is_none();
        let facts = match facts {
            Some(file) => Facts::from_file(file)?,
            None if layout.root().exists() || mode == Mode::Create => Facts::live_cached(&layout.facts()),
            None => Facts::live(),
        };
        let pipeline = load(&file, args, cwd, &facts, mode, &layout)?;
        // Not before: a pipeline that cannot be loaded leaves nothing behind.
        let state = open_state(&layout, mode)?;
        let mut project = Project::new(pipeline, facts, layout, state, stage::plan)?;
        if let Some(bundle) = &args.settings.profiles {
            origin::supply(&mut project, &cwd.join(bundle), args.settings.allow_stale_profiles, here)?;
        }
        Ok(project)
    }

    /// Opens the pipeline of the last run with its variables, or another one.
    pub fn last(args: &LastRunArgs) -> Result<Project> {
        match &args.pipeline {
            Some(pipeline) => {
                let args =
                    PipelineArgs { pipeline: pipeline.clone(), settings: args.settings.clone(), experiment: None };
                Project::open(&args, Mode::Look)
            }
            None => {
                let (cwd, args) = last_run_args(&args.settings)?;
                Project::open_in(&cwd, &args, Mode::Look, None)
            }
        }
    }
}

/// What its stages are asked.
impl Project {
    /// The stage of that name, or an error with the nearest one.
    pub fn named(&self, name: &str) -> Result<&Stage> {
        self.pipeline.stage(name).ok_or_else(|| {
            let known: Vec<String> = self.pipeline.stages.iter().map(|stage| stage.common.name.clone()).collect();
            Usage(no_stage(name, &known)).into()
        })
    }

    /// What the caller has set, and what does not reach the stages.
    pub fn overlooked(&self) -> Vec<Overlooked> {
        overlooked(&self.pipeline, &self.facts, &environment::is_base)
    }

    /// Asks caches from here on: those that the command line names, else those that are configured.
    pub fn use_caches(&mut self, args: &CacheArgs, cwd: &Utf8Path) -> Result<()> {
        self.caches = Lazy::new(Request {
            args: args.clone(),
            cwd: cwd.to_owned(),
            pipeline: self.pipeline.file.parent().map(Utf8Path::to_owned),
            state: self.layout.root().to_owned(),
        });
        // What is typed is looked at whether a stage needs it or not.
        if *args != CacheArgs::default() {
            self.caches.get(&self.facts)?;
        }
        Ok(())
    }

    /// The same for those who only look: they ask caches that are named, and no others.
    pub fn look_into_caches(&mut self, args: &CacheArgs) -> Result<()> {
        if args.cache.is_empty() { Ok(()) } else { self.use_caches(args, &current_dir()?) }
    }

    /// The last record of a stage.
    pub fn record_of(&self, stage: &str) -> Result<Option<Record>> {
        Ok(self.state.as_ref().map(|state| state.current(stage)).transpose()?.flatten())
    }
}

/// The name and variables of the last run, to be read in the directory in which it was begun, in the state directory that is meant.
fn last_run_args(settings: &Settings) -> Result<(Utf8PathBuf, PipelineArgs)> {
    let layout = existing_state(settings.state_dir.as_deref())?;
    let last = last_run(&layout)?;
    let mut pipeline = last.args.pipeline;
    if let Some(bundle) = &settings.profiles {
        pipeline.settings.profiles = Some(current_dir()?.join(bundle));
        pipeline.settings.allow_stale_profiles = settings.allow_stale_profiles;
    }
    pipeline.settings.set.extend(settings.set.iter().cloned());
    pipeline.settings.state_dir = Some(layout.named().to_owned());
    Ok((last.cwd, pipeline))
}

/// The working directory.
pub fn current_dir() -> Result<Utf8PathBuf> {
    let cwd = std::env::current_dir().context("the working directory cannot be read")?;
    Utf8PathBuf::from_path_buf(cwd).map_err(|path| usage!("the working directory {} is not UTF-8", path.display()))
}

/// The one that is asked for, else beside the pipeline file, or in the working directory for a pipeline that is given by name.
pub fn state_of(pipeline: &str, state_dir: Option<&Utf8Path>, cwd: &Utf8Path) -> Layout {
    Layout::at(&match state_dir {
        Some(dir) => cwd.join(dir),
        None if shipped::is_path(pipeline, cwd) => cwd.join(pipeline).parent().unwrap_or(cwd).join(STATE_DIR),
        None => cwd.join(STATE_DIR),
    })
}

/// The state directory of commands that name no pipeline: here, or in a directory above.
pub fn existing_state(state_dir: Option<&Utf8Path>) -> Result<Layout> {
    let cwd = current_dir()?;
    if let Some(dir) = state_dir {
        let root = cwd.join(dir);
        if !root.is_dir() {
            return Err(usage!("there is no state directory {root}"));
        }
        return Ok(Layout::at(&root));
    }
    nearest_state(&cwd).ok_or_else(|| {
        let what = format!("there is no {STATE_DIR} in {cwd} or above it: nothing was run here");
        usage!("{what}; name the state directory with `--state-dir`")
    })
}

/// The state directory in a directory or above it.
pub fn nearest_state(dir: &Utf8Path) -> Option<Layout> {
    let mut named = dir.ancestors().map(|dir| dir.join(STATE_DIR));
    named.find(|named| Layout::new(named).marker().exists()).map(|named| Layout::at(&named))
}

/// Opens the state directory.
pub fn open_state(layout: &Layout, mode: Mode) -> Result<Option<Arc<State>>> {
    match State::open(layout.root(), mode == Mode::Create) {
        Ok(state) => Ok(Some(Arc::new(state))),
        Err(StateError::Missing(_)) if mode != Mode::Create => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The file of a pipeline. A shipped one is unpacked: into the state directory by what changes it, and where there is one; else
/// into a cache of the user's, because a look at a pipeline makes no state directory.
fn find_pipeline(args: &PipelineArgs, cwd: &Utf8Path, mode: Mode, layout: &Layout) -> Result<Utf8PathBuf> {
    let name = args.pipeline.as_str();
    let find = |unpack_into: &Utf8Path| match args.experiment {
        Some(_) => shipped::find_experiment(name, cwd, unpack_into),
        None => shipped::find(name, cwd, unpack_into),
    };
    let refused = |error: FindError| anyhow::Error::from(Usage(error.to_string()));
    if mode == Mode::Create {
        let shipped = |listed: &shipped::Listed| listed.name == name && listed.origin == "shipped";
        if !shipped::is_path(name, cwd) && shipped::list(cwd).iter().any(shipped) {
            State::open(layout.root(), true)?;
        }
        return find(&layout.pipelines()).map_err(refused);
    }
    let mut problem = None;
    let in_state = || layout.marker().exists().then(|| layout.pipelines());
    for place in [&in_state as &dyn Fn() -> Option<Utf8PathBuf>, &cache, &private_temporary] {
        match place().map(|unpack_into| find(&unpack_into)) {
            None => {}
            // Nothing can be written there; that is no reason not to look.
            Some(Err(error @ FindError::Unpack { .. })) => problem = Some(error),
            Some(found) => return found.map_err(refused),
        }
    }
    Err(problem.map_or_else(|| usage!("there is no place to unpack the pipeline `{name}`"), refused))
}

/// The file of a shipped pipeline that another one extends.
fn find_shipped(name: &str, mode: Mode, layout: &Layout) -> Result<Utf8PathBuf, FindError> {
    let nowhere = Utf8Path::new("/dev/null");
    if mode == Mode::Create {
        // As for one that is run itself.
        if shipped::list(nowhere).iter().any(|listed| listed.name == name) && State::open(layout.root(), true).is_err()
        {
            tracing::debug!("the state directory cannot be opened; that is said when it is used");
        }
        return shipped::find(name, nowhere, &layout.pipelines());
    }
    let in_state = layout.marker().exists().then(|| layout.pipelines());
    let mut found = Err(FindError::Unknown { name: name.into(), nearest: None, known: Vec::new() });
    for place in in_state.into_iter().chain(cache()).chain(private_temporary()) {
        found = shipped::find(name, nowhere, &place);
        // Nothing can be written there; that is no reason not to look.
        if !matches!(found, Err(FindError::Unpack { .. })) {
            break;
        }
    }
    found
}

/// Where this user's programs keep what can be made again.
fn cache() -> Option<Utf8PathBuf> {
    let dir = |name: &str| std::env::var(name).ok().map(Utf8PathBuf::from).filter(|dir| dir.is_absolute());
    let caches = dir("XDG_CACHE_HOME").or_else(|| Some(dir("HOME")?.join(".cache")))?;
    Some(caches.join("optbuild/pipelines"))
}

/// A directory for temporary files that is this user's alone: what is unpacked there is run.
fn private_temporary() -> Option<Utf8PathBuf> {
    let user = rustix::process::getuid().as_raw();
    let dir = Utf8PathBuf::from_path_buf(std::env::temp_dir()).ok()?.join(format!("optbuild-{user}"));
    // That it is there already is fine.
    let _ = std::fs::DirBuilder::new().mode(0o700).create(&dir);
    let found = std::fs::symlink_metadata(&dir).ok()?;
    (found.is_dir() && found.uid() == user && found.mode() & 0o077 == 0).then_some(dir)
}

fn load(
    file: &Utf8Path,
    args: &PipelineArgs,
    cwd: &Utf8Path,
    facts: &Facts,
    mode: Mode,
    layout: &Layout,
) -> Result<Pipeline> {
    let host = facts.host();
    let env = |name: &str| std::env::var(name).ok();
    let incomplete = mode == Mode::Describe;
    let set = &args.settings.set;
    let options = LoadOptions { set, env: &env, cwd, host: &host, kinds: &stage::KINDS, incomplete };
    // A pipeline beside the file is named by its path.
    let shipped = |name: &str| find_shipped(name, mode, layout);
    let loaded = match &args.experiment {
        Some(choice) => pipeline::load_experiment(file, &options, &shipped, choice),
        None => pipeline::load_with(file, &options, &shipped),
    };
    loaded.map_err(|error| BadFile(error.render(color()).trim_end().into()).into())
}

/// The last run.
pub struct LastRun {
    pub run: RunId,
    /// Its whole command line.
    pub args: RunArgs,
    /// The same as words.
    pub words: Vec<String>,
    /// Where it was begun: paths on its command line are relative to that.
    pub cwd: Utf8PathBuf,
    /// Hash of the pipeline's files at that time.
    pub pipeline_hash: String,
    /// Stages that it was told to begin afresh, and has not begun.
    pub still_forced: BTreeSet<StageName>,
    /// None if it was killed.
    pub outcome: Option<Outcome>,
}

/// What is said where a run is asked for and there is none.
pub fn nothing_run(layout: &Layout) -> anyhow::Error {
    let what = format!("nothing was run yet with the state directory {}", layout.root());
    usage!("{what}; `optbuild run PIPELINE` begins a run, `--state-dir` names another directory")
}

/// Reads the journal of the last run.
pub fn last_run(layout: &Layout) -> Result<LastRun> {
    let Some((run, events)) = last_begun(layout)? else {
        return Err(nothing_run(layout));
    };
    let path = layout.journal(&run);
    let (word_list, pipeline_hash, forced, cwd) = events
        .iter()
        .find_map(|stamped| match &stamped.event {
            Event::RunStarted { args, pipeline_hash, forced, cwd, .. } => {
                Some((args.clone(), pipeline_hash.clone(), forced.clone(), cwd.clone()))
            }
            _ => None,
        })
        .with_context(|| format!("{path} does not say what was run; start it with `optbuild run`"))?;
    let words = ["optbuild".to_string()].into_iter().chain(word_list.iter().cloned());
    let cli = Cli::try_parse_from(words)
        .with_context(|| format!("{path} was written by another version of optbuild; start with `optbuild run`"))?;
    let args = match cli.command {
        Command::Run(args) => args,
        Command::Experiment(args) => args.run(),
        _ => return Err(usage!("{path} does not hold a run; start it with `optbuild run`")),
    };
    let mut still_forced = BTreeSet::new();
    for stage in forced {
        // Not by the journal, which says that a stage starts a moment before or after it does.
        if !build_dir::begun_afresh(layout, &stage, &run)? {
            still_forced.insert(stage);
        }
    }
    let outcome = events.iter().find_map(|stamped| match &stamped.event {
        Event::RunFinished { outcome, .. } => Some(*outcome),
        _ => None,
    });
    anyhow::ensure!(cwd.is_dir(), "the run was begun in {cwd}, which is no directory any more");
    Ok(LastRun { run, args, words: word_list, cwd, pipeline_hash, still_forced, outcome })
}
