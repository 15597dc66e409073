//! What a manifest belongs to: its directory, and the workspace whose files are the stage's sources.

use camino::{Utf8Path, Utf8PathBuf};

use super::{Package, What};
use crate::facts::Facts;
use crate::pipeline::Text;
use crate::plan::{Arg, Part};
use crate::stage::{Context, PlanError};

const NAME: &str = "Cargo.toml";

/// The package of a manifest.
pub(super) fn package(text: &Text, cx: &mut Context) -> Result<Package, PlanError> {
    let manifest = cx.arg(text)?;
    let Some(cwd) = parent(&manifest) else {
        let message = "the path of a `Cargo.toml`, such as `${source}/Cargo.toml`";
        return Err(cx.invalid("manifest", message));
    };
    let Some(path) = cx.known_path(&manifest) else {
        let late = manifest.parts.iter().any(|part| matches!(part, Part::Late(_) | Part::Symbol(_)));
        if !late {
            let message =
                "a relative path; begin with `${pipeline.dir}`, a variable of type path, or an output of a stage";
            return Err(cx.invalid("manifest", message));
        }
        // Made by another stage: whether it has a lock file shows when it is there.
        return Ok(Package { what: What::Manifest(manifest, false), cwd, dir: None });
    };
    let dir = path.parent().unwrap_or(Utf8Path::new("/")).to_owned();
    let root = workspace_root(cx.facts, &dir);
    let lock = root.join("Cargo.lock");
    if !cx.facts.exists(&path) {
        cx.gap(format!("{path} does not exist"), "get the sources, or set `manifest` to the file");
    } else if !cx.facts.exists(&lock) {
        // cargo would write it into the sources while they are built, and choose other versions next month.
        cx.gap(
            format!("{lock} does not exist, which says the versions of dependencies"),
            format!("run `cargo generate-lockfile` in {root}"),
        );
    }
    cx.source("source", root, false);
    Ok(Package { what: What::Manifest(manifest, true), cwd, dir: Some(dir) })
}

/// The directory of a manifest: the argument without its last component.
fn parent(manifest: &Arg) -> Option<Arg> {
    let mut dir = manifest.clone();
    match dir.parts.last_mut()? {
        Part::Literal(text) => {
            let before = text.strip_suffix(NAME)?.strip_suffix('/')?.to_owned();
            *text = before;
        }
        Part::Place { name, path } if path.file_name() == Some(NAME) => {
            *name = format!("directory of {name}");
            *path = path.parent()?.to_owned();
        }
        _ => return None,
    }
    dir.parts.retain(|part| !matches!(part, Part::Literal(text) if text.is_empty()));
    Some(dir)
}

/// The directory of the workspace that cargo counts a package to: the nearest one upward, the package's own included, whose
/// manifest has a `[workspace]` and does not exclude it.
fn workspace_root(facts: &Facts, package: &Utf8Path) -> Utf8PathBuf {
    let table = |dir: &Utf8Path| facts.read(&dir.join(NAME))?.parse::<toml::Table>().ok();
    let named = table(package).and_then(|own| Some(own.get("package")?.get("workspace")?.as_str()?.to_owned()));
    if let Some(named) = named {
        let root = package.join(named);
        return facts.real_path(&root).unwrap_or(root);
    }
    let mut roots = package.ancestors().filter(|dir| {
        let Some(workspace) = table(dir).and_then(|mut own| own.remove("workspace")) else { return false };
        let below = package.strip_prefix(dir).unwrap_or(package);
        let excluded = workspace.get("exclude").and_then(|list| list.as_array()).cloned().unwrap_or_default();
        !excluded.iter().filter_map(toml::Value::as_str).any(|exclude| below.starts_with(exclude))
    });
    roots.next().unwrap_or(package).to_owned()
}
