//! `plain-debug` and `compress-like`: debug sections as llvm-bolt can update them, and as the linker had made them.
//!
//! llvm-bolt before LLVM 23 takes compressed sections for what they are not: it leaves what nobody can read, or never ends. Later ones refuse
//! them. So it gets a copy in which they are not compressed. Unaware of what llvm-bolt does to the file.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use anyhow::{Context, Result, bail};
use camino::Utf8Path;

use super::bolt::replaced;
use crate::event::Fact;
use crate::fs::tree;
use crate::plan::ops::given::{CompressLike, PlainDebug};
use crate::profile::linked::{Compression, Linked};

impl PlainDebug {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let (file, output) = (&self.file, &self.output);
        if let Some(dir) = output.parent() {
            fs::create_dir_all(dir).with_context(|| format!("cannot make the directory {dir}"))?;
        }
        tree::remove(output)?;
        let compressed = compressed(file)?;
        if compressed.is_empty() {
            let real = file.canonicalize_utf8().with_context(|| format!("cannot find {file}"))?;
            symlink(real, output).with_context(|| format!("cannot link {output} to {file}"))?;
            return Ok(Vec::new());
        }
        let how = options(&compressed);
        let ways = concat!(
            "link with `--compress-debug-sections=none`, or take `-update-debug-sections` out of llvm-bolt's options, ",
            "and the result has no debug information"
        );
        let Some(objcopy) = &self.objcopy else {
            bail!(
                "the debug sections of {file} are compressed ({how}), and llvm-bolt cannot update them. Install the llvm-objcopy of \
                 its LLVM, with which they are decompressed before and compressed again after; or {ways}"
            );
        };
        let run = Command::new(objcopy).arg("--decompress-debug-sections").args([file, output]).output();
        let run = run.with_context(|| format!("cannot start {objcopy}"))?;
        if !run.status.success() {
            let said = String::from_utf8_lossy(&run.stderr);
            bail!("{objcopy} cannot decompress the debug sections of {file} ({how}): {}; {ways}", said.trim());
        }
        let left = self::compressed(output)?;
        if !left.is_empty() {
            bail!("{objcopy} left debug sections of {file} compressed ({}); {ways}", options(&left));
        }
        Ok(vec![Fact::note(format!(
            "the debug sections are compressed ({how}): llvm-bolt gets a copy in which they are not, and its result is compressed again"
        ))])
    }
}

impl CompressLike {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let wanted = compressed(&self.like)?;
        // One of them, where there are two: sections of one file can differ.
        let Some(how) = wanted.iter().find(|how| **how != Compression::Gnu) else { return Ok(Vec::new()) };
        let Some(objcopy) = &self.objcopy else { return Ok(Vec::new()) };
        let has = Linked::read(&self.file)?.is_some_and(|linked| linked.debug.exists);
        if has {
            let option = format!("--compress-debug-sections={}", how.option());
            replaced(&self.file, objcopy, &[option], "compress the debug sections of")?;
        }
        Ok(Vec::new())
    }
}

/// How the debug sections of a file are compressed.
fn compressed(file: &Utf8Path) -> Result<BTreeSet<Compression>> {
    Ok(Linked::read(file)?.map(|linked| linked.debug.compressed).unwrap_or_default())
}

fn options(how: &BTreeSet<Compression>) -> String {
    how.iter().map(|how| how.option()).collect::<Vec<_>>().join(", ")
}
