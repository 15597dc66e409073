//! The pipelines of docs/programs.md: each can be planned, and none is longer than a person wants to write.

use crate::support::needs;
use crate::support::real::empty;

#[test]
fn the_pipelines_of_programs() {
    if !needs::make() {
        return;
    }
    let dir = camino::Utf8Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/programs"));
    let mut names: Vec<String> = dir.read_dir_utf8().unwrap().map(|entry| entry.unwrap().file_name().into()).collect();
    names.retain(|name| name.ends_with(".toml"));
    assert!(names.len() > 5, "{names:?}");
    let test = empty("");
    for file in ["configure", "Makefile", "meson.build", "src/lib.rs"] {
        test.write(file, "");
    }
    test.write(
        "Cargo.toml",
        "[package]\nname = 'rpds'\nversion = '0.1.0'\n[lib]\ncrate-type = ['cdylib']\n[features]\nfull = []\n",
    );
    test.write("Cargo.lock", "version = 4\n[[package]]\nname = 'rpds'\nversion = '0.1.0'\n");
    for name in names {
        let text = std::fs::read_to_string(dir.join(&name)).unwrap();
        assert!(text.lines().count() <= 40, "{name}");
        // What the others extend builds nothing by itself.
        if name == "program.toml" {
            continue;
        }
        let source = if name == "mixed.toml" { "" } else { "--set source=." };
        let planned = test.cmd(&format!("plan {dir}/{name} {source} --state-dir state"));
        assert!(matches!(planned.code, Some(0 | 3)), "{name}: {}{}", planned.stdout, planned.stderr);
        assert!(planned.stdout.contains("compare"), "{name}: {}", planned.stdout);
    }
}
