//! One binary's profiles, added up into one by several threads at a time.
//!
//! Each file is compared with the first, its value data is read, its counters are added, and only then its values: a file
//! counts whole or not at all, but for functions with impossible counts. Unaware of other binaries.
//!
//! | part | how it is added | memory |
//! |---|---|---|
//! | counters | as 64-bit sums, in chunks that a core's cache holds; no sum goes above 2^56 | one section |
//! | bitmap | by `or` | one section |
//! | values | by site and value; a sum has no limit of 255 values a site, a written profile has | what was seen |

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::layout::{Found, Refusal, damaged, padding, u32_at, u64_at, unknown};
use super::names::Names;
use super::read::{self, CALLS, RawFile, SiteValue, Template, ValueOrder};
use super::{Input, LARGEST_COUNT};
use crate::proc::start;
use crate::profile::names::demangle;

/// Bytes that are read at once and locked together: they stay in the core's own cache.
pub(super) const CHUNK: usize = 256 << 10;
/// How many values of a site a profile can hold.
const MOST_VALUES: usize = 255;
/// So many functions that are left out of a file are named.
const NAMED: usize = 5;
/// In so many parts values are locked.
const SHARDS: usize = 64;

/// A group's sum, while files are added to it.
pub struct Group {
    pub(super) template: Template,
    pub(super) counters: Counters,
    pub(super) bitmap: Mutex<Vec<u8>>,
    pub(super) values: ValueSums,
    /// The names of its functions, once something has to be said of one. None: they are not well-formed.
    names: OnceLock<Option<Names>>,
    /// How many files are in it.
    pub(super) files: u64,
    /// The first of them, which is what a person knows.
    pub(super) first: Utf8PathBuf,
}

/// What a thread needs for one file after another.
#[derive(Default)]
struct Scratch {
    chunk: Vec<u8>,
    data: Vec<u8>,
    values: Vec<SiteValue>,
}

/// The functions that were left out of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoiled {
    functions: usize,
    of: usize,
    /// The first few, as people write them, each with an impossible count of it.
    pub named: Vec<(String, u64)>,
}

