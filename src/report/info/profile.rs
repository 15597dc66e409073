//! `optbuild profile show` and `optbuild profile diff`.

use serde::Serialize;

use super::Look;
use crate::report::paint::{Grid, Tone};
use crate::text;

/// What is in a profile.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ProfileInfo {
    pub path: String,
    /// `raw`, `indexed`, `bolt`
    pub kind: &'static str,
    pub bytes: u64,
    /// Of the format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// Who reads it: `LLVM 22 and newer`.
    pub readers: String,
    /// How the code is instrumented, in llvm-profdata's words: `IR`, `Front-end`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub instrumentation: String,
    /// Build ids of the programs that wrote it.
    pub binary_ids: Vec<String>,
    /// The first level, and that after inlining, if there is one.
    pub levels: Vec<LevelInfo>,
}

/// The counts of one instrumentation.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LevelInfo {
    pub context_sensitive: bool,
    pub functions: u64,
    /// None: the format has only functions that were run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub never_run: Option<u64>,
    pub largest_count: u64,
    /// As a string, since it may be more than numbers in JSON hold.
    pub total_count: String,
    pub hottest: Vec<HotFunction>,
}

/// A function with a large count.
#[derive(Debug, Clone, Default, Serialize)]
pub struct HotFunction {
    pub name: String,
    pub demangled: String,
    pub largest_count: u64,
}

/// How two profiles differ. Shares are in percent.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DiffInfo {
    pub base: String,
    pub other: String,
    pub overlap: f64,
    /// As strings, since they may be more than numbers in JSON hold.
    pub base_total_count: String,
    pub other_total_count: String,
    pub base_functions: usize,
    pub other_functions: usize,
    pub base_functions_run: usize,
    pub other_functions_run: usize,
    /// Those that took part, where that is recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_workloads: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_workloads: Option<Vec<String>>,
    pub same_functions: u64,
    /// The share of each profile's counts in functions that the other one does not have.
    pub lost_base: f64,
    pub lost_other: f64,
    pub mismatched: Vec<String>,
    pub only_base: Vec<String>,
    pub only_other: Vec<String>,
    pub changes: Vec<ChangeInfo>,
}

/// A function whose share of all counts changed. Shares are in percent.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ChangeInfo {
    pub name: String,
    pub demangled: String,
    pub base: f64,
    pub other: f64,
}

/// A profile, its figures, and its hottest functions.
pub fn profile_text(info: &ProfileInfo, look: Look) -> String {
    let kind = match info.kind {
        "raw" => "raw profile of one process",
        "indexed" => "indexed profile, as compilers read it",
        _ => "BOLT profile",
    };
    let mut text = format!("{}\n", look.paint.bold(&info.path));
    let version = info.version.map(|version| format!(", version {version}")).unwrap_or_default();
    text.push_str(&format!("{kind}{version}, {}; read by {}\n", text::size(info.bytes), info.readers));
    if !info.instrumentation.is_empty() {
        text.push_str(&format!("instrumentation: {}\n", info.instrumentation));
    }
    if !info.binary_ids.is_empty() {
        text.push_str(&format!("binary ids: {}\n", info.binary_ids.join(", ")));
    }
    for level in &info.levels {
        let title = if level.context_sensitive { "Functions, counted after inlining" } else { "Functions" };
        text.push_str(&format!("\n{}\n", look.paint.bold(title)));
        text.push_str(&text::indent(&figures(level, look), 2));
        if !level.hottest.is_empty() {
            text.push_str(&format!("\n{}\n", look.paint.bold("Hottest")));
            text.push_str(&text::indent(&hottest(level, look), 2));
        }
    }
    text
}

fn figures(level: &LevelInfo, look: Look) -> String {
    let mut grid = Grid::new(["", ">", ""]);
    let mut row = |name: &str, value: String, more: String| {
        grid.row([Tone::Plain.cell(name), value.into(), Tone::Dim.cell(more)]);
    };
    match level.never_run {
        Some(never_run) => {
            row("functions", text::count(level.functions), String::new());
            let percent = text::percent(never_run as f64, level.functions as f64);
            row("never run", text::count(never_run), percent);
        }
        None => row("functions that were run", text::count(level.functions), String::new()),
    }
    row("largest count", text::count(level.largest_count), String::new());
    row("sum of counts", total(&level.total_count), String::new());
    grid.compact().render(look.width.saturating_sub(2), look.paint)
}

