//! Shares of a hundred, as people write them: `1%`.

use std::str::FromStr;

/// A part of a whole, written as `1%` on command lines and in pipelines.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share(f64);

impl Share {
    /// So many of a hundred.
    pub const fn percent(number: f64) -> Share {
        Share(number / 100.0)
    }

    /// From 0 to 1.
    pub fn value(self) -> f64 {
        self.0
    }
}

impl FromStr for Share {
    type Err = String;
    fn from_str(text: &str) -> Result<Share, String> {
        let number = text.strip_suffix('%').map(str::trim).and_then(|number| number.parse::<f64>().ok());
        let share = number.filter(|number| (0.0..=100.0).contains(number)).map(|number| Share(number / 100.0));
        share.ok_or_else(|| "a share is written as `1%`, from 0% to 100%".into())
    }
}

impl Share {
    /// Whether so many of all are no more than this share.
    pub fn covers(self, some: u64, all: u64) -> bool {
        some as f64 <= self.0 * all as f64
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, to: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(to, "{}%", self.0 * 100.0)
    }
}
