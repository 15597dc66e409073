//! BOLT's profiles as text: a line per branch, `1 FROM OFFSET 1 TO OFFSET MISPREDICTED COUNT`.
//!
//! Knows lines, not what they mean to BOLT.

use std::collections::BTreeMap;
use std::io;

use camino::Utf8Path;

use super::figures::Statistics;
use crate::fs::whole::never_written;

/// Whether merge-fdata can read a file that a process wrote. One that was cut off makes merge-fdata refuse all others with
/// it, so this is asked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    Good,
    Empty,
    /// Its last line is not complete.
    Truncated,
    /// Next to nothing of its length is on disk.
    NeverWritten,
}

impl Condition {
    /// What is wrong with a file, where something is.
    pub fn damage(self) -> Option<&'static str> {
        match self {
            Condition::Good | Condition::Empty => None,
            Condition::Truncated => Some("its last line is not complete"),
            Condition::NeverWritten => Some("next to nothing of its length is on disk: it was never written"),
        }
    }
}

/// Looks at the end of a file.
///
/// # Errors
/// The file cannot be read.
pub fn condition(path: &Utf8Path) -> io::Result<Condition> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = std::fs::File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.len() == 0 {
        return Ok(Condition::Empty);
    }
    if never_written(&metadata).is_some() {
        return Ok(Condition::NeverWritten);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(if last == *b"\n" { Condition::Good } else { Condition::Truncated })
}

/// The lines in an order that depends on their content alone: merge-fdata writes them in that of a hash table. Lines that
/// describe the file (`no_lbr`, `boltedcollection`) stay in front.
pub fn sorted(text: &str) -> String {
    // Line feeds alone end a line; a carriage return before one belongs to the line.
    let (mut entries, mut head): (Vec<&str>, Vec<&str>) =
        text.split_terminator('\n').partition(|line| line.starts_with(|c: char| c.is_ascii_digit()));
    entries.sort_unstable();
    head.extend(entries);
    let mut sorted = head.join("\n");
    sorted.push('\n');
    sorted
}

/// How many functions have counts in it.
pub fn functions(text: &str) -> usize {
    statistics(text).0.len()
}

/// Functions with the largest count of a branch that begins or ends there, and figures of the branches. Those that were never run
/// are not in the file.
pub fn statistics(text: &str) -> (BTreeMap<&str, u64>, Statistics) {
    let mut functions = BTreeMap::new();
    let mut statistics = Statistics::default();
    for line in text.lines() {
        let Some(count) = fields(line).last().and_then(|word| word.parse::<u64>().ok()) else { continue };
        let mut named = false;
        for name in locations(line) {
            named = true;
            let largest = functions.entry(name).or_insert(0);
            *largest = count.max(*largest);
        }
        if named {
            statistics.largest = statistics.largest.max(count);
            statistics.total += u128::from(count);
        }
    }
    statistics.functions = functions.len() as u64;
    (functions, statistics)
}

/// Calls `each` with the function, the place and the count of every branch.
pub fn branches<'a>(text: &'a str, mut each: impl FnMut(&'a str, &'a str, u64)) {
    for line in text.lines() {
        // The last field is the count; before it, with two locations, stands how many were mispredicted.
        let Some((place, count)) = line.rsplit_once(' ') else { continue };
        let Ok(count) = count.parse::<u64>() else { continue };
        let place =
            if fields(line).count() > 4 { place.rsplit_once(' ').map_or(place, |(place, _)| place) } else { place };
        if let Some(function) = locations(line).next() {
            each(function, place, count);
        }
    }
}

/// The same profile with all counts multiplied, those of mispredicted branches too.
pub fn multiplied(text: &str, times: u64) -> String {
    let mut to = String::with_capacity(text.len() + text.len() / 2);
    for line in text.split_inclusive('\n') {
        let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
        // With two locations, how many were mispredicted stands before the count.
        let numbers = if fields(line).count() > 4 { 2 } else { 1 };
        let mut words: Vec<&str> = line.rsplitn(numbers + 1, ' ').collect();
        let known = line.starts_with(|c: char| c.is_ascii_digit()) && words.len() > numbers;
        let place = if known { words.pop() } else { None };
        let parsed: Option<Vec<u64>> = words.iter().rev().map(|word| word.parse().ok()).collect();
        match (place, parsed) {
            (Some(place), Some(counts)) => {
                to.push_str(place);
                counts.iter().for_each(|count| to.push_str(&format!(" {}", count.saturating_mul(times))));
            }
            _ => to.push_str(line),
        }
        to.push_str(end);
    }
    to
}

/// The sum of the counts of all branches.
pub fn total(text: &str) -> u128 {
    let mut total = 0;
    branches(text, |_, _, count| total += u128::from(count));
    total
}

/// The symbol of a function: BOLT adds `/1` or `/FILE/1` to names that are not unique.
pub fn symbol(name: &str) -> &str {
    name.split_once('/').map_or(name, |(symbol, _)| symbol)
}

/// The functions that a line names. A location is `0 [unknown] 0` or `1 NAME OFFSET`; with branches there are two of them.
fn locations(line: &str) -> impl Iterator<Item = &str> {
    let fields: Vec<&str> = fields(line).collect();
    let name = |at: usize| match fields.get(at..at + 3) {
        Some(&["1", name, _]) => Some(name),
        _ => None,
    };
    [name(0), name(3)].into_iter().flatten()
}

/// Words between spaces; a space in a name has a backslash before it.
fn fields(line: &str) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    line.split(move |c: char| {
        let splits = c == ' ' && !escaped;
        escaped = c == '\\' && !escaped;
        splits
    })
}
