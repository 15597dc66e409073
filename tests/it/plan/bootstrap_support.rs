//! Machines and checkouts of rust as files of facts, and plans of a bootstrap stage on them. What a checkout takes is said as much as is
//! looked for: as it was in October 2022 (getopts, no table `pgo`), in rustc 1.85, and in July 2026.

use std::collections::BTreeSet;

use optbuild::facts::Facts;
use optbuild::plan::StagePlan;
use optbuild::stage::{self, PlanError};
use serde_json::{Value, json};

use super::support::{pipeline, shown};

pub const LINUX: &str = "x86_64-unknown-linux-gnu";

/// A machine with LLVM 22, and a checkout in `/rust` with these files.
pub fn machine(host: &str, files: Value) -> Value {
    let mut texts = serde_json::Map::new();
    for (below, text) in files.as_object().unwrap() {
        texts.insert(format!("/rust/{below}"), text.clone());
    }
    let tables: Vec<&str> = files
        .as_object()
        .unwrap()
        .keys()
        .filter_map(|name| name.strip_prefix("src/bootstrap/src/core/config/toml/"))
        .collect();
    let bin = |name: &str| format!("/usr/bin/{name}");
    let programs = [
        "python3",
        "cmake",
        "ninja",
        "pkg-config",
        "clang-22",
        "clang++-22",
        "llvm-ar-22",
        "llvm-ranlib-22",
        "ld.lld-22",
    ];
    let mut found: serde_json::Map<String, Value> = programs
        .iter()
        .flat_map(|name| [((*name).to_string(), json!(bin(name))), (bin(name), json!(bin(name)))])
        .collect();
    for path in ["/usr/bin/llvm-profdata-22", "/usr/bin/llvm-config-19"] {
        found.insert(path.into(), json!(path));
    }
    json!({
        "host": host,
        "programs": found,
        "outputs": {
            "/usr/bin/clang-22 --version": "Debian clang version 22.1.8",
            "/usr/bin/clang-22 -print-runtime-dir": "/usr/lib/clang/22/lib/linux",
            "/usr/bin/clang-22 -print-resource-dir": "/usr/lib/clang/22",
            "/usr/bin/llvm-profdata-22 --version": "LLVM version 22.1.8",
            "/usr/bin/llvm-config-19 --version": "19.1.7",
            "/usr/bin/llvm-config-19 --bindir": "/usr/lib/llvm-19/bin",
            "/usr/bin/llvm-config-19 --shared-mode": "shared\n",
            "/usr/bin/pkg-config --modversion openssl": "3.0.17",
            "/usr/bin/pkg-config --modversion zlib": "1.2.13",
            "/stage0/bin/rustc -vV": "rustc 1.84.0 (9fc6b4312 2025-01-07)",
            "/old/bin/rustc -vV": "rustc 1.70.0 (90c541806 2023-05-31)",
        },
        "files": texts,
        "exists": {
            "/rust/x.py": true, "/usr/bin/llvm-config-19": true, "/stage0/bin/rustc": true, "/stage0/bin/cargo": true, "/old/bin/rustc": true,
            "/usr/lib/clang/22/lib/linux/libclang_rt.profile-x86_64.a": true,
        },
        "directories": {
            "/rust/src/bootstrap/src/core/config/toml": tables,
            "/rust/src/llvm-project/llvm": ["CMakeLists.txt"],
            "/rust/src/llvm-project/compiler-rt": ["CMakeLists.txt"],
            "/rust/src/tools/cargo": ["Cargo.toml"],
        },
    })
}

/// The options of `x.py`, as declared with clap.
pub fn options(names: &[&str]) -> String {
    names.iter().map(|name| format!("    pub {}: Option<String>,\n", name.replace('-', "_"))).collect()
}

/// A table of the configuration, as declared with a macro of bootstrap's.
pub fn table(name: &str, keys: &[&str]) -> String {
    let fields: String = keys.iter().map(|key| format!("        field: Option<bool> = \"{key}\",\n")).collect();
    format!("    struct {name} {{\n{fields}    }}\n")
}

const BUILD: &[&str] = &[
    "build",
    "host",
    "target",
    "build-dir",
    "cargo",
    "rustc",
    "extended",
    "vendor",
    "submodules",
    "locked-deps",
    "metrics",
    "profiler",
    "bootstrap-cache-path",
    "verbose",
];
const TARGET: &[&str] = &["cc", "cxx", "ar", "ranlib", "linker", "llvm-config"];
const LLVM: &[&str] = &[
    "download-ci-llvm",
    "link-shared",
    "thin-lto",
    "cflags",
    "cxxflags",
    "ldflags",
    "ninja",
    "ccache",
    "clang-cl",
    "build-config",
];

pub fn llvm(major: u64) -> String {
    format!("if(NOT DEFINED LLVM_VERSION_MAJOR)\n  set(LLVM_VERSION_MAJOR {major})\nendif()\n")
}

