//! Bundles as archives: what is in them, and what is refused.
//!
//! Archives are made by hand, block by block, or by `tar`, so that both sides do not share a mistake.

use std::io::{Read, Write};
use std::process::Command;

use optbuild::profile::Format;
use optbuild::profile::bundle::{
    Bundle, BundleError, FORMAT, Limits, Manifest, Origin, Wanted, read, write as write_bundle,
};

/// The first line of a real BOLT profile.
const FDATA: &[u8] = b"1 main 12 1 f 0 0 100\n";
/// The first bytes of an indexed profile of LLVM 22.
const PROFDATA: &[u8] = b"\xfflprofi\x81\x0d\0\0\0\0\0\0\x01rest";

/// A member as POSIX describes it, with any type.
fn member(name: &str, kind: u8, content: &[u8]) -> Vec<u8> {
    sized(name, kind, content, content.len() as u64)
}

fn sized(name: &str, kind: u8, content: &[u8], size: u64) -> Vec<u8> {
    let mut header = vec![0u8; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..108].copy_from_slice(b"0000644\0");
    header[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    header[156] = kind;
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header.extend_from_slice(content);
    header.resize(header.len().next_multiple_of(512), 0);
    header
}

fn end() -> Vec<u8> {
    vec![0; 1024]
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    liblzma::read::XzEncoder::new(bytes, 1).read_to_end(&mut packed).unwrap();
    packed
}

fn zst(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn hash(content: &[u8]) -> String {
    blake3::hash(content).to_hex().to_string()
}

fn manifest(profiles: &str) -> Vec<u8> {
    let text = format!(r#"{{ "format": 1, "optbuild": "0.1.0", "pipeline": "p", "profiles": [{profiles}] }}"#);
    member("manifest.json", b'0', text.as_bytes())
}

fn listed(role: &str, file: &str, content: &[u8]) -> String {
    let kind = if content == PROFDATA { r#""kind": "profdata", "version": 13"# } else { r#""kind": "fdata""# };
    format!(
        r#"{{ "role": "{role}", "stage": "s", "file": "{file}", {kind}, "bytes": {}, "blake3": "{}" }}"#,
        content.len(),
        hash(content)
    )
}

fn try_read(bytes: &[u8]) -> Result<Bundle, BundleError> {
    read(bytes, &Limits::default(), None)
}

#[track_caller]
fn refused(parts: &[Vec<u8>]) -> String {
    try_read(&xz(&parts.concat())).unwrap_err().to_string()
}

fn good() -> Vec<Vec<u8>> {
    let both = format!("{}, {}", listed("a", "x/a.fdata", FDATA), listed("b", "b.profdata", PROFDATA));
    vec![manifest(&both), member("x/a.fdata", b'0', FDATA), member("b.profdata", b'0', PROFDATA), end()]
}

#[test]
fn what_is_in_it_and_one_profile() {
    let mut content = Vec::new();
    let wanted = Wanted { file: "b.profdata", to: &mut content };
    let bundle = read(xz(&good().concat()).as_slice(), &Limits::default(), Some(wanted)).unwrap();
    assert_eq!(bundle.origin, Origin::Optbuild { version: "0.1.0".into(), pipeline: "p".into() });
    let roles: Vec<_> = bundle.profiles.iter().map(|entry| (entry.role.as_str(), entry.kind, entry.version)).collect();
    assert_eq!(roles, [("a", Format::Fdata, None), ("b", Format::Profdata, Some(13))]);
    assert_eq!(content, PROFDATA);
}

#[test]
fn what_is_written_is_read_by_tar_and_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let parsed = try_read(&xz(&good().concat())).unwrap();
    let manifest =
        Manifest { format: FORMAT, optbuild: "0.1.0".into(), pipeline: "p".into(), profiles: parsed.profiles.clone() };
    let write = || {
        let mut bytes = Vec::new();
        let open = |file: &str| -> std::io::Result<Box<dyn std::io::Read>> {
            Ok(Box::new(if file == "x/a.fdata" { FDATA } else { PROFDATA }))
        };
        write_bundle(&mut bytes, &manifest, open).unwrap();
        bytes
    };
    let bytes = write();
    assert_eq!(bytes, write());
    assert_eq!(try_read(&bytes).unwrap(), parsed);
    std::fs::write(dir.path().join("b.tar"), zstd::decode_all(bytes.as_slice()).unwrap()).unwrap();
    let tar = Command::new("tar").args(["-xf", "b.tar"]).current_dir(dir.path()).status().unwrap();
    assert!(tar.success());
    assert_eq!(std::fs::read(dir.path().join("x/a.fdata")).unwrap(), FDATA);
    assert_eq!(std::fs::read(dir.path().join("b.profdata")).unwrap(), PROFDATA);
}

/// `tar` itself packs what rust's packages consist of; names above 100 bytes have a header of their own.
#[test]
fn the_package_of_a_release_of_rust() {
    let dir = tempfile::tempdir().unwrap();
    let top =
        "reproducible-artifacts-1.85.0-x86_64-unknown-linux-gnu-and-a-target-whose-name-goes-on-for-quite-some-time";
    let inner = dir.path().join(top).join("reproducible-artifacts");
    std::fs::create_dir_all(&inner).unwrap();
    for (name, content) in [
        ("rustc-pgo.profdata", PROFDATA),
        ("llvm-pgo.profdata", PROFDATA),
        ("LLVM-bolt.profdata", FDATA),
        ("rustc-bolt.profdata", FDATA),
        ("manifest.in", b"file:rustc-pgo.profdata\n"),
        ("../version", b"1.85.0 (4d91de4e4 2025-02-17)"),
        ("../git-commit-hash", b"4d91de4e48198da2e33413efdcd9cd2cc0c46688"),
        ("../components", b"reproducible-artifacts\n"),
        ("../LICENSE-MIT", b"x"),
    ] {
        std::fs::write(inner.join(name), content).unwrap();
    }
    let tar =
        Command::new("tar").args(["--format=gnu", "--sort=name", "-c", top]).current_dir(dir.path()).output().unwrap();
    let mut content = Vec::new();
    let file = xz(&tar.stdout);
    let wanted = Wanted { file: &format!("{top}/reproducible-artifacts/rustc-bolt.profdata"), to: &mut content };
    let bundle = read(file.as_slice(), &Limits::default(), Some(wanted)).unwrap();
    let commit = Some("4d91de4e48198da2e33413efdcd9cd2cc0c46688".into());
    assert_eq!(bundle.origin, Origin::Rust { version: Some("1.85.0 (4d91de4e4 2025-02-17)".into()), commit });
    let roles: Vec<_> = bundle.profiles.iter().map(|entry| (entry.role.as_str(), entry.kind)).collect();
    let expected = [
        ("LLVM-bolt", Format::Fdata),
        ("llvm-pgo", Format::Profdata),
        ("rustc-bolt", Format::Fdata),
        ("rustc-pgo", Format::Profdata),
    ];
    assert_eq!(roles, expected);
    assert_eq!(content, FDATA);
}

#[test]
fn names_and_kinds_that_are_no_plain_files() {
    let with = |extra: Vec<u8>| {
        let mut parts = good();
        parts.insert(3, extra);
        refused(&parts)
    };
    let file = |name: &str| with(member(name, b'0', b"x"));
    assert!(file("/etc/passwd").contains("`/etc/passwd` in it has an absolute name"));
    assert!(file("../up").contains("a name with `..`"));
    assert!(file("x/../../up").contains("a name with `..`"));
    assert!(file("./x").contains("no plain path"));
    assert!(file("x//y").contains("no plain path"));
    assert!(file("x\\y").contains("no plain path"));
    assert!(file("").contains("no plain path"));
    assert!(file("x/a.fdata").contains("`x/a.fdata` is in it twice"));
    assert!(file("c.fdata").contains("does not list `c.fdata`"));
    for (kind, why) in [
        (b'1', "is a link"),
        (b'2', "is a link"),
        (b'3', "is a device"),
        (b'6', "is a device"),
        (b'S', "is a sparse file"),
        (b'x', "is an extended header"),
        (b'g', "is an extended header"),
        (b'K', "has a header for long links"),
    ] {
        assert!(with(member("c", kind, b"")).contains(why), "{}", kind as char);
    }
    assert!(with(member("c", b'5', b"x")).contains("a directory with content"));
    // As long names, they are no better.
    let long = [member("././@LongLink", b'L', b"../up\0"), member("up", b'0', b"")].concat();
    assert!(with(long).contains("a name with `..`"));
    let long = sized("././@LongLink", b'L', b"x", (8 << 30) - 1);
    assert!(with(long).contains("more than the limit of 4096"));
}

#[test]
fn what_does_not_agree_with_the_manifest() {
    let one = listed("a", "a.fdata", FDATA);
    let two = |content: &[u8]| refused(&[manifest(&one), member("a.fdata", b'0', content), end()]);
    let mut changed = FDATA.to_vec();
    changed[2] = b'M';
    assert!(two(&changed).contains("`a.fdata` is not what its `manifest.json` says: the hash differs"));
    assert!(two(b"1 main").contains("has 6 bytes, and its `manifest.json` says 22"));
    assert!(refused(&[manifest(&one), end()]).contains("lists `a.fdata`, which is not in it"));
    let lie = one.replace("\"fdata\"", "\"profdata\", \"version\": 13");
    let text = refused(&[manifest(&lie), member("a.fdata", b'0', FDATA), end()]);
    assert_eq!(text, "`a.fdata` is a profile of BOLT, not an indexed profile of version 13");
    let older = listed("b", "b", PROFDATA).replace("13", "12");
    let text = refused(&[manifest(&older), member("b", b'0', PROFDATA), end()]);
    assert_eq!(text, "`b` is an indexed profile of version 13, not an indexed profile of version 12");
    let raw = b"\x81rforpl\xff\x0a\0\0\0\0\0\0\x01";
    let text = refused(&[manifest(&listed("r", "r", raw)), member("r", b'0', raw), end()]);
    assert!(text.contains("no merged profile"), "{text}");

    for (profiles, why) in [
        (listed("../a", "a", FDATA), "`../a` cannot be a role"),
        (format!("{one}, {one}"), "the role `a` is in it twice"),
        (format!("{one}, {}", listed("b", "a.fdata", FDATA)), "the file `a.fdata` is in it twice"),
        (one.replace(&hash(FDATA), "12"), "`12` is no hash"),
        (one.replace("22", "5000000000000"), "more than the limit"),
        ("{}".into(), "missing field"),
        ("nonsense".into(), "cannot be used"),
    ] {
        let text = refused(&[manifest(&profiles), member("a.fdata", b'0', FDATA), end()]);
        assert!(text.contains(why), "{text}");
    }
    assert!(refused(&[manifest(""), end()]).contains("no profile in it"));
    let newer = member("manifest.json", b'0', br#"{ "format": 2, "anything": true }"#);
    assert!(refused(&[newer, end()]).contains("it has format 2, and this optbuild reads format 1"));
}

#[test]
fn what_is_no_bundle() {
    assert!(try_read(b"").unwrap_err().to_string().contains("neither with zstd nor with xz"));
    assert!(try_read(b"\x1f\x8b\x08\0\0\0").unwrap_err().to_string().contains("neither with zstd nor with xz"));
    assert!(refused(&[member("a.fdata", b'0', FDATA), end()]).contains("it begins with `a.fdata` instead of"));
    assert!(refused(&[end()]).contains("no profile in it"));
    assert!(refused(&[b"text that is no archive".repeat(100)]).contains("damaged"));
    let mut parts = good();
    parts.push(b"behind".to_vec());
    assert!(refused(&parts).contains("something stands behind its end"));
    parts.pop();
    parts.push(vec![0; 10240]);
    assert!(try_read(&xz(&parts.concat())).is_ok(), "tar fills up to its record size");
}

#[test]
fn every_way_to_be_cut_off() {
    let whole = good().concat();
    // The archive in a good compression: at every block, and in between.
    for length in (0..whole.len()).step_by(256) {
        let error = try_read(&xz(&whole[..length])).unwrap_err();
        assert!(matches!(error, BundleError::Truncated(_)), "{length}: {error}");
    }
    for compressed in [xz(&whole), zst(&whole)] {
        assert!(try_read(&compressed).is_ok());
        for length in 0..compressed.len() {
            assert!(try_read(&compressed[..length]).is_err(), "{length} of {}", compressed.len());
        }
    }
}

#[test]
fn every_changed_byte_is_noticed_or_means_nothing() {
    let whole = zst(&good().concat());
    let expected = try_read(&whole).unwrap();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0x55;
        if let Ok(bundle) = try_read(&changed) {
            assert_eq!(bundle, expected, "byte {at}");
        }
    }
}

/// What is small on disk and large in memory ends at the limit, and not later.
#[test]
fn bombs() {
    let limits = Limits { profile: 1 << 20, total: 8 << 20, members: 10, ..Limits::default() };
    let refused = |parts: &[Vec<u8>]| read(zst(&parts.concat()).as_slice(), &limits, None).unwrap_err().to_string();
    let zeros = vec![0; 32 << 20];
    let one = listed("a", "a.fdata", FDATA);
    assert!(
        refused(&[manifest(&one), sized("a.fdata", b'0', FDATA, (8 << 30) - 1)])
            .contains("`a.fdata` has 8589934591 bytes")
    );
    let large = one.replace("\"bytes\": 22", "\"bytes\": 33554432");
    assert!(
        refused(&[manifest(&large), member("a.fdata", b'0', &zeros)])
            .contains("33554432 bytes, more than the limit of 1048576")
    );
    let rust = [member("reproducible-artifacts-1-t/x", b'0', &zeros), end()];
    assert!(refused(&rust).contains("33554432 bytes, more than the limit of 16777216"));
    let role = [member("reproducible-artifacts-1-t/reproducible-artifacts/a.profdata", b'0', &zeros), end()];
    assert!(refused(&role).contains("more than the limit of 1048576"));
    assert!(
        refused(&[manifest(&one), member("a.fdata", b'0', FDATA), end(), zeros.clone()])
            .contains("more than 1048576 bytes of nothing stand behind its end")
    );
    let many: Vec<_> = (0..20).map(|n| member(&format!("reproducible-artifacts-1-t/{n}"), b'0', b"")).collect();
    assert!(refused(&many).contains("more than 10 members"));
    let text = member("manifest.json", b'0', &zeros[..2 << 20]);
    assert!(refused(&[text]).contains("`manifest.json` in it has 2097152 bytes, more than the limit of 1048576"));
    // A window that the decompressor would have to keep in memory: 1 GiB, declared in the frame's header.
    let window = [&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa0][..], &[0x01, 0x00, 0x00]].concat();
    assert!(try_read(&window).unwrap_err().to_string().contains("damaged"));
}
