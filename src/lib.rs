pub mod facts;
pub mod pipeline;
pub mod plan;
pub mod report;
pub mod run;
pub mod state;
