//! One binary's profiles, added up into one.
//!
//! Each file is compared with the first, its value data is read, its counters are added, and only then its values: a file
//! counts whole or not at all. Unaware of other binaries, and of what becomes of files that are not added up here.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::counters::{Added, CHUNK, Counters};
use super::layout::{LONGEST_HEADER, Refusal, Sections, padding, unknown};
use super::template::{Found, Template};
use super::values::{self, Sums};

/// A group's sum, while files are added to it.
pub struct Group {
    template: Template,
    counters: Counters,
    bitmap: Mutex<Vec<u8>>,
    values: Sums,
}

/// Opens a file and reads its header.
///
/// # Errors
/// It cannot be read.
pub fn open(path: &Utf8Path) -> io::Result<(File, Vec<u8>, u64)> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut head = Vec::with_capacity(LONGEST_HEADER);
    (&file).take(LONGEST_HEADER as u64).read_to_end(&mut head)?;
    Ok((file, head, length))
}

impl Group {
    /// An empty sum of files like this one.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn like(path: &Utf8Path) -> Found<Group> {
        let (file, head, length) = open(path)?;
        let sections = match Sections::parse(&head, length) {
            Ok(sections) => sections,
            Err(refusal) => return Ok(Err(refusal)),
        };
        Ok(Template::read(&file, &head, sections)?.map(|template| Group {
            counters: Counters::new(sections.counters),
            bitmap: Mutex::new(vec![0; sections.bitmap]),
            values: Sums::new(template.sites),
            template,
        }))
    }

    /// Adds a file: whole, or not at all. `first` is where among the counters to begin.
    ///
    /// # Errors
    /// It cannot be read: then the sum is not to be used.
    pub fn add(&self, path: &Utf8Path, first: usize, buffer: &mut Vec<u8>) -> Found<()> {
        let (file, head, length) = open(path)?;
        let sections = match Sections::parse(&head, length) {
            Ok(sections) => sections,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let seen = match self.compare(&file, &head, &sections, length, buffer)? {
            Ok(seen) => seen,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let mut bits = vec![0; sections.bitmap];
        file.read_exact_at(&mut bits, sections.bitmap_at as u64)?;
        match self.counters.add(&file, sections.counters_at, first, buffer)? {
            Added::Yes => {}
            Added::TooLarge => return Ok(Err(unknown("a count above 2^56"))),
            Added::SumTooLarge => return Ok(Err(unknown("a sum above 2^56"))),
        }
        for (sum, bits) in self.bitmap.lock().unwrap_or_else(PoisonError::into_inner).iter_mut().zip(bits) {
            *sum |= bits;
        }
        self.values.add(&seen);
        Ok(Ok(()))
    }

    /// Holds a file against the template, and reads its value data.
    fn compare(
        &self,
        file: &File,
        head: &[u8],
        sections: &Sections,
        length: u64,
        buffer: &mut Vec<u8>,
    ) -> Found<Vec<values::Seen>> {
        let template = &self.template;
        let own = template.head.split_at_checked(sections.layout.header).unwrap_or((&template.head, &[]));
        if sections.signature(head) != template.sections.signature(own.0) {
            return Ok(Err(Refusal::Different));
        }
        if !same(file, sections.layout.header, own.1, buffer)?
            || !same(file, sections.names_at, &template.names, buffer)?
        {
            return Ok(Err(Refusal::Different));
        }
        let (mut slide, mut uniform) = (None, true);
        let step = CHUNK - CHUNK % sections.layout.record;
        for from in (0..sections.records).step_by(step) {
            let part = chunk(file, sections.records_at + from, step.min(sections.records - from), buffer)?;
            match template.compare(part, from, &mut slide) {
                Ok(agree) => uniform &= agree,
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        let addresses = template.addresses(slide.filter(|_| uniform), || {
            let mut records = vec![0; sections.records];
            file.read_exact_at(&mut records, sections.records_at as u64)?;
            Ok(records)
        })?;
        // The file is as long as it was, or reading it fails.
        let mut data = vec![0; usize::try_from(length).unwrap_or(usize::MAX).saturating_sub(sections.values_at)];
        file.read_exact_at(&mut data, sections.values_at as u64)?;
        Ok(values::parse(template, &addresses, &data))
    }

    /// Adds all files that fit, in so many threads. Returns those that do not, by their numbers, with the reason.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn add_all(&self, files: &[&Utf8PathBuf], threads: usize) -> Result<Vec<(usize, Refusal)>> {
        let next = AtomicUsize::new(0);
        let refused = Mutex::new(Vec::new());
        let failed = Mutex::new(None);
        std::thread::scope(|scope| {
            for thread in 0..threads.clamp(1, files.len().max(1)) {
                let first = thread * self.template.sections.counters / CHUNK / threads.max(1);
                let (next, refused, failed) = (&next, &refused, &failed);
                scope.spawn(move || {
                    let mut buffer = Vec::new();
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let Some(path) = files.get(number) else { break };
                        match self.add(path, first, &mut buffer) {
                            Ok(Ok(())) => {}
                            Ok(Err(refusal)) => {
                                refused.lock().unwrap_or_else(PoisonError::into_inner).push((number, refusal));
                            }
                            Err(error) => {
                                let error = anyhow::Error::new(error).context(format!("cannot read {path}"));
                                *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                                next.store(files.len(), Ordering::Relaxed);
                            }
                        }
                    }
                });
            }
        });
        if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let mut refused = refused.into_inner().unwrap_or_else(PoisonError::into_inner);
        refused.sort_by_key(|(number, _)| *number);
        Ok(refused)
    }

    /// Writes the sum as a raw profile, as a process of the first file's addresses would have written it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(self, path: &Utf8Path) -> Result<()> {
        self.write_to(path).with_context(|| format!("cannot write {path}"))
    }

    fn write_to(self, path: &Utf8Path) -> io::Result<()> {
        let Group { template, counters, bitmap, values } = self;
        let sections = template.sections;
        let mut file = BufWriter::with_capacity(CHUNK, File::create(path)?);
        let zeros = |file: &mut BufWriter<File>, from: usize, to: usize| {
            io::copy(&mut io::repeat(0).take(to.saturating_sub(from) as u64), file)
        };
        file.write_all(&template.head)?;
        file.write_all(&template.records)?;
        zeros(&mut file, sections.records_at + sections.records, sections.counters_at)?;
        counters.write(|part| file.write_all(part))?;
        zeros(&mut file, sections.counters_at + sections.counters, sections.bitmap_at)?;
        file.write_all(&bitmap.into_inner().unwrap_or_else(PoisonError::into_inner))?;
        zeros(&mut file, sections.bitmap_at + sections.bitmap, sections.names_at)?;
        file.write_all(&template.names)?;
        zeros(&mut file, 0, padding(sections.names))?;
        values.write(&template, |block| file.write_all(block))?;
        file.flush()
    }
}

/// Reads a part of at most [`CHUNK`] bytes.
fn chunk<'a>(file: &File, at: usize, length: usize, buffer: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
    buffer.resize(CHUNK, 0);
    let part = &mut buffer[..length.min(CHUNK)];
    file.read_exact_at(part, at as u64)?;
    Ok(part)
}

/// Whether a file has these bytes there.
fn same(file: &File, at: usize, bytes: &[u8], buffer: &mut Vec<u8>) -> io::Result<bool> {
    let mut at = at;
    for expected in bytes.chunks(CHUNK) {
        if chunk(file, at, expected.len(), buffer)? != expected {
            return Ok(false);
        }
        at += expected.len();
    }
    Ok(true)
}
