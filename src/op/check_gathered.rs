//! `op check-gathered`: figures of the profile that a gather stage made, and whether it is of the build that was to be run.
//!
//! That a profile belongs to a build is decided by names and shapes of functions, not by build ids: not every linker writes
//! those, and a build that is installed or stripped keeps its records.

use std::collections::HashSet;
use std::fs;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use super::merge::tools::{Level, list};
use crate::event::Fact;
use crate::fs::pattern;
use crate::profile::elf::{self, FunctionIdentity};
use crate::profile::figures::{Hottest, Statistics, share};
use crate::profile::header::{Header, HeaderKind};
use crate::profile::listing::Function;
use crate::profile::names::{demangle, name_hash};
use crate::profile::{self, Format, fdata};
use crate::text::share::Share;
use crate::toolchain::formats;

/// Counts what is in a gathered profile, and checks that it is of the instrumented build.
#[derive(Debug, clap::Args)]
pub struct CheckGathered {
    /// The family of profiles.
    #[arg(long)]
    pub format: Format,
    /// The merged profile; `*` in its name stands for the hash.
    #[arg(long)]
    pub profile: Utf8PathBuf,
    /// The llvm-profdata that merged it.
    #[arg(long)]
    pub tool: Option<Utf8PathBuf>,
    /// The instrumented file, or a directory with all that is instrumented.
    #[arg(long)]
    pub instrumented: Option<Utf8PathBuf>,
    /// For a profile that was gathered elsewhere: the share of its functions that the instrumented build has to have.
    #[arg(long, requires = "instrumented")]
    pub min_of_the_build: Option<Share>,
}

/// So many functions are named.
const HOTTEST: usize = 20;

/// The functions with the largest counts, as details for reports.
fn hot(hottest: Hottest) -> Vec<Fact> {
    let mut seen = HashSet::new();
    let named = hottest.take().into_iter().map(|(name, count)| (demangle(&name), count));
    // Two that are the same in people's eyes: the hotter one.
    let different = named.filter(|(name, _)| seen.insert(name.clone()));
    different.map(|(name, count)| Fact::new(format!("hot/{name}"), count as f64, "")).collect()
}

