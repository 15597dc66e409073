//! What all commands of a run used as time went by, in steps of equal length; and lanes, in which commands do not cover each other.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// So many steps at most: what is drawn is not wider.
const STEPS: f64 = 240.0;
/// Nothing shorter than this is told apart, in seconds.
const SHORTEST: f64 = 0.25;

/// CPU and memory over time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Timeline {
    /// How long each of the following stands for.
    pub step: f64,
    /// How many cores were busy, on average. Its sum times `step` is the CPU time of all commands.
    pub cores: Vec<f64>,
    /// The most memory that all commands had together: the sum of resident sets where it was looked at, the largest process of
    /// commands that were too short for that.
    pub memory: Vec<u64>,
}

/// What is known of the use of one command.
#[derive(Debug, Clone, Default)]
pub struct Course {
    pub start: f64,
    pub end: f64,
    /// When it was looked at: moment, CPU seconds up to it, memory.
    pub looks: Vec<(f64, f64, u64)>,
    /// In the end, if it ended.
    pub cpu: Option<f64>,
    pub peak_memory: u64,
}

/// Puts together what commands used in a run of so many seconds.
pub fn timeline(wall: f64, courses: &[Course]) -> Timeline {
    if wall <= 0.0 || !wall.is_finite() {
        return Timeline::default();
    }
    let step = (wall / STEPS).max(SHORTEST);
    let count = (wall / step).ceil() as usize;
    let mut cpu = vec![0.0; count];
    let mut memory = vec![0_u64; count];
    for course in courses {
        let mut known = vec![(course.start, 0.0)];
        known.extend(course.looks.iter().map(|(at, cpu, _)| (*at, *cpu)));
        known.extend(course.cpu.map(|cpu| (course.end, cpu)));
        for pair in known.windows(2) {
            let [(from, before), (to, after)] = pair else { continue };
            spread(&mut cpu, step, *from, *to, after - before);
        }
        let mut largest: HashMap<usize, u64> = HashMap::new();
        let mut put = |from: f64, to: f64, bytes: u64| {
            for index in steps(count, step, from, to) {
                let most = largest.entry(index).or_default();
                *most = bytes.max(*most);
            }
        };
        if course.looks.is_empty() {
            put(course.start, course.end, course.peak_memory);
        }
        let mut from = course.start;
        for (at, _, bytes) in &course.looks {
            put(from, *at, *bytes);
            from = *at;
        }
        if let Some((at, _, bytes)) = course.looks.last() {
            put(*at, course.end, *bytes);
        }
        largest.into_iter().for_each(|(index, bytes)| memory[index] += bytes);
    }
    Timeline { step, cores: cpu.iter().map(|seconds| seconds / step).collect(), memory }
}

/// The steps that lie between two moments, in part or as a whole.
fn steps(count: usize, step: f64, from: f64, to: f64) -> std::ops::Range<usize> {
    let first = ((from / step).max(0.0) as usize).min(count.saturating_sub(1));
    let last = (to / step).ceil().max(0.0) as usize;
    first..last.clamp(first + 1, count.max(first + 1))
}

/// Adds an amount, evenly between two moments.
fn spread(sums: &mut [f64], step: f64, from: f64, to: f64, amount: f64) {
    if amount <= 0.0 {
        return;
    }
    for index in steps(sums.len(), step, from, to) {
        let (begin, end) = (index as f64 * step, (index + 1) as f64 * step);
        let share = if to > from { (to.min(end) - from.max(begin)).max(0.0) / (to - from) } else { 1.0 };
        sums[index] += amount * share;
        if to <= from {
            return;
        }
    }
}

/// Lanes by when they are free again.
#[derive(Debug, Default)]
pub struct Lanes {
    free_at: Vec<f64>,
}

impl Lanes {
    /// The first lane that is free from `start` on; it is taken up to `end`. To be asked in the order of `start`.
    pub fn take(&mut self, start: f64, end: f64) -> usize {
        // Moments are those of the journal, which is written a little after the fact.
        const SLACK: f64 = 1e-3;
        let lane = self.free_at.iter().position(|free| *free <= start + SLACK).unwrap_or(self.free_at.len());
        match self.free_at.get_mut(lane) {
            Some(free) => *free = end,
            None => self.free_at.push(end),
        }
        lane
    }
}
