//! Plans of bootstrap stages by checkouts of several ages: what goes to `x.py`, and what a checkout cannot.

use super::bootstrap_support::*;
use super::support::shown;
use optbuild::plan::Part;
use serde_json::json;

const ALL: &str = r#"
stage = 2
keep-stage = [0, 1]
skip = ["rust-docs"]
rustc = "/stage0/bin/rustc"
cargo = "/stage0/bin/cargo"
pgo = { rustc = { use = "${g.profile}" }, llvm = "generate" }
bolt-settings = true
config = { "rust.lto" = "thin", "rust.codegen-units" = 1, "rust.bootstrap-override-lld" = true, "rust.override-allocator" = "jemalloc", "llvm.thin-lto" = true, "llvm.ldflags" = "-Wl,-q" }
"#;

#[test]
fn rust_1_85_takes_options_and_old_names() {
    insta::assert_snapshot!(shown(&plan(rust_1_85(), ALL)));
}

#[test]
fn july_2026_takes_settings_and_new_names() {
    let plan = plan(july_2026(), &ALL.replace("rustc = \"/stage0/bin/rustc\"\ncargo = \"/stage0/bin/cargo\"\n", ""));
    insta::assert_snapshot!(shown(&plan));
}

#[test]
fn october_2022_takes_getopts_and_bolt() {
    let keys = "pgo = { rustc = \"generate\" }\nskip = [\"rust-docs\"]\nbolt = { llvm = { use = \"${g.profile}\" } }\nplace = { llvm = \"/x\" }\nconfig = { \"build.ccache\" = \"sccache\" }";
    insta::assert_snapshot!(shown(&plan(october_2022(), keys)));
}

#[test]
fn an_external_llvm_is_neither_built_nor_captured() {
    let keys = "llvm = \"/usr/bin/llvm-config-19\"\npgo = { rustc = { use = \"${g.profile}\" } }\ncommand = \"dist\"\npaths = [\"rustc\", \"cargo\"]";
    insta::assert_snapshot!(shown(&plan(rust_1_85(), keys)));
}

/// Places decide whether a build directory is kept, and symbolic arguments are hashed.
#[test]
fn how_much_space_is_asked_for_is_no_place_and_in_no_fingerprint() {
    let said = |space: &str| {
        let plan = plan(rust_1_85(), &format!("disk-space = \"{space}\""));
        let (mut places, mut symbolic) = (Vec::new(), Vec::new());
        plan.each_arg(&mut |arg| {
            places.extend(arg.parts.iter().filter(|part| matches!(part, Part::Place { .. })).cloned());
            symbolic.push(arg.symbolic());
        });
        assert!(shown(&plan).contains(&format!("--bytes {space}")));
        (places, symbolic)
    };
    assert_eq!(said("30000000000"), said("40000000000"));
}

#[test]
fn what_a_checkout_cannot_is_refused_with_what_was_looked_for() {
    let message = refused(rust_1_85(), "pgo = { rustdoc = \"generate\" }");
    assert!(message.contains("`pgo.rustdoc`") && message.contains("toml/pgo.rs"), "{message}");
    assert!(refused(july_2026(), "pgo = { cargo = \"generate\" }").contains("`pgo.cargo`"));
    let message = refused(rust_1_85(), "bolt = { llvm = \"generate\" }");
    assert!(message.contains("`--llvm-bolt-profile-generate`") && message.contains("kind `bolt`"), "{message}");
    assert!(refused(october_2022(), "bolt-settings = true").contains("`--enable-bolt-settings`"));
    let message = refused(rust_1_85(), "config = { \"rust.frobnicate\" = true }");
    assert!(message.contains("`config.rust.frobnicate`") && message.contains("config.rs"), "{message}");
    let mut neither = rust_1_85();
    neither["src/bootstrap/src/core/config/flags.rs"] = options(&["skip"]).into();
    let message = refused(neither, "pgo = { llvm = \"generate\" }");
    assert!(message.contains("`pgo.llvm`") && message.contains("`--llvm-profile-generate`"), "{message}");
}

#[test]
fn settings_may_have_old_names_and_tests_their_profiles() {
    let old =
        "command = \"test\"\nconfig = { \"rust.use-lld\" = true, \"rust.jemalloc\" = true, \"llvm.ccache\" = true }";
    let plan = plan(july_2026(), old);
    let config = step(&plan, "config");
    for line in ["bootstrap-override-lld = true", "override-allocator = \"jemalloc\"", "ccache = true"] {
        assert!(config.contains(line), "{line} in {config}");
    }
    assert!(config.find("ccache").unwrap() < config.find("[llvm]").unwrap(), "{config}");
    assert!(!step(&plan, "x.py").contains("LLVM_PROFILE_FILE"));
    assert!(plan.outputs.is_empty());
}

#[test]
fn without_a_checkout_there_is_a_plan_with_a_gap() {
    let mut facts = machine(LINUX, json!({}));
    facts["exists"].as_object_mut().unwrap().remove("/rust/x.py");
    let plan = plan_with(&facts, ALL).unwrap();
    assert!(plan.gaps.iter().any(|gap| gap.what == "/rust is no checkout of rust: it has no x.py"), "{:?}", plan.gaps);
    assert!(step(&plan, "x.py").contains("--set pgo.rustc.use=\"<g.profile>\""));
}
