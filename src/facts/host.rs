//! The target triple of this machine, as rustc calls it.
//!
//! Not that of the build of optbuild: a statically linked one (musl) runs on any Linux. Not asked from rustc either, which
//! would cost every call of optbuild a process, and need not be installed.

use std::env::consts;

use super::live;

pub(super) fn triple() -> String {
    match consts::OS {
        "linux" => of_linux(consts::ARCH, is_musl()),
        "macos" => format!("{}-apple-darwin", consts::ARCH),
        "windows" => format!("{}-pc-windows-msvc", consts::ARCH),
        os => format!("{}-unknown-{os}", consts::ARCH),
    }
}

/// rustc's name for an architecture can say more than Rust's.
fn of_linux(arch: &str, musl: bool) -> String {
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
        ["/lib", "/lib64"].iter().any(|dir| live::list((*dir).into()).iter().any(|name| name.starts_with(prefix)))
    };
    loader("ld-musl-") && !loader("ld-linux") && !loader("ld64.so")
}

#[cfg(test)]
mod tests {
    /// Against `rustc --print target-list`.
    #[test]
    fn names_are_those_of_rustc() {
        let known = super::live::output(None, &["rustc", "--print", "target-list"]).unwrap();
        for arch in ["x86_64", "aarch64", "x86", "arm", "riscv64", "powerpc64"] {
            for musl in [false, true] {
                let triple = super::of_linux(arch, musl);
                assert!(known.lines().any(|line| line == triple), "{triple}");
            }
        }
    }

    /// Against `rustc -vV`.
    #[test]
    fn this_machine_is_what_rustc_says() {
        let version = super::live::output(None, &["rustc", "-vV"]).unwrap();
        assert!(version.contains(&format!("host: {}\n", super::triple())), "{version}");
    }
}
