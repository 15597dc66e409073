//! A stub checkout of rust with the tools around it, and the shipped pipelines run on it.
//!
//! Everything is small, and real where it counts: x.py's stand-in builds C with clang, so that profiles, llvm-profdata and llvm-bolt are
//! the real ones. The file `fail` names the stage that is to fail.

use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};

use crate::support::processes::write_program;
use crate::support::{OPTBUILD, needs};

pub const LLVM: &str = "/usr/lib/llvm-22";

/// Which x.py.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// `--rust-profile-use`, `rust.use-lld`, `--include`.
    Of2025,
    /// `--set pgo.rustc.use=…`, `rust.bootstrap-override-lld`, `--exact-match`.
    Of2026,
}

/// A directory with a checkout, in which pipelines run.
pub struct Rust {
    dir: tempfile::TempDir,
    pub pipeline: &'static str,
    pub set: Vec<String>,
}

/// How a call ended.
pub struct Ran {
    pub code: i32,
    pub text: String,
}

impl Rust {
    /// None where x.py's stand-in cannot run.
    pub fn new(pipeline: &'static str, spelling: Spelling) -> Option<Rust> {
        if !(needs::python() & needs::xz()) {
            return None;
        }
        let dir = tempfile::Builder::new().prefix("a rust ").tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap().canonicalize_utf8().unwrap();
        let fixtures = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rust");
        copy(&fixtures.join("checkout"), &root.join("checkout"));
        if spelling == Spelling::Of2026 {
            copy(&fixtures.join("spelling-2026"), &root.join("checkout"));
        }
        // The compiler that builds it must be of its version, or of the one before.
        let version = Command::new("rustc").arg("-V").output().unwrap().stdout;
        let version = String::from_utf8(version).unwrap().split(' ').nth(1).unwrap().to_string();
        std::fs::write(root.join("checkout/src/version"), version).unwrap();
        let fail = "if [ -s \"${PWD%/.optbuild/*}/fail\" ] && [ \"$(cat \"${PWD%/.optbuild/*}/fail\")\" = \"$(expr \"$PWD\" : '.*/stages/\\([^/]*\\)')\" ]; \
                    then echo 'told to fail' >&2; exit 1; fi\n";
        let script = |path: &str, text: String| {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            write_program(&path, &format!("#!/bin/sh\n{text}"));
        };
        script("stage0/bin/rustc", "exec rustc \"$@\"\n".into());
        script("stage0/bin/cargo", format!("{fail}exec cargo \"$@\"\n"));
        // What a real build of cargo needs, this one does not.
        script("bin/pkg-config", "echo 3.0\n".into());
        script("bin/tar", format!("{fail}exec /bin/tar \"$@\"\n"));
        script("llvm/bin/llvm-bolt", format!("case $1 in -*) ;; *) {fail};; esac\nexec {LLVM}/bin/llvm-bolt \"$@\"\n"));
        for tool in ["clang", "clang++", "merge-fdata", "ld.lld", "llvm-profdata", "llvm-ar", "llvm-ranlib"] {
            std::os::unix::fs::symlink(format!("{LLVM}/bin/{tool}"), root.join("llvm/bin").join(tool)).unwrap();
        }
        let mut set: Vec<String> =
            ["checkout=checkout", "rustc=stage0/bin/rustc", "cargo=stage0/bin/cargo", "host-llvm=llvm"]
                .map(String::from)
                .into();
        set.push("disk-space=100 MB".into());
        set.push("components=rustc,rust-std,cargo,rust-src,reproducible-artifacts".into());
        match pipeline {
            "linux-x86_64-system-llvm" => set.push(format!("llvm-config={LLVM}/bin/llvm-config")),
            // Lists of that time, whose crates are not here.
            "linux-x86_64-2022-10" => {
                set.push("llvm-crates=serde-1.0.136,ripgrep-13.0.0".into());
                set.push("llvm-bolt-crates=ripgrep-13.0.0".into());
                set.push("rustc-crates=externs,match-stress".into());
            }
            "linux-x86_64-2022-01" => set.push("rustc-crates=externs,match-stress".into()),
            _ => {}
        }
        if pipeline.contains("2022") {
            let components = set.iter_mut().find(|set| set.starts_with("components=")).unwrap();
            *components = "components=rustc,rust-std,cargo,rust-src".into();
        }
        Some(Rust { dir, pipeline, set })
    }