impl std::fmt::Display for Spoiled {
    fn fmt(&self, to: &mut std::fmt::Formatter) -> std::fmt::Result {
        let Spoiled { functions, of, named } = self;
        write!(to, "{functions} of {of} functions left out because of impossible counts")?;
        for (number, (name, count)) in named.iter().enumerate() {
            write!(to, "{} `{name}` ({count})", if number == 0 { ":" } else { "," })?;
        }
        let more = functions.saturating_sub(named.len());
        if more > 0 { write!(to, " and {more} more") } else { Ok(()) }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Group {
    /// An empty sum of files like this one.
    ///
    /// # Errors
    /// It cannot be read, or is not added up here.
    pub fn like(path: &Utf8Path) -> Found<Group> {
        Ok(Group::new(Template::read(&RawFile::open(path)?)?, path.to_owned()))
    }

    /// An empty sum.
    pub fn new(template: Template, first: Utf8PathBuf) -> Group {
        Group {
            counters: Counters::new(template.sections.counters),
            bitmap: Mutex::new(vec![0; template.sections.bitmap]),
            values: ValueSums::new(template.sites),
            names: OnceLock::new(),
            template,
            files: 0,
            first,
        }
    }

    /// Adds all files that fit, in so many threads. Returns for each what was left out of it, or why it was not added.
    ///
    /// # Errors
    /// One cannot be read: then the sum is not to be used.
    pub fn add_all(&mut self, files: &[Input], threads: usize) -> Result<Vec<Found<Option<Spoiled>>>> {
        let next = AtomicUsize::new(0);
        let results: Vec<OnceLock<Found<Option<Spoiled>>>> = files.iter().map(|_| OnceLock::new()).collect();
        let threads = threads.clamp(1, files.len().max(1));
        let group = &*self;
        let work = |thread: usize| {
            let first = thread * group.template.sections.counters / CHUNK / threads;
            let mut scratch = Scratch::default();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let (Some((path, weight)), Some(place)) = (files.get(number), results.get(number)) else { break };
                let result = group.add(path, *weight, first, &mut scratch);
                if matches!(result, Err(Refusal::Unreadable(_))) {
                    next.store(files.len(), Ordering::Relaxed);
                }
                // Each number is given out once.
                let _ = place.set(result);
            }
        };
        std::thread::scope(|scope| {
            let work = &work;
            // With fewer threads it takes longer.
            (1..threads).for_each(|thread| drop(start::scoped(scope, "adder", move || work(thread))));
            work(0);
        });
        let mut all = Vec::with_capacity(files.len());
        // Behind one that cannot be read there may be some that were not tried.
        for ((path, _), result) in files.iter().zip(results) {
            match result.into_inner() {
                Some(Err(Refusal::Unreadable(error))) => return Err(error).context(format!("cannot read {path}")),
                Some(result) => all.push(result),
                None => {}
            }
        }
        self.files += all.iter().filter(|result| result.is_ok()).count() as u64;
        Ok(all)
    }

    /// Adds a file so many times: whole (but for functions whose counts cannot be), or not at all. `first` is where among the
    /// counters to begin.
    fn add(&self, path: &Utf8Path, weight: u64, first: usize, scratch: &mut Scratch) -> Found<Option<Spoiled>> {
        let file = RawFile::open(path)?;
        let sections = &file.sections;
        self.compare(&file, scratch)?;
        let Scratch { chunk: buffer, values, .. } = scratch;
        let mut bits = file.read(sections.bitmap_at, sections.bitmap)?;
        let mut spoiled = None;
        let mut added = self.counters.add(Source::File(&file.file, sections.counters_at), weight, first, buffer)?;
        if added == Added::TooLarge {
            let mut counters = file.read(sections.counters_at, sections.counters)?;
            spoiled = self.leave_out(&mut counters, &mut bits, values)?;
            added = self.counters.add(Source::Memory(&counters), weight, first, buffer)?;
        }
        match added {
            Added::Yes => {}
            // What is larger has been taken out; together they have too many bits.
            Added::TooLarge => return Err(unknown("counts about 2^56")),
            Added::SumTooLarge => return Err(Refusal::Full),
        }
        self.add_bits(&bits);
        self.values.add(values, weight);
        Ok(spoiled)
    }

    /// Adds another sum of the same build. False, and nothing done, if it is of another, or a count could become too large.
    pub fn join(&mut self, other: &Group) -> bool {
        if !self.template.is_same_build(&other.template) || !self.counters.join(&other.counters) {
            return false;
        }
        self.add_bits(&lock(&other.bitmap));
        self.values.join(other.values.sites());
        self.files += other.files;
        true
    }

    /// Takes the functions out of a file's counters, bitmap and values that have a count above 2^56. None: there is none.
    ///
    /// # Errors
    /// They are more than one in a hundred: then nothing in the file can be trusted.
    fn leave_out(&self, counters: &mut [u8], bits: &mut [u8], values: &mut Vec<SiteValue>) -> Found<Option<Spoiled>> {
        let template = &self.template;
        let layout = template.sections.layout;
        let (mut functions, mut first, mut sites) = (0, Vec::new(), Vec::new());
        let mut sited = template.sited.iter().peekable();
        for (number, record) in template.records.chunks_exact(layout.record).enumerate() {
            let sited = sited.next_if(|sited| sited.record == number);
            let at = template.sections.counters_of(record, number);
            let own = counters.get_mut(at..at + 8 * u32_at(record, layout.counters) as usize).unwrap_or_default();
            let counts = own.as_chunks::<8>().0.iter().map(|counter| u64::from_le_bytes(*counter));
            let Some(count) = counts.into_iter().find(|count| *count > LARGEST_COUNT) else { continue };
            functions += 1;
            if first.len() < NAMED {
                first.push((u64_at(record, 0), count));
            }
            own.fill(0);
            if let Some((at, length)) = template.sections.bits_of(record, number) {
                bits.get_mut(at..at + length).unwrap_or_default().fill(0);
            }
            sites.extend(sited.map(|sited| sited.first..sited.first + sited.number()));
        }
        let of = template.records.len() / layout.record;
        if functions > 1 + of / 100 {
            let count = first.first().map_or(0, |(_, count)| *count);
            return Err(damaged(format!("{functions} of its {of} functions have impossible counts, as {count}")));
        }
        // Ranges ascend, as sites do.
        let mut sites = sites.into_iter().peekable();
        values.retain(|value| {
            while sites.next_if(|range| range.end <= value.site).is_some() {}
            !sites.peek().is_some_and(|range| range.contains(&value.site))
        });
        let named = || first.iter().map(|(hash, count)| (self.name_of(*hash), *count)).collect();
        Ok((functions > 0).then(|| Spoiled { functions, of, named: named() }))
    }

    /// A function's name as people write it, by its hash. Without names the hash.
    fn name_of(&self, hash: u64) -> String {
        let names = self.names.get_or_init(|| Names::decode(&self.template.names).ok());
        let name = names.as_ref().and_then(|names| names.get(hash));
        name.map_or_else(|| format!("{hash:016x}"), |name| demangle(&String::from_utf8_lossy(name)))
    }

    fn add_bits(&self, bits: &[u8]) {
        lock(&self.bitmap).iter_mut().zip(bits).for_each(|(sum, bits)| *sum |= bits);
    }

    /// Holds a file against the template, and reads its value data.
    fn compare(&self, file: &RawFile, scratch: &mut Scratch) -> Found<()> {
        let Scratch { chunk: buffer, data, values } = scratch;
        let (template, sections) = (&self.template, &file.sections);
        let same = sections.signature(&file.head) == template.sections.signature(&template.head)
            && same_bytes(&file.file, sections.layout.header, template.ids(), buffer)?
            && same_bytes(&file.file, sections.names_at, &template.names, buffer)?;
        if !same {
            return Err(Refusal::Different);
        }
        let (mut slide, mut uniform) = (None, true);
        let step = CHUNK - CHUNK % sections.layout.record;
        for from in (0..sections.records).step_by(step) {
            let part = chunk(&file.file, sections.records_at + from, step.min(sections.records - from), buffer)?;
            uniform &= template.compare(part, from, &mut slide)?;
        }
        let addresses = template.addresses(slide.filter(|_| uniform), file)?;
        let (at, length) = file.value_data();
        file.read_into(at, length, data)?;
        read::values(template, &addresses, data, ValueOrder::Ascending, values)
    }
}

/// Reads a part of at most [`CHUNK`] bytes.
fn chunk<'a>(file: &File, at: usize, length: usize, buffer: &'a mut Vec<u8>) -> io::Result<&'a mut [u8]> {
    buffer.resize(CHUNK, 0);
    let part = &mut buffer[..length.min(CHUNK)];
    file.read_exact_at(part, at as u64)?;
    Ok(part)
}

