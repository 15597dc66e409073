//! `kind = "bolt"`: llvm-bolt on a linked file, alone or in a copy of the directory that it belongs to.
//!
//! An instrumented file has the path of its profiles compiled in, so `instrument` makes as many copies as workloads run at
//! once. Output `slots` holds them: `slot-0`, `slot-1`, …, each with a text file `slot-0.path` beside it that says where its
//! profiles go. That is a directory in `${self.build}`, because outputs do not change any more when the stage is done. `out`
//! and `file` are those of slot 0; gather stages replace them by those of the workload's slot.
//!
//! llvm-bolt can update debug sections that are not compressed. Where it is told to, it reads a link to the file, or a copy in which they are
//! not, and its result is compressed as the file is.

pub mod broken;
pub mod options;
pub mod trial;
pub mod words;

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Deserialize;

use super::gather::{Instrumented, SLOTS, Slots, slot_path_file};
use super::{Context, Declaration, PlanError, Relocations, StageKind, kind_of};
use crate::pipeline::{Answers, Keys, Need, OutputRef, Profiles, Stage, Supplied, Text};
use crate::plan::ops::{
    BoltAdvice, BoltStatistics, CheckBoltInput, CheckBoltProfile, CheckBoltUse, CheckBolted, CheckProfile,
    CompressLike, PlainDebug, Shadow, StripLike,
};
use crate::plan::{Advice, Arg, Command, Late, Output, Part, Step, Symbol};
use crate::profile::Format;
use crate::toolchain::version;

/// Rewrites a linked executable or shared library with llvm-bolt.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BoltKeys {
    /// `instrument` makes a file that writes BOLT profiles; `optimize` makes the optimised one.
    pub action: ActionName,
    /// The executable or shared library, linked with relocations and not stripped. Never written to.
    pub input: Text,
    /// A directory that holds `input`. A copy of it, in which only that file is replaced, is the output `out`: a toolchain
    /// whose program finds the rewritten library. Without it `out` holds the file alone.
    pub within: Option<Text>,
    /// For `optimize`: the merged profile, usually `${gather.profile}`.
    pub profile: Option<Text>,
    /// llvm-bolt's options, in place of the default set for the action.
    pub options: Option<Vec<Text>>,
    /// Options on top of the default set.
    #[serde(default)]
    pub extra_options: Vec<Text>,
    /// For `optimize`: leaves as many symbols and as much debug information in the result as this file, or directory of the same
    /// layout as `within`, has: usually what a plain build makes, whose `strip` had to wait until BOLT was done.
    pub strip_like: Option<Text>,
    /// For `instrument`: how many instrumented copies are made, each with a profile path of its own, because the path is
    /// compiled in. A gather stage runs that many workloads at once, at most. Default: 1.
    pub slots: Option<NonZeroU32>,
}

/// What llvm-bolt is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ActionName {
    Instrument,
    Optimize,
}

/// A file that llvm-bolt rewrites.
#[derive(Debug)]
pub struct Bolt {
    input: Text,
    within: Option<Text>,
    options: Options,
    action: Action,
}

#[derive(Debug)]
enum Action {
    /// So many copies.
    Instrument {
        slots: u32,
    },
    Optimize {
        profile: Text,
        strip_like: Option<Text>,
    },
}

#[derive(Debug)]
enum Options {
    /// In place of the default set.
    Own(Vec<Text>),
    /// On top of it.
    More(Vec<Text>),
}

impl Options {
    /// The key that has them.
    fn key(&self) -> &'static str {
        match self {
            Options::Own(_) => "options",
            Options::More(_) => "extra-options",
        }
    }
}

impl Declaration for BoltKeys {
    const NAME: &'static str = "bolt";
    type Parsed = Bolt;

