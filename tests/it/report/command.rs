//! `optbuild report` and `optbuild history` on real runs.

use crate::support::{Ran, Test, stage};
use optbuild::event::Event;
use optbuild::report::RunModel;
use optbuild::report::model::past;
use optbuild::state::journal;
use optbuild::state::layout::Layout;
use serde_json::Value;

fn report(test: &Test, words: &str) -> Value {
    test.cmd(&format!("report {words} --format json")).ok().json()
}

fn named<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["stages"].as_array().unwrap().iter().find(|stage| stage["name"] == name).unwrap()
}

fn two() -> Test {
    let keys = "outputs = { file = 'file' }";
    Test::new([
        "[vars]\nsize = '1000'\n".to_owned(),
        stage("first", keys, "echo one > ${self.out}/file"),
        stage("second", keys, "cat ${first.file} > ${self.out}/file; head -c ${size} /dev/zero >> ${self.out}/file"),
    ])
}

#[test]
fn the_forms_and_where_they_go() {
    let test = two();
    let _ = test.run("").ok();
    let path = test.cmd("report").ok().stdout;
    let page = path.trim().replace("[DIR]/", "");
    assert!(page.starts_with(".optbuild/runs/") && page.ends_with("/report.html"), "{page}");
    assert!(test.read(&page).starts_with("<!DOCTYPE html>"));

    let _ = test.cmd("report -o out/r.html").ok().silent();
    assert_eq!(test.read("out/r.html"), test.read(&page));
    let md = test.cmd("report --format md").ok().out("### ✅ optbuild: p\n").stdout;
    let _ = test.cmd("report -o r.md").ok().silent();
    assert_eq!(test.read("r.md").replace(test.dir.as_str(), "[DIR]"), md);
    assert_eq!(test.cmd("report -o - --format md").ok().stdout, md);
    let _ = test.cmd("report -o r.json").ok().silent();
    assert_eq!(serde_json::from_str::<Value>(&test.read("r.json")).unwrap()["run"]["outcome"], "done");
    let _ = test.cmd("report --trace t.json").ok().silent();
    let trace: Value = serde_json::from_str(&test.read("t.json")).unwrap();
    assert!(trace["traceEvents"].as_array().unwrap().iter().any(|event| event["name"] == "second"));
    assert_eq!(test.cmd("report --schema").ok().json()["title"], "Report");
}

#[test]
fn what_was_up_to_date_is_of_the_run_that_made_it() {
    let test = two();
    let _ = test.run("").ok();
    let first = report(&test, "");
    let _ = test.run("--set size=2000").ok().ran("second");
    let second = report(&test, "");
    let of = named(&second, "first");
    assert_eq!((&of["state"], &of["made"]["run"]), (&"up-to-date".into(), &first["run"]["id"]));
    assert_eq!(of["outputs"], named(&first, "first")["outputs"]);
    assert_eq!(second["run"]["saved"], of["made"]["duration"]);
    assert!(of["made"]["duration"].as_f64().unwrap() <= named(&first, "first")["duration"].as_f64().unwrap());
    assert_eq!(report(&test, "last~1")["run"], first["run"]);
    assert_eq!(report(&test, first["run"]["id"].as_str().unwrap())["run"], first["run"]);
}

#[test]
fn what_became_larger_from_run_to_run() {
    let test = two();
    let _ = test.cmd("history").code(2).err("nothing was run here");
    let _ = test.run("").ok();
    let _ = test.run("--set size=3000").ok();
    let rows = test.cmd("history --json").ok().json();
    let done: Vec<(&Value, &Value)> =
        rows.as_array().unwrap().iter().map(|row| (&row["done"], &row["up-to-date"])).collect();
    assert_eq!(done, [(&2.into(), &0.into()), (&1.into(), &1.into())]);
    let _ = test.cmd("history").ok().out("up to date");

    // 4 bytes of the first stage, and 1000 and 3000.
    let diff = test.cmd("history diff --json").ok().json();
    let size = diff["changes"].as_array().unwrap().iter().find(|change| change["quantity"] == "size").unwrap();
    assert_eq!((&size["before"], &size["after"]), (&1004.0.into(), &3004.0.into()));
    assert_eq!((&size["stage"], &size["name"], &size["verdict"]), (&"second".into(), &"file".into(), &"more".into()));
    let _ = test.cmd("history diff").ok().out("size of file").out("1004 B").out("2.9 KiB").out("+199 %");
    let _ = test.cmd("history diff last last").ok().out("nothing became slower or larger");
    let _ = test.cmd("history diff nonsense").code(2).err("there is no run `nonsense`");
    let _ = test.cmd("report last~7").code(2).err("there is no run `last~7`: there are 2 runs");
    let _ = test.cmd("history -n 0").ok().silent();
    assert_eq!(test.cmd("history -n 0 --json").ok().json(), serde_json::json!([]));
    test.sh("rm -r .optbuild/runs/*");
    let _ = test.cmd("history").code(2).err("nothing was run yet");
    let _ = test.run("--force").ok();
    let _ = test.cmd("report last~1").code(2).err("there is no run `last~1`: there is 1 run;");
}

