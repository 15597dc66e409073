//! LLVM's tools, which must fit each other: the tools and runtime libraries that belong to a compiler.

use camino::{Utf8Path, Utf8PathBuf};

use super::packages::{self, BOLT_RUNTIME, Manager, PROFILE_RUNTIME};
use super::rust::Rust;
use super::{LLVM_MAJORS, Tool, file_name, formats, installed, version};
use crate::facts::Facts;
use crate::plan::Gap;
use crate::profile::header::{Header, HeaderKind};

/// clang warns of functions that a profile does not know, which are counted after a build; of those whose code is another one it does by
/// itself. A project that makes errors of warnings does not mean these.
pub const WARN_UNPROFILED: &str = "-Xclang -mllvm -Xclang -pgo-warn-missing-function -Wno-error=backend-plugin";

/// Makes names of local functions independent of where their files lie. By way of `-Xclang`, for with `-mllvm` alone clang
/// warns where it only links.
pub const LOCAL_NAMES: &str = "-Xclang -mllvm -Xclang -static-func-full-module-prefix=false";

/// Which compiler a C compiler is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compiler {
    /// With LLVM's major version. Apple's numbers are others, so for its clang there is none.
    Clang(Option<u64>),
    Gcc,
    /// It did not say.
    Unknown,
}

/// Asks a C compiler what it is.
pub fn compiler(facts: &Facts, path: &Utf8Path) -> Compiler {
    let Some(text) = facts.output(&[path.as_str(), "--version"]) else { return Compiler::Unknown };
    if text.contains("Apple clang") {
        Compiler::Clang(None)
    } else if text.contains("clang version") {
        Compiler::Clang(version::parse(&text).map(|version| version.major))
    } else if text.contains("Free Software Foundation") {
        Compiler::Gcc
    } else {
        Compiler::Unknown
    }
}

/// The LLVM that a clang is of.
pub fn clang_major(facts: &Facts, clang: &Utf8Path) -> Option<u64> {
    match compiler(facts, clang) {
        Compiler::Clang(major) => major,
        Compiler::Gcc | Compiler::Unknown => None,
    }
}

/// A tool of the same LLVM as one that was found. Under the same number in the same directory (`/usr/bin/clang-22`,
/// `/usr/bin/llvm-ar-22`), else in the directory where the found one really lies (`/usr/lib/llvm-22/bin`).
pub fn beside(facts: &Facts, tool: &Utf8Path, name: &str) -> Option<Utf8PathBuf> {
    let dir = tool.parent()?;
    if let Some(number) = number_in_name(file_name(tool)) {
        let path = dir.join(format!("{name}-{number}"));
        if let Some(path) = facts.program(path.as_str()) {
            return Some(path);
        }
    }
    facts.program(real_dir(facts, tool)?.join(name).as_str())
}

/// The directory in which a tool really lies: `/usr/lib/llvm-22/bin` for `/usr/bin/clang-22`.
pub fn real_dir(facts: &Facts, tool: &Utf8Path) -> Option<Utf8PathBuf> {
    let real = facts.real_path(tool).unwrap_or_else(|| tool.into());
    real.parent().map(Utf8Path::to_owned)
}

/// `22` of `clang-22`.
fn number_in_name(name: &str) -> Option<&str> {
    let (_, number) = name.rsplit_once('-')?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(number)
}

/// The C++ compiler that belongs to a C compiler: `clang++-22` for `clang-22`, `g++` for `gcc`, `c++` for `cc`.
///
/// # Errors
/// A gap: it is not there.
pub fn cplusplus(facts: &Facts, compiler: &Utf8Path) -> Result<Utf8PathBuf, Gap> {
    let name = file_name(compiler);
    let (from, to) = if name.contains("clang") {
        ("clang", "clang++")
    } else if name.contains("gcc") {
        ("gcc", "g++")
    } else {
        ("cc", "c++")
    };
    let renamed = name.replacen(from, to, 1);
    let same_dir = compiler.with_file_name(&renamed);
    facts.program(same_dir.as_str()).or_else(|| beside(facts, compiler, to)).ok_or_else(|| {
        let major = major_or_default(clang_major(facts, compiler));
        Gap {
            what: format!("there is no C++ compiler `{renamed}` beside {compiler}"),
            remedy: packages::remedy_of_llvm(facts, to, major),
        }
    })
}

