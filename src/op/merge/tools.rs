//! llvm-profdata: how it is called, what its complaints mean, and what it says of a profile.
//!
//! A profile is listed function by function: one with hundreds of thousands of functions is never in memory as a whole.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{BufReader, Read, Seek};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use super::died::{self, Death};
use super::halves;
use crate::fs::whole;
use crate::profile::figures::Statistics;
use crate::profile::header::{self, Header, HeaderKind};
use crate::profile::listing::{self, Function, Rest};
use crate::profile::raw::{Input, Reason};
use crate::profile::{Format, fdata};
use crate::stdio;
use crate::text::share::Share;
use crate::toolchain::{formats, version};

/// What to merge, with what, into which file.
pub struct Order<'a> {
    pub format: Format,
    /// llvm-profdata or merge-fdata.
    pub tool: &'a Utf8Path,
    /// Each is one profile for the share of damaged ones. BOLT's all count once.
    pub files: &'a [Input],
    /// Merged profiles that must be good.
    pub with: &'a [Utf8PathBuf],
    /// 0: as many as there are cores.
    pub threads: usize,
    /// For files in between; on the output's file system.
    pub work: &'a Utf8Path,
    pub output: &'a Utf8Path,
    pub limit: Share,
}

/// What a tool is called with besides the files.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    pub tool: &'a Utf8Path,
    /// For lists of files.
    pub work: &'a Utf8Path,
    pub output: &'a Utf8Path,
    /// Sums, each with a file that is in it, which is what a person knows.
    pub sums: &'a [(Utf8PathBuf, Utf8PathBuf)],
    pub threads: usize,
}

