//! The command line: every flag is described here once; help, man pages and completions are made from it.

pub mod cache;

use camino::Utf8PathBuf;
use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::cache::config::CacheArgs;
use crate::compare::options::Options;
use crate::pipeline::Choice;
use crate::run::select::Request;
use crate::text::share::Share;
use cache::CacheCommand;

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
    /// Write a pipeline for the project in this directory, and say what to fill in
    Init(InitArgs),
    /// Run a pipeline: what is not up to date, in the order of its dependencies
    Run(RunArgs),
    /// Continue the last run, with its options and variables, after a failure or an interrupt
    Resume(ResumeArgs),
    /// Build variants of a pipeline, each part once, and measure them side by side
    Experiment(Box<ExperimentArgs>),
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
    /// Find the functions that llvm-bolt breaks: when a `check` of a bolt stage fails, or llvm-bolt itself
    Bisect(BisectArgs),
    /// Measure builds against each other: programs, toolchains, or outputs of stages
    Compare(CompareArgs),
    /// Look at profiles
    Profile {
        #[command(subcommand)]
        profile: Profile,
    },
    /// Share what was built with other machines: look at a cache, fill and empty it
    Cache {
        #[command(subcommand)]
        cache: CacheCommand,
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
    /// Call a compiler with the flags of a stage; started by what the stage runs
    #[command(hide = true)]
    Compile,
}

/// The subcommands by their purpose, for `--help`. A test sees to it that each is in one group.
pub const GROUPS: [(&str, &[&str]); 6] = [
    ("Build", &["init", "run", "resume", "plan", "doctor"]),
    ("Look", &["list", "show", "explain", "status", "artifacts", "logs", "report", "history"]),
    ("Measure and find out", &["experiment", "compare", "bisect"]),
    ("Share what was built", &["cache", "profile", "merge"]),
    ("Tidy up", &["clean", "gc"]),
    ("For shells and editors", &["completions", "man", "schema"]),
];

/// The command line, whose help has the subcommands by their purpose.
pub fn command() -> clap::Command {
    let command = Cli::command();
    let about = |name: &str| command.find_subcommand(name).and_then(clap::Command::get_about).map(ToString::to_string);
    let mut groups = String::new();
    for (purpose, names) in GROUPS {
        groups.push_str(&format!("{purpose}:\n"));
        for name in names {
            groups.push_str(&format!("  {name:<12} {}\n", about(name).unwrap_or_default()));
        }
        groups.push('\n');
    }
    let template = format!("{{about}}\n\n{{usage-heading}} {{usage}}\n\n{groups}Options:\n{{options}}{{after-help}}");
    command.help_template(template)
}

#[derive(Debug, Clone, Args)]
pub struct InitArgs {
    /// A program of a cargo package
    #[arg(long, group = "built-by", help_heading = "What builds it [default: as the files here say]")]
    pub cargo: bool,
    /// A library of a cargo package, for programs in other languages
    #[arg(long, group = "built-by", help_heading = "What builds it [default: as the files here say]")]
    pub library: bool,
    /// CMake
    #[arg(long, group = "built-by", help_heading = "What builds it [default: as the files here say]")]
    pub cmake: bool,
    /// Meson
    #[arg(long, group = "built-by", help_heading = "What builds it [default: as the files here say]")]
    pub meson: bool,
    /// Make, with or without `configure`
    #[arg(long, group = "built-by", help_heading = "What builds it [default: as the files here say]")]
    pub make: bool,
    /// The file to write
    #[arg(short, long, value_name = "FILE", default_value = "pipeline.toml")]
    pub output: Utf8PathBuf,
}

/// Which pipeline, with which variables, kept where.
#[derive(Debug, Clone, Default, Args)]
pub struct PipelineArgs {
    /// A pipeline file, or the name of a shipped pipeline or of one in ./pipelines
    #[arg(value_name = "NAME|FILE")]
    pub pipeline: String,
    #[command(flatten)]
    pub settings: Settings,
    /// It is an experiment, with these variants of it.
    #[arg(skip)]
    pub experiment: Option<Choice>,
}

