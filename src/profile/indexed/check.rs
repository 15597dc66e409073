//! Reads back a merged profile that was written here, by LLVM's rules, and holds it against what it should hold.
//!
//! The rules are those of LLVM's readers, and nothing is used of the writer but the list of parts of the total:
//!
//! | what | rule | source in LLVM |
//! |---|---|---|
//! | header | magic, version, flags, no other hash than MD5, offsets that point to the sections | `IndexedInstrProf::Header::readFromBuffer` |
//! | buckets | a power of two above 4/3 of the functions; each offset points to a bucket, 0 to none | `OnDiskChainedHashTable::readNumBucketsAndEntries`, `find` |
//! | functions | in the bucket that the lowest bits of the name's hash say, each once, under its name | `InstrProfLookupTrait` |
//! | counts | hash of the structure, counters, bitmap: those in memory, and no others | `InstrProfLookupTrait::ReadData` |
//! | values | a site's values, the most frequent first | `ValueProfData::deserializeTo` |
//! | summary | totals, largest counts, and each part of the total, computed anew from the counts in the file | `ProfileSummaryBuilder::computeDetailedSummary` |
//! | all bytes | each belongs to one of these | |
//!
//! The cost is one pass over the file, without sorting its counts: 30 % of the instructions of reading a sum and writing it. Unaware of
//! how it was written.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use super::{Function, MAGIC, PARTS, Profile, SECOND_LEVEL};
use crate::profile::raw::layout::padding;
use crate::profile::raw::read::{SiteValue, Spread};

/// What is wrong, for a person.
type Checked<T> = Result<T, String>;

/// Whether these bytes are the merged profile of what was read.
///
/// # Errors
/// They are not; the text says where they differ.
pub fn check(bytes: &[u8], profile: &Profile, version: u32) -> Checked<()> {
    let mut file = Reader { bytes, at: 0 };
    file.expect_bytes(&MAGIC, "magic number")?;
    file.expect(u64::from(version) | profile.flags, "version")?;
    file.expect(0, "unused word")?;
    file.expect(0, "kind of hash")?;
    let directory = file.place()?;
    file.expect(0, "place of profiles of memory")?;
    let ids = file.place()?;
    file.expect(0, "place of the order of calls")?;
    let tables = if version > 11 { Some(file.place()?) } else { None };

    let levels = if profile.flags & SECOND_LEVEL.1 != 0 { 2 } else { 1 };
    let mut summaries = (0..levels).map(|_| Summary::read(&mut file)).collect::<Checked<Vec<Summary>>>()?;
    functions(&mut file, directory, profile, &mut summaries)?;
    summaries.iter().try_for_each(Summary::check)?;

    file.is_at(ids, "binary ids")?;
    let length = file.word()? as usize;
    let begin = file.at;
    for id in &profile.ids {
        file.expect(id.len() as u64, "length of a binary id")?;
        file.expect_bytes(id, "binary id")?;
        file.zeros(padding(id.len()))?;
    }
    same(file.at - begin, length, "length of the binary ids")?;
    if let Some(tables) = tables {
        file.is_at(tables, "names of virtual tables")?;
        file.expect(0, "length of the names of virtual tables")?;
    }
    same(file.at, bytes.len(), "length of the file")
}

/// Reads all buckets and their directory.
fn functions(file: &mut Reader, directory: usize, profile: &Profile, summaries: &mut [Summary]) -> Checked<()> {
    let mut places = Reader { bytes: file.bytes, at: directory };
    let (buckets, entries) = (places.word()?, places.word()?);
    same(entries, profile.functions.len() as u64, "number of functions")?;
    if !buckets.is_power_of_two() || (entries > 2 && buckets <= entries * 4 / 3) {
        return Err(format!("{buckets} buckets for {entries} functions"));
    }
    // Each is taken out when it was found, so that none is there twice.
    let mut missing: HashMap<u64, &Function, BuildHasherDefault<Spread>> =
        profile.functions.iter().map(|function| (function.name, function)).collect();
    let mut scratch = [Vec::new(), Vec::new()];
    for bucket in 0..buckets {
        let place = places.word()?;
        if place == 0 {
            continue;
        }
        same(place, file.at as u64, "place of a bucket")?;
        let items = file.quarter()?;
        for _ in 0..items {
            let hash = file.word()?;
            same(hash & (buckets - 1), bucket, "bucket of a function")?;
            let (name, data) = (file.word()? as usize, file.word()? as usize);
            let name = file.take(name)?;
            let shown = || name.get(..100).unwrap_or(name).escape_ascii().to_string();
            let function = missing.remove(&hash).ok_or_else(|| format!("`{}` is there without cause", shown()))?;
            if profile.names[function.whole].get(hash) != Some(name) {
                return Err(format!("`{}` is the name of another function", shown()));
            }
            let mut data = Reader { bytes: file.take(data)?, at: 0 };
            let of_function = |what: String| format!("`{}`: {what}", shown());
            record(&mut data, profile, function, summaries, &mut scratch).map_err(of_function)?;
        }
    }
    if !missing.is_empty() {
        return Err(format!("{} functions are missing", missing.len()));
    }
    file.zeros(padding(file.at))?;
    file.is_at(directory, "directory")?;
    file.at = places.at;
    Ok(())
}

