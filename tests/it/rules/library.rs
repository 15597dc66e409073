//! A pipeline is run by the library alone, as another program would: no command line, and nothing is printed.

use std::collections::BTreeMap;
use std::sync::Arc;

use optbuild::event::{Event, Outcome, StageState, Stamped};
use optbuild::facts::Facts;
use optbuild::names::StageName;
use optbuild::pipeline::{self, LoadOptions};
use optbuild::run::control::Control;
use optbuild::run::project::Project;
use optbuild::run::scheduler::{Budget, FailurePolicy};
use optbuild::run::select::Request;
use optbuild::run::session::{Finished, Listener, Options, Session};
use optbuild::stage;
use optbuild::state::layout::Layout;
use optbuild::state::store::State;

use crate::support::{OPTBUILD, Test};

/// Names what it hears.
#[derive(Default)]
struct Heard(Vec<String>);

impl Listener for Heard {
    fn event(&mut self, stamped: &Stamped) {
        let what = match &stamped.event {
            Event::RunStarted { pipeline, .. } => format!("begins {pipeline}"),
            Event::RunFinished { outcome, .. } => format!("ends {outcome:?}"),
            event => match event.stage_state() {
                Some((stage, state)) => format!("{stage} {state:?}"),
                None => return,
            },
        };
        self.0.push(what);
    }
}

fn project(test: &Test) -> Project {
    let (env, host) = (|_: &str| None, "x86_64-unknown-linux-gnu");
    let options = LoadOptions { set: &[], env: &env, cwd: &test.dir, host, kinds: &stage::KINDS, incomplete: false };
    let loaded = pipeline::load(&test.path("p.toml"), &options);
    let pipeline = loaded.unwrap_or_else(|error| panic!("{}", error.render(false)));
    let layout = Layout::new(test.path(".optbuild"));
    let state = Arc::new(State::open(layout.root(), true).unwrap());
    Project::new(pipeline, Facts::live(), layout, Some(state), stage::plan).unwrap()
}

fn run(test: &Test) -> (Finished, Vec<String>) {
    let project = project(test);
    let options = Options {
        words: vec!["run".into(), "p.toml".into()],
        cwd: test.dir.clone(),
        request: Request::default(),
        still_forced: None,
        budget: Budget { slots: 1, memory: u64::MAX },
        policy: FailurePolicy::Finish,
        out: None,
        put_anyway: false,
        optbuild: OPTBUILD.into(),
        supervisor: OPTBUILD.into(),
    };
    let mut heard = Heard::default();
    let session = Session::begin(&project, &options.words).unwrap();
    // Nobody else can work there meanwhile.
    assert!(Session::begin(&project, &options.words).is_err());
    let finished = session.run(&options, &Arc::new(Control::default()), &mut heard).unwrap();
    assert!(finished.told.is_ok());
    (finished, heard.0)
}

fn states(states: [(&str, StageState); 2]) -> BTreeMap<StageName, StageState> {
    states.into_iter().map(|(name, state)| (name.into(), state)).collect()
}

#[test]
fn a_pipeline_is_run_without_a_command_line() {
    let stage = |name: &str, script: &str| {
        format!("[[stage]]\nname = '{name}'\nkind = 'command'\nshell = true\nrun = '''{script}'''\n")
    };
    let test = Test::new([
        "[outputs]\nresult = '${b.out}/x'\n".to_owned(),
        stage("a", "echo one > ${self.out}/x"),
        stage("b", "cp ${a.out}/x ${self.out}/x"),
    ]);
    let (finished, heard) = run(&test);
    assert_eq!(finished.end.outcome, Outcome::Done);
    assert_eq!(finished.end.stages, states([("a", StageState::Done), ("b", StageState::Done)]));
    assert_eq!(heard, ["begins p", "a Running", "a Done", "b Running", "b Done", "ends Done"]);
    assert_eq!(finished.published.unwrap().files, [(test.path("out/p/result"), true)]);
    assert_eq!(test.read("out/p/result"), "one\n");

    let (finished, heard) = run(&test);
    assert_eq!(finished.end.stages, states([("a", StageState::UpToDate), ("b", StageState::UpToDate)]));
    assert_eq!(heard, ["begins p", "a UpToDate", "b UpToDate", "ends Done"]);

    test.change("echo one", "false");
    let (finished, heard) = run(&test);
    assert_eq!((finished.end.outcome, finished.end.environment), (Outcome::Failed, false));
    assert_eq!(heard, ["begins p", "a Running", "a Failed", "ends Failed"]);
    // The command line sees what the library has done.
    let _ = test.cmd("resume").code(1).err("a failed: exited with status 1");
}
