//! Motifs: a few operations in a row that single draws seldom bring together.
//!
//! **Place.** Drawn by the generator like a kind of operation; its actions come next, one by one. A
//! motif is a suggestion: what it meets may be another state than it hopes for.

use quiver_store::limits::PAGE_SIZE_BYTES;

use super::workload::Generator;
use super::{Action, CopiedKeys, Member, Source};

/// More rows than this are too many for a short history.
const SEALED_BYTES_MAX: usize = 16 * 1024;

/// What two rows take in a memtable beside their payloads, about.
const BESIDE_ROWS_BYTES: usize = 450;

impl Generator {
    /// Draws a motif.
    pub(super) fn draw_motif(&mut self) {
        let slot = self.slot();
        match self.stream.below(14) {
            0 => self.older_rows(slot),
            1 => self.sealed_row_by_row(slot),
            2 => self.seen_through_a_snapshot(slot),
            3 => self.seen_through_an_iterator(slot),
            4 => self.name_again(slot),
            5 => self.steps_between_writes(slot),
            6 => self.at_rest(),
            7 => self.held_over_a_merge(slot),
            8 => self.across_collections(),
            9 => self.copied_in_two_tries(slot),
            10 => self.changed_while_sealed(slot),
            _ => self.merge_broken_off(slot),
        }
    }

    /// What a history begins with, so that most have something to merge.
    pub(super) fn draw_layers(&mut self) {
        // The first collection exists most often.
        let slot = if self.stream.chance(1, 2) { 0 } else { self.slot() };
        self.sealed_row_by_row(slot);
        match self.stream.below(5) {
            0 | 1 => self.held_over_a_merge(slot),
            2 => self.merged_while_deleted(slot),
            3 => self.changed_while_sealed(slot),
            _ => {
                self.then_changes(slot);
                self.then_move();
                let joins = match self.stream.below(3) {
                    0 => Action::MaintainAll,
                    _ => self.compact(),
                };
                self.then(joins);
            }
        }
        if self.stream.chance(1, 2) {
            self.across_collections();
        }
    }

    fn then(&mut self, action: Action) {
        self.next.push_back(action);
    }

    fn then_upserts(&mut self, slot: usize) {
        let rows = self.stream.size(1, self.profile.batch_rows_max);
        let rows = (0..rows).map(|_| self.upsert(slot)).collect();
        self.then(Action::Batch(rows));
    }

    /// Some changes of one collection, in one batch.
    fn then_changes(&mut self, slot: usize) {
        let rows = self.stream.size(1, self.profile.batch_rows_max.min(4));
        let changes = (0..rows).map(|_| match self.stream.chance(1, 2) {
            true => self.deletion(slot),
            false => self.upsert(slot),
        });
        let changes = changes.collect();
        self.then(Action::Write(changes));
    }

    /// Something that moves rows on the disk and changes none.
    fn then_move(&mut self) {
        let action = match self.stream.below(6) {
            0 | 1 => Action::Checkpoint,
            2 => self.compact(),
            3 => Action::MaintainAll,
            _ => Action::Maintain,
        };
        self.then(action);
    }

    /// A backup is called off, and gone on with when the store is another one; or the process is.
    fn copied_in_two_tries(&mut self, slot: usize) {
        self.then_upserts(slot);
        self.then(Action::Checkpoint);
        self.then(Action::Verify);
        let reads = self.stream.size(1, 6) as u64;
        let steps = self.stream.below(3);
        self.then(Action::BackUp(Some(reads), steps, CopiedKeys::LeftOut));
        match self.stream.below(4) {
            0 => self.then_move(),
            1 => self.then(Action::Kill),
            _ => self.then_changes(slot),
        }
        self.then(Action::BackUp(None, steps, CopiedKeys::LeftOut));
        self.then_changes(slot);
    }

    /// Rows are sealed; then some of them are deleted or written again, and sealed too.
    fn older_rows(&mut self, slot: usize) {
        self.then_upserts(slot);
        self.then(Action::Checkpoint);
        for _ in 0..self.stream.size(1, 2) {
            self.then_changes(slot);
            self.then_move();
        }
    }

    /// Several segments, each of a few rows.
    fn sealed_row_by_row(&mut self, slot: usize) {
        for _ in 0..self.stream.size(2, 4) {
            self.then_upserts(slot);
            self.then(Action::Checkpoint);
        }
        self.then_move();
    }

    /// A snapshot outlives what it shows.
    fn seen_through_a_snapshot(&mut self, slot: usize) {
        self.then(Action::Snapshot);
        self.then_changes(slot);
        if self.stream.chance(1, 4) {
            self.then(Action::Single(Member::Drop(slot)));
        }
        self.then_move();
        let source = self.held();
        let read = self.read_of(source);
        self.then(read);
        let number = self.stream.below(8);
        self.then(Action::ReadSnapshot(number));
        if self.stream.chance(1, 2) {
            let number = self.stream.below(8);
            self.then(Action::Release(number));
            self.then_move();
        }
    }

    /// An iterator outlives what it shows.
    fn seen_through_an_iterator(&mut self, slot: usize) {
        let pause = self.pause();
        self.then(pause);
        self.then_changes(slot);
        if self.stream.chance(1, 4) {
            self.then(Action::Single(Member::Drop(slot)));
        }
        self.then_move();
        let resume = self.resume();
        self.then(resume);
    }

