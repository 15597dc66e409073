//! One binary's profiles, added up into one.
//!
//! Each file is compared with the first, its value data is read, its counters are added, and only then its values: a file
//! counts whole or not at all. Unaware of other binaries, and of what becomes of files that are not added up here.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};

use super::counters::{Added, CHUNK, Counters, Source};
use super::layout::{LONGEST_HEADER, Refusal, Sections, unknown};
use super::spoiled::{self, Spoiled};
use super::template::{Found, Template};
use super::values::{self, Sums};

/// A group's sum, while files are added to it.
pub struct Group {
    pub(super) template: Template,
    pub(super) counters: Counters,
    pub(super) bitmap: Mutex<Vec<u8>>,
    pub(super) values: Sums,
    /// How many files are in it.
    pub(super) files: u64,
    /// The first of them, which is what a person knows.
    pub(super) first: Utf8PathBuf,
}

/// What a thread needs for one file after another.
#[derive(Default)]
pub struct Scratch {
    chunk: Vec<u8>,
    data: Vec<u8>,
    seen: Vec<values::Seen>,
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
        Ok(Template::read(&file, &head, sections)?.map(|template| Group::of(template, path.to_owned())))
    }

    /// An empty sum.
    pub fn of(template: Template, first: Utf8PathBuf) -> Group {
        Group {
            counters: Counters::new(template.sections.counters),
            bitmap: Mutex::new(vec![0; template.sections.bitmap]),
            values: Sums::new(template.sites),
            template,
            files: 0,
            first,
        }
    }

    /// Adds a file so many times: whole (but for functions whose counts cannot be), or not at all. `first` is where among the
    /// counters to begin.
    ///
    /// # Errors
    /// It cannot be read: then the sum is not to be used.
    pub fn add(&self, path: &Utf8Path, weight: u64, first: usize, scratch: &mut Scratch) -> Found<Option<Spoiled>> {
        let (file, head, length) = open(path)?;
        let sections = match Sections::parse(&head, length) {
            Ok(sections) => sections,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let Err(refusal) = self.compare(&file, &head, &sections, length, scratch)? {
            return Ok(Err(refusal));
        }
        let Scratch { chunk: buffer, seen, .. } = scratch;
        let mut bits = vec![0; sections.bitmap];
        file.read_exact_at(&mut bits, sections.bitmap_at as u64)?;
        let mut spoiled = None;
        let mut added = self.counters.add(Source::File(&file, sections.counters_at), weight, first, buffer)?;
        if added == Added::TooLarge {
            let mut counters = vec![0; sections.counters];
            file.read_exact_at(&mut counters, sections.counters_at as u64)?;
            match spoiled::leave_out(&self.template, &mut counters, &mut bits, seen) {
                Ok(found) => spoiled = found,
                Err(refusal) => return Ok(Err(refusal)),
            }
            added = self.counters.add(Source::Memory(&counters), weight, first, buffer)?;
        }
        match added {
            Added::Yes => {}
            // What is larger has been taken out; together they have too many bits.
            Added::TooLarge => return Ok(Err(unknown("counts about 2^56"))),
            Added::SumTooLarge => return Ok(Err(Refusal::Full)),
        }
        for (sum, bits) in self.bitmap.lock().unwrap_or_else(PoisonError::into_inner).iter_mut().zip(bits) {
            *sum |= bits;
        }
        self.values.add(seen, weight);
        Ok(Ok(spoiled))
    }

    /// Adds another sum of the same build. False, and nothing done, if it is of another, or a count could become too large.
    pub fn join(&mut self, other: &Group) -> bool {
        if !self.template.same(&other.template) || !self.counters.join(&other.counters) {
            return false;
        }
        let bits = other.bitmap.lock().unwrap_or_else(PoisonError::into_inner);
        for (sum, bits) in self.bitmap.lock().unwrap_or_else(PoisonError::into_inner).iter_mut().zip(bits.iter()) {
            *sum |= bits;
        }
        self.values.join(other.values.sites());
        self.files += other.files;
        true
    }

    /// Holds a file against the template, and reads its value data.
    fn compare(&self, file: &File, head: &[u8], sections: &Sections, length: u64, scratch: &mut Scratch) -> Found<()> {
        let Scratch { chunk: buffer, data, seen } = scratch;
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
        data.resize(usize::try_from(length).unwrap_or(usize::MAX).saturating_sub(sections.values_at), 0);
        file.read_exact_at(data, sections.values_at as u64)?;
        Ok(values::parse(template, &addresses, data, seen))
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
