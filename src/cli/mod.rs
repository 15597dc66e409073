//! The subcommands, one file each. They print by `output.rs` alone.

pub mod args;
mod clean;
mod compare;
mod doctor;
pub mod exit;
mod history;
mod info;
mod last_run;
mod listen;
mod logs;
mod man;
mod merge;
mod output;
mod plan;
mod profile;
mod project;
mod report;
mod run;
mod supply;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

use args::{Cli, Command};
use output::{color, tell, tell_error};

/// Runs the program.
pub fn main() -> ExitCode {
    // The supervisor and operations are started hundreds of times in a run, and say nothing by themselves.
    if std::env::args_os().nth(1).is_some_and(|word| word == "supervise") {
        return crate::run::process::supervisor::supervise();
    }
    if std::env::args_os().nth(1).is_some_and(|word| word == "measure") {
        return crate::compare::probe::measure();
    }
    let cli = Cli::parse();
    crate::proc::signals::survive_file_size_limit();
    set_up_logging();
    match dispatch(cli.command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            match error.downcast_ref::<exit::BadFile>() {
                Some(problems) => tell(&problems.to_string()),
                None => tell_error(&error),
            }
            ExitCode::from(exit::code(&error))
        }
    }
}

fn dispatch(command: Command) -> Result<u8> {
    // A comparison has a temporary directory, which somebody has to remove.
    if !matches!(command, Command::Run(_) | Command::Resume(_) | Command::Compare(_) | Command::Op { .. }) {
        crate::proc::signals::end_on_broken_pipe()?;
    }
    match command {
        Command::Run(args) => run::run(&args),
        Command::Resume(args) => run::resume(&args),
        Command::Plan(args) => plan::plan(&args),
        Command::List => info::list(),
        Command::Show(args) => info::show(&args),
        Command::Explain(args) => info::explain(&args),
        Command::Status(args) => info::status(&args),
        Command::Artifacts(args) => info::artifacts(&args),
        Command::Logs(args) => logs::logs(&args),
        Command::Report(args) => report::report(&args),
        Command::History(args) => history::history(&args),
        Command::Doctor(args) => doctor::doctor(&args),
        Command::Merge(args) => merge::merge(&args),
        Command::Profile { profile: command } => profile::profile(&command),
        Command::Clean(args) => clean::clean(&args),
        Command::Gc(args) => clean::gc(&args),
        Command::Compare(args) => compare::compare(&args),
        Command::Schema => man::schema(),
        Command::Completions { shell } => man::completions(shell),
        Command::Man { dir } => man::man(dir.as_deref()),
        Command::Op { words } => crate::op::run(&words).map(|()| 0),
        Command::Supervise | Command::Measure => Ok(0),
    }
}

/// Diagnostics for the developers of optbuild, with `OPTBUILD_LOG`; warnings always.
fn set_up_logging() {
    let wanted = std::env::var("OPTBUILD_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    let layer = fmt::layer()
        .with_writer(std::io::stderr)
        // It would say so on the standard error that it cannot write to.
        .log_internal_errors(false)
        .without_time()
        .with_target(false)
        .with_ansi(color())
        .with_filter(wanted.unwrap_or_else(|| Targets::new().with_default(LevelFilter::WARN)));
    tracing_subscriber::registry().with(layer).init();
}
