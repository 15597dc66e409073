//! The crates of a checkout of rustc-perf: which one a name means, and which are near it.

use optbuild::facts::Facts;
use optbuild::toolchain::rustc_perf::Crates;

fn crates(names: &[&str]) -> Crates {
    Crates { dir: "/p".into(), names: names.iter().map(|name| name.to_string()).collect() }
}

#[test]
fn a_crate_of_whatever_version() {
    let names = ["html5ever", "html5ever-0.4.0", "html5ever-0.26.0", "html5ever-0.28.0", "html5ever-0.27.0-tiny"];
    let crates = crates(&[&names[..], &["regex-1.5.5", "webrender-2022"]].concat());
    let given = serde_json::json!({ "files": { "/p/html5ever-0.28.0/perf-config.json": "{ \"disabled\": true }" } });
    let facts = Facts::from_json(&given.to_string()).unwrap();
    let find = |name: &str| crates.find(&facts, name);
    assert_eq!(find("html5ever"), Ok("html5ever"));
    assert_eq!(find("html5ever-0.4.0"), Ok("html5ever-0.4.0"));
    assert_eq!(find("html5ever-*"), Ok("html5ever-0.26.0"));
    assert_eq!(find("webrender-*"), Ok("webrender-2022"));
    assert!(find("html5ever-0.28.0").unwrap_err().contains("does not build it any more"));
    for none in ["html-*", "html*", "regex-1.5.6"] {
        assert!(find(none).unwrap_err().starts_with(&format!("this rustc-perf has no crate `{none}`.")));
    }
}

#[test]
fn crates_whose_names_begin_with_another() {
    let crates = crates(&["a", "a-b", "a-b-c", "ax", "b", "ripgrep-13.0.0", "ripgrep-13.0.0-tiny"]);
    assert_eq!(crates.beginning_with("ripgrep-13.0.0"), ["ripgrep-13.0.0-tiny"]);
    // `a-b` excludes `a-b-c` too.
    assert_eq!(crates.beginning_with("a"), ["a-b", "ax"]);
    assert_eq!(crates.beginning_with("b"), [""; 0]);
}

#[test]
fn a_crate_of_another_version_is_near() {
    let crates = crates(&["bitmaps-3.1.0", "cargo-0.60.0", "diesel-1.4.8", "diesel-2.2.10", "serde-1.0.136"]);
    assert_eq!(crates.nearest("diesel-1.4.9"), ["diesel-1.4.8", "diesel-2.2.10"]);
    assert_eq!(crates.nearest("cargo-0.87.1"), ["cargo-0.60.0"]);
    assert_eq!(crates.nearest("bitmap-3.1.0")[0], "bitmaps-3.1.0");
    assert_eq!(crates.nearest("tokio"), [""; 0]);
}
