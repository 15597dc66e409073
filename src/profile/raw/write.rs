//! A group's sum as a raw profile, as a process of the first file's addresses would have written it.
//!
//! Unaware of what was added.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::sync::PoisonError;

use anyhow::{Context, Result};
use camino::Utf8Path;

use super::counters::CHUNK;
use super::group::Group;
use super::layout::padding;

impl Group {
    /// Writes the sum. It can be added to afterwards.
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
