//! `op check-profile`: whether a merged profile is fit for the compiler, or the llvm-bolt, that is going to read it.
//!
//! A compiler that cannot read a profile warns at most and builds without it.

use std::fs;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use super::merge::tools::{Level, statistics};
use crate::event::Fact;
use crate::profile::fdata;
use crate::profile::header::{Header, HeaderKind};
use crate::toolchain::formats;

/// Checks that a merged profile has counts and that its reader can read it.
#[derive(Debug, clap::Args)]
pub struct CheckProfile {
    /// The profile.
    #[arg(long)]
    pub profile: Utf8PathBuf,
    /// Who is going to read it, for messages: `clang 22`, `rustc 1.95`.
    #[arg(long)]
    pub compiler: String,
    /// The newest version of indexed profiles that it reads. Without it any version will do.
    #[arg(long)]
    pub max_version: Option<u64>,
    /// An llvm-profdata that can read the profile, to count functions with.
    #[arg(long)]
    pub tool: Option<Utf8PathBuf>,
}

impl CheckProfile {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let (profile, compiler) = (&self.profile, &self.compiler);
        let header = Header::read(profile).with_context(|| format!("cannot read the profile {profile}"))?;
        match header {
            Some(Header { kind: HeaderKind::Raw, .. }) => {
                bail!("{profile} is the raw profile of one process; {compiler} reads merged ones: use a gather stage")
            }
            Some(header) => self.indexed(header),
            None if profile.extension() == Some("fdata") => self.bolt(profile),
            // BOLT's other format, out of a bundle.
            None if profile.extension() == Some("yaml") => Ok(Vec::new()),
            None => bail!(
                "{profile} is not a merged profile: it does not begin as llvm-profdata's do. Merge raw profiles with a \
                 gather stage"
            ),
        }
    }

    fn indexed(&self, header: Header) -> Result<Vec<Fact>> {
        let (profile, compiler) = (&self.profile, &self.compiler);
        if let Some(max) = self.max_version.filter(|max| u64::from(header.version) > *max) {
            bail!(
                "{profile} has the indexed version {}, which {} reads, and {compiler} reads versions up to {max}; it would build \
                 without the profile.\n  Merge with the llvm-profdata of the LLVM that {compiler} is made with: set `profdata` in \
                 the gather stage; or build with a compiler of that LLVM",
                header.version,
                formats::indexed_in_words(u64::from(header.version))
            );
        }
        let Some(tool) = &self.tool else { return Ok(Vec::new()) };
        let plain = statistics(tool, profile, Level::First)?;
        if plain.functions == 0 {
            if header.context_sensitive && statistics(tool, profile, Level::ContextSensitive)?.functions > 0 {
                bail!(
                    "{profile} has context-sensitive counts only. {compiler} needs them merged with the first-level profile \
                     that the instrumented build was made with"
                );
            }
            bail!("{profile} has no functions; the programs that were run have no instrumented code");
        }
        if plain.largest == 0 {
            bail!("{profile} has {} functions, none of which was executed", plain.functions);
        }
        Ok(vec![Fact::number("functions-in-profile", plain.functions as f64)])
    }

    fn bolt(&self, profile: &Utf8Path) -> Result<Vec<Fact>> {
        let text = fs::read_to_string(profile).with_context(|| format!("cannot read the profile {profile}"))?;
        let functions = fdata::functions(&text);
        if functions == 0 {
            bail!("{profile} has no functions; the instrumented code was never executed");
        }
        Ok(vec![Fact::number("functions-in-profile", functions as f64)])
    }
}
