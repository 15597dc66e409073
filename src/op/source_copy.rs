//! `copy-source`: a copy of a source tree to build in, brought up to date file by file, so that a build tool goes on where it was.
//!
//! A file whose source has not changed since it was copied stays, whatever the build has made of it. A changed one is written anew, with
//! the present time, as a build tool goes by times; the first copy has the times of the sources, whose order generated files rely on.
//! Unaware of what is built.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::event::Fact;
use crate::fs::{disk, tree};
use crate::plan::ops::given::CopySource;
use crate::state::listing;

/// In the copy: what was copied, with size, time and inode of the source.
const LIST: &str = "optbuild-source.json";

type List = BTreeMap<Utf8PathBuf, (u64, i64, i64, u64)>;

impl CopySource {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let (from, to) = (&self.from, &self.to);
        if !from.is_dir() {
            bail!("{from}, which is to be built, is no directory");
        }
        disk::make_dir(to)?;
        let real = to.canonicalize_utf8().with_context(|| format!("cannot find {to}"))?;
        let root = from.canonicalize_utf8().with_context(|| format!("cannot find {from}"))?;
        // A copy in the tree would have itself in it.
        let exclude: Vec<PathBuf> = vec![real.into_std_path_buf()];
        let names = listing::tree(root.as_std_path(), &exclude, &|_| false)?;
        let before: List = disk::read_json(&to.join(LIST))?.unwrap_or_default();
        let (mut after, mut changed) = (List::new(), Vec::new());
        for name in names {
            let name = Utf8PathBuf::try_from(name).context("a file's name is not UTF-8")?;
            let meta = match fs::symlink_metadata(root.join(&name)) {
                Ok(meta) => meta,
                // Tracked, and deleted.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error).with_context(|| format!("cannot look at {}", root.join(&name))),
            };
            let now = (meta.len(), meta.mtime(), meta.mtime_nsec(), meta.ino());
            let target = to.join(&name);
            if before.get(&name) != Some(&now) || target.symlink_metadata().is_err() {
                changed.push(name.clone());
            }
            after.insert(name, now);
        }
        for name in before.keys().filter(|name| !after.contains_key(*name)) {
            tree::remove(&to.join(name))?;
        }
        // After what is gone: a directory may stand where a file stood.
        for name in changed {
            bring(&root.join(&name), &to.join(&name), !before.is_empty())?;
        }
        disk::write_json(&to.join(LIST), &after)?;
        Ok(vec![Fact::number("source-files", after.len() as f64)])
    }
}

/// Puts a file or a link into the copy. `again`: there was one before, and something may have been built of it.
fn bring(source: &Utf8Path, target: &Utf8Path, again: bool) -> Result<()> {
    let dir = target.parent().with_context(|| format!("{target} lies nowhere"))?;
    fs::create_dir_all(dir).with_context(|| format!("cannot make the directory {dir}"))?;
    let meta = fs::symlink_metadata(source).with_context(|| format!("cannot look at {source}"))?;
    if meta.is_symlink() {
        let link = source.read_link_utf8().with_context(|| format!("cannot read the link {source}"))?;
        tree::remove(target)?;
        return std::os::unix::fs::symlink(&link, target).with_context(|| format!("cannot make the link {target}"));
    }
    if again && same(source, target) {
        return Ok(());
    }
    tree::remove(target)?;
    tree::copy_file(source, target)?;
    if again {
        let file = fs::File::open(target).with_context(|| format!("cannot open {target}"))?;
        file.set_modified(std::time::SystemTime::now()).with_context(|| format!("cannot set the time of {target}"))?;
    }
    Ok(())
}

fn same(source: &Utf8Path, target: &Utf8Path) -> bool {
    let read = |path: &Utf8Path| fs::read(path).ok();
    let mode = |path: &Utf8Path| path.metadata().map(|meta| meta.mode()).ok();
    mode(source) == mode(target) && read(source).is_some_and(|text| read(target) == Some(text))
}
