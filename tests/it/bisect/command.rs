//! `optbuild bisect` with the real llvm-bolt, and a wrapper before it that breaks chosen functions: which ones are to blame is known by
//! construction. The wrapper damages the output, or fails as llvm-bolt does, unless each of those functions is left out.

use std::collections::BTreeSet;

use crate::support::Test;
use crate::support::processes::eventually;
use crate::support::real::{LLVM, empty, sh};

/// Local functions of one name, one in each file: llvm-bolt calls them `twin/1` and `twin/2`.
const TWIN: &str = "static __attribute__((noinline)) int twin(int x) { return x % 5 ? x * 3 : x - 1; }\n";

/// Names of the functions with a profile.
fn functions() -> Vec<String> {
    let numbered = (0..40).map(|number| format!("f{number}"));
    numbered.chain(["odd.name$x", "other", "twin/1", "twin/2"].map(str::to_owned)).collect()
}

fn program() -> String {
    let mut text = format!("#include <stdio.h>\n{TWIN}int other(int);\nint odd(int) __asm__(\"odd.name$x\");\n");
    text.push_str("__attribute__((noinline)) int odd(int x) { return x % 7 ? x + 2 : x / 2; }\n");
    for number in 0..40 {
        text.push_str(&format!(
            "__attribute__((noinline)) int f{number}(int x) {{ return x % 3 == {number} % 3 ? x * {number} : x + {number}; }}\n"
        ));
    }
    // Without a profile: llvm-bolt does not work on it.
    text.push_str("__attribute__((noinline)) int cold(int x) { return x % 2 ? x * 5 : x; }\n");
    text.push_str("int main(int c, char **v) { int x = c; ");
    (0..40).for_each(|number| text.push_str(&format!("x += f{number}(x); ")));
    text.push_str(
        "x += twin(x) + odd(x) + other(x); if (c > 9) x += cold(x); printf(\"GOODWORD %d\\n\", x); return 0; }\n",
    );
    text
}

/// What the wrapper does: `damaged` and `refused` are files with names. `calls` has a line for each call with an input.
fn wrapper(test: &Test) -> String {
    format!(
        r#"
real={LLVM}/llvm-bolt
case $1 in -*) exec $real "$@";; esac
cd {dir}
echo call >> calls
[ ! -e hold ] || [ "$(wc -l < calls)" != "$(cat hold)" ] || gate bolt
for last; do :; done
works_on() {{
    for word in $all; do
        case $word in
        -funcs-file-no-regex=*) grep -qxF -e "$1" "${{word#*=}}"; return;;
        -skip-funcs=*) printf '%s\n' "${{word#*=}}" | tr , '\n' > patterns
            if printf '%s\n' "$1" | grep -qxE -f patterns; then return 1; fi;;
        esac
    done
    return 0
}}
all=$(printf '%s\n' "$@")
set -f
for name in $(cat refused); do
    if works_on "$name"; then
        $real "$@" > log 2>&1
        grep ' per user request' log
        echo "BOLT-ERROR: deleted successor .Ltmp7 detected in:" >&2
        echo "Binary Function \"$name(*2)\" after reorder {{" >&2
        seq 1 300 | sed 's/^/    dump of an instruction /' >&2
        echo "BOLT-ERROR: Invalid CFG detected after pass reorder" >&2
        seq 1 40 | sed 's/^/    dump at the end /' >&2
        rm -f "$last"
        exit 1
    fi
done
$real "$@" || exit
for name in $(cat damaged); do
    ! works_on "$name" || LC_ALL=C sed -i s/GOODWORD/BADWORDS/ "$last"
done
"#,
        dir = test.dir
    )
}

/// The pipeline with more keys of the stage `final`, and functions that llvm-bolt breaks.
fn project(keys: &str, damaged: &[&str], refused: &[&str]) -> Test {
    let test = empty(&format!(
        "name = 'p'\n[outputs]\nprog = '${{final.file}}'\n\
         [[stage]]\nname = 'build'\nkind = 'command'\noutputs = {{ prog = 'prog' }}\n\
         run = ['{LLVM}/clang', '-O1', '-fuse-ld=lld', '-Wl,--emit-relocs', '-o', '${{self.out}}/prog', \
                '${{pipeline.dir}}/prog.c', '${{pipeline.dir}}/other.c']\n\
         [[stage]]\nname = 'final'\nkind = 'bolt'\naction = 'optimize'\ninput = '${{build.prog}}'\n\
         profile = '${{pipeline.dir}}/p.fdata'\n{keys}\n"
    ));
    test.write("prog.c", &program());
    test.write("other.c", &format!("{TWIN}int other(int x) {{ return x % 11 ? twin(x) : 1; }}\n"));
    let lines = functions().into_iter().map(|name| format!("1 main 1 1 {name} 0 0 10\n"));
    test.write("p.fdata", &lines.collect::<String>());
    test.write("damaged", &damaged.join("\n"));
    test.write("refused", &refused.join("\n"));
    test.program("llvm-bolt", &wrapper(&test));
    test
}

