//! Plays a scripted run to the console, to look at: `cargo run --example replay -- [plain|github|quiet|verbose|nothing|fail] [SPEED]`.

use std::time::Duration;

use jiff::Timestamp;
use optbuild::report::{Console, ConsoleOptions, Listener, Mode, Previous, RunSummary, Verbosity};
use optbuild::run::event::{Event, Failure, Outcome, OutputInfo, Stamped, Usage};

const STAGES: [(&str, f64, u64); 10] = [
    ("lib-instrumented", 3.1, 4_812_723),
    ("shell-on-instrumented", 2.2, 1_912_000),
    ("lib-gather", 4.4, 1_204_000),
    ("lib-plain", 2.9, 1_812_723),
    ("shell-instrumented", 2.5, 2_500_000),
    ("shell-gather", 2.0, 204_000),
    ("lib-bolt-instrumented", 0.8, 9_812_723),
    ("lib-bolt-gather", 3.4, 804_000),
    ("lib-bolt", 1.2, 2_412_723),
    ("shell", 4.2, 1_212_723),
];

struct Play {
    console: Console,
    speed: f64,
}

impl Play {
    fn say(&mut self, event: Event) {
        let stamped = Stamped { time: Timestamp::now(), event };
        if let Err(error) = self.console.event(&stamped) {
            eprintln!("{error:#}");
        }
    }

    fn wait(&mut self, seconds: f64) {
        let ticks = (seconds * 8.0 / self.speed).ceil() as u32;
        for _ in 0..ticks {
            std::thread::sleep(Duration::from_millis(125));
            self.console.tick();
        }
    }

    fn step(&mut self, stage: &str, step: &str, seconds: f64, outcome: Outcome) {
        self.say(Event::StepStarted {
            stage: stage.into(),
            step: step.into(),
            command: format!("cmake --build . --target {stage}"),
            cwd: "/tmp/state/stages/build".into(),
            log: format!("/tmp/logs/{stage}/{step}.log").into(),
        });
        self.wait(seconds);
        let usage = Usage { wall: seconds, user: seconds * 1.6, system: seconds * 0.1, peak_memory: 312 << 20 };
        self.say(Event::StepFinished { stage: stage.into(), step: step.into(), outcome, usage });
    }

    fn start(&mut self, stage: &str, expected: f64) {
        self.say(Event::StageStarted {
            stage: stage.into(),
            fingerprint: "0123456789abcdef".into(),
            reasons: vec!["it was never done".into()],
            expected: Some(expected),
            jobs: 2,
        });
        self.say(Event::Note { stage: stage.into(), text: "this llvm-bolt has no cdsort".into() });
    }

    fn finish(&mut self, stage: &str, duration: f64, bytes: u64, failure: Option<Failure>, tolerated: bool) {
        let outcome = if failure.is_some() { Outcome::Failed } else { Outcome::Done };
        let output =
            |name: &str, bytes| OutputInfo { name: name.into(), path: "/tmp/out".into(), bytes, files: 3, show: false };
        let mut outputs = vec![output("out", bytes)];
        if stage.starts_with("lib") {
            outputs.push(output("lib", bytes / 2));
        }
        let outputs = if failure.is_some() { vec![] } else { outputs };
        let stage = stage.to_owned();
        self.say(Event::StageFinished { stage, outcome, duration, hashing: 0.05, outputs, failure, tolerated });
    }

    fn pool(&mut self, stage: &str, seconds: f64) {
        let names = ["joins", "inserts", "aggregates", "full-text", "json", "windows"];
        let workloads = names.len();
        self.say(Event::PoolStarted { stage: stage.into(), step: "gather".into(), workloads, committed: 0 });
        for name in names {
            self.step(stage, name, seconds / workloads as f64, Outcome::Done);
            self.say(Event::WorkloadCommitted { stage: stage.into(), workload: name.into(), attempt: 1 });
        }
        let usage = Usage::default();
        self.say(Event::StepFinished { stage: stage.into(), step: "gather".into(), outcome: Outcome::Done, usage });
        for (name, value, unit) in
            [("raw-profiles", 6.0, "files"), ("raw-bytes", 7_812_723.0, "bytes"), ("functions", 1402.0, "")]
        {
            let (name, unit) = (name.into(), unit.into());
            self.say(Event::Fact { stage: stage.into(), step: "merge".into(), name, value, unit });
        }
    }
}

