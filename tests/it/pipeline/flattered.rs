//! Comparisons that measure what a training has run are told of.

use optbuild::stage::flattered;

use super::support::Files;

const STAGES: &str = r#"
name = "p"
[[stage]]
name = "instrumented"
kind = "cargo"
manifest = "Cargo.toml"
bins = ["app"]
pgo = "generate"
[[stage]]
name = "profile"
kind = "gather"
instrumented = "${instrumented.app}"
workloads = [{ name = "one", run = "{program} 1" }, { name = "two", run = ["${instrumented.app}", "2"] }]
[[stage]]
name = "compare"
kind = "compare"
base = "a"
candidate = "b"
workloads = [WORKLOADS]
"#;

fn said(workloads: &str) -> Vec<String> {
    let files = Files::new(&[("p.toml", &STAGES.replace("WORKLOADS", workloads))]);
    flattered(&files.load("p.toml"))
}

#[test]
fn what_was_trained_is_measured() {
    let both = said(r#"{ name = "x", run = ["{program}", "1"] }, { name = "y", run = "{program} 2" }"#);
    assert_eq!(
        both,
        [
            "stage `compare` measures what `profile` trains with (`one`, `two`): that flatters the result. Other commands show what it \
          is worth"
        ]
    );
}

#[test]
fn what_was_not_trained_is_measured() {
    assert_eq!(said(r#"{ name = "one", run = "{program} 3" }"#), [""; 0]);
    // The same words in a shell, or with another environment, do something else.
    assert_eq!(said(r#"{ name = "one", run = "{program} 1", env = { MODE = "x" } }"#), [""; 0]);
}
