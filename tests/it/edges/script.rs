//! Paths in scripts: a shell reads exactly the path, wherever it stands in the script, and runs nothing of it.
//!
//! What is right is said by the shells of this machine, `sh` and `bash`.

use std::collections::BTreeMap;
use std::process::Command;

use optbuild::compare::request::{Build, Workload};
use optbuild::compare::result::SideKind;
use optbuild::pipeline::{self, Text};
use optbuild::text::script::{Piece, join};

use crate::support::dir::Dir;
use crate::support::{Test, stage};

/// Values that a shell takes apart, or runs.
const ODD: [&str; 14] = [
    "/a b",
    "/it's",
    "/a\"b",
    "/a`touch pwned`b",
    "/$(touch pwned)",
    "/${HOME}$x$",
    "/a\\b\\",
    "/a; touch pwned; echo",
    "/a}b{c",
    "/#a",
    "/é ü",
    "/'\"`$(touch pwned)\\ '\"",
    "/a*[b]?",
    "/a\n touch pwned\n",
];

/// Scripts that print the value which stands at `@`.
const SCRIPTS: [&str; 25] = [
    "printf %s @",
    "printf %s \"@\"",
    "printf %s '@'",
    "value=@; printf %s \"$value\"",
    "value=\"@\"\nprintf %s \"$value\"",
    "printf %s @ > /dev/null && printf %s \"@\"",
    "echo 'it'\"'\"'s' \"a 'b\" > /dev/null; printf %s '@'",
    "echo \"a # b\" \\\" \\' > /dev/null; printf %s @",
    "echo $# a#b > /dev/null # it's\nprintf %s \"@\"",
    "x=$(printf '%s.' @); printf %s \"${x%.}\"",
    "x=\"$(printf '%s.' \"@\")\"; printf %s \"${x%.}\"",
    "x=$(case \"a)\" in b) echo no ;; (c) echo no ;; *) printf '%s.' '@' ;; esac); printf %s \"${x%.}\"",
    "x=\"$(if true; then (printf '%s.' @); fi)\"; printf %s \"${x%.}\"",
    "print() { printf %s \"$1\"; }; print @",
    "for value in @ ; do printf %s \"$value\"; done",
    "case @ in \"@\") printf %s '@' ;; esac",
    "if [ \"$((1 << 2))\" = 4 ]; then printf %s @; fi",
    "echo `echo \"a b\"` > /dev/null; printf %s \"@\"",
    "printf %s ${none:-@}",
    "printf %s \"${none:-@}\"",
    "printf %s \"${none:-\"@\"}\"",
    "cat <<END | head -c -1\n@\nEND",
    "cat <<'END' | head -c -1\n@\nEND",
    "cat > /dev/null <<A; cat <<-\"B C\" | head -c -1\n$((1 + 1)) it's\nA\n\t@\n\tB C\n",
    "# @ it's\nprintf %s '@'",
];

fn written(script: &str, value: &str) -> Option<String> {
    let mut pieces = Vec::new();
    for (index, text) in script.split('@').enumerate() {
        pieces.extend((index > 0).then_some(Piece::Value { text: value, name: "value" }));
        pieces.push(Piece::Text(text));
    }
    join(&pieces).ok()
}

#[test]
fn a_shell_reads_exactly_the_value() {
    let dir = Dir::new();
    for (script, value) in SCRIPTS.iter().flat_map(|script| ODD.map(|value| (*script, value))) {
        let Some(text) = written(script, value) else {
            // What has no way to be written there.
            let lines = value.contains('\n') && (script.contains("<<") || script.contains("# @"));
            let pattern = value.contains(['*', '\'']) && script.contains("\"${none:-@}\"");
            assert!(lines || pattern, "{value:?} in {script:?}");
            continue;
        };
        for shell in ["sh", "bash"] {
            let mut command = Command::new(shell);
            let output = command.args(["-eu", "-c", &text]).current_dir(dir.path()).output().unwrap();
            let printed = String::from_utf8_lossy(&output.stdout).into_owned();
            assert_eq!(printed, value, "{shell}: {text}\n{}", String::from_utf8_lossy(&output.stderr));
        }
    }
    assert!(!dir.join("pwned").exists());
}