/// Reads what is said of a function.
fn record(
    data: &mut Reader,
    profile: &Profile,
    function: &Function,
    summaries: &mut [Summary],
    scratch: &mut [Vec<(u64, u64)>; 2],
) -> Checked<()> {
    let whole = &profile.wholes[function.whole];
    let (hash, counters) = profile.counts(function);
    data.expect(hash, "hash of its structure")?;
    data.expect(counters.len() as u64 / 8, "number of counters")?;
    let found = data.take(counters.len())?;
    if found != counters {
        return Err("other counts than those that were added up".into());
    }
    let level = usize::from(hash & SECOND_LEVEL.0 != 0);
    // Hashes of coverage use all bits, so one may have that bit by chance. LLVM then counts the function in the summary of the second
    // level (`hasCSFlagInHash` in its InstrProfWriter.cpp), which such a profile does not have.
    if let Some(summary) = summaries.get_mut(level) {
        summary.add(found);
    }

    let bits = whole.template.sections.bits_of(whole.template.record(function.record), function.record);
    let bits = bits.and_then(|(at, length)| whole.bits.get(at..at + length)).unwrap_or_default();
    data.expect(bits.len() as u64, "length of its bitmap")?;
    for byte in bits {
        data.expect(u64::from(*byte), "bitmap")?;
    }

    let begin = data.at;
    let total = data.half()? as usize;
    let kinds = function.sites.iter().filter(|sites| **sites > 0).count();
    same(data.half()? as usize, kinds, "number of kinds of values")?;
    let mut expected = &whole.values[function.values.clone()];
    let mut site = function.first_site;
    for (kind, sites) in function.sites.iter().enumerate().filter(|(_, sites)| **sites > 0) {
        let sites = usize::from(*sites);
        same(data.half()? as usize, kind, "kind of values")?;
        same(data.half()? as usize, sites, "number of sites")?;
        let counts = data.take(sites)?;
        data.zeros(padding(sites))?;
        for count in counts {
            let (own, rest) = expected.split_at(expected.partition_point(|value| value.site <= site));
            values(data.take(16 * usize::from(*count))?, own, scratch)?;
            (expected, site) = (rest, site + 1);
        }
    }
    same(data.at - begin, total, "length of its values")?;
    same(data.at, data.bytes.len(), "length")
}

/// Holds the values of a site against what they should be, in any order; what is in the file must be sorted by count.
fn values(found: &[u8], expected: &[SiteValue], [left, right]: &mut [Vec<(u64, u64)>; 2]) -> Checked<()> {
    same(found.len() / 16, expected.len(), "number of values at a site")?;
    let pair = |pair: &[u8; 16]| {
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| pair[at + byte]));
        (number(8), number(0))
    };
    left.clear();
    left.extend(found.as_chunks().0.iter().map(pair));
    if left.windows(2).any(|two| two[0].0 < two[1].0) {
        return Err("values that are not sorted by count".into());
    }
    right.clear();
    right.extend(expected.iter().map(|value| (value.count, value.value)));
    left.sort_unstable();
    right.sort_unstable();
    if left != right {
        return Err("other values than those that were added up".into());
    }
    Ok(())
}

/// A summary in a file, and what the counts of the file say.
#[derive(Default)]
struct Summary {
    /// Functions, counts, the largest first count, the largest of all, the largest other one, the sum of all.
    totals: [u64; 6],
    /// For each part of the total the smallest count that is needed for it, and how many counts are no smaller.
    parts: Vec<(u64, u64)>,
    found: [u64; 6],
    sum: u128,
    /// For each part the number and the sum of the counts that it has and the part before does not have.
    classes: Vec<(u64, u128)>,
    /// How many counts are equal to the smallest one of a part.
    equal: Vec<u64>,
}

