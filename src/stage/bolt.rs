//! `kind = "bolt"`: llvm-bolt on a linked file, alone or in a copy of the directory that it belongs to.
//!
//! An instrumented file has the path of its profiles compiled in, so `instrument` makes as many copies as workloads run at
//! once. Output `slots` holds them: `slot-0`, `slot-1`, …, each with a text file `slot-0.path` beside it that says where its
//! profiles go. That is a directory in `${self.build}`, because outputs do not change any more when the stage is done. `out`
//! and `file` are those of slot 0; gather stages replace them by those of the workload's slot.

mod limits;
mod options;

use super::{Context, PlanError};
use crate::pipeline::kind::{Bolt, bolt::Action};
use crate::pipeline::{Kind, OutputRef, Supplied, Text};
use crate::plan::ops::{
    BoltStatistics, CheckBoltInput, CheckBoltProfile, CheckBoltUse, CheckBolted, CheckProfile, Shadow, StripLike,
};
use crate::plan::{Arg, Command, Late, Output, Part, Step, Symbol};

/// The output with all instrumented copies.
pub(super) const SLOTS: &str = "slots";

/// Of the counts in a BOLT profile, how many may be of functions that have other code.
const MAX_STALE: &str = "20%";

/// The text file, beside a slot's directory, that says which profile path is compiled into it.
pub(super) fn slot_path_file(slots: &Arg, slot: &Arg) -> Arg {
    slots.clone().with("/slot-").with(slot.clone()).with(".path")
}

pub(super) fn plan(kind: &Bolt, cx: &mut Context) -> Result<(), PlanError> {
    let input = cx.arg(&kind.input)?;
    if let Some(Part::Symbol(_)) = input.parts.first() {
        return Err(
            cx.invalid("input", "the file lies where the stage writes; llvm-bolt must never write to its input")
        );
    }
    limits::check(kind, cx)?;
    let file = file_below(kind, cx)?;
    let bolt = cx.tool("llvm-bolt");
    match kind.action {
        Action::Instrument => instrument(kind, cx, &bolt, &input, &file),
        Action::Optimize => optimize(kind, cx, &bolt, &input, &file),
    }
}

