//! Opens what a subcommand works on: the pipeline with its variables, the facts, and the state directory.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::args::{LastRunArgs, PipelineArgs, Settings};
use super::exit::{BadFile, Usage};
use super::{last_run, supply};
use crate::facts::Facts;
use crate::pipeline::{self, Graph, LoadOptions, Pipeline, shipped};
use crate::plan::{PlanError, StagePlan};
use crate::run::decide::{Judge, Planner};
use crate::run::publish;
use crate::run::select::Selection;
use crate::stage;
use crate::state::hash::Hasher;
use crate::state::layout::Layout;
use crate::state::sources::Sources;
use crate::state::store::{State, StateError};
use crate::state::tools::ToolIdentities;

/// The name of a state directory.
pub const STATE_DIR: &str = ".optbuild";

/// Whether the state directory is made where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Create,
    Look,
    /// As `Look`; and required variables may have no value.
    Describe,
}

/// A pipeline with all that belongs to it.
pub struct Project {
    pub pipeline: Pipeline,
    pub graph: Graph,
    pub facts: Facts,
    pub layout: Layout,
    /// None where nothing was ever run, and [`Mode::Look`].
    pub state: Option<Arc<State>>,
    pub sources: Arc<Sources>,
    pub tools: Arc<ToolIdentities>,
}

impl Project {
    /// Opens the pipeline that was named.
    pub fn open(args: &PipelineArgs, mode: Mode) -> Result<Project> {
        Project::with_facts(args, mode, None)
    }

    /// The same, planned with the facts in a file instead of those of this machine.
    pub fn with_facts(args: &PipelineArgs, mode: Mode, facts: Option<&Utf8Path>) -> Result<Project> {
        let cwd = current_dir()?;
        let root = state_root(&args.pipeline, args.settings.state_dir.as_deref(), &cwd);
        let layout = Layout::new(root);
        let file = find_pipeline(&args.pipeline, &cwd, &layout)?;
        let here = facts.is_none();
        let facts = match facts {
            Some(file) => Facts::from_file(file)?,
            None if layout.root().exists() || mode == Mode::Create => Facts::live_cached(&layout.facts()),
            None => Facts::live(),
        };
        let pipeline = load(&file, &args.settings.set, &cwd, &facts, mode == Mode::Describe)?;
        let graph = Graph::new(&pipeline).map_err(|cycle| Usage(cycle.to_string()))?;
        let state = open_state(&layout, mode)?;
        let hasher = match &state {
            Some(_) => Hasher::open(&layout.hashes())?,
            None => Hasher::without_cache(),
        };
        let tools = Arc::new(ToolIdentities::open(&layout.tools())?);
        let sources = Arc::new(Sources::new(Arc::new(hasher), excluded(&pipeline, &layout, state.as_deref())?));
        let mut project = Project { pipeline, graph, facts, layout, state, sources, tools };
        if let Some(bundle) = &args.settings.profiles {
            supply::supply(&mut project, &cwd.join(bundle), args.settings.allow_stale_profiles, here)?;
        }
        Ok(project)
    }

    /// Opens the pipeline of the last run with its variables, or another one.
    pub fn last(args: &LastRunArgs) -> Result<Project> {
        match &args.pipeline {
            Some(pipeline) => {
                let args = PipelineArgs { pipeline: pipeline.clone(), settings: args.settings.clone() };
                Project::open(&args, Mode::Look)
            }
            None => Project::open(&last_run_args(&args.settings)?, Mode::Look),
        }
    }

    /// Plans one stage.
    pub fn plan(&self, stage: &str, unavailable: &BTreeSet<String>) -> Result<StagePlan, PlanError> {
        stage::plan(&self.pipeline, &self.facts, stage, unavailable)
    }

    /// Decides about stages.
    pub fn judge<'a>(&'a self, selection: &'a Selection, planner: &'a Planner<'a>) -> Judge<'a> {
        Judge {
            pipeline: &self.pipeline,
            planner,
            state: self.state.as_deref(),
            sources: &self.sources,
            tools: &self.tools,
            selection,
            rerun: std::collections::BTreeMap::new(),
        }
    }

    /// Writes the caches that make the next look at the same files fast. A cache that cannot be written costs only time.
    pub fn save_caches(&self) {
        if self.state.is_none() {
            return;
        }
        let results = [
            self.sources.hasher().save().map_err(anyhow::Error::from),
            self.tools.save().map_err(anyhow::Error::from),
            self.facts.save().map_err(anyhow::Error::from),
        ];
        for error in results.into_iter().filter_map(Result::err) {
            tracing::warn!("a cache was not written: {error:#}");
        }
    }
}

