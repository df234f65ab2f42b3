//! The whole disk as a value: files, directories, and what is pending in each.
//!
//! - S1. A fork is one reference count. Nothing is copied before one side changes.
//! - S2. A file is its node; a path is only a way to it. A node that no name reaches lives as long
//!   as a handle is open.
//! - S3. `noisy` lists exactly the nodes that a power loss may change.
//! - S4. Mutations of the whole disk are numbered in the order of the calls.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::content::Content;
use super::directory::{Directory, Entries, EntryChange, Name};
use super::inode::Inode;
use super::key::mixed;
use super::kindness::Kindness;

/// The longest file. Offsets past it are refused, so that a wild one does not take all memory.
pub const FILE_BYTES_MAX: u64 = 1 << 30;

/// Contents of deleted files that are kept for stale bytes.
const STALE_CONTENTS_MAX: usize = 4;

/// A file or directory, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(pub(crate) u32);

/// The directory `/`.
pub(crate) const ROOT: NodeId = NodeId(0);

#[derive(Clone, Debug)]
pub(crate) enum Node {
    File(Arc<Inode>),
    Directory(Arc<Directory>),
}

/// A disk between two calls: what is durable, what is visible, what is pending. Copy on write.
#[derive(Clone)]
pub struct DiskState {
    inner: Arc<Inner>,
}

#[derive(Clone, Default)]
pub(crate) struct Inner {
    pub(crate) nodes: Vec<Option<Node>>,
    pub(crate) noisy: Vec<NodeId>,
    pub(crate) next_order: u64,
    pub(crate) stale: Vec<Content>,
    /// What it promises beyond POSIX.
    pub(crate) kindness: Kindness,
    /// Files of which a writeback failed that the next sync reports, on a medium that remembers.
    pub(crate) unreported: Vec<NodeId>,
}

impl std::fmt::Debug for DiskState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DiskState({:?}, {} pending)", self.list(), self.pending_mutations())
    }
}

impl Default for DiskState {
    fn default() -> Self {
        Self::new()
    }
}

impl DiskState {
    /// An empty disk: the directory `/`, durable.
    pub fn new() -> Self {
        let root = Node::Directory(Arc::new(Directory::default()));
        let inner = Inner { nodes: vec![Some(root)], ..Inner::default() };
        Self { inner: Arc::new(inner) }
    }

