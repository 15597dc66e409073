//! Raw profiles of LLVM, added up without llvm-profdata: one profile per binary out of many.
//!
//! [`fold`] adds files that are there; a [`Sum`] grows as files come, is kept in a file in between, and is joined with others. What is
//! not understood byte for byte is handed back as it is, for llvm-profdata. Unaware of that tool and of merged profiles.
//!
//! | file | what it does |
//! |---|---|
//! | `layout` | where things lie, and what is refused |
//! | `read` | one profile |
//! | `names` | the names of its functions |
//! | `group` | the sum of one binary's profiles |
//! | `store` | sums on disk |

mod group;
pub mod layout;
pub mod names;
pub(super) mod read;
mod store;

use std::collections::{BTreeMap, HashMap, VecDeque};

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use group::Group;
pub use group::Spoiled;
use layout::{Found, Refusal, u64_at, unknown};
use read::RawFile;

use super::header::Header;
use super::kind::Counted;

/// A file, and how many times it counts.
pub type Input = (Utf8PathBuf, u64);

/// A file, and why it is not in a sum, or not as a whole.
pub type Reason = (Utf8PathBuf, String);

/// llvm-profdata takes a larger count for damage: no program counts so far.
const LARGEST_COUNT: u64 = 1 << 56;

/// How many builds that look alike from their headers are kept apart; files of further ones go to llvm-profdata.
const BUILDS: usize = 16;

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is in the sum: it can be deleted.
    Added,
    /// It is, without functions whose counts are impossible.
    AddedInPart(Spoiled),
    /// It has no content.
    Empty,
    /// Broken by its own account.
    Damaged(String),
    /// llvm-profdata may understand it; the reason why it is not added here.
    Handed(String),
}

impl Refusal {
    /// What it means for the file.
    fn fate(self, path: &Utf8Path) -> Result<Fate> {
        Ok(match self {
            Refusal::Empty => Fate::Empty,
            Refusal::Damaged(reason) => Fate::Damaged(reason),
            Refusal::Unknown(reason) => Fate::Handed(reason),
            Refusal::Different => Fate::Handed("it changed while it was read".into()),
            Refusal::Full => Fate::Handed("counts that add up to more than 2^56".into()),
            Refusal::Unreadable(error) => return Err(error).with_context(|| format!("cannot read {path}")),
        })
    }
}

/// Files that look alike from their headers, by their numbers.
type Alike = Vec<(Vec<u8>, VecDeque<usize>)>;

/// Sorts files by what their headers say. The fate of those that stay is known.
fn look_at(files: &[Input]) -> Result<(Alike, Vec<Fate>)> {
    let (mut alike, mut fates) = (Alike::new(), vec![Fate::Added; files.len()]);
    let mut places: HashMap<Vec<u8>, usize> = HashMap::new();
    for (number, (path, _)) in files.iter().enumerate() {
        match RawFile::open(path).and_then(|file| file.signature()) {
            Ok(signature) => {
                let place = *places.entry(signature).or_insert_with_key(|signature| {
                    alike.push((signature.clone(), VecDeque::new()));
                    alike.len() - 1
                });
                alike[place].1.push_back(number);
            }
            Err(refusal) => fates[number] = refusal.fate(path)?,
        }
    }
    Ok((alike, fates))
}

/// Leaves out the files that are of another kind than most: they cannot be added to those, here or by llvm-profdata.
fn keep_one_kind(files: &[Input], alike: &mut Alike, fates: &mut [Fate]) -> Result<()> {
    let of = |signature: &[u8]| Counted::of(u64_at(signature, 8));
    // How many there are of each, and the first.
    let mut kinds: BTreeMap<Counted, (usize, usize)> = BTreeMap::new();
    let mut add = |kind: Counted, number: usize| {
        let (known, first) = kinds.entry(kind).or_insert((0, number));
        (*known, *first) = (*known + 1, number.min(*first));
    };
    for (signature, numbers) in alike.iter() {
        numbers.iter().for_each(|number| add(of(signature), *number));
    }
    let mut handed = Vec::new();
    for (number, _) in fates.iter().enumerate().filter(|(_, fate)| matches!(fate, Fate::Handed(_))) {
        let path = &files[number].0;
        let header = Header::read(path).with_context(|| format!("cannot read {path}"))?;
        if let Some(header) = header {
            add(header.counted, number);
            handed.push((header.counted, number));
        }
    }
    let most = kinds.iter().max_by_key(|(_, (files, first))| (*files, std::cmp::Reverse(*first)));
    let Some((&kept, &(_, first))) = most.filter(|_| kinds.len() > 1) else { return Ok(()) };
    let damaged = |kind: Counted| Fate::Damaged(two_kinds(kind, kept, &files[first].0));
    alike.retain(|(signature, numbers)| {
        let kind = of(signature);
        let keeps = kind == kept;
        if !keeps {
            numbers.iter().for_each(|number| fates[*number] = damaged(kind));
        }
        keeps
    });
    for (kind, number) in handed.into_iter().filter(|(kind, _)| *kind != kept) {
        fates[number] = damaged(kind);
    }
    Ok(())
}

