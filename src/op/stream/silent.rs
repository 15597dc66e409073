//! Processes of instrumented programs that wrote no profile.
//!
//! A profile is written when a process ends in good order. What it counted is lost if it ends by `_exit` or a signal, and no tool says
//! so: others have written theirs. The runner lists the processes that it has seen, and names of profiles have the numbers of processes.
//! A program is instrumented if it, or a library that it has mapped, is. Unaware of how processes are found.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::ErrorKind;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::event::Fact;
use crate::plan::census::{self, Ending};
use crate::profile::Format;
use crate::profile::elf::Binary;
use crate::profile::watch::numbers;
use crate::text;

/// Who has written profiles.
#[derive(Debug, Default)]
pub struct Writers {
    pids: HashSet<u32>,
    /// There are names without a number: then it is not known who wrote them.
    nameless: bool,
}

impl Writers {
    /// Notes a profile by its name.
    pub fn add(&mut self, name: &Utf8Path) {
        let mut found = numbers(name).peekable();
        self.nameless |= found.peek().is_none();
        self.pids.extend(found);
    }
}

/// The processes that wrote none: by the name of the program, whether they were forked, and how they ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Silent(BTreeMap<(String, bool, Ending), u64>);

impl Silent {
    /// Reads a list of processes. Without one, nothing is known.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn find(list: &Utf8Path, writers: &Writers, format: Format) -> Result<Silent> {
        let mut silent = Silent::default();
        let seen = match census::read(list) {
            Ok(seen) => seen,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(silent),
            Err(error) => return Err(error).with_context(|| format!("cannot read {list}")),
        };
        if writers.nameless {
            return Ok(silent);
        }
        let mut known: HashMap<Utf8PathBuf, bool> = HashMap::new();
        for process in seen {
            if process.pids.iter().any(|pid| writers.pids.contains(pid)) {
                continue;
            }
            let mut files = process.files.mapped.iter().chain([&process.files.program]);
            if files.any(|file| *known.entry(file.clone()).or_insert_with(|| is_instrumented(file, format))) {
                let name = process.files.program.file_name().unwrap_or_default().to_owned();
                *silent.0.entry((name, process.forked, process.how)).or_default() += 1;
            }
        }
        Ok(silent)
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// What is to be said of them. Nothing of none.
    pub fn facts(&self, format: Format) -> Vec<Fact> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let before_exit = match format {
            Format::Profdata => ", and call `__llvm_profile_write_file()` before `_exit`",
            Format::Fdata => "",
        };
        let sentence = format!(
            "{}, so nothing is counted of what they did. A profile is written when `main` returns or `exit` is called: end servers so that \
             they do it{before_exit}",
            self.words()
        );
        let number = Fact::number("processes/without-profile", self.count() as f64);
        vec![number, Fact::warning(sentence)]
    }

    /// `2 processes of instrumented programs wrote no profile: server (was killed by SIGKILL), worker (…)`
    pub fn words(&self) -> String {
        let each = self.0.iter().map(|((name, forked, how), number)| {
            let number = if *number == 1 { String::new() } else { format!("{} times, ", text::count(*number)) };
            let forked = if *forked { "forked, " } else { "" };
            format!("{name} ({number}{forked}{})", in_words(*how))
        });
        let process = if self.count() == 1 { "process" } else { "processes" };
        format!(
            "{} {process} of instrumented programs wrote no profile: {}",
            text::count(self.count()),
            text::few(each)
        )
    }
}

fn in_words(how: Ending) -> String {
    match how {
        Ending::Unknown => "ended by `_exit`, `exec` or a signal".into(),
        Ending::Code(code) => format!("ended by `_exit` with status {code}"),
        Ending::Signal(signal) => match signal_hook::low_level::signal_name(signal) {
            Some(name) => format!("ended by {name}"),
            None => format!("ended by signal {signal}"),
        },
        Ending::TooSlow => {
            "left running, and killed because SIGTERM did not end it in time: a longer `grace` in the stage lets it"
                .into()
        }
    }
}

fn is_instrumented(file: &Utf8Path, format: Format) -> bool {
    // What is gone, or is not to be read, writes no profile that anybody waits for.
    Binary::read(file).ok().flatten().is_some_and(|binary| match format {
        Format::Profdata => binary.pgo_instrumented,
        Format::Fdata => binary.bolt_instrumented,
    })
}
