//! The merged (indexed) profile of one or several raw ones, as `llvm-profdata merge` of LLVM 18 and later writes it.
//!
//! Written from LLVM's documents of the format and compared with its tool byte for byte; who uses it should have done so for
//! the very tool that it stands for. What is not certain is refused. Unaware of tools.

mod names;
mod summary;
mod table;

use std::collections::HashSet;
use std::hash::BuildHasherDefault;

use camino::Utf8PathBuf;

use super::raw::layout::{Refusal, half, padding, unknown, word};
use super::raw::template::{Found, Spread};
use super::raw::whole::Whole;
use names::Names;
use summary::Summary;

/// The first and the last version of the format that is written here.
const VERSIONS: std::ops::RangeInclusive<u32> = 11..=13;
const MAGIC: [u8; 8] = *b"\xfflprofi\x81";
/// The flag of hashes of functions that were instrumented after inlining, and of profiles that have such.
const SECOND_LEVEL: (u64, u64) = (1 << 60, 1 << 57);

/// Raw profiles that have no function in common, ready to be written.
pub struct Profile {
    wholes: Vec<Whole>,
    functions: Vec<Function>,
    names: Vec<Names>,
    flags: u64,
    ids: Vec<Vec<u8>>,
}

/// A record of one of the raw profiles.
struct Function {
    /// The hash of its name.
    name: u64,
    whole: usize,
    record: usize,
    /// Which of the values are its own.
    values: std::ops::Range<usize>,
    /// The number of its sites of either kind.
    sites: [u16; 2],
}

