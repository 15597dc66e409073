//! What all profiles of one binary have in common: records, names, and which addresses its functions have.
//!
//! Taken from one file of a group, checked once; every other file is compared with it. Unaware of counts.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasherDefault, Hasher};
use std::io;
use std::os::unix::fs::FileExt;

use super::layout::{Refusal, Sections, damaged, half, quarter, unknown, word};

/// A table keyed by numbers that are spread already, or nearly.
pub type Table = HashMap<u64, u64, BuildHasherDefault<Spread>>;

/// Multiplies: addresses of functions and hashes of names need no more.
#[derive(Default)]
pub struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }
    fn write_u64(&mut self, number: u64) {
        let mixed = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 32;
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

/// The sites of a record whose values are profiled.
#[derive(Debug, Clone, Copy)]
pub struct Sited {
    /// How many there are of indirect calls, and of memory operations.
    pub sites: [u16; 2],
    /// The number of its first site among all.
    pub first: usize,
    /// The number of the record.
    pub record: usize,
}

impl Sited {
    /// How many sites there are of all kinds.
    pub fn number(&self) -> usize {
        self.sites.iter().map(|number| usize::from(*number)).sum()
    }
}

/// The group's first file, without its counts.
pub struct Template {
    pub sections: Sections,
    /// Header and binary ids.
    pub head: Vec<u8>,
    pub records: Vec<u8>,
    pub names: Vec<u8>,
    pub sited: Vec<Sited>,
    /// How many sites there are in all.
    pub sites: usize,
    /// From a function's address to the hash of its name; [`AMBIGUOUS`] for an address that has several.
    addresses: Table,
    /// From such a hash to an address.
    pub functions: Table,
}

/// Of addresses that belong to functions of different names: which one llvm-profdata takes is not defined.
pub(super) const AMBIGUOUS: u64 = u64::MAX;

/// How a process's addresses relate to the template's.
pub enum Addresses {
    /// All functions lie at the same distance.
    Slide(u64),
    /// They do not; its own table.
    Own(Table),
}

/// A file, or what stands in the way of using it.
pub type Found<T> = io::Result<Result<T, Refusal>>;

impl Template {
    /// Reads what a file has in common with others, and checks that each record's counters lie within the section.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(file: &File, head: &[u8], sections: Sections) -> Found<Template> {
        let read = |at: usize, bytes: usize| -> io::Result<Vec<u8>> {
            let mut section = vec![0; bytes];
            file.read_exact_at(&mut section, at as u64)?;
            Ok(section)
        };
        let mut head = head.get(..sections.layout.header).unwrap_or(head).to_vec();
        head.extend(read(sections.layout.header, sections.ids)?);
        let records = read(sections.records_at, sections.records)?;
        let names = read(sections.names_at, sections.names)?;
        let template = Template::of(sections, head, records, names);
        // Each site has a byte of value data at least.
        let values = file.metadata()?.len().saturating_sub(sections.values_at as u64);
        let fits = |template: &Template| template.sites as u64 <= values;
        Ok(template.and_then(|template| match fits(&template) {
            true => Ok(template),
            false => Err(damaged("it is cut off within its value data")),
        }))
    }

    /// The same of sections that have been read.
    ///
    /// # Errors
    /// A record's counters lie elsewhere, or it has values of a kind that is not added up.
    pub fn of(sections: Sections, head: Vec<u8>, records: Vec<u8>, names: Vec<u8>) -> Result<Template, Refusal> {
        let layout = sections.layout;
        let (mut sited, mut sites) = (Vec::new(), 0);
        let (mut counters, mut bits) = (0usize, 0usize);
        for (number, record) in records.chunks_exact(layout.record).enumerate() {
            if !in_place(&sections, record, number) {
                return Err(unknown("records whose counters lie elsewhere"));
            }
            counters = counters.saturating_add(half(record, layout.counters) as usize);
            bits = bits.saturating_add(sections.bits_of(record, number).map_or(0, |(_, bytes)| bytes));
            let of_kind = |kind: usize| quarter(record, layout.counters + 4 + 2 * kind);
            if (2..layout.kinds).any(|kind| of_kind(kind) != 0) {
                return Err(unknown("profiles of virtual tables"));
            }
            let of_both = [of_kind(0), of_kind(1)];
            if of_both != [0, 0] {
                let one = Sited { sites: of_both, first: sites, record: number };
                sites += one.number();
                sited.push(one);
            }
        }
        // What is made of records must not be larger than what they say it is made of.
        if counters > sections.counters / 8 || bits > sections.bitmap {
            return Err(unknown("records that share their counters"));
        }
        let addresses = if sited.is_empty() { Table::default() } else { table(&sections, &records) };
        let functions = addresses.iter().filter(|(_, hash)| **hash != AMBIGUOUS).map(|(at, hash)| (*hash, *at));
        // Of two addresses the lower: the table's order is no order.
        let mut lowest = Table::default();
        for (hash, address) in functions {
            let known = lowest.entry(hash).or_insert(address);
            *known = address.min(*known);
        }
        #[rustfmt::skip]
        let template = Template { sections, head, records, names, sited, sites, addresses, functions: lowest };
        Ok(template)
    }

    /// Whether two are of one build.
    pub fn same(&self, other: &Template) -> bool {
        let header = self.sections.layout.header;
        let signature = |template: &Template| template.sections.signature(&template.head);
        self.sections.layout == other.sections.layout
            && signature(self) == signature(other)
            && self.head.get(header..) == other.head.get(header..)
            && self.names == other.names
            && self.records.len() == other.records.len()
            && self.compare(&other.records, 0, &mut None).is_ok()
            // A hash that has no address here is written as a function of another binary.
            && other.functions.keys().all(|hash| self.functions.contains_key(hash))
    }

    /// Compares a part of a file's records, from this byte of the section on, with the template's. Returns the distance of its
    /// functions, if they agree on one; `slide` is that of the parts before.
    ///
    /// # Errors
    /// They differ in more than addresses.
    pub fn compare(&self, part: &[u8], from: usize, slide: &mut Option<u64>) -> Result<bool, Refusal> {
        let layout = self.sections.layout;
        let Some(own) = from.checked_add(part.len()).and_then(|end| self.records.get(from..end)) else {
            return Err(Refusal::Different);
        };
        let ignored = [Some(layout.function_pointer), Some(layout.values), self.unused_bitmap_pointer()];
        let comparison = match layout.record {
            48 => records::<6, 48>(part, own, layout.function_pointer, ignored, slide),
            _ => records::<8, 64>(part, own, layout.function_pointer, ignored, slide),
        };
        comparison.ok_or(Refusal::Different)
    }

    /// A bitmap's place is relative to a section that may be missing; then it is an address.
    fn unused_bitmap_pointer(&self) -> Option<usize> {
        self.sections.layout.bitmap_pointer.filter(|_| self.sections.bitmap == 0)
    }

    /// How to read the addresses of a file, whose records have been compared.
    pub fn addresses(
        &self,
        slide: Option<u64>,
        records: impl FnOnce() -> io::Result<Vec<u8>>,
    ) -> io::Result<Addresses> {
        match slide {
            Some(slide) => Ok(Addresses::Slide(slide)),
            None if self.sited.is_empty() => Ok(Addresses::Slide(0)),
            None => Ok(Addresses::Own(table(&self.sections, &records()?))),
        }
    }

    /// The hash of the name of the function at an address; 0 for one outside of the binary.
    ///
    /// # Errors
    /// It is not clear which, or the template has no address for it.
    pub fn target(&self, addresses: &Addresses, address: u64) -> Result<u64, Refusal> {
        let found = match addresses {
            Addresses::Slide(slide) => self.addresses.get(&address.wrapping_sub(*slide)),
            Addresses::Own(table) => table.get(&address),
        };
        match found {
            None => Ok(0),
            Some(&AMBIGUOUS) => Err(unknown("functions of several names at one address")),
            Some(hash) if self.functions.contains_key(hash) => Ok(*hash),
            Some(_) => Err(unknown("functions that the first profile has no address of")),
        }
    }
}

