//! What is kept when a stage is begun again, and what is collected when no run refers to it any more.

use std::collections::BTreeMap;
use std::fs;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use optbuild::event::{Event, Stamped};
use optbuild::state::build_dir::{self, Begin, BuildDir, Prepared};
use optbuild::state::fingerprint::Fingerprint;
use optbuild::state::gc;
use optbuild::state::hash::Hasher;
use optbuild::state::journal::{self, Journal};
use optbuild::state::layout::Layout;
use optbuild::state::manifest::Manifest;
use optbuild::state::record::{InputRecord, OutputRecord, Record, RecordOutcome};
use optbuild::state::store::State;

fn temporary() -> (tempfile::TempDir, State) {
    let directory = tempfile::tempdir().unwrap();
    let root = Utf8PathBuf::from_path_buf(directory.path().canonicalize().unwrap()).unwrap();
    let state = State::open(&root.join(".optbuild"), true).unwrap();
    (directory, state)
}

fn fingerprint(configuration: &str, source: &str) -> Fingerprint {
    Fingerprint {
        configuration: BTreeMap::from([("commands".into(), configuration.into())]),
        sources: BTreeMap::from([("source".into(), source.into())]),
        ..Fingerprint::default()
    }
}

fn begin<'a>(fingerprint: &'a Fingerprint, run: &'a str) -> Begin<'a> {
    Begin { stage: "gather", fingerprint, run, forced: false, fresh: false, workspace: None, places: "" }
}

/// Leaves something in every directory of the stage, as an interrupted one does.
fn work(layout: &Layout) {
    for directory in
        [layout.build("gather"), layout.committed("gather"), layout.attempts("gather"), layout.scratch("gather")]
    {
        fs::write(directory.join("file"), "").unwrap();
    }
}

fn has(directory: &Utf8Path) -> bool {
    directory.join("file").exists()
}

fn since(layout: &Layout) -> Option<String> {
    build_dir::since(layout, "gather").unwrap().map(Into::into)
}

#[test]
fn an_interrupted_stage_continues_under_the_same_fingerprint() {
    let (_directory, state) = temporary();
    let layout = state.layout();
    let same = fingerprint("c", "s");
    let prepared = build_dir::prepare(layout, begin(&same, "r1")).unwrap();
    assert_eq!(prepared, Prepared { build: BuildDir::New, continues: false, lost: 0 });
    work(layout);
    let prepared = build_dir::prepare(layout, begin(&same, "r2")).unwrap();
    assert_eq!(prepared, Prepared { build: BuildDir::Kept, continues: true, lost: 0 });
    assert!(has(&layout.build("gather")) && has(&layout.committed("gather")));
    assert!(!has(&layout.attempts("gather")) && !has(&layout.scratch("gather")));
    assert_eq!(since(layout).as_deref(), Some("r1"));
    // What it goes on with is there, under the same fingerprint, and of the same places.
    let left_by = |id: &str, places| build_dir::left_by(layout, "gather", id, places).unwrap();
    let id = same.id();
    assert_eq!(left_by(&id, Some("")).as_deref(), Some("r2"));
    assert_eq!(left_by(&id, None).as_deref(), Some("r2"));
    assert_eq!(left_by(&id, Some("/elsewhere")), None);
    assert_eq!(left_by(&fingerprint("c", "s2").id(), Some("")), None);
    fs::remove_dir_all(layout.build("gather")).unwrap();
    assert_eq!(left_by(&id, Some("")), None);
    build_dir::prepare(layout, begin(&same, "r3")).unwrap();
    assert_eq!(since(layout).as_deref(), Some("r3"));
    work(layout);
    build_dir::prepare(layout, begin(&same, "r4")).unwrap();
    assert_eq!(since(layout).as_deref(), Some("r3"));
}

