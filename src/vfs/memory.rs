//! A disk, a clock and a random number source in memory, for examples and unit tests.
//!
//! **Place.** Floor 1, behind the traits of [`super`]. It knows the semantics of a filesystem and
//! nothing of crashes: every call takes effect at once, a sync checks only that its target is
//! there, and nothing but the disk's size fails. Faults and power loss belong to the simulator.
//!
//! - M1. A name is bound to a node; handles and locks are bound to the node too, so that both
//!   outlive an unlink or a rename of the name.
//! - M2. `/` exists and cannot be removed. Relative paths start there.
//! - M3. Nothing is left when the last clone of the disk and the last handle are dropped.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::path::{Component, Path, PathBuf};

use super::{Access, CallSite, Clock, DirEntry, Entropy, EntryKind, File, Lock, Vfs};
use crate::sync::{Arc, AtomicU64, Mutex, MutexGuard, Ordering, PoisonError, RwLock};

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct MemoryVfs {
    names: Arc<Mutex<Names>>,
}

/// Every path that exists, normalized, with what it stands for.
type Names = BTreeMap<PathBuf, Node>;

#[derive(Clone, Debug)]
enum Node {
    Directory,
    File(Arc<Content>),
}

/// What all handles of one file share.
#[derive(Debug, Default)]
struct Content {
    bytes: RwLock<Vec<u8>>,
    /// How many share the lock; all there can be where one holds it alone.
    locked: Mutex<u32>,
}

#[derive(Debug)]
struct MemoryFile {
    content: Arc<Content>,
    access: Access,
}

#[derive(Debug)]
struct MemoryLock {
    content: Arc<Content>,
    share: u32,
}

impl MemoryVfs {
    /// A disk with nothing but `/`.
    pub fn new() -> Self {
        let names = BTreeMap::from([(PathBuf::from("/"), Node::Directory)]);
        Self { names: Arc::new(Mutex::new(names)) }
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        unpoisoned(self.names.lock())
    }
}

impl Default for MemoryVfs {
    fn default() -> Self {
        Self::new()
    }
}

impl Vfs for MemoryVfs {
    fn create_new(&self, path: &Path, _site: CallSite) -> io::Result<Arc<dyn File>> {
        let path = normalized(path);
        let mut names = self.names();
        check_vacant(&names, &path)?;
        let content = Arc::new(Content::default());
        names.insert(path, Node::File(Arc::clone(&content)));
        Ok(Arc::new(MemoryFile { content, access: Access::ReadWrite }))
    }

    fn open(&self, path: &Path, access: Access, _site: CallSite) -> io::Result<Arc<dyn File>> {
        let content = find_file(&self.names(), &normalized(path))?;
        Ok(Arc::new(MemoryFile { content, access }))
    }

    fn rename(&self, from: &Path, to: &Path, _site: CallSite) -> io::Result<()> {
        let (from, to) = (normalized(from), normalized(to));
        if from.parent() != to.parent() {
            return Err(refused(io::ErrorKind::InvalidInput, "rename into another directory"));
        }
        let mut names = self.names();
        let content = find_file(&names, &from)?;
        if let Some(Node::Directory) = names.get(&to) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        names.remove(&from);
        names.insert(to, Node::File(content));
        Ok(())
    }

    fn unlink(&self, path: &Path, _site: CallSite) -> io::Result<()> {
        let path = normalized(path);
        let mut names = self.names();
        find_file(&names, &path)?;
        names.remove(&path);
        Ok(())
    }

    fn create_dir(&self, path: &Path, _site: CallSite) -> io::Result<()> {
        let path = normalized(path);
        let mut names = self.names();
        check_vacant(&names, &path)?;
        names.insert(path, Node::Directory);
        Ok(())
    }

    fn read_dir(&self, path: &Path, _site: CallSite) -> io::Result<Vec<DirEntry>> {
        let path = normalized(path);
        let names = self.names();
        check_directory(&names, &path)?;
        // Everything below a path follows it without a gap, children and deeper names mixed.
        let below = names
            .range::<Path, _>((Bound::Excluded(path.as_path()), Bound::Unbounded))
            .take_while(|(name, _)| name.starts_with(&path));
        let mut entries: Vec<DirEntry> = below
            .filter(|(name, _)| name.parent() == Some(&path))
            .map(|(name, node)| DirEntry { name: last_name(name), kind: node.kind() })
            .collect();
        entries.sort();
        Ok(entries)
    }

