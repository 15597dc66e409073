//! An experiment becomes one pipeline: the stages of all variants side by side, and a stage that measures what they make.
//!
//! | step | |
//! |---|---|
//! | 1 | each variant is laid on the pipeline as a file that extends it, and loaded by itself |
//! | 2 | of each, only what the measurement needs is kept |
//! | 3 | stages that are equal once references are replaced, and whose producers are, become one; the others get their variant's name: `lib@fat` |
//! | 4 | the measurement gets a side for each variant |
//!
//! Names do not depend on which variants are chosen. What is kept of a stage does not depend on them at all (see [`own_name`]): so a
//! run of the pipeline with a variant's settings finds what the experiment has built, and the other way round. Unaware of what was built.
//!
//! [`own_name`]: super::own_name

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use camino::Utf8Path;
use indexmap::IndexMap;

use super::check::Graph;
use super::decode;
use super::error::{LoadError, Problem, Sources};
use super::kind::{Written, read_stage};
use super::load::{Kept, Loader, Reader, Shipped, declaration};
use super::merge;
use super::schema::Shape;
use super::shipped::is_path;
use super::text::{OutputRef, Piece, Text};
use super::tree::{Entry, Node, Table, Value};
use super::{LoadOptions, OnFailure, OutputDecl, Pipeline, Stage, ToolDecl, VarValue, Variable, normal, resolved};

/// The stage that measures.
pub const MEASURE: &str = "measure";

/// The file in the directory of that stage that says what each variant cost.
pub const COSTS: &str = "costs.json";

/// Which of the variants, held against which.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Empty: all.
    pub variants: Vec<String>,
    /// None: as the file says.
    pub base: Option<String>,
}

/// A version of a pipeline that is tried.
#[derive(Debug, Clone)]
pub struct Variant {
    pub name: String,
    pub description: String,
    /// The variant that it is held against, if not the experiment's.
    pub base: Option<String>,
    /// Its variables, as words for `--set`.
    pub set: Vec<String>,
    /// What else it changes, as the text of a file that extends the pipeline.
    pub changes: String,
    /// The stages that it consists of, in the order of the work.
    pub stages: Vec<String>,
    /// Variables and tools of this variant.
    vars: IndexMap<String, Variable>,
    tools: IndexMap<String, ToolDecl>,
}

impl Pipeline {
    /// The pipeline as a stage of an experiment sees it: with the variables and tools of a variant that it serves.
    pub fn seen_by(&self, stage: &Stage) -> Option<Pipeline> {
        let variant = self.variants.iter().find(|variant| stage.variants.first() == Some(&variant.name))?;
        Some(Pipeline { vars: variant.vars.clone(), tools: variant.tools.clone(), ..self.clone() })
    }
}

/// Reads an experiment: a pipeline with variants, or a file that names a pipeline and has them.
///
/// # Errors
/// All that is wrong with the pipeline, or with the first variant of which anything is.
pub fn load_experiment(
    file: &Utf8Path,
    options: &LoadOptions,
    shipped: Shipped,
    choice: &Choice,
) -> Result<Pipeline, LoadError> {
    let (mut sources, mut problems) = (Sources::default(), Vec::new());
    let path = resolved(&normal(&options.cwd.join(file)));
    let mut reader = Reader::new(&mut sources, &mut problems, options.cwd, shipped);
    let tree = reader.file(&path, None).filter(|_| reader.complete);
    let pipeline = tree.and_then(|tree| {
        Expansion { options, sources: &sources, path: &path, problems: &mut problems }.pipeline(tree, choice)
    });
    match pipeline {
        Some(pipeline) if problems.is_empty() => Ok(pipeline),
        _ => Err(LoadError { problems, sources }),
    }
}

/// A variant as it is declared.
struct Declared {
    name: String,
    at: Range<usize>,
    description: String,
    base: Option<(String, Range<usize>)>,
    /// Names and values.
    set: Vec<Entry>,
    /// `stage`, `template`, `tools`, `remove`.
    changes: Table,
    measure: Table,
}

