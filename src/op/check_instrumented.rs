//! `op check-instrumented`: whether a build is going to write profiles, asked before an hour of workloads.

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::event::Fact;
use crate::fs::pattern;
use crate::profile::{self, Format, elf::Binary};

/// Checks that a file, or at least one file below a directory, is instrumented.
#[derive(Debug, clap::Args)]
pub struct CheckInstrumented {
    /// Which profiles it is to write.
    #[arg(long)]
    pub format: Format,
    /// A linked file, or a directory. The file's name can have a `*`, if exactly one file matches.
    pub path: Utf8PathBuf,
}

impl CheckInstrumented {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let path = &pattern::resolve(&self.path).unwrap_or_else(|_| self.path.clone());
        if !path.exists() {
            bail!("there is no {path}, which was to be the instrumented build");
        }
        let files = profile::find(path, |_| true).with_context(|| format!("cannot read {path}"))?;
        let (mut instrumented, mut linked) = (0, 0);
        for file in &files {
            let binary = match read_linked(&file.path) {
                Ok(Some(binary)) => binary,
                Ok(None) => continue,
                // A directory may hold all sorts of files, such as damaged ones for a project's tests.
                Err(_) if path.is_dir() => continue,
                Err(error) => return Err(error),
            };
            linked += 1;
            instrumented += usize::from(match self.format {
                Format::Profdata => binary.pgo_instrumented,
                Format::Fdata => binary.bolt_instrumented,
            });
        }
        if instrumented > 0 {
            return Ok(Vec::new());
        }
        // Static archives, and other formats than ELF, are not looked into.
        if linked == 0 && !files.is_empty() {
            return Ok(Vec::new());
        }
        match self.format {
            Format::Profdata => bail!(
                "{path} is not instrumented: no `__llvm_prf_cnts` in {linked} linked files. Build it with `pgo = \"generate\"`, \
                 and look whether the project's own settings take the flags out"
            ),
            Format::Fdata => bail!(
                "{path} is not instrumented by llvm-bolt: no `.bolt.instr.tables` in {linked} linked files. Name the output of \
                 a bolt stage with `action = \"instrument\"`"
            ),
        }
    }
}

/// Object files have instrumentation as well, but write nothing.
fn read_linked(path: &Utf8Path) -> Result<Option<Binary>> {
    if matches!(path.extension(), Some("o" | "a" | "rlib" | "rmeta")) {
        return Ok(None);
    }
    Binary::read(path)
}