#[test]
fn harmless_values_are_put_in_as_they_are() {
    for script in SCRIPTS {
        assert_eq!(written(script, "/a-b_c.d/x=1,2:3@+%").unwrap(), script.replace('@', "/a-b_c.d/x=1,2:3@+%"));
    }
    // Also where another one would be refused.
    assert_eq!(written("echo `cat @` \\@ 'open", "/a").unwrap(), "echo `cat /a` \\/a 'open");
}

#[test]
fn what_cannot_be_written_is_refused() {
    for script in ["echo `cat @`", "echo \\@", "echo $((@))", "echo $@", "echo 'open @", "echo $'a' @", "cat <<@\nx\n"]
    {
        assert_eq!(written(script, "/a b"), None, "{script}");
    }
}

/// Blanks, quotes, and what would be run.
const DIRECTORY: &str = "it's a `touch pwned` \"$(touch pwned)\" $x";

fn pipeline() -> String {
    let scripts = [
        ("bare", "echo one > ${self.out}/text; cat ${pipeline.dir}/given >> ${self.out}/text"),
        ("double", "cat \"${bare.text}\" > \"${self.out}/text\""),
        ("single", "cp '${double.text}' '${self.out}/text'"),
        ("inner", "x=\"$(cat \"${single.text}\")\"; echo \"$x ${jobs}\" > ${self.out}/text"),
    ];
    let stages = scripts.map(|(name, script)| stage(name, "jobs = 1\noutputs = { text = \"text\" }", script));
    format!("[outputs]\ntext = \"${{inner.text}}\"\n{}", stages.concat())
}

#[test]
fn a_pipeline_works_in_a_directory_of_any_name() {
    let test = Test::new(["# elsewhere"]);
    for dir in [DIRECTORY, "plain"] {
        test.write(&format!("{dir}/q.toml"), &pipeline());
        test.write(&format!("{dir}/given"), "two\n");
        test.cmd_in(dir, "run q.toml").runs("bare double single inner");
        assert_eq!(test.read(&format!("{dir}/out/q/text")), "one\ntwo 1\n");
    }
    let pwned = walkdir::WalkDir::new(&test.dir).into_iter().any(|entry| entry.unwrap().file_name() == "pwned");
    assert!(!pwned);
    // Where it lies is no part of what it is.
    let fingerprints = |dir: &str| test.fingerprints(&format!("{dir}/.optbuild"));
    assert_eq!(fingerprints(DIRECTORY), fingerprints("plain"));
}

/// The same with `plan --shell`, whose directories are known when it runs.
#[test]
fn a_script_of_the_plan_works_in_a_directory_of_any_name() {
    let test = Test::new(["# elsewhere"]);
    test.write(&format!("{DIRECTORY}/q.toml"), &pipeline());
    test.write(&format!("{DIRECTORY}/given"), "two\n");
    let script = test.cmd_in(DIRECTORY, "plan q.toml --shell").ok().stdout.replace("[DIR]", test.dir.as_str());
    test.write(&format!("{DIRECTORY}/script"), &script);
    let bash = Command::new("bash").args(["script", "to"]).current_dir(test.path(DIRECTORY)).output();
    let bash = bash.unwrap();
    assert!(!bash.status.success(), "the stages call `mark`, which is not there");
    let path = format!("{}:{}", test.aside.join("bin"), std::env::var("PATH").unwrap());
    let bash = Command::new("bash").args(["script", "to"]).env("PATH", path).current_dir(test.path(DIRECTORY)).output();
    let bash = bash.unwrap();
    assert!(bash.status.success(), "{}\n{script}", String::from_utf8_lossy(&bash.stderr));
    let made = test.read(&format!("{DIRECTORY}/to/text"));
    assert!(made.starts_with("one\ntwo "), "{made}");
    assert!(!test.exists(&format!("{DIRECTORY}/pwned")));
}

