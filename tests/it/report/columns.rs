//! Texts in columns: tables, and the moving lines of a terminal.

use optbuild::report::console::screen::{Line, lay_out};
use optbuild::report::paint::Paint;
use optbuild::report::paint::{Grid, wrap};
use optbuild::text;

#[test]
fn lines_are_split_between_words() {
    assert_eq!(wrap("The library as it comes, instrumented", 24), ["The library as it comes,", "instrumented"]);
    // A word that is too long fills what is left of its line.
    assert_eq!(wrap("in /a/very/long/path", 10), ["in /a/very", "/long/path"]);
    assert_eq!(wrap("wide 日本語日本語 end", 8), ["wide 日", "本語日本", "語 end"]);
    // No character is lost, however narrow it is.
    assert_eq!(wrap("日本 x", 1), ["日", "本", "x"]);
}

#[test]
fn wide_columns_give_way_first() {
    let mut grid = Grid::new(["a", ">number", "text"]);
    grid.row(["x", "12", "eight words are said in this very cell"]);
    grid.row(["y", "7", ""]);
    let expected = "\
a  number  text
x      12  eight words are
           said in this very
           cell
y       7
";
    assert_eq!(grid.render(29, Paint::PLAIN), expected);
    assert_eq!(grid.natural_width(), 1 + 2 + 6 + 2 + 38);
    assert_eq!(grid.markdown().lines().nth(1), Some("|:--|--:|:--|"));
}

fn line(stage: &str, time: &str, step: &str, log: &str) -> Line {
    Line { stage: stage.into(), time: time.into(), step: step.into(), log: log.into() }
}

#[test]
fn columns_line_up() {
    let lines = [
        line("lib-gather", "31 s of ~1 m 20 s", "3/12 joins", "select count(*) from t"),
        line("shell", "8 s", "build", "Compiling shell v0.1.0"),
    ];
    assert_eq!(
        lay_out(&lines, "*", 80, Paint::PLAIN),
        [
            "* lib-gather  31 s of ~1 m 20 s  3/12 joins  select count(*) from t",
            "* shell                     8 s  build       Compiling shell v0.1.0",
        ]
    );
}

#[test]
fn lines_are_cut_at_the_terminals_edge() {
    let log = "日本語".repeat(40);
    for width in [20, 40, 79, 80, 140] {
        for color in [false, true] {
            let lines = [line("lib", "1 s", "build", &log)];
            for text in lay_out(&lines, "⠋", width, Paint { color }) {
                assert!(text::width(&text) <= width, "{width}: {text}");
            }
        }
    }
    // 19 columns are before the log; each character of it takes two, the mark one.
    let lines = [line("lib", "1 s", "build", &log)];
    assert_eq!(lay_out(&lines, "*", 25, Paint::PLAIN), ["* lib  1 s  build  日本…"]);
    assert_eq!(lay_out(&lines, "*", 26, Paint::PLAIN), ["* lib  1 s  build  日本語…"]);
}

#[test]
fn long_names_are_shortened() {
    let lines = [line(&"s".repeat(30), "1 s", &"p".repeat(30), "")];
    let text = format!("* {}…  1 s  {}…", "s".repeat(23), "p".repeat(27));
    assert_eq!(lay_out(&lines, "*", 140, Paint::PLAIN), [text]);
}
