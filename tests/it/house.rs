//! The order of the house, read from the `use` lines of `src` and held against the table of rooms in `docs/design.md`.
//!
//! | rule | |
//! |---|---|
//! | floors | a room knows only rooms that stand above it in the table: the ground floor comes first |
//! | truth | the column "knows" names exactly the rooms that the room's files name; `all` are all above |
//! | circles | no file leads back to itself through files that name each other |
//!
//! A file may name what the module above it offers, so the way from a module to its parents does not count for circles. No file of `src` has
//! tests: `[lib]` in `Cargo.toml` has `test = false`, and so they would not run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A module's path below the crate: `["run", "step"]`.
type Module = Vec<String>;

/// What each file names: module to modules.
type Edges = BTreeMap<Module, BTreeSet<Module>>;

#[test]
fn every_room_knows_what_the_design_says_and_no_room_above_it() {
    let knows = rooms(&edges());
    let floors = floors();
    let names: Vec<&str> = floors.iter().map(|(name, _)| name.as_str()).collect();
    let there: BTreeSet<&str> = knows.keys().map(String::as_str).collect();
    assert_eq!(names.iter().copied().collect::<BTreeSet<&str>>(), there, "docs/design.md names the rooms of src");
    let mut wrong = Vec::new();
    for (index, (room, declared)) in floors.iter().enumerate() {
        let found = &knows[room];
        if found != declared && !declared.contains("all") {
            wrong.push(format!("{room}: the files name {found:?}, docs/design.md says {declared:?}"));
        }
        for known in found {
            if !names[..index].contains(&known.as_str()) {
                wrong.push(format!("{room} knows {known}, which does not stand above it in the table"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_files_name_each_other_in_a_circle() {
    let circles = circles(&edges());
    let shown: Vec<String> = circles.iter().map(|circle| format!("{circle:?}")).collect();
    assert!(circles.is_empty(), "{}", shown.join("\n"));
}

/// The checks find what they are for.
#[test]
fn a_wrong_arrow_and_a_circle_are_found() {
    let source = "
        use crate::{run::step, text};          // use crate::comment;
        use super::other::{self, Thing as Else};
        const TEXT: &str = \"use crate::string;\";
        fn f() { child::work(); crate::plan::Step::new(); }
    ";
    let named = named(source, &module("state/this"), &["child".into()].into());
    let named: Vec<String> = named.iter().map(|path| path.join("/")).collect();
    assert_eq!(
        named,
        ["plan/Step/new", "run/step", "state/other", "state/other/Thing", "state/this/child/work", "text"]
    );

    let edges = |pairs: &[(&str, &str)]| -> Edges {
        let mut edges = Edges::new();
        for (from, to) in pairs {
            edges.entry(module(from)).or_default().insert(module(to));
            edges.entry(module(to)).or_default();
        }
        edges
    };
    let circle = edges(&[("a/x", "b"), ("b", "c"), ("c", "a/x"), ("c", "d")]);
    assert_eq!(circles(&circle), [[module("a/x"), module("b"), module("c")]]);
    let tree = edges(&[("a", "b"), ("a", "c"), ("b", "c"), ("a", "a/x"), ("a/x", "a")]);
    assert!(circles(&tree).is_empty());
    assert_eq!(rooms(&circle)["a"], BTreeSet::from(["b".to_owned()]));
}

fn module(path: &str) -> Module {
    path.split('/').map(str::to_owned).collect()
}

/// The rooms of `docs/design.md` in their order, and what each knows.
fn floors() -> Vec<(String, BTreeSet<String>)> {
    let design = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/design.md")).unwrap();
    let section = design.split("## The rooms").nth(1).expect("a section on the rooms");
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let (room, rest) = row.split_once('`').unwrap();
        let knows = rest.trim_end_matches([' ', '|']).rsplit('|').next().unwrap().trim();
        let knows = knows.split(", ").filter(|known| *known != "nothing").map(str::to_owned).collect();
        (room.trim_end_matches('/').trim_end_matches(".rs").to_owned(), knows)
    })
    .collect()
}

/// What the files of each room name, without the room itself. `lib.rs` and `main.rs` belong to no room.
fn rooms(edges: &Edges) -> BTreeMap<String, BTreeSet<String>> {
    let mut rooms: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (from, to) in edges.iter().filter(|(from, _)| !from.is_empty()) {
        let known = rooms.entry(from[0].clone()).or_default();
        known.extend(to.iter().filter_map(|to| to.first()).filter(|room| **room != from[0]).cloned());
    }
    rooms
}

fn edges() -> Edges {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
    let mut files: BTreeMap<Module, String> = BTreeMap::new();
    for entry in walkdir::WalkDir::new(root) {
        let entry = entry.unwrap();
        let below = entry.path().strip_prefix(root).unwrap().to_str().unwrap();
        let Some(path) = below.strip_suffix(".rs") else { continue };
        let mut path = module(path);
        if matches!(path.last().unwrap().as_str(), "mod" | "lib") {
            path.pop();
        }
        let text = std::fs::read_to_string(entry.path()).unwrap();
        assert!(!text.contains("#[test]"), "{below} has a test, which does not run: its place is in tests/it");
        // The program only calls the library.
        if path.last().is_none_or(|name| name != "main") {
            files.insert(path, text);
        }
    }
    assert!(files.len() > 50, "{} files were found", files.len());
    let of = |(path, text): (&Module, &String)| {
        let children = files.keys().filter(|other| other.len() == path.len() + 1 && other.starts_with(path));
        let children = children.filter_map(|child| child.last().cloned()).collect();
        let named = named(text, path, &children);
        // The longest part of a path that is a file.
        let file = |named: &Module| {
            (1..=named.len()).rev().map(|length| named[..length].to_vec()).find(|m| files.contains_key(m))
        };
        let named = named.iter().filter_map(file).filter(|other| other != path).collect();
        (path.clone(), named)
    };
    files.iter().map(of).collect()
}

/// All paths of this crate that a file names, from the crate's root.
fn named(text: &str, path: &Module, children: &BTreeSet<String>) -> BTreeSet<Module> {
    let text = code(text);
    let mut named = BTreeSet::new();
    let mut rest = text.as_str();
    let mut body = String::new();
    while let Some(start) = find_use(rest) {
        body.push_str(&rest[..start]);
        let end = start + rest[start..].find(';').expect("a use line has an end");
        let tree: String = rest[start + 4..end].split_whitespace().collect::<Vec<_>>().join(" ");
        for leaf in leaves(&tree) {
            named.extend(absolute(&leaf, path, children));
        }
        rest = &rest[end + 1..];
    }
    body.push_str(rest);
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    for path_like in body.split(|c: char| !word(c)).filter(|word| word.contains("::")) {
        named.extend(absolute(path_like, path, children));
    }
    named
}

/// Where the next `use` begins.
fn find_use(text: &str) -> Option<usize> {
    let before = |index: usize| text[..index].chars().next_back().is_none_or(|c| c.is_whitespace() || c == ')');
    text.match_indices("use ").map(|(index, _)| index).find(|index| before(*index))
}

/// The paths of a tree: `a::{b, c::{self, d}}` has `a::b`, `a::c` and `a::c::d`.
fn leaves(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((before, inner)) = tree.strip_suffix('}').and_then(|tree| tree.split_once('{')) else {
        let path = tree.split(" as ").next().unwrap().trim();
        return vec![path.strip_suffix("::self").unwrap_or(path).to_owned()];
    };
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for c in inner.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().unwrap().push(c);
    }
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| leaves(&format!("{before}{}", part.trim()))).collect()
}

/// A path from the crate's root, if it is of this crate.
fn absolute(named: &str, path: &Module, children: &BTreeSet<String>) -> Option<Module> {
    let mut parts: Vec<&str> = named.split("::").filter(|part| !part.is_empty()).collect();
    let mut from: Module = match *parts.first()? {
        "crate" => Vec::new(),
        "self" | "super" => path.clone(),
        child if children.contains(child) && parts.len() > 1 => {
            return Some(path.iter().cloned().chain(parts.iter().map(|part| (*part).to_owned())).collect());
        }
        _ => return None,
    };
    while parts.first() == Some(&"super") {
        from.pop();
        parts.remove(0);
    }
    let skip = usize::from(matches!(parts.first(), Some(&"crate" | &"self")));
    from.extend(parts[skip..].iter().map(|part| (*part).to_owned()));
    Some(from)
}

/// A text without comments, and with empty strings.
fn code(text: &str) -> String {
    let mut code = String::new();
    for line in text.lines() {
        let (mut quoted, mut previous) = (false, ' ');
        let mut chars = line.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '"' if previous != '\\' && previous != '\'' => quoted = !quoted,
                '/' if !quoted && chars.peek() == Some(&'/') => break,
                _ if !quoted => code.push(c),
                _ => {}
            }
            previous = if c == '\\' && previous == '\\' { ' ' } else { c };
        }
        code.push('\n');
    }
    code
}

/// Groups of files that lead to each other. The way to a parent does not count.
fn circles(edges: &Edges) -> Vec<Vec<Module>> {
    let next = |from: &Module| {
        let named = edges.get(from).into_iter().flatten().cloned();
        named.filter(|to| !from.starts_with(to)).collect::<Vec<_>>()
    };
    let reached = |from: &Module| {
        let mut reached: BTreeSet<Module> = BTreeSet::new();
        let mut queue = next(from);
        while let Some(module) = queue.pop() {
            if reached.insert(module.clone()) {
                queue.extend(next(&module));
            }
        }
        reached
    };
    let reach: BTreeMap<&Module, BTreeSet<Module>> = edges.keys().map(|module| (module, reached(module))).collect();
    let mut groups: BTreeSet<Vec<Module>> = BTreeSet::new();
    for (module, to) in &reach {
        let circle: Vec<Module> =
            to.iter().filter(|other| reach.get(other).is_some_and(|back| back.contains(*module))).cloned().collect();
        if circle.len() > 1 {
            groups.insert(circle);
        }
    }
    groups.into_iter().collect()
}
