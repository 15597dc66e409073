//! `optbuild explain`.

use std::collections::BTreeSet;

use super::Look;
use crate::text;

/// A part of a fingerprint that differs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// The name of the part.
    pub part: String,
    /// `None`: it is new.
    pub old: Option<String>,
    /// `None`: it is gone.
    pub new: Option<String>,
}

/// Why a stage will or will not run.
#[derive(Debug, Clone, Default)]
pub struct Explanation {
    pub stage: String,
    /// `up to date`, `will run because …`, `depends on …`.
    pub state: String,
    pub configuration: Vec<Difference>,
    pub sources: Vec<Difference>,
    /// Anything else worth a line.
    pub notes: Vec<String>,
}

/// The differences, grouped by what they mean for the build directory.
pub fn explain_text(explanation: &Explanation, look: Look) -> String {
    let mut text = format!("{}: {}\n", look.paint.bold(&explanation.stage), explanation.state);
    let sources = if explanation.configuration.is_empty() {
        "sources differ: the build directory is kept, the build tool goes on in it"
    } else {
        "sources differ"
    };
    let configuration = "the configuration differs: the build directory is wiped first";
    for (title, differences) in [(configuration, &explanation.configuration), (sources, &explanation.sources)] {
        if !differences.is_empty() {
            text.push_str(&format!("\n{title}\n"));
            text.push_str(&list(differences, look));
        }
    }
    if !explanation.notes.is_empty() {
        text.push('\n');
        explanation.notes.iter().for_each(|note| text.push_str(&format!("{note}\n")));
    }
    text
}

fn list(differences: &[Difference], look: Look) -> String {
    let column = differences.iter().map(|difference| text::width(&difference.part)).max().unwrap_or(0);
    let mut text = String::new();
    for Difference { part, old, new } in differences {
        let value = |value: &Option<String>| value.as_deref().map_or("(none)".to_owned(), short);
        let line = format!("  {}  {} -> {}", text::pad(part, column), value(old), value(new));
        let several = [old, new].iter().any(|value| value.as_ref().is_some_and(|value| value.contains('\n')));
        if several || text::width(&line) > look.width {
            text.push_str(&format!("  {part}\n{}", lines(old.as_deref(), new.as_deref(), look)));
        } else {
            text.push_str(&format!("{line}\n"));
        }
    }
    text
}

/// Lines that only one of the two has, the old ones first.
fn lines(old: Option<&str>, new: Option<&str>, look: Look) -> String {
    let set = |text: Option<&str>| text.unwrap_or_default().lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (olds, news) = (set(old), set(new));
    let mut text = String::new();
    for line in old.unwrap_or_default().lines().filter(|line| !news.contains(*line)) {
        text.push_str(&format!("    {}\n", look.paint.bad(&format!("- {}", short(line)))));
    }
    for line in new.unwrap_or_default().lines().filter(|line| !olds.contains(*line)) {
        text.push_str(&format!("    {}\n", look.paint.good(&format!("+ {}", short(line)))));
    }
    if text.is_empty() { "    the same lines in another order\n".into() } else { text }
}

/// Hashes by their first digits.
fn short(value: &str) -> String {
    let hash = value.len() >= 40 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    match value {
        "" => "\"\"".into(),
        _ if hash => value.chars().take(12).collect(),
        _ => value.to_owned(),
    }
}
