//! What is said of a stage when it starts.

use super::stage::Shared;
use super::verdict::Work;
use crate::event::{Event, ToolVersion};
use crate::pipeline::Stage;

/// Says that a stage starts, why, with which tools, and what its plan has to note. `earlier`: see [`Event::StageStarted`].
pub fn announce(shared: &Shared, stage: &Stage, work: &Work, jobs: usize, earlier: f64) {
    let name = &stage.common.name;
    let expected = match shared.state.current(name) {
        // A stage of another pipeline may have the same name.
        Ok(record) => record.filter(|record| record.pipeline == shared.pipeline).map(|record| record.duration),
        Err(error) => {
            shared.events.send(Event::Note { stage: name.into(), text: error.to_string() });
            None
        }
    };
    // A stage that rebuilds a workspace takes away the records of those behind it.
    let expected = expected.or_else(|| shared.took.get(name).copied());
    shared.events.send(Event::StageStarted {
        stage: name.into(),
        fingerprint: work.fingerprint.id().into(),
        reasons: work.reasons.clone(),
        expected,
        earlier,
        jobs,
    });
    let tools = work.plan.tools.iter().map(|tool| ToolVersion {
        name: tool.name.clone(),
        path: tool.path.clone(),
        version: shared.tools.version(tool),
    });
    let tools: Vec<ToolVersion> = tools.collect();
    if !tools.is_empty() {
        shared.events.send(Event::ToolsUsed { stage: name.into(), tools });
    }
    for note in &work.plan.notes {
        shared.events.send(Event::Note { stage: name.into(), text: note.clone() });
    }
}
