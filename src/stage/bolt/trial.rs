//! The plan of a bolt stage for one try: as it is, without llvm-bolt, or with llvm-bolt working on some of the functions only.
//!
//! | step of the plan | in a try |
//! |---|---|
//! | checks before llvm-bolt, `check-input` | as it is, and without llvm-bolt |
//! | all else before it | always |
//! | `bolt` | with other options; or a copy of its input |
//! | `check-bolted` | not without llvm-bolt |
//! | the same of further slots, `bolt-1` | no: they differ in a path alone |
//! | `statistics`, proofs | no: they say nothing of functions |
//! | `shadow`, `strip`, checks | always |
//!
//! Unaware of why something is tried.

use camino::Utf8Path;

use super::Bolt;
use crate::plan::{Action, Arg, Command, Part, StagePlan, Step};

/// Options of llvm-bolt that choose functions. The first ones name those that it works on: they exclude options that leave others out.
const PICKS: [&str; 4] = ["funcs", "funcs-file", "funcs-no-regex", "funcs-file-no-regex"];
const SKIPS: [&str; 2] = ["skip-funcs", "skip-funcs-file"];
/// The option with which it says which functions it leaves out.
const VERBOSE: &str = "v";

/// What becomes of the stage in a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// The input takes the place of what llvm-bolt writes.
    WithoutBolt,
    /// llvm-bolt says which functions the stage leaves out.
    AsItIs,
    /// llvm-bolt works on no function, and says which there are.
    AllLeftOut,
    /// It works only on the functions whose names stand in the file, one a line.
    Only(&'a Utf8Path),
    /// As it is, with one more option.
    With(&'a str),
}

/// The steps of a bolt stage, taken apart.
#[derive(Debug)]
pub struct Trial {
    before: Vec<Step>,
    name: String,
    bolt: Command,
    after: Vec<Step>,
}

impl Trial {
    /// None: the plan has no step that is llvm-bolt.
    pub fn of(plan: &StagePlan) -> Option<Trial> {
        let (at, name, bolt) = plan.steps.iter().enumerate().find_map(|(at, step)| match &step.action {
            Action::Command(command) if is_first_bolt(&step.name) => Some((at, step.name.clone(), command.clone())),
            _ => None,
        })?;
        let after =
            plan.steps[at + 1..].iter().filter(|step| step.name != "statistics" && !is_of_further_slot(&step.name));
        let after = after.chain(&plan.checks).cloned().collect();
        Some(Trial { before: plan.steps[..at].to_vec(), name, bolt, after })
    }

    /// The name of the step that is llvm-bolt.
    pub fn step(&self) -> &str {
        &self.name
    }

    /// An option of the stage that names the functions to work on.
    pub fn picks(&self) -> Option<String> {
        let mut argv = self.bolt.argv.iter().filter_map(literal);
        argv.find(|word| option(word).is_some_and(|name| PICKS.contains(&name))).map(str::to_owned)
    }

    /// The steps of a try.
    pub fn steps(&self, change: Change) -> Vec<Step> {
        // They look at files that are the same in each try.
        let checked = matches!(change, Change::WithoutBolt | Change::AsItIs);
        let before = self.before.iter().filter(|step| checked || !step.name.starts_with("check-"));
        let mut steps: Vec<Step> = before.cloned().collect();
        let argv = match change {
            Change::WithoutBolt => {
                steps.extend(self.copied());
                let after = self.after.iter().filter(|step| !step.name.starts_with("check-bolted"));
                steps.extend(after.cloned());
                return steps;
            }
            Change::AsItIs => self.argv(&[VERBOSE], ["-v=1".into()]),
            Change::AllLeftOut => self.argv_choosing(["-skip-funcs=.*".into(), "-v=1".into()]),
            Change::Only(file) => self.argv_choosing([format!("-funcs-file-no-regex={file}").into()]),
            Change::With(option) => self.argv(&[], [option.into()]),
        };
        let bolt = Command { argv, advice: None, ..self.bolt.clone() };
        steps.push(Step::command(&self.name, bolt));
        steps.extend(self.after.iter().cloned());
        steps
    }

    /// The command line without options that choose functions, and with these.
    fn argv_choosing<const N: usize>(&self, more: [Arg; N]) -> Vec<Arg> {
        self.argv(&[&PICKS[..], &SKIPS[..], &[VERBOSE]].concat(), more)
    }

    /// The command line without some options, and with others.
    fn argv<const N: usize>(&self, without: &[&str], more: [Arg; N]) -> Vec<Arg> {
        let mut argv = Vec::new();
        let mut words = self.bolt.argv.iter();
        while let Some(word) = words.next() {
            let text = literal(word);
            if !text.and_then(option).is_some_and(|name| without.contains(&name)) {
                argv.push(word.clone());
            } else if !text.is_some_and(|text| text.contains('=')) {
                // Its value is the next word.
                words.next();
            }
        }
        // Before `-o RESULT`, where the plan has its options as well.
        let at = argv.iter().rposition(|word| literal(word) == Some("-o")).unwrap_or(argv.len());
        argv.splice(at..at, more);
        argv
    }

    /// What llvm-bolt would have read, where it would have written.
    fn copied(&self) -> Option<Step> {
        let result = self.bolt.argv.last()?.clone();
        let argv = vec!["cp".into(), "--".into(), self.bolt.argv.get(1)?.clone(), result];
        Some(Step::command("copy", Command { argv, advice: None, ..self.bolt.clone() }))
    }
}

impl Bolt {
    /// The line of the pipeline file that gives llvm-bolt one more option: `extra-options = ["-skip-funcs=f"]`.
    pub fn line_with(&self, option: &str) -> String {
        let (super::Options::Own(declared) | super::Options::More(declared)) = &self.options;
        let all = declared.iter().map(ToString::to_string).chain([option.to_owned()]);
        let all = toml::Value::Array(all.map(toml::Value::String).collect());
        format!("{} = {all}", self.options.key())
    }
}

fn is_first_bolt(name: &str) -> bool {
    matches!(name, "bolt" | "bolt-0")
}

/// `shadow-1`, but not `shadow-0`.
fn is_of_further_slot(name: &str) -> bool {
    name.rsplit_once('-').and_then(|(_, number)| number.parse::<u32>().ok()).is_some_and(|number| number > 0)
}

/// What a word of a command line begins with, as far as the pipeline file says it.
fn literal(word: &Arg) -> Option<&str> {
    match word.parts.first() {
        Some(Part::Literal(text)) => Some(text),
        _ => None,
    }
}

/// The name of an option: `-skip-funcs=f` and `--skip-funcs` are `skip-funcs`.
fn option(word: &str) -> Option<&str> {
    let name = word.strip_prefix('-')?;
    name.strip_prefix('-').unwrap_or(name).split('=').next()
}
