//! How numbers, words for a shell, names of files and names of steps are written.

use std::time::Duration;

use optbuild::names::StepId;
use optbuild::text::file_name::file_name;
use optbuild::text::shell::{join, quote};
use optbuild::text::*;

#[test]
fn durations() {
    for (seconds, text) in [
        (0.0, "0 ms"),
        (0.0372, "37 ms"),
        (0.0996, "0.10 s"),
        (0.21, "0.21 s"),
        (0.996, "1.0 s"),
        (8.3, "8.3 s"),
        (31.24, "31.2 s"),
        (59.94, "59.9 s"),
        (59.96, "1 m 00 s"),
        (125.0, "2 m 05 s"),
        (3599.4, "59 m 59 s"),
        (3599.6, "1 h 00 m"),
        (4320.0, "1 h 12 m"),
        (100.0 * 3600.0, "100 h 00 m"),
        (-1.0, "0 ms"),
    ] {
        assert_eq!(duration(seconds), text, "{seconds}");
    }
    assert_eq!(duration(Duration::from_millis(8300)), "8.3 s");
    assert_eq!(elapsed(59.99), "59 s");
    assert_eq!(elapsed(125.9), "2 m 05 s");
    assert_eq!(duration_change(-4.0), "-4.0 s");
    assert_eq!(duration_change(65.0), "+1 m 05 s");
}

#[test]
fn sizes() {
    for (bytes, text) in [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        // 1024 KiB less one byte.
        (1024 * 1024 - 1, "1.0 MiB"),
        // 33.2 × 1048576 = 34812723.2
        (34_812_723, "33.2 MiB"),
        (20 * 1024 * 1024 * 1024, "20.0 GiB"),
    ] {
        assert_eq!(size(bytes), text, "{bytes}");
    }
    assert_eq!(size_change(2048, 1024), "-1.0 KiB");
    assert_eq!(size_change(1024, 1324), "+300 B");
}

#[test]
fn shares_and_counts() {
    assert_eq!(percent(31.2, 148.0), "21 %");
    assert_eq!(percent(0.1, 148.0), "<1 %");
    assert_eq!(percent(0.0, 148.0), "0 %");
    assert_eq!(percent(1.0, 0.0), "0 %");
    assert_eq!(percent_change(30.0, 31.2), "+4 %");
    assert_eq!(percent_change(100.0, 88.0), "-12 %");
    assert_eq!(percent_change(100.0, 100.4), "±0 %");
    assert_eq!(percent_change(100.0, 99.6), "±0 %");
    assert_eq!(percent_change(0.0, 3.0), "");
    assert_eq!(count(0), "0");
    assert_eq!(count(999), "999");
    assert_eq!(count(1402), "1,402");
    assert_eq!(count(1_234_567), "1,234,567");
    assert_eq!(plural(1, "stage"), "1 stage");
    assert_eq!(plural(9, "stage"), "9 stages");
    assert_eq!(quantity(24.0, "files"), "24 files");
    assert_eq!(quantity(1.0, "files"), "1 file");
    assert_eq!(quantity(1402.0, ""), "1,402");
    assert_eq!(quantity(2048.0, "bytes"), "2.0 KiB");
    assert_eq!(quantity(0.125, "ratio"), "0.12 ratio");
    assert_eq!(quantity(62.48, "%"), "62.5 %");
    assert_eq!(quantity(100.0, "%"), "100 %");
}

#[test]
fn changes_and_large_numbers() {
    for (relative, text) in [(-0.135, "-13.5 %"), (0.0021, "+0.2 %"), (-0.0004, "±0.0 %"), (1.5, "+150.0 %")] {
        assert_eq!(change(relative), text);
    }
    for (number, text) in [
        (0.0, "0"),
        (812.4, "812"),
        (999.96, "1.000 k"),
        (12_345.0, "12.35 k"),
        (746_812_345.0, "746.8 M"),
        (1_254_912_345.0, "1.255 G"),
        (9e15, "9000.0 T"),
    ] {
        assert_eq!(large(number), text, "{number}");
    }
}

#[test]
fn wide_characters_count_as_two_columns() {
    assert_eq!(width("日本語"), 6);
    // Five columns: two wide characters and the mark; a third would not fit beside the mark.
    assert_eq!(truncate("日本語日本語", 5), "日本…");
    assert_eq!(truncate("日本語日本語", 6), "日本…");
    assert_eq!(width(&truncate("a日本語日本語", 6)), 6);
    assert_eq!(truncate("日本語", 6), "日本語");
    assert_eq!(truncate("x", 0), "");
    assert_eq!(pad("日", 4), "日  ");
    assert_eq!(pad_left("8 s", 5), "  8 s");
    assert_eq!(truncate("\u{1b}[32mgreen\u{1b}[0m", 3), "\u{1b}[32mgr…\u{1b}[0m");
}

#[test]
fn lines_of_programs_are_tamed() {
    assert_eq!(plain_line("\u{1b}[31merror\u{1b}[0m:\tno\r\n"), "error: no");
    assert_eq!(plain_line("10 %\r20 %\r30 %"), "30 %");
    assert_eq!(indent("a\n\n b", 2), "  a\n\n   b\n");
}

#[test]
fn words_are_read_back_as_they_were() {
    for word in ["", "a", "a b", "it's", "$HOME", "--set=x=1", "a\nb", "\\", "!x", "~", "*", "{a,b}"] {
        let output = std::process::Command::new("sh").args(["-c", &format!("printf %s {}", quote(word))]).output();
        assert_eq!(String::from_utf8(output.unwrap().stdout).unwrap(), word);
    }
    assert_eq!(join(["optbuild", "--set=a=b", "a b"]), "optbuild --set=a=b 'a b'");
}

#[test]
fn different_names_have_different_files() {
    assert_eq!(file_name("link[level=3,lto=thin]"), "link[level=3,lto=thin]");
    assert_ne!(file_name("a b"), file_name("a_b"));
    assert_ne!(file_name("a/b"), file_name("a b"));
    for name in ["", ".", "..", "../x", "/"] {
        let file = file_name(name);
        assert!(!file.contains('/') && !file.starts_with('.') && file.len() > 1, "{file}");
    }
    assert!(file_name(&"x".repeat(1000)).len() < 200);
}

#[test]
fn steps_are_told_apart_by_their_fields() {
    let (alike, other) = (StepId::workload("a-b"), StepId::around("a", "b"));
    assert_eq!(alike.to_string(), other.to_string());
    assert_ne!(alike, other);
    let json = |id: &StepId| serde_json::to_string(id).unwrap();
    assert_eq!(json(&alike), r#"{"workload":"a-b"}"#);
    assert_eq!(json(&other), r#"{"step":"b","workload":"a"}"#);
    assert_eq!(json(&StepId::step("merge")), r#"{"step":"merge"}"#);
    assert_eq!(serde_json::from_str::<StepId>(&json(&other)).unwrap(), other);
}
