//! A project in which all is done, to be damaged as a kill or a power cut would.

use std::fs;
use std::sync::OnceLock;

use camino::{Utf8Path, Utf8PathBuf};

use super::{Project, pipelines};

/// Three stages in a row, the first two in a workspace, and one beside them.
pub fn pipeline() -> String {
    let stages = [
        pipelines::stage(
            "first",
            "workspace = \"tree\"\noutputs = { text = \"${self.build}/first\" }",
            "did first\npoint first\necho one > first\n",
        ),
        pipelines::stage(
            "second",
            "workspace = \"tree\"\noutputs = { text = \"${self.build}/second\" }",
            "did second\npoint second\ncat first first > second\n",
        ),
        pipelines::stage("beside", "outputs = { text = \"text\" }", "did beside\necho beside > ${self.out}/text\n"),
        pipelines::stage(
            "last",
            "outputs = { text = \"text\", dir = \"dir\" }",
            "did last\npoint last\nmkdir ${self.out}/dir\ncat ${second.text} ${beside.text} > ${self.out}/text\n\
             cp ${self.out}/text ${self.out}/dir/copy\n",
        ),
    ];
    let outputs = "[outputs]\ntext = \"${last.text}\"\ndir = \"${last.dir}\"\n";
    format!("name = \"crash\"\n\n{outputs}\n{}", stages.concat())
}

/// A project in which all is done: a copy of one, since a state directory does not mind where it lies.
pub fn done() -> Project {
    static DONE: OnceLock<Project> = OnceLock::new();
    let original = DONE.get_or_init(|| {
        let project = Project::new(&pipeline());
        project.succeed(&["run"]);
        assert_eq!(project.work(), ["first", "second", "beside", "last"]);
        correct(&project);
        project
    });
    let project = Project::new(&pipeline());
    copy(&original.state(), &project.dir);
    copy(&original.dir.join("out"), &project.dir);
    project
}

pub fn copy(from: &Utf8Path, into: &Utf8Path) {
    let copied = std::process::Command::new("cp").args(["-a", from.as_str(), into.as_str()]).status().unwrap();
    assert!(copied.success());
}

pub fn correct(project: &Project) {
    let outputs = project.outputs();
    assert_eq!(outputs["crash/text"], b"one\none\nbeside\n");
    assert_eq!(outputs["crash/dir/copy"], b"one\none\nbeside\n");
    assert_eq!(outputs.len(), 2, "{:?}", outputs.keys());
    assert_eq!(project.leftovers(), [""; 0]);
}

/// Runs it, which must do that and no more, and must then have nothing to do.
pub fn runs(project: &Project, args: &[&str], work: &[&str]) {
    project.succeed(args);
    assert_eq!(project.work(), work);
    correct(project);
    project.succeed(&["run"]);
    assert_eq!(project.work(), [""; 0]);
}

/// The fingerprint of a stage's record.
pub fn fingerprint(project: &Project, stage: &str) -> String {
    fs::read_to_string(project.state().join("names").join(stage)).unwrap().trim().to_owned()
}

pub fn record_file(project: &Project, stage: &str) -> Utf8PathBuf {
    project.state().join("records").join(format!("{}.json", fingerprint(project, stage)))
}

pub fn cut_in_half(path: &Utf8Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}
