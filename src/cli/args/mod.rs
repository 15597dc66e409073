//! The command line: every flag is described here once; help, man pages and completions are made from it.

mod looking;
mod tools;

use camino::Utf8PathBuf;
use clap::{Args, Parser, Subcommand};

use crate::run::select::Request;

pub use looking::{
    ArtifactsArgs, HistoryArgs, HistoryCommand, HistoryDiffArgs, LastRunArgs, LogsArgs, ReportArgs, ReportFormat,
    StageArgs, StatusArgs,
};
pub use tools::{CompareArgs, DiffArgs, ExportArgs, MergeArgs, Profile, ProfileForm, ProfileShowArgs};

/// Runs optimised builds (PGO, BOLT, LTO) as resumable pipelines.
#[derive(Debug, Parser)]
#[command(name = "optbuild", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
    0  done; with failures that the pipeline tolerates, too (but see `run --strict`)
    1  a stage failed
    2  bad usage or a bad pipeline file
    3  a tool, a disk or a permission is missing
  130  interrupted

In three commands:
  optbuild doctor demo --install   look for the tools that the pipeline `demo` needs, install the rest
  optbuild run demo                build
  optbuild resume                  go on after a failure or an interrupt";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a pipeline: what is not up to date, in the order of its dependencies
    Run(RunArgs),
    /// Continue the last run, with its options and variables, after a failure or an interrupt
    Resume(ResumeArgs),
    /// Show every step of a pipeline with its exact command
    Plan(PlanArgs),
    /// List the pipelines that can be run by name
    List,
    /// Show a pipeline's variables, tools and stages
    Show(ShowArgs),
    /// Say why a stage would run: which part of its fingerprint differs
    Explain(StageArgs),
    /// Show which stages are up to date
    Status(StatusArgs),
    /// Print the paths of what was built
    Artifacts(ArtifactsArgs),
    /// Print the logs of a stage's last run
    Logs(LogsArgs),
    /// Write a run's report: stages over time, profiles, sizes, failures; as HTML, Markdown or JSON
    Report(ReportArgs),
    /// List the runs; with `diff`, show what became slower or larger from one to another
    History(HistoryArgs),
    /// Look for the tools that a pipeline needs; with --install, install them
    Doctor(DoctorArgs),
    /// Merge the profiles of many processes into one
    Merge(MergeArgs),
    /// Measure two builds against each other: programs, toolchains, or outputs of stages
    Compare(CompareArgs),
    /// Look at profiles
    Profile {
        #[command(subcommand)]
        profile: Profile,
    },
    /// Remove build directories; records and outputs stay
    Clean(CleanArgs),
    /// Remove the records, outputs and logs of old runs
    Gc(GcArgs),
    /// Print the JSON Schema of pipeline files, for editors
    Schema,
    /// Print a completion script for a shell
    Completions {
        /// For which shell; in bash, `source <(optbuild completions bash)`
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write one for every subcommand into a directory
    Man {
        /// Where to write the pages `optbuild.1`, `optbuild-run.1` and so on [default: the first one on standard output]
        #[arg(long, value_name = "DIR")]
        dir: Option<Utf8PathBuf>,
    },
    /// One of optbuild's own operations, as plans call them
    #[command(hide = true, disable_help_flag = true)]
    Op {
        /// Which one, and its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Watch one command and all its descendants; started by `run`
    #[command(hide = true)]
    Supervise,
    /// Run one command and say what it used; started by `compare`
    #[command(hide = true)]
    Measure,
}

/// Which pipeline, with which variables, kept where.
#[derive(Debug, Clone, Args)]
pub struct PipelineArgs {
    /// A pipeline file, or the name of a shipped pipeline or of one in ./pipelines
    #[arg(value_name = "NAME|FILE")]
    pub pipeline: String,
    #[command(flatten)]
    pub settings: Settings,
}

#[derive(Debug, Clone, Args)]
pub struct ShowArgs {
    #[command(flatten)]
    pub pipeline: PipelineArgs,
    /// Show this stage alone, with all of its keys: those of files that are extended and of templates among them
    #[arg(long, value_name = "NAME")]
    pub stage: Option<String>,
}

#[derive(Debug, Clone, Default, Args)]
pub struct Settings {
    /// Set a variable of the pipeline, which `optbuild show` lists; may be given more than once
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// Where records, build directories and logs are kept [default: .optbuild beside the pipeline file, or here for a pipeline that is given by name]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<Utf8PathBuf>,
    /// Take profiles out of this bundle (see `profile export`), or out of rust's reproducible-artifacts, instead of gathering them:
    /// what is only needed to gather them is not built
    #[arg(long, value_name = "FILE")]
    pub profiles: Option<Utf8PathBuf>,
    /// With --profiles: use profiles although they are of other sources or of another binary
    #[arg(long, requires = "profiles")]
    pub allow_stale_profiles: bool,
}

/// Which stages.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Which stages")]
pub struct SelectionArgs {
    /// Run this stage and all that depends on it, whatever their records say
    #[arg(long, value_name = "STAGE")]
    pub from: Vec<String>,
    /// Run this stage and what it needs, and stop there
    #[arg(long, value_name = "STAGE")]
    pub until: Vec<String>,
    /// Run this stage alone, whatever its record says
    #[arg(long, value_name = "STAGE", conflicts_with_all = ["from", "until"])]
    pub only: Vec<String>,
    /// Do not run this stage: use its recorded outputs, or what the pipeline names instead of them
    #[arg(long, value_name = "STAGE")]
    pub skip: Vec<String>,
    /// Run every selected stage whatever its record says
    #[arg(long)]
    pub force: bool,
    /// Like --force, in empty build directories
    #[arg(long)]
    pub fresh: bool,
    /// Use outputs of stages outside of the selection although they are out of date
    #[arg(long)]
    pub accept_stale: bool,
}

impl SelectionArgs {
    /// The flags as a request.
    pub fn request(&self) -> Request {
        let SelectionArgs { from, until, only, skip, force, fresh, accept_stale } = self.clone();
        Request { from, until, only, skip, force, fresh, accept_stale }
    }
}

/// How a run goes about it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "How")]
pub struct ExecutionArgs {
    /// How many slots the stages share [default: the cores that this process may use]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub jobs: Option<u32>,
    /// After a failure, also start what does not depend on the failed stage
    #[arg(long, conflicts_with = "fail_fast")]
    pub keep_going: bool,
    /// After a failure, end the stages that are running
    #[arg(long)]
    pub fail_fast: bool,
    /// Exit with 1 also after failures that the pipeline tolerates
    #[arg(long)]
    pub strict: bool,
    /// Where the pipeline's outputs are put [default: out/NAME beside the state directory]
    #[arg(long, value_name = "DIR")]
    pub out: Option<Utf8PathBuf>,
    /// Print events as JSON lines on standard output
    #[arg(long)]
    pub json: bool,
    /// Also show reasons, notes and commands
    #[arg(short, long, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Show failures only, and one line at the end
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub pipeline: PipelineArgs,
    #[command(flatten)]
    pub selection: SelectionArgs,
    #[command(flatten)]
    pub execution: ExecutionArgs,
    /// Run nothing: show what would be done, as `plan` does
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Clone, Args)]
pub struct ResumeArgs {
    /// The state directory of the run [default: .optbuild here or in a directory above]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<Utf8PathBuf>,
    /// Set a variable anew; needed for secret ones that the environment does not hold
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    #[command(flatten)]
    pub execution: ExecutionArgs,
}

