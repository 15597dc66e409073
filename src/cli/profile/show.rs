//! `optbuild profile show`

use anyhow::Result;

use super::ShowArgs;
use crate::cli::exit::Usage;

/// What is in a profile.
pub(super) fn show(args: &ShowArgs) -> Result<u8> {
    Err(Usage(format!("cannot show {}", args.profile)).into())
}