    fn parse(self, keys: &mut Keys) -> Option<Bolt> {
        let action = match (self.action, self.profile) {
            (ActionName::Instrument, profile) => {
                if profile.is_some() {
                    keys.wrong("profile", "instrumenting takes no profile", "take `profile` out");
                }
                if self.strip_like.is_some() {
                    keys.wrong("strip-like", "an instrumented file needs its symbols", "take `strip-like` out");
                }
                Some(Action::Instrument { slots: self.slots.map_or(1, NonZeroU32::get) })
            }
            (ActionName::Optimize, profile) => {
                if profile.is_none() && keys.is_complete() {
                    let message = format!("the bolt stage `{}` optimises without a `profile`", keys.name);
                    keys.wrong("action", message, "add `profile = \"${gather.profile}\"`");
                }
                if self.slots.is_some() {
                    keys.wrong("slots", "`slots` is for `action = \"instrument\"`", "");
                }
                profile.map(|profile| Action::Optimize { profile, strip_like: self.strip_like })
            }
        };
        let options = match (self.options, self.extra_options) {
            (None, more) => Options::More(more),
            (Some(own), more) => {
                if !more.is_empty() {
                    let message = "`options` and `extra-options` exclude each other";
                    keys.wrong("extra-options", message, "put all of them in `options`");
                }
                Options::Own(own)
            }
        };
        Some(Bolt { input: self.input, within: self.within, options, action: action? })
    }
}

impl StageKind for Bolt {
    fn answers(&self) -> Answers {
        let (mut outputs, mut needs) = (vec!["out".into(), "file".into()], Vec::new());
        let writes = match self.action {
            Action::Instrument { .. } => {
                // All instrumented copies; gather stages refer to it.
                outputs.push(SLOTS.into());
                needs.push(Need::BoltRuntime);
                Profiles::Bolt
            }
            Action::Optimize { .. } => Profiles::Compiler,
        };
        Answers { outputs, writes: Some(writes), needs, ..Answers::default() }
    }

    fn plan(&self, cx: &mut Context) -> Result<(), PlanError> {
        let input = cx.arg(&self.input)?;
        if let Some(Part::Symbol(_)) = input.parts.first() {
            return Err(
                cx.invalid("input", "the file lies where the stage writes; llvm-bolt must never write to its input")
            );
        }
        check_input(self, cx)?;
        let file = file_below(self, cx)?;
        let bolt = cx.tool("llvm-bolt");
        match &self.action {
            Action::Instrument { slots } => instrument(self, *slots, cx, &bolt, &input, &file),
            Action::Optimize { profile, strip_like } => {
                let optimized = optimize(self, profile, cx, &bolt, &input, &file)?;
                if let Some(like) = strip_like {
                    let like = cx.arg(like)?;
                    let objcopy = objcopy(&bolt, cx);
                    cx.step(Step::op("strip", StripLike { like, objcopy, target: optimized }));
                }
                let out = Arg::from(Symbol::Out);
                output(cx, "out", out.clone(), true);
                output(cx, "file", out.join(&file), true);
                Ok(())
            }
        }
    }

    fn check_advice(&self, stage: &Stage) -> Option<String> {
        Some(format!(
            "`optbuild bisect {}` finds out which function llvm-bolt has broken, if it has",
            stage.common.name
        ))
    }

    fn rewrites(&self) -> Option<&Text> {
        Some(&self.input).filter(|_| matches!(self.action, Action::Instrument { .. }))
    }

    fn describe(&self, stage: &Stage, build: &mut Instrumented, cx: &mut Context) -> Result<(), PlanError> {
        let Action::Instrument { slots } = self.action else {
            return Err(cx.not_instrumented(stage, "action = \"instrument\""));
        };
        build.format = Format::Fdata;
        let (Options::Own(options) | Options::More(options)) = &self.options;
        let options = options.iter().map(|text| cx.arg(text)).collect::<Result<Vec<Arg>, _>>()?;
        let slots = Slots {
            count: slots as usize,
            stage: stage.common.name.clone(),
            file: file_below(self, cx)?,
            watched: sleeps(&options),
        };
        build.take_slots(slots, cx)
    }
}

/// Of the counts in a BOLT profile, how many may be of functions that have other code.
const MAX_STALE: &str = "20%";

/// The option with which an instrumented process has another one write its profile, every so many seconds and not at its end. A static
/// program knows no other way.
const SLEEP: &str = "instrumentation-sleep-time";

