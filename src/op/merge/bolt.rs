//! Merging with merge-fdata: how it is called, and what its complaints mean.
//!
//! It refuses all files because of one. Unaware of what becomes of those that it does not read.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::process::Command;

use anyhow::{Context, Result, anyhow};
use camino::{Utf8Path, Utf8PathBuf};

use super::died::{self, Death};
use super::halves;
use super::tools::{Job, pass_on, run, stderr};
use crate::profile::fdata;
use crate::profile::raw::Reason;

/// Merges, and fails if any file is not read.
///
/// # Errors
/// That, or the tool cannot do its work.
fn merge(job: &Job, files: &[Utf8PathBuf], with: &[Utf8PathBuf]) -> Result<()> {
    match call(job, files, with)? {
        None => Ok(()),
        Some(refusal) => Err(refusal.of_all(job, files.len() + with.len())),
    }
}

/// The same, without the files that it does not read: those are returned, with the reasons. With nothing but those there is no
/// output.
///
/// # Errors
/// Each file is read alone, but not with the others; or the tool cannot do its work, which says nothing about any file.
pub fn merge_good(job: &Job, files: &[Utf8PathBuf], with: &[Utf8PathBuf]) -> Result<Vec<Reason>> {
    let Some(refusal) = call(job, files, with)? else { return Ok(Vec::new()) };
    let output = job.work.join("some");
    let some = Job { output: &output, ..*job };
    let bad = halves::bad(files, |files| call(&some, files, &[]))?;
    let bad: Vec<Reason> = bad.into_iter().map(|(path, refusal)| (path, refusal.reason)).collect();
    if bad.is_empty() {
        return Err(refusal.of_all(job, files.len() + with.len()));
    }
    let is_bad: HashSet<&Utf8PathBuf> = bad.iter().map(|(path, _)| path).collect();
    let good: Vec<Utf8PathBuf> = files.iter().filter(|path| !is_bad.contains(path)).cloned().collect();
    if !good.is_empty() {
        merge(job, &good, with)?;
    }
    Ok(bad)
}

/// That not all files were read.
struct Refusal {
    /// The one that the tool named. Which it is may be chance, if they do not fit to each other.
    file: Option<Utf8PathBuf>,
    reason: String,
}

impl Refusal {
    fn of_all(self, job: &Job, files: usize) -> anyhow::Error {
        let file = self.file.map(|file| format!("{file}: ")).unwrap_or_default();
        anyhow!("{} could not merge {files} profiles: {file}{}", job.tool, self.reason)
    }
}

