//! What is to be compared, as data.
//!
//! Unaware of where programs, toolchains and workloads come from.

use std::collections::BTreeMap;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use super::options::Options;
use super::result::{Form, SideKind};
use crate::plan::SHELL;
use crate::plan::ops::{GivenValues, Served};
use crate::text::script::{self, Piece, Unfit};
use crate::text::shell;

/// What stands for the program of a side in the words of a command.
pub const PLACEHOLDER: &str = "{program}";

/// Builds, and what they are measured with.
#[derive(Debug, Clone)]
pub struct Request {
    pub form: Form,
    /// The first one is the base; in the form with a candidate, that is the last one.
    pub sides: Vec<Build>,
    pub workloads: Vec<Workload>,
    /// How it is measured.
    pub options: Options,
    /// An empty directory, for what is printed and counted.
    pub scratch: Utf8PathBuf,
}

impl Request {
    /// What a workload runs on a side.
    pub fn on<'a>(&'a self, workload: &'a Workload, side: usize) -> (&'a Invocation, &'a Build) {
        (&workload.sides[side], &self.sides[side])
    }

    /// Whether a side that does not work is left out, and the others are measured.
    pub fn may_go(&self, side: usize) -> bool {
        self.form == Form::Sides && side != 0
    }

    /// The same without the sides that are missing.
    ///
    /// # Errors
    /// There are fewer than two others.
    pub fn present(&self) -> Result<Present, String> {
        let there: Vec<usize> = (0..self.sides.len()).filter(|side| self.sides[*side].missing.is_none()).collect();
        let why = self.sides.iter().filter_map(|side| Some(format!("{}: {}", side.name, side.missing.as_ref()?)));
        if there.len() < 2 {
            let why: Vec<String> = why.collect();
            let why = if why.is_empty() { String::new() } else { format!("; {}", why.join("; ")) };
            return Err(format!("there are fewer than two builds to compare{why}"));
        }
        let mut notes = Vec::new();
        if there[0] != 0 {
            let (gone, first) = (&self.sides[0].name, &self.sides[there[0]].name);
            notes.push(format!("{gone} is not there: the others are held against {first}"));
        }
        let build = |side: &usize| {
            let build = &self.sides[*side];
            let against = there.iter().position(|other| *other == build.against).unwrap_or_else(|| {
                if build.against != 0 {
                    let (own, base) = (&self.sides[build.against].name, &self.sides[there[0]].name);
                    notes.push(format!("{own} is not there: {} is held against {base}", build.name));
                }
                0
            });
            Build { against, ..build.clone() }
        };
        let sides = there.iter().map(build).collect();
        let workload = |workload: &Workload| Workload {
            name: workload.name.clone(),
            command: workload.command.clone(),
            sides: there.iter().map(|side| workload.sides[*side].clone()).collect(),
            background: workload
                .background
                .as_ref()
                .map(|servers| there.iter().map(|side| servers[*side].clone()).collect()),
        };
        let workloads = self.workloads.iter().map(workload).collect();
        let (options, scratch) = (self.options.clone(), self.scratch.clone());
        Ok(Present { request: Request { form: self.form, sides, workloads, options, scratch }, numbers: there, notes })
    }
}

/// A request without the sides that are missing.
#[derive(Debug)]
pub struct Present {
    pub request: Request,
    /// The numbers that its sides have in the whole request.
    pub numbers: Vec<usize>,
    /// What became otherwise by that.
    pub notes: Vec<String>,
}

/// One side.
#[derive(Debug, Clone)]
pub struct Build {
    /// As it was given.
    pub name: String,
    /// The program, or the directory of the toolchain. Absolute.
    pub path: Utf8PathBuf,
    pub kind: SideKind,
    /// Environment of its own, on top of a workload's.
    pub env: BTreeMap<String, String>,
    /// The number of the side that it is held against.
    pub against: usize,
    /// Further files whose sizes are compared, by names that other sides have too.
    pub files: Vec<(String, Utf8PathBuf)>,
    /// One sentence for people.
    pub description: Option<String>,
    /// Why it cannot be measured.
    pub missing: Option<String>,
}

/// A command on all sides.
#[derive(Debug, Clone)]
pub struct Workload {
    /// Unique in the request.
    pub name: String,
    /// For people, with [`PLACEHOLDER`] where the sides differ.
    pub command: String,
    /// In the order of the request's sides. That of a side that is missing is never run.
    pub sides: Vec<Invocation>,
    /// The servers that the commands drive, in the same order: then these are measured.
    pub background: Option<Vec<Background>>,
}

/// A server that a workload drives.
#[derive(Debug, Clone)]
pub struct Background {
    pub server: Invocation,
    /// Succeeds when the server is ready.
    pub ready: Invocation,
    /// Ends the server; without one it gets SIGTERM.
    pub stop: Option<Invocation>,
    /// How long it may take until it is ready, and until it has ended.
    pub patience: Duration,
}

