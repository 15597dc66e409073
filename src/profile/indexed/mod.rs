//! The merged (indexed) profile of one or several raw ones, as `llvm-profdata merge` of LLVM 18 and later writes it.
//!
//! | in the file | content | source in LLVM |
//! |---|---|---|
//! | header | magic, version and flags, two zeros, 4 offsets (version 11) or 5 (12, 13) | `IndexedInstrProf::Header` |
//! | summary | totals, largest counts, 16 parts of the total; a second one for the second level | `ProfileSummaryBuilder.cpp` |
//! | functions | by bucket: name, hash of the structure, counters, bitmap (a word per byte), values by count | `InstrProfRecordWriterTrait` |
//! | directory | how many buckets and functions, where each bucket begins | `OnDiskHashTable.h` |
//! | ids, tables | binary ids, sorted; names of virtual tables (since 12): none | `InstrProfWriter::writeImpl` |
//!
//! Whoever uses it should have compared it with what the very tool that it stands for writes. What is not certain is refused. What was
//! written is read back by [`check`], which shares no code with the writer but the list of parts. Unaware of tools.

mod check;

use std::collections::{BTreeSet, HashSet};
use std::hash::BuildHasherDefault;
use std::io;

use camino::Utf8PathBuf;

use super::raw::layout::{Found, Refusal, padding, u32_at, u64_at, unknown};
use super::raw::names::Names;
use super::raw::read::{Spread, Whole};
pub use check::check;

/// The first and the last version of the format that is written here.
const VERSIONS: std::ops::RangeInclusive<u32> = 11..=13;
const MAGIC: [u8; 8] = *b"\xfflprofi\x81";
/// The flag of hashes of functions that were instrumented after inlining, and of profiles that have such.
const SECOND_LEVEL: (u64, u64) = (1 << 60, 1 << 57);

/// Raw profiles that have no function in common, ready to be written.
pub struct Profile {
    wholes: Vec<Whole>,
    /// In the order of their raw profiles.
    pub functions: Vec<Function>,
    names: Vec<Names>,
    flags: u64,
    ids: Vec<Vec<u8>>,
}

/// A record of one of the raw profiles.
pub struct Function {
    /// The hash of its name.
    name: u64,
    whole: usize,
    record: usize,
    /// Which of the values are its own.
    values: std::ops::Range<usize>,
    /// The number of its sites of either kind, and the number of the first one.
    sites: [u16; 2],
    first_site: usize,
}

