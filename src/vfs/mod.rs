//! The one seam between the engine and the world: files, directories, locks, time, randomness, threads.
//!
//! **Place.** Floor 1. Everything above it reaches a disk only through [`Disk`] and [`DiskFile`],
//! which stand on the traits [`Vfs`] and [`File`]. Behind the traits is the operating system
//! ([`os`]), a plain in-memory disk ([`memory`]) or a simulated disk of another crate.
//!
//! **Contract**, which every implementation keeps and the conformance suite checks:
//!
//! - V1. Only [`File::sync_data`] makes bytes and lengths durable, and only of that file.
//! - V2. Only [`Vfs::sync_dir`] makes names durable, and only of that directory.
//! - V3. Files only grow. There is no truncation, no hard link, no rename across directories.
//! - V4. Reads and writes are positional, may be short, and may fail with `Interrupted`.
//! - V5. Every call names its call site, so that a trace, a fault or an elided sync can be tied
//!   to the line of the engine that asked for it.

mod disk;
pub mod memory;
pub mod os;

use std::fmt;
use std::io;
use std::panic::Location;
use std::path::Path;

use crate::sync::Arc;
pub use disk::{Disk, DiskFile};

/// The line of the engine that made a call through the seam.
///
/// `#[track_caller]` does not see through `dyn`, so [`Disk`] takes it and passes it on.
pub type CallSite = &'static Location<'static>;

/// What an opened file may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads only.
    Read,
    /// Reads and writes.
    ReadWrite,
}

/// Whether a directory entry is a file or a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Anything else: a socket, a device, a link. The engine never makes one.
    Other,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The name, without its directory. Names that are not UTF-8 are shown lossily; the engine
    /// never makes one.
    pub name: String,
    /// What the name stands for.
    pub kind: EntryKind,
}

/// A filesystem.
///
/// Paths are absolute or relative to the working directory of the process, as the caller of
/// [`Env`](crate::Env) chose. Every error is the plain `io::Error` of the call; [`Disk`] adds the path.
pub trait Vfs: Send + Sync + fmt::Debug {
    /// Creates a file that did not exist and opens it for reading and writing.
    ///
    /// *Durability*: none, neither of the name nor of the file. `AlreadyExists` if the name is
    /// taken.
    fn create_new(&self, path: &Path, site: CallSite) -> io::Result<Arc<dyn File>>;

    /// Opens a file that exists. A directory is refused.
    fn open(&self, path: &Path, access: Access, site: CallSite) -> io::Result<Arc<dyn File>>;

    /// Gives a file another name in the same directory, replacing a file that has that name.
    ///
    /// *Durability*: none until [`Vfs::sync_dir`]. After a crash both, either or neither name may
    /// be there, but never a mix of the two files.
    fn rename(&self, from: &Path, to: &Path, site: CallSite) -> io::Result<()>;

    /// Removes a name. Handles that are open stay usable.
    ///
    /// *Durability*: none until [`Vfs::sync_dir`]: the name may come back after a crash.
    fn unlink(&self, path: &Path, site: CallSite) -> io::Result<()>;

    /// Creates one directory, whose parent exists. `AlreadyExists` if the name is taken.
    ///
    /// *Durability*: none until the *parent* is synced.
    fn create_dir(&self, path: &Path, site: CallSite) -> io::Result<()>;

    /// The names in a directory, in ascending order of their bytes.
    fn read_dir(&self, path: &Path, site: CallSite) -> io::Result<Vec<DirEntry>>;

    /// Makes durable every earlier change of names in this directory.
    ///
    /// *Durability*: the names only; neither the content of the files they stand for, nor the
    /// directory's own name in its parent.
    fn sync_dir(&self, path: &Path, site: CallSite) -> io::Result<()>;

    /// Takes a lock on a file, which is never removed. For reading it is shared with others that read,
    /// and the file has to be there; for writing it is held alone, and the file is created if it is
    /// missing.
    ///
    /// `WouldBlock` at once if someone holds it who does not share it, in this process too;
    /// `NotFound`. The lock ends when the guard is dropped or the process dies.
    fn lock(&self, path: &Path, access: Access, site: CallSite) -> io::Result<Box<dyn Lock>>;
}

/// An open file.
pub trait File: Send + Sync + fmt::Debug {
    /// Reads bytes at an offset; how many is returned, zero only at or past the end.
    fn read_at(&self, buf: &mut [u8], offset: u64, site: CallSite) -> io::Result<usize>;

    /// Writes bytes at an offset; how many is returned. The file grows if need be, and a gap
    /// reads as zeros.
    ///
    /// *Durability*: none until [`File::sync_data`]. After a crash any part of it, down to single
    /// 512-byte sectors, may be there. On an error a prefix may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64, site: CallSite) -> io::Result<usize>;

    /// Makes the file at least `len` bytes long and reserves the space. New bytes read as zeros.
    ///
    /// `StorageFull` where the disk is full; no byte that was there before is changed.
    /// *Durability*: none until [`File::sync_data`].
    fn allocate(&self, len: u64, site: CallSite) -> io::Result<()>;

    /// The length in bytes.
    fn len(&self, site: CallSite) -> io::Result<u64>;

    /// Makes durable every earlier write and length change of this file, by any handle.
    ///
    /// After an error nothing is known: a later success says nothing about the bytes before it.
    fn sync_data(&self, site: CallSite) -> io::Result<()>;
}

/// A lock, held until it is dropped.
pub trait Lock: Send + Sync + fmt::Debug {}

/// Time. No promise of the engine depends on it; it dates trace events and paces background work.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Microseconds since an arbitrary start, never going backwards on an honest clock.
    fn monotonic_us(&self) -> u64;
}

/// Randomness for store ids and file salts.
pub trait Entropy: Send + Sync + fmt::Debug {
    /// Fills the buffer with unpredictable bytes, or fails; there is no weaker source to fall
    /// back to.
    fn fill(&self, buf: &mut [u8]) -> io::Result<()>;
}

/// Threads of a store's own, and what they sleep on.
///
/// A store without them does its background work behind writes, in the threads of its callers.
pub trait Threads: Send + Sync + fmt::Debug {
    /// Runs a body in a thread of its own. After an error the body was not run and is dropped.
    fn spawn(&self, name: &str, body: Box<dyn FnOnce() + Send>) -> io::Result<Box<dyn Thread>>;

    /// A new bell.
    fn bell(&self) -> Arc<dyn Bell>;
}

/// A thread that was begun.
pub trait Thread: Send + Sync + fmt::Debug {
    /// Sleeps until the body has ended, by a panic too. Returns at once in that thread itself.
    fn join(self: Box<Self>);
}

/// What a thread sleeps on, and what others wake it by.
pub trait Bell: Send + Sync + fmt::Debug {
    /// Wakes whoever waits. Where nobody does, the next wait returns at once.
    fn ring(&self);

    /// Sleeps until somebody rings; whether somebody did, where a time in microseconds ends it too.
    fn wait(&self, us_max: Option<u64>) -> bool;
}
