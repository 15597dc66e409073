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
    /// Reads `${…}` references. `$${` stands for a literal `${`; a `$` elsewhere stands for itself.
    pub fn parse(source: &str) -> Result<Text, TextError> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut at = 0;
        while let Some(found) = source[at..].find('$') {
            let dollar = at + found;
            literal.push_str(&source[at..dollar]);
            let rest = &source[dollar..];
            if rest.starts_with("$${") {
                literal.push_str("${");
                at = dollar + 3;
            } else if rest.starts_with("${") {
                let Some(close) = rest.find('}') else {
                    return Err(TextError {
                        message: "`${` without a closing `}`; write `$${` for a literal `${`".into(),
                        range: dollar..source.len(),
                    });
                };
                let range = dollar..dollar + close + 1;
                let piece = parse_reference(&rest[2..close]).map_err(|message| TextError { message, range })?;
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                }
                pieces.push(piece);
                at = dollar + close + 1;
            } else {
                literal.push('$');
                at = dollar + 1;
            }
        }
        literal.push_str(&source[at..]);
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Text { pieces })
    }

    /// A text without references.
    pub fn literal(text: impl Into<String>) -> Text {
        Text { pieces: vec![Piece::Literal(text.into())] }
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
}

/// What stands between `${` and `}`.
fn parse_reference(inner: &str) -> Result<Piece, String> {
    let inner = inner.trim();
    if inner.is_empty() {
        return Err("an empty reference; name a variable (`${name}`) or an output (`${stage.output}`)".into());
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
        if !is_name(stage) || !is_name(output) {
            return Err(format!("`{candidate}` is not `stage.output`: names have letters, digits, `-` and `_`"));
        }
        candidates.push(OutputRef { stage: stage.into(), output: output.into() });
    }
    let [single] = candidates.as_slice() else {
        if let Some(odd) = candidates.iter().find(|c| is_reserved(&c.stage)) {
            return Err(format!("`{odd}` has no fallback: only outputs of stages have"));
        }
        return Ok(Piece::Outputs(candidates));
    };
    match (single.stage.as_str(), single.output.as_str()) {
        ("self", "out") => Ok(Piece::SelfOut),
        ("self", "build") => Ok(Piece::SelfBuild),
        ("self", other) => Err(format!("`self` has `.out` and `.build`, not `.{other}`")),
        ("pipeline", "dir") => Ok(Piece::PipelineDir(0)),
        ("pipeline", other) => Err(format!("`pipeline` has `.dir`, not `.{other}`")),
        ("tools", tool) => Ok(Piece::Tool(tool.into())),
        ("host" | "jobs", _) => Err(format!("`{}` stands alone: `${{{}}}`", single.stage, single.stage)),
        _ => Ok(Piece::Outputs(candidates)),
    }
}

/// Names that neither a variable nor a stage may have.
pub const RESERVED: [&str; 5] = ["self", "pipeline", "host", "jobs", "tools"];

/// Whether a variable or a stage must not have this name.
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// Letters, digits, `-` and `_`, beginning with a letter or digit. `+` too, for tools such as `clang++`.
pub fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+'))
}

impl std::fmt::Display for Text {
    /// The text as it would stand in a pipeline file.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => f.write_str(&text.replace("${", "$${"))?,
                Piece::Var(name) => write!(f, "${{{name}}}")?,
                Piece::Outputs(candidates) => {
                    let names: Vec<String> = candidates.iter().map(OutputRef::to_string).collect();
                    write!(f, "${{{}}}", names.join(" | "))?;
                }
                Piece::SelfOut => f.write_str("${self.out}")?,
                Piece::SelfBuild => f.write_str("${self.build}")?,
                Piece::PipelineDir(_) => f.write_str("${pipeline.dir}")?,
                Piece::Host => f.write_str("${host}")?,
                Piece::Jobs => f.write_str("${jobs}")?,
                Piece::Tool(name) => write!(f, "${{tools.{name}}}")?,
            }
        }
        Ok(())
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
