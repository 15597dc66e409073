//! Workloads of rustc-perf: one call of its collector per crate, so that gathering resumes at the crate and profiles are counted
//! per crate. libcore, at levels of optimisation, is compiled without the collector.
//!
//! The collector runs cargo with the instrumented compiler, as often as there are profiles and scenarios; `eprintln` is its
//! profiler that measures nothing. Unaware of what the compiler writes.

use camino::{Utf8Path, Utf8PathBuf};

use super::{Gather, Job, Work};
use crate::facts::Facts;
use crate::pipeline::{Stage, Text};
use crate::plan::{Arg, Command, Step, Symbol};
use crate::stage::rustc_perf::{self, CrateList, RustcPerf, Training};
use crate::stage::{Context, PlanError, kind_as, kind_of};
use crate::toolchain;
use crate::toolchain::rustc_perf::{Crates, NO_WORKSPACE_ABOVE};

/// In an attempt: where the collector runs.
const CWD: &str = "cwd";

/// In an attempt: where the collector puts the crates that it compiles.
fn tmp() -> Arg {
    Arg::from(Symbol::Attempt).join("tmp").join(NO_WORKSPACE_ABOVE)
}

/// What the collector's source says about its options.
struct Options {
    /// `--exact-match NAME`
    exact: bool,
    /// `--profiles` and `--scenarios`; before March 2022 `--builds` and `--runs`.
    profiles: bool,
    /// `--id NAME`; once it was the second argument.
    id: bool,
    categories: bool,
    cargo_config: bool,
    /// `--frontend-threads NUMBER`, since July 2026. Without it, some crates are compiled once more for each number of threads.
    frontend_threads: bool,
}

/// All workloads that one declaration stands for, and what is to be done before each.
pub(super) struct Expanded {
    pub commands: Vec<(String, Command)>,
    pub collector: Arg,
    /// In every attempt, before and after.
    pub prepare: Step,
    pub finish: Step,
}

pub(super) fn expand(
    declared: &Job,
    training: &Training,
    gather: &Gather,
    cx: &mut Context,
) -> Result<Expanded, PlanError> {
    let key = format!("workloads.{}", declared.name);
    let Some(kind) = cx.producer(&training.collector)?.and_then(kind_as::<RustcPerf>) else {
        let message = "`collector` is the output `out` of a stage with `kind = \"rustc-perf\"`";
        return Err(cx.invalid(&key, message));
    };
    rustc_perf::needs_linker(cx);
    let from = cx.arg(&training.collector)?;
    let (_, source) = rustc_perf::source(kind, cx)?;
    let known = source.as_deref().map(|source| Crates::of(cx.facts, source)).unwrap_or_default();
    let options = options(cx, source.as_deref());
    check_programs(training, gather, source.as_deref(), &key, cx)?;
    let names = names(training, kind, &known, &key, cx)?;

    let rustc = match &training.rustc {
        Some(text) => cx.program(text)?,
        None => {
            let exe = if cx.facts.host().contains("windows") { ".exe" } else { "" };
            cx.arg(&gather.keys.instrumented)?.join(&format!("bin/rustc{exe}"))
        }
    };
    let mut commands = Vec::new();
    let shared = Shared { from: &from, rustc: &rustc, options: &options, known: &known };
    for name in names {
        let command = shared.collector(&name, training, &key, cx)?;
        commands.push((format!("{}-{name}", declared.name), command));
    }
    for level in &training.libcore {
        let level = cx.arg(level)?;
        let command = libcore(&level, &rustc, kind, cx)?;
        commands.push((format!("{}-libcore-O{level}", declared.name), command));
    }
    for (_, command) in &mut commands {
        if let Work::Crates(_, env) = &declared.work {
            for (name, text) in env {
                let value = cx.arg(text)?;
                command.env.insert(name.clone(), value);
            }
        }
        command.timeout = declared.timeout;
    }
    let attempt = Arg::from(Symbol::Attempt);
    let script = "mkdir -p \"$1\" \"$2\" && ln -sfn \"$3\" \"$2/collector\"";
    let argv = ["sh", "-euc", script, "sh"].map(Arg::from).into_iter();
    let more = [tmp(), attempt.clone().join(CWD), from.clone().join("collector")];
    let prepare = Step::command("directories", cx.command(argv.chain(more).collect()));
    // Of a crate that failed, the collector keeps what it compiled.
    let argv = ["rm", "-rf"].map(Arg::from).into_iter().chain([attempt.join("tmp")]);
    let finish = Step::command("remove", cx.command(argv.collect()));
    Ok(Expanded { commands, collector: from, prepare, finish })
}

