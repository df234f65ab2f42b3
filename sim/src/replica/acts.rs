//! What each of the two does in a step: the leader what its history says, the follower what it is told.

use std::sync::Arc;

use quiver_store::{CollectionId, Descriptor, DistanceMetric, Dtype, ErrorKind, WalOp};

use super::applied::{Effect, Stand, vector_bytes};
use super::pair::{Applied, Pair, Who, window_of_stands};
use crate::checker::{self, Finding, Invariant};
use crate::disk::{CallClass, Fault, Step};
use crate::history::requests::Requests;
use crate::history::{Action, Member, Operation, Planned};
use crate::model::{Answered, KnownId, is_refusal};
use crate::system::{Call, Request, Session};

/// Steps of background work at a time.
const STEPS_MAX: u64 = 200;

/// The most rows that are applied at a time out of a copy.
const COPIED_AT_A_TIME: usize = 5;

impl Pair<'_> {
    /// A step of the leader's history; what only reads is left out.
    pub(super) fn lead(&mut self, operation: &Operation) -> Result<(), Finding> {
        if !operation.faults.is_empty() {
            self.leader.arm(&operation.faults);
        }
        match &operation.action {
            Action::Single(member) => self.request(member, Call::Single),
            Action::Batch(changes) => self.request(&Member::Write(changes.clone()), Call::Batch),
            Action::Write(changes) => self.request(&Member::Write(changes.clone()), Call::Write),
            Action::Group(members, _) => self.group(members),
            Action::Checkpoint | Action::KeepIndexes => {
                self.background(|leader| leader.checkpoint())
            }
            Action::Maintain => self.background(|leader| leader.maintain().map(drop)),
            Action::MaintainAll => self.background(|leader| {
                for _ in 0..STEPS_MAX {
                    if !leader.maintain()? {
                        break;
                    }
                }
                Ok(())
            }),
            Action::Compact(steps) => self.background(|leader| leader.compact(*steps)),
            Action::Close
            | Action::Kill
            | Action::KillInside(_)
            | Action::PowerLoss
            | Action::PowerLossInside(_) => self.stop_leader(),
            Action::SpaceLeft(bytes) => {
                self.leader.disk.set_free_bytes(Some(*bytes));
                Ok(())
            }
            Action::SpaceBack => {
                self.leader.disk.set_free_bytes(None);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn request(&mut self, member: &Member, call: Call) -> Result<(), Finding> {
        let slots = &self.history.slots;
        let request =
            Requests { slots, model: &self.model, guess: None, has_keys: false }.of(member);
        if matches!(member, Member::Write(_)) {
            self.strike_leader();
        }
        let answer = self.leader.inside(|leader| leader.perform(&request, call))?;
        let kind = self.kind_of(answer)?;
        self.answered(vec![Answered { request, answer: kind }])
    }

    /// Makes a write of the leader fail for good now and then. A log whose write or sync fails is given up
    /// for a new one, and nobody hears of that: so the new one fails too.
    fn strike_leader(&mut self) {
        if self.history.faulty && self.stream.chance(1, 3) {
            let of_logs = [Fault::WriteEio, Fault::WriteShortThenEio, Fault::SyncEio];
            let faults = [*self.stream.pick(&of_logs), Fault::CreateEio];
            self.leader.arm(&faults.map(|fault| Planned { after_calls: 0, fault }));
        }
    }

    fn kind_of<T>(&self, answer: quiver_store::Result<T>) -> Result<Result<T, ErrorKind>, Finding> {
        match answer {
            Ok(outcome) => Ok(Ok(outcome)),
            Err(error) => self.leader.excused(&error).map(|()| Err(error.kind())),
        }
    }

    fn group(&mut self, members: &[Member]) -> Result<(), Finding> {
        let slots = &self.history.slots;
        let guess = members.iter().find_map(|member| match member {
            Member::Create(slot, _) => Some(*slot),
            _ => None,
        });
        let requests: Vec<_> = members
            .iter()
            .map(|member| Requests { slots, model: &self.model, guess, has_keys: false }.of(member))
            .collect();
        let answers = self.leader.inside(|leader| {
            let mut answers: Vec<_> = requests.iter().map(|one| Some(leader.submit(one))).collect();
            let mut ends = Vec::new();
            for _ in 0..=requests.len() {
                if leader.drive().is_ok_and(|driven| driven == 0) {
                    break;
                }
            }
            for answer in &mut answers {
                ends.push(match answer.take().expect("taken once") {
                    Ok(ticket) => leader.poll(ticket),
                    Err(_) => None,
                });
            }
            ends
        })?;
        let mut list = Vec::new();
        for (request, answer) in requests.into_iter().zip(answers) {
            // What was refused on submission is the forward run's business.
            let Some(answer) = answer else { continue };
            list.push(Answered { request, answer: self.kind_of(answer)? });
        }
        self.answered(list)
    }

    fn background(
        &mut self,
        work: impl FnOnce(&dyn Session) -> quiver_store::Result<()>,
    ) -> Result<(), Finding> {
        let answer = self.leader.inside(work)?;
        let kind = self.kind_of(answer)?.err();
        if kind.is_some() {
            self.sealed = self.model.committed().lsn;
        }
        self.answered(Vec::new())?;
        self.end_if_latched(kind)
    }

    fn end_if_latched(&mut self, kind: Option<ErrorKind>) -> Result<(), Finding> {
        match kind {
            Some(ErrorKind::Unknown | ErrorKind::Latched) => self.stop_leader(),
            _ => Ok(()),
        }
    }

    /// What a call of the leader means, whom it was told, and whether the process ends in it.
    fn answered(&mut self, list: Vec<Answered>) -> Result<(), Finding> {
        let latched = list.iter().find_map(|one| match one.answer {
            Err(kind @ (ErrorKind::Unknown | ErrorKind::Latched)) => Some(kind),
            _ => None,
        });
        let failed = list.iter().any(|one| one.answer.is_err_and(|kind| !is_refusal(kind)));
        let is_failed_write = |one: &Answered| {
            matches!(one.request, Request::Write(_))
                && one.answer.is_err_and(|kind| !is_refusal(kind))
        };
        if list.iter().any(is_failed_write) {
            self.count("leader writes that failed");
        }
        let (window, complaints) = self.model.settle(&list);
        if let Some(complaint) = complaints.into_iter().next() {
            return Err(Finding::new(Invariant::Answers, "the model's answer", complaint));
        }
        let steps = self.leader.steps();
        let window = Arc::new(window);
        let stop = (!steps.is_empty() && self.stream.chance(1, 12))
            .then(|| steps[self.stream.index(steps.len())].clone());
        if failed || stop.is_some() {
            // A publish may have happened of which nobody was told.
            self.sealed = self.sealed.max(self.model.committed().lsn);
        }
        self.hear(Some(&window), stop.as_ref().map(|step| step.visible))?;
        self.mark(Who::Leader, steps, &window, &Arc::from([]));
        let Some(step) = stop else { return self.end_if_latched(latched) };
        self.count("leader stops inside a call");
        let state = self.inside_of(&step);
        let stop = self.draw_stop();
        let state = self.leader.stopped(&state, &stop);
        let window = window.seen_up_to(step.visible.max(window.acked_lsn));
        self.leader_starts(&state, &window)
    }

    /// The disk before a call, or somewhere inside it.
    fn inside_of(&mut self, step: &Step) -> crate::disk::DiskState {
        let inside = self.stream.chance(1, 2).then(|| step.inside(&mut self.stream)).flatten();
        inside.unwrap_or_else(|| step.before.clone())
    }

    /// The follower does what comes next.
    pub(super) fn follow(&mut self) -> Result<(), Finding> {
        let stops = self.stream.chance(1, 16);
        self.apply_next(stops)?;
        if self.copying.is_none() && self.channel.is_empty() && self.stream.chance(1, 3) {
            self.compare()?;
        }
        Ok(())
    }

    /// Applies the next batch, out of a copy or of the channel.
    pub(super) fn apply_next(&mut self, stops: bool) -> Result<(), Finding> {
        if self.copying.is_some() {
            return self.apply_copied(stops);
        }
        let Some(batch) = self.channel.pop_front() else { return Ok(()) };
        let ops: Vec<WalOp> = batch.iter().map(|told| told.op.clone()).collect();
        let last = batch[batch.len() - 1].lsn;
        match self.apply(ops, stops)? {
            Applied::Done if matches!(batch[0].op, WalOp::Checkpoint { .. }) => Ok(()),
            Applied::Done => {
                self.count("batches applied");
                self.applied = last;
                if self.stream.chance(2, 3) {
                    self.noted = Some(last);
                }
                Ok(())
            }
            // What came again met a name that was taken since: it begins anew.
            Applied::Refused => {
                self.noted = None;
                self.connect()
            }
            Applied::Failed => {
                self.channel.push_front(batch);
                Ok(())
            }
            Applied::Stopped => Ok(()),
        }
    }

    /// Applies the next operations of a copy.
    fn apply_copied(&mut self, stops: bool) -> Result<(), Finding> {
        self.leader.arm(&[]);
        let most = self.stream.size(1, COPIED_AT_A_TIME);
        let mut rows = Vec::new();
        while let Some(op) = self.next_copied()? {
            let is_row = matches!(op, WalOp::Upsert { .. });
            if !is_row {
                // A failure leaves the copy behind the operation, so that the faults are over here.
                if !rows.is_empty() && self.apply_copied_batch(std::mem::take(&mut rows), false)? {
                    return Ok(());
                }
                if self.apply_copied_batch(vec![op], stops)? {
                    return Ok(());
                }
                continue;
            }
            rows.push(op);
            if rows.len() == most {
                self.apply_copied_batch(rows, stops)?;
                return Ok(());
            }
        }
        if !rows.is_empty() && self.apply_copied_batch(rows, stops)? {
            return Ok(());
        }
        let copied = self.copying.take().expect("it was there");
        let end = self.out.ends[&copied.lsn].clone();
        self.count("copies");
        if !super::pair::same_but_lsn(&self.stand.state, &end.state) {
            let expected = format!("a copy of the leader at LSN {}", copied.lsn);
            let found = format!(
                "{} collections and {} rows, expected {} and {}",
                self.stand.state.collections.len(),
                self.stand.state.rows(),
                end.state.collections.len(),
                end.state.rows()
            );
            return Err(Finding::new(Invariant::I13, expected, found));
        }
        self.applied = copied.lsn;
        self.noted = Some(copied.lsn);
        Ok(())
    }

    /// Applies a part of a copy; true if the copy ended there.
    fn apply_copied_batch(&mut self, ops: Vec<WalOp>, stops: bool) -> Result<bool, Finding> {
        for _ in 0..3 {
            match self.apply(ops.clone(), stops)? {
                Applied::Done => return Ok(false),
                Applied::Stopped => return Ok(true),
                Applied::Refused => {
                    let found = format!("{ops:?} is refused");
                    return Err(Finding::new(Invariant::I13, "a copy that can be applied", found));
                }
                Applied::Failed => self.follower.arm(&[]),
            }
        }
        let expected = "a copy that can be applied once faults are over";
        Err(Finding::new(Invariant::I11, expected, format!("{ops:?} fails")))
    }

    /// Gives the follower a batch, and holds what it answers against the model.
    fn apply(&mut self, ops: Vec<WalOp>, stops: bool) -> Result<Applied, Finding> {
        let effect = self.stand.behind(&ops);
        self.strike_follower();
        let shown = format!("{ops:?}");
        let answer = self.follower.inside(|follower| follower.follow(ops))?;
        let mut stands = vec![self.stand.clone()];
        if let Effect::Leads(next) = &effect {
            stands.push(next.clone());
        }
        let steps = self.follower.steps();
        let stop =
            (stops && !steps.is_empty()).then(|| steps[self.stream.index(steps.len())].clone());
        let window = Arc::new(window_of_stands(&stands));
        let shared: Arc<[Stand]> = stands.clone().into();
        self.mark(Who::Follower, steps, &window, &shared);
        if let Some(step) = stop {
            self.count("follower stops inside an apply");
            let state = self.inside_of(&step);
            let stop = self.draw_stop();
            let state = self.follower.stopped(&state, &stop);
            self.follower_starts(&state, &stands)?;
            return Ok(Applied::Stopped);
        }
        match (answer, effect) {
            (Ok(Some(lsn)), Effect::Leads(next)) if lsn == next.state.lsn => {
                self.stand = next;
                Ok(Applied::Done)
            }
            (Ok(None), Effect::Nothing) => {
                self.count("applies that came to nothing");
                Ok(Applied::Done)
            }
            (Err(error), Effect::Refused(kind)) if error.kind() == kind => {
                self.count("applies refused");
                self.unchanged(kind)?;
                Ok(Applied::Refused)
            }
            (Err(error), _) if !is_refusal(error.kind()) => {
                self.follower.excused(&error)?;
                if matches!(error.kind(), ErrorKind::Unknown | ErrorKind::Latched) {
                    let state = self.follower.disk.state().kill();
                    self.follower_starts(&state, &stands)?;
                    return Ok(Applied::Stopped);
                }
                Ok(Applied::Failed)
            }
            (answer, effect) => {
                let expected = match effect {
                    Effect::Leads(next) => format!("LSN {} for {shown}", next.state.lsn),
                    other => format!("{other:?} for {shown}"),
                };
                Err(Finding::new(Invariant::Answers, expected, format!("{answer:?}")))
            }
        }
    }

    /// What was refused left no trace; work in the background may have gone on.
    fn unchanged(&mut self, kind: ErrorKind) -> Result<(), Finding> {
        self.follower.arm(&[]);
        let read = self.follower.inside(|follower| checker::read(follower))?;
        let content = read.map_err(checker::Unreadable::finding)?;
        let window = window_of_stands(std::slice::from_ref(&self.stand));
        self.follower.judged(&content, &window).map(drop).map_err(|finding| {
            let expected = format!("{kind:?}, and nothing changed");
            Finding::new(Invariant::Answers, expected, finding.found)
        })
    }

    /// Arms a fault on the follower now and then.
    fn strike_follower(&mut self) {
        if self.history.faulty && self.stream.chance(1, 10) {
            let of_writes = |fault: &&Fault| {
                matches!(fault.class(), CallClass::Write | CallClass::Sync | CallClass::Create)
            };
            let faults: Vec<Fault> = Fault::ALL.iter().filter(of_writes).copied().collect();
            let fault = *self.stream.pick(&faults);
            let after_calls = self.stream.below(2);
            self.follower.arm(&[Planned { after_calls, fault }]);
        }
    }

    /// Background work of the follower.
    pub(super) fn tend_follower(&mut self) -> Result<(), Finding> {
        let draw = self.stream.below(3);
        self.strike_follower();
        let answer = self.follower.inside(|follower| match draw {
            0 => follower.checkpoint(),
            1 => follower.compact(None),
            _ => follower.maintain().map(drop),
        })?;
        let stands: Arc<[Stand]> = Arc::from([self.stand.clone()]);
        let window = Arc::new(window_of_stands(&stands));
        let steps = self.follower.steps();
        self.mark(Who::Follower, steps, &window, &stands);
        let Err(error) = answer else { return Ok(()) };
        self.follower.excused(&error)?;
        if matches!(error.kind(), ErrorKind::Unknown | ErrorKind::Latched) {
            let state = self.follower.disk.state().kill();
            return self.follower_starts(&state, &stands);
        }
        Ok(())
    }

    /// Gives the follower what no leader would say, which it has to refuse.
    pub(super) fn forge(&mut self) -> Result<(), Finding> {
        let nowhere = CollectionId(self.stand.floor + 7);
        let row = WalOp::Delete { collection_id: nowhere, external_id: "k0".to_owned() };
        let some = self.stand.state.collections.iter().next();
        let some = some.map(|(name, one)| (name.to_string(), one.id));
        let ops = match (self.stream.below(6), some) {
            (0, Some((name, _))) => {
                let descriptor = Descriptor::new(3, Dtype::F32, DistanceMetric::L2);
                vec![WalOp::CreateCollection { collection_id: nowhere, name, descriptor }]
            }
            (1, Some((_, one))) => {
                let KnownId::Is(id) = one else { return Ok(()) };
                let descriptor = Descriptor::new(4099, Dtype::F32, DistanceMetric::L2);
                let collection_id = CollectionId(id);
                vec![WalOp::AlterCollection { collection_id, descriptor }]
            }
            (2, _) => vec![WalOp::DropCollection { collection_id: nowhere }],
            // The first of it could be done.
            (3, Some((_, one))) => {
                let KnownId::Is(id) = one else { return Ok(()) };
                let (collection_id, external_id) = (CollectionId(id), "k0".to_owned());
                vec![WalOp::Delete { collection_id, external_id }, row]
            }
            // A vector of another length than the schema says would shift all rows behind it.
            (4, Some((_, one))) => {
                let KnownId::Is(id) = one else { return Ok(()) };
                let collection_id = CollectionId(id);
                let Some(descriptor) = self.stand.descriptor(collection_id) else { return Ok(()) };
                let bytes = if descriptor.multivector { 0 } else { vector_bytes(descriptor) + 1 };
                let (external_id, payload) = ("k0".to_owned(), Vec::new());
                let vector = vec![0; bytes];
                vec![WalOp::Upsert { collection_id, external_id, vector, payload }]
            }
            _ => vec![row],
        };
        self.follower.arm(&[]);
        match self.apply(ops, false)? {
            Applied::Refused | Applied::Stopped | Applied::Failed => Ok(()),
            Applied::Done => {
                let expected = "a refusal of what no leader says";
                Err(Finding::new(Invariant::Answers, expected, "it is applied"))
            }
        }
    }
}
