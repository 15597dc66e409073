//! Makes plans of single stages, and runs their commands one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command as Process;

use camino::{Utf8Path, Utf8PathBuf};
use optbuild::facts::Facts;
use optbuild::pipeline::{self, Pipeline, VarValue, Variable};
use optbuild::plan::{Action, Arg, Late, Part, StagePlan, Symbol};
use optbuild::stage::{self, PlanError};

/// A pipeline of one stage `s`, with path variables. `common` and `keys` are its keys in TOML; what is wrong with them is the error.
pub fn try_pipeline(
    kind: &str,
    tools: &str,
    vars: &[(&str, &Utf8Path)],
    common: &str,
    keys: &str,
) -> Result<Pipeline, String> {
    // Keys before tables: those of the kind may end in one.
    let text = format!("name = \"s\"\nkind = \"{kind}\"\n{common}\n{keys}");
    let stage = pipeline::stage(&text, &stage::KINDS).map_err(|error| error.to_string())?;
    let variable = |path: &Utf8Path| Variable {
        value: VarValue::Path(path.to_owned()),
        secret: false,
        given: None,
        description: String::new(),
        kind: optbuild::pipeline::VarType::Path,
        default: None,
        choices: Vec::new(),
    };
    Ok(Pipeline {
        name: "test".into(),
        description: String::new(),
        file: "/p/pipeline.toml".into(),
        dirs: vec!["/p".into()],
        vars: vars.iter().map(|(name, path)| (name.to_string(), variable(path))).collect(),
        tools: toml::from_str(tools).unwrap(),
        outputs: Default::default(),
        stages: vec![stage],
        ..Pipeline::default()
    })
}

/// The same of keys that are right.
pub fn pipeline(kind: &str, tools: &str, vars: &[(&str, &Utf8Path)], common: &str, keys: &str) -> Pipeline {
    try_pipeline(kind, tools, vars, common, keys).unwrap_or_else(|error| panic!("{error}"))
}

pub fn plan(pipeline: &Pipeline, facts: &Facts) -> Result<StagePlan, PlanError> {
    stage::plan(pipeline, facts, "s", &BTreeSet::new())
}

/// A line for each step: its name, then environment and arguments as a plan shows them.
pub fn shown(plan: &StagePlan) -> Vec<String> {
    let line = |args: &[Arg]| args.iter().map(Arg::to_string).collect::<Vec<_>>().join(" ");
    let steps = plan.steps.iter().map(|step| match &step.action {
        Action::Command(command) => {
            let env: String = command.env.iter().map(|(name, value)| format!("{name}={value} ")).collect();
            format!("{}: {env}{}", step.name, line(&command.argv))
        }
        Action::Op(op) => format!("{}: op {}", step.name, line(&op.argv)),
        Action::Pool(_) => panic!("builds have no pools"),
    });
    steps.map(|step| step.replace('\u{1f}', "␟")).collect()
}

/// Directories that stand for those of the runner.
pub struct Bench {
    pub dir: Utf8PathBuf,
    _guard: tempfile::TempDir,
    /// Where outputs of other stages are, by `stage.output`.
    pub outputs: BTreeMap<String, Utf8PathBuf>,
}

impl Bench {
    pub fn new() -> Bench {
        // Spaces: they must survive CMake's flags and cargo's configuration.
        let guard = tempfile::Builder::new().prefix("a bench ").tempdir().unwrap();
        let dir = Utf8PathBuf::from_path_buf(guard.path().canonicalize().unwrap()).unwrap();
        Bench { dir, _guard: guard, outputs: BTreeMap::new() }
    }

    /// Writes files below the directory.
    pub fn write(&self, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = self.dir.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }

    fn resolve(&self, arg: &Arg) -> String {
        arg.render(|part| match part {
            Part::Literal(text) | Part::Limit(text) => text.clone(),
            Part::Tool { path, .. } | Part::Place { path, .. } => path.to_string(),
            Part::Symbol(Symbol::Jobs) => "2".into(),
            Part::Symbol(symbol) => self.dir.join(symbol.name()).into(),
            Part::Late(Late::Path(output)) => self.outputs[&output.to_string()].to_string(),
            Part::Late(Late::Hash(_)) | Part::Secret { .. } => panic!("not in builds"),
        })
    }

    /// Runs the steps; captures are copies, checks of profiles are left out. Returns what the commands printed.
    pub fn run(&self, plan: &StagePlan) -> String {
        assert_eq!(plan.gaps, [], "this test needs the tools that the README installs");
        let mut printed = String::new();
        for step in &plan.steps {
            match &step.action {
                Action::Command(command) => {
                    let argv: Vec<String> = command.argv.iter().map(|arg| self.resolve(arg)).collect();
                    let cwd = self.resolve(&command.cwd);
                    std::fs::create_dir_all(&cwd).unwrap();
                    let env = command.env.iter().map(|(name, value)| (name, self.resolve(value)));
                    let output = Process::new(&argv[0])
                        .args(&argv[1..])
                        .envs(env)
                        // What a terminal or cargo's own test run has set is not in a runner's environment.
                        .env_remove("RUSTUP_TOOLCHAIN")
                        .env_remove("CARGO_TARGET_DIR")
                        .current_dir(cwd)
                        .output()
                        .unwrap();
                    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
                    assert!(output.status.success(), "{argv:?}\n{text}");
                    printed.push_str(&text);
                }
                Action::Op(op) if step.name.starts_with("capture") => {
                    let (from, to) = (self.resolve(&op.argv[2]), Utf8PathBuf::from(self.resolve(&op.argv[4])));
                    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
                    std::fs::copy(from, to).unwrap();
                }
                Action::Op(_) => {
                    assert!(["check-profile", "check-profile-use"].contains(&step.name.as_str()), "{}", step.name)
                }
                Action::Pool(_) => panic!("builds have no pools"),
            }
        }
        printed
    }

    /// What a shell command prints.
    pub fn sh(&self, script: &str) -> String {
        let output = Process::new("sh").args(["-euc", script]).current_dir(&self.dir).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}\n{text}");
        text.into_owned()
    }
}
