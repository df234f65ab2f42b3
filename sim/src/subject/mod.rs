//! Any code that keeps files, under crashes at each of its I/O calls.
//!
//! **Place.** For the author of a key-value file, a B-tree, a queue. It stands on [`crate::fs`] and
//! the simulated disk beneath, and asks nothing of the code but a [`Subject`]: how it is opened, what
//! may be done to it, what it shows, and what it ought to show. The checks of quiver-store itself,
//! which know collections and rows, are in [`mod@crate::explore`].
//!
//! | file | noun |
//! |---|---|
//! | `history`, `run` | operations and a fault drawn from a seed; one process that carries them out |
//! | `explore`, `examine`, `life` | the crash images of a run; one image, recovered and checked; the process behind it, to its end |
//! | `campaign`, `desk`, `report` | many seeds on many threads, with an eye on the clock; what each is at; what it came to |
//! | `case`, `replay`, `shrink` | one failure in a line; looked at again; made smaller |
//! | `told` | states in words |
//!
//! What is checked at every image, by the [`Kind`] of what is found otherwise:
//!
//! - C1. It opens ([`Kind::DoesNotOpen`]), without a panic ([`Kind::Panicked`]), within a number of
//!   calls and a time ([`Kind::Hangs`]).
//! - C2. What it shows is what the operations up to some point make, and every operation that was
//!   acknowledged is before that point ([`Kind::Lost`]). An operation that failed may have happened.
//! - C3. Opened again it shows the same ([`Kind::Changed`]), after another loss of power too, and has
//!   no more files than before ([`Kind::Leaks`]).
//! - C4. It takes new operations, a few in a row, each of which then is as durable as any, and is closed well
//!   ([`Kind::NotAfterwards`]).
//! - C5. Crashes while it recovers, in those operations and while it is closed are crashes as well, held to the
//!   same.
//! - C6. No open file and no lock is left when the store is dropped ([`Kind::Leaks`]).
//! - C7. Two runs of a seed make the same calls ([`Kind::Unsteady`]).
//!
//! - C8. Where a call fails in a recovery, it may refuse to open; nothing is lost by that. One that is
//!   recovered without a fault is opened once more with one, on the same image.
//!
//! What a fault may do: the operation that it strikes fails, and so may those after it until the store
//! is opened again. Whatever was acknowledged before or afterwards holds. It may strike the first opening, too.
//! Whether a failed sync shows old bytes or new ones from then on is drawn for each seed; what it may have taken
//! of operations that are not promised to survive may be missing from then on. A writeback that fails with no sync under
//! way is told to the next sync of that file in the process. Not struck are [`SimFs::exists`] and [`SimFs::metadata`].
//!
//! ```
//! use quiver_sim::fs::SimFs;
//! use quiver_sim::stream::Stream;
//! use quiver_sim::subject::{Options, Result, Subject, explore};
//!
//! /// A number in a file, written in place.
//! struct Counter;
//!
//! impl Subject for Counter {
//!     type Op = u8;
//!     type State = u8;
//!     type Store = SimFs;
//!     fn open(&self, fs: &SimFs) -> Result<SimFs> {
//!         Ok(fs.clone())
//!     }
//!     fn draw(&self, dice: &mut Stream) -> u8 {
//!         u8::try_from(dice.between(1, 200)).expect("it is small")
//!     }
//!     fn model(&self, state: &mut u8, op: &u8) {
//!         *state = *op;
//!     }
//!     fn apply(&self, fs: &mut SimFs, op: &u8) -> Result<()> {
//!         let file = fs.create("/counter")?;
//!         file.write_all_at(&[*op], 0)?;
//!         file.sync_all()?;
//!         Ok(fs.sync_dir("/")?)
//!     }
//!     fn observe(&self, fs: &mut SimFs) -> Result<u8> {
//!         if !fs.exists("/counter") {
//!             return Ok(0);
//!         }
//!         Ok(fs.read("/counter")?.first().copied().unwrap_or(0))
//!     }
//! }
//!
//! let report = explore(Counter, &Options { seeds: 0..4, ..Options::default() });
//! // `create` cuts the file to nothing first: a crash just there loses an acknowledged number.
//! assert!(!report.is_clean());
//! println!("{report}");
//! ```

mod campaign;
mod case;
mod desk;
mod examine;
mod explore;
mod history;
mod life;
mod replay;
mod report;
mod run;
mod shrink;
#[cfg(test)]
mod tests;
mod told;

use std::fmt::Debug;
use std::ops::Range;
use std::time::Duration;

