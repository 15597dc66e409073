//! Profiles from elsewhere in the place of gather stages: what these stages become, and which stages nobody needs then.
//!
//! Names and the graph only. Unaware of where profiles come from, and of what is in them.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8PathBuf;

use super::kind::{Jobs, Profiles, leading_output};
use super::{Pipeline, Stage, check};

/// A profile that a gather stage need not gather.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supplied {
    /// What it is for; the stage of this role takes it.
    pub role: String,
    /// The bundle that it is in, an absolute path, and its name there.
    pub bundle: Utf8PathBuf,
    pub member: String,
    /// It is the form of a BOLT profile that llvm-bolt can match with other code.
    pub matchable: bool,
    /// Whether it is one of BOLT, else it is an indexed one of LLVM.
    pub bolt: bool,
    /// The version of an indexed profile.
    pub version: Option<u32>,
    pub bytes: u64,
    /// BLAKE3 of its content, in hexadecimal.
    pub hash: String,
    /// For BOLT, the file that it is of: build id and hash of the code, as far as the bundle says.
    pub build_id: Option<String>,
    pub code: Option<String>,
    /// An instrumented build of the sources as they are here, which the profile can be held against.
    pub instrumented: Option<Utf8PathBuf>,
    /// It is used although it does not fit what is built here.
    pub allow_stale: bool,
    /// What a reader of the plan should know of it.
    pub notes: Vec<String>,
}

/// Why profiles cannot stand in for stages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SupplyError {
    #[error(
        "none of the roles in it ({}) is one of pipeline `{pipeline}`, whose gather stages have {}; the key `role` of a gather \
         stage says what its profile is for", list(.found), list(.known)
    )]
    NoRole { pipeline: String, found: Vec<String>, known: Vec<String> },
    #[error("the profile with role `{role}` is {found}, and stage `{stage}` gathers {wanted}")]
    Kind { role: String, stage: String, found: &'static str, wanted: &'static str },
}

fn list(roles: &[String]) -> String {
    match roles {
        [] => "no roles".into(),
        roles => roles.iter().map(|role| format!("`{role}`")).collect::<Vec<_>>().join(", "),
    }
}

impl Stage {
    /// What the profile of a gather stage is for: the key `role`, or the stage's name. None: it gathers nothing, or only looks whether another
    /// profile fits.
    pub fn role(&self) -> Option<&str> {
        let gathers = self.kind.answers.gathers.as_ref().filter(|gathers| gathers.hot_in.is_none())?;
        Some(gathers.role.as_deref().unwrap_or(&self.common.name))
    }
}

impl Pipeline {
    /// The roles of the gather stages that are on, and their names.
    pub fn roles(&self) -> BTreeMap<String, String> {
        let on = self.stages.iter().filter(|stage| stage.common.when);
        on.filter_map(|stage| Some((stage.role()?.to_string(), stage.common.name.clone()))).collect()
    }

    /// Puts profiles in the place of the gather stages with their roles. Stages that were needed for those alone are switched
    /// off; in a workspace, the stage before one is then the nearest that is still on. Profiles for which there is no stage are
    /// left out.
    ///
    /// # Errors
    /// There is a stage for none of them, or one is of another kind than the stage gathers.
    pub fn supply(&mut self, profiles: Vec<Supplied>) -> Result<(), SupplyError> {
        let roles = self.roles();
        if !profiles.iter().any(|profile| roles.contains_key(&profile.role)) {
            let found = profiles.into_iter().map(|profile| profile.role).collect();
            let known = roles.into_keys().collect();
            return Err(SupplyError::NoRole { pipeline: self.name.clone(), found, known });
        }
        let roots = self.roots();
        for profile in profiles {
            let Some(name) = roles.get(&profile.role) else { continue };
            if let Some(wanted) = self.gathers(name).filter(|wanted| *wanted != profile.bolt) {
                let kind = |bolt: bool| if bolt { "one of BOLT" } else { "one of LLVM's instrumentation" };
                let (found, wanted) = (kind(profile.bolt), kind(wanted));
                return Err(SupplyError::Kind { role: profile.role, stage: name.clone(), found, wanted });
            }
            if profile.allow_stale {
                self.mark_users(name);
            }
            if let Some(stage) = self.stages.iter_mut().find(|stage| stage.common.name == *name) {
                take(stage, profile);
            }
            self.spare_checks(name);
        }
        self.spare(&roots);
        check::connect(&mut self.stages);
        Ok(())
    }