impl<'a> Job<'a> {
    /// For one thread and without sums.
    pub fn simple(tool: &'a Utf8Path, work: &'a Utf8Path, output: &'a Utf8Path) -> Job<'a> {
        Job { tool, work, output, sums: &[], threads: 1 }
    }

    fn shown<'p>(&'p self, path: &'p Utf8Path) -> &'p Utf8Path {
        self.sums.iter().find(|(sum, _)| sum == path).map_or(path, |(_, first)| first)
    }
}

/// What one call of llvm-profdata gets at most: files and bytes. One file may be larger.
pub const BATCH: (usize, u64) = (4096, 8 << 30);
/// So many files llvm-profdata merges in one thread: what it makes of a few should not depend on how many it has.
const FEW: usize = 32;

/// Merges with llvm-profdata, in several calls if they are many. Returns the files that it says something about, with what it
/// says.
pub(in crate::op) fn profdata(job: &Job, files: &[Input], with: &[Utf8PathBuf]) -> Result<Vec<Reason>> {
    in_batches(job, files, with, BATCH)
}

/// The same with another limit for one call.
pub fn in_batches(job: &Job, files: &[Input], with: &[Utf8PathBuf], limit: (usize, u64)) -> Result<Vec<Reason>> {
    let batches = batches(files, limit)?;
    if batches.len() <= 1 {
        return one_call(job, files, with);
    }
    let (mut parts, mut reasons) = (Vec::new(), Vec::new());
    for (number, batch) in batches.into_iter().enumerate() {
        let part = job.work.join(format!("part-{number}"));
        let complaints = one_call(&Job { output: &part, ..*job }, batch, &[])?;
        reasons.extend(complaints);
        // There is none of a batch without a good file.
        parts.extend(part.exists().then_some((part, 1)));
    }
    if parts.is_empty() {
        return Ok(reasons);
    }
    let complaints = one_call(job, &parts, with)?;
    if let Some((part, reason)) = complaints.first() {
        bail!("{} cannot read what it wrote itself, {part}: {reason}", job.tool);
    }
    Ok(reasons)
}

/// The files of each call: at most so many, and so many bytes.
pub fn batches(files: &[Input], (most, most_bytes): (usize, u64)) -> Result<Vec<&[Input]>> {
    let (mut batches, mut begin, mut bytes) = (Vec::new(), 0, 0u64);
    for (number, (path, _)) in files.iter().enumerate() {
        let size = fs::metadata(path).with_context(|| format!("cannot read {path}"))?.len();
        if number > begin && (number - begin == most || bytes.saturating_add(size) > most_bytes) {
            batches.push(&files[begin..number]);
            (begin, bytes) = (number, 0);
        }
        bytes = bytes.saturating_add(size);
    }
    batches.push(&files[begin..]);
    Ok(batches)
}

/// Merges in one call. Where the tool dies, in several: without the files that it dies of.
fn one_call(job: &Job, files: &[Input], with: &[Utf8PathBuf]) -> Result<Vec<Reason>> {
    let signal = match call(job, files, with)? {
        Called::Ended(reasons) => return Ok(reasons),
        Called::Died(signal) => signal,
    };
    let output = job.work.join("some");
    let some = Job { output: &output, ..*job };
    let killers = halves::bad(files, |files| match call(&some, files, &[])? {
        Called::Ended(_) => Ok(None),
        Called::Died(signal) => Ok(Some(signal)),
    })?;
    let (tool, all) = (job.tool, files.len());
    let is_killer: HashSet<&Utf8PathBuf> = killers.iter().map(|((path, _), _)| path).collect();
    let good: Vec<Input> = files.iter().filter(|(path, _)| !is_killer.contains(path)).cloned().collect();
    if killers.is_empty() {
        bail!("{tool} dies of {signal} when it merges {all} profiles, and of none of them alone");
    }
    if good.is_empty() && all > 1 {
        bail!(
            "{tool} dies of {signal} with each of {all} profiles: it may be made for another processor, or be damaged itself. See \
             whether `{tool} show` reads one of them, or name another with `profdata` in the gather stage (`--profdata`)"
        );
    }
    let name = tool.file_name().unwrap_or(tool.as_str());
    let of =
        |((path, _), signal): &(Input, String)| (path.clone(), format!("{name} dies of {signal} when it reads it"));
    let mut reasons: Vec<Reason> = killers.iter().map(of).collect();
    if !good.is_empty() {
        match call(job, &good, with)? {
            Called::Ended(others) => reasons.extend(others),
            Called::Died(signal) => bail!("{tool} dies of {signal} when it merges {} profiles", good.len()),
        }
    }
    Ok(reasons)
}

/// How a call of the tool ended.
enum Called {
    /// With what it says of files.
    Ended(Vec<Reason>),
    /// By this signal, of its own making.
    Died(String),
}

fn call(job: &Job, files: &[Input], with: &[Utf8PathBuf]) -> Result<Called> {
    // An earlier call may have written it. This one writes none if no file is good.
    if let Err(error) = fs::remove_file(job.output)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(error).with_context(|| format!("cannot delete {}", job.output));
    }
    let list = job.work.join("files");
    // With a weight in front, a comma in a path is part of the path.
    let line = |path: &Utf8PathBuf, weight: u64| format!("{weight},{path}\n");
    let lines = files.iter().map(|(path, weight)| line(path, *weight)).chain(with.iter().map(|path| line(path, 1)));
    fs::write(&list, lines.collect::<String>()).with_context(|| format!("cannot write {list}"))?;
    let threads = if files.len() < FEW { 1 } else { job.threads };
    let mut command = Command::new(job.tool);
    // A process that was killed while it wrote leaves a damaged file, which says nothing against the others.
    command.args(["merge", "--failure-mode=all"]).arg(format!("--num-threads={threads}"));
    command.arg(format!("--input-files={list}")).arg("-o").arg(job.output);
    let output = run(&mut command)?;
    let complaints = stderr(&output);
    let said = complaints_by_file(&complaints);
    let mut reasons: Vec<Reason> = Vec::new();
    for (path, _) in files {
        let Some(reason) = said.get(path.as_str()) else { continue };
        let header = header::Header::read(path).with_context(|| format!("cannot read {path}"))?;
        let wrong = header.and_then(|header| Some((header, version_complaint(reason, header.version)?)));
        let wrong = wrong.map(|(header, says)| mismatch(job.tool, job.shown(path), header, &says));
        reasons.push((path.clone(), wrong.unwrap_or_else(|| (*reason).to_string())));
    }
    for path in with {
        if said.contains_key(path.as_str()) {
            bail!("{} cannot merge {path} with the raw profiles: {}", job.tool, first_line(&complaints));
        }
    }
    pass_on(&complaints);
    let what = || {
        let (tool, files, status) = (job.tool, files.len(), output.status);
        format!("{tool} could not merge {files} profiles ({status}): {}", first_line(&complaints))
    };
    let without_memory = reasons.iter().any(|(_, reason)| died::has_no_memory(reason));
    // It fails as well when there is nothing but damage.
    if !output.status.success() && (without_memory || reasons.len() < files.len()) {
        return match died::cause(output.status, &complaints) {
            _ if without_memory => Err(died::out_of_memory(what())),
            Some(Death::Memory) => Err(died::out_of_memory(what())),
            Some(Death::Own(signal)) => Ok(Called::Died(signal)),
            None => bail!(what()),
        };
    }
    if output.status.success() && !job.output.exists() {
        bail!("{} ended well and wrote no profile: is it an llvm-profdata?", job.tool);
    }
    Ok(Called::Ended(reasons))
}