    pub fn path(&self, below: &str) -> Utf8PathBuf {
        Utf8Path::from_path(self.dir.path()).unwrap().canonicalize_utf8().unwrap().join(below)
    }

    /// `optbuild COMMAND PIPELINE --set …`
    pub fn call(&self, command: &str, more: &[&str]) -> Ran {
        let mut args = vec![command, self.pipeline];
        args.extend(self.set.iter().flat_map(|set| ["--set", set.as_str()]));
        args.extend(more);
        self.optbuild(&args)
    }

    pub fn optbuild(&self, args: &[&str]) -> Ran {
        let path = format!("{}:{}", self.path("bin"), std::env::var("PATH").unwrap());
        let mut command = Command::new(OPTBUILD);
        // Of the cargo that runs this test.
        for name in ["CARGO", "RUSTUP_TOOLCHAIN", "CARGO_TARGET_DIR", "RUSTFLAGS", "CARGO_MANIFEST_DIR"] {
            command.env_remove(name);
        }
        let output = command.args(args).current_dir(self.path("")).env("PATH", path).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        Ran { code: output.status.code().unwrap(), text: text.into_owned() }
    }

    pub fn run(&self, more: &[&str]) -> Ran {
        self.call("run", more)
    }

    /// The names of the stages that are on, in their order.
    pub fn stages(&self) -> Vec<String> {
        let shown = self.call("plan", &[]).ok();
        let names =
            shown.text.lines().filter(|line| !line.starts_with(' ') && line.contains(" (") && line.contains("): "));
        let on = names.filter(|line| !line.ends_with("): off"));
        on.map(|line| line.split(' ').next().unwrap().to_string()).collect()
    }

    pub fn fail_in(&self, stage: Option<&str>) {
        match stage {
            Some(stage) => std::fs::write(self.path("fail"), stage).unwrap(),
            None => std::fs::remove_file(self.path("fail")).unwrap(),
        }
    }

    /// Where an output stands.
    pub fn artifact(&self, name: &str) -> Utf8PathBuf {
        let shown = self.optbuild(&["artifacts", "--json"]).ok();
        let artifacts: serde_json::Value = serde_json::from_str(&shown.text).unwrap();
        let (stage, output) = name.split_once('.').unwrap();
        let found = artifacts.as_array().unwrap().iter().find(|a| a["stage"] == stage && a["output"] == output);
        found.unwrap_or_else(|| panic!("no {name} in {}", shown.text))["path"].as_str().unwrap().into()
    }

    /// What a script prints in the directory, with LLVM's programs in front.
    pub fn sh(&self, script: &str) -> String {
        let path = format!("{LLVM}/bin:{}", std::env::var("PATH").unwrap());
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", script])
            .current_dir(self.path(""))
            .env("PATH", path)
            .output();
        let output = output.unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Ran {
    #[track_caller]
    pub fn ok(self) -> Ran {
        assert_eq!(self.code, 0, "{}", self.text);
        self
    }

    #[track_caller]
    pub fn failed(self) -> Ran {
        assert_ne!(self.code, 0, "{}", self.text);
        self
    }

    #[track_caller]
    pub fn says(self, text: &str) -> Ran {
        assert!(self.text.contains(text), "no `{text}` in {}", self.text);
        self
    }

    #[track_caller]
    pub fn says_nothing_of(self, text: &str) -> Ran {
        assert!(!self.text.contains(text), "`{text}` in {}", self.text);
        self
    }

    /// Stages that began, in their order.
    pub fn began(&self) -> Vec<&str> {
        let lines = self.text.lines().filter_map(|line| line.split_once(": started")?.0.split(' ').nth(1));
        lines.collect()
    }
}

fn copy(from: &Utf8Path, to: &Utf8Path) {
    std::fs::create_dir_all(to).unwrap();
    let status = Command::new("cp").args(["-r", &format!("{from}/."), to.as_str()]).status().unwrap();
    assert!(status.success());
}
