//! Operations that bootstrap stages are made of: clearing what was built otherwise, room on the disk, metrics, and captures.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::time::{Duration, SystemTime};

use crate::support::dir::{Dir, error, fact, op};
use camino::Utf8Path;

fn read(path: impl AsRef<Utf8Path>) -> String {
    fs::read_to_string(path.as_ref()).unwrap()
}

fn inode(path: impl AsRef<Utf8Path>) -> u64 {
    fs::metadata(path.as_ref()).unwrap().ino()
}

#[test]
fn llvm_is_cleared_when_and_only_when_its_options_changed() {
    let dir = Dir::new();
    let [stamp, llvm, lld] = ["host/options", "host/llvm", "host/lld"].map(|name| dir.join(name));
    let clear = |options: &[&str]| {
        let mut args =
            vec!["clear-if-changed", "--stamp", stamp.as_str(), "--clear", llvm.as_str(), "--clear", lld.as_str()];
        options.iter().for_each(|option| args.extend(["--option", option]));
        op(&args).unwrap()
    };
    let build = || dir.write("host/llvm/lib/libLLVM.so", "library");
    // Begun with nobody knows what.
    build();
    assert_eq!(fact(&clear(&["thin-lto = false", "-q"]), "directories-cleared"), Some(1.0));
    assert!(!llvm.exists());
    // Interrupted or finished: it goes on.
    build();
    assert_eq!(clear(&["thin-lto = false", "-q"]), []);
    assert!(llvm.exists());
    dir.write("host/lld/lld", "linker");
    assert_eq!(fact(&clear(&["thin-lto = true", "-q"]), "directories-cleared"), Some(2.0));
    assert!(!llvm.exists() && !lld.exists());
    // An option that is gone is a change too.
    build();
    clear(&["thin-lto = true"]);
    assert!(!llvm.exists());
}

/// `cargo` names its directories anew now and then. What is looked for where it no longer is would stay as it was built.
#[test]
fn a_build_directory_with_other_names_is_refused() {
    let dir = Dir::new();
    let [stamp, release] = ["options", "release"].map(|name| dir.join(name));
    let clear = |option: &str| {
        let below = |name: &str| release.join(name).into_string();
        let paths = [
            ("--clear", below(".fingerprint/rustc_driver-*")),
            ("--clear", below("build/rustc_driver")),
            ("--beside", below(".fingerprint/rustc_interface-*")),
            ("--beside", below("build/rustc_interface")),
            ("--built", below("librustc_driver-*.so")),
        ];
        let mut args = vec!["clear-if-changed", "--stamp", stamp.as_str(), "--option", option];
        paths.iter().for_each(|(name, path)| args.extend([*name, path.as_str()]));
        op(&args)
    };
    let cleared = |option: &str| fact(&clear(option).unwrap(), "directories-cleared");
    // Nothing is built yet, or not as far as the library.
    assert_eq!(cleared("a"), None);
    dir.write("release/later/rustc_interface/0/lib.rlib", "");
    assert_eq!(cleared("b"), None);
    // As cargo did until 2026. The library stays, and so does what shows that the names are these.
    dir.write("release/.fingerprint/rustc_driver-0/lib", "");
    dir.write("release/.fingerprint/rustc_interface-0/lib", "");
    dir.write("release/deps/librustc_driver-0.so", "");
    assert_eq!(cleared("c"), Some(1.0));
    // It was not built again before the option changed once more.
    assert_eq!(cleared("d"), None);
    fs::remove_dir_all(&release).unwrap();
    // As it does now.
    dir.write("release/build/rustc_driver/0/fingerprint/lib", "");
    dir.write("release/build/rustc_driver/0/out/librustc_driver-0.so", "");
    dir.write("release/build/rustc_interface/0/out/lib.rlib", "");
    assert_eq!(cleared("e"), Some(1.0));
    assert_eq!(cleared("f"), None);
    fs::remove_dir_all(&release).unwrap();
    // As nobody knows yet.
    let library = dir.write("release/units/rustc_driver/0/librustc_driver-0.so", "");
    for _ in 0..2 {
        let message = format!("{:#}", clear("g").unwrap_err());
        let names = [library.as_str(), "release/build/rustc_driver", &format!("Remove {release}")];
        names.iter().for_each(|name| assert!(message.contains(name), "{name} in {message}"));
    }
}