fn hottest(level: &LevelInfo, look: Look) -> String {
    let mut grid = Grid::new([">largest count", "function"]);
    for function in &level.hottest {
        grid.row([text::count(function.largest_count), function.demangled.clone()]);
    }
    grid.render(look.width.saturating_sub(2), look.paint)
}

/// The overlap, what only one has, and the largest changes; of names, up to `top`.
pub fn diff_text(info: &DiffInfo, top: usize, look: Look) -> String {
    let mut text = format!("base   {}\nother  {}\n\n", info.base, info.other);
    text.push_str(&format!("{}\n\n", look.paint.bold(&format!("overlap {}", share(info.overlap)))));
    let mut grid = Grid::new(["", ">base", ">other"]);
    let mut row = |name: &str, [base, other]: [String; 2]| grid.row([name.to_owned(), base, other]);
    let number = |number: usize| text::count(number as u64);
    row("sum of counts", [total(&info.base_total_count), total(&info.other_total_count)]);
    let workloads = |names: &Option<Vec<String>>| names.as_ref().map(|names| number(names.len())).unwrap_or_default();
    if info.base_workloads.is_some() || info.other_workloads.is_some() {
        row("workloads", [workloads(&info.base_workloads), workloads(&info.other_workloads)]);
    }
    row("functions", [info.base_functions, info.other_functions].map(number));
    row("functions that were run", [info.base_functions_run, info.other_functions_run].map(number));
    row("in both, of the same shape", [info.same_functions as usize; 2].map(number));
    row("in both, of another shape", [info.mismatched.len(); 2].map(number));
    row("only here", [info.only_base.len(), info.only_other.len()].map(number));
    row("counts in what the other has not", [info.lost_base, info.lost_other].map(share));
    text.push_str(&grid.render(look.width, look.paint));
    let names = |workloads: &Option<Vec<String>>| workloads.clone().unwrap_or_default();
    let (base, other) = (names(&info.base_workloads), names(&info.other_workloads));
    // Where nothing is recorded of one, nothing is missing there.
    let both = !base.is_empty() && !other.is_empty();
    let without = |all: &[String], others: &[String]| -> Vec<String> {
        all.iter().filter(|name| both && !others.contains(name)).cloned().collect()
    };
    let (only_base, only_other) = (without(&base, &other), without(&other, &base));
    let lists = [
        ("Workloads only in base", &only_base),
        ("Workloads only in other", &only_other),
        ("Of another shape", &info.mismatched),
        ("Only in base", &info.only_base),
        ("Only in other", &info.only_other),
    ];
    for (title, names) in lists {
        if names.is_empty() || top == 0 {
            continue;
        }
        text.push_str(&format!("\n{}\n", look.paint.bold(title)));
        names.iter().take(top).for_each(|name| text.push_str(&format!("  {name}\n")));
        if names.len() > top {
            text.push_str(&format!("  and {} more\n", text::count((names.len() - top) as u64)));
        }
    }
    if !info.changes.is_empty() {
        text.push_str(&format!("\n{}\n", look.paint.bold("Largest changes, as shares of all counts")));
        let mut grid = Grid::new([">base", ">other", "function"]);
        for change in &info.changes {
            grid.row([share(change.base), share(change.other), change.demangled.clone()]);
        }
        text.push_str(&text::indent(&grid.render(look.width.saturating_sub(2), look.paint), 2));
    }
    text
}

/// A sum of counts, which may be more than a number holds.
fn total(digits: &str) -> String {
    digits.parse::<u64>().map_or_else(|_| digits.to_owned(), text::count)
}

/// Percent with the digits that llvm-profdata gives it but one.
fn share(percent: f64) -> String {
    format!("{percent:.2} %")
}
