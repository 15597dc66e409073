//! What holds for every text, every graph and every file.

use std::collections::BTreeSet;

use super::support::Files;
use optbuild::pipeline::{Graph, OutputRef, Piece, Text};
use proptest::prelude::*;

fn name() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9_-]{0,5}".prop_filter("reserved", |name| !optbuild::pipeline::text::RESERVED.contains(&name.as_str()))
}

fn output() -> impl Strategy<Value = OutputRef> {
    (name(), name()).prop_map(|(stage, output)| OutputRef { stage, output })
}

/// Pieces as parsing makes them: no empty literal, no two literals in a row.
fn text() -> impl Strategy<Value = Text> {
    let literal = prop_oneof!["[${}a ]{1,6}", "\\PC{1,8}"].prop_map(Piece::Literal);
    let reference = prop_oneof![
        name().prop_map(Piece::Var),
        prop::collection::vec(output(), 1..4).prop_map(Piece::Outputs),
        Just(Piece::SelfOut),
        Just(Piece::SelfBuild),
        Just(Piece::PipelineDir(0)),
        Just(Piece::Host),
        Just(Piece::Jobs),
        name().prop_map(Piece::Tool),
    ];
    prop::collection::vec(prop_oneof![literal, reference], 0..8).prop_map(|pieces| {
        let mut text = Text::default();
        pieces.into_iter().for_each(|piece| text.push(piece));
        text
    })
}

