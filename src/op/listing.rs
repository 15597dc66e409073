//! Has `llvm-profdata show` list a profile, and passes on what it prints, function by function: profiles with hundreds of
//! thousands of functions are never in memory as a whole.

use std::io::{BufReader, Read, Seek};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use camino::Utf8Path;

use crate::profile::listing::{self, Function, Rest};

/// Which counts of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    First,
    /// Those of a second instrumentation, after inlining.
    ContextSensitive,
}

/// Calls `each` with every function.
///
/// # Errors
/// The tool cannot be run, or cannot read the profile.
pub(crate) fn list(tool: &Utf8Path, profile: &Utf8Path, level: Level, each: impl FnMut(Function)) -> Result<Rest> {
    let mut complaints = tempfile::tempfile().context("cannot make a temporary file")?;
    let stderr = complaints.try_clone().context("cannot use a temporary file")?;
    let mut command = Command::new(tool);
    command.args(["show", "--all-functions", "--counts", "--binary-ids"]);
    command.args((level == Level::ContextSensitive).then_some("--showcs")).arg(profile);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .with_context(|| format!("cannot run {tool}"))?;
    let stdout = child.stdout.take().with_context(|| format!("{tool} has no standard output"))?;
    let rest = listing::read(BufReader::with_capacity(1 << 20, stdout), each);
    let status = child.wait().with_context(|| format!("cannot wait for {tool}"))?;
    let rest = rest.with_context(|| format!("cannot read what {tool} prints"))?;
    if !status.success() {
        let mut text = String::new();
        complaints
            .rewind()
            .and_then(|()| complaints.read_to_string(&mut text))
            .context("cannot read a temporary file")?;
        let line = text.lines().find(|line| line.starts_with("error:")).or(text.lines().next());
        bail!("{tool} cannot read {profile}: {}", line.unwrap_or("it did not say why"));
    }
    Ok(rest)
}
