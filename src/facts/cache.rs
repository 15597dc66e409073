//! What programs printed, kept between runs while the program stays the same file.
//!
//! `--version` of a tool costs up to 100 ms, so asking a dozen of them is what a run with nothing to do would spend its time
//! on. Only programs that answer for themselves are kept: a script may call anything, and rustup's proxies and compiler
//! caches speak for a program that other settings choose.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::{Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::live;

/// Programs that pass the question on to another one.
const PROXIES: [&str; 8] = ["rustup", "rustup-init", "ccache", "sccache", "distcc", "icecc", "busybox", "env"];

/// As all files in a state directory that are being written: what a kill leaves of them is removed with the lock.
const ASIDE: &str = ".tmp-";

/// Outputs by command line, and the file they stand in.
#[derive(Debug)]
pub(super) struct OutputCache {
    file: Utf8PathBuf,
    entries: BTreeMap<String, Entry>,
    changed: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    program: Identity,
    output: String,
}

/// Which file a program is, as far as that can be told without reading it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    /// Without symbolic links.
    path: Utf8PathBuf,
    size: u64,
    /// Nanoseconds since 1970.
    modified: u64,
}

impl OutputCache {
    pub(super) fn load(file: &Utf8Path) -> OutputCache {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let entries = serde_json::from_str(&text).unwrap_or_default();
        OutputCache { file: file.into(), entries, changed: false }
    }

    /// Written aside and renamed, so that a run beside this one reads either file whole.
    pub(super) fn save(&mut self) -> io::Result<()> {
        if !self.changed {
            return Ok(());
        }
        let dir = self.file.parent().filter(|dir| !dir.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
        std::fs::create_dir_all(dir)?;
        let mut aside = tempfile::Builder::new().prefix(ASIDE).tempfile_in(dir)?;
        aside.write_all(&serde_json::to_vec(&self.entries)?)?;
        aside.persist(&self.file).map_err(|error| error.error)?;
        self.changed = false;
        Ok(())
    }

    /// The output of a command line that begins with `program`, kept or looked up. Nothing is locked while it looks.
    pub(super) fn output(
        cache: &Mutex<OutputCache>,
        line: &str,
        program: &str,
        look: impl FnOnce() -> Option<String>,
    ) -> Option<String> {
        let Some(identity) = identity(program) else { return look() };
        let lock = || cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = lock().entries.get(line).filter(|entry| entry.program == identity) {
            return Some(entry.output.clone());
        }
        // A failure can be of the moment.
        let output = look()?;
        let mut cache = lock();
        cache.entries.insert(line.into(), Entry { program: identity, output: output.clone() });
        cache.changed = true;
        Some(output)
    }
}

/// Of a program whose answers may be kept.
fn identity(program: &str) -> Option<Identity> {
    let path = live::program(program)?.canonicalize_utf8().ok()?;
    if PROXIES.contains(&path.file_name()?) || !is_binary(&path) {
        return None;
    }
    let metadata = path.metadata().ok()?;
    let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(Identity { path, size: metadata.len(), modified: u64::try_from(modified.as_nanos()).ok()? })
}

/// ELF, or Mach-O for one or several architectures.
fn is_binary(path: &Utf8Path) -> bool {
    let mut magic = [0; 4];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    read.is_ok() && (magic == *b"\x7fELF" || matches!(magic, [0xcf, 0xfa, 0xed, 0xfe] | [0xca, 0xfe, 0xba, 0xbe]))
}
