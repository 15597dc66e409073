//! Rebuilds the program when a shipped pipeline is added, changed or removed: the compiler does not see that a directory that
//! is embedded has other files.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // With all below it.
    println!("cargo::rerun-if-changed=pipelines");
}