impl Profile {
    /// Reads raw profiles.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn read(paths: &[Utf8PathBuf]) -> io::Result<Found<Profile>> {
        match Profile::understand(paths) {
            Err(Refusal::Unreadable(error)) => Err(error),
            found => Ok(found),
        }
    }

    fn understand(paths: &[Utf8PathBuf]) -> Found<Profile> {
        let mut profile =
            Profile { wholes: Vec::new(), functions: Vec::new(), names: Vec::new(), flags: 0, ids: Vec::new() };
        let mut seen: HashSet<u64, BuildHasherDefault<Spread>> = HashSet::default();
        for (number, path) in paths.iter().enumerate() {
            let before = profile.functions.len();
            profile.add(Whole::read(path)?, number)?;
            let new = &profile.functions[before..];
            seen.reserve(new.len());
            if !new.iter().all(|function| seen.insert(function.name)) {
                return Err(unknown("functions that occur twice"));
            }
        }
        profile.ids.sort();
        profile.ids.dedup();
        Ok(profile)
    }

    fn add(&mut self, whole: Whole, number: usize) -> Found<()> {
        let template = &whole.template;
        let layout = template.sections.layout;
        let flags = u64_at(&template.head, 8) >> 32 << 32;
        if number > 0 && flags != self.flags {
            return Err(unknown("several kinds of profiles"));
        }
        self.flags = flags;
        self.ids.extend(binary_ids(template.ids())?);
        let names = Names::decode(&template.names)?;
        let mut sited = template.sited.iter().peekable();
        let mut values = 0;
        for (record, bytes) in template.records.chunks_exact(layout.record).enumerate() {
            let begin = values;
            let (sites, first_site) = match sited.next_if(|sited| sited.record == record) {
                None => ([0, 0], 0),
                Some(sited) => {
                    values += whole.values[values..].partition_point(|value| value.site < sited.first + sited.number());
                    (sited.sites, sited.first)
                }
            };
            let name = u64_at(bytes, 0);
            if names.get(name).is_none() {
                return Err(unknown("functions without a name"));
            }
            self.functions.push(Function { name, whole: number, record, values: begin..values, sites, first_site });
        }
        self.names.push(names);
        self.wholes.push(whole);
        Ok(())
    }

    /// What two writers of the format could treat differently, in words: profiles of equal shape are written by the same code.
    pub fn shape(&self) -> String {
        let layouts: BTreeSet<u32> = self.wholes.iter().map(|whole| whole.template.sections.layout.version).collect();
        let layouts: Vec<String> = layouts.iter().map(u32::to_string).collect();
        let any = |kind: usize| self.functions.iter().any(|function| function.sites[kind] > 0);
        let twice = |whole: &Whole| {
            whole.values.windows(2).any(|two| two[0].site == two[1].site && two[0].value == two[1].value)
        };
        let second = self.functions.iter().any(|function| self.counts(function).0 & SECOND_LEVEL.0 != 0);
        let traits = [
            (any(0), "call targets"),
            (any(1), "memory sizes"),
            // Up to 16 values are sorted by another algorithm than more.
            (self.functions.iter().any(|function| function.values.len() > 16), "many values"),
            (self.wholes.iter().any(twice), "equal values"),
            (self.wholes.iter().any(|whole| !whole.bits.is_empty()), "condition bitmaps"),
            (second, "second-level functions"),
            (self.wholes.len() > 1, "several binaries"),
            (self.names.iter().any(|names| names.packed), "packed names"),
            (self.names.iter().any(|names| !names.packed), "plain names"),
            (self.ids.len() == 1, "one id"),
            (self.ids.len() > 1, "several ids"),
            (self.ids.iter().any(|id| padding(id.len()) > 0), "padded ids"),
        ];
        let traits: Vec<&str> = traits.iter().filter(|(has, _)| *has).map(|(_, name)| *name).collect();
        format!(
            "raw version {}, flags {:x}, table of {}, {}",
            layouts.join(" and "),
            self.flags >> 32,
            final_buckets(self.functions.len()),
            traits.join(", ")
        )
    }

    /// The bytes of the merged profile in a version of the format. None: that version is not known.
    pub fn write(&self, version: u32) -> Option<Vec<u8>> {
        if !VERSIONS.contains(&version) {
            return None;
        }
        let offsets = if version > 11 { 5 } else { 4 };
        let second = self.flags & SECOND_LEVEL.1 != 0;
        let mut out = Vec::with_capacity(self.capacity());
        let put = |out: &mut Vec<u8>, words: &[u64]| words.iter().for_each(|word| out.extend(word.to_le_bytes()));
        out.extend(MAGIC);
        put(&mut out, &[u64::from(version) | self.flags, 0, 0]);
        let offsets_at = out.len();
        put(&mut out, &[0; 5][..offsets]);
        for summary in self.summaries().into_iter().take(if second { 2 } else { 1 }) {
            put(&mut out, &summary.words());
        }
        let table = self.table(&mut out);
        let ids = out.len();
        put(&mut out, &[self.ids.iter().map(|id| 8 + id.len() + padding(id.len())).sum::<usize>() as u64]);
        for id in &self.ids {
            put(&mut out, &[id.len() as u64]);
            out.extend(id);
            out.resize(out.len() + padding(id.len()), 0);
        }
        let tables = out.len();
        if version > 11 {
            // No names of virtual tables.
            put(&mut out, &[0]);
        }
        let found = [table, 0, ids as u64, 0, tables as u64];
        for (place, offset) in out[offsets_at..].as_chunks_mut::<8>().0.iter_mut().zip(found).take(offsets) {
            *place = offset.to_le_bytes();
        }
        Some(out)
    }

    /// Those of the first and of the second level.
    fn summaries(&self) -> [Summary; 2] {
        let mut counts = [Vec::new(), Vec::new()];
        let mut summaries = [Summary::default(), Summary::default()];
        for function in &self.functions {
            let (hash, counters) = self.counts(function);
            let level = usize::from(hash & SECOND_LEVEL.0 != 0);
            summaries[level].add(counters, &mut counts[level]);
        }
        for (summary, counts) in summaries.iter_mut().zip(counts) {
            summary.finish(counts);
        }
        summaries
    }

    /// The hash of a function's structure, and its counters.
    pub fn counts(&self, function: &Function) -> (u64, &[u8]) {
        let whole = &self.wholes[function.whole];
        let (layout, record) = (whole.template.sections.layout, whole.template.record(function.record));
        let at = whole.template.sections.counters_of(record, function.record);
        let counters = whole.counters.get(at..at + 8 * u32_at(record, layout.counters) as usize).unwrap_or_default();
        (u64_at(record, 8), counters)
    }

    fn capacity(&self) -> usize {
        let of = |whole: &Whole| {
            whole.counters.len() + whole.bits.len() * 8 + whole.values.len() * 16 + whole.template.sites * 10
        };
        let names: usize = self.names.iter().map(Names::bytes).sum();
        self.wholes.iter().map(of).sum::<usize>() + names + self.functions.len() * 100 + 4096
    }

    /// Writes the table of functions. Returns where its directory begins.
    fn table(&self, out: &mut Vec<u8>) -> u64 {
        let name = |function: &Function| self.names[function.whole].get(function.name).unwrap_or_default();
        let mut sorted: Vec<(&[u8], &Function)> =
            self.functions.iter().map(|function| (name(function), function)).collect();
        sorted.sort_unstable_by_key(|(name, _)| *name);
        let hashes: Vec<u64> = sorted.iter().map(|(_, function)| function.name).collect();
        let mut offsets = Vec::new();
        for bucket in buckets(&hashes) {
            offsets.push(if bucket.is_empty() { 0 } else { out.len() as u64 });
            if !bucket.is_empty() {
                out.extend((bucket.len() as u16).to_le_bytes());
            }
            for item in bucket {
                let (name, function) = sorted[item];
                for word in [function.name, name.len() as u64, 0] {
                    out.extend(word.to_le_bytes());
                }
                out.extend(name);
                let begin = out.len();
                self.data(function, out);
                let length = ((out.len() - begin) as u64).to_le_bytes();
                let at = begin - name.len() - 8;
                out[at..at + 8].copy_from_slice(&length);
            }
        }
        out.resize(out.len() + padding(out.len()), 0);
        let directory = out.len() as u64;
        for word in [offsets.len() as u64, sorted.len() as u64].into_iter().chain(offsets) {
            out.extend(word.to_le_bytes());
        }
        directory
    }

    /// A function's hash, counters, bitmap and values.
    fn data(&self, function: &Function, out: &mut Vec<u8>) {
        let whole = &self.wholes[function.whole];
        let (hash, counters) = self.counts(function);
        out.extend(hash.to_le_bytes());
        out.extend((counters.len() as u64 / 8).to_le_bytes());
        out.extend(counters);
        let bits = whole.template.sections.bits_of(whole.template.record(function.record), function.record);
        let bits = bits.and_then(|(at, bytes)| whole.bits.get(at..at + bytes)).unwrap_or_default();
        out.extend((bits.len() as u64).to_le_bytes());
        bits.iter().for_each(|byte| out.extend(u64::from(*byte).to_le_bytes()));

        let begin = out.len();
        let kinds = function.sites.iter().filter(|sites| **sites > 0).count();
        out.extend([0; 4]);
        out.extend((kinds as u32).to_le_bytes());
        let values = &whole.values[function.values.clone()];
        let mut first = function.first_site;
        let mut ordered = Vec::new();
        for (kind, sites) in function.sites.iter().enumerate().filter(|(_, sites)| **sites > 0) {
            let sites = usize::from(*sites);
            let from = values.partition_point(|value| value.site < first);
            let of_kind = &values[from..values.partition_point(|value| value.site < first + sites)];
            out.extend((kind as u32).to_le_bytes());
            out.extend((sites as u32).to_le_bytes());
            let at = out.len();
            out.resize(at + sites + padding(sites), 0);
            for site in of_kind.chunk_by(|a, b| a.site == b.site) {
                // No site has more than 255 in a raw profile.
                out[at + site[0].site - first] = site.len() as u8;
                ordered.clear();
                ordered.extend_from_slice(site);
                ordered.sort_by_key(|value| std::cmp::Reverse(value.count));
                for value in &ordered {
                    out.extend(value.value.to_le_bytes());
                    out.extend(value.count.to_le_bytes());
                }
            }
            first += sites;
        }
        let total = ((out.len() - begin) as u32).to_le_bytes();
        out[begin..begin + 4].copy_from_slice(&total);
    }
}

