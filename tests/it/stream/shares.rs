//! How much of a profile each workload is: all have the same share unless a stage says otherwise. What is expected is what
//! `llvm-profdata merge -weighted-input`, or merge-fdata given a file several times, makes of the same raw profiles.

use optbuild::profile::fdata;

use crate::support::dir::Dir;
use crate::support::kill::gather::{bolt, calls, fact, gather, has_steps};
use crate::support::kill::{Project, tree};
use crate::support::real::sh;

/// The raw profile of a run with so many steps, and the sum of its counts.
fn raw(project: &Project, steps: u64) -> (String, u64) {
    let (program, file) = (project.output("program", "loop"), project.dir.join(format!("{steps}.profraw")));
    sh(
        &project.dir,
        &format!("LLVM_PROFILE_FILE={file} {program} {steps} && llvm-profdata-22 merge {file} -o {file}.merged"),
    );
    let shown = sh(&project.dir, &format!("llvm-profdata-22 show --detailed-summary {file}.merged"));
    let total = shown.lines().find_map(|line| line.strip_prefix("Total count: ")).unwrap();
    (file.into(), total.trim().parse().unwrap())
}

/// All counts of a profile.
fn counts(project: &Project, profile: &str) -> String {
    sh(&project.dir, &format!("llvm-profdata-22 show --all-functions --counts {profile}"))
}

/// What llvm-profdata makes of raw profiles that count so many times.
fn merged(project: &Project, inputs: &[(&str, u64)]) -> String {
    let inputs: Vec<String> = inputs.iter().map(|(file, times)| format!("--weighted-input={times},{file}")).collect();
    sh(&project.dir, &format!("llvm-profdata-22 merge {} -o by-hand.profdata", inputs.join(" ")));
    counts(project, "by-hand.profdata")
}

/// One workload counts a hundred times as much as the other one.
fn two(keys: &str) -> Project {
    gather("", &[("long", "", "${program.loop} 700\n"), ("short", keys, "${program.loop} 7\n")])
}

/// The whole number that brings a sum nearest to 2^48.
fn times(total: u64) -> u64 {
    ((1u64 << 48) + total / 2) / total
}

#[test]
fn workloads_are_balanced() {
    let project = two("").with("balance = false\n", "");
    let ended = project.succeed(&["run"]);
    let ((long, of_long), (short, of_short)) = (raw(&project, 700), raw(&project, 7));
    assert!(of_long > 50 * of_short);
    let by_hand = merged(&project, &[(&long, times(of_long)), (&short, times(of_short))]);
    assert_eq!(counts(&project, project.output("gather", "profile").as_str()), by_hand);
    let told = "the workloads' shares of the profile: 50 % `long` (99 % as counted), 50 % `short` (1 %)";
    assert!(ended.output.contains(told), "{}", ended.output);
    // Beside the last profile stands what was counted, not what it was multiplied by.
    assert_eq!(fact(&project, "long-stream-merge", "workload/long"), Some(of_long as f64));
}

#[test]
fn weights_count_on_top() {
    let project = two("weight = 3").with("balance = false", "balance = true");
    let ended = project.succeed(&["run"]);
    let ((long, of_long), (short, of_short)) = (raw(&project, 700), raw(&project, 7));
    // Three times 2^48, and not three times the rounded number.
    let three = ((3u64 << 48) + of_short / 2) / of_short;
    let by_hand = merged(&project, &[(&long, times(of_long)), (&short, three)]);
    assert_eq!(counts(&project, project.output("gather", "profile").as_str()), by_hand);
    assert!(ended.output.contains("75 % `short` (1 % as counted), 25 % `long` (99 %)"), "{}", ended.output);
}

#[test]
fn weights_without_balance() {
    let project = two("weight = 3");
    project.succeed(&["run"]);
    has_steps(&project, 700 + 3 * 7);
}

