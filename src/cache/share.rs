//! Which stages are shared, and what is asked of a cache for one.
//!
//! | not shared | because |
//! |---|---|
//! | what measures: comparisons, profiles that `perf` has sampled | it tells of one machine |
//! | a stage whose inputs are not known whole | two builds of one fingerprint may not be the same |
//! | a stage with a secret, in a cache without a salt | its key would let the secret be guessed |
//! | an output that does not lie in `${self.out}` | it cannot be put in place elsewhere |
//!
//! What has a path compiled in, and a profile in which names of functions may hold one, is good at the same place only. Unaware of stores.

use camino::{Utf8Path, Utf8PathBuf};

use crate::event::Fact;
use crate::names::{FingerprintId, StageName};
use crate::pipeline::{Pipeline, Stage, VarValue};
use crate::plan::{Action, Arg, Part, StagePlan, Symbol};
use crate::state::fingerprint::Fingerprint;

/// What is asked of a cache for a stage.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub stage: StageName,
    pub kind: String,
    pub fingerprint: FingerprintId,
    /// For explanations.
    pub parts: Fingerprint,
    pub outputs: Vec<Expected>,
    /// The paths that have to be the same, of a stage that is good there only.
    pub place: Option<String>,
    /// It is built for the processor that it is built on.
    pub native: bool,
    /// Its fingerprint holds a secret.
    pub secret: bool,
    /// The directories of the pipeline's files, which never leave the machine.
    pub dirs: Vec<Utf8PathBuf>,
}

/// An output, as the plan has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    pub name: String,
    /// Below `${self.out}`; a pattern where its name holds the hash of its content.
    pub path: Utf8PathBuf,
    pub portable: bool,
    pub show: bool,
}

/// Why a stage is not shared, as a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unshared(pub String);

/// What is to be asked for a stage with this fingerprint, in a state directory at this path.
///
/// # Errors
/// It is not shared.
pub fn wanted(
    stage: &Stage,
    plan: &StagePlan,
    fingerprint: &Fingerprint,
    pipeline: &Pipeline,
    root: &Utf8Path,
) -> Result<Wanted, Unshared> {
    let answers = &stage.kind.answers;
    if answers.measures {
        return Err(Unshared("it measures, which tells of this machine only".into()));
    }
    if answers.gathers.as_ref().is_some_and(|gathers| gathers.sampled) {
        return Err(Unshared("its profile is sampled, which tells of this machine only".into()));
    }
    if let Some(unclear) = unclear(stage, plan, fingerprint) {
        return Err(Unshared(unclear));
    }
    let outputs = plan.outputs.iter().map(|output| {
        let path = below_out(&output.path)
            .ok_or_else(|| Unshared(format!("where its output `{}` lies is not known", output.name)))?;
        Ok(Expected { name: output.name.clone(), path, portable: output.portable, show: output.show })
    });
    let outputs = outputs.collect::<Result<Vec<_>, _>>()?;
    let fixed = outputs.iter().any(|output| !output.portable) || names_hold_paths(stage, pipeline);
    let mut native = false;
    plan.each_arg(&mut |arg| native |= arg.parts.iter().any(is_native));
    Ok(Wanted {
        stage: (&stage.common.name).into(),
        kind: stage.kind.name.into(),
        fingerprint: fingerprint.id(),
        parts: fingerprint.clone(),
        outputs,
        place: fixed.then(|| format!("{root}\n{}", pipeline.dirs.first().map_or("", |dir| dir.as_str()))),
        native,
        secret: holds_secret(stage, plan, pipeline),
        dirs: pipeline.dirs.clone(),
    })
}

/// Facts that may leave the machine: paths of this machine become names, and what still names the user stays here.
pub fn facts(facts: &[Fact], dirs: &[Utf8PathBuf], root: &Utf8Path) -> Vec<Fact> {
    let home = std::env::var("HOME").unwrap_or_default();
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_default();
    let mut places: Vec<(&str, &str)> = vec![(root.as_str(), "<state>")];
    places.extend(dirs.iter().map(|dir| (dir.as_str(), "<pipeline>")));
    places.extend((home.len() > 1).then_some((home.as_str(), "~")));
    let clean = |fact: &Fact| {
        let name = places.iter().fold(fact.name.clone(), |name, (path, word)| name.replace(path, word));
        Fact { name, ..fact.clone() }
    };
    let told = |fact: &Fact| user.len() < 3 || user == "root" || !fact.name.contains(&format!("/{user}"));
    facts.iter().map(clean).filter(told).collect()
}

/// The path of an output below `${self.out}`.
fn below_out(path: &Arg) -> Option<Utf8PathBuf> {
    let (first, rest) = path.parts.split_first()?;
    if *first != Part::Symbol(Symbol::Out) {
        return None;
    }
    let mut below = String::new();
    for part in rest {
        let Part::Literal(text) = part else { return None };
        below.push_str(text);
    }
    (below.is_empty() || below.starts_with('/')).then(|| below.trim_matches('/').into())
}

