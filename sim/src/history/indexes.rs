//! Index snapshots that are told of what went away since.
//!
//! **Place.** Put into histories from a stream of its own, so that the others are what they would be
//! without.
//!
//! - X1. One seed in four keeps an index, deletes a row that it covers, and restores it: single draws
//!   bring the three together, in this order and of one collection, in hardly any of a hundred seeds.

use super::workload::Generator;
use super::{Action, Change, Member, Operation};
use crate::stream::Stream;

/// One seed in so many (X1).
const ONE_IN: u64 = 4;

impl Generator {
    /// Adds the operations (X1).
    pub(super) fn add_deletions_behind_an_index(
        &mut self,
        seed: u64,
        operations: &mut Vec<Operation>,
    ) {
        let mut stream = Stream::at(seed, &[0x6265_6869]);
        if !stream.chance(1, ONE_IN) {
            return;
        }
        let slot = self.slot();
        let there = self.upsert(slot);
        let gone = Change { row: None, ..there.clone() };
        let actions = [
            Action::Single(Member::Write(vec![there])),
            Action::CaptureIndex(slot),
            Action::KeepIndexes,
            Action::Single(Member::Write(vec![gone])),
            Action::RestoreIndex(slot),
        ];
        let at = stream.size(1, operations.len().max(1)).min(operations.len());
        let operation = |action| Operation { action, faults: Vec::new() };
        operations.splice(at..at, actions.map(operation));
    }
}
