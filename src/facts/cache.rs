//! What programs printed, kept between runs while the program stays the same file.
//!
//! `--version` of a tool costs up to 100 ms, so asking a dozen of them is what a run with nothing to do would spend its time
//! on. Only programs that answer for themselves are kept: a script may call anything, and rustup's proxies and compiler
//! caches speak for a program that other settings choose.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Mutex, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::live;
use crate::fs::disk::{self, At, DiskError};
use crate::fs::stat::Stat;

/// Programs that pass the question on to another one.
const PROXIES: [&str; 8] = ["rustup", "rustup-init", "ccache", "sccache", "distcc", "icecc", "busybox", "env"];

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
    /// Where the program lies, without symbolic links, and which file it is as far as that can be told without reading it.
    program: (Utf8PathBuf, Stat),
    output: String,
}

impl OutputCache {
    pub(super) fn load(file: &Utf8Path) -> OutputCache {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let entries = serde_json::from_str(&text).unwrap_or_default();
        OutputCache { file: file.into(), entries, changed: false }
    }

    /// A run beside this one reads either file whole.
    pub(super) fn save(&mut self) -> Result<(), DiskError> {
        if self.changed {
            if let Some(dir) = self.file.parent() {
                disk::make_dir(dir)?;
            }
            disk::write_whole(&self.file, &serde_json::to_vec(&self.entries).at("write", &self.file)?)?;
            self.changed = false;
        }
        Ok(())
    }

    /// The output of a command line that begins with `program`, kept or looked up. Nothing is locked while it looks.
    pub(super) fn output(
        cache: &Mutex<OutputCache>,
        line: &str,
        program: &str,
        look: impl FnOnce() -> Option<String>,
    ) -> Option<String> {
        let Some(program) = lasting(program) else { return look() };
        let lock = || cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = lock().entries.get(line).filter(|entry| entry.program == program) {
            return Some(entry.output.clone());
        }
        // A failure can be of the moment.
        let output = look()?;
        let mut cache = lock();
        cache.entries.insert(line.into(), Entry { program, output: output.clone() });
        cache.changed = true;
        Some(output)
    }
}

/// The file that a program is, if its answers may be kept.
fn lasting(program: &str) -> Option<(Utf8PathBuf, Stat)> {
    let path = live::program(program)?.canonicalize_utf8().ok()?;
    if PROXIES.contains(&path.file_name()?) || !is_binary(&path) {
        return None;
    }
    let stat = Stat::of(&path.metadata().ok()?);
    Some((path, stat))
}

/// ELF, or Mach-O for one or several architectures.
fn is_binary(path: &Utf8Path) -> bool {
    let mut magic = [0; 4];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    read.is_ok() && (magic == *b"\x7fELF" || matches!(magic, [0xcf, 0xfa, 0xed, 0xfe] | [0xca, 0xfe, 0xba, 0xbe]))
}
