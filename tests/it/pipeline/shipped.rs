//! Pipelines that are found by name.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::support::Files;
use camino::{Utf8Path, Utf8PathBuf};
use include_dir::{Dir, include_dir};
use optbuild::pipeline::shipped::{self, FindError, set_modes, unpack};
use optbuild::pipeline::{LoadOptions, load};
use optbuild::stage::KINDS;

const STAGE: &str = "[[stage]]\nname = \"s\"\nkind = \"command\"\nrun = \"x\"\n";

fn files_below(root: &Utf8Path) -> Vec<Utf8PathBuf> {
    let entries = walkdir::WalkDir::new(root).sort_by_file_name().into_iter().map(Result::unwrap);
    let files = entries.filter(|entry| entry.file_type().is_file());
    files.map(|entry| Utf8PathBuf::from_path_buf(entry.into_path()).unwrap()).collect()
}

/// Makes a tree of read-only directories deletable.
fn open(root: &Utf8Path) {
    for entry in walkdir::WalkDir::new(root) {
        let entry = entry.unwrap();
        if entry.file_type().is_dir() {
            std::fs::set_permissions(entry.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
}

#[test]
fn the_demo_is_unpacked_as_it_is_read_only_and_once() {
    let files = Files::new(&[]);
    let (cwd, into) = (files.root(), files.root().join("state/pipelines"));
    // Several at once get the same.
    let found: Vec<Utf8PathBuf> = std::thread::scope(|scope| {
        let finders: Vec<_> = (0..4).map(|_| scope.spawn(|| shipped::find("demo", &cwd, &into).unwrap())).collect();
        finders.into_iter().map(|finder| finder.join().unwrap()).collect()
    });
    let file = &found[0];
    assert!(found.iter().all(|other| other == file));
    assert!(file.ends_with("demo/pipeline.toml"));
    assert_eq!(into.read_dir_utf8().unwrap().count(), 1, "nothing else is left behind");

    let original = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/demo");
    let unpacked = file.parent().unwrap();
    let originals = files_below(&original);
    assert_eq!(files_below(unpacked).len(), originals.len());
    for path in originals {
        let copy = unpacked.join(path.strip_prefix(&original).unwrap());
        assert_eq!(std::fs::read(&copy).unwrap(), std::fs::read(&path).unwrap(), "{path}");
        assert_eq!(copy.metadata().unwrap().mode() & 0o777, 0o444);
        assert_eq!(copy.parent().unwrap().metadata().unwrap().mode() & 0o777, 0o555);
    }
    let inode = file.metadata().unwrap().ino();
    assert_eq!(shipped::find("demo", &cwd, &into).unwrap().metadata().unwrap().ino(), inode);
    assert_eq!(files.load(file.as_str()).name, "demo");
    open(&into);
}

#[test]
fn names_and_paths() {
    let mine = format!("description = \"Mine\"\n{STAGE}{}", STAGE.replace("\"s\"", "\"t\""));
    let files = Files::new(&[
        ("pipelines/mine.toml", &mine),
        ("pipelines/deep/pipeline.toml", STAGE),
        ("x.toml", STAGE),
        ("plain", STAGE),
    ]);
    let (cwd, into) = (files.root(), files.root().join("unpacked"));
    let find = |name: &str| shipped::find(name, &cwd, &into).unwrap();
    assert_eq!(find("mine"), cwd.join("pipelines/mine.toml"));
    assert_eq!(find("deep"), cwd.join("pipelines/deep/pipeline.toml"));
    assert_eq!(find("x.toml"), cwd.join("x.toml"));
    assert_eq!(find("plain"), cwd.join("plain"));
    assert_eq!(find("pipelines/deep"), cwd.join("pipelines/deep/pipeline.toml"));
    // A path is a path even where nothing is: loading says so.
    assert_eq!(find("no/thing"), cwd.join("no/thing"));
    assert_eq!(find("nothing.toml"), cwd.join("nothing.toml"));
    assert!(!into.exists());

    // One here hides the shipped one; a directory that only has the name of a pipeline does not.
    std::fs::create_dir(cwd.join("demo")).unwrap();
    assert!(find("demo").starts_with(&into));
    files.write("pipelines/demo.toml", STAGE.as_bytes());
    assert_eq!(find("demo"), cwd.join("pipelines/demo.toml"));

    let local = shipped::list(&cwd).into_iter().filter(|listed| listed.origin != "shipped");
    let listed: Vec<_> = local.map(|l| (l.name, l.origin, l.description, l.stages)).collect();
    let local = |name: &str, origin: &str, description: &str, stages| {
        (name.to_string(), origin.to_string(), description.to_string(), stages)
    };
    assert_eq!(
        listed,
        [
            local("deep", "pipelines/deep/pipeline.toml", "", 1),
            local("demo", "pipelines/demo.toml", "", 1),
            local("mine", "pipelines/mine.toml", "Mine", 2),
        ]
    );
    open(&into);
}

#[test]
fn an_unknown_name_is_answered_with_the_nearest() {
    let files = Files::new(&[("pipelines/mine.toml", STAGE)]);
    let error = shipped::find("dmeo", &files.root(), &files.root().join("unpacked")).unwrap_err();
    assert!(matches!(&error, FindError::Unknown { nearest: Some(name), .. } if name == "demo"));
    let message = error.to_string();
    assert!(message.contains("`dmeo`; did you mean `demo`?") && message.contains("`mine`"), "{message}");
}

#[test]
fn what_cannot_be_unpacked_is_told() {
    let files = Files::new(&[("file", "")]);
    let error = shipped::find("demo", &files.root(), &files.root().join("file/below")).unwrap_err();
    assert!(matches!(error, FindError::Unpack { .. }), "{error}");
}

/// The stub checkout's rustc compiles nothing, so the commands by which a library of BOLT's is tried are given to a real one.
#[test]
fn the_commands_that_try_a_rustc_compile() {
    let dir = tempfile::tempdir().unwrap();
    let pipelines = concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines");
    for name in ["linux-x86_64", "linux-x86_64-system-llvm", "linux-x86_64-2022-10"] {
        let text = std::fs::read_to_string(format!("{pipelines}/{name}.toml")).unwrap();
        let commands: Vec<&str> = text.lines().filter(|line| line.contains("--crate-type")).collect();
        assert!(!commands.is_empty(), "{name}");
        for (index, line) in commands.into_iter().enumerate() {
            let out = dir.path().join(format!("{name}-{index}"));
            let command = line.trim().trim_matches(['"', ',']);
            let command = command.replace("${self.out}/bin/rustc", "rustc").replace("${pipeline.dir}", pipelines);
            let command = command.replace("${self.build}", out.to_str().unwrap());
            let output = std::process::Command::new("sh").args(["-euc", &command]).output().unwrap();
            assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
            assert!(out.join("libmacros.so").exists(), "{command}");
        }
    }
}

/// Nor does it run the program that the archives are tested with.
#[test]
fn the_program_that_tests_a_toolchain_runs() {
    let dir = tempfile::tempdir().unwrap();
    for level in ["0", "3"] {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines/rust/program/Cargo.toml");
        let mut cargo = std::process::Command::new("cargo");
        cargo.args(["run", "--offline", "--locked", "--manifest-path", manifest, "--target-dir"]).arg(dir.path());
        let output = cargo.env("CARGO_PROFILE_DEV_OPT_LEVEL", level).output().unwrap();
        assert!(output.status.success(), "{level}: {}", String::from_utf8_lossy(&output.stderr));
        // The square root of 2, as bc has it.
        let expected = "1.414213562373 Point { x: 0.5, y: -0.001, name: \"p\" }\n";
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected, "{level}");
    }
}

static FIXTURE: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/tests/fixtures/shipped");

fn unpacked(path: &str) -> (tempfile::TempDir, Utf8PathBuf, Vec<String>) {
    let into = tempfile::tempdir().unwrap();
    let file = FIXTURE.get_file(path).unwrap();
    let own = unpack(&FIXTURE, "name", file, Utf8Path::from_path(into.path()).unwrap()).unwrap();
    let root = own.ancestors().nth(Utf8Path::new(path).components().count()).unwrap().to_owned();
    let files = walkdir::WalkDir::new(&root).into_iter().map(Result::unwrap);
    let files = files.filter(|entry| entry.file_type().is_file());
    let mut names: Vec<String> = files
        .map(|entry| camino::Utf8Path::from_path(entry.path().strip_prefix(&root).unwrap()).unwrap().to_string())
        .collect();
    names.sort();
    // So that it can be deleted.
    set_modes(root.as_std_path(), 0o755, 0o644).unwrap();
    (into, own, names)
}

#[test]
fn a_pipeline_comes_with_all_that_it_extends() {
    assert_eq!(unpacked("base.toml").2, ["base.toml"]);
    assert_eq!(unpacked("other/pipeline.toml").2, ["other/pipeline.toml"]);
    let own = ["base.toml", "own/data/file.txt", "own/pipeline.toml"];
    assert_eq!(unpacked("own/pipeline.toml").2, own);
    assert_eq!(unpacked("variant.toml").2, [&own[..], &["variant.toml"]].concat());
}

#[test]
fn what_was_unpacked_loads() {
    let (_into, own, _) = unpacked("variant.toml");
    let options = LoadOptions {
        set: &[],
        env: &|_| None,
        cwd: Utf8Path::new("/"),
        host: "x86_64-unknown-linux-gnu",
        kinds: &KINDS,
        incomplete: false,
    };
    let pipeline = load(&own, &options).unwrap();
    assert_eq!((pipeline.name.as_str(), pipeline.stages.len()), ("variant", 2));
}