/// What `experiment` takes.
#[derive(Debug, Clone, Args)]
pub struct ExperimentArgs {
    /// A file of an experiment, a pipeline that has variants, or the name of one
    #[arg(value_name = "NAME|FILE")]
    pub experiment: String,
    /// Only these variants, and those that they are held against
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub variants: Vec<String>,
    /// Hold the variants against this one [default: what the file says]
    #[arg(long, value_name = "NAME")]
    pub base: Option<String>,
    /// Run nothing: print how to build this variant alone
    #[arg(long, value_name = "NAME")]
    pub show: Option<String>,
    #[command(flatten)]
    pub settings: Settings,
    #[command(flatten)]
    pub selection: Request,
    #[command(flatten)]
    pub execution: ExecutionArgs,
    #[command(flatten)]
    pub cache: CacheArgs,
    /// Run nothing: show what would be done and what it costs
    #[arg(long)]
    pub dry_run: bool,
}

impl ExperimentArgs {
    /// The same as a run.
    pub fn run(&self) -> RunArgs {
        let choice = Choice { variants: self.variants.clone(), base: self.base.clone() };
        RunArgs {
            pipeline: PipelineArgs {
                pipeline: self.experiment.clone(),
                settings: self.settings.clone(),
                experiment: Some(choice),
            },
            selection: self.selection.clone(),
            execution: self.execution.clone(),
            cache: self.cache.clone(),
            dry_run: self.dry_run,
        }
    }
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
    /// Put outputs in place although the comparison that they ask (`unless-slower`) says that they are slower, or failed
    #[arg(long)]
    pub put_anyway: bool,
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
    pub selection: Request,
    #[command(flatten)]
    pub execution: ExecutionArgs,
    #[command(flatten)]
    pub cache: CacheArgs,
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

#[derive(Debug, Clone, Default, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub pipeline: PipelineArgs,
    #[command(flatten)]
    pub selection: Request,
    #[command(flatten)]
    pub cache: CacheArgs,
    /// Write the pipeline, up to the stages of --until, as a bash script, which takes the output directory as its argument
    #[arg(long, group = "form", help_heading = "In which form")]
    pub shell: bool,
    /// Write the graph of stages for Graphviz
    #[arg(long, group = "form", help_heading = "In which form")]
    pub dot: bool,
    /// Write the graph of stages for Mermaid
    #[arg(long, group = "form", help_heading = "In which form")]
    pub mermaid: bool,
    #[command(flatten)]
    pub simulation: SimulateArgs,
    /// Plan with the answers in this file instead of looking at this machine
    #[arg(long, value_name = "FILE", help_heading = "For which machine")]
    pub facts: Option<Utf8PathBuf>,
    /// Write what planning asked of this machine, and the answers, to a file for --facts
    #[arg(long, value_name = "FILE", conflicts_with = "facts", help_heading = "For which machine")]
    pub record_facts: Option<Utf8PathBuf>,
}

/// What a run would take, on which machines.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "How long it takes")]
pub struct SimulateArgs {
    /// Say what a run of all stages from nothing takes, and what its end waits for, by the times of the last runs
    #[arg(long, group = "form")]
    pub simulate: bool,
    /// On so many machines: stages of one workspace stay on one
    #[arg(long, value_name = "N", default_value_t = 1, requires = "simulate", value_parser = clap::value_parser!(u32).range(1..))]
    pub machines: u32,
    /// With so many cores each [default: those that this process may use]
    #[arg(long, value_name = "N", requires = "simulate", value_parser = clap::value_parser!(u32).range(1..))]
    pub cores: Option<u32>,
    /// By the times in this file
    #[arg(long, value_name = "FILE", requires = "simulate")]
    pub times: Option<Utf8PathBuf>,
}

impl PlanArgs {
    /// The plan as text, for this machine.
    pub fn of(pipeline: &PipelineArgs, selection: &Request, cache: &CacheArgs) -> PlanArgs {
        let (pipeline, selection, cache) = (pipeline.clone(), selection.clone(), cache.clone());
        PlanArgs { pipeline, selection, cache, ..PlanArgs::default() }
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
    #[command(flatten)]
    pub cache: CacheArgs,
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
    pub max_damaged: Share,
    /// The llvm-profdata to merge with: of the LLVM whose compiler will read the result [default: the first one found that reads the inputs: in PATH, then the newest of /usr/lib/llvm-*]
    #[arg(long, value_name = "TOOL")]
    pub profdata: Option<Utf8PathBuf>,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = COMPARE_EXAMPLES)]
