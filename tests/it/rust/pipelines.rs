//! The Linux pipelines of rustc from end to end on a stub checkout: with a failure in every stage, resumed, and started again from every
//! stage.

use super::support::{Rust, Spelling};
use crate::support::processes::write_program;

/// Stages whose failure a run survives, and one that runs nothing which could be told to fail.
const OPTIONAL: [&str; 3] = ["llvm-bolt", "driver-bolt", "external-llvm"];

/// Runs a pipeline with a failure in each stage in turn; what was done before is never done again.
fn fails_and_is_resumed(rust: &Rust) {
    let stages: Vec<String> = rust.stages();
    let mut done: Vec<String> = Vec::new();
    let mut first = true;
    for stage in stages.iter().filter(|stage| !OPTIONAL.contains(&stage.as_str())) {
        // Done beside one that failed.
        if done.contains(stage) {
            continue;
        }
        rust.fail_in(Some(stage));
        let ran = if first { rust.run(&[]) } else { rust.optbuild(&["resume"]) }.failed();
        first = false;
        let ran = ran.says(&format!("{stage} failed"));
        let began = ran.began();
        assert!(began.contains(&stage.as_str()), "{began:?}");
        assert!(!began.iter().any(|began| done.iter().any(|done| done == began)), "{began:?} after {done:?}");
        done.extend(began.iter().filter(|began| **began != stage).map(|began| began.to_string()));
    }
    rust.fail_in(None);
    rust.optbuild(&["resume"]).ok();
    let again = rust.run(&[]).ok();
    assert_eq!(again.began(), [""; 0], "{}", again.text);
}

/// Starts from each stage again: it runs, and all that depends on it is there in the end.
fn starts_from_each(rust: &Rust) {
    for stage in rust.stages() {
        let ran = rust.run(&["--from", &stage]).ok();
        assert_eq!(ran.began()[0], stage, "{}", ran.text);
    }
    rust.run(&[]).ok();
}

#[test]
fn todays_best_fails_in_every_stage_and_is_resumed() {
    let Some(rust) = Rust::new("linux-x86_64", Spelling::Of2025) else { return };
    fails_and_is_resumed(&rust);

    // Archives, in the place that the user was told, with profiles for others.
    let names = rust.sh("cd out/linux-x86_64/archives && ls");
    for name in ["rustc", "rust-std", "cargo", "rust-src", "reproducible-artifacts"] {
        assert!(names.lines().any(|line| line.starts_with(&format!("{name}-"))), "{name} in {names}");
    }
    let packed = rust.sh("tar -tf out/linux-x86_64/archives/reproducible-artifacts-*.tar.xz");
    assert_eq!(packed.matches(".profdata").count(), 2, "{packed}");
    assert_eq!(packed.matches(".fdata").count(), 2, "{packed}");
    // Both libraries in them are BOLT's.
    let toolchain = rust.artifact("toolchain.toolchain");
    for library in ["librustc_driver-*.so", "libLLVM.so.*"] {
        rust.sh(&format!("readelf -SW '{toolchain}'/lib/{library} | grep -q bolt.org.text"));
    }
    // In the build directory the originals are kept.
    let kept = rust.sh("find .optbuild/workspaces/rust -name '*.orig'");
    assert_eq!(kept.lines().count(), 2, "{kept}");
}

#[test]
fn todays_best_starts_from_every_stage() {
    let Some(rust) = Rust::new("linux-x86_64", Spelling::Of2025) else { return };
    let first = rust.run(&[]).ok().says("put in place: out/linux-x86_64/archives");
    // What the stub's metrics.json says of each of its calls: rustc and LLVM, each instrumented and with its profile, and the archives.
    let times = first.text.lines().filter(|line| line.split_whitespace().eq(["llvm", "1.5", "s"])).count();
    assert_eq!(times, 5, "{}", first.text);
    starts_from_each(&rust);
}

