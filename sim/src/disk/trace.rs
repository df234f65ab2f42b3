//! The record of a run on the simulated disk: calls, and the disks before and after them.
//!
//! **Place.** The explorer makes crash points of [`Step`]s and prints [`IoCall`]s.

use std::fmt;
use std::io;
use std::sync::Arc;

use quiver_store::vfs::CallSite;

use super::fault::{CallClass, Fault};
use super::state::{DiskState, NodeId};

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
#[non_exhaustive]
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
    /// `File::set_len` of the face that is like the standard library's: no call of the seam.
    SetLen,
    /// The removal of an empty directory: no call of the seam either.
    RemoveDir,
}

impl IoKind {
    /// Every call.
    pub const ALL: [Self; 16] = [
        Self::Create,
        Self::Open,
        Self::Rename,
        Self::Unlink,
        Self::CreateDir,
        Self::ReadDir,
        Self::SyncDir,
        Self::Lock,
        Self::Read,
        Self::Write,
        Self::Allocate,
        Self::Len,
        Self::Sync,
        Self::Entropy,
        Self::SetLen,
        Self::RemoveDir,
    ];

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
            Self::SetLen => "set_len",
            Self::RemoveDir => "remove_dir",
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
            Self::Unlink | Self::RemoveDir => CallClass::Unlink,
            Self::ReadDir => CallClass::ReadDir,
            Self::SyncDir => CallClass::SyncDir,
            Self::Read => CallClass::Read,
            Self::Write => CallClass::Write,
            Self::Allocate | Self::SetLen => CallClass::Allocate,
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
            IoKind::Allocate | IoKind::SetLen => write!(f, " to {}", self.len)?,
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
    /// The LSN that a reader saw just before it; zero where nobody looked.
    pub visible: u64,
}
