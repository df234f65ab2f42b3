//! What a store may take: handles, names, bytes (I18).
//!
//! **Place.** Looked at after each operation of a history, on the disk itself; only what the bounds
//! are counted from comes from the store.
//!
//! | bound | holds |
//! |---|---|
//! | open files, most at a time: live segments (before or after) + pinned files + 16 | always |
//! | names: files of the figures + pinned files + orphans that the store knows of + what a publish under way has made + 8 | after each operation; without those that a failed sync of the directory brought back |
//! | names: files of the figures and `LOCK` | after a compaction and once background work is done, nothing held, no fault; in the second case without keys that only the log needs, for it stays as it is |
//! | bytes: 1.05 x live + 1 MiB + the log + rounding + reserve | after a compaction, as above |
//! | bytes: 2.2 x live + 1 MiB + the log + rounding + reserve | once background work is done, as above |
//! | live log files: their limit + 2 | after each operation, no fault, none in the process before whose log is still there |
//! | bytes of log files: twice their limit and twice a group, and a step of allocation for each | as above |
//! | bytes read by an open: logs and tombstones twice, 10 pages and a sixteenth of each segment, the manifest, 64 KiB | each open |
//!
//! - B1. *Live* are the bytes of all ids, vectors and payloads, by the model. *The log* is twice its
//!   limit and twice the step of its allocation. *Rounding* is six pages for each segment: a page
//!   for each section, and the footer. A publish under way is a checkpoint or merge between its steps. Pinned files are those that a reader keeps; one that it has
//!   let go of is an orphan until the next publish or `maintain`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quiver_store::file_names::FileName;
use quiver_store::limits::PAGE_SIZE_BYTES;

use super::{Invariant, Runner, STORE_DIR};
use crate::checker::Finding;
use crate::disk::{IoCall, IoKind};
use crate::system::Standing;

/// Open files beside segments: logs, what is written, what is read for a moment.
const HANDLES_BESIDE_SEGMENTS: u64 = 16;

/// Names beside those of the figures: `LOCK`, what is being written.
const NAMES_BESIDE_FILES: u64 = 8;

/// Bytes that a store may take beside what depends on its content.
const BYTES_BESIDE_ROWS: u64 = 1 << 20;

/// Pages of a segment that may be empty but for a byte.
const ROUNDED_PAGES: u64 = 6;

/// Pages of a segment that an open reads: its last ones, which are its tail or hold a part of it.
const OPENED_PAGES: u64 = 10;

/// Bytes that an open may read beside what depends on what there is.
const BYTES_BESIDE_FILES: u64 = 64 << 10;

/// The largest batch of a history, about.
const BATCH_BYTES: u64 = 128 << 10;

/// What has just been done, for which a tighter bound holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Done {
    /// Nothing of the kind.
    #[default]
    Other,
    /// Background work was done to its end.
    Maintained,
    /// A compaction came to its end.
    Compacted,
}

