//! The base environment of commands: what they need of the machine and the user, and nothing that changes what they build.
//!
//! Everything else reaches a command only through `env` or `pass-env`, which are part of a stage's fingerprint; these variables
//! are not. Unaware of stages.

use std::collections::BTreeMap;

use rustix::fs::Access;

use crate::plan::Gap;

/// Names of the variables that every command gets if they are set. A `*` at the end stands for any ending, except those of
/// [`SECRET`].
pub const BASE: &[&str] = &[
    // Where programs are, and whose they are. Which programs really run is known by the identity of tools.
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    // Where programs keep settings and caches, where it is not below HOME.
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    // Language of messages and character encoding.
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TZ",
    // Temporary files.
    "TMPDIR",
    "TMP",
    "TEMP",
    // The way to the network.
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    // Certificates: of OpenSSL, Nix, curl, git and Python.
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NIX_SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "REQUESTS_CA_BUNDLE",
    // Where cargo and rustup are, and which toolchain rustup chooses (known by the identity of tools).
    "CARGO_HOME",
    "RUSTUP_*",
    // How cargo reaches its registries. `CARGO_BUILD_*`, `CARGO_PROFILE_*`, `CARGO_TARGET_*` and `RUSTFLAGS` change what is
    // built, so they are not among them.
    "CARGO_HTTP_*",
    "CARGO_NET_*",
    "CARGO_REGISTRIES_*",
    "CARGO_REGISTRY_*",
];

/// Endings of names that a `*` in [`BASE`] does not stand for: a build has no use for them, and its output is kept.
pub const SECRET: &[&str] = &["_TOKEN", "_SECRET_KEY", "_PASSWORD"];

/// Of these variables, the ones of the base environment.
pub fn base(vars: impl Iterator<Item = (String, String)>) -> BTreeMap<String, String> {
    vars.filter(|(name, _)| is_base(name)).collect()
}

/// The base environment of this process. A value that is not UTF-8 is left out.
pub fn current() -> BTreeMap<String, String> {
    base(std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))))
}

/// That there is no directory for temporary files, which compilers and operations need; none where it can be used.
pub fn temporary_files() -> Option<Gap> {
    let dir = std::env::temp_dir();
    let shown = match std::env::var_os("TMPDIR") {
        Some(_) => format!("TMPDIR={}", dir.display()),
        None => dir.display().to_string(),
    };
    let problem = match std::fs::metadata(&dir) {
        Err(error) => error.to_string(),
        Ok(found) if !found.is_dir() => "it is no directory".into(),
        Ok(_) => {
            let refused = rustix::fs::access(&dir, Access::WRITE_OK | Access::EXEC_OK).err()?;
            std::io::Error::from(refused).to_string()
        }
    };
    Some(Gap {
        what: format!("the directory for temporary files cannot be used, {shown}: {problem}"),
        remedy: "make it, or set TMPDIR to another one".into(),
    })
}

/// Whether a variable of this name is part of the base environment.
pub fn is_base(name: &str) -> bool {
    BASE.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start) && !SECRET.iter().any(|ending| name.ends_with(ending)),
        None => name == *pattern,
    })
}
