//! The standard error of a workload: its log has it, and a file beside the log has it alone, as long as the workload runs.
//!
//! A program can print hundreds of lines on standard output behind its error, if only because that is written when it ends. So what is shown
//! of a failure is the end of its standard error. The log has both: what is new in the file is added to it at every look, by whole lines.
//! Unaware of what the lines mean.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};

use camino::{Utf8Path, Utf8PathBuf};

use super::tail;

/// So much is copied at once.
const BLOCK: u64 = 1 << 20;
/// A larger file begins anew when it is copied. What is written at that very moment is lost.
const LARGEST: u64 = 64 << 20;

/// A file with what a command writes on standard error.
#[derive(Debug)]
pub(super) struct OwnErrors {
    pub file: Utf8PathBuf,
    log: Utf8PathBuf,
    copied: u64,
}

impl OwnErrors {
    pub fn beside(log: &Utf8Path) -> OwnErrors {
        OwnErrors { file: log.with_extension("stderr"), log: log.to_owned(), copied: 0 }
    }

    /// Adds what is new to the log; of a line that has no end yet nothing, unless it is the last.
    pub fn copy(&mut self, last: bool) -> io::Result<()> {
        let mut file = match File::open(&self.file) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        loop {
            let mut block = Vec::new();
            file.seek(SeekFrom::Start(self.copied))?;
            (&file).take(BLOCK).read_to_end(&mut block)?;
            let whole = block.len() as u64 == BLOCK;
            let lines = block.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
            block.truncate(lines.filter(|_| !last || whole).unwrap_or(if last || whole { block.len() } else { 0 }));
            if block.is_empty() {
                break;
            }
            OpenOptions::new().append(true).create(true).open(&self.log)?.write_all(&block)?;
            self.copied += block.len() as u64;
        }
        if self.copied > LARGEST {
            OpenOptions::new().write(true).open(&self.file)?.set_len(0)?;
            self.copied = 0;
        }
        Ok(())
    }

    /// The last lines, where the end of the log does not have them anyway.
    pub fn last_lines(&self, of_log: &[String], count: usize) -> Vec<String> {
        let own = tail::last_lines(&self.file, count).unwrap_or_default();
        if own.iter().all(|line| of_log.contains(line)) { Vec::new() } else { own }
    }
}

impl Drop for OwnErrors {
    fn drop(&mut self) {
        // It may never have been there.
        let _ = fs::remove_file(&self.file);
    }
}
