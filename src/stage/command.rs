//! `kind = "command"`: any program, and what it made.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use schemars::JsonSchema;
use serde::Deserialize;

use super::context::ENDS_PATH;
use super::gather::Instrumented;
use super::wrapped::Wrapped;
use super::{Context, Declaration, Language, Lto, Pgo, PlanError, Profdata, Relocations, StageKind, trained};
use crate::pipeline::{Answers, CommandLine, Keys, Need, Piece, Profiles, Stage, Text, VarValue, Words, value};
use crate::plan::ops::{Capture, CopySource, LinkTools};
use crate::plan::{Arg, Output, Part, Step, Symbol};
use crate::toolchain::llvm;

/// Runs any program.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CommandKeys {
    /// The command: an array of words, or a string that is split into words without a shell. A first word that is the name
    /// of a tool in `[tools]` is that tool.
    pub run: Words,
    /// `run` is a script for `sh -eu -c`.
    #[serde(default)]
    pub shell: bool,
    /// Where it runs. Default: `${self.build}`.
    pub cwd: Option<Text>,
    /// A directory with sources. Its files are inputs: those that git tracks or does not ignore.
    pub source: Option<Text>,
    /// Copies `source` into `${self.build}`, for builds that write beside their sources. In a copy that is there already, only what has
    /// changed is replaced.
    #[serde(default)]
    pub copy: bool,
    /// Profile-guided optimisation of what it compiles: `"generate"` or `{ use = "${gather.profile}" }`. This key, `lto` and
    /// `keep-relocations` work by compilers of the stage's own, `${self.cc}` and `${self.cxx}`, which add the flags to each call. `CC`
    /// and `CXX` in the environment name them.
    pub pgo: Option<Pgo>,
    /// Link-time optimisation of what it compiles: `off`, `thin` or `full`. `AR`, `NM` and `RANLIB` are LLVM's then.
    #[serde(default)]
    pub lto: Lto,
    /// What it links keeps relocations (`--emit-relocs`), so that BOLT can move functions.
    #[serde(default)]
    pub keep_relocations: bool,
    /// The share of the program's functions that may have no counts in the profile that it is built with; more fail the stage: it
    /// is the profile of something else. Default: `90%`.
    pub max_unprofiled: Option<Text>,
    /// What `${self.cc}` calls: the name of a tool or a path. The C++ compiler is found beside it. Default: `clang`.
    pub compiler: Option<Text>,
    /// What it makes: a name and a path in `${self.out}`, or a path below `${self.build}`, from where it is captured. `out`, all
    /// of `${self.out}`, is always there.
    #[serde(default)]
    pub outputs: BTreeMap<String, Text>,
    /// Names of outputs that are text files whose content is printed with the summary of a run.
    #[serde(default, deserialize_with = "value::plain_list")]
    pub show: Vec<String>,
}

/// A command, and what it makes.
#[derive(Debug)]
pub struct Command {
    pub line: CommandLine,
    pub outputs: BTreeMap<String, Text>,
    /// Outputs that are printed.
    show: Vec<String>,
    /// Sources, and whether they are copied.
    source: Option<(Text, bool)>,
    wrapped: Wrapped,
}

impl Declaration for CommandKeys {
    const NAME: &'static str = "command";
    type Parsed = Command;

    fn parse(self, keys: &mut Keys) -> Option<Command> {
        keys.check_outputs(&self.outputs);
        let unknown = self.show.iter().filter(|name| !self.outputs.contains_key(*name) && keys.is_complete());
        for name in unknown.collect::<Vec<_>>() {
            let message = format!("there is no output `{name}` to show");
            keys.no_such("show", message, name, self.outputs.keys().map(String::as_str));
        }
        if self.copy && self.source.is_none() && keys.is_complete() {
            keys.wrong("copy", "there is nothing to copy", "add `source = \"…\"`");
        }
        let source = self.source.map(|source| (source, self.copy));
        match CommandLine::new(&self.run, self.shell, BTreeMap::new(), self.cwd) {
            Ok(line) => {
                let wrapped = Wrapped {
                    pgo: self.pgo,
                    lto: self.lto,
                    keep_relocations: self.keep_relocations,
                    max_unprofiled: self.max_unprofiled,
                    compiler: self.compiler,
                };
                Some(Command { line, outputs: self.outputs, show: self.show, source, wrapped })
            }
            Err(message) => {
                keys.wrong("run", message, "");
                None
            }
        }
    }
}

