//! `op copy-workspace`: a copy of a cargo workspace, without members that are not wanted.
//!
//! cargo looks at every member before it builds one: a member that needs the network, or a program that is not there, keeps
//! all others from being built. Unaware of what the members are.

use std::fs;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use walkdir::WalkDir;

use crate::event::Fact;
use crate::fs::tree;

/// Copies a cargo workspace; members can be left out. What was built in it is not copied.
#[derive(Debug, clap::Args)]
pub struct CopyWorkspace {
    /// The directory with the workspace's `Cargo.toml`.
    #[arg(long)]
    pub from: Utf8PathBuf,
    /// Where the copy stands. What was there before is removed.
    #[arg(long)]
    pub to: Utf8PathBuf,
    /// A member that is left out; one that is not there is left out already.
    #[arg(long = "without", value_name = "MEMBER")]
    pub without: Vec<String>,
    /// A directory that is left out.
    #[arg(long = "skip", value_name = "DIR")]
    pub skip: Vec<Utf8PathBuf>,
}

impl CopyWorkspace {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let manifest = self.from.join("Cargo.toml");
        let text = fs::read_to_string(&manifest).with_context(|| format!("cannot read {manifest}"))?;
        let reduced = without(&text, &self.without).with_context(|| format!("{manifest} is not a manifest"))?;
        tree::remove(&self.to)?;
        let mut files = 0;
        for entry in WalkDir::new(&self.from).into_iter().filter_entry(|entry| !self.is_left_out(entry.path())) {
            let entry = entry.with_context(|| format!("cannot read the directory {}", self.from))?;
            let Some(source) = Utf8Path::from_path(entry.path()) else { continue };
            let below = source.strip_prefix(&self.from).unwrap_or(source);
            let target = if below.as_str().is_empty() { self.to.clone() } else { self.to.join(below) };
            if entry.file_type().is_dir() {
                fs::create_dir_all(&target).with_context(|| format!("cannot make the directory {target}"))?;
            } else if entry.file_type().is_symlink() {
                let link = source.read_link_utf8().with_context(|| format!("cannot read the link {source}"))?;
                std::os::unix::fs::symlink(&link, &target).with_context(|| format!("cannot make the link {target}"))?;
            } else {
                // With its time: cargo goes by that.
                tree::copy_file(source, &target)?;
                files += 1;
            }
        }
        if let Some(reduced) = reduced {
            let copy = self.to.join("Cargo.toml");
            let times = fs::metadata(&manifest).with_context(|| format!("cannot look at {manifest}"))?;
            tree::remove(&copy)?;
            fs::write(&copy, reduced).with_context(|| format!("cannot write {copy}"))?;
            tree::set_times(&copy, &times)?;
        }
        Ok(vec![Fact::count("copied", files, "files")])
    }

    fn is_left_out(&self, path: &std::path::Path) -> bool {
        let Ok(below) = path.strip_prefix(&self.from) else { return false };
        let below = below.to_str().unwrap_or_default();
        ["target", ".git"].contains(&below)
            || self.without.iter().any(|member| below == member)
            || self.skip.iter().any(|dir| below == dir.as_str())
    }
}

/// The manifest without the members and their settings; none if nothing of them is in it.
fn without(manifest: &str, members: &[String]) -> Result<Option<String>> {
    let mut table: toml::Table = manifest.parse()?;
    let before = table.clone();
    let listed = table.get_mut("workspace").and_then(|workspace| workspace.get_mut("members"));
    if let Some(listed) = listed.and_then(toml::Value::as_array_mut) {
        listed.retain(|member| !member.as_str().is_some_and(|member| members.iter().any(|left| left == member)));
    }
    for profile in table.get_mut("profile").and_then(toml::Value::as_table_mut).into_iter().flatten() {
        if let Some(packages) = profile.1.get_mut("package").and_then(toml::Value::as_table_mut) {
            packages.retain(|package, _| !members.iter().any(|left| left == package));
        }
    }
    Ok(if table == before { None } else { Some(toml::to_string(&table)?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"
[workspace]
members = ["collector", "site", "database"]
resolver = "2"

[profile.release.package.site]
codegen-units = 1

[profile.release.package.collector]
debug = 1
"#;

    #[test]
    fn a_member_goes_with_its_settings_and_the_rest_stays() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let (from, to) = (dir.join("from"), dir.join("to"));
        for file in ["collector/src/main.rs", "site/src/lib.rs", "target/debug/x", ".git/HEAD", "collector/big/data"] {
            fs::create_dir_all(from.join(file).parent().unwrap()).unwrap();
            fs::write(from.join(file), file).unwrap();
        }
        fs::write(from.join("Cargo.toml"), MANIFEST).unwrap();
        // What an earlier attempt left.
        fs::create_dir_all(to.join("old")).unwrap();
        let copy = CopyWorkspace {
            from: from.clone(),
            to: to.clone(),
            without: vec!["site".into()],
            skip: vec!["collector/big".into()],
        };
        copy.run().unwrap();
        assert_eq!(fs::read_to_string(to.join("collector/src/main.rs")).unwrap(), "collector/src/main.rs");
        for gone in ["site", "target", ".git", "collector/big", "old"] {
            assert!(!to.join(gone).exists(), "{gone}");
        }
        let made: toml::Table = fs::read_to_string(to.join("Cargo.toml")).unwrap().parse().unwrap();
        let expected: toml::Table = "workspace = { members = [\"collector\", \"database\"], resolver = \"2\" }\n\
                                     profile = { release = { package = { collector = { debug = 1 } } } }"
            .parse()
            .unwrap();
        assert_eq!(made, expected);
        assert_eq!(fs::read_to_string(from.join("Cargo.toml")).unwrap(), MANIFEST);
        let time = |path: &Utf8Path| fs::metadata(path.join("collector/src/main.rs")).unwrap().modified().unwrap();
        assert_eq!(time(&from), time(&to));
    }

    #[test]
    fn a_manifest_without_the_member_stays_as_it_is() {
        assert_eq!(without("# why\n[workspace]\nmembers = [\"a\"]\n", &["site".into()]).unwrap(), None);
        assert!(without("workspace = [", &["site".into()]).is_err());
    }
}
