//! Reads a pipeline file and those that it extends into one tree.
//!
//! Unaware of what a pipeline is, except for `extends`.

use std::collections::HashMap;
use std::ops::Range;

use camino::{Utf8Path, Utf8PathBuf};
use toml::de::DeTable;

use super::error::Problem;
use super::limit;
use super::merge;
use super::source::{self, Sources};
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
    /// How many there are in these files.
    stages: usize,
    variables: usize,
}

impl<'a> Reader<'a> {
    pub fn new(sources: &'a mut Sources, problems: &'a mut Vec<Problem>, cwd: &'a Utf8Path) -> Reader<'a> {
        Reader {
            sources,
            problems,
            cwd,
            complete: true,
            done: HashMap::new(),
            open: Vec::new(),
            stages: 0,
            variables: 0,
        }
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
        let text = match source::read(path, &shown) {
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
        let table = tree::table(tree.into_inner(), source.base);
        self.count(&table)?;
        Some(table)
    }

    /// Counts what is in a file, together with those that were read before: merging looks at each for each.
    fn count(&mut self, table: &Table) -> Option<()> {
        let counts = [(&mut self.stages, "stage", limit::STAGES), (&mut self.variables, "vars", limit::VARIABLES)];
        for (count, key, limit) in counts {
            *count += match table.get(key).map(|node| &node.value) {
                Some(Value::Array(items)) => items.len(),
                Some(Value::Table(table)) => table.entries.len(),
                _ => 0,
            };
            if *count > limit {
                let what = if key == "stage" { "stages" } else { "variables" };
                self.problems
                    .push(Problem::new(format!("the pipeline has {count} {what}, more than the limit of {limit}")));
                return None;
            }
        }
        Some(())
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
