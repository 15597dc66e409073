//! The configuration of bootstrap stages: the user's own file, what contradicts it, other platforms, and what is missing on a machine.

use std::collections::BTreeSet;

use super::bootstrap_support::*;
use super::support::shown;
use crate::support::dir::Dir;
use optbuild::facts::Facts;
use optbuild::pipeline::{self, LoadOptions};
use optbuild::plan::StagePlan;
use optbuild::stage;
use serde_json::{Value, json};

/// A machine where the user has a configuration of this text.
fn with_config(text: &str) -> Value {
    let mut facts = machine(LINUX, rust_1_85());
    facts["files"]["/home/user/config.toml"] = text.into();
    facts
}

const FILE: &str = "config-file = \"/home/user/config.toml\"\n";

#[test]
fn the_users_own_comes_first() {
    let user = "profile = \"compiler\"\nchange-id = 1\n[build]\nverbose = 1\nlocked-deps = false\n[rust]\nlto = \"fat\"\nchannel = \"beta\"\n\
                [llvm.build-config]\nX = \"a\\\"b\"\n[target.x86_64-unknown-linux-gnu]\nlinker = \"mold\"\n[target.\"a.json\"]\ncc = \"x\"\n";
    let plan = plan_with(&with_config(user), &format!("{FILE}config = {{ \"rust.lto\" = \"thin\" }}")).unwrap();
    let config = step(&plan, "config");
    for line in [
        "profile = \"compiler\"",
        "change-id = 1 ",
        "verbose = 1 ",
        "locked-deps = false",
        "channel = \"beta\"",
        "lto = \"thin\"",
        "[llvm.build-config]",
        "X = 'a\"b'",
        "linker = \"mold\"",
        "cc = \"/usr/bin/clang-22\"",
        "[target.\"a.json\"]",
        "metrics = true",
        "download-ci-llvm = false",
    ] {
        assert!(config.contains(line), "{line} in {config}");
    }
    assert!(!config.contains("\"fat\""), "{config}");
    let note = "`rust.lto = \"fat\"` of /home/user/config.toml is overridden: \"thin\"";
    assert!(plan.notes.iter().any(|text| text == note), "{:?}", plan.notes);
}

#[test]
fn what_contradicts_the_stage_is_refused_with_key_values_and_file() {
    let refused =
        |user: &str, keys: &str| plan_with(&with_config(user), &format!("{FILE}{keys}")).unwrap_err().to_string();
    let message = refused("llvm.download-ci-llvm = \"if-unchanged\"", "");
    for part in [
        "`config-file`",
        "/home/user/config.toml",
        "`llvm.download-ci-llvm = \"if-unchanged\"`",
        "`llvm.download-ci-llvm = false`",
    ] {
        assert!(message.contains(part), "{part} in {message}");
    }
    for (user, keys, key) in [
        ("rust.download-rustc = true", "", "rust.download-rustc"),
        ("build.metrics = false", "", "build.metrics"),
        ("build.build-dir = \"/tmp/b\"", "", "build.build-dir"),
        ("build.profiler = false", "pgo = { rustc = \"generate\" }", "build.profiler"),
        ("rust.profile-use = \"/x\"", "", "rust.profile-use"),
        ("pgo.llvm.use = \"/x\"", "", "pgo.llvm.use"),
        ("build.rustc = \"/other\"", "rustc = \"/stage0/bin/rustc\"", "build.rustc"),
        ("target.x86_64-unknown-linux-gnu.llvm-config = \"/x\"", "", "llvm-config"),
        ("target.x86_64-unknown-linux-gnu.cc = \"gcc\"", "pgo = { llvm = { use = \"/p\" } }", "cc = \"gcc\""),
        ("build.host = [\"i686-unknown-linux-gnu\"]", "", "build.host"),
    ] {
        let message = refused(user, keys);
        assert!(message.contains(key) && message.contains("/home/user/config.toml"), "{user}: {message}");
    }
    // A compiler of the user's own is fine where any will do.
    plan_with(&with_config("target.x86_64-unknown-linux-gnu.cc = \"gcc\""), FILE).unwrap();
    let message =
        plan_with(&machine(LINUX, rust_1_85()), "config = { \"build.metrics\" = false }").unwrap_err().to_string();
    assert!(message.contains("`config.build.metrics`") && message.contains("false"), "{message}");
    assert!(refused("a = [", "").contains("is not TOML"));
}

