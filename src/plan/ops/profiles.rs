//! Operations that merge profiles, take them out of bundles, and check what was built for them and with them; and those around llvm-bolt:
//! on what it reads, on what it has written, and on what that writes when it runs.

use camino::Utf8PathBuf;

use super::{Flag, Known, Limit, Many, Maybe, One, ShellLine, nothing, operations, optbuild, shell};
use crate::plan::{Arg, Symbol};
use crate::profile::Format;
use crate::text::share::Share;

operations! {
    /// Merges the profiles below directories into one file.
    "merge" Merge, in a script merge {
        /// The family of profiles.
        format: Known<Format> = "--format",
        /// llvm-profdata or merge-fdata.
        tool: One<Utf8PathBuf> = "--tool",
        /// A directory to look in, with all below it.
        input: Many<Utf8PathBuf, 1> = "--input",
        /// Looks for what workloads have left instead of raw profiles: merged ones (`profile.profdata`, `profile.fdata`) and sums.
        merged: Flag = "--merged",
        /// A merged profile to add: the first level, for context-sensitive ones.
        with: Many<Utf8PathBuf> = "--with",
        /// The file to write.
        output: Maybe<Utf8PathBuf> = "--output",
        /// The directory to write `NAME-HASH.EXTENSION` to, named by the hash of the content.
        output_dir: Maybe<Utf8PathBuf> = "--output-dir",
        /// The first part of that name.
        name: Maybe<String> = "--name",
        /// Threads of llvm-profdata. 0: as many as there are cores.
        threads: One<usize> = "--threads" or "1",
        /// Deletes the raw profiles when they are merged, and moves damaged ones to `quarantine` beside the output.
        consume: Flag = "--consume",
        /// The share of damaged profiles above which this fails.
        max_damaged: Limit<Share> = "--max-damaged" or "1%",
        /// The instrumented build, where it has to tell which llvm-profdata merges: that in `--tool` is the first one of all.
        of_build: Maybe<Utf8PathBuf> = "--of-build",
        /// With `--merged`: each workload has the same share of the result, times its weight. Sums have it already.
        balance: Flag = "--balance",
        /// A workload, and its weight where that is not 1.
        weight: Many<String, 0, 2> = "--weight",
    }

    /// Merges the profiles of workloads while they run. Standard input tells of them.
    "stream-merge" StreamMerge, in a script optbuild {
        /// The family of profiles.
        format: Known<Format> = "--format",
        /// llvm-profdata or merge-fdata.
        tool: One<Utf8PathBuf> = "--tool",
        /// The directory with a directory for each workload that counts.
        committed: One<Utf8PathBuf> = "--committed",
        /// For BOLT: the directory with the instrumented copies, `slot-N`, and their `slot-N.path`.
        slots: Maybe<Utf8PathBuf> = "--slots",
        /// How many bytes profiles may take that are not merged yet.
        disk_budget: Limit<u64> = "--disk-budget",
        /// Threads that merge when workloads have to wait for it.
        threads: One<usize> = "--threads" or "1",
        /// The instrumented build, where it has to tell which llvm-profdata merges: that in `--tool` is the first one of all.
        of_build: Maybe<Utf8PathBuf> = "--of-build",
        /// Each workload has the same share of the profile, times its weight.
        balance: Flag = "--balance",
        /// A workload, and its weight where that is not 1.
        weight: Many<String, 0, 2> = "--weight",
    }

    /// Takes a merged profile out of a bundle. Refuses when it is another one than was planned with.
    "take-profile" TakeProfile, in a script take_profile {
        /// The bundle.
        bundle: One<Utf8PathBuf> = "--bundle",
        /// What the profile is for.
        role: One<String> = "--role",
        /// Its name in the bundle.
        member: One<String> = "--member",
        /// The hash of its content.
        blake3: One<String> = "--blake3",
        /// The extension of the file that is written.
        extension: One<String> = "--extension",
        /// The directory to write `NAME-HASH.EXTENSION` to, and what the bundle says of it.
        output_dir: One<Utf8PathBuf> = "--output-dir",
        /// The first part of that name.
        name: One<String> = "--name",
    }

    /// Checks that a merged profile has counts, and that its reader can read it.
    "check-profile" CheckProfile, in a script check_profile {
        /// The profile.
        profile: One<Utf8PathBuf> = "--profile",
        /// Who is going to read it, for messages: `clang 22`, `rustc 1.95`.
        compiler: One<String> = "--compiler",
        /// The newest version of indexed profiles that it reads. Without it any version will do.
        max_version: Maybe<u64> = "--max-version",
        /// An llvm-profdata that can read the profile, to count functions with.
        tool: Maybe<Utf8PathBuf> = "--tool",
    }

    // Where there is no profile, the merge has said so.
    /// Counts what is in a gathered profile, and checks that it is of the instrumented build.
    "check-gathered" CheckGathered, in a script nothing {
        /// The family of profiles.
        format: Known<Format> = "--format",
        /// The merged profile. `*` in its name stands for the hash.
        profile: One<Utf8PathBuf> = "--profile",
        /// The llvm-profdata that merged it.
        tool: Maybe<Utf8PathBuf> = "--tool",
        /// The instrumented file, or a directory with all that is instrumented.
        instrumented: Maybe<Utf8PathBuf> = "--instrumented",
        /// For a profile that was gathered elsewhere: the share of its functions that the instrumented build has to have.
        min_of_the_build: Maybe<Share> = "--min-of-the-build",
        /// The build tells which llvm-profdata reads the profile: that in `--tool` is the first one of all.
        tool_of_build: Flag = "--tool-of-build",
        /// Workloads build programs of their own, so that the instrumented one need not have run.
        any_program: Flag = "--any-program",
    }

    // A script does not judge what it makes.
    /// Holds what workloads execute against a profile that a program is to be built with.
    "check-fit" CheckFit, in a script nothing {
        /// What was gathered of the workloads. `*` in its name stands for the hash.
        profile: One<Utf8PathBuf> = "--profile",
        /// The profile to build with.
        trained: One<Utf8PathBuf> = "--trained",
        /// An llvm-profdata that reads both.
        tool: One<Utf8PathBuf> = "--tool",
        /// The instrumented build, where it has to tell which llvm-profdata that is: that in `--tool` is the first one of all.
        of_build: Maybe<Utf8PathBuf> = "--of-build",
        /// The share of what is executed that has to lie in functions which are hot in that profile.
        min_hot: Limit<Share> = "--min-hot" or "10%",
    }

    // Who runs a script sees what cargo prints.
    /// Checks in the log of a workload that `cargo bench` or `cargo test` ran something.
    "check-harness" CheckHarness, in a script nothing {
        /// The directory of the stage's logs.
        logs: One<Utf8PathBuf> = "--logs",
        /// The workloads that run one of them; others are not looked at.
        workload: Many<String, 1> = "--workload",
    }

    // A script has no last time.
    /// Holds a gathered profile against the last one of its stage.
    "check-last" CheckLast, in a script nothing {
        /// What operations of the stage have reported.
        now: One<Utf8PathBuf> = "--now",
        /// The same of the last time. There may be no such file.
        last: One<Utf8PathBuf> = "--last",
        /// The share of the last profile's counts below which this fails.
        min_total: Limit<Share> = "--min-total" or "0%",
        /// The same of functions that were run.
        min_functions: Limit<Share> = "--min-functions" or "0%",
    }

    // Who runs a script sees the compiler's warnings.
    /// Counts the functions of a build that have no profile, and refuses a build that has hardly any with one.
    "check-profile-use" CheckProfileUse, in a script nothing {
        /// The profile that the build used.
        profile: One<Utf8PathBuf> = "--profile",
        /// An llvm-profdata that can read it.
        tool: One<Utf8PathBuf> = "--tool",
        /// The directory of the stage's logs.
        logs: One<Utf8PathBuf> = "--logs",
        /// The step that compiled.
        step: One<String> = "--step",
        /// Where warnings are kept: a directory that is emptied when all has to be compiled again. A build that goes on compiles, and
        /// warns of, only what it has not compiled yet.
        keep: Maybe<Utf8PathBuf> = "--keep",
        /// Where compilers of the stage's own have taken down what they said: as `--keep`, and in place of the logs.
        said: Maybe<Utf8PathBuf> = "--said",
        /// What was built: a linked file, or a directory. Its name can have a `*` that one file matches.
        built: Many<Utf8PathBuf, 1> = "--built",
        /// Which part of the build has this profile, where others have profiles of their own.
        component: Maybe<String> = "--component",
        /// The share of functions without a profile above which this fails.
        max_unprofiled: Maybe<Share> = "--max-unprofiled",
        /// Only looks whether the profile is of these sources: the share of functions with counts of other code, among those that are
        /// in the profile, above which this fails, as it does above `--max-unprofiled`.
        max_mismatched: Maybe<Share> = "--max-mismatched",
    }

    // Before the steps of a stage; a script has none.
    /// Counts the functions of an instrumented build that the compiler has instrumented, and names those that it has not.
    "count-instrumented" CountInstrumented, in a script nothing {
        /// A linked file, or a directory. The file's name can have a `*` that one file matches.
        path: One<Utf8PathBuf> = "PATH",
        /// The share of instrumented functions below which this fails.
        min_instrumented: Limit<Share> = "--min-instrumented" or "0%",
    }

    /// Checks that a build is going to write profiles.
    "check-instrumented" CheckInstrumented, in a script check_instrumented {
        /// Which profiles it is to write.
        format: Known<Format> = "--format",
        /// A linked file, or a directory. The file's name can have a `*` that one file matches.
        path: One<Utf8PathBuf> = "PATH",
    }

    /// Checks that llvm-bolt can work on a linked file: it has relocations and symbols, and BOLT has not rewritten it before.
    "check-bolt-input" CheckBoltInput, in a script check_bolt_input {
        /// Where llvm-bolt is going to write. Must not be the same file, by whatever name.
        output: Maybe<Utf8PathBuf> = "--output",
        /// The LLVM that llvm-bolt is of, as far as it is known.
        llvm: Maybe<u64> = "--llvm",
        /// The file is going to be instrumented.
        instrument: Flag = "--instrument",
        /// The instrumented file is going to write profiles while it runs (`-instrumentation-sleep-time`).
        sleeps: Flag = "--sleeps",
        /// Where the options go that leave out functions which this llvm-bolt cannot instrument.
        leave_out: Maybe<Utf8PathBuf> = "--leave-out",
        /// The executable or shared library.
        file: One<Utf8PathBuf> = "FILE",
    }

    /// Puts a file to where llvm-bolt reads it: a link to it, or a copy in which no debug section is compressed.
    "plain-debug" PlainDebug, in a script plain_debug {
        /// llvm-objcopy; without one a file with compressed sections is refused.
        objcopy: Maybe<Utf8PathBuf> = "--objcopy",
        /// Where to.
        output: One<Utf8PathBuf> = "--output",
        /// The file.
        file: One<Utf8PathBuf> = "FILE",
    }

    // What a script makes has debug sections as well, and they are not compressed.
    /// Compresses the debug sections of a file as those of another file are.
    "compress-like" CompressLike, in a script nothing {
        /// The other file.
        like: One<Utf8PathBuf> = "--like",
        /// llvm-objcopy; without one there is nothing to be done.
        objcopy: Maybe<Utf8PathBuf> = "--objcopy",
        /// The file. Another one takes its place.
        file: One<Utf8PathBuf> = "FILE",
    }

    /// Checks that llvm-bolt wrote a file, and that it has all that makes the other one safe and usable.
    "check-bolted" CheckBolted, in a script check_bolted {
        /// The file that llvm-bolt read.
        input: Maybe<Utf8PathBuf> = "--input",
        /// The file.
        file: One<Utf8PathBuf> = "FILE",
    }

    /// Checks that a BOLT profile is of the file that is going to be rewritten with it: of its build id, or of the same code.
    "check-bolt-profile" CheckBoltProfile, in a script optbuild {
        /// What the profile is for, for messages.
        role: One<String> = "--role",
        /// The build id of the file that the profile is of.
        build_id: Maybe<String> = "--build-id",
        /// The hash of its code.
        code: Maybe<String> = "--code",
        /// The linked file.
        file: One<Utf8PathBuf> = "FILE",
    }

    /// Checks in the log of llvm-bolt how much of a profile did not fit.
    "check-bolt-use" CheckBoltUse, in a script optbuild {
        /// The directory of the stage's logs.
        logs: One<Utf8PathBuf> = "--logs",
        /// The step that was llvm-bolt.
        step: One<String> = "--step",
        /// The share of counts in functions of other code above which this fails.
        max_stale: One<Share> = "--max-stale",
    }

    // A script has no use for it.
    /// Reads in the log of llvm-bolt what it did, for reports.
    "bolt-statistics" BoltStatistics, in a script nothing {
        /// The directory of the stage's logs.
        logs: One<Utf8PathBuf> = "--logs",
        /// The step.
        step: One<String> = "--step",
    }

    // A script has no use for it either.
    /// Says what helps when llvm-bolt has failed: which functions it gives up on, and how they are left out.
    "bolt-advice" BoltAdvice, in a script nothing {
        /// The directory of the stage's logs.
        logs: One<Utf8PathBuf> = "--logs",
        /// The step that was llvm-bolt.
        step: One<String> = "--step",
        /// The stage.
        stage: Known<String> = "--stage",
        /// The key of the stage that has llvm-bolt's options.
        key: Known<String> = "--key",
        /// What llvm-bolt was to rewrite.
        file: One<Utf8PathBuf> = "FILE",
    }

    // Nor for this one.
    /// Says what helps when cargo has failed: variables of the environment that the build does not see.
    "cargo-advice" CargoAdvice, in a script nothing {
        /// The directory of the stage's logs.
        logs: One<Utf8PathBuf> = "--logs",
        /// The step that was cargo.
        step: One<String> = "--step",
        /// How a variable with the name `NAME` is passed on.
        pass: Known<String> = "--pass",
        /// A variable that is set where optbuild was called, and that the build does not see.
        unseen: Many<String> = "--unseen",
    }

    /// Takes symbols and debug information out of programs, as far as other builds of them have none.
    "strip-like" StripLike, in a script optbuild {
        /// A program, or a directory in which the programs have the same places. Those that are not there stay as they are.
        like: One<Utf8PathBuf> = "--like",
        /// llvm-objcopy.
        objcopy: One<Utf8PathBuf> = "--objcopy",
        /// A program, or a directory with programs. Each is replaced by what is stripped.
        target: One<Utf8PathBuf> = "TARGET",
    }

    /// Empties the directory that an instrumented copy writes to.
    "clear-slot" ClearSlot, in a script clear_slot {
        /// The text file with the path that is compiled in.
        path_file: One<Utf8PathBuf> = "--path-file",
    }

    /// Moves the profiles of an attempt out of that directory.
    "collect" Collect, in a script collect {
        /// The text file with the path that is compiled in.
        path_file: One<Utf8PathBuf> = "--path-file",
        /// The directory that they are moved to.
        to: One<Utf8PathBuf> = "--to",
    }
}