/// On the page of a job nobody has another form at hand.
#[test]
fn markdown_has_commands_variables_and_sizes_folded_away() {
    let test = two();
    let _ = test.run("").ok();
    test.change("cat ${first.file} >", "(cat ${first.file}; head -c 502 /dev/zero) >");
    let _ = test.run("--force").ok().ran("first second");
    let (json, md) = (report(&test, ""), test.cmd("report --format md").ok().stdout);
    let (open, folded) = md.split_once("<details>").unwrap();
    for name in ["first", "second"] {
        let command = named(&json, name)["steps"][0]["command"].as_str().unwrap().replace(test.dir.as_str(), "[DIR]");
        let text = format!("<summary>What {name} did</summary>\n\nIt ran because ");
        assert!(folded.contains(&text) && folded.contains(&format!("```sh\n# run\n{command}\n```\n")), "{md}");
        assert!(!open.contains(&command), "{open}");
    }
    // 1004 bytes, and half as many more.
    assert!(folded.contains("| output | before | now | change |"), "{md}");
    assert!(folded.contains("| second.file | 1004 B | 1.5 KiB | +50 % |\n"), "{md}");
    assert!(folded.contains("| first.file | 4 B | 4 B | ±0 % |\n"), "{md}");
    assert!(folded.contains("<summary>This run</summary>\n\n```sh\noptbuild run p.toml --force\n```\n"), "{md}");
    assert!(folded.contains("- in [DIR]\n- pipeline [DIR]/p.toml\n"), "{md}");
    assert!(folded.contains("| variable | value |\n|:--|:--|\n| size | 1000 |\n"), "{md}");
    // Each section is one that the summary of a job can leave out.
    let (opened, closed) = (md.matches("\n<details>").count(), md.matches("\n</details>\n").count());
    assert_eq!(opened, closed);
    assert!(md.split("\n</details>\n").all(|part| part.matches("\n<details>").count() <= 1), "{md}");
}

/// Figures are held against those of the same pipeline with the same variables; who names two runs gets what was asked for, and
/// is told.
#[test]
fn what_is_compared_is_alike() {
    let test = two();
    let keys = "outputs = { file = 'file' }";
    test.write("q.toml", &stage("second", keys, "head -c 500 /dev/zero > ${self.out}/file"));
    let _ = test.cmd("history diff").code(2);
    let _ = test.run("").ok();
    let _ = test.cmd("history diff").code(2).err("is the first run of the pipeline p ([DIR]/p.toml)");
    let first = report(&test, "");
    assert_eq!(first["run"]["variables"], serde_json::json!({"size": "1000"}));

    let _ = test.run("--set size=3000").ok().ran("second").no_err("change");
    let second = report(&test, "");
    assert_eq!(named(&second, "second")["before"], Value::Null);
    assert_eq!(named(&second, "second")["outputs"][0]["earlier"], serde_json::json!([]));
    let diff = test.cmd("history diff").ok().out("\nrun with another size: 1000 → 3000\n\nstage").out("+199 %");
    let head = format!("{} → {}\n", first["run"]["id"].as_str().unwrap(), second["run"]["id"].as_str().unwrap());
    assert!(diff.stdout.starts_with(&head), "{}", diff.stdout);
    let json = test.cmd("history diff --json").ok().json();
    let variable = serde_json::json!([{"name": "size", "before": "1000", "after": "3000"}]);
    assert_eq!((&json["other-variables"], &json["other-pipelines"]), (&variable, &Value::Null));

    // The same stages by another pipeline.
    let _ = test.cmd("run q.toml").ok().ran("second").no_err("change").no_err("the last time");
    assert_eq!(named(&report(&test, ""), "second")["before"], Value::Null);
    let _ = test.cmd("history diff").code(2).err("is the first run of the pipeline q ([DIR]/q.toml)");
    let pipelines = "different pipelines: p ([DIR]/p.toml) → q ([DIR]/q.toml)";
    let _ = test.cmd("history diff last~1 last").ok().out(pipelines).out("2.9 KiB").out("500 B").no_out("another");

    // Like the first run, but for what the pipeline does: 1004 bytes became 1006.
    test.change("cat ${first.file} >", "(cat ${first.file}; echo x) >");
    let _ = test.run("").ok().ran("second").err("file +2 B");
    let last = report(&test, "");
    assert_eq!(named(&last, "second")["before"]["run"], first["run"]["id"]);
    assert_eq!(named(&last, "second")["outputs"][0]["earlier"][0]["bytes"], 1004);
    let _ = test
        .cmd("history diff")
        .ok()
        .out(second["run"]["id"].as_str().unwrap())
        .out("run with another size: 3000 → 1000");
}