/// The program must say its word.
const CHECK: &str = "check = [{ run = '${self.out}/prog | grep -q GOODWORD', shell = true }]";

/// How often llvm-bolt was run since the last time.
fn calls(test: &Test) -> usize {
    let count = test.exists("calls").then(|| test.read("calls").lines().count());
    test.sh("rm -f calls");
    count.unwrap_or_default()
}

/// The functions of the printed option.
fn skipped(line: &str) -> BTreeSet<&str> {
    let (_, option) = line.split_once("-skip-funcs=").unwrap();
    option.split(['"', '\'']).next().unwrap().split(',').collect()
}

#[test]
fn functions_whose_code_is_wrong_are_found_and_the_line_mends_the_stage() {
    let keys = format!("extra-options = ['-dyno-stats', '-skip-funcs=f1,f2']\n{CHECK}");
    let damaged = ["f3", "odd.name$x", "twin/2"];
    let test = project(&keys, &damaged, &[]);
    let _ = test.run("").code(1).err("final: failed in check-1").err("`optbuild bisect final` finds out");
    calls(&test);
    let ran = test.cmd("bisect final").ok();
    // Those with a profile, and `main`, without the two that the stage leaves out anyway.
    let looked_at = functions().len() + 1 - 2;
    let ran = ran.err(&format!("{looked_at} functions; about 9 more tries")).err("BOLT breaks 3 functions:");
    let line = ran.stdout.trim();
    let expected = "extra-options = [\"-dyno-stats\", \"-skip-funcs=f1,f2\", \"-skip-funcs=";
    assert!(line.starts_with(expected) && !line.contains('\n'), "{line}");
    assert_eq!(skipped(line.rsplit_once(", ").unwrap().1), BTreeSet::from(["f3", "odd[.]name[$]x", "twin/2"]));
    // Without llvm-bolt twice; as it is, none, all, and the option; three by halves of 43, each put back once.
    let most = 4 + 3 * (6 + 2);
    let made = calls(&test);
    assert!((10..=most).contains(&made), "llvm-bolt was run {made} times, not {most}");
    // Asked again, nothing has to be tried.
    let again = test.cmd("bisect final").ok();
    assert_eq!((again.stdout.trim(), calls(&test)), (line, 0));
    // With the line in the pipeline the stage succeeds, and the program is the good one.
    test.change("extra-options = ['-dyno-stats', '-skip-funcs=f1,f2']", line);
    let _ = test.run("").ok();
    assert!(sh(&test.dir, "out/p/prog").starts_with("GOODWORD "));
    let _ = test.cmd("bisect final").code(1).err("there is nothing to find").silent();
}

#[test]
fn a_function_that_llvm_bolt_gives_up_on_is_named_at_once() {
    let test = project(CHECK, &[], &["twin/1"]);
    let ran = test.run("").code(1);
    let option = "`-skip-funcs=twin/1` in `extra-options` leaves it out";
    let ran = ran.err("llvm-bolt gives up on the function `twin/1`").err(option);
    // The errors, and not what llvm-bolt prints around them.
    let ran = ran.err("| BOLT-ERROR: deleted successor .Ltmp7 detected in:");
    let _ = ran.err("| BOLT-ERROR: Invalid CFG detected after pass reorder").no_err("dump");
    calls(&test);
    let ran = test.cmd("bisect final").ok();
    assert_eq!(ran.stdout, "extra-options = [\"-skip-funcs=twin/1\"]\n");
    // As it is, none, all by name, without the one that is named, with the option.
    assert_eq!(calls(&test), 5);
    test.change(CHECK, &format!("{CHECK}\n{}", ran.stdout));
    let _ = test.run("").ok();
}

/// Nothing but llvm-bolt itself: a branch leads into the middle of another function, and with `-strict` it cannot leave that one alone.
#[test]
fn a_function_that_llvm_bolt_really_gives_up_on() {
    let options = "options = ['-lite=0', '-strict']";
    let test = project(&format!("{options}\n{CHECK}"), &[], &[]);
    let main = "#include <stdio.h>\nint one(int);\nint main(int c, char **v) { printf(\"GOODWORD %d\\n\", one(c)); return 0; }\n";
    test.write("prog.c", main);
    let code = [
        ".text\\n.globl one\\n.type one,@function\\none: testl %edi,%edi\\nje two+1\\nmovl $1,%eax\\nret\\n.size one,.-one\\n",
        ".globl two\\n.type two,@function\\ntwo: .byte 0x66\\nmovl $2,%eax\\nret\\n.size two,.-two\\n",
    ];
    test.write("other.c", &format!("__asm__(\"{}\");\n", code.concat()));
    test.write("p.fdata", "1 main 1 1 one 0 0 10\n");
    let ran = test.run("").code(1).err("llvm-bolt gives up on the function `one`");
    let _ = ran.err("`-skip-funcs=one` in `options` leaves it out");
    let ran = test.cmd("bisect final").ok().err("BOLT breaks 1 function:\n  one\n");
    assert_eq!(ran.stdout, "options = [\"-lite=0\", \"-strict\", \"-skip-funcs=one\"]\n");
    test.change(options, ran.stdout.trim());
    let _ = test.run("").ok();
    assert_eq!(sh(&test.dir, "out/p/prog"), "GOODWORD 1\n");
}

