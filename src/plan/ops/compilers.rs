//! Operations for compilers that add flags to each call, for builds that optbuild does not configure itself.
//!
//! What the programs do that they write is in `crate::op::compilers`.

use camino::Utf8PathBuf;

use super::{Flag, Many, Maybe, One, ShellLine, ShellWord, nothing, operations, shell};
use crate::plan::Arg;

/// In the scratch directory of a stage: the directory with its compilers, and their names.
pub const COMPILERS: &str = "compilers";
pub const CC: &str = "cc";
pub const CXX: &str = "c++";

operations! {
    /// Writes compilers, `cc` and `c++`, that add flags to each call and take down what they compile.
    "wrap-compilers" WrapCompilers, in a script compilers {
        /// The directory that they are written to.
        dir: One<Utf8PathBuf> = "--dir",
        /// The C compiler.
        cc: One<Utf8PathBuf> = "--cc",
        /// The C++ compiler.
        cxx: Maybe<Utf8PathBuf> = "--cxx",
        /// The directory in which they take down what they compile: one that is emptied when all has to be compiled again.
        record: One<Utf8PathBuf> = "--record",
        /// They are clang, which can be told not to warn of flags that a call has no use for.
        clang: Flag = "--clang",
        /// A flag of what is compiled.
        compile: Many<String> = "--compile",
        /// A flag of what is linked.
        link: Many<String> = "--link",
        /// The profile that a flag names: what the compiler says of it is taken down, too.
        profile: Maybe<Utf8PathBuf> = "--profile",
    }

    // Whoever runs a script sees which compiler is called.
    /// Checks that a program was compiled by the compilers that `wrap-compilers` has written.
    "check-compiled" CheckCompiled, in a script nothing {
        /// The directory in which they have taken down what they compiled.
        record: One<Utf8PathBuf> = "--record",
        /// What was built: a linked file, or a directory. Its name can have a `*` that one file matches.
        built: Many<Utf8PathBuf, 1> = "--built",
        /// The keys of the stage that have no effect on what others compile, for messages.
        keys: One<String> = "--keys",
    }
}

fn compilers(op: &planned::WrapCompilers) -> Option<Vec<ShellLine>> {
    let cxx = op.cxx.as_ref().unwrap_or(&op.cc);
    let mut line = shell!["compilers ", &op.dir, " ", &op.cc, " ", cxx];
    let mut flags: Vec<Arg> = op.compile.clone();
    flags.extend(op.link.iter().filter(|flag| !op.compile.contains(flag)).cloned());
    if op.clang && !flags.is_empty() {
        flags.insert(0, NO_WARNINGS.into());
        flags.push(WARNINGS.into());
    }
    line.extend(flags.iter().flat_map(|flag| [ShellWord::from(" "), ShellWord::from(flag)]));
    Some(vec![line])
}

/// Between these clang does not warn of flags that have no effect.
pub const NO_WARNINGS: &str = "--start-no-unused-arguments";
pub const WARNINGS: &str = "--end-no-unused-arguments";