/// What a run needs of earlier ones stands in records: their journals, which grow by a line for each second, are not read before its first
/// stage begins.
#[test]
fn what_a_run_needs_of_earlier_ones_does_not_take_reading_their_journals() {
    let test = two();
    let _ = test.run("").ok();
    let layout = Layout::new(test.path(".optbuild"));
    let run = journal::runs(&layout).unwrap().remove(0);
    let first = std::fs::read_to_string(layout.journal(&run)).unwrap();
    let sampled = "{\"time\":\"2026-01-01T00:00:00Z\",\"event\":\"sampled\",\"trees\":[]}\n".repeat(10_000);
    for number in 0..20 {
        // Before the real one, by their names.
        let name = format!("20200101-0000{number:02}-0000");
        std::fs::create_dir(layout.run(&name)).unwrap();
        std::fs::write(layout.journal(&name), format!("{}{sampled}", first.replace(run.as_str(), &name))).unwrap();
    }
    std::fs::write(layout.journal(&run), format!("{first}{sampled}")).unwrap();
    let mut begun = journal::first(&layout.journal(&run)).unwrap().unwrap();
    if let Event::RunStarted { run, .. } = &mut begun.event {
        *run = "20990101-000000-0000".into();
    }
    let read = || -> u64 {
        let counted = std::fs::read_to_string("/proc/thread-self/io").unwrap();
        counted.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
    };
    let before = read();
    let took = past::latest(&layout, &RunModel::of([&begun])).unwrap().took();
    let read = read() - before;
    assert_eq!(took.keys().collect::<Vec<_>>(), ["first", "second"]);
    assert!(read < sampled.len() as u64 / 2, "{read} bytes were read, a journal has {}", sampled.len());

    // Where a record is gone, runs say it.
    std::fs::remove_file(layout.name("second")).unwrap();
    let again = past::latest(&layout, &RunModel::of([&begun])).unwrap().took();
    assert_eq!((again["first"], again.len()), (took["first"], 2));
}

#[test]
fn failures_are_in_it_and_secrets_are_not() {
    let test = Test::new([
        "[vars]\ntoken = { type = 'string', default = '', secret = true }\n".to_owned(),
        stage("s", "", "echo the token is ${token}; echo 'and </script><b>'; exit 3"),
    ]);
    let test = test.env("OPTBUILD_VAR_TOKEN", "hunter2hunter2");
    let failed: Ran = test.run("").code(1);
    assert!(!failed.stderr.contains("hunter2"), "{}", failed.stderr);
    let json = report(&test, "");
    let failure = &named(&json, "s")["failure"];
    assert_eq!(failure["what"], "exited with status 3");
    assert_eq!(failure["tail"], serde_json::json!(["the token is ***", "and </script><b>"]));
    let _ = test.cmd("report -o r.html").ok().silent();
    let _ = test.cmd("report --trace t.json -o r.md").ok().silent();
    for file in ["r.html", "r.md", "t.json"] {
        let text = test.read(file);
        assert!(!text.contains("hunter2"), "{file}: {text}");
    }
    assert!(test.read("r.html").contains("the token is ***\nand &lt;/script&gt;&lt;b&gt;"));
    assert!(!test.read("r.html").contains("</script><b>"));
}