/// The ids of the programs: each with its length in front, padded.
fn binary_ids(mut bytes: &[u8]) -> Found<Vec<Vec<u8>>> {
    let mut ids = Vec::new();
    while !bytes.is_empty() {
        let length = usize::try_from(u64_at(bytes, 0)).unwrap_or(usize::MAX);
        let end = length.checked_add(8).filter(|end| length > 0 && *end <= bytes.len());
        let Some(end) = end else { return Err(unknown("binary ids that are not well-formed")) };
        ids.push(bytes[8..end].to_vec());
        bytes = bytes.get(end + padding(end)..).unwrap_or_default();
    }
    Ok(ids)
}

/// The parts of the total, in millionths, for which the summary says how many of the largest counts make them up.
const PARTS: [u64; 16] = [
    10_000, 100_000, 200_000, 300_000, 400_000, 500_000, 600_000, 700_000, 800_000, 900_000, 950_000, 990_000, 999_000,
    999_900, 999_990, 999_999,
];

/// Of one level of instrumentation.
#[derive(Debug, Default)]
struct Summary {
    functions: u64,
    counts: u64,
    largest_first: u64,
    largest: u64,
    largest_other: u64,
    total: u64,
    /// For each part the smallest count that is needed for it, and how many counts are no smaller.
    parts: Vec<(u64, u64)>,
}

