//! The tools that merge: how they are called, and what their complaints mean.

use std::fs;
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::profile::header::{self, Header, HeaderKind};
use crate::profile::{Format, fdata};
use crate::toolchain::{formats, version};

/// What a tool is called with besides the files.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub tool: &'a Utf8Path,
    /// For lists of files.
    pub work: &'a Utf8Path,
    pub output: &'a Utf8Path,
    /// Sums, each with a file that is in it, which is what a person knows.
    pub sums: &'a [(Utf8PathBuf, Utf8PathBuf)],
}

impl Job<'_> {
    fn shown<'a>(&'a self, path: &'a Utf8Path) -> &'a Utf8Path {
        self.sums.iter().find(|(sum, _)| sum == path).map_or(path, |(_, first)| first)
    }
}

/// A file and a reason.
pub(crate) type Reason = (Utf8PathBuf, String);

/// Merges with llvm-profdata. Returns the files that it says something about, with what it says.
pub(super) fn profdata(job: &Job, files: &[Utf8PathBuf], with: &[Utf8PathBuf], threads: usize) -> Result<Vec<Reason>> {
    let list = job.work.join("files");
    // With a weight in front, a comma in a path is part of the path.
    let lines: Vec<String> = files.iter().chain(with).map(|path| format!("1,{path}\n")).collect();
    fs::write(&list, lines.concat()).with_context(|| format!("cannot write {list}"))?;
    let mut command = Command::new(job.tool);
    // A process that was killed while it wrote leaves a damaged file, which says nothing against the others.
    command.args(["merge", "--failure-mode=all"]).arg(format!("--num-threads={threads}"));
    command.arg(format!("--input-files={list}")).arg("-o").arg(job.output);
    let output = run(&mut command)?;
    let complaints = stderr(&output);
    let mut reasons = Vec::new();
    for path in files {
        let begin = [format!("warning: {path}: "), format!("error: {path}: ")];
        let reason = complaints.lines().find_map(|line| begin.iter().find_map(|begin| line.strip_prefix(begin)));
        let Some(reason) = reason else { continue };
        // A version that the tool cannot read is no damage: the tool is the wrong one.
        let header = header::Header::read(path).with_context(|| format!("cannot read {path}"))?;
        if let Some(header) = header
            && let Some(says) = version_complaint(reason, header.version)
        {
            bail!("{}", mismatch(job.tool, job.shown(path), header, &says));
        }
        reasons.push((path.clone(), reason.to_string()));
    }
    for path in with {
        if complaints.contains(&format!("warning: {path}: ")) {
            bail!("{} cannot merge {path} with the raw profiles: {}", job.tool, first_line(&complaints));
        }
    }
    pass_on(&complaints);
    if !output.status.success() {
        bail!("{} could not merge {} profiles ({}): {}", job.tool, files.len(), output.status, first_line(&complaints));
    }
    Ok(reasons)
}

/// Merges with merge-fdata. It refuses all files because of a damaged one.
pub(super) fn fdata(job: &Job, files: &[Utf8PathBuf], with: &[Utf8PathBuf]) -> Result<()> {
    let list = job.work.join("files");
    // A response file: words in double quotes, in which a backslash escapes.
    let quoted = |path: &Utf8PathBuf| format!("\"{}\"\n", path.as_str().replace('\\', "\\\\").replace('"', "\\\""));
    let lines: Vec<String> = files.iter().chain(with).map(quoted).collect();
    fs::write(&list, lines.concat()).with_context(|| format!("cannot write {list}"))?;
    let output = run(Command::new(job.tool).arg(format!("@{list}")).arg("-o").arg(job.output))?;
    let complaints = stderr(&output);
    pass_on(&complaints);
    if !output.status.success() {
        bail!("{} could not merge {} profiles ({}): {}", job.tool, files.len(), output.status, first_line(&complaints));
    }
    let text = fs::read_to_string(job.output).with_context(|| format!("cannot read {}", job.output))?;
    fs::write(job.output, fdata::sorted(&text)).with_context(|| format!("cannot write {}", job.output))?;
    Ok(())
}

/// How many functions a merged profile has, with the counts of either level.
pub(super) fn functions(format: Format, tool: &Utf8Path, profile: &Utf8Path) -> Result<usize> {
    match format {
        Format::Fdata => {
            let text = fs::read_to_string(profile).with_context(|| format!("cannot read {profile}"))?;
            Ok(fdata::functions(&text))
        }
        Format::Profdata => {
            let plain = show(tool, profile, false)?;
            Ok(if plain.functions > 0 { plain.functions } else { show(tool, profile, true)?.functions })
        }
    }
}

