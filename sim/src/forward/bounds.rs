//! What a store may take: handles, names, bytes (I18).
//!
//! **Place.** Looked at after each operation of a history, on the disk itself; only what the bounds
//! are counted from comes from the store.
//!
//! | bound | holds |
//! |---|---|
//! | open files, most at a time: live segments (before or after) + pinned files + 16 | always |
//! | names: files of the figures + pinned files + orphans that the store knows of + 8 | after each operation |
//! | names: files of the figures and `LOCK` | after a compaction, nothing held, no fault |
//! | bytes: 1.05 x live + 1 MiB + the log + rounding + reserve | as above |
//! | bytes: 2.2 x live + 1 MiB + the log + rounding + reserve | once background work is done, nothing held |
//! | bytes that an open reads: logs twice, what each segment shows of itself, the manifest | each open |
//!
//! - B1. *Live* are the bytes of all ids, vectors and payloads, by the model. *The log* is twice its
//!   limit and twice the step of its allocation. *Rounding* is six pages for each segment: a page
//!   for each section, and the footer. Pinned files are those that a reader keeps.

use std::path::Path;

use quiver_store::limits::PAGE_SIZE_BYTES;

use super::{Invariant, Runner, STORE_DIR};
use crate::checker::Finding;
use crate::system::Standing;

/// Open files beside segments: logs, what is written, what is read for a moment.
const HANDLES_BESIDE_SEGMENTS: u64 = 16;

/// Names beside those of the figures: `LOCK`, what is being written.
const NAMES_BESIDE_FILES: u64 = 8;

/// Bytes that a store may take beside what depends on its content.
const BYTES_BESIDE_ROWS: u64 = 1 << 20;

/// Pages of a segment that may be empty but for a byte.
const ROUNDED_PAGES: u64 = 6;

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
        let most = known + standing.orphans + NAMES_BESIDE_FILES;
        self.within("names in the directory", names, most, "files, pinned files, orphans and 8");
        let done = std::mem::take(&mut self.done);
        if done == Done::Other || self.excused || self.holds_views() || standing.pinned > 0 {
            return;
        }
        let live = self.model.committed().bytes;
        let beside = self.beside_rows(standing);
        if done == Done::Compacted {
            let exact = standing.files.len() as u64 + 1;
            self.within("names after a compaction", names, exact, "files of the store and LOCK");
            let most = live + live / 20 + beside;
            self.within("bytes after a compaction", bytes, most, "1.05 x live and what is beside");
        }
        let most = live * 11 / 5 + beside;
        self.within("bytes at rest", bytes, most, "2.2 x live and what is beside");
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
