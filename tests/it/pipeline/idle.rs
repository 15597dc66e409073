//! Values that were given for nothing are told of.

use super::support::Files;

const PIPELINE: &str = r#"
    [vars]
    pgo = true
    static = false
    train = { type = "list", default = ["a"] }
    level = "2"
    flags = { type = "list", default = ["-O${level}"] }
    llvm = { type = "path", default = "" }
    measure = { type = "list", default = ["${train}"] }
    spare = ""

    [tools]
    clang = { dir = "${llvm}" }

    [[stage]]
    name = "profile"
    kind = "command"
    when = "${pgo}"
    run = ["run", "${flags}", "${train}"]

    [[stage]]
    name = "shared"
    kind = "command"
    when = "${pgo}"
    unless = "${static}"
    run = ["run", "${train}"]

    [[stage]]
    name = "build"
    kind = "command"
    run = ["cc"]
"#;

/// What is told of with these values.
fn idle(values: &[&str]) -> Vec<String> {
    let files = values.iter().fold(Files::one(PIPELINE), |files, value| files.set(value));
    files.load("p.toml").idle().iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_used_is_not_told_of() {
    assert_eq!(idle(&[]), [""; 0]);
    assert_eq!(idle(&["train=b", "level=3", "llvm=/llvm", "static=true"]), [""; 0]);
    // Switches are used by what they switch, whatever is off.
    assert_eq!(idle(&["pgo=false", "static=true"]), [""; 0]);
}

#[test]
fn what_only_stages_use_that_are_off() {
    let both = "`--set train` changes nothing: it is for `profile`, which is off with `pgo=false`, and for `shared`, which is off \
                with `pgo=false` and `static=true`";
    assert_eq!(idle(&["pgo=false", "static=true", "train=b"]), [both]);
    let one = "`--set train` changes nothing: it is for `profile`, `shared`, which are off with `pgo=false`";
    assert_eq!(idle(&["pgo=false", "train=b"]), [one]);
    // By way of another variable's default; not if that is given itself.
    let level = "`--set level` changes nothing: it is for `profile`, which is off with `pgo=false`";
    assert_eq!(idle(&["pgo=false", "level=3"]), [level]);
    assert_eq!(idle(&["level=3", "flags=-O1"]), ["`--set level` changes nothing: no stage uses it"]);
    assert_eq!(idle(&["spare=x"]), ["`--set spare` changes nothing: no stage uses it"]);
}

#[test]
fn the_default_given_again_changes_nothing_and_is_not_told_of() {
    assert_eq!(idle(&["pgo=false", "train=a", "level=2"]), [""; 0]);
}

#[test]
fn the_variable_of_the_environment_is_named() {
    let files = Files::one(PIPELINE).set("pgo=false").env("OPTBUILD_VAR_LEVEL", "3");
    let idle: Vec<String> = files.load("p.toml").idle().iter().map(ToString::to_string).collect();
    assert_eq!(idle, ["`OPTBUILD_VAR_LEVEL` changes nothing: it is for `profile`, which is off with `pgo=false`"]);
}
