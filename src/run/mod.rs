//! Executes plans: which stages, in which order, with which processes. Knows steps, not kinds; PGO and BOLT mean nothing here.
//! All that leaves it are events.

mod announce;
mod companion;
pub mod control;
pub mod decide;
mod earlier;
pub mod environment;
mod launch;
mod pool;
pub mod process;
pub mod publish;
pub mod resolve;
pub mod sampler;
pub mod scheduler;
pub mod select;
pub mod share;
pub mod signals;
pub mod stage;
pub mod step;
pub mod supervisor;
pub mod survey;
pub mod tail;
mod unchanged;
pub mod verdict;
