//! Defaults and choices of variables: from what stands in a file to values.
//!
//! Unaware of what the caller gave.

use super::VarValue;
use super::error::Problem;
use super::read::normal;
use super::schema::VarType;
use super::text::{Piece, Text};
use super::tree::{Node, Value};
use super::var_type::{of_type, scalar};
use super::vars::Resolver;

/// A message, and the part of the text that it is about.
type Wrong = (Problem, String);

impl Resolver<'_> {
    /// Reads a default or a choice.
    pub(super) fn value(&mut self, node: &Node, kind: VarType, secret: bool) -> Option<VarValue> {
        if let Some(other) = self.earlier.alone(node) {
            let fits = matches!(
                (&other.value, kind),
                (VarValue::Bool(_), VarType::Bool)
                    | (VarValue::Int(_), VarType::Int)
                    | (VarValue::List(_), VarType::List)
            );
            if fits {
                return Some(other.value.clone());
            }
        }
        match (&node.value, kind) {
            (Value::Boolean(value), VarType::Bool) => Some(VarValue::Bool(*value)),
            (Value::Integer(number), VarType::Int) => Some(VarValue::Int(*number)),
            (Value::String(_), VarType::String) => self.text(node, kind, secret).map(VarValue::String),
            (Value::String(_), VarType::Path) => {
                let path = self.text(node, kind, secret)?;
                let file = self.sources.files.get(self.sources.file_of(node.span.start))?;
                let dir = if self.of_caller { self.options.cwd } else { file.dir() };
                let path = if path.is_empty() { path.into() } else { normal(&dir.join(path)) };
                Some(VarValue::Path(path))
            }
            (Value::Array(nodes), VarType::List) => {
                let mut items = Vec::new();
                for node in nodes {
                    match self.earlier.alone(node).map(|other| &other.value) {
                        Some(VarValue::List(spliced)) => items.extend(spliced.iter().cloned()),
                        _ => items.push(self.text(node, kind, secret)?),
                    }
                }
                Some(VarValue::List(items))
            }
            _ => {
                let message = format!("`{}` is {}, but this is {}", self.name, of_type(kind), node.what());
                self.problems.push(Problem::at(message, node.span.clone()));
                None
            }
        }
    }

    /// A string with everything in it replaced. A path below one that is not given is not given either.
    fn text(&mut self, node: &Node, kind: VarType, secret: bool) -> Option<String> {
        let source = node.as_str()?;
        let dir = self.sources.files.get(self.sources.file_of(node.span.start))?.dir().as_str();
        let result = match Text::parse(source) {
            Ok(text) => text.pieces.iter().map(|piece| self.piece(piece, dir, kind, secret)).collect(),
            Err(error) => {
                let part = source.get(error.range).unwrap_or_default().to_string();
                Err(Some((Problem::new(error.message), part)))
            }
        };
        match result {
            Ok(parts) => {
                let parts: Vec<Option<String>> = parts;
                Some(parts.into_iter().collect::<Option<String>>().unwrap_or_default())
            }
            Err(None) => None,
            Err(Some((problem, part))) => {
                let start = source.find(&part).unwrap_or(0);
                let span = self.sources.within(&node.span, source, &(start..start + part.len()));
                self.problems.push(problem.mark(span, ""));
                None
            }
        }
    }

    /// The text of a piece; none, if it is a path that is not given. An error without a problem was told elsewhere.
    fn piece(&self, piece: &Piece, dir: &str, kind: VarType, secret: bool) -> Result<Option<String>, Option<Wrong>> {
        let part = Text { pieces: vec![piece.clone()] }.to_string();
        let wrong = |message: &str, help: &str| Err(Some((Problem::new(message).help(help), part.clone())));
        match piece {
            Piece::Literal(literal) if literal.contains('\0') => {
                Err(Some((Problem::new("a NUL character can stand in no path, argument or variable"), part)))
            }
            Piece::Literal(literal) => Ok(Some(literal.clone())),
            Piece::Host => Ok(Some(self.options.host.into())),
            Piece::PipelineDir(_) if kind == VarType::Path => Ok(Some(dir.into())),
            Piece::PipelineDir(_) => {
                wrong(&format!("`{part}` is a path"), &format!("give `{}` the type `path`", self.name))
            }
            Piece::Var(name) => {
                let Some(declared) = self.earlier.get(name) else { return Err(Some((self.not_before(name), part))) };
                let other = declared.variable.as_ref().ok_or(None)?;
                match &other.value {
                    _ if other.secret && !secret => {
                        wrong(&format!("`{name}` is secret"), "declare this one `secret = true` too")
                    }
                    VarValue::List(_) => {
                        wrong(&format!("`{name}` is a list"), "it can only be an element of a list, alone")
                    }
                    VarValue::Path(_) if kind != VarType::Path => {
                        wrong(&format!("`{name}` is a path"), "give this one the type `path` too")
                    }
                    VarValue::Path(path) if path.as_str().is_empty() => Ok(None),
                    value => Ok(Some(scalar(value))),
                }
            }
            _ => wrong(
                &format!("`{part}` has no value yet when variables get theirs"),
                "a default can refer to variables before it, and to `${host}`",
            ),
        }
    }

    /// A variable that a default cannot refer to.
    fn not_before(&self, name: &str) -> Problem {
        if name == self.name {
            return Problem::new(format!("`{name}` refers to itself"));
        }
        if self.vars.get(name).is_some() {
            let problem = Problem::new(format!("`{name}` is declared after `{}`", self.name));
            return problem.help("a default can refer to variables that stand before it");
        }
        Problem::new(format!("there is no variable `{name}`")).suggest(name, self.earlier.names())
    }
}
