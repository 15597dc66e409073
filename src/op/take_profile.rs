//! `op take-profile`: a merged profile comes out of a bundle, in the place of a merge.

use std::fs::{self, File};
use std::io::{BufWriter, Write};

use anyhow::{Context, Result, bail};
use camino::Utf8PathBuf;

use super::merge::HASH_DIGITS;
use crate::event::Fact;
use crate::fs::tree;
use crate::profile::bundle::{self, Limits, Wanted};

/// The file beside a profile that says what its bundle said of it.
pub const ORIGIN: &str = "origin.json";

/// Takes a merged profile out of a bundle.
#[derive(Debug, clap::Args)]
pub struct TakeProfile {
    /// The bundle.
    #[arg(long)]
    pub bundle: Utf8PathBuf,
    /// Which profile.
    #[arg(long)]
    pub role: String,
    /// Its name in the bundle.
    #[arg(long)]
    pub member: String,
    /// The hash of its content.
    #[arg(long)]
    pub blake3: String,
    /// The extension of the file that is written.
    #[arg(long)]
    pub extension: String,
    /// The directory to write `NAME-HASH.EXTENSION` to, and what the bundle says of it.
    #[arg(long)]
    pub output_dir: Utf8PathBuf,
    /// The first part of that name.
    #[arg(long)]
    pub name: String,
}

impl TakeProfile {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let TakeProfile { bundle: path, role, output_dir: dir, .. } = self;
        let input = File::open(path).with_context(|| format!("cannot open the bundle {path}"))?;
        let partial = dir.join("partial");
        let mut writer = BufWriter::new(File::create(&partial).with_context(|| format!("cannot write {partial}"))?);
        let wanted = Wanted { file: &self.member, to: &mut writer };
        let read = bundle::read(input, &Limits::default(), Some(wanted));
        let bundle = read.with_context(|| format!("the bundle {path} is not taken"))?;
        writer.flush().with_context(|| format!("cannot write {partial}"))?;
        drop(writer);
        let entry = bundle.profiles.iter().find(|entry| entry.role == *role);
        let is_it =
            |member: bundle::Member| member.file == self.member && member.blake3.eq_ignore_ascii_case(&self.blake3);
        let Some(entry) = entry.filter(|entry| entry.members().any(is_it)) else {
            bail!(
                "the profile with role `{role}` in {path} is another one than when the run began; begin the run again"
            );
        };
        let origin = dir.join(ORIGIN);
        let text = serde_json::to_vec_pretty(entry).context("cannot write what the bundle says of the profile")?;
        fs::write(&origin, text).with_context(|| format!("cannot write {origin}"))?;
        let hash = self.blake3.get(..HASH_DIGITS).unwrap_or(&self.blake3).to_ascii_lowercase();
        let output = dir.join(format!("{}-{hash}.{}", self.name, self.extension));
        tree::set_mode_of_profile(&partial)?;
        fs::rename(&partial, &output).with_context(|| format!("cannot write {output}"))?;
        Ok(vec![Fact::bytes("profile-bytes", entry.bytes)])
    }
}