    pub(crate) fn from_inner(inner: Inner) -> Self {
        Self { inner: Arc::new(inner) }
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    pub(crate) fn inner_mut(&mut self) -> &mut Inner {
        Arc::make_mut(&mut self.inner)
    }

    /// The disk after the process was killed: what is visible stays, what is pending stays
    /// pending. Only handles and locks die, and those are no part of a disk.
    #[must_use]
    pub fn kill(&self) -> Self {
        self.clone()
    }

    /// How many mutations a power loss may keep or lose.
    pub fn pending_mutations(&self) -> u64 {
        let count = |id: &NodeId| match self.inner.node(*id) {
            Node::File(inode) => inode.pending.len() as u64,
            Node::Directory(directory) => directory.pending.len() as u64,
        };
        self.inner.noisy.iter().map(count).sum()
    }

    /// Whether a power loss leaves exactly what is visible.
    pub fn is_quiet(&self) -> bool {
        self.inner.noisy.is_empty()
    }

    /// The key of what is visible: names, kinds, lengths and bytes.
    pub fn key(&self) -> u128 {
        let inner = self.inner();
        inner.tree_key(ROOT, &|_, directory| &directory.volatile, &|_, inode| inode.volatile.key())
    }

    /// The key of what is visible, durable and pending: of all that a later power loss can show.
    pub fn full_key(&self) -> u128 {
        let noise =
            self.inner.noisy.iter().map(|id| mixed(self.inner.noise_key(*id), u64::from(id.0)));
        noise.fold(self.key(), u128::wrapping_add)
    }

    /// The visible files with their lengths, in the order of their paths.
    pub fn list(&self) -> Vec<(PathBuf, u64)> {
        let mut files = Vec::new();
        self.inner.collect(ROOT, Path::new("/"), &mut |path, node| {
            if let Node::File(inode) = node {
                files.push((path.to_owned(), inode.volatile.len()));
            }
        });
        files.sort();
        files
    }

    /// The visible directories, in the order of their paths, `/` among them.
    pub fn list_directories(&self) -> Vec<PathBuf> {
        let mut directories = vec![PathBuf::from("/")];
        self.inner.collect(ROOT, Path::new("/"), &mut |path, node| {
            if matches!(node, Node::Directory(_)) {
                directories.push(path.to_owned());
            }
        });
        directories.sort();
        directories
    }

    /// The key of what is visible of a file.
    pub(crate) fn content_key(&self, path: &Path) -> Option<u128> {
        let found = self.inner.lookup(path).ok()?;
        let Node::File(inode) = self.inner.node(found.node?) else { return None };
        Some(inode.volatile.key())
    }

    /// The visible bytes of a file.
    pub fn read(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let found = self.inner.lookup(path.as_ref()).ok()?;
        let Node::File(inode) = self.inner.node(found.node?) else { return None };
        let len = usize::try_from(inode.volatile.len()).expect("bounded by FILE_BYTES_MAX");
        let mut bytes = vec![0; len];
        inode.volatile.read(&mut bytes, 0);
        Some(bytes)
    }

    /// The same disk after something changed bytes at rest, durably: a flipped bit, a lost
    /// sector. `None` where there is no such file. Bytes past the end are ignored.
    #[must_use]
    pub fn damaged(&self, path: impl AsRef<Path>, offset: u64, bytes: &[u8]) -> Option<Self> {
        let id = self.inner.lookup(path.as_ref()).ok()?.node?;
        let mut state = self.clone();
        let Node::File(inode) = state.inner.node(id) else { return None };
        let room = usize::try_from(inode.volatile.len().saturating_sub(offset)).ok()?;
        let mut content = inode.volatile.clone();
        content.write(&bytes[..bytes.len().min(room)], offset);
        let inner = state.inner_mut();
        inner.nodes[id.0 as usize] = Some(Node::File(Arc::new(Inode::quiet(content))));
        inner.noisy.retain(|noisy| *noisy != id);
        Some(state)
    }

    /// The same disk after something gave a file other bytes of any length, or took it away, durably.
    /// Who has it open has the other bytes.
    ///
    /// # Panics
    /// If there is no such directory.
    #[must_use]
    pub fn with_file(&self, path: impl AsRef<Path>, bytes: Option<&[u8]>) -> Self {
        let path = path.as_ref();
        let found = self.inner.lookup(path).expect("a path below a directory");
        let (parent, node) = (found.parent.expect("it is a file"), found.node);
        let name = Name::new(found.name);
        let content = bytes.map(|bytes| {
            let mut content = Content::default();
            content.grow(bytes.len() as u64);
            content.write(bytes, 0);
            Node::File(Arc::new(Inode::quiet(content)))
        });
        let mut state = self.clone();
        let inner = state.inner_mut();
        match (node, content) {
            (Some(id), Some(file)) => {
                inner.nodes[id.0 as usize] = Some(file);
                inner.noisy.retain(|noisy| *noisy != id);
            }
            (None, Some(file)) => {
                let id = inner.add(file);
                inner.change_entries(parent, EntryChange::Create, vec![(name, Some(id))]);
            }
            (Some(_), None) => {
                inner.change_entries(parent, EntryChange::Unlink, vec![(name, None)]);
            }
            (None, None) => {}
        }
        inner.directory_mut(parent).sync();
        inner.settle(parent);
        state
    }
}

/// Where a path leads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'a> {
    /// The directory of its last name; `None` for `/` itself.
    pub(crate) parent: Option<NodeId>,
    /// Its last name.
    pub(crate) name: &'a str,
    /// What it stands for, if anything.
    pub(crate) node: Option<NodeId>,
}

impl Inner {
    pub(crate) fn node(&self, id: NodeId) -> &Node {
        self.nodes[id.0 as usize].as_ref().expect("a node that a name or handle reaches is there")
    }

