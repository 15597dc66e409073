//! What the tests of merging beside workloads share: a gather stage, and what is in its profile and its record.

use camino::Utf8Path;
use serde_json::Value;

use super::{Project, pipelines};

/// A pipeline with that gather stage, and nothing else that matters.
pub fn gather(keys: &str, workloads: &[(&str, &str, &str)]) -> Project {
    gather_on(&pipelines::program(), keys, workloads)
}

/// The same on another program.
pub fn gather_on(program: &str, keys: &str, workloads: &[(&str, &str, &str)]) -> Project {
    let outputs = "name = \"gather\"\n\n[outputs]\nprofile = \"${gather.profile}\"\n\n";
    Project::new(&format!("{outputs}{program}{}", pipelines::gather(keys, workloads)))
}

/// The counts of a function's blocks, as llvm-profdata shows them.
pub fn counts(profile: &Utf8Path, function: &str) -> Vec<u64> {
    let mut command = std::process::Command::new("llvm-profdata-22");
    let output = command.args(["show", "--counts", "--function", function, profile.as_str()]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.trim().strip_prefix("Block counts: ["));
    let line = line.unwrap_or_else(|| panic!("{function} is not in {profile}: {text}"));
    line.trim_end_matches(']').split(", ").filter(|count| !count.is_empty()).map(|n| n.parse().unwrap()).collect()
}

/// Checks the stage's profile. `loop N` calls `step` N times, and that calls `twice` two times.
pub fn has_steps(project: &Project, steps: u64) {
    let profile = project.output("gather", "profile");
    assert_eq!(counts(&profile, "step"), [steps]);
    assert_eq!(counts(&profile, "twice"), [2 * steps]);
    // The published file is the same.
    assert_eq!(project.outputs()["gather/profile"], std::fs::read(&profile).unwrap());
}

/// A number in the record of the gather stage.
pub fn fact(project: &Project, step: &str, name: &str) -> Option<f64> {
    let record = project.record("gather").unwrap();
    let facts = record["facts"].as_array().unwrap().iter();
    let of_step = |fact: &&Value| {
        // `WORKLOAD-STEP`, for one of a workload.
        let names = ["workload", "step"].iter().filter_map(|key| fact[*key].as_str());
        names.collect::<Vec<_>>().join("-") == step
    };
    let mut facts = facts.filter(of_step);
    facts.find(|fact| fact["name"] == name).map(|fact| fact["value"].as_f64().unwrap())
}

/// Notes of the last run that have this in them.
pub fn notes(project: &Project, part: &str) -> Vec<String> {
    let texts = project.last_events("note").into_iter().map(|note| note["text"].as_str().unwrap().to_owned());
    texts.filter(|text| text.contains(part)).collect()
}

impl Project {
    /// The same with a text of the pipeline replaced.
    pub fn with(self, from: &str, to: &str) -> Project {
        let path = self.dir.join("pipeline.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(path, text.replace(from, to)).unwrap();
        self
    }
}

/// A program that calls `step` as often as its argument says, instrumented by llvm-bolt in so many slots, and a gather stage.
pub fn bolt(slots: u32, workloads: &[(&str, &str, &str)]) -> Project {
    let program = pipelines::program()
        .replace("-fprofile-generate", "-fuse-ld=lld -Wl,--emit-relocs -no-pie")
        .replace("int __llvm_profile_write_file(void);", "int __llvm_profile_write_file(void) { return 0; }");
    let instrument = format!(
        "[[stage]]\nname = \"instr\"\nkind = \"bolt\"\naction = \"instrument\"\ninput = \"${{program.loop}}\"\nslots = {slots}\n\n"
    );
    let gather = pipelines::gather("", workloads)
        .replace(
            "instrumented = \"${program.loop}\"\nprofdata = \"llvm-profdata-22\"",
            "instrumented = \"${instr.file}\"",
        )
        .replace("jobs = 1", &format!("jobs = {slots}"));
    Project::new(&format!("name = \"gather\"\n\n{program}{instrument}{gather}"))
}

/// How often a function was called, by a profile of BOLT: lines are `1 FROM OFFSET 1 TO OFFSET MISPREDICTED COUNT`.
pub fn calls(profile: &Utf8Path, function: &str) -> u64 {
    let text = std::fs::read_to_string(profile).unwrap();
    let fields = text.lines().map(|line| line.split(' ').collect::<Vec<&str>>());
    let calls =
        fields.filter(|fields| fields.len() == 8 && fields[1] != function && fields[4] == function && fields[5] == "0");
    calls.map(|fields| fields[7].parse::<u64>().unwrap()).sum()
}
