//! `optbuild profile show` and `optbuild profile diff` on their command line, with what real programs wrote.

use std::process::Command;

use crate::support::dir::{Dir, LIBRARY, LLVM, PROGRAM};
use crate::support::needs;
use serde_json::Value;

/// Runs optbuild with nothing of LLVM in PATH: it has to find what reads a profile.
fn optbuild(dir: &Dir, args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_optbuild"));
    let output = command.args(args).current_dir(dir.path()).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code(), said)
}

#[track_caller]
fn json(dir: &Dir, args: &[&str]) -> Value {
    let (code, said) = optbuild(dir, &[args, &["--json"]].concat());
    assert_eq!(code, Some(0), "{said}");
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

#[track_caller]
fn says(dir: &Dir, args: &[&str], parts: &[&str]) {
    let (_, said) = optbuild(dir, args);
    for part in parts {
        assert!(said.contains(part), "no `{part}` in:\n{said}");
    }
}

fn trained() -> Dir {
    let dir = Dir::new();
    dir.write("lib.c", LIBRARY);
    dir.write("main.c", PROGRAM);
    dir.sh("clang -O2 -fprofile-generate -Wl,--build-id=0x0123abcd lib.c main.c -o prog");
    dir.sh("for n in 30 500; do LLVM_PROFILE_FILE=$PWD/$n.profraw ./prog $n; llvm-profdata merge $n.profraw -o $n.profdata; done");
    dir
}

#[test]
fn raw_and_merged_profiles_of_llvm() {
    let dir = trained();
    let of = |file: &str| json(&dir, &["profile", "show", file]);
    let raw = of("500.profraw");
    assert_eq!((raw["kind"].as_str(), raw["version"].as_u64()), (Some("raw"), Some(10)));
    assert_eq!(raw["readers"], "llvm-profdata of LLVM 19 to 22");
    let merged = of("500.profdata");
    assert_eq!((merged["kind"].as_str(), merged["version"].as_u64()), (Some("indexed"), Some(13)));
    assert_eq!(
        (merged["readers"].as_str(), merged["instrumentation"].as_str()),
        (Some("LLVM 22 and newer"), Some("IR"))
    );
    assert_eq!(merged["binary_ids"], serde_json::json!(["0123abcd"]));
    let level = &merged["levels"][0];
    assert_eq!((level, level["functions"].as_u64()), (&raw["levels"][0], Some(3)));
    assert_eq!(level["never_run"], 0);
    // What llvm-profdata sees.
    let shown = dir.sh("llvm-profdata show --detailed-summary 500.profdata");
    let total =
        String::from_utf8_lossy(&shown.stdout).lines().find_map(|l| Some(l.strip_prefix("Total count: ")?.to_owned()));
    assert_eq!(level["total_count"].as_str(), total.as_deref());
    // Of 500 numbers 72 are multiples of 7; of the other 428 those that leave 1 of 5 are 86, and 342 are left.
    assert_eq!((level["largest_count"].as_u64(), &level["hottest"][0]["name"]), (Some(342), &Value::from("work")));

    says(
        &dir,
        &["profile", "show", "500.profdata", "--top", "1"],
        &["read by LLVM 22 and newer", "0123abcd", "342  work"],
    );
    let (_, said) = optbuild(&dir, &["profile", "show", "500.profdata", "--top", "1"]);
    assert!(!said.contains("helper"), "{said}");
}

#[test]
fn names_as_people_write_them() {
    let dir = Dir::new();
    dir.write("a.cpp", "struct S { int f(int n); }; __attribute__((noinline)) int S::f(int n) { int s = 0; while (n--) s += n * s; return s; }\nint main(int c, char **) { return S().f(c * 9); }\n");
    dir.write("r.rs", "mod a { #[inline(never)] pub fn hot(n: u32) -> u32 { (0..n).fold(1, |a, b| a ^ b * a) } } fn main() { println!(\"{}\", a::hot(9)); }");
    dir.sh("clang++ -O2 -fprofile-generate a.cpp -o prog && LLVM_PROFILE_FILE=a.profraw ./prog || true");
    dir.sh("rustc -Cprofile-generate=. -Copt-level=2 r.rs && LLVM_PROFILE_FILE=r.profraw ./r");
    says(&dir, &["profile", "show", "a.profraw"], &["  S::f(int)\n"]);
    says(&dir, &["profile", "show", "r.profraw"], &["  r::a::hot\n"]);
}

#[test]
fn both_levels() {
    let dir = trained();
    dir.sh("clang -O2 -fprofile-use=30.profdata -fcs-profile-generate lib.c main.c -o second");
    dir.sh("LLVM_PROFILE_FILE=second.profraw ./second 30 && llvm-profdata merge second.profraw 30.profdata -o both.profdata");
    dir.sh("llvm-profdata merge second.profraw -o second.profdata");
    let levels = |file: &str| json(&dir, &["profile", "show", file])["levels"].as_array().unwrap().clone();
    let kinds = |file: &str| levels(file).iter().map(|l| l["context_sensitive"] == true).collect::<Vec<_>>();
    assert_eq!((kinds("both.profdata"), kinds("second.profdata")), (vec![false, true], vec![true]));
}

#[test]
fn profiles_of_bolt() {
    let dir = Dir::new();
    dir.write("a.fdata", "1 main 5 1 work/1 0 0 7\n1 work/1 3 1 work/1 9 0 70\n0 [unknown] 0 1 main 0 0 1\n");
    let info = json(&dir, &["profile", "show", "a.fdata"]);
    let level = &info["levels"][0];
    assert_eq!((info["kind"].as_str(), level["functions"].as_u64()), (Some("bolt"), Some(2)));
    assert_eq!((level["largest_count"].as_u64(), level["total_count"].as_str()), (Some(70), Some("78")));
    // Shares of 10 and 4 counts: the branch in `work` has 9/10 and 2/4.
    dir.write("b.fdata", "1 main 5 1 work/1 0 0 1\n1 work/1 3 1 work/1 9 0 9\n");
    dir.write("c.fdata", "1 main 5 1 work/1 0 1 2\n1 work/1 3 1 work/1 9 0 2\n");
    let diff = json(&dir, &["profile", "diff", "b.fdata", "c.fdata"]);
    assert!((diff["overlap"].as_f64().unwrap() - 60.0).abs() < 1e-9, "0.1 + 0.5: {diff}");
}

/// The figure of `llvm-profdata overlap`, to its last digit.
#[test]
fn the_overlap_is_that_of_llvm() {
    let dir = trained();
    dir.sh("sed -i 's/return x + 1;/if (x == 5) return 7; return x + 1;/' lib.c; echo 'int more(int n) { return n; }' >> lib.c");
    dir.sh("clang -O2 -fprofile-generate lib.c main.c -o prog && LLVM_PROFILE_FILE=$PWD/n.profraw ./prog 77 && llvm-profdata merge n.profraw -o new.profdata");
    for (base, other) in [("30", "500"), ("500", "30"), ("500", "new"), ("new", "30")] {
        let theirs = dir.sh(&format!("llvm-profdata overlap {base}.profdata {other}.profdata"));
        let theirs = String::from_utf8_lossy(&theirs.stdout).into_owned();
        let line = theirs.lines().find_map(|line| line.trim().strip_prefix("Edge profile overlap: ")).unwrap();
        let (base, other) = (format!("{base}.profdata"), format!("{other}.profdata"));
        let ours = json(&dir, &["profile", "diff", &base, &other]);
        assert_eq!(format!("{:.3}%", ours["overlap"].as_f64().unwrap()), line, "{theirs}");
    }
    // A raw profile is compared with a merged one.
    let diff = json(&dir, &["profile", "diff", "500.profraw", "new.profdata"]);
    assert_eq!(
        (&diff["mismatched"], &diff["only_other"]),
        (&serde_json::json!(["helper"]), &serde_json::json!(["more"]))
    );
    assert_eq!(diff["only_base"], serde_json::json!([]));
    let text = ["overlap ", "in both, of another shape", "Of another shape\n  helper", "Only in other\n  more"];
    says(&dir, &["profile", "diff", "500.profdata", "new.profdata"], &text);
    let (_, said) = optbuild(&dir, &["profile", "diff", "500.profdata", "500.profraw"]);
    assert!(said.contains("overlap 100.00 %") && !said.contains("Largest changes"), "{said}");
}

#[test]
fn what_cannot_be_shown() {
    let dir = trained();
    let (code, said) = optbuild(&dir, &["profile", "show", "nothing.profdata"]);
    assert!(code == Some(2) && said.contains("there is no file nothing.profdata"), "{said}");
    dir.write("empty.profraw", "");
    dir.write("text", "hello\n");
    says(&dir, &["profile", "show", "empty.profraw"], &["is empty: the process that was to write it was killed"]);
    says(&dir, &["profile", "show", "text"], &["text is no profile"]);
    says(&dir, &["profile", "show", "."], &["is a directory", "optbuild merge"]);
    // A version that no LLVM writes yet.
    dir.sh("cp 30.profdata new.profdata; printf '\\143' | dd of=new.profdata bs=1 seek=8 conv=notrunc 2> /dev/null");
    let (code, said) = optbuild(&dir, &["profile", "show", "new.profdata"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("indexed profiles of version 99: an LLVM newer than 23 does"), "{said}");
    let tool = format!("{LLVM}/llvm-profdata");
    let (_, said) = optbuild(&dir, &["profile", "show", "new.profdata", "--profdata", &tool]);
    assert!(said.contains("cannot read new.profdata: error:"), "{said}");
    dir.write("a.fdata", "1 main 5 1 work/1 0 0 7\n");
    says(&dir, &["profile", "diff", "a.fdata", "30.profdata"], &["cannot be compared"]);
}

/// Both inputs of a merge need a tool that reads them.
#[test]
fn a_merged_profile_of_a_newer_llvm() {
    let Some(old) = needs::llvm(19) else { return };
    let dir = trained();
    let old = format!("{old}/llvm-profdata");
    let args = ["merge", "--profdata", &old, "-o", "out.profdata", "30.profdata", "500.profdata"];
    let (code, said) = optbuild(&dir, &args);
    assert_eq!(code, Some(1), "{said}");
    let parts = [
        "is an indexed profile of version 13, which LLVM 22 and newer reads",
        "does not read version 13",
        "is of LLVM 19",
    ];
    parts.iter().for_each(|part| assert!(said.contains(part), "no `{part}` in {said}"));
}