    pub(crate) fn file(&self, id: NodeId) -> &Inode {
        match self.node(id) {
            Node::File(inode) => inode,
            Node::Directory(_) => unreachable!("a handle is only ever made of a file"),
        }
    }

    /// A file that is about to change.
    pub(crate) fn file_mut(&mut self, id: NodeId) -> &mut Inode {
        match self.nodes[id.0 as usize].as_mut() {
            Some(Node::File(inode)) => Arc::make_mut(inode),
            _ => unreachable!("a handle is only ever made of a file"),
        }
    }

    /// A directory that is about to change.
    pub(crate) fn directory_mut(&mut self, id: NodeId) -> &mut Directory {
        match self.nodes[id.0 as usize].as_mut() {
            Some(Node::Directory(directory)) => Arc::make_mut(directory),
            _ => unreachable!("the caller has found a directory there"),
        }
    }

    /// The number of the next mutation (S4).
    pub(crate) fn take_order(&mut self) -> u64 {
        self.next_order += 1;
        self.next_order
    }

    /// Brings `noisy` up to date after a change of this node (S3).
    pub(crate) fn settle(&mut self, id: NodeId) {
        let quiet = match self.node(id) {
            Node::File(inode) => inode.is_quiet(),
            Node::Directory(directory) => directory.is_quiet(),
        };
        let place = self.noisy.iter().position(|noisy| *noisy == id);
        match (quiet, place) {
            (true, Some(place)) => drop(self.noisy.remove(place)),
            (false, None) => self.noisy.push(id),
            _ => {}
        }
    }

    /// Adds a node that nothing names yet.
    pub(crate) fn add(&mut self, node: Node) -> NodeId {
        let id = u32::try_from(self.nodes.len()).expect("far fewer nodes than 2^32");
        self.nodes.push(Some(node));
        NodeId(id)
    }

    /// Changes names of a directory.
    pub(crate) fn change_entries(
        &mut self,
        parent: NodeId,
        change: EntryChange,
        assigns: Vec<(Name, Option<NodeId>)>,
    ) {
        let order = self.take_order();
        self.directory_mut(parent).change(order, change, assigns);
        self.settle(parent);
    }

