//! Merged profiles: whether their reader can read them, whether they are of the build that was run, whether a build writes any, and how they
//! come out of a bundle.
//!
//! A compiler that cannot read a profile warns at most and builds without it. That a profile belongs to a build is decided by names and
//! shapes of functions: not every linker writes build ids. Where there are some on both sides, they tell that a program did not run at all.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write};

use anyhow::{Context, Result, bail};
use camino::Utf8Path;

use super::last::took_part;
use super::merge::HASH_DIGITS;
use super::merge::choice;
use super::merge::tools::{Level, list, statistics};
use crate::event::Fact;
use crate::fs::{pattern, tree, whole};
use crate::plan::ops::given::{CheckGathered, CheckInstrumented, CheckProfile, TakeProfile};
use crate::profile::bundle::{self, Limits, Wanted};
use crate::profile::elf::{self, Binary, FunctionIdentity};
use crate::profile::figures::{Hottest, Statistics, share};
use crate::profile::header::{Header, HeaderKind};
use crate::profile::listing::Function;
use crate::profile::names::{demangle, name_hash};
use crate::profile::{self, Format, fdata};
use crate::stdio;
use crate::toolchain::formats;

impl CheckProfile {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let (profile, compiler) = (&self.profile, &self.compiler);
        let header = Header::read(profile).with_context(|| format!("cannot read the profile {profile}"))?;
        match header {
            Some(Header { kind: HeaderKind::Raw, .. }) => {
                bail!("{profile} is the raw profile of one process; {compiler} reads merged ones: use a gather stage")
            }
            Some(header) => self.indexed(header),
            None if profile.extension() == Some("fdata") => self.bolt(profile),
            // BOLT's other format, out of a bundle.
            None if profile.extension() == Some("yaml") => Ok(Vec::new()),
            None => bail!(
                "{profile} is not a merged profile: it does not begin as llvm-profdata's do. Merge raw profiles with a \
                 gather stage"
            ),
        }
    }

    fn indexed(&self, header: Header) -> Result<Vec<Fact>> {
        let (profile, compiler) = (&self.profile, &self.compiler);
        if let Some(max) = self.max_version.filter(|max| u64::from(header.version) > *max) {
            bail!(
                "{profile} has the indexed version {}, which {} reads, and {compiler} reads versions up to {max}; it would build \
                 without the profile.\n  Merge with the llvm-profdata of the LLVM that {compiler} is made with: set `profdata` in \
                 the gather stage; or build with a compiler of that LLVM",
                header.version,
                formats::indexed_in_words(u64::from(header.version))
            );
        }
        let Some(tool) = &self.tool else { return Ok(Vec::new()) };
        let plain = statistics(tool, profile, Level::First)?;
        if plain.functions == 0 {
            if header.context_sensitive && statistics(tool, profile, Level::ContextSensitive)?.functions > 0 {
                bail!(
                    "{profile} has context-sensitive counts only. {compiler} needs them merged with the first-level profile \
                     that the instrumented build was made with"
                );
            }
            bail!("{profile} has no functions; the programs that were run have no instrumented code");
        }
        if plain.largest == 0 {
            bail!("{profile} has {} functions, none of which was executed", plain.functions);
        }
        Ok(vec![Fact::number("functions-in-profile", plain.functions as f64)])
    }

    fn bolt(&self, profile: &Utf8Path) -> Result<Vec<Fact>> {
        let text = whole::read_text(profile).with_context(|| format!("cannot read the profile {profile}"))?;
        let functions = fdata::functions(&text);
        if functions == 0 {
            bail!("{profile} has no functions; the instrumented code was never executed");
        }
        Ok(vec![Fact::number("functions-in-profile", functions as f64)])
    }
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
        let tool = &choice::fitting(tool, self.instrumented.as_deref().filter(|_| self.tool_of_build))?;
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
        let rest = list(tool, profile, level, &mut each)?;
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
        self.check_ran(&rest.binary_ids)?;
        facts.extend(hot(hottest));
        Ok(facts)
    }

    /// Whether a program of the build is among those that wrote the profile, by build ids. Where either has none, that is not known.
    fn check_ran(&self, wrote: &[String]) -> Result<()> {
        let Some(build) = self.instrumented.as_ref().filter(|_| !self.any_program) else { return Ok(()) };
        if wrote.is_empty() || self.min_of_the_build.is_some() {
            return Ok(());
        }
        let mut archives = false;
        let own = each_file(build, |file| {
            archives |= matches!(file.extension(), Some("a" | "rlib"));
            elf::making(file)
        })?;
        let ids: Option<Vec<&str>> = own.iter().map(|making| making.build_id.as_deref()).collect();
        // What is in a static library is in programs that may be linked anywhere.
        let Some(ids) = ids.filter(|ids| !archives && !ids.is_empty()) else { return Ok(()) };
        if ids.iter().any(|id| wrote.iter().any(|wrote| wrote == id)) {
            return Ok(());
        }
        let few = |ids: &[&str]| {
            let more = if ids.len() > 3 { ", …" } else { "" };
            format!("{}{more}", ids.iter().take(3).copied().collect::<Vec<_>>().join(", "))
        };
        let wrote: Vec<&str> = wrote.iter().map(String::as_str).collect();
        bail!(
            "{build} did not run: its build id ({}) is not among those of the programs that wrote the profile ({}). The workloads \
             run another build, as one that was left in another directory: look at their command lines, at PATH, LD_LIBRARY_PATH and \
             `ldd`. If they are to run other programs than this one, name those with `instrumented`, which can be a directory",
            few(&ids),
            few(&wrote)
        )
    }

    /// Which part of the functions the instrumented build has. None: it is not known.
    fn share_of_build(&self, mut wanted: HashSet<FunctionIdentity>) -> Result<Option<f64>> {
        let Some(build) = &self.instrumented else { return Ok(None) };
        let all = wanted.len();
        let instrumented = each_file(build, |file| match wanted.is_empty() {
            true => Ok(None),
            false => elf::take_known(file, &mut wanted),
        })?;
        if instrumented.is_empty() {
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
            stdio::say(&format!(
                "{} of the {all} functions of the profile are not in {build}, but in other programs",
                wanted.len()
            ));
        }
        Ok(Some(known))
    }

    fn bolt(&self, profile: &Utf8Path) -> Result<Vec<Fact>> {
        let text = whole::read_text(profile).with_context(|| format!("cannot read {profile}"))?;
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
        each_file(build, |file| elf::symbols(file, |name| _ = symbols.insert(name.to_owned())))?;
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

impl CheckInstrumented {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let path = &pattern::resolve(&self.path).unwrap_or_else(|_| self.path.clone());
        if !path.exists() {
            bail!("there is no {path}, which was to be the instrumented build");
        }
        let mut files = 0;
        let binaries = each_file(path, |file| {
            files += 1;
            // Object files have instrumentation as well, but write nothing.
            let is_object = matches!(file.extension(), Some("o" | "a" | "rlib" | "rmeta"));
            if is_object { Ok(None) } else { Binary::read(file) }
        })?;
        let is_instrumented = |binary: &Binary| match self.format {
            Format::Profdata => binary.pgo_instrumented,
            Format::Fdata => binary.bolt_instrumented,
        };
        let linked = binaries.len();
        if self.format == Format::Profdata && binaries.iter().any(is_instrumented) {
            return writes_profiles(path).map(|()| Vec::new());
        }
        // Static archives, and other formats than ELF, are not looked into.
        if binaries.iter().any(is_instrumented) || linked == 0 && files > 0 {
            return Ok(Vec::new());
        }
        match self.format {
            Format::Profdata => bail!(
                "{path} is not instrumented: no `__llvm_prf_cnts` in {linked} linked files. Build it with `pgo = \"generate\"`, \
                 and look whether the project's own settings take the flags out"
            ),
            Format::Fdata => bail!(
                "{path} is not instrumented by llvm-bolt: no `.bolt.instr.tables` in {linked} linked files. Name the output of \
                 a bolt stage with `action = \"instrument\"`"
            ),
        }
    }
}

