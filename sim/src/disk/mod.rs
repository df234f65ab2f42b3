//! The simulated disk: a filesystem that can lose power at any point, fail at any call, and fork.
//!
//! **Place.** Behind the seam of `quiver_store::vfs`; the explorer stands on it. The contract is
//! `docs/crash-model.md`, medium `posix`: durability is per file and per directory, everything
//! pending may survive or not, down to single 512-byte sectors.
//!
//! | file | noun |
//! |---|---|
//! | `key` | 128-bit content keys, sector by sector |
//! | `content` | bytes of a file, copy on write |
//! | `inode`, `directory` | durable, visible and pending state of one file or directory |
//! | `tear`, `image` | what became of one mutation; what a file then holds |
//! | `policy`, `plan`, `legal` | what survives a power loss: by a policy, or all ways there are |
//! | `survivors`, `inside` | the same in words: of a power loss, of a call cut short |
//! | `state` | the whole disk as a value |
//! | `machine`, `vfs`, `fault`, `trace` | the running machine behind the seam |
//! | `look`, `names` | what the face of [`crate::fs`] asks for that the seam does not have |
//! | `medium` | what a medium may do in more than one way |
//! | `clock`, `entropy` | time and randomness |
//!
//! How to use it:
//!
//! - `SimDisk` is one running process on one disk; `SimDisk::state()` forks the disk (one
//!   reference count), `SimDisk::mount(&state)` starts another process on a fork. Handles and locks
//!   stay with their machine.
//! - Under `Recording::Forks` every call that may change what a crash leaves is a `Step` with the
//!   disk `before` and `after` it. `step.before.kill()` and `step.after.kill()` are process kills,
//!   `step.inside(rng)` is a kill inside the call, `plan_power_loss` works on any of them: before,
//!   after and inside.
//! - `CrashPlan::key()` is the key of what the image shows; it equals `build().key()`, and an image
//!   is quiet, so that this key is all of it. For kills compare `DiskState::full_key()`.
//! - `trace_hash` is always on. A path is absolute, or counted from `/`.
//! - What a medium may do in more than one way: `set_medium`. By default a read of a file without a
//!   name *fails*, unlike in POSIX: a store must not remove what a reader of it still needs.
//! - A medium that lies: `set_lying_syncs`. A fault plan counts calls anew; `faults_fired` is its own.
//! - Besides the seam's calls: `set_free_bytes` bounds the space (a full disk that later has room
//!   again), `DiskState::damaged` changes bytes at rest, `FaultPlan::seed` decides what a fault
//!   leaves, `SimEntropy::with_faults_of` ties entropy to the disk's fault plan.

mod clock;
mod content;
mod directory;
mod entropy;
mod fault;
mod image;
mod inode;
mod inside;
mod key;
mod kindness;
mod legal;
mod look;
mod machine;
mod medium;
mod names;
mod plan;
mod policy;
mod promises;
mod state;
mod survivors;
mod tear;
#[cfg(test)]
mod tests;
mod trace;
mod vfs;

pub use clock::{SimClock, Ticking};
pub use entropy::SimEntropy;
pub use fault::{CallClass, Fault, FaultPlan, PlannedFault};
pub use inside::{Inside, Synced};
pub use legal::LegalImages;
pub(crate) use machine::EXHAUSTED;
pub use machine::{Onlooker, SimDisk, site_name};
pub use medium::{FailedSync, Filesystem, MEDIUM_COUNTS, Medium, UnlinkedReads, WritebackReport};
pub(crate) use names::SimDirectory;
pub use plan::CrashPlan;
pub use policy::Policy;
pub use state::{DiskState, FILE_BYTES_MAX};
pub use survivors::{Base, Exception, Survivors, What};
pub use tear::{Tear, WriteTear};
pub use trace::{IoCall, IoKind, Recording, Step};
pub(crate) use vfs::SimFile;
