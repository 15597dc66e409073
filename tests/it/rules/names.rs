//! Variables, commands, references and `extends`, as far as a run shows them.

use crate::support::{Test, stage};

/// The words that the program `show` was called with, one line each, by the last run of a stage.
fn words(test: &Test) -> Vec<String> {
    std::fs::read_to_string(test.aside.join("words")).unwrap().lines().map(str::to_owned).collect()
}

/// A pipeline whose only stage calls `show` with what `run` says behind it.
fn showing(vars: &str, run: &str) -> Test {
    let test = Test::new([format!("[vars]\n{vars}\n[[stage]]\nname = 'a'\nkind = 'command'\nrun = {run}\n")]);
    test.program("show", &format!("printf '%s\\n' \"$@\" > {}", test.aside.join("words")));
    test
}

#[test]
fn a_variable_is_set_by_set_then_the_environment_then_its_default() {
    let test = showing("my-var = 'default'", "['show', '${my-var}']");
    let _ = test.run("").ok();
    assert_eq!(words(&test), ["default"]);
    let test = test.env("OPTBUILD_VAR_MY_VAR", "environment");
    let _ = test.run("").ok();
    assert_eq!(words(&test), ["environment"]);
    let _ = test.run("--set my-var=first --set my-var=set").ok();
    assert_eq!(words(&test), ["set"]);
}

#[test]
fn variables_have_types() {
    let test = showing(
        "n = { type = 'int', default = 1 }\nb = { type = 'bool', default = false }",
        "['show', '${n}', '${b}']",
    );
    let _ = test.run("--set n=42 --set b=true").ok();
    assert_eq!(words(&test), ["42", "true"]);
    let _ = test.run("--set n=many").code(2).err("`n` is an integer");
    let _ = test.run("--set b=perhaps").code(2).err("`b` is a boolean");
}

#[test]
fn a_variable_has_choices_and_can_be_required() {
    let test = showing("level = { choices = ['low', 'high'], required = true }", "['show', '${level}']");
    let _ = test.run("").code(2).err("`level` has no value").err("--set level=").err("OPTBUILD_VAR_LEVEL");
    let _ = test.run("--set level=hihg").code(2).err("not among the choices").err("did you mean `high`?");
    let _ = test.run("--set level=high").ok();
    assert_eq!(words(&test), ["high"]);
}

#[test]
fn a_list_that_is_a_whole_element_is_spliced() {
    let test = showing("l = ['a', 'b c']", "['show', '-x', '${l}', 'end']");
    let _ = test.run("").ok();
    assert_eq!(words(&test), ["-x", "a", "b c", "end"]);
    let _ = test.run("--set l=").ok();
    assert_eq!(words(&test), ["-x", "end"]);
}

#[test]
fn set_repeats_or_splits_on_commas_for_a_list() {
    let test = showing("l = { type = 'list' }", "['show', '${l}']");
    let _ = test.run("--set l=a,b").ok();
    assert_eq!(words(&test), ["a", "b"]);
    let _ = test.run("--set l=a --set l=b,c").ok();
    assert_eq!(words(&test), ["a", "b", "c"]);
    let test = showing("s = ''", "['show', '${s}']");
    let _ = test.run("--set s=a,b").ok();
    assert_eq!(words(&test), ["a,b"]);
}

#[test]
fn paths_from_the_command_line_are_relative_to_the_caller_and_defaults_to_the_file() {
    let test = showing("p = { type = 'path', default = 'data' }", "['show', '${p}']");
    test.write("below/x", "");
    let _ = test.cmd_in("below", "run ../p.toml").ok();
    assert_eq!(words(&test), [test.path("data")]);
    let _ = test.cmd_in("below", "run ../p.toml --set p=data").ok();
    assert_eq!(words(&test), [test.path("below/data")]);
}

#[test]
fn an_array_is_a_command_word_for_word() {
    let test = showing("", "['show', 'a b', '$HOME', '*', '|', '']");
    let _ = test.run("").ok();
    assert_eq!(words(&test), ["a b", "$HOME", "*", "|", ""]);
}

#[test]
fn a_string_is_split_into_words_without_a_shell() {
    let test = showing("v = 'x y'", "'''show a  \"b c\" ${v} $HOME *; true | cat > f'''");
    let _ = test.run("").ok();
    assert_eq!(words(&test), ["a", "b c", "x y", "$HOME", "*;", "true", "|", "cat", ">", "f"]);
}

#[test]
fn a_shell_is_asked_for() {
    let test = showing("", "'show a; show $((1 + 1))'\nshell = true");
    let _ = test.run("").ok();
    assert_eq!(words(&test), ["2"]);
    // It ends at the first error and at a variable that has no value.
    let _ = showing("", "'false; show a'\nshell = true").run("").code(1);
    let _ = showing("", "'show $undefined'\nshell = true").run("").code(1);
}

