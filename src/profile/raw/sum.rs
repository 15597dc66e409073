//! A sum that grows: files are added to it as they come, it is kept in a file in between, and several are joined.
//!
//! Unlike [`super::fold`] it holds all binaries in memory at once. Unaware of when files come and what becomes of them.

use std::collections::HashMap;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::group::Group;
use super::layout::Refusal;
use super::{BUILDS, Input, Look, signature, signature_of};

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Became {
    /// It is in the sum: it can be deleted.
    Added,
    /// It is, without functions whose counts are impossible; the text says how many.
    AddedInPart(String),
    /// It has no content.
    Empty,
    /// Broken by its own account.
    Damaged(String),
    /// llvm-profdata may understand it; the reason why it is not added here.
    Handed(String),
}

/// The sums of several binaries.
#[derive(Default)]
pub struct Sum {
    pub(super) groups: Vec<Group>,
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

    /// Adds files, in so many threads. Returns what became of each, in their order.
    ///
    /// # Errors
    /// One cannot be read. Then the sum is not to be used: what was added of that file is not known.
    pub fn add(&mut self, files: &[Utf8PathBuf], threads: usize) -> Result<Vec<Became>> {
        let inputs: Vec<Input> = files.iter().map(|path| (path.clone(), 1)).collect();
        let mut became = vec![Became::Added; files.len()];
        let mut alike: Vec<(Vec<u8>, Vec<usize>)> = Vec::new();
        let mut places: HashMap<Vec<u8>, usize> = HashMap::new();
        for (number, path) in files.iter().enumerate() {
            match signature(path)? {
                Look::Empty => became[number] = Became::Empty,
                Look::Not(refusal) => became[number] = left(refusal),
                Look::Of(signature) => {
                    let place = *places.entry(signature.clone()).or_insert_with(|| {
                        alike.push((signature, Vec::new()));
                        alike.len() - 1
                    });
                    alike[place].1.push(number);
                }
            }
        }
        for (signature, mut rest) in alike {
            let mut known = self.known.get(&signature).cloned().unwrap_or_default().into_iter();
            while let Some(first) = rest.first() {
                let (group, fresh) = match known.next() {
                    Some(group) => (group, false),
                    None => match self.group(&signature, &inputs[*first])? {
                        Ok(group) => (group, true),
                        Err(refusal) => {
                            became[rest.remove(0)] = left(refusal);
                            continue;
                        }
                    },
                };
                let of_group: Vec<Input> = rest.iter().map(|number| inputs[*number].clone()).collect();
                let told = self.groups[group].add_all(&of_group, threads)?;
                for (place, spoiled) in told.spoiled {
                    became[rest[place]] = Became::AddedInPart(spoiled.to_string());
                }
                let mut later = Vec::new();
                for (place, refusal) in told.refused {
                    match refusal {
                        // The first of a fresh group fits into it, or changes while it is read.
                        Refusal::Different | Refusal::Full if !(fresh && place == 0) => later.push(rest[place]),
                        refusal => became[rest[place]] = left(refusal),
                    }
                }
                rest = later;
            }
        }
        Ok(became)
    }

    /// Adds another sum.
    pub fn join(&mut self, other: Sum) {
        for group in other.groups {
            let signature = signature_of(&group.template);
            let known = self.known.get(&signature).cloned().unwrap_or_default();
            if !known.iter().any(|number| self.groups[*number].join(&group)) {
                self.keep(signature, group);
            }
        }
    }

    /// Writes one raw profile for each binary (several for one whose counts add up to more than 2^56) into a directory, named
    /// `sum-NUMBER.profraw`. The sum can be added to afterwards.
    ///
    /// # Errors
    /// One cannot be written.
    pub fn write(&self, dir: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
        let filled = self.groups.iter().filter(|group| group.files > 0).enumerate();
        let write = |(number, group): (usize, &Group)| {
            let path = dir.join(format!("sum-{number}.profraw"));
            group.write(&path).map(|()| path)
        };
        filled.map(write).collect()
    }

    /// Adds a group that may be empty.
    pub(super) fn keep(&mut self, signature: Vec<u8>, group: Group) -> usize {
        self.groups.push(group);
        self.known.entry(signature).or_default().push(self.groups.len() - 1);
        self.groups.len() - 1
    }

    /// An empty group for files like this one.
    fn group(&mut self, signature: &[u8], (path, _): &Input) -> Result<Result<usize, Refusal>> {
        if self.known.get(signature).is_some_and(|known| known.len() >= BUILDS) {
            return Ok(Err(super::layout::unknown("one of too many builds")));
        }
        let group = Group::like(path).map_err(|error| anyhow::anyhow!("cannot read {path}: {error}"))?;
        Ok(group.map(|group| self.keep(signature.to_vec(), group)))
    }
}

fn left(refusal: Refusal) -> Became {
    match refusal.damage() {
        Ok(reason) => Became::Damaged(reason),
        Err(reason) => Became::Handed(reason),
    }
}
