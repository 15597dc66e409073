//! What a gather stage learns of the build that it runs: which profiles that writes, where to, and what merges them.
//!
//! Without instrumentation, profiles for BOLT come from `perf record`, which takes branch records, and perf2bolt.

use camino::Utf8Path;

use super::{Gather, Method, RAW};
use crate::facts::Facts;
use crate::pipeline::{CommandLine, OutputRef, Stage, Text, leading_output};
use crate::plan::{Arg, Command, Gap, Late, Part, Step, Symbol};
use crate::profile::Format;
use crate::stage::{Context, PlanError, Profdata, kind_of};

/// The output with all instrumented copies.
pub const SLOTS: &str = "slots";

/// The text file, beside a slot's directory, that says which profile path is compiled into it.
pub fn slot_path_file(slots: &Arg, slot: &Arg) -> Arg {
    slots.clone().with("/slot-").with(slot.clone()).with(".path")
}

/// The instrumented build.
pub struct Instrumented<'a> {
    pub format: Format,
    /// A file or directory that is instrumented, or is sampled.
    pub path: Arg,
    /// For BOLT: its copies.
    pub slots: Option<Slots>,
    /// For context-sensitive profiles: the first-level profile, which they are merged with.
    pub first_level: Option<Arg>,
    producer: Option<&'a Stage>,
}

/// The copies of a BOLT-instrumented build, one per workload that runs at once.
pub struct Slots {
    pub count: usize,
    pub stage: String,
    /// Where the instrumented file stands in a copy.
    pub file: String,
    /// Another process writes the profile, and does so for the last time when the instrumented one has ended.
    pub watched: bool,
}

impl<'a> Instrumented<'a> {
    pub(super) fn find(kind: &Gather, cx: &mut Context<'a>) -> Result<Instrumented<'a>, PlanError> {
        let path = cx.arg(&kind.keys.instrumented)?;
        let producer = cx.producer(&kind.keys.instrumented)?;
        let mut build = Instrumented { format: Format::Profdata, path, slots: None, first_level: None, producer };
        if kind.keys.method == Method::Sampling {
            build.format = Format::Fdata;
            return Ok(build);
        }
        if let Some((stage, kind)) = producer.and_then(|stage| Some((stage, kind_of(stage)?))) {
            kind.describe(stage, &mut build, cx)?;
        }
        Ok(build)
    }

    /// The build has copies, one of which a workload runs.
    ///
    /// # Errors
    /// Another stage gathers on them: a copy's path is compiled in, so the two would take each other's profiles.
    pub fn take_slots(&mut self, slots: Slots, cx: &Context) -> Result<(), PlanError> {
        let me = &cx.stage.common.name;
        let gathers = |stage: &&Stage| {
            let gathers = stage.kind.answers.gathers.as_ref();
            let on = stage.common.when && stage.supplied.is_none() && stage.common.name != *me;
            let build = gathers.filter(|_| on).and_then(|gathers| cx.producer(&gathers.instrumented).ok().flatten());
            build.is_some_and(|build| build.common.name == slots.stage)
        };
        if let Some(other) = cx.pipeline.stages.iter().find(gathers) {
            let message = format!(
                "stage `{}` gathers on `{}` too, and both would write to the directory that is compiled into it; put their \
                 workloads into one stage, or give each an instrument stage of its own",
                other.common.name, slots.stage
            );
            return Err(cx.invalid("instrumented", message));
        }
        self.path = slots.arg(&"0".into()).join(&slots.file);
        self.slots = Some(slots);
        Ok(())
    }

    /// What the declaration says of a build of LLVM's instrumentation that is not there.
    pub(super) fn declared(kind: &Gather, cx: &Context<'a>) -> Instrumented<'a> {
        let first = leading_output(&kind.keys.instrumented).and_then(<[OutputRef]>::first);
        let producer = first.and_then(|output| cx.pipeline.stage(&output.stage));
        Instrumented { format: Format::Profdata, path: Arg::default(), slots: None, first_level: None, producer }
    }

    /// llvm-profdata, which must read what the instrumented program writes and write what its compiler reads, or merge-fdata. With the
    /// build, if that has to tell when it is there: another build system knows the compiler.
    pub(super) fn merge_tool(&self, kind: &Gather, cx: &mut Context<'a>) -> Result<(Arg, Option<Arg>), PlanError> {
        if self.format == Format::Fdata {
            return Ok((cx.tool("merge-fdata"), None));
        }
        if let Some(text) = &kind.keys.profdata {
            return Ok((tool_or_path(text, cx)?, None));
        }
        let mut likely = None;
        for stage in self.producer.into_iter().chain(readers(cx)) {
            let before = Marks::of(cx);
            let Some(kind) = kind_of(stage) else { continue };
            let found = match kind.merge_tool(stage, cx) {
                // What cannot be planned of another stage is said where that is planned.
                Err(_) if !self.is_by(stage) => None,
                found => found?,
            };
            match found {
                Some(Profdata::Sure(tool)) if self.is_by(stage) || is_found(&tool) => return Ok((tool, None)),
                Some(Profdata::Likely(tool)) if likely.is_none() && is_found(&tool) => likely = Some(tool),
                _ => {}
            }
            // What others lack, this stage does not need.
            before.restore(cx);
        }
        let declared = cx.pipeline.tools.contains_key("llvm-profdata");
        let tool = match likely.filter(|_| !declared).as_ref().and_then(|tool| cx.known_path(tool)) {
            Some(path) => cx.tool_at("llvm-profdata", path),
            None => cx.tool("llvm-profdata"),
        };
        Ok((tool, (!declared).then(|| self.path.clone())))
    }

    fn is_by(&self, stage: &Stage) -> bool {
        self.producer.is_some_and(|producer| producer.common.name == stage.common.name)
    }
}

/// The stages that use what this one makes.
fn readers<'a>(cx: &Context<'a>) -> Vec<&'a Stage> {
    let own = &cx.stage.common.name;
    let reads = |stage: &&Stage| stage.common.when && stage.dependencies.iter().flatten().any(|name| name == own);
    cx.pipeline.stages.iter().filter(reads).collect()
}

