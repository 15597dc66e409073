//! What several tests use: temporary directories, real tools, operations by their command lines.

use std::process::{Command, Output};

use camino::{Utf8Path, Utf8PathBuf};
use optbuild::event::Fact;
use optbuild::op;

/// Where the tests' LLVM is.
pub const LLVM: &str = "/usr/lib/llvm-22/bin";

/// A directory that is removed in the end.
pub struct Dir(tempfile::TempDir);

impl Dir {
    pub fn new() -> Dir {
        Dir(tempfile::tempdir().unwrap())
    }
    pub fn path(&self) -> &Utf8Path {
        Utf8Path::from_path(self.0.path()).unwrap()
    }
    pub fn join(&self, below: &str) -> Utf8PathBuf {
        self.path().join(below)
    }
    pub fn write(&self, below: &str, text: impl AsRef<[u8]>) -> Utf8PathBuf {
        let path = self.join(below);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }
    /// Runs a script in it, with the tests' LLVM first in PATH.
    pub fn sh(&self, script: &str) -> Output {
        let path = format!("{LLVM}:{}", std::env::var("PATH").unwrap());
        let output =
            Command::new("sh").args(["-euc", script]).current_dir(self.path()).env("PATH", path).output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }
}

/// Does an operation, given as its command line.
pub fn op(args: &[&str]) -> anyhow::Result<Vec<Fact>> {
    op::perform(&args.iter().map(ToString::to_string).collect::<Vec<_>>())
}

/// The value of a fact.
pub fn fact(facts: &[Fact], name: &str) -> Option<f64> {
    facts.iter().find(|fact| fact.name == name).map(|fact| fact.value)
}

/// The text of an operation's error, with its causes.
pub fn error(args: &[&str]) -> String {
    format!("{:#}", op(args).unwrap_err())
}

/// A library with branches, and a program that uses it. A jump table whose base is loaded outside of the loop would make
/// llvm-bolt leave the function alone.
pub const LIBRARY: &str = "\
__attribute__((noinline)) int helper(int x) { if (x % 3 == 0) return x * 2; return x + 1; }
__attribute__((noinline)) int work(int n) {
  int s = 0;
  for (int i = 0; i < n; i++) {
    if (i % 7 == 0) s += helper(i);
    else if (i % 5 == 1) s ^= i * s;
    else s += 1;
  }
  return s;
}
";
pub const PROGRAM: &str = "\
#include <stdio.h>
#include <stdlib.h>
int work(int);
int main(int c, char **v) { printf(\"%d\\n\", work(c > 1 ? atoi(v[1]) : 1000)); return 0; }
";
