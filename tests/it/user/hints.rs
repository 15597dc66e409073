//! What the program advises works where the user is: commands to go on with, names that were meant, places of outputs.

use crate::support::{Test, stage};

fn failing() -> Test {
    let test = Test::new([stage("a", "", "exit 7")]);
    test.sh("mkdir sub elsewhere && mv p.toml sub");
    test
}

#[test]
fn how_to_go_on_is_said_for_the_directory_in_which_the_user_is() {
    let test = failing();
    let hint = "optbuild resume --state-dir sub/.optbuild ";
    let _ = test.cmd("run sub/p.toml").code(1).err(hint).err("optbuild run sub/p.toml --from a ");
    let _ = test.cmd("resume --state-dir sub/.optbuild").code(1).err(hint).err("optbuild run sub/p.toml --from a ");
    // From inside, the state directory is found; the file has another name.
    let inside = test.cmd_in("sub", "resume").code(1).err("optbuild resume  ").no_err("--state-dir");
    let _ = inside.err("optbuild run [DIR]/sub/p.toml --from a ");
    let other = test.cmd_in("elsewhere", "run ../sub/p.toml --state-dir s").code(1);
    let _ = other.err("optbuild resume --state-dir s ").err("optbuild run ../sub/p.toml --state-dir s --from a ");
}

#[test]
fn how_to_go_on_has_the_variables_but_no_secret() {
    let vars = "[vars]\nlevel = '1'\ntoken = { type = 'string', secret = true }\n";
    let test = Test::new([vars.to_owned(), stage("a", "", "exit 7")]);
    let ran = test.run("--set 'level=2 3' --set token=hunter2").code(1);
    let _ = ran.err("optbuild run p.toml --set 'level=2 3' --from a").no_err("hunter2");
}

#[test]
fn commands_about_the_last_run_work_in_any_directory_below() {
    let test = Test::new([stage("a", "", "")]);
    test.sh("mkdir sub");
    test.run("").runs("a");
    let _ = test.cmd_in("sub", "status").ok().out("1 of 1 stage up to date");
    let _ = test.cmd_in("sub", "explain a").ok().out("a: up to date");
    let _ = test.cmd_in("sub", "artifacts").ok().out("a.out");
}

#[test]
fn names_that_are_wrong_bring_those_that_are_right() {
    let test = Test::new([stage("build", "", ""), stage("check", "", "")]);
    let _ = test.run("--only biuld").code(2).err("did you mean `build`?");
    let _ = test.run("--from x").code(2).err("its stages are build, check");
    let _ = test.cmd("run other").code(2).err("there is no pipeline `other`; there is `cargo`, `clang`, `demo`,");
}

#[test]
fn where_the_outputs_are_is_said_once() {
    let file = stage("a", "outputs = { f = 'f' }", "echo 1 > ${self.out}/f");
    let test = Test::new(["name = 'p'\n[outputs]\n'bin/f' = '${a.f}'\n".to_owned(), file]);
    let _ = test.run("").ok().silent().err("put in place: out/p/bin/f\n");
    let _ = test.run("").ok().no_err("put in place");
    let _ = test.run("--out other").ok().err("put in place: other/bin/f\n");
}

#[test]
fn what_is_missing_comes_with_the_command_that_installs_it() {
    let tools = "[tools]\nno-such-tool = { package = 'no-such-package' }\n".to_owned();
    let user = "[[stage]]\nname = 'a'\nkind = 'command'\nrun = ['no-such-tool']\n".to_owned();
    let test = Test::new([tools, user]);
    let _ = test.run("").code(3).err("`optbuild doctor p.toml --install` installs");
}

#[test]
fn show_keeps_the_order_of_the_file() {
    let head =
        "[vars]\nzone = '1'\narea = '2'\n[tools]\nsh = '*'\nawk = '*'\n[outputs]\nz = '${a.out}'\nb = '${a.out}'\n";
    let test = Test::new([head.to_owned(), stage("a", "", "")]);
    let shown = test.cmd("show p.toml").ok().stdout;
    let at = |word: &str| shown.find(&format!("\n  {word} ")).unwrap_or_else(|| panic!("no {word} in {shown}"));
    let places = ["zone", "area", "sh", "awk", "z", "b"].map(at);
    assert!(places.is_sorted(), "{shown}");
}
