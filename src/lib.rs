pub mod facts;
pub mod pipeline;
pub mod plan;
pub mod report;
pub mod run;
pub mod stage;
pub mod state;
pub mod toolchain;
