//! In which order stages can run, and which need which.
//!
//! Knows names and dependencies. Unaware of what stages do, and of whether they are up to date.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

use super::Pipeline;

/// The stages of a pipeline and their dependencies. A fallback in a reference is a dependency like any other.
#[derive(Debug, Clone)]
pub struct Graph {
    names: Vec<String>,
    /// What each stage depends on, directly.
    needs: Vec<Vec<usize>>,
    needed_by: Vec<Vec<usize>>,
    /// Names.
    order: Vec<String>,
}

/// Stages that wait for each other. [`load`](super::load) refuses them with the places in the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stages wait for each other in a circle: {}", ring(.stages))]
pub struct Cycle {
    /// Each depends on the next one, the last one on the first.
    pub stages: Vec<String>,
}

fn ring(stages: &[String]) -> String {
    let names: Vec<&str> = stages.iter().chain(stages.first()).map(String::as_str).collect();
    names.join(" -> ")
}

impl Graph {
    /// The graph of a pipeline.
    ///
    /// # Errors
    /// Stages that depend on each other; never for a pipeline from [`load`](super::load).
    pub fn new(pipeline: &Pipeline) -> Result<Graph, Cycle> {
        let names: Vec<String> = pipeline.stages.iter().map(|stage| stage.common.name.clone()).collect();
        let index: HashMap<&str, usize> = names.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
        let needs: Vec<Vec<usize>> = pipeline
            .stages
            .iter()
            .map(|stage| {
                let names = stage.dependencies.iter().flatten();
                let needs: BTreeSet<usize> = names.filter_map(|name| index.get(name.as_str()).copied()).collect();
                needs.into_iter().collect()
            })
            .collect();
        let mut needed_by = vec![Vec::new(); names.len()];
        for (stage, needs) in needs.iter().enumerate() {
            needs.iter().for_each(|need| needed_by[*need].push(stage));
        }
        let named = |stages: Vec<usize>| stages.into_iter().map(|stage| names[stage].clone()).collect();
        let order = sort(&needs).map(named).map_err(|cycle| Cycle { stages: named(cycle) })?;
        Ok(Graph { names, needs, needed_by, order })
    }

    /// All stages, each behind those it depends on; otherwise as they were declared. Those that are off are among them.
    pub fn order(&self) -> &[String] {
        &self.order
    }

    /// The stages that depend on a stage, directly or through others, in the order of [`Graph::order`]. Not the stage itself.
    pub fn dependents(&self, stage: &str) -> Vec<String> {
        self.reach(stage, &self.needed_by)
    }

    /// The stages that a stage depends on, directly or through others, in the order of [`Graph::order`]. Not the stage itself.
    pub fn dependencies(&self, stage: &str) -> Vec<String> {
        self.reach(stage, &self.needs)
    }

    fn reach(&self, from: &str, edges: &[Vec<usize>]) -> Vec<String> {
        let Some(from) = self.names.iter().position(|name| name == from) else { return Vec::new() };
        let mut reached = BTreeSet::new();
        let mut open = vec![from];
        while let Some(stage) = open.pop() {
            open.extend(edges[stage].iter().copied().filter(|next| reached.insert(*next)));
        }
        reached.remove(&from);
        let reached: BTreeSet<&str> = reached.into_iter().map(|stage| self.names[stage].as_str()).collect();
        self.order.iter().filter(|name| reached.contains(name.as_str())).cloned().collect()
    }
}

/// A topological order of `0..needs.len()`: at each place the smallest number whose needs all stand before it.
///
/// # Errors
/// A cycle: each of its numbers needs the next one, the last one the first.
pub(super) fn sort(needs: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut waiting_for: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut needed_by = vec![Vec::new(); needs.len()];
    for (node, needs) in needs.iter().enumerate() {
        needs.iter().for_each(|need| needed_by[*need].push(node));
    }
    let ready = waiting_for.iter().enumerate().filter(|(_, count)| **count == 0);
    let mut ready: BinaryHeap<Reverse<usize>> = ready.map(|(node, _)| Reverse(node)).collect();
    let mut order = Vec::with_capacity(needs.len());
    while let Some(Reverse(node)) = ready.pop() {
        order.push(node);
        for next in &needed_by[node] {
            waiting_for[*next] -= 1;
            if waiting_for[*next] == 0 {
                ready.push(Reverse(*next));
            }
        }
    }
    match waiting_for.iter().position(|count| *count > 0) {
        None => Ok(order),
        Some(start) => Err(cycle(start, needs, &waiting_for)),
    }
}

/// A cycle: what still waits needs something that still waits, so following that ends in one.
fn cycle(start: usize, needs: &[Vec<usize>], waiting_for: &[usize]) -> Vec<usize> {
    let mut path = vec![start];
    let mut node = start;
    while let Some(next) = needs[node].iter().copied().find(|next| waiting_for[*next] > 0) {
        if let Some(begin) = path.iter().position(|seen| *seen == next) {
            return path.split_off(begin);
        }
        path.push(next);
        node = next;
    }
    path
}
