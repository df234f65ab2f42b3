//! How a file is opened.

use std::io;
use std::panic::Location;
use std::path::Path;

use quiver_store::vfs::{Access, EntryKind, Vfs};

use super::place::{Ending, Place};
use super::{File, SimFs};

/// How a file is opened: as `std::fs::OpenOptions`, and refused for the same combinations.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    read: bool,
    write: bool,
    append: bool,
    truncate: bool,
    create: bool,
    create_new: bool,
}

impl OpenOptions {
    /// Nothing is asked for yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// For reading.
    pub fn read(&mut self, read: bool) -> &mut Self {
        self.read = read;
        self
    }

    /// For writing.
    pub fn write(&mut self, write: bool) -> &mut Self {
        self.write = write;
        self
    }

    /// For writing at the end, wherever the cursor is.
    pub fn append(&mut self, append: bool) -> &mut Self {
        self.append = append;
        self
    }

    /// Cut to nothing. It is a change of its own: a crash may leave the name without the cut.
    pub fn truncate(&mut self, truncate: bool) -> &mut Self {
        self.truncate = truncate;
        self
    }

    /// Created if it is missing.
    pub fn create(&mut self, create: bool) -> &mut Self {
        self.create = create;
        self
    }

    /// Created; `AlreadyExists` if it is there.
    pub fn create_new(&mut self, create_new: bool) -> &mut Self {
        self.create_new = create_new;
        self
    }

    /// Opens a file.
    ///
    /// # Errors
    /// `InvalidInput` for a combination that makes no sense; `NotFound`, `AlreadyExists`,
    /// `IsADirectory`, `NotADirectory`, `StorageFull`.
    #[track_caller]
    pub fn open(&self, fs: &SimFs, path: impl AsRef<Path>) -> io::Result<File> {
        let site = Location::caller();
        let writes = self.write || self.append;
        let changes = self.truncate || self.create || self.create_new;
        if !writes && (!self.read || changes) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if self.append && self.truncate && !self.create_new {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let place = Place::of(path.as_ref())?;
        if place.ending() != Ending::Name {
            if self.create || self.create_new {
                return Err(fs.refuses_file(&place, self.create_new));
            }
            fs.look(&place)?;
        }
        let path = place.path();
        if self.create_new {
            drop(fs.disk().create_new(path, site)?);
        } else {
            match fs.disk().look(path, site) {
                Ok((EntryKind::File, _)) => {}
                Ok(_) if !writes => return fs.disk().hold_directory(path).map(File::of_directory),
                Ok(_) => return Err(io::ErrorKind::IsADirectory.into()),
                Err(error) if error.kind() == io::ErrorKind::NotFound && self.create => {
                    drop(fs.disk().create_new(path, site)?);
                }
                Err(error) => return Err(error),
            }
        }
        let access = if writes { Access::ReadWrite } else { Access::Read };
        let opened = fs.disk().open_file(path, access, site)?;
        if self.truncate && !self.create_new {
            opened.set_len(0, site)?;
        }
        Ok(File::of(opened, self.read, writes, self.append))
    }
}
