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
