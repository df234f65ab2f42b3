//! Calls on names that the seam does not have: directories are removed, renamed and held open.
//!
//! **Place.** For the face that is like the standard library's. The engine never removes a directory, so
//! the seam says nothing of it.
//!
//! - N1. A removal is a change of the names of the parent, pending like any other. With it lost the
//!   directory is back, and what is pending in it is there or not, each by itself. With it there nothing
//!   of the directory is, whatever became of the changes inside.
//! - N2. A directory has one name: a rename of it that survives takes it from wherever an earlier change, or
//!   the loss of one, had put it. Of a file two names would stay, as of two links.
//! - N3. A handle is of the directory, not of its path: what it syncs is what it was opened on.

use std::io;
use std::path::Path;
use std::sync::Arc;

use quiver_store::vfs::CallSite;

use super::directory::{Directory, EntryChange, Name};
use super::machine::{Head, Machine, Notes, SimDisk};
use super::state::{Found, Node, NodeId};
use super::trace::IoKind;
use super::vfs::path_text;

/// Nodes beyond which a directory sync sweeps the ones that nothing reaches.
const SWEEP_NODES_MIN: usize = 16;

/// An open directory of the simulated disk (N3). It counts as an open file.
#[derive(Debug)]
pub(crate) struct SimDirectory {
    disk: SimDisk,
    node: NodeId,
    path: Arc<str>,
}

impl Drop for SimDirectory {
    fn drop(&mut self) {
        self.disk.lock_machine().closed(self.node);
    }
}

impl SimDirectory {
    /// Makes its names durable.
    pub(crate) fn sync(&self, site: CallSite) -> io::Result<()> {
        let (kind, path) = (IoKind::SyncDir, &*self.path);
        let head = Head { kind, path, to: None, offset: 0, len: 0, site };
        self.disk.run(head, |machine, notes| machine.sync_directory(self.node, site, notes))
    }
}

impl SimDisk {
    /// A handle of a directory that has just been looked at: it is no call of its own.
    pub(crate) fn hold_directory(&self, path: &Path) -> io::Result<SimDirectory> {
        let mut machine = self.lock_machine();
        let (node, _) = machine.directory(path)?;
        machine.opened(node);
        Ok(SimDirectory { disk: self.clone(), node, path: path_text(path)?.into() })
    }

    /// Removes the name of a directory in which no names are (N1).
    pub(crate) fn remove_dir(&self, path: &Path, site: CallSite) -> io::Result<()> {
        self.run(Head::of_path(IoKind::RemoveDir, path, site)?, |machine, notes| {
            let found = machine.inner().lookup(path)?;
            let (_, directory) = machine.directory(path)?;
            let parent = found.parent.ok_or(io::ErrorKind::ResourceBusy)?;
            if !directory.volatile.is_empty() {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            notes.node = Some(parent);
            let happens = notes.due.is_none() || machine.faults.dice.chance(1, 2);
            if happens {
                let assigns = vec![(Name::new(found.name), None)];
                machine.inner_mut().change_entries(parent, EntryChange::RemoveDir, assigns);
            }
            notes.due.map_or(Ok(()), |fault| Err(notes.strike(fault)))
        })
    }

    /// `Vfs::rename`, of directories too.
    pub(crate) fn rename_any(&self, from: &Path, to: &Path, site: CallSite) -> io::Result<()> {
        let head = Head { to: Some(path_text(to)?), ..Head::of_path(IoKind::Rename, from, site)? };
        self.run(head, |machine, notes| {
            let source = machine.inner().lookup(from)?;
            let target = machine.inner().lookup(to)?;
            if source.parent != target.parent {
                return Err(io::ErrorKind::CrossesDevices.into());
            }
            machine.may_replace(source, target)?;
            machine.rename(source, target, notes)
        })
    }
}

impl Machine {
    pub(super) fn directory(&self, path: &Path) -> io::Result<(NodeId, &Directory)> {
        let id = self.inner().lookup(path)?.node.ok_or(io::ErrorKind::NotFound)?;
        match self.inner().node(id) {
            Node::Directory(directory) => Ok((id, directory)),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn is_directory(&self, id: NodeId) -> bool {
        matches!(self.inner().node(id), Node::Directory(_))
    }

    /// Whether what stands at one name may take another, as Linux has it.
    fn may_replace(&self, source: Found<'_>, target: Found<'_>) -> io::Result<()> {
        let node = source.node.ok_or(io::ErrorKind::NotFound)?;
        let Some(replaced) = target.node.filter(|replaced| *replaced != node) else {
            return Ok(());
        };
        match (self.is_directory(node), self.inner().node(replaced)) {
            (false, Node::Directory(_)) => Err(io::ErrorKind::IsADirectory.into()),
            (true, Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            (true, Node::Directory(directory)) if !directory.volatile.is_empty() => {
                Err(io::ErrorKind::DirectoryNotEmpty.into())
            }
            _ => Ok(()),
        }
    }

    /// Gives a node another name in its directory.
    pub(super) fn rename(
        &mut self,
        source: Found<'_>,
        target: Found<'_>,
        notes: &mut Notes,
    ) -> io::Result<()> {
        let node = source.node.ok_or(io::ErrorKind::NotFound)?;
        let parent = source.parent.ok_or(io::ErrorKind::ResourceBusy)?;
        let change =
            if self.is_directory(node) { EntryChange::RenameDir } else { EntryChange::Rename };
        notes.node = Some(parent);
        let happens = notes.due.is_none() || self.faults.dice.chance(1, 2);
        // Two names of one file, after a crash between two renames, stay two names (POSIX).
        if happens && target.node != Some(node) {
            let assigns =
                vec![(Name::new(source.name), None), (Name::new(target.name), Some(node))];
            self.inner_mut().change_entries(parent, change, assigns);
            target.node.inspect(|replaced| self.lost_a_name(*replaced));
        }
        notes.due.map_or(Ok(()), |fault| Err(notes.strike(fault)))
    }

    /// Makes the names in a directory durable.
    pub(super) fn sync_directory(
        &mut self,
        id: NodeId,
        site: CallSite,
        notes: &mut Notes,
    ) -> io::Result<()> {
        let idle = match self.inner().node(id) {
            Node::Directory(directory) => directory.is_quiet(),
            Node::File(_) => return Err(io::ErrorKind::NotADirectory.into()),
        };
        notes.node = Some(id);
        notes.elided = self.sync_is_elided(site);
        if notes.elided {
            return Ok(());
        }
        if let Some(fault) = notes.due {
            let Self { state, faults, medium, .. } = self;
            state.inner_mut().directory_mut(id).lose(&mut faults.dice, medium.failed_sync);
            state.inner_mut().settle(id);
            return Err(notes.strike(fault));
        }
        if !idle {
            let inner = self.inner_mut();
            inner.sync_names(id);
            if inner.nodes.len() > SWEEP_NODES_MIN {
                self.sweep();
            }
        }
        Ok(())
    }
}