#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub pipeline: PipelineArgs,
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Write the pipeline, up to the stages of --until, as a bash script, which takes the output directory as its argument
    #[arg(long, group = "form", help_heading = "In which form")]
    pub shell: bool,
    /// Write the graph of stages for Graphviz
    #[arg(long, group = "form", help_heading = "In which form")]
    pub dot: bool,
    /// Write the graph of stages for Mermaid
    #[arg(long, group = "form", help_heading = "In which form")]
    pub mermaid: bool,
    /// Plan with the answers in this file instead of looking at this machine
    #[arg(long, value_name = "FILE", help_heading = "For which machine")]
    pub facts: Option<Utf8PathBuf>,
    /// Write what planning asked of this machine, and the answers, to a file for --facts
    #[arg(long, value_name = "FILE", conflicts_with = "facts", help_heading = "For which machine")]
    pub record_facts: Option<Utf8PathBuf>,
}

impl PlanArgs {
    /// The plan as text, for this machine.
    pub fn of(pipeline: &PipelineArgs, selection: &SelectionArgs) -> PlanArgs {
        PlanArgs {
            pipeline: pipeline.clone(),
            selection: selection.clone(),
            shell: false,
            dot: false,
            mermaid: false,
            facts: None,
            record_facts: None,
        }
    }
}

#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// The pipeline [default: what optbuild itself can use]
    #[arg(value_name = "NAME|FILE")]
    pub pipeline: Option<String>,
    #[command(flatten)]
    pub settings: Settings,
    /// Install what is missing through the machine's package manager
    #[arg(long)]
    pub install: bool,
}

#[derive(Debug, Clone, Args)]
pub struct CleanArgs {
    /// Stages [default: all]
    pub stage: Vec<String>,
    /// Remove this workspace, which stages share
    #[arg(long, value_name = "NAME")]
    pub workspace: Vec<String>,
    /// The state directory [default: .optbuild here or in a directory above]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<Utf8PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub struct GcArgs {
    /// Keep what the last N runs made or used
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub keep_runs: usize,
    /// Remove no more than it takes to use no more than this, as `20 GiB`: the oldest first, also of the last N runs, but nothing
    /// that the last run made or used
    #[arg(long, value_name = "SIZE")]
    pub max_size: Option<bytesize::ByteSize>,
    /// The state directory [default: .optbuild here or in a directory above]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<Utf8PathBuf>,
}
