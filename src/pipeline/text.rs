//! Strings with references, such as `-L${lib.out}/lib`.
//!
//! Knows the syntax of references and nothing of what they stand for: whether a variable or a stage of that name exists
//! is `check.rs`'s business, and what a reference becomes is decided where a plan is made and run.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, de};

/// A string that may refer to variables, tools and the outputs of stages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text {
    /// What stands in it, in order. Two literals never follow each other.
    pub pieces: Vec<Piece>,
}

/// One part of a [`Text`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Literal(String),
    /// `${name}`: a variable, or a name of a `for` matrix.
    Var(String),
    /// `${stage.output}`, or `${a.out | b.out}`: the first one whose stage is on and succeeded.
    Outputs(Vec<OutputRef>),
    /// `${self.out}`: where the stage puts what it makes.
    SelfOut,
    /// `${self.build}`: the directory the stage works in, kept when it is interrupted.
    SelfBuild,
    /// `${self.cc}`, or with `plus` `${self.cxx}`: the compilers of the stage, which add its flags.
    SelfCompiler {
        plus: bool,
    },
    /// `${pipeline.dir}`: the directory of the pipeline file this text stands in. A pipeline that extends another has
    /// several files; the number is that of the file, 0 being the one that was asked for.
    PipelineDir(usize),
    /// `${host}`: the target triple of this machine.
    Host,
    /// `${jobs}`: how many slots the stage was given.
    Jobs,
    /// `${tools.name}`: the path of a tool.
    Tool(String),
}

/// `stage.output`
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutputRef {
    pub stage: String,
    pub output: String,
}

impl std::fmt::Display for OutputRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.stage, self.output)
    }
}

/// Why a string is not a [`Text`]; the range is the offending part, in bytes of the string.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TextError {
    pub message: String,
    pub range: std::ops::Range<usize>,
}

impl Text {
    /// Reads `${…}` references. In front of a `{`, two `$` stand for one: `$${` is a literal `${`, and `$$${x}` a literal `$`
    /// before a reference. A `$` elsewhere stands for itself.
    ///
    /// # Errors
    /// A sentence and the place, when a reference is malformed.
    pub fn parse(source: &str) -> Result<Text, TextError> {
        let mut text = Text::default();
        let mut at = 0;
        while let Some(found) = source[at..].find('$') {
            let first = at + found;
            text.push_literal(&source[at..first]);
            let dollars = source[first..].bytes().take_while(|byte| *byte == b'$').count();
            let brace = first + dollars;
            if !source[brace..].starts_with('{') {
                text.push_literal(&source[first..brace]);
                at = brace;
                continue;
            }
            text.push_literal(&source[first..first + dollars / 2]);
            if dollars % 2 == 0 {
                text.push_literal("{");
                at = brace + 1;
                continue;
            }
            let Some(length) = source[brace..].find('}') else {
                return Err(TextError {
                    message: "`${` without a closing `}`; write `$${` for a literal `${`".into(),
                    range: brace - 1..source.len(),
                });
            };
            let range = brace - 1..brace + length + 1;
            let inner = &source[brace + 1..brace + length];
            text.pieces.push(parse_reference(inner).map_err(|message| TextError { message, range })?);
            at = brace + length + 1;
        }
        text.push_literal(&source[at..]);
        Ok(text)
    }

    /// Appends characters that stand for themselves.
    pub fn push_literal(&mut self, more: &str) {
        match self.pieces.last_mut() {
            _ if more.is_empty() => {}
            Some(Piece::Literal(text)) => text.push_str(more),
            _ => self.pieces.push(Piece::Literal(more.into())),
        }
    }

    /// Appends a piece.
    pub fn push(&mut self, piece: Piece) {
        match piece {
            Piece::Literal(text) => self.push_literal(&text),
            other => self.pieces.push(other),
        }
    }

    /// A text without references.
    pub fn literal(text: impl Into<String>) -> Text {
        let mut pieces = vec![Piece::Literal(text.into())];
        pieces.retain(|piece| *piece != Piece::Literal(String::new()));
        Text { pieces }
    }

    /// The string, if it refers to nothing.
    pub fn as_literal(&self) -> Option<Cow<'_, str>> {
        match self.pieces.as_slice() {
            [] => Some("".into()),
            [Piece::Literal(text)] => Some(text.into()),
            _ => None,
        }
    }

    /// The outputs that it refers to, each with its fallbacks.
    pub fn outputs(&self) -> impl Iterator<Item = &[OutputRef]> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Outputs(candidates) => Some(candidates.as_slice()),
            _ => None,
        })
    }

    /// The variables that it refers to, in their order.
    pub fn variables(&self) -> Vec<String> {
        let names = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Var(name) => Some(name.clone()),
            _ => None,
        });
        names.collect()
    }
}