#[test]
fn a_changed_source_keeps_the_build_directory_and_drops_workloads() {
    let (_directory, state) = temporary();
    let layout = state.layout();
    build_dir::prepare(layout, begin(&fingerprint("c", "s"), "r1")).unwrap();
    work(layout);
    let prepared = build_dir::prepare(layout, begin(&fingerprint("c", "s2"), "r2")).unwrap();
    assert_eq!(prepared, Prepared { build: BuildDir::Kept, continues: false, lost: 0 });
    assert_eq!(since(layout).as_deref(), Some("r1"));
    assert!(has(&layout.build("gather")) && !has(&layout.committed("gather")));
}

#[test]
fn a_changed_configuration_wipes() {
    let (_directory, state) = temporary();
    let layout = state.layout();
    build_dir::prepare(layout, begin(&fingerprint("c", "s"), "r1")).unwrap();
    work(layout);
    let prepared = build_dir::prepare(layout, begin(&fingerprint("c2", "s"), "r2")).unwrap();
    assert_eq!(prepared, Prepared { build: BuildDir::Wiped, continues: false, lost: 0 });
    assert_eq!(since(layout).as_deref(), Some("r2"));
    assert!(!has(&layout.build("gather")) && !has(&layout.committed("gather")));
    // Nobody knows what a build directory without a note was begun with.
    for note in ["", "{\"configuration\":"] {
        work(layout);
        fs::write(layout.build_state("gather"), note).unwrap();
        let prepared = build_dir::prepare(layout, begin(&fingerprint("c2", "s"), "r3")).unwrap();
        assert_eq!(prepared, Prepared { build: BuildDir::Wiped, continues: false, lost: 0 });
    }
}

#[test]
fn a_run_begins_what_it_forces_afresh_once() {
    let (_directory, state) = temporary();
    let layout = state.layout();
    let same = fingerprint("c", "s");
    build_dir::prepare(layout, begin(&same, "r1")).unwrap();
    work(layout);
    let forced = Begin { forced: true, ..begin(&same, "r2") };
    let prepared = build_dir::prepare(layout, forced).unwrap();
    assert_eq!(prepared, Prepared { build: BuildDir::Kept, continues: false, lost: 0 });
    work(layout);
    // Killed and resumed, again and again.
    for _ in 0..2 {
        let prepared = build_dir::prepare(layout, forced).unwrap();
        assert_eq!(prepared, Prepared { build: BuildDir::Kept, continues: true, lost: 0 });
    }
    let fresh = Begin { fresh: true, forced: true, ..begin(&same, "r3") };
    assert_eq!(
        build_dir::prepare(layout, fresh).unwrap(),
        Prepared { build: BuildDir::Wiped, continues: false, lost: 0 }
    );
    work(layout);
    assert_eq!(
        build_dir::prepare(layout, fresh).unwrap(),
        Prepared { build: BuildDir::Kept, continues: true, lost: 0 }
    );
}

#[test]
fn a_kill_between_wiping_and_noting_it_wipes_again() {
    let (_directory, state) = temporary();
    let layout = state.layout();
    build_dir::prepare(layout, begin(&fingerprint("c", "s"), "r1")).unwrap();
    let note = fs::read(layout.build_state("gather")).unwrap();
    build_dir::prepare(layout, begin(&fingerprint("c2", "s"), "r2")).unwrap();
    // The note that a kill would have left; and something that must not be mistaken for a good build.
    fs::write(layout.build_state("gather"), note).unwrap();
    work(layout);
    let prepared = build_dir::prepare(layout, begin(&fingerprint("c2", "s"), "r2")).unwrap();
    assert_eq!(prepared, Prepared { build: BuildDir::Wiped, continues: false, lost: 0 });
}

#[test]
fn a_workspace_is_never_wiped() {
    let (_directory, state) = temporary();
    let layout = state.layout();
    let prepare = |fingerprint: &Fingerprint, fresh| {
        let begin = Begin { workspace: Some("tree"), fresh, forced: fresh, ..begin(fingerprint, "r1") };
        build_dir::prepare(layout, begin).unwrap().build
    };
    assert_eq!(prepare(&fingerprint("c", "s"), false), BuildDir::New);
    fs::write(layout.workspace("tree").join("file"), "").unwrap();
    assert_eq!(prepare(&fingerprint("c2", "s"), false), BuildDir::Kept);
    assert_eq!(prepare(&fingerprint("c2", "s"), true), BuildDir::Kept);
    assert!(has(&layout.workspace("tree")));
    build_dir::clean(layout, "gather").unwrap();
    assert!(!layout.stage("gather").exists() && has(&layout.workspace("tree")));
}

