//! A power loss: what of everything pending survives, and the disk that it leaves.
//!
//! **Place.** Made by [`DiskState::plan_power_loss`] and [`DiskState::legal_images`]; the explorer
//! asks for the key first and builds the image only when it is new.
//!
//! - L1. Every file and directory is chosen for independently; nothing durable is ever lost.
//! - L2. The key of a plan is the key of the disk it builds, and asking for it builds nothing.
//! - L3. The disk a plan builds is quiet: durable and visible are the same.

use std::fmt::Write as _;
use std::sync::Arc;

use rand::Rng;

use super::directory::{Directory, DirectoryImage, Entries};
use super::image::{FileImage, Finish};
use super::inode::{FileChange, Inode};
use super::kindness::{self, Kindness};
use super::policy::{Chooser, Policy};
use super::state::{DiskState, Node, NodeId, ROOT};
use super::tear::{Fate, Tear};
use crate::stream::Stream;

/// Nodes of a disk beyond which an image drops the ones that nothing names.
const SWEEP_NODES_MIN: usize = 48;

/// One legal way to lose power.
#[derive(Clone)]
pub struct CrashPlan {
    state: DiskState,
    files: Vec<(NodeId, FileImage)>,
    directories: Vec<(NodeId, DirectoryImage)>,
    tear: Tear,
}

impl std::fmt::Debug for CrashPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CrashPlan").field("survived", &self.describe()).finish()
    }
}

impl DiskState {
    /// Chooses by a policy what of everything pending survives a power loss now.
    ///
    /// With `torn_sectors` a sector of a pending write may be a mix of old and new bytes, or
    /// garbage. One draw is taken from `rng`, whatever is pending.
    pub fn plan_power_loss<R: Rng + ?Sized>(
        &self,
        policy: Policy,
        torn_sectors: bool,
        rng: &mut R,
    ) -> CrashPlan {
        let mut dice = Stream::from_rng(rng);
        let inner = self.inner();
        let chooser = Chooser::new(policy, torn_sectors, inner, &mut dice);
        if inner.kindness != Kindness::NONE {
            return kindness::plan(self, &chooser, &mut dice);
        }
        let (mut files, mut directories) = (Vec::new(), Vec::new());
        for id in &inner.noisy {
            match inner.node(*id) {
                Node::File(inode) => {
                    let fates = chooser.fates(inode, &mut dice);
                    let finish = chooser.finish(inner, *id, &mut dice);
                    files.push((*id, FileImage::of(inode, &fates, &finish, &mut dice)));
                }
                Node::Directory(directory) => {
                    let kept = chooser.kept(directory, &mut dice);
                    directories.push((*id, DirectoryImage::of(directory, kept)));
                }
            }
        }
        CrashPlan::new(self.clone(), files, directories)
    }
}

impl CrashPlan {
    pub(crate) fn new(
        state: DiskState,
        files: Vec<(NodeId, FileImage)>,
        directories: Vec<(NodeId, DirectoryImage)>,
    ) -> Self {
        let (mut kept, mut lost, mut tear) = (0, 0, Tear::None);
        for (_, image) in &files {
            kept += image.kept;
            lost += image.lost;
            tear = tear.max(image.tear);
        }
        for (_, image) in &directories {
            let counts = image.counts();
            kept += counts.0;
            lost += counts.1;
        }
        if kept > 0 && lost > 0 {
            tear = tear.max(Tear::Mutation);
        }
        Self { state, files, directories, tear }
    }

    /// A plan of given fates: for tests and for enumeration.
    pub(crate) fn of_fates(
        state: &DiskState,
        mut file: impl FnMut(NodeId, &Inode) -> Vec<Fate>,
        mut directory: impl FnMut(NodeId, &Directory) -> Vec<bool>,
    ) -> Self {
        let inner = state.inner();
        let (mut files, mut directories) = (Vec::new(), Vec::new());
        for id in &inner.noisy {
            match inner.node(*id) {
                Node::File(inode) => {
                    let fates = file(*id, inode);
                    let mut dice = Stream::new(u64::from(id.0));
                    files.push((*id, FileImage::of(inode, &fates, &Finish::PLAIN, &mut dice)));
                }
                Node::Directory(node) => {
                    let kept = directory(*id, node);
                    directories.push((*id, DirectoryImage::of(node, kept)));
                }
            }
        }
        Self::new(state.clone(), files, directories)
    }

