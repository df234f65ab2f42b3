//! The swarm generator: a seed draws its own kind of workload, then the workload.
//!
//! **Place.** The only source of histories. Swarm testing (Groce et al., ISSTA 2012): leaving kinds
//! of operation out altogether reaches states that an even mix hardly ever does.
//!
//! - G1. Each seed draws which kinds of operation are on and how often, sizes, key spaces, the
//!   store's limits and whether faults are injected.
//! - G2. Limits are drawn small, so that a short history crosses sector, step, group and checkpoint
//!   bounds.
//! - G3. Most histories are small, because most are run a thousand times over. A few have hundreds
//!   of rows, long rows, or thousands of operations.
//! - G4. What it takes several operations in a row to provoke is drawn as a whole now and then
//!   (`motif`).

use std::collections::VecDeque;
use std::sync::Arc;

use quiver_store::{DistanceMetric, FilterableField, Options};

use super::encrypted::{self, PAYLOAD_BYTES_MAX_MIN};
use super::filters::Filters;
use super::forms::Form;
use super::profile::{
    FILL_ROWS, KINDS, Profile, draw_options, draw_profile, draw_shape, draw_slots, twin_of_first,
};
use super::{
    Action, Bad, Change, CopiedKeys, History, Member, Operation, Planned, Shape, Slot, Source,
};
use crate::disk::{CallClass, Fault, Medium};
use crate::stream::Stream;
use crate::system::Row;

/// Payload sizes at which a frame, a sector or a page may turn over.
const PAYLOAD_BOUNDS: [usize; 14] =
    [0, 1, 7, 8, 255, 256, 400, 440, 511, 512, 513, 1024, 4096, 6000];

pub(super) struct Generator {
    pub(super) stream: Stream,
    pub(super) profile: Profile,
    pub(super) slots: Vec<Slot>,
    /// What the vectors of each slot are.
    pub(super) forms: Vec<Form>,
    /// What the payloads of each slot hold.
    pub(super) filters: Filters,
    /// Bytes of rows behind which the store seals by itself.
    pub(super) memtable_bytes_max: usize,
    /// Actions of a motif under way.
    pub(super) next: VecDeque<Action>,
}

impl History {
    /// The history of a seed.
    pub fn of(seed: u64) -> Self {
        let mut stream = Stream::at(seed, &[0x6869_7374]);
        let shape = draw_shape(seed, &mut stream);
        let mut options = draw_options(shape, &mut stream);
        let encrypted = Self::is_encrypted(seed);
        let mut profile = draw_profile(shape, &mut stream);
        let mut slots = draw_slots(shape, &mut stream);
        let mut forms = Form::draw(seed, slots.len());
        if let Some(twin) = twin_of_first(seed, &slots) {
            forms.push(forms[0]);
            slots.push(twin);
        }
        if encrypted {
            encrypted::lengthen(seed, &mut slots);
            profile.payload_bytes_max = profile.payload_bytes_max.max(PAYLOAD_BYTES_MAX_MIN);
        }
        let filters = Filters::draw(seed, slots.len(), encrypted);
        let count = match shape {
            Shape::Churn => stream.size(1500, 3000),
            _ if stream.chance(1, 6) => stream.size(1, 8),
            _ => stream.size(12, 60),
        };
        let faulty = shape != Shape::Churn && stream.chance(1, 2);
        let (memtable_bytes_max, next) = (options.memtable_bytes_max, VecDeque::new());
        let mut generator =
            Generator { stream, profile, slots, forms, filters, memtable_bytes_max, next };
        let mut operations = generator.first_operations(shape);
        let filled = operations.len();
        if shape != Shape::Churn && generator.stream.chance(3, 4) {
            generator.draw_layers();
        }
        while operations.len() - filled < count {
            let action = generator.next_action();
            operations.push(Operation { action, faults: Vec::new() });
        }
        if faulty {
            let reserved = generator.plan_space(&mut operations, &mut options);
            // What the reserve is owed for is judged only where nothing else goes wrong.
            if !reserved {
                generator.plan_faults(seed, &mut operations);
            }
        }
        generator.ask(shape, &mut operations);
        generator.add_deletions_behind_an_index(seed, &mut operations);
        if encrypted {
            generator.add_keys(seed, (shape, faulty), &mut operations);
        }
        let opening = if faulty { generator.faults_of_creation() } else { Vec::new() };
        let slots = generator.slots;
        let (strikes, dice, luck) = (Vec::new(), 0, Vec::new());
        let medium = Medium::drawn(&mut Stream::at(seed, &[0x6d65_6469]));
        Self {
            seed,
            shape,
            options,
            slots,
            opening,
            operations,
            strikes,
            dice,
            luck,
            medium,
            encrypted,
            faulty,
        }
    }
}

