//! `optbuild profile`: looks at profiles. One file per subcommand of the family.

mod diff;
mod export;
mod matchable;
pub(super) mod origin;
mod show;
mod subject;

use anyhow::Result;

use super::args::Profile;

/// `optbuild profile …`
pub fn profile(command: &Profile) -> Result<u8> {
    match command {
        Profile::Show(args) => show::show(args),
        Profile::Diff(args) => diff::diff(args),
        Profile::Export(args) => export::export(args),
    }
}
