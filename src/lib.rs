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
//! - [`cache`]: what several machines share of it
//! - [`compare`]: two builds measured against each other
//! - [`report`]: listeners of events, and tables
//! - [`bisect`]: which functions llvm-bolt breaks
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
    clippy::unimplemented,
    // Those macros panic where nothing can be written: `stdio` prints.
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::dbg_macro
)]

pub mod bisect;
pub mod cache;
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
pub mod stdio;
pub mod sync;
pub mod text;
pub mod toolchain;
