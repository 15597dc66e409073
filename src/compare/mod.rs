//! Measures two builds against each other.
//!
//! Knows programs, runs and numbers. Unaware of pipelines, stages, and of how a result is shown.

pub mod result;
