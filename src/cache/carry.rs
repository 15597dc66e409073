//! A cache in one file, for CI systems that pass files from job to job and have no place that all of them see.
//!
//! The file is a tar archive of the objects of a store. It is never unpacked as an archive: each member is put into a store under its
//! name, if an object can have that name. Unaware of what the objects are.

use std::fs::File;
use std::io::{self, Write as _};

use anyhow::{Context as _, Result, bail, ensure};
use camino::Utf8Path;

use super::{Body, Store, When, is_name};

/// More than so many bytes is no object of ours in memory at once.
const LARGEST_AT_ONCE: u64 = 16 << 20;

/// Writes all objects of a store to a file. Returns how many, and their bytes.
///
/// # Errors
/// The store cannot be read, or the file cannot be written.
pub fn pack(store: &dyn Store, file: &Utf8Path) -> Result<(usize, u64)> {
    let failed = || format!("cannot write {file}");
    let parent = file.parent().filter(|parent| !parent.as_str().is_empty()).unwrap_or(".".into());
    let aside = tempfile::Builder::new().prefix(".tmp-").tempfile_in(parent).with_context(failed)?;
    let mut archive = tar::Builder::new(io::BufWriter::new(aside));
    let (mut count, mut bytes) = (0, 0);
    // Records behind what they name: a file that is cut has none without its objects.
    let mut all = store.list("")?;
    all.sort_by_key(|meta| (meta.name.starts_with("v1/scopes/"), meta.name.clone()));
    for meta in all {
        let Some(body) = store.get(&meta.name, None)? else { continue };
        let mut header = tar::Header::new_gnu();
        header.set_size(meta.size);
        header.set_mode(0o644);
        archive.append_data(&mut header, &meta.name, body).with_context(failed)?;
        count += 1;
        bytes += meta.size;
    }
    let mut writer = archive.into_inner().with_context(failed)?;
    writer.flush().with_context(failed)?;
    let aside = writer.into_inner().map_err(io::IntoInnerError::into_error).with_context(failed)?;
    aside.as_file().sync_all().with_context(failed)?;
    aside.persist(file).with_context(failed)?;
    Ok((count, bytes))
}

/// Puts all objects of a file into a store. Returns how many were not there before, and their bytes.
///
/// # Errors
/// The file is none that [`pack`] has written, or the store refuses.
pub fn unpack(file: &Utf8Path, store: &dyn Store, scratch: &Utf8Path) -> Result<(usize, u64)> {
    let opened = File::open(file).with_context(|| format!("cannot read {file}"))?;
    let wrong = || format!("{file} is not a file of `optbuild cache export`, or it is cut");
    let mut archive = tar::Archive::new(io::BufReader::new(opened));
    let (mut count, mut bytes) = (0, 0);
    for member in archive.entries().with_context(wrong)? {
        let mut member = member.with_context(wrong)?;
        let name = String::from_utf8(member.path_bytes().into_owned()).ok().filter(|name| is_name(name));
        let Some(name) = name.filter(|name| name == super::one::MARKER || name.starts_with("v1/")) else {
            bail!("{}: a member has a name that no object can have", wrong());
        };
        ensure!(member.header().entry_type() == tar::EntryType::Regular, "{}: `{name}` is no file", wrong());
        let size = member.size();
        let put = if size <= LARGEST_AT_ONCE {
            let mut content = Vec::new();
            io::copy(&mut member, &mut content).with_context(wrong)?;
            ensure!(content.len() as u64 == size, wrong());
            store.put(&name, Body::Bytes(&content), When::Absent)?
        } else {
            let mut aside = tempfile::Builder::new().prefix(".tmp-").tempfile_in(scratch).with_context(wrong)?;
            ensure!(io::copy(&mut member, aside.as_file_mut()).with_context(wrong)? == size, wrong());
            let path = Utf8Path::from_path(aside.path()).context("the directory for temporary files is not UTF-8")?;
            store.put(&name, Body::File(path), When::Absent)?
        };
        if put == super::Put::Written {
            count += 1;
            bytes += size;
        }
    }
    Ok((count, bytes))
}
