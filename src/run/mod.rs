//! Executes plans: which stages, in which order, with which processes. Knows steps, not kinds; PGO and BOLT mean nothing here.
//! All that leaves it are events.

mod advice;
mod by_hand;
mod companion;
pub mod control;
pub mod costs;
pub mod decide;
pub mod disturbed;
pub mod earlier;
pub mod environment;
pub mod first_error;
pub mod log;
mod own_errors;
mod pool;
pub mod process;
pub mod project;
pub mod publish;
pub mod repeats;
mod reported;
pub mod resolve;
pub mod sampler;
pub mod scheduler;
pub mod select;
pub mod session;
pub mod sharing;
pub mod simulate;
pub mod stage;
pub mod step;
pub mod tail;
pub mod trial;
mod turns;
