//! What optbuild writes as a merged profile is byte for byte what llvm-profdata writes of the same raw profiles.

use crate::support::dir::{Dir, LLVM};
use crate::support::needs;
use crate::support::profile::{VALUES, files, run, tool};
use camino::Utf8PathBuf;
use optbuild::profile::header::Header;
use optbuild::profile::{indexed, raw};

/// The version that the tool writes, and whether optbuild writes the same bytes of these raw profiles.
fn written(dir: &Dir, bin: &str, raws: &[Utf8PathBuf]) -> Option<(u32, bool)> {
    let theirs = dir.join("theirs.profdata");
    let mut args = vec!["merge", "-num-threads=1", "-o", theirs.as_str()];
    args.extend(raws.iter().map(|path| path.as_str()));
    tool(bin, &args);
    let version = Header::read(&theirs).unwrap().unwrap().version;
    let profile = indexed::Profile::read(raws).unwrap().unwrap();
    let ours = profile.write(version)?;
    Some((version, ours == std::fs::read(&theirs).unwrap()))
}

/// Of a single profile, and of the sum of all.
fn assert_written(dir: &Dir, bin: &str, version: u32) {
    let all = files(&dir.join("raw"));
    assert_eq!(written(dir, bin, &all[..1]), Some((version, true)), "a single profile");
    let folded = raw::fold(&all, dir.path(), 2).unwrap();
    assert_eq!(folded.added, all.len());
    assert_eq!(written(dir, bin, &folded.left), Some((version, true)), "a sum");
}

const FLAGS: [&str; 6] = [
    "-O2 -fprofile-generate",
    "-O2 -fprofile-generate -mllvm -disable-vp=true -Wl,--build-id=none",
    "-O2 -fprofile-generate -mllvm -pgo-instrument-entry=true -Wl,--build-id=sha1",
    "-O1 -fprofile-instr-generate",
    "-O1 -fprofile-instr-generate -fcoverage-mapping",
    "-O1 -fprofile-instr-generate -fcoverage-mapping -fcoverage-mcdc",
];

#[test]
fn programs_in_c() {
    for (major, version) in [(22, 13), (19, 12)] {
        let Some(bin) = (if major == 22 { Some(LLVM.to_string()) } else { needs::llvm(major) }) else { continue };
        for flags in FLAGS {
            let dir = Dir::new();
            dir.write("prog.c", VALUES);
            run(&dir, &bin, &format!("$CC {flags} prog.c -o prog"), 9);
            assert_written(&dir, &bin, version);
        }
    }
}

#[test]
fn second_level() {
    let dir = Dir::new();
    dir.write("prog.c", VALUES);
    run(&dir, LLVM, "$CC -O2 -fprofile-generate prog.c -o prog", 3);
    dir.sh("llvm-profdata merge raw/*.profraw -o first.profdata; rm -r raw");
    run(&dir, LLVM, "$CC -O2 -fprofile-use=first.profdata -fcs-profile-generate prog.c -o prog", 9);
    assert_written(&dir, LLVM, 13);
}

/// Made by rustc 1.80, whose LLVM is 18, and merged by that LLVM's tool.
#[test]
fn version_9_of_llvm_18() {
    let fixtures = Utf8PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/profraw/version-9"));
    let dir = Dir::new();
    let all = files(&fixtures);
    let folded = raw::fold(&all, dir.path(), 2).unwrap();
    assert_eq!((folded.added, folded.left.len(), folded.handed.len()), (3, 1, 0));
    let profile = indexed::Profile::read(&folded.left).unwrap().unwrap();
    assert!(profile.write(11).unwrap() == std::fs::read(fixtures.join("merged.profdata")).unwrap());
}

#[test]
fn functions_with_thousands_of_targets_and_a_profile_of_nothing() {
    // 300 targets of one site, of which the runtime keeps some; and names so many that they are in several buckets.
    let mut text = String::from("#include <stdlib.h>\n");
    for n in 0..300 {
        text += &format!("__attribute__((noinline)) int f{n}(int x) {{ return x % {} ? x : {n}; }}\n", n + 2);
    }
    let names: Vec<String> = (0..300).map(|n| format!("f{n}")).collect();
    text += &format!("int (*all[])(int) = {{{}}};\n", names.join(", "));
    text += "int main(int c, char **v) { int n = atoi(v[1]), s = 0; for (int i = 0; i < 3000; i++) s += all[i * n % 300](i); return s == 1; }\n";
    let dir = Dir::new();
    dir.write("prog.c", text);
    run(&dir, LLVM, "$CC -O1 -fprofile-generate prog.c -o prog", 20);
    assert_written(&dir, LLVM, 13);

    let dir = Dir::new();
    dir.write("prog.c", "int main() { return 0; }\n");
    run(&dir, LLVM, "$CC -O1 -fprofile-generate-cold-function-coverage prog.c -o prog", 2);
    let all = files(&dir.join("raw"));
    assert_eq!(written(&dir, LLVM, &all[..1]), Some((13, true)));
}

#[test]
fn several_programs() {
    let dir = Dir::new();
    dir.write("prog.c", VALUES);
    dir.write("more.c", "__attribute__((noinline)) int twice(int x) { return x % 3 ? x * 2 : x; }\nint more(int x) { return twice(x) + 1; }\n");
    let build = "$CC -O2 -fPIC -fprofile-generate -shared more.c -o libmore.so; \
                 $CC -O2 -fprofile-generate -DMORE prog.c -L. -lmore -Wl,-rpath,$PWD -o prog";
    run(&dir, LLVM, build, 5);
    let all = files(&dir.join("raw"));
    let folded = raw::fold(&all, dir.path(), 2).unwrap();
    assert_eq!((folded.added, folded.left.len()), (10, 2));
    assert_eq!(written(&dir, LLVM, &folded.left), Some((13, true)));
    assert!(indexed::Profile::read(&all[..2]).unwrap().is_ok());
    // Functions that both have: only LLVM knows what becomes of them.
    let twice = [all[0].clone(), all[0].clone()];
    assert!(indexed::Profile::read(&twice).unwrap().is_err());
}
