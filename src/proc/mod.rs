//! The processes of this machine.
//!
//! Unaware of runs, stages and profiles.

pub mod tree;