/// A variant that was loaded by itself.
struct Loaded {
    pipeline: Pipeline,
    kept: Vec<Kept>,
    /// Its stages that the measurement needs, in the order of the work.
    needed: Vec<String>,
}

struct Expansion<'a> {
    options: &'a LoadOptions<'a>,
    sources: &'a Sources,
    path: &'a Utf8Path,
    problems: &'a mut Vec<Problem>,
}

impl Expansion<'_> {
    fn pipeline(&mut self, mut tree: Table, choice: &Choice) -> Option<Pipeline> {
        let shape = Shape::file(self.options.kinds.schema());
        for key in ["variant", "base", "measure"] {
            if let Some(node) = tree.get(key) {
                decode::structure(key, node, &shape.key(key), self.problems);
            }
        }
        if !self.problems.is_empty() {
            return None;
        }
        let (variants, measure, base) = (tree.remove("variant"), tree.remove("measure"), tree.remove("base"));
        let declared = self.declared(variants.as_ref());
        let measure = self.measure(measure, &tree);
        let base = self.base(base.as_ref(), &declared, choice);
        self.chosen(&declared, choice);
        let (measure, base) = measure.zip(base).filter(|_| self.problems.is_empty())?;
        let written = choice.base.is_none().then_some(base.as_str());
        declared.iter().for_each(|variant| self.check(variant, written, &tree));
        if !self.problems.is_empty() {
            return None;
        }
        let mut loaded = Vec::new();
        for variant in &declared {
            loaded.push(self.load(variant, &tree, &measure)?);
        }
        self.merged(&declared, &loaded, &base, choice)
    }

    /// The pipeline that the file names.
    fn tried(&self) -> Option<String> {
        let source = self.sources.files.first()?;
        let named = source.text.parse::<toml::Table>().ok()?.get("pipeline")?.as_str()?.to_owned();
        Some(if is_path(&named, source.dir()) { source.dir().join(named).to_string() } else { named })
    }

    fn declared(&mut self, variants: Option<&Node>) -> Vec<Declared> {
        let variants = variants.and_then(Node::as_array).unwrap_or_default();
        if variants.is_empty() {
            let problem = Problem::new("this is no experiment: it has no variants");
            self.problems.push(problem.help("an experiment has a `[measure]` and at least two `[[variant]]`"));
        }
        let mut declared: Vec<Declared> = Vec::new();
        for node in variants {
            let Some(table) = node.as_table() else { continue };
            let word = |key: &str| Some((table.get(key)?.as_str()?.to_owned(), table.get(key)?.span.clone()));
            let Some((name, at)) = word("name") else { continue };
            self.problems.extend(Problem::of_name("variant", &name, &at));
            if let Some(other) = declared.iter().find(|other| other.name == name) {
                let problem = Problem::new(format!("there are two variants of the name `{name}`"));
                self.problems.push(problem.mark(at, "the second").mark(other.at.clone(), "the first"));
                continue;
            }
            let part = |key: &str| table.get(key).and_then(Node::as_table).cloned().unwrap_or_default();
            let changes = table.entries.iter().filter(|entry| CHANGES.contains(&entry.key.as_str())).cloned();
            declared.push(Declared {
                name,
                at,
                description: word("description").unwrap_or_default().0,
                base: word("base"),
                set: part("set").entries,
                changes: Table { entries: changes.collect() },
                measure: part("measure"),
            });
        }
        declared
    }

    /// `[measure]`, without what is the business of this file.
    fn measure(&mut self, measure: Option<Node>, tree: &Table) -> Option<Table> {
        let stages = tree.get("stage").and_then(Node::as_array).unwrap_or_default();
        if let Some((_, at)) = stages.iter().filter_map(merge::stage_name).find(|(name, _)| *name == MEASURE) {
            let problem = Problem::at(format!("`{MEASURE}` is the stage that measures the variants"), at.clone());
            self.problems.push(problem.help("give this stage another name"));
        }
        let Some(Node { value: Value::Table(table), span }) = measure else {
            let problem = Problem::new("the experiment does not say what is measured");
            self.problems.push(problem.help("add `[measure]` with `program = \"${stage.output}\"` and what is run"));
            return None;
        };
        for entry in table.entries.iter().filter(|entry| NOT_OF_MEASURE.contains(&entry.key.as_str())) {
            let problem = Problem::at(format!("`{}` is no key of `[measure]`", entry.key), entry.at.clone());
            self.problems.push(problem.help("each variant is a side; `base` stands at the top of the file"));
        }
        if table.get("program").is_none() {
            self.problems.push(Problem::at("`measure` needs the key `program`", span));
        }
        Some(table)
    }

    fn base(&mut self, base: Option<&Node>, declared: &[Declared], choice: &Choice) -> Option<String> {
        let names = || declared.iter().map(|variant| variant.name.as_str());
        let unknown = |name: &str| !names().any(|known| known == name);
        for (name, at) in declared.iter().filter_map(|variant| variant.base.as_ref()) {
            if unknown(name) {
                self.problems
                    .push(Problem::at(format!("there is no variant `{name}`"), at.clone()).suggest(name, names()));
            }
        }
        for variant in declared {
            let ring = ring(variant, declared);
            if let (Some(ring), Some((_, at))) = (ring, &variant.base) {
                self.problems.push(Problem::at(format!("variants are each other's base: {ring}"), at.clone()));
                break;
            }
        }
        let written = base.and_then(|node| Some((node.as_str()?, Some(&node.span))));
        let Some((name, at)) = choice.base.as_deref().map(|name| (name, None)).or(written) else {
            return declared.first().map(|variant| variant.name.clone());
        };
        if unknown(name) && !declared.is_empty() {
            let message = format!("there is no variant `{name}` to be the base");
            let problem = at.map_or_else(|| Problem::new(&message), |at| Problem::at(&message, at.clone()));
            self.problems.push(problem.suggest(name, names()));
        }
        Some(name.to_owned())
    }

    fn chosen(&mut self, declared: &[Declared], choice: &Choice) {
        for name in &choice.variants {
            if !declared.is_empty() && !declared.iter().any(|variant| variant.name == *name) {
                let names = declared.iter().map(|variant| variant.name.as_str());
                self.problems
                    .push(Problem::new(format!("`--variants {name}`: there is no such variant")).suggest(name, names));
            }
        }
    }

    /// `base`: as the file has it; what only the caller wants is no mistake of the file.
    fn check(&mut self, variant: &Declared, base: Option<&str>, tree: &Table) {
        let vars = tree.get("vars").and_then(Node::as_table);
        for entry in &variant.set {
            let Some(declared) = vars.and_then(|vars| vars.get(&entry.key)) else {
                let names = vars.into_iter().flat_map(|vars| &vars.entries).map(|entry| entry.key.as_str());
                let problem = Problem::at(format!("the pipeline has no variable `{}`", entry.key), entry.at.clone());
                self.problems.push(problem.suggest(&entry.key, names));
                continue;
            };
            // Where a variable says its type, its value is held against that.
            let long = merge::long(declared.clone(), "default");
            let same = |default: &Node| default.what() == entry.node.what();
            if long.get("type").is_none() && !long.get("default").is_none_or(same) {
                let default = long.get("default").map_or("nothing", Node::what);
                let message = format!("the variable `{}` is {default}, not {}", entry.key, entry.node.what());
                self.problems.push(Problem::at(message, entry.at.clone()));
            }
        }
        for entry in variant.measure.entries.iter().filter(|entry| !OF_A_SIDE.contains(&entry.key.as_str())) {
            let problem = Problem::at(format!("`{}` is the same for all variants", entry.key), entry.at.clone());
            self.problems.push(problem.help("`measure` of a variant has `program`, `env` and `sizes`"));
        }
        let nothing =
            variant.set.is_empty() && variant.changes.entries.is_empty() && variant.measure.entries.is_empty();
        if nothing && base.is_some_and(|base| base != variant.name) {
            let problem = Problem::at(format!("the variant `{}` changes nothing", variant.name), variant.at.clone());
            self.problems.push(problem.help("only the base may be the pipeline as it is; give it `set` or `stage`"));
        }
    }

    /// Loads a variant by itself, with a stage that measures it alone.
    fn load(&mut self, variant: &Declared, tree: &Table, measure: &Table) -> Option<Loaded> {
        let before = self.problems.len();
        let mut over = variant.changes.clone();
        if !variant.set.is_empty() {
            over.entries.push(entry("vars", &variant.at, Value::Table(Table { entries: variant.set.clone() })));
        }
        let stage = synthetic(variant, measure);
        let mut own = merge::files(tree.clone(), over, self.problems);
        let stages = Table { entries: vec![entry("stage", &variant.at, Value::Array(vec![stage]))] };
        own = merge::files(own, stages, self.problems);
        let hidden = |name: &str| variant.set.iter().any(|entry| super::vars::env_name(&entry.key) == name);
        let env = |name: &str| if hidden(name) { None } else { (self.options.env)(name) };
        let given = |set: &&String| !variant.set.iter().any(|entry| set.split('=').next() == Some(&entry.key));
        let set: Vec<String> = self.options.set.iter().filter(given).cloned().collect();
        let options = LoadOptions { set: &set, env: &env, ..*self.options };
        let mut kept = Vec::new();
        let loader =
            Loader { options: &options, sources: self.sources, problems: self.problems, kept: Some(&mut kept) };
        let pipeline = { loader }.pipeline(self.path, &own);
        for problem in &mut self.problems[before..] {
            // The pipeline itself may be to blame; then every variant is.
            let marked = std::mem::replace(problem, Problem::new(""));
            *problem = marked.help(format!("found in the variant `{}`", variant.name));
        }
        let pipeline = pipeline.filter(|_| self.problems.len() == before)?;
        let needed = Graph::new(&pipeline).ok()?.dependencies(MEASURE);
        let on = |name: &String| pipeline.stage(name).is_some_and(|stage| stage.common.when);
        Some(Loaded { needed: needed.into_iter().filter(on).collect(), pipeline, kept })
    }

    /// Lays the stages of all variants side by side.
    fn merged(&mut self, declared: &[Declared], loaded: &[Loaded], base: &str, choice: &Choice) -> Option<Pipeline> {
        let needed = with_bases(&choice.variants, declared);
        let is_chosen = |name: &String| choice.variants.is_empty() || name == base || needed.contains(&name.as_str());
        let mut stages: Vec<(Key, Stage)> = Vec::new();
        let mut names: Vec<BTreeMap<String, String>> = Vec::new();
        for (variant, own) in declared.iter().zip(loaded) {
            let mut renamed: BTreeMap<String, String> = BTreeMap::new();
            for name in &own.needed {
                let stage = own.pipeline.stage(name)?;
                let key = Key::of(stage, &own.pipeline, &renamed);
                if let Some((_, same)) = stages.iter_mut().find(|(other, _)| *other == key) {
                    same.variants.push(variant.name.clone());
                    renamed.insert(name.clone(), same.common.name.clone());
                    continue;
                }
                let taken = stages.iter().any(|(_, other)| other.common.name == *name);
                let full = if taken { format!("{name}@{}", variant.name) } else { name.clone() };
                let kept = own.kept.iter().find(|kept| kept.name == *name)?;
                let mut stage = self.stage(stage, kept, &full, &renamed)?;
                stage.variants = vec![variant.name.clone()];
                renamed.insert(name.clone(), full);
                stages.push((key, stage));
            }
            names.push(renamed);
        }
        let mut sides: Vec<(usize, Node)> = Vec::new();
        for (index, own) in loaded.iter().enumerate() {
            let side = own.kept.iter().find(|kept| kept.name == MEASURE)?.table.get("sides")?.as_array()?.first()?;
            sides.push((index, renamed(side, &names[index])));
        }
        self.no_twins(declared, &sides);
        let mut stages: Vec<Stage> = stages.into_iter().map(|(_, stage)| stage).collect();
        for stage in &mut stages {
            stage.variants.retain(is_chosen);
            stage.dispensable = !stage.variants.iter().any(|name| name == base);
            if stage.dispensable {
                stage.common.on_failure = OnFailure::Continue;
            }
        }
        stages.retain(|stage| !stage.variants.is_empty());
        let first = declared.iter().position(|variant| variant.name == base)?;
        let order = [first].into_iter().chain((0..declared.len()).filter(|index| *index != first));
        let order: Vec<usize> = order.filter(|index| is_chosen(&declared[*index].name)).collect();
        if order.len() < 2 && self.problems.is_empty() {
            let problem = Problem::new("one variant alone cannot be measured against anything");
            self.problems.push(problem.help("choose another one with `--variants`"));
        }
        let measure = self.measurement(declared, loaded, &names, &sides, &order)?;
        stages.push(measure);
        let variants = order.iter().map(|index| self.variant(&declared[*index], &loaded[*index], &names[*index]));
        let variants: Vec<Variant> = variants.collect();
        let whole = &loaded[first].pipeline;
        let outputs = ["table.md", "table.json"].into_iter().zip(["markdown", "json"]).map(|(path, output)| {
            let output = OutputRef { stage: MEASURE.into(), output: output.into() };
            (
                path.to_owned(),
                OutputDecl { from: Text { pieces: vec![Piece::Outputs(vec![output])] }, unless_slower: None },
            )
        });
        Some(Pipeline {
            name: format!("{}-experiment", whole.name),
            outputs: outputs.collect(),
            stages,
            variants,
            tried: self.tried(),
            unused_templates: Vec::new(),
            ..whole.clone()
        })
    }

    /// A stage under its name among all variants.
    fn stage(&mut self, stage: &Stage, kept: &Kept, name: &str, names: &BTreeMap<String, String>) -> Option<Stage> {
        let mut table = Table::default();
        for entry in &kept.table.entries {
            let node = match (entry.key.as_str(), &entry.node.value) {
                ("name", _) => Node::new(entry.node.span.clone(), Value::String(name.into())),
                ("needs", Value::Array(items)) => {
                    let renamed = items.iter().filter_map(|item| {
                        Some(Node::new(item.span.clone(), Value::String(names.get(item.as_str()?)?.clone())))
                    });
                    Node::new(entry.node.span.clone(), Value::Array(renamed.collect()))
                }
                _ => renamed(&entry.node, names),
            };
            table.entries.push(Entry { node, ..entry.clone() });
        }
        let written = kept.written.as_table()?;
        let (_, at) = merge::stage_name(&kept.written)?;
        let written = Written { table: written, span: &kept.written.span, at, broken: false };
        let (common, kind) = read_stage(self.options.kinds, &table, &written, self.problems)?;
        let name = |name: &String| names.get(name).cloned();
        let dependencies = stage.dependencies.iter().map(|group| group.iter().filter_map(name).collect());
        Some(Stage {
            common,
            kind,
            dependencies: dependencies.filter(|group: &Vec<String>| !group.is_empty()).collect(),
            predecessor: stage.predecessor.as_ref().and_then(name),
            ..stage.clone()
        })
    }

    /// The stage that measures all variants, in that order.
    fn measurement(
        &mut self,
        declared: &[Declared],
        loaded: &[Loaded],
        names: &[BTreeMap<String, String>],
        sides: &[(usize, Node)],
        order: &[usize],
    ) -> Option<Stage> {
        let first = *order.first()?;
        let own = &loaded[first];
        let kept = own.kept.iter().find(|kept| kept.name == MEASURE)?;
        let mut table = Table::default();
        for entry in kept.table.entries.iter().filter(|entry| entry.key != "sides") {
            table.entries.push(Entry { node: renamed(&entry.node, &names[first]), ..entry.clone() });
        }
        let at = &declared[first].at;
        let chosen: Vec<Node> = order.iter().map(|index| sides[*index].1.clone()).collect();
        table.entries.push(entry("sides", at, Value::Array(chosen)));
        let written = Written { table: &table, span: at, at, broken: false };
        let (common, kind) = read_stage(self.options.kinds, &table, &written, self.problems)?;
        let mut dependencies: Vec<Vec<String>> = Vec::new();
        for index in order {
            for group in &loaded[*index].pipeline.stage(MEASURE)?.dependencies {
                let group: Vec<String> = group.iter().filter_map(|name| names[*index].get(name).cloned()).collect();
                if !group.is_empty() && !dependencies.contains(&group) {
                    dependencies.push(group);
                }
            }
        }
        let stage = own.pipeline.stage(MEASURE)?;
        Some(Stage { common, kind, dependencies, declaration: declaration(&table), ..stage.clone() })
    }

    /// Tells of variants that make the same.
    fn no_twins(&mut self, declared: &[Declared], sides: &[(usize, Node)]) {
        let what = |side: &Node| OF_A_SIDE.map(|key| side.get(key).map(Node::to_toml));
        for (at, (index, side)) in sides.iter().enumerate() {
            let Some((twin, _)) = sides[..at].iter().find(|(_, other)| what(other) == what(side)) else { continue };
            let (one, other) = (&declared[*twin], &declared[*index]);
            let message = format!("the variants `{}` and `{}` make the same", one.name, other.name);
            let problem = Problem::at(message, other.at.clone()).mark(one.at.clone(), "this one");
            self.problems
                .push(problem.help("what they differ in changes nothing of what is measured; take one of them out"));
        }
    }

    fn variant(&self, declared: &Declared, own: &Loaded, names: &BTreeMap<String, String>) -> Variant {
        let value = |name: &str| own.pipeline.vars.get(name).filter(|variable| !variable.secret);
        let set = declared.set.iter().filter_map(|entry| Some(format!("{}={}", entry.key, value(&entry.key)?.value)));
        let changes = declared.changes.entries.iter().map(|entry| (entry.key.clone(), entry.node.to_toml()));
        Variant {
            name: declared.name.clone(),
            description: declared.description.clone(),
            base: declared.base.as_ref().map(|(base, _)| base.clone()),
            set: set.collect(),
            changes: changes.collect::<toml::Table>().to_string(),
            stages: own.needed.iter().filter_map(|name| names.get(name).cloned()).collect(),
            vars: own.pipeline.vars.clone(),
            tools: own.pipeline.tools.clone(),
        }
    }
}