#[test]
fn flags_for_warnings_stand_before_others() {
    const WARN: &str = "-Xclang -mllvm -Xclang -pgo-warn-missing-function -Wno-error=backend-plugin";
    let keys = "pgo = { llvm = { use = \"${g.profile}\" } }\n";
    let plan = plan_with(&with_config("[llvm]\ncflags = '-DNAME=\"x\"'"), &format!("{FILE}{keys}")).unwrap();
    let config = step(&plan, "config");
    assert!(config.contains(&format!("cflags = '{WARN} -DNAME=\"x\"'")), "{config}");
    assert!(config.contains(&format!("cxxflags = \"{WARN}\"")), "{config}");
    // Where LLVM has no profile, there is nothing to warn of.
    let plan = plan_with(&with_config(""), &format!("{FILE}pgo = {{ llvm = \"generate\" }}")).unwrap();
    assert!(!step(&plan, "config").contains("flags"));
}

/// Three files: the user's own, one that it includes, and one that this includes. `x.py` takes what stands further out, and of several
/// that are included the last.
fn with_included(user: &str, more: &str, last: &str) -> Value {
    let mut facts = with_config(&format!("include = [\"sub/more.toml\", \"/abs.toml\"]\n{user}"));
    facts["files"]["/home/user/sub/more.toml"] = more.into();
    facts["files"]["/abs.toml"] = last.into();
    facts
}

#[test]
fn settings_of_included_files_are_written_as_x_py_would_take_them() {
    let user = "[rust]\nlto = \"fat\"\n[llvm.build-config]\nA = \"user\"\n";
    let more = "include = [\"deep.toml\"]\n[rust]\nlto = \"off\"\ncodegen-units = 2\nchannel = \"beta\"\n[llvm.build-config]\nB = \"more\"\n\
                [target.x86_64-unknown-linux-gnu]\nlinker = \"of more\"\n";
    let last = "[rust]\ncodegen-units = 3\n[target.x86_64-unknown-linux-gnu]\nar = \"of last\"\n";
    let mut facts = with_included(user, more, last);
    facts["files"]["/home/user/sub/deep.toml"] = "[build]\nverbose = 2\n[rust]\nchannel = \"dev\"\n".into();
    let config = step(&plan_with(&facts, FILE).unwrap(), "config");
    for line in [
        "lto = \"fat\"",
        "codegen-units = 3",
        "channel = \"beta\"",
        "linker = \"of more\"",
        "ar = \"of last\"",
        "verbose = 2",
        "A = \"user\"",
    ] {
        assert!(config.contains(line), "{line} in {config}");
    }
    // A setting that is a table is one setting; and nothing is left to include.
    assert!(!config.contains("B = ") && !config.contains("include"), "{config}");
}