impl Generator {
    fn first_operations(&mut self, shape: Shape) -> Vec<Operation> {
        let mut operations = Vec::new();
        let creates = shape != Shape::Small || self.stream.chance(9, 10);
        let first = if creates { self.slots.len() } else { 0 };
        for slot in 0..first {
            if slot == 0 || self.stream.chance(3, 4) {
                let action = Action::Single(self.creation(slot));
                operations.push(Operation { action, faults: Vec::new() });
            }
        }
        if matches!(shape, Shape::Many | Shape::Churn) {
            for first in (0..self.slots[0].ids.len()).step_by(FILL_ROWS) {
                let action = self.fill(first);
                operations.push(Operation { action, faults: Vec::new() });
            }
        }
        operations
    }

    /// Rows for the next ids of the first slot.
    fn fill(&mut self, first: usize) -> Action {
        let ids: Vec<Arc<str>> =
            self.slots[0].ids[first..].iter().take(FILL_ROWS).cloned().collect();
        let row = |id| Change { slot: 0, id, row: Some(self.row(0)) };
        Action::Batch(ids.into_iter().map(row).collect())
    }

    fn next_action(&mut self) -> Action {
        match self.next.pop_front() {
            Some(action) => action,
            None => self.draw_action(),
        }
    }

    fn draw_action(&mut self) -> Action {
        let weights = self.profile.weights;
        match KINDS[self.stream.weighted(&weights)].1 {
            "motif" => {
                self.draw_motif();
                self.next_action()
            }
            "upsert" => {
                let slot = self.slot();
                Action::Single(Member::Write(vec![self.upsert(slot)]))
            }
            "delete" => {
                let slot = self.slot();
                Action::Single(Member::Write(vec![self.deletion(slot)]))
            }
            "batch" => {
                let slot = self.slot();
                let rows = self.stream.size(1, self.profile.batch_rows_max);
                Action::Batch((0..rows).map(|_| self.upsert(slot)).collect())
            }
            "write" => Action::Write(self.changes()),
            "group" => self.group(),
            "create" => {
                let slot = self.slot();
                Action::Single(self.creation(slot))
            }
            "drop" => Action::Single(Member::Drop(self.slot())),
            "put" => Action::Single(self.put()),
            "update" => Action::Single(self.update()),
            "rename" => Action::Single(self.rename()),
            "field" => Action::Single(self.field()),
            "get" => {
                let slot = self.slot();
                Action::Get(slot, self.id(slot))
            }
            "scan" => Action::Scan(self.slot()),
            "read all" => Action::ReadAll,
            "read" => self.read_of(Source::Store),
            "snapshot" => Action::Snapshot,
            "read of a snapshot" => {
                let source = self.held();
                self.read_of(source)
            }
            "read snapshot" => Action::ReadSnapshot(self.stream.below(8)),
            "release" => Action::Release(self.stream.below(8)),
            "pause" => self.pause(),
            "resume" => self.resume(),
            "capture index" => Action::CaptureIndex(self.slot()),
            "keep indexes" => Action::KeepIndexes,
            "restore index" => Action::RestoreIndex(self.slot()),
            "checkpoint" => Action::Checkpoint,
            "maintain" => Action::Maintain,
            "maintain all" => Action::MaintainAll,
            "compact" => self.compact(),
            "verify" => Action::Verify,
            "backup" => self.backup(),
            "close" => Action::Close,
            "kill" if self.stream.chance(1, 3) => Action::KillInside(self.stream.below(1000)),
            "kill" => Action::Kill,
            "power loss" if self.stream.chance(1, 3) => {
                Action::PowerLossInside(self.stream.below(1000))
            }
            "power loss" => Action::PowerLoss,
            _ if self.stream.chance(1, 8) => Action::SecondOpen,
            _ => Action::Bad(*self.stream.pick(&Bad::ALL), self.slot()),
        }
    }

