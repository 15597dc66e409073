//! The demo in one directory, and its script in another: the same artifacts. Takes minutes.

use crate::support::real::{artifact, contents, empty, sh};
use camino::{Utf8Path, Utf8PathBuf};

/// Hashes of a stage's files, without their names: a merged profile is named by its content only where optbuild names it.
fn hashes(dir: &Utf8Path) -> Vec<String> {
    contents(dir).into_iter().map(|(_, hash)| hash).collect()
}

#[test]
#[ignore = "builds the demo twice, which takes 7 minutes on two cores"]
fn the_script_makes_what_a_run_makes() {
    let test = empty("");
    let _ = test.cmd("run demo").ok();
    let script = test.cmd("plan demo --shell").ok().stdout.replace("[DIR]", test.dir.as_str());
    let elsewhere = test.path("../with-the-script");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::write(elsewhere.join("demo.sh"), script).unwrap();
    // Without optbuild: all of it can be done with plain tools.
    let printed = sh(&elsewhere, "OPTBUILD=/nonexistent bash -s -- OUT < demo.sh 2>&1");
    assert!(printed.contains("not measured"), "what takes the place of the table: {printed}");

    let by_script = |stage: &str| elsewhere.join("OUT/.work/stages").join(stage).join("out");
    let by_run = |stage: &str| -> Utf8PathBuf {
        let dir = test.path(".optbuild/outputs").join(stage);
        dir.read_dir_utf8().unwrap().next().unwrap().unwrap().path().to_owned()
    };
    // To the byte: what is compiled from C, the profiles of that, and what the programs print.
    for stage in ["sources", "lib-instrumented", "lib-profile", "lib-plain", "lib-pgo", "lib-bolt-profile", "verify"] {
        assert_eq!(hashes(&by_script(stage)), hashes(&by_run(stage)), "{stage}");
    }
    // llvm-bolt keeps its command line in a note; the code is the same.
    let code =
        |library: &Utf8Path| sh(&elsewhere, &format!("llvm-objcopy --dump-section=.text=t {library} x; sha256sum < t"));
    let bolted = "lib/libsqlite3.so";
    assert_eq!(code(&elsewhere.join("OUT").join(bolted)), code(&test.path("out/demo").join(bolted)));
    // rustc compiles the paths of crates in, for messages of panics. What is counted is the same but for the build's hash.
    let counts = |profile: &str| sh(&elsewhere, &format!("llvm-profdata show --all-functions --counts {profile}"));
    let trained = counts(&format!("{}/*.profdata", by_script("shell-profile")));
    assert_eq!(trained, counts(artifact(&test, "shell-profile.profile").as_str()));
    let table = test.read("out/demo/comparison.md");
    assert!(table.contains("| catalogue |") && table.contains("| **mean** |"), "{table}");
}