#[test]
fn a_stage_has_directories_of_its_own_and_begins_in_its_build_directory() {
    let test = showing("", "['show', '${self.out}', '${self.build}', '${pipeline.dir}', '${jobs}']\njobs = 2");
    test.program("show", &format!("printf '%s\\n' \"$@\" $PWD > {}", test.aside.join("words")));
    let _ = test.run("-j 3").ok();
    let found = words(&test);
    assert!(found[0].starts_with(test.path(".optbuild/outputs/a/").as_str()));
    assert_eq!(found[1], test.path(".optbuild/stages/a/build"));
    assert_eq!(found[2..], [test.dir.to_string(), "2".into(), found[1].clone()]);
}

#[test]
fn host_is_the_target_triple_and_two_dollars_are_one() {
    let test = showing("", "['show', '${host}', '$${host}', '$$']");
    let _ = test.run("").ok();
    let rustc = std::process::Command::new("rustc").arg("-vV").output().unwrap();
    let rustc = String::from_utf8(rustc.stdout).unwrap();
    let host = rustc.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    assert_eq!(words(&test), [host, "${host}", "$$"]);
}

#[test]
fn reserved_names_are_neither_variables_nor_stages() {
    for name in ["self", "pipeline", "host", "jobs", "tools"] {
        let _ = showing(&format!("{name} = 'x'"), "'show'").run("").code(2).err(&format!("`{name}`")).ran("");
        let _ = Test::new([stage(name, "", "")]).run("").code(2).err(&format!("`{name}`")).ran("");
    }
}

#[test]
fn a_name_is_a_variable_or_a_stage_not_both() {
    let _ = showing("a = 'x'", "'show'").run("").code(2).err("`a` is both a variable and a stage");
}

#[test]
fn two_stages_of_a_name_undefined_names_and_cycles_are_errors() {
    let _ = Test::new([stage("a", "", ""), stage("a", "", "")]).run("").code(2).err("two stages of the name `a`");
    let _ = Test::new([stage("a", "", "${no-such}")]).run("").code(2).err("no-such");
    let _ = Test::new([stage("a", "", "${b.out}"), stage("b", "needs = ['a']", "")]).run("").code(2).err("a -> b -> a");
    let _ = Test::new([stage("a", "", "${self.out}"), stage("b", "", "${a.no-such}")]).run("").code(2).err("no-such");
}

#[test]
fn extends_merges_tables_key_by_key_and_replaces_arrays_and_scalars() {
    let test = Test::new([
        "extends = 'base.toml'\n[vars]\ny = '3'\n[[stage]]\nname = 'a'\nenv = { TWO = '2' }\nneeds = ['c']\n",
    ]);
    let base = [
        "[vars]\nx = '1'\ny = '2'\n".to_owned(),
        stage("b", "", ""),
        stage("c", "", ""),
        stage("a", "env = { ONE = '1', TWO = '1' }\nneeds = ['b']", "mark $ONE $TWO ${x} ${y}"),
    ];
    test.write("base.toml", &base.join("\n"));
    test.run("").runs("b c a 1 2 1 3");
    test.run("--until a --force").runs("c a 1 2 1 3");
}

#[test]
fn extends_removes_and_adds_stages() {
    let test = Test::new([
        "extends = 'base.toml'\n".to_owned(),
        "[[stage]]\nname = 'b'\nremove = true\n".to_owned(),
        stage("new", "after = 'a'", ""),
        stage("last", "", ""),
    ]);
    test.write("base.toml", &[stage("a", "", ""), stage("b", "", ""), stage("c", "", "")].join("\n"));
    test.run("").runs("a new c last");
    test.change("'b'", "'no-such'");
    let _ = test.run("").code(2).err("no stage `no-such` to remove");
}

#[test]
fn chains_of_extends_are_fine_and_cycles_an_error() {
    let test = Test::new(["extends = 'one.toml'\n".to_owned(), stage("a", "", "")]);
    test.write("one.toml", &format!("extends = 'two.toml'\n{}", stage("b", "", "")));
    test.write("two.toml", &stage("c", "", ""));
    test.run("").runs("c b a");
    test.write("two.toml", &format!("extends = 'p.toml'\n{}", stage("c", "", "")));
    let _ = test.run("").code(2).err("p.toml -> one.toml -> two.toml -> p.toml").ran("");
}

#[test]
fn the_pipelines_directory_is_that_of_the_file_in_which_the_text_stands() {
    let test = Test::new(["extends = 'lib/base.toml'\n".to_owned(), stage("b", "", "mark ${pipeline.dir}")]);
    test.write("lib/base.toml", &stage("a", "", "mark ${pipeline.dir}"));
    let marks = test.run("").ok().marks;
    assert_eq!(marks, ["a".to_owned(), test.path("lib").into(), "b".into(), test.dir.clone().into()]);
}

#[test]
fn a_file_that_is_extended_counts_as_a_change_of_the_pipeline() {
    let test = Test::new(["extends = 'base.toml'\n".to_owned(), stage("b", "", "")]);
    test.write("base.toml", &stage("a", "", "false"));
    let _ = test.run("").code(1).ran("a");
    test.write("base.toml", &stage("a", "", "true"));
    test.cmd("resume").err("changed since").runs("a b");
}