#[test]
fn what_commands_use_is_looked_at_while_they_run() {
    let test = Test::new([stage("busy", "", "busy")]);
    // Until it was looked at, as it can tell by the journal.
    let journal = test.path(".optbuild/runs/*/journal.jsonl");
    let looked = format!("grep -q '\"sampled\"' {journal}");
    test.program("busy", &format!("i=0; until {looked} || [ $i = 6000 ]; do i=$((i+1)); done"));
    let _ = test.run("").ok();
    test.sh("grep sampled .optbuild/runs/*/journal.jsonl > sampled");
    let event: Value = serde_json::from_str(test.read("sampled").lines().next().unwrap()).unwrap();
    let tree = &event["trees"][0];
    assert_eq!((&tree["stage"], &tree["step"]), (&"busy".into(), &"run".into()));
    assert!(tree["cpu"].as_f64().unwrap() > 0.0 && tree["memory"].as_u64().unwrap() > 100_000, "{tree}");
    let json = report(&test, "");
    let cores = json["timeline"]["cores"].as_array().unwrap().iter().map(|cores| cores.as_f64().unwrap());
    let sum = cores.sum::<f64>() * json["timeline"]["step"].as_f64().unwrap();
    let cpu = json["run"]["cpu"].as_f64().unwrap();
    assert!((sum - cpu).abs() < 1e-6, "{sum} {cpu}");
}

#[test]
fn the_summary_of_a_github_job_is_the_report() {
    let test = two();
    let summary = test.path("summary.md");
    let test = test.env("GITHUB_STEP_SUMMARY", summary.as_str());
    let _ = test.run("").ok();
    let md = test.cmd("report --format md").ok().stdout;
    assert_eq!(test.read("summary.md").replace(test.dir.as_str(), "[DIR]"), md);
}

#[test]
fn a_summary_that_cannot_be_written_is_worth_a_warning() {
    let test = two().env("GITHUB_STEP_SUMMARY", "/proc/nope");
    let _ = test.run("").ok().ran("first second").err("WARN").err("the step summary cannot be written to /proc/nope");
    let _ = test.cmd("report --format md").ok().out("done: 2 stages");
    test.change("echo one", "exit 7; echo one");
    let _ = test.run("").code(1).err("the step summary cannot be written to /proc/nope");
}

#[test]
fn tools_are_named_with_their_versions() {
    let test = two();
    let _ = test.run("").ok();
    let json = report(&test, "");
    for tool in json["tools"].as_array().unwrap() {
        assert!(tool["path"].as_str().unwrap().starts_with('/'), "{tool}");
    }
    let commands: Vec<&Value> =
        json["stages"].as_array().unwrap().iter().map(|stage| &stage["steps"][0]["command"]).collect();
    assert!(commands.iter().all(|command| command.as_str().unwrap().starts_with("cd ")), "{commands:?}");
}

#[test]
fn a_run_under_way_is_said_to_be_running() {
    let test = Test::new([
        stage("first", "", "true"),
        stage("second", "needs = ['first']", "mark in-it; gate g"),
        stage("third", "needs = ['second']", "true"),
    ]);
    let run = test.start("");
    run.wait_for("in-it");
    let verdict = "still running: second; 1 done, 1 not started (";
    let _ = test.cmd("report --format md").ok().out("### ⏳ optbuild: p\n").out(verdict).out("| second | running |");
    let json = report(&test, "");
    assert_eq!((&json["run"]["running"], &json["run"]["outcome"]), (&true.into(), &"unfinished".into()));
    assert!(json["run"]["verdict"].as_str().unwrap().starts_with(verdict), "{json}");
    let _ = test.cmd("report -o r.html").ok().silent();
    let page = test.read("r.html");
    assert!(page.contains("<title>p: still running · optbuild</title>") && !page.contains("not finished"), "{page}");
    let _ = test.cmd("history").ok().out("still running");
    assert_eq!(test.cmd("history --json").ok().json()[0]["running"], true);

    // Nobody can write its end.
    run.kill();
    let _ = run.end().code(-1);
    let _ = test.cmd("report --format md").ok().out("ended without a result; `optbuild resume` continues");
    assert_eq!(report(&test, "")["run"]["running"], false);
    let _ = test.cmd("history").ok().out("not finished");

    test.open("g");
    let _ = test.cmd("resume").ok().ran("second in-it third");
    assert_eq!(report(&test, "")["run"]["running"], false);
    let _ = test.cmd("report --format md").ok().out("done: 2 stages");
}
