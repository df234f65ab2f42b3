//! Damage to a store that is open: bytes change beneath it, and it goes on.
//!
//! - R1. What a call answers is right, or an error that names the file; of collections that were not
//!   hit it is right. A collection of which a read was `Corrupt` takes no more writes.
//! - R2. What was acknowledged meanwhile is there once it is opened again, as far as the damage
//!   leaves it (`exam`).

use std::sync::Arc;

use super::Tried;
use super::base::{Base, States};
use super::content::{Looker, Met};
use super::exam::{are_told, ids_of};
use super::hit::{Hit, name_of, wrong};
use super::layout::Kind;
use super::wound::{Form, SECTOR, Wound};
use crate::checker::Finding;
use crate::disk::{DiskState, SimDisk};
use crate::forward::{CALLS_MAX, env_on};
use crate::model::{KnownId, State};
use crate::stream::Stream;
use crate::system::{Call, Request, RowChange, Session};
use quiver_store::CollectionId;
use quiver_store::limits::PAGE_SIZE_BYTES;

const STEPS: u64 = 14;

const WOUNDS_MAX: usize = 3;

/// A store that is open while it is damaged.
struct Running<'a> {
    base: Base,
    disk: SimDisk,
    session: &'a dyn Session,
    state: Arc<State>,
    states: States,
    wounds: Vec<Wound>,
    words: &'a mut Vec<String>,
    hit: Hit,
    stream: Stream,
}

/// Runs one; what is done to it is said in words.
pub(super) fn run(
    tried: &mut Tried<'_>,
    base: &Base,
    words: &mut Vec<String>,
) -> Result<(), Finding> {
    let disk = SimDisk::mount(&base.state);
    let nothing = Hit::of(base, &base.state);
    let Some(state) = base.states.get(&base.layout.last).cloned() else { return Ok(()) };
    disk.set_call_budget(CALLS_MAX);
    let session = tried.system.open(env_on(&disk, tried.stream.draw()), &base.options);
    let session = session.map_err(|error| wrong("a whole store", format!("{error:?}")))?;
    let state = Arc::new(state.with_ids(&ids_of(&*session, &state)?));
    let stream = Stream::from_rng(&mut tried.stream);
    let (base, states) = (base.clone(), base.states.clone());
    let session_ref = &*session;
    let mut running = Running {
        base,
        disk: disk.clone(),
        session: session_ref,
        state,
        states,
        wounds: Vec::new(),
        words,
        hit: nothing,
        stream,
    };
    for _ in 0..STEPS {
        running.step(tried)?;
    }
    let Running { base, state, mut states, wounds, .. } = running;
    if tried.stream.chance(1, 2) {
        session.close().map_err(|error| wrong("a clean end", format!("{error:?}")))?;
    }
    drop(session);
    let left = disk.state().kill();
    states.insert(state.lsn, state);
    let whole = undone(&left, &wounds);
    let Some(base) = base.later(whole, states) else { return Ok(()) };
    tried.counts.more("hit while open");
    tried.exam(&base, left, &wounds).examine()?;
    Ok(())
}

/// A disk without its wounds.
pub(super) fn undone(state: &DiskState, wounds: &[Wound]) -> DiskState {
    wounds.iter().rev().fold(state.clone(), |state, wound| wound.undo(&state))
}

