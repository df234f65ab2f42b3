//! The record of a run on the simulated disk: calls, and the disks before and after them.
//!
//! **Place.** The explorer makes crash points of [`Step`]s and prints [`IoCall`]s.

use std::fmt;
use std::io;
use std::sync::Arc;

use quiver_store::vfs::CallSite;
use rand::Rng;

use super::fault::{CallClass, Fault};
use super::inode::{FileChange, Inode};
use super::state::{DiskState, NodeId};
use super::tear::WriteTear;
use crate::stream::Stream;

/// How much of a run is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recording {
    /// Only counters and the running hash.
    #[default]
    Off,
    /// Every call.
    Trace,
    /// Every call, and the disk before and after each one that changes it.
    Forks,
}

/// Which call of the seam.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IoKind {
    /// `Vfs::create_new`.
    Create,
    /// `Vfs::open`.
    Open,
    /// `Vfs::rename`.
    Rename,
    /// `Vfs::unlink`.
    Unlink,
    /// `Vfs::create_dir`.
    CreateDir,
    /// `Vfs::read_dir`.
    ReadDir,
    /// `Vfs::sync_dir`.
    SyncDir,
    /// `Vfs::lock`.
    Lock,
    /// `File::read_at`.
    Read,
    /// `File::write_at`.
    Write,
    /// `File::allocate`.
    Allocate,
    /// `File::len`.
    Len,
    /// `File::sync_data`.
    Sync,
    /// `Entropy::fill`.
    Entropy,
}

impl IoKind {
    /// The name of the call.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create_new",
            Self::Open => "open",
            Self::Rename => "rename",
            Self::Unlink => "unlink",
            Self::CreateDir => "create_dir",
            Self::ReadDir => "read_dir",
            Self::SyncDir => "sync_dir",
            Self::Lock => "lock",
            Self::Read => "read",
            Self::Write => "write",
            Self::Allocate => "allocate",
            Self::Len => "len",
            Self::Sync => "sync",
            Self::Entropy => "entropy",
        }
    }

    /// Whether the call may change what a crash leaves. A `lock` that makes its file does too.
    pub fn mutates(self) -> bool {
        !matches!(self, Self::Open | Self::ReadDir | Self::Read | Self::Len | Self::Entropy)
    }

    /// The calls with which this one is counted for faults.
    pub(crate) fn class(self) -> Option<CallClass> {
        Some(match self {
            Self::Create | Self::CreateDir => CallClass::Create,
            Self::Open => CallClass::Open,
            Self::Rename => CallClass::Rename,
            Self::Unlink => CallClass::Unlink,
            Self::ReadDir => CallClass::ReadDir,
            Self::SyncDir => CallClass::SyncDir,
            Self::Read => CallClass::Read,
            Self::Write => CallClass::Write,
            Self::Allocate => CallClass::Allocate,
            Self::Len => CallClass::Len,
            Self::Sync => CallClass::Sync,
            Self::Entropy => CallClass::Entropy,
            Self::Lock => return None,
        })
    }
}

/// One call through the seam and what came of it.
#[derive(Clone, Debug)]
pub struct IoCall {
    /// Its place among all calls of the process, from zero.
    pub index: u64,
    /// Which call.
    pub kind: IoKind,
    /// The path it named, or that its handle was opened by.
    pub path: Arc<str>,
    /// The new name of a rename.
    pub to: Option<Arc<str>>,
    /// Where in the file.
    pub offset: u64,
    /// How many bytes were asked for; the length of an allocation.
    pub len: u64,
    /// What it answered: bytes, entries, a length, or nothing (zero).
    pub result: Result<u64, io::ErrorKind>,
    /// The fault that struck it.
    pub fault: Option<Fault>,
    /// Whether it was a sync that was switched off.
    pub elided: bool,
    /// The line of the engine that made it.
    pub site: CallSite,
    /// The file or directory it changed or synced.
    pub(crate) node: Option<NodeId>,
}

impl IoCall {
    /// The calls with which this one was counted for faults. A lock counts where it made its file.
    pub fn class(&self) -> Option<CallClass> {
        let makes_a_file = self.kind == IoKind::Lock && self.node.is_some();
        if makes_a_file { Some(CallClass::Create) } else { self.kind.class() }
    }

    /// The line of the engine that made it, as `src/wal/writer.rs:120`.
    pub fn site_label(&self) -> String {
        site_label(self.site)
    }
}

/// A call site as `src/wal/writer.rs:120`.
pub(crate) fn site_label(site: CallSite) -> String {
    format!("{}:{}", site.file(), site.line())
}

