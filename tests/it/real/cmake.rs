//! A C++ library through PGO and BOLT with the real tools; every product is looked at with others.

use crate::support::Test;
use crate::support::real::{artifact, calls, contents, fixture, has, has_not, sections, sh};

/// `work(n)`, written anew: what `drive` has to print.
fn work(end: i64) -> String {
    let mut sum: i64 = 0;
    for n in 0..end {
        sum = sum.wrapping_mul(31).wrapping_add(n).wrapping_add(n % 3);
        if n % 100 == 99 {
            sum ^= n << 7;
        }
    }
    format!("{sum}\n")
}

/// Two runs, of 1000 and of 500 numbers; one number in a hundred is rare, and none is above a million.
const HOT: u64 = 1000 + 500;
const RARE: u64 = 10 + 5;

/// Local functions, for which the profile must fit the file as well, stand where the counts put them.
fn placed_by_the_profile(test: &Test, stage: &str) {
    let object = format!(".optbuild/stages/{stage}/build/CMakeFiles/work.dir/src/work.cpp.o");
    let symbols = sh(&test.dir, &format!("llvm-objdump --syms {object}"));
    let section = |function: &str| {
        let line = symbols.lines().find(|line| line.contains(function)).unwrap();
        line.split_whitespace().find(|word| word.starts_with(".text")).unwrap().to_owned()
    };
    assert_eq!((section("3hot").as_str(), section("5never").as_str()), (".text.hot.", ".text.unlikely."));
}