/// The first line that a tool says about each file.
fn complaints_by_file(complaints: &str) -> HashMap<&str, &str> {
    let mut said = HashMap::new();
    for line in complaints.lines() {
        let rest = line.strip_prefix("warning: ").or_else(|| line.strip_prefix("error: "));
        if let Some((path, reason)) = rest.and_then(|rest| rest.split_once(": ")) {
            said.entry(path).or_insert(reason);
        }
    }
    said
}

/// How many functions a merged profile has, with the counts of either level.
pub(super) fn functions(format: Format, tool: &Utf8Path, profile: &Utf8Path) -> Result<usize> {
    match format {
        Format::Fdata => {
            let text = whole::read_text(profile).with_context(|| format!("cannot read {profile}"))?;
            Ok(fdata::functions(&text))
        }
        Format::Profdata => match statistics(tool, profile, Level::First)?.functions {
            0 => Ok(statistics(tool, profile, Level::ContextSensitive)?.functions as usize),
            functions => Ok(functions as usize),
        },
    }
}

/// The sum of all counts of a merged profile, of both levels.
///
/// # Errors
/// It cannot be read.
pub(in crate::op) fn total(format: Format, tool: &Utf8Path, profile: &Utf8Path) -> Result<u128> {
    if format == Format::Fdata {
        let text = whole::read_text(profile).with_context(|| format!("cannot read {profile}"))?;
        return Ok(fdata::total(&text));
    }
    let header = Header::read(profile).with_context(|| format!("cannot read {profile}"))?;
    let second = header.is_some_and(|header| header.context_sensitive);
    let of_second = if second { statistics(tool, profile, Level::ContextSensitive)?.total } else { 0 };
    Ok(statistics(tool, profile, Level::First)?.total + of_second)
}

/// Writes a merged profile with all counts multiplied.
///
/// # Errors
/// It cannot be read or written.
pub(in crate::op) fn multiply(format: Format, job: &Job, profile: &Utf8Path, times: u64) -> Result<()> {
    match format {
        Format::Profdata => match profdata(job, &[(profile.to_owned(), times)], &[])?.pop() {
            None => Ok(()),
            Some((_, reason)) => bail!("{profile}: {reason}"),
        },
        Format::Fdata => {
            let text = whole::read_text(profile).with_context(|| format!("cannot read {profile}"))?;
            let output = job.output;
            fs::write(output, fdata::multiplied(&text, times)).with_context(|| format!("cannot write {output}"))
        }
    }
}

/// Figures of an indexed profile.
///
/// # Errors
/// As [`list`].
pub(in crate::op) fn statistics(tool: &Utf8Path, profile: &Utf8Path, level: Level) -> Result<Statistics> {
    let mut statistics = Statistics::default();
    list(tool, profile, level, |function| statistics.add(function.counts))?;
    Ok(statistics)
}

/// Which counts of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    First,
    /// Those of a second instrumentation, after inlining.
    ContextSensitive,
}

