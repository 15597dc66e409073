//! Differences between two builds of one kind, by which their profiles do not fit each other.

use optbuild::stage::cargo::{Cargo, difference};
use optbuild::stage::cmake::{Cmake, differences};

fn cmake(keys: &str) -> Cmake {
    toml::from_str(&format!("source = \"/s\"\n{keys}")).unwrap()
}

#[test]
fn what_may_change_code() {
    let plain = cmake("");
    assert_eq!(differences(&plain, &cmake("build-type = \"Release\"\nlto = \"thin\"")), [""; 0]);
    assert_eq!(differences(&plain, &cmake("build-type = \"Debug\"\ndefine = { A = true }")), ["build-type", "define"]);
}

fn cargo(keys: &str) -> Cargo {
    toml::from_str(&format!("manifest = \"/p/Cargo.toml\"\nbins = [\"b\"]\n{keys}")).unwrap()
}

#[test]
fn what_changes_names() {
    let plain = cargo("features = [\"a\", \"b\"]");
    assert_eq!(difference(&plain, &cargo("features = [\"b\", \"a\"]\nrustflags = [\"-Cdebuginfo=1\"]")), None);
    assert_eq!(difference(&plain, &cargo("features = [\"a\"]")), Some("features"));
    assert_eq!(difference(&plain, &cargo("features = [\"a\", \"b\"]\nlto = \"thin\"")), Some("lto"));
}