#[test]
fn a_script_that_cannot_hold_the_path_is_refused_before_anything_runs() {
    let test = Test::new(["# elsewhere"]);
    let stages = [stage("a", "", ""), stage("b", "", "echo `cat ${a.out}/x`")];
    test.write("a b/q.toml", &stages.concat());
    let _ = test.cmd_in("a b", "run q.toml").code(2).ran("").err("between backquotes").err("`env`");
    test.write("plain/q.toml", &stages.concat());
    test.cmd_in("plain", "run q.toml").runs("a b");
}

#[test]
fn a_directory_outside_of_the_stage_is_never_made() {
    let run =
        |cwd: &str| Test::new([format!("[[stage]]\nname = 'a'\nkind = 'command'\nrun = 'true'\ncwd = '{cwd}'\n")]);
    for cwd in ["${self.build}/../../../../x", "${self.build}/a/../../../../../x", "${self.out}/.."] {
        let test = run(cwd);
        let _ = test.run("").code(2).err("leads out of the directory");
        assert!(!test.exists("x"));
    }
    let _ = run("${self.build}/a/b").run("").ok();
    // By a link that the stage itself has made.
    let script = "ln -s ../../../.. ${self.build}/link";
    let keys = "check = [{ run = 'true', cwd = '${self.build}/link/x' }]";
    let test = Test::new([stage("a", keys, script)]);
    let _ = test.run("").code(3).err("does not exist");
    assert!(!test.exists("x"));
}

/// The path of the program takes the place of `{program}`, in words as it is, in a script as the script needs it.
#[test]
fn the_program_of_a_comparison() {
    let build = |path: &str| {
        let kind = SideKind::Program;
        Build::new("one", path.into(), kind, BTreeMap::new())
    };
    let sides = [build("/it's/one"), build("/two")];
    let argv = |words: &[&str]| {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        let workload = Workload::new("w", &words, &BTreeMap::new(), "/".into(), &sides).unwrap();
        (workload.sides[0].argv.clone(), workload.sides[1].argv.clone())
    };
    assert_eq!(argv(&["{program}", "-x", "{program}.c"]).0, ["/it's/one", "-x", "/it's/one.c"]);
    let (one, two) = argv(&["sh", "-eu", "-c", "printf '%s|' {program} '{program}' \"{program}\""]);
    let one = Command::new(&one[0]).args(&one[1..]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&one.stdout), "/it's/one|/it's/one|/it's/one|");
    assert_eq!(two[3], "printf '%s|' /two '/two' \"/two\"");
}

/// Every script of the pipelines that are shipped can hold any path.
#[test]
fn scripts_of_shipped_pipelines() {
    let mut scripts = Vec::new();
    for entry in walkdir::WalkDir::new(concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines")) {
        let entry = entry.unwrap();
        if entry.path().extension().is_some_and(|extension| extension == "toml") {
            let table: toml::Table = std::fs::read_to_string(entry.path()).unwrap().parse().unwrap();
            find_scripts(&table, &mut scripts);
        }
    }
    assert!(scripts.len() >= 3, "{scripts:?}");
    for script in scripts {
        let text = Text::parse(&script).unwrap();
        let mut pieces = Vec::new();
        for piece in &text.pieces {
            match piece {
                pipeline::Piece::Literal(text) => {
                    for (index, text) in text.split("{program}").enumerate() {
                        pieces.extend((index > 0).then_some(Piece::Value { text: ODD[11], name: "program" }));
                        pieces.push(Piece::Text(text));
                    }
                }
                _ => pieces.push(Piece::Value { text: ODD[11], name: "value" }),
            }
        }
        let joined = join(&pieces).unwrap_or_else(|error| panic!("{error}: {script}"));
        let read = Command::new("sh").args(["-n", "-c", &joined]).output().unwrap();
        assert!(read.status.success(), "{joined}: {}", String::from_utf8_lossy(&read.stderr));
    }
}

fn find_scripts(table: &toml::Table, scripts: &mut Vec<String>) {
    if table.get("shell").and_then(toml::Value::as_bool) == Some(true) {
        scripts.extend(table.get("run").and_then(toml::Value::as_str).map(str::to_owned));
    }
    for value in table.values() {
        let items = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        items.iter().filter_map(toml::Value::as_table).for_each(|table| find_scripts(table, scripts));
    }
}
