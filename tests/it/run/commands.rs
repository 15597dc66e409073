//! Commands: which variables they get, and how an ending is told.

use optbuild::event::Usage;
use optbuild::run::environment::base;
use optbuild::run::process::{Exit, ExitKind};

#[test]
fn only_what_is_documented_passes() {
    let vars = [
        ("PATH", "/bin"),
        ("PATHEXT", "x"),
        ("LC_ALL", "C"),
        ("RUSTFLAGS", "-g"),
        ("CARGO_PROFILE_RELEASE_LTO", "off"),
        ("CARGO_REGISTRIES_MINE_INDEX", "sparse+https://registry.example/"),
        ("CARGO_REGISTRIES_MINE_TOKEN", "secret"),
        ("CARGO_REGISTRY_TOKEN", "secret"),
        ("MAKEFLAGS", "-j"),
        ("https_proxy", ""),
    ];
    let base = base(vars.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
    let names: Vec<&str> = base.keys().map(String::as_str).collect();
    assert_eq!(names, ["CARGO_REGISTRIES_MINE_INDEX", "LC_ALL", "PATH", "https_proxy"]);
}

#[test]
fn endings_in_words() {
    let describe =
        |status| Exit { status, usage: Usage::default(), left_behind: Vec::new(), killed: Vec::new() }.describe();
    assert_eq!(describe(ExitKind::Code(1)), "exited with status 1");
    // Signal numbers as in signal(7).
    assert_eq!(describe(ExitKind::Signal(11)), "was killed by SIGSEGV (segmentation fault)");
    assert_eq!(describe(ExitKind::Signal(10)), "was killed by SIGUSR1");
    assert_eq!(describe(ExitKind::Signal(40)), "was killed by signal 40");
}
