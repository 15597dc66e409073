//! `--fail-above`: how much worse a candidate may be, and whether that is known. Unaware of how it was measured.

use std::str::FromStr;

use serde::Deserialize;

use super::result::{Comparison, Measured, Metric, Verdict};
use super::statistics::{LEAST_RUNS, half_width};

/// `1%`, or `wall-time=5%`: a metric, and the change that no workload may exceed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// None: the one that judgements go by.
    pub metric: Option<Metric>,
    /// Relative.
    pub above: f64,
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Limit, String> {
        let (metric, share) = match text.split_once('=') {
            Some((name, share)) => (Some(metric(name.trim())?), share),
            None => (None, text),
        };
        let number = share.trim().strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
        match number.filter(|number| number.is_finite() && *number >= 0.0) {
            Some(number) => Ok(Limit { metric, above: number / 100.0 }),
            None => Err(format!("`{text}` is no limit; write it as `1%`, or with a metric as `wall-time=5%`")),
        }
    }
}

fn metric(name: &str) -> Result<Metric, String> {
    let found = Metric::all().find(|metric| metric.name() == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = Metric::all().map(Metric::name).collect();
        format!("there is no metric `{name}`; there are {}", names.join(", "))
    })
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Limit, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, to: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self.metric {
            Some(metric) => write!(to, "{}={}%", metric.name(), self.percent()),
            None => write!(to, "{}%", self.percent()),
        }
    }
}

/// What a comparison says of a limit, in sentences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Workloads that are significantly worse by more than that.
    pub worse: Vec<String>,
    /// Workloads whose change is not known.
    pub unknown: Vec<String>,
}

/// Times need not be known better than this for any limit.
const FINEST: f64 = 0.001;

impl Limit {
    /// As it was written: 7 hundredths are not 7.000000000000001 %.
    fn percent(&self) -> f64 {
        (self.above * 1e11).round() / 1e9
    }

    /// How well times must be known for an answer: that of two medians is √2 times wider than that of one.
    pub fn precision(&self) -> Option<f64> {
        let refined = matches!(self.metric, Some(Metric::WallTime | Metric::UserTime));
        refined.then(|| (self.above / 2.0).max(FINEST))
    }

    /// Of every workload of every side. Where no metric was named, one whose instructions were not
    /// counted is judged by its wall time.
    pub fn answer(&self, comparison: &Comparison) -> Answer {
        let mut answer = Answer::default();
        let least = comparison.correction.as_ref().map_or(LEAST_RUNS, |correction| correction.least_runs);
        for variant in comparison.measured() {
            // With one candidate, it is clear what is meant.
            let of = match comparison.variants.len() {
                1 => String::new(),
                _ => format!("{}: ", variant.build.short_name()),
            };
            for workload in &variant.workloads {
                let metric = self.metric.unwrap_or_else(|| comparison.headline());
                let measured = workload.metric(metric);
                let measured = measured.or_else(|| workload.metric(Metric::WallTime).filter(|_| self.metric.is_none()));
                let name = format!("{of}`{}`", workload.name);
                let unknown = match measured {
                    Some(measured) => self.judge(&name, measured, least, &mut answer.worse),
                    None => Some(format!("{}: not measured", metric.title())),
                };
                let unknown = unknown.map(|why| format!("`--fail-above {self}` cannot be answered for {name}: {why}"));
                answer.unknown.extend(unknown);
            }
        }
        for variant in &comparison.variants {
            if let Some(why) = &variant.missing {
                let name = variant.build.short_name();
                answer.unknown.push(format!("`--fail-above {self}` cannot be answered for {name}: {why}"));
            }
        }
        answer
    }

    /// Adds to `worse`, or says why there is no answer.
    fn judge(&self, name: &str, measured: &Measured, least: usize, worse: &mut Vec<String>) -> Option<String> {
        let (title, limit) = (measured.metric.title(), self.above * 100.0);
        match (measured.verdict, measured.change) {
            (Verdict::Worse, Some(change)) if change > self.above => {
                worse.push(format!("{name}: {title} {}, more than {limit}%", crate::text::change(change)));
                None
            }
            (Verdict::Worse, None) => {
                worse.push(format!("{name}: {title}: 0 with the base and more with the candidate"));
                None
            }
            (Verdict::Unknown, _) if measured.candidate.runs < least && measured.p_value.is_some() => {
                let runs = measured.candidate.runs.min(measured.base.runs);
                Some(format!("{title}: {runs} of at least {least} runs a side"))
            }
            (Verdict::Unknown, _) => Some(format!("{title}: 0 with the base")),
            (Verdict::NoChange, _) if half_width(measured) > self.above => {
                let doubt = crate::text::change(half_width(measured));
                Some(format!("{title}: no change is known to within {}", doubt.replace('+', "±")))
            }
            (Verdict::Better | Verdict::NoChange | Verdict::Worse, _) => None,
        }
    }
}
