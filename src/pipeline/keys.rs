//! Whether the keys of one stage go together, as far as nothing has to be looked at for that.
//!
//! Knows each kind's rules. Unaware of other stages and of this machine.

use std::collections::BTreeMap;
use std::ops::Range;

use super::error::Problem;
use super::kind::{Bolt, Bootstrap, Cargo, Cmake, Command, Compare, Gather, Kind, Pgo, Verify, bolt};
use super::text::{self, Text};
use super::tree::{Node, Table};
use super::value::Words;
use super::{CommandLine, Common};

/// Checks a stage; `written` has its keys with references, `at` is where its name stands.
pub(super) fn check(
    common: &Common,
    kind: &Kind,
    table: &Table,
    written: &Table,
    at: &Range<usize>,
    problems: &mut Vec<Problem>,
) {
    let mut keys = Keys { table, written, at, name: &common.name, problems };
    keys.common(common);
    match kind {
        Kind::Cmake(cmake) => keys.cmake(cmake),
        Kind::Cargo(cargo) => keys.cargo(cargo),
        Kind::Bootstrap(bootstrap) => keys.bootstrap(bootstrap),
        Kind::Gather(gather) => keys.gather(gather),
        Kind::RustcPerf(_) => {}
        Kind::Bolt(bolt) => keys.bolt(bolt),
        Kind::Command(command) => keys.command(command),
        Kind::Verify(verify) => keys.verify(verify),
        Kind::Compare(compare) => keys.compare(compare),
    }
}

struct Keys<'a> {
    table: &'a Table,
    written: &'a Table,
    at: &'a Range<usize>,
    name: &'a str,
    problems: &'a mut Vec<Problem>,
}

/// A workload or test: its name, what it runs, whether for a shell, its environment.
type Named<'a> = (&'a str, Option<&'a Words>, bool, &'a BTreeMap<String, Text>);

