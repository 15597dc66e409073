//! A pipeline with all that a run of it needs: its graph, the facts, the state directory, hashes of sources, identities of tools.
//!
//! Unaware of kinds: how a stage is planned is passed in.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::cache::opening::Lazy;
use crate::facts::Facts;
use crate::pipeline::{Graph, Pipeline, Stage};
use crate::plan::{Filling, Late, Part, PlanError, StagePlan, Symbol};
use crate::proc::output;
use crate::state::fingerprint::{self, Fingerprint, FingerprintError, Inputs};
use crate::state::hash::Hasher;
use crate::state::layout::Layout;
use crate::state::sources::Sources;
use crate::state::store::State;
use crate::state::tools::ToolIdentities;
use crate::text::script::Unfit;

/// Plans one stage past the stages that are not available.
pub type Planner = fn(&Pipeline, &Facts, &str, &BTreeSet<String>) -> Result<StagePlan, PlanError>;

/// What is run, or looked at.
pub struct Project {
    pub pipeline: Pipeline,
    pub graph: Graph,
    pub facts: Facts,
    pub layout: Layout,
    /// None where nothing was ever run.
    pub state: Option<Arc<State>>,
    pub sources: Arc<Sources>,
    pub tools: Arc<ToolIdentities>,
    pub planner: Planner,
    /// What other machines have made.
    pub caches: Lazy,
}

impl Project {
    /// # Errors
    /// The stages depend on each other in a circle, or the state directory cannot be read.
    pub fn new(
        pipeline: Pipeline,
        facts: Facts,
        layout: Layout,
        state: Option<Arc<State>>,
        planner: Planner,
    ) -> Result<Project> {
        let graph = Graph::new(&pipeline)?;
        let hasher = match &state {
            Some(_) => Hasher::open(&layout.hashes())?,
            None => Hasher::without_cache(),
        };
        let tools = Arc::new(ToolIdentities::open(&layout.tools())?);
        // What belongs to optbuild, and what it put into other directories, is no part of any source tree.
        let mut excluded = vec![layout.root().to_owned(), layout.named().to_owned(), own_out_dir(&pipeline, &layout)];
        if let Some(state) = &state {
            let published = state.published()?;
            excluded.extend(published.iter().flat_map(|(dir, places)| places.keys().map(|place| dir.join(place))));
            excluded.extend(state.printed()?);
        }
        // Nor is what it prints, wherever that ends.
        excluded.extend(output::files());
        let sources = Arc::new(Sources::new(Arc::new(hasher), excluded));
        Ok(Project { pipeline, graph, facts, layout, state, sources, tools, planner, caches: Lazy::none() })
    }

    /// Plans one stage.
    ///
    /// # Errors
    /// What the stage declares cannot be done.
    pub fn plan(&self, stage: &str, unavailable: &BTreeSet<String>) -> Result<StagePlan, PlanError> {
        self.plan_without(stage, &unavailable.iter().map(|name| (name.clone(), String::new())).collect())
    }

    /// Plans one stage, past stages that have no outputs, with why that is so.
    ///
    /// # Errors
    /// As [`Project::plan`].
    pub fn plan_without(&self, stage: &str, lacking: &BTreeMap<String, String>) -> Result<StagePlan, PlanError> {
        let pipeline = self.seen_by(stage, lacking);
        let unavailable = lacking.keys().cloned().collect();
        let mut plan = (self.planner)(&pipeline, &self.facts, stage, &unavailable)?;
        plan.check_place(self.layout.root());
        check_scripts(&plan, self.layout.root())?;
        Ok(plan)
    }

    /// The pipeline with what only one of its stages sees of it: the variables of its variant, and, where variants are measured, why some
    /// cannot be.
    fn seen_by(&self, stage: &str, lacking: &BTreeMap<String, String>) -> Cow<'_, Pipeline> {
        let stage = self.pipeline.stage(stage).filter(|_| !self.pipeline.variants.is_empty());
        match stage {
            None => Cow::Borrowed(&self.pipeline),
            Some(stage) => Cow::Owned(Pipeline {
                lacking: lacking.clone(),
                ..self.pipeline.seen_by(stage).unwrap_or_else(|| self.pipeline.clone())
            }),
        }
    }

    /// The fingerprint of a stage as things are.
    ///
    /// # Errors
    /// A source or a tool cannot be read.
    pub fn fingerprint(
        &self,
        stage: &Stage,
        plan: &StagePlan,
        inputs: Inputs<'_>,
    ) -> Result<Fingerprint, FingerprintError> {
        let pipeline = self.seen_by(&stage.common.name, &BTreeMap::new());
        fingerprint::compute(stage, plan, &pipeline, inputs, &self.sources, &self.tools)
    }

    /// Stages that are off: they have no outputs whatever runs.
    pub fn off(&self) -> BTreeSet<String> {
        let off = self.pipeline.stages.iter().filter(|stage| !stage.common.when);
        off.map(|stage| stage.common.name.clone()).collect()
    }

    /// Where outputs are put if no other directory is named. All that stands there is optbuild's.
    pub fn own_out_dir(&self) -> Utf8PathBuf {
        own_out_dir(&self.pipeline, &self.layout)
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

/// What a script gets below the state directory, it must be able to hold: better said now than after hours.
fn check_scripts(plan: &StagePlan, root: &Utf8Path) -> Result<(), PlanError> {
    let value = |part: &Part| {
        Ok(match part {
            Part::Symbol(Symbol::Jobs | Symbol::Slot) | Part::Late(Late::Hash(_)) => Filling::Mark("0".into()),
            Part::Symbol(_) | Part::Late(Late::Path(_)) => Filling::Value(root.to_string()),
            Part::Tool { path, .. } | Part::Place { path, .. } => Filling::Value(path.to_string()),
            Part::Secret { value, .. } | Part::Limit(value) | Part::Literal(value) => Filling::Value(value.clone()),
        })
    };
    let mut unfit = None;
    plan.each_arg(&mut |arg| {
        if arg.script {
            unfit = unfit.take().or_else(|| arg.fill::<Unfit>(value).err());
        }
    });
    match unfit {
        None => Ok(()),
        Some(unfit) => {
            Err(PlanError::Invalid { stage: plan.stage.clone(), key: "run".into(), message: unfit.to_string() })
        }
    }
}

fn own_out_dir(pipeline: &Pipeline, layout: &Layout) -> Utf8PathBuf {
    layout.named().parent().unwrap_or(layout.named()).join("out").join(&pipeline.name)
}
