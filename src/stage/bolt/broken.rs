//! Options of llvm-bolt that are known to break what it makes, by its version. People paste them from recipes.
//!
//! The table is of the issues of LLVM's own project. An option stands in it while a released llvm-bolt takes it and breaks something; what an
//! llvm-bolt refuses by itself does not. A version in which an option is mended is named when it is known. Unaware of where the options
//! come from.

use super::words::Word;

/// An option that breaks something.
pub struct Broken {
    /// Without dashes.
    pub option: &'static str,
    /// The values that do; empty: any.
    pub values: &'static [&'static str],
    /// Another option, with its value, without which it does not.
    pub with: Option<(&'static str, &'static str)>,
    /// How the name of the target begins, where it is not any.
    pub target: Option<&'static str>,
    /// The first LLVM that does not, or that refuses the option.
    pub before: Option<u64>,
    /// A sentence's end, behind the option.
    pub consequence: &'static str,
    /// The number of the issue or change in llvm-project.
    pub issue: u32,
}

const ANY: Broken =
    Broken { option: "", values: &[], with: None, target: None, before: None, consequence: "", issue: 0 };

/// All that are known.
pub const BROKEN: [Broken; 11] = [
    Broken {
        option: "use-gnu-stack",
        consequence: "takes the GNU_STACK header away: stacks become executable, and glibc 2.41 and newer does not load such a library",
        issue: 174_191,
        ..ANY
    },
    Broken {
        option: "frame-opt",
        values: &["hot", "all"],
        target: Some("x86_64"),
        consequence: "can take its stack away from a function that has a frame pointer (`-fno-omit-frame-pointer`), which then writes over \
                      what others have there",
        issue: 211_356,
        ..ANY
    },
    Broken {
        option: "frame-opt",
        values: &["hot", "all"],
        with: Some(("split-strategy", "cdsplit")),
        target: Some("x86_64"),
        consequence: "with `-split-strategy=cdsplit` makes wrong tables for unwinding: backtraces and exceptions crash",
        issue: 211_392,
        ..ANY
    },
    Broken {
        option: "frame-opt",
        values: &["hot", "all"],
        target: Some("aarch64"),
        before: Some(22),
        consequence: "makes llvm-bolt crash on this processor",
        issue: 152_102,
        ..ANY
    },
    Broken {
        option: "use-aggr-reg-reassign",
        target: Some("x86_64"),
        consequence: "is known for wrong code: clang and lld crash with it",
        issue: 123_809,
        ..ANY
    },
    Broken {
        option: "icf",
        values: &["all", "1", "true", ""],
        consequence: "makes one function of equal ones whose addresses a program compares, as CPython does; `-icf=safe`, since LLVM 20, does \
                      not",
        issue: 116_275,
        ..ANY
    },
    Broken {
        option: "split-strategy",
        values: &["cdsplit"],
        target: Some("aarch64"),
        before: Some(22),
        consequence: "is not finished on this processor: llvm-bolt crashes, or the result does",
        issue: 159_351,
        ..ANY
    },
    Broken {
        option: "three-way-branch",
        target: Some("aarch64"),
        before: Some(23),
        consequence: "makes llvm-bolt crash on this processor",
        issue: 193_252,
        ..ANY
    },
    Broken {
        option: "simplify-rodata-loads",
        target: Some("aarch64"),
        before: Some(24),
        consequence: "makes llvm-bolt crash on this processor",
        issue: 195_115,
        ..ANY
    },
    Broken {
        option: "use-old-text",
        before: Some(19),
        consequence: "is known for results that crash",
        issue: 89_117,
        ..ANY
    },
    Broken {
        option: "tail-duplication",
        target: Some("riscv64"),
        consequence: "makes llvm-bolt fail on this processor",
        issue: 219_913,
        ..ANY
    },
];

/// A sentence for each of the `declared` options that breaks something, given `all` options that llvm-bolt gets.
pub fn notes(declared: &[Word], all: &[Word], llvm: Option<u64>, target: &str) -> Vec<String> {
    let mut notes = Vec::new();
    for broken in &BROKEN {
        let is_given = |word: &&Word| {
            word.name == broken.option && (broken.values.is_empty() || broken.values.contains(&word.value.as_str()))
        };
        let Some(word) = declared.iter().find(is_given) else { continue };
        let with =
            broken.with.is_none_or(|(name, value)| all.iter().any(|word| word.name == name && word.value == value));
        let here = broken.target.is_none_or(|start| target.starts_with(start));
        // One of unknown version may be any.
        let now = broken.before.zip(llvm).is_none_or(|(before, llvm)| llvm < before);
        if with && here && now {
            let whose = llvm.map_or_else(String::new, |major| format!(" of llvm-bolt {major}"));
            notes.push(format!("`{word}`{whose} {} (llvm-project {})", broken.consequence, broken.issue));
        }
    }
    notes
}
