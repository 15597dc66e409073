//! Finds a tool, learns its version and what it can do. Through facts only.

pub mod llvm;

use camino::Utf8PathBuf;

use crate::facts::Facts;
use crate::pipeline::Pipeline;
use crate::plan::Gap;

/// A tool that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    pub path: Utf8PathBuf,
    /// As far as it prints one.
    pub version: Option<semver::Version>,
}

/// Looks for a tool as `[tools]` says, or as its name says if it is not there.
pub fn find(_facts: &Facts, _pipeline: &Pipeline, name: &str) -> Result<Tool, Gap> {
    Err(Gap { what: format!("{name} is not installed"), remedy: String::new() })
}
