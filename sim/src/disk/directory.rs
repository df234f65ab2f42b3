//! One directory: durable names, visible names, and the pending changes between the two.
//!
//! - E1. A pending change assigns names to nodes, or to nothing. A rename is one change with two
//!   assignments: both happen or neither.
//! - E2. After a power loss any subset of the pending changes is there, applied in order.
//! - E3. As with an inode, what a failed sync lost stays lost through later syncs that succeed.
//! - E4. A directory has one name. Its rename takes it from any other that it has where an earlier rename is
//!   lost. A file has two names then.

use std::sync::Arc;

use super::key::text_key;
use super::medium::FailedSync;
use super::state::NodeId;
use crate::stream::Stream;

/// A name with its key, which is asked for once per image.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    /// The name.
    pub(crate) text: Arc<str>,
    /// Its key.
    pub(crate) key: u128,
}

impl Name {
    /// A name.
    pub(crate) fn new(text: &str) -> Self {
        Self { text: text.into(), key: text_key(text) }
    }
}

/// The names of a directory in ascending order of their bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entries(Arc<Vec<(Name, NodeId)>>);

impl Entries {
    /// What a name stands for.
    pub(crate) fn get(&self, name: &str) -> Option<NodeId> {
        let at = self.place(name).ok()?;
        Some(self.0[at].1)
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(Name, NodeId)> {
        self.0.iter()
    }

    /// Whether there is no name.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(entry, _)| entry.text.as_ref().cmp(name))
    }

    fn forget(&mut self, node: NodeId) {
        Arc::make_mut(&mut self.0).retain(|(_, named)| *named != node);
    }

    fn assign(&mut self, name: &Name, node: Option<NodeId>) {
        let place = self.place(&name.text);
        let entries = Arc::make_mut(&mut self.0);
        match (place, node) {
            (Ok(at), Some(node)) => entries[at].1 = node,
            (Ok(at), None) => drop(entries.remove(at)),
            (Err(at), Some(node)) => entries.insert(at, (name.clone(), node)),
            (Err(_), None) => {}
        }
    }
}

/// What a pending change of a directory was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryChange {
    /// A file was created.
    Create,
    /// A directory was created.
    CreateDir,
    /// A file got another name.
    Rename,
    /// A name was removed.
    Unlink,
    /// A directory got another name.
    RenameDir,
    /// The name of an empty directory was removed.
    RemoveDir,
}

impl EntryChange {
    /// The word for reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::CreateDir => "create_dir",
            Self::Rename | Self::RenameDir => "rename",
            Self::Unlink => "unlink",
            Self::RemoveDir => "remove_dir",
        }
    }
}

/// A change of names that no sync has made durable yet.
#[derive(Clone, Debug)]
pub(crate) struct EntryMutation {
    /// Its place in time among all mutations of the disk.
    pub(crate) order: u64,
    /// What it was.
    pub(crate) change: EntryChange,
    /// The assignments (E1).
    pub(crate) assigns: Vec<(Name, Option<NodeId>)>,
}

impl EntryMutation {
    /// The directory that got another name (E4).
    fn renamed_directory(&self) -> Option<NodeId> {
        let mut named = self.assigns.iter().filter_map(|(_, node)| *node);
        named.next().filter(|_| self.change == EntryChange::RenameDir)
    }
}

/// A directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory {
    /// What survives a power loss for certain.
    pub(crate) durable: Entries,
    /// What a lookup shows.
    pub(crate) volatile: Entries,
    /// What happened since the last sync, in order.
    pub(crate) pending: Vec<EntryMutation>,
    /// Whether a failed sync lost something that a lookup still shows (E3).
    pub(crate) lost: bool,
}

impl Directory {
    /// A directory whose names are all durable.
    pub(crate) fn quiet(entries: Entries) -> Self {
        Self { volatile: entries.clone(), durable: entries, pending: Vec::new(), lost: false }
    }

    /// Whether a power loss changes nothing.
    pub(crate) fn is_quiet(&self) -> bool {
        self.pending.is_empty() && !self.lost
    }

    /// Makes a change.
    pub(crate) fn change(
        &mut self,
        order: u64,
        change: EntryChange,
        assigns: Vec<(Name, Option<NodeId>)>,
    ) {
        for (name, node) in &assigns {
            self.volatile.assign(name, *node);
        }
        self.pending.push(EntryMutation { order, change, assigns });
    }