/// The `llvm-profdata` whose profiles a clang reads: that of the same LLVM.
///
/// # Errors
/// A gap that names the package.
pub fn profdata_for_clang(facts: &Facts, clang: &Utf8Path) -> Result<Tool, Gap> {
    let Some(major) = clang_major(facts, clang) else {
        // Apple's, or a compiler that does not say what it is: the tool beside it is the only one that can be meant.
        let path = beside(facts, clang, "llvm-profdata").ok_or_else(|| Gap {
            what: format!("there is no `llvm-profdata` beside {clang}, and which LLVM that is of is not known"),
            remedy: "name one with the stage's `profdata`".into(),
        })?;
        return Ok(Tool::at(facts, "llvm-profdata", path));
    };
    let beside = beside(facts, clang, "llvm-profdata").into_iter();
    profdata_of(facts, major, beside, &format!("{clang}, which is of LLVM {major}"))
}

/// The `llvm-profdata` whose profiles a rustc reads: the one of rustup's `llvm-tools` in its sysroot, else one of the same
/// LLVM.
///
/// # Errors
/// A gap that names the package.
pub fn profdata_for_rustc(facts: &Facts, rust: &Rust) -> Result<Tool, Gap> {
    let own = rust.sysroot.join("lib/rustlib").join(&rust.host).join("bin/llvm-profdata");
    if let Some(path) = facts.program(own.as_str()) {
        return Ok(Tool::at(facts, "llvm-profdata", path));
    }
    let Some(llvm) = &rust.llvm else {
        return Err(Gap {
            what: format!("{} does not say which LLVM it is of", rust.rustc),
            remedy: "name an `llvm-profdata` that fits it with the stage's `profdata`".into(),
        });
    };
    let reader = format!("rustc {}, which is of LLVM {}", rust.version, llvm.major);
    profdata_of(facts, llvm.major, std::iter::empty(), &reader).map_err(|mut gap| {
        if let Some(add) = rust.add_llvm_tools() {
            gap.remedy = format!("take that of the toolchain: `{add}`; or {}", gap.remedy);
        }
        gap
    })
}

/// An `llvm-profdata` that reads a profile, the newest that is installed.
///
/// # Errors
/// A gap that names the package.
pub fn profdata_for_profile(facts: &Facts, header: Header) -> Result<Tool, Gap> {
    let version = u64::from(header.version);
    let fits = |major: u64| match header.kind {
        HeaderKind::Raw => {
            formats::raw_llvms(version).map_or(major > formats::newest_known(), |llvms| llvms.contains(&major))
        }
        HeaderKind::Indexed => major >= formats::first_reader(version).unwrap_or(formats::newest_known() + 1),
    };
    let found = LLVM_MAJORS
        .rev()
        .filter(|major| fits(*major))
        .find_map(|major| profdata_among(facts, major, installed(facts, "llvm-profdata", major)));
    let (kind, readers) = match header.kind {
        HeaderKind::Raw => ("raw", formats::raw_in_words(version)),
        HeaderKind::Indexed => ("indexed", formats::indexed_in_words(version)),
    };
    found.ok_or_else(|| {
        let major = LLVM_MAJORS.rev().find(|major| fits(*major) && *major <= formats::newest_known());
        let package = packages::package(Manager::of(facts), "llvm-profdata", major.unwrap_or(formats::newest_known()));
        let mut remedy = packages::remedy(facts, "llvm-profdata", package.filter(|_| major.is_some()).as_deref());
        if facts.program("rustup").is_some() {
            remedy.push_str(", or add that of a Rust toolchain of this LLVM: `rustup component add llvm-tools`");
        }
        Gap {
            what: format!(
                "no `llvm-profdata` is installed that reads {kind} profiles of version {version}: {readers} does"
            ),
            remedy,
        }
    })
}

