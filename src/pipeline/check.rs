//! Whether the stages of a pipeline fit together: references, needs, workspaces, cycles; and in which order they can run.
//!
//! Unaware of what stages do, of what is inside a text, and of what is up to date.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::ops::Range;

use super::error::Problem;
use super::kind::{Kind, StartsFrom};
use super::substitute::{Found, Names};
use super::text::OutputRef;
use super::tree::{Node, Table};
use super::{Common, Origin, Pipeline, Stage};

/// A stage on its way to a [`Stage`].
pub(super) struct Draft {
    pub name: String,
    /// Where its name stands.
    pub at: Range<usize>,
    pub on: bool,
    pub table: Table,
    pub found: Found,
    /// Without what `found` says.
    pub origin: Origin,
    /// As TOML, without templates.
    pub text: String,
    /// None if there is a problem with its keys.
    pub decoded: Option<(Common, Kind)>,
}

/// Why a stage comes after another, and where that is said.
struct Edge {
    to: usize,
    why: String,
    at: Range<usize>,
}

/// Checks references to outputs, of a stage or (without one) of `[outputs]`.
pub(super) fn references(
    owner: Option<&Draft>,
    found: &[(Range<usize>, Vec<OutputRef>)],
    drafts: &[Draft],
    names: &Names,
    problems: &mut Vec<Problem>,
) {
    for (at, candidates) in found {
        let before = problems.len();
        problems.extend(candidates.iter().filter_map(|candidate| reference(owner, candidate, at, drafts, names)));
        let all_off = candidates.iter().all(|candidate| names.off.contains(&candidate.stage));
        if all_off && problems.len() == before && owner.is_none_or(|owner| owner.on) {
            let (message, help) = match candidates.as_slice() {
                [one] => (
                    format!("`{one}` does not exist: the stage `{}` is switched off", one.stage),
                    format!("give a fallback, as in `${{{one} | other.out}}`, or switch this off too"),
                ),
                _ => (
                    "none of these exists: all of their stages are switched off".into(),
                    "add an output of a stage that is on".into(),
                ),
            };
            let mut problem = Problem::at(message, at.clone());
            for draft in drafts.iter().filter(|draft| candidates.iter().any(|candidate| candidate.stage == draft.name))
            {
                for switch in ["when", "unless"].into_iter().filter_map(|key| draft.table.get(key)) {
                    problem = problem.mark(switch.span.clone(), format!("`{}` is off", draft.name));
                }
            }
            problems.push(problem.help(help));
        }
    }
}

fn reference(
    owner: Option<&Draft>,
    candidate: &OutputRef,
    at: &Range<usize>,
    drafts: &[Draft],
    names: &Names,
) -> Option<Problem> {
    let OutputRef { stage, output } = candidate;
    if owner.is_some_and(|owner| owner.name == *stage) {
        let problem = Problem::at(format!("the stage `{stage}` refers to its own output"), at.clone());
        return Some(problem.help("inside a stage its own directory is `${self.out}`"));
    }
    let Some(target) = drafts.iter().find(|draft| draft.name == *stage) else {
        let problem = Problem::at(format!("there is no stage `{stage}`"), at.clone());
        if names.variables.get(stage).is_some() {
            return Some(problem.help(format!("`{stage}` is a variable, written `${{{stage}}}`")));
        }
        return Some(problem.suggest(stage, names.stages.iter().map(|(name, _)| name.as_str())));
    };
    let (_, kind) = target.decoded.as_ref()?;
    let outputs = &kind.answers.outputs;
    if outputs.contains(output) {
        return None;
    }
    let problem = Problem::at(format!("the stage `{stage}` has no output `{output}`"), at.clone())
        .mark(target.at.clone(), format!("`{stage}` is declared here"));
    Some(problem.suggest(output, outputs.iter().map(String::as_str)))
}

/// Checks that a stage is there and compares.
pub(super) fn compares(stage: &str, at: &Range<usize>, drafts: &[Draft], problems: &mut Vec<Problem>) {
    let measures = |draft: &Draft| draft.decoded.as_ref().is_none_or(|(_, kind)| kind.answers.measures);
    let problem = match drafts.iter().find(|draft| draft.name == stage) {
        Some(draft) if measures(draft) => return,
        Some(draft) => Problem::at(format!("the stage `{stage}` compares nothing"), at.clone())
            .mark(draft.at.clone(), format!("`{stage}` is declared here"))
            .help("name a stage of `kind = \"compare\"`"),
        None => {
            let names = drafts.iter().filter(|draft| measures(draft)).map(|draft| draft.name.as_str());
            Problem::at(format!("there is no stage `{stage}`"), at.clone()).suggest(stage, names)
        }
    };
    problems.push(problem);
}

