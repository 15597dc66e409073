//! Keys for a program that runs in the background while a workload drives it, in kinds that have workloads.
//!
//! Unaware of what is gathered or measured of it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Context, PlanError};
use crate::pipeline::{CommandLine, Words, value};
use crate::plan::ops::{PlannedValues, Served};
use crate::plan::{Arg, Part};

/// A program that runs in the background while the workload's command drives it: a server. It is started before the command, and
/// ended after it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Background {
    /// What starts it, and goes on running: an array of words, or a string that is split into words without a shell. `{program}`
    /// stands for what it stands for in the workload's command. Environment and working directory are those of the workload.
    pub run: Words,
    /// `run` is a script for `sh -eu -c`. It ends in `exec …`, so that the shell does not stand between.
    #[serde(default)]
    pub shell: bool,
    /// A command that succeeds when the program is ready. It is repeated until then, and may take 10 seconds each time.
    pub ready: CommandLine,
    /// A command that ends the program. Default: the program gets SIGTERM.
    pub stop: Option<CommandLine>,
    /// How long the program may take until it is ready, and to end. Not in the fingerprint. Default: `1m`.
    #[serde(default, deserialize_with = "value::duration")]
    #[schemars(with = "Option<String>")]
    pub timeout: Option<Duration>,
}

const TIMEOUT: Duration = Duration::from_secs(60);

impl Background {
    /// Why a workload with one is no command that another program can run.
    pub const NOT_NAMED: &str =
        "it drives a program in the background that is not called `{program}`, so no other build can take its place";

    /// What starts it.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the command.
    pub fn line(&self) -> Result<CommandLine, String> {
        CommandLine::new(&self.run, self.shell, std::collections::BTreeMap::new(), None)
    }

    /// Its commands, as operations get them.
    pub fn plan(&self, key: &str, cx: &mut Context) -> Result<Served<PlannedValues>, PlanError> {
        let line = self.line().map_err(|message| cx.invalid(key, message))?;
        let server = cx.command_line(&line)?.argv;
        let ready = words(&self.ready, cx)?;
        let stop = self.stop.as_ref().map(|stop| words(stop, cx)).transpose()?.unwrap_or_default();
        let patience = self.timeout.unwrap_or(TIMEOUT).as_secs_f64().to_string();
        Ok(Served { server, ready, stop, patience: Arg::part(Part::Limit(patience)) })
    }
}

/// A command in the environment of others: with what it has of its own in front of it.
fn words(line: &CommandLine, cx: &mut Context) -> Result<Vec<Arg>, PlanError> {
    let mut words: Vec<Arg> = Vec::new();
    if line.cwd.is_some() || !line.env.is_empty() {
        words.push("env".into());
    }
    if let Some(cwd) = &line.cwd {
        words.extend(["-C".into(), cx.arg(cwd)?]);
    }
    for (name, value) in &line.env {
        words.push(Arg::from(format!("{name}=")).with(cx.arg(value)?));
    }
    words.extend(cx.command_line(line)?.argv);
    Ok(words)
}
