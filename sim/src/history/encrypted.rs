//! What an encrypted history has that a plain one has not: longer secrets, and what is done to keys.
//!
//! **Place.** Drawn from streams of its own, so that plain histories are what they would be without.
//!
//! - E1. One seed in five is encrypted.
//! - E2. Names, ids and payloads are long enough to be looked for: what has less than eight bytes stands
//!   anywhere by chance.
//! - E3. For half of the names a drop is a shred. Now and then the master key or a data key is replaced.
//! - E4. There are no backups: `sim/tests/backups.rs` and the engine's own tests hold those.

use quiver_store::limits::{COLLECTION_NAME_BYTES_MAX, EXTERNAL_ID_BYTES_MAX};

use super::workload::Generator;
use super::{Action, History, Member, Operation, Planned, Shape, Slot};
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
        // What a backup is opened with is known of plain stores alone.
        operations.retain(|operation| !matches!(operation.action, Action::BackUp(..)));
        let mut stream = Stream::at(seed, &[0x6b65_7973]);
        let shreds: Vec<bool> = self.slots.iter().map(|_| stream.chance(1, 2)).collect();
        for operation in &mut *operations {
            match &mut operation.action {
                Action::Single(member) => shred_instead(member, &shreds),
                Action::Group(members, _) => {
                    members.iter_mut().for_each(|member| shred_instead(member, &shreds));
                }
                _ => {}
            }
        }
        let most = if shape == Shape::Churn { 12 } else { 5 };
        for _ in 0..stream.size(2, most) {
            let slot = self.slot();
            let actions = match stream.below(6) {
                0 | 1 => vec![Action::Rotate],
                2 | 3 => vec![Action::Rekey(slot)],
                4 => vec![Action::Single(Member::Shred(slot))],
                _ => vec![
                    Action::Single(Member::Shred(slot)),
                    Action::Single(self.creation(slot)),
                    Action::Write(vec![self.upsert(slot)]),
                ],
            };
            let mut faults = Vec::new();
            if faulty && stream.chance(1, 3) {
                let fault = *stream.pick(&Fault::ALL);
                faults.push(Planned { after_calls: stream.below(6), fault });
            }
            let at = stream.size(1, operations.len().max(1));
            for (place, action) in actions.into_iter().enumerate() {
                let faults = if place == 0 { std::mem::take(&mut faults) } else { Vec::new() };
                let at = (at + place).min(operations.len());
                operations.insert(at, Operation { action, faults });
            }
        }
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
