//! The log of a command while it is written: how large it may become on disk, whether the same comes again and again, and how often
//! lines stand in it that somebody wants counted.
//!
//! A command writes into the file itself, at its end. So the file can be cut while the command runs: what is written next stands behind
//! the part that is kept. The end of what is cut away stands aside until the next cut, and is put back when the command has ended.
//!
//! | in the file | before the first cut | then | when the command has ended |
//! |---|---|---|---|
//! | the beginning | all | [`Sizes::head`] | the same |
//! | a line that says how much was left out | | | there |
//! | the end | all | what came since the last cut | [`Sizes::tail`] |
//!
//! Unaware of steps, and of what the lines mean.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};
use memchr::memmem::Finder;

use super::repeats::repeated;
use crate::text;

/// How much of a log is kept, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// A log up to this size is kept as it is.
    pub whole: u64,
    pub head: u64,
    pub tail: u64,
}

impl Sizes {
    /// Of a step: operations look for warnings of compilers in it.
    pub const STEP: Sizes = Sizes { whole: 1 << 30, head: 64 << 20, tail: 64 << 20 };
    /// Of a workload: there may be hundreds.
    pub const WORKLOAD: Sizes = Sizes { whole: 256 << 20, ..Sizes::STEP };
}

/// So much is much: in a second, and at least between two looks.
const MUCH: u64 = 1 << 20;
const LEAST: u64 = 64 << 10;
/// So many looks in a row must find a repetition before it is told: a moment of it is none. After so many without much it is over.
const LOOKS: u32 = 3;
/// So much must be written of it.
const TOLD: u64 = 4 << 20;
/// Where the last of it was appended while the rest was cut away, so often it is looked whether more has come.
const ROUNDS: usize = 8;

/// One log.
#[derive(Debug)]
pub struct LogWatch {
    path: Utf8PathBuf,
    sizes: Sizes,
    watched: Vec<Count>,
    /// Of the file, when it was looked at last, and when that was.
    size: u64,
    looked: Instant,
    /// Bytes that were cut away.
    cut: u64,
    /// From and up to here the file was searched for what is watched.
    searched: (u64, u64),
    repetition: Option<Repetition>,
}

/// How often a text stands in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    pub text: &'static str,
    pub times: u64,
}

/// The same, over and over.
#[derive(Debug)]
struct Repetition {
    line: String,
    /// How much had been written when it was first seen, and when it was told last.
    since: u64,
    told: Option<u64>,
    /// With it, and without much being written.
    looks: u32,
    quiet: u32,
}

/// What a look has found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// All that was written.
    pub total: u64,
    /// The line that is written over and over, and how much of it: to be told now. It is not told again before it is twice as much.
    pub repeats: Option<(String, u64)>,
    /// Much is being written: the next look should be soon.
    pub much: bool,
}

impl LogWatch {
    /// `texts` are what is to be counted.
    pub fn new(path: &Utf8Path, sizes: Sizes, texts: impl IntoIterator<Item = &'static str>) -> LogWatch {
        let watched = texts.into_iter().map(|text| Count { text, times: 0 }).collect();
        LogWatch {
            path: path.to_owned(),
            sizes,
            watched,
            size: 0,
            looked: Instant::now(),
            cut: 0,
            searched: (0, 0),
            repetition: None,
        }
    }

