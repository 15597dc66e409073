//! A tool that is killed while it says what it is: nothing is decided by that, and nothing of it is kept.

use std::time::Duration;

use crate::support::processes::eventually;
use crate::support::{Ran, Test};
use camino::Utf8Path;
use optbuild::facts::Facts;
use optbuild::fs::stat::{self, Stat};
use optbuild::plan::ToolUse;
use optbuild::proc::probe::{NoAnswer, ask};
use optbuild::state::hash::Hasher;
use optbuild::state::tools::{ToolError, ToolIdentities};

const PIPELINE: &str = "[tools]\nmytool = '*'\n[[stage]]\nname = 'a'\nkind = 'command'\n\
                        run = ['mytool', '${self.build}/runs']\noutputs = { runs = '${self.build}/runs' }\n";

/// A tool that adds a line to a file. `dies` is what it does when it is asked for its version.
fn tool(test: &Test, dies: &str) {
    let version =
        format!("if [ \"$1\" = --version ]; then echo asked >> {}; {dies}echo tool 1.0; exit; fi", asked(test));
    test.program("mytool", &format!("{version}\nmark a\necho again >> \"$1\""));
}

fn asked(test: &Test) -> camino::Utf8PathBuf {
    test.aside.join("asked")
}

fn refused(ran: Ran, how: &str) {
    let _ = ran.code(3).ran("").err("--version").err(how).err("run again");
}

/// A process that runs out of memory dies like this. Scripts that start it exit with 128 and the signal.
#[test]
fn a_tool_that_is_killed_when_asked_for_its_version_is_no_other_tool() {
    let test = Test::new([PIPELINE]);
    tool(&test, "");
    test.run("").runs("a");
    // What was written just now is not kept.
    assert!(eventually(|| {
        let _ = test.cmd("plan p.toml").ok();
        test.exists(".optbuild/tools")
    }));
    let before = (test.fingerprints(".optbuild"), test.read(".optbuild/tools"));
    for (dies, how) in [
        ("kill -9 $$; ", "was ended by SIGKILL"),
        ("exit 137; ", "was ended by SIGKILL"),
        ("kill -SEGV $$; ", "was ended by SIGSEGV"),
        ("exec /no/such/compiler; ", "exited with status 127"),
    ] {
        // Written anew, so that it is asked.
        tool(&test, dies);
        assert!(eventually(|| {
            let stat = Stat::of(&test.aside.join("bin/mytool").symlink_metadata().unwrap());
            stat.settled(stat::now())
        }));
        refused(test.run(""), how);
        refused(test.cmd("plan p.toml"), how);
        assert_eq!((test.fingerprints(".optbuild"), test.read(".optbuild/tools")), before, "{how}");
    }
    tool(&test, "");
    let _ = test.cmd("plan p.toml").ok().out("up to date");
    test.run("").runs("");
    assert_eq!(test.read(".optbuild/stages/a/build/runs"), "again\n", "the build directory was wiped");
}

/// Once, as by a process that needs all memory for a moment.
#[test]
fn a_tool_that_was_killed_once_is_asked_again() {
    let test = Test::new([PIPELINE]);
    tool(&test, &format!("[ $(wc -l < {}) = 1 ] && kill -9 $$; ", asked(&test)));
    test.run("").runs("a");
    test.run("").runs("");
}

/// The library that a compiler's code is in belongs to it. While a package is replaced, it is not there.
#[test]
fn a_tool_whose_library_is_not_found_is_no_other_tool() {
    let dir = tempfile::tempdir().unwrap();
    let dir = Utf8Path::from_path(dir.path()).unwrap().canonicalize_utf8().unwrap();
    let build = format!(
        "echo 'int f(void) {{ return 0; }}' > f.c && echo 'int f(void); int main(void) {{ return f(); }}' > m.c && \
         clang-22 -shared -fPIC f.c -o libLLVM-test.so && clang-22 m.c -L. -lLLVM-test -Wl,-rpath,{dir} -o tool"
    );
    duct::cmd!("sh", "-euc", build).dir(&dir).run().unwrap();
    let cache = dir.join("cache");
    let ask = || {
        let identities = ToolIdentities::open(&cache).unwrap();
        let identity =
            identities.identity(&ToolUse { name: "tool".into(), path: dir.join("tool") }, &Hasher::without_cache());
        identities.save().unwrap();
        identity
    };
    std::fs::rename(dir.join("libLLVM-test.so"), dir.join("away")).unwrap();
    let missing = ask().unwrap_err();
    assert!(matches!(missing, ToolError::NoAnswer { .. }), "{missing}");
    assert!(missing.to_string().contains("libLLVM-test.so => not found"), "{missing}");
    assert!(!cache.exists());
    std::fs::rename(dir.join("away"), dir.join("libLLVM-test.so")).unwrap();
    // What was renamed just now is not kept.
    assert!(eventually(|| ask().is_ok() && cache.exists()));
}

#[test]
fn a_question_has_an_answer_or_a_reason() {
    let ask = |script: &str, patience| {
        let command = duct::cmd!("sh", "-c", script).stdin_null().stderr_null();
        ask(&command, patience)
    };
    let patience = Duration::from_secs(900);
    let said = ask("echo no; exit 1", patience).unwrap();
    assert_eq!((said.stdout, said.status.code()), (b"no\n".to_vec(), Some(1)));
    // -1 is what many a tool exits with that does not know an option.
    assert_eq!(ask("exit 255", patience).unwrap().status.code(), Some(255));
    for (script, of_the_moment) in
        [("kill -9 $$", true), ("kill -SEGV $$", false), ("exit 143", true), ("exit 127", false)]
    {
        assert_eq!(ask(script, patience).unwrap_err().is_of_the_moment(), of_the_moment, "{script}");
    }
    assert!(matches!(ask("sleep 3000", Duration::from_millis(20)), Err(NoAnswer::TooLate(_))));
}

/// Without the answer of a program, planning would go another way.
#[test]
fn planning_notices_a_question_without_an_answer() {
    let facts = Facts::live();
    assert_eq!(facts.output(&["sh", "-c", "exit 1"]), None);
    assert_eq!(facts.output(&["sh", "-c", "kill -SEGV $$"]), None, "the program is like that");
    facts.check().unwrap();
    assert_eq!(facts.output(&["sh", "-c", "echo 7; kill -9 $$"]), None);
    let problem = facts.check().unwrap_err().to_string();
    assert!(problem.contains("kill -9") && problem.contains("was ended by SIGKILL"), "{problem}");
}

/// The same through the program: which compiler is meant depends on what the compilers say.
#[test]
fn a_compiler_that_is_killed_while_a_stage_is_planned() {
    let test = Test::new([
        "[tools]\nmytool = '>=1'\n[[stage]]\nname = 'a'\nkind = 'command'\nrun = ['mytool', '${self.build}/runs']\n",
    ]);
    tool(&test, "kill -9 $$; ");
    let _ = test.run("").code(3).ran("").err("mytool --version").err("was ended by SIGKILL");
    let _ = test.cmd("doctor p.toml").code(3).err("was ended by SIGKILL");
    tool(&test, "");
    test.run("").runs("a");
}
