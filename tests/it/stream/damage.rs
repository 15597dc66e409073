//! Damaged profiles, found while workloads run: set aside with their reasons, limited, and no reason to lose the others.

use crate::support::kill::gather::{bolt, calls, fact, gather, has_steps};
use crate::support::kill::tree;

#[test]
fn too_little_space_for_the_budget_is_said_before_anything_runs() {
    let project = gather("disk-budget = \"900 TB\"", &[("a", "", "did a\n${program.loop} 1\n")]);
    let ended = project.finish(&["run"]);
    assert_eq!(ended.code(), Some(3), "{}", ended.output);
    for part in ["disk-budget", "818.5 TiB", "free"] {
        assert!(ended.output.contains(part), "no `{part}` in {}", ended.output);
    }
    assert_eq!(project.work(), ["program"]);
    // It is not part of what is made.
    let path = project.dir.join("pipeline.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("900 TB", "100 MB")).unwrap();
    project.succeed(&["run"]);
    std::fs::write(&path, text.replace("900 TB", "50 MB")).unwrap();
    let ended = project.succeed(&["run"]);
    assert!(ended.output.contains("nothing to do"), "{}", ended.output);
}

const DAMAGED: &str = "raw=$(dirname \"$LLVM_PROFILE_FILE\")\n${program.loop} 4\n\
                       LLVM_PROFILE_FILE=whole ${program.loop} 1\nhead -c 300 whole > \"$raw/cut.profraw\"\n\
                       head -c 999 /dev/zero > \"$raw/zeros.profraw\"\necho text > \"$raw/text.profraw\"\n: > \"$raw/none.profraw\"\n";

/// Damaged profiles are set aside with their reasons. Too many of all fail the stage, whose workloads still count when more of them
/// are tolerated.
#[test]
fn damage_is_set_aside_and_limited() {
    let damaged = format!("did damaged\n{DAMAGED}");
    let project = gather("", &[("good", "", "did good\n${program.loop} 1\n"), ("damaged", "", &damaged)]);
    let ended = project.finish(&["run"]);
    assert_eq!(ended.code(), Some(1), "{}", ended.output);
    for part in ["3 of 6 profiles are damaged, with ", "no more than 1% may be", "quarantine", "max-damaged"] {
        assert!(ended.output.contains(part), "no `{part}` in {}", ended.output);
    }
    assert_eq!(project.work(), ["program", "good", "damaged"]);
    let quarantine = project.state().join("stages/gather/committed/damaged/quarantine");
    let reasons: Vec<String> = tree(&quarantine)
        .into_iter()
        .filter(|(name, _)| name.ends_with(".reason"))
        .map(|(_, text)| String::from_utf8(text).unwrap())
        .collect();
    assert_eq!(reasons.len(), 3, "{reasons:?}");
    assert_eq!(tree(&quarantine).len(), 6);

    let path = project.dir.join("pipeline.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("jobs = 1", "jobs = 1\nmax-damaged = \"70%\"")).unwrap();
    let ended = project.succeed(&["run"]);
    assert_eq!(project.work(), [""; 0]);
    assert!(ended.output.contains("3 damaged profiles"), "{}", ended.output);
    has_steps(&project, 5);
    assert_eq!(fact(&project, "damaged-stream-merge", "damaged-profiles"), Some(3.0));
    assert_eq!(fact(&project, "damaged-stream-merge", "empty-profiles"), Some(1.0));
    assert_eq!(fact(&project, "damaged-stream-merge", "raw-profiles"), Some(5.0));
}

/// A profile of another kind is not added to the first one, and its reason names both. Its flag of intermediate code is taken away.
#[test]
fn a_profile_of_another_kind_is_set_aside() {
    let script = "did a\nraw=$(dirname \"$LLVM_PROFILE_FILE\")\n${program.loop} 4\n\
                  while ls \"$raw\"/*.profraw > /dev/null 2>&1; do sleep 0.02; done\n\
                  LLVM_PROFILE_FILE=whole ${program.loop} 1\nprintf '\\000' | dd of=whole bs=1 seek=15 conv=notrunc 2> /dev/null\n\
                  cp whole \"$raw/source.profraw\"\n";
    let project = gather("", &[("a", "", script)]);
    let ended = project.finish(&["run"]);
    assert_eq!(ended.code(), Some(1), "{}", ended.output);
    for part in ["1 of 2 profiles are damaged", "counts in source code", "counts in intermediate code"] {
        assert!(ended.output.contains(part), "no `{part}` in {}", ended.output);
    }
    let path = project.dir.join("pipeline.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("jobs = 1", "jobs = 1\nmax-damaged = \"50%\"")).unwrap();
    project.succeed(&["run"]);
    has_steps(&project, 4);
    assert_eq!(fact(&project, "a-stream-merge", "damaged-profiles"), Some(1.0));
    let quarantine = tree(&project.state().join("stages/gather/committed/a/quarantine"));
    let (_, reason) = quarantine.iter().find(|(name, _)| name.ends_with("source.profraw.reason")).unwrap();
    let reason = String::from_utf8_lossy(reason);
    for part in ["counts in source code", "counts in intermediate code", ".profraw has"] {
        assert!(reason.contains(part), "no `{part}` in {reason}");
    }
}

