//! What GitHub is told: commands in a log, and summaries that are not too long.

use optbuild::report::github::{error, fitting, group, verbatim, verbatim_with, warning};

#[test]
fn what_is_too_long_loses_folded_sections() {
    let section = |title: &str, lines: usize| {
        format!(
            "<details><summary>{title}</summary>\n\n```text\n</details>\n{}```\n\n</details>\n\n",
            "x\n".repeat(lines)
        )
    };
    let text = format!("### head\n\n{}| table |\n\n{}{}", section("a", 100), section("b", 5000), section("c", 10));
    assert_eq!(fitting(&text, text.len()).as_deref(), Some(text.as_str()));
    // The largest one is enough: what is beside it stays.
    let shorter = fitting(&text, text.len() - 1).unwrap();
    let rest = format!("### head\n\n{}| table |\n\n\n{}", section("a", 100), section("c", 10));
    let note = shorter.strip_prefix(&rest).unwrap();
    assert!(note.starts_with("1 folded section left out, because GitHub takes no more than 10."), "{note}");
    let shortest = fitting(&text, 160).unwrap();
    assert!(shortest.starts_with("### head\n\n\n| table |\n\n\n\n3 folded sections left out"), "{shortest}");
    assert_eq!(fitting(&text, 20), None);
}

// The escapes are those of https://github.com/actions/toolkit, packages/core/src/command.ts.
#[test]
fn commands_are_escaped() {
    assert_eq!(error("a:b,c%", "x\ny: 5 %"), "::error title=a%3Ab%2Cc%25::x%0Ay: 5 %25\n");
    assert_eq!(warning("w", "m"), "::warning title=w::m\n");
    assert_eq!(group("lib\n", "one\ntwo"), "::group::lib%0A\none\ntwo\n::endgroup::\n");
    assert_eq!(group("lib", ""), "::group::lib\n::endgroup::\n");
}

#[test]
fn output_of_programs_is_no_command() {
    assert_eq!(verbatim_with("::error::x", "t"), "::stop-commands::t\n::error::x\n::t::\n");
    assert_ne!(verbatim("x"), verbatim("x"), "a token is used once");
}