/// `-march=native` and its relatives.
fn is_native(part: &Part) -> bool {
    const FLAGS: [&str; 4] = ["march=native", "mtune=native", "mcpu=native", "target-cpu=native"];
    matches!(part, Part::Literal(text) if FLAGS.iter().any(|flag| text.contains(flag)))
}

/// Programs that get something whose content no fingerprint has.
const FETCHING: [&str; 8] = ["curl", "wget", "scp", "rsync", "ssh", "pip", "npm", "apt-get"];

/// What of these directories is meant is known by the platform.
const OF_THE_SYSTEM: [&str; 7] = ["/usr/", "/bin/", "/sbin/", "/lib", "/dev/", "/proc/self/", "/etc/ssl/"];

/// What a stage reads that its fingerprint does not know, as a sentence.
fn unclear(stage: &Stage, plan: &StagePlan, fingerprint: &Fingerprint) -> Option<String> {
    let variable = fingerprint.configuration.keys().find_map(|part| part.strip_prefix("variable."));
    if let Some(name) = variable {
        return Some(format!(
            "what lies at the path of the variable `{name}` is not watched, so it is not known what the stage is made from; \
             `inputs = [\"${{{name}}}\"]` watches it"
        ));
    }
    if stage.kind.name != "command" {
        return None;
    }
    for step in &plan.steps {
        let Action::Command(command) = &step.action else { continue };
        let args = command.argv.iter().chain(command.env.values());
        let found = args.flat_map(|arg| &arg.parts).enumerate().find_map(|(index, part)| match part {
            Part::Literal(text) => reads_unknown(text, index, plan),
            _ => None,
        });
        if found.is_some() {
            return found;
        }
    }
    None
}

/// The same of a text of a command. `index`: of the part in the whole, because what follows a place is a path below it.
fn reads_unknown(text: &str, index: usize, plan: &StagePlan) -> Option<String> {
    let separates = |c: char| c.is_whitespace() || "\"'=:;|&()<>,`".contains(c);
    let mut at_start = index > 0;
    let mut before = "";
    for word in text.split(separates) {
        let follows = std::mem::take(&mut at_start);
        if word.is_empty() {
            continue;
        }
        let program = word.rsplit('/').next().unwrap_or(word);
        let of_git = before == "git" && ["clone", "fetch", "pull"].contains(&word);
        if of_git || FETCHING.contains(&program) {
            let program = if of_git { format!("git {word}") } else { program.to_owned() };
            return Some(format!("its command runs `{program}`, and what that gets is in no fingerprint"));
        }
        before = program;
        let path = Utf8Path::new(word);
        if follows || !word.starts_with('/') || word.len() < 2 || OF_THE_SYSTEM.iter().any(|dir| word.starts_with(dir))
        {
            continue;
        }
        let known = plan.sources.iter().any(|source| path.starts_with(&source.path))
            || plan.tools.iter().any(|tool| tool.path == path);
        if !known && path.exists() {
            return Some(format!(
                "its command names {word}, which is not watched, so it is not known what the stage is made from; \
                 `inputs = [\"{word}\"]` watches it"
            ));
        }
    }
    None
}

/// Whether names of functions in a profile may hold the path that the program was compiled by. cmake and cargo stages, and `command`
/// stages with `pgo`, see to it that they do not; what another build does with flags of its own is not known.
fn names_hold_paths(stage: &Stage, pipeline: &Pipeline) -> bool {
    let Some(gathers) = &stage.kind.answers.gathers else { return false };
    let producers = gathers.instrumented.outputs().flatten();
    let mut builds = producers.filter_map(|output| pipeline.stage(&output.stage));
    builds.any(|build| build.kind.name == "command" && !build.declaration.contains_key("pgo"))
}

/// Parts of names of variables whose values are secrets.
const SECRET: [&str; 6] = ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "PRIVATE_KEY"];

fn holds_secret(stage: &Stage, plan: &StagePlan, pipeline: &Pipeline) -> bool {
    let mut secret = false;
    plan.each_arg(&mut |arg| secret |= arg.parts.iter().any(|part| matches!(part, Part::Secret { .. })));
    let named = |name: &String| SECRET.iter().any(|word| name.to_uppercase().contains(word));
    let secrets = pipeline.vars.values().filter(|variable| variable.secret);
    let mut values = secrets.filter_map(|variable| match &variable.value {
        VarValue::String(text) if !text.is_empty() => Some(text.clone()),
        VarValue::Path(path) => Some(path.to_string()),
        _ => None,
    });
    secret
        || plan.passed_env.keys().any(named)
        || values.any(|value| stage.declaration.values().any(|text| text.contains(&value)))
}