#[test]
fn included_files_are_checked_like_the_users_own() {
    let refused = |user: &str, more: &str| plan_with(&with_included(user, more, ""), FILE).unwrap_err().to_string();
    let message = refused("", "build.metrics = false");
    assert!(message.contains("/home/user/sub/more.toml says `build.metrics = false`"), "{message}");
    let message = refused("", "[rust]\njemaloc = true\n");
    let says =
        "/home/user/sub/more.toml has what x.py of /rust does not take: `rust.jemaloc` (perhaps `rust.jemalloc`)";
    assert!(message.contains(says), "{message}");
    assert!(refused("", "a = [").contains("/home/user/sub/more.toml is not TOML"));
    let message = refused("", "include = [\"../config.toml\", \"/home/user/config.toml\"]");
    assert!(
        message.contains("/home/user/config.toml includes itself, by way of /home/user/sub/more.toml"),
        "{message}"
    );
    assert!(plan_with(&with_config("include = \"x\""), FILE).unwrap_err().to_string().contains("is no list of files"));

    let plan = plan_with(&with_config("include = [\"gone.toml\"]"), FILE).unwrap();
    let gaps: Vec<&str> = plan.gaps.iter().map(|gap| gap.what.as_str()).collect();
    assert_eq!(gaps, ["/home/user/gone.toml, which /home/user/config.toml includes, cannot be read"]);
    // Before August 2025, x.py included nothing.
    let mut facts = with_included("", "", "");
    let config = &mut facts["files"]["/rust/src/bootstrap/src/core/config/config.rs"];
    *config = format!("{TOP}{}", config.as_str().unwrap()).into();
    let message = plan_with(&facts, FILE).unwrap_err().to_string();
    assert!(message.contains("/home/user/config.toml has what x.py of /rust does not take: `include`"), "{message}");
}

fn gaps(facts: &Value, keys: &str) -> String {
    let gaps = plan_with(facts, keys).unwrap().gaps.into_iter().map(|gap| gap.what + "; " + &gap.remedy);
    gaps.collect::<Vec<_>>().join("\n")
}

/// A line of rust 1.95.
const COPY: &str = "            builder.cp_link_r(&builder.initial_sysroot.join(\"lib\"), &sysroot.join(\"lib\"));\n";

#[test]
fn a_stage_0_compiler_with_its_libraries_in_lib64_is_found() {
    let rustc = "rustc = \"/stage0/bin/rustc\"";
    let machine = |lib: &str, copy: &str| {
        let mut files = rust_1_85();
        files["src/bootstrap/src/core/build_steps/compile.rs"] = copy.into();
        let mut facts = machine(LINUX, files);
        facts["exists"][format!("/stage0/{lib}/rustlib/{LINUX}/lib")] = json!(true);
        facts
    };
    assert_eq!(gaps(&machine("lib", COPY), rustc), "");
    let said = gaps(&machine("lib64", COPY), rustc);
    let says = [
        "/stage0/lib64, and x.py of this checkout takes /stage0/lib (src/bootstrap/src/core/build_steps/compile.rs)",
        "`rustc = ",
    ];
    says.iter().for_each(|says| assert!(said.contains(says), "{says} in {said}"));
    // A checkout that does otherwise; and a compiler that x.py downloads.
    let plan = plan_with(&machine("lib64", ""), rustc).unwrap();
    assert!(plan.gaps.is_empty() && plan.notes.iter().any(|note| note.contains("/stage0/lib64")), "{:?}", plan.notes);
    assert_eq!(gaps(&machine("lib64", COPY), ""), "");
    // A program in PATH that is a link to the compiler.
    let mut facts = machine("lib64", COPY);
    facts["exists"]["/usr/bin/rustc"] = json!(true);
    facts["real_paths"] = json!({ "/usr/bin/rustc": "/stage0/bin/rustc" });
    facts["outputs"]["/usr/bin/rustc -vV"] = json!("rustc 1.84.0 (9fc6b4312 2025-01-07)");
    assert!(gaps(&facts, "rustc = \"/usr/bin/rustc\"").contains("/stage0/lib64"));
}