    fn group(&mut self) -> Action {
        let count = self.stream.size(2, self.profile.group_members_max);
        let members = (0..count).map(|_| self.member()).collect();
        let drives = u32::try_from(self.stream.below(4)).expect("below 4");
        Action::Group(members, if drives == 3 { 100 } else { drives })
    }

    fn member(&mut self) -> Member {
        match self.stream.below(16) {
            0 | 1 => {
                let slot = self.slot();
                self.creation(slot)
            }
            2 | 3 => Member::Drop(self.slot()),
            4 => self.put(),
            5 => self.update(),
            6 => self.rename(),
            7 => self.field(),
            _ => Member::Write(self.changes()),
        }
    }

    /// Every other one is called off, mostly early.
    fn backup(&mut self) -> Action {
        let reads = self.stream.chance(1, 2).then(|| self.stream.size(0, 12) as u64);
        // What becomes of keys is drawn where there are any.
        Action::BackUp(reads, self.stream.below(3), CopiedKeys::LeftOut)
    }

    pub(super) fn put(&mut self) -> Member {
        let slot = self.slot();
        Member::Put(self.upsert(slot))
    }

    pub(super) fn update(&mut self) -> Member {
        let slot = self.slot();
        let (_, payload) = self.row(slot);
        Member::Update(slot, self.id(slot), payload)
    }

    /// The name of a slot becomes that of its twin, or the other way round, which have vectors of one
    /// form (H1). Also a new name that is the old one is tried.
    pub(super) fn rename(&mut self) -> Member {
        let slot = self.slot();
        let twins: Vec<usize> =
            (0..self.slots.len()).filter(|other| self.are_twins(slot, *other)).collect();
        Member::Rename(slot, *self.stream.pick(&twins))
    }

    /// Whether what is made for one slot fits the other.
    fn are_twins(&self, slot: usize, other: usize) -> bool {
        self.slots[slot].dim == self.slots[other].dim && self.forms[slot] == self.forms[other]
    }

    pub(super) fn field(&mut self) -> Member {
        let paths = ["late", "late.b", "n", "tag"];
        let path = *self.stream.pick(&paths);
        let field = match self.stream.below(3) {
            0 => FilterableField::keyword(path),
            1 => FilterableField::numeric(path),
            _ => FilterableField::boolean(path),
        };
        let slot = self.slot();
        Member::AddField(slot, self.filters.late_of(slot).unwrap_or(field))
    }

    pub(super) fn creation(&mut self, slot: usize) -> Member {
        let metrics = [DistanceMetric::Dot, DistanceMetric::Cosine, DistanceMetric::L2];
        let metric = *self.stream.pick(&metrics);
        let schema = self.forms[slot].schema(self.slots[slot].dim, metric);
        Member::Create(slot, schema.with_filterable(self.filters.of(slot)))
    }

    pub(super) fn changes(&mut self) -> Vec<Change> {
        let count = self.stream.size(1, self.profile.batch_rows_max);
        (0..count)
            .map(|_| {
                let slot = self.slot();
                if self.stream.chance(1, 4) { self.deletion(slot) } else { self.upsert(slot) }
            })
            .collect()
    }