#[test]
fn notes_are_removed_when_a_file_of_the_sources_was_touched() {
    let dir = Dir::new();
    dir.write("llvm/lib/a.cpp", "int a;");
    dir.write("llvm/lib/b.cpp", "int b;");
    let [stamp, tree, note, known] =
        ["host/sources", "llvm", "host/llvm/done", "host/known/driver-*"].map(|name| dir.join(name));
    let mut args = vec!["clear-if-changed", "--stamp", stamp.as_str(), "--tree", tree.as_str()];
    args.extend(["--clear", note.as_str(), "--clear", known.as_str()]);
    let look = || {
        dir.write("host/llvm/done", "");
        dir.write("host/llvm/libLLVM.so", "stays");
        for name in ["driver-1/dep", "driver-2/dep", "driver_impl-1/dep"] {
            dir.write(&format!("host/known/{name}"), "");
        }
        let cleared = fact(&op(&args).unwrap(), "directories-cleared");
        assert!(dir.join("host/llvm/libLLVM.so").exists() && dir.join("host/known/driver_impl-1").exists());
        assert_eq!(dir.join("host/llvm/done").exists(), cleared.is_none());
        assert_eq!(dir.join("host/known/driver-2").exists(), cleared.is_none());
        cleared
    };
    assert_eq!(look(), Some(3.0), "nobody knows of what");
    assert_eq!(look(), None);
    // The same size, another time.
    let later = SystemTime::now() + Duration::from_secs(7);
    fs::File::options().write(true).open(dir.join("llvm/lib/a.cpp")).unwrap().set_modified(later).unwrap();
    assert_eq!((look(), look()), (Some(3.0), None));
    dir.write("llvm/lib/c.cpp", "");
    assert_eq!((look(), look()), (Some(3.0), None));
    fs::remove_file(dir.join("llvm/lib/b.cpp")).unwrap();
    assert_eq!((look(), look()), (Some(3.0), None));
}

/// clang 22: the second flag takes back all LTO, which nothing else says.
#[test]
fn a_library_without_lto_is_refused() {
    let dir = Dir::new();
    dir.write("a.c", "int a(void) { return 1; }\n");
    let check = |flags: &str| {
        dir.sh(&format!("rm -f *.o *.a; clang-22 -c {flags} a.c; llvm-ar-22 rcs lib.a a.o"));
        op(&["check-lto", dir.join("lib.a").as_str()])
    };
    for fine in ["-flto=thin", "-flto", "-ffat-lto-objects -flto=thin", "-flto --target=arm64-apple-macos"] {
        assert_eq!(check(fine).unwrap(), [], "{fine}");
    }
    for not in ["", "-ffat-lto-objects", "-ffat-lto-objects -fno-fat-lto-objects -flto=thin", "-flto=thin -fno-lto"] {
        let refused = check(not).unwrap_err().to_string();
        assert!(refused.contains("lib.a holds machine code alone"), "{not}: {refused}");
    }
    dir.write("lib.a", "no archive");
    assert!(error(&["check-lto", dir.join("lib.a").as_str()]).contains("is no static library"));
}

#[test]
fn a_disk_without_room_is_the_machines_fault() {
    let dir = Dir::new();
    let check = |bytes: &str| ["check-space", "--dir", dir.path().as_str(), "--bytes", bytes].map(String::from);
    let as_args = |args: &[String; 5]| op(&args.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(as_args(&check("1000")).unwrap(), []);
    let refused = as_args(&check("1000000000000000000")).unwrap_err();
    assert!(refused.to_string().contains("will be written"), "{refused}");
    assert!(optbuild::state::manifest::is_to_blame(&refused));
}

/// What x.py of 1.85.0 wrote when it built one tool: 4.93 s in `ToolBuild`, 0.03 s in `Sysroot`.
#[test]
fn metrics_of_a_real_call() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/bootstrap/metrics-1.85.json");
    let facts = op(&["metrics", "--file", file]).unwrap();
    let shown: Vec<_> = facts.iter().map(|fact| (fact.name.as_ref(), fact.value, fact.unit.as_str())).collect();
    assert_eq!(shown, [("inner/tools", 4.9, "s")]);
}

