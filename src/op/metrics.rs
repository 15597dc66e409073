//! `op metrics`: where the time of an `x.py` call went, out of the `metrics.json` that it keeps.
//!
//! The file has a list of invocations, each a tree of steps with the time that was spent in a step itself, without the steps that it waited
//! for: `src/build_helper/src/metrics.rs` in rust's sources. The file grows with each call; the last one counts. What a version has
//! besides is skipped over.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, bail};
use camino::Utf8PathBuf;
use serde::Deserialize;

use crate::event::Fact;

/// Reports how long the steps of the last call of x.py took.
#[derive(Debug, clap::Args)]
pub struct Metrics {
    /// `metrics.json` in the build directory.
    #[arg(long)]
    pub file: Utf8PathBuf,
}

#[derive(Deserialize)]
struct Root {
    #[serde(default)]
    invocations: Vec<Invocation>,
}

#[derive(Deserialize)]
struct Invocation {
    #[serde(default)]
    children: Vec<Node>,
}

/// A step; test suites have no time of their own.
#[derive(Deserialize)]
struct Node {
    /// A path such as `bootstrap::core::build_steps::llvm::Llvm`.
    #[serde(rename = "type", default)]
    name: String,
    #[serde(default)]
    duration_excluding_children_sec: f64,
    #[serde(default)]
    children: Vec<Node>,
}

/// What a step belongs to, by the module that it stands in; steps of other modules are `other`.
const PARTS: [(&str, &str); 9] = [
    ("::llvm::", "inner/llvm"),
    // Until 2023.
    ("::native::", "inner/llvm"),
    ("::compile::Std", "inner/std"),
    ("::compile::StartupObjects", "inner/std"),
    ("::compile::", "inner/rustc"),
    ("::tool::", "inner/tools"),
    ("::dist::", "inner/dist"),
    ("::doc::", "inner/docs"),
    ("::test::", "inner/tests"),
];
const OTHER: &str = "inner/other";

impl Metrics {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let file = &self.file;
        let text = fs::read(file).with_context(|| format!("x.py wrote no {file}"))?;
        let root: Root = serde_json::from_slice(&text).with_context(|| format!("{file} is not what x.py writes"))?;
        let Some(last) = root.invocations.last() else { bail!("{file} has no invocation of x.py in it") };
        let mut seconds: BTreeMap<&'static str, f64> = BTreeMap::new();
        // No recursion: how deep the tree is, the file says.
        let mut open: Vec<&Node> = last.children.iter().collect();
        while let Some(node) = open.pop() {
            let part = PARTS.iter().find(|(module, _)| node.name.contains(module)).map_or(OTHER, |(_, part)| part);
            *seconds.entry(part).or_default() += node.duration_excluding_children_sec;
            open.extend(&node.children);
        }
        let order = PARTS.iter().map(|(_, part)| *part).chain([OTHER]);
        let mut facts: Vec<Fact> = Vec::new();
        for name in order {
            let value = seconds.remove(name).filter(|value| *value >= 0.1);
            facts.extend(value.map(|value| Fact::new(name, (value * 10.0).round() / 10.0, "s")));
        }
        Ok(facts)
    }
}