/// Keys of a variant that change the pipeline as a file does that extends it.
const CHANGES: [&str; 4] = ["stage", "template", "tools", "remove"];

/// Keys of `[measure]` that each variant has for itself.
const OF_A_SIDE: [&str; 3] = ["program", "env", "sizes"];

/// Keys of a comparison that an experiment writes by itself, or that make no sense in it.
const NOT_OF_MEASURE: [&str; 13] = [
    "name",
    "kind",
    "sides",
    "base-side",
    "base",
    "candidate",
    "steps",
    "base-env",
    "candidate-env",
    "costs",
    "needs",
    "when",
    "unless",
];

fn entry(key: &str, at: &Range<usize>, value: Value) -> Entry {
    Entry { key: key.into(), at: at.clone(), node: Node::new(at.clone(), value) }
}

/// The stage that measures one variant: a comparison with one side, beside one that is not there.
fn synthetic(variant: &Declared, measure: &Table) -> Node {
    let at = &variant.at;
    let text = |text: &str| Value::String(Text::literal(text).encode());
    let mut side = vec![entry("name", at, text(&variant.name))];
    if !variant.description.is_empty() {
        side.push(entry("description", at, text(&variant.description)));
    }
    if let Some((base, at)) = &variant.base {
        side.push(entry("base", at, text(base)));
    }
    for key in OF_A_SIDE {
        let common = measure.entry(key).cloned();
        let node = match (common, variant.measure.entry(key).cloned()) {
            (Some(below), Some(over)) => Some(Entry { node: merge::values(below.node, over.node), ..over }),
            (below, over) => over.or(below),
        };
        side.extend(node);
    }
    let other = variant.base.as_ref().map_or("?", |(base, _)| base);
    let other = vec![entry("name", at, text(other)), entry("missing", at, text("?"))];
    let table = |entries: Vec<Entry>| Node::new(at.clone(), Value::Table(Table { entries }));
    let mut entries = vec![
        entry("name", at, text(MEASURE)),
        entry("kind", at, text("compare")),
        entry("costs", at, Value::String(format!("${{self.build}}/../{COSTS}"))),
        entry("sides", at, Value::Array(vec![table(side), table(other)])),
    ];
    entries.extend(measure.entries.iter().filter(|entry| !OF_A_SIDE.contains(&entry.key.as_str())).cloned());
    table(entries)
}