/// The crates to compile, each of which rustc-perf must have.
fn names(
    training: &Training,
    kind: &RustcPerf,
    known: &Crates,
    key: &str,
    cx: &mut Context,
) -> Result<Vec<String>, PlanError> {
    let mut names = Vec::new();
    for text in &training.crates {
        match text.as_literal() {
            Some(name) => names.push(name.into_owned()),
            None => return Err(cx.invalid(key, format!("the crate `{text}` must be known when the plan is made"))),
        }
    }
    if names.is_empty()
        && let Some(list) = training.list
    {
        let by = cx.producer(&training.collector)?.unwrap_or(cx.stage);
        names = listed(kind, list, by, cx)?;
    }
    if known.names.is_empty() {
        cx.note("the crates of rustc-perf are not known here, so their names are not checked");
    } else {
        for name in &mut names {
            *name = known.find(cx.facts, name).map_err(|message| cx.invalid(key, message))?.into();
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    Ok(names)
}

/// The checkout's own list. `by` is the stage that names the checkout.
fn listed(kind: &RustcPerf, list: CrateList, by: &Stage, cx: &mut Context) -> Result<Vec<String>, PlanError> {
    let checkout = cx.arg(&kind.checkout)?;
    let Some(checkout) = cx.known_path(&checkout) else { return Ok(Vec::new()) };
    if let Some(names) = list_of(cx.facts, &checkout, list) {
        return Ok(names);
    }
    if !rustc_perf::checkout_is_missing(&checkout, by, cx) {
        cx.gap(
            format!("the checkout in {checkout} does not say which crates are for training"),
            format!("name them with `crates`; lists were looked for in {}", FILES.join(", ")),
        );
    }
    Ok(Vec::new())
}

/// What all calls of the collector have in common.
struct Shared<'a> {
    from: &'a Arg,
    rustc: &'a Arg,
    options: &'a Options,
    known: &'a Crates,
}

impl Shared<'_> {
    fn collector(&self, name: &str, training: &Training, key: &str, cx: &mut Context) -> Result<Command, PlanError> {
        let attempt = Arg::from(Symbol::Attempt);
        let settings = self.known.settings(cx.facts, name);
        let mut argv = vec![rustc_perf::collector(self.from), "profile_local".into(), "eprintln".into()];
        argv.push(self.rustc.clone());
        argv.extend(if self.options.id { vec!["--id".into()] } else { Vec::new() });
        argv.push("training".into());
        let cargo = match &training.cargo {
            Some(text) => cx.program(text)?,
            None => match toolchain::rust::find(cx.facts, cx.pipeline, None) {
                Ok(rust) => cx.tool_at("cargo", rust.cargo),
                Err(_) => cx.tool("cargo"),
            },
        };
        argv.extend(["--cargo".into(), cargo]);
        let profiles = joined(&training.profiles, "Check,Debug,Opt", cx)?;
        let wanted = profiles.to_string();
        if !settings.excluded_profiles.is_empty()
            && wanted.split(',').all(|one| settings.excluded_profiles.iter().any(|excluded| excluded == one))
        {
            return Err(
                cx.invalid(key, format!("rustc-perf builds the crate `{name}` in none of the profiles {wanted}"))
            );
        }
        let scenarios = joined(&training.scenarios, "All", cx)?;
        let (one, two) = if self.options.profiles { ("--profiles", "--scenarios") } else { ("--builds", "--runs") };
        argv.extend([one.into(), profiles, two.into(), scenarios]);
        if self.options.exact {
            argv.extend(["--exact-match".into(), name.into()]);
        } else {
            argv.extend(["--include".into(), name.into()]);
            let others = self.known.beginning_with(name);
            if !others.is_empty() {
                argv.extend(["--exclude".into(), others.join(",").into()]);
            }
        }
        if self.options.categories && settings.category == "stable" {
            argv.extend(["--category".into(), "All".into()]);
        }
        if self.options.frontend_threads {
            argv.extend(["--frontend-threads".into(), "1".into()]);
        }
        argv.extend(["--out-dir".into(), attempt.clone().join("results")]);
        for text in &training.cargo_config {
            if !self.options.cargo_config {
                return Err(cx.invalid(key, "this rustc-perf does not pass `cargo-config` on to cargo"));
            }
            argv.extend(["--cargo-config".into(), cx.arg(text)?]);
        }
        let mut command = Command { cwd: attempt.clone().join(CWD), ..cx.command(argv) };
        // The collector's temporary files are whole builds: on the disk of the state, and gone with the attempt.
        command.env.insert("TMPDIR".into(), tmp());
        for (variable, value) in [("RUST_LOG", "collector=debug"), ("RUSTC_BOOTSTRAP", "1")] {
            command.env.entry(variable.into()).or_insert(value.into());
        }
        Ok(command)
    }
}