/// The name and variables of the last run, to be read in the directory in which it was begun, in the state directory that is meant.
fn last_run_args(settings: &Settings) -> Result<PipelineArgs> {
    let cwd = current_dir()?;
    let layout = existing_state(settings.state_dir.as_deref())?;
    let last = last_run::last_run(&layout)?;
    last.enter_directory()?;
    let mut pipeline = last.pipeline;
    if let Some(bundle) = &settings.profiles {
        pipeline.settings.profiles = Some(cwd.join(bundle));
        pipeline.settings.allow_stale_profiles = settings.allow_stale_profiles;
    }
    pipeline.settings.set.extend(settings.set.iter().cloned());
    pipeline.settings.state_dir = Some(layout.root().to_owned());
    Ok(pipeline)
}

/// The working directory.
pub fn current_dir() -> Result<Utf8PathBuf> {
    let cwd = std::env::current_dir().context("the working directory cannot be read")?;
    Utf8PathBuf::from_path_buf(cwd)
        .map_err(|path| Usage(format!("the working directory {} is not UTF-8", path.display())).into())
}

/// The one that is asked for, else beside the pipeline file, or in the working directory for a pipeline that is given by name.
pub fn state_root(pipeline: &str, state_dir: Option<&Utf8Path>, cwd: &Utf8Path) -> Utf8PathBuf {
    let root = match state_dir {
        Some(dir) => cwd.join(dir),
        None if shipped::is_path(pipeline, cwd) => match cwd.join(pipeline).parent() {
            Some(dir) => dir.join(STATE_DIR),
            None => cwd.join(STATE_DIR),
        },
        None => cwd.join(STATE_DIR),
    };
    // A path with `..` in it and one without must be the same to fingerprints and excludes.
    match root.parent().and_then(|parent| parent.canonicalize_utf8().ok()) {
        Some(parent) => parent.join(root.file_name().unwrap_or(STATE_DIR)),
        None => root,
    }
}

/// The state directory of commands that name no pipeline: here, or in a directory above.
pub fn existing_state(state_dir: Option<&Utf8Path>) -> Result<Layout> {
    let cwd = current_dir()?;
    if let Some(dir) = state_dir {
        let root = cwd.join(dir);
        if !root.is_dir() {
            return Err(Usage(format!("there is no state directory {root}")).into());
        }
        return Ok(Layout::new(root));
    }
    nearest_state(&cwd).ok_or_else(|| {
        let what = format!("there is no {STATE_DIR} in {cwd} or above it: nothing was run here");
        Usage(format!("{what}; name the state directory with `--state-dir`")).into()
    })
}

/// The state directory in a directory or above it.
pub fn nearest_state(dir: &Utf8Path) -> Option<Layout> {
    dir.ancestors().map(|dir| Layout::new(dir.join(STATE_DIR))).find(|layout| layout.marker().exists())
}

/// Opens the state directory.
pub fn open_state(layout: &Layout, mode: Mode) -> Result<Option<Arc<State>>> {
    match State::open(layout.root(), mode == Mode::Create) {
        Ok(state) => Ok(Some(Arc::new(state))),
        Err(StateError::Missing(_)) if mode != Mode::Create => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A shipped pipeline is unpacked into the state directory, which is made for it.
fn find_pipeline(name: &str, cwd: &Utf8Path, layout: &Layout) -> Result<Utf8PathBuf> {
    let shipped = |listed: &shipped::Listed| listed.name == name && listed.origin == "shipped";
    if !shipped::is_path(name, cwd) && shipped::list(cwd).iter().any(shipped) {
        State::open(layout.root(), true)?;
    }
    shipped::find(name, cwd, &layout.pipelines()).map_err(|error| Usage(error.to_string()).into())
}

fn load(file: &Utf8Path, set: &[String], cwd: &Utf8Path, facts: &Facts, incomplete: bool) -> Result<Pipeline> {
    let host = facts.host();
    let env = |name: &str| std::env::var(name).ok();
    let options = LoadOptions { set, env: &env, cwd, host: &host, kinds: &stage::KINDS, incomplete };
    pipeline::load(file, &options).map_err(|error| BadFile(error.render(super::color()).trim_end().into()).into())
}

/// optbuild's own directories, and what it put into others, are no part of any source tree.
fn excluded(pipeline: &Pipeline, layout: &Layout, state: Option<&State>) -> Result<Vec<Utf8PathBuf>> {
    let mut excluded = vec![layout.root().to_owned()];
    if let Some(beside) = layout.root().parent() {
        excluded.push(beside.join("out").join(&pipeline.name));
    }
    if let Some(state) = state {
        excluded.extend(publish::places(state)?);
    }
    Ok(excluded)
}
