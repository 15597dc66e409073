//! The layout of rust's `reproducible-artifacts-VERSION-TARGET.tar.xz`, in which a release of rust keeps the profiles that it was
//! built with.
//!
//! It is an installer package: one directory named as the file, in it one directory per component with the files, and beside
//! those `version` and `git-commit-hash`. opt-dist names the profiles `rustc-pgo.profdata`, `llvm-pgo.profdata`,
//! `LLVM-bolt.profdata` and `rustc-bolt.profdata`; those of BOLT are text all the same. Unaware of how archives are read.

/// The component, and how the outermost directory begins.
const COMPONENT: &str = "reproducible-artifacts";

/// What a member of the package is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part<'n> {
    /// The profile of this role.
    Profile(&'n str),
    /// `1.85.0 (4d91de4e4 2025-02-17)`
    Version,
    /// The hash of the commit, alone.
    Commit,
    /// Licences, the installer, its lists.
    Other,
}

/// Whether an archive that begins with this member is such a package.
pub(super) fn is_one(first: &str) -> bool {
    first.split('/').next().is_some_and(|top| top.starts_with("reproducible-artifacts-"))
}

/// What a member is, by its name.
pub(super) fn part(name: &str) -> Part<'_> {
    let mut path = name.split('/').skip(1);
    match (path.next(), path.next(), path.next()) {
        (Some("version"), None, _) => Part::Version,
        (Some("git-commit-hash"), None, _) => Part::Commit,
        (Some(COMPONENT), Some(file), None) => match file.strip_suffix(".profdata") {
            Some(role) if super::is_role(role) => Part::Profile(role),
            _ => Part::Other,
        },
        _ => Part::Other,
    }
}
