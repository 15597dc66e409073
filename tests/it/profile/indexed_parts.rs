//! Parts of merged profiles: the order of functions, their names, and what is found when a profile is read back.

use camino::Utf8PathBuf;
use optbuild::profile::indexed::{Profile, buckets, check};
use optbuild::profile::raw;
use optbuild::profile::raw::names::Names;

use crate::support::dir::Dir;

#[test]
fn few_items() {
    assert_eq!(buckets(&[]), [Vec::<usize>::new()]);
    // Put at the front, and turned around when 64 buckets become one.
    assert_eq!(buckets(&[64, 128]), [vec![0, 1]]);
    // From two of 64 buckets into one of 8, the lower first: it is behind then.
    assert_eq!(buckets(&[8, 16, 3]), [vec![1, 0], vec![], vec![], vec![2], vec![], vec![], vec![], vec![]]);
}

#[test]
fn every_item_is_in_its_bucket() {
    let hashes: Vec<u64> = (0..1000u64).map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7).collect();
    let buckets = buckets(&hashes);
    assert_eq!(buckets.len(), 2048);
    let mut all: Vec<usize> = buckets.concat();
    all.sort();
    assert!(all.into_iter().eq(0..1000));
    for (number, bucket) in buckets.iter().enumerate() {
        assert!(bucket.iter().all(|item| hashes[*item] % 2048 == number as u64));
    }
}

#[test]
fn plain_and_packed_parts() {
    // Packed by Python's zlib: `b`, the separator, `cc`.
    let mut packed = vec![1, 0, b'a', 0, 0];
    let part: &[u8] = &[0x78, 0x9c, 0x4b, 0x62, 0x4c, 0x4e, 0x06, 0x00, 0x02, 0xb8, 0x01, 0x2a];
    packed.extend([4, part.len() as u8]);
    packed.extend(part);
    let names = Names::decode(&packed).unwrap();
    // The first eight bytes of what `md5sum` says.
    for (hash, name) in [("0cc175b9c0f1b6a8", "a"), ("92eb5ffee6ae2fec", "b"), ("e0323a9039add297", "cc")] {
        let hash = u64::from_str_radix(hash, 16).unwrap().swap_bytes();
        assert_eq!(names.get(hash), Some(name.as_bytes()));
    }
    assert_eq!(names.bytes(), 1 + 4);
}

#[test]
fn damaged_ones() {
    for bytes in [&[5, 0, b'a'][..], &[1, 200], &[0x80; 20], &[2, 0, b'a', 1], &[9, 3, 1, 2, 3]] {
        assert!(Names::decode(bytes).is_err(), "{bytes:?}");
    }
}

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/profraw/version-9");

/// What LLVM 18 made of three processes' profiles, and what is read of their sum here.
fn both() -> (Vec<u8>, Profile) {
    let work = Dir::new();
    let files: Vec<Utf8PathBuf> = (1..=3).map(|n| format!("{FIXTURES}/{n}.profraw").into()).collect();
    let folded = raw::fold(&files, work.path(), 1).unwrap();
    let profile = Profile::read(&folded.left).unwrap().unwrap();
    (std::fs::read(format!("{FIXTURES}/merged.profdata")).unwrap(), profile)
}

#[test]
fn every_bit_matters() {
    let (good, profile) = both();
    assert_eq!(check(&good, &profile, 11), Ok(()));
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            assert!(check(&bad, &profile, 11).is_err(), "bit {bit} of byte {at} of {}", good.len());
        }
        assert!(check(&good[..at], &profile, 11).is_err(), "the first {at} bytes");
    }
    assert!(check(&[&good[..], &[0; 8]].concat(), &profile, 11).is_err());
    assert!(check(&good, &profile, 12).is_err());
}

#[test]
fn it_says_what_is_wrong() {
    let (good, profile) = both();
    let wrong = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bad = good.clone();
        change(&mut bad);
        check(&bad, &profile, 11).unwrap_err()
    };
    // The sum of all counts is the sixth total behind 8 words of header and two numbers.
    let said = wrong(&|bad| bad[(8 + 2 + 5) * 8] ^= 1);
    assert!(said.starts_with("the summary says"), "{said}");
    // The number of counts that make up the last part stands at the end of the summary.
    let said = wrong(&|bad| bad[(8 + 2 + 6 + 16 * 3 - 1) * 8] += 1);
    assert!(said.starts_with("the summary says of 999999 millionths"), "{said}");
    let (_, counters) = profile
        .functions
        .iter()
        .map(|function| profile.counts(function))
        .max_by_key(|(_, counters)| counters.len())
        .unwrap();
    let at = good.windows(counters.len()).position(|window| window == counters).unwrap();
    let said = wrong(&|bad| bad[at] ^= 1);
    assert!(said.contains("other counts than those that were added up"), "{said}");
    // One function less in the sum than in the file.
    let (_, mut fewer) = both();
    fewer.functions.pop();
    assert!(check(&good, &fewer, 11).unwrap_err().starts_with("number of functions"));
}
