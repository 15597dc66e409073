//! Whether all that a stage was made from is still what it was when the stage began: sources, tools, outputs of other stages.

use anyhow::Result;

use super::stage::Shared;
use super::verdict::Work;
use crate::state::fingerprint;

/// Something that the stage was made from changed while it ran: nobody knows what its outputs were made from.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Disturbed(String);

/// Looks at everything once more, when the stage is done.
///
/// # Errors
/// [`Disturbed`], or something cannot be read.
pub fn check(work: &Work, shared: &Shared) -> Result<()> {
    sources(work, shared)?;
    tools(work, shared)?;
    inputs(work, shared)
}

/// A tree that changed while the stage read it: nobody knows what the outputs were made from.
fn sources(work: &Work, shared: &Shared) -> Result<()> {
    let now = fingerprint::sources_now(&work.plan, &shared.sources)?;
    let before = &work.fingerprint.sources;
    for source in &work.plan.sources {
        if before.get(&source.name) != now.get(&source.name) {
            return Err(Disturbed(format!(
                "`{}` ({}) changed while the stage ran, so it is not known what its outputs were made from; \
                 run it again, and let nothing write there meanwhile (what the stage itself makes belongs into \
                 `${{self.out}}` or `${{self.build}}`)",
                source.path, source.name
            ))
            .into());
        }
    }
    Ok(())
}

/// A build of hours outlasts an upgrade of the compiler that it uses.
fn tools(work: &Work, shared: &Shared) -> Result<()> {
    let now = fingerprint::tools_now(&work.plan, &shared.sources, &shared.tools)?;
    match now.iter().find(|(part, identity)| work.fingerprint.configuration.get(*part) != Some(*identity)) {
        None => Ok(()),
        Some((part, _)) => Err(Disturbed(format!(
            "the tool `{}` changed while the stage ran, so it is not known with which one its outputs were made; run it \
             again",
            part.trim_start_matches("tool.")
        ))
        .into()),
    }
}

/// What is recorded of the outputs of other stages must be what this stage has read. What was added does not count: it was
/// not there when their users were planned.
fn inputs(work: &Work, shared: &Shared) -> Result<()> {
    let state = &shared.state;
    for input in &work.inputs {
        let Some((path, hash)) = work.input_paths.get(&input.output_ref()) else { continue };
        let Some(manifest) = state.manifest(hash)? else { continue };
        let times = state.times(&input.fingerprint)?;
        if let Some(change) = manifest.change(times.get(&input.output), path, shared.sources.hasher())? {
            return Err(Disturbed(format!(
                "{change}, which is part of output `{}` of stage `{}`; outputs do not change any more when a stage is done. \
                 Run again: `{}` is made anew; and let this stage work on a copy",
                input.output, input.stage, input.stage
            ))
            .into());
        }
    }
    Ok(())
}
