//! Operations around llvm-bolt: on what it reads, on what it has written, and on what that writes when it runs.

use camino::Utf8PathBuf;

use super::{Flag, Maybe, One, ShellLine, nothing, operations, optbuild, shell};
use crate::plan::Arg;
use crate::text::share::Share;

operations! {
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

/// Fails with the message if a file, or no file below a directory, has the section.
pub(super) fn has_section(section: &str, path: &Arg, message: &str) -> ShellLine {
    shell![format!("has_section {section} "), path, format!(" || fail '{message}: '"), path]
}

fn check_bolt_input(op: &planned::CheckBoltInput) -> Option<Vec<ShellLine>> {
    let needed = [(".symtab", "stripped"), (".rela.text", "linked without --emit-relocs")];
    Some(needed.map(|(section, message)| has_section(section, &op.file, message)).into())
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