fn is_found(tool: &Arg) -> bool {
    matches!(tool.parts.as_slice(), [Part::Tool { .. }])
}

/// How much there is in a plan, so that what is only looked at leaves nothing in it.
pub(super) struct Marks([usize; 4]);

impl Marks {
    pub fn of(cx: &Context) -> Marks {
        let plan = &cx.plan;
        Marks([plan.gaps.len(), plan.tools.len(), plan.notes.len(), plan.sources.len()])
    }

    pub fn restore(self, cx: &mut Context) {
        let (plan, Marks([gaps, tools, notes, sources])) = (&mut cx.plan, self);
        plan.gaps.truncate(gaps);
        plan.tools.truncate(tools);
        plan.notes.truncate(notes);
        plan.sources.truncate(sources);
    }
}

impl Instrumented<'_> {
    /// `cargo bench` and `cargo test` run programs of their own, which have to be built as the instrumented program is. None: it
    /// is another command.
    pub(super) fn harness(
        &self,
        line: &CommandLine,
        key: &str,
        cx: &mut Context,
    ) -> Result<Option<Command>, PlanError> {
        let Some(subcommand) = harness_of(line) else { return Ok(None) };
        let Some(stage) = self.producer else { return Ok(None) };
        let command = kind_of(stage).map(|kind| kind.harness(stage, line, cx)).transpose()?.flatten();
        let Some(mut command) = command else {
            return Err(cx.invalid(
                key,
                format!(
                    "`cargo {subcommand}` runs programs that it builds itself, not the one that stage `{}` made; name commands \
                     that run that one",
                    stage.common.name
                ),
            ));
        };
        for (name, text) in &line.env {
            let value = cx.arg(text)?;
            command.env.insert(name.clone(), value);
        }
        Ok(Some(command))
    }
}

/// The subcommand, if a line runs `cargo bench` or `cargo test`, which run programs that they build.
pub(super) fn harness_of(line: &CommandLine) -> Option<String> {
    let word = |index: usize| line.words.get(index).and_then(Text::as_literal);
    let subcommand = word(1).filter(|word| matches!(&**word, "bench" | "test"))?;
    (!line.shell && word(0)? == "cargo").then(|| subcommand.into_owned())
}

impl Slots {
    /// The directory of a copy.
    fn arg(&self, slot: &Arg) -> Arg {
        self.all().with("/slot-").with(slot.clone())
    }

