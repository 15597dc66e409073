//! Where everything lies in a state directory. The only place that joins these paths.
//!
//! ```text
//! .optbuild/
//!   .gitignore, STATE            a marker that says what this directory is, and its format
//!   lock                         held while a run is under way; says by whom
//!   hashes                       the stat cache
//!   tools                        identities of tools
//!   facts                        what tools printed about themselves
//!   published.json               what was put into which output directory
//!   records/FINGERPRINT.json     finished stages
//!   records/FINGERPRINT.times    when the files of their outputs were written, to see that they were not changed
//!   manifests/HASH               the files of artifacts
//!   names/STAGE                  the fingerprint of the stage's last record
//!   stages/STAGE/build           ${self.build}, kept when the stage is interrupted
//!   stages/STAGE/build.json      which configuration it was begun with
//!   stages/STAGE/scratch         emptied when the stage begins
//!   stages/STAGE/attempts/…      attempts of workloads under way
//!   stages/STAGE/committed/…     workloads that count; .sum-N of them is one sum of many
//!   outputs/STAGE/FINGERPRINT    ${self.out}
//!   workspaces/NAME, NAME.json   shared build directories, and which stage left them last
//!   runs/RUN/journal.jsonl       what happened; runs/RUN/logs/STAGE/STEP.log
//!   pipelines/HASH               shipped pipelines with files of their own
//! ```

use camino::{Utf8Path, Utf8PathBuf};

/// How many digits of a fingerprint stand in a path: 80 bits.
const FINGERPRINT_DIGITS: usize = 20;

/// The paths of one state directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: Utf8PathBuf,
}

impl Layout {
    /// `root` must be absolute; it need not exist.
    pub fn new(root: impl Into<Utf8PathBuf>) -> Layout {
        Layout { root: root.into() }
    }
    pub fn root(&self) -> &Utf8Path {
        &self.root
    }
    pub fn marker(&self) -> Utf8PathBuf {
        self.root.join("STATE")
    }
    pub fn gitignore(&self) -> Utf8PathBuf {
        self.root.join(".gitignore")
    }
    pub fn lock(&self) -> Utf8PathBuf {
        self.root.join("lock")
    }
    pub fn hashes(&self) -> Utf8PathBuf {
        self.root.join("hashes")
    }
    pub fn tools(&self) -> Utf8PathBuf {
        self.root.join("tools")
    }
    pub fn facts(&self) -> Utf8PathBuf {
        self.root.join("facts")
    }
    /// What was put into output directories.
    pub fn published(&self) -> Utf8PathBuf {
        self.root.join("published.json")
    }
    pub fn records(&self) -> Utf8PathBuf {
        self.root.join("records")
    }
    pub fn record(&self, fingerprint: &str) -> Utf8PathBuf {
        self.records().join(format!("{fingerprint}.json"))
    }
    pub fn record_times(&self, fingerprint: &str) -> Utf8PathBuf {
        self.records().join(format!("{fingerprint}.times"))
    }
    pub fn manifests(&self) -> Utf8PathBuf {
        self.root.join("manifests")
    }
    pub fn manifest(&self, hash: &str) -> Utf8PathBuf {
        self.manifests().join(hash)
    }
    pub fn names(&self) -> Utf8PathBuf {
        self.root.join("names")
    }
    pub fn name(&self, stage: &str) -> Utf8PathBuf {
        self.names().join(stage)
    }
    pub fn stages(&self) -> Utf8PathBuf {
        self.root.join("stages")
    }
    pub fn stage(&self, stage: &str) -> Utf8PathBuf {
        self.stages().join(stage)
    }
    pub fn build(&self, stage: &str) -> Utf8PathBuf {
        self.stage(stage).join("build")
    }
    pub fn build_state(&self, stage: &str) -> Utf8PathBuf {
        self.stage(stage).join("build.json")
    }
    pub fn scratch(&self, stage: &str) -> Utf8PathBuf {
        self.stage(stage).join("scratch")
    }
    pub fn attempts(&self, stage: &str) -> Utf8PathBuf {
        self.stage(stage).join("attempts")
    }
    pub fn committed(&self, stage: &str) -> Utf8PathBuf {
        self.stage(stage).join("committed")
    }
    pub fn outputs(&self) -> Utf8PathBuf {
        self.root.join("outputs")
    }
    /// `${self.out}` of a stage with this fingerprint.
    pub fn out(&self, stage: &str, fingerprint: &str) -> Utf8PathBuf {
        let digits = fingerprint.len().min(FINGERPRINT_DIGITS);
        self.outputs().join(stage).join(&fingerprint[..digits])
    }
    pub fn workspaces(&self) -> Utf8PathBuf {
        self.root.join("workspaces")
    }
    pub fn workspace(&self, name: &str) -> Utf8PathBuf {
        self.workspaces().join(name)
    }
    pub fn workspace_state(&self, name: &str) -> Utf8PathBuf {
        self.workspaces().join(format!("{name}.json"))
    }
    pub fn runs(&self) -> Utf8PathBuf {
        self.root.join("runs")
    }
    pub fn run(&self, run: &str) -> Utf8PathBuf {
        self.runs().join(run)
    }
    pub fn journal(&self, run: &str) -> Utf8PathBuf {
        self.run(run).join("journal.jsonl")
    }
    pub fn logs(&self, run: &str, stage: &str) -> Utf8PathBuf {
        self.run(run).join("logs").join(stage)
    }
    pub fn pipelines(&self) -> Utf8PathBuf {
        self.root.join("pipelines")
    }
}
