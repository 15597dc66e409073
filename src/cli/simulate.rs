//! `optbuild plan --simulate`: what a run from nothing would take, by recorded times, on one machine or several.
//!
//! Times come from the records of stages and from the journals of the runs that made them, or from a file:
//!
//! ```toml
//! slots = 2                                  # of the machine that they were taken on
//! [stages]
//! rustc-pgo = "17m 9s"
//! llvm-pgo = { wall = "61m 24s", cpu = "121m" }
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use camino::Utf8Path;
use serde::{Deserialize, Deserializer};

use super::args::SimulateArgs;
use super::exit::usage;
use super::output::{look, print};
use super::project::Project;
use crate::facts::Memory;
use crate::names::StageName;
use crate::pipeline::nearest;
use crate::report::info::{CourseRow, SimulationInfo, simulation_text};
use crate::report::model::past;
use crate::run::scheduler::Budget;
use crate::run::simulate::{Simulation, Took, Waited, simulate};
use crate::state::record::RecordOutcome;

/// The file of times.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Times {
    slots: usize,
    stages: BTreeMap<StageName, Time>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a duration, as `17m 9s`, or a table with `wall` and `cpu`")]
enum Time {
    Wall(#[serde(deserialize_with = "duration")] Duration),
    Both(Both),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Both {
    #[serde(deserialize_with = "duration")]
    wall: Duration,
    #[serde(deserialize_with = "duration")]
    cpu: Duration,
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text)
        .map_err(|error| serde::de::Error::custom(format!("`{text}` is no duration: {error}")))
}

/// Prints it.
pub fn print_simulation(project: &Project, args: &SimulateArgs) -> Result<u8> {
    let (took, times) = match &args.times {
        Some(file) => (from_file(project, file)?, format!("of {file}")),
        None => (from_records(project)?, "of the last runs here".into()),
    };
    let here = std::thread::available_parallelism().map_or(1, usize::from);
    let slots = args.cores.map_or(here, |cores| cores as usize);
    // Of another machine it is not known; a stage that needs more than this one has would wait for ever.
    let memory = if args.cores.is_some() || args.machines > 1 { None } else { Memory::of(&project.facts) };
    let budget = Budget { slots, memory: memory.map_or(u64::MAX, |memory| memory.available) };
    let machines = args.machines as usize;
    let simulation = simulate(project, machines, budget, &took)?;
    if simulation.unknown.len() == simulation.courses.len() {
        let what = "of no stage it is known how long it takes: run the pipeline once, or name a file with `--times`";
        return Err(usage!("{what}"));
    }
    print(&simulation_text(&info(&simulation, machines, slots, times), look()))?;
    Ok(0)
}

fn info(simulation: &Simulation, machines: usize, slots: usize, times: String) -> SimulationInfo {
    let critical = simulation.critical();
    let rows = simulation.courses.iter().map(|course| CourseRow {
        stage: course.stage.to_string(),
        machine: course.machine + 1,
        start: course.start,
        end: course.end,
        waited: match &course.waited {
            Waited::Not => String::new(),
            Waited::For(stage) => stage.to_string(),
            Waited::Room(stage) => format!("room, which {stage} left"),
        },
        critical: critical.iter().any(|on_path| on_path.stage == course.stage),
    });
    let unknown = simulation.unknown.iter().map(ToString::to_string).collect();
    SimulationInfo { machines, slots, times, rows: rows.collect(), unknown }
}

/// What the file says. A name that no stage has is a slip.
fn from_file(project: &Project, file: &Utf8Path) -> Result<BTreeMap<StageName, Took>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read the times in {file}"))?;
    let times: Times = toml::from_str(&text).map_err(|error| usage!("{file} is no file of times: {error}"))?;
    if times.slots == 0 {
        return Err(usage!("{file}: `slots` is how many processors the times were taken on, 1 at least"));
    }
    let names = || project.pipeline.stages.iter().map(|stage| stage.common.name.as_str());
    if let Some(unknown) = times.stages.keys().find(|name| !names().any(|stage| stage == name.as_str())) {
        let nearest = nearest(unknown.as_str(), names());
        let meant = nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        return Err(usage!("{file}: `{}` has no stage `{unknown}`{meant}", project.pipeline.name));
    }
    let took = times.stages.into_iter().map(|(name, time)| {
        let (wall, cpu) = match time {
            Time::Wall(wall) => (wall, None),
            Time::Both(Both { wall, cpu }) => (wall, Some(cpu.as_secs_f64())),
        };
        (name, Took { wall: wall.as_secs_f64(), cpu, slots: times.slots })
    });
    Ok(took.collect())
}

/// What was recorded of each stage. How busy the processors were is known of the run that finished it.
fn from_records(project: &Project) -> Result<BTreeMap<StageName, Took>> {
    let mut took = BTreeMap::new();
    let mut runs = BTreeMap::new();
    for stage in &project.pipeline.stages {
        let name = &stage.common.name;
        let Some(record) = project.record_of(name)?.filter(|record| record.outcome == RecordOutcome::Done) else {
            continue;
        };
        if !runs.contains_key(&record.run) {
            // A journal that was tidied away says nothing.
            let run = past::read(&project.layout, &record.run).ok().map(|(model, _)| model);
            runs.insert(record.run.clone(), run);
        }
        let run = runs.get(&record.run).and_then(Option::as_ref);
        let seen = run.and_then(|run| {
            let seen = run.stages.iter().find(|seen| seen.name == *name).filter(|seen| seen.duration > 0.0)?;
            Some((seen.cpu() / seen.duration, run.run.jobs))
        });
        let cpu = seen.map(|(busy, _)| busy * record.duration);
        let slots = seen.map_or(1, |(_, slots)| slots);
        took.insert(StageName::from(name), Took { wall: record.duration, cpu, slots });
    }
    Ok(took)
}
