//! A history: what one seed does to one store.
//!
//! **Place.** Made by [`workload`], carried out by [`crate::forward`]. A history is plain data and
//! a pure function of its seed; what the store answers changes nothing of it.
//!
//! - H1. A name keeps its dimension for the whole history, so that a vector made for it fits
//!   whether or not a drop or a creation before it succeeded.
//! - H2. Row ids come from small key spaces, so overwrites and deletes hit.

pub mod clients;
mod encrypted;
mod filters;
mod forms;
mod indexes;
mod motif;
mod profile;
mod queries;
pub mod requests;
pub mod workload;

use std::sync::Arc;

use quiver_store::{Descriptor, FilterableField, Options};

use crate::address::{Address, Of};
use crate::disk::{Fault, Medium, Survivors};
use crate::reads::Read;
use crate::system::Row;

/// What kind of history it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Few operations on few rows, each call a crash point. Most are.
    Small,
    /// The same with a collection of hundreds of rows.
    Many,
    /// The same with long vectors and payloads.
    Wide,
    /// Thousands of operations in one process and no crash points: what leaks shows.
    Churn,
}

impl Shape {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Small, Self::Many, Self::Wide, Self::Churn];

    /// The word for reproducers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Many => "many",
            Self::Wide => "wide",
            Self::Churn => "churn",
        }
    }
}

/// A name that a collection may have.
#[derive(Clone, Debug)]
pub struct Slot {
    /// The name.
    pub name: Arc<str>,
    /// The dimension of its vectors, always (H1).
    pub dim: u32,
    /// The ids of its rows.
    pub ids: Vec<Arc<str>>,
}

/// A change of a row, before it is known which collection has the name now.
#[derive(Clone, Debug)]
pub struct Change {
    /// Which slot.
    pub slot: usize,
    /// Which id.
    pub id: Arc<str>,
    /// The new row; `None` deletes.
    pub row: Option<Row>,
}

/// A member of a group.
#[derive(Clone, Debug)]
pub enum Member {
    /// A batch.
    Write(Vec<Change>),
    /// A creation.
    Create(usize, Descriptor),
    /// A drop.
    Drop(usize),
    /// A drop behind which the key is destroyed, where there is one.
    Shred(usize),
    /// A new row, where there is none.
    Put(Change),
    /// Another payload of a row, where there is one.
    Update(usize, Arc<str>, Arc<[u8]>),
    /// Another name, that of another slot.
    Rename(usize, usize),
    /// One more filterable field.
    AddField(usize, FilterableField),
}

/// Arguments that must be refused, with nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// A vector of another dimension.
    Dimension,
    /// An id beyond its limit.
    LongId,
    /// An id of no bytes.
    EmptyId,
    /// A collection name beyond its limit.
    LongName,
    /// A collection name with a character that it may not have.
    OddName,
    /// A schema of dimension zero.
    NoDimension,
    /// A collection that was never there.
    NoCollection,
    /// A batch beyond the limit of the settings.
    LargeBatch,
    /// A batch of nothing.
    EmptyBatch,
}

impl Bad {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Dimension,
        Self::LongId,
        Self::EmptyId,
        Self::LongName,
        Self::OddName,
        Self::NoDimension,
        Self::NoCollection,
        Self::LargeBatch,
        Self::EmptyBatch,
    ];
}

/// What becomes of the keys of an encrypted store in a backup of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CopiedKeys {
    /// They are not in it.
    #[default]
    LeftOut,
    /// They are copied.
    Included,
    /// They are copied, under a master key of the backup's own.
    Under,
}

impl CopiedKeys {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::LeftOut, Self::Included, Self::Under];
}

/// What a read is made on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The store as it is now.
    Store,
    /// The held snapshot of this number, counted round those that are held; the store if none is.
    Snapshot(u64),
}