/// Checks `needs` and looks for cycles, and makes stages of the drafts. None if there is any problem.
pub(super) fn assemble(
    drafts: Vec<Draft>,
    declarations: impl Fn(&Draft) -> BTreeMap<String, String>,
    problems: &mut Vec<Problem>,
) -> Option<Vec<Stage>> {
    let index: HashMap<String, usize> = drafts.iter().enumerate().map(|(at, d)| (d.name.clone(), at)).collect();
    let links = drafts.iter().enumerate().map(|(at, draft)| link(at, draft, &drafts, &index, problems));
    let (edges, links): (Vec<Vec<Edge>>, Vec<Vec<Vec<String>>>) = links.unzip();
    report_cycle(&drafts, &edges, problems);
    roles(&drafts, problems);
    if !problems.is_empty() {
        return None;
    }
    let stages = drafts.into_iter().zip(links).map(|(draft, dependencies)| {
        let declaration = declarations(&draft);
        let path_vars = draft.found.paths.into_iter().collect();
        let origin = Origin { emptied: draft.found.emptied, ..draft.origin };
        let (common, kind) = draft.decoded?;
        let text = draft.text;
        Some(Stage { dependencies, declaration, text, path_vars, origin, ..Stage::new(common, kind) })
    });
    let mut stages: Vec<Stage> = stages.collect::<Option<_>>()?;
    connect(&mut stages);
    Some(stages)
}

/// Finds the stage before each in its workspace, and makes it a dependency; anew, where some have been switched off.
pub(super) fn connect(stages: &mut [Stage]) {
    let mut last: BTreeMap<String, String> = BTreeMap::new();
    for stage in stages {
        let Some(workspace) = stage.common.workspace.clone().filter(|_| stage.common.when) else { continue };
        if stage.common.starts_from != StartsFrom::Any {
            let before = last.get(&workspace).cloned();
            if before != stage.predecessor {
                if let Some(old) = stage.predecessor.take().filter(|_| stage.follows_only) {
                    stage.dependencies.retain(|names| *names != [old.clone()]);
                }
                let group: Vec<String> = before.iter().cloned().collect();
                stage.follows_only = !group.is_empty() && !stage.dependencies.contains(&group);
                if stage.follows_only {
                    stage.dependencies.push(group);
                }
                stage.predecessor = before;
            }
        }
        last.insert(workspace, stage.common.name.clone());
    }
}

/// Why a stage comes after others, and the groups of alternatives that it depends on, without the stage before it in its workspace.
fn link(
    at: usize,
    draft: &Draft,
    drafts: &[Draft],
    index: &HashMap<String, usize>,
    problems: &mut Vec<Problem>,
) -> (Vec<Edge>, Vec<Vec<String>>) {
    let mut edges = Vec::new();
    let mut dependencies: Vec<Vec<String>> = Vec::new();
    let on = |name: &str| index.get(name).copied().filter(|at| drafts[*at].on);
    let mut depend = |names: Vec<String>| {
        if !names.is_empty() && !dependencies.contains(&names) {
            dependencies.push(names);
        }
    };
    for (place, candidates) in &draft.found.outputs {
        let mut names: Vec<String> = Vec::new();
        for candidate in candidates {
            let Some(to) = on(&candidate.stage) else { continue };
            edges.push(Edge { to, why: format!("refers to `{candidate}`"), at: place.clone() });
            if !names.contains(&candidate.stage) {
                names.push(candidate.stage.clone());
            }
        }
        depend(names);
    }
    let needs = draft.table.get("needs").and_then(Node::as_array).unwrap_or_default();
    for node in needs {
        let Some(need) = node.as_str() else { continue };
        if *need == draft.name {
            problems.push(Problem::at(format!("the stage `{need}` needs itself"), node.span.clone()));
        } else if !index.contains_key(need) {
            let names = index.keys().map(String::as_str).filter(|name| *name != draft.name);
            problems.push(Problem::at(format!("there is no stage `{need}`"), node.span.clone()).suggest(need, names));
        } else if let Some(to) = on(need) {
            edges.push(Edge { to, why: format!("needs `{need}`"), at: node.span.clone() });
            depend(vec![need.to_string()]);
        }
    }
    let common = draft.decoded.as_ref().map(|(common, _)| common);
    let common = common.filter(|common| draft.on && common.starts_from != StartsFrom::Any);
    if let Some(workspace) = common.and_then(|common| common.workspace.as_ref()) {
        let shares = |other: &&Draft| {
            other.on && other.decoded.as_ref().is_some_and(|(common, _)| common.workspace.as_ref() == Some(workspace))
        };
        if let Some(before) = drafts[..at].iter().rev().find(shares) {
            let place = draft.table.get("workspace").map_or_else(|| draft.at.clone(), |node| node.span.clone());
            let why = format!("shares a workspace with `{}`, which stands before it", before.name);
            edges.extend(index.get(&before.name).map(|to| Edge { to: *to, why, at: place }));
        }
    }
    (edges, dependencies)
}

