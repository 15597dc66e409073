//! What is different from the build that a profile is of.
//!
//! clang finds a function's counts by its name and the shape of its code, and CMake's settings are not in names, as cargo's are.
//! The shape is taken before the optimisations that flags choose: between `-O1`, `-O2`, `-O3`, `-Os`, `-g`, `-fPIC`, `-march` and
//! thin LTO no function of a program that was tried lost its counts; with `-O0` all did, and macros change what they change. So a
//! difference is nothing to refuse: it is said, and what it costs is counted after the build.

use super::{Context, PlanError};
use crate::pipeline::kind::{Cmake, Pgo};
use crate::pipeline::{Kind, Text};

/// Notes what is different; refuses a profile of a Rust program.
pub(super) fn check(kind: &Cmake, cx: &mut Context) -> Result<(), PlanError> {
    for (key, pgo) in [("pgo", &kind.pgo), ("cs-pgo", &kind.cs_pgo)] {
        let Some(profile) = pgo.as_ref().and_then(Pgo::profile) else { continue };
        let Some(gathering) = cx.producer(profile)? else { continue };
        let Some(stage) = cx.trained_on(gathering)? else { continue };
        let name = &stage.common.name;
        match &stage.kind {
            Kind::Cargo(_) => {
                let message = format!(
                    "is of stage `{name}`, a program in Rust, whose functions have other names: nothing would match"
                );
                return Err(cx.invalid(key, message));
            }
            Kind::Cmake(trained) => {
                let different = differences(kind, trained);
                if !different.is_empty() {
                    let different: Vec<String> = different.iter().map(|key| format!("`{key}`")).collect();
                    cx.note(format!(
                        "other than in stage `{name}`, which the profile is of: {}. Where that changes the code of a function it \
                         is built without its counts; how many are is counted after the build",
                        different.join(", ")
                    ));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The keys that may change the code of functions.
fn differences(a: &Cmake, b: &Cmake) -> Vec<&'static str> {
    let build_type = |kind: &Cmake| kind.build_type.as_ref().map_or("Release".into(), Text::to_string);
    let defined = |kind: &Cmake| format!("{:?}", kind.define);
    let keys = [
        ("source", a.source == b.source),
        ("compiler", a.compiler == b.compiler),
        ("build-type", build_type(a) == build_type(b)),
        ("define", defined(a) == defined(b)),
    ];
    keys.into_iter().filter(|(_, same)| !same).map(|(key, _)| key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cmake(keys: &str) -> Cmake {
        toml::from_str(&format!("source = \"/s\"\n{keys}")).unwrap()
    }

    #[test]
    fn what_may_change_code() {
        let plain = cmake("");
        assert_eq!(differences(&plain, &cmake("build-type = \"Release\"\nlto = \"thin\"")), [""; 0]);
        assert_eq!(
            differences(&plain, &cmake("build-type = \"Debug\"\ndefine = { A = true }")),
            ["build-type", "define"]
        );
    }
}
