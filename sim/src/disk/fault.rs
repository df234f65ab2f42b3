//! Faults while running: which call fails, how, and what it leaves.
//!
//! **Place.** `vfs` asks at every call whether a fault is due; what the fault does to the disk is
//! done there, by `crash-model.md`.

use std::collections::BTreeMap;

use super::state::NodeId;
use crate::stream::Stream;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// A read fails once.
    ReadEio,
    /// A read fails, and so does every later one of that file in this process.
    ReadEioSticky,
    /// A read gives fewer bytes than asked for and there are.
    ReadShort,
    /// A read is interrupted before it read anything.
    ReadInterrupted,
    /// Opening a file fails.
    OpenEio,
    /// Listing a directory fails.
    ReadDirEio,
    /// A write fails; none of its bytes, or a prefix, is in the page cache.
    WriteEio,
    /// A write takes a part of the bytes; the next write of the file fails.
    WriteShortThenEio,
    /// A write takes a part of the bytes.
    WriteShort,
    /// A write is interrupted before it wrote anything.
    WriteInterrupted,
    /// A write finds the disk full; none of its bytes, or a prefix, is in the page cache.
    WriteNoSpace,
    /// An allocation finds the disk full; the file is as long as it was, or a bit longer.
    AllocateNoSpace,
    /// Creating a file or directory finds the disk full.
    CreateNoSpace,
    /// Creating a file or directory fails; it happened or did not.
    CreateEio,
    /// A sync of a file fails; each pending mutation is durable or lost.
    SyncEio,
    /// The same where the cause is a full disk (delayed allocation).
    SyncNoSpace,
    /// Writeback fails at a write, which itself succeeds; the next sync in this process reports it
    /// once. After a kill nobody is told.
    WritebackEio,
    /// A sync of a directory fails; each pending change is durable or lost.
    SyncDirEio,
    /// A rename fails; it happened or did not.
    RenameEio,
    /// An unlink fails; it happened or did not.
    UnlinkEio,
    /// The random number source fails.
    EntropyFails,
}

/// Calls that are counted together for faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum CallClass {
    /// `read_at`.
    Read,
    /// `open`.
    Open,
    /// `read_dir`.
    ReadDir,
    /// `write_at`.
    Write,
    /// `allocate`, and `set_len` where there is one.
    Allocate,
    /// `create_new`, `create_dir`, and `lock` where it makes the file.
    Create,
    /// `sync_data`.
    Sync,
    /// `sync_dir`.
    SyncDir,
    /// `rename`.
    Rename,
    /// `unlink`, and `remove_dir` where there is one.
    Unlink,
    /// `Entropy::fill`.
    Entropy,
    /// `len`: has no faults.
    Len,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 21] = [
        Self::ReadEio,
        Self::ReadEioSticky,
        Self::ReadShort,
        Self::ReadInterrupted,
        Self::OpenEio,
        Self::ReadDirEio,
        Self::WriteEio,
        Self::WriteShortThenEio,
        Self::WriteShort,
        Self::WriteInterrupted,
        Self::WriteNoSpace,
        Self::AllocateNoSpace,
        Self::CreateNoSpace,
        Self::CreateEio,
        Self::SyncEio,
        Self::SyncNoSpace,
        Self::WritebackEio,
        Self::SyncDirEio,
        Self::RenameEio,
        Self::UnlinkEio,
        Self::EntropyFails,
    ];

    /// The word for reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadEio => "read-eio",
            Self::ReadEioSticky => "read-eio-sticky",
            Self::ReadShort => "read-short",
            Self::ReadInterrupted => "read-interrupted",
            Self::OpenEio => "open-eio",
            Self::ReadDirEio => "read-dir-eio",
            Self::WriteEio => "write-eio",
            Self::WriteShortThenEio => "write-short-then-eio",
            Self::WriteShort => "write-short",
            Self::WriteInterrupted => "write-interrupted",
            Self::WriteNoSpace => "write-no-space",
            Self::AllocateNoSpace => "allocate-no-space",
            Self::CreateNoSpace => "create-no-space",
            Self::CreateEio => "create-eio",
            Self::SyncEio => "sync-eio",
            Self::SyncNoSpace => "sync-no-space",
            Self::WritebackEio => "writeback-eio",
            Self::SyncDirEio => "sync-dir-eio",
            Self::RenameEio => "rename-eio",
            Self::UnlinkEio => "unlink-eio",
            Self::EntropyFails => "entropy-fails",
        }
    }

    /// Whether a store carries on after it: it excuses no error.
    pub fn is_benign(self) -> bool {
        use Fault::{ReadInterrupted, ReadShort, WriteInterrupted, WriteShort};
        matches!(self, ReadShort | ReadInterrupted | WriteShort | WriteInterrupted)
    }

    /// The calls among which this fault's `call_index` counts.
    pub fn class(self) -> CallClass {
        match self {
            Self::ReadEio | Self::ReadEioSticky | Self::ReadShort | Self::ReadInterrupted => {
                CallClass::Read
            }
            Self::OpenEio => CallClass::Open,
            Self::ReadDirEio => CallClass::ReadDir,
            Self::WriteEio
            | Self::WriteShortThenEio
            | Self::WriteShort
            | Self::WriteInterrupted
            | Self::WriteNoSpace
            | Self::WritebackEio => CallClass::Write,
            Self::AllocateNoSpace => CallClass::Allocate,
            Self::CreateNoSpace | Self::CreateEio => CallClass::Create,
            Self::SyncEio | Self::SyncNoSpace => CallClass::Sync,
            Self::SyncDirEio => CallClass::SyncDir,
            Self::RenameEio => CallClass::Rename,
            Self::UnlinkEio => CallClass::Unlink,
            Self::EntropyFails => CallClass::Entropy,
        }
    }
}

