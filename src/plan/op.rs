//! optbuild's own operations, as steps of a plan.
//!
//! What their command lines are, and how a shell script does the same where plain tools can, is in `ops`. The operations
//! themselves are in `crate::op`.

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

    /// With what a script does instead.
    #[must_use]
    pub(super) fn in_shell(mut self, lines: Vec<ShellLine>) -> Op {
        self.shell = Some(lines);
        self
    }

    /// The whole command line.
    pub fn command_line(&self) -> Vec<Arg> {
        [Arg::from(Symbol::Optbuild), "op".into()].into_iter().chain(self.argv.iter().cloned()).collect()
    }
}

impl From<&str> for ShellWord {
    fn from(text: &str) -> ShellWord {
        ShellWord::Raw(text.into())
    }
}

impl From<String> for ShellWord {
    fn from(text: String) -> ShellWord {
        ShellWord::Raw(text)
    }
}

impl From<&Arg> for ShellWord {
    fn from(arg: &Arg) -> ShellWord {
        ShellWord::Arg(arg.clone())
    }
}
