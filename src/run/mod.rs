//! Executes plans: which stages, in which order, with which processes. Knows steps, not kinds; PGO and BOLT mean nothing here.
//! All that leaves it are events.

mod companion;
pub mod control;
pub mod decide;
pub mod earlier;
pub mod environment;
mod pool;
pub mod process;
pub mod project;
pub mod publish;
mod reported;
pub mod resolve;
pub mod sampler;
pub mod scheduler;
pub mod select;
pub mod session;
pub mod stage;
pub mod step;
pub mod tail;
