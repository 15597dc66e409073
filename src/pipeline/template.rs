//! Templates: keys that several stages, or several workloads, have in common.
//!
//! A `[template.NAME]` never runs. `like` lays a stage or a workload on it. The order:
//!
//! | step | |
//! |---|---|
//! | 1 | files are merged, so a file may change a template of a file that it extends |
//! | 2 | each stage is laid on the templates that its `like` names, from left to right, then each of its workloads or tests |
//! | 3 | variables are put in |
//!
//! Step 2 follows the rules of step 1: tables merge key by key, arrays and plain values replace. There is one level: a template
//! is like no other. Unaware of what the keys mean.

use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::Value as Json;

use super::error::{Mark, Problem};
use super::merge::{self, kind_word};
use super::schema::Shape;
use super::text;
use super::tree::{Node, Table, Value};

/// Keys by which the stages of several files are matched: they belong to one stage.
const OF_ONE_STAGE: [&str; 3] = ["name", "remove", "after"];

/// A place where a stage, or a workload in it, names a template.
#[derive(Debug, Clone)]
pub(super) struct Like {
    stage: String,
    template: String,
    at: Range<usize>,
}

/// The templates of a pipeline.
pub(super) struct Templates {
    schema: &'static Json,
    table: Table,
    used: BTreeSet<String>,
}

impl Templates {
    /// Reads `[template]`.
    pub fn new(section: Option<&Node>, schema: &'static Json, problems: &mut Vec<Problem>) -> Templates {
        let mut table = section.and_then(Node::as_table).cloned().unwrap_or_default();
        for entry in &mut table.entries {
            if let Some(message) = text::name_problem("template", &entry.key) {
                problems.push(Problem::at(message, entry.at.clone()));
            }
            let Value::Table(template) = &mut entry.node.value else { continue };
            if let Some(like) = template.remove("like") {
                let message = format!("the template `{}` cannot be like another one", entry.key);
                problems.push(
                    Problem::at(message, like.span).help("a stage can name several: `like = [\"first\", \"second\"]`"),
                );
            }
        }
        Templates { schema, table, used: BTreeSet::new() }
    }

    /// A stage with the keys of its templates, and where it names them.
    pub fn stage(&mut self, stage: &Node, problems: &mut Vec<Problem>) -> (Node, Vec<Like>) {
        let name = merge::stage_name(stage).map(|(name, _)| name.to_string()).unwrap_or_default();
        let mut likes = Vec::new();
        let mut stage = self.lay(stage, &name, &OF_ONE_STAGE, &mut likes, problems);
        if let Value::Table(table) = &mut stage.value {
            let shape = Shape::stage(self.schema, kind_word(table));
            for entry in &mut table.entries {
                let of_items = shape.key(&entry.key).item();
                if let Value::Array(items) = &mut entry.node.value
                    && of_items.keys().contains("like")
                {
                    items.iter_mut().for_each(|item| *item = self.lay(item, &name, &[], &mut likes, problems));
                }
            }
        }
        (stage, likes)
    }

    /// Lays a table on the templates that its `like` names. `own` are keys that no template can have.
    fn lay(
        &mut self,
        over: &Node,
        stage: &str,
        own: &[&str],
        likes: &mut Vec<Like>,
        problems: &mut Vec<Problem>,
    ) -> Node {
        let mut over = over.clone();
        let Value::Table(table) = &mut over.value else { return over };
        let Some(like) = table.remove("like") else { return over };
        let names = match &like.value {
            Value::Array(names) => names.iter().collect(),
            _ => vec![&like],
        };
        let mut base = Node::new(over.span.clone(), Value::Table(Table::default()));
        for name in names {
            let at = name.span.clone();
            let Some(word) = name.as_str() else {
                problems.push(Problem::at(format!("`like` takes names of templates, not {}", name.what()), at));
                continue;
            };
            let Some(template) = self.table.get(word) else {
                let known = self.table.entries.iter().map(|entry| entry.key.as_str());
                problems.push(Problem::at(format!("there is no template `{word}`"), at).suggest(word, known));
                continue;
            };
            let mut template = template.clone();
            if let Value::Table(template) = &mut template.value {
                for key in own {
                    let Some(node) = template.remove(key) else { continue };
                    let problem = Problem::at(format!("`{key}` belongs to one stage, not to a template"), node.span);
                    problems.push(problem.mark(at.clone(), format!("`{stage}` is like it")));
                }
            }
            base = merge::values(base, template);
            self.used.insert(word.into());
            likes.push(Like { stage: stage.into(), template: word.into(), at });
        }
        merge::values(base, over)
    }

    /// Makes problems with keys of templates, from the number `from` on, point at those who use them as well. Several stages
    /// that have one problem of one template are told of once.
    pub fn blame<'l>(&self, from: usize, likes: impl Iterator<Item = &'l Like> + Clone, problems: &mut Vec<Problem>) {
        let used = |mark: &Mark| likes.clone().any(|like| like.at == mark.span);
        for mut problem in problems.split_off(from.min(problems.len())) {
            let users = match problem.marks.as_slice() {
                [first, rest @ ..] if !rest.iter().any(used) => self.users(&first.span, likes.clone()),
                _ => Vec::new(),
            };
            let place = |problem: &Problem| problem.marks.first().map(|mark| mark.span.clone());
            let same = |other: &&mut Problem| {
                other.marks.len() > 1 && place(other) == place(&problem) && other.help == problem.help
            };
            match problems.iter_mut().find(same) {
                Some(other) if !users.is_empty() => other.marks.extend(users),
                _ => {
                    problem.marks.extend(users);
                    problems.push(problem);
                }
            }
        }
    }

    /// Who is like the template that a place is in.
    fn users<'l>(&self, place: &Range<usize>, likes: impl Iterator<Item = &'l Like>) -> Vec<Mark> {
        let within = |like: &&Like| self.table.get(&like.template).is_some_and(|template| template.encloses(place));
        let mark = |like: &Like| Mark { span: like.at.clone(), label: format!("`{}` is like it", like.stage) };
        likes.filter(within).map(mark).collect()
    }

    /// Templates that nothing is like, of those that stand at a place that counts.
    pub fn unused(&self, counts: impl Fn(&Range<usize>) -> bool) -> Vec<String> {
        let unused = self.table.entries.iter().filter(|entry| !self.used.contains(&entry.key) && counts(&entry.at));
        unused.map(|entry| entry.key.clone()).collect()
    }
}