pub struct CompareArgs {
    /// What is compared with, and what is compared: two builds or more, each a program, a toolchain (a directory with bin/rustc), or an output of a stage, as `demo:shell-plain.sqlsh`; `NAME=BUILD` gives it a name
    #[arg(value_name = "BUILD", num_args = 0.., required_unless_present = "schema")]
    pub builds: Vec<String>,
    /// A build on the way from the one to the other, measured in turns with them; may be given more than once
    #[arg(long, value_name = "BUILD", help_heading = "What is compared")]
    pub step: Vec<String>,
    /// Which of several builds the others are held against, by its name [default: the first one]
    #[arg(long = "base", value_name = "NAME", help_heading = "What is compared")]
    pub base_side: Option<String>,
    /// Hold one of several builds against another one than the base; may be given more than once
    #[arg(long, value_name = "NAME=BASE", help_heading = "What is compared")]
    pub against: Vec<String>,
    /// What builds cost: a file in JSON, whose times and sizes stand in the table
    #[arg(long, value_name = "FILE", help_heading = "What is compared")]
    pub costs: Option<Utf8PathBuf>,
    /// A command to measure, with `{program}` where the builds differ; may be given more than once
    #[arg(long, value_name = "NAME=COMMAND", help_heading = "What is run")]
    pub workload: Vec<String>,
    /// The workloads of a stage of kind `compare` or `gather`
    #[arg(long, value_name = "PIPELINE:STAGE", help_heading = "What is run")]
    pub workloads: Vec<String>,
    /// One command to measure, with `{program}` where the builds differ
    #[arg(last = true, value_name = "COMMAND", help_heading = "What is run")]
    pub command: Vec<String>,
    /// Environment of the base alone; may be given more than once
    #[arg(long, value_name = "NAME=VALUE")]
    pub base_env: Vec<String>,
    /// Environment of the candidate alone; may be given more than once
    #[arg(long, value_name = "NAME=VALUE")]
    pub candidate_env: Vec<String>,
    /// Environment of one of several builds alone; may be given more than once
    #[arg(long, value_name = "BUILD:NAME=VALUE")]
    pub side_env: Vec<String>,
    #[command(flatten)]
    pub options: Options,
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

#[derive(Debug, Clone, Args)]
#[command(allow_missing_positional = true, after_help = BISECT_HELP)]
pub struct BisectArgs {
    /// The pipeline [default: that of the last run]
    #[arg(value_name = "NAME|FILE")]
    pub pipeline: Option<String>,
    /// The stage, of kind `bolt`; what it is made from must be up to date
    #[arg(value_name = "STAGE", required = true)]
    pub stage: String,
    #[command(flatten)]
    pub settings: Settings,
    /// Use outputs of the stages before it although they are out of date
    #[arg(long)]
    pub accept_stale: bool,
}

const BISECT_HELP: &str = "\
It runs the stage with some functions left out, again and again, and prints the line for the pipeline that leaves out those that are to
blame. Of 1,000 functions, one is found with about 17 tries. The tries are kept: a search that was stopped goes on where it was.

Examples:
  optbuild bisect final                  the stage `final` of the last run
  optbuild bisect pipeline.toml final";

const COMPARE_EXAMPLES: &str = "\
Examples:
  optbuild compare old/rg target/release/rg -- {program} -c pattern corpus
  optbuild compare old/rg new/rg --workload 'count={program} -c foo corpus' --workload 'list={program} --files'
  optbuild compare demo:shell-plain.sqlsh demo:shell.sqlsh --workloads demo:compare
  optbuild compare plain=old/rg pgo=pgo/rg bolt=bolt/rg --against bolt=pgo -- {program} -c pattern corpus
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
    Diff(ProfileDiffArgs),
    /// Pack the merged profiles of a pipeline into a bundle, for `run --profiles` elsewhere
    Export(ProfileExportArgs),
}

#[derive(Debug, Clone, Args)]
pub struct ProfileExportArgs {
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
pub struct ProfileDiffArgs {
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
