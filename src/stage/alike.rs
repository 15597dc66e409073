//! Builds that are made with other settings than the build that their profile is of.
//!
//! Compilers inline before they count. So a profile describes the functions of builds with the same settings, and others only as far as they
//! have the same functions. What cargo hashes into names is refused when the stage is planned; this is about the rest, which is used with
//! what fits of the profile. Knows the keys of the kinds. Unaware of profiles themselves.

use super::cargo::Cargo;
use super::cmake::{Cmake, differences};
use super::{Lto, Pgo, kind_as};
use crate::pipeline::{OutputRef, Pipeline, Stage, Text, leading_output};

/// Parts of flags for rustc that change which functions there are, or what is inlined into them.
const CHANGE: [&str; 10] = [
    "target-cpu",
    "target-feature",
    "opt-level",
    "lto",
    "codegen-units",
    "inline-threshold",
    "llvm-args",
    "panic",
    "overflow-checks",
    "debug-assertions",
];

/// A sentence for each stage that is on and of which that is so.
pub fn unlike(pipeline: &Pipeline) -> Vec<String> {
    pipeline
        .stages
        .iter()
        .filter(|stage| stage.common.when)
        .filter_map(|stage| unlike_its_training(pipeline, stage))
        .collect()
}

/// The sentence for one stage.
pub(super) fn unlike_its_training(pipeline: &Pipeline, stage: &Stage) -> Option<String> {
    let (cmake, cargo) = (kind_as::<Cmake>(stage), kind_as::<Cargo>(stage));
    let uses = cmake.map(|kind| [&kind.pgo, &kind.cs_pgo]).or(cargo.map(|kind| [&kind.pgo, &None]))?;
    let mut sentences = Vec::new();
    for profile in uses.into_iter().flatten().filter_map(Pgo::profile) {
        let Some((gathering, trained)) = training(pipeline, profile) else { continue };
        let different = match (cmake.zip(kind_as::<Cmake>(trained)), cargo.zip(kind_as::<Cargo>(trained))) {
            (Some((mine, other)), _) => of_cmake(mine, other),
            (_, Some((mine, other))) => of_cargo(mine, other),
            (None, None) => continue,
        };
        if different.is_empty() {
            continue;
        }
        let different: Vec<String> = different.iter().map(|key| format!("`{key}`")).collect();
        let (name, gathering, trained) = (&stage.common.name, &gathering.common.name, &trained.common.name);
        sentences.push(format!(
            "stage `{name}` is built otherwise than `{trained}`, which its profile of `{gathering}` is of: {}. Where that changes the code \
             of a function or what is inlined into it, it is built without its counts; how many are is counted after the build. The same \
             settings in both are safe",
            different.join(", ")
        ));
    }
    (!sentences.is_empty()).then(|| sentences.join("; "))
}

/// The stage that gathers a profile, and the one whose build it runs.
fn training<'a>(pipeline: &'a Pipeline, profile: &Text) -> Option<(&'a Stage, &'a Stage)> {
    let made_by = |text: &Text| {
        let on = |output: &&OutputRef| pipeline.stage(&output.stage).is_some_and(|stage| stage.common.when);
        let outputs = leading_output(text)?;
        pipeline.stage(&outputs.iter().find(on).or(outputs.first())?.stage)
    };
    let gathering = made_by(profile)?;
    Some((gathering, made_by(&gathering.kind.answers.gathers.as_ref()?.instrumented)?))
}

/// clang takes the shape of functions before thin LTO, which changes none. Full LTO joins all modules to one.
fn of_cmake(mine: &Cmake, trained: &Cmake) -> Vec<&'static str> {
    let mut different = differences(mine, trained);
    if (mine.lto == Lto::Full) != (trained.lto == Lto::Full) {
        different.push("lto");
    }
    different
}

fn of_cargo(mine: &Cargo, trained: &Cargo) -> Vec<&'static str> {
    let flags = |kind: &Cargo| -> Vec<String> {
        let all = kind.rustflags.iter().chain(&kind.args).map(Text::to_string);
        all.filter(|flag| CHANGE.iter().any(|part| flag.contains(part)) || flag == "-O").collect()
    };
    let different = flags(mine) != flags(trained);
    if different { vec!["rustflags"] } else { Vec::new() }
}
