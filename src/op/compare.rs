//! `op compare`: measures two builds for a stage, and writes the result as JSON, Markdown and text.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::compare::limit::Answer;
use crate::compare::options::Options;
use crate::compare::request::{Build, Request, Workload};
use crate::compare::result::Comparison;
use crate::compare::result::{JSON, MARKDOWN, TABLE};
use crate::compare::{self, rustc_perf};
use crate::event::Fact;
use crate::report::comparison;
use crate::report::info::Look;

/// Runs workloads on two builds in turns and says what differs.
#[derive(Debug, clap::Args)]
pub struct Compare {
    /// What is compared with: a program, or a directory with `bin/rustc`.
    #[arg(long)]
    pub base: Utf8PathBuf,
    /// How it is called.
    #[arg(long)]
    pub base_name: String,
    /// Its own environment, as `NAME=VALUE`. Can be repeated.
    #[arg(long, value_parser = pair)]
    pub base_env: Vec<(String, String)>,
    /// What is compared.
    #[arg(long)]
    pub candidate: Utf8PathBuf,
    /// How it is called.
    #[arg(long)]
    pub candidate_name: String,
    /// Its own environment, as `NAME=VALUE`. Can be repeated.
    #[arg(long, value_parser = pair)]
    pub candidate_env: Vec<(String, String)>,
    /// Files whose sizes are compared: three values, a name, the base's file and the candidate's. Can be repeated.
    #[arg(long, num_args = 3, value_names = ["NAME", "BASE", "CANDIDATE"])]
    pub size: Vec<String>,
    /// Where the result goes.
    #[arg(long)]
    pub out: Utf8PathBuf,
    /// A directory for what is printed and counted.
    #[arg(long)]
    pub scratch: Utf8PathBuf,
    #[command(flatten)]
    pub options: Options,
    /// Workloads, each as `workload NAME [env NAME=VALUE]… [cwd DIR | own-cwd DIR] run COUNT WORD…`.
    #[arg(last = true)]
    pub workloads: Vec<String>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.into(), value.into())),
        _ => Err(format!("`{text}` is not NAME=VALUE")),
    }
}

impl Compare {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let result = self.measure()?;
        let json = serde_json::to_string_pretty(&result).context("cannot write the result as JSON")?;
        let table = comparison::table(&result, Look::default());
        for (name, text) in [(JSON, json + "\n"), (MARKDOWN, comparison::markdown(&result)), (TABLE, table)] {
            let path = self.out.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {path}"))?;
        }
        let Answer { worse, unknown } = self.options.answer(&result);
        if !worse.is_empty() || !unknown.is_empty() {
            // The outputs of a stage that fails are nobody's: its log has what was measured.
            eprintln!("\n{}", comparison::table(&result, Look::default()));
        }
        if !worse.is_empty() {
            bail!("{} is worse than {}: {}", self.candidate_name, self.base_name, [worse, unknown].concat().join("; "));
        }
        if !unknown.is_empty() {
            bail!("{}; give it more time: `budget`, `rounds`", unknown.join("; "));
        }
        Ok(facts(&result))
    }

    fn measure(&self) -> Result<Comparison> {
        let base = build(&self.base_name, &self.base, &self.base_env)?;
        let candidate = build(&self.candidate_name, &self.candidate, &self.candidate_env)?;
        if base.kind != candidate.kind {
            bail!("{} is {} and {} {}", base.name, base.kind.title(), candidate.name, candidate.kind.title());
        }
        let scratch = self.scratch.join("measuring");
        fs::create_dir_all(&scratch).with_context(|| format!("cannot make {scratch}"))?;
        let env = environment();
        let mut say = |line: &str| eprintln!("{line}");
        let mut workloads = Vec::new();
        for declared in declared(&self.workloads)? {
            let cwd = match declared.cwd {
                Some(cwd) => cwd,
                None => self.scratch.join(format!("workload-{}", workloads.len())),
            };
            if declared.own {
                fs::create_dir_all(&cwd).with_context(|| format!("cannot make {cwd}"))?;
            } else if !cwd.is_dir() {
                bail!("the working directory {cwd} of workload `{}` does not exist, or is no directory", declared.name);
            }
            let mut env = env.clone();
            env.extend(declared.env);
            workloads.push(Workload::new(&declared.name, &declared.words, &env, &cwd, &base, &candidate));
        }
        if let Some(selection) = self.options.selection(Utf8Path::new("/")) {
            workloads.extend(rustc_perf::workloads(&selection, &base, &candidate, &env, &scratch, &mut say)?);
        }
        let sizes =
            self.size.chunks_exact(3).map(|size| (size[0].clone(), size[1].as_str().into(), size[2].as_str().into()));
        let sizes = sizes.collect();
        let settings = self.options.settings(&scratch, Utf8Path::new("/proc/self/exe"));
        compare::compare(&Request { base, candidate, workloads, sizes, settings }, &mut say)
    }
}

