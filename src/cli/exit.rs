//! Exit codes, and the errors that decide them. They are documented in `optbuild --help` and in `docs/guide.md`.

use crate::facts::Unanswered;
use crate::fs::disk::DiskError;
use crate::proc::start::NoThread;
use crate::run::decide::CannotBegin;
use crate::run::process::StillAlive;
use crate::run::trial::NotTried;
use crate::state::fingerprint::FingerprintError;
use crate::state::manifest;
use crate::state::sources::SourceError;
use crate::state::store::StateError;

/// A stage failed.
pub const FAILED: u8 = 1;
/// Bad usage or a bad pipeline file.
pub const USAGE: u8 = 2;
/// A tool, a disk or a permission is missing.
pub const MACHINE: u8 = 3;
/// Ended by a signal.
pub const INTERRUPTED: u8 = 130;

/// An error in what was asked for.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// The same out of a format and its arguments.
macro_rules! usage {
    ($($text:tt)*) => { anyhow::Error::from($crate::cli::exit::Usage(format!($($text)*))) };
}
pub(super) use usage;

/// Errors of a pipeline file, with headings and source lines of their own.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadFile(pub String);

/// The machine lacks something.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Machine(pub String);

/// The exit code of an error.
///
/// An operation ends with that of its error as well, so that the runner knows a full disk from a profile that is none.
pub fn code(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        if cause.is::<Usage>()
            || cause.is::<BadFile>()
            || cause.is::<crate::run::select::SelectError>()
            || cause.is::<crate::pipeline::Cycle>()
            || cause.is::<crate::plan::PlanError>()
            || cause.is::<crate::plan::ops::BadCommandLine>()
            || cause.is::<crate::run::publish::InTheWay>()
            || cause.is::<crate::cache::config::BadConfig>()
            || cause.is::<crate::state::record::NotHere>()
        {
            return USAGE;
        }
        if let Some(not_tried) = cause.downcast_ref::<NotTried>() {
            return if matches!(not_tried, NotTried::Interrupted) { INTERRUPTED } else { MACHINE };
        }
        if cause.is::<Machine>()
            || cause.is::<NoThread>()
            || cause.is::<crate::cache::caches::Required>()
            || cause.is::<StateError>()
            || cause.is::<StillAlive>()
            || cause.is::<DiskError>()
        {
            return MACHINE;
        }
        if cause.is::<Unanswered>() {
            return MACHINE;
        }
        if let Some(cannot) = cause.downcast_ref::<CannotBegin>() {
            return if matches!(cannot, CannotBegin::Gaps(_)) { MACHINE } else { USAGE };
        }
        // Wrapped or not: what is transparent is no cause of its own.
        let source = match cause.downcast_ref::<FingerprintError>() {
            Some(FingerprintError::Tool(_)) => return MACHINE,
            Some(FingerprintError::Source(source)) => Some(source),
            None => cause.downcast_ref::<SourceError>(),
        };
        match source {
            Some(SourceError::Read { .. }) => return MACHINE,
            Some(SourceError::Pattern { .. } | SourceError::MadeUp { .. }) => return USAGE,
            _ => {}
        }
    }
    if manifest::is_to_blame(error) { MACHINE } else { FAILED }
}
