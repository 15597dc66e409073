//! A BOLT profile in BOLT's other format, YAML, for a bundle.
//!
//! The text that processes write (`.fdata`) names functions and offsets, which are of use for the very same code only. The YAML has
//! hashes of functions and blocks as well, by which `llvm-bolt -infer-stale-profile` finds them again in other code; with the text
//! that option does nothing. Only llvm-bolt can write it, and it needs the binary that the profile is of.

use std::process::{Command, Stdio};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::cli::output::tell;
use crate::cli::project::Project;
use crate::toolchain;

/// Has llvm-bolt write a profile as YAML. None, and it is said why: it cannot.
pub(super) fn make(
    project: &Project,
    binary: &Utf8Path,
    profile: &Utf8Path,
    output: &Utf8Path,
) -> Result<Option<Utf8PathBuf>> {
    let (Some(dir), Some(name)) = (binary.parent(), binary.file_name()) else { return Ok(None) };
    let without = |why: &str| {
        tell(&format!("without the form of {profile} that llvm-bolt can match with other code: {why}"));
        Ok(None)
    };
    let tool = match toolchain::locate(&project.facts, &project.pipeline, "llvm-bolt") {
        Ok(tool) => tool,
        Err(gap) => return without(&gap.what),
    };
    // The name is written into the file; the directory, which is another one on each machine, is not.
    let args = [name, "-data", profile.as_str(), "-w", output.as_str(), "-o", "/dev/null"];
    match Command::new(&tool).args(args).current_dir(dir).stdin(Stdio::null()).output() {
        Ok(ended) if ended.status.success() && output.exists() => Ok(Some(output.to_owned())),
        Ok(ended) => {
            let said = String::from_utf8_lossy(&ended.stderr).into_owned();
            without(&format!("{tool} failed ({}) {}", ended.status, said.lines().last().unwrap_or_default()))
        }
        Err(error) => without(&format!("{tool} cannot be run: {error}")),
    }
}
