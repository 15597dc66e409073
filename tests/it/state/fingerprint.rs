//! What is in a stage's fingerprint and what is not, and the identities of tools.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;
use std::time::Duration;

use crate::support::processes::write_program;
use camino::{Utf8Path, Utf8PathBuf};
use optbuild::pipeline::{OutputRef, Pipeline, Stage, VarType, VarValue, Variable};
use optbuild::plan::{Action, Arg, Command, Late, Output, Part, Source, StagePlan, Step, Symbol, ToolUse};
use optbuild::state::fingerprint::{self, Change, Fingerprint, Inputs};
use optbuild::state::hash::Hasher;
use optbuild::state::sources::Sources;
use optbuild::state::tools::ToolIdentities;

struct World {
    directory: tempfile::TempDir,
    stage: Stage,
    plan: StagePlan,
    pipeline: Pipeline,
    outputs: BTreeMap<OutputRef, String>,
    predecessor: Option<String>,
}

impl World {
    /// A stage that runs a tool on a source tree and on the output of another stage.
    fn new() -> World {
        let directory = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(directory.path().canonicalize().unwrap()).unwrap();
        fs::create_dir(root.join("src")).unwrap();
        fs::write(root.join("src/a.c"), "a").unwrap();
        write_program(&root.join("tool"), "#!/bin/sh\necho tool 1.0\n");
        let lib = OutputRef { stage: "lib".into(), output: "out".into() };
        let command = Command {
            argv: vec![
                Arg::part(Part::Tool { name: "tool".into(), path: root.join("tool") }),
                Arg::from("-I").with(Arg::part(Part::Place { name: "src".into(), path: root.join("src") })),
                Arg::from("-j").with(Symbol::Jobs),
                Arg::part(Part::Late(Late::Path(lib.clone()))),
            ],
            env: BTreeMap::from([(
                "TOKEN".into(),
                Arg::part(Part::Secret { name: "t".into(), value: "hunter2".into() }),
            )]),
            cwd: Symbol::Build.into(),
            ..Command::default()
        };
        let plan = StagePlan {
            stage: "shell".into(),
            steps: vec![Step::command("build", command)],
            outputs: vec![Output { name: "out".into(), path: Symbol::Out.into(), portable: true, show: false }],
            sources: vec![Source { name: "source".into(), path: root.join("src"), glob: false, exclude: Vec::new() }],
            tools: vec![ToolUse { name: "tool".into(), path: root.join("tool") }],
            passed_env: BTreeMap::from([("CFLAGS".into(), "-O2".into())]),
            ..StagePlan::default()
        };
        let declaration = [("args", "[\"-I${src}\"]"), ("timeout", "10m"), ("jobs", "2"), ("description", "d")];
        let text = "name = \"shell\"\nkind = \"command\"\nrun = [\"tool\"]";
        let mut stage = optbuild::pipeline::stage(text, &optbuild::stage::KINDS).unwrap();
        stage.dependencies = vec![vec!["lib".into()]];
        stage.declaration = declaration.map(|(key, value)| (key.into(), value.into())).into();
        stage.path_vars = vec!["src".into()];
        let variable = |value, secret| Variable {
            value,
            kind: VarType::Path,
            default: None,
            choices: Vec::new(),
            secret,
            given: None,
            description: String::new(),
        };
        let vars = [
            ("src".into(), variable(VarValue::Path(root.join("src")), false)),
            ("t".into(), variable(VarValue::String("hunter2".into()), true)),
        ]
        .into();
        let pipeline = Pipeline {
            name: "p".into(),
            description: String::new(),
            file: root.join("p.toml"),
            dirs: vec![root.clone()],
            vars,
            tools: Default::default(),
            outputs: Default::default(),
            stages: vec![stage.clone()],
            hash: "h".into(),
            ..Pipeline::default()
        };
        let outputs = BTreeMap::from([(lib, "ab".repeat(32))]);
        World { directory, stage, plan, pipeline, outputs, predecessor: None }
    }

    fn root(&self) -> Utf8PathBuf {
        Utf8PathBuf::from_path_buf(self.directory.path().canonicalize().unwrap()).unwrap()
    }