/// What stands between `${` and `}`.
fn parse_reference(inner: &str) -> Result<Piece, String> {
    let inner = inner.trim();
    if inner.is_empty() {
        return Err("an empty reference; name a variable (`${name}`) or an output (`${stage.output}`)".into());
    }
    if let Some(file) = inner.strip_prefix(DIR_OF_FILE) {
        return file.parse().map(Piece::PipelineDir).map_err(|_| format!("`{file}` is not the number of a file"));
    }
    if !inner.contains(['.', '|']) {
        return match inner {
            "host" => Ok(Piece::Host),
            "jobs" => Ok(Piece::Jobs),
            "self" => Err("`self` needs `.out` or `.build`".into()),
            "pipeline" => Err("`pipeline` needs `.dir`".into()),
            name if is_name(name) => Ok(Piece::Var(name.into())),
            name => Err(format!("`{name}` is not a name: letters, digits, `-` and `_`")),
        };
    }
    let mut candidates = Vec::new();
    for candidate in inner.split('|') {
        let candidate = candidate.trim();
        let Some((stage, output)) = candidate.split_once('.') else {
            return Err(format!("`{candidate}` must name an output: `stage.output`"));
        };
        if !is_stage(stage) || !is_name(output) {
            return Err(format!("`{candidate}` is not `stage.output`: names have letters, digits, `-` and `_`"));
        }
        candidates.push(OutputRef { stage: stage.into(), output: output.into() });
    }
    let [single] = candidates.as_slice() else {
        if let Some(odd) = candidates.iter().find(|c| RESERVED.contains(&c.stage.as_str())) {
            return Err(format!("`{odd}` has no fallback: only outputs of stages have"));
        }
        return Ok(Piece::Outputs(candidates));
    };
    match (single.stage.as_str(), single.output.as_str()) {
        ("self", "out") => Ok(Piece::SelfOut),
        ("self", "build") => Ok(Piece::SelfBuild),
        ("self", "cc") => Ok(Piece::SelfCompiler { plus: false }),
        ("self", "cxx") => Ok(Piece::SelfCompiler { plus: true }),
        ("self", other) => Err(format!("`self` has `.out`, `.build`, `.cc` and `.cxx`, not `.{other}`")),
        ("pipeline", "dir") => Ok(Piece::PipelineDir(0)),
        ("pipeline", other) => Err(format!("`pipeline` has `.dir`, not `.{other}`")),
        ("tools", tool) => Ok(Piece::Tool(tool.into())),
        ("host" | "jobs", _) => Err(format!("`{}` stands alone: `${{{}}}`", single.stage, single.stage)),
        _ => Ok(Piece::Outputs(candidates)),
    }
}

/// Names that neither a variable nor a stage may have.
pub const RESERVED: [&str; 5] = ["self", "pipeline", "host", "jobs", "tools"];

/// Letters, digits, `-` and `_`, beginning with a letter or digit. `+` too, for tools such as `clang++`.
pub fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+'))
}

/// A name, or the name of a stage that a variant of an experiment has for itself: `lib@fat`. No user can declare one.
fn is_stage(name: &str) -> bool {
    name.split_once('@').map_or(is_name(name), |(name, variant)| is_name(name) && is_name(variant))
}

/// What a stage is called where its pipeline runs by itself. In an experiment, the stages that variants have each for themselves are
/// `NAME@VARIANT`. What is kept of a stage is the same in both, so it is found by both.
pub fn own_name(stage: &str) -> &str {
    stage.split_once('@').map_or(stage, |(name, _)| name)
}

impl Text {
    /// The text in the form that [`Text::parse`] reads back as the very same pieces, the number of the file of a
    /// `${pipeline.dir}` included. No user can write that number: a pipeline file holds no NUL.
    pub(super) fn encode(&self) -> String {
        self.write(|file| format!("{DIR_OF_FILE}{file}"))
    }

    fn write(&self, dir: impl Fn(usize) -> String) -> String {
        let mut out = String::new();
        for (index, piece) in self.pieces.iter().enumerate() {
            let reference = match piece {
                Piece::Literal(text) => {
                    let before_reference = index + 1 < self.pieces.len();
                    out.push_str(&escape(text, before_reference));
                    continue;
                }
                Piece::Var(name) => name.clone(),
                Piece::Outputs(candidates) => {
                    candidates.iter().map(OutputRef::to_string).collect::<Vec<_>>().join(" | ")
                }
                Piece::SelfOut => "self.out".into(),
                Piece::SelfBuild => "self.build".into(),
                Piece::SelfCompiler { plus: false } => "self.cc".into(),
                Piece::SelfCompiler { plus: true } => "self.cxx".into(),
                Piece::PipelineDir(file) => dir(*file),
                Piece::Host => "host".into(),
                Piece::Jobs => "jobs".into(),
                Piece::Tool(name) => format!("tools.{name}"),
            };
            out.push_str("${");
            out.push_str(&reference);
            out.push('}');
        }
        out
    }
}

/// What stands before the number of a file in the encoded form of `${pipeline.dir}`.
const DIR_OF_FILE: &str = "pipeline.dir\0";

/// Doubles the `$` that would be read as part of a reference: those in front of a `{`, or of a reference that follows.
fn escape(literal: &str, before_reference: bool) -> String {
    let mut out = String::new();
    let mut rest = literal;
    while let Some(start) = rest.find('$') {
        let dollars = rest[start..].bytes().take_while(|byte| *byte == b'$').count();
        let end = start + dollars;
        out.push_str(&rest[..end]);
        if rest[end..].starts_with('{') || (before_reference && end == rest.len()) {
            out.push_str(&rest[start..end]);
        }
        rest = &rest[end..];
    }
    out + rest
}

impl std::fmt::Display for Text {
    /// The text as it would stand in a pipeline file.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.write(|_| "pipeline.dir".into()))
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let source = String::deserialize(deserializer)?;
        Text::parse(&source).map_err(de::Error::custom)
    }
}

impl JsonSchema for Text {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "string" })
    }
}
