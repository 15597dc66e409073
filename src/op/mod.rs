//! optbuild's own operations: what a stage does that no plain tool does.
//!
//! Each runs as a child process, `optbuild op NAME …`, so that a step can be written down, killed, and run elsewhere. What it
//! counts goes to standard output as one JSON object per line, which the runner passes on. Unaware of stages and records.

mod bolt_statistics;
pub mod capture;
mod check_bolt_input;
mod check_bolt_profile;
mod check_bolt_use;
mod check_gathered;
mod check_instrumented;
mod check_lto;
mod check_profile;
mod check_profile_use;
mod check_space;
mod clear_if_changed;
pub(crate) mod compare;
mod copy_workspace;
pub mod merge;
mod metrics;
mod put_in_place;
mod restore;
mod same;
mod shadow;
mod slot;
pub mod stream;
mod strip_like;
mod take_profile;
mod unfinished;

use std::io::Write;

pub use take_profile::ORIGIN;

use anyhow::Context;

use crate::event::Fact;

/// In the environment of the operations after a workload: the workload's command line, for what they have to say of it.
pub const RAN: &str = "OPTBUILD_RAN";

/// The operations.
#[derive(Debug, clap::Subcommand)]
pub enum OpCommand {
    Merge(merge::Merge),
    StreamMerge(stream::StreamMerge),
    CheckLto(check_lto::CheckLto),
    CheckProfile(check_profile::CheckProfile),
    CheckGathered(check_gathered::CheckGathered),
    CheckProfileUse(check_profile_use::CheckProfileUse),
    CheckInstrumented(check_instrumented::CheckInstrumented),
    CheckBoltInput(check_bolt_input::CheckBoltInput),
    CheckBoltProfile(check_bolt_profile::CheckBoltProfile),
    CheckBoltUse(check_bolt_use::CheckBoltUse),
    CheckBolted(check_bolt_input::CheckBolted),
    BoltStatistics(bolt_statistics::BoltStatistics),
    CheckSpace(check_space::CheckSpace),
    ClearIfChanged(clear_if_changed::ClearIfChanged),
    Metrics(metrics::Metrics),
    Restore(restore::Restore),
    Shadow(shadow::Shadow),
    Capture(capture::Capture),
    CopyWorkspace(copy_workspace::CopyWorkspace),
    StripLike(strip_like::StripLike),
    PutInPlace(put_in_place::PutInPlace),
    Same(same::Same),
    /// Boxed: it has many more options than the others.
    Compare(Box<compare::Compare>),
    ClearSlot(slot::ClearSlot),
    Collect(slot::Collect),
    TakeProfile(take_profile::TakeProfile),
}

/// Does it, and writes what it counted to standard output.
///
/// # Errors
/// A sentence that says what is wrong with which file, and what to do about it.
pub fn run(command: OpCommand) -> anyhow::Result<()> {
    let facts = perform(&command)?;
    let mut stdout = std::io::stdout().lock();
    for fact in facts {
        let line = serde_json::to_string(&fact).context("cannot write a fact as JSON")?;
        writeln!(stdout, "{line}").context("cannot write to standard output")?;
    }
    Ok(())
}

/// Does it, and returns what it counted.
///
/// # Errors
/// As [`run`].
pub fn perform(command: &OpCommand) -> anyhow::Result<Vec<Fact>> {
    match command {
        OpCommand::Merge(args) => args.run(),
        OpCommand::StreamMerge(args) => args.run(),
        OpCommand::CheckLto(args) => args.run(),
        OpCommand::CheckProfile(args) => args.run(),
        OpCommand::CheckGathered(args) => args.run(),
        OpCommand::CheckProfileUse(args) => args.run(),
        OpCommand::CheckInstrumented(args) => args.run(),
        OpCommand::CheckBoltInput(args) => args.run(),
        OpCommand::CheckBoltProfile(args) => args.run(),
        OpCommand::CheckBoltUse(args) => args.run(),
        OpCommand::CheckBolted(args) => args.run(),
        OpCommand::BoltStatistics(args) => args.run(),
        OpCommand::CheckSpace(args) => args.run(),
        OpCommand::ClearIfChanged(args) => args.run(),
        OpCommand::Metrics(args) => args.run(),
        OpCommand::Restore(args) => args.run(),
        OpCommand::Shadow(args) => args.run(),
        OpCommand::Capture(args) => args.run(),
        OpCommand::CopyWorkspace(args) => args.run(),
        OpCommand::StripLike(args) => args.run(),
        OpCommand::PutInPlace(args) => args.run(),
        OpCommand::Same(args) => args.run(),
        OpCommand::Compare(args) => args.run(),
        OpCommand::ClearSlot(args) => args.run(),
        OpCommand::Collect(args) => args.run(),
        OpCommand::TakeProfile(args) => args.run(),
    }
}
