//! What is known of the world: what is looked at, what is remembered, and what a file of answers gives; memory and the name of the machine.

use std::os::unix::fs::symlink;

use camino::{Utf8Path, Utf8PathBuf};
use optbuild::facts::live::of_linux;
use optbuild::facts::{Facts, Memory};
use serde_json::json;

fn temp() -> (tempfile::TempDir, Utf8PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = Utf8PathBuf::from_path_buf(dir.path().canonicalize().unwrap()).unwrap();
    (dir, path)
}

/// By a process of its own: a program that this process has open for writing, in whichever thread, cannot be started.
fn copy(from: &str, to: &Utf8Path) {
    duct::cmd!("cp", from, to.as_str()).run().unwrap();
}

#[test]
fn looks_and_remembers() {
    let (_guard, dir) = temp();
    std::fs::write(dir.join("b"), "text").unwrap();
    symlink(dir.join("b"), dir.join("a")).unwrap();
    let facts = Facts::live();
    assert_eq!(facts.list(&dir), ["a", "b"]);
    assert_eq!(facts.real_path(&dir.join("a")), Some(dir.join("b")));
    assert_eq!(facts.read(&dir.join("a")).as_deref(), Some("text"));
    assert!(facts.exists(&dir.join("b")) && !facts.exists(&dir.join("c")));
    std::fs::remove_file(dir.join("b")).unwrap();
    assert!(facts.exists(&dir.join("b")), "an answer stays what it was");
}

#[test]
fn standard_output_comes_first_and_failures_are_nothing() {
    let facts = Facts::live();
    let both = facts.output(&["sh", "-c", "echo err >&2; echo out"]);
    assert_eq!(both.as_deref(), Some("out\nerr\n"));
    assert_eq!(facts.output(&["sh", "-c", "echo out; exit 1"]), None);
    assert_eq!(facts.output(&["/no/such/program"]), None);
    assert_eq!(facts.output_in("/".into(), &["pwd"]).as_deref(), Some("/\n"));
}

#[test]
fn a_file_gives_the_same_answers_and_no_others() {
    let live = Facts::live();
    let shell = live.program("sh").unwrap();
    assert_eq!(live.program("no-such-program-anywhere"), None);
    assert_eq!(live.env("NO_SUCH_VARIABLE_ANYWHERE"), None);
    live.output(&["sh", "-c", "echo 'a b'"]);
    live.host();
    let text = live.to_json();
    assert!(!text.contains("no-such-program"), "{text}");

    let filed = Facts::from_json(&text).unwrap();
    assert_eq!(filed.program("sh"), Some(shell));
    assert_eq!(filed.output(&["sh", "-c", "echo 'a b'"]).as_deref(), Some("a b\n"));
    assert_eq!(filed.host(), live.host());
    assert_eq!(filed.program("ls"), None);
    assert_eq!(filed.to_json(), text, "questions without an answer add nothing");
    assert!(Facts::from_json(r#"{"hots": "x"}"#).is_err(), "misspelt");
}

/// A copy of `echo` stands for a tool; when another program takes its place, the answer must follow.
#[test]
fn outputs_are_kept_while_the_program_is_the_same() {
    let (_guard, dir) = temp();
    let (tool, file) = (dir.join("tool"), dir.join("state/outputs"));
    copy("/bin/echo", &tool);
    let ask = || {
        let facts = Facts::live_cached(&file);
        let answer = facts.output(&[tool.as_str(), "one"]);
        facts.save().unwrap();
        answer
    };
    assert_eq!(ask().as_deref(), Some("one\n"));
    let kept = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, kept.replace("one\\n", "kept\\n")).unwrap();
    assert_eq!(ask().as_deref(), Some("kept\n"), "it is read from the file");

    std::fs::remove_file(&tool).unwrap();
    copy("/bin/true", &tool);
    assert_eq!(ask().as_deref(), Some(""), "another program");

    std::fs::write(&file, "damaged").unwrap();
    assert_eq!(ask().as_deref(), Some(""));
}

#[test]
fn scripts_and_proxies_are_always_asked() {
    let (_guard, dir) = temp();
    let file = dir.join("outputs");
    let script = dir.join("script");
    let text = "printf '#!/bin/sh\\necho hello\\n' > script && chmod +x script";
    duct::cmd!("sh", "-c", text).dir(&dir).run().unwrap();
    copy("/bin/echo", &dir.join("rustup"));
    symlink(dir.join("rustup"), dir.join("rustc")).unwrap();
    let facts = Facts::live_cached(&file);
    assert_eq!(facts.output(&[script.as_str()]).as_deref(), Some("hello\n"));
    assert_eq!(facts.output(&[dir.join("rustc").as_str(), "-vV"]).as_deref(), Some("-vV\n"));
    facts.save().unwrap();
    assert!(!file.exists());
}

fn memory_of(files: serde_json::Value) -> Option<Memory> {
    Memory::of(&Facts::from_json(&json!({ "files": files }).to_string()).unwrap())
}

#[test]
fn the_least_that_is_said() {
    let meminfo = "MemTotal:  1000 kB\nMemFree:  1 kB\nMemAvailable:     600 kB\nSwapTotal:  9 kB\nSwapFree:  7 kB\n";
    let memory = |kib: u64, swap: u64| Some(Memory { available: kib * 1024, swap: swap * 1024 });
    assert_eq!(memory_of(json!({ "/proc/meminfo": meminfo })), memory(600, 7));
    assert_eq!(memory_of(json!({ "/proc/meminfo": meminfo, "/sys/fs/cgroup/memory.max": "max\n" })), memory(600, 7));
    assert_eq!(memory_of(json!({ "/proc/meminfo": meminfo, "/sys/fs/cgroup/memory.max": "102400\n" })), memory(100, 0));
    assert_eq!(memory_of(json!({ "/proc/meminfo": "MemAvailable: 2 kB\n" })), memory(2, 0));
    assert_eq!(memory_of(json!({})), None);
}

#[test]
fn this_machine_has_less_than_it_has() {
    let memory = Memory::of(&Facts::live()).unwrap();
    let info = std::fs::read_to_string("/proc/meminfo").unwrap();
    let total: u64 = info.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(memory.available > 0 && memory.available <= total * 1024, "{memory:?}");
}

/// Against `rustc --print target-list`.
#[test]
fn names_are_those_of_rustc() {
    let known = Facts::live().output(&["rustc", "--print", "target-list"]).unwrap();
    for arch in ["x86_64", "aarch64", "x86", "arm", "riscv64", "powerpc64"] {
        for musl in [false, true] {
            let triple = of_linux(arch, musl);
            assert!(known.lines().any(|line| line == triple), "{triple}");
        }
    }
}

/// Against `rustc -vV`.
#[test]
fn this_machine_is_what_rustc_says() {
    let version = Facts::live().output(&["rustc", "-vV"]).unwrap();
    assert!(version.contains(&format!("host: {}\n", Facts::live().host())), "{version}");
}
