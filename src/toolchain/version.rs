//! Which version a program is, from what it prints.

use camino::Utf8Path;
use semver::Version;

use crate::facts::Facts;

/// The version of a tool, as far as it prints one. `name` is what the tool is called in a pipeline.
pub fn of(facts: &Facts, name: &str, path: &Utf8Path) -> Option<Version> {
    parse(&print(facts, name, path)?)
}

/// What a tool prints when it is asked for its version.
pub fn print(facts: &Facts, name: &str, path: &Utf8Path) -> Option<String> {
    let program = path.as_str();
    match name {
        "rustc" | "cargo" => facts.output(&[program, "-vV"]),
        // Before LLVM 18 only its subcommands know `--version`.
        "llvm-profdata" | "llvm-cov" => {
            facts.output(&[program, "--version"]).or_else(|| facts.output(&[program, "show", "--version"]))
        }
        _ => facts.output(&[program, "--version"]),
    }
}

/// The first `x.y` or `x.y.z` that begins a word or stands behind a `-`: `Debian clang version 22.1.8 (1~deb12u1)`,
/// `valgrind-3.19.0`, `1.11.1`, `3.28.0-rc2`. What follows the numbers is left out: what a distribution adds is no
/// pre-release, and a pre-release has what its version has.
pub fn parse(text: &str) -> Option<Version> {
    let starts = text.char_indices().filter(|(index, c)| {
        let before = text[..*index].chars().next_back();
        c.is_ascii_digit() && before.is_none_or(|c| !c.is_alphanumeric() && c != '.')
    });
    starts.into_iter().find_map(|(start, _)| {
        let rest = &text[start..];
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let mut numbers = rest[..end].split('.').map_while(|number| number.parse().ok());
        Some(Version::new(numbers.next()?, numbers.next()?, numbers.next().unwrap_or(0)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the programs print, beginnings of lines only.
    #[test]
    fn of_what_tools_print() {
        for (text, version) in [
            ("Debian clang version 22.1.8 (1~deb12u1)\nTarget: x86_64-pc-linux-gnu", "22.1.8"),
            ("Ubuntu clang version 14.0.0-1ubuntu1.1", "14.0.0"),
            ("Apple clang version 15.0.0 (clang-1500.3.9.4)", "15.0.0"),
            ("clang version 19.0.0git (https://github.com/llvm/llvm-project 1234abc)", "19.0.0"),
            ("Debian LLD 22.1.8 (compatible with GNU linkers)", "22.1.8"),
            ("Debian LLVM version 22.1.8\n  Optimized build.\nBOLT revision <unknown>", "22.1.8"),
            ("LLVM (http://llvm.org/):\n  LLVM version 13.0.0", "13.0.0"),
            ("cmake version 3.25.1", "3.25.1"),
            ("cmake version 3.28.0-rc2", "3.28.0"),
            ("1.11.1\n", "1.11.1"),
            ("1.12.0.git.kitware.jobserver-pipe-1", "1.12.0"),
            ("valgrind-3.19.0", "3.19.0"),
            ("perf version 6.1.187", "6.1.187"),
            ("ccache version 4.8\nFeatures: file-storage", "4.8.0"),
            ("rustc 1.95.0 (59807616e 2026-04-14)\nbinary: rustc", "1.95.0"),
            ("gcc (Debian 12.2.0-14) 12.2.0", "12.2.0"),
            ("GNU Make 4.3\nBuilt for x86_64", "4.3.0"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), version, "{text}");
        }
        assert_eq!(parse("llvm-profdata: Unknown command!"), None);
        assert_eq!(parse("v 7"), None);
    }
}
