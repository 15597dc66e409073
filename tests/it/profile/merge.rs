//! `optbuild merge` on its command line.

use std::process::{Command, Output};

use crate::support::dir::{Dir, LLVM};
use crate::support::processes::{eventually, write_program};
use crate::support::profile::{VALUES, run, tool};

fn optbuild(dir: &Dir, args: &[&str]) -> (Output, String) {
    let path = format!("{LLVM}:{}", std::env::var("PATH").unwrap());
    let output = Command::new(env!("CARGO_BIN_EXE_optbuild"))
        .args(args)
        .current_dir(dir.path())
        .env("PATH", path)
        .env("XDG_CACHE_HOME", dir.join("cache"))
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output, said)
}

fn gathered() -> Dir {
    let dir = Dir::new();
    dir.write("prog.c", VALUES);
    run(&dir, LLVM, "$CC -O2 -fprofile-generate prog.c -o prog", 30);
    dir
}

#[test]
fn raw_and_merged_profiles_together() {
    let dir = gathered();
    dir.sh("llvm-profdata merge -num-threads=1 raw/1-*.profraw raw/2-*.profraw -o old.profdata; rm raw/1-* raw/2-*; : > raw/empty.profraw");
    let (output, said) = optbuild(&dir, &["merge", "-j", "2", "-o", "new.profdata", "raw", "old.profdata"]);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("new.profdata: 29 profiles, 1 empty; 28 added up before llvm-profdata"), "{said}");
    dir.sh("llvm-profdata merge -num-threads=1 raw/*.profraw old.profdata -o theirs.profdata");
    let show = |file: &str| {
        let path = dir.join(file);
        tool(
            LLVM,
            &["show", "--all-functions", "--counts", "--ic-targets", "--memop-sizes", "--binary-ids", path.as_str()],
        )
    };
    assert_eq!(show("new.profdata"), show("theirs.profdata"));
    assert_eq!(
        dir.path().read_dir_utf8().unwrap().filter(|e| e.as_ref().unwrap().file_name().starts_with(".merge")).count(),
        0
    );
}

#[test]
fn too_many_damaged_ones() {
    let dir = gathered();
    dir.sh("for i in 1 2; do head -c 300 $(ls raw/$i-*) > raw/cut$i.profraw; done; dd if=/dev/zero of=raw/zero.profraw bs=999 count=1 2> /dev/null");
    let (output, said) = optbuild(&dir, &["merge", "-o", "new.profdata", "raw"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("3 of 33 profiles are damaged, with 6 % of all bytes; no more than 1% may be"), "{said}");
    assert!(
        said.contains("zero.profraw: it is filled with zeros") && said.contains("cut1.profraw: it is cut off"),
        "{said}"
    );
    assert!(!dir.join("new.profdata").exists());
    let (output, said) = optbuild(&dir, &["merge", "-o", "new.profdata", "--max-damaged", "10%", "raw"]);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("30 profiles, 3 damaged"), "{said}");
    assert!(said.contains("left out: raw/zero.profraw: it is filled with zeros"), "{said}");
    dir.sh("llvm-profdata merge -num-threads=1 raw/*-*.profraw -o theirs.profdata; cmp new.profdata theirs.profdata");
}

/// A profile with a good header that goes on for 200 GB, of which next to nothing was written.
#[test]
fn a_huge_file_with_nothing_in_it() {
    let dir = gathered();
    dir.sh("for i in $(seq 5 30); do rm raw/$i-*; done; cp raw/1-* huge.profraw; truncate -s 200G huge.profraw");
    let (output, said) = optbuild(&dir, &["merge", "-o", "new.profdata", "huge.profraw"]);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("none of the 1 profiles is good") && said.contains("never written"), "{said}");
    let (output, said) =
        optbuild(&dir, &["merge", "-o", "new.profdata", "--max-damaged", "20%", "huge.profraw", "raw"]);
    assert!(output.status.success() && said.contains("4 profiles, 1 damaged"), "{said}");
}

#[test]
fn profiles_of_bolt() {
    let dir = Dir::new();
    dir.write("a.fdata", "1 f 0 1 g 0 0 2\n");
    dir.write("b.fdata", "1 f 0 1 g 0 1 3\n");
    let (output, said) = optbuild(&dir, &["merge", "-o", "c.fdata", "a.fdata", "b.fdata"]);
    assert!(output.status.success(), "{said}");
    assert_eq!(std::fs::read_to_string(dir.join("c.fdata")).unwrap(), "1 f 0 1 g 0 1 5\n");
    dir.write("d.profraw", "something");
    let (output, said) = optbuild(&dir, &["merge", "-o", "e", "a.fdata", "d.profraw"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("one family at a time"), "{said}");
}

/// merge-fdata refuses all files because of one.
#[test]
fn a_malformed_profile_of_bolt() {
    for bad in ["garbage line\n", "1 f 0 1 g 0 0 99999999999999999999999\n", "1 f 0 1 g 0\n", "1 f 0 1 g"] {
        let dir = Dir::new();
        dir.write("a.fdata", "1 f 0 1 g 0 0 2\n");
        dir.write("bad.fdata", bad);
        dir.write("c.fdata", "1 f 0 1 g 0 1 3\n1 g 4 1 h 0 0 1\n");
        let merge = |most: &str| {
            optbuild(&dir, &["merge", "-o", "sum.fdata", "--max-damaged", most, "a.fdata", "bad.fdata", "c.fdata"])
        };
        let (output, said) = merge("1%");
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("1 of 3 profiles are damaged") && said.contains("- bad.fdata: "), "{said}");
        assert!(!said.contains("legacy"), "{said}");
        assert!(!dir.join("sum.fdata").exists());
        let (output, said) = merge("50%");
        assert!(output.status.success(), "{said}");
        assert!(said.contains("left out: bad.fdata: ") && said.contains("2 profiles, 1 damaged"), "{said}");
        let sum = std::fs::read_to_string(dir.join("sum.fdata")).unwrap();
        assert_eq!(sum, "1 f 0 1 g 0 1 5\n1 g 4 1 h 0 0 1\n");
    }
}