/// A fault at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedFault {
    /// Which call of the fault's class, counted from zero since the plan was set.
    pub call_index: u64,
    /// What goes wrong.
    pub fault: Fault,
}

/// The faults of one process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultPlan {
    /// The faults, in any order. Of two at one call the first counts.
    pub faults: Vec<PlannedFault>,
    /// Seeds what a fault leaves to chance: which prefix was written, what a failed sync lost.
    pub seed: u64,
}

/// A plan under way.
#[derive(Debug)]
pub(crate) struct Faults {
    planned: Vec<PlannedFault>,
    calls: BTreeMap<CallClass, u64>,
    fired: BTreeMap<&'static str, u64>,
    pub(crate) dice: Stream,
    /// Files of which every read fails.
    pub(crate) unreadable: Vec<NodeId>,
    /// Files of which the next write fails.
    pub(crate) next_write_fails: Vec<NodeId>,
}

impl Default for Faults {
    fn default() -> Self {
        Self::new(FaultPlan::default())
    }
}

impl Faults {
    /// Starts counting calls.
    pub(crate) fn new(plan: FaultPlan) -> Self {
        Self {
            planned: plan.faults,
            calls: BTreeMap::new(),
            fired: BTreeMap::new(),
            dice: Stream::new(plan.seed),
            unreadable: Vec::new(),
            next_write_fails: Vec::new(),
        }
    }

    /// Counts a call; the fault that is due at it.
    pub(crate) fn due(&mut self, class: CallClass) -> Option<Fault> {
        if self.planned.is_empty() {
            return None;
        }
        let count = self.calls.entry(class).or_default();
        let index = *count;
        *count += 1;
        let due =
            |planned: &&PlannedFault| planned.fault.class() == class && planned.call_index == index;
        self.planned.iter().find(due).map(|planned| planned.fault)
    }

    /// Counts a fault that really changed what a call did.
    pub(crate) fn fire(&mut self, fault: Fault) {
        self.note(fault.name());
    }

    /// Counts what a fault led to.
    pub(crate) fn note(&mut self, name: &'static str) {
        *self.fired.entry(name).or_default() += 1;
    }

    /// How often each fault fired.
    pub(crate) fn fired(&self) -> BTreeMap<&'static str, u64> {
        self.fired.clone()
    }
}
