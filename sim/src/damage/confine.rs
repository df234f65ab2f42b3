//! Going on with a store of which something is damaged: the damage stays where it is.
//!
//! - C1. The collection that was hit takes no writes once an open or a read has found the damage; the
//!   others do, and are sealed and merged.
//! - C2. Behind a checkpoint and a reopen all is as it was: what the log held of the damaged one is
//!   parked, in a further file where parked records are what was hit.
//! - C3. Once the bytes are put back it is whole, with everything that was acknowledged.
//! - C4. It can be dropped, and the damage goes with it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use quiver_store::CollectionId;

use super::exam::{Exam, Way};
use super::hit::{Harm, Hit, wrong};
use crate::checker::Finding;
use crate::disk::{DiskState, SimDisk};
use crate::forward::CALLS_MAX;
use crate::model::{KnownId, State};
use crate::system::{Call, Outcome, Request, RowChange, Session};

/// The row that is written to see whether writes are taken.
const PROBE: &str = "written behind the damage";

impl Exam<'_> {
    pub(super) fn go_on(
        &mut self,
        disk: &SimDisk,
        session: &dyn Session,
        mut state: Arc<State>,
        met: &BTreeSet<u64>,
    ) -> Result<(), Finding> {
        self.phase = "going on";
        let hit = self.hit.clone();
        for (id, harm) in ids(&state, &hit) {
            let is_met = met.contains(&id.value());
            if is_met && harm.is_some_and(|harm| !harm.is_noticed) {
                self.counts.more("refused behind a read");
            }
            self.probe(session, &mut state, (id, harm, is_met))?;
        }
        let harmed: Vec<CollectionId> = ids(&state, &hit)
            .into_iter()
            .filter(|(_, harm)| harm.is_some_and(|harm| harm.rows))
            .map(|(id, _)| id)
            .collect();
        disk.set_call_budget(CALLS_MAX);
        session
            .checkpoint()
            .map_err(|error| wrong("a checkpoint of what is not hit", format!("{error:?}")))?;
        if self.stream.chance(1, 2) {
            self.compact(session, !harmed.is_empty())?;
        }
        self.looker().check(session, &state)?;
        let left = disk.state().kill();
        if parked(&left).count() > 1 {
            self.counts.more("parked in a further file");
        }
        self.phase = "opened again";
        self.again(&left, &state)?;
        if harmed.is_empty() {
            return Ok(());
        }
        self.counts.more("confined");
        self.put_back(&left, &state)?;
        let id = *self.stream.pick(&harmed);
        self.drop_one(&left, &state, id, harmed.len() == 1)
    }

    /// C1.
    fn probe(
        &mut self,
        session: &dyn Session,
        state: &mut Arc<State>,
        (id, harm, is_met): (CollectionId, Option<&Harm>, bool),
    ) -> Result<(), Finding> {
        let request = probe(state, id);
        match (session.perform(&request, Call::Single), harm.filter(|harm| harm.rows)) {
            (Ok(_), Some(harm)) if harm.is_noticed || is_met => {
                Err(wrong("Corrupt to a write to what is damaged", "it is acknowledged"))
            }
            (Ok(_), _) => {
                Arc::make_mut(state).apply(&request, KnownId::Is(id.value()));
                Ok(())
            }
            (Err(error), Some(_)) => {
                self.counts.more("writes refused");
                self.hit.check(&error, false)
            }
            (Err(error), None) => Err(wrong("a write to what is not hit", format!("{error:?}"))),
        }
    }

    fn compact(&self, session: &dyn Session, is_harmed: bool) -> Result<(), Finding> {
        match session.compact(None) {
            Ok(()) => Ok(()),
            Err(error) if is_harmed => self.hit.check(&error, false),
            Err(error) => Err(wrong("a compaction of what is not hit", format!("{error:?}"))),
        }
    }

    /// C2.
    fn again(&mut self, left: &DiskState, state: &State) -> Result<(), Finding> {
        let (session, _) = self.opened(&SimDisk::mount(left), Way::Write)?;
        self.looker().check(&*session, state)
    }

    /// C3.
    fn put_back(&mut self, left: &DiskState, state: &Arc<State>) -> Result<(), Finding> {
        self.phase = "the bytes put back";
        let undone = |state: DiskState, wound: &super::wound::Wound| wound.undo(&state);
        let mended = self.wounds.iter().rev().fold(left.clone(), undone);
        let hit = std::mem::replace(&mut self.hit, Hit::none());
        let checked = self.is_whole(&mended, &mut state.clone());
        self.hit = hit;
        checked.map_err(|mut finding| {
            finding.expected = format!("whole again once the bytes are back: {}", finding.expected);
            finding
        })?;
        self.counts.more("put back and whole again");
        Ok(())
    }

    fn is_whole(&mut self, mended: &DiskState, state: &mut Arc<State>) -> Result<(), Finding> {
        let disk = SimDisk::mount(mended);
        let (session, _) = self.opened(&disk, Way::Write)?;
        self.looker().check(&*session, state)?;
        for (id, harm) in ids(state, &Hit::none()) {
            self.probe(&*session, state, (id, harm, false))?;
        }
        session
            .checkpoint()
            .map_err(|error| wrong("a checkpoint of a whole store", format!("{error:?}")))?;
        self.looker().check(&*session, state)?;
        let left = disk.state().kill();
        match parked(&left).next() {
            None => self.again(&left, state),
            Some(file) => Err(wrong("nothing parked of a whole store", format!("{file:?}"))),
        }
    }

    /// C4.
    fn drop_one(
        &mut self,
        left: &DiskState,
        state: &Arc<State>,
        id: CollectionId,
        is_last: bool,
    ) -> Result<(), Finding> {
        self.phase = "a drop";
        let Some((name, _)) = state.collection(id) else { return Ok(()) };
        let request = Request::Drop { name: name.clone() };
        let disk = SimDisk::mount(left);
        let (session, _) = self.opened(&disk, Way::Write)?;
        match session.perform(&request, Call::Single) {
            Ok(Outcome::Dropped { existed: true, .. }) => {}
            other => return Err(wrong("a drop of what is damaged", format!("{other:?}"))),
        }
        let mut state = State::clone(state);
        state.apply(&request, KnownId::Is(id.value()));
        session
            .checkpoint()
            .map_err(|error| wrong("a checkpoint behind the drop", format!("{error:?}")))?;
        self.compact(&*session, !is_last)?;
        self.looker().check(&*session, &state)?;
        self.again(&disk.state().kill(), &state)?;
        self.counts.more("dropped with its damage");
        Ok(())
    }
}

impl Hit {
    /// Nothing was hit.
    fn none() -> Self {
        let (names, owners) = (Vec::new(), BTreeMap::new());
        Self { names, root: false, verdict: super::log::Verdict::Whole, owners }
    }
}

/// The collections of a state, and what was hit of each.
fn ids<'a>(state: &State, hit: &'a Hit) -> Vec<(CollectionId, Option<&'a Harm>)> {
    let ids = state.collections.values().filter_map(|collection| match collection.id {
        KnownId::Is(id) => Some(id),
        KnownId::Above(_) => None,
    });
    ids.map(|id| (CollectionId(id), hit.owners.get(&id))).collect()
}

/// The files of parked records.
fn parked(state: &DiskState) -> impl Iterator<Item = PathBuf> {
    let paths = state.list().into_iter().map(|(path, _)| path);
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "prk"))
}

/// A write of one row that any collection takes.
fn probe(state: &State, id: CollectionId) -> Request {
    let (_, collection) = state.collection(id).expect("one of the ids of the state");
    let vector = vec![1.0; collection.descriptor.dim as usize].into();
    let payload = Arc::from(*b"{}");
    let row = Some((vector, payload));
    Request::Write(vec![RowChange { collection: id, id: PROBE.into(), row }])
}
