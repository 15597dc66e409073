//! The profile that is meant: a file, or an output of a stage, and how it is read.

use std::fs;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::cli::args::ProfileForm;
use crate::cli::exit::{Machine, Usage};
use crate::cli::project::{Mode, existing_state, open_state};
use crate::event::Fact;
use crate::facts::Facts;
use crate::op;
use crate::op::merge::tools::{self, Level};
use crate::pipeline::nearest;
use crate::profile::header::Header;
use crate::profile::listing::{Function, Rest};
use crate::toolchain::llvm;

/// A profile on disk.
pub(super) struct Subject {
    pub path: Utf8PathBuf,
    pub bytes: u64,
    pub format: Format,
    /// Of a stage's output: the workloads that took part, if that is recorded.
    pub workloads: Option<Vec<String>>,
}

/// What it is.
pub(super) enum Format {
    /// With the llvm-profdata that reads it.
    Llvm(Header, Utf8PathBuf),
    /// The whole text.
    Bolt(String),
}

impl Subject {
    /// Finds it.
    pub fn find(name: &str, how: &ProfileForm) -> Result<Subject> {
        let (path, facts) = path_of(name)?;
        if path.is_dir() {
            return Err(Usage(format!(
                "{path} is a directory; name one profile, or add many up with `optbuild merge`"
            ))
            .into());
        }
        let bytes = fs::metadata(&path).with_context(|| format!("cannot read {path}"))?.len();
        let header = Header::read(&path).with_context(|| format!("cannot read {path}"))?;
        let format = match header {
            Some(header) => Format::Llvm(header, tool(header, how)?),
            None if bytes == 0 => {
                return Err(Usage(format!("{path} is empty: the process that was to write it was killed")).into());
            }
            None => Format::Bolt(bolt(&path)?),
        };
        let workloads = op::figures(&facts).map(|figures| figures.workloads.into_keys().collect::<Vec<String>>());
        let workloads = workloads.filter(|names| !names.is_empty());
        Ok(Subject { path, bytes, format, workloads })
    }
}

/// Has llvm-profdata list a profile.
pub(super) fn list(tool: &Utf8Path, path: &Utf8Path, level: Level, each: impl FnMut(Function)) -> Result<Rest> {
    tools::list(tool, path, level, each)
}

fn tool(header: Header, how: &ProfileForm) -> Result<Utf8PathBuf> {
    if let Some(tool) = &how.profdata {
        return Ok(tool.clone());
    }
    let found = llvm::profdata_for_profile(&Facts::live(), header);
    found.map(|tool| tool.path).map_err(|gap| Machine(format!("{}; {}", gap.what, gap.remedy)).into())
}

/// A profile of BOLT has no header; its lines tell.
fn bolt(path: &Utf8Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {path}"))?;
    let known = |text: &String| crate::profile::fdata::functions(text) > 0;
    String::from_utf8(bytes).ok().filter(known).ok_or_else(|| {
        Usage(format!("{path} is no profile: it begins neither as those of LLVM do, nor has it lines of BOLT")).into()
    })
}

/// A file of that name, or else the output of that stage of the last run, and what the stage reported.
fn path_of(name: &str) -> Result<(Utf8PathBuf, Vec<Fact>)> {
    let path = Utf8PathBuf::from(name);
    if path.exists() {
        return Ok((path, Vec::new()));
    }
    let Some((stage, output)) = name.split_once('.').filter(|_| !name.contains('/')) else {
        return Err(Usage(format!("there is no file {name}")).into());
    };
    let missing = |why: String| Usage(format!("there is no file {name}, and {why}"));
    let layout =
        existing_state(None).map_err(|_| missing("nothing was run here, so it is no output of a stage".into()))?;
    let state = open_state(&layout, Mode::Look)?;
    let record = match &state {
        Some(state) => state.current(stage)?,
        None => None,
    };
    let record =
        record.ok_or_else(|| missing(format!("stage `{stage}` is not done; `optbuild artifacts` lists outputs")))?;
    let found = record.outputs.get(output).ok_or_else(|| {
        let known: Vec<&str> = record.outputs.keys().map(String::as_str).collect();
        let nearest = nearest(output, known.iter().copied()).map(|name| format!("; did you mean `{name}`?"));
        missing(format!("stage `{stage}` has no output `{output}`{}", nearest.unwrap_or_default()))
    })?;
    Ok((layout.root().join(&found.path), record.facts))
}
