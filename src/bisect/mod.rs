//! Finds the functions that have to be left out of llvm-bolt's work for a stage to succeed.
//!
//! What is tried, in this order; each answer that is not the expected one ends the search and is told:
//!
//! | try | expected | else |
//! |---|---|---|
//! | without llvm-bolt, twice | succeeds | [`Finding::FailsWithoutBolt`], or [`Finding::Flaky`] if only one does |
//! | the stage as it is | fails | [`Finding::Succeeds`] |
//! | all functions left out | succeeds | [`Finding::NoFunction`] |
//! | the functions of the stage, by their names | fails | [`Finding::NotByName`] |
//! | with ever fewer left out | ([`search`]) | |
//! | with the option that goes into the pipeline | succeeds | [`Finding::Unconfirmed`] |
//!
//! Which functions there are, llvm-bolt says itself: with `-v=1` it names those that it leaves out. All of them, in the try that leaves
//! all out, without those that the stage leaves out anyway (by an option, or because they have no profile) are the ones to look among.
//! Names are handed to llvm-bolt in a file and without regular expressions: it matches each expression with each function, and 5,000
//! of them with a large library would take it an hour. Unaware of terminals, and of how a try is made.

pub mod bench;
pub mod search;
pub mod tries;

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::text::bolt_names::{self, Blamed, skip_option};

/// What is read of a log, and of a line.
const LONGEST: u64 = 64 << 20;
const LONGEST_LINE: u64 = 64 << 10;

/// What is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variant {
    WithoutBolt {
        again: bool,
    },
    AsItIs,
    AllLeftOut,
    /// Only these functions are worked on, by exact names; `left_out` others are not.
    Only {
        names: Vec<String>,
        left_out: usize,
    },
    /// The stage with one more option of llvm-bolt.
    With {
        option: String,
    },
}

impl Variant {
    /// The same for equal tries only.
    pub fn key(&self) -> String {
        match self {
            Variant::WithoutBolt { again: false } => "without-bolt".into(),
            Variant::WithoutBolt { again: true } => "without-bolt-again".into(),
            Variant::AsItIs => "as-it-is".into(),
            Variant::AllLeftOut => "all-left-out".into(),
            Variant::Only { names, .. } => {
                let mut hasher = blake3::Hasher::new();
                names.iter().for_each(|name| _ = hasher.update(name.as_bytes()).update(b"\n"));
                format!("only-{}", &hasher.finalize().to_hex()[..16])
            }
            Variant::With { option } => format!("with-{}", &blake3::hash(option.as_bytes()).to_hex()[..16]),
        }
    }

    /// For people.
    pub fn words(&self) -> String {
        match self {
            Variant::WithoutBolt { again: false } => "without llvm-bolt".into(),
            Variant::WithoutBolt { again: true } => "without llvm-bolt, once more".into(),
            Variant::AsItIs => "as it is".into(),
            Variant::AllLeftOut => "all functions left out".into(),
            Variant::Only { left_out: 0, .. } => "all functions by their names".into(),
            Variant::Only { names, left_out } => format!("{left_out} of {} functions left out", left_out + names.len()),
            Variant::With { option } => format!("with {option}"),
        }
    }
}

/// How a try ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    pub passed: bool,
    /// Of one that failed, in which step and how: `check-1: exited with status 1`.
    pub what: String,
    pub seconds: f64,
    /// What llvm-bolt printed. None: it was not run.
    pub log: Option<Utf8PathBuf>,
}

/// Makes tries. One that was made before need not be made again.
pub trait Bench {
    /// # Errors
    /// It was interrupted, or the machine could not do it. Then nothing is known of the try.
    fn run(&mut self, variant: &Variant) -> Result<Tried>;

    /// So many functions are looked at, and so many tries are left if one of them is to blame.
    fn looks_at(&mut self, _functions: usize, _tries: usize) {}
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Without these functions the stage succeeds, and each of them has to be left out.
    Functions {
        names: Vec<String>,
        /// For llvm-bolt.
        option: String,
        /// How the stage fails with them.
        what: String,
    },
    FailsWithoutBolt {
        what: String,
    },
    /// Equal tries ended differently.
    Flaky {
        what: String,
    },
    Succeeds,
    /// It fails however many functions are left out.
    NoFunction {
        what: String,
    },
    /// This llvm-bolt does not name functions.
    NoNames,
    /// It fails as it is, and succeeds when llvm-bolt is told to work on the same functions by name.
    NotByName {
        what: String,
    },
    /// It succeeded without these functions, and fails with the option that leaves them out.
    Unconfirmed {
        names: Vec<String>,
        option: String,
        what: String,
    },
}

