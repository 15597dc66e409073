//! Profiles that are taken away while programs run: each when no process writes it any more.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use camino::Utf8Path;
use optbuild::proc::lifetime::Moment;
use optbuild::profile::watch::{Event, FileNames, LAST_LOOK, Mode, Stop, Tree, Watch, may_be_written, numbers};

/// A process that sleeps, whose id stands in names.
struct Sleeper(Child);

impl Sleeper {
    fn new() -> Sleeper {
        Sleeper(Command::new("sleep").arg("300").spawn().unwrap())
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Watches a directory while `act` works in it. Returns the names in the order in which they were taken, with their content, and
/// whether each was taken before the end.
fn watched(act: impl FnOnce(&Utf8Path, &dyn Fn(usize))) -> Vec<(String, String, bool)> {
    let temporary = tempfile::tempdir().unwrap();
    let dir = Utf8Path::from_path(temporary.path()).unwrap();
    let root = dir.join("raw");
    let tree = Tree { root: root.clone(), aside: dir.join("aside"), wanted: FileNames::Extension("profraw") };
    let watch = Watch::new(vec![tree]).unwrap();
    let stop = Stop::new().unwrap();
    let taken = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            watch.run(&stop, |event| {
                if let Event::Taken(file, _) = event {
                    let text = fs::read_to_string(&file.path).unwrap();
                    taken.lock().unwrap().push((file.name.to_string(), text, stop.mode() == Mode::Run));
                }
            })
        });
        act(&root, &|count| {
            let began = Instant::now();
            while taken.lock().unwrap().len() < count {
                assert!(began.elapsed().as_secs() < 60, "{:?}", taken.lock().unwrap());
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        stop.finish();
        watching.join().unwrap().unwrap();
    });
    taken.into_inner().unwrap()
}

#[test]
fn files_of_dead_processes_are_taken_while_others_live() {
    let taken = watched(|root, wait| {
        let living = Sleeper::new();
        let mut dying = Sleeper::new();
        fs::write(root.join(format!("1_0_{}.profraw", living.0.id())), "living").unwrap();
        fs::write(root.join(format!("1_0_{}.profraw", dying.0.id())), "dying").unwrap();
        fs::write(root.join("other.txt"), "other").unwrap();
        fs::create_dir_all(root.join(format!("deep/prof-{}", dying.0.id()))).unwrap();
        fs::write(root.join(format!("deep/prof-{}/default_1_0.profraw", dying.0.id())), "deep").unwrap();
        fs::write(root.join("nobody.profraw"), "nobody").unwrap();
        wait(1);
        dying.0.kill().unwrap();
        wait(2);
        dying.0.wait().unwrap();
        wait(3);
    });
    let texts: Vec<(&str, bool)> = taken.iter().map(|(_, text, early)| (text.as_str(), *early)).collect();
    assert_eq!(texts[0], ("nobody", true));
    let mut middle = texts[1..3].to_vec();
    middle.sort_unstable();
    assert_eq!(middle, [("deep", true), ("dying", true)]);
    assert_eq!(texts[3..], [("living", false)]);
}

/// The process that has the id of a dead one began later than the file was written.
#[test]
fn an_id_that_returns_does_not_hold_a_file() {
    let taken = watched(|root, wait| {
        let process = Sleeper::new();
        let path = root.parent().unwrap().join("old");
        fs::write(&path, "old").unwrap();
        let before = std::time::SystemTime::now() - Duration::from_secs(5);
        fs::File::options().append(true).open(&path).unwrap().set_modified(before).unwrap();
        fs::rename(&path, root.join(format!("1_0_{}.profraw", process.0.id()))).unwrap();
        wait(1);
    });
    assert_eq!((taken[0].1.as_str(), taken[0].2), ("old", true));
}

/// A number in a name that is the id of a process which was there before the directory was: it is no id.
#[test]
fn a_process_from_before_does_not_hold_a_file() {
    let older = Sleeper::new();
    // Beginnings are known to a hundredth of a second.
    std::thread::sleep(Duration::from_millis(50));
    let taken = watched(|root, wait| {
        let living = Sleeper::new();
        fs::write(root.join("m_1.profraw"), "pool").unwrap();
        fs::write(root.join(format!("m_{}.profraw", older.0.id())), "older").unwrap();
        // The number of the directory is one, that of the file is not.
        fs::create_dir_all(root.join(format!("prof-{}", living.0.id()))).unwrap();
        fs::write(root.join(format!("prof-{}/default_1.profraw", living.0.id())), "living").unwrap();
        wait(2);
        std::thread::sleep(LAST_LOOK * 3);
    });
    let mut taken: Vec<(&str, bool)> = taken.iter().map(|(_, text, early)| (text.as_str(), *early)).collect();
    taken.sort_unstable();
    assert_eq!(taken, [("living", false), ("older", true), ("pool", true)]);
}

/// A name is bytes to the kernel. Profiles count whatever they are called.
#[test]
fn names_of_any_bytes_are_taken() {
    use std::os::unix::ffi::OsStrExt;
    let name = |bytes: &'static [u8]| Path::new(std::ffi::OsStr::from_bytes(bytes)).to_owned();
    let taken = watched(|root, wait| {
        fs::write(root.as_std_path().join(name(b"told-\xff.profraw")), "told").unwrap();
        fs::write(root.as_std_path().join(name(b"two\nlines.profraw")), "lines").unwrap();
        let dir = root.as_std_path().join(name(b"dir-\xfe"));
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("in.profraw"), "in").unwrap();
        fs::write(root.as_std_path().join(name(b"other-\xff.txt")), "other").unwrap();
        fs::write(root.join(format!("{}.profraw", "l".repeat(247))), "long").unwrap();
        wait(4);
    });
    let mut taken: Vec<(&str, &str, bool)> =
        taken.iter().map(|(name, text, early)| (text.as_str(), name.as_str(), *early)).collect();
    taken.sort_unstable();
    assert_eq!((taken.remove(2).0, taken.len()), ("long", 3));
    let names = [("in", "dir-\u{fffd}/in.profraw", true), ("lines", "two\nlines.profraw", true)];
    assert_eq!(taken, [names[0], names[1], ("told", "told-\u{fffd}.profraw", true)]);
}

