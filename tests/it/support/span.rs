//! Times: which commands ran at once, and texts without the time of day.

use camino::Utf8Path;

/// When a command ran, in nanoseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    pub name: String,
    pub begin: u64,
    pub end: u64,
}

impl Span {
    pub fn overlaps(&self, other: &Span) -> bool {
        self.begin < other.end && other.begin < self.end
    }
}

/// Reads lines `NAME BEGIN END`, sorted by name.
pub(super) fn read(file: &Utf8Path) -> Vec<Span> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        Span { name: words[0].into(), begin: words[1].parse().unwrap(), end: words[2].parse().unwrap() }
    };
    let mut spans: Vec<Span> = text.lines().map(line).collect();
    spans.sort_by(|a, b| a.name.cmp(&b.name));
    spans
}

/// Without the `12:34:56 ` that lines begin with where there is no terminal.
pub(super) fn without_times(text: &str) -> String {
    let line = |line: &str| {
        let bytes = line.as_bytes();
        let timed = bytes.len() > 9
            && bytes[..9].iter().enumerate().all(|(at, byte)| match at {
                2 | 5 => *byte == b':',
                8 => *byte == b' ',
                _ => byte.is_ascii_digit(),
            });
        if timed { line[9..].to_owned() } else { line.to_owned() }
    };
    text.lines().map(line).map(|line| line + "\n").collect()
}