#[test]
fn nothing_to_merge() {
    let dir = Dir::new();
    dir.write("empty/x.txt", "");
    let (output, said) = optbuild(&dir, &["merge", "-o", "c", "empty"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("there is no profile"), "{said}");
    let (output, said) = optbuild(&dir, &["merge", "-o", "c", "missing"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("there is no missing"), "{said}");
}

#[test]
fn what_an_earlier_merge_left_does_not_count_again() {
    let dir = gathered();
    let merge = |output: &str, more: &[&str]| optbuild(&dir, &[&["merge", "-o", output], more, &["raw"]].concat());
    assert!(merge("once.profdata", &[]).0.status.success());
    // The result lies where profiles are looked for.
    for _ in 0..2 {
        let (output, said) = merge("raw/all.profdata", &[]);
        assert!(output.status.success() && said.contains("raw/all.profdata: 30 profiles"), "{said}");
    }
    dir.sh("cmp once.profdata raw/all.profdata; rm raw/all.profdata");
    // One that is killed while llvm-profdata runs leaves sums.
    dir.sh("mkdir slow; rm -rf cache");
    write_program(&dir.join("slow/llvm-profdata"), "#!/bin/sh\necho $$ > pid; mv pid started; exec sleep 3000\n");
    let mut killed = Command::new(env!("CARGO_BIN_EXE_optbuild"));
    killed.args(["merge", "--profdata", "slow/llvm-profdata", "-o", "raw/all.profdata", "raw"]).current_dir(dir.path());
    let mut child = killed.env("XDG_CACHE_HOME", dir.join("cache")).spawn().unwrap();
    assert!(eventually(|| dir.join("started").exists()));
    child.kill().unwrap();
    child.wait().unwrap();
    dir.sh("kill $(cat started); ls -d raw/.merge-*; touch -d '1 minute ago' raw/.merge-*");
    assert!(merge("raw/all.profdata", &[]).0.status.success());
    dir.sh("cmp once.profdata raw/all.profdata; ! ls -d raw/.merge-* 2> /dev/null");
}

#[test]
fn links_devices_and_modes() {
    let dir = gathered();
    dir.sh("mkdir links real; for file in raw/*.profraw; do ln -s ../$file links/; done; ln -s nowhere links/broken.profraw");
    assert!(optbuild(&dir, &["merge", "-o", "plain.profdata", "raw"]).0.status.success());
    dir.sh("echo old > real/out.profdata; chmod 600 real/out.profdata; ln -s real/out.profdata out.profdata");
    let (output, said) = optbuild(&dir, &["merge", "-o", "out.profdata", "links"]);
    assert!(output.status.success(), "{said}");
    dir.sh("cmp plain.profdata real/out.profdata; test -L out.profdata; test $(stat -c %a real/out.profdata) = 600");
    // Into a pipe, and into a device, which stays one.
    dir.sh("ln -s $(ls raw/*.profraw | head -1) one.profraw; mkfifo pipe");
    let reader = Command::new("sh").args(["-c", "cat pipe > piped.profdata"]).current_dir(dir.path()).spawn();
    let (output, said) = optbuild(&dir, &["merge", "-o", "pipe", "links"]);
    assert!(output.status.success(), "{said}");
    assert!(reader.unwrap().wait().unwrap().success());
    dir.sh("cmp plain.profdata piped.profdata; test -p pipe");
    let (output, said) = optbuild(&dir, &["merge", "-o", "/dev/null", "one.profraw"]);
    assert!(output.status.success(), "{said}");
    dir.sh("test -c /dev/null");
    // What has no profile in it is said.
    dir.write("empty/x.txt", "");
    let (output, said) = optbuild(&dir, &["merge", "-o", "more.profdata", "raw", "empty"]);
    assert!(
        output.status.success() && said.contains("there is no profile (*.profraw, *.profdata, *.fdata) in empty"),
        "{said}"
    );
    let (output, said) = optbuild(&dir, &["merge", "-o", "raw", "raw"]);
    assert!(!output.status.success() && said.contains("raw is a directory: name a file in it"), "{said}");
    let (output, said) = optbuild(&dir, &["merge", "--profdata", "/bin/true", "-o", "x.profdata", "raw"]);
    assert!(!output.status.success() && said.contains("/bin/true ended well and wrote no profile"), "{said}");
}
