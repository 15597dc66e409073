//! Reads a pipeline file and those that it extends into one tree, and knows which place in which file a span is.
//!
//! All files share one range of offsets, so that a tree that was merged from several files still tells of every value where it
//! stands. Unaware of what a pipeline is, except for `extends`.

use std::collections::HashMap;
use std::io::Read;
use std::ops::Range;

use camino::{Utf8Path, Utf8PathBuf};
use toml::de::DeTable;

use super::error::Problem;
use super::merge;
use super::tree::{self, Node, Table, Value};

/// More files than that are a mistake.
const MOST_FILES: usize = 64;

/// What reading has found so far.
pub(super) struct Reader<'a> {
    pub sources: &'a mut Sources,
    pub problems: &'a mut Vec<Problem>,
    /// Paths are shown relative to it.
    pub cwd: &'a Utf8Path,
    /// Nothing is missing: every file could be read and parsed.
    pub complete: bool,
    /// Files that were read, with all that they extend.
    done: HashMap<Utf8PathBuf, Option<Table>>,
    /// Files that are being read, outermost first.
    open: Vec<(Utf8PathBuf, String)>,
}

impl<'a> Reader<'a> {
    pub fn new(sources: &'a mut Sources, problems: &'a mut Vec<Problem>, cwd: &'a Utf8Path) -> Reader<'a> {
        Reader { sources, problems, cwd, complete: true, done: HashMap::new(), open: Vec::new() }
    }

    /// Reads the file at an absolute path; `from` is where another file asks for it. None when that is impossible; then
    /// there is a problem that says why.
    pub fn file(&mut self, path: &Utf8Path, from: Option<Range<usize>>) -> Option<Table> {
        let table = self.chain(path, from);
        self.complete &= table.is_some();
        table
    }

    fn chain(&mut self, path: &Utf8Path, from: Option<Range<usize>>) -> Option<Table> {
        let path = &resolved(path);
        let below = path.strip_prefix(self.cwd).ok().filter(|below| !below.as_str().is_empty());
        let shown = below.unwrap_or(path).to_string();
        let problem = |message: String| match from.clone() {
            Some(span) => Problem::at(message, span),
            None => Problem::new(message),
        };
        // What cannot be resolved cannot be read either, and reading says why.
        let identity = path.canonicalize_utf8().unwrap_or_else(|_| path.to_owned());
        if let Some(begin) = self.open.iter().position(|(open, _)| *open == identity) {
            let mut ring: Vec<&str> = self.open[begin..].iter().map(|(_, shown)| shown.as_str()).collect();
            ring.push(&shown);
            self.problems.push(problem(format!("files extend each other in a circle: {}", ring.join(" -> "))));
            return None;
        }
        if let Some(done) = self.done.get(&identity) {
            return done.clone();
        }
        if self.sources.files.len() >= MOST_FILES {
            self.problems.push(problem(format!("more than {MOST_FILES} files extend each other")));
            return None;
        }
        let text = match read(path, &shown) {
            Ok(text) => text,
            Err(message) => {
                self.problems.push(problem(message));
                return None;
            }
        };
        let file = self.sources.add(path.to_owned(), shown.clone(), text);
        self.open.push((identity.clone(), shown));
        let table = self.parse(file).map(|table| self.extend(file, table));
        self.open.pop();
        self.done.insert(identity, table.clone());
        table
    }

    fn parse(&mut self, file: usize) -> Option<Table> {
        let source = &self.sources.files[file];
        let (tree, errors) = DeTable::parse_recoverable(&source.text);
        for error in &errors {
            let span = error.span().unwrap_or(0..0);
            let span = span.start + source.base..span.end + source.base;
            self.problems.push(Problem::at(format!("not valid TOML: {}", error.message()), span));
        }
        if !errors.is_empty() {
            return None;
        }
        if tree.get_ref().is_empty() {
            let message = if source.text.trim().is_empty() { "is empty" } else { "has nothing but comments" };
            let message = format!("`{}` {message}", source.shown);
            self.problems.push(Problem::new(message).help("a pipeline has at least one `[[stage]]`"));
            return None;
        }
        Some(tree::table(tree.into_inner(), source.base))
    }

    /// Lays a file on those that it extends.
    fn extend(&mut self, file: usize, mut table: Table) -> Table {
        let Some(extends) = table.remove("extends") else {
            return merge::files(Table::default(), table, self.problems);
        };
        let dir = self.sources.files[file].dir().to_owned();
        let names: Vec<&Node> = match &extends.value {
            Value::Array(names) => names.iter().collect(),
            _ => vec![&extends],
        };
        let mut base = Table::default();
        for name in names {
            let Some(below) = name.as_str() else {
                let message = format!("`extends` takes paths, not {}", name.what());
                self.problems
                    .push(Problem::at(message, name.span.clone()).help("write it as `extends = \"base.toml\"`"));
                continue;
            };
            let path = normal(&dir.join(below));
            if let Some(below) = self.file(&path, Some(name.span.clone())) {
                base = merge::files(base, below, self.problems);
            }
        }
        merge::files(base, table, self.problems)
    }
}

/// The path with its directory as it is, without symbolic links and `..`. The file itself may be a link: what stands beside
/// the link belongs to it.
pub(super) fn resolved(path: &Utf8Path) -> Utf8PathBuf {
    match (path.parent().and_then(|dir| dir.canonicalize_utf8().ok()), path.file_name()) {
        (Some(dir), Some(name)) => dir.join(name),
        _ => path.to_owned(),
    }
}

/// The path without `.` in it. `..` stays: before it there may be a symbolic link.
pub(super) fn normal(path: &Utf8Path) -> Utf8PathBuf {
    path.components().collect()
}

/// No pipeline is larger. Keeps a device or a stray archive from being read to its end.
const LARGEST: u64 = 16 << 20;

/// A file that was read.
#[derive(Debug)]
pub(super) struct Source {
    /// Absolute.
    pub path: Utf8PathBuf,
    /// How messages call it.
    pub shown: String,
    pub text: String,
    /// Where its offsets begin.
    pub base: usize,
}

impl Source {
    /// The directory that it lies in.
    pub fn dir(&self) -> &Utf8Path {
        self.path.parent().unwrap_or(&self.path)
    }
}

/// The files of a pipeline; the first is the one that was asked for.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub files: Vec<Source>,
}

