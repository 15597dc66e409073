//! A profile beside the last one of its stage: less of it is told of, and fails where a stage asks for more.

use camino::Utf8Path;
use optbuild::profile::bundle::{Limits, read};
use optbuild::profile::gathered::Figures;

use crate::support::kill::Project;
use crate::support::kill::gather::{fact, gather, has_steps};
use crate::support::real::sh;

/// Two workloads. What the first one does stands in a file that no fingerprint knows, as an early end of a training would.
fn project(keys: &str, steps: u64) -> Project {
    let project = gather(
        keys,
        &[
            ("main", "", "did main\n${program.loop} $(cat \"$LC_DIR/steps\")\n"),
            ("more", "", "did more\n${program.loop} 3\n"),
        ],
    );
    does(&project, steps);
    project
}

fn does(project: &Project, steps: u64) {
    std::fs::write(project.dir.join("steps"), steps.to_string()).unwrap();
}

/// The sum of all counts, as llvm-profdata says it.
fn total(profile: &Utf8Path) -> u64 {
    let shown = sh(profile.parent().unwrap(), &format!("llvm-profdata show --detailed-summary {profile}"));
    let line = shown.lines().find_map(|line| line.strip_prefix("Total count: "));
    line.unwrap_or_else(|| panic!("{shown}")).trim().parse().unwrap()
}

fn profile(project: &Project) -> camino::Utf8PathBuf {
    project.output("gather", "profile")
}

#[test]
fn a_training_that_ended_early() {
    let project = project("", 600);
    let ended = project.succeed(&["run"]);
    assert!(!ended.output.contains("last profile"), "there is none: {}", ended.output);
    let before = total(&profile(&project));
    sh(&project.dir, &format!("cp {} before.profdata", profile(&project)));

    does(&project, 100);
    let ended = project.succeed(&["run", "--from", "gather"]);
    let now = total(&profile(&project));
    // 103 of 603 steps.
    let share = (now as f64 / before as f64 * 100.0).round();
    assert!((16.0..=19.0).contains(&share), "{now} of {before}");
    for part in [
        format!(
            "beside the last profile: {share} % of the counts, 100 % of the functions that were run, 2 of 2 workloads"
        ),
        format!(
            "warning: the profile has {share} % of the counts of the last one of this stage ({} of {})",
            grouped(now),
            grouped(before)
        ),
        "of what they had counted: `main` ".into(),
    ] {
        assert!(ended.output.contains(&part), "no `{part}` in {}", ended.output);
    }
    let counts = fact(&project, "check-last", "counts-of-last").unwrap();
    assert!((counts - now as f64 / before as f64 * 100.0).abs() < 1e-9, "{counts}");
    for command in ["status", "explain"] {
        let args: &[&str] = if command == "status" { &["status"] } else { &["explain", "gather"] };
        assert!(project.finish(args).output.contains("warning: the profile has"), "{command}");
    }

    let compared = project.finish(&["profile", "diff", "before.profdata", "gather.profile"]).output;
    for (row, base, other) in
        [("sum of counts", grouped(before), grouped(now)), ("functions that were run", "3".into(), "3".into())]
    {
        let line = compared.lines().find(|line| line.contains(row)).unwrap_or_else(|| panic!("no {row} in {compared}"));
        assert!(line.contains(&base) && line.contains(&other), "{line}");
    }

    // Next time that is the last one: it was accepted.
    let ended = project.succeed(&["run", "--from", "gather"]);
    assert!(ended.output.contains("beside the last profile: 100 % of the counts"), "{}", ended.output);
    assert!(!ended.output.contains("warning"), "{}", ended.output);
}

/// `1402` as `1,402`.
fn grouped(number: u64) -> String {
    if number < 1000 { number.to_string() } else { format!("{},{:03}", number / 1000, number % 1000) }
}

#[test]
fn a_workload_that_is_gone_is_named() {
    let project = project("", 50);
    project.succeed(&["run"]);
    let text = std::fs::read_to_string(project.dir.join("pipeline.toml")).unwrap();
    let at = text.rfind("[[stage.workloads]]").unwrap();
    std::fs::write(project.dir.join("pipeline.toml"), &text[..at]).unwrap();
    let ended = project.succeed(&["run"]);
    for part in ["1 of 2 workloads", "warning: the profile has 94 % of the counts", "of 2 workloads without `more`"] {
        assert!(ended.output.contains(part), "no `{part}` in {}", ended.output);
    }
}

