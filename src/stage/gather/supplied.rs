//! A gather stage whose profile comes out of a bundle: nothing runs, and the output is the same as if it had.

use super::NAME;
use crate::pipeline::Supplied;
use crate::plan::{Arg, MergeOutput, Op, Output, Part, Step, Symbol, TakeProfile};
use crate::profile::Format;
use crate::stage::Context;

/// Plans the stage.
pub(in crate::stage) fn take(supplied: &Supplied, cx: &mut Context) {
    let format = if supplied.bolt { Format::Fdata } else { Format::Profdata };
    let take = TakeProfile {
        format,
        bundle: Arg::part(Part::Place { name: "profiles".into(), path: supplied.bundle.clone() }),
        role: supplied.role.clone(),
        member: supplied.member.clone(),
        hash: supplied.hash.clone(),
        dir: Symbol::Out.into(),
        name: NAME.into(),
    };
    cx.step(Step::op("take-profile", Op::take_profile(&take)));
    let output = MergeOutput::Named { dir: take.dir, name: take.name };
    cx.plan.outputs.push(Output { name: "profile".into(), path: output.path(format), portable: true, show: false });
    cx.plan.notes.extend(supplied.notes.iter().cloned());
}
