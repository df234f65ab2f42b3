//! A deterministic simulator of disks and crashes, for code that must not lose what it said it kept.
//!
//! Storage code is wrong in ways that tests on a healthy machine never show: a rename without a sync, a
//! sync of the file and not of its directory, a torn record taken for a whole one, an error of `fsync`
//! that is tried again. Here the disk is a value in memory. It loses what was not synced, in any of the
//! ways that POSIX allows, at each of the calls that your code makes, some ten thousand times a second;
//! each disk that is left is opened by your own code, and what it shows is held against what it promised.
//!
//! # Three ways in
//!
//! **A disk that forgets**, for tests of your own: [`fs::SimFs`] has the face of `std::fs`.
//!
//! ```
//! use quiver_sim::disk::Policy;
//! use quiver_sim::fs::SimFs;
//!
//! # fn main() -> std::io::Result<()> {
//! let fs = SimFs::new();
//! fs.write("/a.tmp", "new")?;
//! fs.rename("/a.tmp", "/a")?;
//! fs.sync_dir("/")?; // the name is durable now, and the bytes are not
//! assert_eq!(fs.lose_power(Policy::Nothing, 0).read("/a")?, b"");
//! assert_eq!(fs.lose_power(Policy::Everything, 0).read("/a")?, b"new");
//! # Ok(())
//! # }
//! ```
//!
//! **Your code under crashes**: implement [`subject::Subject`] (how it is opened, what may be done, what it
//! shows, what it ought to show) and call [`subject::explore`]. What is found is made small and told with
//! every I/O call, the crash, and what survived. `examples/kv.rs` does that to a key-value file:
//!
//! ```text
//! not afterwards
//!   expected: {"pear": "xxxx"} after Put("pear", "xxxx") was acknowledged
//!   found:    {} after a recovery, it, and a loss of power
//!   case: seed 0; acts; crash after power-loss everything
//!   | it is opened on an empty disk
//!   | **  crash: behind all of that
//!   |     power is lost, nothing was pending
//!   | the next process opens it and looks
//!   | then Put("pear", "xxxx"): acknowledged
//!   | then power is lost, policy nothing:
//!   |       ...
//!   |       rename in /: -kv.tmp +kv: lost
//! ```
//!
//! **A cluster whose nodes lose power**: under `--cfg madsim`, `node_disks::NodeDisks` gives each node of
//! that simulated runtime a disk, which loses power when the node is killed.
//!
//! quiver-store itself is tested by the modules behind the command `quiver-sim`; those know what its
//! collections and rows are.
//!
//! # What it proves, and what not
//!
//! - A failure is one: the disk that caused it is a legal one by `docs/crash-model.md`, it is replayed from a
//!   line of text, on any machine. A medium may be kinder than the model; then the failure waits for another
//!   medium.
//! - A clean report is not a proof. It says that so many images of so many histories were opened and held.
//!   Where a crash has few legal images, all are looked at; else they are drawn by policies.
//! - Only what goes through the filesystem handed to the code is seen. What it keeps in other places, or
//!   draws from clocks and random sources, is told as a difference between two runs at best.
//! - Schedules of threads are not explored: a store is driven from one thread.
//! - The disk has no hard links, no permissions, no memory maps, no rename across directories. Sectors have
//!   512 bytes and do not tear unless that is asked for.
//!
//! # Which of it is stable
//!
//! [`disk`], [`fs`], [`subject`], [`stream`] and `node_disks` follow semantic versioning, and so does the
//! text of a [`subject::Case`]. A seed draws the same operations and images within one minor version: to
//! keep a failure for good, keep its case. All other modules are public for the command and the tests of
//! this repository, change without notice, and are left out of these pages.

// The face: see "Which of it is stable" above. What is hidden stands behind the command.
#[doc(hidden)]
pub mod address;
#[doc(hidden)]
pub mod backup;
#[doc(hidden)]
pub mod campaign;
#[doc(hidden)]
pub mod checker;
#[doc(hidden)]
pub mod command;
#[doc(hidden)]
pub mod damage;
#[doc(hidden)]
pub mod digest;
pub mod disk;
#[doc(hidden)]
pub mod engine;
#[doc(hidden)]
pub mod exhaust;
#[doc(hidden)]
pub mod explore;
#[doc(hidden)]
pub mod forward;
pub mod fs;
#[doc(hidden)]
pub mod history;
#[doc(hidden)]
pub mod in_order;
#[doc(hidden)]
pub mod index;
#[doc(hidden)]
pub mod model;
#[cfg(madsim)]
pub mod node_disks;
#[doc(hidden)]
pub mod panic_trap;
#[doc(hidden)]
pub mod planted;
#[doc(hidden)]
pub mod predicate;
#[doc(hidden)]
pub mod reads;
#[doc(hidden)]
pub mod record;
#[doc(hidden)]
pub mod replica;
#[doc(hidden)]
pub mod report;
#[doc(hidden)]
pub mod repro;
#[doc(hidden)]
pub mod row_range;
#[doc(hidden)]
pub mod rows;
#[doc(hidden)]
pub mod scenario;
#[doc(hidden)]
pub mod shrink;
pub mod stream;
pub mod subject;
#[doc(hidden)]
pub mod swarm;
#[doc(hidden)]
pub mod sweep;
#[doc(hidden)]
pub mod system;
#[doc(hidden)]
pub mod tally;
mod toy;
#[doc(hidden)]
pub mod vault;
#[doc(hidden)]
pub mod watch;

/// The code of the front page compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct FrontPage;

/// The engine whose seam the simulated disk stands behind.
pub use quiver_store;
