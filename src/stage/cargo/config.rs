//! cargo's configuration: which files count in a directory, and how a value is given on the command line.

use camino::{Utf8Path, Utf8PathBuf};
use toml::{Table, Value};

use crate::facts::Facts;
use crate::plan::{Arg, Part};

/// A configuration file.
pub(super) struct File {
    pub path: Utf8PathBuf,
    pub table: Table,
}

/// The files that cargo reads in a directory, the nearest first, with those that they include; without a directory
/// (`cargo install`) only that of CARGO_HOME. What is not TOML is left to cargo to complain of.
pub(super) fn files(facts: &Facts, dir: Option<&Utf8Path>) -> Vec<File> {
    let home = facts.env("CARGO_HOME").filter(|home| !home.is_empty()).map(Utf8PathBuf::from);
    let home = home.or_else(|| Some(Utf8PathBuf::from(facts.env("HOME")?).join(".cargo")));
    let upward = dir.into_iter().flat_map(Utf8Path::ancestors).map(|dir| dir.join(".cargo"));
    let mut dirs: Vec<Utf8PathBuf> = upward.collect();
    dirs.extend(home.filter(|home| !dirs.contains(home)));
    let mut files = Vec::new();
    for dir in dirs {
        // The old name is the one that counts where both exist.
        let path = [dir.join("config"), dir.join("config.toml")].into_iter().find(|path| facts.exists(path));
        if let Some(path) = path {
            read(facts, path, &mut files);
        }
    }
    files
}

fn read(facts: &Facts, path: Utf8PathBuf, files: &mut Vec<File>) {
    if files.iter().any(|file| file.path == path) {
        return;
    }
    let Some(table) = facts.read(&path).and_then(|text| text.parse::<Table>().ok()) else { return };
    let includes: Vec<String> = match table.get("include") {
        Some(Value::Array(list)) => list
            .iter()
            .filter_map(|entry| entry.as_str().or_else(|| entry.get("path")?.as_str()).map(Into::into))
            .collect(),
        Some(Value::String(path)) => vec![path.clone()],
        _ => Vec::new(),
    };
    let dir = path.parent().map(Utf8Path::to_owned).unwrap_or_default();
    files.push(File { path, table });
    for include in includes {
        read(facts, dir.join(include), files);
    }
}

/// Adds `--config SETTING`.
pub(super) fn push(argv: &mut Vec<Arg>, setting: impl Into<Arg>) {
    argv.extend(["--config".into(), setting.into()]);
}

/// `setting` and a value as a string of TOML. Where the value is not known yet, as a literal one, of the form in which a `'` can stand.
pub(super) fn string(setting: impl Into<Arg>, value: &Arg) -> Arg {
    let literal = value.parts.iter().all(|part| matches!(part, Part::Literal(_)));
    if literal {
        return setting.into().with(Value::String(value.symbolic()).to_string());
    }
    setting.into().with("'''").with(value.clone()).with("'''")
}

/// A key of a table, quoted where it must be: a target triple can have a dot.
pub(super) fn key(name: &Arg) -> Arg {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    match name.parts.as_slice() {
        [Part::Literal(text)] if !text.is_empty() && text.chars().all(bare) => name.clone(),
        _ => Arg::from("'").with(name.clone()).with("'"),
    }
}
