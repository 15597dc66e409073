//! Commands that look at runs and at what they left.

use camino::Utf8PathBuf;
use clap::{Args, Subcommand};

use super::Settings;

/// For commands that look at what a run left: by default the pipeline and the variables of the last run.
#[derive(Debug, Clone, Default, Args)]
pub struct LastRunArgs {
    /// The pipeline [default: that of the last run]
    #[arg(short, long, value_name = "NAME|FILE")]
    pub pipeline: Option<String>,
    #[command(flatten)]
    pub settings: Settings,
}

#[derive(Debug, Clone, Args)]
pub struct StageArgs {
    /// Name of the stage
    pub stage: String,
    #[command(flatten)]
    pub last: LastRunArgs,
}

#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    /// The pipeline [default: that of the last run]
    #[arg(value_name = "NAME|FILE")]
    pub pipeline: Option<String>,
    #[command(flatten)]
    pub settings: Settings,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub struct ArtifactsArgs {
    /// Only this stage's
    pub stage: Option<String>,
    #[command(flatten)]
    pub last: LastRunArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub struct LogsArgs {
    /// Name of the stage
    pub stage: String,
    /// Only the log of this step, or of this workload of a gather stage
    pub step: Option<String>,
    /// Go on as the log grows, until the stage ends
    #[arg(short, long)]
    pub follow: bool,
    /// The state directory [default: .optbuild here or in a directory above]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<Utf8PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    /// Which run: its name or a part of it, or `last~1` for the one before the last [default: last]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// The file to write; `-` is standard output [default: for HTML report.html in the run's own directory, else standard output]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<Utf8PathBuf>,
    /// In which form [default: as the file's name says, else html]
    #[arg(long, value_enum)]
    pub format: Option<ReportFormat>,
    /// Also write a trace for Perfetto (ui.perfetto.dev) or Chrome; without -o and --format nothing else
    #[arg(long, value_name = "FILE")]
    pub trace: Option<Utf8PathBuf>,
    /// Print the JSON Schema of the JSON form
    #[arg(long, conflicts_with_all = ["run", "output", "format", "trace"])]
    pub schema: bool,
    /// The state directory [default: .optbuild here or in a directory above]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<Utf8PathBuf>,
}

/// The forms of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ReportFormat {
    /// One file that needs no other, and no network
    Html,
    Md,
    Json,
}

#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct HistoryArgs {
    #[command(subcommand)]
    pub command: Option<HistoryCommand>,
    /// Show no more than the last N
    #[arg(short, long, value_name = "N", default_value_t = 20)]
    pub number: usize,
    #[command(flatten)]
    pub common: HistoryCommon,
}

#[derive(Debug, Clone, Args)]
pub struct HistoryCommon {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// The state directory [default: .optbuild here or in a directory above]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<Utf8PathBuf>,
}

#[derive(Debug, Clone, Subcommand)]
pub enum HistoryCommand {
    /// Show what became slower or larger, and faster or smaller, from one run to another
    Diff(HistoryDiffArgs),
}

#[derive(Debug, Clone, Args)]
pub struct HistoryDiffArgs {
    /// The earlier run: its name or a part of it, or `last~N` [default: the one before the last of the same pipeline]
    #[arg(value_name = "A")]
    pub from: Option<String>,
    /// The later one
    #[arg(value_name = "B", default_value = "last")]
    pub to: String,
    /// Also show what differs by no more than one run differs from the next
    #[arg(short, long)]
    pub all: bool,
    #[command(flatten)]
    pub common: HistoryCommon,
}