/// The first llvm-bolt whose instrumented processes share their counters with the one that writes them where each has a file of its own.
const SHARED: u64 = 23;

/// The first llvm-bolt whose instrumented programs can write names of any length that compilers make (see `op check-bolt-input`).
const LONG_NAMES: u64 = 23;

fn sleeps(options: &[Arg]) -> bool {
    words::words(options).iter().any(|word| word.name == SLEEP && word.value != "0")
}

fn instrument(kind: &Bolt, slots: u32, cx: &mut Context, bolt: &Arg, input: &Arg, file: &str) -> Result<(), PlanError> {
    let mut options = options::instrument(&kind.options, cx, bolt)?;
    let (llvm, sleeps) = (options::llvm(cx, bolt), sleeps(&options));
    let own_files = !sleeps || llvm.is_some_and(|llvm| llvm >= SHARED);
    if !own_files {
        cx.note(format!(
            "with `-{SLEEP}` all instrumented processes of a workload write to one file: only one may run at a time, and the last \
             one counts. llvm-bolt {SHARED} gives each its own"
        ));
    }
    const KEEP: &str = "instrumentation-no-counters-clear";
    if sleeps && !words::is_on(&options, KEEP) {
        // Else each writing begins from nothing, and the last has the last seconds only.
        options.push(format!("-{KEEP}").into());
    }
    let source = Source::new(cx, bolt, input, file, &options);
    let out = Arg::from(Symbol::Out);
    // Which functions they are shows when the file is there.
    let leave_out = llvm.is_some_and(|llvm| llvm < LONG_NAMES).then(|| Arg::from(Symbol::Scratch).join("leave-out"));
    for slot in 0..slots {
        let rewrite = Rewrite::new(kind, cx, Some(slot), file)?;
        if slot == 0 {
            let leave_out = leave_out.clone();
            let check = CheckBoltInput { instrument: true, sleeps, leave_out, ..rewrite.check_input(input, llvm) };
            cx.step(Step::op("check-input", check));
            source.prepare(cx);
        }
        let profiles = Arg::from(Symbol::Build).join(&format!("profiles/slot-{slot}"));
        let profile = profiles.clone().join("prof");
        let mut argv = vec![bolt.clone(), source.read.clone(), "-instrument".into()];
        // Without a process's id the file has the name of one with an id that there is not.
        let written = if own_files { profile.clone() } else { profiles.clone().join("prof.0.fdata") };
        argv.push(Arg::from("--instrumentation-file=").with(written));
        if own_files {
            argv.push("--instrumentation-file-append-pid".into());
        }
        argv.extend(options.iter().cloned());
        // LLVM's programs read more options from such a file.
        argv.extend(leave_out.iter().map(|file| Arg::from("@").with(file.clone())));
        rewrite.steps(cx, argv, &source, &format!("-{slot}"));
        // The directory must be there when the instrumented file runs, and a step's working directory is made.
        let path = Command { cwd: profiles, ..cx.command(vec!["printf".into(), "%s\\n".into(), profile]) };
        let path = Command { stdout: Some(slot_path_file(&out, &slot.to_string().into())), ..path };
        cx.step(Step::command(format!("profile-path-{slot}"), path));
    }
    let first = out.clone().join("slot-0");
    output(cx, "out", first.clone(), false);
    output(cx, "file", first.join(file), false);
    output(cx, SLOTS, out, false);
    Ok(())
}

/// Returns what was optimised: the file, or the directory that it stands in.
fn optimize(
    kind: &Bolt,
    profile: &Text,
    cx: &mut Context,
    bolt: &Arg,
    input: &Arg,
    file: &str,
) -> Result<Arg, PlanError> {
    let profile = cx.arg(profile)?;
    let mut options = options::optimize(&kind.options, cx, bolt)?;
    if let Some(supplied) = cx.supplied(&profile) {
        options.extend(elsewhere(supplied, cx, bolt, input));
    }
    let source = Source::new(cx, bolt, input, file, &options);
    let rewrite = Rewrite::new(kind, cx, None, file)?;
    cx.step(Step::op("check-input", rewrite.check_input(input, options::llvm(cx, bolt))));
    let (profile_of, compiler) = (profile.clone(), "llvm-bolt".into());
    let check = CheckProfile { profile: profile_of, compiler, max_version: None, tool: None };
    cx.step(Step::op("check-profile", check));
    source.prepare(cx);
    let mut argv = vec![bolt.clone(), source.read.clone(), "-data".into(), profile];
    argv.extend(options);
    rewrite.steps(cx, argv, &source, "");
    cx.step(Step::op("statistics", BoltStatistics { logs: Symbol::Logs.into(), step: "bolt".into() }));
    let out = Arg::from(Symbol::Out);
    Ok(if kind.within.is_some() { out } else { out.join(file) })
}

