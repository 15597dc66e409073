//! A kind of stages is one file and one line: `echo`, which only this test knows, goes all the way.

use std::collections::BTreeSet;
use std::process::Command as Process;

use super::support::{Files, HOST};
use optbuild::facts::Facts;
use optbuild::pipeline::{self, Answers, Keys, KindEntry, Kinds, LoadOptions, Pipeline, Text};
use optbuild::plan::shell::{Environment, script};
use optbuild::plan::{Arg, Command, Output, Step, Symbol};
use optbuild::stage::{self, Context, Declaration, PlanError, StageKind, TABLE, kind};
use schemars::JsonSchema;
use serde::Deserialize;

// ------------------------------------------------------------------------------------------------------------- the file

/// Writes a word into a file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct EchoKeys {
    /// What is written.
    word: Text,
    /// How often.
    #[serde(default)]
    times: Option<u32>,
}

/// What the keys say, and cannot say: nothing is written no times.
#[derive(Debug)]
struct Echo {
    words: Vec<Text>,
}

impl Declaration for EchoKeys {
    const NAME: &'static str = "echo";
    type Parsed = Echo;

    fn parse(self, keys: &mut Keys) -> Option<Echo> {
        if self.times == Some(0) {
            keys.wrong("times", "a word is written at least once", "take `times` out");
            return None;
        }
        Some(Echo { words: vec![self.word; self.times.unwrap_or(1) as usize] })
    }
}

impl StageKind for Echo {
    fn answers(&self) -> Answers {
        Answers { outputs: vec!["out".into(), "file".into()], ..Answers::default() }
    }

    fn plan(&self, cx: &mut Context) -> Result<(), PlanError> {
        let file = Arg::from(Symbol::Out).join("words.txt");
        let mut argv = vec!["printf".into(), "%s\\n".into()];
        for word in &self.words {
            argv.push(cx.arg(word)?);
        }
        let command = Command { stdout: Some(file.clone()), ..cx.command(argv) };
        cx.step(Step::command("echo", command));
        for (name, path) in [("out", Symbol::Out.into()), ("file", file)] {
            cx.plan.outputs.push(Output { name: name.into(), path, portable: true, show: false });
        }
        Ok(())
    }
}

// ------------------------------------------------------------------------------------------------------------- the line

const LINE: KindEntry = kind::<EchoKeys>();

// --------------------------------------------------------------------------------------------------------- what comes of it

/// With `command`, to have a neighbour.
const ALL: &[KindEntry] = &[TABLE[6], LINE];
static KINDS: Kinds = Kinds::new(ALL);

fn load(files: &Files) -> Result<Pipeline, pipeline::LoadError> {
    let cwd = files.root();
    let options =
        LoadOptions { set: &files.set, env: &|_| None, cwd: &cwd, host: HOST, kinds: &KINDS, incomplete: false };
    pipeline::load("p.toml".into(), &options)
}

const PIPELINE: &str = r#"
    [vars]
    word = "hello"
    [outputs]
    words = "${twice.file}"
    [[stage]]
    name = "twice"
    kind = "echo"
    word = "${word}"
    times = 2
    [[stage]]
    name = "after"
    kind = "command"
    run = ["cat", "${twice.file}"]
"#;

#[test]
fn it_is_loaded_shown_planned_and_run() {
    let files = Files::one(PIPELINE).set("word=it's me");
    let pipeline = load(&files).unwrap();
    let twice = pipeline.stage("twice").unwrap();
    assert_eq!((twice.kind.name, pipeline.stage("after").unwrap().dependencies.len()), ("echo", 1));
    assert!(twice.text.contains("kind = \"echo\"\nword = \"${word}\"\ntimes = 2\n"), "{}", twice.text);
    assert_eq!(twice.declaration["times"], "2");

    let facts = Facts::live();
    let plan = |name: &str| stage::plan(&pipeline, &facts, name, &BTreeSet::new()).unwrap();
    let plans = [plan("twice"), plan("after")];
    let environment = Environment { base: &["PATH"], secret: &[] };
    let text = script(&pipeline, &plans, environment);
    files.write("script", text.as_bytes());
    let output = Process::new("bash").args(["script", "made"]).current_dir(files.root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "it's me\nit's me\n");
    assert_eq!(std::fs::read_to_string(files.root().join("made/words")).unwrap(), "it's me\nit's me\n");
}

#[test]
fn it_is_checked_like_any_other() {
    let errors = |from: &str, to: &str| load(&Files::one(&PIPELINE.replacen(from, to, 1))).unwrap_err().render(false);
    assert!(errors("times = 2", "tmies = 2").contains("the echo stage `twice` has no key `tmies`"));
    assert!(errors("times = 2", "tmies = 2").contains("did you mean `times`?"));
    assert!(errors("times = 2", "times = 'x'").contains("`times` takes an integer, not a string"));
    let never = errors("times = 2", "times = 0");
    assert!(never.contains("a word is written at least once") && never.contains("--> p.toml:10:13"), "{never}");
    assert!(errors("twice.file", "twice.fil").contains("the stage `twice` has no output `fil`"));
    assert!(errors("kind = \"echo\"", "kind = \"ehco\"").contains("did you mean `echo`?"));
    // Others do not have it.
    assert!(Files::one(PIPELINE).errors("p.toml").contains("there is no kind of stage `echo`"));
}

#[test]
fn it_stands_in_the_schema_and_in_the_reference() {
    let schema = serde_json::Value::from(pipeline::schema(&KINDS));
    assert_eq!(schema["$defs"]["echo-stage"]["properties"]["kind"]["const"], "echo");
    assert_eq!(schema["$defs"]["Common"]["properties"]["kind"]["enum"], serde_json::json!(["command", "echo"]));
    let reference = super::tables::tables(&KINDS);
    assert!(reference.contains("## `kind = \"echo\"`\n\nWrites a word into a file.\n"), "{reference}");
    assert!(reference.contains("| `word` | string, required | What is written. |"), "{reference}");
}
