//! What is done with bytes of unknown origin, for the fuzzers in `fuzz/` and for the test that goes over their seeds: no panic,
//! and nothing in memory or on disk that is much larger than the input.

use std::cell::OnceCell;

use camino::{Utf8Path, Utf8PathBuf};
use optbuild::profile::bundle::{self, Limits};
use optbuild::profile::raw::{self, Fate, Sum};
use optbuild::profile::{fdata, header, indexed};
use optbuild::toolchain::formats;

/// How much larger than its input something may become.
const TIMES: u64 = 40;

thread_local! {
    static PLACE: OnceCell<tempfile::TempDir> = const { OnceCell::new() };
}

/// Writes the bytes to a file in memory, and does something in its directory.
fn with_file(data: &[u8], act: impl FnOnce(&Utf8Path, &Utf8PathBuf)) {
    PLACE.with(|place| {
        let memory = Utf8Path::new("/dev/shm");
        let place = place.get_or_init(|| match memory.is_dir() {
            true => tempfile::tempdir_in(memory).unwrap(),
            false => tempfile::tempdir().unwrap(),
        });
        let dir = Utf8Path::from_path(place.path()).unwrap();
        let file = dir.join("data.profraw");
        std::fs::write(&file, data).unwrap();
        act(dir, &file);
    });
}

/// A raw profile: added to itself, kept, read again, converted.
pub fn raw(data: &[u8]) {
    let allowed = data.len() as u64 * TIMES + 4096;
    with_file(data, |dir, file| {
        let files = [file.clone(), file.clone()];
        let folded = raw::fold(&files, dir, 1).unwrap();
        let passed = folded.left.iter().filter(|path| *path == file).count() - folded.handed.len();
        assert_eq!(folded.added + folded.handed.len() + folded.damaged.len() + folded.empty.len() + passed, 2);
        for (sum, _) in &folded.sums {
            assert!(std::fs::metadata(sum).unwrap().len() <= allowed);
        }
        let mut sum = Sum::new();
        let became = sum.add(&files, 1).unwrap();
        let added = became.iter().filter(|became| matches!(became, Fate::Added | Fate::AddedInPart(_))).count();
        assert_eq!(sum.files(), added as u64);
        let saved = dir.join("saved");
        sum.save(&saved).unwrap();
        assert!(std::fs::metadata(&saved).unwrap().len() <= allowed);
        assert_eq!(Sum::open(&saved).unwrap().files(), sum.files());
        if let Ok(profile) = indexed::Profile::read(&files[..1]).unwrap() {
            profile.shape();
            for version in 10..=14 {
                let written = profile.write(version);
                assert!(written.is_none_or(|written| written.len() as u64 <= allowed * 10));
            }
        }
    });
}

/// A sum that was kept. The checksum, which no change survives, is made good.
pub fn sum(data: &[u8]) {
    let mut data = data.to_vec();
    data.extend(blake3::hash(&data).as_bytes());
    with_file(&data, |dir, file| {
        let Ok(sum) = Sum::open(file) else { return };
        sum.save(&dir.join("saved")).unwrap();
        let again = Sum::open(&dir.join("saved")).unwrap();
        assert_eq!(again.files(), sum.files());
    });
}

/// The first bytes of any profile.
pub fn header(data: &[u8]) {
    if let Some(found) = header::Header::parse(data) {
        assert!(data.len() >= 16 && !formats::raw_in_words(u64::from(found.version)).is_empty());
    }
}

/// A profile of BOLT.
pub fn fdata(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let sorted = fdata::sorted(&text);
    assert_eq!(fdata::functions(&sorted), fdata::functions(&text));
    assert_eq!(fdata::sorted(&sorted), sorted);
    with_file(data, |_, file| assert!(fdata::condition(file).is_ok()));
}

/// A bundle, as it comes and as the content of one that is well compressed.
pub fn bundle(data: &[u8]) {
    let limits = Limits { manifest: 1 << 16, profile: 1 << 20, total: 4 << 20, members: 50, memory: 8 << 20 };
    let packed = zstd::encode_all(data, 1).unwrap();
    for bytes in [data, &packed] {
        let Ok(found) = bundle::read(bytes, &limits, None) else { continue };
        assert!(!found.profiles.is_empty());
        for entry in &found.profiles {
            assert!(bundle::is_role(&entry.role), "{}", entry.role);
            let mut content = Vec::new();
            let again = bundle::read(bytes, &limits, Some(bundle::Wanted { file: &entry.file, to: &mut content }));
            assert_eq!(again.unwrap(), found);
            assert_eq!(content.len() as u64, entry.bytes);
            assert_eq!(blake3::hash(&content).to_hex().as_str(), entry.blake3);
        }
    }
}