/// Calls `each` with every function.
///
/// # Errors
/// The tool cannot be run, or cannot read the profile.
pub(crate) fn list(tool: &Utf8Path, profile: &Utf8Path, level: Level, each: impl FnMut(Function)) -> Result<Rest> {
    let mut complaints = temporary_file()?;
    let stderr = complaints.try_clone().context("cannot use a temporary file")?;
    let mut command = Command::new(tool);
    command.args(["show", "--all-functions", "--counts", "--binary-ids"]);
    command.args((level == Level::ContextSensitive).then_some("--showcs")).arg(profile);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .with_context(|| format!("cannot run {tool}"))?;
    let stdout = child.stdout.take().with_context(|| format!("{tool} has no standard output"))?;
    let rest = listing::read(BufReader::with_capacity(1 << 20, stdout), each);
    let status = child.wait().with_context(|| format!("cannot wait for {tool}"))?;
    let rest = rest.with_context(|| format!("cannot read what {tool} prints"))?;
    if !status.success() {
        let mut text = String::new();
        complaints
            .rewind()
            .and_then(|()| complaints.read_to_string(&mut text))
            .context("cannot read a temporary file")?;
        bail!("{tool} cannot read {profile}: {}", first_line(&text));
    }
    Ok(rest)
}

/// A file without a name.
fn temporary_file() -> Result<fs::File> {
    tempfile::tempfile()
        .with_context(|| format!("cannot make a temporary file in {} (TMPDIR)", std::env::temp_dir().display()))
}

/// What the tool says it can read, if it complains about the version of a profile.
pub fn version_complaint(complaints: &str, version: u32) -> Option<String> {
    if let Some((_, rest)) = complaints.split_once("expected version = ") {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let llvm = digits.parse().map(|version| format!(" ({})", formats::raw_in_words(version))).unwrap_or_default();
        return Some(format!("reads version {digits}{llvm}"));
    }
    let old = complaints.contains("unsupported instrumentation profile format version");
    old.then(|| format!("does not read version {version}"))
}

/// What the messages about a wrong tool say.
const WRONG_RAW: &str = "the instrumented program writes raw profiles of version";
const WRONG_INDEXED: &str = "is an indexed profile of version";

/// Whether a reason says that the tool is the wrong one.
pub(in crate::op) fn of_wrong_version(reason: &str) -> bool {
    reason.starts_with(WRONG_RAW) || reason.contains(WRONG_INDEXED)
}

fn mismatch(tool: &Utf8Path, file: &Utf8Path, header: Header, reason: &str) -> String {
    let version = header.version;
    let reason =
        format!("{}{reason}", says_llvm(tool).map(|major| format!("is of LLVM {major} and ")).unwrap_or_default());
    match header.kind {
        HeaderKind::Raw => format!(
            "{WRONG_RAW} {version} ({}), and {tool} {reason} (seen on {file}).\n  Merge with the llvm-profdata of the LLVM that \
             compiled the program: set `profdata` in the gather stage (`--profdata` of `optbuild merge`), or install that LLVM; that \
             of a Rust toolchain is its component `llvm-tools`",
            formats::raw_in_words(u64::from(version))
        ),
        HeaderKind::Indexed => format!(
            "{file} {WRONG_INDEXED} {version}, which {} reads, and {tool} {reason}.\n  Merge with an llvm-profdata of that \
             LLVM; the compiler that is to use the result must not be older either",
            formats::indexed_in_words(u64::from(version))
        ),
    }
}

/// Which LLVM a tool says that it is of, for messages.
fn says_llvm(tool: &Utf8Path) -> Option<u64> {
    // Before LLVM 18 only its subcommands know `--version`.
    let printed = [&["--version"][..], &["show", "--version"]].iter().find_map(|args| {
        let output = Command::new(tool).args(*args).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    });
    Some(version::parse(&printed?)?.major)
}

pub(super) fn run(command: &mut Command) -> Result<Output> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.output().with_context(|| format!("cannot run {program}"))
}

pub(super) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A tool's own words belong in the step's log.
pub(super) fn pass_on(complaints: &str) {
    // Where the log cannot be written the runner has noticed already.
    stdio::repeat(complaints);
}

fn first_line(text: &str) -> &str {
    let error = text.lines().find(|line| line.starts_with("error:"));
    error.or(text.lines().next()).unwrap_or("it did not say why")
}
