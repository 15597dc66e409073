//! How durations, sizes, shares and counts are written for people. The one place that does it.
//!
//! Pure functions; unaware of terminals and of what the numbers mean.

pub mod file_name;
pub mod share;
pub mod shell;

use std::borrow::Cow;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (seconds, text) in [
            (0.0, "0 ms"),
            (0.0372, "37 ms"),
            (0.0996, "0.10 s"),
            (0.21, "0.21 s"),
            (0.996, "1.0 s"),
            (8.3, "8.3 s"),
            (31.24, "31.2 s"),
            (59.94, "59.9 s"),
            (59.96, "1 m 00 s"),
            (125.0, "2 m 05 s"),
            (3599.4, "59 m 59 s"),
            (3599.6, "1 h 00 m"),
            (4320.0, "1 h 12 m"),
            (100.0 * 3600.0, "100 h 00 m"),
            (-1.0, "0 ms"),
        ] {
            assert_eq!(duration(seconds), text, "{seconds}");
        }
        assert_eq!(duration(Duration::from_millis(8300)), "8.3 s");
        assert_eq!(elapsed(59.99), "59 s");
        assert_eq!(elapsed(125.9), "2 m 05 s");
        assert_eq!(duration_change(-4.0), "-4.0 s");
        assert_eq!(duration_change(65.0), "+1 m 05 s");
    }

    #[test]
    fn sizes() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            // 1024 KiB less one byte.
            (1024 * 1024 - 1, "1.0 MiB"),
            // 33.2 × 1048576 = 34812723.2
            (34_812_723, "33.2 MiB"),
            (20 * 1024 * 1024 * 1024, "20.0 GiB"),
        ] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
        assert_eq!(size_change(2048, 1024), "-1.0 KiB");
        assert_eq!(size_change(1024, 1324), "+300 B");
    }

    #[test]
    fn shares_and_counts() {
        assert_eq!(percent(31.2, 148.0), "21 %");
        assert_eq!(percent(0.1, 148.0), "<1 %");
        assert_eq!(percent(0.0, 148.0), "0 %");
        assert_eq!(percent(1.0, 0.0), "0 %");
        assert_eq!(percent_change(30.0, 31.2), "+4 %");
        assert_eq!(percent_change(100.0, 88.0), "-12 %");
        assert_eq!(percent_change(100.0, 100.4), "±0 %");
        assert_eq!(percent_change(100.0, 99.6), "±0 %");
        assert_eq!(percent_change(0.0, 3.0), "");
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1402), "1,402");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(plural(1, "stage"), "1 stage");
        assert_eq!(plural(9, "stage"), "9 stages");
        assert_eq!(quantity(24.0, "files"), "24 files");
        assert_eq!(quantity(1.0, "files"), "1 file");
        assert_eq!(quantity(1402.0, ""), "1,402");
        assert_eq!(quantity(2048.0, "bytes"), "2.0 KiB");
        assert_eq!(quantity(0.125, "ratio"), "0.12 ratio");
        assert_eq!(quantity(62.48, "%"), "62.5 %");
        assert_eq!(quantity(100.0, "%"), "100 %");
    }

    #[test]
    fn changes_and_large_numbers() {
        for (relative, text) in [(-0.135, "-13.5 %"), (0.0021, "+0.2 %"), (-0.0004, "±0.0 %"), (1.5, "+150.0 %")] {
            assert_eq!(change(relative), text);
        }
        for (number, text) in [
            (0.0, "0"),
            (812.4, "812"),
            (999.96, "1.000 k"),
            (12_345.0, "12.35 k"),
            (746_812_345.0, "746.8 M"),
            (1_254_912_345.0, "1.255 G"),
            (9e15, "9000.0 T"),
        ] {
            assert_eq!(large(number), text, "{number}");
        }
    }

    #[test]
    fn wide_characters_count_as_two_columns() {
        assert_eq!(width("日本語"), 6);
        // Five columns: two wide characters and the mark; a third would not fit beside the mark.
        assert_eq!(truncate("日本語日本語", 5), "日本…");
        assert_eq!(truncate("日本語日本語", 6), "日本…");
        assert_eq!(width(&truncate("a日本語日本語", 6)), 6);
        assert_eq!(truncate("日本語", 6), "日本語");
        assert_eq!(truncate("x", 0), "");
        assert_eq!(pad("日", 4), "日  ");
        assert_eq!(pad_left("8 s", 5), "  8 s");
        assert_eq!(truncate("\u{1b}[32mgreen\u{1b}[0m", 3), "\u{1b}[32mgr…\u{1b}[0m");
    }

    #[test]
    fn lines_of_programs_are_tamed() {
        assert_eq!(plain_line("\u{1b}[31merror\u{1b}[0m:\tno\r\n"), "error: no");
        assert_eq!(plain_line("10 %\r20 %\r30 %"), "30 %");
        assert_eq!(indent("a\n\n b", 2), "  a\n\n   b\n");
    }
}
