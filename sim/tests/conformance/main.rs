//! One suite of filesystem semantics for the three disks behind the seam.
//!
//! The operating system, the disk in memory and the simulated disk must agree on everything but
//! crashes: what the simulator proves holds for a real disk only as far as they do. Each case is a
//! function over a disk and an empty directory on it; `on_every_disk` runs it on all three.

mod cases;
mod differential;
mod std_face;

use std::io;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quiver_sim::disk::{Medium, SimDisk, UnlinkedReads};
use quiver_store::vfs::memory::MemoryVfs;
use quiver_store::vfs::os::OsVfs;
use quiver_store::vfs::{Access, CallSite, DirEntry, EntryKind, File, Vfs};

/// A disk under test and an empty directory of its own on it.
struct Subject {
    name: &'static str,
    vfs: Arc<dyn Vfs>,
    root: PathBuf,
    /// Removes the directory of the real disk at the end.
    _guard: Option<tempfile::TempDir>,
}

#[track_caller]
fn here() -> CallSite {
    Location::caller()
}

fn subjects() -> [Subject; 3] {
    let real = tempfile::tempdir().expect("the system has a temporary directory");
    let root = PathBuf::from("/store");
    let os = Subject {
        name: "os",
        vfs: Arc::new(OsVfs::new()),
        root: real.path().to_owned(),
        _guard: Some(real),
    };
    let memory: Arc<dyn Vfs> = Arc::new(MemoryVfs::new());
    let disk = SimDisk::new();
    // By default the simulated disk is harsher than POSIX here, to show what a reader still needs.
    disk.set_medium(Medium { unlinked_reads: UnlinkedReads::Work, ..Medium::default() });
    let simulated: Arc<dyn Vfs> = Arc::new(disk);
    for vfs in [&memory, &simulated] {
        vfs.create_dir(&root, here()).expect("the disk is empty");
    }
    let memory = Subject { name: "memory", vfs: memory, root: root.clone(), _guard: None };
    let simulated = Subject { name: "simulated", vfs: simulated, root, _guard: None };
    [os, memory, simulated]
}

fn on_every_disk(case: impl Fn(&Subject)) {
    for subject in subjects() {
        case(&subject);
    }
}

impl Subject {
    /// The path of a name; the directory itself without a slash behind it.
    fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.root.clone() } else { self.root.join(name) }
    }

    fn create(&self, name: &str, bytes: &[u8]) -> Arc<dyn File> {
        let file = self.vfs.create_new(&self.path(name), here());
        let file = file.unwrap_or_else(|error| panic!("{}: create {name}: {error}", self.name));
        assert_eq!(file.write_at(bytes, 0, here()).expect("there is room"), bytes.len());
        file
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn File>> {
        self.vfs.open(&self.path(name), access, here())
    }

    fn create_dir(&self, name: &str) -> io::Result<()> {
        self.vfs.create_dir(&self.path(name), here())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.vfs.rename(&self.path(from), &self.path(to), here())
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        self.vfs.unlink(&self.path(name), here())
    }

    fn list(&self, name: &str) -> io::Result<Vec<(String, EntryKind)>> {
        let entries = self.vfs.read_dir(&self.path(name), here())?;
        Ok(entries.into_iter().map(|DirEntry { name, kind }| (name, kind)).collect())
    }

    /// The bytes that a new handle reads.
    fn bytes(&self, name: &str) -> Vec<u8> {
        let file = self.open(name, Access::Read);
        content(&*file.unwrap_or_else(|error| panic!("{}: open {name}: {error}", self.name)))
    }

    /// That a call failed in this way.
    #[track_caller]
    fn refused<T>(&self, result: io::Result<T>, kind: io::ErrorKind) {
        match result {
            Ok(_) => panic!("{}: expected {kind}, but it succeeded", self.name),
            Err(error) => assert_eq!(error.kind(), kind, "{}: {error}", self.name),
        }
    }
}

/// All bytes of a file, read in pieces that fit no sector.
fn content(file: &dyn File) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0xEE; 700];
        match file.read_at(&mut piece, bytes.len() as u64, here()).expect("it is open") {
            0 => return bytes,
            count => bytes.extend_from_slice(&piece[..count]),
        }
    }
}

/// Everything below a directory: directories with `None`, files with their bytes.
fn tree(vfs: &dyn Vfs, root: &Path) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let mut found = Vec::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(below) = waiting.pop() {
        for entry in vfs.read_dir(&root.join(&below), here()).expect("it is a directory") {
            let path = below.join(&entry.name);
            if entry.kind == EntryKind::Directory {
                found.push((path.clone(), None));
                waiting.push(path);
                continue;
            }
            let file = vfs.open(&root.join(&path), Access::Read, here()).expect("it is listed");
            found.push((path, Some(content(&*file))));
        }
    }
    found.sort();
    found
}
