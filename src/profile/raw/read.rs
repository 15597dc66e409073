//! One raw profile: what it has in common with the others of its binary, and what only it says.
//!
//! A [`Template`] is the common part, taken from one file and checked once; every other file is compared with it. Value data is read
//! with the addresses of the process that wrote it. No memory is taken for more than a file has on disk. Unaware of sums.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use camino::Utf8Path;

use super::LARGEST_COUNT;
use super::layout::{
    ACCELERATOR, Found, LONGEST_HEADER, Refusal, Sections, damaged, padding, u16_at, u32_at, u64_at, unknown,
};
use crate::fs::whole::never_written;

/// An open file whose header is good.
pub struct RawFile {
    pub file: File,
    pub head: Vec<u8>,
    pub length: u64,
    pub sections: Sections,
}

impl RawFile {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// It cannot be read, or is not a profile that is added up here.
    pub fn open(path: &Utf8Path) -> Found<RawFile> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let length = metadata.len();
        let mut head = Vec::with_capacity(LONGEST_HEADER);
        (&file).take(LONGEST_HEADER as u64).read_to_end(&mut head)?;
        if let Some(reason) = never_written(&metadata) {
            return Err(damaged(reason));
        }
        let sections = Sections::parse(&head, length)?;
        Ok(RawFile { file, head, length, sections })
    }

    /// Reads a part of the file in place of what is in the buffer.
    ///
    /// # Errors
    /// It cannot be read, or does not fit into memory.
    pub fn read_into(&self, at: usize, length: usize, buffer: &mut Vec<u8>) -> Found<()> {
        let fits = buffer.try_reserve_exact(length.saturating_sub(buffer.len()));
        fits.map_err(|_| unknown(format!("{length} bytes of it do not fit into memory")))?;
        buffer.resize(length, 0);
        Ok(self.file.read_exact_at(buffer, at as u64)?)
    }

    /// The same, into a new buffer.
    ///
    /// # Errors
    /// As [`RawFile::read_into`].
    pub fn read(&self, at: usize, length: usize) -> Found<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read_into(at, length, &mut bytes)?;
        Ok(bytes)
    }

    /// Where its value data is, and how long: up to the end of the file.
    pub fn value_data(&self) -> (usize, usize) {
        let length = usize::try_from(self.length).unwrap_or(usize::MAX);
        (self.sections.values_at, length.saturating_sub(self.sections.values_at))
    }

    /// What is equal for all files of one binary: the header without addresses, and a hash of the ids, which may be long in a damaged
    /// file.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn signature(&self) -> Found<Vec<u8>> {
        let mut hasher = blake3::Hasher::new();
        (&self.file).seek(SeekFrom::Start(self.sections.layout.header as u64))?;
        hasher.update_reader((&self.file).take(self.sections.ids as u64))?;
        Ok(signature(&self.sections, &self.head, &hasher))
    }
}

fn signature(sections: &Sections, head: &[u8], ids: &blake3::Hasher) -> Vec<u8> {
    let mut signature = sections.signature(head);
    signature.extend(ids.finalize().as_bytes());
    signature
}

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
pub struct SitedRecord {
    /// How many there are of indirect calls, and of memory operations.
    pub sites: [u16; 2],
    /// The number of its first site among all.
    pub first: usize,
    /// The number of the record.
    pub record: usize,
}

impl SitedRecord {
    /// How many sites there are of all kinds.
    pub fn number(&self) -> usize {
        self.sites.iter().map(|number| usize::from(*number)).sum()
    }

    /// How many kinds of sites there are.
    pub fn kinds(&self) -> usize {
        self.sites.iter().filter(|sites| **sites > 0).count()
    }
}

/// A profile without its counts.
pub struct Template {
    pub sections: Sections,
    /// Header and binary ids.
    pub head: Vec<u8>,
    pub records: Vec<u8>,
    pub names: Vec<u8>,
    pub sited: Vec<SitedRecord>,
    /// How many sites there are in all.
    pub sites: usize,
    /// From a function's address to the hash of its name; [`AMBIGUOUS`] for an address that has several.
    addresses: Table,
    /// From such a hash to an address.
    pub functions: Table,
}

/// Stands for an address that belongs to functions of different names: which one llvm-profdata takes is not defined.
const AMBIGUOUS: u64 = u64::MAX;

/// How a process's addresses relate to the template's.
pub enum Addresses {
    /// All functions lie at the same distance.
    Slide(u64),
    /// They do not. This is the process's own table.
    Own(Table),
}

