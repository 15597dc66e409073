//! What builds cost: how long they were built and trained, and the disk that they took. Whoever had them built writes it into a file; a comparison
//! shows it beside what was gained.
//!
//! Unaware of how it was found out.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use camino::Utf8Path;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The form of the file.
const FORMAT: u32 = 1;

/// The file: what each side cost, by its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Costs {
    /// The form of this document: 1.
    pub format: u32,
    /// By the names of sides. A name that no side has is ignored.
    pub sides: BTreeMap<String, Cost>,
}

/// What a side cost. What is not known is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Cost {
    /// Seconds of building, without training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<f64>,
    /// Seconds of running what gathers profiles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<f64>,
    /// Bytes of all that was made for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<u64>,
}

impl Costs {
    /// Nothing is known.
    pub fn none() -> Costs {
        Costs { format: FORMAT, sides: BTreeMap::new() }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or is no such file.
    pub fn read(path: &Utf8Path) -> Result<Costs> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read what builds cost: {path}"))?;
        let costs: Costs = serde_json::from_str(&text)
            .with_context(|| format!("{path} does not say what builds cost; docs/compare.md has the form"))?;
        if costs.format != FORMAT {
            bail!("{path} has the form {}; this optbuild reads {FORMAT}", costs.format);
        }
        Ok(costs)
    }
}