/// One that fails and one that is wrong.
#[test]
fn functions_of_both_kinds_are_found_together() {
    let test = project(&format!("options = ['-reorder-blocks=ext-tsp']\n{CHECK}"), &["f39", "f0"], &["f20"]);
    let _ = test.run("--until build").ok();
    let ran = test.cmd("bisect p.toml final").ok();
    let line = ran.stdout.trim();
    assert!(line.starts_with("options = [\"-reorder-blocks=ext-tsp\", \"-skip-funcs="), "{line}");
    assert_eq!(skipped(line), BTreeSet::from(["f0", "f20", "f39"]));
}

#[test]
fn a_search_that_is_killed_goes_on_where_it_was() {
    let test = project(CHECK, &["f8", "f31"], &[]);
    let _ = test.run("--until build").ok();
    let line = test.cmd("bisect p.toml final").ok().stdout;
    assert_eq!(skipped(&line), BTreeSet::from(["f8", "f31"]));
    let in_one_go = calls(&test);
    for (signal, code) in [("KILL", -1), ("INT", 130)] {
        test.sh("rm -r .optbuild/stages/final/bisect");
        test.write("hold", "6");
        let started = test.start_cmd("bisect p.toml final");
        let held = || test.exists("calls") && test.read("calls").lines().count() == 6;
        assert!(eventually(held), "llvm-bolt was not run six times");
        match signal {
            "KILL" => started.kill(),
            _ => started.interrupt(),
        };
        let _ = started.end().code(code);
        test.sh("rm hold");
        test.open("bolt");
        assert_eq!(test.cmd("bisect p.toml final").ok().stdout, line);
        // The sixth try was cut off.
        assert_eq!(calls(&test), in_one_go + 1, "after {signal}");
        test.close("bolt");
    }
    // What the tries have built is gone.
    assert!(!test.files_below(".optbuild/stages/final/bisect").iter().any(|path| path.file_name() == Some("prog")));
}

#[test]
fn what_is_no_function_is_said() {
    let says = |keys: &str, text: &str| {
        let test = project(keys, &[], &[]);
        let _ = test.run("--until build").ok();
        let _ = test.cmd("bisect p.toml final").code(1).silent().err(text);
        test
    };
    says("check = ['false']", "stage `final` fails without llvm-bolt too (check-1: exited with status 1)");
    says(CHECK, "stage `final` succeeds: there is nothing to find");
    // The mark that llvm-bolt leaves is there however many functions it leaves out.
    let marked = "check = [{ run = '! readelf -SW ${self.out}/prog | grep -q bolt_info', shell = true }]";
    says(marked, "also when llvm-bolt leaves all functions out: no function is to blame");

    let test = project("extra-options = ['-funcs=f1']", &[], &[]);
    let _ = test.cmd("bisect p.toml final").code(2).err("nothing was run here yet");
    let _ = test.run("--until build").ok();
    let _ = test.cmd("bisect p.toml final").code(2).err("`-funcs=f1` among the options");
    let _ = test.cmd("bisect p.toml build").code(2).err("is of kind `command`").err("here: `final`");
    let _ = test.cmd("bisect p.toml finale").code(2).err("did you mean `final`?");
    test.change("'-O1'", "'-O2'");
    let _ = test.cmd("bisect p.toml final").code(2).err("stage `build` is out of date");
    let _ = test.cmd("bisect p.toml final --accept-stale").code(2).err("`-funcs=f1` among the options");
}

/// A check that does not always give the same answer: here it fails when it is asked for the second time, or for the last.
#[test]
fn a_check_that_cannot_be_relied_on_is_said() {
    let test = project("check = ['flip']", &[], &[]);
    let count = test.aside.join("count");
    let flip = |script: &str| test.program("flip", &format!("echo >> {count}; n=$(wc -l < {count}); {script}"));
    flip("[ $n != 2 ]");
    let _ = test.run("--until build").ok();
    let ran = test.cmd("bisect p.toml final").code(1).silent();
    let _ =
        ran.err("without llvm-bolt stage `final` succeeded once and failed once").err("nothing can be found with it");

    // Good without llvm-bolt and without functions, bad as it is and by name, and from then on good: as if `main` were to blame.
    std::fs::remove_file(&count).unwrap();
    flip("case $n in 3|5) false;; esac");
    let ran = test.cmd("bisect p.toml final").ok();
    assert_eq!(ran.stdout.matches("-skip-funcs=").count(), 1);
    test.sh("rm -r .optbuild/stages/final/bisect");
    std::fs::remove_file(&count).unwrap();
    let last = ran.stderr.lines().filter(|line| line.contains(": try ")).count();
    flip(&format!("case $n in 3|5|{last}) false;; esac"));
    let ran = test.cmd("bisect p.toml final").code(1).silent();
    let _ = ran.err("does not always give the same answer");
}
