//! `compare`: measures two builds for a stage, and writes the result as JSON, Markdown and text.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use camino::Utf8Path;
use clap::Parser as _;

use crate::compare::limit::Answer;
use crate::compare::options::Options;
use crate::compare::request::{Background, Build, Invocation, Request, Workload, environment, pairs};
use crate::compare::result::{Comparison, Says};
use crate::compare::{self, judgement, rustc_perf};
use crate::event::Fact;
use crate::plan::ops::given::Compare;
use crate::plan::ops::{BadCommandLine, ComparedWorkload, GivenValues, JSON, MARKDOWN, Served, TABLE};
use crate::report::comparison;
use crate::report::info::Look;
use crate::stdio;

/// Options that the command line has in common with `optbuild compare`.
#[derive(clap::Parser)]
#[command(no_binary_name = true)]
struct Measuring {
    #[command(flatten)]
    options: Options,
}

fn wrong(message: impl ToString) -> BadCommandLine {
    BadCommandLine { operation: "compare".into(), message: message.to_string() }
}

impl Compare {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let options = Measuring::try_parse_from(&self.options).map_err(wrong)?.options;
        let result = self.measure(options.clone())?;
        let json = serde_json::to_string_pretty(&result).context("cannot write the result as JSON")?;
        let table = comparison::table(&result, Look::default());
        for (name, text) in [(JSON, json + "\n"), (MARKDOWN, comparison::markdown(&result)), (TABLE, table)] {
            let path = self.out.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {path}"))?;
        }
        let Answer { worse, unknown } = options.answer(&result);
        if !worse.is_empty() || !unknown.is_empty() {
            // A stage that fails has no outputs. Its log has what was measured.
            stdio::say(&format!("\n{}", comparison::table(&result, Look::default())));
        }
        if !worse.is_empty() {
            bail!("{} is worse than {}: {}", self.candidate_name, self.base_name, [worse, unknown].concat().join("; "));
        }
        if !unknown.is_empty() {
            bail!("{}; give it more time: `budget`, `rounds`", unknown.join("; "));
        }
        Ok(facts(&result))
    }

    fn measure(&self, options: Options) -> Result<Comparison> {
        let base = build(&self.base_name, &self.base, &self.base_env)?;
        let candidate = build(&self.candidate_name, &self.candidate, &self.candidate_env)?;
        if base.kind != candidate.kind {
            bail!("{} is {} and {} {}", base.name, base.kind.title(), candidate.name, candidate.kind.title());
        }
        let steps = self.step.chunks_exact(2).map(|step| build(&step[1], Utf8Path::new(&step[0]), &[]));
        let steps = steps.collect::<Result<Vec<Build>>>()?;
        if let Some(step) = steps.iter().find(|step| step.kind != base.kind) {
            bail!("{} is {} and {} {}", base.name, base.kind.title(), step.name, step.kind.title());
        }
        let scratch = self.scratch.join("measuring");
        fs::create_dir_all(&scratch).with_context(|| format!("cannot make {scratch}"))?;
        let env = environment();
        let mut say = stdio::say;
        let mut workloads = Vec::new();
        for declared in ComparedWorkload::<GivenValues>::read(&self.workloads).map_err(wrong)? {
            let own = || self.scratch.join(format!("workload-{}", workloads.len()));
            let cwd = declared.cwd.unwrap_or_else(own);
            if declared.own_cwd {
                fs::create_dir_all(&cwd).with_context(|| format!("cannot make {cwd}"))?;
            } else if !cwd.is_dir() {
                bail!("the working directory {cwd} of workload `{}` does not exist, or is no directory", declared.name);
            }
            let mut env = env.clone();
            env.extend(pairs(&declared.env).map_err(wrong)?);
            let mut workload = Workload::new(&declared.name, &declared.words, &env, &cwd, &base, &candidate, &steps)?;
            if let Some(served) = &declared.served {
                workload.background = Some(background(served, &workload, &base, &candidate, &steps)?);
            }
            workloads.push(workload);
        }
        if let Some(checkout) = &options.rustc_perf {
            if !steps.is_empty() {
                bail!("rustc-perf measures two toolchains, so there can be no steps between them");
            }
            workloads.extend(rustc_perf::workloads(&options, checkout, &base, &candidate, &env, &scratch, &mut say)?);
        }
        let sizes =
            self.size.chunks_exact(3).map(|size| (size[0].clone(), size[1].as_str().into(), size[2].as_str().into()));
        let sizes = sizes.collect();
        compare::compare(&Request { base, candidate, steps, workloads, sizes, options, scratch }, &mut say)
    }
}

/// The servers of all sides, in the environment of the workload.
fn background(
    served: &Served<GivenValues>,
    of: &Workload,
    base: &Build,
    candidate: &Build,
    steps: &[Build],
) -> Result<Vec<Background>> {
    let on = |words: &[String]| -> Result<Vec<Invocation>> {
        let made = Workload::new(&of.name, words, &of.base.env, &of.base.cwd, base, candidate, steps)?;
        let candidate = Invocation { env: of.candidate.env.clone(), ..made.candidate };
        Ok([made.base, candidate].into_iter().chain(made.steps).collect())
    };
    let (servers, ready) = (on(&served.server)?, on(&served.ready)?);
    let stop = if served.stop.is_empty() { Vec::new() } else { on(&served.stop)? };
    let mut stop = stop.into_iter();
    let patience = Duration::try_from_secs_f64(served.patience).unwrap_or(Duration::MAX);
    let sides = servers.into_iter().zip(ready);
    Ok(sides.map(|(server, ready)| Background { server, ready, stop: stop.next(), patience }).collect())
}

fn build(name: &str, path: &Utf8Path, env: &[String]) -> Result<Build> {
    let kind = Build::kind_of(path).map_err(anyhow::Error::msg)?;
    Ok(Build { name: name.into(), path: path.to_owned(), kind, env: pairs(env).map_err(wrong)? })
}

/// What all of it comes to; and the changes that limits go by, in percent: 0 where nothing is better, none where nothing is known.
fn facts(result: &Comparison) -> Vec<Fact> {
    let judgement = judgement::judged(result);
    let slower = match judgement.says {
        Says::Faster => Some(false),
        Says::Slower => Some(true),
        Says::Undecided => None,
    };
    let mut facts = vec![Fact::verdict(&judgement.sentence, slower)];
    let Some(summary) = result.summary_of(result.headline()).filter(|summary| summary.is_known()) else {
        return facts;
    };
    let percent = |name: &'static str, change: f64| Fact::new(name, change * 100.0, "%");
    facts.extend([percent("mean-change", summary.mean), percent("best-change", summary.best.unwrap_or(0.0))]);
    facts
}