#[test]
fn metrics_count_the_last_call_by_what_a_step_belongs_to() {
    let dir = Dir::new();
    let step = |name: &str, seconds: f64, children: &str| {
        format!(
            "{{\"kind\":\"rustbuild_step\",\"type\":\"bootstrap::{name}\",\"debug_repr\":\"\",\"duration_excluding_children_sec\":{seconds},\"children\":[{children}]}}"
        )
    };
    let llvm = step("core::build_steps::llvm::Llvm", 2700.0, "");
    let std = step("core::build_steps::compile::Std", 60.0, "");
    let rustc = step("core::build_steps::compile::Rustc", 700.0, &format!("{llvm},{std}"));
    let suite = "{\"kind\":\"test_suite\",\"metadata\":{},\"tests\":[]}";
    let steps = [
        step("core::build_steps::compile::Assemble", 1.5, &rustc),
        step("core::build_steps::dist::Rustc", 30.0, ""),
        step("core::build_steps::test::Ui", 10.0, suite),
        step("core::sanity::Check", 2.0, ""),
        // Its module until 2023.
        step("native::Lld", 5.0, ""),
    ];
    let invocation =
        |steps: &str| format!("{{\"start_time\":1,\"duration_including_children_sec\":1.0,\"children\":[{steps}]}}");
    let earlier = invocation(&step("core::build_steps::llvm::Llvm", 9.0, ""));
    let text = format!("{{\"system_stats\":{{}},\"invocations\":[{earlier},{}]}}", invocation(&steps.join(",")));
    let file = dir.write("metrics.json", text);
    let facts = op(&["metrics", "--file", file.as_str()]).unwrap();
    let shown: Vec<_> = facts.iter().map(|fact| (fact.name.as_ref(), fact.value)).collect();
    let expected = [
        ("inner/llvm", 2705.0),
        ("inner/std", 60.0),
        ("inner/rustc", 701.5),
        ("inner/dist", 30.0),
        ("inner/tests", 10.0),
        ("inner/other", 2.0),
    ];
    assert_eq!(shown, expected);
    let missing = dir.join("none.json");
    assert!(error(&["metrics", "--file", missing.as_str()]).contains("x.py wrote no"));
    assert!(
        error(&["metrics", "--file", dir.write("x.json", "{\"invocations\": 7}").as_str()])
            .contains("is not what x.py writes")
    );
    assert!(error(&["metrics", "--file", dir.write("y.json", "{}").as_str()]).contains("no invocation"));
}

#[test]
fn a_toolchain_is_captured_with_links_only_to_what_is_never_written_in_place() {
    let dir = Dir::new();
    for file in
        ["lib/librustc_driver-1.so", "lib/rustlib/t/lib/libstd-1.rlib", "lib/rustlib/t/lib/libtest.so", "bin/rustc"]
    {
        dir.write(&format!("stage2/{file}"), file);
    }
    dir.write("rust/library/core.rs", "");
    fs::create_dir_all(dir.join("stage2/lib/rustlib/src")).unwrap();
    symlink(dir.join("rust"), dir.join("stage2/lib/rustlib/src/rust")).unwrap();
    let [absent, stage2, to] = ["stage3", "stage2", "out"].map(|name| dir.join(name));
    let capture = || {
        let from = ["capture", "--from", absent.as_str(), "--from", stage2.as_str(), "--to", to.as_str()];
        op(&[&from[..], &["--link", "lib/rustlib/*/lib/*.rlib", "--without", "lib/rustlib/src"]].concat()).unwrap();
    };
    for _ in 0..2 {
        capture();
        let same = |file: &str| inode(stage2.join(file)) == inode(to.join(file));
        assert!(same("lib/rustlib/t/lib/libstd-1.rlib"));
        for file in ["lib/librustc_driver-1.so", "lib/rustlib/t/lib/libtest.so", "bin/rustc"] {
            assert!(!same(file) && read(to.join(file)) == file, "{file}");
        }
        assert!(!to.join("lib/rustlib/src").exists());
    }
    let none = ["capture", "--from", absent.as_str(), "--from", "/no/where", "--to", to.as_str()];
    assert!(error(&none).contains("stage3, nor /no/where"));
}
