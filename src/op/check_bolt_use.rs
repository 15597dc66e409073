//! `op check-bolt-use`: whether llvm-bolt could do anything with a profile that may be of another file.
//!
//! It is asked where nobody says which file the profile is of. llvm-bolt matches by the names of functions and the shape of their
//! code, tells how much did not fit, and goes on.

use std::fs;

use anyhow::{Context, Result, bail};
use camino::Utf8PathBuf;

use super::check_profile_use::logs_of_step;
use crate::event::Fact;
use crate::text::share::Share;

/// Counts what of a BOLT profile did not fit, out of the log of llvm-bolt.
#[derive(Debug, clap::Args)]
pub struct CheckBoltUse {
    /// The directory with the logs of the stage.
    #[arg(long)]
    pub logs: Utf8PathBuf,
    /// The step that was llvm-bolt.
    #[arg(long)]
    pub step: String,
    /// The share of counts in functions of other code above which this fails.
    #[arg(long)]
    pub max_stale: Share,
}

impl CheckBoltUse {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let logs = logs_of_step(&self.logs, &self.step)?;
        // The last try is the one that counts.
        let Some(log) = logs.last() else { bail!("there is no log of `{}` in {}", self.step, self.logs) };
        let text = fs::read(log).with_context(|| format!("cannot read the log {log}"))?;
        let said = said(&String::from_utf8_lossy(&text));
        let advice = "Use a bundle of these very sources, tools and flags, or leave the role out and gather anew; \
                      `--allow-stale-profiles` uses it all the same";
        if said.functions == Some(0) {
            bail!("the BOLT profile has counts of none of the functions: it is of another program. {advice}");
        }
        if said.stale > self.max_stale.value() {
            bail!(
                "{:.1} % of the counts in the BOLT profile are of functions that have other code here: it is of another build. At \
                 most {} may be. {advice}",
                said.stale * 100.0,
                self.max_stale
            );
        }
        Ok(vec![Fact::percent("stale-counts", said.stale)])
    }
}

/// What llvm-bolt says of a profile.
#[derive(Debug, Default, PartialEq)]
struct Said {
    /// How many functions of the file have counts.
    functions: Option<u64>,
    /// Share of the counts that belong to functions whose code is another one, from 0 to 1.
    stale: f64,
}

fn said(log: &str) -> Said {
    let mut said = Said::default();
    for line in log.lines() {
        if line.contains("have non-empty execution profile") {
            said.functions = out_of(line).map(|(some, _)| some);
        } else if line.contains("belong to functions with invalid (possibly stale) profile")
            && let Some((some, all)) = out_of(line)
        {
            said.stale = some as f64 / all.max(1) as f64;
        }
    }
    said
}

/// The numbers of `…: 7 out of 10 …`.
fn out_of(line: &str) -> Option<(u64, u64)> {
    let (before, behind) = line.split_once(" out of ")?;
    let number = |word: Option<&str>| word?.parse().ok();
    Some((number(before.rsplit(' ').next())?, number(behind.split(' ').next())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    // What llvm-bolt 22 prints for a program whose hot function was changed, for one that has nothing in common with its
    // profile, and for one that fits.
    const CHANGED: &str = "\
BOLT-INFO: 7 out of 10 functions in the binary (70.0%) have non-empty execution profile
BOLT-WARNING: 1 (14.3% of all profiled) function have invalid (possibly stale) profile. Use -report-stale to see the list.
BOLT-WARNING: 9330000 out of 9530010 samples in the binary (97.9%) belong to functions with invalid (possibly stale) profile.
";
    const OTHER: &str = "BOLT-INFO: 0 out of 10 functions in the binary (0.0%) have non-empty execution profile\n";
    const FITS: &str = "BOLT-INFO: 10 out of 14 functions in the binary (71.4%) have non-empty execution profile\n";

    #[test]
    fn what_llvm_bolt_prints() {
        assert_eq!(said(CHANGED), Said { functions: Some(7), stale: 9330000.0 / 9530010.0 });
        assert_eq!(said(OTHER), Said { functions: Some(0), stale: 0.0 });
        assert_eq!(said(FITS), Said { functions: Some(10), stale: 0.0 });
    }
}
