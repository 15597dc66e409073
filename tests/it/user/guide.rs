//! `docs/guide.md`, "Your first pipeline", followed word by word in an empty directory.
//!
//! Blocks of code become files by their language, blocks of `sh` are run in order. Only `--install` is left out: a test does not
//! change the machine.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// Blocks of code in a Markdown text: language and content.
fn blocks(text: &str) -> Vec<(&str, &str)> {
    let mut parts = text.split("\n```");
    parts.next();
    // Every second part is what stands between an opening and a closing fence.
    parts.step_by(2).filter_map(|block| block.split_once('\n')).collect()
}

#[test]
fn first_pipeline() {
    let guide = include_str!("../../../docs/guide.md");
    let (_, from) = guide.split_once("\n## Your first pipeline").expect("the guide has the section");
    let (section, _) = from.split_once("\n## ").expect("another section follows");
    let mut script = String::from("set -eu\n");
    for (language, content) in blocks(section) {
        let file = match language {
            "sh" => {
                for line in content.lines().filter(|line| !line.contains("--install")) {
                    writeln!(script, "echo '[guide]'; {line}").unwrap();
                }
                continue;
            }
            "c" => "src/words.c",
            "cmake" => "src/CMakeLists.txt",
            "toml" => "pipeline.toml",
            other => panic!("a block of `{other}`: this test does not know which file it is"),
        };
        writeln!(script, "cat > {file} <<'END_OF_BLOCK'\n{content}\nEND_OF_BLOCK").unwrap();
    }

    let dir = tempfile::tempdir().unwrap();
    let bin = Path::new(env!("CARGO_BIN_EXE_optbuild")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let output = Command::new("sh").args(["-c", &script]).current_dir(&dir).env("PATH", path).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n--- stdout\n{stdout}\n--- stderr\n{stderr}");

    assert!(format!("{stdout}{stderr}").contains("nothing to do"), "the second run:\n{stdout}\n{stderr}");
    // The sample has 400,000 lines of 7 words.
    assert!(stdout.contains("2800000 words,"), "{stdout}");
    assert!(stdout.contains("src changed"), "`explain` names what differs: {stdout}");
    let state = dir.path().join("words/.optbuild");
    assert!(state.join("STATE").exists(), "the state directory stands beside the pipeline file");
}
