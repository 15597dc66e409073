//! The subcommands, one file each; those that are made from what is declared elsewhere (manual pages, completions, the schema) are here. They
//! print by `output.rs` alone.

pub mod args;
mod bisect;
mod cache;
mod clean;
mod compare;
mod doctor;
pub mod exit;
mod experiment;
mod history;
mod info;
mod init;
mod logs;
mod merge;
mod output;
mod plan;
mod profile;
mod project;
mod run;
mod simulate;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use clap::FromArgMatches as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

use args::{Cli, Command};
use output::{color, print, tell, tell_error};

/// Runs the program.
pub fn main() -> ExitCode {
    // The supervisor and operations are started hundreds of times in a run, and say nothing by themselves.
    if std::env::args_os().nth(1).is_some_and(|word| word == "supervise") {
        return crate::run::process::supervisor::supervise();
    }
    if std::env::args_os().nth(1).is_some_and(|word| word == "measure") {
        return crate::compare::probe::measure();
    }
    if std::env::args_os().nth(1).is_some_and(|word| word == "compile") {
        return crate::op::compilers::compile();
    }
    let cli = match parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
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

/// Reads the command line. Where a pipeline has to be named and none is, what would do in this directory is said.
fn parse() -> Result<Cli, ExitCode> {
    let matches = args::command().try_get_matches();
    matches.and_then(|matches| Cli::from_arg_matches(&matches)).map_err(|error| {
        let verb = std::env::args().nth(1).filter(|verb| ["run", "plan", "show"].contains(&verb.as_str()));
        match (verb, project::current_dir()) {
            (Some(verb), Ok(dir)) if lacks_a_pipeline(&error) => {
                tell_error(&anyhow::anyhow!("`optbuild {verb}` needs a pipeline: a file or a name"));
                tell(&init::suggest(&verb, &dir));
                ExitCode::from(exit::USAGE)
            }
            _ => error.exit(),
        }
    })
}

/// Another argument may be missing, such as one that is given with a flag alone.
fn lacks_a_pipeline(error: &clap::Error) -> bool {
    let missing = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::Strings(missing)) => missing.iter().any(|argument| argument == "<NAME|FILE>"),
        _ => false,
    };
    error.kind() == ErrorKind::MissingRequiredArgument && missing
}

fn dispatch(command: Command) -> Result<u8> {
    // A comparison has a temporary directory, which somebody has to remove.
    if !matches!(
        command,
        Command::Run(_)
            | Command::Experiment(_)
            | Command::Resume(_)
            | Command::Compare(_)
            | Command::Bisect(_)
            | Command::Op { .. }
    ) {
        crate::proc::signals::end_on_broken_pipe()?;
    }
    match command {
        Command::Init(args) => init::init(&args),
        Command::Run(args) => run::run(&args),
        Command::Experiment(args) => experiment::experiment(&args),
        Command::Resume(args) => run::resume(&args),
        Command::Plan(args) => plan::plan(&args),
        Command::List => info::list(),
        Command::Show(args) => info::show(&args),
        Command::Explain(args) => info::explain(&args),
        Command::Status(args) => info::status(&args),
        Command::Artifacts(args) => info::artifacts(&args),
        Command::Logs(args) => logs::logs(&args),
        Command::Report(args) => history::report(&args),
        Command::History(args) => history::history(&args),
        Command::Doctor(args) => doctor::doctor(&args),
        Command::Merge(args) => merge::merge(&args),
        Command::Profile { profile: command } => profile::profile(&command),
        Command::Cache { cache: command } => cache::cache(&command),
        Command::Clean(args) => clean::clean(&args),
        Command::Gc(args) => clean::gc(&args),
        Command::Bisect(args) => bisect::bisect(&args),
        Command::Compare(args) => compare::compare(&args),
        Command::Schema => print_schema(&crate::pipeline::schema(&crate::stage::KINDS)),
        Command::Completions { shell } => completions(shell),
        Command::Man { dir } => man(dir.as_deref()),
        Command::Op { words } => crate::op::run(&words).map(|()| 0),
        Command::Supervise | Command::Measure | Command::Compile => Ok(0),
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

/// Prints a value as JSON, or as people read it.
fn show(as_json: bool, value: &impl serde::Serialize, text: impl FnOnce() -> String) -> Result<u8> {
    let json = || serde_json::to_string_pretty(value).context("the answer cannot be written as JSON");
    print(&if as_json { json()? + "\n" } else { text() })?;
    Ok(0)
}

/// Prints a schema.
fn print_schema(schema: &schemars::Schema) -> Result<u8> {
    print(&format!("{:#}\n", schema.as_value()))?;
    Ok(0)
}

/// `optbuild completions SHELL`
fn completions(shell: clap_complete::Shell) -> Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::command(), "optbuild", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(0)
}

/// `optbuild man`
fn man(dir: Option<&Utf8Path>) -> Result<u8> {
    match dir {
        Some(dir) => {
            std::fs::create_dir_all(dir).with_context(|| format!("cannot make {dir}"))?;
            clap_mangen::generate_to(args::command(), dir)
                .with_context(|| format!("cannot write the pages to {dir}"))?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(args::command()).render(&mut page)?;
            print(&String::from_utf8_lossy(&page))?;
        }
    }
    Ok(0)
}
