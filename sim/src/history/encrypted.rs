//! What an encrypted history has that a plain one has not: longer secrets, and what is done to keys.
//!
//! **Place.** Drawn from streams of its own, so that plain histories are what they would be without.
//!
//! - E1. One seed in five is encrypted.
//! - E2. Names, ids and payloads are long enough to be looked for: what has less than eight bytes stands
//!   anywhere by chance.
//! - E3. For half of the names a drop is a shred. A history has several more, of what was just written, in
//!   segments or in the log, whose name is used again or is not; and new master and data keys, between
//!   which processes end.
//! - E4. Backups leave the keys out, or take them along, as they are or under another master key. Where
//!   there are faults, two histories in three have one that fails with its keys there and no name for it;
//!   it is gone on with behind a shred, early enough that no other backup has come to be instead.
//! - E5. Where there are faults, two writes fail: what is sealed behind them must be so under other nonces.

use quiver_store::limits::{COLLECTION_NAME_BYTES_MAX, EXTERNAL_ID_BYTES_MAX};

use super::workload::Generator;
use super::{Action, CopiedKeys, History, Member, Operation, Planned, Shape, Slot};
use crate::disk::Fault;
use crate::stream::Stream;

/// Bytes that are put into names and ids.
const MARK_BYTES: usize = 16;

/// Payloads may be this long at least.
pub(super) const PAYLOAD_BYTES_MAX_MIN: usize = 96;

impl History {
    /// Whether the history of a seed is encrypted (E1).
    pub fn is_encrypted(seed: u64) -> bool {
        Stream::at(seed, &[0x656e_6372]).chance(1, 5)
    }
}

/// Makes names and ids longer (E2). What begins like another one still does, and what was in order is.
pub(super) fn lengthen(seed: u64, slots: &mut [Slot]) {
    let mut stream = Stream::at(seed, &[0x6c6f_6e67]);
    for slot in slots {
        let room = COLLECTION_NAME_BYTES_MAX - MARK_BYTES;
        let head: String = slot.name.chars().take(room).collect();
        slot.name = format!("{head}{:016x}", stream.draw()).into();
        let (first, tells_apart) = (stream.draw(), stream.chance(1, 2));
        let in_order = slot.ids.is_sorted();
        for id in &mut slot.ids {
            let mut long = format!("{first:016x}{id}");
            if tells_apart {
                long = format!("{long}{:016x}", stream.draw());
            }
            let mut end = long.len().min(EXTERNAL_ID_BYTES_MAX);
            while !long.is_char_boundary(end) {
                end -= 1;
            }
            *id = long[..end].into();
        }
        if in_order {
            slot.ids.sort();
        }
    }
}

impl Generator {
    /// Adds what is done to keys (E3).
    pub(super) fn add_keys(
        &mut self,
        seed: u64,
        (shape, faulty): (Shape, bool),
        operations: &mut Vec<Operation>,
    ) {
        let mut stream = Stream::at(seed, &[0x6b65_7973]);
        let shreds: Vec<bool> = self.slots.iter().map(|_| stream.chance(1, 2)).collect();
        for operation in &mut *operations {
            match &mut operation.action {
                Action::Single(member) => shred_instead(member, &shreds),
                Action::Group(members, _) => {
                    members.iter_mut().for_each(|member| shred_instead(member, &shreds));
                }
                Action::BackUp(_, _, keys) => *keys = *stream.pick(&CopiedKeys::ALL),
                _ => {}
            }
        }
        if faulty {
            self.add_failed_writes(&mut stream, operations);
        }
        let (least, most) = if shape == Shape::Churn { (16, 64) } else { (6, 16) };
        for _ in 0..stream.between(least, most) {
            let actions = self.keys_in_a_row(&mut stream);
            let mut faults = Vec::new();
            if faulty && stream.chance(1, 3) {
                let fault = *stream.pick(&Fault::ALL);
                faults.push(Planned { after_calls: stream.below(6), fault });
            }
            let at = stream.index(operations.len().max(1)) + 1;
            for (place, action) in actions.into_iter().enumerate() {
                let faults = if place == 0 { std::mem::take(&mut faults) } else { Vec::new() };
                let at = (at + place).min(operations.len());
                operations.insert(at, Operation { action, faults });
            }
        }
        if faulty {
            self.add_failed_backup(seed, operations);
        }
    }
}