/// x.py begins by deleting the sysroot in which the libraries are found that BOLT's take the places of.
#[test]
fn archives_are_resumed_without_a_sysroot() {
    let Some(rust) = Rust::new("linux-x86_64", Spelling::Of2025) else { return };
    rust.fail_in(Some("dist without stage 2"));
    rust.run(&[]).failed().says("told to fail");
    assert_eq!(rust.sh("find .optbuild/workspaces/rust -path '*/stage2/*'"), "");
    // Once more: what was put in place is put back, and placed again.
    rust.optbuild(&["resume"]).failed().says("told to fail");
    rust.fail_in(None);
    rust.optbuild(&["resume"]).ok();
    let toolchain = rust.artifact("toolchain.toolchain");
    for library in ["librustc_driver-*.so", "libLLVM.so.*"] {
        rust.sh(&format!("readelf -SW '{toolchain}'/lib/{library} | grep -q bolt.org.text"));
    }
}

#[test]
fn a_bolt_that_crashes_is_left_out() {
    let Some(rust) = Rust::new("linux-x86_64", Spelling::Of2025) else { return };
    rust.fail_in(Some("llvm-bolt"));
    rust.run(&[]).ok().says("llvm-bolt");
    let toolchain = rust.artifact("toolchain.toolchain");
    rust.sh(&format!("readelf -SW '{toolchain}'/lib/librustc_driver-*.so | grep -q bolt.org.text"));
    rust.sh(&format!("! readelf -SW '{toolchain}'/lib/libLLVM.so.* | grep -q bolt.org.text"));
    // Tried again when it is asked for; then the library is put in place, and packed.
    rust.fail_in(None);
    let again = rust.run(&["--from", "llvm-bolt"]).ok();
    assert_eq!(again.began(), ["llvm-bolt", "dist", "toolchain", "test"], "{}", again.text);
    let toolchain = rust.artifact("toolchain.toolchain");
    rust.sh(&format!("readelf -SW '{toolchain}'/lib/libLLVM.so.* | grep -q bolt.org.text"));
}

/// x.py tells the linker of BOLT in a way that cargo does not notice.
#[test]
fn bolt_after_a_build_without_it() {
    // With cargo's build directory of before 2026, and with that of today.
    for spelling in [Spelling::Of2025, Spelling::Of2026] {
        bolt_after_a_build_without_it_by(spelling);
    }
}

fn bolt_after_a_build_without_it_by(spelling: Spelling) {
    let Some(rust) = Rust::new("linux-x86_64", spelling) else { return };
    let relocations = |there: &str| {
        let driver = rust.artifact("rustc-pgo.driver");
        rust.sh(&format!("{there} readelf -SW '{driver}' | grep -q 'rela\\.text'"));
    };
    rust.run(&["--set", "bolt=false", "--until", "rustc-pgo"]).ok();
    relocations("!");
    rust.run(&["--until", "rustc-pgo"]).ok();
    relocations("");
}

/// x.py builds LLVM with all warnings off, unless told: clang would use nothing of such a profile, and say nothing.
#[test]
fn a_profile_of_another_llvm_is_refused() {
    let Some(rust) = Rust::new("linux-x86_64", Spelling::Of2025) else { return };
    rust.run(&["--until", "llvm-profile"]).ok();
    rust.optbuild(&["profile", "export", "-o", "profiles.tar.zst"]).ok();
    let all = rust.run(&["--profiles", "profiles.tar.zst"]).ok().says("put in place: out/linux-x86_64/archives");
    assert!(!all.began().contains(&"llvm-instrumented"), "{}", all.text);
    rust.sh("sed -i 's/if (level == 0)/while (hash % 3 == 1) hash = hash * 5 + level; &/' checkout/src/llvm-project/llvm/llvm.c");
    let ran = rust.run(&["--profiles", "profiles.tar.zst", "--until", "llvm-pgo"]).failed();
    ran.says("llvm-pgo: failed in check-profile-use-llvm").says("the compiler says: 1 other code there");
}

