//! A filesystem with the face of `std::fs` that can lose power at any call.
//!
//! **Place.** For the author of any code that keeps files: it stands on the simulated disk
//! ([`crate::disk`]) and knows nothing of the engine. Code is handed a [`SimFs`], and calls its methods where
//! it called the functions of `std::fs` by the same names; `File::open(path)` becomes `fs.open(path)`, and
//! [`OpenOptions::open`] takes the filesystem first. What it does with an open [`File`] stays as it is, by
//! `Read`, `Write`, `Seek` and the methods of `FileExt`. Otherwise than there: [`SimFs::read_dir`] gives a
//! list, [`SimFs::exists`] says yes or no and never fails, [`SimFs::lock`] takes a path, and a directory has
//! [`SimFs::sync_dir`].
//!
//! - S1. What returns Ok is visible at once, and durable only after [`File::sync_all`] (bytes and
//!   length of one file) and [`SimFs::sync_dir`] (names in one directory). Nothing else makes anything
//!   durable: not closing a file, not syncing another, not time.
//! - S2. Errors have the kinds that Linux gives. Not there are links, permissions, times, maps, and a limit
//!   to the length of a name. Refused are `..` in a path (`InvalidInput`) and a rename into another
//!   directory (`CrossesDevices`), of a file or a directory; nothing is done half. A file is at most
//!   [`FILE_BYTES_MAX`](crate::disk::FILE_BYTES_MAX) long (`FileTooLarge`).
//! - S3. Calls may be short or `Interrupted` where a fault says so, as POSIX allows; the methods of
//!   `Read` and `Write` that loop in the standard library loop here.
//! - S4. There is one process and one thread of time: a fork of the disk sees all calls before it.
//!
//! ```
//! use std::io::{Read, Write};
//! use quiver_sim::disk::Policy;
//! use quiver_sim::fs::SimFs;
//!
//! # fn main() -> std::io::Result<()> {
//! let fs = SimFs::new();
//! let mut file = fs.create("/notes")?;
//! file.write_all(b"synced")?;
//! file.sync_all()?;
//! fs.sync_dir("/")?;
//! file.write_all(b", not synced")?;
//!
//! let after = fs.lose_power(Policy::Nothing, 1);
//! assert_eq!(after.read("/notes")?, b"synced");
//! assert_eq!(fs.read("/notes")?, b"synced, not synced");
//! # Ok(())
//! # }
//! ```

mod file;
mod options;
mod place;
#[cfg(test)]
mod tests;

use std::io::{self, Read as _, Write as _};
use std::panic::Location;
use std::path::Path;

use quiver_store::vfs::{Access, Vfs};
pub use quiver_store::vfs::{DirEntry, EntryKind, Lock};

use crate::disk::{DiskState, Medium, Policy, SimDisk, UnlinkedReads};
use crate::stream::{Stream, scrambled};
pub use file::File;
pub use options::OpenOptions;
use place::{Ending, Place};

/// A filesystem in memory, with the one process that runs on it. Clones are the same filesystem.
///
/// A path is absolute, or counted from `/`. `./a`, `/a` and `//a` are one path; a `/` at the end means a
/// directory, as on Linux; `..` is refused with `InvalidInput`.
#[derive(Clone, Debug)]
pub struct SimFs {
    disk: SimDisk,
}

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    kind: EntryKind,
    len: u64,
}

impl Default for SimFs {
    fn default() -> Self {
        Self::new()
    }
}

impl SimFs {
    /// An empty filesystem: the directory `/`, durable.
    pub fn new() -> Self {
        Self::mount(&DiskState::new())
    }

    /// A new process on a disk: no open file, no lock.
    pub fn mount(state: &DiskState) -> Self {
        let disk = SimDisk::mount(state);
        // As POSIX has it, and `std::fs` on it: a file lives while it is open.
        disk.set_medium(Medium { unlinked_reads: UnlinkedReads::Work, ..Medium::default() });
        Self { disk }
    }

    /// The face of a disk that is there already, with its medium, faults and recording.
    pub fn on(disk: SimDisk) -> Self {
        Self { disk }
    }

    /// The disk beneath: faults, bounds of space, forks, the record of calls.
    pub fn disk(&self) -> &SimDisk {
        &self.disk
    }

    /// A number to seed what a process draws at random: a function of all that the disk shows just now. Two runs
    /// come to the same one; two processes, one behind the crash of the other, to two, unless they find the same. A
    /// generator that begins with the same number in each process makes salts repeat that never would.
    pub fn seed(&self) -> u64 {
        let key = self.disk.state().key();
        u64::try_from(key & u128::from(u64::MAX)).expect("the low half")
    }

    /// The filesystem that a process finds after the power failed just now, by a policy. This one
    /// goes on as if nothing had happened: any number of ends can be looked at. Its medium and its bound of
    /// space are those of this one; faults and the record of calls are not taken over.
    #[must_use]
    pub fn lose_power(&self, policy: Policy, seed: u64) -> Self {
        let state = self.disk.state();
        let plan = state.plan_power_loss(policy, false, &mut Stream::new(seed));
        Self::on(self.disk.successor(&plan.build()))
    }