impl StageKind for Command {
    fn answers(&self) -> Answers {
        let outputs = std::iter::once("out".to_string()).chain(self.outputs.keys().cloned()).collect();
        let instruments = self.wrapped.instruments();
        Answers {
            outputs,
            writes: instruments.then_some(Profiles::Compiler),
            needs: instruments.then_some(Need::ClangRuntime).into_iter().collect(),
            compilers: true,
            ..Answers::default()
        }
    }

    fn below_out(&self, output: &str, cx: &mut Context) -> Option<String> {
        below_own_directory(self.outputs.get(output)?, cx)
    }

    fn relocations(&self) -> Option<Relocations<'_>> {
        // Without the key, the build may keep them by itself.
        self.wrapped.keep_relocations.then_some(Relocations { kept: true, target: None })
    }

    fn language(&self) -> Option<Language> {
        self.wrapped.pgo.as_ref().map(|_| Language::C)
    }

    fn describe(&self, stage: &Stage, _: &mut Instrumented, cx: &mut Context) -> Result<(), PlanError> {
        match self.wrapped.pgo {
            // It may be instrumented by flags of its own.
            Some(Pgo::Generate) | None => Ok(()),
            Some(Pgo::Use(_)) => Err(cx.not_instrumented(stage, "pgo = \"generate\"")),
        }
    }

    fn merge_tool(&self, stage: &Stage, cx: &mut Context) -> Result<Option<Profdata>, PlanError> {
        if self.wrapped.pgo.is_some() {
            let found = self.wrapped.clang(cx).and_then(|clang| llvm::profdata_for_clang(cx.facts, &clang));
            return Ok(Some(Profdata::Sure(cx.tool_or_gap("llvm-profdata", found.map(|tool| tool.path)))));
        }
        let texts = self.line.words.iter().chain(self.line.env.values()).chain(stage.common.env.values());
        let clang = texts.flat_map(|text| &text.pieces).find_map(|piece| match piece {
            Piece::Tool(name) if is_clang(name) => cx.find_tool(name).ok(),
            Piece::Literal(text) => {
                let words = text.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '+' | '.' | '/')));
                // A version or a whole path tells that it is not a directory of that name.
                let is_program = |word: &str| word.starts_with('/') || word.ends_with(|c: char| c.is_ascii_digit());
                let named = words.filter(|word| is_clang(word) && is_program(word));
                named.into_iter().find_map(|word| cx.facts.program(word))
            }
            _ => None,
        });
        let tool = clang.and_then(|clang| llvm::profdata_for_clang(cx.facts, &clang).ok());
        Ok(tool.map(|tool| Profdata::Likely(cx.tool_at("llvm-profdata", tool.path))))
    }

    fn plan(&self, cx: &mut Context) -> Result<(), PlanError> {
        trained("pgo", self.wrapped.pgo.as_ref(), Language::C, cx)?;
        let own_compilers =
            !self.wrapped.keys().is_empty() || self.wrapped.compiler.is_some() || self.names_compilers(cx.stage);
        let used = if own_compilers { self.wrapped.begin(cx)? } else { None };
        self.take_source(cx)?;
        let mut command = cx.command_line(&self.line)?;
        if self.line.shell {
            tools_first(&mut command, cx);
        }
        self.watch_trees(cx);
        if self.wrapped.pgo.is_none() && self.uses_profiles(cx.stage) {
            cx.note(
                "how much of the profile it uses is not checked; with `pgo = { use = … }` in place of its flags the compilers \
                 `${self.cc}` and `${self.cxx}` add them, and what they say of the profile is counted",
            );
        }
        if own_compilers {
            self.wrapped.set_up(&mut command, cx)?;
        }
        cx.step(Step::command("run", command));
        let portable = !self.wrapped.instruments();
        let mut outputs = vec![Output { name: "out".into(), path: Symbol::Out.into(), portable, show: false }];
        for (name, text) in &self.outputs {
            let Some(below) = below_own_directory(text, cx) else {
                return Err(cx.invalid(
                    &format!("outputs.{name}"),
                    format!("`{text}` lies elsewhere; an output lies in `${{self.out}}`, or below `${{self.build}}`, from where it is captured"),
                ));
            };
            self.check_overlap(name, &below, text, cx)?;
            let path = Arg::from(Symbol::Out).join(&below);
            if text.pieces.first() == Some(&Piece::SelfBuild) {
                let from = Arg::from(Symbol::Build).join(&below);
                cx.step(Step::op(format!("capture-{name}"), Capture::new(from, path.clone())));
            }
            outputs.push(Output { name: name.clone(), path, portable, show: self.show.contains(name) });
        }
        cx.plan.outputs.extend(outputs);
        if own_compilers { self.wrapped.end(used, cx) } else { Ok(()) }
    }
}