fn failure(stage: &str) -> Failure {
    Failure {
        step: "optimize".into(),
        what: "the command exited with status 1".into(),
        command: format!(
            "cd /tmp/state/stages/{stage}/build && env LC_ALL=C llvm-bolt -o out.so -data profile.fdata in.so"
        ),
        log: Some(format!("/tmp/state/runs/1/logs/{stage}/optimize.log").into()),
        tail: (1..=5)
            .map(|n| format!("BOLT-INFO: \u{1b}[32mline\u{1b}[0m {n}"))
            .chain(["BOLT-ERROR: unable to handle".into()])
            .collect(),
        environment: false,
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| args.iter().any(|arg| arg == word);
    let speed = args.iter().find_map(|arg| arg.parse().ok()).unwrap_or(1.0);
    let mode = match () {
        () if has("plain") => Mode::Plain,
        () if has("github") => Mode::GithubActions,
        () => Mode::detect(),
    };
    let mut previous = RunSummary::default();
    for (stage, duration, bytes) in STAGES {
        let outputs = vec![OutputInfo {
            name: "out".into(),
            path: "/tmp/out".into(),
            bytes: bytes * 11 / 10,
            files: 1,
            show: false,
        }];
        let event = Event::StageFinished {
            stage: stage.into(),
            outcome: Outcome::Done,
            duration: duration * 1.1,
            hashing: 0.0,
            outputs,
            failure: None,
            tolerated: false,
        };
        previous.add(&Stamped { time: Timestamp::now(), event });
    }
    let mut options = ConsoleOptions::new(mode);
    options.verbosity = match () {
        () if has("quiet") => Verbosity::Quiet,
        () if has("verbose") => Verbosity::Verbose,
        () => Verbosity::Normal,
    };
    options.previous = Some(Previous::from(&previous));
    options.last_line = Some(Box::new(|log| {
        Some(format!("[12/40] Building C object 日本語/{log}.o with a long line that goes on and on and on"))
    }));
    let mut play = Play { console: Console::new(options), speed };
    play.say(Event::RunStarted {
        run: "20221004-140211".into(),
        pipeline: "demo".into(),
        file: "pipelines/demo/pipeline.toml".into(),
        pipeline_hash: String::new(),
        args: vec!["run".into(), "demo".into()],
        vars: Default::default(),
        forced: vec![],
        stages: STAGES.iter().map(|(stage, ..)| (*stage).to_owned()).chain(["verify".into(), "table".into()]).collect(),
        jobs: 2,
        version: "0.1.0".into(),
        pid: 1,
    });
    let nothing = has("nothing");
    let begin = std::time::Instant::now();
    for (index, (stage, duration, bytes)) in STAGES.into_iter().enumerate() {
        if nothing || index < 2 {
            play.say(Event::StageUpToDate { stage: stage.into(), fingerprint: String::new(), saved: duration });
            continue;
        }
        if index != 4 {
            play.start(stage, duration * 1.1);
        }
        let fails = has("fail") && stage == "lib-bolt";
        let tolerated = has("tolerate") && stage == "lib-bolt";
        if stage.ends_with("gather") {
            play.pool(stage, duration / speed);
        } else if index == 3 {
            play.start("shell-instrumented", 2.0);
            play.step(stage, "configure", duration, Outcome::Done);
            play.finish(stage, duration, bytes, None, false);
            continue;
        } else if fails || tolerated {
            play.step(stage, "optimize", duration, Outcome::Failed);
        } else {
            play.step(stage, "configure", duration / 2.0, Outcome::Done);
            play.step(stage, "build", duration / 2.0, Outcome::Done);
        }
        play.finish(stage, duration, bytes, (fails || tolerated).then(|| failure(stage)), tolerated);
        if fails {
            break;
        }
    }
    if !nothing && !has("fail") {
        play.say(Event::StageBlocked { stage: "table".into(), by: "lib-bolt".into() });
    }
    play.say(Event::StageSkipped { stage: "verify".into(), reason: "outside of the selection".into() });
    let outcome = if has("fail") { Outcome::Failed } else { Outcome::Done };
    play.say(Event::RunFinished { outcome, duration: begin.elapsed().as_secs_f64() * speed });
    if let Err(error) = play.console.finish() {
        eprintln!("{error:#}");
    }
}