/// With a bundle of its own profiles, on a machine that has built nothing: what only gathers is left out, all else comes to its end.
fn goes_on_with_a_bundle(pipeline: &'static str, needless: &[&str]) {
    let Some(rust) = Rust::new(pipeline, Spelling::Of2025) else { return };
    rust.run(&[]).ok();
    rust.optbuild(&["profile", "export", "-o", "profiles.tar.zst"]).ok();
    rust.sh("rm -r .optbuild");
    let all = rust.stages();
    let ran =
        rust.run(&["--profiles", "profiles.tar.zst"]).ok().says(&format!("put in place: out/{pipeline}/archives"));
    let mut began: Vec<&str> = ran.began();
    began.extend(needless);
    began.sort();
    let mut all: Vec<&str> = all.iter().map(String::as_str).collect();
    all.sort();
    assert_eq!(began, all, "{}", ran.text);
}

#[test]
fn october_2022_goes_on_with_a_bundle() {
    let needless = ["training", "llvm-instrumented", "rustc-instrumented", "llvm-bolt-instrumented"];
    goes_on_with_a_bundle("linux-x86_64-2022-10", &needless);
}

#[test]
fn a_packaged_llvm_goes_on_with_a_bundle() {
    goes_on_with_a_bundle("linux-x86_64-system-llvm", &["training", "rustc-instrumented", "driver-instrumented"]);
}

/// Without git x.py does not see that LLVM's sources have changed.
#[test]
fn a_patched_llvm_is_built_again() {
    let Some(rust) = Rust::new("linux-x86_64", Spelling::Of2025) else { return };
    let patched = || {
        let library = rust.artifact("rustc-instrumented.libllvm");
        rust.sh(&format!("nm -D '{library}' | grep -c 'T patched' || true")).trim().to_string()
    };
    rust.run(&["--until", "rustc-instrumented"]).ok();
    assert_eq!(patched(), "0");
    rust.sh("echo 'int patched(void) { return 1; }' >> checkout/src/llvm-project/llvm/llvm.c");
    rust.run(&["--until", "rustc-instrumented"]).ok();
    assert_eq!(patched(), "1");
}

#[test]
fn the_spelling_of_2026() {
    let Some(rust) = Rust::new("linux-x86_64", Spelling::Of2026) else { return };
    let plan = rust.call("plan", &[]).ok();
    for (new, old) in [
        ("pgo.rustc.generate=", "--rust-profile-generate"),
        ("pgo.llvm.use=", "--llvm-profile-use"),
        ("--exact-match", "--include"),
    ] {
        assert!(plan.text.contains(new) && !plan.text.contains(old), "{new}, {old}: {}", plan.text);
    }
    rust.run(&[]).ok().says("put in place: out/linux-x86_64/archives");
}

#[test]
fn rustdoc_clippy_and_cargo_too() {
    let Some(rust) = Rust::new("linux-x86_64-tools", Spelling::Of2026) else { return };
    rust.run(&[]).ok();
    // rustdoc's own counts are in its profile, and not in rustc's.
    let functions = |stage: &str| {
        rust.sh(&format!("llvm-profdata show --all-functions '{}'", rust.artifact(&format!("{stage}.profile"))))
    };
    for stage in ["rustdoc-profile", "clippy-profile"] {
        assert!(functions(stage).contains("main:"), "{stage}: {}", functions(stage));
    }
    assert!(!functions("rustc-profile").contains("main:"), "{}", functions("rustc-profile"));

    // Each is trained on what was built of it.
    let tools = concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines/linux-x86_64-tools.toml");
    let built = "[[stage]]\nname = \"rustc-instrumented\"\npaths = [\"library/std\", \"src/tools/rustdoc\", \"src/tools/cargo\"]\n";
    std::fs::write(rust.path("without.toml"), format!("name = \"without\"\nextends = \"{tools}\"\n{built}")).unwrap();
    let mut without = rust;
    without.pipeline = "without.toml";
    without
        .call("plan", &[])
        .failed()
        .says("the stage `rustc-instrumented` does not build it: add `src/tools/clippy` to its `paths`");
    without.sh("d=checkout/src/tools/rustc-perf/collector/src/compile/benchmark && mkdir -p $d && echo 'Doc, Check,' > $d/profile.rs");
    without.call("plan", &[]).failed().says("this rustc-perf has no profile `Clippy`");

    let Some(old) = Rust::new("linux-x86_64-tools", Spelling::Of2025) else { return };
    old.run(&[]).failed().says("this checkout's x.py cannot: it has no `pgo.rustdoc`");
}

