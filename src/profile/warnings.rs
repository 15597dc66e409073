//! What compilers say of a profile that does not fit, counted out of their output; and what the profile runtime says in an instrumented
//! program. Unaware of where that is kept.
//!
//! LLVM's pass says it in the same words in clang, in rustc and in lld: `no profile data available for function NAME Hash = …`, if
//! it is asked for with `-pgo-warn-missing-function`, and `function control flow change detected (hash mismatch) NAME Hash = …`.
//! clang's own words are of profiles that its front end uses (`-fprofile-instr-generate`).

use std::collections::HashSet;

/// Functions that a compiler found no counts for, by the names that linkers know. Each counts once, however many files it is
/// compiled in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Warnings {
    /// Not in the profile.
    pub missing: HashSet<String>,
    /// In the profile, with the counts of other code.
    pub mismatched: HashSet<String>,
    /// The same, as clang's front end counts them, without their names.
    unnamed: u64,
}

/// What the profile runtime writes to standard error, once for each process or more often, and what that means. It is in
/// `compiler-rt/lib/profile` (`InstrProfilingFile.c`, `InstrProfilingValue.c`).
pub const RUNTIME: [(&str, &str); 3] = [
    (
        "Runtime and instrumentation version mismatch",
        "the program has the profile runtime of another LLVM than the one that instrumented it, and wrote no counts: link it with the \
         compiler that compiles it",
    ),
    (
        "Running out of static counters",
        "targets of indirect calls and sizes of memory operations are missing in the profile, the counts of functions are not; \
         `-vp-counters-per-site=4` in the flags of the instrumented build makes room for more (behind `-mllvm` for clang, behind \
         `-C llvm-args=` for rustc)",
    ),
    (
        "LLVM Profile Error: Failed to write file",
        "these processes wrote no counts, or a part of them: see what the log says behind it, and whether the disk is full",
    ),
];

const MISSING: &str = "no profile data available for function ";
const MISMATCHED: [&str; 2] = [
    "function control flow change detected (hash mismatch) ",
    "function basic block count change detected (counter mismatch) ",
];
/// `… of 7 functions, 2 have mismatched data that will be ignored`
const OUT_OF_DATE: &str = "profile data may be out of date: of ";

impl Warnings {
    /// Takes a line of a compiler's output in. Returns whether it says anything of a profile.
    pub fn add_line(&mut self, line: &str) -> bool {
        if let Some(name) = name_behind(line, MISSING) {
            self.missing.insert(name.into());
        } else if let Some(name) = MISMATCHED.iter().find_map(|words| name_behind(line, words)) {
            self.mismatched.insert(name.into());
        } else if let Some((_, rest)) = line.split_once(OUT_OF_DATE) {
            let number = rest.split_once(", ").and_then(|(_, rest)| rest.split(' ').next()?.parse::<u64>().ok());
            self.unnamed += number.unwrap_or(0);
        } else {
            return false;
        }
        true
    }

    /// Leaves out what is said of other functions.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.missing.retain(|name| keep(name));
        self.mismatched.retain(|name| keep(name));
    }

    /// How many functions have counts of other code in the profile.
    pub fn mismatched_functions(&self) -> u64 {
        self.mismatched.len() as u64 + self.unnamed
    }

    /// A line for each name, for [`Warnings::kept`].
    pub fn to_text(&self) -> String {
        let lines = |kind: &str, names: &HashSet<String>| {
            let mut lines: Vec<String> = names.iter().map(|name| format!("{kind} {name}\n")).collect();
            lines.sort();
            lines.concat()
        };
        lines("missing", &self.missing) + &lines("mismatched", &self.mismatched)
    }

    /// What was kept of an earlier build.
    pub fn kept(text: &str) -> Warnings {
        let mut warnings = Warnings::default();
        for line in text.lines() {
            match line.split_once(' ') {
                Some(("missing", name)) => _ = warnings.missing.insert(name.into()),
                Some(("mismatched", name)) => _ = warnings.mismatched.insert(name.into()),
                _ => {}
            }
        }
        warnings
    }
}

fn name_behind<'a>(line: &'a str, words: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(words)?;
    rest.split_once(" Hash = ").map(|(name, _)| name)
}
