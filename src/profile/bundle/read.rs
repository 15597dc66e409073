//! Reads a bundle from its first byte to its last, checks everything that it says of itself, and copies out one file.
//!
//! A pure function over a reader: what it takes in memory is bounded by [`Limits`] and does not depend on what the archive says.
//!
//! rust's `reproducible-artifacts-VERSION-TARGET.tar.xz`, in which a release of rust keeps the profiles that it was built with, is an
//! installer package: one directory named as the file, in it one directory per component with the files, and beside those `version`
//! and `git-commit-hash`. opt-dist names the profiles `rustc-pgo.profdata`, `llvm-pgo.profdata`, `LLVM-bolt.profdata` and
//! `rustc-bolt.profdata`; those of BOLT are text all the same.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use super::archive::{self, Archive};
use super::manifest::{Entry, MANIFEST, Manifest, Member};
use super::{BundleError, Description, Limits, is_role};
use crate::profile::Format;
use crate::profile::header::{Header, HeaderKind};

/// A bundle that was read, and whose profiles are what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    pub origin: Origin,
    pub profiles: Vec<Entry>,
}

/// Who packed a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Optbuild {
        version: String,
        pipeline: String,
    },
    /// A release of rust. Its package says nothing of its profiles but their roles.
    Rust {
        version: Option<String>,
        commit: Option<String>,
    },
}

/// The file to copy out, by its name in the archive.
pub struct Wanted<'a> {
    pub file: &'a str,
    pub to: &'a mut dyn Write,
}

/// Reads a bundle. With `wanted` the content of that file is written there, before it is known whether the bundle is good.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn read(input: impl Read, limits: &Limits, mut wanted: Option<Wanted>) -> Result<Bundle, BundleError> {
    let mut archive = Archive::new(input, limits)?;
    let Some(first) = archive.next()? else { return Err(BundleError::Empty) };
    let bundle = if first.name == MANIFEST && !first.directory {
        own(&mut archive, &first, limits, &mut wanted)?
    } else if is_package_of_rust(&first.name) {
        of_rust(&mut archive, first, limits, &mut wanted)?
    } else {
        return Err(BundleError::Foreign(first.name));
    };
    if bundle.profiles.is_empty() {
        return Err(BundleError::Empty);
    }
    Ok(bundle)
}

fn own(
    archive: &mut Archive,
    first: &archive::Member,
    limits: &Limits,
    wanted: &mut Option<Wanted>,
) -> Result<Bundle, BundleError> {
    let manifest = Manifest::parse(&small(archive, first, limits.manifest)?, limits)?;
    let members = manifest.profiles.iter().flat_map(|entry| entry.members().map(move |member| (entry, member)));
    let mut missing: BTreeMap<String, (&Entry, Member)> =
        members.map(|(entry, member)| (member.file.clone(), (entry, member))).collect();
    while let Some(member) = archive.next()? {
        let name = member.name;
        let Some((entry, declared)) = missing.remove(&name).filter(|_| !member.directory) else {
            return Err(BundleError::Unlisted(name));
        };
        if member.bytes != declared.bytes {
            return Err(BundleError::Size { name, declared: declared.bytes, found: member.bytes });
        }
        let (blake3, found) = content(archive, &name, wanted)?;
        if blake3 != declared.blake3.to_ascii_lowercase() {
            return Err(BundleError::Hash(name));
        }
        if name == entry.file {
            is_as_declared(entry, found)?;
        }
    }
    if let Some(file) = missing.into_keys().next() {
        return Err(BundleError::Missing(file));
    }
    let origin = Origin::Optbuild { version: manifest.optbuild, pipeline: manifest.pipeline };
    Ok(Bundle { origin, profiles: manifest.profiles })
}

fn is_as_declared(entry: &Entry, found: Option<Description>) -> Result<(), BundleError> {
    let declared = (entry.kind, entry.version, entry.context_sensitive);
    let found = found.map(|found| (found.kind, found.version, found.context_sensitive));
    if found == Some(declared) {
        return Ok(());
    }
    let found = found.map_or_else(|| "no merged profile".into(), shown);
    Err(BundleError::Content { name: entry.file.clone(), declared: shown(declared), found })
}

fn shown((kind, version, context_sensitive): (Format, Option<u32>, bool)) -> String {
    let mut text = match kind {
        Format::Profdata => "an indexed profile".to_string(),
        Format::Fdata => "a profile of BOLT".to_string(),
    };
    if let Some(version) = version {
        text.push_str(&format!(" of version {version}"));
    }
    if context_sensitive {
        text.push_str(" with context-sensitive counts");
    }
    text
}

