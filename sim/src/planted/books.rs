//! What a wrong engine keeps in mind about the files of its store.
//!
//! **Place.** The wrapper of the seam tells it what is created, written and renamed, and asks it for
//! what to write instead and what to remove.
//!
//! - K1. There are two manifests: the one that the engine means and the one that the disk has, which
//!   is the former under an [`Overlay`].
//! - K2. A file that the disk's manifest names is not removed when the engine removes it, but with
//!   the publish that stops naming it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use quiver_store::file_names::{CURRENT, FileName, LOCK};
use quiver_store::ids::FileId;
use quiver_store::manifest::current::{CURRENT_SIZE_BYTES, Current};
use quiver_store::manifest::{LogEntry, Manifest};
use quiver_store::page::{self, PAGE_HEADER_SIZE_BYTES, PagePlace, PageType};
use quiver_store::vfs::{Access, CallSite, Vfs};
use quiver_store::wal::codecs::LogFileIdentity;
use quiver_store::wal::header::{LOG_HEADER_SIZE_BYTES, LogHeader};
use quiver_store::{CollectionId, PlainCodec};

use super::Bug;
use super::edits::{Facts, Publish};
use super::log_frames::LogFacts;
use super::log_view;
use super::overlay::Overlay;

/// A manifest, as it is meant and as the disk has it (K1).
#[derive(Clone, Debug)]
struct Both {
    meant: Manifest,
    said: Manifest,
}

/// A publish between its manifest and its rename.
#[derive(Debug)]
struct Next {
    both: Both,
    len: u64,
    digest: u32,
}

/// A log that this process writes.
#[derive(Debug)]
struct OwnLog {
    identity: LogFileIdentity,
    facts: LogFacts,
}

/// What one process knows.
#[derive(Debug, Default)]
pub(super) struct Books {
    current: Option<Both>,
    next: Option<Next>,
    /// What was current before a rename that no sync of the directory has covered yet.
    replaced: Option<Manifest>,
    overlay: Overlay,
    logs: BTreeMap<FileId, OwnLog>,
    begun: BTreeMap<FileId, BTreeSet<FileId>>,
    /// Names of files that the engine believes removed (K2).
    kept: BTreeSet<String>,
    /// Segments removed under their readers.
    pub(super) gone: BTreeSet<PathBuf>,
    /// Collections whose drop is written and not yet synced.
    pub(super) dropping: Vec<CollectionId>,
    /// Names created by this process.
    pub(super) own: BTreeSet<String>,
    pub(super) is_full: bool,
    pub(super) has_swept: bool,
}

/// The disk behind the wrapper, from one call of the engine.
#[derive(Clone, Copy)]
pub(super) struct Beneath<'a> {
    pub(super) vfs: &'a dyn Vfs,
    pub(super) dir: &'a Path,
    pub(super) site: CallSite,
}

impl Beneath<'_> {
    fn read(&self, name: &str) -> Option<Vec<u8>> {
        let file = self.vfs.open(&self.dir.join(name), Access::Read, self.site).ok()?;
        log_view::read(&*file, self.site).ok()
    }

    /// The manifest that is current.
    pub(super) fn manifest(&self) -> Option<Manifest> {
        let current = Current::decode(&self.read(CURRENT)?).ok()?;
        let name = FileName::Manifest(current.version, current.salt.into()).text();
        decode(&self.read(&name)?)
    }

    /// Removes files; what fails is left, as the engine leaves it.
    pub(super) fn remove(&self, names: impl IntoIterator<Item = String>) {
        for name in names {
            let _ = self.vfs.unlink(&self.dir.join(name), self.site);
        }
    }
}

/// Reads a manifest from its pages, which need not be of the store that is open.
pub(super) fn decode(pages: &[u8]) -> Option<Manifest> {
    let mut pages = pages.to_vec();
    let body = pages.get(PAGE_HEADER_SIZE_BYTES..)?;
    // Where it says of which store and salt it is: version, salt, store.
    let salt = quiver_store::ids::Salt(*body.get(8..)?.first_chunk()?);
    let store = quiver_store::ids::StoreId(*body.get(24..)?.first_chunk()?);
    let first = PagePlace {
        store,
        salt,
        collection: CollectionId(0),
        page_type: PageType::Manifest,
        index: 0,
    };
    let bytes = page::open_stream(&first, &PlainCodec, &mut pages).ok()?;
    Manifest::decode(&bytes).ok()
}

