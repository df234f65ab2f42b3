//! The simulated disk behind the seam: what each call does, with and without its faults.
//!
//! - F1. A call that fails without a fault has changed nothing.
//! - F2. A failed sync makes each pending mutation durable or loses it for good; it is never
//!   pending again (`crash-model.md`, "sync EIO").

use std::io;
use std::path::Path;
use std::sync::Arc;

use quiver_store::vfs::{Access, CallSite, DirEntry, EntryKind, File, Lock, Vfs};

use super::directory::{Directory, EntryChange, Name};
use super::fault::{CallClass, Fault};
use super::inode::Inode;
use super::key::mixed;
use super::machine::{Head, Machine, Notes, SimDisk};
use super::medium::{FailedSync, UnlinkedReads, WRITEBACK_TOLD};
use super::state::{FILE_BYTES_MAX, Node, NodeId};
use super::trace::IoKind;

/// An open file of the simulated disk.
#[derive(Debug)]
pub(crate) struct SimFile {
    disk: SimDisk,
    node: NodeId,
    /// Its number among all handles of the process.
    handle: u64,
    access: Access,
    path: Arc<str>,
}

#[derive(Debug)]
struct SimLock {
    disk: SimDisk,
    node: NodeId,
    access: Access,
}

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let locked = &mut self.disk.lock_machine().locked;
        let own = locked.iter().position(|held| *held == (self.node, self.access));
        locked.remove(own.expect("held until it is dropped"));
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.disk.lock_machine().closed(self.node);
    }
}

impl Vfs for SimDisk {
    fn create_new(&self, path: &Path, site: CallSite) -> io::Result<Arc<dyn File>> {
        let opened = self.run(Head::of_path(IoKind::Create, path, site)?, |machine, notes| {
            let found = machine.inner().lookup(path)?;
            let Some(parent) = found.parent.filter(|_| found.node.is_none()) else {
                return Err(io::ErrorKind::AlreadyExists.into());
            };
            let node = machine.create(parent, found.name, NewNode::File, notes)?;
            machine.note_created(path_text(path)?);
            Ok((node, machine.opened(node)))
        })?;
        Ok(Arc::new(self.handle(opened, Access::ReadWrite, path)?))
    }

