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
//! - K5. *Bytes before a replacing rename*: where a rename onto a name that was in use survives, what
//!   had been written into the file before it does.
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
    let owed = if inner.kindness.bytes_before_rename {
        owed_by_renames(inner, &kept)
    } else {
        BTreeMap::new()
    };
    let mut files = Vec::new();
    for id in &inner.noisy {
        let Node::File(inode) = inner.node(*id) else { continue };
        let mut fates = chooser.fates(inode, dice);
        let mut finish = chooser.finish(inner, *id, dice);
        if let Some(before) = owed.get(id) {
            keep_before(inode, &mut fates, *before);
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
fn keep_a_prefix(inner: &Inner, kept: &mut BTreeMap<NodeId, Vec<bool>>) {
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

fn keep_before(inode: &Inode, fates: &mut [Fate], order: u64) {
    for (mutation, fate) in inode.pending.iter().zip(fates) {
        if mutation.order < order {
            *fate = Fate::Kept;
        }
    }
}

/// K4. Whatever changed the length survives whole, up to the last that does, or last write beyond the durable
/// end.
fn keep_bytes_before_length(inode: &Inode, fates: &mut [Fate]) {
    let reaches = |at: usize| {
        inode.pending[at].changes_length() || inode.pending[at].len() > inode.durable.len()
    };
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
    /// What a sync of this node has made durable besides, on a disk that keeps promises (K3). `resized` says
    /// of a file that its length had changed since it was synced before.
    pub(crate) fn sync_reaches(&mut self, id: NodeId, resized: bool) {
        let is_directory = matches!(self.node(id), Node::Directory(_));
        match self.kindness.reach {
            Reach::Nothing => {}
            Reach::AllNames if is_directory || resized => {
                for directory in self.noisy_directories() {
                    self.directory_mut(directory).sync();
                    self.settle(directory);
                }
            }
            Reach::AllNames => {}
            Reach::OwnNames if is_directory => {}
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

    fn noisy_directories(&self) -> Vec<NodeId> {
        let is_directory = |id: &&NodeId| matches!(self.node(**id), Node::Directory(_));
        self.noisy.iter().filter(is_directory).copied().collect()
    }
}
