//! One raw profile with all that is in it. Unaware of others.

use std::io;
use std::os::unix::fs::FileExt;

use camino::Utf8Path;

use super::counters::LARGEST;
use super::group::open;
use super::layout::{Sections, unknown};
use super::template::{Addresses, Found, Template};
use super::values::{self, Seen};

/// A profile in memory.
pub struct Whole {
    pub template: Template,
    /// Bytes of the section, as of the bitmap's.
    pub counters: Vec<u8>,
    pub bits: Vec<u8>,
    /// Sites ascend; the values of each are in the order of the file.
    pub seen: Vec<Seen>,
    /// The first site of each record that has one, as the template's.
    firsts: Vec<(usize, usize)>,
}

impl Whole {
    /// Reads a profile.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(path: &Utf8Path) -> Found<Whole> {
        let (file, head, length) = open(path)?;
        let sections = match Sections::parse(&head, length) {
            Ok(sections) => sections,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let template = match Template::read(&file, &head, sections)? {
            Ok(template) => template,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let read = |at: usize, bytes: usize| -> io::Result<Vec<u8>> {
            let mut section = vec![0; bytes];
            file.read_exact_at(&mut section, at as u64)?;
            Ok(section)
        };
        let counters = read(sections.counters_at, sections.counters)?;
        let counts = counters.as_chunks::<8>().0.iter().map(|counter| u64::from_le_bytes(*counter));
        if counts.fold(false, |any, count| any | (count > LARGEST)) {
            return Ok(Err(unknown("a count above 2^56")));
        }
        let bits = read(sections.bitmap_at, sections.bitmap)?;
        // The file is as long as its header says at least.
        let rest = usize::try_from(length).unwrap_or(usize::MAX).saturating_sub(sections.values_at);
        let data = read(sections.values_at, rest)?;
        let seen = match values::parse_in_order(&template, &Addresses::Slide(0), &data) {
            Ok(seen) => seen,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let firsts = template.sited.iter().map(|sited| (sited.record, sited.first)).collect();
        Ok(Ok(Whole { template, counters, bits, seen, firsts }))
    }

    /// The bytes of a record.
    pub fn record(&self, number: usize) -> &[u8] {
        let size = self.template.sections.layout.record;
        self.template.records.get(number * size..(number + 1) * size).unwrap_or_default()
    }

    /// The number of a record's first site.
    pub fn first_site(&self, record: usize) -> usize {
        self.firsts.binary_search_by_key(&record, |(record, _)| *record).map_or(0, |place| self.firsts[place].1)
    }
}
