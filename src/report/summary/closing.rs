//! The last lines of a run: what failed, how to go on, and one sentence that says how it ended.

use super::{RunSummary, StageSummary, Status};
use crate::event::Outcome;
use crate::text;

/// The command lines that go on with a run. What a person typed is known to the command line only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Again {
    /// `optbuild resume`, with the options that find the run again.
    pub resume: String,
    /// `optbuild run demo`, to which `--from STAGE` can be added.
    pub run: String,
}

impl Again {
    /// As the run was begun, for who is where it was.
    pub fn of(run: &RunSummary) -> Again {
        let words = ["optbuild"].into_iter().chain(run.args.iter().map(String::as_str));
        let run = match run.args.first().map(String::as_str) {
            Some("run") => shlex::try_join(words).ok(),
            _ => None,
        }
        .unwrap_or_else(|| format!("optbuild run {}", run.pipeline));
        Again { resume: "optbuild resume".into(), run }
    }
}

/// A line for each failure: first those that were tolerated.
pub fn failures(run: &RunSummary) -> Vec<String> {
    let line = |stage: &&StageSummary| {
        let tolerated = stage.status == Status::Failed { tolerated: true };
        let verdict = if tolerated { "failed, tolerated (on-failure = continue)" } else { "failed" };
        let what = stage.failure.as_ref().map(|failure| format!(": {}", failure.what)).unwrap_or_default();
        let log = stage.failure.as_ref().and_then(|failure| failure.log.as_ref());
        let log = log.map(|log| format!("\n  log: {log}")).unwrap_or_default();
        format!("{} {verdict}{what}{log}", stage.name)
    };
    let tolerated = run.with(|status| *status == Status::Failed { tolerated: true });
    tolerated.iter().chain(&run.with(|status| *status == Status::Failed { tolerated: false })).map(line).collect()
}

/// How to go on after a failure, a line each; nothing if the run did not fail.
pub fn remedies(run: &RunSummary, again: &Again) -> Vec<String> {
    let failed = run.with(|status| matches!(status, Status::Failed { .. }));
    let Some(stage) =
        failed.iter().find(|stage| stage.status == Status::Failed { tolerated: false }).or(failed.first())
    else {
        return Vec::new();
    };
    if run.outcome != Some(Outcome::Failed) {
        return Vec::new();
    }
    let from = format!("{} --from {}", again.run, stage.name);
    let width = text::width(&again.resume).max(text::width(&from));
    let mut lines = Vec::new();
    if failed.iter().any(|stage| stage.failure.as_ref().is_some_and(|failure| failure.environment)) {
        lines.push(
            "a tool, a disk or a permission is missing on this machine; `optbuild doctor` checks them".to_owned(),
        );
    }
    lines.push(format!("{}  # goes on where this run stopped", text::pad(&again.resume, width)));
    lines.push(format!("{}  # {} again, and what depends on it", text::pad(&from, width), stage.name));
    lines
}

/// One sentence.
pub fn verdict(run: &RunSummary, again: &Again) -> String {
    let count = |test: fn(&Status) -> bool| run.with(test).len();
    let done = count(|status| *status == Status::Done);
    let fresh = count(|status| matches!(status, Status::UpToDate { .. }));
    let skipped = count(|status| matches!(status, Status::Skipped { .. }));
    let duration = text::duration(run.wall());
    if run.nothing_to_do() {
        let are = if fresh == 1 { "is" } else { "are" };
        let skipped = if skipped > 0 { format!(", {skipped} skipped") } else { String::new() };
        return format!("nothing to do: {} {are} up to date{skipped} ({duration})", text::plural(fresh, "stage"));
    }
    let tolerated = count(|status| *status == Status::Failed { tolerated: true });
    let mut parts = Vec::new();
    let mut part = |number: usize, words: &str| {
        if number > 0 {
            parts.push(format!("{number} {words}"));
        }
    };
    match run.outcome {
        Some(Outcome::Done) => {
            part(fresh, "up to date");
            part(tolerated, "failed, tolerated");
            part(count(|status| matches!(status, Status::Blocked { .. })), "blocked");
            part(skipped, "skipped");
            let parts: String = parts.iter().map(|part| format!("; {part}")).collect();
            format!("done: {} in {duration}{parts}", text::plural(done, "stage"))
        }
        Some(Outcome::Failed) => {
            part(done, "done");
            part(fresh, "up to date");
            part(count(|status| matches!(status, Status::Blocked { .. })), "blocked");
            part(skipped, "skipped");
            part(count(|status| *status == Status::Pending), "not started");
            let failed = run.with(|status| *status == Status::Failed { tolerated: false });
            let strict = failed.is_empty() && tolerated > 0;
            let failed = if strict { run.with(|status| matches!(status, Status::Failed { .. })) } else { failed };
            let names: Vec<&str> = failed.iter().map(|stage| stage.name.as_str()).collect();
            let parts = if parts.is_empty() { String::new() } else { format!("; {}", parts.join(", ")) };
            match names.as_slice() {
                [] => format!("failed, though no stage did{parts} ({duration})"),
                names => {
                    let strict = if strict { " (--strict)" } else { "" };
                    format!("failed{strict}: {}{parts} ({duration})", names.join(", "))
                }
            }
        }
        Some(Outcome::Interrupted) => format!("interrupted; `{}` continues", again.resume),
        None if run.running => {
            let now = run.with(|status| *status == Status::Running);
            part(done, "done");
            part(fresh, "up to date");
            part(count(|status| matches!(status, Status::Failed { .. })), "failed");
            part(count(|status| *status == Status::Pending), "not started");
            let names: Vec<&str> = now.iter().map(|stage| stage.name.as_str()).collect();
            let names = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
            let parts = if parts.is_empty() { String::new() } else { format!("; {}", parts.join(", ")) };
            format!("still running{names}{parts} ({duration} so far)")
        }
        None => format!("ended without a result; `{}` continues", again.resume),
    }
}