impl Background {
    /// The servers of all sides, each in the environment of its side's workload.
    ///
    /// # Errors
    /// One is a script, which cannot hold the path of the program.
    pub fn on_sides(served: &Served<GivenValues>, of: &Workload, sides: &[Build]) -> Result<Vec<Background>, Unfit> {
        let on = |words: &[String]| -> Result<Vec<Invocation>, Unfit> {
            let made = Workload::new(&of.name, words, &BTreeMap::new(), Utf8Path::new(""), sides)?;
            let beside = made.sides.into_iter().zip(&of.sides);
            Ok(beside.map(|(made, of)| Invocation { env: of.env.clone(), cwd: of.cwd.clone(), ..made }).collect())
        };
        let (servers, ready) = (on(&served.server)?, on(&served.ready)?);
        let stop = if served.stop.is_empty() { Vec::new() } else { on(&served.stop)? };
        let mut stop = stop.into_iter();
        let patience = Duration::try_from_secs_f64(served.patience).unwrap_or(Duration::MAX);
        let sides = servers.into_iter().zip(ready);
        Ok(sides.map(|(server, ready)| Background { server, ready, stop: stop.next(), patience }).collect())
    }
}

/// The environment of this process, as far as it is UTF-8.
pub fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Pairs that are written as `NAME=VALUE`.
///
/// # Errors
/// A sentence, when one is none.
pub fn pairs(texts: &[String]) -> Result<BTreeMap<String, String>, String> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.into(), value.into())),
        _ => Err(format!("`{text}` is not NAME=VALUE")),
    };
    texts.iter().map(pair).collect()
}

/// A command ready to start.
#[derive(Debug, Clone, Default)]
pub struct Invocation {
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    pub cwd: Utf8PathBuf,
}

impl Build {
    /// One that is held against the first side.
    pub fn new(name: impl Into<String>, path: Utf8PathBuf, kind: SideKind, env: BTreeMap<String, String>) -> Build {
        let name = name.into();
        Build { name, path, kind, env, against: 0, files: Vec::new(), description: None, missing: None }
    }

    /// What [`PLACEHOLDER`] stands for: of a toolchain, its rustc.
    pub fn program(&self) -> Utf8PathBuf {
        match self.kind {
            SideKind::Program => self.path.clone(),
            SideKind::Toolchain => self.path.join("bin/rustc"),
        }
    }

    /// What a path is.
    ///
    /// # Errors
    /// A sentence, when it is neither a program nor a toolchain.
    pub fn kind_of(path: &Utf8Path) -> Result<SideKind, String> {
        use std::os::unix::fs::PermissionsExt as _;
        let meta = std::fs::metadata(path).map_err(|error| format!("{path} cannot be compared: {error}"))?;
        if meta.is_dir() {
            return match path.join("bin/rustc").is_file() {
                true => Ok(SideKind::Toolchain),
                false => Err(format!(
                    "{path} is a directory without `bin/rustc`, so no toolchain; name the program in it that is compared"
                )),
            };
        }
        match meta.permissions().mode() & 0o111 {
            0 => Err(format!(
                "{path} cannot be executed; compare the program that uses it, and give each side its own with \
                 `--base-env` and `--candidate-env`"
            )),
            _ => Ok(SideKind::Program),
        }
    }
}

impl Workload {
    /// A command that is the same on all sides but for the program and the environment of the sides.
    ///
    /// # Errors
    /// It is a script, which cannot hold the path of the program.
    pub fn new(
        name: &str,
        words: &[String],
        env: &BTreeMap<String, String>,
        cwd: &Utf8Path,
        sides: &[Build],
    ) -> Result<Workload, Unfit> {
        let script = words.starts_with(&SHELL.map(String::from)).then_some(SHELL.len());
        let on = |side: &Build| -> Result<Invocation, Unfit> {
            let program = side.program();
            let replaced = |text: &String| text.replace(PLACEHOLDER, program.as_str());
            let mut all: BTreeMap<_, _> = env.iter().map(|(name, value)| (name.clone(), replaced(value))).collect();
            all.extend(side.env.clone());
            let words = words.iter().enumerate().map(|(index, word)| match script {
                Some(at) if at == index => in_script(word, program.as_str()),
                _ => Ok(replaced(word)),
            });
            Ok(Invocation { argv: words.collect::<Result<_, _>>()?, env: all, cwd: cwd.to_owned() })
        };
        let quoted = words.iter().map(|word| if word == PLACEHOLDER { word.clone() } else { shell::quote(word) });
        Ok(Workload {
            name: name.into(),
            command: quoted.collect::<Vec<_>>().join(" "),
            sides: sides.iter().map(on).collect::<Result<_, _>>()?,
            background: None,
        })
    }
}

/// A script with the program in the place of [`PLACEHOLDER`], as the shell needs it there.
fn in_script(script: &str, program: &str) -> Result<String, Unfit> {
    let value = Piece::Value { text: program, name: program };
    let mut pieces = Vec::new();
    for (index, text) in script.split(PLACEHOLDER).enumerate() {
        pieces.extend((index > 0).then_some(value));
        pieces.push(Piece::Text(text));
    }
    script::join(&pieces)
}
