//! What subcommands print, word for word.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use optbuild::pipeline::shipped::Listed;
use optbuild::pipeline::{Answers, Kind, OutputDecl, Pipeline, Stage, Text, ToolDecl, VarType, VarValue, Variable};
use optbuild::report::info::*;
use optbuild::report::paint::Paint;
use optbuild::stage::KINDS;
use optbuild::state::fingerprint::{Change, Difference};
use optbuild::toolchain::doctor::{DoctorRow, Status};

fn look(width: usize) -> Look {
    Look { width, paint: Paint::PLAIN }
}

fn stage(name: &str, kind: &'static str, depends_on: &[&str], description: &str) -> Stage {
    let mut stage = optbuild::pipeline::stage("name = 'x'\nkind = 'command'\nrun = 'true'", &KINDS).unwrap();
    stage.common.name = name.into();
    stage.common.description = Some(description.into());
    stage.kind = Kind::new(kind, Answers::default(), ());
    let alternatives = |names: &&str| names.split(" | ").map(str::to_owned).collect();
    stage.dependencies = depends_on.iter().map(alternatives).collect();
    stage
}

fn pipeline() -> Pipeline {
    let var = |kind, default: Option<&str>, description: &str| Variable {
        value: VarValue::Bool(false),
        kind,
        default: default.map(str::to_owned),
        choices: Vec::new(),
        secret: false,
        given: None,
        description: description.into(),
    };
    let lto = var(VarType::String, Some("thin"), "Link-time optimisation.");
    let vars = [
        ("lto", Variable { choices: vec!["off".into(), "thin".into()], ..lto }),
        ("llvm", var(VarType::Path, Some(""), "Where LLVM is.")),
        ("source", var(VarType::Path, None, "")),
        ("token", Variable { secret: true, ..var(VarType::String, Some("hunter2"), "") }),
    ];
    let tool = |version: Option<&str>, optional| ToolDecl {
        version: version.map(str::to_owned),
        optional,
        ..ToolDecl::default()
    };
    let tools = [("clang", tool(Some(">=19"), false)), ("ccache", tool(None, true))];
    let mut shell = stage("shell", "cargo", &["lib", "lib-gather | lib"], "");
    shell.common.when = false;
    let from = Text::parse("${lib.out}/lib/libsqlite3.so").unwrap();
    let output = OutputDecl { from, unless_slower: Some("compare".into()) };
    Pipeline {
        name: "demo".into(),
        description: "SQLite, optimised.".into(),
        file: "shipped with optbuild".into(),
        vars: vars.map(|(name, var)| (name.to_owned(), var)).into_iter().collect(),
        tools: tools.map(|(name, tool)| (name.to_owned(), tool)).into_iter().collect(),
        stages: vec![
            stage("lib", "cmake", &[], "The library, instrumented."),
            stage("lib-gather", "gather", &["lib"], "Its profiles."),
            shell,
        ],
        outputs: [("lib/libsqlite3.so".to_owned(), output)].into(),
        ..Pipeline::default()
    }
}

#[test]
fn a_pipeline() {
    assert_eq!(
        pipeline_table(&pipeline(), &[], look(100)),
        "\
demo
SQLite, optimised.
shipped with optbuild

Variables
  name    type    default   description
  lto     string  thin      Link-time optimisation. One of: off, thin.
  llvm    path    \"\"        Where LLVM is.
  source  path    required
  token   string  ***       Secret.

Tools
  name    version
  clang   >=19
  ccache  any      optional

Stages
  name        kind         depends on             description
  lib         cmake                               The library, instrumented.
  lib-gather  gather       lib                    Its profiles.
  shell       cargo (off)  lib, lib-gather | lib

Outputs
  path               from
  lib/libsqlite3.so  ${lib.out}/lib/libsqlite3.so  unless compare says it is slower
"
    );
}