impl Template {
    /// Reads what a file has in common with others, and checks that each record's counters lie within the section.
    ///
    /// # Errors
    /// The file cannot be read, or what [`Template::new`] says.
    pub fn read(file: &RawFile) -> Found<Template> {
        let sections = file.sections;
        let mut head = file.head.get(..sections.layout.header).unwrap_or(&file.head).to_vec();
        head.extend(file.read(sections.layout.header, sections.ids)?);
        let records = file.read(sections.records_at, sections.records)?;
        let names = file.read(sections.names_at, sections.names)?;
        let template = Template::new(sections, head, records, names)?;
        // Each site has a byte of value data at least.
        match template.sites <= file.value_data().1 {
            true => Ok(template),
            false => Err(damaged(CUT_OFF)),
        }
    }

    /// The same of sections that have been read.
    ///
    /// # Errors
    /// A record's counters lie elsewhere, or it has values of a kind that is not added up.
    pub fn new(sections: Sections, head: Vec<u8>, records: Vec<u8>, names: Vec<u8>) -> Found<Template> {
        let layout = sections.layout;
        let (mut sited, mut sites) = (Vec::new(), 0);
        let (mut counters, mut bits) = (0usize, 0usize);
        for (number, record) in records.chunks_exact(layout.record).enumerate() {
            if !in_place(&sections, record, number) {
                return Err(unknown("records whose counters lie elsewhere"));
            }
            counters = counters.saturating_add(u32_at(record, layout.counters) as usize);
            bits = bits.saturating_add(sections.bits_of(record, number).map_or(0, |(_, bytes)| bytes));
            let of_kind = |kind: usize| u16_at(record, layout.counters + 4 + 2 * kind);
            if (2..layout.kinds).any(|kind| of_kind(kind) != 0) {
                return Err(unknown("profiles of virtual tables"));
            }
            if layout.wave_size.is_some_and(|at| u16_at(record, at) != 0) {
                return Err(unknown(ACCELERATOR));
            }
            let one = SitedRecord { sites: [of_kind(0), of_kind(1)], first: sites, record: number };
            if one.number() > 0 {
                sites += one.number();
                sited.push(one);
            }
        }
        // What is made of records must not be larger than what they say it is made of.
        if counters > sections.counters / 8 || bits > sections.bitmap {
            return Err(unknown("records that share their counters"));
        }
        let addresses = if sited.is_empty() { Table::default() } else { table(&sections, &records) };
        let mut functions = Table::with_capacity_and_hasher(addresses.len(), BuildHasherDefault::default());
        for (address, hash) in addresses.iter().filter(|(_, hash)| **hash != AMBIGUOUS) {
            // Of two addresses the lower: the table's order is no order.
            let known = functions.entry(*hash).or_insert(*address);
            *known = (*address).min(*known);
        }
        Ok(Template { sections, head, records, names, sited, sites, addresses, functions })
    }

