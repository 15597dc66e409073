//! optbuild's own operations, as steps of a plan.
//!
//! Each constructor says what the operation's command line is, and, where plain tools can do the same, how a shell script
//! does it. The operations themselves are in `crate::op`.

use super::{Arg, Symbol};

/// One of optbuild's operations: `optbuild op NAME ARGS…`.
#[derive(Debug, Clone)]
pub struct Op {
    /// Begins with the operation's name.
    pub argv: Vec<Arg>,
    /// The same for `plan --shell`, as lines of bash whose words are quoted already except for the arguments; none if there is
    /// no plain tool for it.
    pub shell: Option<Vec<ShellLine>>,
}

/// A line of bash: text taken as it is, and arguments that are quoted.
pub type ShellLine = Vec<ShellWord>;

/// A part of a [`ShellLine`].
#[derive(Debug, Clone)]
pub enum ShellWord {
    Raw(String),
    Arg(Arg),
}

impl Op {
    /// An operation for which a script has to call optbuild.
    pub fn new(name: &str, args: impl IntoIterator<Item = Arg>) -> Op {
        let argv = std::iter::once(Arg::from(name)).chain(args).collect();
        Op { argv, shell: None }
    }

    /// The whole command line.
    pub fn command_line(&self) -> Vec<Arg> {
        [Arg::from(Symbol::Optbuild), "op".into()].into_iter().chain(self.argv.iter().cloned()).collect()
    }
}
