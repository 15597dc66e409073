//! What a command of the program did: its exit code, what it printed, and which stages ran.

/// A command that has ended. Each check returns it, so that checks stand in a row.
#[derive(Debug)]
#[must_use]
pub struct Ran {
    pub words: String,
    pub code: Option<i32>,
    /// The test's directory is `[DIR]` in it.
    pub stdout: String,
    /// The same, without times of day.
    pub stderr: String,
    /// The names of stages that ran, in this order.
    pub marks: Vec<String>,
}

impl Ran {
    #[track_caller]
    pub fn code(self, code: i32) -> Ran {
        assert_eq!(self.code, Some(code), "optbuild {}\n{}\n{}", self.words, self.stdout, self.stderr);
        self
    }

    /// It exited with 0.
    #[track_caller]
    pub fn ok(self) -> Ran {
        self.code(0)
    }

    /// It exited with 0 and ran these stages, in this order.
    #[track_caller]
    pub fn runs(self, stages: &str) {
        let _ = self.ok().ran(stages);
    }

    /// These stages ran, in this order; no others.
    #[track_caller]
    pub fn ran(self, stages: &str) -> Ran {
        assert_eq!(self.marks.join(" "), stages, "optbuild {}\n{}", self.words, self.stderr);
        self
    }

    /// These stages ran, in whatever order.
    #[track_caller]
    pub fn ran_sorted(mut self, stages: &str) -> Ran {
        self.marks.sort();
        self.ran(stages)
    }

    #[track_caller]
    pub fn err(self, text: &str) -> Ran {
        assert!(self.stderr.contains(text), "no `{text}` in what `optbuild {}` said:\n{}", self.words, self.stderr);
        self
    }

    #[track_caller]
    pub fn no_err(self, text: &str) -> Ran {
        assert!(!self.stderr.contains(text), "`{text}` in what `optbuild {}` said:\n{}", self.words, self.stderr);
        self
    }

    #[track_caller]
    pub fn out(self, text: &str) -> Ran {
        assert!(self.stdout.contains(text), "no `{text}` in what `optbuild {}` printed:\n{}", self.words, self.stdout);
        self
    }

    #[track_caller]
    pub fn no_out(self, text: &str) -> Ran {
        assert!(!self.stdout.contains(text), "`{text}` in what `optbuild {}` printed:\n{}", self.words, self.stdout);
        self
    }

    /// Nothing was printed on standard output.
    #[track_caller]
    pub fn silent(self) -> Ran {
        assert_eq!(self.stdout, "", "optbuild {}", self.words);
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in:\n{}", self.stdout))
    }
}