/// One of that LLVM: the first of the preferred ones, or any that is installed.
fn profdata_of(
    facts: &Facts,
    major: u64,
    preferred: impl Iterator<Item = Utf8PathBuf>,
    reader: &str,
) -> Result<Tool, Gap> {
    let all = preferred.chain(installed(facts, "llvm-profdata", major));
    profdata_among(facts, major, all).ok_or_else(|| Gap {
        what: format!("there is no `llvm-profdata` that writes profiles for {reader}"),
        remedy: packages::remedy_of_llvm(facts, "llvm-profdata", major),
    })
}

/// An `llvm-profdata` of one LLVM, wherever it is installed.
pub fn profdata_of_llvm(facts: &Facts, major: u64) -> Option<Tool> {
    profdata_among(facts, major, installed(facts, "llvm-profdata", major))
}

fn profdata_among(facts: &Facts, major: u64, paths: impl Iterator<Item = Utf8PathBuf>) -> Option<Tool> {
    paths.map(|path| Tool::at(facts, "llvm-profdata", path)).find(|tool| tool.llvm_major() == Some(major))
}

/// Checks that a clang has the library that instrumented programs are linked with.
///
/// # Errors
/// A gap that names the package: distributions have it apart.
pub fn profile_runtime(facts: &Facts, clang: &Utf8Path) -> Result<(), Gap> {
    let print = |what| facts.output(&[clang.as_str(), what]).map(|text| Utf8PathBuf::from(text.trim()));
    let host = facts.host();
    let arch = match host.split('-').next().unwrap_or_default() {
        "i686" => "i386",
        arch => arch,
    };
    let names = [format!("libclang_rt.profile-{arch}.a"), "libclang_rt.profile.a".into()];
    let names = names.into_iter().chain(["libclang_rt.profile_osx.a".into()]);
    let dirs: Vec<Utf8PathBuf> = print("-print-runtime-dir")
        .into_iter()
        .chain(print("-print-resource-dir").into_iter().flat_map(|dir| {
            let lib = dir.join("lib");
            [lib.join("linux"), lib.join(&host)]
        }))
        .collect();
    if names.into_iter().any(|name| dirs.iter().any(|dir| facts.exists(&dir.join(&name)))) {
        return Ok(());
    }
    let major = major_or_default(clang_major(facts, clang));
    Err(Gap {
        what: format!("{clang} has no profile runtime (libclang_rt.profile), which instrumented programs need"),
        remedy: packages::remedy_of_llvm(facts, PROFILE_RUNTIME, major),
    })
}

/// The library that `llvm-bolt -instrument` links in, which it looks for beside its own directory.
///
/// # Errors
/// A gap that names the package.
pub fn bolt_runtime(facts: &Facts, llvm_bolt: &Utf8Path) -> Result<Utf8PathBuf, Gap> {
    let real = facts.real_path(llvm_bolt).unwrap_or_else(|| llvm_bolt.into());
    let prefix = real.parent().and_then(Utf8Path::parent).unwrap_or(Utf8Path::new("/"));
    let paths = ["lib", "lib64"].map(|lib| prefix.join(lib).join("libbolt_rt_instr.a"));
    paths.into_iter().find(|path| facts.exists(path)).ok_or_else(|| {
        let major = version::of(facts, "llvm-bolt", llvm_bolt).map(|version| version.major);
        Gap {
            what: format!("{llvm_bolt} has no runtime library (libbolt_rt_instr.a), which instrumenting needs"),
            remedy: packages::remedy_of_llvm(facts, BOLT_RUNTIME, major_or_default(major)),
        }
    })
}

fn major_or_default(major: Option<u64>) -> u64 {
    major.unwrap_or_else(|| packages::llvm_major(None))
}