/// Why a file is not added to others.
pub fn two_kinds(kind: Counted, others: Counted, other: &Utf8Path) -> String {
    format!("it has {kind}, but {other} has {others}{NEVER}")
}

/// Whether that is the reason.
pub fn is_of_two_kinds(reason: &str) -> bool {
    reason.ends_with(NEVER)
}

const NEVER: &str = "; the two are never added up";

/// The sums of several binaries.
#[derive(Default)]
pub struct Sum {
    groups: Vec<Group>,
    /// The numbers of the groups that look alike from their headers.
    known: HashMap<Vec<u8>, Vec<usize>>,
}

impl Sum {
    /// Nothing.
    pub fn new() -> Sum {
        Sum::default()
    }

    /// How many files are in it.
    pub fn files(&self) -> u64 {
        self.groups.iter().map(|group| group.files).sum()
    }

    /// The sum of all counts.
    pub fn total(&self) -> u128 {
        self.groups.iter().map(|group| group.counters.total()).sum()
    }

    /// Adds files, in so many threads. Returns what became of each, in their order.
    ///
    /// # Errors
    /// One cannot be read. Then the sum is not to be used: what was added of that file is not known.
    pub fn add(&mut self, files: &[Utf8PathBuf], threads: usize) -> Result<Vec<Fate>> {
        let inputs: Vec<Input> = files.iter().map(|path| (path.clone(), 1)).collect();
        let (alike, mut fates) = look_at(&inputs)?;
        for (signature, numbers) in alike {
            self.add_alike(&signature, numbers, &inputs, threads, &mut fates)?;
        }
        Ok(fates)
    }

    /// Adds files that look alike, build after build. Returns which of them are in which group.
    fn add_alike(
        &mut self,
        signature: &[u8],
        mut rest: VecDeque<usize>,
        inputs: &[Input],
        threads: usize,
        fates: &mut [Fate],
    ) -> Result<Vec<(usize, Vec<usize>)>> {
        let mut known = self.known.get(signature).cloned().unwrap_or_default().into_iter();
        let mut members = Vec::new();
        while let Some(first) = rest.front().copied() {
            let next = known.next();
            let fresh = next.is_none();
            let group = match next.map_or_else(|| self.begin(signature, &inputs[first].0), Ok) {
                Ok(group) => group,
                Err(refusal) => {
                    fates[first] = refusal.fate(&inputs[first].0)?;
                    rest.pop_front();
                    continue;
                }
            };
            let files: Vec<Input> = rest.iter().map(|number| inputs[*number].clone()).collect();
            let results = self.groups[group].add_all(&files, threads)?;
            let (mut added, mut later) = (Vec::new(), VecDeque::new());
            for (number, result) in rest.into_iter().zip(results) {
                match result {
                    Ok(spoiled) => {
                        added.push(number);
                        if let Some(spoiled) = spoiled {
                            fates[number] = Fate::AddedInPart(spoiled);
                        }
                    }
                    // The first of a fresh group fits into it, or changes while it is read, or is too large for any.
                    Err(Refusal::Different | Refusal::Full) if !(fresh && number == first) => later.push_back(number),
                    Err(refusal) => fates[number] = refusal.fate(&inputs[number].0)?,
                }
            }
            members.push((group, added));
            rest = later;
        }
        Ok(members)
    }

    /// An empty group for files like this one.
    fn begin(&mut self, signature: &[u8], path: &Utf8Path) -> Found<usize> {
        if self.known.get(signature).is_some_and(|known| known.len() >= BUILDS) {
            return Err(unknown("one of too many builds"));
        }
        Group::like(path).map(|group| self.keep(signature.to_vec(), group))
    }

