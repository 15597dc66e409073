//! A machine that is started again, after a cut of power or in good order: what a build tool wrote last may not be on the disk.

use crate::support::{Test, stage};

/// Another start of the machine than the present one, by the note of who built in a directory.
fn start_again(test: &Test, note: &str) {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let text = test.read(note);
    assert!(text.contains(id.trim()), "{text}");
    test.write(note, &text.replace(id.trim(), "00000000-0000-4000-8000-000000000000"));
}

const SAID: &str = "the machine was started again since it was last built";

#[test]
fn a_young_file_of_a_build_directory_is_made_anew() {
    // As make does: what is there is not made.
    let make = "for f in one sub/two; do [ -e $f ] || { mkdir -p sub; echo $f > $f; mark made; }; done\n[ -e ${pipeline.dir}/go ]\n";
    let make = format!("cd ${{self.build}}\n{make}");
    let test = Test::new([stage("a", "outputs = { two = '${self.build}/sub/two' }", &make)]);
    let note = ".optbuild/stages/a/build.json";
    let _ = test.run("").code(1).ran("a made made");
    let _ = test.run("").code(1).ran("a");
    // As a cut of power leaves it: the name is there, the content is not.
    test.write(".optbuild/stages/a/build/sub/two", "");
    start_again(&test, note);
    let _ = test.run("-v").code(1).ran("a made made").err(SAID).err("is made anew (2 files)");
    let _ = test.run("").code(1).ran("a");
    test.write("go", "");
    test.run("").runs("a");
    assert_eq!(test.read(".optbuild/stages/a/build/sub/two"), "sub/two\n");
}

/// A copy was read from the disk, so all of it was there.
#[test]
fn a_copied_build_directory_stays_as_it_is() {
    let test = Test::new([stage("a", "", "[ -e ${self.build}/x ] || mark made\ntouch ${self.build}/x\nfalse\n")]);
    let _ = test.run("").code(1).ran("a made");
    start_again(&test, ".optbuild/stages/a/build.json");
    let copied = "mv .optbuild/stages/a/build aside && cp -r aside .optbuild/stages/a/build";
    let status = std::process::Command::new("sh").args(["-c", copied]).current_dir(&test.dir).status().unwrap();
    assert!(status.success());
    let ran = test.run("-v").code(1).ran("a");
    assert!(!ran.stderr.contains(SAID), "{}", ran.stderr);
}

/// What a stage left when it was done is on the disk. The next one, which was interrupted, starts from it.
#[test]
fn in_a_workspace_what_was_done_stays() {
    let keys = "workspace = 'w'";
    let first = stage("first", keys, "echo first > ${self.build}/first\n");
    let next = "[ -e ${self.build}/second ] || mark made\ntouch ${self.build}/second\n[ -e ${self.build}/../go ]\n";
    let test = Test::new([first, stage("second", keys, next)]);
    let _ = test.run("").code(1).ran("first second made");
    start_again(&test, ".optbuild/workspaces/w.json");
    let _ = test.run("-v").code(1).ran("second made").err(SAID).err("is made anew (1 file)");
    test.write(".optbuild/workspaces/go", "");
    test.run("").runs("second");
    assert_eq!(test.read(".optbuild/workspaces/w/first"), "first\n");
    // Nothing was interrupted.
    test.change("mark made", "mark other");
    start_again(&test, ".optbuild/workspaces/w.json");
    let ran = test.run("-v");
    assert!(!ran.stderr.contains(SAID), "{}", ran.stderr);
    assert_eq!(test.read(".optbuild/workspaces/w/first"), "first\n");
}