/// Compares records of so many words (and bytes): whether the addresses of functions lie at one distance. None: there are other
/// differences than in the words that are ignored. Without a branch for each word: this is half of the work on a file.
fn records<const WORDS: usize, const BYTES: usize>(
    theirs: &[u8],
    ours: &[u8],
    pointer: usize,
    ignored: [Option<usize>; 3],
    slide: &mut Option<u64>,
) -> Option<bool> {
    let mask: [u64; WORDS] = std::array::from_fn(|word| if ignored.contains(&Some(word)) { 0 } else { u64::MAX });
    let address = |record: &[u8; BYTES]| word(record, pointer * 8);
    let pairs = || theirs.as_chunks::<BYTES>().0.iter().zip(ours.as_chunks::<BYTES>().0);
    let both = || pairs().map(|(their, our)| (address(their), address(our)));
    let first = || both().find(|(their, our)| *their != 0 && *our != 0).map(|(their, our)| their.wrapping_sub(our));
    *slide = slide.or_else(first);
    let distance = slide.unwrap_or_default();
    let (mut differs, mut uniform) = (0, true);
    for (their, our) in pairs() {
        let words = their.as_chunks::<8>().0.iter().zip(our.as_chunks::<8>().0).zip(&mask);
        for ((their, our), mask) in words {
            differs |= (u64::from_le_bytes(*their) ^ u64::from_le_bytes(*our)) & mask;
        }
        let (their, our) = (address(their), address(our));
        let none = their == 0 && our == 0;
        uniform &= none | ((their != 0) & (our != 0) & (their.wrapping_sub(our) == distance));
    }
    (differs == 0).then_some(uniform)
}

/// Whether a record's counters and bitmap lie in their sections.
fn in_place(sections: &Sections, record: &[u8], number: usize) -> bool {
    let layout = sections.layout;
    let within = |at: usize, bytes: usize, section: usize| at.checked_add(bytes).is_some_and(|end| end <= section);
    let counters = half(record, layout.counters) as usize;
    let at = sections.counters_of(record, number);
    if counters == 0 || !at.is_multiple_of(8) || !within(at, counters.saturating_mul(8), sections.counters) {
        return false;
    }
    match sections.bits_of(record, number) {
        Some((at, bytes)) => within(at, bytes, sections.bitmap),
        None => true,
    }
}

/// From the address of a function to the hash of its name.
fn table(sections: &Sections, records: &[u8]) -> Table {
    let mut table = Table::default();
    for record in records.chunks_exact(sections.layout.record) {
        let (address, hash) = (word(record, sections.layout.function_pointer * 8), word(record, 0));
        if address != 0 {
            let known = table.entry(address).or_insert(hash);
            if *known != hash || hash == 0 {
                *known = AMBIGUOUS;
            }
        }
    }
    table
}