    fn fingerprint(&self) -> Fingerprint {
        let sources = Sources::new(Arc::new(Hasher::without_cache()), Vec::new());
        let inputs = Inputs { outputs: &self.outputs, predecessor: self.predecessor.as_deref() };
        let tools = ToolIdentities::default();
        fingerprint::compute(&self.stage, &self.plan, &self.pipeline, inputs, &sources, &tools).unwrap()
    }

    fn command(&mut self) -> &mut Command {
        match &mut self.plan.steps[0].action {
            Action::Command(command) => command,
            other => panic!("{other:?}"),
        }
    }
}

/// The parts that a change of the world changes.
fn changes(change: impl FnOnce(&mut World)) -> Vec<String> {
    let mut world = World::new();
    let before = world.fingerprint();
    change(&mut world);
    let after = world.fingerprint();
    let differences = Fingerprint::diff(&before, &after);
    assert_eq!(differences.is_empty(), before.id() == after.id());
    let configuration = differences.iter().any(|difference| !difference.is_source);
    assert_eq!(configuration, before.configuration_id() != after.configuration_id());
    differences.into_iter().map(|difference| difference.part).collect()
}

#[test]
fn the_same_pipeline_in_another_directory_has_the_same_fingerprint() {
    let (one, other) = (World::new(), World::new());
    assert_ne!(one.root(), other.root());
    assert_eq!(Fingerprint::diff(&one.fingerprint(), &other.fingerprint()), []);
    assert_eq!(one.fingerprint().id(), other.fingerprint().id());
}

#[test]
fn each_part_stands_for_what_its_name_says() {
    assert_eq!(changes(|world| fs::write(world.root().join("src/b.c"), "b").unwrap()), ["source"]);
    assert_eq!(changes(|world| world.command().argv.push("-O2".into())), ["commands"]);
    assert_eq!(changes(|world| world.command().cwd = Symbol::Out.into()), ["commands"]);
    assert_eq!(changes(|world| world.command().stdout = Some(Symbol::Out.into())), ["commands"]);
    assert_eq!(changes(|world| world.command().env = [("A".to_string(), "1".into())].into()), ["commands"]);
    assert_eq!(changes(|world| world.plan.steps[0].name = "make".into()), ["commands"]);
    assert_eq!(changes(|world| world.plan.checks = world.plan.steps.clone()), ["commands"]);
    assert_eq!(changes(|world| world.plan.outputs[0].portable = false), ["commands"]);
    assert_eq!(changes(|world| *world.plan.passed_env.get_mut("CFLAGS").unwrap() = "-O3".into()), ["env.CFLAGS"]);
    assert_eq!(changes(|world| world.outputs.values_mut().for_each(|hash| *hash = "cd".repeat(32))), ["input.lib.out"]);
    assert_eq!(changes(|world| world.predecessor = Some("ef".repeat(32))), ["workspace.predecessor"]);
    assert_eq!(
        changes(|world| world.stage.declaration.insert("args".into(), "[]".into()).map_or((), drop)),
        ["declaration.args"]
    );
    assert_eq!(
        changes(|world| fs::write(world.root().join("tool"), "#!/bin/sh\necho tool 1.1\n").unwrap()),
        ["tool.tool"]
    );
    assert_eq!(changes(|world| world.stage.common.name = "shell2".into()), ["stage"]);
}

#[test]
fn a_kind_has_the_name_that_pipelines_give_it() {
    let mut world = World::new();
    world.stage.kind.name = "rustc-perf";
    assert_eq!(world.fingerprint().configuration["kind"], "rustc-perf");
}

#[test]
fn when_and_how_often_a_stage_runs_is_not_in_it() {
    for key in ["kind", "disk-space", "role"] {
        assert_eq!(
            changes(|world| world.stage.declaration.insert(key.into(), "other".into()).map_or((), drop)),
            [""; 0]
        );
    }
    assert_eq!(changes(|world| world.command().timeout = Some(Duration::from_secs(1))), [""; 0]);
    assert_eq!(changes(|world| world.pipeline.hash = "other".into()), [""; 0]);
    assert_eq!(changes(|world| world.plan.notes.push("a note".into())), [""; 0]);
}

