//! The processes of this machine.
//!
//! Unaware of runs, stages and profiles.

pub mod lifetime;
pub mod open_files;
pub mod tree;