#[test]
fn long_descriptions_wrap_in_their_column() {
    let mut info = Pipeline { name: "x".into(), stages: pipeline().stages, ..Pipeline::default() };
    info.stages.truncate(2);
    let description = "The library as it comes, instrumented so that each process writes a profile.";
    info.stages[0].common.description = Some(description.into());
    assert_eq!(
        pipeline_table(&info, &[], look(60)),
        "\
x

Stages
  name        kind    depends on  description
  lib         cmake               The library as it comes,
                                  instrumented so that each
                                  process writes a profile.
  lib-gather  gather  lib         Its profiles.
"
    );
}

#[test]
fn a_list() {
    let row = |name: &str, stages, description: &str| Listed {
        name: name.into(),
        origin: "shipped".into(),
        stages,
        description: description.into(),
    };
    assert_eq!(
        list_table(&[row("demo", 12, "SQLite."), row("rustc", 9, "The compiler.")], look(80)),
        "\
pipeline  stages  from     description
demo          12  shipped  SQLite.
rustc          9  shipped  The compiler.
"
    );
}

#[test]
fn a_status() {
    let row = |stage: &str, state, because: &str, done: Option<(f64, i64, u64)>| StatusRow {
        stage: stage.into(),
        state,
        because: Some(because.to_owned()).filter(|because| !because.is_empty()),
        duration: done.map(|done| done.0),
        finished: done.map(|done| Timestamp::from_second(done.1).unwrap()),
        bytes: done.map(|done| done.2),
        profiles: if stage == "lib" { vec!["310 functions, 76 % never run".into()] } else { Vec::new() },
        facts: Vec::new(),
    };
    let rows = [
        row("lib", Outlook::UpToDate, "", Some((65.0, 1_664_892_131, 1 << 20))),
        row("lib-bolt", Outlook::WillRun, "its sources differ", Some((2.5, 1_664_892_191, 512))),
        row("shell", Outlook::DependsOn, "lib-bolt", None),
        row("table", Outlook::Off, "", None),
        row("verify", Outlook::Failed, "", None),
    ];
    assert_eq!(
        status_table(&rows, &TimeZone::UTC, look(100)),
        "\
stage     state                                    took  finished             size
lib       up to date                           1 m 05 s  2022-10-04 14:02  1.0 MiB
lib-bolt  will run because its sources differ     2.5 s  2022-10-04 14:03    512 B
shell     depends on lib-bolt
table     off
verify    failed, tolerated

lib  310 functions, 76 % never run

1 of 4 stages up to date, 1 m 08 s of work, 1.0 MiB
"
    );
}

#[test]
fn artifacts() {
    let row = |output: &str, portable, path: &str| ArtifactRow {
        stage: "lib".into(),
        output: output.into(),
        bytes: 1536,
        files: 1402,
        portable,
        hash: "0123456789abcdef0123".into(),
        held: false,
        path: path.into(),
    };
    let long = format!("/{}", "very-long/".repeat(12));
    assert_eq!(
        artifacts_table(&[row("out", true, "/s/out"), row("build", false, &long)], look(60)),
        format!(
            "\
artifact      size  files                     hash          path
lib.out    1.5 KiB  1,402                     0123456789ab  /s/out
lib.build  1.5 KiB  1,402  fixed to its path  0123456789ab  {long}
"
        )
    );
}