impl Sources {
    /// Adds a file and says which one it is.
    pub fn add(&mut self, path: Utf8PathBuf, shown: String, text: String) -> usize {
        // One more than its length, so that the end of a file is not the begin of the next.
        let base = self.files.last().map_or(0, |last| last.base + last.text.len() + 1);
        self.files.push(Source { path, shown, text, base });
        self.files.len() - 1
    }

    /// Which file an offset is in.
    pub fn file_of(&self, offset: usize) -> usize {
        self.files.partition_point(|file| file.base <= offset).saturating_sub(1)
    }

    /// The file that a span is in, and the span in its text: within it, and between characters.
    pub fn place(&self, span: &Range<usize>) -> Option<(&Source, Range<usize>)> {
        let file = self.files.get(self.file_of(span.start))?;
        let inside = |offset: usize| {
            let offset = offset.saturating_sub(file.base).min(file.text.len());
            (0..=offset).rev().find(|at| file.text.is_char_boundary(*at)).unwrap_or(0)
        };
        let (start, end) = (inside(span.start), inside(span.end));
        Some((file, start..end.max(start)))
    }

    /// The span of a part of a string value, as closely as its quoting allows. `part` is in bytes of the value.
    pub fn within(&self, span: &Range<usize>, value: &str, part: &Range<usize>) -> Range<usize> {
        let Some((file, place)) = self.place(span) else { return span.clone() };
        let (raw, wanted) = (&file.text[place.clone()], value.get(part.clone()).unwrap_or_default());
        let at = match raw.find(value) {
            Some(start) => Some(start + part.start),
            None if wanted.is_empty() => None,
            None => raw.find(wanted),
        };
        match at {
            Some(start) => span.start + start..span.start + start + wanted.len(),
            None => span.clone(),
        }
    }

    /// Hash of the text of all files.
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for file in &self.files {
            hasher.update(&(file.text.len() as u64).to_le_bytes());
            hasher.update(file.text.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }
}

/// Reads a file as text.
///
/// # Errors
/// A sentence, when it is missing, a directory, unreadable, too large, or not UTF-8.
fn read(path: &Utf8Path, shown: &str) -> Result<String, String> {
    let cannot = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("there is no file `{shown}`"),
        std::io::ErrorKind::IsADirectory => format!("`{shown}` is a directory, not a pipeline file"),
        std::io::ErrorKind::PermissionDenied => format!("`{shown}` cannot be read: permission denied"),
        _ => format!("`{shown}` cannot be read: {error}"),
    };
    let file = std::fs::File::open(path).map_err(cannot)?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("`{shown}` is larger than {} MiB, too large for a pipeline file", LARGEST >> 20));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..at]);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let byte = error.as_bytes()[at];
        format!(
            "`{shown}` is not UTF-8 text: the byte 0x{byte:02x} at line {line}, column {column} does not belong there"
        )
    })
}
