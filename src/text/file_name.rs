//! Names of steps and workloads as names of files.

/// File systems take 255 bytes; a number and an extension are added.
const LONGEST_NAME: usize = 150;

/// A name of a step or workload as a file name, different for each name.
pub fn file_name(name: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || "-_.=,[]+".contains(c) { c } else { '_' };
    let plain: String = name.chars().map(fit).take(LONGEST_NAME).collect();
    if plain == name && !plain.starts_with('.') && !plain.is_empty() {
        return plain;
    }
    let plain = plain.trim_start_matches('.');
    format!("{plain}-{}", &blake3::hash(name.as_bytes()).to_hex()[..8])
}
