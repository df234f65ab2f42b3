//! Deterministic simulator of disks and crashes.

pub mod address;
pub mod campaign;
pub mod checker;
pub mod command;
pub mod digest;
pub mod disk;
pub mod engine;
pub mod explore;
pub mod forward;
pub mod history;
pub mod index;
pub mod model;
pub mod panic_trap;
pub mod planted;
pub mod reads;
pub mod report;
pub mod repro;
pub mod row_range;
pub mod rows;
pub mod scenario;
pub mod shrink;
pub mod stream;
pub mod sweep;
pub mod system;
pub mod tally;
mod toy;
pub mod watch;
