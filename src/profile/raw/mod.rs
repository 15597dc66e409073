//! Raw profiles of LLVM, added up without llvm-profdata: one profile per binary out of many.
//!
//! What is not understood byte for byte is returned as it is, for llvm-profdata. Unaware of that tool and of merged profiles.

mod counters;
mod group;
mod layout;
mod template;
mod values;

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use group::Group;
use layout::{Refusal, Sections};

/// What became of many files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folded {
    /// What is left to be merged, in the order of the first file that is in each: sums, and files that are for llvm-profdata.
    pub left: Vec<Utf8PathBuf>,
    /// Those among them that are not added up here, with the reason.
    pub handed: Vec<(Utf8PathBuf, String)>,
    /// Damaged by their own account, with the reason.
    pub damaged: Vec<(Utf8PathBuf, String)>,
    /// Without content. llvm-profdata takes them for profiles of nothing.
    pub empty: Vec<Utf8PathBuf>,
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
    let mut folded = Folded::default();
    // By number of the first file, so that the order of inputs stays.
    let mut left: Vec<(usize, Utf8PathBuf)> = Vec::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut known: HashMap<Vec<u8>, usize> = HashMap::new();
    for (number, path) in files.iter().enumerate() {
        match signature(path)? {
            Look::Empty => folded.empty.push(path.clone()),
            Look::Of(signature) => {
                let group = *known.entry(signature).or_insert_with(|| {
                    groups.push(Vec::new());
                    groups.len() - 1
                });
                groups[group].push(number);
            }
            Look::Not(refusal) => set_aside(&mut folded, &mut left, files, number, refusal),
        }
    }
    for mut rest in groups {
        for build in 0.. {
            if rest.is_empty() {
                break;
            }
            if build == BUILDS {
                for number in rest {
                    set_aside(&mut folded, &mut left, files, number, layout::unknown("one of too many builds"));
                }
                break;
            }
            rest = build_of(&rest, files, work, threads, &mut folded, &mut left)?;
        }
    }
    left.sort();
    folded.left = left.into_iter().map(|(_, path)| path).collect();
    Ok(folded)
}

/// Adds up the files that are of the first one's build. Returns the others.
fn build_of(
    numbers: &[usize],
    files: &[Utf8PathBuf],
    work: &Utf8Path,
    threads: usize,
    folded: &mut Folded,
    left: &mut Vec<(usize, Utf8PathBuf)>,
) -> Result<Vec<usize>> {
    let (mut group, mut begin) = (None, 0);
    // A lone file is passed through.
    while group.is_none() && begin + 1 < numbers.len() {
        let number = numbers[begin];
        match Group::like(&files[number]).with_context(|| format!("cannot read {}", files[number]))? {
            Ok(found) => group = Some(found),
            Err(refusal) => {
                set_aside(folded, left, files, number, refusal);
                begin += 1;
            }
        }
    }
    let numbers = &numbers[begin..];
    let Some(group) = group else {
        left.extend(numbers.iter().map(|number| (*number, files[*number].clone())));
        return Ok(Vec::new());
    };
    let paths: Vec<&Utf8PathBuf> = numbers.iter().map(|number| &files[*number]).collect();
    let refused = group.add_all(&paths, threads)?;
    let mut different = Vec::new();
    let mut taken = vec![true; numbers.len()];
    for (place, refusal) in refused {
        taken[place] = false;
        match refusal {
            // The first cannot be of another build than itself; then its place in the queue must not come back.
            Refusal::Different if place > 0 => different.push(numbers[place]),
            refusal => set_aside(folded, left, files, numbers[place], refusal),
        }
    }
    let taken: Vec<usize> = numbers.iter().zip(taken).filter(|(_, taken)| *taken).map(|(number, _)| *number).collect();
    match taken.as_slice() {
        [] => {}
        [alone] => left.push((*alone, files[*alone].clone())),
        [first, ..] => {
            let sum = work.join(format!("sum-{first}.profraw"));
            group.write(&sum)?;
            folded.added += taken.len();
            folded.sums.push((sum.clone(), files[*first].clone()));
            left.push((*first, sum));
        }
    }
    Ok(different)
}

fn set_aside(
    folded: &mut Folded,
    left: &mut Vec<(usize, Utf8PathBuf)>,
    files: &[Utf8PathBuf],
    number: usize,
    refusal: Refusal,
) {
    let path = files[number].clone();
    match refusal {
        Refusal::Damaged(reason) => folded.damaged.push((path, reason)),
        Refusal::Unknown(reason) => {
            folded.handed.push((path.clone(), reason));
            left.push((number, path));
        }
        Refusal::Different => {
            folded.handed.push((path.clone(), "it changed while it was read".into()));
            left.push((number, path));
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
    let mut signature = sections.signature(&head);
    // A hash of the ids, which may be long in a damaged file.
    let mut hasher = blake3::Hasher::new();
    let ids = sections.layout.header as u64;
    (&file).seek(SeekFrom::Start(ids)).with_context(cannot)?;
    hasher.update_reader((&file).take(sections.ids as u64)).with_context(cannot)?;
    signature.extend(hasher.finalize().as_bytes());
    Ok(Look::Of(signature))
}

#[cfg(test)]
mod tests;