/// Nothing in it asks for the processor: on another one the stub comes to its end as well.
#[test]
fn arm_without_bolt() {
    let Some(rust) = Rust::new("linux-aarch64", Spelling::Of2025) else { return };
    fails_and_is_resumed(&rust);
    assert!(!rust.stages().iter().any(|stage| stage.contains("bolt")));
    rust.sh("ls out/linux-aarch64/archives/rustc-*");
}

/// Two workspaces. What is packed is a rustc and an LLVM that were never built in one directory.
#[test]
fn wide() {
    let Some(rust) = Rust::new("linux-x86_64-wide", Spelling::Of2025) else { return };
    fails_and_is_resumed(&rust);
    starts_from_each(&rust);
    let toolchain = rust.artifact("toolchain.toolchain");
    for library in ["librustc_driver-*.so", "libLLVM.so.*"] {
        rust.sh(&format!("readelf -SW '{toolchain}'/lib/{library} | grep -q bolt.org.text"));
    }
    // A profile of one half changes nothing in the other.
    let ran = rust.run(&["--from", "llvm-profile"]).ok();
    let of_rustc: Vec<&str> = ran.began().into_iter().filter(|stage| stage.starts_with("rustc")).collect();
    assert_eq!(of_rustc, [""; 0], "{}", ran.text);
}

#[test]
fn without_bolt() {
    let Some(mut rust) = Rust::new("linux-x86_64", Spelling::Of2025) else { return };
    rust.set.push("bolt=false".into());
    // Each of the two libraries has one function that is not inlined.
    let ran = rust.run(&[]).ok().says("rustc-pgo          rustc: 100 % of 1 function in the program have a profile");
    ran.says("llvm-pgo           llvm: 100 % of 1 function in the program have a profile");
    let toolchain = rust.artifact("toolchain.toolchain");
    for library in ["librustc_driver-*.so", "libLLVM.so.*"] {
        rust.sh(&format!("! readelf -SW '{toolchain}'/lib/{library} | grep -Eq 'bolt.org.text|rela.text'"));
    }
}

#[test]
fn packagers_llvm() {
    let Some(rust) = Rust::new("linux-x86_64-system-llvm", Spelling::Of2025) else { return };
    fails_and_is_resumed(&rust);
    rust.run(&["--from", "external-llvm"]).ok().says("rustc needs that of LLVM 22.");
    starts_from_each(&rust);
    let toolchain = rust.artifact("toolchain.toolchain");
    rust.sh(&format!("readelf -SW '{toolchain}'/lib/librustc_driver-*.so | grep -q bolt.org.text"));
    // Whoever wants to know afterwards what it was worth builds one rustc more, and nothing of this again.
    let plain = ["--set", "plain=true", "--set", "compare-crates=serde-*"];
    let both = ["--until", "rustc-plain", "--until", "test"];
    let ran = rust.run(&[&plain[..], &both].concat()).ok();
    assert_eq!(ran.began(), ["rustc-plain"], "{}", ran.text);
    assert_eq!(rust.run(&[]).ok().began(), [""; 0]);
    rust.call("plan", &plain).ok().says("--crates serde-1.0.136\n");
    let unknown = rust.call("plan", &["--set", "plain=true", "--set", "compare-crates=serd-*"]).failed();
    unknown.says("stage `compare`, `crates`: this rustc-perf has no crate `serd-*`. The nearest: serde-1.0.136");
}

#[test]
fn ten_steps_of_october_2022() {
    let Some(rust) = Rust::new("linux-x86_64-2022-10", Spelling::Of2025) else { return };
    fails_and_is_resumed(&rust);
    starts_from_each(&rust);
    let toolchain = rust.artifact("toolchain.toolchain");
    rust.sh(&format!("readelf -SW '{toolchain}'/lib/libLLVM.so.* | grep -q bolt.org.text"));
}

#[test]
fn eight_steps_of_january_2022() {
    let Some(rust) = Rust::new("linux-x86_64-2022-01", Spelling::Of2026) else { return };
    fails_and_is_resumed(&rust);
    starts_from_each(&rust);
}

