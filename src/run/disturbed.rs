//! Sources that changed while a stage ran: which files, and whether the stage has read them.
//!
//! | changed | |
//! |---|---|
//! | a file that the build tool does not list among what it read | does not count; it is told |
//! | any other | the stage fails: nobody knows what its outputs were made from |
//!
//! Build tools list what they read in files of make's form. Unaware of how a stage goes on.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};

use super::resolve::Resolver;
use crate::fs::pattern;
use crate::plan::{Source, StagePlan};
use crate::text;

/// Files of this name are read by cargo whatever it lists.
const MANIFESTS: [&str; 4] = ["Cargo.toml", "Cargo.lock", "rust-toolchain", "rust-toolchain.toml"];

/// A source that changed.
pub(super) struct Changed {
    /// Names below the source; none where they are not known.
    files: Vec<Utf8PathBuf>,
    path: Utf8PathBuf,
    name: String,
}

impl Changed {
    pub fn new(source: &Source, files: Vec<Utf8PathBuf>) -> Changed {
        Changed { files, path: source.path.clone(), name: source.name.clone() }
    }

    /// The files, or what is known of them.
    fn shown(&self) -> String {
        match self.files.as_slice() {
            [] => format!("`{}` ({})", self.path, self.name),
            files => format!("{} in `{}` ({})", text::few(files), self.path, self.name),
        }
    }

    /// Why the stage fails.
    pub fn failure(&self) -> String {
        format!(
            "{} changed while the stage ran, so it is not known what its outputs were made from; run it again, and let nothing write \
             there meanwhile (what the stage itself makes belongs into `${{self.out}}` or `${{self.build}}`)",
            self.shown()
        )
    }

    /// What is told where it does not count.
    pub fn note(&self) -> String {
        format!("{} changed while the stage ran, and the build has not read it", self.shown())
    }

    /// Whether all that changed is where optbuild's own output ends. The other side of a pipe may have opened its file when the sources
    /// had been looked at.
    pub fn is_printed(&self, printed: &BTreeSet<Utf8PathBuf>) -> bool {
        let root = self.path.canonicalize_utf8().unwrap_or_else(|_| self.path.clone());
        !self.files.is_empty() && self.files.iter().all(|name| printed.contains(&root.join(name)))
    }

    /// Whether the build may have read one of the files, by what it lists.
    pub fn may_be_read(&self, plan: &StagePlan, resolver: &Resolver) -> bool {
        let Some(read) = listed(plan, resolver) else { return true };
        let root = self.path.canonicalize_utf8().unwrap_or_else(|_| self.path.clone());
        let is_read = |name: &Utf8PathBuf| {
            name.file_name().is_some_and(|name| MANIFESTS.contains(&name))
                || name.components().any(|part| part.as_str() == ".cargo")
                || read.contains(&root.join(name))
        };
        self.files.is_empty() || self.files.iter().any(is_read)
    }
}

/// What the build tool lists; none if it lists nothing.
fn listed(plan: &StagePlan, resolver: &Resolver) -> Option<BTreeSet<Utf8PathBuf>> {
    let mut read = BTreeSet::new();
    for arg in &plan.lists {
        let path = resolver.text(arg).ok()?;
        let file = pattern::resolve(Utf8Path::new(&path)).ok()?;
        let text = std::fs::read_to_string(file).ok()?;
        read.extend(prerequisites(&text).into_iter().map(|path| path.canonicalize_utf8().unwrap_or(path)));
    }
    (!read.is_empty()).then_some(read)
}

/// What stands behind the colons of a makefile. A blank in a name has a backslash before it; one at its end continues a line.
pub fn prerequisites(makefile: &str) -> Vec<Utf8PathBuf> {
    let makefile = makefile.replace("\\\n", " ");
    let behind = makefile.lines().filter_map(|line| line.split_once(": ")).map(|(_, files)| files);
    let read = behind.flat_map(|files| {
        let mut names = vec![String::new()];
        let mut chars = files.chars();
        while let Some(c) = chars.next() {
            match (c, names.last_mut()) {
                ('\\', Some(name)) => name.extend(chars.next()),
                (' ', _) => names.push(String::new()),
                (c, Some(name)) => name.push(c),
                (_, None) => {}
            }
        }
        names.into_iter().filter(|name| !name.is_empty()).map(Utf8PathBuf::from)
    });
    read.collect()
}