/// A profile out of a bundle may be of another file. Either that is checked, or llvm-bolt is told to make the best of it.
fn elsewhere(supplied: &Supplied, cx: &mut Context, bolt: &Arg, input: &Arg) -> Option<Arg> {
    let Supplied { role, build_id, code, .. } = supplied;
    if supplied.allow_stale {
        if !supplied.matchable {
            cx.note(format!(
                "the BOLT profile with role `{role}` is not in the bundle in the form that llvm-bolt can match with other code: \
                 functions whose code differs get nothing of it"
            ));
        }
        return options::infer_stale_profile(cx, bolt);
    }
    let known = build_id.is_some() || code.is_some();
    if known {
        let (build_id, code) = (build_id.clone().map(Arg::from), code.clone().map(Arg::from));
        let check = CheckBoltProfile { role: role.as_str().into(), build_id, code, file: input.clone() };
        cx.plan.guards.push(Step::op("check-origin", check));
    } else {
        cx.note(format!(
            "the bundle does not say which file the BOLT profile with role `{role}` is of: what llvm-bolt says of it decides"
        ));
        let (logs, step) = (Symbol::Logs.into(), "bolt".into());
        let check = CheckBoltUse { logs, step, max_stale: MAX_STALE.into() };
        cx.plan.proofs.push(Step::op("check-origin", check));
    }
    None
}

const OBJCOPY: &str = "llvm-objcopy";

/// That of the pipeline, else the one that belongs to llvm-bolt: older ones, and GNU's, break what it wrote.
fn objcopy(bolt: &Arg, cx: &mut Context) -> Arg {
    own_objcopy(bolt, cx).unwrap_or_else(|| cx.tool(OBJCOPY))
}

fn own_objcopy(bolt: &Arg, cx: &mut Context) -> Option<Arg> {
    let path = cx.known_path(bolt).filter(|_| !cx.pipeline.tools.contains_key(OBJCOPY));
    let path = path.and_then(|bolt| crate::toolchain::llvm::beside(cx.facts, &bolt, OBJCOPY))?;
    Some(cx.tool_at(OBJCOPY, path))
}

fn output(cx: &mut Context, name: &str, path: Arg, portable: bool) {
    cx.plan.outputs.push(Output { name: name.into(), path, portable, show: false });
}

/// What llvm-bolt reads.
struct Source {
    /// The file that was declared.
    declared: Arg,
    /// The file itself; where debug sections are going to be updated, a place that has them as llvm-bolt can do that.
    read: Arg,
    /// None: there is none on this machine, which matters only if debug sections are compressed.
    objcopy: Option<Arg>,
}

impl Source {
    fn new(cx: &mut Context, bolt: &Arg, input: &Arg, file: &str, options: &[Arg]) -> Source {
        let declared = input.clone();
        if !words::is_on(options, "update-debug-sections") {
            return Source { read: declared.clone(), declared, objcopy: None };
        }
        // With `within`, the result has this name in the scratch directory.
        let read = Arg::from(Symbol::Scratch).join("input").join(file_name(file).as_str());
        let objcopy = own_objcopy(bolt, cx).or_else(|| cx.optional_tool(OBJCOPY));
        Source { declared, read, objcopy }
    }

    fn is_prepared(&self) -> bool {
        self.read != self.declared
    }

    fn prepare(&self, cx: &mut Context) {
        if self.is_prepared() {
            let (objcopy, output, file) = (self.objcopy.clone(), self.read.clone(), self.declared.clone());
            cx.step(Step::op("plain-debug", PlainDebug { objcopy, output, file }));
        }
    }
}

