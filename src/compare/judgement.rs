//! What a comparison comes to, in one sentence: faster, slower or undecided, by how much, and how sure that is.
//!
//! The first of these that is decided decides: wall time, user time, instructions. A metric is decided when
//!
//! - the mean of its changes over the workloads is farther from 0 than the half width of the mean's 95 % interval,
//! - at least one workload is significantly changed in that direction, and
//! - the mean is at least half a percent: less is no reason to take one build or the other.
//!
//! Each workload counts the same, with the change that was measured, significant or not: the interval says what that is worth. Unaware of
//! how it was measured, and of how it is shown.

use std::borrow::Cow;

use super::result::{Comparison, Judgement, Measured, Metric, Says, Variant, Verdict, Workload};
use super::statistics::half_width;
use crate::text;

/// In the order in which they are asked. What a user waits for comes first. Instructions say something where times do not.
const METRICS: [Metric; 3] = [Metric::WallTime, Metric::UserTime, Metric::Instructions];

/// A mean change below this decides nothing.
const LEAST: f64 = 0.005;

/// A metric over all workloads of which something is known.
struct Mean<'a> {
    metric: Metric,
    change: f64,
    /// Half the width of its 95 % interval.
    half: f64,
    /// With the names of the workloads.
    of: Vec<(&'a str, &'a Measured, f64)>,
}

/// The judgement that a document has, or the one that follows from its numbers where it is older. Of equal sides: which of them gains most.
pub fn judged(comparison: &Comparison) -> Cow<'_, Judgement> {
    match comparison.candidate() {
        Some(candidate) => of_variant(comparison, candidate),
        None => Cow::Owned(most(comparison)),
    }
}

/// That of one side.
pub fn of_variant<'a>(comparison: &'a Comparison, variant: &'a Variant) -> Cow<'a, Judgement> {
    let base = variant.against.as_ref().unwrap_or(&comparison.base.name);
    let judge = || judge(base, &variant.build.name, &variant.workloads);
    variant.verdict.as_ref().map_or_else(|| Cow::Owned(judge()), Cow::Borrowed)
}

/// The mean change of a metric over the workloads of which something is known, and half the width of its 95 % interval.
pub fn mean(workloads: &[Workload], metric: Metric) -> Option<(f64, f64)> {
    Mean::of(workloads, metric).map(|mean| (mean.change, mean.half))
}

/// Which of the sides that are held against the base gains most; the same metric for all.
fn most(comparison: &Comparison) -> Judgement {
    let base = &comparison.base.name;
    let held: Vec<&Variant> = comparison.measured().filter(|variant| variant.against.is_none()).collect();
    let metric = comparison.headline();
    let gain = |variant: &Variant| mean(&variant.workloads, metric).map_or(0.0, |(change, _)| change);
    let says = |says| move |variant: &&&Variant| of_variant(comparison, variant).says == says;
    let faster = held.iter().filter(says(Says::Faster)).min_by(|a, b| gain(a).total_cmp(&gain(b)));
    let count = held.len();
    if let Some(best) = faster {
        let judgement = of_variant(comparison, best);
        let sentence = match count {
            1 => judgement.sentence.clone(),
            _ => format!("of {count} builds, {} gains most: {}", best.build.name, judgement.sentence),
        };
        return Judgement { sentence, ..judgement.into_owned() };
    }
    let slower: Vec<&str> = held.iter().filter(says(Says::Slower)).map(|variant| variant.build.name.as_str()).collect();
    let slower = if slower.is_empty() { String::new() } else { format!("; slower: {}", slower.join(", ")) };
    let sentence = match held.as_slice() {
        [] => format!("nothing was held against {base}"),
        [only] => of_variant(comparison, only).sentence.clone(),
        _ => format!("none of {count} builds is faster than {base}{slower}"),
    };
    Judgement { says: Says::Undecided, metric: None, change: None, interval: None, workloads: 0, sentence }
}

