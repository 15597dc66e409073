//! Counts instructions on valgrind's simulated processor: the same number on a busy machine as on an idle one.
//!
//! cachegrind without its caches, which takes half the time of callgrind and counts the same. Unaware of sides and budgets.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use camino::Utf8Path;

use super::probe::{Ended, Order};
use super::request::Invocation;

/// How much longer a program takes: usually 20 to 60 times.
pub const SLOWDOWN: f64 = 50.0;

/// What starting it takes, in seconds, whatever the program.
pub const START: f64 = 0.5;

/// What counts, for people.
pub const TOOL: &str = "cachegrind";

/// A count, and how the program ended meanwhile.
#[derive(Debug)]
pub struct Count {
    pub instructions: f64,
    pub ended: Ended,
}

/// `valgrind-3.19.0`, as `valgrind --version` says.
pub fn version(valgrind: &Utf8Path) -> Option<String> {
    let output = std::process::Command::new(valgrind).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.trim().strip_prefix("valgrind-").map(|version| format!("valgrind {version}"))
}

/// Counts one run, with everything that it starts. `dir` is empty.
///
/// # Errors
/// When valgrind cannot be run, or counted nothing.
pub fn count(
    valgrind: &Utf8Path,
    invocation: &Invocation,
    dir: &Utf8Path,
    limit: Duration,
    optbuild: &Utf8Path,
) -> Result<Count> {
    let mut argv: Vec<String> = vec![valgrind.to_string(), format!("--tool={TOOL}"), "--cache-sim=no".into()];
    argv.extend(["--trace-children=yes".into(), "--quiet".into()]);
    argv.push(format!("--log-file={dir}/%p.log"));
    argv.push(format!("--cachegrind-out-file={dir}/%p.counts"));
    argv.extend(invocation.argv.iter().cloned());
    let simulated = Invocation { argv, ..invocation.clone() };
    let order = Order { limit: Some(limit.as_secs_f64()), ..Order::new(&simulated, dir, false) };
    let reading = order.run(optbuild)?;
    let instructions = match reading.ended {
        Ended::TooLate | Ended::NotMeasured(_) => 0.0,
        _ => total(dir)?,
    };
    if instructions == 0.0 && matches!(reading.ended, Ended::Code(_)) {
        bail!("valgrind counted nothing; what it said is in {dir}");
    }
    Ok(Count { instructions, ended: reading.ended })
}

/// Of all processes: each wrote a file that ends in a line `summary: COUNT`.
fn total(dir: &Utf8Path) -> Result<f64> {
    let mut sum = 0.0;
    for entry in dir.read_dir_utf8().with_context(|| format!("cannot read {dir}"))? {
        let entry = entry.with_context(|| format!("cannot read {dir}"))?;
        if entry.path().extension() != Some("counts") {
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).with_context(|| format!("cannot read {}", entry.path()))?;
        sum += summary(&text).with_context(|| format!("{} has no line `summary:` with a number", entry.path()))?;
    }
    Ok(sum)
}

fn summary(text: &str) -> Option<f64> {
    let line = text.lines().rev().find_map(|line| line.strip_prefix("summary:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::summary;

    #[test]
    fn the_summary_of_a_process() {
        // What cachegrind of valgrind 3.19 writes, without most of its lines.
        let text = "desc: I1 cache:         n/a\ncmd: /bin/true\nevents: Ir\nfl=???\nfn=???\n0 12\nsummary: 140953\n";
        assert_eq!(summary(text), Some(140_953.0));
        assert_eq!(summary("events: Ir\n"), None);
    }
}
