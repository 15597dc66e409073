//! The demo on one machine, and on another one that has all of it from the cache. Takes minutes.

use std::time::Instant;

use super::rules::Team;
use crate::support::real::{contents, empty};

/// Of another machine: the paths of its checkout and of its state directory, times, HOME.
#[test]
#[ignore = "builds the demo, which takes 5 minutes on two cores"]
fn the_demo_comes_out_of_the_cache_on_another_machine() {
    let team = Team::new();
    let first = team.joins(empty(""));
    let _ = first.cmd("run demo --until verify").ok();
    let other = team.joins(empty(""));
    let began = Instant::now();
    let ran = other.cmd("run demo --until verify").ok();
    let took = began.elapsed();
    assert!(ran.stderr.contains("nothing to do"), "{}", ran.stderr);
    for dir in ["out/demo/bin", "out/demo/lib"] {
        assert_eq!(contents(&other.path(dir)), contents(&first.path(dir)), "{dir}");
        assert!(!contents(&other.path(dir)).is_empty());
    }
    // What it took is a figure for docs/cache.md, and no part of the test.
    println!("{took:?}\n{}", ran.stderr);
}