/// Whether a file has these bytes there.
fn same_bytes(file: &File, at: usize, bytes: &[u8], buffer: &mut Vec<u8>) -> io::Result<bool> {
    for (number, expected) in bytes.chunks(CHUNK).enumerate() {
        if chunk(file, at + number * CHUNK, expected.len(), buffer)? != expected {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The sums of counters.
pub struct Counters {
    chunks: Vec<Mutex<Vec<u64>>>,
    bytes: usize,
    /// No sum is larger than this.
    bound: AtomicU64,
}

/// What became of a file's counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Added {
    Yes,
    /// One of them may be larger than llvm-profdata takes for possible; none has been added.
    TooLarge,
    /// A sum could be; none has been added.
    SumTooLarge,
}

/// Where a file's counters are.
#[derive(Clone, Copy)]
enum Source<'a> {
    /// In the file, from this byte on.
    File(&'a File, usize),
    Memory(&'a [u8]),
}

impl Counters {
    /// All zero, for a section of so many bytes.
    fn new(bytes: usize) -> Counters {
        let lengths = (0..bytes.div_ceil(CHUNK)).map(|number| (bytes - number * CHUNK).min(CHUNK) / 8);
        let chunks = lengths.map(|length| Mutex::new(vec![0; length])).collect();
        Counters { chunks, bytes, bound: AtomicU64::new(0) }
    }

    /// Sums that were kept in a file, none larger than the bound.
    pub fn restored(section: &[u8], bound: u64) -> Counters {
        let words = |part: &[u8]| part.as_chunks::<8>().0.iter().map(|sum| u64::from_le_bytes(*sum)).collect();
        let chunks = section.chunks(CHUNK).map(|part| Mutex::new(words(part))).collect();
        Counters { chunks, bytes: section.len(), bound: AtomicU64::new(bound) }
    }

    /// No sum is larger than this.
    pub fn bound(&self) -> u64 {
        self.bound.load(Ordering::Relaxed)
    }

    /// Adds those of a file, so many times. Threads that begin at different chunks do not wait for each other.
    ///
    /// # Errors
    /// The file cannot be read. What was added by then stays.
    fn add(&self, source: Source, weight: u64, first: usize, buffer: &mut Vec<u8>) -> io::Result<Added> {
        let mut all = 0;
        let order = || (0..self.chunks.len()).map(|number| (number + first) % self.chunks.len());
        let mut done = 0;
        for number in order() {
            all |= match weight {
                1 => self.one(source, number, buffer, u64::wrapping_add)?,
                _ => self.one(source, number, buffer, |sum, count| sum.wrapping_add(count.wrapping_mul(weight)))?,
            };
            done += 1;
            if all > LARGEST_COUNT {
                break;
            }
        }
        // A word with all bits that some counter has is no smaller than the largest.
        let result = match all > LARGEST_COUNT {
            true => Added::TooLarge,
            false if self.reserve(all.checked_mul(weight)) => return Ok(Added::Yes),
            false => Added::SumTooLarge,
        };
        for number in order().take(done) {
            self.one(source, number, buffer, |sum, count| sum.wrapping_sub(count.wrapping_mul(weight)))?;
        }
        Ok(result)
    }

    /// The sum of all.
    pub fn total(&self) -> u128 {
        self.chunks.iter().map(|chunk| lock(chunk).iter().map(|sum| u128::from(*sum)).sum::<u128>()).sum()
    }

    /// Multiplies all. False, and nothing done, if one would become too large.
    pub fn multiply(&self, times: u64) -> bool {
        let largest = self.chunks.iter().filter_map(|chunk| lock(chunk).iter().max().copied()).max().unwrap_or(0);
        let Some(bound) = largest.checked_mul(times).filter(|bound| *bound <= LARGEST_COUNT) else { return false };
        self.chunks.iter().for_each(|chunk| lock(chunk).iter_mut().for_each(|sum| *sum *= times));
        self.bound.store(bound, Ordering::Relaxed);
        true
    }

    /// Adds to the bound, if no sum can become too large by that.
    fn reserve(&self, more: Option<u64>) -> bool {
        let fits = |bound: u64| bound.checked_add(more?).filter(|bound| *bound <= LARGEST_COUNT);
        self.bound.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    /// Adds other sums of the same section. False, and nothing done, if a sum could become too large.
    fn join(&self, other: &Counters) -> bool {
        if self.bytes != other.bytes || !self.reserve(Some(other.bound())) {
            return false;
        }
        for (own, other) in self.chunks.iter().zip(&other.chunks) {
            let other = lock(other);
            lock(own).iter_mut().zip(other.iter()).for_each(|(own, other)| *own = own.wrapping_add(*other));
        }
        true
    }

    fn one(
        &self,
        source: Source,
        number: usize,
        buffer: &mut Vec<u8>,
        add: impl Fn(u64, u64) -> u64,
    ) -> io::Result<u64> {
        let (begin, length) = (number * CHUNK, (self.bytes - number * CHUNK).min(CHUNK));
        let part = match source {
            Source::File(file, at) => chunk(file, at + begin, length, buffer)?,
            Source::Memory(bytes) => bytes.get(begin..begin + length).unwrap_or_default(),
        };
        let mut sums = lock(&self.chunks[number]);
        let mut all = 0;
        for (sum, counter) in sums.iter_mut().zip(part.as_chunks::<8>().0) {
            let counter = u64::from_le_bytes(*counter);
            all |= counter;
            *sum = add(*sum, counter);
        }
        Ok(all)
    }

    /// The section's bytes, in parts.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn write<E>(&self, mut write: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        for chunk in &self.chunks {
            let bytes: Vec<u8> = lock(chunk).iter().flat_map(|sum| sum.to_le_bytes()).collect();
            write(&bytes)?;
        }
        Ok(())
    }
}

/// Values (with ranks) and counts of one site, by value.
pub(super) type Site = Vec<((u64, u8), u64)>;

/// The sums of values.
pub struct ValueSums {
    shards: Vec<Mutex<Vec<Site>>>,
    per_shard: usize,
}

impl ValueSums {
    fn new(sites: usize) -> ValueSums {
        let per_shard = sites.div_ceil(SHARDS).max(1);
        let shards = (0..sites.div_ceil(per_shard)).map(|_| Mutex::new(vec![Site::new(); per_shard])).collect();
        ValueSums { shards, per_shard }
    }

    /// Adds what one file has, sites in ascending order, so many times.
    fn add(&self, values: &[SiteValue], weight: u64) {
        for part in values.chunk_by(|a, b| a.site / self.per_shard == b.site / self.per_shard) {
            let shard = part.first().and_then(|first| self.shards.get(first.site / self.per_shard));
            let Some(shard) = shard else { continue };
            let mut sites = lock(shard);
            for one in part {
                let site = &mut sites[one.site % self.per_shard];
                let count = one.count.saturating_mul(weight);
                match site.binary_search_by_key(&(one.value, one.rank), |(value, _)| *value) {
                    Ok(known) => site[known].1 = site[known].1.saturating_add(count),
                    Err(place) => site.insert(place, ((one.value, one.rank), count)),
                }
            }
        }
    }

    /// Adds other sums of the same sites.
    pub fn join(&self, sites: impl Iterator<Item = Site>) {
        let values = |(site, values): (usize, Site)| {
            let one = move |((value, rank), count)| SiteValue { site, value, rank, count };
            values.into_iter().map(one)
        };
        let values: Vec<SiteValue> = sites.enumerate().flat_map(values).collect();
        self.add(&values, 1);
    }

    /// Multiplies all counts.
    pub fn multiply(&self, times: u64) {
        for shard in &self.shards {
            for (_, count) in lock(shard).iter_mut().flatten() {
                *count = count.saturating_mul(times);
            }
        }
    }

    /// What is known of each site, in their order: whatever the number of values, unlike in a profile.
    pub fn sites(&self) -> impl Iterator<Item = Site> {
        self.shards.iter().flat_map(|shard| lock(shard).clone())
    }

    /// The value data of a profile, in parts of one record each.
    ///
    /// Values ascend: llvm-profdata adds profiles in this order and sorts by count then, so that it leaves values of equal
    /// count in the same order as after its own addition.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn write<E>(&self, template: &Template, mut write: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut sites = self.sites().map(most_frequent);
        let mut block = Vec::new();
        for record in &template.sited {
            block.clear();
            block.extend([0; 4]);
            block.extend((record.kinds() as u32).to_le_bytes());
            for (kind, count) in record.sites.iter().enumerate().filter(|(_, count)| **count > 0) {
                block.extend((kind as u32).to_le_bytes());
                block.extend(u32::from(*count).to_le_bytes());
                let of_kind: Vec<Site> = sites.by_ref().take(usize::from(*count)).collect();
                block.extend(of_kind.iter().map(|site| site.len() as u8));
                block.extend(std::iter::repeat_n(0, padding(usize::from(*count))));
                for ((value, _), count) in of_kind.into_iter().flatten() {
                    let address = || template.functions.get(&value).copied().unwrap_or(0);
                    let value = if kind == CALLS { address() } else { value };
                    block.extend(value.to_le_bytes());
                    block.extend(count.to_le_bytes());
                }
            }
            let total = (block.len() as u32).to_le_bytes();
            block[..4].copy_from_slice(&total);
            write(&block)?;
        }
        Ok(())
    }
}

/// Leaves out the least frequent values of a site that has more than a profile can hold.
fn most_frequent(mut site: Site) -> Site {
    if site.len() > MOST_VALUES {
        site.sort_by_key(|(value, count)| (std::cmp::Reverse(*count), *value));
        site.truncate(MOST_VALUES);
        site.sort_unstable_by_key(|(value, _)| *value);
    }
    site
}