impl Command {
    /// What stands in its command and environment.
    fn pieces<'a>(&'a self, stage: &'a Stage) -> impl Iterator<Item = &'a Piece> {
        let texts = self.line.words.iter().chain(self.line.env.values()).chain(stage.common.env.values());
        texts.flat_map(|text| &text.pieces)
    }

    /// Whether it names `${self.cc}` or `${self.cxx}`.
    fn names_compilers(&self, stage: &Stage) -> bool {
        self.pieces(stage).any(|piece| matches!(piece, Piece::SelfCompiler { .. }))
    }

    /// Whether it gives a compiler a profile by flags of its own.
    fn uses_profiles(&self, stage: &Stage) -> bool {
        self.pieces(stage).any(|piece| matches!(piece, Piece::Literal(text) if text.contains("-fprofile-use=")))
    }

    /// The sources that it declares.
    fn take_source(&self, cx: &mut Context) -> Result<(), PlanError> {
        let Some((text, copy)) = &self.source else { return Ok(()) };
        let from = cx.arg(text)?;
        if let Some(path) = cx.known_path(&from) {
            if !cx.facts.exists(&path) {
                cx.gap(
                    format!("{path} does not exist"),
                    "get the sources, or set `source` to the directory that has them",
                );
            }
            cx.source("source", path, false);
        } else if from.parts.iter().all(|part| matches!(part, Part::Literal(_))) {
            let message =
                "a relative path; begin with `${pipeline.dir}`, a variable of type path, or an output of a stage";
            return Err(cx.invalid("source", message));
        }
        if *copy {
            cx.step(Step::op("copy-source", CopySource { from, to: Symbol::Build.into() }));
        }
        Ok(())
    }

    /// A script that names `configure` or a Makefile reads the files around it, which it does not name.
    fn watch_trees(&self, cx: &mut Context) {
        let own = self.line.words.iter().chain(self.line.env.values()).chain(&self.line.cwd);
        for text in own.chain(cx.stage.common.env.values()) {
            for (index, piece) in text.pieces.iter().enumerate() {
                let Some((name, dir)) = place(piece, cx) else { continue };
                let behind = match text.pieces.get(index + 1) {
                    Some(Piece::Literal(text)) if text.starts_with('/') => text.as_str(),
                    _ => "",
                };
                let end = behind.find(ENDS_PATH).unwrap_or(behind.len());
                let below = behind[..end].trim_end_matches('/');
                let below = match below.rsplit_once('/') {
                    Some((before, file)) if BUILD_FILES.contains(&file) => before,
                    _ => below,
                };
                let tree = if below.is_empty() { dir } else { dir.join(below.trim_matches('/')) };
                let is_built = BUILD_FILES.iter().any(|file| cx.facts.exists(&tree.join(file)));
                let is_watched = cx.plan.sources.iter().any(|source| !source.glob && tree.starts_with(&source.path));
                if is_built && !is_watched {
                    cx.note(format!(
                        "it builds from {tree}, so all of that is watched, apart from what git ignores; where the build writes there, \
                         take a copy: `source` with `copy = true`"
                    ));
                    cx.source(&format!("{name}{below}"), tree, false);
                }
            }
        }
    }

