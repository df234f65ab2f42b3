//! The simulated disk behind the seam of the engine under test: at every call other threads may run
//! first, and at one of them, drawn beforehand, the disk is kept as a crash would find it.
//!
//! The engine under test may be a copy with a planted bug, whose seam is another type than that of
//! the engine the simulated disk is made for; here the one is carried over into the other.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quiver_sim::disk::{DiskState, Recording, SimDisk};
use quiver_sim::quiver_store::vfs as simulated;
use quiver_sim::stream::Stream;
use quiver_store::vfs::{Access, CallSite, DirEntry, EntryKind, File, Lock, Vfs};

/// A disk as a crash finds it, and what had been answered by then.
#[derive(Debug)]
pub(crate) struct Cut {
    pub(crate) state: DiskState,
    pub(crate) mark: usize,
}

/// The call at which the disk is kept.
struct Watch {
    calls_left: u64,
    dice: Stream,
    mark: Arc<dyn Fn() -> usize + Send + Sync>,
    cut: Option<Cut>,
}

/// A simulated disk whose calls are points of the schedule. Clones are the same.
#[derive(Clone)]
pub(crate) struct Switching {
    pub(crate) disk: SimDisk,
    watch: Arc<Mutex<Option<Watch>>>,
}

impl std::fmt::Debug for Switching {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.disk.fmt(f)
    }
}

impl Switching {
    /// A new process on a disk.
    pub(crate) fn mount(state: &DiskState) -> Self {
        Self { disk: SimDisk::mount(state), watch: Arc::default() }
    }

    /// Keeps the disk around one of the calls that change it, counted from now on: before it, inside
    /// or after it. `mark` says what had been answered.
    pub(crate) fn cut_at(
        &self,
        call: u64,
        dice: Stream,
        mark: impl Fn() -> usize + Send + Sync + 'static,
    ) {
        let watch = Watch { calls_left: call, dice, mark: Arc::new(mark), cut: None };
        *self.watch() = Some(watch);
    }

    /// What was kept, if the run came so far.
    pub(crate) fn take_cut(&self) -> Option<Cut> {
        self.watch().take()?.cut
    }

    fn watch(&self) -> MutexGuard<'_, Option<Watch>> {
        // Never held where another thread may run.
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, call: impl FnOnce(&SimDisk) -> T) -> T {
        switch();
        call(&self.disk)
    }

    fn change<T>(&self, call: impl FnOnce(&SimDisk) -> T) -> T {
        switch();
        let mut watch = self.watch();
        let Some(watch) = watch.as_mut().filter(|watch| watch.cut.is_none()) else {
            return call(&self.disk);
        };
        if watch.calls_left > 0 {
            watch.calls_left -= 1;
            return call(&self.disk);
        }
        let mark = (watch.mark)();
        self.disk.set_recording(Recording::Forks);
        let answer = call(&self.disk);
        self.disk.set_recording(Recording::Off);
        let step = self.disk.take_steps().pop();
        watch.cut = step.map(|step| {
            let after = step.after.clone();
            let state = match watch.dice.below(3) {
                0 => step.before.clone(),
                1 => step.inside(&mut watch.dice).unwrap_or(after),
                _ => after,
            };
            Cut { state, mark }
        });
        answer
    }

    fn file(&self, file: Arc<dyn simulated::File>) -> Arc<dyn File> {
        Arc::new(SwitchingFile { disk: self.clone(), file })
    }
}

/// A point at which any thread may go on.
fn switch() {
    shuttle::thread::sleep(Duration::ZERO);
}

fn carried(access: Access) -> simulated::Access {
    match access {
        Access::Read => simulated::Access::Read,
        Access::ReadWrite => simulated::Access::ReadWrite,
    }
}

impl Vfs for Switching {
    fn create_new(&self, path: &Path, site: CallSite) -> io::Result<Arc<dyn File>> {
        self.change(|disk| simulated::Vfs::create_new(disk, path, site)).map(|file| self.file(file))
    }

    fn open(&self, path: &Path, access: Access, site: CallSite) -> io::Result<Arc<dyn File>> {
        self.read(|disk| simulated::Vfs::open(disk, path, carried(access), site))
            .map(|file| self.file(file))
    }

    fn rename(&self, from: &Path, to: &Path, site: CallSite) -> io::Result<()> {
        self.change(|disk| simulated::Vfs::rename(disk, from, to, site))
    }

    fn unlink(&self, path: &Path, site: CallSite) -> io::Result<()> {
        self.change(|disk| simulated::Vfs::unlink(disk, path, site))
    }

    fn create_dir(&self, path: &Path, site: CallSite) -> io::Result<()> {
        self.change(|disk| simulated::Vfs::create_dir(disk, path, site))
    }

    fn read_dir(&self, path: &Path, site: CallSite) -> io::Result<Vec<DirEntry>> {
        let entries = self.read(|disk| simulated::Vfs::read_dir(disk, path, site))?;
        let carried = entries.into_iter().map(|entry| DirEntry {
            name: entry.name,
            kind: match entry.kind {
                simulated::EntryKind::File => EntryKind::File,
                simulated::EntryKind::Directory => EntryKind::Directory,
                simulated::EntryKind::Other => EntryKind::Other,
            },
        });
        Ok(carried.collect())
    }

    fn sync_dir(&self, path: &Path, site: CallSite) -> io::Result<()> {
        self.change(|disk| simulated::Vfs::sync_dir(disk, path, site))
    }

    fn lock(&self, path: &Path, access: Access, site: CallSite) -> io::Result<Box<dyn Lock>> {
        let lock = self.change(|disk| simulated::Vfs::lock(disk, path, carried(access), site))?;
        Ok(Box::new(SwitchingLock { _lock: lock }))
    }
}

#[derive(Debug)]
struct SwitchingLock {
    _lock: Box<dyn simulated::Lock>,
}

impl Lock for SwitchingLock {}

#[derive(Debug)]
struct SwitchingFile {
    disk: Switching,
    file: Arc<dyn simulated::File>,
}

impl File for SwitchingFile {
    fn read_at(&self, buf: &mut [u8], offset: u64, site: CallSite) -> io::Result<usize> {
        self.disk.read(|_| self.file.read_at(buf, offset, site))
    }

    fn write_at(&self, bytes: &[u8], offset: u64, site: CallSite) -> io::Result<usize> {
        self.disk.change(|_| self.file.write_at(bytes, offset, site))
    }

    fn allocate(&self, len: u64, site: CallSite) -> io::Result<()> {
        self.disk.change(|_| self.file.allocate(len, site))
    }

    fn len(&self, site: CallSite) -> io::Result<u64> {
        self.disk.read(|_| self.file.len(site))
    }

    fn sync_data(&self, site: CallSite) -> io::Result<()> {
        self.disk.change(|_| self.file.sync_data(site))
    }
}