impl planned::Merge {
    /// The file. Where its name holds a hash: with `hash` in its place.
    pub fn path(&self, hash: &str) -> Arg {
        let named = || {
            let name = self.name.clone()?.with("-").with(hash).with(".").with(self.format.merged_extension());
            Some(self.output_dir.clone()?.with("/").with(name).joined())
        };
        self.output.clone().or_else(named).unwrap_or_default()
    }
}

impl planned::CheckProfileUse {
    /// Of all that the step `build` made.
    pub fn of_all(profile: &Arg, tool: &Arg) -> planned::CheckProfileUse {
        planned::CheckProfileUse {
            profile: profile.clone(),
            tool: tool.clone(),
            logs: Symbol::Logs.into(),
            step: "build".into(),
            keep: Some(Symbol::Build.into()),
            said: None,
            built: vec![Symbol::Out.into()],
            component: None,
            max_unprofiled: None,
            max_mismatched: None,
        }
    }
}

/// In a script a name has this in the place of the hash. A build tool sees another name for another content; a script builds once.
const NO_HASH: &str = "0";

/// Looks for files, writes their list, merges. Empty files are left out, as the operation does.
fn merge(op: &planned::Merge) -> Option<Vec<ShellLine>> {
    let pattern = match op.merged {
        true => format!("profile.{}", op.format.merged_extension()),
        false => format!("*.{}", op.format.raw_extension()),
    };
    let (tool, list, path) = (&op.tool, &Arg::from(Symbol::Scratch).join("profiles"), &op.path(NO_HASH));
    // As the tools read lists: llvm-profdata with a weight in front of a comma, merge-fdata as words in quotes.
    let entry = match op.format {
        Format::Profdata => "s/^/1,/",
        Format::Fdata => "s/.*/\"&\"/",
    };
    let mut find = shell!["find"];
    let mut missing = shell!["test -s ", list, " || fail 'no profiles were written below '"];
    for input in &op.input {
        find.extend(shell![" ", input]);
        missing.extend(shell![input]);
    }
    find.extend(shell![format!(" -type f -name '{pattern}' -size +0c | LC_ALL=C sort | ")]);
    if op.balance || !op.weight.is_empty() {
        let (format, how) = (op.format.merged_extension(), if op.balance { "balance" } else { "add" });
        let scratch = Arg::from(Symbol::Scratch);
        find.extend(shell![format!("weigh {format} "), tool, format!(" {how} "), &scratch]);
        for word in &op.weight {
            // A name of several parts is one of a directory in a script.
            let name = Arg::from(word.to_string().replace('/', "_"));
            find.extend(shell![" ", &name]);
        }
        find.extend(shell![" > ", list]);
    } else {
        find.extend(shell![format!("sed '{entry}' > "), list]);
    }
    let mut lines = vec![find, missing];
    match op.format {
        Format::Profdata => {
            lines.extend(op.with.iter().map(|with| shell!["printf '1,%s\\n' ", with, " >> ", list]));
            // With several threads, which values of an expression add up depends on which thread gets which file.
            lines.push(shell![tool, " merge --failure-mode=all --num-threads=1 --input-files=", list, " -o ", path]);
        }
        Format::Fdata => lines.extend([
            shell![tool, " @", list, " -o ", list, ".fdata"],
            // merge-fdata writes in the order of a hash table.
            shell!["LC_ALL=C sort ", list, ".fdata > ", path],
        ]),
    }
    if op.consume {
        lines.extend(op.input.iter().map(|input| shell!["rm -rf ", input]));
    }
    Some(lines)
}

