//! Sums in files, to go on with them later: all that a raw profile has, and what it has no room for (more than 255 values of a
//! site, the ranks of values without a name, the number of files). A checksum at the end tells whether it is whole.
//!
//! Unaware of who writes and reads it; the format is of no use outside of optbuild.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::sync::PoisonError;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use super::counters::{CHUNK, LARGEST, Source};
use super::group::Group;
use super::layout::Sections;
use super::signature_of;
use super::sum::Sum;
use super::template::Template;
use super::values::Site;

const MAGIC: [u8; 8] = *b"optbsum1";
const HASH: usize = blake3::OUT_LEN;

impl Sum {
    /// Keeps the sum in a file, which is written aside, synced and put in place whole.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, path: &Utf8Path) -> Result<()> {
        let aside = Utf8PathBuf::from(format!("{path}.partial"));
        self.save_to(&aside).with_context(|| format!("cannot write {aside}"))?;
        std::fs::rename(&aside, path).with_context(|| format!("cannot write {path}"))
    }

    fn save_to(&self, path: &Utf8Path) -> std::io::Result<()> {
        let mut file = BufWriter::with_capacity(CHUNK, File::create(path)?);
        let mut hasher = blake3::Hasher::new();
        let mut put = |bytes: &[u8]| {
            hasher.update(bytes);
            file.write_all(bytes)
        };
        let words = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        put(&MAGIC)?;
        put(&words(&[self.groups.len() as u64]))?;
        for group in &self.groups {
            let Group { template, counters, bitmap, values, files, first } = group;
            let bitmap = bitmap.lock().unwrap_or_else(PoisonError::into_inner);
            put(&words(&[*files, counters.bound()]))?;
            for part in [first.as_str().as_bytes(), &template.head, &template.records, &template.names, &bitmap] {
                put(&words(&[part.len() as u64]))?;
                put(part)?;
            }
            counters.write(&mut put)?;
            for site in values.sites().take(template.sites) {
                put(&words(&[site.len() as u64]))?;
                for ((value, rank), count) in site {
                    put(&words(&[value, u64::from(rank), count]))?;
                }
            }
        }
        file.write_all(hasher.finalize().as_bytes())?;
        file.into_inner()?.sync_all()
    }

    /// Goes on with a sum that was saved.
    ///
    /// # Errors
    /// It cannot be read, or is not whole.
    pub fn open(path: &Utf8Path) -> Result<Sum> {
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|mut file| file.read_to_end(&mut bytes))
            .with_context(|| format!("cannot read {path}"))?;
        let Some((content, hash)) = bytes.split_last_chunk::<HASH>() else {
            bail!("{path} is not a saved sum of profiles");
        };
        if content.get(..8) != Some(&MAGIC) || *blake3::hash(content).as_bytes() != *hash {
            bail!("{path} is not a saved sum of profiles, or is damaged");
        }
        read(&content[8..]).with_context(|| format!("{path} is not a saved sum that this optbuild understands"))
    }
}

fn read(content: &[u8]) -> Option<Sum> {
    let mut rest = content;
    let mut sum = Sum::new();
    for _ in 0..number(&mut rest)? {
        let (files, bound) = (number(&mut rest)?, number(&mut rest)?);
        let mut part = || take(&mut rest);
        let (first, head, records, names, bitmap) = (part()?, part()?, part()?, part()?, part()?);
        let sections = Sections::parse(head, u64::MAX).ok()?;
        let lengths =
            (sections.layout.header.checked_add(sections.ids)?, sections.records, sections.names, sections.bitmap);
        if lengths != (head.len(), records.len(), names.len(), bitmap.len()) || bound > LARGEST {
            return None;
        }
        let template = Template::of(sections, head.to_vec(), records.to_vec(), names.to_vec()).ok()?;
        let (counters, after) = rest.split_at_checked(sections.counters)?;
        rest = after;
        // Each site has its number of values at least.
        if template.sites > rest.len() / 8 {
            return None;
        }
        let mut group = Group::of(template, std::str::from_utf8(first).ok()?.into());
        group.files = files;
        group.counters.add(Source::Memory(counters), 1, 0, &mut Vec::new()).ok()?;
        group.counters.set_bound(bound);
        *group.bitmap.get_mut().unwrap_or_else(PoisonError::into_inner) = bitmap.to_vec();
        let mut sites: Vec<Site> = Vec::new();
        for _ in 0..group.template.sites {
            let mut site = Site::new();
            for _ in 0..number(&mut rest)? {
                let (value, rank, count) = (number(&mut rest)?, number(&mut rest)?, number(&mut rest)?);
                site.push(((value, u8::try_from(rank).ok()?), count));
            }
            sites.push(site);
        }
        group.values.join(sites.into_iter());
        sum.keep(signature_of(&group.template), group);
    }
    rest.is_empty().then_some(sum)
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let (first, after) = rest.split_first_chunk::<8>()?;
    *rest = after;
    Some(u64::from_le_bytes(*first))
}

/// A length and so many bytes.
fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(number(rest)?).ok()?;
    let (part, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(part)
}