    /// A sync that succeeds.
    pub(crate) fn sync(&mut self) {
        self.durable = if self.lost {
            self.entries_of(&vec![true; self.pending.len()])
        } else {
            self.volatile.clone()
        };
        self.pending.clear();
    }

    /// A sync that fails: each pending change is durable or lost for good.
    pub(crate) fn lose(&mut self, dice: &mut Stream, shown: FailedSync) {
        let kept: Vec<bool> = self.pending.iter().map(|_| dice.chance(1, 2)).collect();
        self.durable = self.entries_of(&kept);
        self.lost |= kept.contains(&false);
        self.pending.clear();
        if shown == FailedSync::ShowsOld {
            self.volatile = self.durable.clone();
            self.lost = false;
        }
    }

    /// A sync that is under way: some pending changes are durable, the others still pending.
    pub(crate) fn sync_partly(&mut self, kept: &[bool]) {
        self.durable = self.entries_of(kept);
        // An earlier change that is still pending must not come after a later one that is
        // durable: it keeps only the names that no durable later one assigns.
        let pending = std::mem::take(&mut self.pending);
        let mut rest: Vec<EntryMutation> = Vec::new();
        for (mutation, kept) in pending.into_iter().zip(kept) {
            if !*kept {
                rest.push(mutation);
                continue;
            }
            for earlier in &mut rest {
                let taken = |name: &Name| mutation.assigns.iter().any(|(n, _)| n.text == name.text);
                let moved = mutation.renamed_directory();
                let has_moved = |node: &Option<NodeId>| node.is_some() && *node == moved;
                earlier.assigns.retain(|(name, node)| !taken(name) && !has_moved(node));
            }
        }
        rest.retain(|mutation| !mutation.assigns.is_empty());
        self.pending = rest;
    }

    /// The durable names with a subset of the pending changes applied in order (E2).
    pub(crate) fn entries_of(&self, kept: &[bool]) -> Entries {
        let mut entries = self.durable.clone();
        let survivors = self.pending.iter().zip(kept).filter(|(_, kept)| **kept);
        for (mutation, _) in survivors {
            if let Some(moved) = mutation.renamed_directory() {
                entries.forget(moved);
            }
            for (name, node) in &mutation.assigns {
                entries.assign(name, *node);
            }
        }
        entries
    }
}

/// What names a directory holds after a power loss.
#[derive(Clone, Debug)]
pub(crate) struct DirectoryImage {
    /// Which pending change survived.
    pub(crate) kept: Vec<bool>,
    entries: Entries,
}

impl DirectoryImage {
    /// The image in which these changes survived.
    pub(crate) fn of(directory: &Directory, kept: Vec<bool>) -> Self {
        assert_eq!(kept.len(), directory.pending.len(), "one fate per pending change");
        let entries = if kept.iter().all(|kept| *kept) && !directory.lost {
            directory.volatile.clone()
        } else {
            directory.entries_of(&kept)
        };
        Self { kept, entries }
    }

    /// The names.
    pub(crate) fn entries(&self) -> &Entries {
        &self.entries
    }