/// Refuses a build with counters in which nothing writes them.
fn writes_profiles(path: &Utf8Path) -> Result<()> {
    let mut silent = None;
    for file in profile::find(path, |_| true).with_context(|| format!("cannot read {path}"))? {
        match elf::has_runtime(&file.path) {
            Ok(Some(true)) => return Ok(()),
            Ok(Some(false)) => silent = silent.or(Some(file.path)),
            // Of a stripped file that is not known. Damaged ones in a directory do not count.
            Ok(None) => {}
            Err(_) if path.is_dir() => {}
            Err(error) => return Err(error),
        }
    }
    match silent {
        None => Ok(()),
        Some(file) => bail!(
            "{file} has counters, and nothing in it writes them to a profile. Its linker was not told to take that out of a static \
             library: link it with `-Wl,-u,__llvm_profile_runtime`, or with clang's `-fprofile-generate`"
        ),
    }
}

/// What is found in all files below a directory, or in one file. A directory may hold all sorts of files, such as damaged ones for a
/// project's tests: those do not count.
fn each_file<T>(build: &Utf8Path, mut look: impl FnMut(&Utf8Path) -> Result<Option<T>>) -> Result<Vec<T>> {
    let mut found = Vec::new();
    for file in profile::find(build, |_| true).with_context(|| format!("cannot read {build}"))? {
        match look(&file.path) {
            Ok(value) => found.extend(value),
            Err(_) if build.is_dir() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// The file beside a profile with what its bundle says.
pub const ORIGIN: &str = "origin.json";

impl TakeProfile {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let TakeProfile { bundle: path, role, output_dir: dir, .. } = self;
        let input = File::open(path).with_context(|| format!("cannot open the bundle {path}"))?;
        let partial = dir.join("partial");
        let mut writer = BufWriter::new(File::create(&partial).with_context(|| format!("cannot write {partial}"))?);
        let wanted = Wanted { file: &self.member, to: &mut writer };
        let read = bundle::read(input, &Limits::default(), Some(wanted));
        let bundle = read.with_context(|| format!("the bundle {path} is not taken"))?;
        writer.flush().with_context(|| format!("cannot write {partial}"))?;
        drop(writer);
        let entry = bundle.profiles.iter().find(|entry| entry.role == *role);
        let is_it =
            |member: bundle::Member| member.file == self.member && member.blake3.eq_ignore_ascii_case(&self.blake3);
        let Some(entry) = entry.filter(|entry| entry.members().any(is_it)) else {
            bail!(
                "the profile with role `{role}` in {path} is another one than when the run began; begin the run again"
            );
        };
        let origin = dir.join(ORIGIN);
        let text = serde_json::to_vec_pretty(entry).context("cannot write what the bundle says of the profile")?;
        fs::write(&origin, text).with_context(|| format!("cannot write {origin}"))?;
        let hash = self.blake3.get(..HASH_DIGITS).unwrap_or(&self.blake3).to_ascii_lowercase();
        let output = dir.join(format!("{}-{hash}.{}", self.name, self.extension));
        tree::set_mode_of_profile(&partial)?;
        fs::rename(&partial, &output).with_context(|| format!("cannot write {output}"))?;
        let workloads = entry.figures.iter().flat_map(|figures| &figures.workloads);
        let mut facts: Vec<Fact> = workloads.map(|(name, counted)| took_part(name, *counted)).collect();
        facts.push(Fact::bytes("profile-bytes", entry.bytes));
        Ok(facts)
    }
}
