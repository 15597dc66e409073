//! Values of keys: how durations, sizes and command lines are written in a pipeline file.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use bytesize::ByteSize;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, de};

use super::Text;

/// Reads `90s`, `10m`, `2h 30m`.
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map(Some).map_err(|error| {
        de::Error::custom(format!("`{text}` is not a duration ({error}); write it as `90s`, `10m` or `2h 30m`"))
    })
}

/// Reads `8 GiB`, `500 MB`.
pub(super) fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ByteSize>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse()
        .map(Some)
        .map_err(|_| de::Error::custom(format!("`{text}` is not a size; write it as `500 MB` or `8 GiB`")))
}

/// A command: an array of words, a string that is split into words without a shell, or a table with more.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CommandLine {
    /// The words. With `shell` a single one, the script.
    pub words: Vec<Text>,
    /// Run by `sh -eu -c`.
    pub shell: bool,
    pub env: BTreeMap<String, Text>,
    /// Default: `${self.build}`.
    pub cwd: Option<Text>,
}

/// The words of a command, before it is known whether a shell reads them.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a command: an array of words, or a string that is split into words")]
pub enum Words {
    List(Vec<Text>),
    Line(String),
}

impl CommandLine {
    /// Puts a command together out of the keys that a table with a command has.
    ///
    /// # Errors
    /// A sentence, when there is no word, a quote is not closed, a reference is malformed, or `shell` comes with an array.
    pub fn new(
        run: &Words,
        shell: bool,
        env: BTreeMap<String, Text>,
        cwd: Option<Text>,
    ) -> Result<CommandLine, String> {
        let words = match (run, shell) {
            (Words::List(_), true) => {
                return Err("`shell = true` takes one string, the script, not an array of words".into());
            }
            (Words::List(words), false) => words.clone(),
            (Words::Line(line), true) => vec![Text::parse(line).map_err(|error| error.to_string())?],
            (Words::Line(line), false) => split_words(line)?,
        };
        match words.first() {
            Some(word) if !word.pieces.is_empty() => Ok(CommandLine { words, shell, env, cwd }),
            _ => Err("an empty command".into()),
        }
    }
}

/// Splits as a shell would, without any of its expansions. References may hold spaces and `|`: `${a.out | b.out}`.
fn split_words(line: &str) -> Result<Vec<Text>, String> {
    // A reference is hidden from the splitter behind characters that it leaves alone.
    let mut hidden = String::new();
    let mut references = Vec::new();
    let mut rest = line;
    while let Some(start) = rest.find("${") {
        let Some(length) = rest[start..].find('}') else { break };
        hidden.push_str(&rest[..start]);
        hidden.push_str(&format!("\u{1}{}\u{2}", references.len()));
        references.push(&rest[start..=start + length]);
        rest = &rest[start + length + 1..];
    }
    hidden.push_str(rest);
    let words = shlex::split(&hidden)
        .ok_or_else(|| format!("`{line}` has a quote that is not closed, or ends in a backslash"))?;
    words
        .into_iter()
        .map(|mut word| {
            for (index, reference) in references.iter().enumerate() {
                word = word.replace(&format!("\u{1}{index}\u{2}"), reference);
            }
            Text::parse(&word).map_err(|error| error.to_string())
        })
        .collect()
}

impl<'de> Deserialize<'de> for CommandLine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = CommandForm::deserialize(deserializer)?;
        match form {
            CommandForm::Words(run) => CommandLine::new(&run, false, BTreeMap::new(), None),
            CommandForm::Table(table) => CommandLine::new(&table.run, table.shell, table.env, table.cwd),
        }
        .map_err(de::Error::custom)
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a command: an array of words, a string, or a table with `run`")]
enum CommandForm {
    Words(Words),
    Table(CommandTable),
}

/// A command with settings of its own.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct CommandTable {
    /// The command: an array of words, or a string that is split into words without a shell.
    run: Words,
    /// `run` is a script for `sh -eu -c`.
    #[serde(default)]
    shell: bool,
    /// Environment, on top of the stage's.
    #[serde(default)]
    env: BTreeMap<String, Text>,
    /// Where it runs. Default: `${self.build}`.
    cwd: Option<Text>,
}

impl JsonSchema for CommandLine {
    fn schema_name() -> Cow<'static, str> {
        "CommandLine".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        CommandForm::json_schema(generator)
    }
}

/// For schemas: a value, or a reference to a variable that holds one.
pub struct OrVar<T>(std::marker::PhantomData<T>);

impl<T: JsonSchema> JsonSchema for OrVar<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("{}OrVariable", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = T::json_schema(generator);
        schemars::json_schema!({ "anyOf": [value, { "type": "string", "pattern": r"^\$\{[^}]+\}$" }] })
    }
}
