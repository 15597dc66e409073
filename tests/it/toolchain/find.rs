//! Finding tools: where they are looked for, which versions count, what is said of a gap, and the table of `doctor`.

use std::collections::BTreeMap;

use camino::Utf8Path;
use optbuild::facts::Facts;
use optbuild::pipeline::{LoadOptions, Pipeline, ToolDecl, VarType, VarValue, Variable};
use optbuild::plan::{StagePlan, ToolUse};
use optbuild::profile::header::Header;
use optbuild::toolchain::doctor::{self, Status, doctor};
use optbuild::toolchain::{find, llvm, packages, rust};
use semver::Version;
use serde_json::{Value, json};

fn pipeline(tools: &str, llvm: &str) -> Pipeline {
    let variable = Variable {
        value: VarValue::String(llvm.into()),
        kind: VarType::String,
        default: None,
        choices: Vec::new(),
        secret: false,
        given: None,
        description: String::new(),
    };
    Pipeline {
        dirs: vec!["/p".into()],
        vars: [("llvm".into(), variable)].into(),
        tools: toml::from_str::<indexmap::IndexMap<String, ToolDecl>>(tools).unwrap(),
        ..Pipeline::default()
    }
}

/// A machine with programs, and what some of them print.
fn machine(programs: &[(&str, &str)], outputs: &[(&str, &str)]) -> Facts {
    let programs: BTreeMap<_, _> = programs.iter().copied().collect();
    let outputs: BTreeMap<_, _> = outputs.iter().copied().collect();
    facts(json!({ "host": "x86_64-unknown-linux-gnu", "programs": programs, "outputs": outputs }))
}

fn facts(value: Value) -> Facts {
    Facts::from_json(&value.to_string()).unwrap()
}

/// Debian with clang 14 as `clang` and 19 beside it.
fn debian() -> Facts {
    machine(
        &[
            ("clang", "/usr/bin/clang"),
            ("clang-19", "/usr/bin/clang-19"),
            ("/usr/lib/llvm-19/bin/llvm-bolt", "/usr/lib/llvm-19/bin/llvm-bolt"),
            ("/opt/llvm/bin/clang", "/opt/llvm/bin/clang"),
            ("cmake", "/usr/bin/cmake"),
        ],
        &[
            ("/usr/bin/clang --version", "Debian clang version 14.0.6\n"),
            ("/usr/bin/clang-19 --version", "Debian clang version 19.1.7 (3~deb12u1)\n"),
            ("/opt/llvm/bin/clang --version", "clang version 23.0.0git\n"),
            ("/usr/bin/cmake --version", "cmake version 3.25.1\n"),
        ],
    )
}

fn path(facts: &Facts, tools: &str, llvm: &str, name: &str) -> String {
    find(facts, &pipeline(tools, llvm), name).unwrap().path.into()
}