/// Values with commas between them.
fn joined(texts: &[Text], default: &str, cx: &mut Context) -> Result<Arg, PlanError> {
    let all = texts.iter().map(|text| cx.arg(text)).collect::<Result<Vec<Arg>, _>>()?;
    Ok(if texts.is_empty() { default.into() } else { Arg::list(",", all).joined() })
}

/// libcore is large, is compiled alone, and is what every program contains.
fn libcore(level: &Arg, rustc: &Arg, kind: &RustcPerf, cx: &mut Context) -> Result<Command, PlanError> {
    let library = cx.arg(&kind.checkout)?.join("library");
    let known: Option<Utf8PathBuf> = cx.known_path(&library);
    let edition = known.and_then(|library| {
        let manifest = cx.facts.read(&library.join("core/Cargo.toml"));
        cx.source("library", library, false);
        let manifest: toml::Table = manifest?.parse().ok()?;
        Some(manifest.get("package")?.get("edition")?.as_str()?.to_owned())
    });
    let mut argv = vec![rustc.clone(), "--edition".into(), edition.as_deref().unwrap_or("2021").into()];
    argv.extend(["--crate-name", "core", "--crate-type", "lib", "--cap-lints", "allow"].map(Arg::from));
    argv.extend([Arg::from("-Copt-level=").with(level.clone()), "--out-dir".into()]);
    argv.extend([Arg::from(Symbol::Attempt).join("tmp"), library.join("core/src/lib.rs")]);
    let mut command = Command { cwd: Arg::from(Symbol::Attempt).join(CWD), ..cx.command(argv) };
    command.env.entry("RUSTC_BOOTSTRAP".into()).or_insert("1".into());
    Ok(command)
}

/// Asks the collector's source, which is not built yet when the plan is made.
fn options(cx: &Context, source: Option<&Utf8Path>) -> Options {
    let files = ["collector/src/bin/collector.rs", "collector/src/main.rs"];
    let text = source.and_then(|source| files.iter().find_map(|file| cx.facts.read(&source.join(file))));
    let Some(text) = text else {
        return Options {
            exact: false,
            profiles: true,
            id: true,
            categories: false,
            cargo_config: true,
            frontend_threads: false,
        };
    };
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    Options {
        exact: has(&["exact_match", "exact-match"]),
        profiles: has(&["\"profiles\"", "--profiles"]),
        id: !has(&["@arg ID:"]),
        categories: has(&["category: MultiEnumValue"]),
        cargo_config: has(&["cargo_config"]),
        frontend_threads: takes_frontend_threads(&text),
    }
}

