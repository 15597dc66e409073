//! All that is on disk between runs: records, journals, fingerprints, locks, and the stat cache.
//!
//! Knows plans and declarations as data to be hashed. Unaware of how stages run, and prints nothing.

pub mod build_dir;
pub mod fingerprint;
pub mod gc;
pub mod hash;
pub mod journal;
pub mod layout;
pub mod listing;
pub mod manifest;
pub mod record;
pub mod restart;
pub mod sources;
pub mod store;
pub mod tools;
pub mod workspace;
