//! Value data: for each record with sites, the values seen at each and how often. Read, added up, written.
//!
//! Unaware of files and of counters.

use std::sync::{Mutex, PoisonError};

use super::layout::{Refusal, damaged, half, padding, unknown, word};
use super::template::{Addresses, Template};

/// How many values of a site a profile can hold.
const MOST: usize = 255;
const SHARDS: usize = 64;
/// The kind of values that are addresses of functions.
const CALLS: usize = 0;

/// A value at a site. Of calls the value is the hash of the function's name, 0 for all functions of other binaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    pub site: usize,
    pub value: u64,
    /// Tells apart what has no name: llvm-profdata keeps as many functions of other binaries as one profile has at most.
    pub rank: u8,
    pub count: u64,
}

/// Reads one file's value data into a list in place of what is in it. The sites come in ascending order.
///
/// # Errors
/// It is not what the records say, ends early or late, or needs llvm-profdata to interpret.
pub fn parse(template: &Template, addresses: &Addresses, data: &[u8], seen: &mut Vec<Seen>) -> Result<(), Refusal> {
    parse_with(template, addresses, data, seen, one_each)
}

/// The same, with the values of a site in the order of the file, and without ranks.
///
/// # Errors
/// As [`parse`].
pub fn parse_in_order(template: &Template, addresses: &Addresses, data: &[u8]) -> Result<Vec<Seen>, Refusal> {
    let (mut seen, mut sorted) = (Vec::new(), Vec::new());
    parse_with(template, addresses, data, &mut seen, |site, kind| {
        sorted.clear();
        sorted.extend_from_slice(site);
        one_each(&mut sorted, kind)
    })?;
    Ok(seen)
}

fn parse_with(
    template: &Template,
    addresses: &Addresses,
    data: &[u8],
    seen: &mut Vec<Seen>,
    mut of_site: impl FnMut(&mut [Seen], usize) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    seen.clear();
    let mut at = 0usize;
    let cut = || damaged("it is cut off within its value data");
    for record in &template.sited {
        let kinds = record.sites.iter().filter(|sites| **sites > 0).count();
        let (total, stored) = (half(data, at) as usize, half(data, at + 4) as usize);
        if data.len() - at < 8 || data.len() - at < total {
            return Err(cut());
        }
        if stored != kinds || total < 8 {
            return Err(unknown("value data of other kinds than its records say"));
        }
        let block = &data[at..at + total];
        at += total;
        let (mut inside, mut site) = (8usize, record.first);
        for (kind, sites) in record.sites.iter().enumerate().filter(|(_, sites)| **sites > 0) {
            let sites = usize::from(*sites);
            let counts = block.get(inside + 8..inside + 8 + sites);
            let Some(counts) =
                counts.filter(|_| (half(block, inside) as usize, half(block, inside + 4) as usize) == (kind, sites))
            else {
                return Err(unknown("value data that does not fit to its records"));
            };
            inside += 8 + sites + padding(sites);
            for count in counts {
                let end = inside + 16 * usize::from(*count);
                let Some(pairs) = block.get(inside..end) else {
                    return Err(unknown("value data that does not fit to its records"));
                };
                let before = seen.len();
                for pair in pairs.as_chunks::<16>().0 {
                    let (value, count) = (word(pair, 0), word(pair, 8));
                    let value = if kind == CALLS { template.target(addresses, value)? } else { value };
                    seen.push(Seen { site, value, rank: 0, count });
                }
                inside = end;
                if *count > 0 {
                    of_site(&mut seen[before..], kind)?;
                }
                site += 1;
            }
        }
        if inside != block.len() {
            return Err(unknown("value data that does not fit to its records"));
        }
    }
    if at != data.len() {
        return Err(unknown("something behind its value data"));
    }
    Ok(())
}

/// Gives targets outside of the binary ranks, the most frequent first. What llvm-profdata makes of other values that occur
/// twice depends on the order of its inputs, so that is left to it.
fn one_each(seen: &mut [Seen], kind: usize) -> Result<(), Refusal> {
    seen.sort_unstable_by_key(|seen| (seen.value, std::cmp::Reverse(seen.count)));
    let unnamed = match kind {
        CALLS => seen.partition_point(|seen| seen.value == 0),
        _ => 0,
    };
    let (unnamed, named) = seen.split_at_mut(unnamed);
    for (rank, one) in unnamed.iter_mut().enumerate() {
        // A site has no more than 255 values.
        one.rank = rank as u8;
    }
    match named.windows(2).any(|pair| pair[0].value == pair[1].value) {
        true => Err(unknown("a value that occurs twice at a site")),
        false => Ok(()),
    }
}

/// Values (with ranks) and counts of one site, by value.
pub(super) type Site = Vec<((u64, u8), u64)>;

/// The sums of all files, for several threads at a time.
pub struct Sums {
    shards: Vec<Mutex<Vec<Site>>>,
    per_shard: usize,
}

impl Sums {
    pub fn new(sites: usize) -> Sums {
        let per_shard = sites.div_ceil(SHARDS).max(1);
        let shards = (0..sites.div_ceil(per_shard)).map(|_| Mutex::new(vec![Site::new(); per_shard])).collect();
        Sums { shards, per_shard }
    }

    /// Adds what one file has, sites in ascending order, so many times.
    pub fn add(&self, seen: &[Seen], weight: u64) {
        for part in seen.chunk_by(|a, b| a.site / self.per_shard == b.site / self.per_shard) {
            let shard = part.first().and_then(|first| self.shards.get(first.site / self.per_shard));
            let Some(shard) = shard else { continue };
            let mut sites = shard.lock().unwrap_or_else(PoisonError::into_inner);
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
        let seen = |(site, values): (usize, Site)| {
            let one = move |((value, rank), count)| Seen { site, value, rank, count };
            values.into_iter().map(one)
        };
        let seen: Vec<Seen> = sites.enumerate().flat_map(seen).collect();
        self.add(&seen, 1);
    }

    /// What is known of each site, in their order: whatever the number of values, unlike in a profile.
    pub fn sites(&self) -> impl Iterator<Item = Site> {
        self.shards.iter().flat_map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).clone())
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
            let kinds = record.sites.iter().filter(|sites| **sites > 0).count();
            block.extend([0; 4]);
            block.extend((kinds as u32).to_le_bytes());
            for (kind, count) in record.sites.iter().enumerate().filter(|(_, count)| **count > 0) {
                block.extend((kind as u32).to_le_bytes());
                block.extend(u32::from(*count).to_le_bytes());
                let of_kind: Vec<Site> = sites.by_ref().take(usize::from(*count)).collect();
                block.extend(of_kind.iter().map(|site| site.len() as u8));
                block.extend(std::iter::repeat_n(0, padding(usize::from(*count))));
                for ((value, _), count) in of_kind.into_iter().flatten() {
                    let value =
                        if kind == CALLS { template.functions.get(&value).copied().unwrap_or(0) } else { value };
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
    if site.len() > MOST {
        site.sort_by_key(|(value, count)| (std::cmp::Reverse(*count), *value));
        site.truncate(MOST);
        site.sort_unstable_by_key(|(value, _)| *value);
    }
    site
}
