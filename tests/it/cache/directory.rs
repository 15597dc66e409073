//! The store that is a directory: what every store has to do, and what is special about this one.

use std::io::Read as _;
use std::os::unix::fs::symlink;

use jiff::{SignedDuration, Timestamp};
use optbuild::cache::directory::Directory;
use optbuild::cache::{Body, Put, Store, When, is_name, read_whole};

use super::support::in_memory;

fn read(store: &dyn Store, name: &str) -> Option<Vec<u8>> {
    read_whole(store, name, 1 << 20).unwrap()
}

#[test]
fn what_is_put_there_is_there() {
    let (_dir, root) = in_memory();
    // It need not exist.
    let store = Directory::new(root.join("not/there"));
    assert_eq!((read(&store, "v1/a"), store.head("v1/a").unwrap()), (None, None));
    assert!(store.list("").unwrap().is_empty() && store.list("v1/").unwrap().is_empty());
    assert_eq!(store.put("v1/a", Body::Bytes(b"one"), When::Absent).unwrap(), Put::Written);
    assert_eq!(store.put("v1/a", Body::Bytes(b"two"), When::Absent).unwrap(), Put::Exists);
    assert_eq!(read(&store, "v1/a").unwrap(), b"one");
    assert_eq!(store.put("v1/a", Body::Bytes(b"three"), When::Always).unwrap(), Put::Written);
    assert_eq!((read(&store, "v1/a").unwrap(), store.head("v1/a").unwrap()), (b"three".to_vec(), Some(5)));
    let mut part = String::new();
    store.get("v1/a", Some(1..3)).unwrap().unwrap().read_to_string(&mut part).unwrap();
    assert_eq!(part, "hr");

    let file = root.join("file");
    std::fs::write(&file, vec![7; 3_000_000]).unwrap();
    store.put("v1/b/large.zst", Body::File(&file), When::Absent).unwrap();
    store.put("v1/b/empty", Body::Bytes(b""), When::Absent).unwrap();
    assert_eq!(read(&store, "v1/b/empty").unwrap(), b"");
    assert_eq!(store.head("v1/b/large.zst").unwrap(), Some(3_000_000));
    assert!(read_whole(&store, "v1/b/large.zst", 2_999_999).is_err(), "larger than it may be");

    let names =
        |prefix: &str| store.list(prefix).unwrap().into_iter().map(|meta| (meta.name, meta.size)).collect::<Vec<_>>();
    assert_eq!(names("v1/b/"), [("v1/b/empty".into(), 0), ("v1/b/large.zst".into(), 3_000_000)]);
    assert_eq!(names("").len(), 3);
    store.delete(&["v1/b/empty".into(), "v1/never".into()]).unwrap();
    assert_eq!(names("v1/b/").len(), 1);
}

#[test]
fn of_sixteen_writers_one_wins_and_all_read_the_same() {
    let (_dir, root) = in_memory();
    let store = Directory::new(&root);
    for round in 0..20 {
        let name = format!("v1/race-{round}");
        let put = |writer: u8| store.put(&name, Body::Bytes(&[writer; 9000]), When::Absent).unwrap();
        let won: Vec<u8> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..16).map(|writer| (writer, scope.spawn(move || put(writer)))).collect();
            writers
                .into_iter()
                .filter(|_| true)
                .map(|(writer, thread)| (writer, thread.join().unwrap()))
                .filter(|(_, put)| *put == Put::Written)
                .map(|(writer, _)| writer)
                .collect()
        });
        assert_eq!(won.len(), 1);
        assert_eq!(read(&store, &name).unwrap(), vec![won[0]; 9000]);
    }
    assert_eq!(store.list("").unwrap().len(), 20, "no temporary files are left");
}

#[test]
fn names_stay_below_the_directory() {
    let (_dir, root) = in_memory();
    std::fs::write(root.join("outside"), "secret").unwrap();
    let store = Directory::new(root.join("store"));
    let odd = [
        "",
        "/",
        "/etc/passwd",
        "../outside",
        "v1/../../outside",
        "v1//a",
        "v1/.",
        "v1/.hidden",
        "a b",
        "a\0b",
        "ä",
        "v1/",
        "-",
    ];
    for name in odd {
        if name == "-" {
            assert!(is_name(name));
            continue;
        }
        assert!(!is_name(name), "{name:?}");
        assert!(store.get(name, None).is_err(), "{name:?}");
        assert!(store.head(name).is_err() && store.put(name, Body::Bytes(b"x"), When::Always).is_err(), "{name:?}");
        assert!(store.delete(&[name.to_owned()]).is_err(), "{name:?}");
    }
    assert_eq!(std::fs::read_to_string(root.join("outside")).unwrap(), "secret");
}

/// Somebody else who may write there puts links and pipes in the place of objects.
#[test]
fn links_and_pipes_are_no_objects() {
    let (_dir, root) = in_memory();
    let at = root.join("store");
    let store = Directory::new(&at);
    store.put("v1/a", Body::Bytes(b"fine"), When::Absent).unwrap();
    std::fs::write(root.join("outside"), "secret").unwrap();
    symlink(root.join("outside"), at.join("v1/link")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(at.join("v1/pipe")).status().unwrap().success());
    for name in ["v1/link", "v1/pipe"] {
        assert_eq!((read(&store, name), store.head(name).unwrap()), (None, None), "{name}");
    }
    assert_eq!(store.list("v1/").unwrap().len(), 1);
}

#[test]
fn what_killed_writers_left_is_swept() {
    let (_dir, root) = in_memory();
    let store = Directory::new(&root);
    store.put("v1/a", Body::Bytes(b"fine"), When::Absent).unwrap();
    std::fs::write(root.join("v1/.tmp-left"), "half").unwrap();
    let now = Timestamp::now();
    assert_eq!(store.sweep(now - SignedDuration::from_hours(1)).unwrap(), 0, "it may be under way");
    assert_eq!(store.sweep(now + SignedDuration::from_hours(1)).unwrap(), 1);
    assert_eq!(store.list("").unwrap().len(), 1);
}

#[test]
fn a_file_in_the_place_of_the_directory_is_an_error() {
    let (_dir, root) = in_memory();
    std::fs::write(root.join("file"), "").unwrap();
    let store = Directory::new(root.join("file"));
    assert!(store.get("v1/a", None).is_err());
    assert!(store.put("v1/a", Body::Bytes(b"x"), When::Always).is_err());
}
