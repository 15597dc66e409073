//! What an llvm-bolt cannot instrument because of the names of functions: left out, and told, before anything is trained.
//!
//! The runtime of llvm-bolt writes a line of a profile into a buffer of 10,240 bytes. A line has the names of two functions, which are the same
//! for a branch within one. A program with longer names ends with `Assertion failed: buffer overflow, function name too large` when it
//! writes its profile (llvm-project 169899; the buffer is larger since 204607). A call to such a function is counted in its caller, and so
//! callers are left out as well where both names are too long.

use anyhow::{Context, Result};

use crate::event::Fact;
use crate::fs::disk;
use crate::plan::ops::given::CheckBoltInput;
use crate::profile::long_names::{Limits, TooLong, too_long};
use crate::text;
use crate::text::bolt_names::pattern;

/// Half of the buffer less what stands between names, and all of it less that: names of 5,000 bytes pass with llvm-bolt 22, names of 5,200 do
/// not.
const LIMITS: Limits = Limits { one: 5000, two: 10_000 };
/// The first llvm-bolt with the larger buffer.
pub(super) const LARGER: u64 = 23;

/// So much of the beginning and of the end of a name tells it from others: a name has a hash in its end.
const BEGINNING: usize = 200;
const END: usize = 100;
/// So much of a name is shown.
const SHOWN: usize = 60;

impl CheckBoltInput {
    /// Writes the options that leave functions out, for llvm-bolt to read, and says which functions they are.
    pub(super) fn leave_out(&self) -> Result<Vec<Fact>> {
        let Some(file) = &self.leave_out else { return Ok(Vec::new()) };
        let TooLong { names, callers } = too_long(&self.file, LIMITS)?;
        let options: String =
            names.iter().chain(&callers).map(|name| format!("-skip-funcs={}\n", beginning_and_end(name))).collect();
        disk::write_whole(file, options.as_bytes()).with_context(|| format!("cannot write {file}"))?;
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let shown: Vec<String> = names.iter().map(|name| format!("{}…", head(name, SHOWN))).collect();
        let with = match callers.len() {
            0 => String::new(),
            count => format!(", and {} that call one", text::plural(count, "function")),
        };
        Ok(vec![Fact::warning(format!(
            "{} of {} have names of more than {} bytes, which llvm-bolt before {LARGER} cannot write into a profile: they are left out of \
             the training{with}, and keep their layout: {}",
            text::plural(names.len(), "function"),
            self.file,
            LIMITS.one,
            text::few(&shown)
        ))])
    }
}

/// A pattern for a long name. All of it would be a regular expression of as many characters, for each of the functions of a file.
fn beginning_and_end(name: &str) -> String {
    let from = (name.len().saturating_sub(END)..name.len()).find(|at| name.is_char_boundary(*at)).unwrap_or(0);
    match name.len() > BEGINNING + END {
        // llvm-bolt numbers local functions: `name/1`.
        true => format!("{}.*{}.*", pattern(head(name, BEGINNING)), pattern(&name[from..])),
        false => format!("{}.*", pattern(name)),
    }
}

fn head(name: &str, most: usize) -> &str {
    let end = (0..=most.min(name.len())).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
    &name[..end]
}
