//! `op check-bolt-input` and `op check-bolted`: whether llvm-bolt can do its work on a file, and whether it did.

use std::os::unix::fs::MetadataExt;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::event::Fact;
use crate::profile::elf::Binary;

/// Checks that a linked file has relocations and symbols and was not rewritten by BOLT before.
#[derive(Debug, clap::Args)]
pub struct CheckBoltInput {
    /// The executable or shared library.
    pub file: Utf8PathBuf,
    /// Where llvm-bolt is going to write. Must not be the same file, by whatever name.
    #[arg(long)]
    pub output: Option<Utf8PathBuf>,
}

/// Checks that a file was written by llvm-bolt.
#[derive(Debug, clap::Args)]
pub struct CheckBolted {
    /// The rewritten file.
    pub file: Utf8PathBuf,
}

impl CheckBoltInput {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let file = &self.file;
        let binary = read(file)?;
        if binary.bolted {
            bail!(
                "{file} was rewritten by llvm-bolt before, and it cannot do that twice; name the file that the linker made"
            );
        }
        if !binary.symbols {
            bail!(
                "{file} is stripped, and BOLT finds functions by their symbols. Keep them until BOLT is done: `strip = false` in \
                 the cargo profile, no `-s` among the linker flags, no `strip` after the build"
            );
        }
        if !binary.code_relocations {
            bail!(
                "{file} has no relocations, without which BOLT cannot move functions. Link it with `--emit-relocs`: \
                 `keep-relocations = true` in the stage that builds it, or `-Wl,--emit-relocs` among the linker flags"
            );
        }
        if let Some(output) = &self.output {
            self.apart_from(output)?;
        }
        Ok(Vec::new())
    }

    fn apart_from(&self, output: &Utf8Path) -> Result<()> {
        // What does not exist yet is another file.
        let Ok(there) = output.metadata() else { return Ok(()) };
        let here = self.file.metadata().with_context(|| format!("cannot look at {}", self.file))?;
        if (here.dev(), here.ino()) == (there.dev(), there.ino()) {
            bail!("{} and {output} are the same file; llvm-bolt must not write to its input", self.file);
        }
        Ok(())
    }
}

impl CheckBolted {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let file = &self.file;
        if !read(file)?.bolted {
            bail!("{file} has no `.note.bolt_info`: llvm-bolt left it as it was; its output says why");
        }
        let size = file.metadata().with_context(|| format!("cannot look at {file}"))?.len();
        Ok(vec![Fact::bytes("size", size)])
    }
}

fn read(file: &Utf8Path) -> Result<Binary> {
    match Binary::read(file)? {
        Some(binary) => Ok(binary),
        None => bail!("{file} is not an ELF executable or shared library, the only files that BOLT rewrites here"),
    }
}