pub(super) fn encode(manifest: &Manifest) -> Vec<u8> {
    let first = PagePlace {
        store: manifest.store,
        salt: manifest.salt,
        collection: CollectionId(0),
        page_type: PageType::Manifest,
        index: 0,
    };
    let bytes = manifest.encode(&PlainCodec).expect("the plain codec never fails");
    page::seal_stream(&first, &PlainCodec, &bytes).expect("the plain codec never fails")
}

/// The names of the files that a manifest accounts for, itself included.
pub(super) fn names_of(manifest: &Manifest) -> BTreeSet<String> {
    let logs = manifest.logs.iter().map(|log| FileName::Log(log.file, log.salt.into()));
    let segments = manifest.segments.iter();
    let segments = segments.map(|entry| FileName::Segment(entry.file, entry.salt.into()));
    let tombstones = manifest.tombstones.iter();
    let tombstones = tombstones.map(|entry| FileName::Tombstones(entry.file, entry.salt.into()));
    let own = FileName::Manifest(manifest.version, manifest.salt.into());
    let names = std::iter::once(own).chain(logs).chain(segments).chain(tombstones);
    names.map(FileName::text).collect()
}

fn only_in(one: &Manifest, other: &Manifest) -> Vec<String> {
    names_of(one).difference(&names_of(other)).cloned().collect()
}

impl Books {
    /// Looks up what is current, before this process publishes for the first time.
    pub(super) fn begin(&mut self, beneath: Beneath<'_>) {
        if self.current.is_none() {
            let found = beneath.manifest();
            self.current = found.map(|said| Both { meant: said.clone(), said });
        }
    }

    /// A file was created.
    pub(super) fn created(&mut self, name: &str) {
        self.own.insert(name.to_owned());
        if let (Some(FileName::Segment(file, _)), Some(both)) =
            (FileName::parse(name), &self.current)
        {
            let named = both.meant.segments.iter().map(|entry| entry.file).collect();
            self.begun.insert(file, named);
        }
    }

    /// What a manifest's pages become.
    pub(super) fn manifest(&mut self, bug: &Bug, pages: &[u8], beneath: Beneath<'_>) -> Vec<u8> {
        let Some(meant) = decode(pages) else { return pages.to_vec() };
        if let Some(Both { meant: before, said: said_before }) = &self.current {
            let publish = Publish { before, said_before, meant: &meant };
            let facts = Known { logs: &self.logs, begun: &self.begun, beneath };
            publish.plant(bug, &facts, &mut self.overlay);
        }
        let said = self.overlay.over(&meant);
        let pages = encode(&said);
        let (len, digest) = (pages.len() as u64, page::digest(&pages));
        self.next = Some(Next { both: Both { meant, said }, len, digest });
        pages
    }

    /// What the `CURRENT` becomes that names the next manifest.
    pub(super) fn current(&self, bytes: &[u8]) -> [u8; CURRENT_SIZE_BYTES] {
        let named = Current::decode(bytes).expect("the engine writes what it can read");
        let next = self.next.as_ref().filter(|next| next.both.meant.version == named.version);
        let (len, digest) = next.map_or((named.len, named.digest), |next| (next.len, next.digest));
        Current { len, digest, ..named }.encode()
    }

    /// Files that the rename to come stops naming, and files that it names for the first time.
    pub(super) fn change(&self) -> Option<(Vec<String>, Vec<String>)> {
        let (old, new) = (&self.current.as_ref()?.said, &self.next.as_ref()?.both.said);
        Some((only_in(old, new), only_in(new, old)))
    }

    /// The rename was made.
    pub(super) fn renamed(&mut self) {
        if let Some(next) = self.next.take() {
            let before = self.current.replace(next.both);
            self.replaced = before.map(|both| both.said);
        }
    }

