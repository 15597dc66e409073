//! The configuration file of `x.py`: the user's own with all that it includes, then what the stage says, then what it needs.
//!
//! Files that the user's file includes are read here, by x.py's rules (`TomlConfig::merge` in its sources), and their settings are
//! written like all others. So they are checked like all others, and they are part of what the stage is made from.
//!
//! Every key that matters is written, because defaults differ between a clone and a tarball. `bootstrap.py` reads some keys from the
//! text of the file line by line, before there is anything that could read TOML: each key stands on a line of its own. Which settings a
//! stage needs is in `settings.rs`.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use super::checkout::{Checkout, Takes};
use super::{Context, PlanError};
use crate::plan::{Arg, Command, Part, Step, Symbol};

/// The tables around a setting, and its name.
type Key = (Vec<String>, String);

/// Tables, by their names, and what stands in them.
#[derive(Debug, Default)]
pub(super) struct Config {
    entries: BTreeMap<Key, Entry>,
    /// The first of the user's files that includes others.
    including: Option<Utf8PathBuf>,
}

#[derive(Debug)]
struct Entry {
    /// As TOML.
    value: Arg,
    origin: Origin,
    /// The user's file that says so.
    file: Option<Utf8PathBuf>,
}

/// Names of settings, by the file that they stand in.
type Names<'a> = BTreeMap<&'a Utf8Path, Vec<String>>;

impl Entry {
    fn new(value: Arg, origin: Origin) -> Entry {
        Entry { value, origin, file: None }
    }
}

/// Who made a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The user's own file.
    User,
    /// optbuild, where no one else has said anything.
    Default,
    /// `config` of the stage. It replaces the user's, with a note.
    Stage,
    /// A key of the stage. Whoever says otherwise is refused.
    Needed,
}

/// The setting of `x.py` that a key is, or is a part of: `llvm.build-config.NAME` is a part of `llvm.build-config`. Files include each other
/// setting by setting.
fn setting(key: &Key) -> Key {
    let depth = if key.0.first().is_some_and(|table| table == "target") { 2 } else { 1 };
    match key.0.get(depth) {
        Some(name) => (key.0[..depth].to_vec(), name.clone()),
        None => key.clone(),
    }
}

impl Config {
    /// Begins with the user's own file and those that it includes. What is wrong with them is an error; that one is not there, a gap.
    pub fn begin(file: Option<Utf8PathBuf>, cx: &mut Context) -> Result<Config, PlanError> {
        let mut config = Config::default();
        let Some(file) = file else { return Ok(config) };
        match cx.facts.read(&file) {
            Some(text) => config.read(&file, &text, &mut Vec::new(), cx)?,
            None => cx.gap(
                format!("{file}, which `config-file` names, cannot be read"),
                format!("write it, or name another one ({}), or none", cx.how_to_set("config-file", "FILE")),
            ),
        }
        Ok(config)
    }

    /// Adds what stands in a file, then what it includes, and the last of those first: what is there already stays. `around` are the files
    /// that include it.
    fn read(
        &mut self,
        file: &Utf8Path,
        text: &str,
        around: &mut Vec<Utf8PathBuf>,
        cx: &mut Context,
    ) -> Result<(), PlanError> {
        let mut table: toml::Table =
            text.parse().map_err(|error| cx.invalid("config-file", format!("{file} is not TOML: {error}")))?;
        let include = table.remove("include");
        let mut entries = BTreeMap::new();
        add_table(&mut entries, &mut Vec::new(), table, file);
        let before: BTreeSet<Key> = self.entries.keys().map(setting).collect();
        self.entries.extend(entries.into_iter().filter(|(key, _)| !before.contains(&setting(key))));
        let Some(include) = include else { return Ok(()) };
        self.including.get_or_insert_with(|| file.to_owned());
        let names = include.as_array().map(|names| names.iter().map(toml::Value::as_str).collect::<Option<Vec<_>>>());
        let Some(Some(names)) = names else {
            return Err(cx.invalid("config-file", format!("`include` of {file} is no list of files: {include}")));
        };
        around.push(file.to_owned());
        for name in names.into_iter().rev() {
            // Paths are relative to the file itself, wherever a link to it stands.
            let path = file.parent().unwrap_or(Utf8Path::new("/")).join(name);
            let path = cx.facts.real_path(&path).unwrap_or(path);
            if around.contains(&path) {
                return Err(cx.invalid("config-file", format!("{path} includes itself, by way of {file}")));
            }
            match cx.facts.read(&path) {
                Some(text) => self.read(&path, &text, around, cx)?,
                None => cx.gap(
                    format!("{path}, which {file} includes, cannot be read"),
                    format!("write it, or take it out of `include` in {file}"),
                ),
            }
        }
        around.pop();
        Ok(())
    }