    /// As [`RawFile::signature`] of each file that is like this.
    pub fn signature(&self) -> Vec<u8> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.ids());
        signature(&self.sections, &self.head, &hasher)
    }

    /// The binary ids as they stand in the file.
    pub fn ids(&self) -> &[u8] {
        self.head.get(self.sections.layout.header..).unwrap_or_default()
    }

    /// The bytes of a record.
    pub fn record(&self, number: usize) -> &[u8] {
        let size = self.sections.layout.record;
        self.records.get(number * size..(number + 1) * size).unwrap_or_default()
    }

    /// Whether two are of one build.
    pub fn is_same_build(&self, other: &Template) -> bool {
        self.sections.layout == other.sections.layout
            && self.sections.signature(&self.head) == other.sections.signature(&other.head)
            && self.ids() == other.ids()
            && self.names == other.names
            && self.records.len() == other.records.len()
            && self.compare(&other.records, 0, &mut None).is_ok()
            // A hash that has no address here is written as a function of another binary.
            && other.functions.keys().all(|hash| self.functions.contains_key(hash))
    }

    /// Compares a part of a file's records, from this byte of the section on, with the template's. Returns whether their functions
    /// lie at one distance; `slide` is the distance in the parts before.
    ///
    /// # Errors
    /// They differ in more than addresses.
    pub fn compare(&self, part: &[u8], from: usize, slide: &mut Option<u64>) -> Found<bool> {
        let layout = self.sections.layout;
        let own = from.checked_add(part.len()).and_then(|end| self.records.get(from..end)).ok_or(Refusal::Different)?;
        // A bitmap's place is relative to a section that may be missing; then it is an address.
        let unused_bitmap = layout.bitmap_pointer.filter(|_| self.sections.bitmap == 0);
        let ignored = [Some(layout.function_pointer), Some(layout.values), unused_bitmap];
        let comparison = match layout.record {
            48 => compare_records::<6, 48>(part, own, layout.function_pointer, ignored, slide),
            72 => compare_records::<9, 72>(part, own, layout.function_pointer, ignored, slide),
            _ => compare_records::<8, 64>(part, own, layout.function_pointer, ignored, slide),
        };
        comparison.ok_or(Refusal::Different)
    }

    /// How to read the addresses of a file whose records have been compared.
    ///
    /// # Errors
    /// The records cannot be read again.
    pub fn addresses(&self, slide: Option<u64>, file: &RawFile) -> Found<Addresses> {
        match slide {
            Some(slide) => Ok(Addresses::Slide(slide)),
            None if self.sited.is_empty() => Ok(Addresses::Slide(0)),
            None => {
                let records = file.read(self.sections.records_at, self.sections.records)?;
                Ok(Addresses::Own(table(&self.sections, &records)))
            }
        }
    }

    /// The hash of the name of the function at an address; 0 for one outside of the binary.
    fn target(&self, addresses: &Addresses, address: u64) -> Found<u64> {
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
fn compare_records<const WORDS: usize, const BYTES: usize>(
    theirs: &[u8],
    ours: &[u8],
    pointer: usize,
    ignored: [Option<usize>; 3],
    slide: &mut Option<u64>,
) -> Option<bool> {
    let mask: [u64; WORDS] = std::array::from_fn(|word| if ignored.contains(&Some(word)) { 0 } else { u64::MAX });
    let address = |record: &[u8; BYTES]| u64_at(record, pointer * 8);
    let pairs = || theirs.as_chunks::<BYTES>().0.iter().zip(ours.as_chunks::<BYTES>().0);
    let both = || pairs().map(|(their, our)| (address(their), address(our)));
    let first = || both().find(|(their, our)| *their != 0 && *our != 0).map(|(their, our)| their.wrapping_sub(our));
    *slide = slide.or_else(first);
    let distance = slide.unwrap_or_default();
    let (mut differs, mut uniform) = (0, true);
    for (their, our) in pairs() {
        for (word, mask) in mask.iter().enumerate() {
            differs |= (u64_at(their, word * 8) ^ u64_at(our, word * 8)) & mask;
        }
        let (their, our) = (address(their), address(our));
        let none = their == 0 && our == 0;
        uniform &= none | ((their != 0) & (our != 0) & (their.wrapping_sub(our) == distance));
    }
    (differs == 0).then_some(uniform)
}

/// Whether a record's counters and bitmap lie in their sections.
fn in_place(sections: &Sections, record: &[u8], number: usize) -> bool {
    let within = |at: usize, bytes: usize, section: usize| at.checked_add(bytes).is_some_and(|end| end <= section);
    let counters = u32_at(record, sections.layout.counters) as usize;
    let at = sections.counters_of(record, number);
    counters > 0
        && at.is_multiple_of(8)
        && within(at, counters.saturating_mul(8), sections.counters)
        && sections.bits_of(record, number).is_none_or(|(at, bytes)| within(at, bytes, sections.bitmap))
}

/// From the address of a function to the hash of its name.
fn table(sections: &Sections, records: &[u8]) -> Table {
    let functions = records.len() / sections.layout.record;
    let mut table = Table::with_capacity_and_hasher(functions, BuildHasherDefault::default());
    for record in records.chunks_exact(sections.layout.record) {
        let (address, hash) = (u64_at(record, sections.layout.function_pointer * 8), u64_at(record, 0));
        if address != 0 {
            let known = table.entry(address).or_insert(hash);
            if *known != hash || hash == 0 {
                *known = AMBIGUOUS;
            }
        }
    }
    table
}

/// The kind of values that are addresses of functions.
pub(super) const CALLS: usize = 0;
const CUT_OFF: &str = "it is cut off within its value data";
const NO_FIT: &str = "value data that does not fit to its records";

/// A value at a site. A call's value is the hash of the function's name, 0 for all functions of other binaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SiteValue {
    pub site: usize,
    pub value: u64,
    /// Tells apart what has no name: llvm-profdata keeps as many functions of other binaries as one profile has at most.
    pub rank: u8,
    pub count: u64,
}

/// In which order the values of a site are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueOrder {
    /// Ascending, and with ranks, as sums need them.
    Ascending,
    /// As in the file, without ranks.
    File,
}

