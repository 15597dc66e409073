//! The first run of every workload on both sides: does it work, do both sides print the same, how long does it take?
//!
//! This run is in no result, because files and caches are cold. Unaware of what follows.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use anyhow::{Context as _, Result, bail};
use camino::Utf8Path;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use super::Clock;
use super::probe::{Ended, Order, Reading};
use super::request::{Build, PLACEHOLDER, Request, Workload};
use super::result::{Identity, Metric, SideKind};
use crate::fs::disk;
use crate::run::tail;
use crate::text;

/// How much of what a program printed is shown.
const LONGEST_LINE: usize = 200;
const LONGEST_SAID: usize = 2000;
const LAST_LINES: usize = 10;
/// Output is compared line by line. Of a longer line, so many bytes at a time.
const LONGEST_PART: u64 = 1 << 20;

/// What the first run of a workload was like.
#[derive(Debug, Clone)]
pub struct FirstRun {
    pub output: Identity,
    /// How each side ended, the same way.
    pub ended: Ended,
    /// Wall time in seconds, of the base and of the candidate.
    pub wall: [f64; 2],
    /// Processor time, likewise.
    pub work: [f64; 2],
}

/// Runs both sides once.
///
/// # Errors
/// When a side fails or takes longer than there is time for, or both print different things: then there is nothing to be
/// measured.
pub fn first(request: &Request, workload: &Workload, clock: &Clock) -> Result<FirstRun> {
    let dir = request.settings.scratch.join("first");
    let base = once(request, workload, &request.base, &dir.join("base"), clock)?;
    let candidate = once(request, workload, &request.candidate, &dir.join("candidate"), clock)?;
    if base.ended != candidate.ended {
        bail!(
            "`{}` {} with {} and {} with {}: there is nothing to compare",
            workload.name,
            base.ended.describe(),
            request.base.name,
            candidate.ended.describe(),
            request.candidate.name
        );
    }
    let work = |reading: &Reading| reading.get(Metric::UserTime) + reading.get(Metric::SystemTime);
    Ok(FirstRun {
        output: identity(request, workload, &dir, clock)?,
        wall: [base.get(Metric::WallTime), candidate.get(Metric::WallTime)],
        work: [work(&base), work(&candidate)],
        ended: base.ended,
    })
}

fn once(request: &Request, workload: &Workload, build: &Build, dir: &Utf8Path, clock: &Clock) -> Result<Reading> {
    disk::make_empty_dir(dir)?;
    let settings = &request.settings;
    let (invocation, other) = match std::ptr::eq(build, &request.base) {
        true => (&workload.base, &request.candidate),
        false => (&workload.candidate, &request.base),
    };
    let limit = clock.limit();
    let order = Order { limit: Some(limit), ..Order::new(invocation, dir, false) };
    // Builds that differ by their environment may be measured with any program.
    let files = if build.env == other.env { FileWatch::start(build, other) } else { None };
    let reading = order.run(&settings.optbuild)?;
    let started = files.is_none_or(|files| files.were_opened());
    match &reading.ended {
        Ended::Code(status) if *status == 0 || settings.allow_failure => match started {
            true => Ok(reading),
            false => bail!(
                "`{}` does not start {}, nor what stands beside it, so something else would be measured; call the program as \
                 `{PLACEHOLDER}`, or by a name that leads to it",
                workload.name,
                build.name
            ),
        },
        Ended::TooLate => bail!(
            "one run of `{}` takes longer than the budget of {}: with {} it was ended after {}; raise the budget \
             (`--budget`, a stage's `budget`), or let the workload do less",
            workload.name,
            text::duration(clock.allowed()),
            build.name,
            text::duration(limit)
        ),
        ended => bail!(
            "`{}` {} with {}{}{}",
            workload.name,
            ended.describe(),
            build.name,
            if matches!(ended, Ended::Code(_)) { "; if it may, say so (`--allow-failure`)" } else { "" },
            last_lines(&order.stderr)
        ),
    }
}

fn last_lines(file: &Utf8Path) -> String {
    let lines = tail::last_lines(file, LAST_LINES).unwrap_or_default();
    let last: Vec<_> = lines.iter().map(|line| text::shorten(line, LONGEST_SAID)).collect();
    if last.is_empty() { String::new() } else { format!(". It said:\n  {}", last.join("\n  ")) }
}