impl Keys<'_> {
    /// Where the value of a key stands, else the stage.
    fn place(&self, key: &str) -> Range<usize> {
        self.table.get(key).map_or_else(|| self.at.clone(), |node| node.span.clone())
    }

    fn wrong(&mut self, key: &str, message: impl Into<String>, help: &str) {
        let problem = Problem::at(message, self.place(key));
        self.problems.push(if help.is_empty() { problem } else { problem.help(help) });
    }

    fn common(&mut self, common: &Common) {
        if let Some(workspace) = &common.workspace
            && let Some(message) = text::name_problem("workspace", workspace)
        {
            self.wrong("workspace", message, "");
        }
        if common.jobs == Some(0) {
            self.wrong("jobs", "a stage takes at least one slot", "");
        }
        self.env(&common.env, self.table.get("env"));
        for name in &common.pass_env {
            if !is_env_name(name) {
                self.wrong("pass-env", format!("`{name}` cannot be the name of a variable of the environment"), "");
            }
        }
    }

    fn env(&mut self, env: &BTreeMap<String, Text>, node: Option<&Node>) {
        for name in env.keys().filter(|name| !is_env_name(name)) {
            let entry = node.and_then(|node| node.as_table()?.entry(name));
            let at = entry.map_or_else(|| self.at.clone(), |entry| entry.at.clone());
            let message = format!("`{name}` cannot be the name of a variable of the environment");
            self.problems.push(Problem::at(message, at));
        }
    }

    fn outputs(&mut self, outputs: &BTreeMap<String, Text>) {
        for name in outputs.keys() {
            let entry = self.table.get("outputs").and_then(|node| node.as_table()?.entry(name));
            let at = entry.map_or_else(|| self.at.clone(), |entry| entry.at.clone());
            let message = match name.as_str() {
                "out" => {
                    Some("the output `out`, all of `${self.out}`, is always there; name this one otherwise".into())
                }
                _ if text::is_name(name) => None,
                _ => Some(format!("`{name}` cannot be the name of an output: letters, digits, `-` and `_`")),
            };
            self.problems.extend(message.map(|message| Problem::at(message, at)));
        }
    }

    fn cmake(&mut self, cmake: &Cmake) {
        self.outputs(&cmake.outputs);
        if cmake.cs_pgo.is_some() && !matches!(cmake.pgo, Some(Pgo::Use(_))) {
            let message = "`cs-pgo` builds on a first-level profile, and there is none";
            self.wrong("cs-pgo", message, "add `pgo = { use = \"${gather.profile}\" }`");
        }
    }

    fn cargo(&mut self, cargo: &Cargo) {
        let written = ["manifest", "crate"].into_iter().any(|key| self.written.get(key).is_some());
        match (&cargo.manifest, &cargo.krate) {
            (None, None) if written => {}
            (None, None) => {
                let message = format!("the cargo stage `{}` has neither `manifest` nor `crate`", self.name);
                self.wrong(
                    "manifest",
                    message,
                    "say what is built: a `Cargo.toml`, or a `name@version` of the registry",
                );
            }
            (Some(_), Some(_)) => self.wrong("crate", "`manifest` and `crate` cannot both say what is built", ""),
            (None, Some(krate)) if !is_pinned(krate) => {
                let message = format!("`{krate}` is not `name@version`");
                self.wrong("crate", message, "the version is a full one, as in `ripgrep@14.1.1`");
            }
            _ => {}
        }
        if cargo.bins.is_empty() {
            self.wrong("bins", "`bins` names no program", "");
        }
        let bins: Vec<_> = cargo.bins.iter().map(Text::as_literal).collect();
        for (index, bin) in bins.iter().enumerate() {
            match bin {
                None => self.wrong("bins", "the name of a program must be known when the pipeline is read", ""),
                Some(name) if name == "out" => self.wrong("bins", "`out` is the output with all programs", ""),
                Some(name) if bins[..index].contains(bin) => self.wrong("bins", format!("`{name}` is named twice"), ""),
                Some(_) => {}
            }
        }
        if cargo.codegen_units == Some(0) {
            self.wrong("codegen-units", "there is at least one codegen unit", "");
        }
    }

    fn bolt(&mut self, bolt: &Bolt) {
        let instruments = bolt.action == bolt::Action::Instrument;
        match (&bolt.profile, instruments) {
            (None, false) => {
                let message = format!("the bolt stage `{}` optimises without a `profile`", self.name);
                self.wrong("action", message, "add `profile = \"${gather.profile}\"`");
            }
            (Some(_), true) => self.wrong("profile", "instrumenting takes no profile", "take `profile` out"),
            _ => {}
        }
        if instruments && bolt.strip_like.is_some() {
            self.wrong("strip-like", "an instrumented file needs its symbols", "take `strip-like` out");
        }
        match bolt.slots {
            Some(0) => self.wrong("slots", "there is at least one instrumented copy", ""),
            Some(_) if !instruments => self.wrong("slots", "`slots` is for `action = \"instrument\"`", ""),
            _ => {}
        }
        if bolt.options.is_some() && !bolt.extra_options.is_empty() {
            self.wrong(
                "extra-options",
                "`options` and `extra-options` exclude each other",
                "put all of them in `options`",
            );
        }
    }

    fn bootstrap(&mut self, bootstrap: &Bootstrap) {
        let stage_keys =
            [("keep-stage", bootstrap.keep_stage.as_slice()), ("stage", std::slice::from_ref(&bootstrap.stage))];
        for (key, stages) in stage_keys {
            if stages.iter().any(|stage| *stage > 3) {
                self.wrong(key, "the stages of the compiler are 0 to 3", "");
            }
        }
    }

    fn gather(&mut self, gather: &Gather) {
        let workloads = gather.workloads.iter();
        let named = workloads.map(|w| (w.name.as_str(), w.run.as_ref(), w.shell, &w.env)).collect();
        self.commands("workloads", "workload", named);
        if let Some(role) = gather.role.as_ref().filter(|role| !text::is_name(role)) {
            let message = format!("`{role}` cannot be a role: letters, digits, `-` and `_`, a letter or digit first");
            self.wrong("role", message, "it stands in file names");
        }
        for (index, workload) in gather.workloads.iter().enumerate() {
            let node = self.table.get("workloads").and_then(Node::as_array).and_then(|nodes| nodes.get(index));
            let at = |key| node.and_then(|n| n.get(key)).or(node).map_or_else(|| self.at.clone(), |n| n.span.clone());
            let name = &workload.name;
            self.problems.extend(match (&workload.run, &workload.rustc_perf) {
                (None, None) => Some(
                    Problem::at(format!("the workload `{name}` has neither `run` nor `rustc-perf`"), at("name"))
                        .help("say what is run: a command, or crates of rustc-perf"),
                ),
                (Some(_), Some(_)) => {
                    Some(Problem::at("`run` and `rustc-perf` cannot both say what is run", at("rustc-perf")))
                }
                (None, Some(training))
                    if training.list.is_none() && training.crates.is_empty() && training.libcore.is_empty() =>
                {
                    Some(
                        Problem::at(format!("the workload `{name}` names no crates"), at("rustc-perf"))
                            .help("add `list = \"rustc\"` for the checkout's own list, or `crates = […]`"),
                    )
                }
                // The attempt's directory has its name, and cargo takes the path of a package for a pattern.
                (None, Some(_)) if name.contains(['[', ']', '*', '?']) => Some(
                    Problem::at(format!("`{name}` cannot name a workload with `rustc-perf`"), at("name"))
                        .help("cargo cannot build in a directory of such a name; use letters and `-`, and no `for`"),
                ),
                (None, Some(_)) if workload.shell || workload.cwd.is_some() => Some(Problem::at(
                    "`shell` and `cwd` go with `run`; the collector has a directory of its own",
                    at(if workload.shell { "shell" } else { "cwd" }),
                )),
                _ => None,
            });
        }
    }

    fn verify(&mut self, verify: &Verify) {
        let named = verify.tests.iter().map(|t| (t.name.as_str(), Some(&t.run), t.shell, &t.env)).collect();
        self.commands("tests", "test", named);
    }

    fn compare(&mut self, compare: &Compare) {
        let workloads = compare.workloads.iter();
        let named: Vec<_> = workloads.map(|w| (w.name.as_str(), Some(&w.run), w.shell, &w.env)).collect();
        if compare.rustc_perf.is_none() || !named.is_empty() {
            self.commands("workloads", "workload", named);
        }
        self.env(&compare.base_env, self.table.get("base-env"));
        self.env(&compare.candidate_env, self.table.get("candidate-env"));
        for limit in &compare.fail_above {
            if let Err(message) = limit.parse::<crate::compare::limit::Limit>() {
                self.wrong("fail-above", message, "");
            }
        }
        if compare.rounds == Some(0) {
            self.wrong("rounds", "there is at least one run", "");
        }
    }

    fn command(&mut self, command: &Command) {
        self.outputs(&command.outputs);
        if let Err(message) = CommandLine::new(&command.run, command.shell, BTreeMap::new(), None) {
            self.wrong("run", message, "");
        }
        for name in command.show.iter().filter(|name| !command.outputs.contains_key(*name)) {
            let problem = Problem::at(format!("there is no output `{name}` to show"), self.place("show"));
            self.problems.push(problem.suggest(name, command.outputs.keys().map(String::as_str)));
        }
    }

    /// Workloads or tests.
    fn commands(&mut self, key: &str, what: &str, commands: Vec<Named<'_>>) {
        // What variables have left empty can be looked at; planning it says what is missing.
        let written = self.written.get(key).is_some_and(|node| node.as_array().is_none_or(|items| !items.is_empty()));
        if commands.is_empty() && !written {
            self.wrong(key, format!("`{}` has no {what}", self.name), "there has to be at least one");
        }
        let table = self.table;
        let nodes = table.get(key).and_then(Node::as_array).unwrap_or_default();
        let mut first: BTreeMap<&str, Range<usize>> = BTreeMap::new();
        for (index, (name, run, shell, env)) in commands.into_iter().enumerate() {
            let node = nodes.get(index);
            let at = |key| node.and_then(|n| n.get(key)).map_or_else(|| self.at.clone(), |n| n.span.clone());
            let (name_at, run_at) = (at("name"), at("run"));
            if name.is_empty() || name.len() > 200 || name.contains(char::is_control) {
                let message = format!("the name of a {what} is a line of 1 to 200 characters");
                self.problems.push(Problem::at(message, name_at.clone()));
            }
            if let Some(other) = first.get(name) {
                let problem = Problem::new(format!("there are two {what}s of the name `{name}`"));
                self.problems.push(problem.mark(name_at.clone(), "the second").mark(other.clone(), "the first"));
            }
            first.entry(name).or_insert(name_at);
            if let Some(Err(message)) = run.map(|run| CommandLine::new(run, shell, BTreeMap::new(), None)) {
                self.problems.push(Problem::at(message, run_at));
            }
            self.env(env, node.and_then(|node| node.get("env")));
        }
    }
}

fn is_env_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}

/// `name@version`, the version complete.
fn is_pinned(krate: &Text) -> bool {
    let Some(krate) = krate.as_literal() else { return false };
    let Some((name, version)) = krate.split_once('@') else { return false };
    text::is_name(name) && semver::Version::parse(version).is_ok()
}