    /// A snapshot or an iterator reads on where a merge has taken what it stands on. Only whole
    /// pages are read when they are asked for, and rows of small histories seldom fill one: a long
    /// one does.
    fn held_over_a_merge(&mut self, slot: usize) {
        let len = PAGE_SIZE_BYTES + self.stream.index(1024);
        let long = self.upsert_of_len(slot, len);
        self.then(Action::Batch(vec![long]));
        self.then(Action::Checkpoint);
        let iterates = self.stream.chance(1, 4);
        let held = match iterates {
            true => Action::Pause(Source::Store, slot, self.iterator(slot), 0),
            false => Action::Snapshot,
        };
        self.then(held);
        self.then_changes(slot);
        self.then(Action::Checkpoint);
        self.then(Action::Compact(None));
        // Most often nothing else is held: numbers are counted round what is.
        let number = self.stream.below(4);
        self.then(match iterates {
            true => Action::Resume(number, u64::MAX),
            false => Action::ReadSnapshot(number),
        });
    }

    /// A batch that touches two collections, with rows longer than a sector, so that a tear may come
    /// between them.
    fn across_collections(&mut self) {
        let Some(others) = self.slots.len().checked_sub(1).filter(|others| *others > 0) else {
            return;
        };
        let other = 1 + self.stream.index(others);
        if self.stream.chance(1, 2) {
            let creation = self.creation(other);
            self.then(Action::Single(creation));
        }
        let changes = [0, other].map(|slot| {
            let len = 512 + self.stream.index(512);
            self.upsert_of_len(slot, len)
        });
        self.then(Action::Write(changes.to_vec()));
    }

    /// A dropped name comes back with other rows.
    fn name_again(&mut self, slot: usize) {
        self.then(Action::Single(Member::Drop(slot)));
        if self.stream.chance(1, 2) {
            self.then_move();
        }
        let creation = self.creation(slot);
        self.then(Action::Single(creation));
        self.then_upserts(slot);
        if self.stream.chance(1, 2) {
            self.then_move();
        }
        self.then(Action::Read(Source::Store, slot, crate::reads::Read::Len));
    }

    /// Background work, one step at a time.
    fn steps_between_writes(&mut self, slot: usize) {
        for _ in 0..self.stream.size(2, 6) {
            self.then(Action::Maintain);
            self.then_changes(slot);
        }
    }

    /// Nothing is held and nothing left to do: what is there then is what the store needs.
    fn at_rest(&mut self) {
        self.then(Action::ReleaseAll);
        let compacts = self.stream.chance(1, 2);
        self.then(if compacts { Action::Compact(None) } else { Action::MaintainAll });
    }

    /// A compaction that is broken off, and deletes of rows behind that.
    fn merge_broken_off(&mut self, slot: usize) {
        for _ in 0..2 {
            self.then_upserts(slot);
            self.then(Action::Checkpoint);
        }
        let steps = self.stream.below(4);
        self.then(Action::Compact(Some(steps)));
        self.then_changes(slot);
        self.then(Action::Maintain);
        self.then(Action::Checkpoint);
        self.then(Action::MaintainAll);
    }

    /// Deletes of rows while their segments are merged: by steps, for a `compact` that is broken off leaves
    /// no merge under way.
    fn merged_while_deleted(&mut self, slot: usize) {
        for _ in 0..self.stream.size(2, 3) {
            self.then_upserts(slot);
            self.then(Action::Checkpoint);
        }
        for _ in 0..self.stream.size(1, 2) {
            self.then(Action::Maintain);
        }
        self.then_changes(slot);
        self.then(Action::Checkpoint);
        self.then(Action::MaintainAll);
    }
    /// What happens between the log switch of a checkpoint and its publish. Rows that nearly fill the
    /// memtable, and a few more: work behind so little is little, so that the store begins the checkpoint
    /// by itself and is at most on its way when something else happens. The collection is one whose
    /// schema no manifest has yet, most often.
    fn changed_while_sealed(&mut self, slot: usize) {
        if self.memtable_bytes_max > SEALED_BYTES_MAX {
            return self.older_rows(slot);
        }
        let new_schema = match self.stream.below(4) {
            0 => self.rename(),
            1 => self.field(),
            _ => self.creation(slot),
        };
        self.then(Action::Checkpoint);
        self.then(Action::Single(new_schema));
        let rows = self.stream.size(1, 2);
        let filled = (self.memtable_bytes_max / 8 * 7).saturating_sub(BESIDE_ROWS_BYTES);
        let len = filled / rows;
        let rows = (0..rows).map(|_| self.upsert_of_len(slot, len)).collect();
        self.then(Action::Batch(rows));
        for _ in 0..self.stream.size(1, 3) {
            let len = self.memtable_bytes_max / 16;
            let row = self.upsert_of_len(slot, len);
            self.then(Action::Batch(vec![row]));
        }
        if self.stream.chance(1, 4) {
            // The first write of a process publishes a log of its own, beside the seal begun before it.
            self.then(Action::Kill);
        }
        for _ in 0..self.stream.size(1, 3) {
            self.then(Action::Maintain);
        }
        for _ in 0..self.stream.size(1, 2) {
            let change = self.change_of_schema_or_rows(slot);
            self.then(change);
            if self.stream.chance(1, 3) {
                self.then(Action::Maintain);
            }
        }
        self.then(Action::MaintainAll);
        self.then_changes(slot);
        self.then(Action::Checkpoint);
    }

    fn change_of_schema_or_rows(&mut self, slot: usize) -> Action {
        match self.stream.below(6) {
            0 | 1 => Action::Single(self.rename()),
            2 => Action::Single(self.field()),
            3 => {
                let other = self.slot();
                Action::Single(self.creation(other))
            }
            _ => Action::Write(vec![self.deletion(slot), self.upsert(slot)]),
        }
    }
}
