//! `count-instrumented`: whether all of a program is instrumented, or only a part.
//!
//! A project may set flags of its own for a library, and drop those that instrument. Then the library is trained without counters and
//! built without a profile, and no tool says so. Unaware of how functions are found.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use camino::Utf8Path;

use crate::event::Fact;
use crate::fs::pattern;
use crate::plan::ops::given::CountInstrumented;
use crate::profile;
use crate::profile::elf::Binary;
use crate::profile::figures::share;
use crate::profile::instrumented::{Functions, functions};
use crate::stdio;
use crate::text;
use crate::text::share::Share;

/// Less than this is worth a warning. Assembly, which cannot be instrumented, is more than a few functions of a hundred in few programs.
const LEAST: Share = Share::percent(95.0);

/// So many names stand in the log.
const LOGGED: usize = 1000;

impl CountInstrumented {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let path = &pattern::resolve(&self.path).unwrap_or_else(|_| self.path.clone());
        // A build in which nothing is instrumented is refused by another operation.
        let Linked { in_part: files, functions: all, unknown } = Linked::find(path)?;
        let least = self.min_instrumented;
        let others = all.others.len() as u64;
        let total = all.instrumented + others;
        if total == 0 {
            if least.value() > 0.0 && unknown {
                bail!(
                    "how many functions of {path} are instrumented is not known: it is stripped, or has the C or C++ \
                     library in it. Keep symbols, and link dynamically for the training, or leave `min-instrumented` out"
                );
            }
            return Ok(Vec::new());
        }
        for name in all.others.iter().take(LOGGED) {
            stdio::say(&format!("not instrumented: {name}"));
        }
        let instrumented = share(all.instrumented, total);
        let what = || {
            format!(
                "{} of {} in {} are not instrumented, and so are not counted: {}",
                text::count(others),
                text::plural(total as usize, "function"),
                text::few(&files),
                text::few(&all.others)
            )
        };
        const REMEDY: &str = "look whether the project's own settings drop the flags for a part of it (assembly, and code that comes \
                              compiled, cannot be instrumented)";
        if instrumented < least.value() {
            bail!("{}.\n  `min-instrumented` asks for {least}: {REMEDY}", what());
        }
        let mut facts = vec![
            Fact::number("instrumented-functions", all.instrumented as f64),
            Fact::number("functions-without-counters", others as f64),
        ];
        if instrumented < LEAST.value() {
            facts.push(Fact::warning(format!("{}; {REMEDY}", what())));
        }
        Ok(facts)
    }
}

/// The instrumented files below a path.
#[derive(Default)]
struct Linked {
    /// The names of files of which some functions are not instrumented.
    in_part: Vec<String>,
    functions: Functions,
    /// There are files of whose functions nothing is known.
    unknown: bool,
}

impl Linked {
    /// Looks at each file once, whatever links lead to it.
    fn find(path: &Utf8Path) -> Result<Linked> {
        let (mut seen, mut linked) = (BTreeSet::new(), Linked::default());
        for file in profile::find(path, |_| true).with_context(|| format!("cannot read {path}"))? {
            // A directory may hold all sorts of files, such as damaged ones for a project's tests.
            let binary = Binary::read(&file.path).ok().flatten();
            let real = file.path.canonicalize_utf8().unwrap_or_else(|_| file.path.clone());
            if !binary.is_some_and(|binary| binary.pgo_instrumented) || !seen.insert(real) {
                continue;
            }
            match functions(&file.path) {
                Ok(Some(found)) => linked.add(&file.path, found),
                Ok(None) => linked.unknown = true,
                Err(_) if path.is_dir() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(linked)
    }

    fn add(&mut self, file: &Utf8Path, found: Functions) {
        if !found.others.is_empty() {
            self.in_part.push(file.file_name().unwrap_or_default().to_owned());
        }
        self.functions.instrumented += found.instrumented;
        self.functions.others.extend(found.others);
    }
}