    /// Refuses names in the user's files that `x.py` does not take: it says so when it is called for the first time, which may be after
    /// hours. Where the checkout does not tell, the plan has a note.
    ///
    /// # Errors
    /// All such names.
    pub fn check_names(&self, checkout: &Checkout, cx: &mut Context) -> Result<(), PlanError> {
        let named = self.entries.iter().filter_map(|(key, entry)| Some((entry.file.as_deref()?, key.clone())));
        let include = self.including.as_deref().map(|file| (file, (Vec::new(), "include".to_string())));
        let (mut wrong, mut unknown) = (Names::new(), Names::new());
        for (file, (tables, key)) in named.chain(include) {
            match checkout.takes(&tables, &key) {
                Takes::Yes => {}
                Takes::Unknown => {
                    let name = [tables.as_slice(), &[key]].concat().join(".");
                    unknown.entry(file).or_default().push(format!("`{name}`"));
                }
                Takes::No { name, nearest } => {
                    let meant = nearest.map(|nearest| format!(" (perhaps `{nearest}`)")).unwrap_or_default();
                    wrong.entry(file).or_default().push(format!("`{name}`{meant}"));
                }
            }
        }
        let of_each = |names: &mut Names, words: &dyn Fn(&Utf8Path, String) -> String| -> Vec<String> {
            names.values_mut().for_each(Vec::dedup);
            names.iter().map(|(file, names)| words(file, names.join(", "))).collect()
        };
        if !wrong.is_empty() {
            let path = &checkout.path;
            let words =
                |file: &Utf8Path, names: String| format!("{file} has what x.py of {path} does not take: {names}");
            return Err(cx.invalid("config-file", of_each(&mut wrong, &words).join("; ")));
        }
        if checkout.is_known() {
            let words = |file: &Utf8Path, names: String| {
                format!("the checkout does not tell whether x.py takes {names} of {file}")
            };
            of_each(&mut unknown, &words).into_iter().for_each(|note| cx.note(note));
        }
        Ok(())
    }

    /// What is used where nobody says otherwise. A setting that the checkout does not know is left out.
    pub fn prefer(&mut self, checkout: &Checkout, name: &str, value: Arg) {
        let Ok((name, other)) = checkout.setting(name, &value.symbolic()) else { return };
        let value = other.map_or(value, Arg::from);
        self.entries.entry(split(&name)).or_insert(Entry::new(value, Origin::Default));
    }

    /// What the stage's `config` says.
    pub fn stage(&mut self, checkout: &Checkout, name: &str, value: Arg, cx: &mut Context) -> Result<(), PlanError> {
        let spelled = checkout.setting(name, &value.symbolic());
        let (spelled, other) = spelled.map_err(|message| cx.invalid(&format!("config.{name}"), message))?;
        let value = other.map_or(value, Arg::from);
        let key = split(&spelled);
        if let Some(before) = self.entries.get(&key).filter(|before| before.origin == Origin::User)
            && shown(&before.value) != shown(&value)
        {
            let file = before.file.clone().unwrap_or_default();
            cx.note(format!("`{spelled} = {}` of {file} is overridden: {}", before.value, value));
        }
        self.entries.insert(key, Entry::new(value, Origin::Stage));
        Ok(())
    }

    /// What must be so, because of a `key` of the stage. False: this checkout has no such setting, and does without.
    ///
    /// # Errors
    /// The user's file, or the stage's `config`, says otherwise.
    pub fn need(
        &mut self,
        checkout: &Checkout,
        name: &str,
        value: Arg,
        because: &str,
        cx: &Context,
    ) -> Result<bool, PlanError> {
        let Ok((name, other)) = checkout.setting(name, &value.symbolic()) else { return Ok(false) };
        let value = other.map_or(value, Arg::from);
        let key = split(&name);
        if let Some(before) = self.entries.get(&key).filter(|before| shown(&before.value) != shown(&value)) {
            self.refuse(&name, before, &format!("needs `{name} = {value}` ({because})"), cx)?;
        }
        self.entries.insert(key, Entry::new(value, Origin::Needed));
        Ok(true)
    }

    /// Puts flags for the compilers of LLVM before those that a setting has, whoever said them; where it cannot, the plan has a note.
    pub fn put_before(&mut self, checkout: &Checkout, name: &str, flags: &str, cx: &mut Context) {
        let Ok((name, _)) = checkout.setting(name, flags) else {
            cx.note(format!("this checkout's x.py has no `{name}`, so it does not get `{flags}`"));
            return;
        };
        let empty = Entry::new("\"\"".into(), Origin::Default);
        let entry = self.entries.entry(split(&name)).or_insert(empty);
        if let Some(Part::Literal(text)) = entry.value.parts.first_mut()
            && let Some(quote) = ["\"", "'"].into_iter().find(|quote| text.starts_with(quote))
            && !text.starts_with(&quote.repeat(3))
        {
            let rest = &text[1..];
            let space = if rest == quote { "" } else { " " };
            *text = format!("{quote}{flags}{space}{rest}");
        } else {
            cx.note(format!("`{name}` is a string over several lines, so it does not get `{flags}`"));
        }
    }