#[test]
fn a_path_counts_where_nothing_hashed_lies() {
    let set = |world: &mut World, path: Utf8PathBuf| {
        world.pipeline.vars.get_mut("src").unwrap().value = VarValue::Path(path);
    };
    assert_eq!(changes(|world| set(world, "/opt/data".into())), ["variable.src"]);
    assert_eq!(changes(|world| set(world, world.root())), [""; 0], "the source lies below it");
    assert_eq!(changes(|world| set(world, world.root().join("src/inner"))), [""; 0], "it lies in the source");
    assert_eq!(changes(|world| set(world, world.root().join("src-other"))), ["variable.src"]);
    assert_eq!(
        changes(|world| {
            world.plan.sources[0] =
                Source { name: "source".into(), path: world.root().join("src/*.c"), glob: true, exclude: Vec::new() };
        }),
        ["source"],
        "the place of a pattern is covered too"
    );
}

#[test]
fn differences_show_values_that_are_short_and_no_secrets() {
    let mut world = World::new();
    world.stage.declaration.insert("token".into(), "--token=hunter2".into());
    world.stage.declaration.insert("long".into(), "x".repeat(121));
    let old = world.fingerprint();
    let text = serde_json::to_string(&old).unwrap();
    assert!(!text.contains("hunter2") && !text.contains("-O2"), "{text}");
    assert!(fingerprint::is_hash(&old.configuration["declaration.long"]));
    assert!(fingerprint::is_hash(&old.configuration["tool.tool"]));

    world.stage.declaration.insert("args".into(), "[]".into());
    world.stage.declaration.insert("more".into(), "1".into());
    world.stage.declaration.remove("token");
    fs::write(world.root().join("src/b.c"), "b").unwrap();
    let differences = Fingerprint::diff(&old, &world.fingerprint());
    let kinds: Vec<&Change> = differences.iter().map(|difference| &difference.kind).collect();
    assert_eq!(*kinds[0], Change::Changed { old: "[\"-I${src}\"]".into(), new: "[]".into() });
    assert_eq!(*kinds[1], Change::Added { new: "1".into() });
    assert!(matches!(kinds[2], Change::Removed { .. }));
    assert!(differences[3].is_source && differences.len() == 4);
    let back: Fingerprint = serde_json::from_str(&text).unwrap();
    assert_eq!(back.id(), old.id());
}

#[test]
fn a_source_that_changes_during_a_stage_is_noticed() {
    let world = World::new();
    let sources = Sources::new(Arc::new(Hasher::open(&world.root().join("cache")).unwrap()), Vec::new());
    let inputs = Inputs { outputs: &world.outputs, predecessor: None };
    let tools = ToolIdentities::default();
    let before = fingerprint::compute(&world.stage, &world.plan, &world.pipeline, inputs, &sources, &tools).unwrap();
    assert_eq!(fingerprint::sources_now(&world.plan, &sources).unwrap(), before.sources);
    fs::write(world.root().join("src/a.c"), "A").unwrap();
    assert_eq!(sources.hash(&world.plan.sources[0]).unwrap().hash, before.sources["source"], "asked for once");
    assert_ne!(fingerprint::sources_now(&world.plan, &sources).unwrap(), before.sources);
    fs::write(world.root().join("src/a.c"), "a").unwrap();
    sources.forget();
    assert_eq!(sources.hash(&world.plan.sources[0]).unwrap().hash, before.sources["source"]);
}

/// A tool that notes every time that it is started.
fn counting_tool(directory: &Utf8Path) -> ToolUse {
    let path = directory.join("counting");
    write_program(&path, &format!("#!/bin/sh\necho x >> {directory}/count\necho 1.0\n"));
    ToolUse { name: "counting".into(), path }
}