    /// Follows a path. A missing or wrong parent is an error, a missing last name is not.
    pub(crate) fn lookup<'a>(&self, path: &'a Path) -> io::Result<Found<'a>> {
        let text = path.to_str().ok_or(io::ErrorKind::InvalidInput)?;
        let mut names = text.split('/').filter(|name| !name.is_empty() && *name != ".");
        let Some(mut name) = names.next() else {
            return Ok(Found { parent: None, name: "", node: Some(ROOT) });
        };
        let mut parent = ROOT;
        loop {
            if name == ".." {
                // Nothing here has links, but nothing needs it either.
                return Err(io::ErrorKind::InvalidInput.into());
            }
            let Node::Directory(directory) = self.node(parent) else {
                return Err(io::ErrorKind::NotADirectory.into());
            };
            let node = directory.volatile.get(name);
            let Some(next) = names.next() else {
                return Ok(Found { parent: Some(parent), name, node });
            };
            parent = node.ok_or(io::ErrorKind::NotFound)?;
            name = next;
        }
    }

    /// The key of a tree, seen through a choice of entries and of contents.
    pub(crate) fn tree_key<'a>(
        &'a self,
        id: NodeId,
        entries: &impl Fn(NodeId, &'a Directory) -> &'a Entries,
        content: &impl Fn(NodeId, &'a Inode) -> u128,
    ) -> u128 {
        match self.node(id) {
            Node::File(inode) => mixed(content(id, inode), 1),
            Node::Directory(directory) => {
                let part = |(name, child): &(Name, NodeId)| {
                    mixed(name.key.wrapping_add(self.tree_key(*child, entries, content)), 2)
                };
                let parts = entries(id, directory).iter().map(part);
                mixed(parts.fold(0, u128::wrapping_add), 3)
            }
        }
    }

    /// The key of what is durable and pending of a node.
    fn noise_key(&self, id: NodeId) -> u128 {
        match self.node(id) {
            Node::File(inode) => {
                let versions = inode.pending.iter().flat_map(|mutation| {
                    let (from, to) = mutation.sectors();
                    let kind = u64::from(mutation.cut_at().is_some());
                    [mutation.after.key(), mixed(u128::from(from), to ^ kind << 63)]
                });
                let start = mixed(inode.durable.key(), u64::from(inode.lost));
                versions.fold(start, |key, part| mixed(key ^ part, 4))
            }
            Node::Directory(directory) => {
                let named = |node: NodeId| match self.node(node) {
                    Node::File(inode) => mixed(inode.durable.key(), u64::from(node.0)),
                    Node::Directory(_) => u128::from(node.0),
                };
                let durable = directory.durable.iter().map(|(name, node)| (name, Some(*node)));
                let pending = directory.pending.iter().flat_map(|mutation| &mutation.assigns);
                let all = durable.chain(pending.map(|(name, node)| (name, *node)));
                let start = mixed(directory.pending.len() as u128, u64::from(directory.lost));
                all.fold(start, |key, (name, node)| {
                    mixed(key ^ name.key ^ node.map_or(0, named), 5)
                })
            }
        }
    }

    /// Calls `visit` for everything visible below a directory.
    pub(crate) fn collect(&self, id: NodeId, path: &Path, visit: &mut impl FnMut(&Path, &Node)) {
        let Node::Directory(directory) = self.node(id) else { return };
        for (name, child) in directory.volatile.iter() {
            let path = path.join(name.text.as_ref());
            visit(&path, self.node(*child));
            self.collect(*child, &path, visit);
        }
    }

    /// A path of a node: a visible one, or else one that a power loss may bring back.
    pub(crate) fn path_of(&self, wanted: NodeId) -> Option<PathBuf> {
        fn search(inner: &Inner, id: NodeId, path: &Path, wanted: NodeId) -> Option<PathBuf> {
            if id == wanted {
                return Some(path.to_owned());
            }
            let Node::Directory(directory) = inner.node(id) else { return None };
            let pending = directory.pending.iter().flat_map(|mutation| mutation.assigns.iter());
            let pending = pending.filter_map(|(name, node)| Some((name, (*node)?)));
            let named = directory.volatile.iter().chain(directory.durable.iter());
            let mut named = named.map(|(name, node)| (name, *node)).chain(pending);
            named.find_map(|(name, node)| {
                search(inner, node, &path.join(name.text.as_ref()), wanted)
            })
        }
        search(self, ROOT, Path::new("/"), wanted)
    }

    /// Which nodes a visible name reaches, or a durable or pending one might reach.
    pub(crate) fn reachable(&self) -> Vec<bool> {
        let mut reached = vec![false; self.nodes.len()];
        let mut waiting = vec![ROOT];
        while let Some(id) = waiting.pop() {
            if std::mem::replace(&mut reached[id.0 as usize], true) {
                continue;
            }
            let Node::Directory(directory) = self.node(id) else { continue };
            waiting.extend(directory.volatile.iter().map(|(_, node)| *node));
            waiting.extend(directory.durable.iter().map(|(_, node)| *node));
            let pending = directory.pending.iter().flat_map(|mutation| &mutation.assigns);
            waiting.extend(pending.filter_map(|(_, node)| *node));
        }
        reached
    }

    /// Forgets what no name reaches or might reach and no handle holds (S2).
    pub(crate) fn sweep(&mut self, is_open: impl Fn(NodeId) -> bool) {
        let reached = self.reachable();
        for (at, reached) in reached.into_iter().enumerate() {
            let id = NodeId(u32::try_from(at).expect("far fewer nodes than 2^32"));
            if reached || is_open(id) {
                continue;
            }
            if let Some(Node::File(inode)) = self.nodes[at].take() {
                self.stale.push(inode.volatile.clone());
                if self.stale.len() > STALE_CONTENTS_MAX {
                    self.stale.remove(0);
                }
            }
            self.noisy.retain(|noisy| *noisy != id);
        }
    }
}
