//! Stages that build trees of their own: what they watch, copies to build in, outputs that lie elsewhere, and the tools of their scripts.

use crate::support::{Test, needs, stage};

const PIPELINE: &str = "name = 'p'\n";

/// A tree whose `configure` reads a file beside it.
fn configured(run: &str) -> Test {
    let test = Test::new([PIPELINE, "[vars]\nsource = { type = 'path', default = 'src' }\n", &stage("a", "", run)]);
    test.write("src/configure", "#!/bin/sh\ncat \"$(dirname \"$0\")/main.c\"\n");
    test.write("src/main.c", "one\n");
    test.sh("chmod +x src/configure");
    test
}

#[test]
fn a_configure_that_is_named_stands_for_its_tree() {
    for run in ["${pipeline.dir}/src/configure", "\"${source}\"/configure", "cd ${source} && ./configure"] {
        let test = configured(run);
        let _ = test
            .cmd("plan p.toml")
            .ok()
            .out("it builds from [DIR]/src, so all of that is watched")
            .out("  watches [DIR]/src\n");
        test.run("").runs("a");
        test.run("").runs("");
        test.write("src/main.c", "two\n");
        test.run("").runs("a");
    }
}

#[test]
fn a_makefile_in_a_directory_that_is_named_stands_for_its_tree() {
    let test =
        Test::new([PIPELINE, "[vars]\nsource = { type = 'path', default = 'src' }\n", &stage("a", "", "ls ${source}")]);
    test.write("src/main.c", "one\n");
    // A directory without any: a path and no more.
    test.run("").runs("a");
    test.write("src/main.c", "two\n");
    test.run("").runs("");
    test.write("src/Makefile", "all:\n");
    test.run("").runs("a");
    test.write("src/main.c", "three\n");
    test.run("").runs("a");
}

#[test]
fn what_a_stage_watches_is_shown() {
    let test = Test::new([
        PIPELINE,
        &stage("a", "inputs = ['${pipeline.dir}/data']", "cat ${pipeline.dir}/x"),
        &stage("b", "", "true"),
    ]);
    test.write("data", "");
    test.write("x", "");
    let _ = test
        .cmd("plan p.toml")
        .ok()
        .out("  watches [DIR]/data\n  watches [DIR]/x\n")
        .out("  watches no files of yours: `inputs` names what it reads\n");
    let _ = test.cmd("show p.toml --stage a").ok().out("# watches [DIR]/data\n# watches [DIR]/x\n");
    let _ = test.run("").ok();
    let _ = test.cmd("explain a").ok().out("watches [DIR]/data\nwatches [DIR]/x\n");
}

#[test]
fn a_new_input_keeps_the_build_directory() {
    let test =
        Test::new([PIPELINE, &stage("a", "", "echo x >> ${self.build}/built; cp ${self.build}/built ${self.out}/")]);
    test.write("data", "1\n");
    test.run("").runs("a");
    test.change("shell = true", "shell = true\ninputs = ['${pipeline.dir}/data']");
    test.run("").runs("a");
    assert_eq!(test.read(".optbuild/stages/a/build/built"), "x\nx\n", "it went on where it was");
    // The input counts from now on.
    test.run("").runs("");
    test.write("data", "2\n");
    test.run("").runs("a");
    // Another command begins anew.
    test.change("echo x >>", "echo y >>");
    test.run("").runs("a");
    assert_eq!(test.read(".optbuild/stages/a/build/built"), "y\n");
}

#[test]
fn explain_shows_the_lines_of_a_script_that_differ() {
    let long = "# a line that says nothing and is only there so that the script becomes longer than what is kept as it is in fingerprints";
    let test = Test::new([PIPELINE, &stage("a", "", &format!("{long}\necho one\necho same"))]);
    test.run("").runs("a");
    test.change("echo one", "echo two");
    let shown = test.cmd("explain a").ok().out("    - echo one\n").out("    + echo two\n").stdout;
    assert!(!shown.contains("echo same") && !shown.contains("declaration.run  hash"), "{shown}");
}

