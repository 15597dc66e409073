//! Operations around llvm-bolt: on what it reads, on what it has written, and on what that writes when it runs.

use camino::Utf8PathBuf;

use super::{Maybe, One, ShellLine, nothing, operations, optbuild, shell};
use crate::plan::Arg;
use crate::text::share::Share;

operations! {
    /// Checks that llvm-bolt can work on a linked file: it has relocations and symbols, and BOLT has not rewritten it before.
    "check-bolt-input" CheckBoltInput, in a script check_bolt_input {
        /// Where llvm-bolt is going to write. Must not be the same file, by whatever name.
        output: Maybe<Utf8PathBuf> = "--output",
        /// The executable or shared library.
        file: One<Utf8PathBuf> = "FILE",
    }

    /// Checks that llvm-bolt wrote a file.
    "check-bolted" CheckBolted, in a script check_bolted {
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
