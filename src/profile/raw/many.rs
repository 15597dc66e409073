//! Adds many files to one group, in threads. Unaware of what a file's content is.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::Result;

use super::Input;
use super::counters::CHUNK;
use super::group::{Group, Scratch};
use super::layout::Refusal;
use super::spoiled::Spoiled;

/// What is to be said of files, by their numbers.
#[derive(Debug, Default)]
pub struct Told {
    /// Not added, and why.
    pub refused: Vec<(usize, Refusal)>,
    /// Added without some functions.
    pub spoiled: Vec<(usize, Spoiled)>,
}

impl Group {
    /// Adds all files that fit, in so many threads.
    ///
    /// # Errors
    /// One cannot be read: then the sum is not to be used.
    pub fn add_all(&mut self, files: &[Input], threads: usize) -> Result<Told> {
        let next = AtomicUsize::new(0);
        let told = Mutex::new(Told::default());
        let failed = Mutex::new(None);
        let group = &*self;
        std::thread::scope(|scope| {
            let threads = threads.clamp(1, files.len().max(1));
            for thread in 0..threads {
                let first = thread * group.template.sections.counters / CHUNK / threads;
                let (next, told, failed) = (&next, &told, &failed);
                let work = move || {
                    let mut scratch = Scratch::default();
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let Some((path, weight)) = files.get(number) else { break };
                        let result = group.add(path, *weight, first, &mut scratch);
                        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                        match result {
                            Ok(Ok(None)) => {}
                            Ok(Ok(Some(spoiled))) => told.spoiled.push((number, spoiled)),
                            Ok(Err(refusal)) => told.refused.push((number, refusal)),
                            Err(error) => {
                                let error = anyhow::Error::new(error).context(format!("cannot read {path}"));
                                *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                                next.store(files.len(), Ordering::Relaxed);
                            }
                        }
                    }
                };
                match thread + 1 == threads {
                    true => work(),
                    false => drop(scope.spawn(work)),
                }
            }
        });
        if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let mut told = told.into_inner().unwrap_or_else(PoisonError::into_inner);
        told.refused.sort_by_key(|(number, _)| *number);
        told.spoiled.sort_by_key(|(number, _)| *number);
        self.files += (files.len() - told.refused.len()) as u64;
        Ok(told)
    }
}
