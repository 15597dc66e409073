//! `optbuild profile`: what is in a profile, how two differ; the bundle of a pipeline's profiles is in [`export`].
//!
//! A profile is a file, or an output of a stage of the last run. Unaware of how profiles are read and compared.

mod export;
pub(super) mod origin;

use std::collections::HashMap;
use std::fs;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::args::{Profile, ProfileDiffArgs, ProfileForm, ProfileShowArgs};
use super::exit::{Machine, Usage, usage};
use super::output::look;
use super::project::{Mode, existing_state, open_state};
use super::show;
use crate::event::Fact;
use crate::facts::Facts;
use crate::fs::whole;
use crate::op;
use crate::op::merge::tools::{self, Level};
use crate::pipeline::nearest;
use crate::profile::fdata;
use crate::profile::figures::{Counts, Hottest, Statistics, compare};
use crate::profile::header::{Header, HeaderKind};
use crate::profile::names::demangle;
use crate::report::info::{ChangeInfo, DiffInfo, HotFunction, LevelInfo, ProfileInfo, diff_text, profile_text};
use crate::toolchain::{formats, llvm};

/// `optbuild profile …`
pub fn profile(command: &Profile) -> Result<u8> {
    match command {
        Profile::Show(args) => show_profile(args),
        Profile::Diff(args) => diff(args),
        Profile::Export(args) => export::export(args),
    }
}

/// A profile on disk.
struct Subject {
    path: Utf8PathBuf,
    bytes: u64,
    format: Format,
    /// Of a stage's output: the workloads that took part, if that is recorded.
    workloads: Option<Vec<String>>,
}

/// What it is.
enum Format {
    /// With the llvm-profdata that reads it.
    Llvm(Header, Utf8PathBuf),
    /// The whole text.
    Bolt(String),
}

impl Subject {
    /// Finds it.
    fn find(name: &str, how: &ProfileForm) -> Result<Subject> {
        let (path, facts) = path_of(name)?;
        let refused = |why: &str| Usage(format!("{path} is {why}"));
        if path.is_dir() {
            return Err(refused("a directory; name one profile, or add many up with `optbuild merge`").into());
        }
        let cannot = || format!("cannot read {path}");
        let bytes = fs::metadata(&path).with_context(cannot)?.len();
        let format = match Header::read(&path).with_context(cannot)? {
            Some(header) => Format::Llvm(header, tool(header, how)?),
            None if bytes == 0 => {
                return Err(refused("empty: the process that was to write it was killed").into());
            }
            // A profile of BOLT has no header; its lines tell.
            None => {
                let text = String::from_utf8(whole::read(&path).with_context(cannot)?).ok();
                let text = text.filter(|text| fdata::functions(text) > 0);
                let none = "no profile: it begins neither as those of LLVM do, nor has it lines of BOLT";
                Format::Bolt(text.ok_or_else(|| refused(none))?)
            }
        };
        let workloads = op::figures(&facts).map(|figures| figures.workloads.into_keys().collect::<Vec<String>>());
        let workloads = workloads.filter(|names| !names.is_empty());
        Ok(Subject { path, bytes, format, workloads })
    }
}

fn tool(header: Header, how: &ProfileForm) -> Result<Utf8PathBuf> {
    if let Some(tool) = &how.profdata {
        return Ok(tool.clone());
    }
    let found = llvm::profdata_for_profile(&Facts::live(), header);
    found.map(|tool| tool.path).map_err(|gap| Machine(format!("{}; {}", gap.what, gap.remedy)).into())
}

/// A file of that name, or else the output of that stage of the last run, and what the stage reported.
fn path_of(name: &str) -> Result<(Utf8PathBuf, Vec<Fact>)> {
    let path = Utf8PathBuf::from(name);
    if path.exists() {
        return Ok((path, Vec::new()));
    }
    let Some((stage, output)) = name.split_once('.').filter(|_| !name.contains('/')) else {
        return Err(usage!("there is no file {name}"));
    };
    let missing = |why: String| Usage(format!("there is no file {name}, and {why}"));
    let layout =
        existing_state(None).map_err(|_| missing("nothing was run here, so it is no output of a stage".into()))?;
    let record = open_state(&layout, Mode::Look)?.map(|state| state.current(stage)).transpose()?.flatten();
    let record =
        record.ok_or_else(|| missing(format!("stage `{stage}` is not done; `optbuild artifacts` lists outputs")))?;
    record.is_here()?;
    let found = record.outputs.get(output).ok_or_else(|| {
        let nearest = nearest(output, record.outputs.keys().map(String::as_str));
        let nearest = nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        missing(format!("stage `{stage}` has no output `{output}`{nearest}"))
    })?;
    Ok((layout.root().join(&found.path), record.facts))
}

/// `optbuild profile show`
fn show_profile(args: &ProfileShowArgs) -> Result<u8> {
    let subject = Subject::find(&args.profile, &args.form)?;
    let info = info(&subject, args.form.top)?;
    show(args.form.json, &info, || profile_text(&info, look()))
}

