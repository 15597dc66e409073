//! Raw profiles of LLVM, added up without llvm-profdata: one profile per binary out of many.
//!
//! What is not understood byte for byte is returned as it is, for llvm-profdata. Unaware of that tool and of merged profiles.

mod counters;
mod group;
pub(super) mod layout;
mod many;
mod saved;
mod spoiled;
mod sum;
pub(super) mod template;
mod values;
pub(super) mod whole;
mod write;

pub use sum::{Became, Sum};

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use group::Group;
use layout::{Refusal, Sections};

/// A file, and how many times it counts.
pub type Input = (Utf8PathBuf, u64);

/// What became of many files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folded {
    /// What is left to be merged, in the order of the first file that is in each: sums, and files that are for llvm-profdata.
    pub left: Vec<Utf8PathBuf>,
    /// How many times each of them counts: sums once, others as they were given.
    pub weights: Vec<u64>,
    /// Those among them that are not added up here, with the reason.
    pub handed: Vec<(Utf8PathBuf, String)>,
    /// Damaged by their own account, with the reason.
    pub damaged: Vec<(Utf8PathBuf, String)>,
    /// Without content. llvm-profdata takes them for profiles of nothing.
    pub empty: Vec<Utf8PathBuf>,
    /// Added without some functions, with the reason.
    pub spoiled: Vec<(Utf8PathBuf, String)>,
    /// How many files are in sums.
    pub added: usize,
    /// The sums, each with the first file that is in it.
    pub sums: Vec<(Utf8PathBuf, Utf8PathBuf)>,
}

/// How many builds that look alike from their headers are kept apart; files of further ones go to llvm-profdata.
const BUILDS: usize = 16;

/// Adds up what can be, into files in the directory `work`.
///
/// Memory: one profile without its counters, the sums of one, and a buffer per thread, whatever the number of files.
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
    let mut folding = Folding { files, work, threads, folded: Folded::default(), left: Vec::new() };
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut known: HashMap<Vec<u8>, usize> = HashMap::new();
    for (number, (path, _)) in files.iter().enumerate() {
        match signature(path)? {
            Look::Empty => folding.folded.empty.push(path.clone()),
            Look::Of(signature) => {
                let group = *known.entry(signature).or_insert_with(|| {
                    groups.push(Vec::new());
                    groups.len() - 1
                });
                groups[group].push(number);
            }
            Look::Not(refusal) => folding.set_aside(number, refusal),
        }
    }
    for mut rest in groups {
        for build in 0.. {
            if rest.is_empty() {
                break;
            }
            if build == BUILDS {
                rest.iter().for_each(|number| folding.set_aside(*number, layout::unknown("one of too many builds")));
                break;
            }
            rest = folding.build_of(&rest)?;
        }
    }
    let Folding { mut folded, mut left, .. } = folding;
    left.sort();
    (folded.left, folded.weights) = left.into_iter().map(|(_, path, weight)| (path, weight)).unzip();
    Ok(folded)
}

struct Folding<'a> {
    files: &'a [Input],
    work: &'a Utf8Path,
    threads: usize,
    folded: Folded,
    /// By number of the first file, so that the order of inputs stays.
    left: Vec<(usize, Utf8PathBuf, u64)>,
}

impl Folding<'_> {
    /// Adds up the files that are of the first one's build. Returns the others.
    fn build_of(&mut self, numbers: &[usize]) -> Result<Vec<usize>> {
        let (mut group, mut begin) = (None, 0);
        while group.is_none() && begin < numbers.len() {
            let (path, _) = &self.files[numbers[begin]];
            match Group::like(path).with_context(|| format!("cannot read {path}"))? {
                Ok(found) => group = Some(found),
                Err(refusal) => {
                    self.set_aside(numbers[begin], refusal);
                    begin += 1;
                }
            }
        }
        let numbers = &numbers[begin..];
        let Some(mut group) = group else { return Ok(Vec::new()) };
        let inputs: Vec<Input> = numbers.iter().map(|number| self.files[*number].clone()).collect();
        let told = group.add_all(&inputs, self.threads)?;
        let mut later = Vec::new();
        let mut taken = vec![true; numbers.len()];
        for (place, refusal) in told.refused {
            taken[place] = false;
            match refusal {
                // The first cannot be of another build than itself; then its place in the queue must not come back.
                Refusal::Different if place > 0 => later.push(numbers[place]),
                // An empty sum takes any file that counts once.
                Refusal::Full if group.files > 0 => later.push(numbers[place]),
                refusal => self.set_aside(numbers[place], refusal),
            }
        }
        for (place, spoiled) in &told.spoiled {
            self.folded.spoiled.push((inputs[*place].0.clone(), spoiled.to_string()));
        }
        let taken: Vec<usize> =
            numbers.iter().zip(taken).filter(|(_, taken)| *taken).map(|(number, _)| *number).collect();
        match taken.as_slice() {
            [] => {}
            // A lone file is passed through, unless something had to be left out of it.
            [alone] if told.spoiled.is_empty() => self.pass(*alone),
            [first, ..] => {
                let sum = self.work.join(format!("sum-{first}.profraw"));
                group.write(&sum)?;
                self.folded.added += taken.len();
                self.folded.sums.push((sum.clone(), self.files[*first].0.clone()));
                self.left.push((*first, sum, 1));
            }
        }
        Ok(later)
    }

    fn pass(&mut self, number: usize) {
        let (path, weight) = self.files[number].clone();
        self.left.push((number, path, weight));
    }

    fn set_aside(&mut self, number: usize, refusal: Refusal) {
        let path = self.files[number].0.clone();
        match refusal.damage() {
            Ok(reason) => self.folded.damaged.push((path, reason)),
            Err(reason) => {
                self.folded.handed.push((path, reason));
                self.pass(number);
            }
        }
    }
}

/// What a header tells.
enum Look {
    Empty,
    /// Equal for all files of one binary.
    Of(Vec<u8>),
    Not(Refusal),
}

fn signature(path: &Utf8Path) -> Result<Look> {
    let cannot = || format!("cannot read {path}");
    let (file, head, length) = group::open(path).with_context(cannot)?;
    if length == 0 {
        return Ok(Look::Empty);
    }
    let sections = match Sections::parse(&head, length) {
        Ok(sections) => sections,
        Err(refusal) => return Ok(Look::Not(refusal)),
    };
    let ids = sections.layout.header as u64;
    let mut hasher = blake3::Hasher::new();
    (&file).seek(SeekFrom::Start(ids)).with_context(cannot)?;
    hasher.update_reader((&file).take(sections.ids as u64)).with_context(cannot)?;
    Ok(Look::Of(with_ids(&sections, &head, &hasher)))
}

/// The signature of the files of a group.
fn signature_of(template: &template::Template) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(template.head.get(template.sections.layout.header..).unwrap_or_default());
    with_ids(&template.sections, &template.head, &hasher)
}

/// With a hash of the ids, which may be long in a damaged file.
fn with_ids(sections: &Sections, head: &[u8], ids: &blake3::Hasher) -> Vec<u8> {
    let mut signature = sections.signature(head);
    signature.extend(ids.finalize().as_bytes());
    signature
}

#[cfg(test)]
mod tests;