    pub(super) fn upsert(&mut self, slot: usize) -> Change {
        let row = self.row(slot);
        Change { slot, id: self.id(slot), row: Some(row) }
    }

    /// A row with a payload of this length.
    pub(super) fn upsert_of_len(&mut self, slot: usize, len: usize) -> Change {
        let (vector, _) = self.row(slot);
        Change { slot, id: self.id(slot), row: Some((vector, self.payload(slot, len))) }
    }

    pub(super) fn deletion(&mut self, slot: usize) -> Change {
        Change { slot, id: self.id(slot), row: None }
    }

    /// The first slot most often: the others may not exist.
    pub(super) fn slot(&mut self) -> usize {
        if self.stream.chance(1, 3) { 0 } else { self.stream.index(self.slots.len()) }
    }

    pub(super) fn id(&mut self, slot: usize) -> Arc<str> {
        let ids = &self.slots[slot].ids;
        let ids = if self.profile.hot && self.stream.chance(3, 4) {
            &ids[..ids.len().min(3)]
        } else {
            ids
        };
        self.stream.pick(ids).clone()
    }

    fn row(&mut self, slot: usize) -> Row {
        let vector = self.forms[slot].vectors(self.slots[slot].dim, &mut self.stream);
        let len = if self.profile.bounds && self.stream.chance(1, 4) {
            *self.stream.pick(&PAYLOAD_BOUNDS)
        } else {
            self.stream.size(0, self.profile.payload_bytes_max)
        };
        (vector, self.payload(slot, len))
    }

    fn payload(&mut self, slot: usize, len: usize) -> Arc<[u8]> {
        let any = self.any_bytes(len);
        self.filters.payload(slot, len).unwrap_or(any)
    }

    fn any_bytes(&mut self, len: usize) -> Arc<[u8]> {
        // Runs of zeros and of one byte look like holes and garbage.
        if self.stream.chance(1, 6) {
            return vec![*self.stream.pick(&[0, 0xff, b' ']); len].into();
        }
        let mut bytes = vec![0; len];
        for piece in bytes.chunks_mut(8) {
            piece.copy_from_slice(&self.stream.draw().to_le_bytes()[..piece.len()]);
        }
        bytes.into()
    }

    /// On a third of the faulty histories one fault while the store is created. Not a sync of the
    /// directories above it, the first calls of their kind: such a failure cannot be mended
    /// through this seam, and `docs/durability.md` says so.
    fn faults_of_creation(&mut self) -> Vec<Planned> {
        if !self.stream.chance(1, 3) {
            return Vec::new();
        }
        let fault = *self.stream.pick(&Fault::ALL);
        let after_calls = match fault {
            Fault::SyncDirEio => self.stream.between(1, 2),
            _ => self.stream.below(3),
        };
        vec![Planned { after_calls, fault }]
    }

    /// On a third of the faulty histories the disk is full for a while. Half of those have a reserve
    /// and use it; whether this one does.
    fn plan_space(&mut self, operations: &mut Vec<Operation>, options: &mut Options) -> bool {
        if !self.stream.chance(1, 3) {
            return false;
        }
        let reserved = self.stream.chance(1, 2);
        let width = self.stream.between(0, if reserved { 14 } else { 19 });
        let left = Action::SpaceLeft(self.stream.below(1 << width));
        let from = self.stream.size(0, operations.len());
        let to = self.stream.size(from, operations.len());
        let step = |action| Operation { action, faults: Vec::new() };
        operations.insert(to, step(Action::SpaceBack));
        if reserved {
            options.reserve_bytes = options.reserve_bytes.max(1 << 20);
            let slot = self.slot();
            for _ in 0..self.stream.size(1, 3) {
                let action = match self.stream.below(4) {
                    0 => Action::Single(Member::Drop(slot)),
                    1 => Action::Single(Member::Write(vec![self.deletion(slot)])),
                    2 => Action::Kill,
                    _ => Action::Checkpoint,
                };
                operations.insert(from, step(action));
            }
        }
        operations.insert(from, step(left));
        reserved
    }