impl fmt::Display for IoCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{} {} {}", self.index, self.kind.name(), self.path)?;
        match self.kind {
            IoKind::Rename => write!(f, " to {}", self.to.as_deref().unwrap_or("?"))?,
            IoKind::Read | IoKind::Write => write!(f, " at {} + {}", self.offset, self.len)?,
            IoKind::Allocate => write!(f, " to {}", self.len)?,
            _ => {}
        }
        match self.result {
            Ok(_) if self.elided => write!(f, " = switched off")?,
            Ok(count) => match self.kind {
                IoKind::Read | IoKind::Write | IoKind::Len | IoKind::ReadDir => {
                    write!(f, " = {count}")?;
                }
                _ => write!(f, " = ok")?,
            },
            Err(kind) => write!(f, " = failed: {kind}")?,
        }
        if let Some(fault) = self.fault {
            write!(f, " [{}]", fault.name())?;
        }
        write!(f, " ({})", site_label(self.site))
    }
}

/// One call that may change what a crash leaves.
#[derive(Clone, Debug)]
pub struct Step {
    /// The call.
    pub call: IoCall,
    /// The disk just before it.
    pub before: DiskState,
    /// The disk just after it.
    pub after: DiskState,
}

impl Step {
    /// A disk that a process killed *inside* this call may leave: a write is torn in the page
    /// cache, a sync has made some mutations durable and not others, a change of names happened
    /// or did not.
    ///
    /// `None` where the call has no inside: it did nothing, or cannot be divided.
    pub fn inside<R: Rng + ?Sized>(&self, rng: &mut R) -> Option<DiskState> {
        match self.call.kind {
            IoKind::Write | IoKind::Allocate => self.inside_change(&mut Stream::from_rng(rng)),
            IoKind::Sync | IoKind::SyncDir if self.call.elided => None,
            IoKind::Sync | IoKind::SyncDir => self.before.partly_synced(self.call.node?, rng),
            IoKind::Create | IoKind::Rename | IoKind::Unlink | IoKind::CreateDir | IoKind::Lock => {
                let changed = self.before.inner().next_order < self.after.inner().next_order;
                let happened = Stream::from_rng(rng).chance(1, 2);
                changed.then(|| if happened { self.after.clone() } else { self.before.clone() })
            }
            IoKind::Open | IoKind::ReadDir | IoKind::Read | IoKind::Len | IoKind::Entropy => None,
        }
    }

    /// A write or allocation that happened in part.
    fn inside_change(&self, dice: &mut Stream) -> Option<DiskState> {
        let node = self.call.node?;
        let new_order = self.before.inner().next_order + 1;
        let after = self.after.inner().file(node);
        let mutation = after.pending.iter().find(|mutation| mutation.order >= new_order)?;
        let mut state = self.before.clone();
        let inner = state.inner_mut();
        let order = inner.take_order();
        let inode = inner.file_mut(node);
        match mutation.change {
            FileChange::Grow { from } => {
                let step = mutation.after.len() - from;
                if step < 2 {
                    return None;
                }
                inode.grow(order, from + 1 + dice.below(step - 1));
            }
            FileChange::Write { offset, count, .. } => {
                if count < 2 {
                    return None;
                }
                let len = usize::try_from(count).expect("it was a slice in memory");
                let mut bytes = vec![0; len];
                mutation.after.read(&mut bytes, offset);
                if dice.chance(3, 4) {
                    let cut = 1 + dice.index(len - 1);
                    // Kernels copy by pages, devices by sectors: half the cuts are at a sector.
                    let sector_cut = (cut.next_multiple_of(512)).min(len - 1);
                    let cut = if dice.chance(1, 2) { sector_cut } else { cut };
                    inode.write(order, &bytes[..cut], offset);
                } else {
                    let tear = WriteTear::ALL[dice.index(WriteTear::ALL.len())];
                    tear_into(inode, order, &bytes, offset, tear);
                }
            }
        }
        inner.settle(node);
        Some(state)
    }
}

/// Writes the sectors of a write that a tear keeps, as one mutation each.
fn tear_into(inode: &mut Inode, order: u64, bytes: &[u8], offset: u64, tear: WriteTear) {
    let first = offset / 512;
    let end = offset + bytes.len() as u64;
    let count = end.div_ceil(512) - first;
    for at in (0..count).filter(|at| tear.keeps(*at, count)) {
        let from = offset.max((first + at) * 512) - offset;
        let to = end.min((first + at + 1) * 512) - offset;
        let range = usize::try_from(from).expect("inside the slice")
            ..usize::try_from(to).expect("inside the slice");
        inode.write(order, &bytes[range], offset + from);
    }
    if !tear.ends_with_the_last_kept_sector() {
        inode.grow(order, end);
    }
}