    /// Adds a group that may be empty.
    fn keep(&mut self, signature: Vec<u8>, group: Group) -> usize {
        self.groups.push(group);
        self.known.entry(signature).or_default().push(self.groups.len() - 1);
        self.groups.len() - 1
    }

    /// Multiplies all counts.
    ///
    /// # Errors
    /// One would become larger than LLVM takes for possible.
    pub fn multiply(&self, times: u64) -> Result<()> {
        for group in &self.groups {
            ensure!(group.counters.multiply(times), "counts that are multiplied by {times} are more than 2^56");
            group.values.multiply(times);
        }
        Ok(())
    }

    /// Adds another sum.
    pub fn join(&mut self, other: Sum) {
        for group in other.groups {
            let signature = group.template.signature();
            let known = self.known.get(&signature).cloned().unwrap_or_default();
            if !known.iter().any(|number| self.groups[*number].join(&group)) {
                self.keep(signature, group);
            }
        }
    }
}

/// What became of many files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folded {
    /// What is left to be merged, in the order of the first file that is in each: sums, and files that are for llvm-profdata.
    pub left: Vec<Utf8PathBuf>,
    /// How many times each of them counts: sums once, others as they were given.
    pub weights: Vec<u64>,
    /// Those among them that are not added up here, with the reason.
    pub handed: Vec<Reason>,
    /// Damaged by their own account, with the reason.
    pub damaged: Vec<Reason>,
    /// Without content. llvm-profdata takes them for profiles of nothing.
    pub empty: Vec<Utf8PathBuf>,
    /// Added without some functions.
    pub spoiled: Vec<(Utf8PathBuf, Spoiled)>,
    /// How many files are in sums.
    pub added: usize,
    /// The sums, each with the first file that is in it.
    pub sums: Vec<(Utf8PathBuf, Utf8PathBuf)>,
}

/// Adds up what can be, into files in the directory `work`.
///
/// Memory: the sums of one binary, one of its profiles without the counters, and a buffer per thread, whatever the number of files.
///
/// # Errors
/// A file cannot be read, or a sum cannot be written.
pub fn fold(files: &[Utf8PathBuf], work: &Utf8Path, threads: usize) -> Result<Folded> {
    let files: Vec<Input> = files.iter().map(|path| (path.clone(), 1)).collect();
    fold_weighted(&files, work, threads)
}

/// The same, of files that count several times.
///
/// # Errors
/// As [`fold`].
pub fn fold_weighted(files: &[Input], work: &Utf8Path, threads: usize) -> Result<Folded> {
    let mut folded = Folded::default();
    // By number of the first file, so that the order of inputs stays.
    let mut left: Vec<(usize, Utf8PathBuf, u64)> = Vec::new();
    let (mut alike, mut fates) = look_at(files)?;
    keep_one_kind(files, &mut alike, &mut fates)?;
    for (signature, numbers) in alike {
        let mut sum = Sum::new();
        for (group, members) in sum.add_alike(&signature, numbers, files, threads, &mut fates)? {
            let Some(first) = members.first().copied() else { continue };
            // A lone file is passed through, unless something had to be left out of it.
            if members.len() == 1 && fates[first] == Fate::Added {
                left.push((first, files[first].0.clone(), files[first].1));
                continue;
            }
            let path = work.join(format!("sum-{first}.profraw"));
            sum.groups[group].write(&path)?;
            folded.added += members.len();
            folded.sums.push((path.clone(), files[first].0.clone()));
            left.push((first, path, 1));
        }
    }
    for ((number, (path, weight)), fate) in files.iter().enumerate().zip(fates) {
        match fate {
            Fate::Added => {}
            Fate::AddedInPart(spoiled) => folded.spoiled.push((path.clone(), spoiled)),
            Fate::Empty => folded.empty.push(path.clone()),
            Fate::Damaged(reason) => folded.damaged.push((path.clone(), reason)),
            Fate::Handed(reason) => {
                folded.handed.push((path.clone(), reason));
                left.push((number, path.clone(), *weight));
            }
        }
    }
    left.sort();
    (folded.left, folded.weights) = left.into_iter().map(|(_, path, weight)| (path, weight)).unzip();
    Ok(folded)
}