/// In however many parts sums of workloads become one: each has its share before.
#[test]
fn many_workloads_in_parts() {
    let numbers: Vec<String> = (0..70).map(|n| format!("\"{n:02}\"")).collect();
    let keys = format!("for = {{ n = [{}] }}", numbers.join(", "));
    let project = gather("", &[("w", &keys, "${program.loop} 1${n}\n")]).with("balance = false\n", "");
    project.succeed(&["run"]);
    let committed = tree(&project.state().join("stages/gather/committed"));
    assert!(committed.keys().any(|path| path.starts_with(".sum-")), "{:?}", committed.keys());
    let raw: Vec<(String, u64)> = (100..170).map(|steps| raw(&project, steps)).collect();
    let inputs: Vec<(&str, u64)> = raw.iter().map(|(file, total)| (file.as_str(), times(*total))).collect();
    assert_eq!(counts(&project, project.output("gather", "profile").as_str()), merged(&project, &inputs));
}

/// The script of a plan makes the same, of profiles of LLVM and of BOLT.
#[test]
fn a_script_gives_the_same_shares() {
    let workloads = [("long", "", "${program.loop} 500\n"), ("sh.ort", "weight = 2", "${program.loop} 5\n")];
    let of_bolt = workloads
        .map(|(name, keys, _)| (name, keys, if name == "long" { "${instr.file} 500\n" } else { "${instr.file} 5\n" }));
    let outputs = "name = \"gather\"\n\n[outputs]\nprofile = \"${gather.profile}\"\n\n";
    let bolt = bolt(1, &of_bolt).with("name = \"gather\"\n\n", outputs);
    for project in [gather("", &workloads), bolt] {
        let project = project.with("balance = false\n", "");
        project.succeed(&["run"]);
        let script = project.command(&["plan", "--shell", "pipeline.toml"]).output().unwrap();
        std::fs::write(project.dir.join("script.sh"), script.stdout).unwrap();
        sh(&project.dir, "LC_DIR=$PWD bash script.sh by-hand >&2");
        let by_hand = std::fs::read(project.dir.join("by-hand/profile")).unwrap();
        assert_eq!(project.outputs()["gather/profile"], by_hand);
    }
}

#[test]
fn bolts_profiles_are_balanced() {
    let workloads = [("long", "", "${instr.file} 500\n"), ("short", "", "${instr.file} 5\n")];
    let project = bolt(1, &workloads).with("balance = false\n", "");
    project.succeed(&["run"]);
    let steps = calls(&project.output("gather", "profile"), "step");
    // 500 of the long one's 2^48, and 5 of the short one's: each calls `step` in about the same part of its branches.
    let shares = [500, 5].map(|steps| {
        let alone = bolt(1, &[("one", "", &format!("${{instr.file}} {steps}\n"))]);
        alone.succeed(&["run"]);
        let profile = alone.output("gather", "profile");
        let text = std::fs::read_to_string(&profile).unwrap();
        let total: u64 = text.lines().map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum();
        assert_eq!(calls(&profile, "step"), steps);
        steps * times(total)
    });
    assert_eq!(steps, shares.iter().sum::<u64>());
}

/// merge-fdata adds up a file that it is given several times.
#[test]
fn counts_of_bolt_are_multiplied_as_if_files_were_given_again() {
    let text = "1 main 0 1 foo 0 1 2\n1 fo\\ o 3 1 foo 0 0 7\n0 [unknown] 0 1 foo/1 8 0 3\n";
    let dir = Dir::new();
    let files = ["a", "b", "c", "d", "e"].map(|name| dir.write(&format!("{name}.fdata"), text).to_string());
    let theirs = sh(dir.path(), &format!("merge-fdata {} 2> said | LC_ALL=C sort", files.join(" ")));
    let mut ours: Vec<String> = fdata::multiplied(text, 5).lines().map(str::to_owned).collect();
    ours.sort();
    assert_eq!(ours.join("\n"), theirs.trim_end());
}

#[test]
fn a_weight_has_bounds() {
    for weight in ["0", "101"] {
        let project = two(&format!("weight = {weight}"));
        let output = project.command(&["plan", "pipeline.toml"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("a weight is a whole number from 1 to 100"), "{said}");
    }
}