    /// A group whose later members rest on the first, and which fails as a whole: no answer may rest on
    /// what did not happen.
    fn plan_failed_group(&mut self, operations: &mut Vec<Operation>) {
        let slot = self.slot();
        let write = |change| Member::Write(vec![change]);
        let (upsert, again) = (self.upsert(slot), self.upsert(slot));
        let members = match self.stream.chance(1, 2) {
            true => vec![Member::Drop(slot), write(upsert), Member::Drop(slot), write(again)],
            false => vec![self.creation(slot), self.creation(slot), Member::Drop(slot)],
        };
        let fault = *self.stream.pick(&[Fault::SyncEio, Fault::WriteEio, Fault::SyncNoSpace]);
        let next =
            *self.stream.pick(&[Fault::CreateEio, Fault::CreateNoSpace, Fault::EntropyFails]);
        let faults = [fault, next].map(|fault| Planned { after_calls: 0, fault }).to_vec();
        let at = self.stream.size(1, operations.len());
        operations.insert(at, Operation { action: Action::Group(members, 100), faults });
    }

    /// Puts faults where calls of their kind are made: most reads, names and random bytes belong
    /// to opens and checkpoints.
    fn plan_faults(&mut self, turn: u64, operations: &mut Vec<Operation>) {
        // Seeds take turns, so that a short campaign meets every kind.
        let first = usize::try_from(turn % Fault::ALL.len() as u64).expect("a place in a table");
        if self.stream.chance(1, 4) {
            self.plan_failed_group(operations);
        }
        for place in 0..self.stream.size(2, 5) {
            let drawn = *self.stream.pick(&Fault::ALL);
            let fault = if place == 0 { Fault::ALL[first] } else { drawn };
            let unlinks = fault.class() == CallClass::Unlink;
            let width = if unlinks { 2 } else { *self.stream.pick(&[1, 1, 3, 9]) };
            let after_calls = self.stream.below(width);
            let planned = Planned { after_calls, fault };
            let writes =
                matches!(fault.class(), CallClass::Write | CallClass::Sync | CallClass::Allocate);
            let at = self.stream.size(1, operations.len());
            if writes && self.stream.chance(2, 3) {
                operations[at - 1].faults.push(planned);
                continue;
            }
            let stops = [Action::Kill, Action::PowerLoss, Action::Close, Action::Checkpoint];
            let action = match unlinks {
                true => Action::Checkpoint,
                false => stops[self.stream.weighted(&[3, 2, 1, 3])].clone(),
            };
            let mut faults = vec![planned];
            if self.stream.chance(1, 3) {
                let fault = *self.stream.pick(&Fault::ALL);
                faults.push(Planned { after_calls: self.stream.below(6), fault });
            }
            operations.insert(at, Operation { action, faults });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_every_seed_are_valid() {
        for seed in 0..2000 {
            History::of(seed).options.validate().expect("the generator knows the bounds");
        }
    }

    #[test]
    fn histories_of_a_seed_are_equal_and_of_two_seeds_are_not() {
        let shown = |seed| format!("{:?}", History::of(seed));
        assert_eq!(shown(5), shown(5));
        assert_ne!(shown(5), shown(6));
    }

    #[test]
    fn every_kind_of_operation_is_drawn_soon() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..300 {
            for operation in History::of(seed).operations {
                let shown = format!("{:?}", operation.action);
                let end = shown.find(['(', ' ']).unwrap_or(shown.len());
                seen.insert(shown[..end].to_string());
            }
        }
        assert_eq!(seen.len(), 34, "{seen:?}");
    }
}
