//! The state directory: making it, the lock on it, and the records in it.
//!
//! Unaware of how a record comes about, and of when one is good.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::layout::{self, FORMAT, Layout, MARKER, MARKER_TEXT, Marker};
use super::manifest::{Manifest, Times};
use super::record::Record;
use crate::fs::disk::{self, At, DiskError};
use crate::pipeline::own_name;
use crate::sync::Warnings;

/// Why a state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("there is no state directory `{0}`; `optbuild run` makes one")]
    Missing(Utf8PathBuf),
    #[error(
        "`{0}` is not a state directory of optbuild (it has files, but no `{MARKER}`); \
         choose another one with `--state-dir`, or move what is in it elsewhere"
    )]
    Foreign(Utf8PathBuf),
    #[error(
        "`{path}` was written by a newer optbuild (format {format}, this one knows {FORMAT}); \
         update optbuild, or choose another one with `--state-dir`"
    )]
    Newer { path: Utf8PathBuf, format: u32 },
    #[error("{}", locked(path, holder.as_ref()))]
    Locked {
        path: Utf8PathBuf,
        /// None when it has not said yet.
        holder: Option<LockInfo>,
    },
    #[error("{0}; the state directory can be elsewhere: `--state-dir DIR`")]
    NotMade(DiskError),
    #[error(transparent)]
    Disk(#[from] DiskError),
}

fn locked(path: &Utf8Path, holder: Option<&LockInfo>) -> String {
    let by = holder.map_or_else(String::new, |LockInfo { pid, command, since }| {
        format!(": `{command}` (process {pid}), since {}", since.strftime("%Y-%m-%d %H:%M:%S UTC"))
    });
    format!("another optbuild works in `{path}`{by}; wait for it, end it, or choose another one with `--state-dir`")
}

/// Who holds the lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockInfo {
    pub pid: u32,
    /// Its command line.
    pub command: String,
    pub since: Timestamp,
}

/// Directories, and for each the places in it with the hashes of what was put there.
pub type Published = BTreeMap<Utf8PathBuf, BTreeMap<String, String>>;

/// The right to change a state directory. Ends when it is dropped, or with the process.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

/// A state directory.
#[derive(Debug)]
pub struct State {
    layout: Layout,
    warnings: Warnings,
}