/// Merges. None: it is done.
fn call(job: &Job, files: &[Utf8PathBuf], with: &[Utf8PathBuf]) -> Result<Option<Refusal>> {
    let list = job.work.join("files");
    // A response file: words in double quotes, in which a backslash escapes.
    let quoted = |path: &Utf8Path| format!("\"{}\"\n", path.as_str().replace('\\', "\\\\").replace('"', "\\\""));
    let whole = |path: &Utf8Path| camino::absolute_utf8(path).with_context(|| format!("cannot find {path}"));
    let (mut lines, mut names) = (Vec::new(), Vec::new());
    for (number, file) in files.iter().chain(with).enumerate() {
        let path = whole(file)?;
        let name = if path.as_str().contains(',') {
            // merge-fdata takes a comma for the end of a file's name, and there is no way to say that it is not.
            let link = format!("{number}.fdata");
            link_to(&path, &job.work.join(&link))?;
            Utf8PathBuf::from(link)
        } else {
            path
        };
        lines.push(quoted(&name));
        names.push((name, file));
    }
    fs::write(&list, lines.concat()).with_context(|| format!("cannot write {list}"))?;
    let mut command = Command::new(job.tool);
    // Links are named without their directory, which may have a comma, too.
    command.arg("@files").arg("-o").arg(whole(job.output)?).current_dir(job.work);
    let output = run(&mut command)?;
    let complaints = stderr(&output);
    if !output.status.success() {
        let named = names.iter().find_map(|(name, file)| {
            said_of(&complaints, name).map(|reason| Refusal { file: Some((*file).clone()), reason })
        });
        let cause = cause(&complaints);
        let what = format!("{} could not merge {} profiles ({}): {cause}", job.tool, names.len(), output.status);
        let death = died::cause(output.status, &complaints);
        if let Some(Death::Memory) = death {
            return Err(died::out_of_memory(what));
        }
        // When several of its threads complain their lines may be mixed, and its end be a crash: each file alone tells then.
        let several =
            || (names.len() > 1).then(|| Refusal { file: None, reason: format!("{}: {cause}", output.status) });
        let of_signal = || match (&death, files) {
            (Some(Death::Own(signal)), [file]) => {
                let name = job.tool.file_name().unwrap_or(job.tool.as_str());
                let reason = format!("{name} dies of {signal} when it reads it");
                Some(Refusal { file: Some(file.clone()), reason })
            }
            _ => None,
        };
        if let Some(refusal) = named.or_else(several).or_else(of_signal) {
            return Ok(Some(refusal));
        }
        return Err(match error_of_system(cause) {
            Some(error) => anyhow::Error::new(error).context(what),
            None => anyhow!(what),
        });
    }
    for line in telling(&complaints) {
        pass_on(&format!("{line}\n"));
    }
    let text = fs::read(job.output).with_context(|| format!("cannot read {}", job.output))?;
    let text = match String::from_utf8(text) {
        Ok(text) => text,
        Err(error) => {
            // It copies names as they are.
            let read = |file: &&Utf8PathBuf| fs::read(file).is_ok_and(|text| std::str::from_utf8(&text).is_err());
            let Some(file) = files.iter().chain(with).find(read) else {
                return Err(error).with_context(|| format!("{} wrote what is not text to {}", job.tool, job.output));
            };
            return Ok(Some(Refusal { file: Some(file.clone()), reason: "it is not text in UTF-8".into() }));
        }
    };
    fs::write(job.output, fdata::sorted(&text)).with_context(|| format!("cannot write {}", job.output))?;
    Ok(None)
}

/// Several calls have one directory for links.
fn link_to(path: &Utf8Path, link: &Utf8Path) -> Result<()> {
    if fs::symlink_metadata(link).is_ok() {
        fs::remove_file(link).with_context(|| format!("cannot remove {link}"))?;
    }
    symlink(path, link).with_context(|| format!("cannot make the link {link} to {path}"))
}

/// What it says of the content of a file, in lines as `TOOL: 'FILE': REASON.`
fn said_of(complaints: &str, name: &Utf8Path) -> Option<String> {
    let named = format!("'{name}': ");
    let (_, reason) = complaints.lines().find_map(|line| line.split_once(&named))?;
    error_of_system(reason).is_none().then(|| reason.trim_end_matches('.').to_owned())
}

/// The error of the operating system whose words stand at the end of a complaint: it says nothing about what is in a file.
fn error_of_system(complaint: &str) -> Option<io::Error> {
    (1..=133).map(io::Error::from_raw_os_error).find(|error| {
        let words = error.to_string();
        words.split_once(" (os error").is_some_and(|(words, _)| complaint.trim_end_matches('.').ends_with(words))
    })
}

/// The line that says most.
fn cause(complaints: &str) -> &str {
    let named = telling(complaints).find(|line| line.contains("': "));
    named.or_else(|| telling(complaints).next()).unwrap_or("it did not say why")
}

/// Its lines, without what it begins with and what it says of its success.
fn telling(complaints: &str) -> impl Iterator<Item = &str> {
    let plain = ["Using legacy profile format", "Using YAML", "Profile from "];
    complaints.lines().filter(move |line| !plain.iter().any(|plain| line.starts_with(plain)))
}