/// rustc 1.85.0, a tarball.
pub fn rust_1_85() -> Value {
    let rust = [
        "channel",
        "lld",
        "download-rustc",
        "lto",
        "codegen-units",
        "use-lld",
        "jemalloc",
        "llvm-bitcode-linker",
        "profile-use",
    ];
    let config = [table("Build", BUILD), table("Llvm", LLVM), table("Rust", &rust), table("TomlTarget", TARGET)];
    json!({
        "src/version": "1.85.0\n",
        "src/ci/channel": "stable\n",
        "src/bootstrap/src/core/config/flags.rs": options(&[
            "skip", "rust-profile-generate", "rust-profile-use", "llvm-profile-use", "llvm-profile-generate", "enable-bolt-settings",
            "reproducible-artifact",
        ]),
        "src/bootstrap/src/core/config/config.rs": config.concat() + &table("Dist", &["compression-profile"]),
        "src/bootstrap/src/utils/change_tracker.rs": "        change_id: 134809,\n        change_id: 134650,\n",
        "src/llvm-project/cmake/Modules/LLVMVersion.cmake": llvm(19),
    })
}

/// July 2026: both spellings, tables in files of their own, and new names.
pub fn july_2026() -> Value {
    let rust = [
        "channel",
        "lld",
        "download-rustc",
        "lto",
        "codegen-units",
        "bootstrap-override-lld",
        "override-allocator",
        "llvm-bitcode-linker",
    ];
    json!({
        "src/version": "1.99.0\n",
        "src/ci/channel": "nightly\n",
        "src/bootstrap/src/core/config/flags.rs": options(&[
            "skip", "rust-profile-generate", "rust-profile-use", "llvm-profile-use", "llvm-profile-generate", "enable-bolt-settings",
            "reproducible-artifact",
        ]),
        "src/bootstrap/src/core/config/toml/build.rs": table("Build", &[BUILD, &["ccache"]].concat()),
        "src/bootstrap/src/core/config/toml/llvm.rs": table("Llvm", &["download-ci-llvm", "link-shared", "thin-lto", "cflags", "cxxflags", "ldflags"]),
        "src/bootstrap/src/core/config/toml/rust.rs": table("Rust", &rust),
        "src/bootstrap/src/core/config/toml/target.rs": table("TomlTarget", TARGET),
        "src/bootstrap/src/core/config/toml/pgo.rs": table("Pgo", &["rustc", "rustdoc", "llvm"]),
        "src/llvm-project/cmake/Modules/LLVMVersion.cmake": llvm(22),
    })
}

/// October 2022: getopts, `--exclude`, llvm-bolt as part of x.py, LLVM 15.
pub fn october_2022() -> Value {
    let flags = ["exclude", "rust-profile-generate", "rust-profile-use", "llvm-profile-use", "llvm-profile-generate"];
    let bolt = ["llvm-bolt-profile-generate", "llvm-bolt-profile-use"];
    let flags: String =
        flags.iter().chain(&bolt).map(|name| format!("opts.optopt(\"\", \"{name}\", \"\", \"\");\n")).collect();
    let build: Vec<&str> = BUILD.iter().copied().filter(|key| *key != "bootstrap-cache-path").collect();
    let rust = ["channel", "lld", "download-rustc", "lto", "codegen-units", "use-lld", "jemalloc"];
    let config = [table("Build", &build), table("Llvm", LLVM), table("Rust", &rust), table("TomlTarget", TARGET)];
    json!({
        "src/version": "1.66.0\n",
        "src/ci/channel": "nightly\n",
        "src/bootstrap/flags.rs": flags,
        "src/bootstrap/config.rs": config.concat(),
        "src/llvm-project/llvm/CMakeLists.txt": llvm(15),
    })
}

pub fn plan_with(facts: &Value, keys: &str) -> Result<StagePlan, PlanError> {
    let text =
        format!("[[stage]]\nname = \"s\"\nkind = \"bootstrap\"\nworkspace = \"rust\"\ncheckout = \"/rust\"\n{keys}");
    let gather = "[[stage]]\nname = \"g\"\nkind = \"command\"\nrun = \"true\"\noutputs = { profile = \"p\" }\n";
    let facts = Facts::from_json(&facts.to_string()).unwrap();
    stage::plan(&pipeline(&format!("{text}\n{gather}")), &facts, "s", &BTreeSet::new())
}

pub fn plan(files: Value, keys: &str) -> StagePlan {
    plan_with(&machine(LINUX, files), keys).unwrap()
}

pub fn refused(files: Value, keys: &str) -> String {
    plan_with(&machine(LINUX, files), keys).unwrap_err().to_string()
}

/// The step of that name as a line.
pub fn step(plan: &StagePlan, name: &str) -> String {
    let all = shown(plan);
    let prefix = format!("{name}: ");
    all.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_else(|| panic!("no {name} in\n{all}")).to_string()
}
