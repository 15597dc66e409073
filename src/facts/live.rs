//! Looks at this machine. Remembers nothing.

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

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

pub(super) fn output(dir: Option<&Utf8Path>, argv: &[&str]) -> Option<String> {
    let (program, args) = argv.split_first()?;
    // Messages are parsed, so they must not be translated.
    let mut command = duct::cmd(*program, args).env("LC_ALL", "C").env_remove("LANGUAGE");
    if let Some(dir) = dir {
        command = command.dir(dir);
    }
    let handle = command.stdin_null().stdout_capture().stderr_capture().unchecked().start().ok()?;
    let Some(output) = handle.wait_timeout(PATIENCE).ok()? else {
        handle.kill().ok()?;
        return None;
    };
    if !output.status.success() {
        return None;
    }
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Some(text)
}

pub(super) fn list(dir: &Utf8Path) -> Vec<String> {
    let Ok(entries) = dir.read_dir_utf8() else { return Vec::new() };
    let mut names: Vec<String> = entries.flatten().map(|entry| entry.file_name().to_owned()).collect();
    names.sort();
    names
}
