//! `check-profile-use`: which part of a program got counts from the profile that it was built with.
//!
//! A compiler that finds nothing in a profile says so at most in warnings. They are counted here, out of the logs of the build, and held
//! against the functions of the linked programs. Unaware of how the profile came about.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader, Read as _};

use anyhow::{Context, Result, bail};

use super::merge::tools::{Level, list};
use super::{compilers, logs};
use crate::event::Fact;
use crate::fs::pattern;
use crate::plan::ops::given::CheckProfileUse;
use crate::profile::names::{demangle, is_rust, linkage_name, original_name};
use crate::profile::warnings::Warnings;
use crate::profile::{self, elf, figures};
use crate::text;
use crate::text::share::Share;

/// What is looked at of a line of a log, in bytes.
const LONGEST: u64 = 1 << 20;

/// In the directory `keep`.
const KEPT: &str = "optbuild-profile-warnings";

/// The functions of the linked programs that this build compiled.
#[derive(Default)]
struct Found {
    with: u64,
    without: u64,
    mismatched: u64,
    /// The names of those without a profile.
    names: Vec<String>,
}

/// The share of functions without a profile above which a build is refused, unless its stage says.
const MAX_UNPROFILED: Share = Share::percent(90.0);

/// Functions without a profile are named above this share.
const WORTH_A_WARNING: Share = Share::percent(25.0);

