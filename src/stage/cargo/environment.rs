//! What the environment and cargo's configuration would change in a build, and what a stage does not follow unless it says so.
//!
//! Commands see a small environment (`run::environment`). What is listed here decides what cargo, rustc, and the build scripts of
//! widespread crates make. Variables of other names are noticed when they are missed: see `op cargo-advice`.

use camino::Utf8PathBuf;

use super::{Build, Cargo, config};
use crate::pipeline::Stage;
use crate::stage::Context;
use crate::stage::overlooked::{Overlooked, Setting, is_given, sees};

/// Of cargo and rustc (<https://doc.rust-lang.org/cargo/reference/environment-variables.html>), of the crate `cc`, of pkg-config, and of
/// build scripts that look for a library or a database.
const NAMES: [&str; 30] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "RUSTC_BOOTSTRAP",
    "CC",
    "CXX",
    "AR",
    "CFLAGS",
    "CXXFLAGS",
    "CPPFLAGS",
    "LDFLAGS",
    "CMAKE_TOOLCHAIN_FILE",
    "PKG_CONFIG_PATH",
    "PKG_CONFIG_LIBDIR",
    "PKG_CONFIG_SYSROOT_DIR",
    "OPENSSL_DIR",
    "OPENSSL_LIB_DIR",
    "OPENSSL_INCLUDE_DIR",
    "OPENSSL_STATIC",
    "OPENSSL_NO_VENDOR",
    "LIBCLANG_PATH",
    "LLVM_CONFIG_PATH",
    "BINDGEN_EXTRA_CLANG_ARGS",
    "PROTOC",
    "PYO3_PYTHON",
    "PYO3_CONFIG_FILE",
    "PYTHON_SYS_EXECUTABLE",
    "SQLX_OFFLINE",
    "DATABASE_URL",
    "SQLITE3_LIB_DIR",
];

/// Settings of a profile that change what is built, as variables name them.
const OF_PROFILES: [&str; 8] =
    ["OPT_LEVEL", "LTO", "CODEGEN_UNITS", "PANIC", "DEBUG", "STRIP", "OVERFLOW_CHECKS", "DEBUG_ASSERTIONS"];

/// Names of variables that change what this is.
fn names(target: &str, profile: &str) -> Vec<String> {
    let upper = |name: &str| name.to_uppercase().replace(['-', '.'], "_");
    let mut names: Vec<String> = NAMES.map(String::from).to_vec();
    names.extend(["RUSTFLAGS", "LINKER"].map(|what| format!("CARGO_TARGET_{}_{what}", upper(target))));
    let lower = target.replace('-', "_");
    names.extend(["CC", "CXX", "AR", "CFLAGS", "CXXFLAGS"].map(|what| format!("{what}_{lower}")));
    names.extend(OF_PROFILES.map(|what| format!("CARGO_PROFILE_{}_{what}", upper(profile))));
    names
}

/// What is set, and does not reach the build.
pub(super) fn overlooked(kind: &Cargo, stage: &Stage, cx: &mut Context) -> Vec<Overlooked> {
    let Ok(build) = Build::new(kind, cx) else { return Vec::new() };
    let mut found: Vec<Overlooked> =
        unseen(&build, stage, cx).iter().map(|name| Overlooked::variable(stage, name)).collect();
    if kind.target.is_none() {
        let built = build.target.symbolic();
        let given = cx.facts.env("CARGO_BUILD_TARGET").filter(|given| !given.is_empty());
        let given = given.map(|target| ("`CARGO_BUILD_TARGET`".to_owned(), target));
        let given = given.or_else(|| {
            let (file, target): (Utf8PathBuf, String) = config::target(cx.facts, build.package.dir.as_deref())?;
            Some((format!("`build.target` in {file}"), target))
        });
        found.extend(given.filter(|(_, target)| *target != built).map(|(place, target)| Overlooked {
            remedy: stage.how_to_set("target", &target),
            what: Setting::Target { place, target, built },
            stages: vec![stage.common.name.clone()],
        }));
    }
    found
}

/// The variables that are set, and that the build does not see.
pub(super) fn unseen(build: &Build, stage: &Stage, cx: &Context) -> Vec<String> {
    let mut names = names(&build.target.symbolic(), &build.profile.symbolic());
    names.retain(|name| !sees(stage, name) && is_given(cx.facts, name));
    names
}