/// Records a stage with an output of some KiB, made from the outputs of others.
fn finish(state: &State, stage: &str, configuration: &str, kib: usize, run: &str, inputs: &[&str]) -> String {
    let layout = state.layout();
    let fingerprint = fingerprint(configuration, stage);
    let id = fingerprint.id();
    let out = layout.out(stage, &id);
    fs::create_dir_all(&out).unwrap();
    fs::write(out.join("file"), vec![configuration.as_bytes()[0]; kib * 1024]).unwrap();
    let (manifest, times) = Manifest::of(&out, &Hasher::without_cache()).unwrap();
    let output = OutputRecord {
        path: out.strip_prefix(layout.root()).unwrap().to_owned(),
        hash: manifest.hash(),
        bytes: manifest.bytes(),
        files: manifest.files(),
        portable: true,
        show: false,
    };
    let input = |fingerprint: &&str| InputRecord {
        stage: "x".into(),
        output: "out".into(),
        fingerprint: (*fingerprint).into(),
        hash: String::new(),
    };
    let record = Record {
        made_in: "/state".into(),
        stage: stage.into(),
        pipeline: "demo".into(),
        run: run.into(),
        fingerprint,
        outcome: RecordOutcome::Done,
        outputs: BTreeMap::from([("out".into(), output)]),
        inputs: inputs.iter().map(input).collect(),
        finished: Timestamp::from_second(run[9..15].parse().unwrap()).unwrap(),
        duration: 1.0,
        facts: Vec::new(),
        held: None,
    };
    state.put_record(&record, &BTreeMap::from([("out".into(), (manifest, times))])).unwrap();
    id.into()
}

fn run(state: &State, second: i64, up_to_date: &[&str]) -> String {
    let (run, mut journal) = Journal::create(state.layout(), Timestamp::from_second(second).unwrap()).unwrap();
    for fingerprint in up_to_date {
        let event = Event::StageUpToDate { stage: "x".into(), fingerprint: fingerprint.to_string().into(), saved: 1.0 };
        journal.append(&Stamped { time: Timestamp::UNIX_EPOCH, event }).unwrap();
    }
    run.into()
}

/// Two versions of a library and of a program that is made from it; the last run only named the second program.
fn history(state: &State) -> [String; 4] {
    let first = run(state, 1, &[]);
    let old_lib = finish(state, "lib", "a", 200, &first, &[]);
    let old_program = finish(state, "program", "b", 100, &first, &[&old_lib]);
    let second = run(state, 2, &[]);
    let lib = finish(state, "lib", "c", 200, &second, &[]);
    let program = finish(state, "program", "d", 100, &second, &[&lib]);
    run(state, 3, &[&program]);
    [old_lib, old_program, lib, program]
}