/// The circle that a variant and its base are in.
fn ring(variant: &Declared, declared: &[Declared]) -> Option<String> {
    let mut names = vec![variant.name.as_str()];
    let mut next = variant;
    while let Some((base, _)) = &next.base {
        names.push(base);
        if *base == variant.name {
            return Some(names.join(" -> "));
        }
        if names.len() > declared.len() + 1 {
            return None;
        }
        next = declared.iter().find(|variant| variant.name == *base)?;
    }
    None
}

/// These variants, those that they are held against, and so on. No variant is its own base by way of others.
fn with_bases<'a>(names: &'a [String], declared: &'a [Declared]) -> Vec<&'a str> {
    let mut needed: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut next = 0;
    while let Some(name) = needed.get(next).copied() {
        next += 1;
        let variant = declared.iter().find(|variant| variant.name == name);
        let base = variant.and_then(|variant| variant.base.as_ref()).map(|(base, _)| base.as_str());
        needed.extend(base.filter(|base| !needed.contains(base)));
    }
    needed
}

/// What makes a stage the same as one of another variant.
#[derive(PartialEq)]
struct Key {
    name: String,
    declaration: BTreeMap<String, String>,
    /// Whether it may use other ones is known when it is planned only.
    tools: String,
    paths: Vec<(String, Option<VarValue>)>,
    producers: Vec<Vec<String>>,
    predecessor: Option<String>,
}