use crate::fs::SimFs;
pub use crate::repro::Wrong;
use crate::stream::Stream;
pub use campaign::explore;
pub use case::Case;
pub use replay::{Replayed, replay};
pub use report::{Finding, Found, Kind, Report, Tally};

/// Whatever error the code under test has.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// What the code under test answers.
pub type Result<T> = std::result::Result<T, Error>;

/// Code that keeps files, and what it ought to do. It is the settings; an open one is `Store`.
pub trait Subject: Send + Sync + 'static {
    /// What may be done to it.
    type Op: Clone + Debug;
    /// All that it shows. The default is what a new one shows.
    type State: Clone + Debug + Default + PartialEq;
    /// An open one. It never leaves the thread that opened it.
    type Store;

    /// Opens it, or creates it on an empty disk, and recovers whatever a crash has left. What it draws at random
    /// is to be seeded by [`SimFs::seed`]: two runs of a seed then make the same calls (C7).
    ///
    /// # Errors
    /// Only when a call of the filesystem failed: any other error is a finding.
    fn open(&self, fs: &SimFs) -> Result<Self::Store>;

    /// Draws an operation.
    fn draw(&self, dice: &mut Stream) -> Self::Op;

    /// What an operation makes of what is shown.
    fn model(&self, state: &mut Self::State, op: &Self::Op);

    /// Carries an operation out. `Ok` is the acknowledgement.
    ///
    /// # Errors
    /// As for [`Subject::open`]. The operation may have happened or not.
    fn apply(&self, store: &mut Self::Store, op: &Self::Op) -> Result<()>;

    /// Reads all that it shows.
    ///
    /// # Errors
    /// As for [`Subject::open`].
    fn observe(&self, store: &mut Self::Store) -> Result<Self::State>;

    /// Closes it well. It shows the same when it is opened again, and nothing more is durable for it than was
    /// before.
    ///
    /// # Errors
    /// As for [`Subject::open`].
    fn close(&self, store: Self::Store) -> Result<()> {
        drop(store);
        Ok(())
    }

    /// Whether the acknowledgement of this operation promises that it, and all before it, survive. A
    /// store that promises only what was flushed says so for the flush alone.
    fn is_durable(&self, _op: &Self::Op) -> bool {
        true
    }

    /// Whether it may show this where it ought to show one of those, each the outcome of the operations
    /// up to some point. A cache that may forget says more than the equality that is asked for here.
    fn accepts(&self, shown: &Self::State, window: &[Self::State]) -> bool {
        window.contains(shown)
    }

    /// Whether what was shown after the kill of a process survives a later loss of power. Code that
    /// reads what the killed one had not synced, and does not sync it itself, does not keep it.
    fn keeps_what_it_showed(&self) -> bool {
        true
    }
}

/// How much is looked at.
#[derive(Clone, Debug)]
pub struct Options {
    /// The seeds. Each is a history of its own.
    pub seeds: Range<u64>,
    /// Operations of a history, at most.
    pub operations: usize,
    /// Crash images of a seed, about.
    pub images: u64,
    /// Whether every fourth history has a call that fails, and a share of the recoveries of all of them.
    pub faults: bool,
    /// Whether crashes of the process behind a crash are looked at: while it recovers, in the operations that it is
    /// given then, while it is closed.
    pub nested: bool,
    /// Whether bytes that never became durable may read as what a deleted file held there, besides
    /// zeros and garbage. POSIX allows it; media that clear what they give to a file do not do it.
    pub stale_bytes: bool,
    /// Whether a sector that is being written may hold a mix of old and new bytes, or garbage. The model
    /// of the disk calls that a worse medium than most, so it is not looked at by default.
    pub torn_sectors: bool,
    /// Threads; as many as there are processors if zero.
    pub jobs: usize,
    /// I/O calls of one opening, operation or look. More is a hang.
    pub calls_max: u64,
    /// How long nothing may come of one image while the processors are at work; six times that where they
    /// are not, as with code that waits for itself. Longer is a hang, and its thread is given up.
    pub patience: Duration,
    /// Seeds with findings after which it ends.
    pub findings_max: usize,
    /// Whether what is found is made smaller.
    pub shrink: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seeds: 0..100,
            operations: 12,
            images: 600,
            faults: true,
            nested: true,
            stale_bytes: true,
            torn_sectors: false,
            jobs: 0,
            calls_max: 100_000,
            patience: Duration::from_secs(20),
            findings_max: 1,
            shrink: true,
        }
    }
}
