//! What `llvm-profdata show --all-functions --counts --binary-ids` prints of a raw or indexed profile: functions one by one, then
//! the rest. Unaware of how the tool is run.
//!
//! The indexed format itself is not read here: its header and its records have changed with most versions (4 to 14), and each
//! llvm-profdata reads all versions up to its own. Printing all of a profile takes it no longer than its plain summary does, 1.6 s of
//! CPU time for 250,000 functions with 2.4 million counts.

use std::io::{self, BufRead};

/// A function with its counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Function<'a> {
    /// As linkers know it; local ones with their file in front: `a.c;f`.
    pub name: &'a str,
    /// Of its control flow: the counts belong to code of this shape only.
    pub hash: u64,
    pub counts: &'a [u64],
}

/// What is said of the whole profile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rest {
    /// `IR`, `Front-end`; empty if it is not said.
    pub level: String,
    /// Build ids of the programs that wrote it, in hexadecimal.
    pub binary_ids: Vec<String>,
}

/// Reads it to its end, and calls `each` with every function.
///
/// # Errors
/// It cannot be read. Lines that are not understood are passed over: each version prints some of its own.
pub fn read(mut from: impl BufRead, mut each: impl FnMut(Function)) -> io::Result<Rest> {
    let mut rest = Rest::default();
    let (mut name, mut hash, mut counts) = (None::<String>, 0, Vec::new());
    let mut in_ids = false;
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let end = from.read_until(b'\n', &mut bytes)? == 0;
        let text = String::from_utf8_lossy(&bytes);
        let line = text.trim_end_matches(['\n', '\r']);
        if let Some(field) = line.strip_prefix("    ") {
            detail(field, &mut hash, &mut counts);
            continue;
        }
        if let Some(name) = name.take() {
            each(Function { name: &name, hash, counts: &counts });
        }
        if end {
            return Ok(rest);
        }
        if let Some(heading) = line.strip_prefix("  ").and_then(|line| line.strip_suffix(':')) {
            (name, hash) = (Some(heading.to_owned()), 0);
            counts.clear();
        } else if let Some(level) = line.strip_prefix("Instrumentation level: ") {
            rest.level = level.split("  ").next().unwrap_or_default().to_owned();
        } else if line.trim_end() == "Binary IDs:" {
            in_ids = true;
        } else if in_ids && !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            rest.binary_ids.push(line.to_owned());
        }
    }
}

fn detail(field: &str, hash: &mut u64, counts: &mut Vec<u64>) {
    if let Some(number) = field.strip_prefix("Hash: 0x") {
        *hash = u64::from_str_radix(number, 16).unwrap_or_default();
    } else if let Some(number) = field.strip_prefix("Function count: ") {
        counts.extend(number.parse::<u64>().ok());
    } else if let Some(list) = field.strip_prefix("Block counts: [") {
        counts.extend(list.trim_end_matches(']').split(", ").filter_map(|number| number.parse::<u64>().ok()));
    }
}
