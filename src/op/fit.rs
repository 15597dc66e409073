//! `check-fit`: whether a profile fits what workloads execute, before anything is built with it.
//!
//! Both were gathered on instrumented programs, so functions have the names by which the compiler looks for them, and what is inlined later
//! does not hide any. Unaware of why the workloads were chosen.

use anyhow::{Context, Result, bail};
use camino::Utf8Path;

use super::merge::choice;
use super::merge::tools::{Level, list};
use crate::event::Fact;
use crate::fs::pattern;
use crate::plan::ops::given::CheckFit;
use crate::profile::fit::Trained;
use crate::profile::header::Header;
use crate::text::share::Share;

/// Less than this is worth a warning: of nine programs and profiles, all below became slower.
const LEAST: Share = Share::percent(90.0);

impl CheckFit {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let profile = pattern::resolve(&self.profile).with_context(|| format!("cannot find {}", self.profile))?;
        let tool = choice::fitting(&self.tool, self.of_build.as_deref())?;
        let mut trained = Trained::default();
        list(&tool, &self.trained, level(&self.trained)?, |function| {
            trained.add(function.name, function.hash, function.counts);
        })?;
        let mut hot = trained.hot();
        list(&tool, &profile, level(&profile)?, |function| {
            hot.execute(function.name, function.hash, function.counts);
        })?;
        let Some(share) = hot.share() else { return Ok(Vec::new()) };
        let what = format!(
            "{:.1} % of what the workloads execute lies in functions that are hot in the profile {}",
            share * 100.0,
            self.trained
        );
        if share < self.min_hot.value() {
            bail!(
                "only {what}: it does not fit, and a program that is built with it is likely to be slower than one without a profile. \
                 Train with what the program is used for, on programs that are built as it is (the same features and flags); or look \
                 whether the workloads of this stage are what it is used for. `min-hot` asks for {} at least",
                self.min_hot
            );
        }
        let mut facts =
            vec![Fact::percent("hot-in-profile", share), Fact::number("hot-functions", hot.functions() as f64)];
        if share < LEAST.value() {
            facts.push(Fact::warning(format!(
                "only {what}; the compiler takes the rest for cold, and the program may become slower. Train with that as well"
            )));
        }
        Ok(facts)
    }
}

/// Instrumented for the second level, a program has no records of the first one.
fn level(profile: &Utf8Path) -> Result<Level> {
    let header = Header::read(profile).with_context(|| format!("cannot read {profile}"))?;
    let second = header.is_some_and(|header| header.context_sensitive);
    Ok(if second { Level::ContextSensitive } else { Level::First })
}