impl Summary {
    /// Adds a function's counters. Counts that are not zero are put into `counts` too.
    fn add(&mut self, counters: &[u8], counts: &mut Vec<u64>) {
        self.functions += 1;
        for (number, counter) in counters.as_chunks::<8>().0.iter().enumerate() {
            let count = u64::from_le_bytes(*counter);
            self.counts += 1;
            self.total = self.total.wrapping_add(count);
            let of_place = if number == 0 { &mut self.largest_first } else { &mut self.largest_other };
            *of_place = count.max(*of_place);
            if count > 0 {
                counts.push(count);
            }
        }
        self.largest = self.largest_first.max(self.largest_other);
    }

    /// Finds the parts, from all counts that are not zero.
    fn finish(&mut self, mut counts: Vec<u64>) {
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let (mut seen, mut sum, mut smallest) = (0, 0u64, 0);
        for part in PARTS {
            let wanted = (u128::from(self.total) * u128::from(part) / 1_000_000) as u64;
            while sum < wanted && seen < counts.len() {
                smallest = counts[seen];
                // Equal counts come together.
                while counts.get(seen) == Some(&smallest) {
                    sum = sum.wrapping_add(smallest);
                    seen += 1;
                }
            }
            self.parts.push((smallest, seen as u64));
        }
    }

    /// As it stands in the file.
    fn words(&self) -> Vec<u64> {
        let Summary { functions, counts, largest_first, largest, largest_other, total, parts } = self;
        let mut words =
            vec![6, PARTS.len() as u64, *functions, *counts, *largest_first, *largest, *largest_other, *total];
        words.extend(PARTS.iter().zip(parts).flat_map(|(part, (smallest, seen))| [*part, *smallest, *seen]));
        words
    }
}

/// How many buckets a table begins with.
const FIRST_BUCKETS: usize = 64;
const NONE: u32 = u32::MAX;

/// How many buckets a table of so many items has on disk.
fn final_buckets(items: usize) -> usize {
    if items <= 2 { 1 } else { (items * 4 / 3 + 1).next_power_of_two() }
}

/// Which items are in each bucket and in which order, when they were inserted as they stand here: an item comes before those
/// that are in its bucket, and growing turns the order around.
pub fn buckets(hashes: &[u64]) -> Vec<Vec<usize>> {
    let mut table = Buckets { heads: vec![NONE; FIRST_BUCKETS], next: vec![NONE; hashes.len()] };
    for item in 0..hashes.len() {
        if 4 * (item + 1) >= 3 * table.heads.len() {
            table.grow(table.heads.len() * 2, hashes);
        }
        table.insert(item, hashes);
    }
    let size = final_buckets(hashes.len());
    if size != table.heads.len() {
        table.grow(size, hashes);
    }
    let chain = |head: &u32| {
        let some = |item: u32| (item != NONE).then_some(item as usize);
        std::iter::successors(some(*head), |item| some(table.next[*item])).collect()
    };
    table.heads.iter().map(chain).collect()
}

struct Buckets {
    heads: Vec<u32>,
    next: Vec<u32>,
}

impl Buckets {
    fn insert(&mut self, item: usize, hashes: &[u64]) {
        let size = self.heads.len() as u64;
        let head = &mut self.heads[(hashes[item] & (size - 1)) as usize];
        self.next[item] = *head;
        *head = item as u32;
    }

    fn grow(&mut self, size: usize, hashes: &[u64]) {
        for head in std::mem::replace(&mut self.heads, vec![NONE; size]) {
            let mut item = head;
            while item != NONE {
                let next = self.next[item as usize];
                self.insert(item as usize, hashes);
                item = next;
            }
        }
    }
}