impl Generator {
    /// Writes that fail, behind which a tail is sealed anew in a log of its own (E5).
    fn add_failed_writes(&mut self, stream: &mut Stream, operations: &mut Vec<Operation>) {
        for _ in 0..2 {
            let slot = self.slot();
            let action = Action::Write(vec![self.upsert(slot)]);
            let fault = *stream.pick(&[Fault::WriteEio, Fault::WriteShortThenEio, Fault::SyncEio]);
            let faults = vec![Planned { after_calls: 0, fault }];
            let at = stream.index(operations.len().max(1)) + 1;
            operations.insert(at.min(operations.len()), Operation { action, faults });
        }
    }

    /// A backup that took along a key which is destroyed before it is gone on with (E4).
    fn add_failed_backup(&mut self, seed: u64, operations: &mut Vec<Operation>) {
        let mut stream = Stream::at(seed, &[0x6261_636b]);
        if !stream.chance(2, 3) {
            return;
        }
        let slot = self.slot();
        let keys = *stream.pick(&[CopiedKeys::Included, CopiedKeys::Under]);
        let mut actions =
            vec![Action::Single(self.creation(slot)), Action::Write(vec![self.upsert(slot)])];
        actions.extend(stream.chance(1, 2).then_some(Action::Checkpoint));
        let failing = actions.len();
        actions.extend([
            Action::BackUp(None, 0, keys),
            Action::Single(Member::Shred(slot)),
            Action::BackUp(None, 0, keys),
        ]);
        let at = (stream.index(operations.len() / 4 + 1) + 1).min(operations.len());
        let in_place = actions.into_iter().enumerate().map(|(place, action)| {
            // The rename of a backup is the last of it that fails as a whole.
            let fault = Planned { after_calls: 0, fault: Fault::RenameEio };
            let faults = (place == failing).then_some(fault).into_iter().collect();
            Operation { action, faults }
        });
        operations.splice(at..at, in_place);
    }

    /// What is done to keys in one place of a history (E3, E4).
    fn keys_in_a_row(&mut self, stream: &mut Stream) -> Vec<Action> {
        let slot = self.slot();
        let shred = Action::Single(Member::Shred(slot));
        let mut actions = match stream.below(8) {
            0 => vec![Action::Rotate],
            1 => vec![Action::Rotate, shred],
            2 => vec![Action::Rekey(slot)],
            3 => vec![Action::Rekey(slot), shred],
            _ => vec![shred],
        };
        if stream.chance(1, 2) {
            // So that there is something to be destroyed.
            let first =
                [Action::Single(self.creation(slot)), Action::Write(vec![self.upsert(slot)])];
            let sealed = stream.chance(1, 2).then_some(Action::Checkpoint);
            actions.splice(0..0, first.into_iter().chain(sealed));
        }
        let stops = [Action::Kill, Action::PowerLoss, Action::KillInside(stream.below(1000))];
        match stream.below(8) {
            0 | 1 => actions.push(stream.pick(&stops).clone()),
            2 | 3 => {
                actions.push(Action::Single(self.creation(slot)));
                actions.push(Action::Write(vec![self.upsert(slot)]));
            }
            4 => {
                let keys = *stream.pick(&CopiedKeys::ALL);
                let reads = stream.chance(1, 3).then(|| stream.below(8));
                actions.insert(stream.index(actions.len()), Action::BackUp(reads, 0, keys));
            }
            _ => {}
        }
        actions
    }
}

fn shred_instead(member: &mut Member, shreds: &[bool]) {
    if let Member::Drop(slot) = *member
        && shreds[slot]
    {
        *member = Member::Shred(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_one_seed_in_five_is_encrypted() {
        let count = (0..1000).filter(|seed| History::is_encrypted(*seed)).count();
        assert!((150..250).contains(&count), "{count}");
    }

    #[test]
    fn names_and_ids_of_encrypted_histories_are_long_and_within_limits() {
        for seed in (0..400).filter(|seed| History::is_encrypted(*seed)) {
            for slot in &History::of(seed).slots {
                assert!((MARK_BYTES..=COLLECTION_NAME_BYTES_MAX).contains(&slot.name.len()));
                for id in &slot.ids {
                    assert!((MARK_BYTES..=EXTERNAL_ID_BYTES_MAX).contains(&id.len()), "{id}");
                }
            }
        }
    }
}