#[test]
fn a_tool_that_did_not_change_is_not_started() {
    let world = World::new();
    let (cache, hasher) = (world.root().join("tools"), Hasher::without_cache());
    let tool = counting_tool(&world.root());
    let count = || fs::read_to_string(world.root().join("count")).unwrap().lines().count();
    std::thread::sleep(Duration::from_millis(300));
    let first = ToolIdentities::open(&cache).unwrap();
    let identity = first.identity(&tool, &hasher).unwrap();
    assert_eq!(first.identity(&tool, &hasher).unwrap(), identity);
    first.save().unwrap();
    assert_eq!(ToolIdentities::open(&cache).unwrap().identity(&tool, &hasher).unwrap(), identity);
    assert_eq!(count(), 1);

    // By a link it is the same, if not the same name.
    symlink(&tool.path, world.root().join("link")).unwrap();
    let link = ToolUse { name: "link".into(), path: world.root().join("link") };
    assert_eq!(ToolIdentities::open(&cache).unwrap().identity(&link, &hasher).unwrap(), identity);
    let text = fs::read_to_string(&tool.path).unwrap();
    write_program(&tool.path, &text.replace("1.0", "1.1"));
    assert_ne!(ToolIdentities::open(&cache).unwrap().identity(&tool, &hasher).unwrap(), identity);
    assert_eq!(count(), 3);
    fs::write(&cache, "damaged").unwrap();
    ToolIdentities::open(&cache).unwrap().identity(&tool, &hasher).unwrap();
    fs::remove_file(&tool.path).unwrap();
    let error = ToolIdentities::open(&cache).unwrap().identity(&tool, &hasher).unwrap_err().to_string();
    assert!(error.contains("counting") && error.contains(tool.path.as_str()), "{error}");
}

#[test]
fn a_tool_without_a_version_is_its_content() {
    let world = World::new();
    let path = world.root().join("silent");
    let identity = |text: &str| {
        write_program(&path, text);
        let tool = ToolUse { name: "silent".into(), path: path.clone() };
        ToolIdentities::default().identity(&tool, &Hasher::without_cache()).unwrap()
    };
    assert_ne!(identity("#!/bin/sh\nexit 3\n"), identity("#!/bin/sh\nexit 4\n"));
    // Not even a program.
    let data = |text: &str| {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(&path, text).unwrap();
        let tool = ToolUse { name: "silent".into(), path: path.clone() };
        ToolIdentities::default().identity(&tool, &Hasher::without_cache()).unwrap()
    };
    assert_eq!(data("data"), data("data"));
}

/// Which files stand behind a tool, from the cache's file.
fn files_behind(path: &str) -> Vec<String> {
    let world = World::new();
    let cache = world.root().join("tools");
    let tools = ToolIdentities::open(&cache).unwrap();
    tools.identity(&ToolUse { name: "x".into(), path: path.into() }, &Hasher::without_cache()).unwrap();
    tools.save().unwrap();
    let text: serde_json::Value = serde_json::from_slice(&fs::read(cache).unwrap()).unwrap();
    let tool = text[1].as_object().unwrap().values().next().unwrap();
    tool["files"].as_array().unwrap().iter().map(|file| file[0].as_str().unwrap().to_string()).collect()
}

#[test]
fn behind_a_compiler_stand_its_libraries() {
    let Ok(clang) = which::which("clang-22") else { return };
    let files = files_behind(clang.to_str().unwrap());
    for library in ["/libLLVM.so.22", "/libclang-cpp.so.22"] {
        assert!(files.iter().any(|file| file.contains(library)), "{files:?}");
    }
    assert!(!files.iter().any(|file| file.contains("libc.so")), "{files:?}");
}

#[test]
fn behind_rustup_stands_the_toolchain() {
    let Ok(rustc) = which::which("rustc") else { return };
    let sysroot = duct::cmd!("rustc", "--print", "sysroot").read().unwrap();
    let files = files_behind(rustc.to_str().unwrap());
    assert_eq!(files[0], format!("{sysroot}/bin/rustc"));
    assert!(files.iter().any(|file| file.contains("librustc_driver-")), "{files:?}");
    let cargo = rustc.with_file_name("cargo");
    assert_eq!(files_behind(cargo.to_str().unwrap()), [format!("{sysroot}/bin/cargo")]);
}