impl Runner<'_> {
    pub(super) fn check_bounds(&mut self, standing: &Standing, before: &Standing) {
        if self.stopped {
            return;
        }
        self.evaluated(Invariant::I18);
        let segments = standing.segments.max(before.segments);
        let kept = standing.pinned.max(before.pinned);
        let most = segments + kept + HANDLES_BESIDE_SEGMENTS;
        let handles = self.disk.take_open_handles_most();
        self.within("open files", handles, most, "live segments, pinned files and 16");
        let (names, bytes) = self.on_disk();
        let known = standing.files.len() as u64 + standing.pinned;
        // What a reader has let go of waits for the next publish; a compaction leaves none of it.
        let most = known + standing.orphans + self.in_the_making(standing) + NAMES_BESIDE_FILES;
        let of = "files, pinned files, orphans, those of a publish under way and 8";
        let names_left = names - self.came_back();
        self.within("names in the directory", names_left, most, of);
        if names_left > most
            && let Some((_, finding)) = self.out.findings.last_mut()
        {
            let files = self.disk.state().list().into_iter().map(|(path, _)| path);
            let unknown = files.filter(|path| {
                let name = path.strip_prefix(STORE_DIR).unwrap_or(path).display().to_string();
                !standing.files.contains(&name)
            });
            let unknown: Vec<_> = unknown.collect();
            finding.found = format!("{names}, of which the store does not name {unknown:?}");
        }
        self.check_log(standing);
        let done = std::mem::take(&mut self.done);
        if done == Done::Other || self.excused || self.holds_views() {
            return;
        }
        self.within("pinned files", standing.pinned, 0, "nothing is held");
        let live = self.model.committed().bytes;
        let beside = self.beside_rows(standing);
        let waiting = if done == Done::Maintained { self.keys_of_the_log(standing) } else { 0 };
        let exact = standing.files.len() as u64 + 1 + waiting;
        self.within("names at rest", names, exact, "files of the store and LOCK");
        if done == Done::Compacted {
            let most = live + live / 20 + beside;
            self.within("bytes after a compaction", bytes, most, "1.05 x live and what is beside");
        }
        let most = live * 11 / 5 + beside;
        self.within("bytes at rest", bytes, most, "2.2 x live and what is beside");
    }

    /// Keys of collections that were dropped, while the log has their records: nothing is due for that.
    fn keys_of_the_log(&self, standing: &Standing) -> u64 {
        let files = self.disk.state().list();
        let names =
            files.iter().filter_map(|(path, _)| path.strip_prefix(STORE_DIR).ok()?.to_str());
        let is_unnamed = |name: &&str| !standing.files.iter().any(|file| file == name);
        let is_key = |name: &&str| matches!(FileName::parse(name), Some(FileName::Key(_)));
        let keys = names.filter(is_key).filter(is_unnamed).count() as u64;
        keys.min(standing.orphans)
    }

    /// The log that the next open would have to read.
    fn check_log(&mut self, standing: &Standing) {
        // What failed is not tried again at once, and an open seals nothing.
        self.inherits &= standing.checkpoints == 0;
        if self.excused || self.inherits {
            return;
        }
        let options = &self.history.options;
        let files = options.log_files_max + 2;
        let group = BATCH_BYTES.max(options.group_bytes_max as u64);
        let steps = standing.log_files * options.log_step_bytes_max;
        let most = 2 * (options.log_size_bytes_max + group) + steps;
        let bytes = self.bytes_of(|name| name.ends_with(".wal"));
        self.within("live log files", standing.log_files, files, "their limit and 2");
        self.within(
            "bytes of log files",
            bytes,
            most,
            "twice limit and group, and a step for each",
        );
    }

    /// Segments and tombstones that this process has created and no manifest has named yet, as far as a
    /// checkpoint and a merge may have made as many: a segment for each collection and one more, and
    /// tombstones for each segment.
    fn in_the_making(&mut self, standing: &Standing) -> u64 {
        for marked in &self.out.calls[self.unseen_call..] {
            let IoCall { kind, path, result, .. } = &marked.step.call;
            if result.is_err() || !(path.ends_with(".seg") || path.ends_with(".tmb")) {
                continue;
            }
            match kind {
                IoKind::Create => drop(self.made.insert(path.clone())),
                IoKind::Unlink => drop(self.made.remove(path)),
                _ => {}
            }
        }
        for marked in &self.out.calls[self.unseen_call..] {
            let IoCall { kind, path, result, .. } = &marked.step.call;
            if *kind == IoKind::Unlink && result.is_ok() && path.starts_with(STORE_DIR) {
                self.removed.insert(path.clone());
            }
        }
        self.unseen_call = self.out.calls.len();
        for file in &standing.files {
            self.made.remove(&*format!("{STORE_DIR}/{file}"));
        }
        let collections = self.model.committed().collections.len() as u64;
        let most = collections + standing.segments + 2;
        most.min(self.made.len() as u64)
    }

    /// Names that this process has removed and that are there again: a directory whose sync failed may
    /// show them at once, and the store is not told.
    fn came_back(&self) -> u64 {
        let is_there = |path: &&Arc<str>| self.disk.state().read(Path::new(&***path)).is_some();
        match self.excused {
            true => self.removed.iter().filter(is_there).count() as u64,
            false => 0,
        }
    }

    /// Bytes that an open may read of what there is now.
    pub(super) fn readable_at_open(&self) -> u64 {
        let page = PAGE_SIZE_BYTES as u64;
        let mut files = self.disk.state().list();
        files.retain(|(path, _)| path.starts_with(STORE_DIR));
        let read = |(path, len): &(PathBuf, u64)| match path.extension().and_then(OsStr::to_str) {
            Some("wal" | "tmb") => 2 * len,
            Some("seg") => (*len).min(OPENED_PAGES * page + len / 16),
            Some("res") => 0,
            _ => *len,
        };
        BYTES_BESIDE_FILES + files.iter().map(read).sum::<u64>()
    }

    /// Recovery does not read what it need not.
    pub(super) fn check_bytes_read(&mut self, found: u64, most: u64) {
        self.evaluated(Invariant::I18);
        self.within("bytes read by an open", found, most, "logs, and the ends of segments");
    }

    pub(super) fn bytes_of(&self, which: impl Fn(&str) -> bool) -> u64 {
        let files = self.disk.state().list();
        let own = files.iter().filter(|(path, _)| path.starts_with(STORE_DIR));
        let own = own.filter(|(path, _)| path.to_str().is_some_and(&which));
        own.map(|(_, len)| len).sum()
    }

    /// Bytes that rows do not account for (B1).
    fn beside_rows(&self, standing: &Standing) -> u64 {
        let options = &self.history.options;
        let log = 2 * (options.log_size_bytes_max + options.log_step_bytes_max);
        let rounding = standing.segments * ROUNDED_PAGES * PAGE_SIZE_BYTES as u64;
        BYTES_BESIDE_ROWS + log + rounding + standing.reserve_bytes
    }

    /// How many names there are in the store's directory, and how many bytes below them.
    fn on_disk(&self) -> (u64, u64) {
        let files = self.disk.state().list();
        let own = files.iter().filter(|(path, _)| path.starts_with(Path::new(STORE_DIR)));
        own.fold((0, 0), |(names, bytes), (_, len)| (names + 1, bytes + len))
    }

    fn within(&mut self, what: &str, found: u64, most: u64, of: &str) {
        if found > most {
            let expected = format!("at most {most} {what}: {of}");
            self.found(Finding::new(Invariant::I18, expected, found.to_string()));
            self.stopped = true;
        }
    }
}
