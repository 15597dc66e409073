//! Rust programs through PGO and link-time optimisation with the real cargo and rustc; products are looked at with other tools.

use crate::support::real::{artifact, calls, counts, fixture, has, has_not, sections, sh};

/// The last line but those on how it was built: what `count` has to print, calculated anew.
fn count(end: u64) -> String {
    let mut sum: u64 = 0;
    for n in 0..end {
        sum = sum.wrapping_mul(31) ^ n;
        if n % 100 == 99 {
            sum = sum.rotate_left(7);
        }
        sum = sum.wrapping_add(((sum >> 1) ^ (sum >> 5) ^ (sum >> 11)) & 3);
    }
    sum.to_string()
}

/// Two runs, of 1000 and of 500 numbers; one number in a hundred is rare.
const HOT: u64 = 1000 + 500;
const RARE: u64 = 10 + 5;

#[test]
fn pgo_with_link_time_optimisation_vendored_crates_and_the_users_own_flags() {
    let test = fixture("count").file(".cargo/config.toml", "[build]\nrustflags = ['--cfg', 'from_the_users_config']\n");
    let _ = test.run("").ok();

    has(&sections(&artifact(&test, "instrumented.count")), "__llvm_prf_cnts");
    let profile = artifact(&test, "profile.profile");
    assert_eq!(calls(&profile, "count3hot", ""), HOT);
    assert_eq!(calls(&profile, "counted4rare", ""), RARE);
    assert!(!sh(&test.dir, &format!("llvm-profdata show --all-functions {profile}")).contains("build_script"));

    let optimized = artifact(&test, "optimized.count");
    let found = sections(&optimized);
    has(&found, ".rela.text");
    has(&found, ".symtab");
    has_not(&found, "__llvm_prf_cnts");
    // The hottest function of the program's own, and nothing of the other crate but what says that it is not to be inlined.
    let symbols = |program: &str| sh(&test.dir, &format!("llvm-nm {}", artifact(&test, program)));
    assert!(symbols("plain.count").contains("counted4step"));
    assert!(!symbols("optimized.count").contains("counted4step"), "{}", symbols("optimized.count"));
    assert!(symbols("optimized.count").contains("counted4rare"));

    let printed =
        |program: &str| sh(&test.dir, &format!("LLVM_PROFILE_FILE=/dev/null {} 800", artifact(&test, program)));
    let built = |stage: bool| {
        let sum = count(800);
        format!("{sum}\nbuild script: plain\nfrom the user's configuration: true\nfrom the stage: {stage}\n")
    };
    assert_eq!(printed("instrumented.count"), built(false));
    assert_eq!(printed("optimized.count"), built(true));
    assert_eq!(printed("plain.count"), built(false));

    // Only what cargo vendored was used, and nobody wrote into the project.
    let log = test.cmd("logs optimized build").ok().stdout;
    assert!(log.contains("Compiling itoa v1."), "{log}");
    assert!(!test.exists("target") && !test.exists("Cargo.lock.orig"));
}

/// Flags of a target and of the environment count instead of those of `build`, as cargo has it; the stage's come on top.
#[test]
fn flags_of_the_target_and_of_the_environment() {
    let config = "[target.'cfg(unix)']\nrustflags = '--cfg from_the_users_config'\n";
    let test = fixture("count").file(".cargo/config.toml", config).env("RUSTFLAGS", "--cfg from_the_environment");
    let stage = |name: &str, keys: &str| {
        format!(
            "[[stage]]\nname = '{name}'\nkind = 'cargo'\nmanifest = '${{pipeline.dir}}/Cargo.toml'\nbins = ['count']\n\
             rustflags = ['--cfg', 'from_the_stage']\nprofile = 'dev'\n{keys}\n"
        )
    };
    // The environment of the caller is not seen unless the stage says so.
    test.pipeline([stage("config", ""), stage("env", "pass-env = ['RUSTFLAGS']")]);
    let _ = test.run("").ok();
    let printed = |stage: &str| sh(&test.dir, artifact(&test, &format!("{stage}.count")).as_str());
    assert!(printed("config").contains("configuration: true\nfrom the stage: true"), "{}", printed("config"));
    assert!(printed("env").contains("configuration: false\nfrom the stage: true"), "{}", printed("env"));
}

/// A program of the registry, with what its own lock file names. Needs the registry, or a cache that has it.
#[test]
fn a_crate_of_the_registry() {
    let lock: toml::Table = include_str!("../../../Cargo.lock").parse().unwrap();
    let version = |name: &str| {
        let package = lock["package"].as_array().unwrap().iter().find(|package| package["name"].as_str() == Some(name));
        package.unwrap()["version"].as_str().unwrap().to_owned()
    };
    // A dependency of optbuild that has a program: cat, which needs no other crate but libc.
    let test = fixture("count");
    test.pipeline([format!(
        "[[stage]]\nname = 'cat'\nkind = 'cargo'\ncrate = 'os_pipe@{}'\nbins = ['cat']\npgo = 'generate'\n\
         [[stage]]\nname = 'profile'\nkind = 'gather'\ninstrumented = '${{cat.cat}}'\n\
         workloads = [{{ name = 'copy', shell = true, run = 'echo one two | ${{cat.cat}}' }}]\n",
        version("os_pipe")
    )]);
    let _ = test.run("").ok();
    let cat = artifact(&test, "cat.cat");
    has(&sections(&cat), "__llvm_prf_cnts");
    assert_eq!(sh(&test.dir, &format!("echo three | LLVM_PROFILE_FILE=/dev/null {cat}")), "three\n");
    // What its main function does, it does once.
    assert_eq!(counts(&artifact(&test, "profile.profile"), "cat4main", "").into_iter().max(), Some(1));
    // The files in which cargo keeps what it installed and where are empty.
    assert_eq!(sh(&artifact(&test, "cat.out"), "find . -type f -size +0"), "./bin/cat\n");
}
