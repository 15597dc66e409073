//! Where everything lies in a state directory, and how one is recognised. The only place that joins these paths.
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
//!   stages/STAGE/bisect/F/…      tries of `optbuild bisect`, by the stage's fingerprint
//!   stages/STAGE/reported.json    what its operations reported when it was last done
//!   stages/STAGE/committed/…     workloads that count; .sum-N of them is one sum of many
//!   outputs/STAGE/FINGERPRINT    ${self.out}
//!   workspaces/NAME, NAME.json   shared build directories, and which stage left them last
//!   runs/RUN/journal.jsonl       what happened; runs/RUN/logs/STAGE/STEP.log
//!   pipelines/HASH               shipped pipelines that were run
//!   imported/…                   a cache out of a file
//! ```

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use camino::{Utf8Path, Utf8PathBuf};

use crate::fs::path;
use crate::pipeline::own_name;

/// Name of the file that says that a directory is a state directory.
pub const MARKER: &str = "STATE";
/// What the marker begins with; the format's number follows.
pub(super) const MARKER_TEXT: &str = "optbuild state, format ";
/// Of the state directories that this program makes and can use.
pub(super) const FORMAT: u32 = 1;

/// How many digits of a fingerprint stand in a path: 80 bits.
const FINGERPRINT_DIGITS: usize = 20;

/// The paths of one state directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: Utf8PathBuf,
    named: Utf8PathBuf,
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
    /// Files in which what optbuild printed has ended.
    printed() "printed.json";
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
    /// What operations of the stage reported when it was last done.
    reported(stage) format!("stages/{stage}/reported.json");
    committed(stage) format!("stages/{stage}/committed");
    bisect(stage) format!("stages/{stage}/bisect");
    outputs() "outputs";
    /// `${self.out}` of a stage with this fingerprint.
    out(stage, fingerprint) format!("outputs/{}/{}", own_name(stage), &fingerprint[..fingerprint.len().min(FINGERPRINT_DIGITS)]);
    workspaces() "workspaces";
    workspace(name) format!("workspaces/{name}");
    workspace_state(name) format!("workspaces/{name}.json");
    runs() "runs";
    run(run) format!("runs/{run}");
    journal(run) format!("runs/{run}/journal.jsonl");
    logs(run, stage) format!("runs/{run}/logs/{stage}");
    pipelines() "pipelines";
    /// What `optbuild cache import` has unpacked.
    imported() "imported";
}

impl Layout {
    /// `root` must be absolute and without symbolic links; it need not exist.
    pub fn new(root: impl Into<Utf8PathBuf>) -> Layout {
        let root = root.into();
        Layout { named: root.clone(), root }
    }

    /// The state directory at an absolute path, which may be a symbolic link: by whichever name it is called, it is one directory with
    /// one [`root`](Layout::root). It need not exist.
    pub fn at(named: &Utf8Path) -> Layout {
        // Of the name, only the last part may be a link: with `..` in it and without, it is one name.
        let parent = named.parent().filter(|parent| !parent.as_str().is_empty());
        let name = named.file_name();
        let root = path::real(named);
        let named = parent.zip(name).map_or_else(|| root.clone(), |(parent, name)| path::real(parent).join(name));
        Layout { root, named }
    }

    pub fn root(&self) -> &Utf8Path {
        &self.root
    }

    /// The name by which it was called: outputs are put beside it, and who calls it by that name again means the same.
    pub fn named(&self) -> &Utf8Path {
        &self.named
    }
}

/// Whether a directory is one of optbuild's state directories, of whatever format.
pub fn is_state_dir(path: &Path) -> bool {
    matches!(marker(path), Ok(Marker::Format(_)))
}

/// What a directory says of itself.
pub(super) enum Marker {
    None,
    /// A file of that name that is no marker.
    Other,
    Format(u32),
}

pub(super) fn marker(root: &Path) -> io::Result<Marker> {
    let mut text = String::new();
    let file = match File::open(root.join(MARKER)) {
        Ok(file) if file.metadata()?.is_file() => file,
        Ok(_) => return Ok(Marker::Other),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Marker::None);
        }
        Err(error) => return Err(error),
    };
    match file.take(256).read_to_string(&mut text) {
        Err(error) if error.kind() != io::ErrorKind::InvalidData => return Err(error),
        _ => {}
    }
    let format = text.strip_prefix(MARKER_TEXT).and_then(|rest| rest.trim().parse().ok());
    Ok(format.map_or(Marker::Other, Marker::Format))
}