#[test]
fn what_the_last_runs_refer_to_is_kept_with_all_that_it_was_made_from() {
    let (_directory, state) = temporary();
    let [old_lib, old_program, lib, program] = history(&state);
    let orphan = state.layout().out("program", "0123456789abcdef0123");
    fs::create_dir_all(&orphan).unwrap();
    let report = gc::gc(&state, 1, None).unwrap();
    let gone: Vec<&str> = report.records.iter().map(|(_, id)| id.as_str()).collect();
    assert!(gone.len() == 2 && gone.contains(&old_lib.as_str()) && gone.contains(&old_program.as_str()));
    assert_eq!(report.runs.len(), 2);
    assert_eq!(report.manifests, 2);
    assert_eq!(report.outputs.len(), 3);
    assert!(!orphan.exists());
    for (stage, id) in [("lib", &lib), ("program", &program)] {
        let record = state.record(id).unwrap().unwrap();
        let manifest = state.manifest(&record.outputs["out"].hash).unwrap().unwrap();
        assert_eq!(manifest.verify(&state.layout().out(stage, id)).unwrap(), None);
        assert_eq!(state.times(id).unwrap().len(), 1);
        assert_eq!(state.current(stage).unwrap().unwrap().fingerprint.id(), *id);
    }
    assert!(!state.layout().out("lib", &old_lib).exists());
    assert!(!state.layout().record_times(&old_lib).exists());
    assert_eq!(journal::runs(state.layout()).unwrap().len(), 1);
    assert!(report.before.total() - report.after.total() > 300 * 1024, "{report:?}");
    assert_eq!(gc::gc(&state, 1, None).unwrap().records, []);
}

#[test]
fn only_as_much_is_removed_as_has_to_be_the_oldest_first() {
    let (_directory, state) = temporary();
    let [old_lib, old_program, ..] = history(&state);
    let total = gc::sizes(state.layout()).total();
    assert!(total > 600 * 1024);
    let report = gc::gc(&state, 1, Some(total)).unwrap();
    assert_eq!((report.records.len(), report.runs.len()), (0, 0));
    let report = gc::gc(&state, 1, Some(total - 50 * 1024)).unwrap();
    assert_eq!(report.records.len(), 1, "{report:?}");
    let (first, second) = if report.records[0].1 == old_lib { (old_lib, old_program) } else { (old_program, old_lib) };
    assert!(state.record(&first).unwrap().is_none() && state.record(&second).unwrap().is_some());
    // What is kept is kept, however large.
    let report = gc::gc(&state, 1, Some(0)).unwrap();
    assert_eq!(report.records.len(), 1);
    assert!(report.after.total() > 300 * 1024);
}

#[test]
fn the_oldest_of_the_runs_that_are_kept_goes_when_the_size_demands_it() {
    let (_directory, state) = temporary();
    let versions = ["a", "c"].map(|configuration| String::from(fingerprint(configuration, "lib").id()));
    for (second, configuration) in ["a", "c"].into_iter().enumerate() {
        let run = run(&state, second as i64 + 1, &[&versions[second]]);
        finish(&state, "lib", configuration, 200, &run, &[]);
    }
    let total = gc::sizes(state.layout()).total();
    assert_eq!(gc::gc(&state, 2, Some(total)).unwrap().records, []);
    let report = gc::gc(&state, 2, Some(total - 50 * 1024)).unwrap();
    assert_eq!((report.records[0].1.as_str(), report.records.len(), report.runs.len()), (versions[0].as_str(), 1, 1));
    // The last run stays, however large it is.
    assert_eq!(gc::gc(&state, 2, Some(0)).unwrap().records, []);
    assert!(state.record(&versions[1]).unwrap().is_some());
}

#[test]
fn pointers_to_removed_records_go_too() {
    let (_directory, state) = temporary();
    let run = run(&state, 1, &[]);
    finish(&state, "lib", "a", 1, &run, &[]);
    fs::write(state.layout().record("0123"), "damaged").unwrap();
    gc::gc(&state, 0, None).unwrap();
    assert!(!state.layout().name("lib").exists());
    assert_eq!(fs::read_dir(state.layout().records()).unwrap().count(), 0);
    assert_eq!(fs::read_dir(state.layout().manifests()).unwrap().count(), 0);
}

#[test]
fn a_file_with_two_names_is_counted_once() {
    let (_directory, state) = temporary();
    let out = state.layout().outputs();
    fs::create_dir_all(&out).unwrap();
    fs::write(out.join("one"), vec![1; 1 << 20]).unwrap();
    let before = gc::sizes(state.layout());
    assert!(before.outputs >= 1 << 20);
    fs::hard_link(out.join("one"), out.join("two")).unwrap();
    assert_eq!(gc::sizes(state.layout()).outputs, before.outputs);
}