/// One step of a history.
#[derive(Clone, Debug)]
pub enum Action {
    /// A request through the shortest call that can carry it.
    Single(Member),
    /// `upsert_batch`.
    Batch(Vec<Change>),
    /// `write`.
    Write(Vec<Change>),
    /// Several requests submitted, then driven this often; what then still waits is driven by the
    /// next call, or lost with the process.
    Group(Vec<Member>, u32),
    /// A row is read.
    Get(usize, Arc<str>),
    /// A collection is read from end to end.
    Scan(usize),
    /// Everything is read.
    ReadAll,
    /// A call that reads.
    Read(Source, usize, Read),
    /// A snapshot is taken and held.
    Snapshot,
    /// All of a held snapshot is read; the number is counted round.
    ReadSnapshot(u64),
    /// A held snapshot or iterator is let go; the number is counted round.
    Release(u64),
    /// Everything held is let go.
    ReleaseAll,
    /// An iterator is started, shows so many rows and is held.
    Pause(Source, usize, Read, u64),
    /// A held iterator shows so many rows more; its number is counted round.
    Resume(u64, u64),
    /// An index is built over a collection and held.
    CaptureIndex(usize),
    /// `checkpoint_with_index_snapshots`, of those that are held.
    KeepIndexes,
    /// An index is restored from its snapshot.
    RestoreIndex(usize),
    /// `checkpoint`.
    Checkpoint,
    /// `maintain`, once.
    Maintain,
    /// `maintain` until there is nothing left to do.
    MaintainAll,
    /// `compact`, ended after so many steps or at its end.
    Compact(Option<u64>),
    /// `verify`.
    Verify,
    /// `backup_to`, or going on with one that did not come to its end: called off after so many reads or
    /// not at all, with so many steps of `maintain` at each; and what becomes of the keys, where there
    /// are any.
    BackUp(Option<u64>, u64, CopiedKeys),
    /// Another master key in the place of the one before, where there is one.
    Rotate,
    /// A collection is written anew under a new key, where it has one.
    Rekey(usize),
    /// A clean end, and a reopen.
    Close,
    /// A kill of the process between two calls, and a reopen.
    Kill,
    /// A kill of the process before or inside the last call's I/O call of this number (counted
    /// round its number of calls), and a reopen.
    KillInside(u64),
    /// A loss of power between two calls, and a reopen.
    PowerLoss,
    /// A loss of power before or inside an I/O call, as in `KillInside`, and a reopen.
    PowerLossInside(u64),
    /// A second opener.
    SecondOpen,
    /// An observer is set, and what it was told is looked at after each operation until the process ends.
    Observe,
    /// A wrong argument.
    Bad(Bad, usize),
    /// The disk has so many bytes left from here on.
    SpaceLeft(u64),
    /// It has room again.
    SpaceBack,
}

impl Action {
    /// Whether another process goes on behind it.
    fn ends_process(&self) -> bool {
        matches!(
            self,
            Self::Close
                | Self::Kill
                | Self::KillInside(_)
                | Self::PowerLoss
                | Self::PowerLossInside(_)
        )
    }
}

/// A fault to come, counted in calls of its kind from here.
#[derive(Clone, Debug)]
pub struct Planned {
    /// How many calls of its kind go well first.
    pub after_calls: u64,
    /// What happens then.
    pub fault: Fault,
}

/// A fault at a call of its kind in one process, counted from the mount of its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strike {
    /// Which process, from zero for the one that creates the store: each stop starts the next.
    pub process: usize,
    /// Which call of the fault's kind, from zero.
    pub call: u64,
    /// What happens then.
    pub fault: Fault,
}

/// One step of a history and the faults that are armed just before it.
#[derive(Clone, Debug)]
pub struct Operation {
    /// What is done.
    pub action: Action,
    /// What goes wrong.
    pub faults: Vec<Planned>,
}

/// How what is left to chance in one step falls out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Luck {
    /// Tells its draws from those of the other steps.
    pub dice: u64,
    /// What survives if it loses power; drawn where it is not said.
    pub loss: Option<Survivors>,
}

/// What one seed does.
#[derive(Clone, Debug)]
pub struct History {
    /// The seed.
    pub seed: u64,
    /// What kind of history it is.
    pub shape: Shape,
    /// The settings that the store is opened with, each time.
    pub options: Options,
    /// The names in use.
    pub slots: Vec<Slot>,
    /// What goes wrong while the store is created.
    pub opening: Vec<Planned>,
    /// The steps.
    pub operations: Vec<Operation>,
    /// What goes wrong besides, by the process.
    pub strikes: Vec<Strike>,
    /// Seeds what the strikes leave to chance.
    pub dice: u64,
    /// How they fall out, in the same order. Steps beyond its end draw by their place.
    pub luck: Vec<Luck>,
    /// What its disks do where a medium may do more than one thing.
    pub medium: Medium,
    /// Whether the store is encrypted, where it can be.
    pub encrypted: bool,
    /// Whether any fault is planned: the store must then write again once faults are over.
    pub faulty: bool,
}

impl History {
    /// The history of a run of one store: that of its seed, on its filesystem.
    pub fn at(run: Address) -> Self {
        let mut history = Self::of(run.seed);
        history.medium.filesystem = run.kind().filesystem();
        history
    }

    /// The same with an observer in each process, and with the luck that each step had.
    #[must_use]
    pub fn observed(&self) -> Self {
        let observe = Operation { action: Action::Observe, faults: Vec::new() };
        let (mut operations, mut luck) = (vec![observe.clone()], vec![Luck::default()]);
        for (place, operation) in self.operations.iter().enumerate() {
            let loss = self.luck.get(place).and_then(|luck| luck.loss.clone());
            luck.push(Luck { dice: self.dice_of(place), loss });
            operations.push(operation.clone());
            if operation.action.ends_process() {
                luck.push(Luck::default());
                operations.push(observe.clone());
            }
        }
        Self { operations, luck, ..self.clone() }
    }

    /// The address of its run.
    pub fn address(&self) -> Address {
        Address::of(Of::on(self.medium.filesystem), self.seed)
    }

    /// What tells the draws of a step from those of the others.
    pub fn dice_of(&self, operation: usize) -> u64 {
        self.luck.get(operation).map_or(operation as u64, |luck| luck.dice)
    }
}