impl CheckGathered {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let profile = pattern::resolve(&self.profile).with_context(|| format!("cannot find {}", self.profile))?;
        match self.format {
            Format::Profdata => self.indexed(&profile),
            Format::Fdata => self.bolt(&profile),
        }
    }

    fn indexed(&self, profile: &Utf8Path) -> Result<Vec<Fact>> {
        let header = Header::read(profile).with_context(|| format!("cannot read {profile}"))?;
        let Some(header) = header.filter(|header| header.kind == HeaderKind::Indexed) else {
            bail!("{profile} is not a merged profile: it does not begin as llvm-profdata's do")
        };
        let Some(tool) = &self.tool else { bail!("--tool is needed for merged profiles of LLVM") };
        let mut statistics = Statistics::default();
        let mut identities: HashSet<FunctionIdentity> = HashSet::new();
        let mut hottest = Hottest::new(HOTTEST);
        let mut each = |function: Function| {
            statistics.add(function.counts);
            hottest.add(function.name, function.counts.iter().copied().max().unwrap_or(0));
            identities.insert((name_hash(function.name.as_bytes()), function.hash));
        };
        // Instrumented for the second level, a program has no records of the first one.
        let level = if header.context_sensitive { Level::ContextSensitive } else { Level::First };
        list(tool, profile, level, &mut each)?;
        if statistics.functions == 0 {
            bail!("{profile} has no functions; the programs that were run have no instrumented code");
        }
        if statistics.largest == 0 {
            bail!("{profile} has {} functions, none of which was executed", statistics.functions);
        }
        let mut facts = vec![
            Fact::count("functions", statistics.functions as usize, "functions"),
            Fact::percent("never-run", statistics.never_run_share()),
            Fact::number("largest-count", statistics.largest as f64),
            Fact::number("total-count", statistics.total as f64),
        ];
        let version = u64::from(header.version);
        facts.push(Fact::number("indexed-version", version as f64));
        if let Some(major) = formats::first_reader(version) {
            facts.push(Fact::new("read-by-LLVM", major as f64, "and newer"));
        }
        facts.extend(self.share_of_build(identities)?.map(|share| Fact::percent("of-the-build", share)));
        facts.extend(hot(hottest));
        Ok(facts)
    }

    /// Which part of the functions the instrumented build has. None: it is not known.
    fn share_of_build(&self, mut wanted: HashSet<FunctionIdentity>) -> Result<Option<f64>> {
        let Some(build) = &self.instrumented else { return Ok(None) };
        let all = wanted.len();
        let mut instrumented = 0;
        for file in profile::find(build, |_| true).with_context(|| format!("cannot read {build}"))? {
            if wanted.is_empty() {
                break;
            }
            match elf::take_known(&file.path, &mut wanted) {
                Ok(Some(_)) => instrumented += 1,
                Ok(None) => {}
                // A directory may hold all sorts of files, such as damaged ones for a project's tests.
                Err(_) if build.is_dir() => {}
                Err(error) => return Err(error),
            }
        }
        if instrumented == 0 {
            return Ok(None);
        }
        let known = share((all - wanted.len()) as u64, all as u64);
        if let Some(least) = self.min_of_the_build {
            if known < least.value() {
                bail!(
                    "only {} of the {all} functions of the profile are in {build} with the same code: it was gathered on other \
                     sources, or built otherwise. At least {least} have to be. Use a bundle of these sources, or leave the \
                     role out and gather anew; `--allow-stale-profiles` uses it all the same",
                    all - wanted.len()
                );
            }
            return Ok(Some(known));
        }
        if wanted.len() == all {
            bail!(
                "none of the {all} functions of the profile is in {build}: the programs that were run are instrumented, but not \
                 of this build. Look which ones the workloads run: `instrumented` names the build, and their command lines, PATH \
                 or LD_LIBRARY_PATH have to lead to it"
            );
        }
        if !wanted.is_empty() {
            eprintln!(
                "{} of the {all} functions of the profile are not in {build}, but in other programs",
                wanted.len()
            );
        }
        Ok(Some(known))
    }

    fn bolt(&self, profile: &Utf8Path) -> Result<Vec<Fact>> {
        let text = fs::read_to_string(profile).with_context(|| format!("cannot read {profile}"))?;
        let (functions, statistics) = fdata::statistics(&text);
        if functions.is_empty() {
            bail!("{profile} has no functions; the instrumented code was never executed");
        }
        let mut facts = vec![
            Fact::count("functions", functions.len(), "functions"),
            Fact::number("largest-count", statistics.largest as f64),
            Fact::number("total-count", statistics.total as f64),
        ];
        let mut hottest = Hottest::new(HOTTEST);
        functions.iter().for_each(|(name, count)| hottest.add(fdata::symbol(name), *count));
        facts.extend(hot(hottest));
        let Some(build) = &self.instrumented else { return Ok(facts) };
        let mut symbols = HashSet::new();
        for file in profile::find(build, |_| true).with_context(|| format!("cannot read {build}"))? {
            match elf::symbols(&file.path, |name| _ = symbols.insert(name.to_owned())) {
                Ok(_) => {}
                Err(_) if build.is_dir() => {}
                Err(error) => return Err(error),
            }
        }
        if symbols.is_empty() {
            return Ok(facts);
        }
        // Calls of other libraries are in the profile too.
        let own: Vec<&str> = functions.keys().copied().filter(|name| !name.ends_with("@PLT")).collect();
        let known = own.iter().filter(|name| symbols.contains(fdata::symbol(name))).count();
        if known == 0 {
            bail!(
                "none of the {} functions of the profile is in {build}: it is of another program. Look which one the workloads \
                 run",
                own.len()
            );
        }
        facts.push(Fact::percent("of-the-build", share(known as u64, own.len() as u64)));
        Ok(facts)
    }
}
