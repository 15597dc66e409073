//! Whether a build can use the profile that it is given: cargo puts most of its settings into the names of functions, and a
//! profile of functions with other names is not used, without a word from rustc.

use super::{Context, PlanError};
use crate::pipeline::kind::{Cargo, Pgo};
use crate::pipeline::{Kind, Text};

/// Refuses a profile of a build with other settings.
///
/// What counts is what cargo hashes into `-C metadata`: package, features, target, and all of the profile, but not rustflags
/// (`compute_metadata` in cargo's `build_runner/compilation_files.rs`; seen with cargo 1.95 in what `cargo build -v` prints).
pub(super) fn check(kind: &Cargo, cx: &Context) -> Result<(), PlanError> {
    let Some(profile) = kind.pgo.as_ref().and_then(Pgo::profile) else { return Ok(()) };
    let Some(gathering) = cx.producer(profile)? else { return Ok(()) };
    let Some(stage) = cx.trained_on(gathering)? else { return Ok(()) };
    if let Kind::Cmake(_) = stage.kind {
        let message = format!(
            "is of stage `{}`, a program in C or C++, whose functions have other names: nothing would match",
            stage.common.name
        );
        return Err(cx.invalid("pgo", message));
    }
    let Kind::Cargo(trained) = &stage.kind else { return Ok(()) };
    let Some(key) = difference(kind, trained) else { return Ok(()) };
    let message = format!(
        "differs from that of stage `{}`, which the profile is of. cargo puts it into the names of functions, so that rustc \
         would find nothing of the profile, and say nothing; give both stages the same",
        stage.common.name
    );
    Err(cx.invalid(key, message))
}

/// The first key that changes the names of functions.
fn difference(a: &Cargo, b: &Cargo) -> Option<&'static str> {
    let sorted = |features: &[Text]| {
        let mut names: Vec<String> = features.iter().map(Text::to_string).collect();
        names.sort();
        names
    };
    let keys = [
        ("crate", a.krate == b.krate),
        ("package", a.package == b.package),
        ("profile", a.profile == b.profile),
        ("lto", a.lto == b.lto),
        ("codegen-units", a.codegen_units == b.codegen_units),
        ("features", sorted(&a.features) == sorted(&b.features)),
        ("no-default-features", a.no_default_features == b.no_default_features),
        ("target", a.target == b.target),
    ];
    keys.into_iter().find(|(_, same)| !same).map(|(key, _)| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cargo(keys: &str) -> Cargo {
        toml::from_str(&format!("manifest = \"/p/Cargo.toml\"\nbins = [\"b\"]\n{keys}")).unwrap()
    }

    #[test]
    fn what_changes_names() {
        let plain = cargo("features = [\"a\", \"b\"]");
        assert_eq!(difference(&plain, &cargo("features = [\"b\", \"a\"]\nrustflags = [\"-Cdebuginfo=1\"]")), None);
        assert_eq!(difference(&plain, &cargo("features = [\"a\"]")), Some("features"));
        assert_eq!(difference(&plain, &cargo("features = [\"a\", \"b\"]\nlto = \"thin\"")), Some("lto"));
    }
}