/// This process's, which is the base environment of stages.
fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

fn build(name: &str, path: &Utf8Path, env: &[(String, String)]) -> Result<Build> {
    let kind = Build::kind_of(path).map_err(anyhow::Error::msg)?;
    Ok(Build { name: name.into(), path: path.to_owned(), kind, env: env.iter().cloned().collect() })
}

/// A workload of the command line.
#[derive(Debug, Default, PartialEq)]
struct Declared {
    name: String,
    env: BTreeMap<String, String>,
    cwd: Option<Utf8PathBuf>,
    /// It is a directory of the stage's own, which is made.
    own: bool,
    words: Vec<String>,
}

fn declared(words: &[String]) -> Result<Vec<Declared>> {
    let mut all: Vec<Declared> = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let Some(value) = words.next() else { bail!("`{word}` has no value") };
        match (word.as_str(), all.last_mut()) {
            ("workload", _) => all.push(Declared { name: value.clone(), own: true, ..Declared::default() }),
            ("env", Some(last)) => last.env.extend([pair(value).map_err(anyhow::Error::msg)?]),
            (word @ ("cwd" | "own-cwd"), Some(last)) => {
                last.cwd = Some(value.into());
                last.own = word == "own-cwd";
            }
            ("run", Some(last)) => {
                let count: usize = value.parse().with_context(|| format!("`{value}` is no number of words"))?;
                last.words = words.by_ref().take(count).cloned().collect();
                if last.words.len() != count || count == 0 {
                    bail!("workload `{}` has {} of {count} words", last.name, last.words.len());
                }
            }
            _ => bail!("`{word}` is none of `workload`, `env`, `cwd`, `own-cwd`, `run`"),
        }
    }
    match all.iter().find(|declared| declared.words.is_empty()) {
        Some(declared) => bail!("workload `{}` has no command", declared.name),
        None => Ok(all),
    }
}

/// The changes that judgements go by, in percent; 0 where nothing is better, none where nothing is known.
fn facts(result: &Comparison) -> Vec<Fact> {
    let Some(summary) = result.summary_of(result.headline()).filter(|summary| summary.is_known()) else {
        return Vec::new();
    };
    let percent = |name: &'static str, change: f64| Fact::new(name, change * 100.0, "%");
    vec![percent("mean-change", summary.mean), percent("best-change", summary.best.unwrap_or(0.0))]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(Into::into).collect()
    }

    #[test]
    fn workloads_on_the_command_line() {
        let all = declared(&words("workload a env X=1 env Y= cwd /w run 2 {program} run workload b run 1 x")).unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].words, ["{program}", "run"]);
        assert_eq!(all[0].env, BTreeMap::from([("X".into(), "1".into()), ("Y".into(), String::new())]));
        assert_eq!(all[0].cwd.as_deref(), Some(Utf8Path::new("/w")));
        assert!(!all[0].own, "a directory of somebody else's is not made");
        assert_eq!(all[1], Declared { name: "b".into(), words: words("x"), own: true, ..Declared::default() });
        let own = declared(&words("workload a own-cwd /w run 1 x")).unwrap();
        assert_eq!((own[0].cwd.as_deref(), own[0].own), (Some(Utf8Path::new("/w")), true));
        for wrong in
            ["workload", "env X=1", "workload a", "workload a run 3 x y", "workload a run 0", "workload a at x"]
        {
            assert!(declared(&words(wrong)).is_err(), "{wrong}");
        }
    }
}