impl CheckProfileUse {
    fn max_unprofiled(&self) -> Share {
        self.max_unprofiled.unwrap_or(MAX_UNPROFILED)
    }

    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let symbols = self.symbols()?;
        let mut warnings = self.warnings()?;
        warnings.retain(|name| self.concerns(name, &symbols));
        let mut known: HashSet<String> = HashSet::new();
        list(&self.tool, &self.profile, Level::First, |function| {
            known.insert(linkage_name(function.name).to_owned());
        })?;
        let mut found = Found::default();
        for symbol in &symbols {
            let names = [symbol.as_str(), original_name(symbol)];
            let is_in = |set: &HashSet<String>| names.iter().any(|name| set.contains(*name));
            if is_in(&warnings.mismatched) {
                found.mismatched += 1;
            } else if is_in(&warnings.missing) && is_rust(symbol) {
                // A local function is in the profile under its codegen unit, which may be another one.
                found.names.push(demangle(symbol));
                found.without += 1;
            } else if is_in(&known) {
                // Of several local functions with one name, some may be missing.
                found.with += 1;
            } else if is_in(&warnings.missing) {
                found.names.push(demangle(symbol));
                found.without += 1;
            }
        }
        if let Some(limit) = self.max_mismatched {
            self.of_these_sources(&found, &warnings, &known, limit)?;
            return Ok(Vec::new());
        }
        self.refuse(&found, &warnings, &symbols, &known)?;
        let mut facts = Vec::new();
        let all = found.with + found.without + found.mismatched;
        if all > 0 {
            facts.push(Fact::number("functions-in-program", all as f64));
            facts.push(Fact::number("functions-with-profile", found.with as f64));
            facts.push(Fact::percent("without-profile", figures::share(all - found.with, all)));
        }
        if figures::share(found.without, all) > WORTH_A_WARNING.value() {
            found.names.sort();
            facts.push(Fact::warning(format!(
                "{} of {} in the program have no profile: {}; they were not instrumented, or no workload ran a program that they are in",
                text::count(found.without),
                text::plural(all as usize, "function"),
                text::few(&found.names)
            )));
        }
        facts.push(Fact::number("functions-without-profile", warnings.missing.len() as f64));
        facts.push(Fact::number("mismatched-functions", warnings.mismatched_functions() as f64));
        Ok(facts)
    }

    /// For a profile that was gathered elsewhere.
    fn of_these_sources(
        &self,
        found: &Found,
        warnings: &Warnings,
        known: &HashSet<String>,
        limit: Share,
    ) -> Result<()> {
        let (mismatched, all) = match found.with + found.mismatched {
            // In stripped programs no function can be looked up.
            0 => (warnings.mismatched_functions(), known.len() as u64),
            all => (found.mismatched, all),
        };
        if figures::share(mismatched, all) <= limit.value() {
            let (program, with) = (found.with + found.without + found.mismatched, found.with);
            if figures::share(program - with, program) <= self.max_unprofiled().value() {
                return Ok(());
            }
            bail!(
                "of the {program} functions of the program, only {with} have counts in {}: the profile was gathered on other sources. \
                 At most {} may have none. Use a bundle of these sources, or leave the role out and gather anew; \
                 `--allow-stale-profiles` uses it all the same",
                self.profile,
                self.max_unprofiled()
            );
        }
        bail!(
            "of the {all} functions of the program that are in {}, {mismatched} have other code than the one that was counted: the \
             profile was gathered on other sources. At most {limit} may have. Use a bundle of these sources, or leave the \
             role out and gather anew; `--allow-stale-profiles` uses it all the same",
            self.profile
        )
    }

    fn refuse(
        &self,
        found: &Found,
        warnings: &Warnings,
        symbols: &HashSet<String>,
        known: &HashSet<String>,
    ) -> Result<()> {
        let (with, all) = match found.with + found.without + found.mismatched {
            // In stripped programs no function can be looked up. Then no more can have a profile than are in it.
            0 if symbols.is_empty() => {
                let with = known.iter().filter(|name| !warnings.mismatched.contains(*name)).count();
                (with, with + warnings.missing.len() + warnings.mismatched.len())
            }
            0 => (0, symbols.len()),
            all => (found.with as usize, all as usize),
        };
        let share = figures::share((all - with) as u64, all as u64);
        if share <= self.max_unprofiled().value() {
            return Ok(());
        }
        let few = if with == 0 { "none".into() } else { format!("only {with}") };
        let numbers =
            [(warnings.missing.len() as u64, "not in it"), (warnings.mismatched_functions(), "other code there")];
        let said = numbers.iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!("{number} {what}"));
        let said = said.collect::<Vec<_>>().join(", ");
        let said = if said.is_empty() { said } else { format!(" (the compiler says: {said})") };
        bail!(
            "{few} of the {all} functions of the program has counts in {}{said}.\n  It is the profile of another program or of \
             other sources: use the one that is gathered on this build. Where so little is meant to match, say so with \
             `max-unprofiled` (the limit is {})",
            self.profile,
            self.max_unprofiled()
        )
    }

    /// Whether what is said of a function is said of this component: one log tells of all. LLVM is C++, all else is Rust, or has an
    /// unmangled name and is found in what was built.
    fn concerns(&self, function: &str, symbols: &HashSet<String>) -> bool {
        let component = self.component.as_deref();
        component.is_none_or(|component| match component {
            "llvm" => !is_rust(function),
            _ => is_rust(function) || !function.starts_with("_Z") && symbols.contains(function),
        })
    }

    /// What the compiler said in this run, in those that it goes on from, and before in this build directory.
    fn warnings(&self) -> Result<Warnings> {
        let mut warnings = Warnings::default();
        let kept = self.keep.as_ref().map(|dir| match &self.component {
            Some(component) => dir.join(format!("{KEPT}-{component}")),
            None => dir.join(KEPT),
        });
        // Of another profile they say nothing. The name of a gathered one has the hash of its content in it.
        let title = format!("of {}", self.profile);
        if let Some(kept) = kept.as_ref().filter(|kept| kept.exists()) {
            let text = fs::read_to_string(kept).with_context(|| format!("cannot read {kept}"))?;
            if let Some(text) = text.strip_prefix(&title).and_then(|text| text.strip_prefix('\n')) {
                warnings = Warnings::kept(text);
            }
        }
        if let Some(dir) = &self.said {
            compilers::said(dir)?.lines().for_each(|line| _ = warnings.add_line(line));
            return Ok(warnings);
        }
        let mut logs = logs::of_step(&self.logs, &self.step)?;
        if kept.is_some() {
            logs.extend(logs::unfinished(&self.logs, &self.step, &self.profile)?);
        }
        for log in logs {
            let file = fs::File::open(&log).with_context(|| format!("cannot read the log {log}"))?;
            let mut lines = BufReader::new(file);
            let mut line = Vec::new();
            // No warning is longer, and a line may have no end.
            let mut next = |line: &mut Vec<u8>| lines.by_ref().take(LONGEST).read_until(b'\n', line);
            while next(&mut line).with_context(|| format!("cannot read the log {log}"))? > 0 {
                warnings.add_line(&String::from_utf8_lossy(&line));
                line.clear();
            }
        }
        if let (Some(kept), Some(dir)) = (kept, &self.keep) {
            fs::create_dir_all(dir).with_context(|| format!("cannot make the directory {dir}"))?;
            fs::write(&kept, format!("{title}\n{}", warnings.to_text()))
                .with_context(|| format!("cannot write {kept}"))?;
        }
        Ok(warnings)
    }

    fn symbols(&self) -> Result<HashSet<String>> {
        let mut symbols = HashSet::new();
        for built in &self.built {
            let built = &pattern::resolve(built).with_context(|| format!("cannot find {built}"))?;
            for file in profile::find(built, |_| true).with_context(|| format!("cannot read {built}"))? {
                match elf::symbols(&file.path, |name| _ = symbols.insert(name.to_owned())) {
                    Ok(_) => {}
                    // What is installed may be files of all sorts.
                    Err(error) => tracing::debug!("{}: {error:#}", file.path),
                }
            }
        }
        Ok(symbols)
    }
}
