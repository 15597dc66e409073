//! The keys that every stage takes, whatever its kind.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::Deserialize;

use super::error::Problem;
use super::kind::{check_env, is_env_name};
use super::tree::{Node, Table};
use super::{CommandLine, Text, text};

/// Keys of every `[[stage]]`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Common {
    /// What the stage is called: in references (`${name.output}`), in `--from name`, in logs.
    #[serde(deserialize_with = "super::value::plain")]
    pub name: String,
    /// What the stage does; decides which further keys it takes.
    #[serde(deserialize_with = "super::value::plain")]
    pub kind: String,
    /// One sentence for `optbuild show` and the report. Not in the fingerprint.
    #[serde(default, deserialize_with = "super::value::plain_option")]
    pub description: Option<String>,
    /// Stages that must be done before this one, besides those it refers to.
    #[serde(default, deserialize_with = "super::value::plain_list")]
    pub needs: Vec<String>,
    /// Switches the stage off when false. Usually `when = "${variable}"`.
    #[serde(default = "yes")]
    pub when: bool,
    /// Switches the stage off when true, whatever `when` says.
    #[serde(default)]
    pub unless: bool,
    /// Files, directories or globs that the stage reads besides what its kind knows of. A change makes it run again.
    #[serde(default)]
    pub inputs: Vec<Text>,
    /// Environment of its commands. In the fingerprint.
    #[serde(default)]
    pub env: BTreeMap<String, Text>,
    /// Variables of the caller's environment that its commands see. In the fingerprint, with their values.
    #[serde(default, deserialize_with = "super::value::plain_list")]
    pub pass_env: Vec<String>,
    /// How long one attempt of one command may run, as `90s`, `10m` or `2h 30m`. Longer is a failure. Not in the fingerprint.
    #[serde(default, deserialize_with = "super::value::duration")]
    #[schemars(with = "Option<String>")]
    pub timeout: Option<Duration>,
    /// How long processes that a command leaves running have to end in good order, after SIGTERM: servers that write when they end. Then
    /// they are killed. Default: 10s, as after Ctrl-C. Not in the fingerprint.
    #[serde(default, deserialize_with = "super::value::duration")]
    #[schemars(with = "Option<String>")]
    pub grace: Option<Duration>,
    /// How often a failed step is tried again. Never after an interrupt or a failed check. Not in the fingerprint.
    #[serde(default)]
    pub retries: u32,
    /// Whether a failure of this stage stops the run. Not in the fingerprint.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// Commands that must succeed on the result before it counts as done. A failing check is a failure of the stage.
    #[serde(default)]
    pub check: Vec<CommandLine>,
    /// The name of a build directory that several stages share and change in turn.
    #[serde(default, deserialize_with = "super::value::plain_option")]
    pub workspace: Option<String>,
    /// In which state of the workspace the stage can start.
    #[serde(default)]
    pub starts_from: StartsFrom,
    /// How many of the run's `-j` slots the stage takes; also `${jobs}`. Default: all. Not in the fingerprint.
    pub jobs: Option<u32>,
    /// How much memory the stage takes, as `8 GiB`: it waits until others leave it that much, and `optbuild doctor` says where there is
    /// less. Not in the fingerprint.
    #[serde(default, deserialize_with = "super::value::size")]
    #[schemars(with = "Option<String>")]
    pub memory: Option<ByteSize>,
    /// Nothing else runs beside the stage. For measurements.
    #[serde(default)]
    pub exclusive: bool,
    /// Templates that the stage is laid on, each on the one before. What the stage says itself lies on all of them.
    // Laid on them when the file is read; here so that the schema has it.
    #[serde(default)]
    #[schemars(with = "Option<super::schema::OneOrMore>")]
    pub like: Vec<String>,
    /// In a pipeline with `extends`: takes the stage of that name out.
    #[serde(default)]
    pub remove: bool,
    /// In a pipeline with `extends`: the stage behind which a stage of a new name stands.
    #[serde(default, deserialize_with = "super::value::plain_option")]
    pub after: Option<String>,
}

/// What a failure of a stage means for the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// No new stage starts, the run fails.
    #[default]
    Stop,
    /// The run goes on without this stage's outputs: a reference's fallback is used, a consumer without one is blocked.
    Continue,
}

/// In which state a workspace must be for a stage to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StartsFrom {
    /// As the stage before it of the same workspace has left it.
    #[default]
    Predecessor,
    /// As the stage before it has left it, or as the stages behind that one have left it since: they go on from its work, and what
    /// they change, this stage changes anew.
    Later,
    /// In any state: the stage brings the workspace into the one it needs.
    Any,
}

fn yes() -> bool {
    true
}

impl Common {
    /// Tells what is wrong with the keys; `at` is where the stage's name stands.
    pub(super) fn check(&self, table: &Table, at: &Range<usize>, problems: &mut Vec<Problem>) {
        let place = |key: &str| table.get(key).map_or(at, |node: &Node| &node.span).clone();
        if let Some(workspace) = &self.workspace
            && let Some(message) = text::name_problem("workspace", workspace)
        {
            problems.push(Problem::at(message, place("workspace")));
        }
        if self.jobs == Some(0) {
            problems.push(Problem::at("a stage takes at least one slot", place("jobs")));
        }
        check_env(&self.env, table.get("env"), at, problems);
        for name in self.pass_env.iter().filter(|name| !is_env_name(name)) {
            let message = format!("`{name}` cannot be the name of a variable of the environment");
            problems.push(Problem::at(message, place("pass-env")));
        }
    }
}
