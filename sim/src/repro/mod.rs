//! A reproducer: one violation in a text file, replayed without the generator.
//!
//! **Place.** `quiver-sim shrink` writes one, `replay` and `corpus` play it, `corpus/sim/` keeps
//! them. It holds the operations themselves, the faults, the crashes and what survived them, so it
//! means the same when histories are drawn in another way.
//!
//! ```text
//! quiver-sim reproducer 1
//! # what was found, for people
//! status open
//! violates I1
//! slot s0 "c0" dim 1
//!
//! open
//! create s0 l2 dim 1
//! fault sync-eio 0
//! upsert s0 "a" [0] ""
//! crash after power-loss nothing
//!     but keeps change 0 sectors 0-1 of /store/log-0000000001-*.wal
//! ```
//!
//! | line | meaning |
//! |---|---|
//! | `quiver-sim reproducer 1` | the first one; the number is the version of the format |
//! | `status open`, `status fixed`, `status planted NAME` | see [`Status`] |
//! | `shrinks-to N` | of a planted bug: its first violation must come down to so many operations; the file has no more |
//! | `violates NAME`, `violates NAME panics` | the invariant, by the first word of its name; the store panicked |
//! | `seed N` | what is left to chance follows from it; zero if not said |
//! | `medium FAILED-SYNC WRITEBACK`, and `ext4`, `xfs` or `btrfs` | how its disks behave, if not as usual: see [`crate::disk::Medium`] |
//! | `shape many`, `shape wide`, `shape churn` | what kind of history it was drawn as, if not `small` |
//! | `encrypted` | the store is |
//! | `option NAME VALUE` | a setting that is not at its default |
//! | `slot sN "NAME" dim N ID...` | a collection's name, the dimension of its vectors, and ids that a generator may use |
//! | `open` | the store is created; the history starts |
//! | `create s0 l2 dim 1`, `drop s0`, `shred s0`, `upsert s0 "id" [0 0.5] "payload"`, `delete s0 "id"`, `changes { ... }`, `if-absent upsert ...`, `payload s0 "id" "bytes"`, `rename s0 s1`, `field s0 numeric "path"` | a request through the shortest call |
//! | `write { ... }`, `upsert-batch { ... }` | changes of rows through that call |
//! | `group { ... } N` | requests submitted together, then driven N times |
//! | any other word of the table in [`actions`] | that operation |
//! | `power-loss nothing`, `power-loss everything` | it is said what survives, else drawn; `but` lines follow |
//! | `strike NAME N process P`, `strike-dice N` | a fault at the Nth call of its kind in a process, counted from zero; how they fall out |
//! | `fault NAME N` | a fault at the Nth call of its kind, counted from zero in what the next line does |
//! | `dice N` | what is left to chance in the next line is drawn as this; zero if not said |
//! | `come-back` | faults are over: the store must write again |
//! | `crash WHEN kill`, `crash WHEN power-loss nothing` | in the last operation, or in the recovery from the crash before it |
//! | `but keeps change N of PLACE`, `but loses ...` | an exception: see [`crate::disk::What`] |
//! | `then DEED`, `then DEED power-loss nothing` | after the last recovery: see [`chain::Deed`] |
//! | `drawn POINT IMAGE` | what is left to chance in a recovery is drawn as at this address |
//!
//! `WHEN` is `after`, `before CALL N`, or `inside CALL N` with how far it came: `cut BYTES`, `torn
//! NAME`, `grown LENGTH`, `synced { kept; pending; scattered SEED }`, `happened`, `not-happened`.
//!
//! - V1. Reading what was written gives the same; writing what was read gives the same text, but for
//!   comments below the head.
//! - V2. A file that is wrong in any way is refused with the line. Nothing in it is skipped.

pub mod actions;
mod gather;
pub mod parts;
mod play;
mod predicates;
mod read;
mod reads;
pub mod settings;
#[cfg(test)]
mod tests;
pub mod words;
mod write;

use crate::checker::Invariant;
use crate::history::History;
use crate::tally::Violation;

pub use crate::explore::chain;
pub use gather::{Gather, Gathered};
pub use play::{Outcome, Systems, Verdict, planted_names};
pub(crate) use read::crash as read_crash;
pub use words::Wrong;
pub(crate) use write::crash as write_crash;

use chain::Chain;

/// The version of the format.
pub const VERSION: u32 = 1;

/// What a file is expected to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It reproduces a violation of the engine that is not mended yet.
    Open,
    /// It must pass: the violation is mended.
    Fixed,
    /// It must reproduce under this planted bug, and pass without.
    Planted(String),
}

impl Status {
    /// As its line has it.
    pub fn words(&self) -> String {
        match self {
            Self::Open => "open".to_owned(),
            Self::Fixed => "fixed".to_owned(),
            Self::Planted(name) => format!("planted {name}"),
        }
    }
}

/// Which violation a file shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violates {
    /// The invariant.
    pub invariant: Invariant,
    /// Whether the store panicked.
    pub panics: bool,
}

/// A violation and the way there.
#[derive(Clone, Debug)]
pub struct Reproducer {
    /// Comments at its head.
    pub remarks: Vec<String>,
    /// What it is expected to do.
    pub status: Status,
    /// How many operations its bug's first violation must come down to, and this file has at most.
    pub shrinks_to: Option<usize>,
    /// What it shows.
    pub violates: Violates,
    /// What is done. The luck is as long as the operations.
    pub history: History,
    /// Where that is stopped, and what is done then.
    pub chain: Chain,
}

impl Violates {
    /// What stands for a violation: the same invariant, and a panic for a panic.
    pub fn of(violation: &Violation) -> Self {
        let panics = violation.expected == "no panic";
        Self { invariant: violation.invariant, panics }
    }

    /// The word for the invariant.
    pub fn word(self) -> &'static str {
        word_of(self.invariant)
    }
}

/// The invariant whose name starts with a word.
///
/// # Errors
/// There is none; the error names all.
pub fn invariant_of(word: &str) -> Result<Invariant, String> {
    let found = Invariant::ALL.into_iter().find(|invariant| word_of(*invariant) == word);
    found.ok_or_else(|| format!("expected one of {}", Invariant::ALL.map(word_of).join(", ")))
}

/// The first word of an invariant's name.
pub fn word_of(invariant: Invariant) -> &'static str {
    invariant.name().split(' ').next().expect("a split has at least one part")
}

impl Reproducer {
    /// Reads a file.
    ///
    /// # Errors
    /// The first thing that is wrong, and its line (V2).
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        read::reproducer(text)
    }

    /// The text of the file (V1).
    pub fn text(&self) -> String {
        write::reproducer(self)
    }
}