#[test]
fn the_declared_directory_then_path_then_numbered_names() {
    let dir = r#"clang = { dir = "${llvm}" }"#;
    assert_eq!(path(&debian(), dir, "/opt/llvm", "clang"), "/opt/llvm/bin/clang");
    assert_eq!(path(&debian(), dir, "/opt/llvm/bin", "clang"), "/opt/llvm/bin/clang");
    assert_eq!(path(&debian(), dir, "", "clang"), "/usr/bin/clang", "empty counts as not given");
    assert_eq!(path(&debian(), dir, "/nowhere", "clang"), "/usr/bin/clang");
    assert_eq!(path(&debian(), "", "", "llvm-bolt"), "/usr/lib/llvm-19/bin/llvm-bolt");
    assert_eq!(path(&debian(), r#"cc = { names = ["gcc", "clang-19"] }"#, "", "cc"), "/usr/bin/clang-19");
}

#[test]
fn the_first_that_has_the_version() {
    let declared = r#"clang = { version = ">=19", dir = "${llvm}" }"#;
    assert_eq!(path(&debian(), declared, "", "clang"), "/usr/bin/clang-19");
    assert_eq!(path(&debian(), declared, "/opt/llvm", "clang"), "/opt/llvm/bin/clang", "a pre-release has its version");
    assert_eq!(path(&debian(), r#"cmake = { version = ">=3.20, <5" }"#, "", "cmake"), "/usr/bin/cmake");
}

#[test]
fn gaps_say_what_was_found_and_what_to_do() {
    let declared = pipeline(r#"clang = { version = "22", dir = "${llvm}" }"#, "");
    let gap = find(&debian(), &declared, "clang").unwrap_err();
    assert_eq!(gap.what, "`clang` at /usr/bin/clang is version 14.0.6, and the pipeline asks for `22`");
    let remedy = "install one that fits (the package `clang-22`, if this machine has it so new), or say where it is with \
                  `--set llvm=DIR`";
    assert_eq!(gap.remedy, remedy);
    let gap = find(&debian(), &pipeline("", ""), "merge-fdata").unwrap_err();
    assert_eq!(gap.what, "`merge-fdata` is not installed");
    assert_eq!(gap.remedy, "install it: `apt-get install -y bolt-22`");
    let fedora = machine(&[("dnf", "/usr/bin/dnf")], &[]);
    let gap = find(&fedora, &pipeline("", ""), "ninja").unwrap_err();
    assert_eq!(gap.remedy, "install it: `dnf install -y ninja-build`");
    let gap = find(&debian(), &pipeline(r#"clang = { version = "new" }"#, ""), "clang").unwrap_err();
    assert!(gap.what.contains("`new`, the version of the tool `clang`, is not a requirement"), "{}", gap.what);
}

/// LLVM 14 in PATH beside a numbered clang of LLVM 22, as in Debian 12 with a newer LLVM.
#[test]
fn tools_of_the_same_llvm() {
    let facts = facts(json!({
        "host": "x86_64-unknown-linux-gnu",
        "programs": {
            "llvm-profdata": "/usr/bin/llvm-profdata",
            "/usr/bin/llvm-profdata": "/usr/bin/llvm-profdata",
            "/usr/bin/clang++-22": "/usr/bin/clang++-22",
            "/usr/lib/llvm-22/bin/llvm-profdata": "/usr/lib/llvm-22/bin/llvm-profdata",
        },
        "outputs": {
            "/usr/bin/clang-22 --version": "Debian clang version 22.1.8 (1~deb12u1)\n",
            "/usr/bin/clang-22 -print-runtime-dir": "/usr/lib/llvm-22/lib/clang/22/lib/linux\n",
            "/usr/bin/llvm-profdata show --version": "Debian LLVM version 14.0.6\n",
            "/usr/lib/llvm-22/bin/llvm-profdata --version": "Debian LLVM version 22.1.8\n",
        },
        "real_paths": { "/usr/bin/clang-22": "/usr/lib/llvm-22/bin/clang" },
    }));
    let clang = Utf8Path::new("/usr/bin/clang-22");
    let profdata = llvm::profdata_for_clang(&facts, clang).unwrap();
    assert_eq!((profdata.path.as_str(), profdata.llvm_major()), ("/usr/lib/llvm-22/bin/llvm-profdata", Some(22)));
    assert_eq!(llvm::cplusplus(&facts, clang).unwrap(), "/usr/bin/clang++-22");
    let gap = llvm::profile_runtime(&facts, clang).unwrap_err();
    assert_eq!(gap.remedy, "install it: `apt-get install -y libclang-rt-22-dev`");

    let mut rust = rust::Rust {
        cargo: "/r/bin/cargo".into(),
        rustc: "/r/bin/rustc".into(),
        sysroot: "/r".into(),
        version: "1.95.0".into(),
        host: "x86_64-unknown-linux-gnu".into(),
        llvm: Some(Version::new(22, 1, 2)),
        rustup: true,
    };
    assert_eq!(llvm::profdata_for_rustc(&facts, &rust).unwrap().path, "/usr/lib/llvm-22/bin/llvm-profdata");
    rust.llvm = Some(Version::new(21, 1, 0));
    let gap = llvm::profdata_for_rustc(&facts, &rust).unwrap_err();
    assert_eq!(gap.what, "there is no `llvm-profdata` that writes profiles for rustc 1.95.0, which is of LLVM 21");
    let remedy =
        "take that of the toolchain: `rustup component add llvm-tools`; or install it: `apt-get install -y llvm-21`";
    assert_eq!(gap.remedy, remedy);
    rust.sysroot = "/home/u/.rustup/toolchains/nightly-x".into();
    let gap = llvm::profdata_for_rustc(&facts, &rust).unwrap_err();
    assert!(gap.remedy.contains("`rustup component add llvm-tools --toolchain nightly-x`"), "{}", gap.remedy);
}

/// A nightly of LLVM 23, for which no distribution has tools, with and without the component that has them.
#[test]
fn the_tools_of_a_toolchain() {
    let toolchain = "/home/u/.rustup/toolchains/nightly-x86_64-unknown-linux-gnu";
    let own = format!("{toolchain}/lib/rustlib/x86_64-unknown-linux-gnu/bin/llvm-profdata");
    let machine = |with_tools: bool| {
        let mut programs = json!({
            "cargo": "/home/u/.cargo/bin/cargo",
            "rustc": "/home/u/.cargo/bin/rustc",
            "rustup": "/home/u/.cargo/bin/rustup",
            "clang": "/usr/bin/clang",
        });
        for name in ["cargo", "rustc"] {
            let path = format!("{toolchain}/bin/{name}");
            programs[&path] = path.clone().into();
        }
        if with_tools {
            programs[&own] = own.clone().into();
        }
        facts(json!({
            "host": "x86_64-unknown-linux-gnu",
            "programs": programs,
            "env": { "HOME": "/home/u" },
            "directories": { "/home/u/.rustup/toolchains": ["nightly-x86_64-unknown-linux-gnu", "stable"] },
            "real_paths": {
                "/home/u/.cargo/bin/cargo": "/home/u/.cargo/bin/rustup",
                "/home/u/.cargo/bin/rustc": "/home/u/.cargo/bin/rustup",
            },
            "outputs": {
                "/usr/bin/clang --version": "Debian clang version 23.1.0\n",
                "/home/u/.cargo/bin/rustc --print sysroot": format!("{toolchain}\n"),
                format!("{toolchain}/bin/rustc -vV"):
                    "rustc 1.99.0-nightly\nhost: x86_64-unknown-linux-gnu\nrelease: 1.99.0-nightly\nLLVM version: 23.1.0\n",
                format!("{own} --version"): "LLVM (http://llvm.org/):\n  LLVM version 23.1.0-rust-1.99.0-nightly\n",
            },
        }))
    };
    let raw = Header::parse(&[&b"\x81rforpl\xff"[..], &(11u64 | 1 << 56).to_le_bytes()].concat()).unwrap();
    let tool = llvm::profdata_for_profile(&machine(true), raw).unwrap();
    assert_eq!((tool.path.as_str(), tool.llvm_major()), (own.as_str(), Some(23)));
    let gap = llvm::profdata_for_profile(&machine(false), raw).unwrap_err();
    assert!(gap.what.contains("raw profiles of version 11: LLVM 23 does"), "{}", gap.what);
    assert!(gap.remedy.contains("`rustup component add llvm-tools`"), "{}", gap.remedy);

    let row = |machine: &Facts| doctor(machine, None, &[]).into_iter().find(|row| row.tool == "LLVM of rustc").unwrap();
    assert_eq!(row(&machine(true)).status, Status::Ok);
    let lacking = row(&machine(false));
    assert_eq!((lacking.status, lacking.package), (Status::Missing, None), "no package has it");
    let remedy = lacking.remedy.unwrap();
    let add = "`rustup component add llvm-tools --toolchain nightly-x86_64-unknown-linux-gnu`";
    assert!(remedy.contains(add), "{remedy}");
}

#[test]
fn rustup_proxies_are_seen_through() {
    let facts = facts(json!({
        "programs": {
            "cargo": "/home/u/.cargo/bin/cargo",
            "rustc": "/home/u/.cargo/bin/rustc",
            "/rust/nightly/bin/cargo": "/rust/nightly/bin/cargo",
            "/rust/nightly/bin/rustc": "/rust/nightly/bin/rustc",
        },
        "real_paths": {
            "/home/u/.cargo/bin/cargo": "/home/u/.cargo/bin/rustup",
            "/home/u/.cargo/bin/rustc": "/home/u/.cargo/bin/rustup",
        },
        "exists": { "/src": true },
        "outputs": {
            "cd /src && /home/u/.cargo/bin/rustc --print sysroot": "/rust/nightly\n",
            "/rust/nightly/bin/rustc -vV":
                "rustc 1.97.0-nightly (abc 2026-05-01)\nhost: x86_64-unknown-linux-musl\nrelease: 1.97.0-nightly\nLLVM version: 22.1.4\n",
        },
    }));
    let rust = rust::find(&facts, &pipeline("", ""), Some("/src".into())).unwrap();
    assert_eq!(rust.cargo, "/rust/nightly/bin/cargo");
    assert_eq!(rust.rustc, "/rust/nightly/bin/rustc");
    assert_eq!((rust.version.as_str(), rust.host.as_str()), ("1.97.0-nightly", "x86_64-unknown-linux-musl"));
    assert_eq!(rust.llvm, Some(Version::new(22, 1, 4)));
    let gap = rust::find(&facts, &pipeline("", ""), None).unwrap_err();
    assert_eq!(gap.what, "`/home/u/.cargo/bin/rustc --print sysroot` fails");
}

/// What is found on this machine belongs together. Needs the tools that the README installs.
#[test]
fn this_machine() {
    let facts = Facts::live();
    let nothing = pipeline("", "");
    let rust = rust::find(&facts, &nothing, None).unwrap();
    let version = facts.output(&["rustc", "--version"]).unwrap();
    assert!(version.starts_with(&format!("rustc {} ", rust.version)), "{version}");
    assert!(!rust.rustc.as_str().contains("/.cargo/bin/"), "{}", rust.rustc);
    let clang = find(&facts, &pipeline(r#"clang = { version = ">=22" }"#, ""), "clang").unwrap();
    assert_eq!(llvm::clang_major(&facts, &clang.path), clang.llvm_major());
    assert_eq!(llvm::profdata_for_clang(&facts, &clang.path).unwrap().llvm_major(), clang.llvm_major());
    assert_eq!(llvm::profile_runtime(&facts, &clang.path), Ok(()));
    let bolt = find(&facts, &nothing, "llvm-bolt").unwrap();
    assert!(llvm::bolt_runtime(&facts, &bolt.path).unwrap().exists());

    // The same questions to what was remembered.
    let filed = Facts::from_json(&facts.to_json()).unwrap();
    assert_eq!(rust::find(&filed, &nothing, None), Ok(rust));
}

#[test]
fn doctor_finds_what_a_pipeline_lacks() {
    let pipeline = pipeline(
        "clang = { version = \"22\" }\ncmake = {}\nninja = { optional = true }\nmerge-fdata = {}\nllvm-bolt = { version = \"19\" }",
        "",
    );
    let used = ToolUse { name: "cmake".into(), path: "/usr/bin/cmake".into() };
    let plan = StagePlan {
        stage: "lib".into(),
        tools: vec![used],
        gaps: vec![find(&debian(), &pipeline, "clang").unwrap_err()],
        ..StagePlan::default()
    };
    let rows = doctor(&debian(), Some(&pipeline), &[plan]);
    let row = |name: &str| rows.iter().find(|row| row.tool == name).unwrap();
    assert_eq!(row("cmake").status, Status::Ok);
    assert_eq!(row("cmake").needed_for, ["lib"]);
    assert_eq!(row("cmake").version.as_deref(), Some("3.25.1"));
    assert_eq!(row("ninja").status, Status::OptionalMissing);
    assert_eq!(row("merge-fdata").status, Status::Missing);
    let clang = row("clang");
    assert_eq!((clang.status, clang.version.as_deref()), (Status::TooOld, Some("14.0.6")));
    assert_eq!((clang.requirement.as_deref(), clang.package.as_deref()), (Some("22"), Some("clang-22")));
    assert_eq!(clang.needed_for, ["lib"]);
    assert_eq!(row("llvm-bolt").status, Status::TooOld, "it does not say its version");
    assert_eq!(rows.len(), 5);

    let sudo = machine(&[("apt-get", "/usr/bin/apt-get"), ("sudo", "/usr/bin/sudo")], &[("id -u", "1000\n")]);
    let commands = doctor::install_command(&sudo, &rows).unwrap();
    let lines: Vec<String> = commands.iter().map(|command| command.join(" ")).collect();
    assert_eq!(lines, ["sudo apt-get update", "sudo apt-get install -y bolt-19 bolt-22 clang-22"]);
    let root = machine(&[("sudo", "/usr/bin/sudo")], &[("id -u", "0\n")]);
    assert_eq!(doctor::install_command(&root, &rows).unwrap()[0], ["apt-get", "update"]);
    assert_eq!(doctor::install_command(&root, &[]), None);
}

/// Swap space is memory as well, if a slow one.
#[test]
fn doctor_compares_memory_with_the_largest_stage() {
    let stage =
        |name: &str, rest: &str| format!("[[stage]]\nname = \"{name}\"\nkind = \"command\"\nrun = \"true\"\n{rest}\n");
    let stages = [
        stage("small", "memory = \"1 GiB\""),
        stage("large", "memory = \"14 GiB\""),
        stage("off", "memory = \"99 GiB\"\nwhen = false"),
        stage("any", ""),
    ];
    let dir = tempfile::tempdir().unwrap();
    let dir = Utf8Path::from_path(dir.path()).unwrap();
    std::fs::write(dir.join("p.toml"), stages.concat()).unwrap();
    let options = LoadOptions {
        set: &[],
        env: &|_| None,
        cwd: dir,
        host: "x86_64-unknown-linux-gnu",
        kinds: &optbuild::stage::KINDS,
        incomplete: false,
    };
    let stages = optbuild::pipeline::load(&dir.join("p.toml"), &options).unwrap();
    let row = |available: u64, swap: u64| {
        let meminfo = format!("MemAvailable: {} kB\nSwapFree: {} kB\n", available << 20, swap << 20);
        let facts = facts(json!({ "files": { "/proc/meminfo": meminfo } }));
        doctor(&facts, Some(&stages), &[]).into_iter().find(|row| row.tool == "memory").unwrap()
    };
    let enough = row(14, 0);
    assert_eq!((enough.status, enough.version.as_deref()), (Status::Ok, Some("14.0 GiB available")));
    assert_eq!(
        (enough.requirement.as_deref(), enough.needed_for),
        (Some("14.0 GiB"), vec!["small".into(), "large".into()])
    );
    let swapping = row(13, 1);
    assert_eq!(
        (swapping.status, swapping.version.as_deref()),
        (Status::Ok, Some("13.0 GiB available, 1.0 GiB of swap"))
    );
    let little = row(13, 0);
    assert_eq!((little.status, little.needed_for), (Status::Missing, vec!["large".into()]));
}

/// What the README's doctor table is made of, on a machine with everything.
#[test]
fn doctor_without_a_pipeline_looks_at_everything() {
    let rows = doctor(&Facts::live(), None, &[]);
    let bad: Vec<_> = rows.iter().filter(|row| matches!(row.status, Status::Missing)).collect();
    assert!(bad.is_empty(), "{bad:#?}");
    for name in
        ["clang", "llvm-bolt", packages::PROFILE_RUNTIME, packages::BOLT_RUNTIME, "branch records", "disk space"]
    {
        assert!(rows.iter().any(|row| row.tool == name), "{name}");
    }
}