    fn sync_dir(&self, path: &Path, _site: CallSite) -> io::Result<()> {
        check_directory(&self.names(), &normalized(path))
    }

    fn lock(&self, path: &Path, access: Access, _site: CallSite) -> io::Result<Box<dyn Lock>> {
        let path = normalized(path);
        let mut names = self.names();
        let content = match find_file(&names, &path) {
            Err(error)
                if error.kind() == io::ErrorKind::NotFound && access == Access::ReadWrite =>
            {
                check_vacant(&names, &path)?;
                let content = Arc::new(Content::default());
                names.insert(path, Node::File(Arc::clone(&content)));
                content
            }
            found => found?,
        };
        let share = if access == Access::ReadWrite { u32::MAX } else { 1 };
        let mut locked = unpoisoned(content.locked.lock());
        *locked = locked.checked_add(share).ok_or(io::ErrorKind::WouldBlock)?;
        drop(locked);
        Ok(Box::new(MemoryLock { content, share }))
    }
}

impl Node {
    fn kind(&self) -> EntryKind {
        match self {
            Node::Directory => EntryKind::Directory,
            Node::File(_) => EntryKind::File,
        }
    }
}

impl MemoryFile {
    fn check_writable(&self) -> io::Result<()> {
        match self.access {
            Access::ReadWrite => Ok(()),
            Access::Read => {
                Err(refused(io::ErrorKind::PermissionDenied, "the file was opened for reading"))
            }
        }
    }
}

impl File for MemoryFile {
    fn read_at(&self, buf: &mut [u8], offset: u64, _site: CallSite) -> io::Result<usize> {
        let bytes = unpoisoned(self.content.bytes.read());
        let rest = usize::try_from(offset).ok().and_then(|start| bytes.get(start..)).unwrap_or(&[]);
        let count = rest.len().min(buf.len());
        buf[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64, _site: CallSite) -> io::Result<usize> {
        self.check_writable()?;
        if bytes.is_empty() {
            return Ok(0);
        }
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let end = start.checked_add(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        let mut content = unpoisoned(self.content.bytes.write());
        grow(&mut content, end)?;
        content[start..end].copy_from_slice(bytes);
        Ok(bytes.len())
    }

    fn allocate(&self, len: u64, _site: CallSite) -> io::Result<()> {
        self.check_writable()?;
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut content = unpoisoned(self.content.bytes.write());
        grow(&mut content, len)
    }

    fn len(&self, _site: CallSite) -> io::Result<u64> {
        Ok(unpoisoned(self.content.bytes.read()).len() as u64)
    }

    fn sync_data(&self, _site: CallSite) -> io::Result<()> {
        Ok(())
    }
}

impl Lock for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        *unpoisoned(self.content.locked.lock()) -= self.share;
    }
}

/// A clock that always shows zero.
#[derive(Clone, Copy, Debug, Default)]
pub struct StoppedClock;

impl Clock for StoppedClock {
    fn monotonic_us(&self) -> u64 {
        0
    }
}

/// A random number source that is not random: the same stream in every run, in which no call
/// repeats the bytes of another.
///
/// Two of them give the same stream, so one source serves all the stores of a test; otherwise
/// stores would share their ids.
#[derive(Debug, Default)]
pub struct CountingEntropy {
    words_given: AtomicU64,
}