#[test]
fn what_needs_an_lld_that_is_not_there_is_found() {
    let lld = "config = { \"rust.lld\" = true }\n";
    let outside = format!("llvm = \"/usr/bin/llvm-config-19\"\n{lld}");
    // Until rust 1.87 it was packed out of the LLVM outside.
    let mut facts = machine(LINUX, rust_1_85());
    assert!(gaps(&facts, &outside).starts_with("there is no /usr/lib/llvm-19/bin/lld, which x.py packs as rust-lld"));
    facts["exists"]["/usr/lib/llvm-19/bin/lld"] = json!(true);
    assert_eq!(gaps(&facts, &outside), "");
    assert_eq!(gaps(&facts, lld), "");
    facts["files"]["/rust/src/version"] = "1.88.0".into();
    let said = gaps(&facts, &outside);
    assert!(said.starts_with("`rust.lld = true` asks for rust-lld, which x.py does not build"), "{said}");
    assert!(said.contains("(`llvm = \"in-tree\"`)"), "{said}");
    assert_eq!(gaps(&facts, lld), "");

    // What x.py links with is asked for, whichever LLVM it is.
    let mut facts = machine(LINUX, rust_1_85());
    for name in ["ld.lld-22", "/usr/bin/ld.lld-22"] {
        facts["programs"].as_object_mut().unwrap().remove(name);
    }
    let external = "llvm = \"/usr/bin/llvm-config-19\"\nrustc = \"/stage0/bin/rustc\"\n";
    let over = |value: &str| format!("{external}config = {{ \"rust.bootstrap-override-lld\" = {value} }}");
    assert!(gaps(&facts, &over("true")).contains("lld"));
    assert_eq!(gaps(&facts, &over("false")), "");
    // The stage-0 compiler's own.
    let rustlib = format!("/stage0/lib/rustlib/{LINUX}");
    facts["exists"][format!("{rustlib}/lib")] = json!(true);
    assert!(gaps(&facts, &over("\"self-contained\"")).starts_with(&format!("there is no {rustlib}/bin/rust-lld")));
    facts["exists"][format!("{rustlib}/bin/rust-lld")] = json!(true);
    assert_eq!(gaps(&facts, &over("\"self-contained\"")), "");
}

#[test]
fn a_users_file_that_is_not_there_is_a_gap_and_an_empty_name_is_none() {
    let facts = machine(LINUX, rust_1_85());
    let plan = plan_with(&facts, FILE).unwrap();
    assert!(plan.gaps.iter().any(|gap| gap.what.contains("/home/user/config.toml")), "{:?}", plan.gaps);
    assert_eq!(plan_with(&facts, "config-file = \"\"").unwrap().gaps, []);
}

#[test]
fn paths_that_python_cannot_read_are_refused() {
    let facts = machine(LINUX, rust_1_85()).to_string().replace("/stage0", "/st\\\"age0");
    let facts: Value = serde_json::from_str(&facts).unwrap();
    let message = plan_with(&facts, "rustc = '/st\"age0/bin/rustc'").unwrap_err().to_string();
    assert!(message.contains("`rustc`") && message.contains("cannot read"), "{message}");
}

/// The command and what is captured, of a stage that builds with a profile.
fn platform(host: &str) -> String {
    let mut facts = machine(host, rust_1_85());
    for (name, path) in
        [("clang", "/usr/bin/clang"), ("clang++", "/usr/bin/clang++"), ("clang-cl", "/usr/bin/clang-cl")]
    {
        facts["programs"][name] = path.into();
        facts["programs"][path] = path.into();
    }
    facts["outputs"]["/usr/bin/clang --version"] = "Apple clang version 17.0.0".into();
    let plan = plan_with(&facts, "pgo = { rustc = { use = \"${g.profile}\" } }").unwrap();
    let shown = shown(&plan);
    let kept =
        shown.lines().filter(|line| ["config", "x.py", "->", "clear-llvm"].iter().any(|start| line.starts_with(start)));
    kept.map(|line| format!("{line}\n")).collect()
}

#[test]
fn other_platforms() {
    for host in ["aarch64-unknown-linux-gnu", "x86_64-pc-windows-msvc", "aarch64-apple-darwin"] {
        insta::assert_snapshot!(host, platform(host));
    }
}

