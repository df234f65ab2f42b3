//! Deterministic simulator of disks and crashes.

pub mod address;
pub mod backup;
pub mod campaign;
pub mod checker;
pub mod command;
pub mod damage;
pub mod digest;
pub mod disk;
pub mod engine;
pub mod exhaust;
pub mod explore;
pub mod forward;
pub mod fs;
pub mod history;
pub mod in_order;
pub mod index;
pub mod model;
#[cfg(madsim)]
pub mod node_disks;
pub mod panic_trap;
pub mod planted;
pub mod predicate;
pub mod reads;
pub mod replica;
pub mod report;
pub mod repro;
pub mod row_range;
pub mod rows;
pub mod scenario;
pub mod shrink;
pub mod stream;
pub mod subject;
pub mod swarm;
pub mod sweep;
pub mod system;
pub mod tally;
mod toy;
pub mod vault;
pub mod watch;

/// The engine whose seam the simulated disk stands behind.
pub use quiver_store;