fn take_profile(op: &planned::TakeProfile) -> Option<Vec<ShellLine>> {
    let file = op.name.clone().with("-").with(NO_HASH).with(".").with(op.extension.clone());
    let path = op.output_dir.clone().with("/").with(file);
    Some(vec![shell!["tar -xOf ", &op.bundle, " ", &op.member, " > ", &path]])
}

fn check_profile(op: &planned::CheckProfile) -> Option<Vec<ShellLine>> {
    let profile = &op.profile;
    let mut lines = vec![shell!["test -s ", profile, " || fail 'the profile is empty: '", profile]];
    // Without -q, so that the tool is not ended by a closed pipe.
    lines.extend(op.tool.iter().map(|tool| {
        let counts = " | grep '^Total functions: [1-9]' > /dev/null || fail 'no functions in the profile '";
        shell![tool, " show ", profile, counts, profile]
    }));
    Some(lines)
}

fn check_instrumented(op: &planned::CheckInstrumented) -> Option<Vec<ShellLine>> {
    let section = match op.format {
        Format::Profdata => "__llvm_prf_cnts",
        Format::Fdata => ".bolt.instr.tables",
    };
    Some(vec![has_section(section, &op.path, "not instrumented")])
}

/// Fails with the message if a file, or no file below a directory, has the section.
fn has_section(section: &str, path: &Arg, message: &str) -> ShellLine {
    shell![format!("has_section {section} "), path, format!(" || fail '{message}: '"), path]
}

