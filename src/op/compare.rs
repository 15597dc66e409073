//! `compare`: measures builds for a stage, and writes the result as JSON, Markdown and text.

use std::fs;

use anyhow::{Context as _, Result, bail};
use camino::Utf8Path;
use clap::Parser as _;

use crate::compare::cost::Costs;
use crate::compare::limit::Answer;
use crate::compare::options::Options;
use crate::compare::request::{Background, Build, Request, Workload, environment, pairs};
use crate::compare::result::{Comparison, Form, Says, SideKind};
use crate::compare::{self, judgement, rustc_perf};
use crate::event::Fact;
use crate::plan::ops::given::Compare;
use crate::plan::ops::{BadCommandLine, ComparedWorkload, GivenValues, JSON, MARKDOWN, TABLE};
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
            let all = [worse, unknown].concat().join("; ");
            match result.candidate() {
                Some(candidate) => bail!("{} is worse than {}: {all}", candidate.build.name, result.base.name),
                None => bail!("worse than the base: {all}"),
            }
        }
        if !unknown.is_empty() {
            bail!("{}; give it more time: `budget`, `rounds`", unknown.join("; "));
        }
        Ok(facts(&result))
    }

    fn measure(&self, options: Options) -> Result<Comparison> {
        let (form, mut sides) = match (&self.base, &self.candidate) {
            (Some(base), Some(candidate)) => (Form::Candidate, self.two(base, candidate)?),
            _ => (Form::Sides, self.sides()?),
        };
        let there = || sides.iter().filter(|side| side.missing.is_none());
        if let Some(base) = there().next()
            && let Some(other) = there().find(|side| side.kind != base.kind)
        {
            bail!("{} is {} and {} {}", base.name, base.kind.title(), other.name, other.kind.title());
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
            let mut workload = Workload::new(&declared.name, &declared.words, &env, &cwd, &sides)?;
            if let Some(served) = &declared.served {
                workload.background = Some(Background::on_sides(served, &workload, &sides)?);
            }
            workloads.push(workload);
        }
        if let Some(checkout) = &options.rustc_perf {
            workloads.extend(rustc_perf::workloads(&options, checkout, form, &mut sides, &env, &scratch, &mut say)?);
        }
        let mut result = compare::compare(&Request { form, sides, workloads, options, scratch }, &mut say)?;
        // What was measured is worth more than what it cost.
        match self.costs.as_ref().filter(|path| path.exists()).map(|path| Costs::read(path)) {
            Some(Ok(costs)) => result.set_costs(&costs),
            Some(Err(error)) => result.notes.push(format!("what builds cost is not known: {error:#}")),
            None => {}
        }
        Ok(result)
    }

    /// The base, the steps, and the candidate.
    fn two(&self, base: &Utf8Path, candidate: &Utf8Path) -> Result<Vec<Build>> {
        let name = |name: &Option<String>| name.clone().unwrap_or_default();
        let mut sides = vec![build(&name(&self.base_name), base, &self.base_env)?];
        for step in self.step.chunks_exact(2) {
            sides.push(build(&step[1], Utf8Path::new(&step[0]), &[])?);
        }
        sides.push(build(&name(&self.candidate_name), candidate, &self.candidate_env)?);
        for size in self.size.chunks_exact(3) {
            let last = sides.len() - 1;
            sides[0].files.push((size[0].clone(), size[1].as_str().into()));
            sides[last].files.push((size[0].clone(), size[2].as_str().into()));
        }
        Ok(sides)
    }

    /// Any number of sides, whether they are there or not.
    fn sides(&self) -> Result<Vec<Build>> {
        let names: Vec<&String> = self.side.chunks_exact(3).map(|side| &side[0]).collect();
        let mut sides = Vec::new();
        for side in self.side.chunks_exact(3) {
            let (name, path, against) = (&side[0], Utf8Path::new(&side[1]), &side[2]);
            let of = |list: &[String]| -> Option<String> {
                list.chunks_exact(2).find(|pair| pair[0] == *name).map(|pair| pair[1].clone())
            };
            let env = self.side_env.chunks_exact(2).filter(|pair| pair[0] == *name).map(|pair| pair[1].clone());
            let env = pairs(&env.collect::<Vec<String>>()).map_err(wrong)?;
            let (kind, missing) = match of(&self.missing) {
                Some(why) => (SideKind::Program, Some(why)),
                None if !path.exists() => (SideKind::Program, Some(format!("{path} is not there"))),
                None => (Build::kind_of(path).map_err(anyhow::Error::msg)?, None),
            };
            let files = self.side_size.chunks_exact(3).filter(|size| size[0] == *name);
            sides.push(Build {
                against: names.iter().position(|other| *other == against).unwrap_or(0),
                files: files.map(|size| (size[1].clone(), size[2].as_str().into())).collect(),
                description: of(&self.about).filter(|about| !about.is_empty()),
                missing,
                ..Build::new(name, path.to_owned(), kind, env)
            });
        }
        Ok(sides)
    }
}

fn build(name: &str, path: &Utf8Path, env: &[String]) -> Result<Build> {
    let kind = Build::kind_of(path).map_err(anyhow::Error::msg)?;
    Ok(Build::new(name, path.to_owned(), kind, pairs(env).map_err(wrong)?))
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
    let summary = result.candidate().and_then(|candidate| candidate.summary_of(result.headline()));
    let Some(summary) = summary.filter(|summary| summary.is_known()) else { return facts };
    let percent = |name: &'static str, change: f64| Fact::new(name, change * 100.0, "%");
    facts.extend([percent("mean-change", summary.mean), percent("best-change", summary.best.unwrap_or(0.0))]);
    facts
}