/// The last part of a path. What llvm-bolt writes needs a name of its own where only a pattern is known.
fn file_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).replace('*', "bolt")
}

/// One rewritten file, and the copy of the directory that it stands in.
struct Rewrite {
    /// Where llvm-bolt writes, and the directory of that.
    result: Arg,
    directory: Arg,
    shadow: Option<Shadow>,
    /// The key with llvm-bolt's options.
    key: &'static str,
}

impl Rewrite {
    /// With `within` the rewritten file goes to a scratch directory first and a copy of `within` to `out`, else straight there.
    fn new(kind: &Bolt, cx: &mut Context, slot: Option<u32>, file: &str) -> Result<Rewrite, PlanError> {
        let out = match slot {
            Some(slot) => Arg::from(Symbol::Out).join(&format!("slot-{slot}")),
            None => Symbol::Out.into(),
        };
        let key = kind.options.key();
        let Some(within) = &kind.within else {
            return Ok(Rewrite { result: out.clone().join(file), directory: out, shadow: None, key });
        };
        let within = cx.arg(within)?;
        let name = file_name(file);
        let name = name.as_str();
        let scratch = Arg::from(Symbol::Scratch);
        let directory = match slot {
            Some(slot) => scratch.join(&format!("slot-{slot}")),
            None => scratch,
        };
        let result = directory.clone().join(name);
        let shadow = Some(Shadow { from: within, to: out, replace: file.into(), with: result.clone() });
        Ok(Rewrite { result, directory, shadow, key })
    }

    fn check_input(&self, file: &Arg, llvm: Option<u64>) -> CheckBoltInput {
        let (output, llvm) = (Some(self.result.clone()), llvm.map(|major| major.to_string().into()));
        CheckBoltInput { output, llvm, instrument: false, sleeps: false, leave_out: None, file: file.clone() }
    }

    fn steps(&self, cx: &mut Context, mut argv: Vec<Arg>, source: &Source, suffix: &str) {
        argv.extend(["-o".into(), self.result.clone()]);
        // llvm-bolt does not make directories; a step's working directory is made.
        let name = format!("bolt{suffix}");
        let advice = BoltAdvice {
            logs: Symbol::Logs.into(),
            step: name.as_str().into(),
            stage: cx.stage.common.name.clone(),
            key: self.key.into(),
            file: source.declared.clone(),
        };
        let advice = Some(Advice::From(advice.into()));
        let command = Command { cwd: self.directory.clone(), advice, ..cx.command(argv) };
        cx.step(Step::command(name, command));
        let (input, file) = (source.declared.clone(), self.result.clone());
        if source.is_prepared() {
            let (like, objcopy, file) = (input.clone(), source.objcopy.clone(), file.clone());
            cx.step(Step::op(format!("compress-like{suffix}"), CompressLike { like, objcopy, file }));
        }
        cx.step(Step::op(format!("check-bolted{suffix}"), CheckBolted { input: Some(input), file }));
        if let Some(shadow) = &self.shadow {
            cx.step(Step::op(format!("shadow{suffix}"), shadow.clone()));
        }
    }
}

/// Where the rewritten file stands in the stage's `out`: its path in `within`, or its name alone. Its name can be a pattern (see
/// [`crate::fs::pattern`]) where the build tool puts a hash into it.
pub(super) fn file_below(kind: &Bolt, cx: &mut Context) -> Result<String, PlanError> {
    let input = place(cx, &kind.input)?;
    let Some(within) = &kind.within else {
        let name = input.1.rsplit('/').next().filter(|name| !name.is_empty());
        return name.map(|name| name.replace('*', "bolt")).ok_or_else(|| {
            cx.invalid("input", format!("the file name of `{}` is not known; write the path of the file", kind.input))
        });
    };
    let within_place = place(cx, within)?;
    let below = (input.0 == within_place.0).then(|| input.1.strip_prefix(&within_place.1)).flatten();
    let below = below.and_then(|below| below.strip_prefix('/')).filter(|below| !below.is_empty());
    below.map(String::from).ok_or_else(|| {
        let message = format!(
            "`{}` does not lie in `within`, `{within}`, as far as it is known when the plan is made",
            kind.input
        );
        cx.invalid("input", message)
    })
}

