pub mod environment;
pub mod event;
pub mod process;
pub mod signals;
pub mod supervisor;
pub mod tail;
