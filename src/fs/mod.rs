//! Files and directory trees: what survives a kill, copies, replacements, patterns, and what `stat` says.
//!
//! Unaware of what the files mean.

pub mod disk;
pub mod path;
pub mod pattern;
pub mod replace;
pub mod stat;
pub mod tree;
pub mod whole;
