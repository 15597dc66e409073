//! A state directory in the lower layer of an overlay, as in a container whose image has it: directories cannot be renamed there.

use std::fs;
use std::process::Command;

use crate::support::kill::{Project, pipelines};
use crate::support::needs;
use camino::Utf8PathBuf;

/// A layer over a project, as a container has over its image.
struct Container {
    layers: Utf8PathBuf,
    dir: Utf8PathBuf,
    _temporary: tempfile::TempDir,
}

impl Container {
    fn over(project: &Project) -> Option<Container> {
        let temporary = tempfile::tempdir().unwrap();
        let layers = Utf8PathBuf::try_from(temporary.path().canonicalize().unwrap()).unwrap();
        // An overlay cannot lie on an overlay, which the directory for temporary files may be.
        let mut memory = Command::new("mount");
        memory.args(["-t", "tmpfs", "optbuild-test", layers.as_str()]);
        if !needs::mounted(&mut memory) {
            return None;
        }
        let container = Container { layers, dir: project.dir.clone(), _temporary: temporary };
        for layer in ["upper", "work"] {
            fs::create_dir(container.layers.join(layer)).unwrap();
        }
        let (dir, layers) = (&container.dir, &container.layers);
        let options = format!("lowerdir={dir},upperdir={layers}/upper,workdir={layers}/work,redirect_dir=off");
        let mut overlay = Command::new("mount");
        overlay.args(["-t", "overlay", "-o", &options, "optbuild-test", dir.as_str()]);
        needs::mounted(&mut overlay).then_some(container)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        for mounted in [&self.dir, &self.layers] {
            let _ = Command::new("umount").args(["-l", mounted.as_str()]).status();
        }
    }
}

fn project() -> Project {
    let tree = "did tree\nmkdir -p ${self.out}/tree/below\necho MODE > ${self.out}/tree/below/file\n\
                mkdir -p more; echo MODE >> more/again\n";
    let stages = [
        pipelines::stage("tree", "outputs = { tree = \"tree\", again = \"${self.build}/more\" }", tree),
        pipelines::stage("next", "", "did next\npoint next\ncat ${tree.tree}/below/file > ${self.out}/text\n"),
    ];
    let outputs = "[outputs]\ntree = \"${tree.tree}\"\n";
    Project::new(&format!("name = \"layers\"\n{outputs}\n{}", stages.concat()))
}

fn change(project: &Project) {
    let path = project.dir.join("pipeline.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("MODE", "OTHER")).unwrap();
}

/// It is run, changed, wiped, put in place and cleaned like any other.
#[test]
fn a_state_directory_in_an_image() {
    let project = project();
    project.succeed(&["run"]);
    project.work();
    let Some(_container) = Container::over(&project) else { return };
    // It tests something only where a directory of the image has no name to change.
    let build = project.state().join("stages/tree/build");
    let renamed = fs::rename(&build, build.with_file_name("other"));
    assert_eq!(renamed.unwrap_err().kind(), std::io::ErrorKind::CrossesDevices);

    project.succeed(&["run"]);
    assert_eq!(project.work(), [""; 0], "nothing has changed");
    change(&project);
    project.succeed(&["run"]);
    assert_eq!(project.work(), ["tree", "next"]);
    assert_eq!(fs::read_to_string(build.join("more/again")).unwrap(), "OTHER\n", "it was emptied");
    assert_eq!(fs::read_to_string(project.dir.join("out/layers/tree/below/file")).unwrap(), "OTHER\n");
    project.succeed(&["run", "--from", "tree", "--fresh"]);
    project.succeed(&["gc", "--keep-runs", "1"]);
    project.succeed(&["clean"]);
    assert!(!project.state().join("stages/tree").exists());
    project.succeed(&["run"]);
    assert_eq!(project.leftovers(), [""; 0]);
}

/// The image was made of a run that had not come to its end.
#[test]
fn a_run_goes_on_in_a_container() {
    let project = project();
    project.hold("next");
    let run = project.start(&["run"]);
    project.reached("next");
    run.kill();
    project.nothing_left();
    project.release("next");
    project.work();
    let Some(_container) = Container::over(&project) else { return };
    project.succeed(&["resume"]);
    assert_eq!(project.work(), ["next"]);
    project.succeed(&["clean", "tree"]);
    project.succeed(&["run", "--from", "tree"]);
    assert_eq!(project.work(), ["tree", "next"]);
    assert_eq!(project.leftovers(), [""; 0]);
}