/// In a bundle, a role stands for one profile.
fn roles(drafts: &[Draft], problems: &mut Vec<Problem>) {
    let mut seen: HashMap<&str, &Draft> = HashMap::new();
    for draft in drafts.iter().filter(|draft| draft.on) {
        let Some(gathers) = draft.decoded.as_ref().and_then(|(_, kind)| kind.answers.gathers.as_ref()) else {
            continue;
        };
        let role = gathers.role.as_deref().unwrap_or(&draft.name);
        if let Some(other) = seen.insert(role, draft) {
            let place =
                |draft: &Draft| draft.table.get("role").map_or_else(|| draft.at.clone(), |node| node.span.clone());
            let problem = Problem::new(format!("two gather stages have the role `{role}`"))
                .mark(place(draft), "the one")
                .mark(place(other), "the other");
            problems.push(problem.help("give each a `role` of its own; without the key it is the stage's name"));
        }
    }
}

fn report_cycle(drafts: &[Draft], edges: &[Vec<Edge>], problems: &mut Vec<Problem>) {
    // Of the stages that are on; a stage that is off neither runs nor waits. That one refers to itself was told before.
    let counts = |from: usize, edge: &&Edge| drafts[from].on && edge.to != from;
    let needs: Vec<Vec<usize>> = edges
        .iter()
        .enumerate()
        .map(|(from, edges)| edges.iter().filter(|edge| counts(from, edge)).map(|edge| edge.to).collect())
        .collect();
    let Err(cycle) = sort(&needs) else { return };
    let stages = cycle.iter().map(|stage| drafts[*stage].name.clone()).collect();
    let mut problem = Problem::new(Cycle { stages }.to_string());
    for (step, from) in cycle.iter().enumerate() {
        let to = cycle[(step + 1) % cycle.len()];
        if let Some(edge) = edges[*from].iter().find(|edge| edge.to == to) {
            problem = problem.mark(edge.at.clone(), format!("`{}` {}", drafts[*from].name, edge.why));
        }
    }
    problems.push(problem);
}

/// Checks the name of a stage, and that it is not a variable's.
pub(super) fn stage_name(name: &str, at: &Range<usize>, names: &Names, problems: &mut Vec<Problem>) {
    problems.extend(Problem::of_name("stage", name, at));
    if let Some(variable) = names.variables.get(name) {
        let problem = Problem::new(format!("`{name}` is both a variable and a stage"))
            .mark(at.clone(), "the stage")
            .mark(variable.at.clone(), "the variable");
        problems.push(problem.help("give one of them another name"));
    }
}

/// The stages of a pipeline and their dependencies. A fallback in a reference is a dependency like any other.
#[derive(Debug, Clone)]
pub struct Graph {
    names: Vec<String>,
    /// What each stage depends on, directly.
    needs: Vec<Vec<usize>>,
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
        let named = |stages: Vec<usize>| stages.into_iter().map(|stage| names[stage].clone()).collect();
        let order = sort(&needs).map(named).map_err(|cycle| Cycle { stages: named(cycle) })?;
        Ok(Graph { names, needs, order })
    }

    /// All stages, each behind those it depends on; otherwise as they were declared. Those that are off are among them.
    pub fn order(&self) -> &[String] {
        &self.order
    }

    /// The stages that depend on a stage, directly or through others, in the order of [`Graph::order`]. Not the stage itself.
    pub fn dependents(&self, stage: &str) -> Vec<String> {
        let depends = |name: &&String| self.dependencies(name).iter().any(|need| need == stage);
        self.order.iter().filter(depends).cloned().collect()
    }

    /// The stages that a stage depends on, directly or through others, in the order of [`Graph::order`]. Not the stage itself.
    pub fn dependencies(&self, stage: &str) -> Vec<String> {
        let Some(from) = self.names.iter().position(|name| name == stage) else { return Vec::new() };
        let mut reached = BTreeSet::new();
        let mut open = vec![from];
        while let Some(stage) = open.pop() {
            open.extend(self.needs[stage].iter().copied().filter(|next| reached.insert(*next)));
        }
        let reached: BTreeSet<&str> = reached.into_iter().map(|stage| self.names[stage].as_str()).collect();
        self.order.iter().filter(|name| reached.contains(name.as_str())).cloned().collect()
    }
}

/// A topological order of `0..needs.len()`: at each place the smallest number whose needs all stand before it.
///
/// # Errors
/// A cycle: each of its numbers needs the next one, the last one the first.
fn sort(needs: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
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
