//! What a gather stage learns of the build that it runs: which profiles that writes, where to, and who merges them.

use camino::Utf8PathBuf;

use crate::pipeline::kind::bolt;
use crate::pipeline::kind::gather::Method;
use crate::pipeline::kind::{Cargo, Cmake, Gather, Pgo};
use crate::pipeline::{CommandLine, Kind, OutputRef, Stage, Text};
use crate::plan::{Arg, Command, Gap, Late, Part, Symbol};
use crate::profile::Format;
use crate::stage::bolt::{SLOTS, slot_path_file};
use crate::stage::{Context, PlanError};
use crate::toolchain;

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
    stage: String,
    /// Where the instrumented file stands in a copy.
    file: String,
}

impl<'a> Instrumented<'a> {
    pub(super) fn find(kind: &Gather, cx: &mut Context<'a>) -> Result<Instrumented<'a>, PlanError> {
        let path = cx.arg(&kind.instrumented)?;
        let producer = cx.producer(&kind.instrumented)?;
        let mut build = Instrumented { format: Format::Profdata, path, slots: None, first_level: None, producer };
        if kind.method == Method::Sampling {
            build.format = Format::Fdata;
            return Ok(build);
        }
        let Some(stage) = producer else { return Ok(build) };
        let plain = |key: &str| {
            let name = &stage.common.name;
            cx.invalid("instrumented", format!("stage `{name}` is not instrumented: its `{key}` is missing"))
        };
        match &stage.kind {
            Kind::Cmake(Cmake { cs_pgo: Some(Pgo::Generate), pgo, .. }) => {
                let Some(profile) = pgo.as_ref().and_then(Pgo::profile) else {
                    return Err(cx.invalid(
                        "instrumented",
                        format!("`cs-pgo` of stage `{}` needs `pgo = {{ use = … }}`", stage.common.name),
                    ));
                };
                build.first_level = Some(cx.arg(profile)?);
            }
            Kind::Cmake(Cmake { pgo: Some(Pgo::Generate), .. })
            | Kind::Cargo(Cargo { pgo: Some(Pgo::Generate), .. }) => {}
            Kind::Bootstrap(bootstrap) if bootstrap.pgo.generates().is_some() => {
                // A toolchain has hundreds of files; one of them says it.
                // On Windows LLVM is part of rustc's library.
                let llvm = if cx.facts.host().contains("windows") { "driver" } else { "libllvm" };
                let outputs = [(&bootstrap.pgo.llvm, llvm), (&bootstrap.pgo.rustc, "driver")];
                if let Some((_, output)) = outputs.iter().find(|(pgo, _)| **pgo == Some(Pgo::Generate)) {
                    let output = OutputRef { stage: stage.common.name.clone(), output: (*output).into() };
                    build.path = Arg::part(Part::Late(Late::Path(output)));
                }
            }
            Kind::Cmake(_) | Kind::Cargo(_) | Kind::Bootstrap(_) => return Err(plain("pgo = \"generate\"")),
            Kind::Bolt(bolt) if bolt.action == bolt::Action::Instrument => {
                alone(stage, cx)?;
                build.format = Format::Fdata;
                let file = crate::stage::bolt::file_below(bolt, cx)?;
                let count = bolt.slots.unwrap_or(1).max(1) as usize;
                let slots = Slots { count, stage: stage.common.name.clone(), file };
                build.path = slots.arg(&"0".into()).join(&slots.file);
                build.slots = Some(slots);
            }
            Kind::Bolt(_) => return Err(plain("action = \"instrument\"")),
            Kind::Command(_) | Kind::Verify(_) | Kind::Gather(_) | Kind::RustcPerf(_) | Kind::Compare(_) => {}
        }
        Ok(build)
    }

    /// What the declaration says of a build of LLVM's instrumentation that is not there.
    pub(super) fn declared(kind: &Gather, cx: &Context<'a>) -> Instrumented<'a> {
        let first = crate::pipeline::kind::leading_output(&kind.instrumented).and_then(<[OutputRef]>::first);
        let producer = first.and_then(|output| cx.pipeline.stage(&output.stage));
        Instrumented { format: Format::Profdata, path: Arg::default(), slots: None, first_level: None, producer }
    }

    /// llvm-profdata, which must read what the instrumented program writes and write what its compiler reads, or merge-fdata.
    pub(super) fn merge_tool(&self, kind: &Gather, cx: &mut Context) -> Result<Arg, PlanError> {
        if self.format == Format::Fdata {
            return Ok(cx.tool("merge-fdata"));
        }
        if let Some(text) = &kind.profdata {
            return tool_or_path(text, cx);
        }
        let found = match self.producer.map(|stage| &stage.kind) {
            Some(Kind::Cmake(cmake)) => {
                compiler(cmake, cx).and_then(|clang| toolchain::llvm::profdata_for_clang(cx.facts, &clang))
            }
            Some(Kind::Cargo(cargo)) => {
                let manifest = cargo.manifest.as_ref().map(|text| cx.arg(text)).transpose()?;
                let dir = manifest.and_then(|arg| cx.known_path(&arg)?.parent().map(ToOwned::to_owned));
                toolchain::rust::find(cx.facts, cx.pipeline, dir.as_deref())
                    .and_then(|rust| toolchain::llvm::profdata_for_rustc(cx.facts, &rust))
            }
            Some(Kind::Bootstrap(bootstrap)) => {
                let name = self.producer.map(|stage| stage.common.name.clone()).unwrap_or_default();
                return crate::stage::bootstrap::merge_tool(bootstrap, &name, cx);
            }
            _ => return Ok(cx.tool("llvm-profdata")),
        };
        Ok(match found {
            Ok(tool) => cx.tool_at("llvm-profdata", tool.path),
            Err(gap) => {
                cx.gap(gap.what, gap.remedy);
                "llvm-profdata".into()
            }
        })
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
        let word = |index: usize| line.words.get(index).and_then(Text::as_literal);
        let (Some(program), Some(subcommand)) = (word(0), word(1)) else { return Ok(None) };
        if line.shell || program != "cargo" || !matches!(&*subcommand, "bench" | "test") {
            return Ok(None);
        }
        let Some(stage) = self.producer else { return Ok(None) };
        let Kind::Cargo(cargo) = &stage.kind else {
            return Err(cx.invalid(
                key,
                format!(
                    "`cargo {subcommand}` runs programs that it builds itself, not the one that stage `{}` made; name commands \
                     that run that one",
                    stage.common.name
                ),
            ));
        };
        let mut command = crate::stage::cargo::harness(cargo, stage, line, cx)?;
        for (name, text) in &line.env {
            let value = cx.arg(text)?;
            command.env.insert(name.clone(), value);
        }
        Ok(Some(command))
    }
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

/// The path of a slot is compiled in, so two gather stages on one instrumented build would take each other's profiles.
fn alone(instrument: &Stage, cx: &Context) -> Result<(), PlanError> {
    let me = &cx.stage.common.name;
    for other in cx
        .pipeline
        .stages
        .iter()
        .filter(|other| other.common.when && other.supplied.is_none() && other.common.name != *me)
    {
        let Kind::Gather(gather) = &other.kind else { continue };
        if cx
            .producer(&gather.instrumented)
            .is_ok_and(|stage| stage.is_some_and(|s| s.common.name == instrument.common.name))
        {
            return Err(cx.invalid(
                "instrumented",
                format!(
                    "stage `{}` gathers on `{}` too, and both would write to the directory that is compiled into it; put \
                     their workloads into one stage, or give each an instrument stage of its own",
                    other.common.name, instrument.common.name
                ),
            ));
        }
    }
    Ok(())
}

/// The clang of a cmake stage.
fn compiler(cmake: &Cmake, cx: &mut Context) -> Result<Utf8PathBuf, Gap> {
    let Some(text) = &cmake.compiler else { return cx.find_tool("clang") };
    match text.as_literal() {
        Some(name) if !name.contains('/') => cx.find_tool(&name),
        _ => {
            let path = cx.arg(text).ok().and_then(|arg| cx.known_path(&arg));
            path.ok_or_else(|| Gap {
                what: format!(
                    "the llvm-profdata that belongs to the compiler `{text}` is not known before it is built"
                ),
                remedy: "name it with `profdata` in the gather stage".into(),
            })
        }
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