/// What a path begins with, and what stands behind it: the stage in whose `out` it lies and the path there, as far as the
/// producer's declaration says.
fn place(cx: &mut Context, text: &Text) -> Result<(Vec<Part>, String), PlanError> {
    let mut arg = cx.arg(text)?.joined();
    let behind = match arg.parts.last() {
        Some(Part::Literal(below)) if below.starts_with('/') => {
            let below = below.trim_end_matches('/').to_string();
            arg.parts.pop();
            below
        }
        _ => String::new(),
    };
    if let [Part::Place { path, .. }] = arg.parts.as_slice() {
        return Ok((Vec::new(), format!("{path}{behind}")));
    }
    if let [Part::Late(Late::Path(output))] = arg.parts.as_slice()
        && let Some(kind) = cx.pipeline.stage(&output.stage).and_then(kind_of)
        && let Some(below) = kind.below_out(&output.output, cx)
    {
        let root = Part::Late(Late::Path(OutputRef { stage: output.stage.clone(), output: "out".into() }));
        return Ok((vec![root], format!("/{below}{behind}")));
    }
    Ok((arg.parts, behind))
}

/// Flags with which a linker keeps relocations, however they are handed to it.
const KEEPS: [&str; 3] = ["emit-relocs", "-Wl,-q", "-Wl,--q"];

/// Systems whose files are ELF.
const ELF: [&str; 2] = ["linux", "freebsd"];

/// What BOLT cannot work on, as far as the declaration of the build says it: told before the build, not by a linker after it.
fn check_input(kind: &Bolt, cx: &Context) -> Result<(), PlanError> {
    let Some(stage) = cx.producer(&kind.input)? else { return Ok(()) };
    // BOLT's own output, and what any other program made, shows what it is when it is there.
    let Some(Relocations { kept, target }) = kind_of(stage).and_then(StageKind::relocations) else { return Ok(()) };
    // Flags of the stage's environment may be anything.
    let by_env = stage.common.env.values().any(keeps_relocations);
    let name = &stage.common.name;
    if !kept && !by_env && stage.common.pass_env.is_empty() {
        let message = format!(
            "comes from stage `{name}`, which links without relocations, and without them BOLT cannot move functions; give that \
             stage `keep-relocations = true`"
        );
        return Err(cx.invalid("input", message));
    }
    let host = cx.facts.host();
    let target = target.and_then(Text::as_literal).map_or(host, |target| target.into_owned());
    if !ELF.iter().any(|system| target.contains(system)) {
        let message = format!("comes from stage `{name}`, which builds for {target}; BOLT rewrites ELF files only");
        return Err(cx.invalid("input", message));
    }
    if !target.starts_with("x86_64") && !target.starts_with("aarch64") && !target.starts_with("riscv64") {
        let message =
            format!("comes from stage `{name}`, which builds for {target}, a processor that BOLT does not know");
        return Err(cx.invalid("input", message));
    }
    Ok(())
}

/// The first LLVM whose llvm-bolt does justice to packed relative relocations (see `op check-bolt-input`).
const PACKED_WELL: u64 = 23;

/// The flag with which a linker packs no relative relocations, where the llvm-bolt at hand cannot work with them. Distributions, and LLVM
/// since July 2026, have them packed. A linker of before that knows neither flag takes this one with a warning.
pub(super) fn unpacked(cx: &Context) -> Option<&'static str> {
    let path = cx.find_tool("llvm-bolt").ok()?;
    let llvm = version::of(cx.facts, "llvm-bolt", &path)?.major;
    (llvm < PACKED_WELL).then_some("-Wl,-z,nopack-relative-relocs")
}

/// Whether a flag makes a linker keep relocations.
pub(super) fn keeps_relocations(text: &Text) -> bool {
    let text = text.to_string();
    KEEPS.iter().any(|flag| text.contains(flag))
}
