//! Sums on disk: as raw profiles for other tools, and as files of optbuild's own to go on with later.
//!
//! | | a raw profile | a kept sum |
//! |---|---|---|
//! | binaries | one, at the addresses of its first file | all |
//! | values of a site | the 255 most frequent | all, with ranks for those without a name |
//! | also has | nothing | the number of files, the first file, a checksum at the end |
//! | read by | LLVM's tools, [`super::read`] | this optbuild alone |
//!
//! Unaware of what was added.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::sync::PoisonError;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use super::group::{CHUNK, Counters, Group, Site};
use super::layout::{Sections, padding};
use super::read::Template;
use super::{LARGEST_COUNT, Sum};
use crate::fs::whole;

const MAGIC: [u8; 8] = *b"optbsum1";
const HASH: usize = blake3::OUT_LEN;

impl Group {
    /// Writes the sum as a raw profile. It can be added to afterwards.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &Utf8Path) -> Result<()> {
        self.write_to(path).with_context(|| format!("cannot write {path}"))
    }

    fn write_to(&self, path: &Utf8Path) -> io::Result<()> {
        let Group { template, counters, bitmap, values, .. } = self;
        let sections = template.sections;
        let mut file = BufWriter::with_capacity(CHUNK, File::create(path)?);
        let zeros = |file: &mut BufWriter<File>, from: usize, to: usize| {
            io::copy(&mut io::repeat(0).take(to.saturating_sub(from) as u64), file)
        };
        file.write_all(&template.head)?;
        file.write_all(&template.records)?;
        zeros(&mut file, sections.records_at + sections.records, sections.counters_at)?;
        counters.write(|part| file.write_all(part))?;
        zeros(&mut file, sections.counters_at + sections.counters, sections.bitmap_at)?;
        file.write_all(&bitmap.lock().unwrap_or_else(PoisonError::into_inner))?;
        zeros(&mut file, sections.bitmap_at + sections.bitmap, sections.names_at)?;
        file.write_all(&template.names)?;
        zeros(&mut file, 0, padding(sections.names))?;
        values.write(template, |block| file.write_all(block))?;
        file.flush()
    }
}

impl Sum {
    /// Writes one raw profile for each binary (several for one whose counts add up to more than 2^56) into a directory, named
    /// `sum-NUMBER.profraw`. The sum can be added to afterwards.
    ///
    /// # Errors
    /// One cannot be written.
    pub fn write(&self, dir: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
        let filled = self.groups.iter().filter(|group| group.files > 0).enumerate();
        let write = |(number, group): (usize, &Group)| {
            let path = dir.join(format!("sum-{number}.profraw"));
            group.write(&path).map(|()| path)
        };
        filled.map(write).collect()
    }

    /// Keeps the sum in a file, which is written aside, synced and put in place whole.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, path: &Utf8Path) -> Result<()> {
        let aside = Utf8PathBuf::from(format!("{path}.partial"));
        self.save_to(&aside).with_context(|| format!("cannot write {aside}"))?;
        std::fs::rename(&aside, path).with_context(|| format!("cannot write {path}"))
    }

    fn save_to(&self, path: &Utf8Path) -> io::Result<()> {
        let mut file = BufWriter::with_capacity(CHUNK, File::create(path)?);
        let mut hasher = blake3::Hasher::new();
        let mut put = |bytes: &[u8]| {
            hasher.update(bytes);
            file.write_all(bytes)
        };
        let words = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        put(&MAGIC)?;
        put(&words(&[self.groups.len() as u64]))?;
        for Group { template, counters, bitmap, values, files, first, .. } in &self.groups {
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
        let bytes = whole::read(path).with_context(|| format!("cannot read {path}"))?;
        let Some((content, hash)) = bytes.split_last_chunk::<HASH>() else {
            bail!("{path} is not a saved sum of profiles");
        };
        if content.get(..8) != Some(&MAGIC) || *blake3::hash(content).as_bytes() != *hash {
            bail!("{path} is not a saved sum of profiles, or is damaged");
        }
        parse(&content[8..]).with_context(|| format!("{path} is not a saved sum that this optbuild understands"))
    }
}

fn parse(content: &[u8]) -> Option<Sum> {
    let mut rest = content;
    let mut sum = Sum::new();
    for _ in 0..number(&mut rest)? {
        let (files, bound) = (number(&mut rest)?, number(&mut rest)?);
        let mut part = || take(&mut rest);
        let (first, head, records, names, bitmap) = (part()?, part()?, part()?, part()?, part()?);
        let sections = Sections::parse(head, u64::MAX).ok()?;
        let lengths =
            (sections.layout.header.checked_add(sections.ids)?, sections.records, sections.names, sections.bitmap);
        if lengths != (head.len(), records.len(), names.len(), bitmap.len()) || bound > LARGEST_COUNT {
            return None;
        }
        let template = Template::new(sections, head.to_vec(), records.to_vec(), names.to_vec()).ok()?;
        let (counters, after) = rest.split_at_checked(sections.counters)?;
        rest = after;
        // Each site has its number of values at least.
        if template.sites > rest.len() / 8 {
            return None;
        }
        let mut group = Group::new(template, std::str::from_utf8(first).ok()?.into());
        group.files = files;
        group.counters = Counters::restored(counters, bound);
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
        sum.keep(group.template.signature(), group);
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
