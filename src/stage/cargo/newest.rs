//! A crate of the registry without a version: the newest one.
//!
//! cargo says which that is, when it is first asked. The answer is kept in the state directory as long as cargo is the same file, as all
//! that programs say is: the next run builds the same.

use camino::Utf8Path;

use crate::pipeline::{Text, text};
use crate::plan::Arg;
use crate::stage::{Context, PlanError};
use crate::toolchain::rust;

/// A name, alone or as `name@version` with the version complete.
pub(super) fn is_crate(krate: &Text) -> bool {
    let Some(krate) = krate.as_literal() else { return false };
    match krate.split_once('@') {
        Some((name, version)) => text::is_name(name) && semver::Version::parse(version).is_ok(),
        None => text::is_name(&krate),
    }
}

/// `name@version`.
pub(super) fn pinned(text: &Text, cx: &mut Context) -> Result<Arg, PlanError> {
    let krate = cx.arg(text)?;
    let name = krate.symbolic();
    if name.contains('@') {
        return Ok(krate);
    }
    // Without cargo, that it is missing is said.
    let Ok(rust) = rust::find(cx.facts, cx.pipeline, None) else { return Ok(krate) };
    // Where no package is that could name another version.
    let said = cx.facts.output_in(Utf8Path::new("/"), &[rust.cargo.as_str(), "info", &name, "--registry", "crates-io"]);
    let version = said.as_deref().and_then(version);
    let how = |version: &str| cx.how_to_set("crate", &format!("{name}@{version}"));
    match version {
        Some(version) => {
            let keeps = how(version);
            cx.note(format!("the newest version of `{name}` is {version}; {keeps} keeps it"));
            Ok(format!("{name}@{version}").into())
        }
        None => {
            let remedy = format!("see what `cargo info {name}` says, or name a version: {}", how("VERSION"));
            cx.gap(format!("the newest version of the crate `{name}` is not known"), remedy);
            Ok(krate)
        }
    }
}

/// In what `cargo info` prints: `version: 1.0.0`, which may have more behind it.
fn version(said: &str) -> Option<&str> {
    let line = said.lines().find_map(|line| line.strip_prefix("version: "))?;
    line.split_whitespace().next().filter(|version| semver::Version::parse(version).is_ok())
}