    /// How many changes survived and how many did not.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let kept = self.kept.iter().filter(|kept| **kept).count();
        (kept, self.kept.len() - kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(entries: &Entries) -> Vec<(String, u32)> {
        entries.iter().map(|(name, node)| (name.text.to_string(), node.0)).collect()
    }

    fn create(directory: &mut Directory, order: u64, name: &str, node: u32) {
        let assigns = vec![(Name::new(name), Some(NodeId(node)))];
        directory.change(order, EntryChange::Create, assigns);
    }

    fn rename(directory: &mut Directory, order: u64, from: &str, to: &str) {
        let node = directory.volatile.get(from);
        let assigns = vec![(Name::new(from), None), (Name::new(to), node)];
        directory.change(order, EntryChange::Rename, assigns);
    }

    #[test]
    fn second_rename_without_first() {
        let mut directory = Directory::default();
        create(&mut directory, 1, "a.tmp", 1);
        create(&mut directory, 2, "b.tmp", 2);
        directory.sync();
        rename(&mut directory, 3, "a.tmp", "CURRENT");
        rename(&mut directory, 4, "b.tmp", "CURRENT");
        let image = DirectoryImage::of(&directory, vec![false, true]);
        let expected = [("CURRENT".to_owned(), 2), ("a.tmp".to_owned(), 1)];
        assert_eq!(names(image.entries()), expected);
        assert_eq!(image.counts(), (1, 1));
    }

    #[test]
    fn unlinked_name_may_come_back() {
        let mut directory = Directory::default();
        create(&mut directory, 1, "a", 1);
        directory.sync();
        directory.change(2, EntryChange::Unlink, vec![(Name::new("a"), None)]);
        assert!(names(&directory.volatile).is_empty());
        let image = DirectoryImage::of(&directory, vec![false]);
        assert_eq!(names(image.entries()), [("a".to_owned(), 1)]);
    }

    #[test]
    fn failed_sync_then_ok_sync_does_not_bring_lost_names_back() {
        for seed in 0..20 {
            let mut directory = Directory::default();
            create(&mut directory, 1, "a", 1);
            create(&mut directory, 2, "b", 2);
            directory.lose(&mut Stream::new(seed), FailedSync::ShowsNew);
            let after_loss = names(&directory.durable);
            directory.sync();
            assert_eq!(names(&directory.durable), after_loss);
            create(&mut directory, 3, "c", 3);
            directory.sync();
            assert_eq!(names(&directory.durable).len(), after_loss.len() + 1);
        }
    }

    fn rename_dir(directory: &mut Directory, order: u64, from: &str, to: &str) {
        let node = directory.volatile.get(from);
        let assigns = vec![(Name::new(from), None), (Name::new(to), node)];
        directory.change(order, EntryChange::RenameDir, assigns);
    }

    fn images(directory: &Directory) -> Vec<Vec<(String, u32)>> {
        let subsets = 0..1_u32 << directory.pending.len();
        let kept = |bits: u32| (0..directory.pending.len()).map(move |at| bits >> at & 1 == 1);
        subsets.map(|bits| names(&directory.entries_of(&kept(bits).collect::<Vec<_>>()))).collect()
    }

    /// Every image of a sync that is under way is one of before it.
    fn sync_in_part_adds_nothing(directory: &Directory) {
        let before = images(directory);
        for seed in 0..100 {
            let mut under_way = directory.clone();
            let mut dice = Stream::new(seed);
            let kept: Vec<bool> = under_way.pending.iter().map(|_| dice.chance(1, 2)).collect();
            under_way.sync_partly(&kept);
            for image in images(&under_way) {
                assert!(before.contains(&image), "seed {seed}: {image:?}");
            }
            under_way.sync();
            assert_eq!(names(&under_way.durable), names(&directory.volatile));
        }
    }

    #[test]
    fn sync_under_way_allows_only_images_that_were_allowed_before_it() {
        let mut directory = Directory::default();
        create(&mut directory, 1, "t", 1);
        directory.sync();
        rename(&mut directory, 2, "t", "CURRENT");
        create(&mut directory, 3, "u", 2);
        rename(&mut directory, 4, "u", "CURRENT");
        sync_in_part_adds_nothing(&directory);
    }

    #[test]
    fn directory_has_one_name_in_every_image_of_its_renames() {
        let mut directory = Directory::default();
        create(&mut directory, 1, "a", 1);
        create(&mut directory, 2, "empty", 2);
        directory.sync();
        rename_dir(&mut directory, 3, "a", "b");
        rename_dir(&mut directory, 4, "b", "empty");
        let once = |name: &str| vec![(name.to_owned(), 1)];
        let with = |name: &str| vec![(name.to_owned(), 1), ("empty".to_owned(), 2)];
        assert_eq!(images(&directory), [with("a"), with("b"), once("empty"), once("empty")]);
        sync_in_part_adds_nothing(&directory);
        let mut unsynced = Directory::default();
        create(&mut unsynced, 1, "a", 1);
        rename_dir(&mut unsynced, 2, "a", "b");
        rename_dir(&mut unsynced, 3, "b", "c");
        assert!(images(&unsynced).iter().all(|image| image.len() < 2));
        sync_in_part_adds_nothing(&unsynced);
    }
}