    /// The content key of the image: equal for disks that show the same.
    pub fn key(&self) -> u128 {
        let inner = self.state.inner();
        if self.files.is_empty() && self.directories.is_empty() {
            return self.state.key();
        }
        inner.tree_key(
            ROOT,
            &|id, directory| self.entries(id).unwrap_or(&directory.volatile),
            &|id, inode| match self.file(id) {
                Some(image) => image.key(inode),
                None => inode.volatile.key(),
            },
        )
    }

    /// The disk after the power loss: everything visible is durable, nothing is pending.
    pub fn build(&self) -> DiskState {
        let quiet = self.files.is_empty() && self.directories.is_empty();
        if quiet && self.state.inner().unreported.is_empty() {
            return self.state.clone();
        }
        let mut inner = self.state.inner().clone();
        inner.unreported.clear();
        for (id, image) in &self.files {
            let content = image.content(self.state.inner().file(*id));
            inner.nodes[id.0 as usize] = Some(Node::File(Arc::new(Inode::quiet(content))));
        }
        for (id, image) in &self.directories {
            let directory = Directory::quiet(image.entries().clone());
            inner.nodes[id.0 as usize] = Some(Node::Directory(Arc::new(directory)));
        }
        inner.noisy.clear();
        if inner.nodes.len() > SWEEP_NODES_MIN {
            inner.sweep(|_| false);
        }
        DiskState::from_inner(inner)
    }

    /// Whether the image shows what a deleted file, or another one, held.
    pub fn shows_stale_bytes(&self) -> bool {
        self.files.iter().any(|(_, image)| image.is_stale())
    }

    /// How finely the image divides what was pending.
    pub fn finest_tear(&self) -> Tear {
        self.tear
    }

    /// What of each pending mutation survived, in the order of the calls, one line each.
    pub fn describe(&self) -> Vec<String> {
        let inner = self.state.inner();
        let path = |id: NodeId| match inner.path_of(id) {
            Some(path) => path.display().to_string(),
            None => format!("(unlinked node {})", id.0),
        };
        let mut lines = Vec::new();
        for (id, image) in &self.files {
            let (inode, path) = (inner.file(*id), path(*id));
            for (index, mutation) in inode.pending.iter().enumerate() {
                lines.push((mutation.order, described(inode, image, index, &path)));
            }
        }
        for (id, image) in &self.directories {
            let Node::Directory(directory) = inner.node(*id) else { continue };
            for (mutation, kept) in directory.pending.iter().zip(&image.kept) {
                let mut line = format!("{} in {}:", mutation.change.name(), path(*id));
                for (name, node) in &mutation.assigns {
                    let sign = if node.is_some() { '+' } else { '-' };
                    write!(line, " {sign}{}", name.text).expect("a string takes everything");
                }
                line.push_str(if *kept { ": survived" } else { ": lost" });
                lines.push((mutation.order, line));
            }
        }
        lines.sort();
        let odd = self
            .files
            .iter()
            .flat_map(|(id, image)| image.odd_sectors(inner.file(*id), &path(*id)));
        lines.into_iter().map(|(_, line)| line).chain(odd).collect()
    }

    /// The disk that loses power.
    pub(crate) fn state(&self) -> &DiskState {
        &self.state
    }

    /// Which pending changes of a directory survive.
    pub(crate) fn kept(&self, id: NodeId) -> &[bool] {
        let found = self.directories.iter().find(|(node, _)| *node == id);
        found.map_or(&[], |(_, image)| &image.kept)
    }

    fn entries(&self, id: NodeId) -> Option<&Entries> {
        let found = self.directories.iter().find(|(node, _)| *node == id);
        found.map(|(_, image)| image.entries())
    }

    pub(crate) fn file(&self, id: NodeId) -> Option<&FileImage> {
        self.files.iter().find(|(node, _)| *node == id).map(|(_, image)| image)
    }
}

fn described(inode: &Inode, image: &FileImage, index: usize, path: &str) -> String {
    let len = image.len(inode);
    match inode.pending[index].change {
        FileChange::Write { offset, count, .. } => {
            let (kept, of) = image.survived(inode, index);
            format!("write {path} at {offset}, {count} bytes: {kept} of {of} sectors, length {len}")
        }
        FileChange::Shorten { from } => {
            let to = inode.pending[index].after.len();
            let fate = if image.keeps_cut(inode, index) { "survived" } else { "lost" };
            format!("set_len {path} from {from} to {to}: {fate}, length {len}")
        }
        FileChange::Grow { from } | FileChange::Extend { from } => {
            let to = inode.pending[index].after.len();
            let fate = if len >= to {
                "survived"
            } else if len > from {
                "in part"
            } else {
                "lost"
            };
            format!("allocate {path} from {from} to {to}: {fate}, length {len}")
        }
    }
}
