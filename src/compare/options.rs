//! How a comparison is measured, as command lines say it: those of people, and those of stages.

use std::time::Duration;

use camino::Utf8PathBuf;
use clap::builder::RangedU64ValueParser;

use super::limit::{Answer, Limit};

/// What measuring may take by default.
pub const BUDGET: &str = "10m";
/// At most so many rounds by default.
pub const ROUNDS: usize = 100;
/// How narrow an interval is by default.
pub const PRECISION: &str = "1%";

/// Options of measuring.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "How it is measured")]
pub struct Options {
    /// What measuring may take in all
    #[arg(long, value_name = "TIME", default_value = BUDGET, value_parser = humantime::parse_duration)]
    pub budget: Duration,
    /// Stop when the medians of times are known to within this
    #[arg(long, value_name = "SHARE", default_value = PRECISION)]
    pub precision: crate::text::share::Share,
    /// At most so many runs of a workload on each side
    #[arg(long, value_name = "N", default_value_t = ROUNDS, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub rounds: usize,
    /// How instructions are counted
    #[arg(long, value_enum, default_value = "auto")]
    pub counter: Counter,
    /// Do not check that both sides print the same
    #[arg(long)]
    pub ignore_output: bool,
    /// A workload may exit with another status than 0, if it does so on both sides
    #[arg(long)]
    pub allow_failure: bool,
    /// Fail when a workload is significantly worse by more than this, or that is not known: of the instructions, else of the wall time, or of another metric, as `wall-time=5%`; may be given more than once
    #[arg(long, value_name = "[METRIC=]SHARE")]
    pub fail_above: Vec<Limit>,
    /// Measure two toolchains with the crates of this checkout of rustc-perf
    #[arg(long, value_name = "DIR", help_heading = "What is run")]
    pub rustc_perf: Option<Utf8PathBuf>,
    /// Which of its crates, by their whole names, or `NAME-*` for the highest version [default: helloworld,inflate,html5ever-*]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', requires = "rustc_perf", help_heading = "What is run")]
    pub crates: Vec<String>,
    /// rustc-perf's profiles, in which they are built [default: Check,Opt]
    #[arg(long, value_enum, value_delimiter = ',', requires = "rustc_perf", help_heading = "What is run")]
    pub perf_profiles: Vec<Profile>,
    /// The cargo that builds them [default: the one in PATH]
    #[arg(long, value_name = "PROGRAM", requires = "rustc_perf", help_heading = "What is run")]
    pub cargo: Option<Utf8PathBuf>,
    /// A setting for cargo where they are built (`cargo --config`), such as where vendored crates are; may be given more than once
    #[arg(long, value_name = "SETTING", requires = "rustc_perf", help_heading = "What is run")]
    pub cargo_config: Vec<String>,
}

impl Options {
    /// Half the width of a median's 95 % interval, relative to it, that is narrow enough to stop.
    pub fn narrow(&self) -> f64 {
        self.fail_above.iter().filter_map(Limit::precision).fold(self.precision.value(), f64::min)
    }

    /// The crates of rustc-perf that are measured, where they are.
    pub fn crates(&self) -> Vec<String> {
        if self.crates.is_empty() { DEFAULT_CRATES.map(String::from).to_vec() } else { self.crates.clone() }
    }

    /// How they are built.
    pub fn perf_profiles(&self) -> Vec<Profile> {
        if self.perf_profiles.is_empty() { vec![Profile::Check, Profile::Opt] } else { self.perf_profiles.clone() }
    }

    /// What `--fail-above` says of a result.
    pub fn answer(&self, comparison: &super::result::Comparison) -> Answer {
        let mut all = Answer::default();
        for limit in &self.fail_above {
            let answer = limit.answer(comparison);
            all.worse.extend(answer.worse);
            all.unknown.extend(answer.unknown);
        }
        all
    }
}

/// How instructions are to be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Counter {
    /// The processor's counters where the machine allows it, else valgrind, else not at all.
    #[default]
    Auto,
    /// The processor's counters.
    Perf,
    /// valgrind's simulated processor, two runs a side.
    Valgrind,
    /// Not at all.
    None,
}

/// The crates that are measured by default. People wrote them, they are no stress tests, and each takes seconds. rust-lang/rust does not
/// train its releases with them, and no crate that it trains with depends on them.
pub const DEFAULT_CRATES: [&str; 3] = ["helloworld", "inflate", "html5ever-*"];

/// How a crate is built, as rustc-perf calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Deserialize, schemars::JsonSchema)]
pub enum Profile {
    /// `cargo check`
    #[value(name = "Check")]
    Check,
    /// `cargo build`
    #[value(name = "Debug")]
    Debug,
    /// `cargo build --release`
    #[value(name = "Opt")]
    Opt,
}

/// A value as the command line calls it.
pub fn name(value: &impl clap::ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}