    /// Looks at the log, and cuts it if it has become too large.
    ///
    /// # Errors
    /// It cannot be read or cut.
    pub fn look(&mut self) -> io::Result<Seen> {
        let size = match fs::metadata(&self.path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Seen::default()),
            Err(error) => return Err(error),
        };
        let (grown, passed) = (size.saturating_sub(self.size), self.looked.elapsed());
        let much = grown >= LEAST && grown as f64 >= MUCH as f64 * passed.as_secs_f64();
        (self.size, self.looked) = (size, Instant::now());
        let total = self.cut + size;
        let mut repeats = None;
        if much {
            match repeated(&File::open(&self.path)?, size)? {
                Some(line) => repeats = self.repeats(line, total, grown),
                None => self.repetition = None,
            }
        } else if let Some(found) = &mut self.repetition {
            found.quiet += 1;
            self.repetition.take_if(|found| found.quiet >= LOOKS);
        }
        if size > self.sizes.whole {
            self.shorten()?;
        }
        Ok(Seen { total, repeats, much })
    }

    /// What is to be told of a repetition that this look has found.
    fn repeats(&mut self, line: String, total: u64, grown: u64) -> Option<(String, u64)> {
        let first =
            || Repetition { line: String::new(), since: total.saturating_sub(grown), told: None, looks: 0, quiet: 0 };
        let found = self.repetition.get_or_insert_with(first);
        (found.line, found.looks, found.quiet) = (line, found.looks + 1, 0);
        let written = total - found.since;
        let due = found.told.map_or(found.looks >= LOOKS && written >= TOLD, |told| written >= 2 * told);
        due.then(|| {
            found.told = Some(written);
            (found.line.clone(), written)
        })
    }

    /// All that had been written at the last look.
    pub fn total(&self) -> u64 {
        self.cut + self.size
    }

    /// The line that was written over and over at the last look.
    pub fn repetition(&self) -> Option<&str> {
        self.repetition.as_ref().map(|found| found.line.as_str())
    }

    /// Cuts away all but the beginning, and puts the end aside.
    fn shorten(&mut self) -> io::Result<()> {
        let mut log = File::options().read(true).write(true).open(&self.path)?;
        let mut end = log.metadata()?.len();
        self.search(&mut log, end)?;
        let from = end.saturating_sub(self.sizes.tail).max(self.sizes.head);
        let mut aside = put_aside(&mut log, from, end, &self.aside());
        // What comes between the last round and the cut is lost: a few bytes of a flood.
        for _ in 0..ROUNDS {
            let now = log.metadata()?.len();
            if now == end {
                break;
            }
            self.search(&mut log, now)?;
            aside = aside.and_then(|mut aside| copy(&mut log, end, now, &mut aside).map(|()| aside));
            end = now;
        }
        if aside.is_err() {
            // The log has filled the disk. What is put aside would keep it full.
            let _ = fs::remove_file(self.aside());
        }
        log.set_len(self.sizes.head)?;
        self.cut += end - self.sizes.head;
        (self.size, self.searched) = (self.sizes.head, (self.sizes.head, self.sizes.head));
        Ok(())
    }

    /// To be called when nothing writes any more: puts the end back, and counts what is left to be counted. Returns how much was written,
    /// and how much of it was left out.
    ///
    /// # Errors
    /// The log cannot be read or written.
    pub fn finish(&mut self) -> io::Result<(u64, u64)> {
        let mut log = match File::options().read(true).write(true).open(&self.path) {
            Ok(log) => log,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((0, 0)),
            Err(error) => return Err(error),
        };
        let end = log.metadata()?.len();
        self.search(&mut log, end)?;
        let total = self.cut + end;
        if self.cut == 0 {
            return Ok((total, 0));
        }
        let (head, tail) = (self.sizes.head.min(end), self.sizes.tail);
        let aside = self.aside();
        let rest = (end - head).min(tail);
        // The end of what was put aside, if what came since is not enough.
        let mut last = tempfile::tempfile_in(self.path.parent().unwrap_or(&self.path))?;
        let mut kept = 0;
        if let Ok(mut before) = File::open(&aside) {
            let there = before.metadata()?.len();
            kept = there.min(tail - rest);
            copy(&mut before, there - kept, there, &mut last)?;
            fs::remove_file(aside)?;
        }
        copy(&mut log, end - rest, end, &mut last)?;
        let left_out = total.saturating_sub(head + kept + rest);
        log.set_len(head)?;
        log.seek(SeekFrom::End(0))?;
        writeln!(log, "\n[optbuild left out {} here]", text::size(left_out))?;
        copy(&mut last, 0, kept + rest, &mut log)?;
        Ok((total, left_out))
    }

    /// How often what is watched stands in what was written, without what stands in it never.
    pub fn counts(&self) -> impl Iterator<Item = &Count> {
        self.watched.iter().filter(|count| count.times > 0)
    }

    /// Counts what is watched up to a place in the file.
    fn search(&mut self, log: &mut File, end: u64) -> io::Result<()> {
        let Some(longest) = self.watched.iter().map(|count| count.text.len()).max() else { return Ok(()) };
        let mut part = vec![0; 1 << 20];
        // A text may lie across the border of two parts: the end of one is searched again, and no text fits into it.
        let overlap = longest - 1;
        let (from, mut to) = self.searched;
        let mut kept = usize::try_from(to - from).unwrap_or(overlap).min(overlap);
        log.seek(SeekFrom::Start(to - kept as u64))?;
        log.read_exact(&mut part[..kept])?;
        while to < end {
            let wanted = usize::try_from(end - to).unwrap_or(usize::MAX).min(part.len() - kept);
            let read = log.read(&mut part[kept..kept + wanted])?;
            if read == 0 {
                break;
            }
            to += read as u64;
            self.searched.1 = to;
            let filled = kept + read;
            for count in &mut self.watched {
                // Not what was counted in the part before.
                let from = kept.saturating_sub(count.text.len() - 1);
                count.times += Finder::new(count.text).find_iter(&part[from..filled]).count() as u64;
            }
            kept = overlap.min(filled);
            part.copy_within(filled - kept..filled, 0);
        }
        Ok(())
    }

    fn aside(&self) -> Utf8PathBuf {
        Utf8PathBuf::from(format!("{}.end", self.path))
    }
}

fn put_aside(log: &mut File, from: u64, end: u64, path: &Utf8Path) -> io::Result<File> {
    let mut aside = File::create(path)?;
    copy(log, from, end, &mut aside)?;
    Ok(aside)
}

fn copy(from: &mut File, start: u64, end: u64, to: &mut File) -> io::Result<()> {
    from.seek(SeekFrom::Start(start))?;
    io::copy(&mut from.take(end - start), to)?;
    Ok(())
}
