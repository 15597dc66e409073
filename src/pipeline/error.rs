//! What is wrong with a pipeline, shown with the lines of its files.
//!
//! Knows how a problem is told: message, places, help. Unaware of what can be wrong.

use std::borrow::Cow;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::source::Sources;

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

    /// Adds a place.
    pub fn mark(mut self, span: Range<usize>, label: impl Into<String>) -> Problem {
        self.marks.push(Mark { span, label: label.into() });
        self
    }

    /// Adds what to do about it.
    pub fn help(mut self, text: impl Into<String>) -> Problem {
        self.help.push(text.into());
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