fn info(subject: &Subject, top: usize) -> Result<ProfileInfo> {
    let mut info = ProfileInfo { path: subject.path.to_string(), bytes: subject.bytes, ..ProfileInfo::default() };
    let (header, tool) = match &subject.format {
        Format::Llvm(header, tool) => (*header, tool),
        Format::Bolt(text) => {
            let (functions, statistics) = fdata::statistics(text);
            let mut hottest = Hottest::new(top);
            functions.iter().for_each(|(name, count)| hottest.add(name, *count));
            let levels = vec![figures(false, statistics, None, hottest)];
            return Ok(ProfileInfo { kind: "bolt", readers: "llvm-bolt".into(), levels, ..info });
        }
    };
    let version = u64::from(header.version);
    (info.kind, info.readers) = match header.kind {
        HeaderKind::Raw => ("raw", format!("llvm-profdata of {}", formats::raw_in_words(version))),
        HeaderKind::Indexed => ("indexed", formats::indexed_in_words(version)),
    };
    info.version = Some(version);
    let levels = [(Level::First, true), (Level::ContextSensitive, header.context_sensitive)];
    for (level, _) in levels.into_iter().filter(|(_, there)| *there) {
        let (mut statistics, mut hottest) = (Statistics::default(), Hottest::new(top));
        let rest = tools::list(tool, &subject.path, level, |function| {
            statistics.add(function.counts);
            hottest.add(function.name, function.counts.iter().copied().max().unwrap_or(0));
        })?;
        (info.instrumentation, info.binary_ids) = (rest.level, rest.binary_ids);
        // A profile of the second level alone has none of the first.
        if level == Level::First && statistics.functions == 0 && header.context_sensitive {
            continue;
        }
        info.levels.push(figures(level == Level::ContextSensitive, statistics, Some(statistics.never_run), hottest));
    }
    Ok(info)
}

fn figures(context_sensitive: bool, statistics: Statistics, never_run: Option<u64>, hottest: Hottest) -> LevelInfo {
    let hottest = hottest.take().into_iter().map(|(name, largest_count)| HotFunction {
        demangled: demangle(&name),
        name,
        largest_count,
    });
    LevelInfo {
        context_sensitive,
        functions: statistics.functions,
        never_run,
        largest_count: statistics.largest,
        total_count: statistics.total.to_string(),
        hottest: hottest.collect(),
    }
}

/// `optbuild profile diff`
fn diff(args: &ProfileDiffArgs) -> Result<u8> {
    let [base, other] = [Subject::find(&args.base, &args.form)?, Subject::find(&args.other, &args.form)?];
    let (a, b) = match (&base.format, &other.format) {
        (Format::Llvm(one, tool), Format::Llvm(two, other_tool)) => {
            (counts(&base.path, one, tool)?, counts(&other.path, two, other_tool)?)
        }
        (Format::Bolt(a), Format::Bolt(b)) => bolt(a, b),
        _ => {
            let message =
                "one is a profile of LLVM's instrumentation and the other one of BOLT: their counts mean other things";
            return Err(usage!("{} and {} cannot be compared; {message}", base.path, other.path));
        }
    };
    let found = compare(&a, &b, args.form.top);
    let readable = |names: Vec<String>| -> Vec<String> {
        if args.form.json { names } else { names.iter().map(|name| demangle(name)).collect() }
    };
    let changes = found.changes.into_iter().map(|change| ChangeInfo {
        demangled: demangle(&change.name),
        name: change.name,
        base: change.base * 100.0,
        other: change.other * 100.0,
    });
    let info = DiffInfo {
        base: base.path.to_string(),
        other: other.path.to_string(),
        overlap: found.overlap * 100.0,
        base_total_count: a.total().to_string(),
        other_total_count: b.total().to_string(),
        base_functions: a.functions(),
        other_functions: b.functions(),
        base_functions_run: a.functions_run(),
        other_functions_run: b.functions_run(),
        base_workloads: base.workloads,
        other_workloads: other.workloads,
        same_functions: found.same,
        lost_base: found.lost_base * 100.0,
        lost_other: found.lost_other * 100.0,
        mismatched: readable(found.mismatched),
        only_base: readable(found.only_base),
        only_other: readable(found.only_other),
        changes: changes.collect(),
    };
    show(args.form.json, &info, || diff_text(&info, args.form.top, look()))
}

/// The first level; of a profile that has no other one, the second.
fn counts(path: &Utf8Path, header: &Header, tool: &Utf8Path) -> Result<Counts> {
    let mut counts = Counts::default();
    for level in [Level::First, Level::ContextSensitive] {
        if level == Level::First || counts.functions() == 0 && header.context_sensitive {
            tools::list(tool, path, level, |function| counts.add(function.name, function.hash, function.counts))?;
        }
    }
    Ok(counts)
}

/// A profile of BOLT has a count for each branch that was taken. For both profiles the branches get the same places in a
/// function's list, with 0 where one has not taken a branch.
fn bolt(a: &str, b: &str) -> (Counts, Counts) {
    let mut places: HashMap<&str, HashMap<&str, usize>> = HashMap::new();
    for text in [a, b] {
        fdata::branches(text, |function, place, _| {
            let known = places.entry(function).or_default();
            let next = known.len();
            known.entry(place).or_insert(next);
        });
    }
    let side = |text| {
        let mut lists: HashMap<&str, Vec<u64>> = HashMap::new();
        fdata::branches(text, |function, place, count| {
            let Some(known) = places.get(function) else { return };
            let list = lists.entry(function).or_insert_with(|| vec![0; known.len()]);
            if let Some(sum) = known.get(place).and_then(|place| list.get_mut(*place)) {
                *sum = sum.saturating_add(count);
            }
        });
        let mut counts = Counts::default();
        lists.iter().for_each(|(function, list)| counts.add(function, 0, list));
        counts
    };
    (side(a), side(b))
}
