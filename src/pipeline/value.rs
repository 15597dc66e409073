//! Values of keys: how durations, sizes and command lines are written in a pipeline file.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use bytesize::ByteSize;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, de};

use super::Text;

/// What a switch is by default.
pub fn yes() -> bool {
    true
}

/// Reads `90s`, `10m`, `2h 30m`.
pub fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = plain(deserializer)?;
    humantime::parse_duration(&text).map(Some).map_err(|error| {
        de::Error::custom(format!("`{text}` is not a duration ({error}); write it as `90s`, `10m` or `2h 30m`"))
    })
}

/// Reads `8 GiB`, `500 MB`.
pub fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ByteSize>, D::Error> {
    let text = plain(deserializer)?;
    text.parse()
        .map(Some)
        .map_err(|_| de::Error::custom(format!("`{text}` is not a size; write it as `500 MB` or `8 GiB`")))
}

/// Reads `1%`, as percent.
pub fn percent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    percent_of(Text::deserialize(deserializer)?).map(Some).map_err(de::Error::custom)
}

/// The percent that a text says.
pub(super) fn percent_of(text: Text) -> Result<f64, String> {
    let text = literal::<de::value::Error>(text).map_err(|error| error.to_string())?;
    let number = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    let share = number.filter(|number| (0.0..=100.0).contains(number));
    share.ok_or_else(|| format!("`{text}` is not a share; write it as `1%` or `0.5%`, from 0% to 100%"))
}

/// Reads a string that must be known when the pipeline is loaded: no path, secret or output in it.
pub fn plain<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    literal(Text::deserialize(deserializer)?)
}

/// [`plain`], for a key that may be missing.
pub fn plain_option<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    plain(deserializer).map(Some)
}

/// [`plain`], for an array.
pub fn plain_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    // So that an error is that of an element.
    struct Plain(String);
    impl<'de> Deserialize<'de> for Plain {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Plain, D::Error> {
            plain(deserializer).map(Plain)
        }
    }
    Ok(Vec::<Plain>::deserialize(deserializer)?.into_iter().map(|element| element.0).collect())
}

fn literal<E: de::Error>(text: Text) -> Result<String, E> {
    match text.as_literal() {
        Some(literal) => Ok(literal.into_owned()),
        None => Err(E::custom(format!(
            "`{text}` has no value yet when the pipeline is read; only variables that are neither paths nor secrets can \
             stand here"
        ))),
    }
}

/// A command: an array of words, a string that is split into words without a shell, or a table with more.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(try_from = "Form")]
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
            (Words::Line(line), false) => split_line(line)?
                .iter()
                .map(|word| Text::parse(word).map_err(|error| error.to_string()))
                .collect::<Result<_, _>>()?,
        };
        match words.first() {
            Some(word) if !word.pieces.is_empty() => Ok(CommandLine { words, shell, env, cwd }),
            _ => Err("an empty command".into()),
        }
    }
}

/// Splits as a shell would, without any of its expansions. References may hold spaces and `|`: `${a.out | b.out}`; they
/// stand in the words as they were.
///
/// # Errors
/// A sentence, when a quote is not closed.
pub(super) fn split_line(line: &str) -> Result<Vec<String>, String> {
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
    let restored = words.into_iter().map(|mut word| {
        for (index, reference) in references.iter().enumerate() {
            word = word.replace(&format!("\u{1}{index}\u{2}"), reference);
        }
        word
    });
    Ok(restored.collect())
}

/// The forms of a command.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a command: an array of words, a string, or a table with `run`")]
enum Form {
    Words(Words),
    Table(CommandTable),
}

impl TryFrom<Form> for CommandLine {
    type Error = String;

    fn try_from(form: Form) -> Result<CommandLine, String> {
        match form {
            Form::Words(run) => CommandLine::new(&run, false, BTreeMap::new(), None),
            Form::Table(table) => CommandLine::new(&table.run, table.shell, table.env, table.cwd),
        }
    }
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
        let forms = [generator.subschema_for::<Words>(), generator.subschema_for::<CommandTable>()];
        schemars::json_schema!({ "anyOf": forms })
    }
}
