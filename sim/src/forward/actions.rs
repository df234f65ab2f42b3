//! The steps of a history, carried out on an open store.
//!
//! **Place.** The part of the forward run that turns plain data into calls of the store.

use std::sync::Arc;

use quiver_store::{CollectionId, Descriptor, Dtype, ErrorKind, limits};

use super::bounds::Done;
use super::{Invariant, Runner};
use crate::checker::{self, Finding, Unreadable};
use crate::history::requests::{NO_COLLECTION, Requests};
use crate::history::{Action, Bad, Member, Planned};
use crate::model::Window;
use crate::panic_trap;
use crate::system::{Call, Request, RowChange, Session};

/// Steps of background work after which it counts as endless.
const STEPS_MAX: u64 = 20_000;

impl Runner<'_> {
    pub(super) fn perform(&mut self, action: &Action, faults: &[Planned]) {
        self.note_action(action);
        match action {
            Action::Single(member) => self.request(member, Call::Single),
            Action::Batch(changes) => self.request(&Member::Write(changes.clone()), Call::Batch),
            Action::Write(changes) => self.request(&Member::Write(changes.clone()), Call::Write),
            Action::Group(members, drives) => self.group(members, *drives),
            Action::Get(slot, id) => self.get(*slot, id),
            Action::Scan(_) | Action::ReadAll => self.read_all(),
            Action::Read(source, slot, read) => self.read(*source, *slot, read),
            Action::Snapshot => self.take_snapshot(),
            Action::ReadSnapshot(number) => self.read_snapshot(*number),
            Action::Release(number) => self.release(*number),
            Action::ReleaseAll => self.release_all(),
            Action::Pause(source, slot, read, rows) => self.pause(*source, *slot, read, *rows),
            Action::Resume(number, rows) => self.resume(*number, *rows),
            Action::CaptureIndex(slot) => self.capture_index(*slot),
            Action::KeepIndexes => self.keep_indexes(),
            Action::RestoreIndex(slot) => self.restore_index(*slot),
            Action::Checkpoint => self.checkpoint(),
            Action::Maintain => drop(self.background(|session| session.maintain())),
            Action::MaintainAll => self.maintain_all(),
            Action::Compact(steps) => self.compact(*steps),
            Action::Verify => self.verify(),
            Action::BackUp(reads, steps, keys) => self.back_up(*reads, *steps, *keys),
            Action::Rotate => self.rotate(),
            Action::Rekey(slot) => self.rekey(*slot),
            Action::Close => self.close(faults),
            Action::Kill => self.kill(faults),
            Action::KillInside(number) => self.stop_inside(*number, false, faults),
            Action::PowerLoss => self.power_loss(faults),
            Action::PowerLossInside(number) => self.stop_inside(*number, true, faults),
            Action::SecondOpen => self.second_open(),
            Action::Observe => self.observe(),
            Action::Bad(bad, slot) => self.refused(*bad, *slot),
            Action::SpaceLeft(bytes) => self.limit_space(Some(*bytes)),
            Action::SpaceBack => self.limit_space(None),
        }
    }

    fn request(&mut self, member: &Member, call: Call) {
        let request = self.resolve(member, None);
        let Some(answer) = self.inside(|session| session.perform(&request, call)) else { return };
        self.after_call(Some((request, answer)));
        self.finish_shreds();
    }

    fn group(&mut self, members: &[Member], drives: u32) {
        // The id that a creation of this group will most likely get.
        let first = members.iter().find_map(|member| match member {
            Member::Create(slot, _) => Some(*slot),
            _ => None,
        });
        let guess = first.filter(|_| self.waiting.is_empty());
        for member in members {
            let request = self.resolve(member, guess);
            match self.inside(|session| session.submit(&request)) {
                None => return,
                Some(Ok(ticket)) => self.waiting.push_back((ticket, request)),
                Some(Err(error)) => self.refused_on_submission(&request, &error),
            }
        }
        for _ in 0..drives {
            if !self.drive() || self.waiting.is_empty() {
                break;
            }
        }
        self.finish_shreds();
    }

    fn refused_on_submission(&mut self, request: &Request, error: &quiver_store::Error) {
        let refusal = crate::model::Verdict::Refused(error.kind());
        self.evaluated(Invariant::Answers);
        self.notice_faults();
        if self.model.committed().verdict(request) != refusal {
            self.check_error(error);
        }
    }

    /// One group; false if there is no use in going on.
    fn drive(&mut self) -> bool {
        let before = self.waiting.len();
        let Some(result) = self.inside(|session| session.drive()) else { return false };
        self.after_call(None);
        match result {
            Ok(told) => {
                self.evaluated(Invariant::Answers);
                let answered = before - self.waiting.len();
                if told != answered || (answered == 0 && before > 0) {
                    let found = format!("drive answered {told}, {answered} tickets of {before}");
                    let expected = "the number of tickets that a drive answers";
                    self.found(Finding::new(Invariant::Answers, expected, found));
                    self.stopped = true;
                }
                !self.stopped
            }
            Err(error) => {
                self.check_error(&error);
                false
            }
        }
    }

    pub(super) fn drive_all(&mut self) {
        while !self.waiting.is_empty() && !self.stopped && self.drive() {}
        self.waiting.clear();
    }

    /// Background work in this thread; what it answered, if it succeeded.
    pub(super) fn background<T>(
        &mut self,
        run: impl FnOnce(&dyn Session) -> quiver_store::Result<T>,
    ) -> Option<T> {
        let result = self.inside(run)?;
        self.after_call(None);
        match result {
            Ok(answer) => {
                self.check_success("a background call");
                Some(answer)
            }
            Err(error) => {
                self.check_error(&error);
                None
            }
        }
    }

    fn checkpoint(&mut self) {
        if self.background(|session| session.checkpoint()).is_some() {
            self.note_sealed();
        }
    }

    /// A compaction that its caller ends may end before it does anything, so that its success says
    /// nothing.
    fn compact(&mut self, steps: Option<u64>) {
        if steps.is_none() {
            if self.background(|session| session.compact(None)).is_some() {
                self.done = Done::Compacted;
                self.note_sealed();
            }
            return;
        }
        let Some(result) = self.inside(|session| session.compact(steps)) else { return };
        self.after_call(None);
        if let Err(error) = result {
            self.check_error(&error);
        }
    }

    /// Background work comes to an end once nobody writes (I18).
    fn maintain_all(&mut self) {
        for _ in 0..STEPS_MAX {
            match self.background(|session| session.maintain()) {
                Some(true) if !self.stopped => {}
                Some(false) => {
                    self.done = Done::Maintained;
                    return;
                }
                _ => return,
            }
        }
        let expected = "background work that ends";
        let found = format!("{STEPS_MAX} steps of it with no write between them");
        self.found(Finding::new(Invariant::I18, expected, found));
        self.stopped = true;
    }

    fn get(&mut self, slot: usize, id: &Arc<str>) {
        let name = &self.history.slots[slot].name;
        let collection = self.model.committed().collections.get(name).cloned();
        let target = self.id_of(slot, None);
        let mut found = None;
        let Some(result) = self.inside(|session| {
            session.get(target, id, &mut |vector, payload| {
                found = Some(crate::digest::of_row(0, id, vector, payload));
            })
        }) else {
            return;
        };
        self.said.shown = result.is_ok().then_some((target, found));
        self.notice_faults();
        self.mark_calls(self.model.window());
        self.evaluated(Invariant::Answers);
        let expected = collection.map(|collection| {
            let row = collection.rows.get(id);
            row.map(|row| crate::digest::of_row(0, id, &row.vector, &row.payload))
        });
        let right = match (&result, expected) {
            (Ok(there), Some(expected)) => *there == expected.is_some() && found == expected,
            (Err(error), None) => error.kind() == ErrorKind::NotFound,
            (Err(error), Some(_)) => self.blame.excuses_read(error.kind()),
            (Ok(_), None) => false,
        };
        if !right {
            let expected = format!("row {id:?} of slot {slot} as written last ({expected:?})");
            let found = format!("{result:?} ({found:?})");
            self.found(Finding::new(Invariant::Answers, expected, found));
            self.stopped = true;
        }
    }

    pub(super) fn read_all(&mut self) {
        let Some(content) = self.inside(|session| checker::read(session)) else { return };
        self.notice_faults();
        self.mark_calls(self.model.window());
        self.evaluated(Invariant::Answers);
        let states = vec![self.model.committed().clone()];
        let window = Window { states, ..self.model.window() };
        let finding = match content {
            Ok(content) => {
                self.words.extend(content.words());
                let Err(mut finding) = checker::judge(&content, &window) else { return };
                finding.invariant = Invariant::Answers;
                let diff = self.inside(|session| checker::diff(session, &window));
                finding.found = format!("{}; {}", finding.found, diff.unwrap_or_default());
                finding
            }
            Err(Unreadable::Failed(error)) if self.blame.excuses_read(error.kind()) => {
                return;
            }
            Err(unreadable) => unreadable.finding(),
        };
        self.found(finding);
        self.stopped = true;
    }

    fn second_open(&mut self) {
        let env = self.envs().swap_remove(0);
        let (system, options) = (self.system, &self.history.options);
        let before = self.disk.state().full_key();
        let opened = panic_trap::catch(|| system.open(env, options).map(drop));
        self.notice_faults();
        let changed = self.disk.state().full_key() != before;
        self.mark_calls(self.model.window());
        self.evaluated(Invariant::Answers);
        let kind = opened.map(|result| result.map_err(|error| error.kind()));
        let right = match kind {
            Ok(Err(kind)) => kind == ErrorKind::Locked || self.blame.excuses_open(kind),
            _ => false,
        };
        if !right || changed {
            let found = format!("{kind:?}, the disk changed: {changed}");
            let expected = "Locked for a second opener, and nothing changed";
            self.found(Finding::new(Invariant::Answers, expected, found));
            self.stopped = true;
        }
    }

    fn refused(&mut self, bad: Bad, slot: usize) {
        let known = self.model.committed().collections.contains_key(&self.history.slots[slot].name);
        let needs_collection = !matches!(
            bad,
            Bad::LongName | Bad::OddName | Bad::NoDimension | Bad::NoCollection | Bad::EmptyBatch
        );
        // A waiting request would be driven by this call.
        if !self.waiting.is_empty() || (needs_collection && !known) {
            return;
        }
        let (request, kinds) = self.bad_request(bad, slot);
        let before = self.disk.state().full_key();
        let Some(answer) = self.inside(|session| session.perform(&request, Call::Single)) else {
            return;
        };
        self.notice_faults();
        let changed = self.disk.state().full_key() != before;
        self.mark_calls(self.model.window());
        self.evaluated(Invariant::Answers);
        let right = match &answer {
            Ok(_) => false,
            Err(error) => kinds.contains(&error.kind()) || self.blame.excuses(error.kind()),
        };
        if !right || changed {
            let found = format!("{answer:?}, the disk changed: {changed}");
            let expected = format!("one of {kinds:?} for {bad:?}, and nothing changed");
            self.found(Finding::new(Invariant::Answers, expected, found));
            self.stopped = true;
        }
    }

    fn bad_request(&self, bad: Bad, slot: usize) -> (Request, &'static [ErrorKind]) {
        use ErrorKind::{InvalidArgument, NotFound, TooLarge};
        let dim = self.history.slots[slot].dim as usize;
        let collection = self.id_of(slot, None);
        let upsert = |id: &str, dim: usize, payload: usize| {
            let row = Some((vec![1.0; dim].into(), vec![7; payload].into()));
            Request::Write(vec![RowChange { collection, id: id.into(), row }])
        };
        let create = |name: &str, dim: u32| Request::Create {
            name: name.into(),
            descriptor: Descriptor::new(dim, Dtype::F32, quiver_store::DistanceMetric::L2),
        };
        let long_id = "x".repeat(limits::EXTERNAL_ID_BYTES_MAX + 1);
        let long_name = "x".repeat(limits::COLLECTION_NAME_BYTES_MAX + 1);
        match bad {
            // Two vectors of one element may be one row.
            Bad::Dimension if dim == 1 => (upsert("k0", 0, 1), &[InvalidArgument]),
            Bad::Dimension => (upsert("k0", dim + 1, 1), &[InvalidArgument]),
            Bad::LongId => (upsert(&long_id, dim, 1), &[InvalidArgument, TooLarge]),
            Bad::EmptyId => (upsert("", dim, 1), &[InvalidArgument]),
            Bad::LongName => (create(&long_name, 3), &[InvalidArgument, TooLarge]),
            Bad::OddName => (create("a/b", 3), &[InvalidArgument]),
            Bad::NoDimension => (create("flat", 0), &[InvalidArgument]),
            Bad::NoCollection => {
                let row = Some((vec![1.0; dim].into(), Arc::from([])));
                let change = RowChange { collection: NO_COLLECTION, id: "k0".into(), row };
                (Request::Write(vec![change]), &[NotFound])
            }
            Bad::LargeBatch => {
                (upsert("k0", dim, self.history.options.batch_bytes_max), &[TooLarge])
            }
            Bad::EmptyBatch => (Request::Write(Vec::new()), &[InvalidArgument]),
        }
    }

    fn resolve(&self, member: &Member, guess: Option<usize>) -> Request {
        self.requests(guess).of(member)
    }

    /// The id of the collection that has a slot's name now.
    pub(super) fn id_of(&self, slot: usize, guess: Option<usize>) -> CollectionId {
        self.requests(guess).id_of(slot)
    }

    fn requests(&self, guess: Option<usize>) -> Requests<'_> {
        let has_keys = self.out.vault.is_some();
        Requests { slots: &self.history.slots, model: &self.model, guess, has_keys }
    }

    /// The store writes again once faults are over, after a reopen where it says so (I11).
    pub(super) fn come_back(&mut self) {
        self.faults_over = true;
        self.arm(&[]);
        self.limit_space(None);
        // What is called from here on is not to be struck.
        let counted = self.out.counted.clone();
        self.try_to_write();
        self.out.counted = counted;
    }

    fn try_to_write(&mut self) {
        self.drive_all();
        for _ in 0..2 {
            if self.stopped {
                return;
            }
            self.evaluated(Invariant::I11);
            let request = self.write_anything();
            let answer = self.inside(|session| session.perform(&request, Call::Write));
            let Some(answer) = answer else { return };
            let kind = answer.as_ref().map(drop).map_err(quiver_store::Error::kind);
            self.after_call(Some((request, answer)));
            if kind == Err(ErrorKind::Latched) {
                self.kill(&[]);
                continue;
            }
            if kind.is_ok() {
                self.read_all();
                self.mark_end();
                return;
            }
            break;
        }
        if !self.stopped {
            let expected =
                "a write that succeeds once no fault is armed, if need be after a reopen";
            self.found(Finding::new(Invariant::I11, expected, "none that does"));
            self.stopped = true;
        }
    }

    /// A request that cannot be refused.
    fn write_anything(&self) -> Request {
        let slot = &self.history.slots[0];
        match self.model.committed().collections.get(&slot.name) {
            None => Request::Create {
                name: slot.name.clone(),
                descriptor: Descriptor::new(slot.dim, Dtype::F32, quiver_store::DistanceMetric::L2),
            },
            Some(_) => {
                let row = Some((vec![1.0; slot.dim as usize].into(), Arc::from(*b"back")));
                let collection = self.id_of(0, None);
                Request::Write(vec![RowChange { collection, id: "back".into(), row }])
            }
        }
    }
}