impl Summary {
    fn read(file: &mut Reader) -> Checked<Summary> {
        file.expect(6, "number of totals")?;
        file.expect(PARTS.len() as u64, "number of parts")?;
        let mut summary = Summary::default();
        for total in &mut summary.totals {
            *total = file.word()?;
        }
        for part in PARTS {
            file.expect(part, "part")?;
            summary.parts.push((file.word()?, file.word()?));
        }
        if !summary.parts.is_sorted_by(|(before, _), (after, _)| before >= after || *before == 0) {
            return Err("parts of the total that are not sorted".into());
        }
        summary.classes = vec![(0, 0); PARTS.len()];
        summary.equal = vec![0; PARTS.len()];
        Ok(summary)
    }

    /// Takes a function's counters in.
    fn add(&mut self, counters: &[u8]) {
        let [functions, counts, largest_first, _, largest_other, _] = &mut self.found;
        *functions += 1;
        let mut largest = largest_first;
        for counter in counters.as_chunks::<8>().0 {
            let count = u64::from_le_bytes(*counter);
            *counts += 1;
            *largest = count.max(*largest);
            largest = &mut *largest_other;
            if count == 0 {
                continue;
            }
            self.sum += u128::from(count);
            // Parts that nothing is needed for stand first, with a zero.
            let class = self.parts.partition_point(|(smallest, _)| *smallest == 0 || *smallest > count);
            if let Some(((number, sum), (smallest, _))) = self.classes.get_mut(class).zip(self.parts.get(class)) {
                *number += 1;
                *sum += u128::from(count);
                self.equal[class] += u64::from(*smallest == count);
            }
        }
    }

    /// Whether the file says what its counts say.
    fn check(&self) -> Checked<()> {
        let [functions, counts, largest_first, _, largest_other, _] = self.found;
        let sum = u64::try_from(self.sum).map_err(|_| "counts whose sum has more than 64 bits")?;
        let found = [functions, counts, largest_first, largest_first.max(largest_other), largest_other, sum];
        if found != self.totals {
            return Err(format!("the summary says {:?}, and the counts {found:?}", self.totals));
        }
        let (mut before, mut number, mut reached) = ((0, 0), 0, 0);
        for (place, part) in PARTS.iter().enumerate() {
            let ((smallest, least), (more, more_sum)) = (self.parts[place], self.classes[place]);
            let wanted = self.sum * u128::from(*part) / 1_000_000;
            let wrong = || Err(format!("the summary says of {part} millionths {smallest} and {least}"));
            if reached >= wanted {
                // What the part before needs is enough.
                if (smallest, least) != before {
                    return wrong();
                }
                continue;
            }
            number += more;
            reached += more_sum;
            // Without the counts that are equal to the smallest it must be too little.
            let without = reached - u128::from(smallest) * u128::from(self.equal[place]);
            if number != least || reached < wanted || without >= wanted {
                return wrong();
            }
            before = (smallest, least);
        }
        Ok(())
    }
}

/// A place in bytes.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Checked<&'a [u8]> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| format!("it ends before byte {} plus {length}", self.at))?;
        let part = &self.bytes[self.at..end];
        self.at = end;
        Ok(part)
    }

    fn array<const N: usize>(&mut self) -> Checked<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| "it ends within a number".into())
    }

    fn word(&mut self) -> Checked<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn half(&mut self) -> Checked<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn quarter(&mut self) -> Checked<u16> {
        self.array().map(u16::from_le_bytes)
    }

    /// An offset of a section.
    fn place(&mut self) -> Checked<usize> {
        let place = self.word()?;
        usize::try_from(place).map_err(|_| format!("a section at {place}"))
    }

    fn expect(&mut self, expected: u64, what: &str) -> Checked<()> {
        same(self.word()?, expected, what)
    }

    fn expect_bytes(&mut self, expected: &[u8], what: &str) -> Checked<()> {
        match self.take(expected.len())? == expected {
            true => Ok(()),
            false => Err(format!("another {what}")),
        }
    }

    fn zeros(&mut self, length: usize) -> Checked<()> {
        match self.take(length)?.iter().all(|byte| *byte == 0) {
            true => Ok(()),
            false => Err("something that should be empty".into()),
        }
    }

    fn is_at(&self, place: usize, what: &str) -> Checked<()> {
        same(self.at, place, &format!("place of the {what}"))
    }
}

fn same<T: PartialEq + std::fmt::Display>(found: T, expected: T, what: &str) -> Checked<()> {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{what}: {found} instead of {expected}")),
    }
}