#[test]
fn a_gather_stage_resumes_at_the_crate() {
    let Some(rust) = Rust::new("linux-x86_64-2022-01", Spelling::Of2025) else { return };
    rust.fail_in(Some("rustc-profile"));
    let ran = rust.run(&["-j", "1"]).failed().says("workload perf-externs done (1/4)");
    assert!(!ran.text.contains("perf-match-stress done"), "{}", ran.text);
    rust.fail_in(None);
    let ran = rust.optbuild(&["resume", "-j", "1"]).ok().says("workload perf-match-stress done (2/4)");
    assert!(!ran.text.contains("workload perf-externs"), "{}", ran.text);
    // What all of the stage's workloads wrote is counted: two crates with 3 profiles times 4 scenarios, and libcore twice.
    ran.says("4 workloads, 1 instrumented function, 26 raw profiles");
}

/// The directory of the state may lie in the checkout, which is a cargo workspace.
#[test]
fn in_the_checkout_itself() {
    let Some(mut rust) = Rust::new("linux-x86_64-2022-01", Spelling::Of2025) else { return };
    rust.sh("mv checkout/* . && rmdir checkout");
    rust.set.retain(|set| !set.starts_with("checkout="));
    rust.run(&["--until", "llvm-profile"]).ok();
}

/// A rustc of this machine, whose LLVM may be newer than the clang here, has nothing to do with it.
#[test]
fn what_this_machine_must_have() {
    let Some(rust) = Rust::new("linux-x86_64", Spelling::Of2025) else { return };
    let looked = rust.call("doctor", &[]).says("rust checkout           ok");
    assert!(!looked.text.contains("LLVM of rustc"), "{}", looked.text);
}

/// x.py calls cargo with `--locked`, and would say after a minute what `doctor` says.
#[test]
fn lock_files_that_do_not_fit_are_found() {
    let Some(rust) = Rust::new("linux-x86_64", Spelling::Of2025) else { return };
    rust.call("doctor", &[]).says_nothing_of("lock files");
    rust.sh("cd checkout && mkdir one two && touch one/lib.rs two/lib.rs && printf '[package]\\nname = \"one\"\\nversion = \"0.1.0\"\\n\
             [lib]\\npath = \"lib.rs\"\\n[workspace]\\n[dependencies]\\n' > one/Cargo.toml && sed 's/one/two/; /workspace/d' one/Cargo.toml > \
             two/Cargo.toml && mv one/* . && rmdir one && cargo generate-lockfile --offline");
    // A cargo that fails for another reason says nothing of lock files.
    write_program(&rust.path("stage0/bin/cargo"), "#!/bin/sh\necho 'no network' >&2\nexit 101\n");
    rust.call("doctor", &[]).says("lock files of the checkout  ok       not known");
    write_program(&rust.path("stage0/bin/cargo"), "#!/bin/sh\nexec cargo \"$@\"\n");
    rust.call("doctor", &[]).says("lock files of the checkout  ok       as cargo needs them");
    rust.sh("cd checkout && echo 'two = { path = \"two\" }' >> Cargo.toml");
    let lock = rust.path("checkout/Cargo.lock");
    let before = std::fs::read(&lock).unwrap();
    let looked = rust.call("doctor", &[]).failed();
    let words: Vec<&str> = looked.text.split_whitespace().collect();
    let says = format!("{lock} does not fit the manifests of the checkout");
    assert!(words.join(" ").contains(&says), "{}", looked.text);
    assert_eq!(std::fs::read(&lock).unwrap(), before);
}

#[test]
fn crates_that_are_not_there() {
    let Some(mut rust) = Rust::new("linux-x86_64", Spelling::Of2025) else { return };
    rust.set.push("rustc-crates=serde-1.0.219".into());
    let said = "this rustc-perf has no crate `serde-1.0.219`. The nearest: serde-1.0.136";
    rust.run(&[]).failed().says(said);
    // A name at the beginning of another one means itself.
    rust.set.push("rustc-crates=ripgrep-13.0.0".into());
    rust.set.retain(|set| !set.contains("1.0.219"));
    rust.call("plan", &[]).ok().says("--include ripgrep-13.0.0 --exclude ripgrep-13.0.0-tiny");
}
