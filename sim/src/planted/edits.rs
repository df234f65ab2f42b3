//! The wrong edits of a manifest, each by the bug that makes it.
//!
//! **Place.** `books` shows it each manifest that the engine is about to publish, beside the one
//! before; what is wrong goes into the [`Overlay`].

use std::collections::BTreeSet;

use quiver_store::Lsn;
use quiver_store::ids::FileId;
use quiver_store::manifest::{LogEntry, Manifest, SegmentEntry, TombstonesEntry};

use super::Bug;
use super::log_frames::LogFacts;
use super::overlay::Overlay;

/// A publish that is being prepared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Publish<'a> {
    /// The manifest that it edits, as the engine means it.
    pub(super) before: &'a Manifest,
    /// That manifest, as the disk has it.
    pub(super) said_before: &'a Manifest,
    /// What the engine wants to make current.
    pub(super) meant: &'a Manifest,
}

/// What else is known of the files.
pub(super) trait Facts {
    /// The frames of a log, if it can be told.
    fn log(&self, entry: &LogEntry) -> Option<LogFacts>;

    /// The segments that were named when this one was begun.
    fn named_at_start_of(&self, segment: FileId) -> Option<&BTreeSet<FileId>>;
}

impl Publish<'_> {
    /// Plants the bug, if this publish is one where it does something.
    pub(super) fn plant(&self, bug: &Bug, facts: &dyn Facts, overlay: &mut Overlay) {
        match bug {
            Bug::TombstonesUnnamed => {
                for entry in &self.meant.tombstones {
                    overlay.tombstones.insert(entry.segment, (Some(*entry), None));
                }
            }
            Bug::StaleTombstones => {
                for entry in self.new_tombstones() {
                    if let Some(old) = tombstones_of(self.said_before, entry.segment) {
                        overlay.tombstones.insert(entry.segment, (Some(entry), Some(old)));
                    }
                }
            }
            Bug::OneTombstoneFileOfTwo => {
                let new: Vec<_> = self.new_tombstones().collect();
                if let [_, .., last] = new.as_slice() {
                    let old = tombstones_of(self.said_before, last.segment);
                    overlay.tombstones.insert(last.segment, (Some(*last), old));
                }
            }
            Bug::MergeLosesTombstones => {
                let of_new =
                    |entry: &&TombstonesEntry| self.before.segment(entry.segment).is_none();
                for entry in self.meant.tombstones.iter().filter(of_new) {
                    overlay.tombstones.insert(entry.segment, (Some(*entry), None));
                }
            }
            Bug::MergeKeepsAnInput => self.keep_an_input(overlay),
            Bug::MergeLosesASegment => self.lose_a_segment(facts, overlay),
            Bug::CheckpointDropsUnsealedLog
                if self.is_checkpoint() && self.first_unsealed(facts).is_some() =>
            {
                overlay.dropped_logs.extend(self.meant.logs.iter().map(|log| log.file));
            }
            Bug::SealedOneTooFar
                if self.is_checkpoint() && self.first_unsealed(facts) == Some(1) =>
            {
                overlay.sealed = Some((self.meant.sealed, self.meant.sealed.next()));
            }
            Bug::CheckpointForgetsACollection if self.is_checkpoint() => {
                let new: Vec<_> = self.new_segments().collect();
                if let [first, .., last] = new.as_slice()
                    && first.collection != last.collection
                {
                    overlay.left_out.insert(last.file);
                }
            }
            Bug::DroppedCollectionStays => self.keep_dropped(overlay),
            Bug::NothingParked => overlay.parks_nothing = true,
            Bug::ParkedReplaced => overlay.parks_once = true,
            Bug::CollectionIdsGivenAgain => overlay.counts_back = true,
            Bug::EndedLogOneShort => self.end_one_short(facts, overlay),
            _ => {}
        }
    }

    fn is_checkpoint(&self) -> bool {
        self.meant.sealed > self.before.sealed
    }

    fn is_merge(&self) -> bool {
        !self.is_checkpoint() && self.dropped_segments().next().is_some()
    }

    fn new_segments(&self) -> impl Iterator<Item = SegmentEntry> {
        let is_new = |entry: &&SegmentEntry| self.before.segment(entry.file).is_none();
        self.meant.segments.iter().filter(is_new).copied()
    }

    fn dropped_segments(&self) -> impl Iterator<Item = SegmentEntry> {
        let is_gone = |entry: &&SegmentEntry| self.meant.segment(entry.file).is_none();
        self.before.segments.iter().filter(is_gone).copied()
    }

    /// Tombstones that are named for the first time, of segments that are not.
    fn new_tombstones(&self) -> impl Iterator<Item = TombstonesEntry> {
        let is_new = |entry: &&TombstonesEntry| {
            self.before.segment(entry.segment).is_some()
                && tombstones_of(self.before, entry.segment) != Some(**entry)
        };
        self.meant.tombstones.iter().filter(is_new).copied()
    }

    fn keep_an_input(&self, overlay: &mut Overlay) {
        if self.is_merge()
            && let Some(entry) = self.dropped_segments().last()
        {
            overlay.kept.push((entry, tombstones_of(self.said_before, entry.file)));
        }
    }

    fn lose_a_segment(&self, facts: &dyn Facts, overlay: &mut Overlay) {
        if !self.is_merge() {
            return;
        }
        for output in self.new_segments() {
            let Some(named) = facts.named_at_start_of(output.file) else { continue };
            let others = self.meant.segments.iter().map(|entry| entry.file);
            let missed = others.filter(|file| *file != output.file && !named.contains(file));
            overlay.left_out.extend(missed);
        }
    }

    /// How many operations the first batch takes that is above the sealed LSN.
    fn first_unsealed(&self, facts: &dyn Facts) -> Option<u32> {
        let frames = self.meant.logs.iter().filter_map(|log| facts.log(log));
        let mut frames = frames.flat_map(|facts| facts.batches);
        let first = frames.find(|batch| batch.first == self.meant.sealed.next())?;
        Some(first.records)
    }

    fn keep_dropped(&self, overlay: &mut Overlay) {
        let stays = |id| self.meant.collections.iter().any(|entry| entry.id == id);
        for entry in &self.said_before.collections {
            let is_known = overlay.undead.iter().any(|undead| undead.id == entry.id);
            if stays(entry.id) || is_known {
                continue;
            }
            overlay.undead.push(entry.clone());
            let segments = self.said_before.segments.iter();
            for segment in segments.filter(|segment| segment.collection == entry.id) {
                overlay.kept.push((*segment, tombstones_of(self.said_before, segment.file)));
            }
        }
    }

    fn end_one_short(&self, facts: &dyn Facts, overlay: &mut Overlay) {
        let (Some(was), Some(log)) = (self.before.logs.last(), self.meant.logs.last()) else {
            return;
        };
        let Some(end) = log.end.filter(|_| was.file == log.file && was.end.is_none()) else {
            return;
        };
        let Some(facts) = facts.log(log) else { return };
        let before = facts.batches.iter().take_while(|batch| batch.last() < end.lsn).last();
        let lowest: Lsn = log.base.max(log.durable);
        overlay.end_once = before.map(|batch| batch.end()).filter(|end| end.lsn >= lowest);
    }
}

fn tombstones_of(manifest: &Manifest, segment: FileId) -> Option<TombstonesEntry> {
    manifest.tombstones.iter().find(|entry| entry.segment == segment).copied()
}