fn of_rust(
    archive: &mut Archive,
    first: archive::Member,
    limits: &Limits,
    wanted: &mut Option<Wanted>,
) -> Result<Bundle, BundleError> {
    let (mut profiles, mut version, mut commit) = (Vec::new(), None, None);
    let mut next = Some(first);
    while let Some(member) = next {
        match part(&member.name) {
            Part::Profile(role) if !member.directory => {
                profiles.push(profile_of_rust(archive, &member, role, limits, wanted)?);
            }
            Part::Version => version = Some(line(archive, &member)?),
            Part::Commit => commit = Some(line(archive, &member)?),
            Part::Profile(_) | Part::Other if member.bytes > MAX_OTHER => {
                let what = format!("`{}`, which is no profile,", member.name);
                return Err(BundleError::TooLarge { what, bytes: member.bytes, limit: MAX_OTHER });
            }
            Part::Profile(_) | Part::Other => {}
        }
        next = archive.next()?;
    }
    profiles.sort_by(|a, b| a.role.cmp(&b.role));
    Ok(Bundle { origin: Origin::Rust { version, commit }, profiles })
}

fn profile_of_rust(
    archive: &mut Archive,
    member: &archive::Member,
    role: &str,
    limits: &Limits,
    wanted: &mut Option<Wanted>,
) -> Result<Entry, BundleError> {
    if member.bytes > limits.profile {
        let what = format!("`{}`", member.name);
        return Err(BundleError::TooLarge { what, bytes: member.bytes, limit: limits.profile });
    }
    let Some(found) = content(archive, &member.name, wanted)?.1 else {
        let declared = "a merged profile".into();
        return Err(BundleError::Content { name: member.name.clone(), declared, found: "something else".into() });
    };
    Ok(Entry {
        role: role.into(),
        stage: String::new(),
        file: member.name.clone(),
        kind: found.kind,
        version: found.version,
        context_sensitive: found.context_sensitive,
        bytes: found.bytes,
        blake3: found.blake3,
        sources: Vec::new(),
        tools: BTreeMap::new(),
        instrumented: Vec::new(),
        rewritten: None,
        matchable: None,
        figures: None,
    })
}

/// All of a small member.
fn small(archive: &mut Archive, member: &archive::Member, limit: u64) -> Result<Vec<u8>, BundleError> {
    if member.bytes > limit {
        return Err(BundleError::TooLarge { what: format!("`{}`", member.name), bytes: member.bytes, limit });
    }
    let mut content = vec![0; member.bytes as usize];
    archive.read(&mut content)?;
    Ok(content)
}

/// The first line of a small text.
fn line(archive: &mut Archive, member: &archive::Member) -> Result<String, BundleError> {
    let text = small(archive, member, 4096)?;
    Ok(String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_string())
}

/// Reads a profile. Returns its hash, and what it is.
fn content(
    archive: &mut Archive,
    file: &str,
    wanted: &mut Option<Wanted>,
) -> Result<(String, Option<Description>), BundleError> {
    let mut wanted = wanted.as_mut().filter(|wanted| wanted.file == file);
    let mut hasher = blake3::Hasher::new();
    let (mut buffer, mut first) = (vec![0; 1 << 16], Vec::new());
    loop {
        let got = archive.read(&mut buffer)?;
        let part = &buffer[..got];
        if part.is_empty() {
            break;
        }
        if first.is_empty() {
            first = part.to_vec();
        }
        hasher.update(part);
        if let Some(wanted) = &mut wanted {
            wanted.to.write_all(part).map_err(BundleError::Write)?;
        }
    }
    Ok((hasher.finalize().to_hex().to_string(), recognise(&first, &hasher)))
}

/// What a merged profile is, by how it begins.
pub(super) fn recognise(first: &[u8], content: &blake3::Hasher) -> Option<Description> {
    let (bytes, blake3) = (content.count(), content.finalize().to_hex().to_string());
    if let Some(Header { kind, version, context_sensitive, .. }) = Header::parse(first) {
        let indexed = kind == HeaderKind::Indexed;
        let (kind, version) = (Format::Profdata, Some(version));
        return indexed.then_some(Description { kind, version, context_sensitive, bytes, blake3 });
    }
    let line = first.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = std::str::from_utf8(line).ok()?;
    // `1 NAME OFFSET …`, and what llvm-bolt or perf2bolt put in front of such lines.
    let branches = line.len() > 1 && line.starts_with(|c: char| c.is_ascii_digit()) && line.contains(' ');
    let bolt = branches || line.starts_with("no_lbr") || line.starts_with("boltedcollection");
    bolt.then_some(Description { kind: Format::Fdata, version: None, context_sensitive: false, bytes, blake3 })
}

/// What a file of rust's package may have that is no profile: licences and scripts. In bytes.
const MAX_OTHER: u64 = 16 << 20;

/// The component, and how the outermost directory begins.
const COMPONENT: &str = "reproducible-artifacts";

/// What a member of the package is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part<'n> {
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
fn is_package_of_rust(first: &str) -> bool {
    first.split('/').next().is_some_and(|top| top.strip_prefix(COMPONENT).is_some_and(|rest| rest.starts_with('-')))
}

/// What a member is, by its name.
fn part(name: &str) -> Part<'_> {
    let mut path = name.split('/').skip(1);
    match (path.next(), path.next(), path.next()) {
        (Some("version"), None, _) => Part::Version,
        (Some("git-commit-hash"), None, _) => Part::Commit,
        (Some(COMPONENT), Some(file), None) => match file.strip_suffix(".profdata") {
            Some(role) if is_role(role) => Part::Profile(role),
            _ => Part::Other,
        },
        _ => Part::Other,
    }
}