/// What the numbers of two builds come to.
pub fn judge(base: &str, candidate: &str, workloads: &[Workload]) -> Judgement {
    let means: Vec<Mean> = METRICS.into_iter().filter_map(|metric| Mean::of(workloads, metric)).collect();
    let decisive = means.iter().find(|mean| mean.says() != Says::Undecided).or(means.first());
    let says = decisive.map_or(Says::Undecided, Mean::says);
    let begin = match says {
        Says::Faster => format!("{candidate} is faster than {base}"),
        Says::Slower => format!("{candidate} is slower than {base}"),
        Says::Undecided => format!("undecided whether {candidate} is faster or slower than {base}"),
    };
    let sentence = match decisive {
        None => format!("{begin}: there were too few runs to say"),
        Some(mean) => format!("{begin}: {}{}{}", mean.words(), mean.against(), others(&means, mean)),
    };
    Judgement {
        says,
        metric: decisive.map(|mean| mean.metric),
        change: decisive.map(|mean| mean.change),
        interval: decisive.map(|mean| [mean.change - mean.half, mean.change + mean.half]),
        workloads: decisive.map_or(0, |mean| mean.of.len()),
        sentence,
    }
}

impl<'a> Mean<'a> {
    fn of(workloads: &'a [Workload], metric: Metric) -> Option<Mean<'a>> {
        let known = workloads.iter().filter_map(|workload| {
            let measured = workload.metric(metric).filter(|measured| measured.verdict != Verdict::Unknown)?;
            Some((workload.name.as_str(), measured, measured.change?))
        });
        let of: Vec<(&str, &Measured, f64)> = known.collect();
        if of.is_empty() {
            return None;
        }
        let count = of.len() as f64;
        let change = of.iter().fold(0.0, |sum, (_, _, change)| sum + change) / count;
        let half = of.iter().fold(0.0, |sum, (_, measured, _)| sum + half_width(measured).powi(2)).sqrt() / count;
        Some(Mean { metric, change, half, of })
    }

    fn says(&self) -> Says {
        let has = |verdict| self.of.iter().any(|(_, measured, _)| measured.verdict == verdict);
        match self.change.abs() > self.half && self.change.abs() >= LEAST {
            true if self.change > 0.0 && has(Verdict::Worse) => Says::Slower,
            true if self.change < 0.0 && has(Verdict::Better) => Says::Faster,
            _ => Says::Undecided,
        }
    }

    /// `wall time +12.3 % (95 % interval: +10.1 % to +14.5 %), the mean of 3 workloads`. What may be chance is no number.
    fn words(&self) -> String {
        let counted = self.of.iter().any(|(_, measured, _)| measured.base.interval.is_none());
        let (low, high) = (text::change(self.change - self.half), text::change(self.change + self.half));
        let title = self.metric.title();
        let (decided, change) = (self.says() != Says::Undecided, text::change(self.change));
        let words = match (decided, counted) {
            (true, true) if low == high => format!("{title} {change} (counted)"),
            (true, true) => format!("{title} {change} (counted: {low} to {high})"),
            (true, false) => format!("{title} {change} (95 % interval: {low} to {high})"),
            (false, true) if self.change.abs() + self.half < LEAST => {
                format!("{title} change by less than {} % (counted)", LEAST * 100.0)
            }
            (false, true) => format!("{title} undecided (counted)"),
            (false, false) => format!("{title} between {low} and {high} (95 % interval)"),
        };
        match self.of.len() {
            1 => words,
            count => format!("{words}, the mean of {count} workloads"),
        }
    }

    /// The workload that changed most in the other direction: a mean can hide it.
    fn against(&self) -> String {
        let (verdict, word) = match self.says() {
            Says::Faster => (Verdict::Worse, "slower"),
            Says::Slower => (Verdict::Better, "faster"),
            Says::Undecided => return String::new(),
        };
        let contrary: Vec<_> = self.of.iter().filter(|(_, measured, _)| measured.verdict == verdict).collect();
        let most = contrary.iter().max_by(|a, b| a.2.abs().total_cmp(&b.2.abs()));
        most.map_or_else(String::new, |(name, _, change)| {
            format!("; {word} in {} of them, most in `{name}`: {}", contrary.len(), text::change(*change))
        })
    }
}

/// What the other metrics say.
fn others(means: &[Mean], decisive: &Mean) -> String {
    let other = means.iter().filter(|mean| mean.metric != decisive.metric).map(|mean| match mean.says() {
        Says::Undecided => format!("; {} undecided", mean.metric.title()),
        Says::Faster | Says::Slower => format!("; {} {}", mean.metric.title(), text::change(mean.change)),
    });
    other.collect()
}
