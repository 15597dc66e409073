//! Makes tries of a bolt stage, and keeps them. One that was made before is not made again.
//!
//! What a try has built is removed at once: it is as large as the stage's output. Its logs and the list of functions stay.

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::tries::Tries;
use super::{Bench, Tried, Variant};
use crate::fs::disk;
use crate::run::trial::{End, Places, Trials};
use crate::stage::bolt::trial::{Change, Trial};
use crate::text::file_name::file_name;

/// Hears of tries.
pub trait Listener {
    /// A try begins.
    fn begins(&mut self, variant: &Variant);

    /// It has ended. None: nothing is known of it.
    fn ended(&mut self, variant: &Variant, tried: Option<&Tried>);

    /// It was made by an earlier call.
    fn known(&mut self, variant: &Variant, tried: &Tried);

    /// As [`Bench::looks_at`].
    fn looks_at(&mut self, functions: usize, tries: usize);
}

/// A stage that is tried.
pub struct StageBench<'a> {
    pub trial: Trial,
    pub trials: Trials,
    pub tries: Tries,
    pub listener: &'a mut dyn Listener,
    /// Keys of tries that the listener has heard of.
    pub told: BTreeSet<String>,
}

impl Bench for StageBench<'_> {
    fn run(&mut self, variant: &Variant) -> Result<Tried> {
        let key = variant.key();
        let new = self.told.insert(key.clone());
        if let Some(tried) = self.tries.known(&key) {
            if new {
                self.listener.known(variant, tried);
            }
            return Ok(tried.clone());
        }
        self.listener.begins(variant);
        let tried = self.try_it(variant, &key);
        self.listener.ended(variant, tried.as_ref().ok());
        tried
    }

    fn looks_at(&mut self, functions: usize, tries: usize) {
        self.listener.looks_at(functions, tries);
    }
}

impl StageBench<'_> {
    fn try_it(&mut self, variant: &Variant, key: &str) -> Result<Tried> {
        let dir = self.tries.begin(key)?;
        let names = dir.join("functions");
        let change = match variant {
            Variant::WithoutBolt { .. } => Change::WithoutBolt,
            Variant::AsItIs => Change::AsItIs,
            Variant::AllLeftOut => Change::AllLeftOut,
            Variant::With { option } => Change::With(option),
            Variant::Only { names: list, .. } => {
                let lines: String = list.iter().map(|name| format!("{name}\n")).collect();
                disk::write_whole(&names, lines.as_bytes())?;
                Change::Only(&names)
            }
        };
        let places = Places { dir: &dir };
        let began = Instant::now();
        let end = self.trials.run(&self.trial.steps(change), places)?;
        let seconds = began.elapsed().as_secs_f64();
        places.clear()?;
        let log = log_of(&places.logs(), self.trial.step())?;
        let tried = match end {
            End::Passed => Tried { passed: true, what: String::new(), seconds, log },
            End::Failed(failure) => {
                Tried { passed: false, what: format!("{}: {}", failure.step, failure.what), seconds, log }
            }
        };
        self.tries.end(&dir, key, tried.clone())?;
        Ok(tried)
    }
}

/// The log of a step: `02-bolt.log`.
fn log_of(logs: &Utf8Path, step: &str) -> Result<Option<Utf8PathBuf>> {
    let ending = format!("-{}.log", file_name(step));
    let is_its = |name: &String| name.strip_suffix(&ending).is_some_and(|number| number.parse::<u32>().is_ok());
    Ok(disk::names_in(logs)?.into_iter().find(is_its).map(|name| logs.join(name)))
}