/// Damaged profiles take no more than a quarter of the budget, in all workloads of all runs together; all have reasons.
#[test]
fn damaged_profiles_have_one_limit() {
    let script = |name: &str| {
        format!(
            "did {name}\n${{program.loop}} 1\nhead -c 9000 /dev/zero > \"$(dirname \"$LLVM_PROFILE_FILE\")/zeros.profraw\"\n\
             [ {name} != c ] || [ -e \"$LC_DIR/go\" ]\n"
        )
    };
    let [a, b, c] = ["a", "b", "c"].map(script);
    let keys = "disk-budget = \"80 kB\"\nmax-damaged = \"99%\"";
    let project = gather(keys, &[("a", "", &a), ("b", "", &b), ("c", "", &c)]);
    assert_eq!(project.finish(&["run"]).code(), Some(1));
    std::fs::write(project.dir.join("go"), "").unwrap();
    project.succeed(&["resume"]);
    assert_eq!(project.work(), ["program", "a", "b", "c", "c"]);
    has_steps(&project, 3);
    let kept = tree(&project.state().join("stages/gather/committed"));
    let kept: Vec<(&String, usize)> =
        kept.iter().filter(|(name, _)| name.contains("/quarantine/")).map(|(name, text)| (name, text.len())).collect();
    assert_eq!(kept.iter().filter(|(name, _)| name.ends_with(".reason")).count(), 3, "{kept:?}");
    let mut sizes: Vec<usize> =
        kept.iter().filter(|(name, _)| !name.ends_with(".reason")).map(|(_, size)| *size).collect();
    sizes.sort_unstable();
    // Two of 9,000 bytes fit into 20,000.
    assert_eq!(sizes, [0, 9000, 9000]);
}

/// Beside good profiles of BOLT lies one that is malformed: it is set aside with what merge-fdata says of it.
#[test]
fn a_malformed_profile_of_bolt_is_set_aside() {
    let script = "dir=$(dirname \"$(cat \"$(dirname ${instr.file}).path\")\")\n${instr.file} 3\n\
                  echo garbage line > \"$dir/prof.x.fdata\"\n${instr.file} 4\n";
    let project = bolt(1, &[("a", "", script)]).with("jobs = 1\n", "jobs = 1\nmax-damaged = \"50%\"\n");
    project.succeed(&["run"]);
    assert_eq!(calls(&project.output("gather", "profile"), "step"), 7);
    assert_eq!(fact(&project, "a-stream-merge", "merged-profiles"), Some(2.0));
    let quarantine = tree(&project.state().join("stages/gather/committed/a/quarantine"));
    let (_, reason) = quarantine.iter().find(|(name, _)| name.ends_with("prof.x.fdata.reason")).unwrap();
    assert!(String::from_utf8_lossy(reason).contains("Malformed / corrupted entry type"), "{reason:?}");
    assert_eq!(quarantine.len(), 2, "{:?}", quarantine.keys());
}

/// One that cannot be merged with the others fails the attempt, by name.
#[test]
fn profiles_of_bolt_that_do_not_fit_to_each_other() {
    let script = "dir=$(dirname \"$(cat \"$(dirname ${instr.file}).path\")\")\n${instr.file} 3\n\
                  printf 'no_lbr cycles\\n1 main 0 4\\n' > \"$dir/prof.x.fdata\"\n";
    let project = bolt(1, &[("a", "", script)]);
    let ended = project.finish(&["run"]);
    assert_eq!(ended.code(), Some(1), "{}", ended.output);
    for part in ["cannot mix profile with and without no_lbr", ".fdata: "] {
        assert!(ended.output.contains(part), "no `{part}` in {}", ended.output);
    }
    assert!(!ended.output.contains("legacy"), "{}", ended.output);
}

/// Nothing of what a workload wrote is good: that fails at once.
#[test]
fn nothing_but_damage_fails_the_workload() {
    let script = "echo text > \"$(dirname \"$LLVM_PROFILE_FILE\")/text.profraw\"\n";
    let project = gather("max-damaged = \"100%\"", &[("bad", "", script)]);
    let ended = project.finish(&["run"]);
    assert_eq!(ended.code(), Some(1), "{}", ended.output);
    assert!(ended.output.contains("none of the 1 profiles is good"), "{}", ended.output);
}