#[test]
fn pgo_and_bolt_of_a_library() {
    let test = fixture("hotcold");
    let _ = test.run("").ok();

    let instrumented = sections(&artifact(&test, "instrumented.library"));
    has(&instrumented, "__llvm_prf_cnts");
    let profile = artifact(&test, "profile.profile");
    assert_eq!(calls(&profile, "3hot", ""), HOT);
    assert_eq!(calls(&profile, "4rare", ""), RARE);
    assert_eq!(calls(&profile, "5never", ""), 0);

    let library = artifact(&test, "pgo.library");
    let plain = sections(&library);
    has(&plain, ".rela.text");
    has(&plain, ".symtab");
    has_not(&plain, "__llvm_prf_cnts");
    has_not(&plain, ".note.bolt_info");
    placed_by_the_profile(&test, "pgo");

    has(&sections(&artifact(&test, "bolt-instrumented.file")), ".bolt.instr.tables");
    // Branches from the function `work`, by where they go, with their counts in the end.
    let fdata = std::fs::read_to_string(artifact(&test, "bolt-profile.profile")).unwrap();
    let count = |to: &str| {
        let line = fdata.lines().find(|line| line.contains("1 work ") && line.contains(to));
        line.unwrap_or_else(|| panic!("{fdata}")).rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    assert_eq!((count("3hot"), count("4rare")), (HOT, RARE));
    assert!(!fdata.contains("5never"), "{fdata}");

    let published = test.path("out/hotcold/lib/libwork.so");
    let optimized = sections(&published);
    has(&optimized, ".note.bolt_info");
    has(&optimized, ".bolt.org.text");
    let notes = sh(&test.dir, &format!("llvm-readelf --notes {published}"));
    assert!(notes.contains(".note.bolt_info"), "{notes}");
    let text = sh(&test.dir, &format!("readelf -p .note.bolt_info {published}"));
    assert!(text.contains(" -reorder-blocks=ext-tsp ") && text.contains("/input/libwork.so "), "{text}");
    // Hot code has moved to the front, what never ran has stayed where the linker had put it.
    let symbols = sh(&test.dir, &format!("llvm-nm -n {published}"));
    let at = |name: &str| symbols.find(name).unwrap_or_else(|| panic!("no {name} in {symbols}"));
    assert!(at("5never") < at("3hot") && at("3hot") < at("4rare"), "{symbols}");

    for end in [1000, 12345] {
        let printed = sh(&test.dir, &format!("LD_LIBRARY_PATH=out/hotcold/lib out/hotcold/bin/drive {end}"));
        assert_eq!(printed, work(end));
    }
    // Instrumented programs ran, in the build and in workloads; none left its profile in a place of its own choice.
    let strays: Vec<_> = test.files_below(".").into_iter().filter(|path| path.as_str().ends_with(".profraw")).collect();
    assert_eq!(strays, Vec::<camino::Utf8PathBuf>::new());
}

/// Profiles, libraries and programs are the same wherever they are built: only instrumented builds and the note in which BOLT
/// keeps its command line say a path. So a project that was moved builds those anew, and the rest stays.
#[test]
fn another_directory_a_moved_project_and_a_script() {
    let test = fixture("hotcold");
    let _ = test.run("").ok();
    let before = test.fingerprints(".optbuild");
    let published = contents(&test.path("out/hotcold"));
    let state = contents(&test.path(".optbuild/outputs"));

    test.sh("mv ../work ../elsewhere && mkdir ../work");
    let ran = test.cmd_in("../elsewhere", "run p.toml").ok();
    let (ran, rest): (Vec<_>, Vec<_>) = before
        .iter()
        .map(|(stage, _)| stage.as_str())
        .partition(|stage| ran.stderr.contains(&format!("\n{stage}: done in")));
    assert_eq!(ran, ["bolt-instrumented", "bolt-profile", "instrumented"]);
    assert_eq!(rest, ["optimized", "pgo", "profile", "verify"]);
    let after = test.fingerprints("../elsewhere/.optbuild");
    let differ: Vec<_> = before.iter().zip(&after).filter(|(old, new)| old != new).map(|(old, _)| &old.0).collect();
    assert_eq!(differ, ["bolt-profile"], "it was made from a library with another path in it");
    assert_eq!(contents(&test.path("../elsewhere/out/hotcold")), published);

    // The script is read by bash through a pipe, in an empty directory.
    test.sh("mkdir ../script");
    let script = test.cmd_in("../elsewhere", "plan p.toml --shell").ok().stdout;
    let script = script.replace("[DIR]", test.dir.as_str());
    std::fs::write(test.path("../script.sh"), &script).unwrap();
    assert!(!script.contains(" op "), "all of it can be done with plain tools: {script}");
    sh(&test.path("../script"), "bash -s -- OUT < ../script.sh");
    let verified = "cd OUT/.work/stages/verify/out && cmp 'same[end=2000].txt' 'same[end=2000].base.txt'";
    sh(&test.path("../script"), verified);

    // A stage's files in order; a merged profile has the hash of its content in its name only where optbuild named it.
    let of_stage = |dir: camino::Utf8PathBuf| contents(&dir).into_iter().map(|(_, hash)| hash).collect::<Vec<_>>();
    for stage in ["instrumented", "profile", "pgo", "bolt-profile", "verify"] {
        let by_script = of_stage(test.path(&format!("../script/OUT/.work/stages/{stage}/out")));
        let recorded = state.iter().filter(|(path, _)| path.starts_with(&format!("./{stage}/"))).map(|(_, hash)| hash);
        assert!(!by_script.is_empty() && by_script.iter().eq(recorded), "{stage}");
    }
    assert_eq!(sh(&test.path("../script/OUT"), "find bin lib -type f"), "bin/drive\nlib/libwork.so\n");
    sh(&test.path(".."), "cmp script/OUT/bin/drive elsewhere/out/hotcold/bin/drive");
    // BOLT's note holds its command line; the code is the same.
    let code = |lib: &str| sh(&test.dir, &format!("objdump -d -j .text -j .text.cold {lib} | tail -n +4"));
    assert_eq!(code("../script/OUT/lib/libwork.so"), code("../elsewhere/out/hotcold/lib/libwork.so"));
    assert_eq!(sh(&test.path("../script"), "LD_LIBRARY_PATH=OUT/lib OUT/bin/drive 777"), work(777));
}

#[test]
fn context_sensitive_profiles_with_link_time_optimisation() {
    let test = fixture("hotcold");
    test.write("p.toml", &test.read("cs-pgo.toml"));
    let _ = test.run("").ok();
    let profile = artifact(&test, "cs-profile.profile");
    // The first level is in it, and the second: counts after inlining. Both come from the same numbers.
    assert_eq!(calls(&profile, "3hot", ""), HOT);
    assert_eq!(calls(&profile, "3hot", "--showcs"), HOT);
    // lld made the second level of names; without the directory of the file, as the first.
    let names = sh(&test.dir, &format!("llvm-profdata show --all-functions --showcs {profile}"));
    assert!(names.lines().any(|line| line.trim() == "work.cpp;_ZN12_GLOBAL__N_13hotEli:"), "{names}");
    has(&sections(&artifact(&test, "cs-instrumented.library")), "__llvm_prf_cnts");
    has_not(&sections(&artifact(&test, "final.library")), "__llvm_prf_cnts");
    assert_eq!(sh(&test.dir, &format!("{} 999", artifact(&test, "final.drive"))), work(999));
}

/// Whether the function of another file was inlined, what the objects are, and whether equal functions became one.
#[test]
fn link_time_optimisation_and_identical_code_folding() {
    let test = fixture("hotcold");
    test.write("p.toml", &test.read("lto.toml"));
    let _ = test.run("").ok();
    let object = |stage: &str| {
        let path = test.path(&format!(".optbuild/stages/{stage}/build/CMakeFiles/work.dir/src/steps.cpp.o"));
        std::fs::read(path).unwrap()[..4].to_vec()
    };
    let step = |stage: &str| {
        let library = artifact(&test, &format!("{stage}.library"));
        let code = sh(&test.dir, &format!("objdump -d --disassemble=work {library}"));
        assert!(code.contains("3hot"), "{code}");
        code.contains("_Z4stepi")
    };
    let folded = |stage: &str| {
        let symbols = sh(&test.dir, &format!("llvm-nm {}", artifact(&test, &format!("{stage}.library"))));
        let at = |name: &str| symbols.lines().find(|line| line.ends_with(name)).unwrap().split(' ').next();
        at(" twin_one") == at(" twin_two")
    };
    for (stage, magic, stays, one) in [
        ("plain", b"\x7fELF", true, false),
        ("thin", b"BC\xc0\xde", false, true),
        ("full", b"BC\xc0\xde", false, false),
    ] {
        assert_eq!(object(stage), magic, "{stage}");
        assert_eq!((step(stage), folded(stage)), (stays, one), "{stage}");
        let comment = sh(&test.dir, &format!("readelf -p .comment {}", artifact(&test, &format!("{stage}.library"))));
        assert!(stage == "plain" || comment.contains("LLD"), "{comment}");
        assert_eq!(sh(&test.dir, &format!("{} 500", artifact(&test, &format!("{stage}.drive")))), work(500));
    }
}

#[test]
fn a_compiler_launcher() {
    let test = fixture("hotcold");
    let log = test.aside.join("launched");
    test.program("launcher", &format!("echo \"$@\" >> {log}\nexec \"$@\""));
    test.write(
        "p.toml",
        "[[stage]]\nname = 'a'\nkind = 'cmake'\nsource = '${pipeline.dir}'\nlauncher = 'launcher'\n\
         outputs = { drive = 'bin/drive' }\n",
    );
    let _ = test.run("").ok();
    let launched = std::fs::read_to_string(log).unwrap();
    for source in ["work.cpp", "steps.cpp", "drive.cpp"] {
        let line = |line: &&str| line.contains("clang++") && line.contains(" -c ") && line.contains(source);
        assert_eq!(launched.lines().filter(line).count(), 1, "{source}: {launched}");
    }
    assert_eq!(sh(&test.dir, &format!("{} 10", artifact(&test, "a.drive"))), work(10));
}
