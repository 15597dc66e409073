//! Every file of a state directory, damaged as disks do it: the next run comes to the right end, or says which file it is.

use std::fs;

use camino::Utf8Path;

use crate::support::kill::crash::{correct, done};
use crate::support::kill::{Ended, Project};

/// What becomes of the content of a file; none: the file is gone.
type Damage = fn(&[u8]) -> Option<Vec<u8>>;

const DAMAGES: [(&str, Damage); 4] = [
    ("gone", |_| None),
    ("half", |bytes| Some(bytes[..bytes.len() / 2].to_vec())),
    ("zeros", |bytes| Some(vec![0; bytes.len()])),
    ("other", |bytes| Some(bytes.iter().map(|byte| byte ^ 0x55).collect())),
];

fn files(project: &Project) -> Vec<String> {
    let entries = walkdir::WalkDir::new(project.state()).sort_by_file_name().into_iter().map(Result::unwrap);
    let files = entries.filter(|entry| entry.file_type().is_file());
    let below = files.map(|entry| entry.path().strip_prefix(project.state()).unwrap().to_str().unwrap().to_owned());
    below.collect()
}

fn damage(path: &Utf8Path, how: Damage) {
    let bytes = fs::read(path).unwrap();
    match how(&bytes) {
        Some(bytes) => fs::write(path, bytes).unwrap(),
        None => fs::remove_file(path).unwrap(),
    }
}

fn no_panic(ended: &Ended) {
    assert!(!ended.output.contains("panicked"), "{}", ended.output);
}

#[test]
fn every_file_of_the_state() {
    let names = files(&done());
    assert!(names.len() > 20, "{names:?}");
    for (number, name) in names.iter().enumerate() {
        // Of small files each damage; of the rest one after the other.
        let few = if name.contains('/') { 1 } else { DAMAGES.len() };
        for (what, how) in DAMAGES.iter().cycle().skip(number).take(few) {
            let project = done();
            damage(&project.state().join(name), *how);
            let ended = project.finish(&["run"]);
            no_panic(&ended);
            if name == "STATE" {
                // Whether it is one of optbuild's cannot be known.
                assert_eq!(ended.code(), Some(3), "{what}: {}", ended.output);
                assert!(ended.output.contains("is not a state directory"), "{}", ended.output);
                continue;
            }
            assert_eq!(ended.code(), Some(0), "{name} {what}: {}", ended.output);
            correct(&project);
            let others = [&["status"][..], &["gc", "--keep-runs", "1"], &["report"]];
            for args in if number % 5 == 0 { &others[..] } else { &others[..1] } {
                let ended = project.finish(args);
                no_panic(&ended);
                assert_eq!(ended.code(), Some(0), "{name} {what}, {args:?}: {}", ended.output);
            }
            project.work();
            project.succeed(&["run"]);
            assert_eq!(project.work(), [""; 0], "{name} {what}");
            correct(&project);
        }
    }
}
