//! What is wrong with a pipeline, shown with the lines of its files; and the text of these files.
//!
//! All files share one range of offsets, so that a tree that was merged from several files still tells of every value where it
//! stands. Knows how a problem is told: message, places, help. Unaware of what can be wrong, except with
//! names, and of what the files say.

use std::borrow::Cow;
use std::io::Read as _;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use camino::{Utf8Path, Utf8PathBuf};

use super::text::{RESERVED, is_name};

/// How many problems are shown.
const MOST: usize = 200;

/// Everything that is wrong with a pipeline. Its `Display` is [`LoadError::render`] without colour.
#[derive(Debug)]
pub struct LoadError {
    pub(super) problems: Vec<Problem>,
    pub(super) sources: Sources,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub message: String,
    /// The first is where it is; the others help to understand it.
    pub marks: Vec<Mark>,
    pub help: Vec<String>,
}

/// A place, with a word about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    pub span: Range<usize>,
    pub label: String,
}

impl Problem {
    pub fn new(message: impl Into<String>) -> Problem {
        Problem { message: message.into(), marks: Vec::new(), help: Vec::new() }
    }

    pub fn at(message: impl Into<String>, span: Range<usize>) -> Problem {
        Problem::new(message).mark(span, "")
    }

    /// Why something (`what`: variable, stage, …) cannot have this name, if so. A name is also fit for a file name.
    pub fn of_name(what: &str, name: &str, at: &Range<usize>) -> Option<Problem> {
        const LONGEST: usize = 100;
        let message = if RESERVED.contains(&name) {
            let reserved = RESERVED.map(|name| format!("`{name}`")).join(", ");
            format!("no {what} can be called `{name}`: {reserved} have a meaning of their own")
        } else if name.len() > LONGEST {
            format!("the name of this {what} is longer than {LONGEST} characters")
        } else if !is_name(name) {
            format!("`{name}` cannot be the name of a {what}: letters, digits, `-` and `_`, a letter or digit first")
        } else {
            return None;
        };
        Some(Problem::at(message, at.clone()))
    }

    /// Adds a place.
    pub fn mark(mut self, span: Range<usize>, label: impl Into<String>) -> Problem {
        self.marks.push(Mark { span, label: label.into() });
        self
    }

    /// Adds what to do about it; nothing adds nothing.
    pub fn help(mut self, text: impl Into<String>) -> Problem {
        self.help.extend(Some(text.into()).filter(|text| !text.is_empty()));
        self
    }

    /// Adds the valid name that is nearest to a wrong one, else all valid names, if they are few.
    pub fn suggest<'n>(self, wrong: &str, valid: impl IntoIterator<Item = &'n str>) -> Problem {
        const FEW: usize = 24;
        let mut valid: Vec<&str> = valid.into_iter().collect();
        valid.sort_unstable();
        valid.dedup();
        match nearest_of(wrong, valid.iter().copied()) {
            Some(name) => self.help(format!("did you mean `{name}`?")),
            None if valid.is_empty() || valid.len() > FEW => self,
            None => self.help(format!("there is {}", list(&valid))),
        }
    }
}

/// Names in backquotes, with commas.
pub(super) fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The valid name that is so near to a wrong one that it is probably meant.
pub fn nearest<'n>(wrong: &str, valid: impl IntoIterator<Item = &'n str>) -> Option<String> {
    nearest_of(wrong, valid).map(str::to_string)
}

pub(super) fn nearest_of<'n>(wrong: &str, valid: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let fold = |name: &str| name.to_lowercase().replace('_', "-");
    let folded = fold(wrong);
    let far = (folded.chars().count() / 3).max(1);
    valid
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&folded, &fold(name)), name))
        .filter(|(distance, name)| *distance <= far && *distance < name.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

impl LoadError {
    /// Text for a terminal: every problem with file, line, column, the source line, and help. Ends with a newline.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Ascii);
        let mut problems: Vec<&Problem> = self.problems.iter().collect();
        problems.sort_by_key(|problem| problem.marks.first().map(|mark| (mark.span.start, mark.span.end)));
        let mut shown: Vec<&Problem> = Vec::new();
        let mut left = 0;
        let mut out = String::new();
        for problem in problems {
            // The same mistake can be met more than once: in each combination of a matrix, for example, or in every stage
            // that has the value of one variable.
            if shown.iter().any(|other| *other == problem || self.of_one_variable(other, problem)) {
                continue;
            }
            if shown.len() == MOST {
                left += 1;
                continue;
            }
            if !out.is_empty() {
                out.push('\n');
            }
            out.push_str(&renderer.render(&[self.group(problem)]));
            out.push('\n');
            shown.push(problem);
        }
        if left > 0 {
            out.push_str(&format!("\n{left} more errors are not shown\n"));
        }
        out
    }

    /// Whether two problems are one with the value of a variable: lines that are the same refer to it.
    fn of_one_variable(&self, one: &Problem, other: &Problem) -> bool {
        let line = |problem: &Problem| {
            let (file, place) = self.sources.place(&problem.marks.first()?.span)?;
            let start = file.text[..place.start].rfind('\n').map_or(0, |at| at + 1);
            let end = file.text[place.end..].find('\n').map_or(file.text.len(), |at| place.end + at);
            file.text[place].contains("${").then(|| file.text[start..end].trim())
        };
        let same = one.message == other.message && one.help == other.help;
        same && line(one).is_some() && line(one) == line(other)
    }

    fn group<'a>(&'a self, problem: &'a Problem) -> Group<'a> {
        let mut group = Group::with_title(Level::ERROR.primary_title(visible(&problem.message)));
        // One snippet for each file, the one with the problem first.
        let mut shown: Vec<(&str, Snippet<'a, annotate_snippets::Annotation<'a>>)> = Vec::new();
        for (index, mark) in problem.marks.iter().enumerate() {
            let Some((file, span)) = self.sources.place(&mark.span) else { continue };
            let kind = if index == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
            let mut annotation = kind.span(span);
            if !mark.label.is_empty() {
                annotation = annotation.label(visible(&mark.label));
            }
            let position = shown.iter().position(|(path, _)| *path == file.shown);
            match position {
                Some(at) => {
                    let (path, snippet) = shown.swap_remove(at);
                    shown.insert(at, (path, snippet.annotation(annotation)));
                }
                None => {
                    let snippet = Snippet::source(&file.text).path(visible(&file.shown)).annotation(annotation);
                    shown.push((&file.shown, snippet));
                }
            }
        }
        group = group.elements(shown.into_iter().map(|(_, snippet)| snippet));
        group.elements(problem.help.iter().map(|help| Level::HELP.message(visible(help))))
    }
}

/// Control characters that a file may hold would move the cursor, or forge lines.
fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.into() }).collect())
}

impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.render(false).trim_end())
    }
}

impl std::error::Error for LoadError {}

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
pub(super) fn read(path: &Utf8Path, shown: &str) -> Result<String, String> {
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
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..at]);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let byte = error.as_bytes()[at];
        format!(
            "`{shown}` is not UTF-8 text: the byte 0x{byte:02x} at line {line}, column {column} does not belong there"
        )
    })?;
    // An editor of another system ends lines so; a shell would take the `\r` for a part of a word.
    Ok(text.replace("\r\n", "\n"))
}
