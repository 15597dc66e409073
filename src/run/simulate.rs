//! What a run from nothing would take on one machine or several, by the rules of the scheduler and a clock that is only counted.
//!
//! A stage of a workspace runs where the first one of it ran: its build directory is there. Any other stage runs where what it depends on
//! ended last, or else on the first machine that has room. What machines hand to each other takes no time here. Unaware of where times come
//! from.

use std::collections::BTreeMap;

use super::project::Project;
use super::scheduler::{Budget, Share};
use crate::names::StageName;
use crate::plan::PlanError;

/// How long a stage took, and on what.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Took {
    /// Seconds.
    pub wall: f64,
    /// Seconds of user and system time, where they are known.
    pub cpu: Option<f64>,
    /// The slots that it had.
    pub slots: usize,
}

impl Took {
    /// Seconds in so many slots. By Amdahl's law: a part of the work is done by one processor after the other, and how large it is follows
    /// from how many were busy in the mean. Where that is not known, it is the same time in any number of slots.
    pub fn on(&self, slots: usize) -> f64 {
        let (had, has) = (self.slots.max(1) as f64, slots.max(1) as f64);
        let Some(cpu) = self.cpu.filter(|_| self.slots > 1) else { return self.wall };
        // wall = alone + shared / had, cpu = alone + shared
        let shared = ((cpu - self.wall) / (1.0 - 1.0 / had)).clamp(0.0, self.wall * had);
        let alone = (self.wall - shared / had).max(0.0);
        alone + shared / has
    }
}

/// Why a stage did not start earlier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waited {
    /// It starts at once.
    Not,
    /// It is made from what that stage makes, or changes its workspace.
    For(StageName),
    /// That stage left it slots, memory or the machine.
    Room(StageName),
}

/// A stage in a simulated run. Times are seconds since its beginning.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    pub stage: StageName,
    /// From 0.
    pub machine: usize,
    pub start: f64,
    pub end: f64,
    pub waited: Waited,
}

/// A simulated run.
#[derive(Debug, Clone, PartialEq)]
pub struct Simulation {
    /// In the order in which they start.
    pub courses: Vec<Course>,
    /// Stages of which it is not known how long they take: here they take no time.
    pub unknown: Vec<StageName>,
}

impl Simulation {
    /// What the end waits for: from the first stage to the last, each of them waits for the one before.
    pub fn critical(&self) -> Vec<&Course> {
        let mut last = self.courses.iter().reduce(|last, course| if course.end > last.end { course } else { last });
        let mut path = Vec::new();
        while let Some(course) = last {
            path.push(course);
            last = match &course.waited {
                Waited::Not => None,
                Waited::For(name) | Waited::Room(name) => self.courses.iter().find(|course| course.stage == *name),
            };
        }
        path.reverse();
        path
    }
}

/// A stage that is not begun.
struct Waiting {
    name: StageName,
    share: Share,
    seconds: f64,
    after: Vec<StageName>,
}

/// Runs the stages of a project that are on, on so many machines with that budget each.
///
/// # Errors
/// A stage cannot be planned.
pub fn simulate(
    project: &Project,
    machines: usize,
    budget: Budget,
    took: &BTreeMap<StageName, Took>,
) -> Result<Simulation, PlanError> {
    let off = project.off();
    let (mut waiting, mut unknown) = (Vec::new(), Vec::new());
    for name in project.graph.order() {
        let Some(stage) = project.pipeline.stage(name).filter(|_| !off.contains(name)) else { continue };
        let share = Share::of(stage, &project.plan(name, &off)?, None, budget);
        let name = StageName::from(name);
        let seconds = took.get(&name).map(|took| took.on(share.slots)).unwrap_or_else(|| {
            unknown.push(name.clone());
            0.0
        });
        let alternatives = stage.dependencies.iter();
        let after = alternatives.filter_map(|names| names.iter().find(|name| !off.contains(*name)));
        let after = after.map(StageName::from).collect();
        waiting.push(Waiting { name, share, seconds, after });
    }
    let mut machines = Machines { budget, running: (0..machines.max(1)).map(|_| BTreeMap::new()).collect() };
    Ok(Simulation { courses: machines.run(waiting), unknown })
}

struct Machines {
    budget: Budget,
    running: Vec<BTreeMap<StageName, Share>>,
}

impl Machines {
    fn run(&mut self, mut waiting: Vec<Waiting>) -> Vec<Course> {
        let (mut courses, mut now): (Vec<Course>, f64) = (Vec::new(), 0.0);
        let mut at_home: BTreeMap<String, usize> = BTreeMap::new();
        loop {
            // In the order of the scheduler; each that starts may be what the next one has no room beside.
            let mut index = 0;
            while index < waiting.len() {
                let stage = &waiting[index];
                let home = stage.share.workspace.as_ref().and_then(|workspace| at_home.get(workspace).copied());
                let Some((machine, waited)) = self.place(stage, home, &courses, now) else {
                    index += 1;
                    continue;
                };
                let Waiting { name, share, seconds, .. } = waiting.remove(index);
                if let Some(workspace) = &share.workspace {
                    at_home.entry(workspace.clone()).or_insert(machine);
                }
                self.running[machine].insert(name.clone(), share);
                courses.push(Course { stage: name, machine, start: now, end: now + seconds, waited });
            }
            let running = |course: &&Course| self.running[course.machine].contains_key(&course.stage);
            let Some(next) = courses.iter().filter(running).map(|course| course.end).reduce(f64::min) else {
                return courses;
            };
            now = next;
            for course in courses.iter().filter(|course| course.end <= now) {
                self.running[course.machine].remove(&course.stage);
            }
        }
    }

    /// Where a stage can start now, and what it has waited for. None if it has to wait.
    fn place(&self, stage: &Waiting, home: Option<usize>, courses: &[Course], now: f64) -> Option<(usize, Waited)> {
        let ended = |name: &StageName| courses.iter().find(|course| course.stage == *name && course.end <= now);
        // One that takes no time has ended only when it is taken from its machine.
        let ended = |name: &StageName| ended(name).filter(|course| !self.running[course.machine].contains_key(name));
        let before = stage.after.iter().map(ended).collect::<Option<Vec<&Course>>>()?;
        let last = before.into_iter().reduce(|last, course| if course.end > last.end { course } else { last });
        let others = 0..self.running.len();
        let machines: Vec<usize> = match home {
            Some(home) => vec![home],
            None => last.map(|course| course.machine).into_iter().chain(others).collect(),
        };
        let fits = |machine: &usize| stage.share.fits(&stage.name, &self.running[*machine], self.budget);
        let machine = machines.into_iter().find(fits)?;
        let waited = match last {
            Some(last) if last.end >= now => Waited::For(last.stage.clone()),
            _ if now <= 0.0 => Waited::Not,
            _ => {
                let made_room = courses.iter().rev().find(|course| course.machine == machine && course.end == now);
                made_room.map_or(Waited::Not, |course| Waited::Room(course.stage.clone()))
            }
        };
        Some((machine, waited))
    }
}
