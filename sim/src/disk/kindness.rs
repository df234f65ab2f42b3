//! What a filesystem promises beyond POSIX, as it bears on a loss of power.
//!
//! **Place.** [`super::medium::Filesystem`] names a set of promises; the disk keeps the set with its
//! state, so that images, nested ones too, are made under it. The reference has none of them.
//!
//! - K1. Kinder means fewer images: every image of a kinder disk is one of the reference.
//! - K2. *Names in order*: no change of a name survives that was made after one that is lost, over all
//!   directories.
//! - K3. *Syncs reach names*: a sync of a directory, or of a file whose length changed, makes all earlier
//!   changes of names durable; or that of a file its own names alone.
//! - K4. *Bytes before length*: a file is only as long as what was written into it; nothing in it is garbage
//!   or stale. Where a later lengthening survives, so do the earlier ones.
//! - K5. *Bytes before a replacing rename*: where a rename onto a name that was in use survives, or a sync
//!   has made it durable, what had been written into the file before it does.
//! - K6. Faults are no kinder: what a failed sync loses may be anything.

use std::collections::{BTreeMap, BTreeSet};

use super::directory::{Directory, DirectoryImage, EntryChange, Name};
use super::image::{FileImage, Fill, Finish};
use super::inode::Inode;
use super::plan::CrashPlan;
use super::policy::Chooser;
use super::state::{DiskState, Inner, Node, NodeId};
use super::tear::{Fate, WriteTear};
use crate::stream::Stream;

/// Which names a sync of a file reaches (K3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reach {
    /// None.
    #[default]
    Nothing,
    /// Its own.
    OwnNames,
    /// All, if its length changed; and so does a sync of a directory.
    AllNames,
}

/// A set of promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kindness {
    /// K2.
    pub(crate) names_in_order: bool,
    /// K3.
    pub(crate) reach: Reach,
    /// K4.
    pub(crate) bytes_before_length: bool,
    /// K5.
    pub(crate) bytes_before_rename: bool,
}

impl Kindness {
    /// That of the reference.
    pub(crate) const NONE: Self = Self {
        names_in_order: false,
        reach: Reach::Nothing,
        bytes_before_length: false,
        bytes_before_rename: false,
    };
}

/// A loss of power by a policy, on a disk that keeps promises.
pub(crate) fn plan(state: &DiskState, chooser: &Chooser, dice: &mut Stream) -> CrashPlan {
    let inner = state.inner();
    let mut kept = BTreeMap::new();
    for id in &inner.noisy {
        if let Node::Directory(directory) = inner.node(*id) {
            kept.insert(*id, chooser.kept(directory, dice));
        }
    }
    if inner.kindness.names_in_order {
        keep_a_prefix(inner, &mut kept);
    }
    let owed = inner.owed(&kept);
    let mut files = Vec::new();
    for id in &inner.noisy {
        let Node::File(inode) = inner.node(*id) else { continue };
        let mut fates = chooser.fates(inode, dice);
        let mut finish = chooser.finish(inner, *id, dice);
        if let Some(before) = owed.get(id) {
            keep_before(inode, &mut fates, *before);
        }
        if owed.contains_key(id) || inner.kindness.bytes_before_length && inode.may_get_longer() {
            // An earlier version over a later one takes bytes back, and so does a torn sector.
            finish = Finish { any_order: false, torn_sectors: false, ..finish };
        }
        if inner.kindness.bytes_before_length {
            keep_bytes_before_length(inode, &mut fates);
            finish = Finish { any_length: false, fill: Fill::Zero, ..finish };
        }
        files.push((*id, FileImage::of(inode, &fates, &finish, dice)));
    }
    let directories = kept.into_iter().map(|(id, kept)| {
        let directory = directory_of(inner, id);
        (id, DirectoryImage::of(directory, kept))
    });
    CrashPlan::new(state.clone(), files, directories.collect())
}

fn directory_of(inner: &Inner, id: NodeId) -> &Directory {
    match inner.node(id) {
        Node::Directory(directory) => directory,
        Node::File(_) => unreachable!("only directories have changes of names"),
    }
}

/// K2.
pub(crate) fn keep_a_prefix(inner: &Inner, kept: &mut BTreeMap<NodeId, Vec<bool>>) {
    let mut first_lost = u64::MAX;
    for (id, kept) in &*kept {
        for (mutation, kept) in directory_of(inner, *id).pending.iter().zip(kept) {
            if !kept {
                first_lost = first_lost.min(mutation.order);
            }
        }
    }
    for (id, kept) in kept {
        for (mutation, kept) in directory_of(inner, *id).pending.iter().zip(kept) {
            *kept &= mutation.order < first_lost;
        }
    }
}

