//! `op check-bolt-profile`: whether a BOLT profile that was gathered elsewhere is of the file that it is to be used on.
//!
//! The text of a BOLT profile does not say which file it is of, and llvm-bolt takes any; what does not fit moves code by wrong
//! counts.

use anyhow::{Result, bail};
use camino::Utf8PathBuf;

use crate::event::Fact;
use crate::profile::elf::Identity;

/// Checks that a BOLT profile is of a file.
#[derive(Debug, clap::Args)]
pub struct CheckBoltProfile {
    /// What the profile is for, for messages.
    #[arg(long)]
    pub role: String,
    /// The build id of the file that the profile is of.
    #[arg(long)]
    pub build_id: Option<String>,
    /// The hash of its code.
    #[arg(long)]
    pub code: Option<String>,
    /// The linked file.
    pub file: Utf8PathBuf,
}

impl CheckBoltProfile {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let (file, role) = (&self.file, &self.role);
        let Some(here) = Identity::read(file)? else {
            bail!("{file} is not an ELF executable or shared library, the only files that BOLT rewrites here");
        };
        let same_id = self.build_id.is_some() && self.build_id == here.build_id;
        if same_id || self.code.as_ref() == Some(&here.code) {
            return Ok(Vec::new());
        }
        let shown = |id: &Option<String>, code: Option<&str>| match (id, code) {
            (Some(id), _) => format!("build id {id}"),
            (None, Some(code)) => format!("no build id, code {}", code.get(..16).unwrap_or(code)),
            (None, None) => "no build id".into(),
        };
        bail!(
            "the BOLT profile with role `{role}` is of another file than {file}: it was gathered on {}, and this one has {}. \
             BOLT profiles fit only the very code that they were gathered on: build with the sources, tools and flags of the \
             bundle, or leave the role out and gather anew. \
             `--allow-stale-profiles` uses it all the same, as far as llvm-bolt can match it (`-infer-stale-profile`)",
            shown(&self.build_id, self.code.as_deref()),
            shown(&here.build_id, Some(&here.code)),
        );
    }
}