    /// What is captured from `${self.build}` would replace what the command put into `${self.out}`, without a word.
    fn check_overlap(&self, name: &str, below: &str, text: &Text, cx: &Context) -> Result<(), PlanError> {
        let captured = |text: &Text| text.pieces.first() == Some(&Piece::SelfBuild);
        let other = self.outputs.iter().find(|(_, other)| {
            captured(other) != captured(text)
                && below_own_directory(other, cx).is_some_and(|other| {
                    Utf8Path::new(&other).starts_with(below) || Utf8Path::new(below).starts_with(&other)
                })
        });
        match other {
            None => Ok(()),
            Some((other, _)) => Err(cx.invalid(
                &format!("outputs.{name}"),
                format!("stands where output `{other}` does: one is captured from `${{self.build}}`, the other made in `${{self.out}}`; give them different paths"),
            )),
        }
    }
}

/// A script finds the tools of the pipeline under their names before any others: `llvm-profdata` is the one that `[tools]` means.
fn tools_first(command: &mut crate::plan::Command, cx: &mut Context) {
    let names: Vec<String> = cx.pipeline.tools.keys().cloned().collect();
    let mut tool: Vec<Arg> = Vec::new();
    for name in names {
        // One that is missing is a gap where a stage names it.
        if let Some(found) = cx.optional_tool(&name) {
            tool.extend([name.into(), found]);
        }
    }
    let Some(script) = command.argv.last_mut().filter(|_| !tool.is_empty()) else { return };
    let dir = Arg::from(Symbol::Scratch).join(TOOLS);
    let path = Arg::from("PATH=").with(dir.clone()).with(":$PATH; ").with(std::mem::take(script));
    *script = Arg { script: true, ..path };
    cx.step(Step::op("link-tools", LinkTools { dir, tool }));
}

/// In the scratch directory: the pipeline's tools.
const TOOLS: &str = "tools";

/// Files that a build begins with, in the directory of what it builds.
const BUILD_FILES: [&str; 8] =
    ["configure", "configure.ac", "autogen.sh", "Makefile", "makefile", "GNUmakefile", "meson.build", "CMakeLists.txt"];

/// A directory that the user has chosen: its name in fingerprints, and where it is.
fn place(piece: &Piece, cx: &Context) -> Option<(String, Utf8PathBuf)> {
    match piece {
        Piece::PipelineDir(file) => Some(("pipeline.dir".into(), cx.pipeline.dirs.get(*file)?.clone())),
        Piece::Var(name) => match &cx.pipeline.vars.get(name)?.value {
            VarValue::Path(path) => Some((format!("variable {name}"), path.clone())),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a program's name is one of clang's: `clang`, `clang++-22`, `/usr/bin/clang-19`.
fn is_clang(name: &str) -> bool {
    let rest = Utf8Path::new(name).file_name().and_then(|name| name.strip_prefix("clang"));
    let number = rest.map(|rest| rest.strip_prefix("++").unwrap_or(rest));
    number.is_some_and(|number| {
        number.is_empty() || number.strip_prefix('-').is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
    })
}

/// The path of a declared output in the stage's `out`: it is relative, or begins with one of the stage's own directories.
pub(super) fn below_own_directory(text: &Text, cx: &Context) -> Option<String> {
    let (own, rest) = match text.pieces.as_slice() {
        [Piece::SelfOut | Piece::SelfBuild, rest @ ..] => (true, rest),
        all => (false, all),
    };
    let mut below = String::new();
    for piece in rest {
        match piece {
            Piece::Literal(text) => below.push_str(text),
            Piece::Host => below.push_str(&cx.facts.host()),
            _ => return None,
        }
    }
    // Behind one of the directories there is a slash, and without one there is none.
    if own != below.starts_with('/') {
        return None;
    }
    let clean = below.trim_start_matches('/').trim_start_matches("./").trim_end_matches('/');
    let outside = clean.is_empty() || clean.split('/').any(|component| component == "..");
    (!outside).then(|| clean.to_string())
}