    fn open(&self, path: &Path, access: Access, site: CallSite) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(self.open_file(path, access, site)?))
    }

    fn rename(&self, from: &Path, to: &Path, site: CallSite) -> io::Result<()> {
        let head = Head { to: Some(path_text(to)?), ..Head::of_path(IoKind::Rename, from, site)? };
        self.run(head, |machine, notes| {
            if from.parent() != to.parent() {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            let source = machine.inner().lookup(from)?;
            let target = machine.inner().lookup(to)?;
            // A store keeps its directories where they are.
            let node = source.node.ok_or(io::ErrorKind::NotFound)?;
            let mut both = std::iter::once(node).chain(target.node);
            if both.any(|node| machine.is_directory(node)) {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            machine.rename(source, target, notes)
        })
    }

    fn unlink(&self, path: &Path, site: CallSite) -> io::Result<()> {
        self.run(Head::of_path(IoKind::Unlink, path, site)?, |machine, notes| {
            let found = machine.inner().lookup(path)?;
            let node = found.node.ok_or(io::ErrorKind::NotFound)?;
            let parent = match (machine.inner().node(node), found.parent) {
                (Node::File(_), Some(parent)) => parent,
                _ => return Err(io::ErrorKind::IsADirectory.into()),
            };
            let happens = notes.due.is_none() || machine.faults.dice.chance(1, 2);
            if happens {
                let assigns = vec![(Name::new(found.name), None)];
                machine.inner_mut().change_entries(parent, EntryChange::Unlink, assigns);
                machine.lost_a_name(node);
            }
            notes.node = Some(parent);
            notes.due.map_or(Ok(()), |fault| Err(notes.strike(fault)))
        })
    }

    fn create_dir(&self, path: &Path, site: CallSite) -> io::Result<()> {
        self.run(Head::of_path(IoKind::CreateDir, path, site)?, |machine, notes| {
            let found = machine.inner().lookup(path)?;
            let Some(parent) = found.parent.filter(|_| found.node.is_none()) else {
                return Err(io::ErrorKind::AlreadyExists.into());
            };
            machine.create(parent, found.name, NewNode::Directory, notes).map(drop)
        })
    }

    fn read_dir(&self, path: &Path, site: CallSite) -> io::Result<Vec<DirEntry>> {
        self.run(Head::of_path(IoKind::ReadDir, path, site)?, |machine, notes| {
            if let Some(fault) = notes.due {
                return Err(notes.strike(fault));
            }
            let inner = machine.inner();
            let (_, directory) = machine.directory(path)?;
            let entry = |(name, node): &(Name, NodeId)| DirEntry {
                name: name.text.to_string(),
                kind: match inner.node(*node) {
                    Node::File(_) => EntryKind::File,
                    Node::Directory(_) => EntryKind::Directory,
                },
            };
            let entries: Vec<DirEntry> = directory.volatile.iter().map(entry).collect();
            notes.count = entries.len() as u64;
            for (name, _) in directory.volatile.iter() {
                notes.key = mixed(notes.key ^ name.key, 1);
            }
            Ok(entries)
        })
    }

    fn sync_dir(&self, path: &Path, site: CallSite) -> io::Result<()> {
        self.run(Head::of_path(IoKind::SyncDir, path, site)?, |machine, notes| {
            let (id, _) = machine.directory(path)?;
            machine.sync_directory(id, site, notes)
        })
    }

    fn lock(&self, path: &Path, access: Access, site: CallSite) -> io::Result<Box<dyn Lock>> {
        let node = self.run(Head::of_path(IoKind::Lock, path, site)?, |machine, notes| {
            let found = machine.inner().lookup(path)?;
            let node = match (found.node, found.parent) {
                (Some(node), _) => node,
                (None, Some(_)) if access == Access::Read => {
                    return Err(io::ErrorKind::NotFound.into());
                }
                (None, Some(parent)) => {
                    notes.due = machine.faults.due(CallClass::Create);
                    machine.create(parent, found.name, NewNode::File, notes)?
                }
                (None, None) => unreachable!("the root directory is always there"),
            };
            if matches!(machine.inner().node(node), Node::Directory(_)) {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            let mut held = machine.locked.iter().filter(|(locked, _)| *locked == node);
            if held.any(|(_, held)| (*held, access) != (Access::Read, Access::Read)) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            machine.locked.push((node, access));
            Ok(node)
        })?;
        Ok(Box::new(SimLock { disk: self.clone(), node, access }))
    }
}

impl SimDisk {
    /// A draw from the source of randomness: a call like any other, so that it is recorded and can
    /// fail.
    pub(crate) fn draw_entropy(&self, len: u64, site: CallSite) -> io::Result<()> {
        let head = Head { kind: IoKind::Entropy, path: "", to: None, offset: 0, len, site };
        self.run(head, |_, notes| match notes.due {
            Some(fault) => {
                notes.struck = Some(fault);
                Err(io::Error::other("the simulated entropy source fails"))
            }
            None => Ok(()),
        })
    }

    /// `Vfs::open`, for who needs more of the file than the seam has.
    pub(crate) fn open_file(
        &self,
        path: &Path,
        access: Access,
        site: CallSite,
    ) -> io::Result<SimFile> {
        let opened = self.run(Head::of_path(IoKind::Open, path, site)?, |machine, notes| {
            if let Some(fault) = notes.due {
                return Err(notes.strike(fault));
            }
            let node = machine.inner().lookup(path)?.node.ok_or(io::ErrorKind::NotFound)?;
            if matches!(machine.inner().node(node), Node::Directory(_)) {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            Ok((node, machine.opened(node)))
        })?;
        self.handle(opened, access, path)
    }

    fn handle(
        &self,
        (node, handle): (NodeId, u64),
        access: Access,
        path: &Path,
    ) -> io::Result<SimFile> {
        let (disk, path) = (self.clone(), path_text(path)?.into());
        Ok(SimFile { disk, node, handle, access, path })
    }
}

impl File for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64, site: CallSite) -> io::Result<usize> {
        let head = self.head(IoKind::Read, offset, buf.len() as u64, site);
        self.disk.run(head, |machine, notes| machine.read(self.node, buf, offset, notes))
    }

    fn write_at(&self, bytes: &[u8], offset: u64, site: CallSite) -> io::Result<usize> {
        let head = self.head(IoKind::Write, offset, bytes.len() as u64, site);
        self.disk.run(head, |machine, notes| {
            self.writable()?;
            notes.node = Some(self.node);
            let written = machine.write(self.node, bytes, offset, notes)?;
            notes.count = written as u64;
            notes.key = machine.inner().file(self.node).volatile.key();
            Ok(written)
        })
    }

    fn allocate(&self, len: u64, site: CallSite) -> io::Result<()> {
        let head = self.head(IoKind::Allocate, 0, len, site);
        self.disk.run(head, |machine, notes| {
            self.writable()?;
            notes.node = Some(self.node);
            machine.allocate(self.node, len, notes)
        })
    }

    fn len(&self, site: CallSite) -> io::Result<u64> {
        self.disk.run(self.head(IoKind::Len, 0, 0, site), |machine, notes| {
            notes.count = machine.inner().file(self.node).volatile.len();
            Ok(notes.count)
        })
    }

    fn sync_data(&self, site: CallSite) -> io::Result<()> {
        self.disk.run(self.head(IoKind::Sync, 0, 0, site), |machine, notes| {
            notes.node = Some(self.node);
            machine.sync(self.node, self.handle, site, notes)
        })
    }
}

impl SimFile {
    /// Makes the file just so long: cut off, or with zeros behind. A call of its own, which the seam
    /// does not have.
    pub(crate) fn set_len(&self, len: u64, site: CallSite) -> io::Result<()> {
        self.disk.run(self.head(IoKind::SetLen, 0, len, site), |machine, notes| {
            self.writable()?;
            notes.node = Some(self.node);
            if let Some(fault) = notes.due {
                return Err(notes.strike(fault));
            }
            if len > FILE_BYTES_MAX {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            let growth = len.saturating_sub(machine.inner().file(self.node).volatile.len());
            if machine.space_for(growth) < growth {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let inner = machine.inner_mut();
            let order = inner.take_order();
            inner.file_mut(self.node).set_len(order, len);
            inner.settle(self.node);
            Ok(())
        })
    }

    fn head(&self, kind: IoKind, offset: u64, len: u64, site: CallSite) -> Head<'_> {
        Head { kind, path: &self.path, to: None, offset, len, site }
    }

    fn writable(&self) -> io::Result<()> {
        match self.access {
            Access::ReadWrite => Ok(()),
            Access::Read => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }
}

impl<'a> Head<'a> {
    pub(super) fn of_path(kind: IoKind, path: &'a Path, site: CallSite) -> io::Result<Self> {
        Ok(Self { kind, path: path_text(path)?, to: None, offset: 0, len: 0, site })
    }
}

impl Notes {
    /// Notes that a fault struck; the error that the call gives for it.
    pub(super) fn strike(&mut self, fault: Fault) -> io::Error {
        self.struck = Some(fault);
        match fault {
            Fault::WriteNoSpace
            | Fault::AllocateNoSpace
            | Fault::CreateNoSpace
            | Fault::SyncNoSpace => io::ErrorKind::StorageFull.into(),
            Fault::ReadInterrupted | Fault::WriteInterrupted => io::ErrorKind::Interrupted.into(),
            _ => eio(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NewNode {
    File,
    Directory,
}

impl Machine {
    fn create(
        &mut self,
        parent: NodeId,
        name: &str,
        kind: NewNode,
        notes: &mut Notes,
    ) -> io::Result<NodeId> {
        notes.node = Some(parent);
        let happens = match notes.due {
            None if self.has_space_for_node() => true,
            None => return Err(io::ErrorKind::StorageFull.into()),
            Some(Fault::CreateEio) => self.faults.dice.chance(1, 2),
            Some(_) => false,
        };
        if !happens {
            let fault = notes.due.expect("only a fault keeps it from happening");
            return Err(notes.strike(fault));
        }
        let (node, change) = match kind {
            NewNode::File => (Node::File(Arc::new(Inode::default())), EntryChange::Create),
            NewNode::Directory => {
                (Node::Directory(Arc::new(Directory::default())), EntryChange::CreateDir)
            }
        };
        let inner = self.inner_mut();
        let id = inner.add(node);
        inner.change_entries(parent, change, vec![(Name::new(name), Some(id))]);
        notes.due.map_or(Ok(id), |fault| Err(notes.strike(fault)))
    }

    fn read(
        &mut self,
        id: NodeId,
        buf: &mut [u8],
        offset: u64,
        notes: &mut Notes,
    ) -> io::Result<usize> {
        if self.faults.unreadable.contains(&id) {
            return Err(notes.strike(Fault::ReadEioSticky));
        }
        if self.medium.unlinked_reads == UnlinkedReads::Fail && self.unlinked.contains(&id) {
            return Err(io::ErrorKind::StaleNetworkFileHandle.into());
        }
        let mut wanted = buf.len();
        match notes.due {
            Some(Fault::ReadShort) => {
                let len = self.inner().file(id).volatile.len();
                let there = usize::try_from(len.saturating_sub(offset)).unwrap_or(usize::MAX);
                let there = wanted.min(there);
                if there >= 2 {
                    wanted = 1 + self.faults.dice.index(there - 1);
                    notes.struck = notes.due;
                }
            }
            Some(fault) => {
                if fault == Fault::ReadEioSticky {
                    self.faults.unreadable.push(id);
                }
                return Err(notes.strike(fault));
            }
            None => {}
        }
        let content = &self.inner().file(id).volatile;
        let count = content.read(&mut buf[..wanted], offset);
        notes.count = count as u64;
        notes.key = content.key();
        self.bytes_read += count as u64;
        Ok(count)
    }

    fn write(
        &mut self,
        id: NodeId,
        bytes: &[u8],
        offset: u64,
        notes: &mut Notes,
    ) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let end = offset.saturating_add(bytes.len() as u64);
        if end > FILE_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if let Some(at) = self.faults.next_write_fails.iter().position(|node| *node == id) {
            self.faults.next_write_fails.remove(at);
            return Err(eio());
        }
        let len = self.inner().file(id).volatile.len();
        let growth = end.saturating_sub(len);
        let missing = growth - self.space_for(growth);
        let fitting = bytes.len().saturating_sub(usize::try_from(missing).unwrap_or(usize::MAX));
        if fitting == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let bytes = &bytes[..fitting];
        match notes.due {
            None => self.apply_write(id, bytes, offset),
            Some(Fault::WriteShort | Fault::WriteShortThenEio) => {
                if bytes.len() < 2 {
                    self.apply_write(id, bytes, offset);
                    return Ok(bytes.len());
                }
                let count = 1 + self.faults.dice.index(bytes.len() - 1);
                self.apply_write(id, &bytes[..count], offset);
                notes.struck = notes.due;
                if notes.due == Some(Fault::WriteShortThenEio) {
                    self.faults.next_write_fails.push(id);
                }
                return Ok(count);
            }
            Some(Fault::WritebackEio) => {
                self.apply_write(id, bytes, offset);
                self.lose(id);
                self.note_failed_writeback(id);
                notes.struck = notes.due;
            }
            Some(Fault::WriteInterrupted) => return Err(notes.strike(Fault::WriteInterrupted)),
            Some(fault) => {
                let prefix = self.faults.dice.chance(1, 2);
                let count = if prefix { self.faults.dice.index(bytes.len()) } else { 0 };
                self.apply_write(id, &bytes[..count], offset);
                return Err(notes.strike(fault));
            }
        }
        Ok(bytes.len())
    }

    fn apply_write(&mut self, id: NodeId, bytes: &[u8], offset: u64) {
        let inner = self.inner_mut();
        let order = inner.take_order();
        inner.file_mut(id).write(order, bytes, offset);
        inner.settle(id);
    }

    fn allocate(&mut self, id: NodeId, len: u64, notes: &mut Notes) -> io::Result<()> {
        let before = self.inner().file(id).volatile.len();
        if len > FILE_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let growth = len.saturating_sub(before);
        let fits = self.space_for(growth) == growth;
        // Where space is found missing half-way, a part of it may stay allocated.
        let reached = match notes.due {
            Some(_) if growth > 1 && self.faults.dice.chance(1, 4) => {
                before + self.faults.dice.below(growth)
            }
            Some(_) => before,
            None if fits => len,
            None => return Err(io::ErrorKind::StorageFull.into()),
        };
        if reached > before {
            let inner = self.inner_mut();
            let order = inner.take_order();
            inner.file_mut(id).grow(order, reached);
            inner.settle(id);
        }
        notes.due.map_or(Ok(()), |fault| Err(notes.strike(fault)))
    }

    fn sync(
        &mut self,
        id: NodeId,
        handle: u64,
        site: CallSite,
        notes: &mut Notes,
    ) -> io::Result<()> {
        notes.elided = self.sync_is_elided(site);
        if notes.elided {
            return Ok(());
        }
        if let Some(fault) = notes.due {
            self.lose(id);
            self.takes_report(id, handle);
            return Err(notes.strike(fault));
        }
        if !self.inner().file(id).is_quiet() {
            let resized = self.inner().file(id).has_another_length();
            let inner = self.inner_mut();
            inner.file_mut(id).sync();
            inner.settle(id);
            inner.sync_reaches(id, resized);
        }
        if self.takes_report(id, handle) {
            self.faults.note(WRITEBACK_TOLD);
            return Err(eio());
        }
        Ok(())
    }

    /// Makes each pending mutation of a file durable or loses it (F2).
    fn lose(&mut self, id: NodeId) {
        let Self { state, faults, medium, .. } = self;
        let inner = state.inner_mut();
        inner.file_mut(id).lose(&mut faults.dice, medium.failed_sync);
        if inner.file(id).lost || medium.failed_sync == FailedSync::ShowsOld {
            faults.note(medium.failed_sync.count());
        }
        inner.settle(id);
    }
}

pub(super) fn path_text(path: &Path) -> io::Result<&str> {
    path.to_str().ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// The error of the hardware, as the kernel names it.
fn eio() -> io::Error {
    const EIO: i32 = 5;
    io::Error::from_raw_os_error(EIO)
}
