//! `optbuild profile diff`

use anyhow::Result;

use super::DiffArgs;
use crate::cli::exit::Usage;

/// How two profiles differ.
pub(super) fn diff(args: &DiffArgs) -> Result<u8> {
    Err(Usage(format!("cannot compare {} and {}", args.base, args.other)).into())
}