#[test]
fn what_is_not_possible_elsewhere_is_refused() {
    let message =
        plan_with(&machine("aarch64-apple-darwin", rust_1_85()), "place = { rustc = \"/x\" }").unwrap_err().to_string();
    assert!(message.contains("`place.rustc`") && message.contains("Linux only"), "{message}");
    let external = "llvm = \"/usr/bin/llvm-config-19\"\n";
    assert!(refused(rust_1_85(), &format!("{external}place = {{ llvm = \"/x\" }}")).contains("outside of it"));
    assert!(refused(rust_1_85(), &format!("{external}pgo = {{ llvm = \"generate\" }}")).contains("is not built"));
}

#[test]
fn what_is_missing_is_said_before_anything_runs() {
    let mut facts = machine(LINUX, rust_1_85());
    let keys = "rustc = \"/old/bin/rustc\"\npaths = [\"cargo\"]\npgo = { rustc = \"generate\", llvm = \"generate\" }\nconfig = { \"build.vendor\" = true }";
    for gone in ["/usr/bin/pkg-config --modversion openssl", "/usr/bin/pkg-config --modversion zlib"] {
        facts["outputs"].as_object_mut().unwrap().remove(gone);
    }
    facts["exists"].as_object_mut().unwrap().remove("/usr/lib/clang/22/lib/linux/libclang_rt.profile-x86_64.a");
    for gone in ["cmake", "ninja"] {
        facts["programs"].as_object_mut().unwrap().remove(gone);
    }
    for gone in ["llvm-project/llvm", "llvm-project/compiler-rt", "tools/cargo"] {
        facts["directories"].as_object_mut().unwrap().remove(&format!("/rust/src/{gone}"));
    }
    let mut gaps: Vec<String> =
        plan_with(&facts, keys).unwrap().gaps.into_iter().map(|gap| gap.what + "; " + &gap.remedy).collect();
    gaps.sort();
    insta::assert_snapshot!(gaps.join("\n"));
    assert_eq!(plan(rust_1_85(), "").gaps, []);
}

#[test]
fn submodules_of_a_clone_are_left_to_x_py() {
    let mut facts = machine(LINUX, rust_1_85());
    facts["exists"]["/rust/.git"] = json!(true);
    facts["directories"].as_object_mut().unwrap().remove("/rust/src/llvm-project/llvm");
    let plan = plan_with(&facts, "").unwrap();
    assert_eq!(plan.gaps, []);
    assert!(
        plan.notes.iter().any(|note| note == "x.py fetches the submodule src/llvm-project/llvm with git"),
        "{:?}",
        plan.notes
    );
    assert!(step(&plan, "config").contains("submodules = true"));
}

/// What rustc 1.85 has there, and what it had in October 2022.
const CHECK: &str = "        if major >= 18 {\n            return;\n        }\n    }\n    panic!(\"\\n\\nbad LLVM version: {version}, need >=18\\n\\n\")\n}\n";
const CHECK_2022: &str = "        if major >= 13 {\n            return;\n        }\n    }\n    panic!(\"\\n\\nbad LLVM version: {}, need >=13.0\\n\\n\", version)\n}\n";

