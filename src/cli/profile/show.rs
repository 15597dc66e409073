//! `optbuild profile show`

use anyhow::Result;

use super::subject::{Format, Subject, list};
use crate::cli::args::ProfileShowArgs;
use crate::cli::output::{look, print};
use crate::op::merge::tools::Level;
use crate::profile::fdata;
use crate::profile::figures::{Hottest, Statistics};
use crate::profile::header::HeaderKind;
use crate::profile::names::demangle;
use crate::report::info::{HotFunction, LevelInfo, ProfileInfo, profile_text};
use crate::toolchain::formats;

/// What is in a profile.
pub(super) fn show(args: &ProfileShowArgs) -> Result<u8> {
    let subject = Subject::find(&args.profile, &args.form)?;
    let info = info(&subject, args.form.top)?;
    if args.form.json {
        print(&format!("{:#}\n", serde_json::json!(info)))?;
    } else {
        print(&profile_text(&info, look()))?;
    }
    Ok(0)
}

fn info(subject: &Subject, top: usize) -> Result<ProfileInfo> {
    let (header, tool) = match &subject.format {
        Format::Llvm(header, tool) => (*header, tool),
        Format::Bolt(text) => return Ok(bolt(subject, text, top)),
    };
    let version = u64::from(header.version);
    let (kind, readers) = match header.kind {
        HeaderKind::Raw => ("raw", format!("llvm-profdata of {}", formats::raw_in_words(version))),
        HeaderKind::Indexed => ("indexed", formats::indexed_in_words(version)),
    };
    let mut info = ProfileInfo {
        path: subject.path.to_string(),
        kind,
        bytes: subject.bytes,
        version: Some(version),
        readers,
        ..ProfileInfo::default()
    };
    let levels = [(Level::First, true), (Level::ContextSensitive, header.context_sensitive)];
    for (level, _) in levels.into_iter().filter(|(_, there)| *there) {
        let (mut statistics, mut hottest) = (Statistics::default(), Hottest::new(top));
        let rest = list(tool, &subject.path, level, |function| {
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

fn bolt(subject: &Subject, text: &str, top: usize) -> ProfileInfo {
    let (functions, statistics) = fdata::statistics(text);
    let mut hottest = Hottest::new(top);
    functions.iter().for_each(|(name, count)| hottest.add(name, *count));
    ProfileInfo {
        path: subject.path.to_string(),
        kind: "bolt",
        bytes: subject.bytes,
        readers: "llvm-bolt".into(),
        levels: vec![figures(false, statistics, None, hottest)],
        ..ProfileInfo::default()
    }
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