    /// The filesystem that a process finds after this one was killed: all that was visible is there,
    /// and what was never synced is still not durable. What stays is as for [`SimFs::lose_power`].
    #[must_use]
    pub fn kill(&self) -> Self {
        Self::on(self.disk.successor(&self.disk.state().kill()))
    }

    /// Opens a file for reading. A directory can be opened too, to be synced.
    #[track_caller]
    pub fn open(&self, path: impl AsRef<Path>) -> io::Result<File> {
        OpenOptions::new().read(true).open(self, path)
    }

    /// Opens a file for writing; creates it, or cuts it to nothing.
    #[track_caller]
    pub fn create(&self, path: impl AsRef<Path>) -> io::Result<File> {
        OpenOptions::new().write(true).create(true).truncate(true).open(self, path)
    }

    /// Opens a file for reading and writing that was not there.
    #[track_caller]
    pub fn create_new(&self, path: impl AsRef<Path>) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create_new(true).open(self, path)
    }

    /// All bytes of a file.
    #[track_caller]
    pub fn read(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        let file = self.open(path)?;
        let found = file.metadata()?;
        if found.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let len = usize::try_from(found.len()).map_err(io::Error::other)?;
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Replaces a file by these bytes. Nothing of it is durable.
    #[track_caller]
    pub fn write(&self, path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.create(path)?.write_all_at(bytes.as_ref(), 0)
    }

    /// All of a file that is a text.
    ///
    /// # Errors
    /// As for [`SimFs::read`]; `InvalidData` if it is no UTF-8.
    #[track_caller]
    pub fn read_to_string(&self, path: impl AsRef<Path>) -> io::Result<String> {
        String::from_utf8(self.read(path)?).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    /// Replaces a file by the bytes of another one; how many. Nothing of it is durable.
    #[track_caller]
    pub fn copy(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<u64> {
        let mut source = self.open(from)?;
        if !source.metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut target = self.create(to)?;
        let mut bytes = Vec::new();
        source.read_to_end(&mut bytes)?;
        target.write_all(&bytes)?;
        Ok(bytes.len() as u64)
    }

    /// Gives a file another name, replacing a file that has it; or a directory, replacing an empty one.
    /// `CrossesDevices` if that is in another directory: there the model of what a crash leaves ends.
    ///
    /// It is one change of the names of the directory: both names are as before, or both as after it.
    #[track_caller]
    pub fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
        let (from, to) = (Place::of(from.as_ref())?, Place::of(to.as_ref())?);
        let same_parent = from.parent().path() == to.parent().path();
        let plain = from.ending() == Ending::Name && to.ending() == Ending::Name;
        if !plain || !same_parent {
            self.renamable(&from, &to)?;
        }
        if !same_parent {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        self.disk.rename_any(from.path(), to.path(), Location::caller())
    }

    /// What the kernel asks of two paths, in its order, before it looks at what stands at the second.
    #[track_caller]
    fn renamable(&self, from: &Place, to: &Place) -> io::Result<()> {
        self.parent_of(from)?;
        self.parent_of(to)?;
        if !from.is_named() || !to.is_named() {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        let (kind, _) = self.disk.look(from.path(), Location::caller())?;
        let slash = from.ending() == Ending::Slash || to.ending() == Ending::Slash;
        if slash && kind != EntryKind::Directory {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        // Neither into itself nor in place of what it is in.
        let (source, target) = (from.path(), to.path());
        if target != source && target.starts_with(source) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if target != source && source.starts_with(target) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        Ok(())
    }

    /// Removes the name of a file.
    #[track_caller]
    pub fn remove_file(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let place = Place::of(path.as_ref())?;
        if place.ending() != Ending::Name {
            self.look(&place)?;
            return Err(io::ErrorKind::IsADirectory.into());
        }
        self.disk.unlink(place.path(), Location::caller())
    }

    /// Removes the name of a directory in which no names are.
    ///
    /// The removal is pending in the parent like that of a file: [`SimFs::sync_dir`] of the parent makes it
    /// durable. A crash before that leaves one of two things. The directory is gone, whatever became of the
    /// changes inside of it. Or it is back, and each change inside of it that no sync had made durable is
    /// there or not by itself: files that were removed from it may be back as well.
    ///
    /// # Errors
    /// `DirectoryNotEmpty`; `NotADirectory` for a file; `NotFound`; `ResourceBusy` for `/`.
    #[track_caller]
    pub fn remove_dir(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let place = Place::of(path.as_ref())?;
        if place.ending() == Ending::Dot {
            self.look(&place)?;
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.disk.remove_dir(place.path(), Location::caller())
    }

    /// Removes a directory with all that is below it, one name after the other: a crash in between leaves
    /// any part of it.
    #[track_caller]
    pub fn remove_dir_all(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let path = path.as_ref();
        let place = Place::of(path)?;
        if !self.look(&place)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        for DirEntry { name, kind } in self.read_dir(place.path())? {
            let below = place.path().join(name);
            match kind {
                EntryKind::Directory => self.remove_dir_all(below)?,
                _ => self.remove_file(below)?,
            }
        }
        self.remove_dir(path)
    }

    /// Creates a directory whose parent is there.
    #[track_caller]
    pub fn create_dir(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let place = Place::of(path.as_ref())?;
        if place.ending() == Ending::Dot {
            self.look(&place)?;
        }
        self.disk.create_dir(place.path(), Location::caller())
    }

    /// Creates a directory and those above it that are missing.
    #[track_caller]
    pub fn create_dir_all(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let path = path.as_ref();
        // As the standard library has it: no directory is missing.
        if path.as_os_str().is_empty() {
            return Ok(());
        }
        let place = Place::of(path)?;
        if place.ending() == Ending::Dot {
            // The name before it is none to create.
            return self.look(&place).map(drop);
        }
        self.create_place_all(&place)
    }

    #[track_caller]
    fn create_place_all(&self, place: &Place) -> io::Result<()> {
        match self.disk.look(place.path(), Location::caller()) {
            Ok((EntryKind::Directory, _)) => return Ok(()),
            Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(_) => {}
        }
        if place.parent().path() != place.path() {
            self.create_place_all(&place.parent())?;
        }
        self.disk.create_dir(place.path(), Location::caller())
    }

    /// The names in a directory, in an order that means nothing, as on a real disk: who wants another one
    /// sorts them. It is the same in every run.
    #[track_caller]
    pub fn read_dir(&self, path: impl AsRef<Path>) -> io::Result<Vec<DirEntry>> {
        let place = Place::of(path.as_ref())?;
        let mut entries = self.disk.read_dir(place.path(), Location::caller())?;
        let spread =
            |name: &str| name.bytes().fold(0, |spread, byte| scrambled(spread ^ u64::from(byte)));
        entries.sort_by_cached_key(|entry| spread(&entry.name));
        Ok(entries)
    }

    /// What stands at a path.
    #[track_caller]
    pub fn metadata(&self, path: impl AsRef<Path>) -> io::Result<Metadata> {
        self.look(&Place::of(path.as_ref())?)
    }

    /// What stands at a place: a directory, where it says so.
    #[track_caller]
    fn look(&self, place: &Place) -> io::Result<Metadata> {
        let (kind, len) = self.disk.look(place.path(), Location::caller())?;
        if kind != EntryKind::Directory && place.ending() != Ending::Name {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Metadata { kind, len })
    }

    /// Whether there is a directory for a place to be in. A place that does not end with a name has to be
    /// one itself.
    #[track_caller]
    fn parent_of(&self, place: &Place) -> io::Result<()> {
        if !place.is_named() {
            return self.look(place).map(drop);
        }
        self.look(&place.parent()).map(drop)
    }

    /// What comes of making a file at a place that means a directory: an error.
    #[track_caller]
    fn refuses_file(&self, place: &Place, has_to_be_new: bool) -> io::Error {
        match self.parent_of(place) {
            Err(error) => error,
            Ok(()) if has_to_be_new && !place.is_named() => io::ErrorKind::AlreadyExists.into(),
            Ok(()) => io::ErrorKind::IsADirectory.into(),
        }
    }

    /// Whether anything stands at a path.
    #[track_caller]
    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.metadata(path).is_ok()
    }

    /// Makes durable every earlier change of names in a directory: what `File::open(directory)` and
    /// `sync_all` do on Linux, and do here too.
    #[track_caller]
    pub fn sync_dir(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.disk.sync_dir(Place::of(path.as_ref())?.path(), Location::caller())
    }

    /// Locks a file against every other lock, and creates it if it is missing. It never waits, as
    /// `std::fs::File::try_lock` and unlike its `lock`: there is nobody here to wait for, since a process has
    /// one thread. It ends with the guard or the process, and no crash leaves it.
    ///
    /// # Errors
    /// `WouldBlock` at once if it is held, by this process too; else as for [`SimFs::create`].
    #[track_caller]
    pub fn lock(&self, path: impl AsRef<Path>) -> io::Result<Box<dyn Lock>> {
        let place = Place::of(path.as_ref())?;
        if place.ending() != Ending::Name {
            return Err(self.refuses_file(&place, false));
        }
        self.disk.lock(place.path(), Access::ReadWrite, Location::caller())
    }
}

impl Metadata {
    /// The length of a file in bytes; zero for a directory.
    #[expect(clippy::len_without_is_empty, reason = "as in the standard library")]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it is a file.
    pub fn is_file(&self) -> bool {
        self.kind == EntryKind::File
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind == EntryKind::Directory
    }
}