    /// A setting that nobody may make, because a `key` of the stage decides on it.
    pub fn forbid(&self, name: &str, because: &str, cx: &Context) -> Result<(), PlanError> {
        let (table, key) = split(name);
        let within = |entry: &&Key| entry.0.starts_with(&table) && (key == "*" || entry.1 == key);
        match self.entries.keys().find(within) {
            None => Ok(()),
            Some(found) => {
                let name = [found.0.join("."), found.1.clone()].join(".");
                self.refuse(&name, &self.entries[found], &format!("decides on that itself ({because})"), cx)
            }
        }
    }

    fn refuse(&self, name: &str, before: &Entry, stage: &str, cx: &Context) -> Result<(), PlanError> {
        let (key, place) = match (before.origin, &before.file) {
            (Origin::User, Some(file)) => {
                ("config-file".to_string(), format!("{file} says `{name} = {}`", before.value))
            }
            (Origin::Stage, _) => (format!("config.{name}"), format!("it is {}", before.value)),
            _ => return Ok(()),
        };
        Err(cx.invalid(&key, format!("{place}, but the stage {stage}; take it out there")))
    }

    /// The value of a setting, in the spelling of the checkout.
    pub fn get(&self, checkout: &Checkout, name: &str) -> Option<String> {
        let (name, _) = checkout.setting(name, "").ok()?;
        self.entries.get(&split(&name)).map(|entry| shown(&entry.value))
    }

    /// `KEY = VALUE` of all settings whose full name the function takes.
    pub fn select(&self, takes: impl Fn(&str) -> bool) -> Vec<Arg> {
        let named = self.entries.iter().map(|((table, key), entry)| ([table.join("."), key.clone()].join("."), entry));
        named
            .filter(|(name, _)| takes(name))
            .map(|(name, entry)| Arg::from(format!("{name} = ")).with(entry.value.clone()))
            .collect()
    }

    fn lines(&self) -> Vec<Arg> {
        let mut lines = Vec::new();
        let mut within: &[String] = &[];
        for ((table, key), entry) in &self.entries {
            if table.as_slice() != within {
                let header: Vec<String> = table.iter().map(|name| bare(name)).collect();
                lines.push(format!("[{}]", header.join(".")).into());
                within = table;
            }
            lines.push(Arg::from(format!("{} = ", bare(key))).with(entry.value.clone()));
        }
        lines
    }

    /// Adds the step that writes the file.
    pub fn write(&self, to: &Arg, cx: &mut Context) {
        let argv = ["printf".into(), "%s\\n".into()].into_iter().chain(self.lines()).collect();
        let command = Command { stdout: Some(to.clone()), cwd: Symbol::Build.into(), ..cx.command(argv) };
        cx.step(Step::command("config", command));
    }
}

/// A table and a key. The names of targets may have dots.
fn split(name: &str) -> (Vec<String>, String) {
    let Some((first, rest)) = name.split_once('.') else { return (Vec::new(), name.into()) };
    match rest.rsplit_once('.') {
        None => (vec![first.into()], rest.into()),
        Some((middle, key)) => (vec![first.into(), middle.into()], key.into()),
    }
}

/// With paths, to compare and to show; places that are not known yet stay names.
fn shown(value: &Arg) -> String {
    value.to_string()
}

fn bare(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if plain && !name.is_empty() { name.into() } else { toml::Value::from(name).to_string() }
}

/// Adds all that stands in a table of the user's file.
fn add_table(entries: &mut BTreeMap<Key, Entry>, path: &mut Vec<String>, table: toml::Table, file: &Utf8Path) {
    for (key, value) in table {
        match value {
            toml::Value::Table(table) => {
                path.push(key);
                add_table(entries, path, table, file);
                path.pop();
            }
            value => {
                let entry = Entry { file: Some(file.to_owned()), ..Entry::new(value.to_string().into(), Origin::User) };
                entries.insert((path.clone(), key), entry);
            }
        }
    }
}

/// A string of TOML.
///
/// # Errors
/// A path with characters that `bootstrap.py`, which reads lines and no TOML, takes for something else.
pub(super) fn string(key: &str, text: Arg, cx: &Context) -> Result<Arg, PlanError> {
    let odd = |path: &Utf8Path| path.as_str().contains(['"', '\\', '\n']);
    let mut quoted = Arg::from("\"");
    for part in text.joined().parts {
        quoted = quoted.with(match part {
            Part::Literal(text) => Arg::from(escaped(&text)),
            Part::Tool { path, .. } | Part::Place { path, .. } if odd(&path) => {
                return Err(cx.invalid(key, format!("x.py cannot read a path with `\"`, `\\` or a line break: {path}")));
            }
            part => Arg::part(part),
        });
    }
    Ok(quoted.with("\"").joined())
}

/// The inside of a string of TOML.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// An array of TOML.
pub(super) fn list(items: Vec<Arg>) -> Arg {
    let mut list = Arg::from("[");
    for (index, item) in items.into_iter().enumerate() {
        list = list.with(if index > 0 { ", " } else { "" }).with(item);
    }
    list.with("]").joined()
}