impl Running<'_> {
    fn step(&mut self, tried: &mut Tried<'_>) -> Result<(), Finding> {
        self.disk.set_call_budget(CALLS_MAX);
        match self.stream.below(12) {
            0..3 if self.wounds.len() < WOUNDS_MAX => {
                self.wound(tried);
                Ok(())
            }
            0..6 => self.write(),
            6 => self
                .session
                .checkpoint()
                .map_err(|error| wrong("a checkpoint of what is not hit", format!("{error:?}"))),
            7 => self.or_damaged(self.session.compact(None)),
            8 => self.or_damaged(self.session.maintain().map(|_| ())),
            _ => self.look(tried),
        }
    }

    /// Only what is in place on a file that goes on: what is written behind it stays apart.
    fn wound(&mut self, tried: &mut Tried<'_>) {
        let now = self.disk.state();
        let whole = undone(&now, &self.wounds);
        let Some(base) = self.base.later(whole, self.states.clone()) else { return };
        let Some(wound) = drawn(&base, &now, &mut self.stream, true) else { return };
        self.disk.damage(|state| wound.apply(state));
        tried.counts.wounded(&wound);
        self.words.push(wound.words.clone());
        for change in &wound.changes {
            self.hit.names.push(name_of(&change.path));
            let Some(role) = base.layout.roles.get(&change.path) else { continue };
            let Some(owner) = role.owner else { continue };
            let harm = self.hit.owners.entry(owner).or_default();
            harm.rows |= role.kind.holds_rows();
            harm.parked |= role.kind == Kind::Parked;
            harm.segments.insert(role.segment);
        }
        self.base = base;
        self.wounds.push(wound);
    }

    fn look(&mut self, tried: &mut Tried<'_>) -> Result<(), Finding> {
        let stream = Stream::from_rng(&mut self.stream);
        let Self { base, hit, .. } = &*self;
        let (skipped, met) = (Vec::new(), Met::default());
        let mut looker = Looker { base, hit, stream, is_running: true, skipped, met };
        looker.check(self.session, &self.state)?;
        let met = looker.met.take();
        are_told(self.session, &met)?;
        for id in met {
            let request = self.change(id);
            match self.session.perform(&request, Call::Write) {
                Ok(_) => {
                    let expected = "Corrupt to a write to what a read found damaged";
                    return Err(wrong(expected, "it is acknowledged"));
                }
                Err(error) => self.hit.check(&error, false)?,
            }
            tried.counts.more("refused behind a read");
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), Finding> {
        let ids: Vec<u64> = self
            .state
            .collections
            .values()
            .filter_map(|collection| match collection.id {
                KnownId::Is(id) => Some(id),
                KnownId::Above(_) => None,
            })
            .collect();
        if ids.is_empty() {
            return Ok(());
        }
        let id = *self.stream.pick(&ids);
        let request = self.change(id);
        let harm = self.hit.owners.get(&id).filter(|harm| harm.rows);
        match (self.session.perform(&request, Call::Write), harm) {
            (Ok(_), _) => {
                let mut state = State::clone(&self.state);
                state.apply(&request, KnownId::Is(id));
                self.state = Arc::new(state);
                self.states.insert(self.state.lsn, self.state.clone());
                Ok(())
            }
            (Err(error), Some(_)) => self.hit.check(&error, true),
            (Err(error), None) => Err(wrong("a write to what is not hit", format!("{error:?}"))),
        }
    }

    /// A change of a row of a collection.
    fn change(&mut self, id: u64) -> Request {
        let collection = CollectionId(id);
        let (_, found) = self.state.collection(collection).expect("one of its ids");
        let vector = vec![1.0; found.descriptor.dim as usize].into();
        let payload = Arc::from(format!("{{\"n\":{}}}", self.stream.below(1000)).as_bytes());
        let row = (!self.stream.chance(1, 4)).then_some((vector, payload));
        let some: Vec<Arc<str>> = found.rows.iter().map(|(id, _)| id.clone()).collect();
        let row_id: Arc<str> = match some.is_empty() || self.stream.chance(1, 3) {
            true => format!("while damaged {}", self.stream.below(4)).into(),
            false => self.stream.pick(&some).clone(),
        };
        Request::Write(vec![RowChange { collection, id: row_id, row }])
    }

    fn or_damaged(&self, answer: quiver_store::Result<()>) -> Result<(), Finding> {
        match answer {
            Ok(()) => Ok(()),
            Err(error) if self.hit.owners.is_empty() => {
                Err(wrong("work on what is not hit", format!("{error:?}")))
            }
            Err(error) => self.hit.check(&error, true),
        }
    }
}

/// A damage drawn at random: of a kind of file that there is, at a place that holds something. Of a store
/// that is open one in three is where only a read of rows comes by: in the first page of a segment that
/// has more than those that are read when it is opened.
pub(super) fn drawn(
    base: &Base,
    state: &DiskState,
    stream: &mut Stream,
    is_running: bool,
) -> Option<Wound> {
    for _ in 0..8 {
        let is_of_rows = is_running && stream.chance(1, 3);
        let kind = if is_of_rows { Kind::Segment } else { *stream.pick(&Kind::ALL) };
        let mut files: Vec<(std::path::PathBuf, u64)> = state
            .list()
            .into_iter()
            .filter(|(path, _)| base.layout.kind(path) == kind && !path.ends_with("LOCK"))
            .collect();
        files.retain(|(_, len)| !is_of_rows || *len > 2 * PAGE_SIZE_BYTES as u64);
        if files.is_empty() {
            continue;
        }
        let (path, len) = stream.pick(&files).clone();
        let in_place = stream.chance(3, 4) || is_running && kind == Kind::Log;
        let form = match in_place {
            true => *stream.pick(&Form::OF_SECTORS),
            false => *stream.pick(&Form::OF_FILES),
        };
        let sectors = usize::try_from(len).expect("a small file").div_ceil(SECTOR);
        let bytes = state.read(&path).unwrap_or_default();
        let holds = |sector: &usize| {
            let end = (sector * SECTOR + SECTOR).min(bytes.len());
            bytes.get(sector * SECTOR..end).is_some_and(|bytes| bytes.iter().any(|byte| *byte != 0))
        };
        let room = if is_of_rows { PAGE_SIZE_BYTES / SECTOR } else { sectors };
        let full: Vec<usize> = (0..sectors.min(room)).filter(holds).collect();
        let sector = match full.is_empty() || !is_running && stream.chance(1, 8) {
            true if is_running => continue,
            true => stream.index(sectors),
            false => *stream.pick(&full),
        };
        if let Some(wound) = Wound::at(base, state, (form, &path, sector), stream) {
            return Some(wound);
        }
    }
    None
}