/// An option is a field of one of these. The collector's code has the words in other places too.
fn takes_frontend_threads(source: &str) -> bool {
    let fields = ["struct LocalOptions {", "struct CompileTimeOptions {"].into_iter().filter_map(|declaration| {
        let (_, behind) = source.split_once(declaration)?;
        behind.split("\n}").next()
    });
    fields.into_iter().any(|fields| fields.contains("frontend_threads:"))
        || ["\"frontend-threads\"", "\"--frontend-threads\""].iter().any(|name| source.contains(name))
}

/// Profiles of the collector that need a program beside rustc, the program, and the tool of rust's sources that it is.
const PROGRAMS: [(&str, &str, &str); 3] = [
    ("Doc", "rustdoc", "src/tools/rustdoc"),
    ("DocJson", "rustdoc", "src/tools/rustdoc"),
    ("Clippy", "clippy-driver", "src/tools/clippy"),
];

/// Refuses profiles that the collector would refuse after hours: it does not know them, or what they run was not built.
fn check_programs(
    training: &Training,
    gather: &Gather,
    source: Option<&Utf8Path>,
    key: &str,
    cx: &mut Context,
) -> Result<(), PlanError> {
    let named: Vec<_> = training.profiles.iter().filter_map(Text::as_literal).collect();
    for (profile, program, path) in
        PROGRAMS.into_iter().filter(|(profile, ..)| named.iter().any(|name| name == profile))
    {
        let known = source.and_then(|source| cx.facts.read(&source.join(COLLECTOR_PROFILES)));
        if known.is_some_and(|text| !text.contains(&format!("{profile},"))) {
            let message =
                format!("this rustc-perf has no profile `{profile}`: looked in {COLLECTOR_PROFILES}; use a newer one");
            return Err(cx.invalid(key, message));
        }
        let build = if training.rustc.is_none() { cx.producer(&gather.keys.instrumented)? } else { None };
        if let Some(build) = build
            && kind_of(build).is_some_and(|kind| kind.lacks(path))
        {
            let name = &build.common.name;
            let message = format!(
                "the profile `{profile}` runs `bin/{program}` of the toolchain, and the stage `{name}` does not build it: add \
                 `{path}` to its `paths`"
            );
            return Err(cx.invalid(key, message));
        }
    }
    Ok(())
}

/// Where the collector's profiles are declared, since 2024.
const COLLECTOR_PROFILES: &str = "collector/src/compile/benchmark/profile.rs";

/// Where the lists stand: since 2024, before that, and in the Python of 2022.
const FILES: [&str; 4] = [
    "src/build_helper/src/lib.rs",
    "src/tools/build_helper/src/lib.rs",
    "src/tools/opt-dist/src/training.rs",
    "src/ci/stage-build.py",
];

/// The crates that the checkout trains on; none if it has no such list.
fn list_of(facts: &Facts, checkout: &Utf8Path, list: CrateList) -> Option<Vec<String>> {
    let name = match list {
        CrateList::Rustc => "RUSTC_PGO_CRATES",
        CrateList::Llvm => "LLVM_PGO_CRATES",
    };
    FILES.iter().find_map(|file| strings(&facts.read(&checkout.join(file))?, name))
}

/// The strings of a constant array, in Rust or Python: `NAME… = &["a", "b"]`.
pub fn strings(source: &str, name: &str) -> Option<Vec<String>> {
    source.match_indices(name).find_map(|(at, _)| {
        let behind = &source[at + name.len()..];
        // The type may have brackets too, but the value stands behind the sign. A use of the constant has none before its line ends.
        let sign = behind.find('=').filter(|sign| !behind[..*sign].contains(['\n', '(']))?;
        let value = &behind[sign..];
        let open = value.find('[')?;
        let close = open + value[open..].find(']')?;
        let lines = value[open + 1..close].lines();
        let code: String = lines.map(|line| line.split("//").next().unwrap_or_default()).collect();
        let strings: Vec<String> = code.split('"').skip(1).step_by(2).map(Into::into).collect();
        (!strings.is_empty()).then_some(strings)
    })
}
