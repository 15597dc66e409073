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
//!   pipelines/HASH               shipped pipelines that were run
//! ```

use camino::{Utf8Path, Utf8PathBuf};

/// How many digits of a fingerprint stand in a path: 80 bits.
const FINGERPRINT_DIGITS: usize = 20;

/// The paths of one state directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: Utf8PathBuf,
}

/// Places by their names, what they are named after, and where they are below the root.
macro_rules! places {
    ($($(#[$doc:meta])* $name:ident($($of:ident),*) $path:expr;)*) => {
        impl Layout { $(
            $(#[$doc])*
            pub fn $name(&self, $($of: &str),*) -> Utf8PathBuf {
                self.root.join($path)
            }
        )* }
    };
}

places! {
    marker() "STATE";
    gitignore() ".gitignore";
    lock() "lock";
    hashes() "hashes";
    tools() "tools";
    facts() "facts";
    /// What was put into output directories.
    published() "published.json";
    records() "records";
    record(fingerprint) format!("records/{fingerprint}.json");
    record_times(fingerprint) format!("records/{fingerprint}.times");
    manifests() "manifests";
    manifest(hash) format!("manifests/{hash}");
    names() "names";
    name(stage) format!("names/{stage}");
    stages() "stages";
    stage(stage) format!("stages/{stage}");
    build(stage) format!("stages/{stage}/build");
    build_state(stage) format!("stages/{stage}/build.json");
    scratch(stage) format!("stages/{stage}/scratch");
    attempts(stage) format!("stages/{stage}/attempts");
    committed(stage) format!("stages/{stage}/committed");
    outputs() "outputs";
    /// `${self.out}` of a stage with this fingerprint.
    out(stage, fingerprint) format!("outputs/{stage}/{}", &fingerprint[..fingerprint.len().min(FINGERPRINT_DIGITS)]);
    workspaces() "workspaces";
    workspace(name) format!("workspaces/{name}");
    workspace_state(name) format!("workspaces/{name}.json");
    runs() "runs";
    run(run) format!("runs/{run}");
    journal(run) format!("runs/{run}/journal.jsonl");
    logs(run, stage) format!("runs/{run}/logs/{stage}");
    pipelines() "pipelines";
}

impl Layout {
    /// `root` must be absolute; it need not exist.
    pub fn new(root: impl Into<Utf8PathBuf>) -> Layout {
        Layout { root: root.into() }
    }

    pub fn root(&self) -> &Utf8Path {
        &self.root
    }
}