#[test]
fn a_stage_can_ask_for_more() {
    let project = project("min-total = \"50%\"\nmin-functions = \"90%\"", 600);
    project.succeed(&["run"]);
    project.work();
    does(&project, 100);
    let ended = project.finish(&["run", "--from", "gather"]);
    assert_eq!(ended.code(), Some(1), "{}", ended.output);
    for part in
        ["% of the counts of the last one", "`min-total` asks for 50% at least", "`optbuild resume` only merges"]
    {
        assert!(ended.output.contains(part), "no `{part}` in {}", ended.output);
    }
    assert!(project.record("gather").is_none());
    assert_eq!(project.work(), ["main", "more"]);
    // What fails is no last profile: that is still the one before. With less asked for, nothing runs again.
    assert_eq!(project.finish(&["resume"]).code(), Some(1));
    let project = project.with("min-total = \"50%\"", "min-total = \"10%\"");
    let ended = project.succeed(&["resume"]);
    assert_eq!(project.work(), [""; 0]);
    assert!(ended.output.contains("warning: the profile has 17 % of the counts"), "{}", ended.output);
    has_steps(&project, 103);
}

/// The figures are in a bundle, and a profile out of it is the last one for who gathers next.
#[test]
fn a_bundle_carries_the_figures() {
    let project = project("", 600);
    project.succeed(&["run"]);
    let before = total(&profile(&project));
    project.succeed(&["profile", "export", "-o", "b.tar.zst"]);
    let bundle = read(std::fs::File::open(project.dir.join("b.tar.zst")).unwrap(), &Limits::default(), None).unwrap();
    let Figures { total_count, functions, functions_run, workloads } = bundle.profiles[0].figures.clone().unwrap();
    assert_eq!((total_count, functions, functions_run), (before, 3, 3));
    let names: Vec<&String> = workloads.keys().collect();
    assert_eq!(names, ["main", "more"]);
    assert_eq!(workloads.values().map(|counted| counted.unwrap()).sum::<u64>(), before);

    let elsewhere = Project::new(&std::fs::read_to_string(project.dir.join("pipeline.toml")).unwrap());
    does(&elsewhere, 100);
    let bundle = project.dir.join("b.tar.zst");
    elsewhere.succeed(&["run", "--profiles", bundle.as_str()]);
    let ended = elsewhere.succeed(&["run"]);
    for part in ["warning: the profile has 17 % of the counts", "of what they had counted: `main` 17 %"] {
        assert!(ended.output.contains(part), "no `{part}` in {}", ended.output);
    }
}

/// Of three processes the one that did the work leaves a damaged profile; the other two are of a small program.
#[test]
fn damage_is_weighed_by_bytes() {
    let script = "raw=$(dirname \"$LLVM_PROFILE_FILE\")\n${program.loop} 4\n${program.loop} 5\n\
                  head -c 60000 /dev/zero > \"$raw/zeros.profraw\"\n";
    let project = gather("max-damaged = \"50%\"", &[("big", "", script)]);
    let ended = project.finish(&["run"]);
    assert_eq!(ended.code(), Some(1), "{}", ended.output);
    // 60,000 bytes beside two of less than a thousand.
    for part in ["1 of 3 profiles are damaged, with 9", "no more than 50% may be"] {
        assert!(ended.output.contains(part), "no `{part}` in {}", ended.output);
    }
    // A file that is no profile has counted nothing, though it is one of two.
    let script = "${program.loop} 4\necho bad > \"$(dirname \"$LLVM_PROFILE_FILE\")/bad.profraw\"\n";
    let project = gather("", &[("bad", "", script)]);
    let ended = project.succeed(&["run"]);
    assert!(ended.output.contains("1 damaged profile"), "{}", ended.output);
    has_steps(&project, 4);
    // What was cut off weighs what it was to be: half of all. Where that is accepted, it is said.
    let script = "${program.loop} 4\nLLVM_PROFILE_FILE=whole ${program.loop} 9\n\
                  head -c 300 whole > \"$(dirname \"$LLVM_PROFILE_FILE\")/cut.profraw\"\n";
    let project = gather("max-damaged = \"49%\"", &[("cut", "", script)]);
    let ended = project.finish(&["run"]);
    assert!(ended.output.contains("1 of 2 profiles are damaged, with 50 % of all bytes"), "{}", ended.output);
    let project = project.with("49%", "51%");
    let ended = project.succeed(&["resume"]);
    let said =
        "warning: 1 of 2 profiles are damaged, with 50 % of all bytes, and left out: what they counted is missing";
    assert!(ended.output.contains(said), "{}", ended.output);
    has_steps(&project, 4);
}
