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
#[serde(rename_all = "kebab-case")]
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
pub(super) struct Course {
    pub start: f64,
    pub end: f64,
    /// When it was looked at: moment, CPU seconds up to it, memory.
    pub looks: Vec<(f64, f64, u64)>,
    /// In the end, if it ended.
    pub cpu: Option<f64>,
    pub peak_memory: u64,
}

/// Puts together what commands used in a run of so many seconds.
pub(super) fn timeline(wall: f64, courses: &[Course]) -> Timeline {
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
pub(super) struct Lanes {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(timeline: &Timeline) -> f64 {
        timeline.cores.iter().sum::<f64>() * timeline.step
    }

    #[test]
    fn nothing_is_lost() {
        let courses = [
            Course { start: 1.3, end: 77.7, cpu: Some(120.0), ..Course::default() },
            Course { start: 50.0, end: 50.0, cpu: Some(0.5), ..Course::default() },
            Course {
                start: 90.0,
                end: 100.0,
                looks: vec![(91.0, 1.0, 5), (92.0, 1.5, 9)],
                cpu: Some(9.0),
                peak_memory: 3,
            },
        ];
        let timeline = timeline(100.0, &courses);
        assert!((sum(&timeline) - 129.5).abs() < 1e-9, "{}", sum(&timeline));
        assert_eq!(timeline.cores.len(), 240);
    }

    #[test]
    fn the_use_is_where_it_was() {
        // Two seconds of CPU in the first second, none in the next, and one in the last two.
        let looks = vec![(1.0, 2.0, 100), (2.0, 2.0, 200)];
        let course = Course { start: 0.0, end: 4.0, looks, cpu: Some(3.0), peak_memory: 0 };
        let other = Course { start: 3.0, end: 4.0, looks: vec![], cpu: Some(0.0), peak_memory: 50 };
        let timeline = timeline(4.0, &[course, other]);
        assert_eq!(timeline.step, 0.25);
        let quarters = |values: [f64; 4]| values.iter().flat_map(|value| [*value; 4]).collect::<Vec<_>>();
        assert_eq!(timeline.cores, quarters([2.0, 0.0, 0.5, 0.5]));
        assert_eq!(
            (timeline.memory[0], timeline.memory[4], timeline.memory[9], timeline.memory[15]),
            (100, 200, 200, 250)
        );
    }

    #[test]
    fn no_time_no_line() {
        assert_eq!(timeline(0.0, &[]), Timeline::default());
    }

    #[test]
    fn what_overlaps_is_in_different_lanes() {
        let mut lanes = Lanes::default();
        let spans = [(0.0, 4.0), (1.0, 2.0), (1.5, 3.0), (2.0, 9.0), (4.0, 5.0)];
        assert_eq!(spans.map(|(start, end)| lanes.take(start, end)), [0, 1, 2, 1, 0]);
    }
}