/// What `llvm-profdata show` says of an indexed profile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::op) struct Summary {
    pub functions: usize,
    pub largest_count: u64,
}

/// Asks `llvm-profdata show`; with `context_sensitive` for the counts after inlining.
pub(in crate::op) fn show(tool: &Utf8Path, profile: &Utf8Path, context_sensitive: bool) -> Result<Summary> {
    let mut command = Command::new(tool);
    command.arg("show").args(context_sensitive.then_some("--showcs")).arg(profile);
    let output = run(&mut command)?;
    if !output.status.success() {
        bail!("{tool} cannot read {profile}: {}", first_line(&stderr(&output)));
    }
    Ok(parse_summary(&String::from_utf8_lossy(&output.stdout)))
}

fn parse_summary(text: &str) -> Summary {
    let number = |key: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(key));
        line.and_then(|value| value.trim().parse::<u64>().ok()).unwrap_or_default()
    };
    Summary {
        functions: number("Total functions:") as usize,
        largest_count: number("Maximum function count:").max(number("Maximum internal block count:")),
    }
}

/// What the tool says it can read, if it complains about the version of a profile.
fn version_complaint(complaints: &str, version: u32) -> Option<String> {
    if let Some((_, rest)) = complaints.split_once("expected version = ") {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let llvm = digits.parse().map(|version| format!(" ({})", formats::raw_in_words(version))).unwrap_or_default();
        return Some(format!("reads version {digits}{llvm}"));
    }
    let old = complaints.contains("unsupported instrumentation profile format version");
    old.then(|| format!("does not read version {version}"))
}

fn mismatch(tool: &Utf8Path, file: &Utf8Path, header: Header, reason: &str) -> String {
    let version = header.version;
    let reason =
        format!("{}{reason}", says_llvm(tool).map(|major| format!("is of LLVM {major} and ")).unwrap_or_default());
    match header.kind {
        HeaderKind::Raw => format!(
            "the instrumented program writes raw profiles of version {version} ({}), and {tool} {reason} (seen on {file}).\n  \
             Merge with the llvm-profdata of the LLVM that compiled the program: set `profdata` in the gather stage (`--profdata` \
             of `optbuild merge`), or install that LLVM",
            formats::raw_in_words(u64::from(version))
        ),
        HeaderKind::Indexed => format!(
            "{file} is an indexed profile of version {version}, which {} reads, and {tool} {reason}.\n  Merge with an \
             llvm-profdata of that LLVM; the compiler that is to use the result must not be older either",
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

fn run(command: &mut Command) -> Result<Output> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.output().with_context(|| format!("cannot run {program}"))
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A tool's own words belong in the step's log.
fn pass_on(complaints: &str) {
    use std::io::Write;
    // Where the log cannot be written the runner has noticed already.
    let _ = std::io::stderr().write_all(complaints.as_bytes());
}

fn first_line(text: &str) -> &str {
    let error = text.lines().find(|line| line.starts_with("error:"));
    error.or(text.lines().next()).unwrap_or("it did not say why")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_the_version_complaint() {
        // LLVM 22, and LLVM 13 and older.
        let new = "warning: a.profraw: raw profile version mismatch: Profile uses raw profile format version = 9; expected \
                   version = 10\nPLEASE update this tool";
        assert_eq!(version_complaint(new, 9).as_deref(), Some("reads version 10 (LLVM 19 to 22)"));
        let old =
            "warning: a.profraw: unsupported instrumentation profile format version\nerror: no profile can be merged";
        assert_eq!(version_complaint(old, 9).as_deref(), Some("does not read version 9"));
        assert_eq!(version_complaint("warning: a: file header is corrupt", 9), None);
    }

    #[test]
    fn summary_of_llvm_profdata_22() {
        let text = "Instrumentation level: IR  entry_first = 0  instrument_loop_entries = 0\nTotal functions: 3\n\
                    Maximum function count: 1\nMaximum internal block count: 7\nTotal number of blocks: 12\nTotal count: 8\n";
        assert_eq!(parse_summary(text), Summary { functions: 3, largest_count: 7 });
        assert_eq!(parse_summary(""), Summary::default());
    }
}
