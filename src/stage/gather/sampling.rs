//! Profiles for BOLT without instrumentation: `perf record` takes branch records, perf2bolt makes `.fdata` of them.

use camino::Utf8Path;

use super::RAW;
use crate::facts::Facts;
use crate::plan::{Arg, Command, Gap, Step, Symbol};
use crate::stage::Context;

const RECORD: &str = "perf.data";

/// Where Linux says that a processor's counters come with branch records: one core type, performance cores, Arm.
const CAPABILITIES: [&str; 3] = [
    "/sys/bus/event_source/devices/cpu/caps/branches",
    "/sys/bus/event_source/devices/cpu_core/caps/branches",
    "/sys/bus/event_source/devices/armv8_pmuv3_0/caps/branches",
];

/// Whether `perf record -j any,u` can work on this machine; if not, why.
pub fn branch_records(facts: &Facts) -> Option<Gap> {
    if CAPABILITIES.iter().any(|path| facts.exists(Utf8Path::new(path))) {
        return None;
    }
    Some(Gap {
        what: "this machine has no branch records (LBR) that perf can read".into(),
        remedy: "virtual machines rarely have them; gather with `method = \"instrumentation\"` on the output of a bolt stage \
                 with `action = \"instrument\"`"
            .into(),
    })
}

/// Puts perf in front of a workload's command.
pub(super) fn record(command: &mut Command, cx: &mut Context) {
    if let Some(gap) = branch_records(cx.facts) {
        cx.gap(gap.what, gap.remedy);
    }
    let perf = cx.tool("perf");
    let flags = ["record", "-e", "cycles:u", "-j", "any,u", "-o"].map(Arg::from);
    let mut argv = vec![perf];
    argv.extend(flags);
    argv.extend([Arg::from(Symbol::Attempt).join(RECORD), "--".into()]);
    argv.append(&mut command.argv);
    command.argv = argv;
}

/// Makes a BOLT profile of the records of an attempt.
pub(super) fn convert(sampled: &Arg, cx: &mut Context) -> Step {
    let raw = Arg::from(Symbol::Attempt).join(RAW);
    let argv = vec![
        cx.tool("perf2bolt"),
        "-p".into(),
        Arg::from(Symbol::Attempt).join(RECORD),
        "-o".into(),
        raw.clone().join("perf.fdata"),
        sampled.clone(),
    ];
    // perf2bolt does not make the directory that it writes to; a step's working directory is made.
    Step::command("perf2bolt", Command { cwd: raw, ..cx.command(argv) })
}