fn check_bolt_input(op: &planned::CheckBoltInput) -> Option<Vec<ShellLine>> {
    let needed = [(".symtab", "stripped"), (".rela.text", "linked without --emit-relocs")];
    let mut lines: Vec<ShellLine> = needed.map(|(section, message)| has_section(section, &op.file, message)).into();
    // A script leaves nothing out.
    lines.extend(op.leave_out.iter().map(|file| shell!["mkdir -p \"$(dirname ", file, ")\"; : > ", file]));
    Some(lines)
}

fn plain_debug(op: &planned::PlainDebug) -> Option<Vec<ShellLine>> {
    let dir = shell!["mkdir -p \"$(dirname ", &op.output, ")\""];
    let copy = match &op.objcopy {
        Some(objcopy) => shell![objcopy, " --decompress-debug-sections ", &op.file, " ", &op.output],
        None => shell!["cp -p ", &op.file, " ", &op.output],
    };
    Some(vec![dir, copy])
}

fn check_bolted(op: &planned::CheckBolted) -> Option<Vec<ShellLine>> {
    Some(vec![has_section(".note.bolt_info", &op.file, "not written by llvm-bolt")])
}

fn clear_slot(op: &planned::ClearSlot) -> Option<Vec<ShellLine>> {
    Some(vec![
        shell!["prof=$(cat ", &op.path_file, ")"],
        shell!["mkdir -p \"$(dirname \"$prof\")\"; rm -f \"$prof\".*"],
    ])
}

fn collect(op: &planned::Collect) -> Option<Vec<ShellLine>> {
    Some(vec![
        shell!["prof=$(cat ", &op.path_file, "); mkdir -p ", &op.to],
        shell!["find \"$(dirname \"$prof\")\" -name '*.fdata' -exec mv {} ", &op.to, "/ \\;"],
    ])
}
