//! Looks at this machine. Remembers nothing.

use std::env::consts;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use crate::proc::probe;

/// A tool that prints its help needs milliseconds; one that waits for something must not hold up a plan.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn env(name: &str) -> Option<String> {
    // `var` panics on names that cannot be variables.
    if name.is_empty() || name.contains(['=', '\0']) {
        return None;
    }
    std::env::var(name).ok()
}

pub(super) fn program(name: &str) -> Option<Utf8PathBuf> {
    Utf8PathBuf::from_path_buf(which::which(name).ok()?).ok()
}

/// What a command prints if it succeeds. The error says why that is not known, and another time it may be.
pub(super) fn output(dir: Option<&Utf8Path>, argv: &[&str]) -> Result<Option<String>, String> {
    let Some((program, args)) = argv.split_first() else { return Ok(None) };
    // Messages are parsed, so they must not be translated.
    let mut command = duct::cmd(*program, args).env("LC_ALL", "C").env_remove("LANGUAGE");
    if let Some(dir) = dir {
        command = command.dir(dir);
    }
    let command = command.stdin_null();
    let output = match probe::ask(&command, PATIENCE) {
        Ok(output) if output.status.success() => output,
        Ok(_) => return Ok(None),
        Err(reason) if reason.is_of_the_moment() => return Err(reason.to_string()),
        // The program is like that.
        Err(_) => return Ok(None),
    };
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Ok(Some(text))
}

pub(super) fn list(dir: &Utf8Path) -> Vec<String> {
    let Ok(entries) = dir.read_dir_utf8() else { return Vec::new() };
    let mut names: Vec<String> = entries.flatten().map(|entry| entry.file_name().to_owned()).collect();
    names.sort();
    names
}

/// The target triple of this machine, as rustc calls it.
///
/// Not that of the build of optbuild: a statically linked one (musl) runs on any Linux. Not asked from rustc either, which
/// would cost every call of optbuild a process, and need not be installed.
pub(super) fn triple() -> String {
    match consts::OS {
        "linux" => of_linux(consts::ARCH, is_musl()),
        "macos" => format!("{}-apple-darwin", consts::ARCH),
        "windows" => format!("{}-pc-windows-msvc", consts::ARCH),
        os => format!("{}-unknown-{os}", consts::ARCH),
    }
}

/// The triple of a Linux machine. rustc's name for an architecture can say more than Rust's.
pub fn of_linux(arch: &str, musl: bool) -> String {
    let libc = if musl { "musl" } else { "gnu" };
    match arch {
        "x86" => format!("i686-unknown-linux-{libc}"),
        "arm" => format!("armv7-unknown-linux-{libc}eabihf"),
        "riscv64" => format!("riscv64gc-unknown-linux-{libc}"),
        "powerpc64" if cfg!(target_endian = "little") => format!("powerpc64le-unknown-linux-{libc}"),
        arch => format!("{arch}-unknown-linux-{libc}"),
    }
}

/// glibc's systems can have musl beside it, so its loader alone says nothing.
fn is_musl() -> bool {
    let loader = |prefix: &str| {
        ["/lib", "/lib64"].iter().any(|dir| list((*dir).into()).iter().any(|name| name.starts_with(prefix)))
    };
    loader("ld-musl-") && !loader("ld-linux") && !loader("ld64.so")
}