    /// The directory of all copies.
    pub(super) fn all(&self) -> Arg {
        Arg::part(Part::Late(Late::Path(OutputRef { stage: self.stage.clone(), output: SLOTS.into() })))
    }

    /// The text file with the path that is compiled into the copy of the workload's slot.
    pub(super) fn path_file(&self) -> Arg {
        slot_path_file(&self.all(), &Symbol::Slot.into())
    }

    /// Makes a command use the copy of its slot: what the declaration calls `${stage.out}` and `${stage.file}`.
    pub(super) fn rewrite(&self, command: &mut Command) {
        let args = command.argv.iter_mut().chain(command.env.values_mut()).chain([&mut command.cwd]);
        for arg in args.chain(&mut command.stdout) {
            let mut rewritten = Arg::default();
            for part in std::mem::take(&mut arg.parts) {
                match &part {
                    Part::Late(Late::Path(output)) if output.stage == self.stage && output.output != SLOTS => {
                        let copy = self.arg(&Symbol::Slot.into());
                        let place = if output.output == "file" { copy.join(&self.file) } else { copy };
                        rewritten.parts.extend(place.parts);
                    }
                    _ => rewritten.parts.push(part),
                }
            }
            *arg = rewritten.joined();
        }
    }
}

impl Context<'_> {
    /// That a stage makes no instrumented build, as a key of it is not set.
    pub fn not_instrumented(&self, stage: &Stage, key: &str) -> PlanError {
        let name = &stage.common.name;
        self.invalid("instrumented", format!("stage `{name}` is not instrumented: its `{key}` is missing"))
    }
}

fn tool_or_path(text: &Text, cx: &mut Context) -> Result<Arg, PlanError> {
    match text.as_literal() {
        Some(name) if !name.contains('/') => Ok(cx.tool(&name)),
        _ => {
            let arg = cx.arg(text)?;
            Ok(match cx.known_path(&arg) {
                Some(path) => cx.tool_at("llvm-profdata", path),
                None => arg,
            })
        }
    }
}

/// Where `perf` writes the branch records of an attempt.
const RECORD: &str = "perf.data";

/// Where Linux says that a processor's counters come with branch records: one core type, performance cores, Arm.
const CAPABILITIES: [&str; 3] = [
    "/sys/bus/event_source/devices/cpu/caps/branches",
    "/sys/bus/event_source/devices/cpu_core/caps/branches",
    "/sys/bus/event_source/devices/armv8_pmuv3_0/caps/branches",
];

/// Whether `perf record -j any,u` can work on this machine; if not, why.
pub fn branch_records(facts: &Facts) -> Option<Gap> {
    if CAPABILITIES.iter().any(|path| facts.exists(Utf8Path::new(path))) {
        return None;
    }
    Some(Gap {
        what: "this machine has no branch records (LBR) that perf can read".into(),
        remedy: "virtual machines rarely have them; gather with `method = \"instrumentation\"` on the output of a bolt stage \
                 with `action = \"instrument\"`"
            .into(),
    })
}

/// Puts perf in front of a workload's command.
pub(super) fn record(command: &mut Command, cx: &mut Context) {
    if let Some(gap) = branch_records(cx.facts) {
        cx.gap(gap.what, gap.remedy);
    }
    let perf = cx.tool("perf");
    let flags = ["record", "-e", "cycles:u", "-j", "any,u", "-o"].map(Arg::from);
    let mut argv = vec![perf];
    argv.extend(flags);
    argv.extend([Arg::from(Symbol::Attempt).join(RECORD), "--".into()]);
    argv.append(&mut command.argv);
    command.argv = argv;
}

/// Makes a BOLT profile of the records of an attempt.
pub(super) fn convert(sampled: &Arg, cx: &mut Context) -> Step {
    let raw = Arg::from(Symbol::Attempt).join(RAW);
    let argv = vec![
        cx.tool("perf2bolt"),
        "-p".into(),
        Arg::from(Symbol::Attempt).join(RECORD),
        "-o".into(),
        raw.clone().join("perf.fdata"),
        sampled.clone(),
    ];
    // perf2bolt does not make the directory that it writes to; a step's working directory is made.
    Step::command("perf2bolt", Command { cwd: raw, ..cx.command(argv) })
}
