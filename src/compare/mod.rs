//! Measures two builds against each other.
//!
//! Knows programs, runs and numbers. Unaware of pipelines and stages, and of how a result is shown.

mod budget;
mod counters;
mod counting;
pub mod files;
pub mod limit;
mod noise;
mod opened;
pub mod options;
pub mod probe;
pub mod request;
pub mod result;
mod rounds;
pub mod rustc_perf;
mod session;
mod sizes;
pub mod statistics;
mod summary;
mod valgrind;
mod warm_up;
mod watch;

pub use session::{compare, find_valgrind};
