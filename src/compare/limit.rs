//! `--fail-above`: how much worse a candidate may be. Unaware of how it was measured.

use std::str::FromStr;

use serde::Deserialize;

use super::result::{Comparison, Metric, Verdict};

/// `1%`, or `wall-time=5%`: a metric, and the change that no workload may exceed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// None: the one that judgements go by.
    metric: Option<Metric>,
    /// Relative.
    above: f64,
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
    let names = Metric::ALL.map(Metric::name);
    Metric::ALL
        .into_iter()
        .find(|metric| metric.name() == name)
        .ok_or_else(|| format!("there is no metric `{name}`; there are {}", names.join(", ")))
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Limit, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, to: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self.metric {
            Some(metric) => write!(to, "{}={}%", metric.name(), self.above * 100.0),
            None => write!(to, "{}%", self.above * 100.0),
        }
    }
}

impl Limit {
    /// Sentences about the workloads that are significantly worse by more than that, or about nothing having been measured.
    pub fn exceeded(&self, comparison: &Comparison) -> Vec<String> {
        let metric = self.metric.unwrap_or_else(|| comparison.headline());
        let title = metric.title();
        let measured: Vec<_> = comparison.workloads.iter().filter_map(|w| Some((w, w.metric(metric)?))).collect();
        if measured.is_empty() {
            return vec![format!("{title} was not measured, so `--fail-above {self}` cannot be answered")];
        }
        let worse = measured.iter().filter(|(_, measured)| measured.verdict == Verdict::Worse);
        worse
            .filter_map(|(workload, measured)| Some((workload, measured.change?)))
            .filter(|(_, change)| *change > self.above)
            .map(|(workload, change)| {
                let change = crate::report::text::change(change);
                format!("`{}`: {title} {change}, more than {}%", workload.name, self.above * 100.0)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_as_they_are_written() {
        let limit = |text: &str| text.parse::<Limit>();
        assert_eq!(limit("1%"), Ok(Limit { metric: None, above: 0.01 }));
        assert_eq!(limit("wall-time=5 %"), Ok(Limit { metric: Some(Metric::WallTime), above: 0.05 }));
        for wrong in ["1", "-1%", "x%", "time=5%", "wall-time=", ""] {
            assert!(limit(wrong).is_err(), "{wrong}");
        }
        assert_eq!(limit("peak-memory=2%").unwrap().to_string(), "peak-memory=2%");
    }
}
