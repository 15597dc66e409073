//! A gather stage whose profile comes out of a bundle: nothing runs, and the output is the same as if it had.

use super::{Instrumented, NAME};
use crate::pipeline::{Kind, Supplied};
use crate::plan::ops::{CheckGathered, TakeProfile};
use crate::plan::{Arg, Output, Part, Step, Symbol};
use crate::profile::Format;
use crate::stage::{Context, PlanError};

/// Of the functions of a profile, how many an instrumented build of these sources must have with the same code.
const MIN_KNOWN: &str = "80%";

/// Plans the stage.
pub(in crate::stage) fn take(supplied: &Supplied, cx: &mut Context) -> Result<(), PlanError> {
    let format = if supplied.bolt { Format::Fdata } else { Format::Profdata };
    let extension = if supplied.matchable { "yaml" } else { format.merged_extension() };
    let take = TakeProfile {
        bundle: Arg::part(Part::Place { name: "profiles".into(), path: supplied.bundle.clone() }),
        role: supplied.role.clone().into(),
        member: supplied.member.clone().into(),
        blake3: supplied.hash.clone().into(),
        extension: extension.into(),
        output_dir: Symbol::Out.into(),
        name: NAME.into(),
    };
    cx.step(Step::op("take-profile", take));
    let path = Arg::from(Symbol::Out).join(&format!("{NAME}-*.{extension}"));
    let tool = tool(format, cx)?;
    if tool.is_some() || format == Format::Fdata && !supplied.matchable {
        let build = supplied.instrumented.as_ref().filter(|_| !supplied.allow_stale && format == Format::Profdata);
        let instrumented = build.map(|path| Arg::from(path.as_str()));
        let min_of_the_build = instrumented.as_ref().map(|_| MIN_KNOWN.into());
        let check = CheckGathered { format, profile: path.clone(), tool, instrumented, min_of_the_build };
        cx.plan.proofs.push(Step::op("check-profile", check));
    }
    cx.plan.outputs.push(Output { name: "profile".into(), path, portable: true, show: false });
    cx.plan.notes.extend(supplied.notes.iter().cloned());
    Ok(())
}

/// The llvm-profdata that would have merged. It only looks at what is there, so the stage is complete without it.
fn tool(format: Format, cx: &mut Context) -> Result<Option<Arg>, PlanError> {
    let Kind::Gather(kind) = &cx.stage.kind else { return Ok(None) };
    if format == Format::Fdata {
        return Ok(None);
    }
    let before = (cx.plan.gaps.len(), cx.plan.tools.len(), cx.plan.notes.len());
    let tool = Instrumented::declared(kind, cx).merge_tool(kind, cx)?;
    let found = cx.plan.gaps.len() == before.0 && matches!(tool.parts.as_slice(), [Part::Tool { .. }]);
    cx.plan.gaps.truncate(before.0);
    cx.plan.tools.truncate(before.1);
    cx.plan.notes.truncate(before.2);
    Ok(found.then_some(tool))
}