fn identity(request: &Request, workload: &Workload, dir: &Utf8Path, clock: &Clock) -> Result<Identity> {
    if !request.settings.check_output {
        return Ok(Identity::Unchecked);
    }
    let (base, candidate) = (dir.join("base/stdout"), dir.join("candidate/stdout"));
    let Some(line) = first_difference(&base, &candidate)? else {
        let size = base.metadata().with_context(|| format!("cannot look at {base}"))?.len();
        return Ok(if size == 0 { Identity::Silent } else { Identity::Same });
    };
    // Is that the build's doing?
    let again = dir.join("again");
    once(request, workload, &request.base, &again, clock)?;
    if first_difference(&base, &again.join("stdout"))?.is_some() {
        bail!(
            "`{}` prints something else each time it runs, so it cannot be checked that both sides print the same; let it \
             print no times and addresses, or say `--ignore-output` (in a stage: `ignore-output = true`)",
            workload.name
        );
    }
    bail!(
        "`{}` does not print the same with both; they differ first in line {}:\n  {}: {}\n  {}: {}\nA build that gives other \
         results is not compared; `--ignore-output` (in a stage: `ignore-output = true`) does it all the same",
        workload.name,
        line.number,
        request.base.name,
        line.base,
        request.candidate.name,
        line.candidate
    )
}

/// A line that is not the same in two files.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    pub number: usize,
    pub base: String,
    pub candidate: String,
}

/// The first line in which two files differ.
pub fn first_difference(base: &Utf8Path, candidate: &Utf8Path) -> Result<Option<Line>> {
    let open =
        |path: &Utf8Path| anyhow::Ok(BufReader::new(File::open(path).with_context(|| format!("cannot read {path}"))?));
    let next = |file: &mut BufReader<File>| -> Result<Vec<u8>> {
        let mut part = Vec::new();
        file.take(LONGEST_PART).read_until(b'\n', &mut part).context("cannot read what was printed")?;
        Ok(part)
    };
    let (mut left, mut right) = (open(base)?, open(candidate)?);
    let mut number = 1;
    loop {
        let (base, candidate) = (next(&mut left)?, next(&mut right)?);
        if base != candidate {
            return Ok(Some(Line { number, base: shown(&base, &candidate), candidate: shown(&candidate, &base) }));
        }
        if base.is_empty() {
            return Ok(None);
        }
        number += usize::from(base.ends_with(b"\n"));
    }
}

/// A line that is not the same on the other side.
fn shown(line: &[u8], other: &[u8]) -> String {
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    let text = String::from_utf8_lossy(&text[..text.len().min(LONGEST_LINE)]);
    let text = text.escape_debug();
    match line {
        [] => "(no such line)".into(),
        _ if line.len() > LONGEST_LINE => format!("{text}…"),
        _ if other.starts_with(line) => format!("{text} (and no more)"),
        _ => text.to_string(),
    }
}

/// The files of a build, to tell whether a command starts what it is to measure: the kernel tells who opens a file (inotify), and
/// nothing is started unopened.
struct FileWatch(OwnedFd);

impl FileWatch {
    /// Watches a build from now on: the files beside its program, and of a toolchain its libraries, as a workload may run another
    /// program of the build; the program alone where the other side stands in the same directory. None where the kernel
    /// does not tell.
    fn start(build: &Build, other: &Build) -> Option<FileWatch> {
        // What a link leads to is opened there.
        let real = |build: &Build| build.program().canonicalize_utf8().ok();
        let (program, other) = (real(build)?, real(other)?);
        let beside = program.parent().filter(|dir| Some(*dir) != other.parent());
        let (bin, lib) = (build.path.join("bin"), build.path.join("lib"));
        match (beside, build.kind) {
            (None, _) => FileWatch::on(&[&program]),
            (Some(dir), SideKind::Program) => FileWatch::on(&[dir]),
            (Some(dir), SideKind::Toolchain) => FileWatch::on(&[dir, &bin, &lib]),
        }
    }

    fn on(paths: &[&Utf8Path]) -> Option<FileWatch> {
        let watched = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).and_then(|inotify| {
            for path in paths.iter().filter(|path| path.exists()) {
                inotify::add_watch(&inotify, path.as_std_path(), WatchFlags::OPEN)?;
            }
            Ok(inotify)
        });
        watched.inspect_err(|error| tracing::debug!("{paths:?} are not watched: {error}")).ok().map(FileWatch)
    }

    /// Whether a file was opened since. True as well where that cannot be found out any more.
    fn were_opened(&self) -> bool {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.0, &mut buffer);
        loop {
            match reader.next() {
                // Whoever lists a directory opens it.
                Ok(event) if event.events().contains(ReadFlags::ISDIR) => {}
                Ok(event) if event.events().intersects(ReadFlags::OPEN | ReadFlags::QUEUE_OVERFLOW) => return true,
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return false,
                Err(_) => return true,
            }
        }
    }
}
