//! Merged profiles whose files others pack.

use crate::support::Test;
use crate::support::processes::in_own_process;
use crate::support::real::{artifact, fixture, sh};
use rustix::fs::Mode;

/// What `x.py dist` of rustc 1.85 does with the files of `--reproducible-artifact`: a hard link where that can be, and then its mode
/// (`Tarball::add_file(path, ".", 0o644)`).
fn pack(test: &Test) {
    for profile in ["profile.profile", "bolt-profile.profile"] {
        let file = artifact(test, profile);
        sh(&test.aside, &format!("rm -rf image && mkdir image && ln '{file}' image/ && chmod 0644 image/*"));
    }
}

#[test]
fn profiles_stay_as_recorded_when_others_pack_them() {
    // The umask is that of the whole process.
    in_own_process(|| {
        for umask in [0o077, 0o002] {
            let test = fixture("hotcold");
            let before = rustix::process::umask(Mode::from_raw_mode(umask));
            let _ = test.run("--until bolt-profile").ok();
            pack(&test);
            test.run("--until bolt-profile").err("nothing to do").runs("");

            // Out of a bundle, too.
            let _ = test.cmd("profile export -o ../own.tar.zst").ok();
            let _ = test.run("--until bolt-profile --profiles ../own.tar.zst --allow-stale-profiles").ok();
            pack(&test);
            test.run("--until bolt-profile --profiles ../own.tar.zst --allow-stale-profiles")
                .err("nothing to do")
                .runs("");
            rustix::process::umask(before);
        }
    });
}
