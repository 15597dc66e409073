//! Commands for profiles and builds, of a pipeline or of elsewhere.

use camino::Utf8PathBuf;
use clap::{Args, Subcommand};

use super::Settings;

#[derive(Debug, Clone, Args)]
pub struct MergeArgs {
    /// Files, or directories with all below them: raw or merged profiles of LLVM, or profiles of BOLT
    #[arg(required_unless_present = "weighted_input")]
    pub input: Vec<Utf8PathBuf>,
    /// A file or directory whose counts count N times; may be given more than once
    #[arg(long, value_name = "N,FILE", value_parser = weighted)]
    pub weighted_input: Vec<(u64, Utf8PathBuf)>,
    /// The file to write
    #[arg(short, long, value_name = "FILE")]
    pub output: Utf8PathBuf,
    /// How many threads [default: the cores that this process may use]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub jobs: Option<u32>,
    /// The share of damaged profiles above which nothing is written
    #[arg(long, value_name = "SHARE", default_value = "1%")]
    pub max_damaged: crate::text::share::Share,
    /// The llvm-profdata to merge with: of the LLVM whose compiler will read the result [default: the first one found that reads the inputs: in PATH, then the newest of /usr/lib/llvm-*]
    #[arg(long, value_name = "TOOL")]
    pub profdata: Option<Utf8PathBuf>,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = COMPARE_EXAMPLES)]
pub struct CompareArgs {
    /// What is compared with: a program, a toolchain (a directory with bin/rustc), or an output of a stage, as `demo:shell-plain.sqlsh`
    #[arg(value_name = "BASE", required_unless_present = "schema")]
    pub base: Option<String>,
    /// What is compared
    #[arg(value_name = "CANDIDATE", required_unless_present = "schema")]
    pub candidate: Option<String>,
    /// A command to measure, with `{program}` where the two differ; may be given more than once
    #[arg(long, value_name = "NAME=COMMAND", help_heading = "What is run")]
    pub workload: Vec<String>,
    /// The workloads of a stage of kind `compare` or `gather`
    #[arg(long, value_name = "PIPELINE:STAGE", help_heading = "What is run")]
    pub workloads: Vec<String>,
    /// One command to measure, with `{program}` where the two differ
    #[arg(last = true, value_name = "COMMAND", help_heading = "What is run")]
    pub command: Vec<String>,
    /// Environment of the base alone; may be given more than once
    #[arg(long, value_name = "NAME=VALUE")]
    pub base_env: Vec<String>,
    /// Environment of the candidate alone; may be given more than once
    #[arg(long, value_name = "NAME=VALUE")]
    pub candidate_env: Vec<String>,
    #[command(flatten)]
    pub options: crate::compare::options::Options,
    /// Print the whole result as JSON
    #[arg(long, group = "comparison-form", help_heading = "In which form")]
    pub json: bool,
    /// Print the table as Markdown, to paste into a pull request
    #[arg(long, group = "comparison-form", help_heading = "In which form")]
    pub markdown: bool,
    /// Print the JSON Schema of what --json prints, and measure nothing
    #[arg(long, group = "comparison-form", help_heading = "In which form")]
    pub schema: bool,
    #[command(flatten)]
    pub settings: Settings,
}

const COMPARE_EXAMPLES: &str = "\
Examples:
  optbuild compare old/rg target/release/rg -- {program} -c pattern corpus
  optbuild compare old/rg new/rg --workload 'count={program} -c foo corpus' --workload 'list={program} --files'
  optbuild compare demo:shell-plain.sqlsh demo:shell.sqlsh --workloads demo:compare
  optbuild compare stage2-old stage2-new --rustc-perf ~/rustc-perf --fail-above 1%";

/// Reads `N,FILE`.
fn weighted(text: &str) -> Result<(u64, Utf8PathBuf), String> {
    let parts = text.split_once(',').and_then(|(weight, path)| Some((weight.trim().parse::<u64>().ok()?, path)));
    let good = parts.filter(|(weight, path)| *weight > 0 && !path.is_empty());
    good.map(|(weight, path)| (weight, path.into())).ok_or_else(|| "a weighted input is written as `3,FILE`".into())
}

/// What is done with profiles.
#[derive(Debug, Subcommand)]
pub enum Profile {
    /// Show what is in a profile: its kind and version, who reads it, functions and counts
    Show(ProfileShowArgs),
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
    pub settings: Settings,
    /// The file to write, usually NAME.tar.zst
    #[arg(short, long, value_name = "FILE")]
    pub output: Utf8PathBuf,
}

#[derive(Debug, Clone, Args)]
pub struct ProfileShowArgs {
    /// A raw or merged profile of LLVM, a profile of BOLT, or the output of a stage of the last run
    #[arg(value_name = "FILE|STAGE.OUTPUT")]
    pub profile: String,
    #[command(flatten)]
    pub form: ProfileForm,
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
    pub form: ProfileForm,
}

/// How profiles are shown.
#[derive(Debug, Clone, Args)]
pub struct ProfileForm {
    /// How many functions to list
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub top: usize,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// The llvm-profdata that reads the profile [default: one that fits its version]
    #[arg(long, value_name = "TOOL")]
    pub profdata: Option<Utf8PathBuf>,
}
