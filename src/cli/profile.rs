//! `optbuild profile`: looks at profiles. One file per subcommand of the family.

mod diff;
mod export;
mod matchable;
pub(super) mod origin;
mod show;
mod subject;

use anyhow::Result;
use clap::{Args, Subcommand};

/// What is done with profiles.
#[derive(Debug, Subcommand)]
pub enum Profile {
    /// Show what is in a profile: its kind and version, who reads it, functions and counts
    Show(ShowArgs),
    /// Compare two profiles: how far they overlap, and which functions changed most
    Diff(DiffArgs),
    /// Pack the merged profiles of a pipeline into a bundle, for `run --profiles` elsewhere
    Export(ExportArgs),
}

#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    /// The pipeline [default: that of the last run]
    #[arg(value_name = "NAME|FILE")]
    pub pipeline: Option<String>,
    #[command(flatten)]
    pub settings: super::args::Settings,
    /// The file to write, usually NAME.tar.zst
    #[arg(short, long, value_name = "FILE")]
    pub output: camino::Utf8PathBuf,
}

#[derive(Debug, Clone, Args)]
pub struct ShowArgs {
    /// A raw or merged profile of LLVM, a profile of BOLT, or the output of a stage of the last run
    #[arg(value_name = "FILE|STAGE.OUTPUT")]
    pub profile: String,
    #[command(flatten)]
    pub how: How,
}

#[derive(Debug, Clone, Args)]
pub struct DiffArgs {
    /// The profile to compare with: a file, or the output of a stage of the last run
    #[arg(value_name = "FILE|STAGE.OUTPUT")]
    pub base: String,
    /// The other profile, of the same kind
    #[arg(value_name = "FILE|STAGE.OUTPUT")]
    pub other: String,
    #[command(flatten)]
    pub how: How,
}

/// How profiles are shown.
#[derive(Debug, Clone, Args)]
pub struct How {
    /// How many functions to list
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub top: usize,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// The llvm-profdata that reads the profile [default: one that fits its version]
    #[arg(long, value_name = "TOOL")]
    pub profdata: Option<camino::Utf8PathBuf>,
}

/// `optbuild profile …`
pub fn profile(command: &Profile) -> Result<u8> {
    match command {
        Profile::Show(args) => show::show(args),
        Profile::Diff(args) => diff::diff(args),
        Profile::Export(args) => export::export(args),
    }
}