#[test]
fn an_llvm_that_x_py_refuses_is_refused_before_anything_runs() {
    let mut files = rust_1_85();
    files["src/bootstrap/src/core/build_steps/llvm.rs"] = json!(CHECK);
    let mut old = october_2022();
    old["src/bootstrap/native.rs"] = json!(CHECK_2022);
    let with = |files: &Value, version: &str| {
        let mut facts = machine(LINUX, files.clone());
        facts["outputs"]["/usr/bin/llvm-config-19 --version"] = json!(version);
        plan_with(&facts, "llvm = \"/usr/bin/llvm-config-19\"").unwrap()
    };
    let gaps = |plan: &StagePlan| {
        plan.gaps.iter().map(|gap| format!("{}; {}", gap.what, gap.remedy)).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(
        gaps(&with(&files, "17.0.6")),
        "/usr/bin/llvm-config-19 is of LLVM 17, and x.py takes LLVM 18 and newer \
         (/rust/src/bootstrap/src/core/build_steps/llvm.rs); name the llvm-config of a newer LLVM: \
         `llvm = \"LLVM-CONFIG\"` in the stage `s`"
    );
    let newer = |plan: &StagePlan| plan.notes.iter().any(|note| note.contains("newer than"));
    for version in ["18.1.8", "19.1.7"] {
        let plan = with(&files, version);
        assert_eq!((gaps(&plan), newer(&plan)), (String::new(), false), "{version}");
    }
    let plan = with(&files, "22.1.8");
    assert_eq!((gaps(&plan), newer(&plan)), (String::new(), true));
    assert!(gaps(&with(&files, "no version")).contains("does not say of which LLVM"));
    assert!(gaps(&with(&old, "12.0.1")).contains("LLVM 13 and newer (/rust/src/bootstrap/native.rs)"));
    assert_eq!(gaps(&with(&old, "13.0.0")), "");
    // Nothing is known of the checkout.
    assert_eq!(gaps(&with(&rust_1_85(), "3.9.0")), "");
}

/// The plan of the stage `s` of a pipeline as a file.
fn plan_of_file(text: &str, facts: &Value) -> StagePlan {
    let dir = Dir::new();
    let file = dir.write("p.toml", text);
    let options =
        LoadOptions { set: &[], env: &|_| None, cwd: dir.path(), host: LINUX, kinds: &stage::KINDS, incomplete: false };
    let pipeline = pipeline::load(&file, &options).unwrap();
    let facts = Facts::from_json(&facts.to_string()).unwrap();
    stage::plan(&pipeline, &facts, "s", &BTreeSet::new()).unwrap()
}

/// Keys whose values are variables are said by those.
#[test]
fn what_to_do_names_the_variable() {
    let mut files = rust_1_85();
    files["src/bootstrap/src/core/build_steps/llvm.rs"] = json!(CHECK);
    let mut facts = machine(LINUX, files);
    facts["outputs"]["/usr/bin/llvm-config-19 --version"] = json!("17.0.6");
    facts["exists"]["/rust/x.py"] = json!(true);
    let text = "name = \"p\"\n[vars]\nouter = { type = \"path\", default = \"/usr/bin/llvm-config-19\" }\n\
                stage-0 = { type = \"path\", default = \"/old/bin/rustc\" }\n\
                build-llvm = { type = \"path\", default = \"/nowhere\" }\nmine = { type = \"path\", default = \"/no.toml\" }\n\
                [[stage]]\nname = \"s\"\nkind = \"bootstrap\"\nworkspace = \"rust\"\ncheckout = \"/rust\"\n\
                llvm = \"${outer}\"\nrustc = \"${stage-0}\"\nhost-llvm = \"${build-llvm}\"\nconfig-file = \"${mine}\"\n";
    let plan = plan_of_file(text, &facts);
    let remedies: Vec<&str> = plan.gaps.iter().map(|gap| gap.remedy.as_str()).collect();
    for says in ["`--set outer=LLVM-CONFIG`", "`--set stage-0=PROGRAM`", "`--set build-llvm=DIR`", "`--set mine=FILE`"]
    {
        assert!(remedies.iter().any(|remedy| remedy.contains(says)), "no {says} in {remedies:#?}");
    }
}

/// As rustc 1.85 declares what may stand outside of tables.
const TOP: &str = "#[serde(deny_unknown_fields, rename_all = \"kebab-case\")]\npub(crate) struct TomlConfig {\n    \
                   #[serde(flatten)]\n    change_id: ChangeIdWrapper,\n    build: Option<Build>,\n    install: Option<Install>,\n    \
                   llvm: Option<Llvm>,\n    rust: Option<Rust>,\n    target: Option<HashMap<String, TomlTarget>>,\n    \
                   dist: Option<Dist>,\n    profile: Option<String>,\n}\n";

#[test]
fn names_that_x_py_does_not_take_are_refused_with_the_nearest() {
    let planned = |text: &str| {
        let mut facts = with_config(text);
        let config = &mut facts["files"]["/rust/src/bootstrap/src/core/config/config.rs"];
        *config = format!("{TOP}{}", config.as_str().unwrap()).into();
        plan_with(&facts, FILE)
    };
    let refused = |text: &str| planned(text).unwrap_err().to_string();
    let says = "/home/user/config.toml has what x.py of /rust does not take: ";
    let message = refused("[rust]\njemaloc = true\nlto = \"thin\"\n[rsut]\nlto = \"fat\"\n");
    assert!(
        message.contains(&format!("{says}`rsut` (perhaps `rust`), `rust.jemaloc` (perhaps `rust.jemalloc`)")),
        "{message}"
    );
    // What July 2026 calls it, and something that nothing is like.
    assert!(refused("[rust]\noverride-allocator = \"jemalloc\"\n").contains("(perhaps `rust.jemalloc`)"));
    assert!(refused("[build]\nabcdefgh = 1\n").ends_with("`build.abcdefgh`"));
    assert!(
        refused("[target.aarch64-apple-ios]\nlinkr = \"ld\"\n").contains("(perhaps `target.aarch64-apple-ios.linker`)")
    );

    // Tables in tables have names of their own.
    let good = "change-id = 1\nprofile = \"user\"\n[llvm.build-config]\nLLVM_X = \"1\"\n[target.\"thumbv8m.main-none-eabi\"]\ncc = \"x\"\n";
    let plan = planned(good).unwrap();
    assert!(!plan.notes.iter().any(|note| note.contains("config.toml")), "{:?}", plan.notes);

    // A declaration that is not as expected.
    let mut facts = with_config("[rust]\njemaloc = true\n");
    let config = &mut facts["files"]["/rust/src/bootstrap/src/core/config/config.rs"];
    *config = config
        .as_str()
        .unwrap()
        .replace("    struct Rust {", "    struct Rust {\n        #[serde(default)] x: u32,")
        .into();
    let plan = plan_with(&facts, FILE).unwrap();
    assert!(
        plan.notes.iter().any(|note| note.contains("does not tell whether x.py takes `rust.jemaloc`")),
        "{:?}",
        plan.notes
    );
}

/// GNU tar starts xz for the archives that later stages take apart.
#[test]
fn what_unpacks_archives_is_asked_for() {
    let unpacks = "[[stage]]\nname = \"u\"\nkind = \"command\"\nrun = \"tar -xf ${s.archives}/x\"\n";
    let dist = "name = \"p\"\n[[stage]]\nname = \"s\"\nkind = \"bootstrap\"\nworkspace = \"rust\"\ncheckout = \"/rust\"\n\
                command = \"dist\"\npaths = [\"rustc\"]\n";
    let gaps = |keys: &str, xz: bool| {
        let mut facts = machine(LINUX, rust_1_85());
        if xz {
            facts["programs"]["xz"] = "/usr/bin/xz".into();
        }
        let plan = plan_of_file(&format!("{dist}{keys}"), &facts);
        plan.gaps.iter().map(|gap| format!("{}; {}", gap.what, gap.remedy)).collect::<Vec<_>>()
    };
    let missing = "`xz` is not in PATH, with which tar unpacks the archives; install it: `apt-get install -y xz-utils`";
    assert_eq!(gaps(unpacks, false), [missing]);
    assert_eq!(gaps(unpacks, true), [""; 0]);
    // Nobody unpacks them.
    assert_eq!(gaps("", false), [""; 0]);
}
