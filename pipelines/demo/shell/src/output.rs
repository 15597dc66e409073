//! The forms in which result rows are printed. All of them are the same on every machine and in every build.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::str::FromStr;

use rusqlite::Row;
use rusqlite::types::ValueRef;

/// How rows are printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `a|b|c`, nothing for NULL.
    List,
    /// A header and quoting as in RFC 4180.
    Csv,
    /// One object per line.
    Json,
    /// Aligned columns under a header; numbers on the right.
    Table,
    /// Not the rows, only how many there are and a hash of all of them in order.
    Digest,
}

impl FromStr for Mode {
    type Err = String;
    fn from_str(name: &str) -> Result<Mode, String> {
        match name {
            "list" => Ok(Mode::List),
            "csv" => Ok(Mode::Csv),
            "json" => Ok(Mode::Json),
            "table" => Ok(Mode::Table),
            "digest" => Ok(Mode::Digest),
            other => Err(format!("no mode `{other}`: there are list, csv, json, table and digest")),
        }
    }
}

/// Prints the rows of one query after the other.
pub struct Printer<W> {
    out: W,
    mode: Mode,
    /// The line that is being put together.
    line: String,
    /// In `table`, where widths are known only at the end: all cells, and whether each is a number.
    cells: Vec<(String, bool)>,
    rows: u64,
    hash: Hash,
}

impl<W: Write> Printer<W> {
    pub fn new(out: W, mode: Mode) -> Printer<W> {
        Printer { out, mode, line: String::new(), cells: Vec::new(), rows: 0, hash: Hash::default() }
    }

    pub fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
    }

    pub fn into_inner(self) -> W {
        self.out
    }

    /// Prints a line that is no row.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// Before the rows of a query.
    pub fn begin(&mut self, names: &[String]) -> io::Result<()> {
        self.rows = 0;
        self.hash = Hash::default();
        self.cells.clear();
        if self.mode == Mode::Csv {
            self.line.clear();
            for (index, name) in names.iter().enumerate() {
                if index > 0 {
                    self.line.push(',');
                }
                push_csv(&mut self.line, name);
            }
            writeln!(self.out, "{}", self.line)?;
        }
        Ok(())
    }

    /// # Errors
    /// A sentence, when a column cannot be read or the row cannot be written.
    pub fn row(&mut self, names: &[String], row: &Row<'_>) -> Result<(), String> {
        self.rows += 1;
        self.line.clear();
        for (index, name) in names.iter().enumerate() {
            let value = row.get_ref(index).map_err(|error| error.to_string())?;
            match self.mode {
                Mode::List => {
                    if index > 0 {
                        self.line.push('|');
                    }
                    push_plain(&mut self.line, value);
                }
                Mode::Csv => {
                    if index > 0 {
                        self.line.push(',');
                    }
                    match value {
                        ValueRef::Text(text) => push_csv(&mut self.line, &String::from_utf8_lossy(text)),
                        other => push_plain(&mut self.line, other),
                    }
                }
                Mode::Json => {
                    self.line.push(if index == 0 { '{' } else { ',' });
                    push_json(&mut self.line, name);
                    self.line.push(':');
                    push_json_value(&mut self.line, value);
                }
                Mode::Table => {
                    let mut cell = String::new();
                    push_plain(&mut cell, value);
                    self.cells.push((cell, matches!(value, ValueRef::Integer(_) | ValueRef::Real(_))));
                }
                Mode::Digest => self.hash.value(value),
            }
        }
        match self.mode {
            Mode::List | Mode::Csv => self.line.push('\n'),
            Mode::Json => self.line.push_str("}\n"),
            Mode::Table | Mode::Digest => return Ok(()),
        }
        self.out.write_all(self.line.as_bytes()).map_err(|error| format!("standard output: {error}"))
    }

    /// After the rows of a query.
    pub fn end(&mut self, names: &[String]) -> io::Result<()> {
        match self.mode {
            Mode::Table => self.table(names),
            Mode::Digest => writeln!(self.out, "{} rows, hash {}", self.rows, self.hash),
            Mode::List | Mode::Csv | Mode::Json => Ok(()),
        }
    }

    fn table(&mut self, names: &[String]) -> io::Result<()> {
        let mut widths: Vec<usize> = names.iter().map(|name| name.chars().count()).collect();
        for row in self.cells.chunks(names.len()) {
            for (width, (cell, _)) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut write_row = |cells: &mut dyn Iterator<Item = (&str, bool)>| {
            let mut line = String::new();
            for (width, (cell, number)) in widths.iter().zip(cells) {
                if !line.is_empty() {
                    line.push_str("  ");
                }
                // Writing into a string cannot fail.
                let _ = if number { write!(line, "{cell:>width$}") } else { write!(line, "{cell:<width$}") };
            }
            writeln!(self.out, "{}", line.trim_end())
        };
        write_row(&mut names.iter().map(|name| (name.as_str(), false)))?;
        for row in self.cells.chunks(names.len()) {
            write_row(&mut row.iter().map(|(cell, number)| (cell.as_str(), *number)))?;
        }
        Ok(())
    }
}

/// A value as people read it: reals in the shortest form that is read back as the same number, blobs in hexadecimal.
fn push_plain(line: &mut String, value: ValueRef<'_>) {
    let _ = match value {
        ValueRef::Null => Ok(()),
        ValueRef::Integer(number) => write!(line, "{number}"),
        ValueRef::Real(number) => write!(line, "{number:?}"),
        ValueRef::Text(text) => {
            line.push_str(&String::from_utf8_lossy(text));
            Ok(())
        }
        ValueRef::Blob(bytes) => bytes.iter().try_for_each(|byte| write!(line, "{byte:02x}")),
    };
}

fn push_csv(line: &mut String, text: &str) {
    if !text.contains([',', '"', '\n', '\r']) {
        line.push_str(text);
        return;
    }
    line.push('"');
    for c in text.chars() {
        if c == '"' {
            line.push('"');
        }
        line.push(c);
    }
    line.push('"');
}

fn push_json_value(line: &mut String, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => line.push_str("null"),
        // JSON has no infinity.
        ValueRef::Real(number) if !number.is_finite() => line.push_str("null"),
        ValueRef::Integer(_) | ValueRef::Real(_) => push_plain(line, value),
        ValueRef::Text(text) => push_json(line, &String::from_utf8_lossy(text)),
        ValueRef::Blob(_) => {
            line.push('"');
            push_plain(line, value);
            line.push('"');
        }
    }
}

fn push_json(line: &mut String, text: &str) {
    line.push('"');
    for c in text.chars() {
        match c {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            c if c < ' ' => {
                let _ = write!(line, "\\u{:04x}", u32::from(c));
            }
            c => line.push(c),
        }
    }
    line.push('"');
}

/// FNV-1a, 64 bits, over type and content of values.
pub struct Hash(u64);

impl Default for Hash {
    fn default() -> Hash {
        Hash(0xcbf2_9ce4_8422_2325)
    }
}

impl Hash {
    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// Adds a value, with its type and length, so that no two different rows are the same bytes.
    pub fn value(&mut self, value: ValueRef<'_>) {
        let (kind, content): (u8, &[u8]) = match value {
            ValueRef::Null => (0, &[]),
            ValueRef::Integer(number) => (1, &number.to_le_bytes()),
            ValueRef::Real(number) => (2, &number.to_bits().to_le_bytes()),
            ValueRef::Text(text) => (3, text),
            ValueRef::Blob(bytes) => (4, bytes),
        };
        self.bytes(&[kind]);
        self.bytes(&(content.len() as u64).to_le_bytes());
        self.bytes(content);
    }
}

impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