    /// Whether a gather stage gathers for BOLT; none if that is not known before it runs.
    fn gathers(&self, name: &str) -> Option<bool> {
        let gathers = self.stage(name)?.kind.answers.gathers.as_ref()?;
        if gathers.sampled {
            return Some(true);
        }
        let producer = self.stage(&leading_output(&gathers.instrumented)?.first()?.stage)?;
        producer.kind.answers.writes.map(|profiles| profiles == Profiles::Bolt)
    }

    /// What is made with a profile that may not fit is no substitute for what is made with one that does.
    fn mark_users(&mut self, gather: &str) {
        for stage in &mut self.stages {
            if references(stage).any(|name| name == gather) {
                stage.declaration.insert(STALE_PART.into(), "true".into());
            }
        }
    }

    /// The stages that are there for their own sake: no other stage refers to them, or an output of the pipeline is theirs.
    fn roots(&self) -> BTreeSet<String> {
        let on = || self.stages.iter().filter(|stage| stage.common.when);
        let needed: BTreeSet<&str> = on().flat_map(references).collect();
        let own = on().map(|stage| &stage.common.name).filter(|name| !needed.contains(name.as_str()));
        let outputs = self.outputs.values().flat_map(|declared| declared.from.outputs()).flatten();
        own.cloned().chain(outputs.map(|output| output.stage.clone())).collect()
    }

    /// Switches off what only looks whether the profile of a stage fits: nothing is instrumented for a profile that is there.
    fn spare_checks(&mut self, gather: &str) {
        let checks = |stage: &Stage| {
            let hot_in = stage.kind.answers.gathers.as_ref().and_then(|gathers| gathers.hot_in.as_ref());
            let outputs = hot_in.and_then(leading_output).unwrap_or_default();
            stage.common.when && outputs.iter().any(|output| output.stage == gather)
        };
        let names: Vec<String> =
            self.stages.iter().filter(|stage| checks(stage)).map(|stage| stage.common.name.clone()).collect();
        for stage in &mut self.stages {
            if names.contains(&stage.common.name) {
                stage.common.when = false;
                stage.spared = true;
            }
            stage.dependencies.retain(|needed| !matches!(needed.as_slice(), [only] if names.contains(only)));
        }
    }

    /// Switches off what no root refers to any more, directly or through others.
    fn spare(&mut self, roots: &BTreeSet<String>) {
        let mut needed: BTreeSet<String> = BTreeSet::new();
        let mut open: Vec<String> = roots.iter().cloned().collect();
        while let Some(name) = open.pop() {
            let Some(stage) = self.stage(&name).filter(|stage| stage.common.when) else { continue };
            let more: Vec<String> = references(stage).map(str::to_owned).collect();
            if needed.insert(name) {
                open.extend(more);
            }
        }
        for stage in &mut self.stages {
            if stage.common.when && !needed.contains(&stage.common.name) {
                stage.common.when = false;
                stage.spared = true;
            }
        }
    }
}

/// In the declaration of a stage that takes its profile from a bundle, and of one whose profile may be stale.
pub const PART: &str = "profiles";
const STALE_PART: &str = "allow-stale-profiles";

/// The stages that a stage refers to or `needs`, without the one that only stands before it in its workspace.
fn references(stage: &Stage) -> impl Iterator<Item = &str> {
    let before = stage.predecessor.as_deref().filter(|_| stage.follows_only);
    let alone = move |names: &&Vec<String>| !(names.len() == 1 && names.first().map(String::as_str) == before);
    stage.dependencies.iter().filter(alone).flatten().map(String::as_str)
}

/// What is left of a gather stage that gathers nothing.
fn take(stage: &mut Stage, profile: Supplied) {
    let common = &mut stage.common;
    common.needs.clear();
    common.inputs.clear();
    common.env.clear();
    common.pass_env.clear();
    common.check.clear();
    common.workspace = None;
    common.memory = None;
    common.exclusive = false;
    common.jobs = Some(Jobs::Number(1));
    stage.dependencies.clear();
    stage.predecessor = None;
    stage.follows_only = false;
    stage.path_vars.clear();
    stage.declaration = BTreeMap::from([(PART.into(), format!("role {}, blake3 {}", profile.role, profile.hash))]);
    stage.supplied = Some(profile);
}
