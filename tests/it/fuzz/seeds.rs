//! The fuzzers' seeds: what real tools wrote, and what fuzzers found in it.

/// Does it with each seed, with each seed cut off, and with the middle of each turned around.
fn all(target: &str, act: fn(&[u8])) {
    let dir = format!("{}/fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
    let mut number = 0;
    for entry in std::fs::read_dir(&dir).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        act(&bytes);
        for part in 1..8 {
            act(&bytes[..bytes.len() * part / 8]);
        }
        let mut turned = bytes.clone();
        turned[bytes.len() / 4..bytes.len() / 2].reverse();
        act(&turned);
        number += 1;
    }
    assert!(number >= 3, "{number} seeds in {dir}");
}

#[test]
fn raw() {
    all("raw", super::support::raw);
}

#[test]
fn sum() {
    all("sum", super::support::sum);
}

#[test]
fn header() {
    all("header", super::support::header);
}

#[test]
fn fdata() {
    all("fdata", super::support::fdata);
}

#[test]
fn bundle() {
    all("bundle", super::support::bundle);
}
