//! `plan --shell`: the script is read by bash, and does what the plan says with plain tools.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use super::support::{pipeline, plans};
use crate::support::dir::{Dir, LIBRARY, LLVM, PROGRAM};
use optbuild::pipeline::{VarType, VarValue, Variable};
use optbuild::plan::ops::PutInPlace;
use optbuild::plan::shell::{Environment, script};
use optbuild::plan::{Arg, Part, StagePlan, Step, Symbol};

const ENVIRONMENT: Environment =
    Environment { base: &["PATH", "HOME", "LC_*", "TMPDIR"], secret: &["_TOKEN", "_PASSWORD"] };

/// Pipes it into bash, as a user does.
fn bash(script: &str, args: &[&str], env: &[(&str, &str)]) -> Output {
    let path = format!("{LLVM}:{}", std::env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    command.args(["-s", "--"]).args(args).env("PATH", path).envs(env.iter().copied());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// PGO of a program and of a library, then BOLT of the library in its tree.
fn mini(source: &str) -> String {
    format!(
        r#"
[outputs]
"lib/libw.so" = "${{final.file}}"
profile = "${{train.profile}}"
tree = "${{missing.out | final.out}}"

[[stage]]
name = "instr-pgo"
kind = "command"
description = "A program that writes profiles"
run = "cp '{source}'/*.c . && clang -O2 -fprofile-generate lib.c main.c -o prog"
shell = true
outputs = {{ prog = "${{self.build}}/prog" }}

[[stage]]
name = "train"
kind = "gather"
instrumented = "${{instr-pgo.prog}}"
balance = false
workloads = [
  {{ name = "n[level=1]", run = ["${{instr-pgo.prog}}", "30"] }},
  {{ name = "it's", run = "'${{instr-pgo.prog}}' 500; exit 3", shell = true, keep-profiles = true }},
]

[[stage]]
name = "tree"
kind = "command"
shell = true
run = '''
mkdir -p "${{self.out}}/lib" "${{self.out}}/bin"
clang -O2 "-fprofile-use=${{train.profile}}" -Wno-profile-instr-unprofiled -fuse-ld=lld -shared -fPIC "{source}/lib.c" \
  -o "${{self.out}}/lib/libw.so" -Wl,--emit-relocs
clang -O2 "{source}/main.c" -o "${{self.out}}/bin/main" "-L${{self.out}}/lib" -lw '-Wl,-rpath,$ORIGIN/../lib'
'''
outputs = {{ so = "lib/libw.so" }}

[[stage]]
name = "instr"
kind = "bolt"
action = "instrument"
input = "${{tree.so}}"
within = "${{tree.out}}"
slots = 2

[[stage]]
name = "gather"
kind = "gather"
instrumented = "${{instr.file}}"
workloads = [{{ name = "a", run = "${{instr.out}}/bin/main 900" }}, {{ name = "b", run = "${{instr.out}}/bin/main 7" }}]

[[stage]]
name = "final"
kind = "bolt"
action = "optimize"
input = "${{tree.so}}"
within = "${{tree.out}}"
profile = "${{gather.profile}}"

[[stage]]
name = "smoke"
kind = "verify"
tests = [{{ name = "run", run = "${{final.out}}/bin/main 1000", same-as = "${{tree.out}}/bin/main 1000" }}]
"#
    )
}

#[test]
fn a_whole_pipeline_runs_as_a_script() {
    let dir = Dir::new();
    let source = dir.join("a source");
    dir.write("a source/lib.c", LIBRARY);
    dir.write("a source/main.c", PROGRAM);
    let pipeline = pipeline(&mini(source.as_str()));
    let text = script(&pipeline, &plans(&pipeline), ENVIRONMENT);
    assert!(!text.contains("OPTBUILD"), "plain tools are enough:\n{text}");

    let out = dir.join("the output");
    let output = bash(&text, &[out.as_str()], &[]);
    assert!(output.status.success(), "{}\n{text}", stderr(&output));
    let sections = dir.sh(&format!("llvm-readelf -SW '{out}/lib/libw.so'"));
    assert!(String::from_utf8_lossy(&sections.stdout).contains(".note.bolt_info"));
    // The multiples of 7 below 30 and 500.
    let shown = dir.sh(&format!("llvm-profdata show '{out}/profile'"));
    assert!(String::from_utf8_lossy(&shown.stdout).contains("Maximum function count: 77\n"), "{shown:?}");
    let ran = dir.sh(&format!("'{out}/tree/bin/main' 1000"));
    assert!(String::from_utf8_lossy(&ran.stdout).trim().parse::<i64>().is_ok());
}

/// A plan of one stage with these steps.
fn one(steps: Vec<Step>) -> (optbuild::pipeline::Pipeline, Vec<StagePlan>) {
    let pipeline = pipeline("[[stage]]\nname = \"s t\"\nkind = \"command\"\nrun = \"x\"\n");
    let plan = StagePlan { stage: "s t".into(), steps, ..StagePlan::default() };
    (pipeline, vec![plan])
}

fn command(argv: Vec<Arg>) -> Step {
    let command = optbuild::plan::Command { argv, cwd: Symbol::Build.into(), ..Default::default() };
    Step::command("run", command)
}

#[test]
fn words_arrive_as_they_are() {
    let dir = Dir::new();
    let odd = ["", " ", "it's", "a\"b", "$HOME `x` \\", "*", "a\nb", "-n", "!x", "~", "é"];
    let mut argv: Vec<Arg> = vec!["printf".into(), "%s|".into()];
    argv.extend(odd.map(Arg::from));
    argv.push(Arg::from("build=").with(Symbol::Build).join("it's *"));
    let (pipeline, plans) = one(vec![command(argv)]);
    let output = bash(&script(&pipeline, &plans, ENVIRONMENT), &[dir.path().as_str()], &[]);
    let build = dir.path().canonicalize_utf8().unwrap().join(".work/stages/s t/build/it's *");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        format!("{}|build={build}|", odd.join("|")),
        "{}",
        stderr(&output)
    );
}

#[test]
fn commands_see_the_base_environment_only() {
    let dir = Dir::new();
    let (pipeline, plans) = one(vec![command(vec!["env".into()]), command(vec!["cat".into()])]);
    let env = [("LC_ALL", "C"), ("LC_TOKEN", "x"), ("CFLAGS", "-g")];
    let output = bash(&script(&pipeline, &plans, ENVIRONMENT), &[dir.path().as_str()], &env);
    let seen = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(seen.contains("LC_ALL=C\n") && seen.contains("PATH="), "{seen}");
    assert!(!seen.contains("TOKEN") && !seen.contains("CFLAGS"), "{seen}");
}

#[test]
fn the_first_error_ends_it() {
    let dir = Dir::new();
    let steps = vec![command(vec!["false".into()]), command(vec!["echo".into(), "reached".into()])];
    let (pipeline, plans) = one(steps);
    let output = bash(&script(&pipeline, &plans, ENVIRONMENT), &[dir.path().as_str()], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"");
    let usage = bash(&script(&pipeline, &plans, ENVIRONMENT), &[], &[]);
    assert_eq!(usage.status.code(), Some(2));
    assert!(stderr(&usage).contains("usage:"));
}

#[test]
fn secrets_come_from_the_environment() {
    let dir = Dir::new();
    let secret = Arg::part(Part::Secret { name: "api-key".into(), value: "hunter2".into() });
    let (mut pipeline, plans) = one(vec![command(vec!["echo".into(), secret])]);
    let variable = Variable {
        value: VarValue::String("hunter2".into()),
        kind: VarType::String,
        default: None,
        choices: Vec::new(),
        secret: true,
        given: None,
        description: String::new(),
    };
    pipeline.vars.insert("api-key".into(), variable);
    let text = script(&pipeline, &plans, ENVIRONMENT);
    assert!(!text.contains("hunter2"));
    let output = bash(&text, &[dir.path().as_str()], &[("OPTBUILD_VAR_API_KEY", "from outside")]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "from outside\n");
    assert!(stderr(&bash(&text, &[dir.path().as_str()], &[])).contains("OPTBUILD_VAR_API_KEY"));
}

#[test]
fn what_plain_tools_cannot_do_calls_optbuild() {
    let dir = Dir::new();
    let out = Arg::from(Symbol::Out);
    let (pipeline, plans) = one(vec![Step::op(
        "place",
        PutInPlace {
            file: out.clone(),
            target: out.clone(),
            links_below: out.clone(),
            keep_original: true,
            origin_outside: vec![out],
            built_by: None,
        },
    )]);
    let text = script(&pipeline, &plans, ENVIRONMENT);
    let output = bash(&text, &[dir.path().as_str()], &[("OPTBUILD", "echo")]);
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("op put-in-place --file /"), "{}", stderr(&output));
    assert!(stderr(&bash(&text, &[dir.path().as_str()], &[("OPTBUILD", "/nowhere")])).contains("set OPTBUILD"));
}

/// Two workloads whose names are one as names of files.
#[test]
fn every_workload_has_a_directory_of_its_own() {
    let stages = r#"
[[stage]]
name = "train"
kind = "gather"
instrumented = "/program"
workloads = [{ name = "a/b", run = "x" }, { name = "a_b", run = "x" }, { name = "c", run = "x" }]
"#;
    let pipeline = pipeline(stages);
    let text = script(&pipeline, &plans(&pipeline), ENVIRONMENT);
    let moved = text.lines().filter_map(|line| line.split_once("mv \"$attempt\" \"$committed\"/"));
    assert_eq!(moved.map(|(_, name)| name).collect::<Vec<_>>(), ["a_b", "a_b_2", "c"]);
}
