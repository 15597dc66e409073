//! The packages that tools come in. Names only; whether the machine's repositories have them is not asked.

use semver::{Version, VersionReq};

use super::{LLVM_MAJORS, is_llvm};
use crate::facts::Facts;

/// The LLVM that is proposed where any will do.
const DEFAULT_LLVM: u64 = 22;

/// What is looked for as a library beside a tool, not as a program.
pub const PROFILE_RUNTIME: &str = "clang profile runtime";
/// The library that `llvm-bolt -instrument` links in.
pub const BOLT_RUNTIME: &str = "BOLT runtime library";

/// Package managers that names are known for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// Debian, Ubuntu. Also where there is none of the others, as its names are the most telling.
    Apt,
    /// Fedora, RHEL.
    Dnf,
    /// Arch.
    Pacman,
    /// Homebrew.
    Brew,
}

impl Manager {
    /// That of this machine; apt first.
    pub fn of(facts: &Facts) -> Manager {
        let all = [Manager::Apt, Manager::Dnf, Manager::Pacman, Manager::Brew];
        all.into_iter().find(|manager| facts.program(manager.program()).is_some()).unwrap_or(Manager::Apt)
    }

    /// Its command.
    pub fn program(self) -> &'static str {
        match self {
            Manager::Apt => "apt-get",
            Manager::Dnf => "dnf",
            Manager::Pacman => "pacman",
            Manager::Brew => "brew",
        }
    }

    /// The arguments with which it installs the packages that follow.
    pub fn install(self) -> &'static [&'static str] {
        match self {
            Manager::Apt => &["apt-get", "install", "-y"],
            Manager::Dnf => &["dnf", "install", "-y"],
            Manager::Pacman => &["pacman", "-S", "--needed", "--noconfirm"],
            Manager::Brew => &["brew", "install"],
        }
    }
}

/// The LLVM to propose: 22 if it will do, else the nearest newer, else the nearest older one that does.
pub fn llvm_major(requirement: Option<&VersionReq>) -> u64 {
    let Some(requirement) = requirement else { return DEFAULT_LLVM };
    // A requirement such as `>=19.1.7` is met by a later release of the same major.
    let fits = |major: &u64| requirement.matches(&Version::new(*major, 99, 99));
    let newer = (DEFAULT_LLVM..=*LLVM_MAJORS.end()).find(fits);
    newer.or_else(|| (*LLVM_MAJORS.start()..DEFAULT_LLVM).rev().find(fits)).unwrap_or(DEFAULT_LLVM)
}

/// The package that has a tool; of an LLVM tool in that version, where the distribution has several.
pub fn package(manager: Manager, tool: &str, llvm: u64) -> Option<String> {
    let versioned = match (manager, tool) {
        (Manager::Apt, PROFILE_RUNTIME) => Some("libclang-rt-{}-dev"),
        (Manager::Apt, BOLT_RUNTIME) => Some("libbolt-{}-dev"),
        (Manager::Apt, "clang" | "clang++" | "clang-cl") => Some("clang-{}"),
        (Manager::Apt, "lld" | "ld.lld" | "wasm-ld") => Some("lld-{}"),
        (Manager::Apt, "llvm-bolt" | "llvm-bolt-heatmap" | "merge-fdata" | "perf2bolt") => Some("bolt-{}"),
        (Manager::Apt, "clang-scan-deps") => Some("clang-tools-{}"),
        (Manager::Apt, tool) if is_llvm(tool) => Some("llvm-{}"),
        _ => None,
    };
    if let Some(name) = versioned {
        return Some(name.replace("{}", &llvm.to_string()));
    }
    let name = match (manager, tool) {
        (_, "cmake" | "valgrind" | "ccache" | "sccache" | "git" | "make" | "curl" | "mold") => tool,
        (Manager::Apt | Manager::Dnf, "ninja") => "ninja-build",
        (_, "ninja") => "ninja",
        (Manager::Apt, "perf") => "linux-perf",
        (Manager::Dnf | Manager::Pacman, "perf") => "perf",
        (Manager::Apt, "g++" | "c++") => "g++",
        (Manager::Dnf, "g++" | "c++") => "gcc-c++",
        (Manager::Apt | Manager::Dnf | Manager::Pacman, "cc" | "gcc" | "g++" | "c++") => "gcc",
        (Manager::Apt, "xz") => "xz-utils",
        (_, "xz") => "xz",
        (Manager::Pacman, "python3") => "python",
        (_, "python3") => "python3",
        // Libraries by their names for pkg-config, with headers.
        (Manager::Apt, "openssl") => "libssl-dev",
        (Manager::Apt, "zlib") => "zlib1g-dev",
        (Manager::Apt, "libzstd") => "libzstd-dev",
        (Manager::Dnf, "openssl") => "openssl-devel",
        (Manager::Dnf, "zlib") => "zlib-devel",
        (Manager::Dnf, "libzstd") => "libzstd-devel",
        (Manager::Pacman | Manager::Brew, "openssl" | "zlib") => tool,
        (Manager::Pacman | Manager::Brew, "libzstd") => "zstd",
        (Manager::Apt, "pkg-config") => "pkg-config",
        (Manager::Dnf, "pkg-config") => "pkgconf-pkg-config",
        (_, "pkg-config") => "pkgconf",
        (Manager::Dnf | Manager::Pacman, PROFILE_RUNTIME) => "compiler-rt",
        (Manager::Brew, PROFILE_RUNTIME) => "llvm",
        (Manager::Dnf | Manager::Pacman, "clang" | "clang++") => "clang",
        (Manager::Dnf | Manager::Pacman | Manager::Brew, "lld" | "ld.lld" | "wasm-ld") => "lld",
        (Manager::Dnf, "llvm-bolt" | "merge-fdata" | "perf2bolt" | BOLT_RUNTIME) => "llvm-bolt",
        // Not in the packages of Arch and Homebrew.
        (_, "llvm-bolt" | "merge-fdata" | "perf2bolt" | BOLT_RUNTIME) => return None,
        (Manager::Dnf | Manager::Pacman | Manager::Brew, tool) if is_llvm(tool) => "llvm",
        _ => return None,
    };
    Some(name.into())
}

/// What to do about a tool that is not there.
pub(crate) fn remedy(facts: &Facts, tool: &str, package: Option<&str>) -> String {
    match (package, tool) {
        (Some(package), _) => format!("install it: `{} {package}`", Manager::of(facts).install().join(" ")),
        (None, "cargo" | "rustc" | "rustup") => "install Rust: https://rustup.rs".into(),
        (None, _) => "install it, or put its directory into PATH".into(),
    }
}

/// The same for a tool or library of one LLVM.
pub(crate) fn remedy_of_llvm(facts: &Facts, tool: &str, major: u64) -> String {
    remedy(facts, tool, package(Manager::of(facts), tool, major).as_deref())
}
