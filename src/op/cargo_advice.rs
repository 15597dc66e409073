//! `cargo-advice`: what helps when cargo has failed, as one sentence on standard error; there may be nothing to say.
//!
//! | | advice |
//! |---|---|
//! | rustc says that a variable is not defined, which `env!` asks for | how it is passed on |
//! | variables are set where optbuild was called that would change the build | the same: the command may succeed in that shell |
//!
//! Unaware of why the build fails.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use anyhow::{Context, Result};
use camino::Utf8Path;

use super::logs;
use crate::event::Fact;
use crate::plan::ops::given::CargoAdvice;
use crate::stdio;

/// No more of a log is read.
const LONGEST_LOG: u64 = 64 << 20;
/// How rustc's message on `env!("NAME")` is written.
const UNDEFINED: (&str, &str) = ("environment variable `", "` not defined at compile time");
/// What stands for a name in the advice.
const NAME: &str = "NAME";

impl CargoAdvice {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        // The last try is the one that counts.
        let Some(log) = logs::of_step(&self.logs, &self.step)?.pop() else { return Ok(Vec::new()) };
        let (missed, unseen) = (missed(&log)?, &self.unseen);
        let pass = |names: &[String]| {
            self.pass.replace(NAME, &names.join(if self.pass.contains('[') { "\", \"" } else { "," }))
        };
        let named = |names: &[String]| format!("`{}`", names.join("`, `"));
        if !missed.is_empty() {
            let names = named(&missed);
            stdio::say(&format!(
                "the build does not see {names}: set it in your environment, and {} passes it on",
                pass(&missed)
            ));
        } else if !unseen.is_empty() {
            let names = named(unseen);
            stdio::say(&format!(
                "{names} in your environment did not reach the build, and the command may do something else in your shell: {} \
                 passes on what is needed",
                pass(unseen)
            ));
        }
        Ok(Vec::new())
    }
}

/// The variables that rustc has not found.
fn missed(log: &Utf8Path) -> Result<Vec<String>> {
    let file = File::open(log).with_context(|| format!("cannot read {log}"))?;
    let mut names: Vec<String> = Vec::new();
    for line in BufReader::new(file.take(LONGEST_LOG)).split(b'\n') {
        let line = line.with_context(|| format!("cannot read {log}"))?;
        let line = String::from_utf8_lossy(&line);
        let behind = line.split_once(UNDEFINED.0).map(|(_, behind)| behind);
        let name = behind.and_then(|behind| behind.split_once(UNDEFINED.1)).map(|(name, _)| name);
        names.extend(name.filter(|name| !names.iter().any(|known| known == name)).map(str::to_owned));
    }
    Ok(names)
}
