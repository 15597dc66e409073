//! Arguments of commands: literals, places, and values that are known only when the step starts.

use camino::Utf8PathBuf;

use crate::pipeline::OutputRef;

/// One argument, directory or environment value of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Arg {
    pub parts: Vec<Part>,
}

/// A part of an [`Arg`]; the parts are joined without anything between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Literal(String),
    /// A place whose path is not part of what the argument means.
    Symbol(Symbol),
    /// The path of a tool, by the tool's name; what it is goes into fingerprints as the tool's identity.
    Tool {
        name: String,
        path: Utf8PathBuf,
    },
    /// A path that the user chose (a variable of type path, the pipeline's directory), with the name under which it was chosen.
    Place {
        name: String,
        path: Utf8PathBuf,
    },
    Late(Late),
    /// A limit: it decides whether something is done, or how, but not what is made, and is in no fingerprint.
    Limit(String),
    /// A secret variable: shown as `***`, never written down, hashed in fingerprints.
    Secret {
        name: String,
        value: String,
    },
}

/// Places that the runner knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Symbol {
    /// `${self.out}`: what the stage makes. Empty when the stage begins; becomes the record's outputs.
    Out,
    /// `${self.build}`: kept between attempts of the stage; the workspace, where it has one.
    Build,
    /// A scratch directory of the stage, emptied when it begins.
    Scratch,
    /// Number of slots the stage was given.
    Jobs,
    /// In a pool: the directory of this attempt of a workload.
    Attempt,
    /// In a pool: the slot (0, 1, …) that the workload runs in.
    Slot,
    /// The directory with one directory per committed workload of the stage.
    Committed,
    /// The directory of the logs of the stage.
    Logs,
    /// A file with what operations of the stage have reported so far; for a step that comes after them.
    Reported,
    /// The same of the last time when the stage was done, whatever it was made from then; there is none before the first time.
    ReportedLast,
    /// optbuild itself.
    Optbuild,
}

/// A value that is known when the stages before have run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Late {
    /// Where an output of another stage stands.
    Path(OutputRef),
    /// The hash of its content.
    Hash(OutputRef),
}

impl Symbol {
    /// How plans show it.
    pub fn name(self) -> &'static str {
        match self {
            Symbol::Out => "self.out",
            Symbol::Build => "self.build",
            Symbol::Scratch => "self.scratch",
            Symbol::Jobs => "jobs",
            Symbol::Attempt => "attempt",
            Symbol::Slot => "slot",
            Symbol::Committed => "committed",
            Symbol::Logs => "logs",
            Symbol::Reported => "reported",
            Symbol::ReportedLast => "reported-last",
            Symbol::Optbuild => "optbuild",
        }
    }
}

impl Arg {
    /// An argument of one part.
    pub fn part(part: Part) -> Arg {
        Arg { parts: vec![part] }
    }

    /// Appends parts: `Arg::from("-j").with(Symbol::Jobs)`.
    #[must_use]
    pub fn with(mut self, more: impl Into<Arg>) -> Arg {
        self.parts.extend(more.into().parts);
        self
    }

    /// A path below this one.
    #[must_use]
    pub fn join(self, below: &str) -> Arg {
        self.with("/").with(below)
    }

    /// The same with another argument in place of every occurrence of a text in literals; and whether there was one.
    #[must_use]
    pub fn replaced(self, text: &str, by: &Arg) -> (Arg, bool) {
        let (mut parts, mut found) = (Vec::new(), false);
        for part in self.joined().parts {
            let Part::Literal(literal) = &part else {
                parts.push(part);
                continue;
            };
            for (index, piece) in literal.split(text).enumerate() {
                if index > 0 {
                    parts.extend(by.parts.iter().cloned());
                    found = true;
                }
                if !piece.is_empty() {
                    parts.push(Part::Literal(piece.into()));
                }
            }
        }
        (Arg { parts }, found)
    }

    /// The same with literals that follow each other made one.
    #[must_use]
    pub fn joined(self) -> Arg {
        let mut parts: Vec<Part> = Vec::new();
        for part in self.parts {
            match (parts.last_mut(), part) {
                (Some(Part::Literal(before)), Part::Literal(text)) => before.push_str(&text),
                (_, part) => parts.push(part),
            }
        }
        Arg { parts }
    }

    /// The text, with places and late values as the function says.
    pub fn render(&self, mut part: impl FnMut(&Part) -> String) -> String {
        self.parts
            .iter()
            .map(|p| match p {
                Part::Literal(text) => text.clone(),
                other => part(other),
            })
            .collect()
    }

    /// What fingerprints hash: names instead of places. The value of a secret is replaced by its hash.
    pub fn symbolic(&self) -> String {
        self.render(|part| match part {
            Part::Tool { name, .. } => format!("<tool {name}>"),
            Part::Place { name, .. } => format!("<{name}>"),
            Part::Limit(_) => "<limit>".into(),
            Part::Secret { name, value } => {
                format!("<secret {name} {}>", blake3::hash(value.as_bytes()).to_hex())
            }
            other => other.to_string(),
        })
    }
}

/// For people: real paths where they are known, `<…>` where they are not, `***` for secrets.
impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Part::Literal(text) | Part::Limit(text) => f.write_str(text),
            Part::Symbol(symbol) => write!(f, "<{}>", symbol.name()),
            Part::Tool { path, .. } | Part::Place { path, .. } => write!(f, "{path}"),
            Part::Late(Late::Path(output)) => write!(f, "<{output}>"),
            Part::Late(Late::Hash(output)) => write!(f, "<hash of {output}>"),
            Part::Secret { .. } => f.write_str("***"),
        }
    }
}

impl std::fmt::Display for Arg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.parts.iter().try_for_each(|part| part.fmt(f))
    }
}

impl From<&str> for Arg {
    fn from(text: &str) -> Arg {
        Arg::part(Part::Literal(text.into()))
    }
}

impl From<String> for Arg {
    fn from(text: String) -> Arg {
        Arg::part(Part::Literal(text))
    }
}

impl From<Symbol> for Arg {
    fn from(symbol: Symbol) -> Arg {
        Arg::part(Part::Symbol(symbol))
    }
}