impl Profile {
    /// Reads raw profiles.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn read(paths: &[Utf8PathBuf]) -> Found<Profile> {
        let mut profile =
            Profile { wholes: Vec::new(), functions: Vec::new(), names: Vec::new(), flags: 0, ids: Vec::new() };
        let mut seen: HashSet<u64, BuildHasherDefault<Spread>> = HashSet::default();
        for (number, path) in paths.iter().enumerate() {
            let whole = match Whole::read(path)? {
                Ok(whole) => whole,
                Err(refusal) => return Ok(Err(refusal)),
            };
            let before = profile.functions.len();
            if let Err(refusal) = profile.add(whole, number) {
                return Ok(Err(refusal));
            }
            let new = &profile.functions[before..];
            seen.reserve(new.len());
            if !new.iter().all(|function| seen.insert(function.name)) {
                return Ok(Err(unknown("functions that occur twice")));
            }
        }
        profile.ids.sort();
        profile.ids.dedup();
        Ok(Ok(profile))
    }

    fn add(&mut self, whole: Whole, number: usize) -> Result<(), Refusal> {
        let template = &whole.template;
        let layout = template.sections.layout;
        let flags = word(&template.head, 8) >> 32 << 32;
        if number > 0 && flags != self.flags {
            return Err(unknown("several kinds of profiles"));
        }
        self.flags = flags;
        self.ids.extend(binary_ids(template.head.get(layout.header..).unwrap_or_default())?);
        let names = Names::decode(&template.names)?;
        let mut sited = template.sited.iter().peekable();
        let mut values = 0;
        for (record, bytes) in template.records.chunks_exact(layout.record).enumerate() {
            let begin = values;
            let sites = match sited.next_if(|sited| sited.record == record) {
                None => [0, 0],
                Some(sited) => {
                    values += whole.seen[values..].partition_point(|seen| seen.site < sited.first + sited.number());
                    sited.sites
                }
            };
            let name = word(bytes, 0);
            if names.of(name).is_none() {
                return Err(unknown("functions without a name"));
            }
            self.functions.push(Function { name, whole: number, record, values: begin..values, sites });
        }
        self.names.push(names);
        self.wholes.push(whole);
        Ok(())
    }

    /// What could be treated differently by two writers of the format, as a number: profiles of equal shape are written by the
    /// same code.
    pub fn shape(&self) -> u64 {
        let mut shape = self.flags >> 48;
        let any = |kind: usize| self.functions.iter().any(|function| function.sites[kind] > 0);
        let long = self.functions.iter().any(|function| function.values.len() > 16);
        let twice =
            |whole: &Whole| whole.seen.windows(2).any(|two| two[0].site == two[1].site && two[0].value == two[1].value);
        let traits = [
            any(0),
            any(1),
            long,
            self.wholes.iter().any(twice),
            self.wholes.iter().any(|whole| !whole.bits.is_empty()),
            self.wholes.len() > 1,
            self.functions.len() < 48,
            self.functions.is_empty(),
            self.ids.is_empty(),
            self.ids.len() > 1,
        ];
        for one in traits {
            shape = shape << 1 | u64::from(one);
        }
        let raw = self.wholes.first().map_or(0, |whole| whole.template.sections.layout.version);
        shape << 8 | u64::from(raw)
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
    fn counts(&self, function: &Function) -> (u64, &[u8]) {
        let whole = &self.wholes[function.whole];
        let (layout, record) = (whole.template.sections.layout, whole.record(function.record));
        let at = whole.template.sections.counters_of(record, function.record);
        let counters = whole.counters.get(at..at + 8 * half(record, layout.counters) as usize).unwrap_or_default();
        (word(record, 8), counters)
    }

    fn capacity(&self) -> usize {
        let of = |whole: &Whole| {
            whole.counters.len() + whole.bits.len() * 8 + whole.seen.len() * 16 + whole.template.sites * 10
        };
        let names: usize = self.names.iter().map(Names::bytes).sum();
        self.wholes.iter().map(of).sum::<usize>() + names + self.functions.len() * 100 + 4096
    }

    /// Writes the table of functions. Returns where its directory begins.
    fn table(&self, out: &mut Vec<u8>) -> u64 {
        let name = |function: &Function| self.names[function.whole].of(function.name).unwrap_or_default();
        let mut sorted: Vec<(&[u8], &Function)> =
            self.functions.iter().map(|function| (name(function), function)).collect();
        sorted.sort_unstable_by_key(|(name, _)| *name);
        let hashes: Vec<u64> = sorted.iter().map(|(_, function)| function.name).collect();
        let mut buckets = Vec::new();
        for bucket in table::buckets(&hashes) {
            buckets.push(if bucket.is_empty() { 0 } else { out.len() as u64 });
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
        for word in [buckets.len() as u64, sorted.len() as u64].into_iter().chain(buckets) {
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
        let bits = whole.template.sections.bits_of(whole.record(function.record), function.record);
        let bits = bits.and_then(|(at, bytes)| whole.bits.get(at..at + bytes)).unwrap_or_default();
        out.extend((bits.len() as u64).to_le_bytes());
        bits.iter().for_each(|byte| out.extend(u64::from(*byte).to_le_bytes()));

        let begin = out.len();
        let kinds = function.sites.iter().filter(|sites| **sites > 0).count();
        out.extend([0; 4]);
        out.extend((kinds as u32).to_le_bytes());
        let values = &whole.seen[function.values.clone()];
        let mut first = whole.first_site(function.record);
        let mut ordered = Vec::new();
        for (kind, sites) in function.sites.iter().enumerate().filter(|(_, sites)| **sites > 0) {
            let sites = usize::from(*sites);
            let from = values.partition_point(|seen| seen.site < first);
            let of_kind = &values[from..values.partition_point(|seen| seen.site < first + sites)];
            out.extend((kind as u32).to_le_bytes());
            out.extend((sites as u32).to_le_bytes());
            let at = out.len();
            out.resize(at + sites + padding(sites), 0);
            for site in of_kind.chunk_by(|a, b| a.site == b.site) {
                // No site has more than 255 in a raw profile.
                out[at + site[0].site - first] = site.len() as u8;
                ordered.clear();
                ordered.extend_from_slice(site);
                ordered.sort_by_key(|seen| std::cmp::Reverse(seen.count));
                for seen in &ordered {
                    out.extend(seen.value.to_le_bytes());
                    out.extend(seen.count.to_le_bytes());
                }
            }
            first += sites;
        }
        let total = ((out.len() - begin) as u32).to_le_bytes();
        out[begin..begin + 4].copy_from_slice(&total);
    }
}

/// The ids of the programs: each with its length in front, padded.
fn binary_ids(mut bytes: &[u8]) -> Result<Vec<Vec<u8>>, Refusal> {
    let mut ids = Vec::new();
    while !bytes.is_empty() {
        let length = usize::try_from(word(bytes, 0)).unwrap_or(usize::MAX);
        let end = length.checked_add(8).filter(|end| length > 0 && *end <= bytes.len());
        let Some(end) = end else { return Err(unknown("binary ids that are not well-formed")) };
        ids.push(bytes[8..end].to_vec());
        bytes = bytes.get(end + padding(end)..).unwrap_or_default();
    }
    Ok(ids)
}