impl Key {
    fn of(stage: &Stage, pipeline: &Pipeline, names: &BTreeMap<String, String>) -> Key {
        let value = |name: &String| (name.clone(), pipeline.vars.get(name).map(|variable| variable.value.clone()));
        let of_tools = pipeline.tools.values().flat_map(|tool| &tool.dir).flat_map(Text::variables);
        let paths: BTreeSet<String> = stage.path_vars.iter().cloned().chain(of_tools).collect();
        let full = |name: &String| names.get(name).cloned();
        Key {
            name: stage.common.name.clone(),
            declaration: stage.declaration.clone(),
            tools: format!("{:?}", pipeline.tools),
            paths: paths.iter().map(value).collect(),
            producers: stage.dependencies.iter().map(|group| group.iter().filter_map(full).collect()).collect(),
            predecessor: stage.predecessor.as_ref().and_then(full),
        }
    }
}

/// A value with the names of stages as they are among all variants.
fn renamed(node: &Node, names: &BTreeMap<String, String>) -> Node {
    let value = match &node.value {
        Value::String(source) => match Text::parse(source) {
            Ok(mut text) => {
                for piece in &mut text.pieces {
                    let Piece::Outputs(candidates) = piece else { continue };
                    for candidate in candidates {
                        candidate.stage = names.get(&candidate.stage).unwrap_or(&candidate.stage).clone();
                    }
                }
                Value::String(text.encode())
            }
            Err(_) => node.value.clone(),
        },
        Value::Array(items) => Value::Array(items.iter().map(|item| renamed(item, names)).collect()),
        Value::Table(table) => {
            let entries =
                table.entries.iter().map(|entry| Entry { node: renamed(&entry.node, names), ..entry.clone() });
            Value::Table(Table { entries: entries.collect() })
        }
        other => other.clone(),
    };
    Node::new(node.span.clone(), value)
}
