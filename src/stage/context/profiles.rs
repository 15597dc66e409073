//! The steps with which a build checks its profile, before and after it is used.

use super::Context;
use crate::pipeline::{Supplied, Text};
use crate::plan::ops::{CheckProfile, CheckProfileUse};
use crate::plan::{Arg, Late, Part, Step};
use crate::stage::PlanError;
use crate::text::share::Share;
use crate::toolchain::{self, Tool};

/// Of the functions of a program that are in a profile that was gathered elsewhere, how many may have had other code there. A
/// stable release of a compiler changes a few in a hundred.
const MAX_MISMATCHED: &str = "20%";
/// And how many may not be in it at all: other code has other names as well.
const MAX_UNPROFILED: &str = "50%";

impl<'a> Context<'a> {
    /// Adds the step that refuses a profile which is empty, or which the compiler, of this LLVM, cannot read. It stands first:
    /// compilers themselves at most warn, and build without the profile.
    ///
    /// With the llvm-profdata that belongs to the compiler it is also checked that anything was counted.
    ///
    /// # Errors
    /// The profile comes out of a bundle, and the compiler is known not to read it.
    pub fn check_profile(
        &mut self,
        profile: Arg,
        compiler: &str,
        llvm_major: Option<u64>,
        tool: Option<Tool>,
    ) -> Result<(), PlanError> {
        let newest = llvm_major.and_then(toolchain::formats::indexed_version);
        if let Some(Supplied { version: Some(version), role, bundle, .. }) = self.supplied(&profile)
            && let Some(newest) = newest.filter(|newest| u64::from(*version) > *newest)
        {
            return Err(self.invalid(
                "pgo",
                format!(
                    "the profile with role `{role}` in {bundle} has the indexed version {version}, and {compiler} reads \
                     versions up to {newest}: use a newer compiler, or a bundle made with its LLVM"
                ),
            ));
        }
        if newest.is_none() {
            self.note(format!("which profiles {compiler} reads is not known, so their version is not checked"));
        }
        let tool = tool.map(|tool| self.tool_at("llvm-profdata", tool.path));
        let max_version = newest.map(|newest| newest.to_string().into());
        let check = CheckProfile { profile, compiler: compiler.into(), max_version, tool };
        self.step(Step::op("check-profile", check));
        Ok(())
    }

    /// What stands in for the gather stage whose output an argument is.
    pub fn supplied(&self, profile: &Arg) -> Option<&'a Supplied> {
        let stage = profile.parts.iter().find_map(|part| match part {
            Part::Late(Late::Path(output)) => self.pipeline.stage(&output.stage),
            _ => None,
        });
        stage?.supplied.as_ref()
    }

    /// Adds the step that counts what the compiler did not find in a profile, and refuses a build that found hardly anything. It
    /// stands last: it looks at what was built. `limit` is the stage's `max-unprofiled`.
    pub fn check_profile_use(&mut self, check: CheckProfileUse, limit: Option<&Text>) -> Result<(), PlanError> {
        let mut limit = limit.map(ToString::to_string);
        if let Some(Err(message)) = limit.as_deref().map(str::parse::<Share>) {
            return Err(self.invalid("max-unprofiled", message));
        }
        let name = |what: &str| match &check.component {
            Some(component) => format!("{what}-{component}"),
            None => what.to_string(),
        };
        match self.supplied(&check.profile) {
            Some(supplied) if supplied.allow_stale => limit = Some("100%".into()),
            Some(_) => {
                let (max_unprofiled, max_mismatched) = (Some(MAX_UNPROFILED.into()), Some(MAX_MISMATCHED.into()));
                let origin = CheckProfileUse { max_unprofiled, max_mismatched, ..check.clone() };
                self.plan.proofs.push(Step::op(name("check-origin"), origin));
            }
            None => {}
        }
        let step = name("check-profile-use");
        self.step(Step::op(step, CheckProfileUse { max_unprofiled: limit.map(Arg::from), ..check }));
        Ok(())
    }

    /// The `llvm-profdata` that reads what a build got, for [`Context::check_profile_use`].
    pub fn profile_reader(&mut self, tool: Option<Tool>) -> Option<Arg> {
        if tool.is_none() {
            self.note("without an llvm-profdata of the compiler's LLVM, functions without a profile are not counted");
        }
        tool.map(|tool| self.tool_at("llvm-profdata", tool.path))
    }
}
