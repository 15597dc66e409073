//! How durations, sizes, shares and counts are written for people. The one place that does it.
//!
//! Pure functions; unaware of terminals and of what the numbers mean.

pub mod bolt_names;
pub mod file_name;
pub mod script;
pub mod share;
pub mod shell;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

/// A length of time: `f64` seconds or a [`Duration`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seconds(pub f64);

impl From<f64> for Seconds {
    fn from(seconds: f64) -> Seconds {
        Seconds(seconds)
    }
}

impl From<Duration> for Seconds {
    fn from(duration: Duration) -> Seconds {
        Seconds(duration.as_secs_f64())
    }
}

/// `37 ms`, `0.21 s`, `8.3 s`, `2 m 05 s`, `1 h 12 m`.
pub fn duration(length: impl Into<Seconds>) -> String {
    let seconds = length.into().0.max(0.0);
    // The borders are where the rounded number would reach the next form: never `60.0 s` or `60 m 00 s`.
    if seconds < 0.0995 {
        format!("{:.0} ms", seconds * 1e3)
    } else if seconds < 0.995 {
        format!("{seconds:.2} s")
    } else if seconds < 59.95 {
        format!("{seconds:.1} s")
    } else {
        minutes(seconds)
    }
}

/// A length of time that is still growing, in whole seconds: `8 s`, `2 m 05 s`, `1 h 12 m`.
pub fn elapsed(length: impl Into<Seconds>) -> String {
    let seconds = length.into().0.max(0.0).floor();
    if seconds < 60.0 { format!("{seconds:.0} s") } else { minutes(seconds) }
}

fn minutes(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    if whole < 3600 {
        return format!("{} m {:02} s", whole / 60, whole % 60);
    }
    let whole = (seconds / 60.0).round() as u64;
    format!("{} h {:02} m", whole / 60, whole % 60)
}

/// `+1.2 s`, `-2 m 05 s`.
pub fn duration_change(seconds: f64) -> String {
    format!("{}{}", if seconds < 0.0 { '-' } else { '+' }, duration(seconds.abs()))
}

/// `512 B`, `33.2 MiB`: powers of 1024.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `+1.2 MiB`, `-300 B`.
pub fn size_change(old: u64, new: u64) -> String {
    format!("{}{}", if new < old { '-' } else { '+' }, size(old.abs_diff(new)))
}

/// A share of something, as `21 %`; `<1 %` where it is not nothing. Nothing of nothing is `0 %`.
pub fn percent(part: f64, whole: f64) -> String {
    let share = if whole > 0.0 { part / whole * 100.0 } else { 0.0 };
    if share > 0.0 && share < 0.5 { "<1 %".into() } else { format!("{:.0} %", share.round()) }
}

/// How much more or less, as `+4 %`, `-12 %`; `±0 %` when it rounds to nothing; empty when there is nothing to compare with.
pub fn percent_change(old: f64, new: f64) -> String {
    if old <= 0.0 {
        return String::new();
    }
    match ((new - old) / old * 100.0).round() {
        0.0 => "±0 %".into(),
        change => format!("{change:+} %"),
    }
}

/// A relative change with one decimal: `-13.5 %`, `+0.2 %`, `±0.0 %`.
pub fn change(relative: f64) -> String {
    let tenths = (relative * 1000.0).round() / 10.0;
    if tenths == 0.0 { "±0.0 %".into() } else { format!("{tenths:+.1} %") }
}

/// A large number with four digits: `812`, `746.8 k`, `1.255 G`.
pub fn large(number: f64) -> String {
    const UNITS: [&str; 5] = ["", " k", " M", " G", " T"];
    let (mut value, mut unit) = (number, 0);
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    match unit {
        0 => format!("{value:.0}"),
        _ if value < 9.9995 => format!("{value:.3}{}", UNITS[unit]),
        _ if value < 99.995 => format!("{value:.2}{}", UNITS[unit]),
        _ => format!("{value:.1}{}", UNITS[unit]),
    }
}

/// `1402` as `1,402`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 stage`, `9 stages`, `0 stages`.
pub fn plural(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(number as u64))
}

/// How many names [`few`] has.
const FEW: usize = 5;

/// The first of some names: `a, b, c, d, e and 12 more`.
pub fn few<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    let mut names = names.into_iter();
    let first: Vec<S> = names.by_ref().take(FEW).collect();
    let first = first.iter().map(S::as_ref).collect::<Vec<&str>>().join(", ");
    match names.count() {
        0 => first,
        more => format!("{first} and {} more", count(more as u64)),
    }
}

/// A number with its unit: bytes as a size, `s` as a duration, whole numbers with separators.
pub fn quantity(value: f64, unit: &str) -> String {
    let whole = value.fract() == 0.0 && (0.0..1e15).contains(&value);
    let number = match unit {
        "bytes" | "B" if value >= 0.0 => return size(value as u64),
        "s" | "seconds" => return duration(value),
        "%" if whole => return format!("{} %", count(value as u64)),
        "%" => return format!("{value:.1} %"),
        _ if whole => count(value as u64),
        _ => format!("{value:.2}"),
    };
    // Units are nouns in the plural.
    let unit = if value == 1.0 { unit.strip_suffix('s').unwrap_or(unit) } else { unit };
    if unit.is_empty() { number } else { format!("{number} {unit}") }
}

/// The value of a pipeline's variable.
pub fn variable(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(items) => items.iter().map(variable).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// How many columns of a terminal a text takes; escape sequences take none.
pub fn width(text: &str) -> usize {
    console::measure_text_width(text)
}

/// Cuts a text to at most `width` columns, with `…` where something is missing. Escape sequences stay whole.
pub fn truncate(text: &str, width: usize) -> Cow<'_, str> {
    if width == 0 { Cow::Borrowed("") } else { console::truncate_str(text, width, "…") }
}

/// A line of about so many characters at most: of a longer one its beginning and its end, and how many are left out.
pub fn shorten(line: &str, most: usize) -> Cow<'_, str> {
    let (half, all) = (most / 2, line.chars().count());
    if all <= most {
        return Cow::Borrowed(line);
    }
    let beginning: String = line.chars().take(half).collect();
    let end: String = line.chars().skip(all - half).collect();
    Cow::Owned(format!("{beginning} … {} characters … {end}", all - 2 * half))
}

/// A text with spaces behind it up to `width` columns.
pub fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// A text with spaces before it up to `width` columns.
pub fn pad_left(text: &str, columns: usize) -> String {
    format!("{}{text}", " ".repeat(columns.saturating_sub(width(text))))
}

/// A line of a program's output that is fit to stand in a line of ours: no escape sequences, no control characters, and of
/// what a progress display overwrote only the last.
pub fn plain_line(line: &str) -> String {
    let line = anstream::adapter::strip_str(line).to_string();
    let line = line.trim_end();
    let line = line.rsplit('\r').next().unwrap_or(line);
    line.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

/// Every line with spaces before it, and no spaces at ends of lines.
pub fn indent(text: &str, columns: usize) -> String {
    let space = " ".repeat(columns);
    text.lines().map(|line| format!("{space}{line}").trim_end().to_owned() + "\n").collect()
}

/// A name, or where it is taken the name with a number behind it. It is taken then.
pub fn unique(plain: &str, between: &str, taken: &mut BTreeSet<String>) -> String {
    let numbered = (2..).map(|number| format!("{plain}{between}{number}"));
    let mut names = std::iter::once(plain.to_owned()).chain(numbered);
    names.find(|name| taken.insert(name.clone())).unwrap_or_default()
}