/// A Makefile that writes beside its sources, and takes down what it compiles.
#[test]
fn a_copy_is_built_in_and_brought_up_to_date() {
    if !needs::make() {
        return;
    }
    let keys = "source = '${pipeline.dir}/src'\ncopy = true\noutputs = { all = '${self.build}/all' }";
    let test = Test::new([PIPELINE, &stage("a", keys, "make")]);
    test.write("src/Makefile", "all: one.o two.o\n\tcat one.o two.o > all\n%.o: %.c\n\tcp $< $@\n\techo $@ >> made\n");
    test.write("src/one.c", "1\n");
    test.write("src/two.c", "2\n");
    test.run("").runs("a");
    let made = || {
        let text = test.read(".optbuild/stages/a/build/made");
        test.sh("rm .optbuild/stages/a/build/made");
        text
    };
    assert_eq!(made(), "one.o\ntwo.o\n");
    assert_eq!(test.files_below("src").len(), 3, "nothing was written there");
    test.run("").runs("");

    test.write("src/two.c", "22\n");
    test.run("").runs("a");
    assert_eq!(made(), "two.o\n");
    test.sh(
        "rm src/one.c; echo 'all: two.o\n\tcat two.o > all\n%.o: %.c\n\tcp $< $@\n\techo $@ >> made' > src/Makefile",
    );
    test.run("").runs("a");
    assert!(!test.exists(".optbuild/stages/a/build/one.c"));
    assert!(!test.exists(".optbuild/stages/a/build/made"), "two.o is up to date");
}

#[test]
fn a_copy_follows_files_that_become_directories_and_old_files_that_come() {
    let keys = "source = '${pipeline.dir}/src'\ncopy = true";
    let test = Test::new([PIPELINE, &stage("a", keys, "find . -type f ! -name 'optbuild-*' | sort > all\n")]);
    let all = || test.read(".optbuild/stages/a/build/all");
    test.write("src/x", "a file");
    test.write("src/z", "");
    test.run("").runs("a");
    test.sh("cd src && rm x && mkdir x && echo in > x/y");
    test.run("").runs("a");
    assert_eq!(all(), "./all\n./x/y\n./z\n");
    test.sh("cd src && rm -r x && echo again > x");
    test.run("").runs("a");
    assert_eq!(all(), "./all\n./x\n./z\n");
    // What was built before knows nothing of a file that is put there with an old time.
    test.sh("touch .optbuild/stages/a/build/product; touch -d 2001-01-01 old.h; mv old.h src");
    test.run("").runs("a");
    test.sh("[ .optbuild/stages/a/build/old.h -nt .optbuild/stages/a/build/product ]");
}

#[test]
fn the_host_is_replaced_in_outputs() {
    let host = "outputs = { all = '${self.build}/${host}/all' }";
    let test = Test::new([PIPELINE, &stage("a", host, "mkdir ${host}; echo x > ${host}/all")]);
    test.run("").runs("a");
    let _ = test.cmd("artifacts").ok().out("a.all");
}

#[test]
fn an_output_that_lies_in_the_build_directory_is_named() {
    let test = Test::new([PIPELINE, &stage("a", "outputs = { all = 'bin/all' }", "mkdir bin; echo x > bin/all")]);
    let _ = test
        .run("")
        .code(1)
        .err("did not make its output `all`; it lies in the build directory: name it `${self.build}/bin/all`");
}

#[test]
fn a_script_finds_the_tools_of_the_pipeline_first() {
    let tools = "[tools]\nprobe = { version = '>=2', dir = '${pipeline.dir}/tools' }\n";
    let test = Test::new([
        PIPELINE,
        tools,
        &stage("a", "outputs = { said = 'said' }", "probe > ${self.out}/said; sh -c probe >> ${self.out}/said"),
    ]);
    test.program("probe", "echo 'probe 1.0'");
    crate::support::processes::write_program(
        &{
            std::fs::create_dir_all(test.path("tools")).unwrap();
            test.path("tools/probe")
        },
        "#!/bin/sh\necho 'probe 2.0'\n",
    );
    let _ = test.run("").ok();
    test.sh("test \"$(cat .optbuild/outputs/a/*/said)\" = 'probe 2.0\nprobe 2.0'");
}

#[test]
fn quotes_in_printed_scripts_can_be_read() {
    let test = Test::new([
        PIPELINE,
        "[[stage]]\nname = 'a'\nkind = 'command'\nshell = true\nrun = '''trap \"kill $pid\" EXIT; echo \"it's\"; exit 1'''\n",
    ]);
    let _ = test.run("").code(1).err("sh -eu -c 'trap \"kill $pid\" EXIT; echo \"it'\\''s\"; exit 1'");
}