fn instrument(kind: &Bolt, cx: &mut Context, bolt: &Arg, input: &Arg, file: &str) -> Result<(), PlanError> {
    if kind.profile.is_some() {
        return Err(cx.invalid("profile", "only `action = \"optimize\"` takes a profile"));
    }
    let options = options::instrument(kind, cx)?;
    let out = Arg::from(Symbol::Out);
    for slot in 0..kind.slots.unwrap_or(1).max(1) {
        let rewrite = Rewrite::new(kind, cx, Some(slot), file)?;
        if slot == 0 {
            cx.step(rewrite.check_input(input));
        }
        let profiles = Arg::from(Symbol::Build).join(&format!("profiles/slot-{slot}"));
        let profile = profiles.clone().join("prof");
        let mut argv = vec![bolt.clone(), input.clone(), "-instrument".into()];
        argv.push(Arg::from("--instrumentation-file=").with(profile.clone()));
        argv.push("--instrumentation-file-append-pid".into());
        argv.extend(options.iter().cloned());
        rewrite.steps(cx, argv, &format!("-{slot}"));
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

fn optimize(kind: &Bolt, cx: &mut Context, bolt: &Arg, input: &Arg, file: &str) -> Result<(), PlanError> {
    let Some(profile) = &kind.profile else {
        return Err(cx.invalid("profile", "`action = \"optimize\"` needs one, usually `\"${gather.profile}\"`"));
    };
    if kind.slots.is_some() {
        return Err(cx.invalid("slots", "only `action = \"instrument\"` makes several copies"));
    }
    let profile = cx.arg(profile)?;
    let mut options = options::optimize(kind, cx, bolt)?;
    if let Some(supplied) = cx.supplied(&profile) {
        options.extend(elsewhere(supplied, cx, bolt, input));
    }
    let out = Arg::from(Symbol::Out);
    let rewrite = Rewrite::new(kind, cx, None, file)?;
    cx.step(rewrite.check_input(input));
    let (profile_of, compiler) = (profile.clone(), "llvm-bolt".into());
    let check = CheckProfile { profile: profile_of, compiler, max_version: None, tool: None };
    cx.step(Step::op("check-profile", check));
    let mut argv = vec![bolt.clone(), input.clone(), "-data".into(), profile];
    argv.extend(options);
    rewrite.steps(cx, argv, "");
    cx.step(Step::op("statistics", BoltStatistics { logs: Symbol::Logs.into(), step: "bolt".into() }));
    if let Some(like) = &kind.strip_like {
        let like = cx.arg(like)?;
        let objcopy = objcopy(bolt, cx);
        let target = if kind.within.is_some() { out.clone() } else { out.clone().join(file) };
        cx.step(Step::op("strip", StripLike { like, objcopy, target }));
    }
    output(cx, "out", out.clone(), true);
    output(cx, "file", out.join(file), true);
    Ok(())
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

/// That of the pipeline, else the one that belongs to llvm-bolt: older ones, and GNU's, break what it wrote.
fn objcopy(bolt: &Arg, cx: &mut Context) -> Arg {
    const NAME: &str = "llvm-objcopy";
    let path = cx.known_path(bolt).filter(|_| !cx.pipeline.tools.contains_key(NAME));
    match path.and_then(|bolt| crate::toolchain::llvm::beside(cx.facts, &bolt, NAME)) {
        Some(path) => cx.tool_at(NAME, path),
        None => cx.tool(NAME),
    }
}

fn output(cx: &mut Context, name: &str, path: Arg, portable: bool) {
    cx.plan.outputs.push(Output { name: name.into(), path, portable, show: false });
}

/// One rewritten file, and the copy of the directory that it stands in.
struct Rewrite {
    /// Where llvm-bolt writes, and the directory of that.
    result: Arg,
    directory: Arg,
    shadow: Option<Shadow>,
}

impl Rewrite {
    /// With `within` the rewritten file goes to a scratch directory first and a copy of `within` to `out`, else straight there.
    fn new(kind: &Bolt, cx: &mut Context, slot: Option<u32>, file: &str) -> Result<Rewrite, PlanError> {
        let out = match slot {
            Some(slot) => Arg::from(Symbol::Out).join(&format!("slot-{slot}")),
            None => Symbol::Out.into(),
        };
        let Some(within) = &kind.within else {
            return Ok(Rewrite { result: out.clone().join(file), directory: out, shadow: None });
        };
        let within = cx.arg(within)?;
        // What llvm-bolt writes needs a name of its own where only a pattern is known.
        let name = file.rsplit('/').next().unwrap_or(file).replace('*', "bolt");
        let name = name.as_str();
        let scratch = Arg::from(Symbol::Scratch);
        let directory = match slot {
            Some(slot) => scratch.join(&format!("slot-{slot}")),
            None => scratch,
        };
        let result = directory.clone().join(name);
        let shadow = Some(Shadow { from: within, to: out, replace: file.into(), with: result.clone() });
        Ok(Rewrite { result, directory, shadow })
    }

    fn check_input(&self, file: &Arg) -> Step {
        Step::op("check-input", CheckBoltInput { output: Some(self.result.clone()), file: file.clone() })
    }

    fn steps(&self, cx: &mut Context, mut argv: Vec<Arg>, suffix: &str) {
        argv.extend(["-o".into(), self.result.clone()]);
        // llvm-bolt does not make directories; a step's working directory is made.
        let command = Command { cwd: self.directory.clone(), ..cx.command(argv) };
        cx.step(Step::command(format!("bolt{suffix}"), command));
        cx.step(Step::op(format!("check-bolted{suffix}"), CheckBolted { file: self.result.clone() }));
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
        && let Some(below) = below_out(cx, output)
    {
        let root = Part::Late(Late::Path(OutputRef { stage: output.stage.clone(), output: "out".into() }));
        return Ok((vec![root], format!("/{below}{behind}")));
    }
    Ok((arg.parts, behind))
}

/// Where a named output of a stage stands in its `out`.
fn below_out(cx: &mut Context, output: &OutputRef) -> Option<String> {
    let stage = cx.pipeline.stage(&output.stage)?;
    let declared = match &stage.kind {
        Kind::Cmake(cmake) => cmake.outputs.get(&output.output)?,
        Kind::Command(command) => command.outputs.get(&output.output)?,
        Kind::Bootstrap(bootstrap) => return super::bootstrap::below_out(bootstrap, &output.output, cx),
        Kind::Cargo(_) if output.output != "out" => return Some(format!("bin/{}", output.output)),
        _ => return None,
    };
    super::command::below_own_directory(declared)
}