/// A string in TOML, whatever is in it.
fn toml_string(text: &str) -> String {
    let escaped = text.chars().map(|c| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
        c => c.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

proptest! {
    #[test]
    fn a_text_that_is_shown_and_read_is_the_same(text in text()) {
        prop_assert_eq!(Text::parse(&text.to_string()).unwrap(), text);
    }

    #[test]
    fn any_string_can_be_read_or_is_refused(source in "[${}|. a-z]{0,12}|\\PC{0,20}") {
        if let Ok(text) = Text::parse(&source) {
            prop_assert_eq!(Text::parse(&text.to_string()).unwrap(), text);
        } else {
            let has_reference = source.contains("${");
            prop_assert!(has_reference);
        }
    }

    #[test]
    fn a_string_without_dollars_is_itself(source in "[^$\\p{C}]{0,20}") {
        let text = Text::parse(&source).unwrap();
        prop_assert_eq!(text.as_literal().unwrap(), source);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever a value holds, references and quotes and spaces, a command gets just that.
    #[test]
    fn a_value_arrives_as_it_is(
        value in prop_oneof!["[${}'\" a\\\\|]{0,8}", "[^\\x00]{0,12}"],
        by_set in any::<bool>(),
    ) {
        // In a default `${` is a reference, and an even number of `$` before a `{` is how to write half as many.
        let default = match by_set {
            true => String::new(),
            false => Text::literal(value.as_str()).to_string(),
        };
        let text = format!(
            "[vars]\nv = {}\nlist = [\"x\", \"${{v}}\"]\npath = {{ type = \"path\", default = \"p\" }}\n\
             [[stage]]\nname = \"s\"\nkind = \"command\"\nrun = \"cmd <${{v}}> ${{list}} ${{v}}${{path}}\"\n",
            toml_string(&default),
        );
        let mut files = Files::one(&text);
        if by_set {
            files = files.set(&format!("v={value}"));
        }
        let pipeline = files.load("p.toml");
        let command = optbuild::stage::kind_as::<optbuild::stage::command::Command>(&pipeline.stages[0]).unwrap();
        let words = &command.line.words;
        prop_assert_eq!(words.len(), 5);
        prop_assert_eq!(words[1].as_literal().unwrap(), format!("<{value}>"));
        prop_assert_eq!(words[2].as_literal().unwrap(), "x");
        prop_assert_eq!(words[3].as_literal().unwrap(), value.as_str());
        let mut last = Text::literal(value);
        last.push(Piece::Var("path".into()));
        prop_assert_eq!(&words[4], &last);
    }

    #[test]
    fn the_order_of_a_graph(needs in graph()) {
        let count = needs.len();
        let stages = needs.iter().enumerate().map(|(stage, needs)| {
            let needs: Vec<String> = needs.iter().map(|need| format!("\"s{need}\"")).collect();
            format!("[[stage]]\nname = \"s{stage}\"\nkind = \"command\"\nrun = \"x\"\nneeds = [{}]\n", needs.join(", "))
        });
        let loaded = Files::one(&stages.collect::<String>()).try_load("p.toml");

        // Reachability by Warshall's algorithm.
        let mut reach = vec![vec![false; count]; count];
        needs.iter().enumerate().for_each(|(from, needs)| needs.iter().for_each(|to| reach[from][*to] = true));
        for via in 0..count {
            for from in 0..count {
                for to in 0..count {
                    reach[from][to] |= reach[from][via] && reach[via][to];
                }
            }
        }
        if (0..count).any(|stage| reach[stage][stage]) {
            let message = loaded.unwrap_err().to_string();
            let (_, ring) = message.split_once("circle: ").unwrap();
            let ring: Vec<usize> =
                ring.lines().next().unwrap().split(" -> ").map(|name| name[1..].parse().unwrap()).collect();
            prop_assert_eq!(ring.first(), ring.last());
            for pair in ring.windows(2) {
                prop_assert!(needs[pair[0]].contains(&pair[1]), "{message}");
            }
            return Ok(());
        }
        let graph = Graph::new(&loaded.unwrap()).unwrap();
        let order: Vec<usize> = graph.order().iter().map(|name| name[1..].parse().unwrap()).collect();
        // Each place is taken by the first in the file of those that can stand there.
        let mut placed = BTreeSet::new();
        for stage in &order {
            let ready = |stage: &usize| !placed.contains(stage) && needs[*stage].iter().all(|need| placed.contains(need));
            prop_assert_eq!(Some(*stage), (0..count).find(ready));
            placed.insert(*stage);
        }
        prop_assert_eq!(placed.len(), count);
        let name = |stage: usize| format!("s{stage}");
        for (stage, reached) in reach.iter().enumerate() {
            let needed: BTreeSet<String> = (0..count).filter(|to| reached[*to]).map(name).collect();
            let needing: BTreeSet<String> = (0..count).filter(|from| reach[*from][stage]).map(name).collect();
            prop_assert_eq!(graph.dependencies(&name(stage)).into_iter().collect::<BTreeSet<_>>(), needed);
            prop_assert_eq!(graph.dependents(&name(stage)).into_iter().collect::<BTreeSet<_>>(), needing);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        loads_or_says_why(&bytes)?;
    }

    #[test]
    fn no_text_makes_it_panic(text in "([\\[\\]{}=\"'$.,|# \\na-z0-9]|stage|vars|name|kind|run|for|extends|\\PC){0,60}") {
        loads_or_says_why(text.as_bytes())?;
    }

    /// A real pipeline with a part of it somewhere else, or gone, or replaced.
    #[test]
    fn no_change_of_a_pipeline_makes_it_panic(
        from in 0usize..12_000, length in 0usize..400, to in 0usize..12_000, inserted in "[\\[\\]{}=\"'$.,|# \\na-z0-9é]{0,12}",
    ) {
        let text = include_str!("../../../pipelines/demo/pipeline.toml");
        let place = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
        let (start, end, to) = (place(from), place(from + length), place(to));
        let cut = format!("{}{inserted}{}", &text[..start], &text[end..]);
        loads_or_says_why(cut.as_bytes())?;
        let moved = format!("{}{}{}", &text[..to], &text[start..end], &text[to..]);
        loads_or_says_why(moved.as_bytes())?;
    }
}

/// What each of up to seven stages needs. Never itself, which is another error.
fn graph() -> impl Strategy<Value = Vec<BTreeSet<usize>>> {
    (1usize..8).prop_flat_map(|count| {
        let needs = prop::collection::btree_set(0..count, 0..3.min(count + 1));
        prop::collection::vec(needs, count).prop_map(|mut graph| {
            graph.iter_mut().enumerate().for_each(|(stage, needs)| needs.retain(|need| *need != stage));
            graph
        })
    })
}

fn loads_or_says_why(bytes: &[u8]) -> Result<(), TestCaseError> {
    let files = Files::new(&[]);
    files.write("p.toml", bytes);
    if let Err(error) = files.try_load("p.toml") {
        prop_assert!(error.render(false).starts_with("error: "));
        error.render(true);
    }
    Ok(())
}
