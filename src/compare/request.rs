//! What is to be compared, as data.
//!
//! Unaware of where programs, toolchains and workloads come from.

use std::collections::BTreeMap;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use super::options::Options;
use super::result::SideKind;
use crate::plan::SHELL;
use crate::text::script::{self, Piece, Unfit};
use crate::text::shell;

/// What stands for the program of a side in the words of a command.
pub const PLACEHOLDER: &str = "{program}";

/// Two builds, and what they are measured with.
#[derive(Debug, Clone)]
pub struct Request {
    pub base: Build,
    pub candidate: Build,
    /// Builds on the way from the base to the candidate, held against the base as well.
    pub steps: Vec<Build>,
    pub workloads: Vec<Workload>,
    /// Files whose sizes are compared: a name, the base's, the candidate's.
    pub sizes: Vec<(String, Utf8PathBuf, Utf8PathBuf)>,
    /// How it is measured.
    pub options: Options,
    /// An empty directory, for what is printed and counted.
    pub scratch: Utf8PathBuf,
}

impl Request {
    /// How many builds there are.
    pub fn sides(&self) -> usize {
        2 + self.steps.len()
    }

    /// What a workload runs on a side: 0 for the base, 1 for the candidate, then the steps.
    pub fn on<'a>(&'a self, workload: &'a Workload, side: usize) -> (&'a Invocation, &'a Build) {
        match side {
            0 => (&workload.base, &self.base),
            1 => (&workload.candidate, &self.candidate),
            step => (&workload.steps[step - 2], &self.steps[step - 2]),
        }
    }
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
}

/// A command on both sides.
#[derive(Debug, Clone)]
pub struct Workload {
    /// Unique in the request.
    pub name: String,
    /// For people, with [`PLACEHOLDER`] where the sides differ.
    pub command: String,
    pub base: Invocation,
    pub candidate: Invocation,
    /// As many as the request has steps.
    pub steps: Vec<Invocation>,
    /// The servers that the commands drive, in the order of [`Request::on`]: then these are measured.
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
#[derive(Debug, Clone)]
pub struct Invocation {
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    pub cwd: Utf8PathBuf,
}

impl Build {
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
    /// A command that is the same on both sides but for the program and the environment of the sides.
    ///
    /// # Errors
    /// It is a script, which cannot hold the path of the program.
    pub fn new(
        name: &str,
        words: &[String],
        env: &BTreeMap<String, String>,
        cwd: &Utf8Path,
        base: &Build,
        candidate: &Build,
        steps: &[Build],
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
            base: on(base)?,
            candidate: on(candidate)?,
            steps: steps.iter().map(on).collect::<Result<_, _>>()?,
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