impl CountingEntropy {
    /// The start of the stream.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Entropy for CountingEntropy {
    fn fill(&self, buf: &mut [u8]) -> io::Result<()> {
        for chunk in buf.chunks_mut(8) {
            let count = self.words_given.fetch_add(1, Ordering::Relaxed);
            chunk.copy_from_slice(&spread(count).to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// The path from `/` on, without `.` and `..`.
fn normalized(path: &Path) -> PathBuf {
    let mut whole = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => whole.push(name),
            Component::ParentDir => {
                whole.pop();
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    whole
}

fn find_file(names: &Names, path: &Path) -> io::Result<Arc<Content>> {
    match names.get(path) {
        Some(Node::File(content)) => Ok(Arc::clone(content)),
        Some(Node::Directory) => Err(io::ErrorKind::IsADirectory.into()),
        None => {
            check_parent(names, path)?;
            Err(io::ErrorKind::NotFound.into())
        }
    }
}

fn check_directory(names: &Names, path: &Path) -> io::Result<()> {
    match names.get(path) {
        Some(Node::Directory) => Ok(()),
        Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
        None => {
            check_parent(names, path)?;
            Err(io::ErrorKind::NotFound.into())
        }
    }
}

/// The nearest name above the path that exists decides: a file in the way is another error than
/// nothing in the way.
fn check_parent(names: &Names, path: &Path) -> io::Result<()> {
    let mut above = path.ancestors().skip(1);
    let (nearest, node) = above
        .find_map(|name| names.get_key_value(name))
        .expect("the root is above every other path and is never removed");
    match node {
        Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        Node::Directory if path.parent() == Some(nearest) => Ok(()),
        Node::Directory => Err(io::ErrorKind::NotFound.into()),
    }
}

fn check_vacant(names: &Names, path: &Path) -> io::Result<()> {
    if names.contains_key(path) {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    check_parent(names, path)
}

fn last_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Makes the content at least `len` bytes long; new bytes are zeros. Memory is the disk here, so
/// that no memory left is a full disk.
fn grow(content: &mut Vec<u8>, len: usize) -> io::Result<()> {
    if len > content.len() {
        content.try_reserve(len - content.len()).map_err(|_| io::ErrorKind::StorageFull)?;
        content.resize(len, 0);
    }
    Ok(())
}

/// The finalizer of `SplitMix64`: a bijection, so that different counts give different words.
///
/// *Reference*: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
fn spread(count: u64) -> u64 {
    let mut word = count.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

fn refused(kind: io::ErrorKind, message: &str) -> io::Error {
    io::Error::new(kind, message)
}

/// The guard of a lock whether or not a holder panicked: what is guarded here is changed in one
/// step each, so it is never half changed.
fn unpoisoned<T>(locked: Result<T, PoisonError<T>>) -> T {
    locked.unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::Location;

    fn here() -> CallSite {
        Location::caller()
    }

    fn kind<T>(result: io::Result<T>) -> Option<io::ErrorKind> {
        result.err().map(|error| error.kind())
    }

    fn disk_with(path: &str, bytes: &[u8]) -> (MemoryVfs, Arc<dyn File>) {
        let vfs = MemoryVfs::new();
        let file = vfs.create_new(Path::new(path), here()).expect("a new disk has room");
        file.write_at(bytes, 0, here()).expect("the file is writable");
        (vfs, file)
    }

    fn content(file: &dyn File) -> Vec<u8> {
        let len = usize::try_from(file.len(here()).expect("it is open")).expect("small");
        let mut bytes = vec![0; len];
        assert_eq!(file.read_at(&mut bytes, 0, here()).expect("it is open"), len);
        bytes
    }

    #[test]
    fn a_taken_name_is_refused_and_keeps_its_content() {
        let (vfs, file) = disk_with("/a", b"one");
        let again = vfs.create_new(Path::new("/a"), here());
        assert_eq!(kind(again), Some(io::ErrorKind::AlreadyExists));
        assert_eq!(content(&*file), b"one");
    }

    #[test]
    fn missing_and_misplaced_names_are_told_apart() {
        let (vfs, _file) = disk_with("/a", b"");
        let open = |path| kind(vfs.open(Path::new(path), Access::Read, here()));
        assert_eq!(open("/b"), Some(io::ErrorKind::NotFound));
        assert_eq!(open("/"), Some(io::ErrorKind::IsADirectory));
        assert_eq!(open("/a/b"), Some(io::ErrorKind::NotADirectory));
        assert_eq!(open("/x/y"), Some(io::ErrorKind::NotFound));
        let made = vfs.create_dir(Path::new("/x/y"), here());
        assert_eq!(kind(made), Some(io::ErrorKind::NotFound));
    }

    #[test]
    fn rename_replaces_a_file_and_stays_in_its_directory() {
        let (vfs, old) = disk_with("/a", b"old");
        let new = vfs.create_new(Path::new("/b"), here()).expect("vacant");
        new.write_at(b"new", 0, here()).expect("writable");
        vfs.create_dir(Path::new("/d"), here()).expect("vacant");
        let moved = vfs.rename(Path::new("/b"), Path::new("/d/b"), here());
        assert_eq!(kind(moved), Some(io::ErrorKind::InvalidInput));
        vfs.rename(Path::new("/b"), Path::new("/a"), here()).expect("same directory");
        let found = vfs.open(Path::new("/a"), Access::Read, here()).expect("it was renamed to");
        assert_eq!(content(&*found), b"new");
        assert_eq!(content(&*old), b"old");
        let gone = vfs.open(Path::new("/b"), Access::Read, here());
        assert_eq!(kind(gone), Some(io::ErrorKind::NotFound));
    }

    #[test]
    fn an_unlinked_file_lives_on_in_its_handles() {
        let (vfs, file) = disk_with("/a", b"one");
        vfs.unlink(Path::new("/a"), here()).expect("it exists");
        assert_eq!(vfs.read_dir(Path::new("/"), here()).expect("the root"), []);
        file.write_at(b"!", 5, here()).expect("writable");
        assert_eq!(content(&*file), b"one\0\0!");
    }

    #[test]
    fn read_dir_lists_its_own_names_in_the_order_of_their_bytes() {
        let vfs = MemoryVfs::new();
        for path in ["/d", "/d/b", "/d/b/c", "/d-"] {
            vfs.create_dir(Path::new(path), here()).expect("vacant");
        }
        for path in ["/d/b!", "/d/a", "/e"] {
            vfs.create_new(Path::new(path), here()).expect("vacant");
        }
        let names = |path| {
            let entries = vfs.read_dir(Path::new(path), here()).expect("a directory");
            entries.into_iter().map(|entry| (entry.name, entry.kind)).collect::<Vec<_>>()
        };
        let (file, directory) = (EntryKind::File, EntryKind::Directory);
        let expected = [("a", file), ("b", directory), ("b!", file)];
        assert_eq!(names("/d"), expected.map(|(name, kind)| (name.to_owned(), kind)));
        assert_eq!(names("/").len(), 3);
        assert_eq!(kind(vfs.read_dir(Path::new("/e"), here())), Some(io::ErrorKind::NotADirectory));
    }

    #[test]
    fn a_lock_excludes_until_it_is_dropped() {
        let vfs = MemoryVfs::new();
        let held = vfs.lock(Path::new("/LOCK"), Access::ReadWrite, here()).expect("free");
        let second = vfs.clone().lock(Path::new("/LOCK"), Access::ReadWrite, here());
        assert_eq!(kind(second), Some(io::ErrorKind::WouldBlock));
        drop(held);
        vfs.lock(Path::new("/LOCK"), Access::ReadWrite, here()).expect("free again");
        assert_eq!(
            kind(vfs.lock(Path::new("/"), Access::ReadWrite, here())),
            Some(io::ErrorKind::IsADirectory)
        );
    }

    #[test]
    fn allocate_never_shrinks_and_shows_zeros() {
        let (vfs, file) = disk_with("/a", b"abc");
        file.allocate(5, here()).expect("room");
        file.allocate(2, here()).expect("room");
        assert_eq!(content(&*file), b"abc\0\0");
        let reader = vfs.open(Path::new("/a"), Access::Read, here()).expect("it exists");
        assert_eq!(kind(reader.allocate(9, here())), Some(io::ErrorKind::PermissionDenied));
        assert_eq!(kind(reader.write_at(b"x", 0, here())), Some(io::ErrorKind::PermissionDenied));
    }

    #[test]
    fn entropy_is_the_same_stream_in_every_run_and_repeats_nothing() {
        let (one, two) = (CountingEntropy::new(), CountingEntropy::new());
        let draw = |source: &CountingEntropy| {
            let mut bytes = [0; 13];
            source.fill(&mut bytes).expect("it cannot fail");
            bytes
        };
        let stream = [draw(&one), draw(&one), draw(&one)];
        assert_eq!(stream, [draw(&two), draw(&two), draw(&two)]);
        assert!(stream[0] != stream[1] && stream[1] != stream[2] && stream[0] != stream[2]);
    }
}
