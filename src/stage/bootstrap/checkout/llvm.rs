//! What a checkout says of LLVM: which one lies in it, and how old one from outside may be.

use camino::Utf8Path;

use crate::facts::Facts;

const LLVM: &str = "src/llvm-project";
/// Where x.py asks `llvm-config`: since July 2023, since February 2023, and before.
const CHECKS: [&str; 3] =
    ["src/bootstrap/src/core/build_steps/llvm.rs", "src/bootstrap/llvm.rs", "src/bootstrap/native.rs"];

/// The oldest LLVM that x.py takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Oldest {
    pub major: u64,
    /// Which of the checkout's files says so.
    pub file: &'static str,
}

/// Which LLVM is in a checkout. CMake's file has a line `set(LLVM_VERSION_MAJOR 19)`; it moved with LLVM 19.
pub(in super::super) fn major(facts: &Facts, path: &Utf8Path) -> Option<u64> {
    let files = ["cmake/Modules/LLVMVersion.cmake", "llvm/CMakeLists.txt"];
    files.iter().find_map(|file| {
        let text = facts.read(&path.join(LLVM).join(file))?;
        let line = text.lines().find_map(|line| line.trim().strip_prefix("set(LLVM_VERSION_MAJOR "))?;
        line.trim_end_matches(')').trim().parse().ok()
    })
}

/// Which LLVM x.py takes at least. What it says of another one has been the same for as long as there is BOLT:
/// `bad LLVM version: …, need >=18`, once with `.0` behind it.
pub(super) fn oldest(facts: &Facts, path: &Utf8Path) -> Option<Oldest> {
    CHECKS.iter().find_map(|file| {
        let text = facts.read(&path.join(file))?;
        let (_, message) = text.split_once("bad LLVM version")?;
        let (_, needed) = message.lines().next()?.split_once("need >=")?;
        let digits: String = needed.chars().take_while(char::is_ascii_digit).collect();
        Some(Oldest { major: digits.parse().ok()?, file })
    })
}