#[test]
fn a_doctors_report() {
    let row =
        |name: &str, found: Option<&str>, version: Option<&str>, requirement: &str, status, remedy: &str| DoctorRow {
            tool: name.into(),
            path: found.map(Into::into),
            version: version.map(str::to_owned),
            requirement: Some(requirement.to_owned()).filter(|requirement| !requirement.is_empty()),
            needed_for: vec!["lib".into()],
            status,
            remedy: Some(remedy.to_owned()).filter(|remedy| !remedy.is_empty()),
            package: None,
        };
    let clang = row("clang", Some("/usr/bin/clang"), Some("22.1.0"), ">=19", Status::Ok, "");
    let bolt = row("llvm-bolt", None, None, "", Status::Missing, "apt-get install bolt-22");
    let merge = row("merge-fdata", None, None, "", Status::Missing, "apt-get install bolt-22");
    let ccache = row("ccache", None, None, "", Status::OptionalMissing, "apt-get install ccache");
    assert_eq!(
        doctor_table(&[clang.clone(), bolt, merge, ccache.clone()], look(100)),
        "\
tool         status             version  required  needed for  found
clang        ok                 22.1.0   >=19      lib         /usr/bin/clang
llvm-bolt    missing                               lib
merge-fdata  missing                               lib
ccache       missing, optional                     lib

What to do
  llvm-bolt, merge-fdata: apt-get install bolt-22
  ccache: apt-get install ccache

2 tools missing or not fit
"
    );
    let mut several = clang.clone();
    several.needed_for = vec!["lib".into(), "shell-on-instrumented".into(), "verify".into()];
    let narrow = doctor_table(&[several], look(60));
    assert!(narrow.contains("lib, +2     /usr/bin/clang\n"), "{narrow}");
    assert!(doctor_table(&[clang, ccache], look(100)).ends_with("\n\neverything that is needed is there\n"));
}

#[test]
fn an_explanation() {
    let difference = |part: &str, old: Option<&str>, new: &str, is_source| Difference {
        part: part.into(),
        kind: match old {
            Some(old) => Change::Changed { old: old.into(), new: new.into() },
            None => Change::Added { new: new.into() },
        },
        is_source,
    };
    let (old, new) = ("a1".repeat(32), "b2".repeat(32));
    let explanation = Explanation {
        stage: "lib".into(),
        state: "will run because its configuration differs".into(),
        differences: vec![
            difference("build-type", Some("Release"), "Debug", false),
            difference("env.CFLAGS", None, "", false),
            difference("tool clang", Some("clang 22.1.0\nTarget: x86_64"), "clang 22.1.1\nTarget: x86_64", false),
            difference("source", Some(&old), &new, true),
        ],
        notes: vec!["lib-gather depends on it".into()],
    };
    assert_eq!(
        explain_text(&explanation, look(100)),
        "\
lib: will run because its configuration differs

the configuration differs: the build directory is wiped first
  build-type  Release -> Debug
  env.CFLAGS  (none) -> \"\"
  tool clang
    - clang 22.1.0
    + clang 22.1.1

sources differ
  source  a1a1a1a1a1a1 -> b2b2b2b2b2b2

lib-gather depends on it
"
    );
    let differences = explanation.differences.into_iter().filter(|difference| difference.is_source).collect();
    let sources = Explanation { differences, notes: vec![], ..explanation };
    assert!(explain_text(&sources, look(100)).contains("\nsources differ: the build directory is kept, "));
}

fn graph() -> Pipeline {
    let [mut lib, mut bolt] = [stage("lib", "cmake", &[], ""), stage("bolt", "bolt", &[], "")];
    [lib.common.workspace, bolt.common.workspace] = [Some("build".into()), Some("build".into())];
    bolt.common.when = false;
    let end = stage("end", "cargo", &["lib | bolt", "gone"], "");
    Pipeline { name: "de\"mo".into(), stages: vec![lib, end, bolt], ..Pipeline::default() }
}

#[test]
fn a_graph_for_graphviz() {
    assert_eq!(
        graph_dot(&graph()),
        r#"digraph "de\"mo" {
  rankdir=LR;
  node [shape=box, fontname="sans-serif"];
  subgraph cluster_0 {
    label="workspace build";
    "lib" [label="lib\ncmake"];
    "bolt" [label="bolt\nbolt", style=dashed, fontcolor=gray];
  }
  "end" [label="end\ncargo"];
  "lib" -> "end";
  "bolt" -> "end" [style=dashed];
}
"#
    );
}

#[test]
fn a_graph_for_mermaid() {
    assert_eq!(
        graph_mermaid(&graph()),
        r#"flowchart LR
  subgraph w0["workspace build"]
    s0["lib<br/>cmake"]
    s2["bolt<br/>bolt"]:::off
  end
  s1["end<br/>cargo"]
  s0 --> s1
  s2 -.-> s1
  classDef off stroke-dasharray: 4 4,color:#888
"#
    );
}
