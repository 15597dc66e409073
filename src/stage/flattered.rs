//! Comparisons that measure what a training has run: the result looks better than it is.
//!
//! Commands are the same if their words, environment and directory are. Unaware of what commands do.

use super::compare::Compare;
use super::gather::Gather;
use super::kind_as;
use crate::pipeline::{Pipeline, Stage};
use crate::text;

/// A sentence for each stage that is on and of which that is so.
pub fn flattered(pipeline: &Pipeline) -> Vec<String> {
    pipeline.stages.iter().filter(|stage| stage.common.when).filter_map(|stage| sentence(pipeline, stage)).collect()
}

/// The sentence for one stage.
pub(super) fn sentence(pipeline: &Pipeline, stage: &Stage) -> Option<String> {
    let compare = kind_as::<Compare>(stage)?;
    for training in pipeline.stages.iter().filter(|stage| stage.common.when) {
        // One that only looks whether a profile fits trains nothing.
        let trains = training.kind.answers.gathers.as_ref().is_some_and(|gathers| gathers.hot_in.is_none());
        let Some(gather) = kind_as::<Gather>(training).filter(|_| trains) else { continue };
        let trained = gather.commands();
        let same = compare.commands().filter_map(|line| trained.iter().find(|(_, trained)| trained == line));
        let names: Vec<String> = same.map(|(name, _)| format!("`{name}`")).collect();
        if !names.is_empty() {
            let (stage, training) = (&stage.common.name, &training.common.name);
            return Some(format!(
                "stage `{stage}` measures what `{training}` trains with ({}): that flatters the result. Other commands show what it is \
                 worth",
                text::few(names)
            ));
        }
    }
    None
}
