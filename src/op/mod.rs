//! optbuild's own operations: what a stage does that no plain tool does.
//!
//! Each runs as a child process, `optbuild op NAME …`, so that a step can be written down, killed, and run elsewhere. What it
//! counts goes to standard output as one JSON object per line, which the runner passes on. How its arguments are written stands in
//! `plan::ops`. Unaware of stages and records.

pub mod bolt;
mod bolt_advice;
mod bolt_debug;
mod bolt_input;
mod bolt_result;
pub mod bolt_statistics;
mod build;
mod cargo_advice;
mod compare;
pub mod compilers;
mod drive;
pub mod files;
mod fit;
pub mod harness;
mod instrumented;
mod last;
mod logs;
mod long_names;
pub mod merge;
mod place;
mod profile_use;
mod profiles;
mod source_copy;
pub mod stream;

use std::fmt::Write as _;

use anyhow::{Context, Result};

use crate::event::Fact;
use crate::plan::ops::{Argument, BadCommandLine, Operation, given};
use crate::stdio;

pub use last::figures;
pub use profiles::ORIGIN;

/// An operation.
pub struct Entry {
    name: &'static str,
    about: &'static str,
    arguments: &'static [Argument],
    read: fn(&[String]) -> Result<Ready, BadCommandLine>,
}

/// An operation whose command line has been read: does it, and returns what it counted.
pub type Ready = Box<dyn FnOnce() -> Result<Vec<Fact>>>;

macro_rules! entries {
    ($($Op:ident)*) => {
        &[$(Entry {
            name: given::$Op::NAME,
            about: given::$Op::ABOUT,
            arguments: given::$Op::ARGUMENTS,
            read: |words| given::$Op::read(words).map(|op| Box::new(move || op.run()) as Ready),
        }),*]
    };
}

/// All operations.
pub const ALL: &[Entry] = entries![
    Merge StreamMerge TakeProfile CheckProfile CheckGathered CheckFit CheckHarness CheckLast CheckProfileUse CheckInstrumented CountInstrumented
    CheckBoltInput PlainDebug CompressLike CheckBolted CheckBoltProfile CheckBoltUse BoltStatistics BoltAdvice StripLike ClearSlot
    Collect
    Capture CaptureBench Shadow CopyWorkspace CopySource LinkTools Same PutInPlace Restore
    CargoAdvice ClearIfChanged Metrics CheckSpace CheckLto
    WrapCompilers CheckCompiled Drive WaitFor
    Compare
];

/// Does the operation that the words say, and writes what it counted to standard output; or what `--help` asks for.
///
/// # Errors
/// A sentence that says what is wrong with which file, and what to do about it.
pub fn run(words: &[String]) -> Result<()> {
    let mut text = String::new();
    if let Some(help) = help(words) {
        text = help;
    } else {
        for fact in perform(words)? {
            text.push_str(&serde_json::to_string(&fact).context("cannot write a fact as JSON")?);
            text.push('\n');
        }
    }
    stdio::pass_on(text.as_bytes()).context("cannot write to standard output")
}

/// Does the operation that the words say, and returns what it counted.
///
/// # Errors
/// As [`run`].
pub fn perform(words: &[String]) -> Result<Vec<Fact>> {
    read(words)?()
}

/// Reads a command line, without `optbuild op`.
///
/// # Errors
/// There is no such operation, or it does not take these arguments.
pub fn read(words: &[String]) -> Result<Ready, BadCommandLine> {
    let (name, words) = words.split_first().map_or(("", words), |(name, words)| (name.as_str(), words));
    match ALL.iter().find(|entry| entry.name == name) {
        Some(entry) => (entry.read)(words),
        None => Err(BadCommandLine { operation: name.into(), message: "there is no such operation".into() }),
    }
}

/// What all operations do, or one of them, where the words ask for it.
pub fn help(words: &[String]) -> Option<String> {
    let asks = |word: &String| word == "--help" || word == "-h";
    let mut text = String::new();
    let mut row = |name: &str, about: &str| _ = writeln!(text, "  {name:20} {}", about.trim_start());
    match words {
        [] => ALL.iter().for_each(|entry| row(entry.name, entry.about)),
        [only] if asks(only) => ALL.iter().for_each(|entry| row(entry.name, entry.about)),
        [name, first, ..] if asks(first) => {
            let entry = ALL.iter().find(|entry| entry.name == name)?;
            for Argument { name, about, default, .. } in entry.arguments {
                row(
                    name,
                    &format!("{about}{}", default.map(|value| format!(" [default: {value}]")).unwrap_or_default()),
                );
            }
            text.insert_str(0, &format!("{}\n\n", entry.about.trim_start()));
        }
        _ => return None,
    }
    Some(text)
}