    /// What the last rename stopped naming, and what it named for the first time, while no sync
    /// covers it.
    pub(super) fn unsynced(&self) -> Option<(Vec<String>, Vec<String>)> {
        let (old, new) = (self.replaced.as_ref()?, &self.current.as_ref()?.said);
        Some((only_in(old, new), only_in(new, old)))
    }

    /// The directory was synced; which of the files that were kept can go (K2).
    pub(super) fn synced(&mut self) -> Vec<String> {
        let (Some(_), Some(both)) = (self.replaced.take(), &self.current) else {
            return Vec::new();
        };
        let named = names_of(&both.said);
        let (stay, go) =
            std::mem::take(&mut self.kept).into_iter().partition(|name| named.contains(name));
        self.kept = stay;
        let go: BTreeSet<String> = go;
        go.into_iter().collect()
    }

    /// Whether a file that the engine removes has to stay (K2).
    pub(super) fn keeps(&mut self, name: &str) -> bool {
        let keeps = self.current.as_ref().is_some_and(|both| names_of(&both.said).contains(name));
        if keeps {
            self.kept.insert(name.to_owned());
        }
        keeps
    }

    /// The files of a collection's segments.
    pub(super) fn segments_of(&self, dropped: &[CollectionId]) -> Vec<String> {
        let segments = self.current.iter().flat_map(|both| &both.said.segments);
        segments
            .filter(|entry| dropped.contains(&entry.collection))
            .map(|entry| FileName::Segment(entry.file, entry.salt.into()).text())
            .collect()
    }

    /// Which of these files nothing names.
    pub(super) fn orphans(&self, names: &[String]) -> Vec<String> {
        let Some(both) = &self.current else { return Vec::new() };
        orphans(Some(&both.said), names)
    }

    /// Bytes that are written into a log of this process; where they stand, if they are frames.
    pub(super) fn log_identity(
        &mut self,
        file: FileId,
        bytes: &[u8],
        offset: u64,
    ) -> Option<LogFileIdentity> {
        if offset == 0 {
            let header = LogHeader::decode(bytes.get(..LOG_HEADER_SIZE_BYTES)?).ok()?;
            let identity = LogFileIdentity { store: header.store, salt: header.salt };
            self.logs.insert(file, OwnLog { identity, facts: LogFacts::default() });
            return None;
        }
        self.logs.get(&file).map(|log| log.identity)
    }

    /// Frames were written.
    pub(super) fn logged(&mut self, file: FileId, bytes: &[u8], offset: u64) {
        if let Some(log) = self.logs.get_mut(&file) {
            log.facts.take_in(bytes, offset);
        }
    }

    /// Frames of a log end elsewhere than the engine believes.
    pub(super) fn moved(&mut self, file: FileId, ends: Vec<(u64, u64)>) {
        self.overlay.ends.extend(ends.into_iter().map(|(from, to)| ((file, from), to)));
    }
}

/// Which of these files a manifest does not account for.
pub(super) fn orphans(manifest: Option<&Manifest>, names: &[String]) -> Vec<String> {
    let named = manifest.map(names_of).unwrap_or_default();
    let is_orphan = |name: &&String| {
        let stays = [LOCK, CURRENT].contains(&name.as_str())
            || matches!(FileName::parse(name), None | Some(FileName::Reserve(..)));
        !stays && !named.contains(*name)
    };
    names.iter().filter(is_orphan).cloned().collect()
}

/// What is known while the books are being written.
struct Known<'a> {
    logs: &'a BTreeMap<FileId, OwnLog>,
    begun: &'a BTreeMap<FileId, BTreeSet<FileId>>,
    beneath: Beneath<'a>,
}

impl Facts for Known<'_> {
    fn log(&self, entry: &LogEntry) -> Option<LogFacts> {
        if let Some(own) = self.logs.get(&entry.file) {
            return Some(own.facts.clone());
        }
        let bytes = self.beneath.read(&FileName::Log(entry.file, entry.salt.into()).text())?;
        Some(LogFacts::of(&bytes, entry.salt))
    }

    fn named_at_start_of(&self, segment: FileId) -> Option<&BTreeSet<FileId>> {
        self.begun.get(&segment)
    }
}
