//! What this process knows of the disk, behind the one lock of committing and publishing.

use std::collections::BTreeSet;

use crate::codec::PlainCodec;
use crate::error::{Error, ErrorKind, Result};
use crate::file_names::FileName;
use crate::ids::{CollectionId, FileId, ManifestVersion, Salt};
use crate::manifest::{LogEnd, Manifest};
use crate::options::Options;
use crate::vfs::{Disk, Entropy, Lock};
use crate::wal::writer::LogWriter;

/// The state of the disk, and the numbers that only grow.
#[derive(Debug)]
pub(super) struct OnDisk {
    /// The manifest that is current.
    pub(super) manifest: Manifest,
    /// The log file that takes frames. None before the first write of a process and after a
    /// failed write or sync: then the next write moves the tail.
    pub(super) log: Option<LogWriter>,
    /// Where the last listed log file ends if it takes no more: behind its last durable record.
    pub(super) log_end: LogEnd,
    /// Whether the last listed log file may hold frames whose writers were told `Unknown`.
    pub(super) in_limbo: bool,
    /// Whether records became durable that no frame states as durable yet.
    pub(super) unproved: bool,
    /// Groups to pass before an automatic checkpoint is tried again.
    pub(super) rests: u32,
    /// Files that nothing names, to be removed by the next publish.
    pub(super) orphans: BTreeSet<String>,
    /// Why writes are refused until a reopen, if they are.
    pub(super) latched: Option<String>,
    pub(super) next_version: ManifestVersion,
    pub(super) next_file: FileId,
    pub(super) next_collection: CollectionId,
    /// Held for the life of the store; given back by a close.
    pub(super) lock: Option<Box<dyn Lock>>,
}

/// What verbs of the store need beside [`OnDisk`].
#[derive(Clone, Copy)]
pub(super) struct Tools<'a> {
    pub(super) disk: &'a Disk,
    pub(super) entropy: &'a dyn Entropy,
    pub(super) options: &'a Options,
    pub(super) codec: &'a PlainCodec,
}

impl Tools<'_> {
    /// A salt for a new file.
    ///
    /// # Errors
    /// `Io` where the source of randomness fails: there is no weaker one to fall back to.
    pub(super) fn salt(&self) -> Result<Salt> {
        let mut salt = Salt::default();
        self.entropy.fill(&mut salt.0).map_err(|error| {
            Error::new(ErrorKind::Io, format!("cannot draw random bytes: {error}"))
        })?;
        Ok(salt)
    }
}

impl OnDisk {
    /// A file id that was never given before.
    pub(super) fn take_file(&mut self) -> FileId {
        let id = self.next_file;
        self.next_file = FileId(id.0 + 1);
        id
    }

    /// A manifest version that was never given before.
    pub(super) fn take_version(&mut self) -> ManifestVersion {
        let version = self.next_version;
        self.next_version = ManifestVersion(version.0 + 1);
        version
    }

    /// A collection id that was never given before, also if its creation comes to nothing.
    pub(super) fn take_collection(&mut self) -> CollectionId {
        let id = self.next_collection;
        self.next_collection = CollectionId(id.0 + 1);
        id
    }

    /// Refuses writes where a publish failed from its rename on.
    ///
    /// # Errors
    /// `Latched`.
    pub(super) fn check_latch(&self) -> Result<()> {
        match &self.latched {
            None => Ok(()),
            Some(why) => Err(Error::new(
                ErrorKind::Latched,
                format!("the store takes no writes until it is reopened: {why}"),
            )),
        }
    }
}

/// The files that a manifest accounts for, itself included.
pub(super) fn files_of(manifest: &Manifest) -> impl Iterator<Item = FileName> + '_ {
    let logs = manifest.logs.iter().map(|log| FileName::Log(log.file, log.salt.into()));
    let segments = manifest.segments.iter();
    let segments = segments.map(|segment| FileName::Segment(segment.file, segment.salt.into()));
    let own = FileName::Manifest(manifest.version, manifest.salt.into());
    std::iter::once(own).chain(logs).chain(segments)
}