/// Reads value data into a list in place of what is in it: for each record with sites, the values seen at each and how often. The sites
/// ascend.
///
/// # Errors
/// It is not what the records say, ends early or late, or needs llvm-profdata to interpret.
pub fn values(
    template: &Template,
    addresses: &Addresses,
    data: &[u8],
    order: ValueOrder,
    values: &mut Vec<SiteValue>,
) -> Found<()> {
    values.clear();
    let (mut at, mut sorted) = (0usize, Vec::new());
    for record in &template.sited {
        let (total, stored) = (u32_at(data, at) as usize, u32_at(data, at + 4) as usize);
        if data.len() - at < 8 || data.len() - at < total {
            return Err(damaged(CUT_OFF));
        }
        if stored != record.kinds() || total < 8 {
            return Err(unknown("value data of other kinds than its records say"));
        }
        let block = &data[at..at + total];
        at += total;
        let (mut inside, mut site) = (8usize, record.first);
        for (kind, sites) in record.sites.iter().enumerate().filter(|(_, sites)| **sites > 0) {
            let sites = usize::from(*sites);
            let counts = block.get(inside + 8..inside + 8 + sites).ok_or_else(|| unknown(NO_FIT))?;
            if (u32_at(block, inside) as usize, u32_at(block, inside + 4) as usize) != (kind, sites) {
                return Err(unknown(NO_FIT));
            }
            inside += 8 + sites + padding(sites);
            for count in counts {
                let end = inside + 16 * usize::from(*count);
                let pairs = block.get(inside..end).ok_or_else(|| unknown(NO_FIT))?;
                let before = values.len();
                for pair in pairs.as_chunks::<16>().0 {
                    let (value, count) = (u64_at(pair, 0), u64_at(pair, 8));
                    let value = if kind == CALLS { template.target(addresses, value)? } else { value };
                    values.push(SiteValue { site, value, rank: 0, count });
                }
                inside = end;
                site += 1;
                if *count == 0 {
                    continue;
                }
                match order {
                    ValueOrder::Ascending => one_each(&mut values[before..], kind)?,
                    ValueOrder::File => {
                        sorted.clear();
                        sorted.extend_from_slice(&values[before..]);
                        one_each(&mut sorted, kind)?;
                    }
                }
            }
        }
        if inside != block.len() {
            return Err(unknown(NO_FIT));
        }
    }
    match at == data.len() {
        true => Ok(()),
        false => Err(unknown("something behind its value data")),
    }
}

/// Sorts a site's values, and gives targets outside of the binary ranks, the most frequent first. What llvm-profdata makes of other
/// values that occur twice depends on the order of its inputs, so that is left to it.
fn one_each(values: &mut [SiteValue], kind: usize) -> Found<()> {
    values.sort_unstable_by_key(|value| (value.value, std::cmp::Reverse(value.count)));
    let unnamed = if kind == CALLS { values.partition_point(|value| value.value == 0) } else { 0 };
    let (unnamed, named) = values.split_at_mut(unnamed);
    for (rank, one) in unnamed.iter_mut().enumerate() {
        // A site has no more than 255 values.
        one.rank = rank as u8;
    }
    match named.windows(2).any(|pair| pair[0].value == pair[1].value) {
        true => Err(unknown("a value that occurs twice at a site")),
        false => Ok(()),
    }
}

/// A profile in memory, with all that is in it.
pub struct Whole {
    pub template: Template,
    /// Bytes of the section, as of the bitmap's.
    pub counters: Vec<u8>,
    pub bits: Vec<u8>,
    /// Sites ascend; the values of each are in the order of the file.
    pub values: Vec<SiteValue>,
}

impl Whole {
    /// Reads a profile.
    ///
    /// # Errors
    /// It cannot be read, or is not understood.
    pub fn read(path: &Utf8Path) -> Found<Whole> {
        let file = RawFile::open(path)?;
        let template = Template::read(&file)?;
        let counters = file.read(file.sections.counters_at, file.sections.counters)?;
        let counts = counters.as_chunks::<8>().0.iter().map(|counter| u64::from_le_bytes(*counter));
        if counts.fold(false, |any, count| any | (count > LARGEST_COUNT)) {
            return Err(unknown("a count above 2^56"));
        }
        let bits = file.read(file.sections.bitmap_at, file.sections.bitmap)?;
        let (at, length) = file.value_data();
        let data = file.read(at, length)?;
        let mut all = Vec::new();
        values(&template, &Addresses::Slide(0), &data, ValueOrder::File, &mut all)?;
        Ok(Whole { template, counters, bits, values: all })
    }
}