/// For each file that a surviving rename put in the place of another, the order of that (K5).
fn owed_by_renames(inner: &Inner, kept: &BTreeMap<NodeId, Vec<bool>>) -> BTreeMap<NodeId, u64> {
    let mut owed: BTreeMap<NodeId, u64> = BTreeMap::new();
    for (id, kept) in kept {
        let directory = directory_of(inner, *id);
        let mut names: BTreeSet<&str> =
            directory.durable.iter().map(|(name, _)| &*name.text).collect();
        for (mutation, kept) in directory.pending.iter().zip(kept) {
            for (name, node) in &mutation.assigns {
                let Some(node) = node else {
                    names.remove(&*name.text);
                    continue;
                };
                let replaced = !names.insert(&name.text);
                if replaced && *kept && mutation.change == EntryChange::Rename {
                    let order = owed.entry(*node).or_default();
                    *order = mutation.order.max(*order);
                }
            }
        }
    }
    owed
}

pub(super) fn keep_before(inode: &Inode, fates: &mut [Fate], order: u64) {
    for (mutation, fate) in inode.pending.iter().zip(fates) {
        if mutation.order < order {
            *fate = Fate::Kept;
        }
    }
}

/// K4. Whatever changed the length survives whole, up to the last that does, or last write beyond the durable
/// end.
pub(super) fn keep_bytes_before_length(inode: &Inode, fates: &mut [Fate]) {
    let reaches = |at: usize| inode.reaches_beyond(at);
    let last = (0..fates.len()).rev().find(|at| reaches(*at) && fates[*at] == Fate::Kept);
    for (at, fate) in fates.iter_mut().enumerate() {
        let is_before = inode.pending[at].changes_length() && last.is_some_and(|last| at <= last);
        *fate = match *fate {
            _ if is_before => Fate::Kept,
            Fate::Kept => Fate::Kept,
            _ if reaches(at) => Fate::Lost,
            Fate::Torn(WriteTear::Garbage) => Fate::Lost,
            fate => fate,
        };
    }
}

impl Inner {
    /// A sync of a directory: of all, where the filesystem says so (K3).
    pub(crate) fn sync_names(&mut self, id: NodeId) {
        match self.kindness.reach {
            Reach::Nothing | Reach::OwnNames => self.sync_directories(&[id]),
            Reach::AllNames => self.sync_directories(&self.noisy_directories()),
        }
    }

    fn sync_directories(&mut self, ids: &[NodeId]) {
        let all = |id: &NodeId| (*id, vec![true; directory_of(self, *id).pending.len()]);
        self.bring_bytes(&ids.iter().map(all).collect());
        for id in ids {
            self.directory_mut(*id).sync();
            self.settle(*id);
        }
    }

    /// Makes the bytes durable that these changes of names, which are about to be, bring along (K5).
    pub(crate) fn bring_bytes(&mut self, kept: &BTreeMap<NodeId, Vec<bool>>) {
        for (id, before) in self.owed(kept) {
            let Node::File(inode) = self.node(id) else { continue };
            let mut fates = vec![Fate::Lost; inode.pending.len()];
            keep_before(inode, &mut fates, before);
            if fates.contains(&Fate::Kept) {
                self.file_mut(id).sync_partly(&fates);
                self.settle(id);
            }
        }
    }

    /// For each file whose bytes these changes of names bring along, the order up to which they do (K5).
    pub(crate) fn owed(&self, kept: &BTreeMap<NodeId, Vec<bool>>) -> BTreeMap<NodeId, u64> {
        match self.kindness.bytes_before_rename {
            true => owed_by_renames(self, kept),
            false => BTreeMap::new(),
        }
    }

    /// What a sync of a file has made durable besides, on a disk that keeps promises (K3). `resized` says
    /// that its length had changed since it was synced before.
    pub(crate) fn sync_reaches(&mut self, id: NodeId, resized: bool) {
        match self.kindness.reach {
            Reach::Nothing => {}
            Reach::AllNames if resized => self.sync_directories(&self.noisy_directories()),
            Reach::AllNames => {}
            Reach::OwnNames => {
                for directory in self.noisy_directories() {
                    let names = |assigns: &[(Name, Option<NodeId>)]| {
                        assigns.iter().any(|(_, node)| *node == Some(id))
                    };
                    let pending = &directory_of(self, directory).pending;
                    let own: Vec<bool> =
                        pending.iter().map(|mutation| names(&mutation.assigns)).collect();
                    if own.contains(&true) {
                        self.directory_mut(directory).sync_partly(&own);
                        self.settle(directory);
                    }
                }
            }
        }
    }

    /// The directories of which names are pending.
    pub(crate) fn noisy_directories(&self) -> Vec<NodeId> {
        let is_directory = |id: &&NodeId| matches!(self.node(**id), Node::Directory(_));
        self.noisy.iter().filter(is_directory).copied().collect()
    }
}
