//! What the user made is not deleted.

use crate::support::{Test, stage};

fn publishing(outputs: &str) -> Test {
    let outputs = format!("name = 'p'\n[outputs]\n{outputs}\n");
    Test::new([outputs, stage("a", "outputs = { x = '${self.out}/x' }", "echo new > ${self.out}/x")])
}

#[test]
fn outputs_do_not_replace_what_stands_there() {
    let test = publishing("lib = '${a.out}'\nfile = '${a.x}'").file("home/lib/mine", "precious");
    let _ = test.run("--out home").code(2).ran("").err("`[DIR]/home/lib` is in the way");
    assert_eq!(test.read("home/lib/mine"), "precious");
    test.sh("mkdir elsewhere; mv home/lib elsewhere; echo mine > home/file");
    let _ = test.run("--out home").code(2).ran("").err("`[DIR]/home/file` is in the way");
    assert_eq!(test.read("home/file"), "mine\n");
    test.sh("rm home/file");
    test.run("--out home").runs("a");
    test.run("--out home").runs("");
    // Its own are replaced.
    test.change("echo new", "echo newer");
    test.run("--out home").runs("a");
    assert_eq!((test.read("home/file"), test.read("home/lib/x")), ("newer\n".into(), "newer\n".into()));
    // out/NAME is optbuild's own.
    let _ = test.file("out/p/file", "old").run("").ok();
}

#[test]
fn what_a_run_did_not_make_is_still_its_own() {
    let test = publishing("file = '${a.x}'");
    let _ = test.run("").ok();
    test.change("echo new", "false; echo new");
    let _ = test.run("").code(1);
    assert_eq!(test.read("out/p/file"), "new\n");
    test.change("false; ", "");
    test.change("echo new", "echo newer");
    test.run("").runs("a");
    assert_eq!(test.read("out/p/file"), "newer\n");
}

#[test]
fn clean_takes_names_and_no_paths() {
    let test = Test::new([stage("a", "workspace = 'w'", "")]).file("src/mine", "precious");
    let _ = test.run("").ok();
    for name in ["../../src", "../outputs", "w/../../outputs", ".", "..", "w.json", ""] {
        let _ = test.cmd(&format!("clean --workspace '{name}'")).code(2).err("there is no workspace");
        let _ = test.cmd(&format!("clean '{name}'")).code(2);
    }
    assert_eq!(test.read("src/mine"), "precious");
    assert!(test.exists(".optbuild/outputs/a"));
    let _ = test.cmd("clean --workspace w").ok();
}

#[test]
fn outputs_that_lie_in_each_other_are_refused() {
    let test = publishing("lib = '${a.out}'\n'lib/x' = '${a.x}'");
    let _ = test.run("").code(2).ran("").err("`lib/x` lies in `lib`, which is another output");
    let outputs = "outputs = { made = '${self.out}/lib', captured = '${self.build}/lib/x' }";
    let test =
        Test::new([stage("a", outputs, "mkdir lib ${self.out}/lib; echo 1 > lib/x; echo 2 > ${self.out}/lib/x")]);
    let _ = test.run("").code(2).ran("").err("stands where output");
}

/// Means something only where the user is not root.
#[test]
fn outputs_that_cannot_be_written_to_are_replaced() {
    let pipeline = [
        "name = 'p'\n[outputs]\nall = '${a.out}'\n".to_owned(),
        stage(
            "a",
            "",
            "
        mkdir ${self.out}/below
        echo one > ${self.out}/below/x
        chmod -R a-w ${self.out}",
        ),
    ];
    let test = Test::new(pipeline);
    test.run("").runs("a");
    test.run("--force").runs("a");
    test.change("echo one", "echo two");
    test.run("").runs("a");
    assert_eq!(test.read("out/p/all/below/x"), "two\n");
    let _ = test.cmd("gc --keep-runs 0").ok();
    test.sh("chmod -R u+w out .optbuild");
}
