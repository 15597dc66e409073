//! Signatures: who is believed, and the real minisign on what optbuild has signed, and the other way round.

use std::process::Command;

use optbuild::cache::entry::{Distrust, Trust, open, seal};
use optbuild::cache::sign::{SigningKey, TrustedKey};

use super::support::in_memory;
use crate::support::needs;

fn entry(scope: &str) -> optbuild::cache::entry::Entry {
    let text = format!(
        r#"{{"format": 1, "key": "k", "scope": "{scope}", "fingerprint": "f", "stage": "s", "kind": "command", "optbuild": "0",
        "platform": {{}}, "elsewhere": false, "outputs": {{}}, "objects": "{}", "stored": 0, "facts": [], "duration": 1.0,
        "finished": "2026-01-01T00:00:00Z", "parts": {{}}}}"#,
        "0".repeat(64)
    );
    serde_json::from_str(&text).unwrap()
}

fn trust(keys: &[&SigningKey]) -> Trust {
    Trust { keys: keys.iter().map(|key| key.public().clone()).collect(), unsigned: false }
}

#[test]
fn a_record_is_believed_if_a_trusted_key_signed_it_for_its_place() {
    let (ours, theirs) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let entry = entry("main");
    let signed = seal(&entry, Some(&ours)).unwrap();
    let with = |keys: &[&SigningKey]| open(&signed, "k", "main", &trust(keys));
    assert_eq!(with(&[&ours]).unwrap(), entry);
    // Several keys, for their rotation.
    assert_eq!(with(&[&theirs, &ours]).unwrap(), entry);
    assert_eq!(with(&[&theirs]), Err(Distrust::Untrusted));
    assert_eq!(with(&[]), Err(Distrust::Untrusted));
    let unsigned = seal(&entry, None).unwrap();
    assert_eq!(open(&unsigned, "k", "main", &trust(&[&ours])), Err(Distrust::Unsigned));
    let anybody = Trust { keys: Vec::new(), unsigned: true };
    assert_eq!(open(&unsigned, "k", "main", &anybody).unwrap(), entry);
    // The same bytes under another name, or in a scope that somebody else may write.
    assert_eq!(open(&signed, "other", "main", &trust(&[&ours])), Err(Distrust::Untrusted));
    assert_eq!(open(&signed, "k", "pr/7", &trust(&[&ours])), Err(Distrust::Untrusted));
    assert_eq!(open(&unsigned, "k", "pr/7", &anybody), Err(Distrust::Other("scope")));
    assert_eq!(open(&unsigned, "other", "main", &anybody), Err(Distrust::Other("key")));
}

#[test]
fn no_byte_of_a_signed_record_can_be_changed() {
    let key = SigningKey::generate().unwrap();
    let signed = seal(&entry("main"), Some(&key)).unwrap();
    for at in 0..signed.len() {
        let mut changed = signed.clone();
        changed[at] ^= 1;
        // A comment that nothing is taken from is not signed. What is read is the same.
        if let Ok(read) = open(&changed, "k", "main", &trust(&[&key])) {
            assert_eq!(read, entry("main"), "byte {at}");
        }
    }
    assert!(matches!(open(&signed[..signed.len() / 2], "k", "main", &trust(&[&key])), Err(Distrust::Damaged(_))));
}

#[test]
fn a_newer_format_is_said() {
    let mut newer = entry("main");
    newer.format = 2;
    let anybody = Trust { keys: Vec::new(), unsigned: true };
    assert_eq!(open(&seal(&newer, None).unwrap(), "k", "main", &anybody), Err(Distrust::Newer(2)));
}

#[test]
fn a_key_is_read_back_from_its_file() {
    let key = SigningKey::generate().unwrap();
    let text = key.text().unwrap();
    let line = text.lines().nth(1).unwrap();
    for text in [text.as_str(), line] {
        assert_eq!(SigningKey::parse(text).unwrap().public().text(), key.public().text());
    }
    for wrong in ["", "RWQ", "untrusted comment: x\nAAAA", &key.public().text()] {
        assert!(SigningKey::parse(wrong).is_err(), "{wrong}");
    }
    assert!(TrustedKey::parse(line).is_err(), "the secret part");
}

/// The independent check: the tool of another author, in another language.
#[test]
fn minisign_reads_what_optbuild_signs_and_the_other_way_round() {
    if !needs::minisign() {
        return;
    }
    let (_dir, root) = in_memory();
    let minisign = |words: &[&str]| {
        let output = Command::new("minisign").args(words).current_dir(&root).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), text)
    };
    let key = SigningKey::generate().unwrap();
    let sealed: serde_json::Value = serde_json::from_slice(&seal(&entry("main"), Some(&key)).unwrap()).unwrap();
    std::fs::write(root.join("record"), sealed["record"].as_str().unwrap()).unwrap();
    std::fs::write(root.join("record.minisig"), sealed["signature"].as_str().unwrap()).unwrap();
    let (good, text) = minisign(&["-V", "-P", &key.public().text(), "-m", "record"]);
    assert!(good && text.contains("optbuild record k scope=main"), "{text}");
    std::fs::write(root.join("record"), "something else").unwrap();
    assert!(!minisign(&["-V", "-P", &key.public().text(), "-m", "record"]).0);

    // The tool signs, with optbuild's key and with one of its own.
    std::fs::write(root.join("ours.key"), key.text().unwrap()).unwrap();
    std::fs::write(root.join("text"), "text").unwrap();
    let (good, text) = minisign(&["-G", "-W", "-p", "theirs.pub", "-s", "theirs.key"]);
    assert!(good, "{text}");
    let theirs = TrustedKey::parse(&std::fs::read_to_string(root.join("theirs.pub")).unwrap()).unwrap();
    for (file, public, other) in [("ours.key", key.public(), &theirs), ("theirs.key", &theirs, key.public())] {
        let (good, text) = minisign(&["-S", "-s", file, "-m", "text", "-t", "by the tool"]);
        assert!(good, "{text}");
        let signature = std::fs::read_to_string(root.join("text.minisig")).unwrap();
        assert_eq!(public.verify(b"text", &signature).unwrap(), "by the tool");
        assert!(other.verify(b"text", &signature).is_err());
        assert!(public.verify(b"test", &signature).is_err());
    }
}