/// A process without a name in the file still has it open when it is taken: what it writes then counts.
#[test]
fn what_is_open_is_taken_when_it_is_closed() {
    let taken = watched(|root, wait| {
        use std::io::Write;
        let mut writer = fs::File::create(root.join("open.profraw")).unwrap();
        // Empty, it would stay.
        writer.write_all(b"some, ").unwrap();
        // Another writer closes it, which is told.
        fs::File::options().append(true).open(root.join("open.profraw")).unwrap();
        let began = Instant::now();
        while root.join("open.profraw").exists() {
            assert!(began.elapsed().as_secs() < 60);
        }
        writer.write_all(b"more").unwrap();
        drop(writer);
        wait(1);
    });
    assert_eq!((taken.len(), taken[0].1.as_str()), (1, "some, more"));
}

/// Whoever adds up what was taken and what waits never gets more than there is.
#[test]
fn no_byte_waits_after_it_was_taken() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = Utf8Path::from_path(temporary.path()).unwrap();
    let root = dir.join("raw");
    let tree = Tree { root: root.clone(), aside: dir.join("aside"), wanted: FileNames::Extension("profraw") };
    let watch = Watch::new(vec![tree]).unwrap();
    let (stop, told, living) = (Stop::new().unwrap(), std::sync::Mutex::new(Vec::new()), Sleeper::new());
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut taken = 0;
            watch.run(&stop, |event| {
                let waiting = match event {
                    Event::Taken(file, waiting) => {
                        taken += file.bytes;
                        waiting
                    }
                    Event::Waiting(waiting) => waiting,
                };
                told.lock().unwrap().push((taken, waiting));
            })
        });
        for number in 0..8 {
            fs::write(root.join(format!("{number}_{}.profraw", living.0.id())), [0; 100]).unwrap();
        }
        let began = Instant::now();
        while told.lock().unwrap().last() != Some(&(0, 800)) {
            assert!(began.elapsed().as_secs() < 60, "{:?}", told.lock().unwrap().last());
            std::thread::sleep(Duration::from_millis(1));
        }
        stop.finish();
        watching.join().unwrap().unwrap();
    });
    let told = told.into_inner().unwrap();
    assert!(told.iter().all(|(taken, waiting)| taken + waiting <= 800), "{told:?}");
    assert_eq!(told.last(), Some(&(800, 0)));
}

#[test]
fn names_tell_processes() {
    let of = |name: &str| numbers(Utf8Path::new(name)).collect::<Vec<u32>>();
    assert_eq!(of("10939487438_0_4242.profraw"), [4242]);
    assert_eq!(of("prof.4242.fdata"), [4242]);
    assert_eq!(of("prof-4242/default_7201963243389513_0.profraw"), [4242]);
    assert_eq!(of("prof-4242/default_7201963243389513_3.profraw"), [3, 4242]);
    assert_eq!(of("default.profraw"), [0; 0]);
    assert_eq!(of("prof.fdata"), [0; 0]);
}

#[test]
fn a_process_owns_only_what_was_written_after_it_began() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, "").unwrap();
    let start = Moment::now().plus(-1_000_000_000_000_000_000);
    let name = format!("prof.{}.fdata", std::process::id());
    let lives = |since| may_be_written(Utf8Path::new(&name), &fs::metadata(&path).unwrap(), since).unwrap();
    assert!(lives(start));
    // Nobody older than a second from here writes there.
    assert!(!lives(Moment::now().plus(1_000_000_000)));
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(100_000_000);
    fs::File::options().append(true).open(&path).unwrap().set_modified(old).unwrap();
    assert!(!lives(start));
}
