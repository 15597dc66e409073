//! One attempt of a workload: a thread takes profiles away as they become final, another one merges them.
//!
//! Two, because taking must not wait: process ids return.

use std::fs;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use camino::{Utf8Path, Utf8PathBuf};

use super::Shared;
use super::budget::QUARANTINE;
use super::partial::Partial;
use super::store::SUM;
use crate::event::Fact;
use crate::op::bolt::Slot;
use crate::plan::census;
use crate::proc::start;
use crate::profile::watch::{Event, FileNames, Mode, Stop, TakenFile, Tree, Watch};

/// Merged at once, at most, so that their space is free soon.
const BATCH_FILES: usize = 256;
const BATCH_BYTES: u64 = 64 << 20;
/// How often it is looked whether merging has become urgent.
const LOOK: Duration = Duration::from_millis(50);

/// In an attempt's directory: where processes write.
const RAW: &str = "raw";

/// An attempt under way.
pub(super) struct Attempt {
    shared: Arc<Shared>,
    id: u64,
    dir: Utf8PathBuf,
    /// What is to be removed in the end.
    asides: Vec<Utf8PathBuf>,
    stop: Arc<Stop>,
    taking: JoinHandle<Result<()>>,
    merging: JoinHandle<Result<Partial>>,
    workload: String,
    command: String,
}

impl Attempt {
    /// Begins to watch where the workload's processes will write.
    ///
    /// # Errors
    /// A directory cannot be made, or the slot's path is not known.
    pub fn begin(
        shared: &Arc<Shared>,
        id: u64,
        workload: &str,
        slot: usize,
        dir: Utf8PathBuf,
        command: String,
    ) -> Result<Attempt> {
        let tree = tree(shared, slot, &dir)?;
        let work = dir.join(".merge");
        fs::create_dir_all(&work).with_context(|| format!("cannot make the directory {work}"))?;
        let asides = vec![tree.aside.clone(), work.clone()];
        let partial = Partial::new(Arc::clone(shared), id, work, dir.join(QUARANTINE), tree.root.clone());
        let watch = Watch::new(vec![tree]).with_context(|| format!("cannot watch for profiles of `{workload}`"))?;
        let stop = Arc::new(Stop::new().context("cannot make a file descriptor")?);
        let (to, from) = channel();
        let taking = {
            let (shared, stop) = (Arc::clone(shared), Arc::clone(&stop));
            start::thread("take", move || take(&shared, id, watch, &stop, &to))?
        };
        let merging = {
            let (shared, obeyed) = (Arc::clone(shared), Arc::clone(&stop));
            let thread = start::thread("merge", move || merge(&shared, id, partial, &obeyed, &from));
            thread.inspect_err(|_| stop.abandon())?
        };
        let (shared, workload) = (Arc::clone(shared), workload.to_owned());
        Ok(Attempt { shared, id, dir, asides, stop, taking, merging, workload, command })
    }

    /// Merges what is left, if the attempt counts, and puts the sum into its directory.
    ///
    /// # Errors
    /// Nothing was written, no profile is good, or the tool failed.
    pub fn end(self, counts: bool) -> Result<Vec<Fact>> {
        if counts {
            self.stop.finish()
        } else {
            self.stop.abandon()
        }
        let taken = join(self.taking);
        let merged = join(self.merging);
        let facts = match (taken, merged, counts) {
            (Ok(()), Ok(partial), true) => {
                let (sum, processes) = (self.dir.join(SUM), self.dir.join(census::FILE));
                let facts = partial.finish(&sum, &processes, &self.workload, &self.command);
                facts.and_then(|facts| remove(&processes).map(|()| facts))
            }
            (Err(error), _, true) | (_, Err(error), true) => Err(error),
            (_, _, false) => Ok(Vec::new()),
        };
        let removed = self
            .asides
            .iter()
            .try_for_each(|aside| fs::remove_dir_all(aside).with_context(|| format!("cannot remove {aside}")));
        self.shared.budget.ended(self.id);
        facts.and_then(|facts| removed.map(|()| facts))
    }
}

/// Removes a file, if it is there.
fn remove(file: &Utf8Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {file}"))
        }
        _ => Ok(()),
    }
}

fn join<T>(thread: JoinHandle<Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|_| Err(anyhow!("optbuild itself failed, as it says above; please report it")))
}

/// Where the processes of an attempt write.
fn tree(shared: &Shared, slot: usize, dir: &Utf8Path) -> Result<Tree> {
    let extension = shared.args.format.raw_extension();
    let (root, wanted) = match &shared.args.slots {
        None => (dir.join(RAW), FileNames::Extension(extension)),
        Some(slots) => {
            let slot = Slot::read(&slots.join(format!("slot-{slot}.path")))?;
            (slot.dir, FileNames::Stem(slot.stem, extension))
        }
    };
    let name = root.file_name().unwrap_or(RAW);
    let aside = root.parent().unwrap_or(dir).join(format!(".taken-{name}"));
    Ok(Tree { root, aside, wanted })
}

fn take(shared: &Shared, id: u64, watch: Watch, stop: &Stop, to: &Sender<TakenFile>) -> Result<()> {
    let taken = watch.run(stop, |event| match event {
        Event::Waiting(bytes) => shared.budget.waiting(id, bytes),
        Event::Taken(file, waiting) => {
            shared.budget.taken(id, file.bytes, waiting);
            if to.send(file).is_err() {
                tracing::debug!("merging has ended: the attempt has failed");
            }
        }
    });
    taken.context("cannot take profiles away").inspect_err(|error| shared.runner.failed(id, error))
}

fn merge(shared: &Shared, id: u64, mut partial: Partial, stop: &Stop, from: &Receiver<TakenFile>) -> Result<Partial> {
    let mut merge = || -> Result<()> {
        loop {
            let first = match from.recv_timeout(LOOK) {
                Ok(first) => first,
                Err(RecvTimeoutError::Timeout) if shared.budget.is_pressing() => {
                    partial.flush()?;
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            let mut bytes = first.bytes;
            let mut batch = vec![first];
            while batch.len() < BATCH_FILES
                && bytes < BATCH_BYTES
                && let Ok(file) = from.try_recv()
            {
                bytes += file.bytes;
                batch.push(file);
            }
            match stop.mode() {
                Mode::Drop => {}
                // When the workload has ended the processors are free.
                mode => partial.add(batch, mode == Mode::Finish || shared.budget.is_pressing())?,
            }
        }
    };
    match merge() {
        Ok(()) => Ok(partial),
        Err(error) => {
            stop.abandon();
            shared.runner.failed(id, &error);
            Err(error)
        }
    }
}
