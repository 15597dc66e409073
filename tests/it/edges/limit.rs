//! How much is too much: said, and not tried.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use optbuild::profile::bundle::{self, Limits};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::support::kill::{Project, pipelines};
use crate::support::{OPTBUILD, Test, stage};

/// A process that may not have more memory than this.
fn bounded(command: &mut Command, bytes: u64) -> &mut Command {
    let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
    // SAFETY: one system call, which is async-signal-safe.
    unsafe { command.pre_exec(move || Ok(setrlimit(Resource::As, limit)?)) }
}

const MEMORY: u64 = 1 << 30;

#[test]
fn variables_that_hold_each_other_many_times() {
    let ten = |number: usize| format!("${{v{number}}}").repeat(10);
    let texts = |value: &dyn Fn(usize) -> String| {
        let later = (1..40).map(|number| format!("v{number} = {}\n", value(number - 1)));
        format!("[vars]\n{}", later.collect::<String>())
    };
    let first = |text: String, value: &str| text.replacen("[vars]\n", &format!("[vars]\nv0 = {value}\n"), 1);
    let list = |number: usize| format!("[{}]", vec![format!("'${{v{number}}}'"); 10].join(", "));
    let vars =
        [first(texts(&|number| format!("'{}'", ten(number))), "'0123456789'"), first(texts(&list), "['0123456789']")];
    for vars in vars {
        let test = Test::new([vars, stage("a", "", "")]);
        let mut command = Command::new(OPTBUILD);
        command.args(["plan", "p.toml"]).current_dir(&test.dir);
        let ended = bounded(&mut command, MEMORY).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{said}");
        assert!(said.contains("this is longer than 1 MiB"), "{said}");
    }
}

#[test]
fn values_that_are_put_in_many_times() {
    let big = "x".repeat(500_000);
    // Half a megabyte, a thousand times.
    let words = vec!["'${big}'"; 1000].join(", ");
    let vars = format!("[vars]\nbig = '{big}'\n");
    let run = |words: &str| format!("[[stage]]\nname = 'a'\nkind = 'command'\nrun = [{words}]\n");
    let test = Test::new([vars.clone(), run(&words)]);
    let _ = test.cmd("plan p.toml").code(2).err("larger than 256 MiB");
    let _ = Test::new([vars, run("'${big}${big}${big}'")]).cmd("plan p.toml").code(2).err("longer than 1 MiB");
}

#[test]
fn sixty_thousand_stages() {
    let stages: String =
        (0..60_000).map(|number| format!("[[stage]]\nname='s{number}'\nkind='command'\nrun='true'\n")).collect();
    let _ = Test::new([stages]).cmd("plan p.toml").code(2).err("60000 stages, more than the limit of 5000");
}

#[test]
fn sources_that_are_made_up_when_they_are_read() {
    for inputs in ["/proc/self/**", "/proc/self", "/sys/**", "/proc"] {
        let test = Test::new([stage("a", &format!("inputs = ['{inputs}']"), "")]);
        let _ = test.run("").code(2).ran("").err("whose files the kernel makes up").err("inputs[0]");
    }
    // A pipe without a writer is not waited for, a device is not read to its end.
    let test = Test::new([stage("a", "inputs = ['${pipeline.dir}/pipe', '/dev/zero']", "")]);
    test.sh("mkfifo pipe");
    test.run("").runs("a");
    test.run("").runs("");
}

/// A tar archive of nothing is one of any length.
#[test]
fn an_archive_of_zeros() {
    let zeros = |bytes: u64| zstd::encode_all(std::io::Read::take(std::io::repeat(0), bytes), 3).unwrap();
    let error = |bytes| bundle::read(zeros(bytes).as_slice(), &Limits::default(), None).unwrap_err().to_string();
    // tar's own: two blocks, filled up to a record.
    assert_eq!(error(10 << 10), "there is no profile in it");
    assert!(zeros(64 << 20).len() < 100_000);
    assert!(error(64 << 20).contains("of nothing stand behind its end"), "{}", error(64 << 20));
}

/// A log of which a person sees the end in the terminal, and all of it by `logs`.
#[test]
fn a_log_without_an_end() {
    const LINE: usize = 3_000_000;
    let script = format!("did one\nhead -c {LINE} /dev/zero | tr '\\000' x\nexit 1\n");
    let project = Project::new(&pipelines::stage("one", "", &script));
    let ended = project.finish(&["run"]);
    assert_eq!(ended.code(), Some(1));
    assert!(ended.output.contains("characters … xxx"), "{}", &ended.output[..ended.output.len().min(5000)]);
    assert!(ended.output.len() < 20_000, "{} bytes", ended.output.len());
    let run = project.runs().pop().unwrap();
    assert!(std::fs::metadata(project.journal(&run)).unwrap().len() < 20_000);
    let report = project.succeed(&["report", "-o", "-"]).output;
    assert!(report.len() < 1_000_000, "{} bytes", report.len());
    // A longer one than there is memory.
    let log = project.last_events("step-started")[0]["log"].as_str().unwrap().to_owned();
    std::fs::File::options().write(true).open(&log).unwrap().set_len(2 * MEMORY).unwrap();
    let mut logs = project.command(&["logs", "one"]);
    let mut logs = bounded(&mut logs, MEMORY).stdout(Stdio::piped()).spawn().unwrap();
    let printed = std::io::copy(&mut logs.stdout.take().unwrap(), &mut std::io::sink()).unwrap();
    assert!(logs.wait().unwrap().success());
    assert!((2 * MEMORY..2 * MEMORY + 1000).contains(&printed), "{printed}");
}
