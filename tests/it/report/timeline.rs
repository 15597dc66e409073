//! The use of the machine over a run, and lanes of what overlaps.

use optbuild::report::model::Timeline;
use optbuild::report::model::timeline::{Course, Lanes, timeline};

fn sum(timeline: &Timeline) -> f64 {
    timeline.cores.iter().sum::<f64>() * timeline.step
}

#[test]
fn nothing_is_lost() {
    let courses = [
        Course { start: 1.3, end: 77.7, cpu: Some(120.0), ..Course::default() },
        Course { start: 50.0, end: 50.0, cpu: Some(0.5), ..Course::default() },
        Course { start: 90.0, end: 100.0, looks: vec![(91.0, 1.0, 5), (92.0, 1.5, 9)], cpu: Some(9.0), peak_memory: 3 },
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
    assert_eq!((timeline.memory[0], timeline.memory[4], timeline.memory[9], timeline.memory[15]), (100, 200, 200, 250));
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
