//! The merged profile without llvm-profdata, where it is known to write the same. Unaware of how either writes.

use anyhow::{Context, Result};
use camino::Utf8Path;

use super::engine::Order;
use super::trust::Trust;
use crate::profile::header::{Header, HeaderKind};
use crate::profile::indexed::Profile;
use crate::profile::raw::Input;

/// What would be written. None: that is left to llvm-profdata.
pub(super) struct Own(Option<(Profile, Trust)>);

/// What is read at most besides the largest profile: profiles of many binaries, as of all tests of a project, are llvm-profdata's, which
/// reads one at a time. In memory a profile takes a few times its size.
const MORE: u64 = 8 << 20;

fn fits(left: &[Input]) -> Result<bool> {
    let sizes =
        left.iter().map(|(path, _)| Ok(std::fs::metadata(path).with_context(|| format!("cannot read {path}"))?.len()));
    let sizes = sizes.collect::<Result<Vec<u64>>>()?;
    let largest = sizes.iter().max().copied().unwrap_or_default();
    Ok(sizes.iter().sum::<u64>() - largest <= MORE)
}

impl Own {
    /// Reads what is left to be merged, if nothing in it needs llvm-profdata and what that writes is known or can be learned.
    pub fn of(order: &Order, left: &[Input], understood: bool) -> Result<Own> {
        if !understood || !order.with.is_empty() || left.iter().any(|(_, weight)| *weight != 1) {
            return Ok(Own(None));
        }
        if !fits(left)? {
            return Ok(Own(None));
        }
        let Some(trust) = Trust::of(order.tool) else { return Ok(Own(None)) };
        let paths: Vec<_> = left.iter().map(|(path, _)| path.clone()).collect();
        let profile = Profile::read(&paths).context("cannot read the sums of raw profiles")?.ok();
        Ok(Own(profile.filter(|profile| trust.version(profile.shape()) != Some(None)).map(|profile| (profile, trust))))
    }

    /// Writes it, if the tool is known to write the same. False: it is not known.
    pub fn write(&self, output: &Utf8Path) -> Result<bool> {
        let Some((profile, trust)) = &self.0 else { return Ok(false) };
        let version = trust.version(profile.shape()).flatten();
        let Some(bytes) = version.and_then(|version| profile.write(version)) else { return Ok(false) };
        std::fs::write(output, bytes).with_context(|| format!("cannot write {output}"))?;
        Ok(true)
    }

    /// Compares what the tool wrote, and remembers.
    pub fn compare(&self, output: &Utf8Path) -> Result<()> {
        let Some((profile, trust)) = &self.0 else { return Ok(()) };
        let cannot = || format!("cannot read {output}");
        let header = Header::read(output).with_context(cannot)?.filter(|header| header.kind == HeaderKind::Indexed);
        let Some(Header { version, .. }) = header else { return Ok(()) };
        let theirs = std::fs::read(output).with_context(cannot)?;
        let same = profile.write(version).is_some_and(|ours| ours == theirs);
        tracing::debug!("what is written without the tool is {}", if same { "the same" } else { "not the same" });
        trust.learn(profile.shape(), same.then_some(version));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_of_many_binaries_are_not_read_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let files = |sizes: &[u64]| -> Vec<Input> {
            let sized = sizes.iter().enumerate().map(|(number, size)| {
                let path = dir.join(number.to_string());
                std::fs::File::create(&path).unwrap().set_len(*size).unwrap();
                (path, 1)
            });
            sized.collect()
        };
        assert!(fits(&files(&[1 << 30])).unwrap(), "one of any size");
        assert!(fits(&files(&[30 << 20, 5 << 20, 3 << 20])).unwrap());
        assert!(!fits(&files(&[30 << 20, 5 << 20, 4 << 20])).unwrap());
        assert!(!fits(&files(&[2 << 20; 150])).unwrap());
    }
}