/// Finds the functions.
///
/// # Errors
/// Those of the bench; or a log cannot be read.
pub fn find(bench: &mut dyn Bench) -> Result<Finding> {
    let once = bench.run(&Variant::WithoutBolt { again: false })?;
    let again = bench.run(&Variant::WithoutBolt { again: true })?;
    let failed = [&once, &again].into_iter().find(|tried| !tried.passed);
    if let Some(Tried { what, .. }) = failed {
        let what = what.clone();
        return Ok(if once.passed == again.passed {
            Finding::FailsWithoutBolt { what }
        } else {
            Finding::Flaky { what }
        });
    }
    let as_it_is = bench.run(&Variant::AsItIs)?;
    if as_it_is.passed {
        return Ok(Finding::Succeeds);
    }
    let all_left_out = bench.run(&Variant::AllLeftOut)?;
    if !all_left_out.passed {
        return Ok(Finding::NoFunction { what: all_left_out.what });
    }
    let names = candidates(&all_left_out, &as_it_is)?;
    if names.is_empty() {
        return Ok(Finding::NoNames);
    }
    // All by name; the search, and whether that was all; the option.
    bench.looks_at(names.len(), search::tests_for_one(names.len()) + 3);
    let mut passes = |left_out: &[usize]| {
        let left_out: HashSet<usize> = left_out.iter().copied().collect();
        let kept = names.iter().enumerate().filter(|(index, _)| !left_out.contains(index));
        let kept: Vec<String> = kept.map(|(_, name)| name.clone()).collect();
        // An empty list would not mean that there are none.
        let variant = match kept.is_empty() {
            true => Variant::AllLeftOut,
            false => Variant::Only { names: kept, left_out: left_out.len() },
        };
        bench.run(&variant).map(|tried| tried.passed)
    };
    if passes(&[])? {
        return Ok(Finding::NotByName { what: as_it_is.what });
    }
    let guess = blamed(&as_it_is, &names)?;
    let found = search::smallest(names.len(), &guess, passes)?;
    let names: Vec<String> = found.into_iter().map(|index| names[index].clone()).collect();
    let option = skip_option(&names);
    let tried = bench.run(&Variant::With { option: option.clone() })?;
    Ok(match tried.passed {
        true => Finding::Functions { names, option, what: as_it_is.what },
        false => Finding::Unconfirmed { names, option, what: tried.what },
    })
}

/// The functions that only the first try left out, as llvm-bolt says, in its order.
fn candidates(all: &Tried, as_it_is: &Tried) -> Result<Vec<String>> {
    let mut known = BTreeSet::new();
    each_line(as_it_is, |line| known.extend(bolt_names::left_out(line).map(str::to_owned)))?;
    let mut names = Vec::new();
    each_line(all, |line| {
        let name = bolt_names::left_out(line);
        names.extend(name.filter(|name| known.insert((*name).to_owned())).map(str::to_owned));
    })?;
    Ok(names)
}

/// Those among the names that llvm-bolt has given up on.
fn blamed(tried: &Tried, names: &[String]) -> Result<Vec<usize>> {
    let known: HashSet<&str> = names.iter().map(String::as_str).collect();
    let mut blamed = Blamed::default();
    each_line(tried, |line| blamed.add(line, |name| known.contains(name)))?;
    let blamed = blamed.names();
    Ok(names.iter().enumerate().filter(|(_, name)| blamed.contains(name)).map(|(index, _)| index).collect())
}

/// Calls `each` with the lines of what llvm-bolt printed.
fn each_line(tried: &Tried, mut each: impl FnMut(&str)) -> Result<()> {
    let Some(log) = &tried.log else { return Ok(()) };
    let file = match File::open(log) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        file => file.with_context(|| cannot_read(log))?,
    };
    let mut reader = BufReader::new(file.take(LONGEST));
    let mut line = Vec::new();
    while reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line).with_context(|| cannot_read(log))? > 0 {
        each(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
    Ok(())
}

fn cannot_read(log: &Utf8Path) -> String {
    format!("cannot read the log {log}")
}