impl State {
    /// Opens the state directory `root`, an absolute path. With `create`, makes it where there is none.
    pub fn open(root: &Utf8Path, create: bool) -> Result<State, StateError> {
        let layout = Layout::new(root);
        match layout::marker(root.as_std_path()).at("read", layout.marker())? {
            Marker::Format(format) if format > FORMAT => {
                return Err(StateError::Newer { path: root.to_owned(), format });
            }
            Marker::Format(_) => {}
            Marker::Other => return Err(StateError::Foreign(root.to_owned())),
            Marker::None => {
                // A kill between making the directory and marking it leaves one that is as good as none.
                match disk::names_in(root) {
                    Err(error) if error.cause.kind() == io::ErrorKind::NotADirectory => {
                        return Err(StateError::Foreign(root.to_owned()));
                    }
                    names => {
                        if names?.iter().any(|name| name != ".gitignore") && !is_made(&layout) {
                            return Err(StateError::Foreign(root.to_owned()));
                        }
                    }
                }
                if !create {
                    return Err(StateError::Missing(root.to_owned()));
                }
                make(&layout)?;
            }
        }
        Ok(State { layout, warnings: Warnings::default() })
    }

    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Takes the lock, which everything that changes the state needs, and removes what killed runs left half done.
    ///
    /// # Errors
    /// [`StateError::Locked`] when another process has it.
    pub fn lock(&self, info: &LockInfo) -> Result<Lock, StateError> {
        let path = self.layout.lock();
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = options.at("open", &path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let holder = file.read_to_string(&mut text).ok().and_then(|_| serde_json::from_str(&text).ok());
                return Err(StateError::Locked { path: self.layout.root().to_owned(), holder });
            }
            Err(TryLockError::Error(error)) => return Err(error).at("lock", &path)?,
        }
        let text = serde_json::to_string(info).at("write", &path)?;
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(text.as_bytes()))
            .at("write", &path)?;
        let lock = Lock { file };
        self.sweep()?;
        Ok(lock)
    }

    fn sweep(&self) -> Result<(), DiskError> {
        let layout = &self.layout;
        for directory in [
            layout.root().to_owned(),
            layout.records(),
            layout.manifests(),
            layout.names(),
            layout.stages(),
            layout.outputs(),
            layout.workspaces(),
            layout.runs(),
        ] {
            disk::sweep(&directory)?;
        }
        for stage in disk::names_in(&layout.stages())? {
            disk::sweep(&layout.stage(&stage))?;
        }
        for stage in disk::names_in(&layout.outputs())? {
            disk::sweep(&layout.outputs().join(stage))?;
        }
        Ok(())
    }

    /// What was found damaged since this was last asked, as sentences. What is damaged counts as not there.
    pub fn take_warnings(&self) -> Vec<String> {
        self.warnings.take()
    }

    fn warn(&self, text: String) {
        self.warnings.add(text);
    }

    /// The record with this fingerprint.
    pub fn record(&self, fingerprint: &str) -> Result<Option<Record>, DiskError> {
        let path = self.layout.record(fingerprint);
        let Some(bytes) = disk::read_if_there(&path)? else { return Ok(None) };
        let problem = match serde_json::from_slice::<Record>(&bytes) {
            Ok(record) if record.fingerprint.id() == fingerprint => return Ok(Some(record)),
            Ok(_) => "its content does not belong to its name".to_string(),
            Err(error) => error.to_string(),
        };
        self.warn(format!("the record `{path}` is damaged and is not used ({problem})"));
        Ok(None)
    }

    /// The record that the stage got last, whatever its fingerprint.
    pub fn current(&self, stage: &str) -> Result<Option<Record>, DiskError> {
        let path = self.layout.name(stage);
        let Some(bytes) = disk::read_if_there(&path)? else { return Ok(None) };
        let name = String::from_utf8_lossy(&bytes).trim().to_string();
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            self.warn(format!("`{path}` is damaged and is not used"));
            return Ok(None);
        }
        Ok(self.record(&name)?.filter(|record| own_name(&record.stage) == own_name(stage)))
    }

    /// All records, in no order that means anything.
    pub fn all_records(&self) -> Result<Vec<Record>, DiskError> {
        let mut records = Vec::new();
        for name in disk::names_in(&self.layout.records())? {
            if let Some(fingerprint) = name.strip_suffix(".json") {
                records.extend(self.record(fingerprint)?);
            }
        }
        Ok(records)
    }

    /// Keeps a record, durably, with the manifests of its outputs, and makes it the stage's current one.
    ///
    /// The outputs must be on disk already (see [`disk::sync_tree`]).
    pub fn put_record(&self, record: &Record, outputs: &BTreeMap<String, (Manifest, Times)>) -> Result<(), DiskError> {
        let layout = &self.layout;
        for directory in [layout.records(), layout.manifests(), layout.names()] {
            disk::make_dir(&directory)?;
        }
        disk::sync_dir(layout.root())?;
        let id = record.fingerprint.id();
        for (manifest, _) in outputs.values() {
            let path = layout.manifest(&manifest.hash());
            // Named by its content; but only a file that can be read back is worth keeping.
            if self.manifest(&manifest.hash())?.is_none() {
                disk::write_durably(&path, &manifest.encode().at("write", &path)?)?;
            }
        }
        let times: BTreeMap<&String, &Times> = outputs.iter().map(|(name, (_, times))| (name, times)).collect();
        let path = layout.record_times(&id);
        disk::write_whole(&path, &postcard::to_stdvec(&times).map_err(io::Error::other).at("write", &path)?)?;
        let path = layout.record(&id);
        let text = serde_json::to_vec_pretty(record).at("write", &path)?;
        disk::write_durably(&path, &text)?;
        disk::write_durably(&layout.name(&record.stage), format!("{id}\n").as_bytes())
    }

    /// Makes an existing record the stage's current one: after variables were set back, say.
    pub fn point_to(&self, stage: &str, fingerprint: &str) -> Result<(), DiskError> {
        let path = self.layout.name(stage);
        let text = format!("{fingerprint}\n");
        if disk::read_if_there(&path)?.as_deref() == Some(text.as_bytes()) {
            return Ok(());
        }
        disk::make_dir(&self.layout.names())?;
        disk::write_durably(&path, text.as_bytes())
    }

    /// Takes a record away, durably: before its stage is begun again.
    pub fn remove_record(&self, fingerprint: &str) -> Result<(), DiskError> {
        disk::remove_durably(&self.layout.record(fingerprint))?;
        disk::remove_tree(&self.layout.record_times(fingerprint))
    }

    /// What was put into which directory by any run: the place there, and the hash of what was put.
    ///
    /// A damaged note is the same as none: outputs are put there again.
    pub fn published(&self) -> Result<Published, DiskError> {
        Ok(disk::read_json(&self.layout.published())?.unwrap_or_default())
    }

    /// Notes it, durably.
    pub fn put_published(&self, all: &Published) -> Result<(), DiskError> {
        disk::write_json(&self.layout.published(), all)
    }

    /// Files in which what optbuild printed has ended, such as that of `tee`.
    pub fn printed(&self) -> Result<BTreeSet<Utf8PathBuf>, DiskError> {
        Ok(disk::read_json(&self.layout.printed())?.unwrap_or_default())
    }

    /// Notes such files.
    pub fn put_printed(&self, all: &BTreeSet<Utf8PathBuf>) -> Result<(), DiskError> {
        disk::write_json(&self.layout.printed(), all)
    }

    /// The manifest with this hash; none, with a warning, when it is damaged.
    pub fn manifest(&self, hash: &str) -> Result<Option<Manifest>, DiskError> {
        let path = self.layout.manifest(hash);
        let Some(bytes) = disk::read_if_there(&path)? else { return Ok(None) };
        match Manifest::decode(&bytes) {
            Some(manifest) if manifest.hash() == hash => Ok(Some(manifest)),
            _ => {
                self.warn(format!("the manifest `{path}` is damaged and is not used"));
                Ok(None)
            }
        }
    }

    /// The times of the files of a record's outputs. Without them files are hashed to see whether they changed.
    pub fn times(&self, fingerprint: &str) -> Result<BTreeMap<String, Times>, DiskError> {
        let bytes = disk::read_if_there(&self.layout.record_times(fingerprint))?;
        Ok(bytes.and_then(|bytes| postcard::from_bytes(&bytes).ok()).unwrap_or_default())
    }
}

/// Makes a state directory. Another process may do the same at this moment: whoever is first may take away what the other has half
/// written.
fn make(layout: &Layout) -> Result<(), StateError> {
    disk::make_dir(layout.root()).map_err(StateError::NotMade)?;
    let written = disk::write_durably(&layout.gitignore(), b"*\n")
        .and_then(|()| disk::write_durably(&layout.marker(), format!("{MARKER_TEXT}{FORMAT}\n").as_bytes()));
    match written {
        Err(_) if is_made(layout) => Ok(()),
        written => Ok(written?),
    }
}

/// Whether it is there by now.
fn is_made(layout: &Layout) -> bool {
    matches!(layout::marker(layout.root().as_std_path()), Ok(Marker::Format(FORMAT)))
}

impl Drop for Lock {
    fn drop(&mut self) {
        // What it says is only for those who find it locked, and closing the file unlocks it.
        let _ = self.file.set_len(0);
    }
}
