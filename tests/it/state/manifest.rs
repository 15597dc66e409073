//! Artifacts: what their manifests say, and which changes are noticed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};
use optbuild::state::hash::Hasher;
use optbuild::state::manifest::{Manifest, ManifestError, Times};

fn artifact(directory: &Utf8Path) -> Utf8PathBuf {
    let out = directory.join("out");
    fs::create_dir_all(out.join("lib")).unwrap();
    fs::create_dir_all(out.join("empty")).unwrap();
    fs::write(out.join("lib/libx.so.1"), "code").unwrap();
    fs::write(out.join("lib-a"), "sorts between lib and lib/").unwrap();
    fs::set_permissions(out.join("lib/libx.so.1"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("libx.so.1", out.join("lib/libx.so")).unwrap();
    out
}

fn temporary() -> (tempfile::TempDir, Utf8PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = Utf8PathBuf::from_path_buf(directory.path().canonicalize().unwrap()).unwrap();
    (directory, path)
}

fn of(path: &Utf8Path) -> (Manifest, Times) {
    Manifest::of(path, &Hasher::without_cache()).unwrap()
}

#[test]
fn equal_artifacts_have_equal_manifests_wherever_and_whenever() {
    let ((_a, a), (_b, b)) = (temporary(), temporary());
    let (a, b) = (artifact(&a), artifact(&b.join("deeper/down")));
    fs::File::open(b.join("lib-a")).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let ((a_manifest, a_times), (b_manifest, b_times)) = (of(&a), of(&b));
    assert_eq!(a_manifest.hash(), b_manifest.hash());
    assert_eq!((a_manifest.files(), a_manifest.bytes()), (3, 30));
    let paths: Vec<&str> = a_manifest.entries.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(paths, ["", "empty", "lib", "lib-a", "lib/libx.so", "lib/libx.so.1"]);
    // The times of one are no hindrance to the other.
    assert_eq!(a_manifest.difference(Some(&b_times), &a, &Hasher::without_cache()).unwrap(), None);
    assert_eq!(a_manifest.difference(Some(&a_times), &b, &Hasher::without_cache()).unwrap(), None);
    symlink(&a, b.join("../by-link")).unwrap();
    assert_eq!(of(&b.join("../by-link")).0.hash(), a_manifest.hash());
}

#[test]
fn every_change_is_noticed_and_named() {
    type Change = fn(&Utf8Path);
    let changes: [(&str, Change); 11] = [
        ("the content of `OUT/lib-a` was changed", |out| {
            fs::write(out.join("lib-a"), "longer than it was before, by far").unwrap()
        }),
        ("the content of `OUT/lib-a` was changed", |out| {
            fs::write(out.join("lib-a"), "SORTS between lib and lib/").unwrap()
        }),
        ("the mode of `OUT/lib-a` was changed", |out| {
            fs::set_permissions(out.join("lib-a"), fs::Permissions::from_mode(0o600)).unwrap();
        }),
        ("the mode of `OUT/lib` was changed", |out| {
            fs::set_permissions(out.join("lib"), fs::Permissions::from_mode(0o700)).unwrap();
        }),
        ("`OUT/lib/libx.so` does not exist", |out| fs::remove_file(out.join("lib/libx.so")).unwrap()),
        ("`OUT/empty` does not exist", |out| fs::remove_dir(out.join("empty")).unwrap()),
        ("`OUT/lib-a` does not exist", |out| fs::remove_file(out.join("lib-a")).unwrap()),
        ("`OUT/lib/new` was added", |out| fs::write(out.join("lib/new"), "").unwrap()),
        ("`OUT/zzz` was added", |out| fs::create_dir(out.join("zzz")).unwrap()),
        ("the target of `OUT/lib/libx.so` was changed", |out| {
            fs::remove_file(out.join("lib/libx.so")).unwrap();
            symlink("elsewhere", out.join("lib/libx.so")).unwrap();
        }),
        ("`OUT` does not exist", |out| fs::remove_dir_all(out).unwrap()),
    ];
    for (sentence, change) in changes {
        let (_directory, path) = temporary();
        let out = artifact(&path);
        let (manifest, times) = of(&out);
        let hasher = Hasher::open(&path.join("cache")).unwrap();
        assert_eq!(manifest.difference(Some(&times), &out, &hasher).unwrap(), None);
        // Past the tick of the file system's clock.
        std::thread::sleep(Duration::from_millis(20));
        change(&out);
        let expected = sentence.replace("OUT", out.as_str());
        assert_eq!(manifest.difference(Some(&times), &out, &hasher).unwrap(), Some(expected.clone()));
        assert_eq!(manifest.verify(&out).unwrap(), Some(expected));
    }
}

#[test]
fn a_touched_file_is_still_the_same() {
    let (_directory, path) = temporary();
    let out = artifact(&path);
    let (manifest, times) = of(&out);
    fs::write(out.join("lib-a"), "sorts between lib and lib/").unwrap();
    assert_eq!(manifest.difference(Some(&times), &out, &Hasher::without_cache()).unwrap(), None);
    assert_eq!(manifest.verify(&out).unwrap(), None);
}

/// The size and the time of modification are as they were. Only `ctime` and the inode tell.
#[test]
fn a_change_that_hides_its_time_is_noticed() {
    type Change = fn(&Utf8Path, &str);
    let in_place: Change = |file, text| fs::write(file, text).unwrap();
    let another_file: Change = |file, text| {
        fs::write(file.with_extension("new"), text).unwrap();
        fs::rename(file.with_extension("new"), file).unwrap();
    };
    for change in [in_place, another_file] {
        let (_directory, path) = temporary();
        let out = artifact(&path);
        let file = out.join("lib-a");
        let time = SystemTime::now() - Duration::from_secs(3600);
        fs::File::open(&file).unwrap().set_modified(time).unwrap();
        // What changed just now is hashed whatever its times say.
        std::thread::sleep(Duration::from_millis(200));
        let (manifest, times) = of(&out);
        // Past the tick of the file system's clock.
        std::thread::sleep(Duration::from_millis(20));
        change(&file, "SORTS between lib and lib/");
        fs::File::open(&file).unwrap().set_modified(time).unwrap();
        let hasher = Hasher::open(&path.join("cache")).unwrap();
        let sentence = format!("the content of `{file}` was changed");
        assert_eq!(manifest.difference(Some(&times), &out, &hasher).unwrap(), Some(sentence.clone()));
        assert_eq!(manifest.verify(&out).unwrap(), Some(sentence));
    }
}

#[test]
fn an_artifact_can_be_a_file() {
    let (_directory, path) = temporary();
    let file = path.join("merged.profdata");
    fs::write(&file, "profile").unwrap();
    let (manifest, times) = of(&file);
    assert_eq!((manifest.files(), manifest.bytes()), (1, 7));
    let renamed = path.join("other-name");
    fs::copy(&file, &renamed).unwrap();
    assert_eq!(of(&renamed).0.hash(), manifest.hash());
    assert_eq!(manifest.difference(Some(&times), &file, &Hasher::without_cache()).unwrap(), None);
    fs::write(&file, "PROFILE").unwrap();
    let sentence = format!("the content of `{file}` was changed");
    assert_eq!(manifest.difference(None, &file, &Hasher::without_cache()).unwrap(), Some(sentence));
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let sentence = manifest.verify(&file).unwrap().unwrap();
    assert_eq!(sentence, format!("`{file}` is not a file any more"));
}

#[test]
fn what_cannot_be_an_artifact_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    let (_directory, path) = temporary();
    let of = |path: &Utf8Path| Manifest::of(path, &Hasher::without_cache());
    assert!(matches!(of(&path.join("none")), Err(ManifestError::Missing(_))));
    let out = artifact(&path);
    let odd = out.as_std_path().join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    fs::write(&odd, "").unwrap();
    let error = of(&out).unwrap_err().to_string();
    assert!(error.contains("not UTF-8") && error.contains("caf\u{fffd}") && error.contains(out.as_str()), "{error}");
    fs::remove_file(odd).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(out.join("socket")).unwrap();
    assert!(matches!(of(&out), Err(ManifestError::Special(path)) if path == out.join("socket")));
}
