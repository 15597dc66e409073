//! Real raw profiles with changed bytes: no panic, and where both optbuild and llvm-profdata take all of them, one result.

use std::process::Command;

use crate::support::dir::{Dir, LLVM};
use crate::support::profile::{VALUES, files, run};
use camino::Utf8PathBuf;
use optbuild::profile::{indexed, raw};

/// Numbers that only look random: the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

#[test]
fn changed_bytes() {
    let dir = Dir::new();
    dir.write("prog.c", VALUES);
    run(&dir, LLVM, "$CC -O1 -fprofile-generate prog.c -o prog", 3);
    let good = files(&dir.join("raw"));
    let content = std::fs::read(&good[0]).unwrap();
    let mut numbers = Numbers(20_261_123);
    let (mut added, mut equal, mut written) = (0, 0, 0);
    let rounds = std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(200);
    for round in 0..rounds {
        let mut bytes = content.clone();
        for _ in 0..=numbers.below(3) {
            // Half of the changes in the header, the ids and the first records.
            let limit = if numbers.below(2) == 0 { 400 } else { bytes.len() };
            let at = numbers.below(limit);
            bytes[at] = match numbers.below(3) {
                0 => 0xff,
                1 => bytes[at].wrapping_add(1),
                _ => numbers.below(256) as u8,
            };
        }
        if numbers.below(4) == 0 {
            bytes.truncate(numbers.below(content.len()));
        }
        let changed = dir.join(&format!("changed{}.profraw", round % 2));
        std::fs::write(&changed, &bytes).unwrap();
        // What optbuild writes of it alone, llvm-profdata writes too, without a complaint.
        if let Ok(profile) = indexed::Profile::read(std::slice::from_ref(&changed)).unwrap() {
            let theirs = merged(&dir, std::slice::from_ref(&changed));
            assert!(theirs.is_some(), "round {round}: llvm-profdata does not take it");
            assert!(profile.write(13).unwrap() == std::fs::read(dir.join("out.profdata")).unwrap(), "round {round}");
            written += 1;
        }
        let mut all = vec![good[1].clone(), changed.clone(), good[2].clone()];
        all.rotate_left(round % 3);
        let work = dir.join("work");
        std::fs::create_dir_all(&work).unwrap();
        let folded = raw::fold(&all, &work, 2).unwrap();
        if folded.added == 3 {
            added += 1;
            if let (Some(ours), Some(theirs)) = (merged(&dir, &folded.left), merged(&dir, &all)) {
                equal += 1;
                assert_eq!(ours, theirs, "round {round}");
            }
        }
    }
    assert!(
        added > 10 && equal > 10 && written > 10,
        "{added} of {rounds} added up, {equal} compared, {written} written"
    );
}

/// What llvm-profdata shows of a merge without a complaint.
fn merged(dir: &Dir, files: &[Utf8PathBuf]) -> Option<String> {
    let output = dir.join("out.profdata");
    let tool = format!("{LLVM}/llvm-profdata");
    let merge =
        Command::new(&tool).args(["merge", "-num-threads=1", "-o", output.as_str()]).args(files).output().unwrap();
    let good = merge.status.success() && merge.stderr.is_empty();
    good.then(|| {
        crate::support::profile::tool(
            LLVM,
            &["show", "--all-functions", "--counts", "--ic-targets", "--memop-sizes", output.as_str()],
        )
    })
}
