//! optbuild runs optimised builds (PGO, BOLT, LTO) as resumable pipelines.
//!
//! One direction, no way back:
//!
//! ```text
//! pipeline file ─► declaration ─► resolved pipeline ─► plan ─► run ─► events ─┬─► journal, records
//!    pipeline/       vars, tools       stage/           plan     run/         ├─► progress, logs
//!                                                                             └─► report
//! ```
//!
//! - [`pipeline`]: what the user declared
//! - [`stage`]: from a declaration to a plan, one file per kind
//! - [`plan`]: the vocabulary between the two, and the same plan as a shell script
//! - [`facts`], [`toolchain`]: what planning may know of the world
//! - [`run`]: deciding, scheduling, executing, supervising; emits events
//! - [`op`], [`profile`]: optbuild's own operations, each a child process
//! - [`state`]: all that is on disk between runs
//! - [`compare`]: two builds measured against each other
//! - [`report`]: listeners of events, and tables
//! - [`cli`]: the subcommands
//!
//! `docs/design.md` has the reasons.

// Where the world can be at fault, an error says so. Tests may abort.
#![warn(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::todo,
    clippy::unimplemented
)]

pub mod cli;
pub mod compare;
pub mod event;
pub mod facts;
pub mod fs;
pub mod names;
pub mod op;
pub mod pipeline;
pub mod plan;
pub mod proc;
pub mod profile;
pub mod report;
pub mod run;
pub mod stage;
pub mod state;
pub mod sync;
pub mod text;
pub mod toolchain;
