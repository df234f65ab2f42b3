//! One damaged store: opened, read, and gone on with.
//!
//! - X1. Nobody who only looks writes: the disk is the same before and after.
//! - X2. What has to be refused is refused by every open that is no salvage, and stays as it is.
//! - X3. A salvage shows a state that there was, and says what it left out.
//! - X4. What is not refused shows what it must (`content`), and is gone on with (`confine`).
//! - X5. A store that was taken back or replaced as a whole, or of which nothing is left but what an
//!   unfinished creation leaves, is left out: no copy can tell by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use quiver_store::{CollectionId, Error};

use super::base::Base;
use super::content::{Looker, Met};
use super::counts::Counts;
use super::hit::{Expected, Hit, wrong};
use super::log::Verdict;
use super::wound::Wound;
use crate::checker::Finding;
use crate::disk::{DiskState, IoKind, Recording, SimDisk};
use crate::forward::{CALLS_MAX, env_on};
use crate::model::{Collection, State};
use crate::stream::Stream;
use crate::system::{Look, Session, System};

/// Bytes that a read may ask for behind the end of its file: one more tells that there are no more.
const READ_BEYOND_MAX: u64 = 512;

/// How a store is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Write,
    Look(Look),
}

/// An open store, and what it said that it lost.
pub(super) type Opened = Result<(Box<dyn Session>, Vec<Error>), Error>;

/// One damaged store.
pub(super) struct Exam<'a> {
    pub(super) system: &'a dyn System,
    pub(super) base: &'a Base,
    pub(super) wounds: &'a [Wound],
    pub(super) damaged: DiskState,
    pub(super) hit: Hit,
    pub(super) counts: &'a mut Counts,
    pub(super) stream: Stream,
    /// What is being looked at, for a finding.
    pub(super) phase: &'static str,
}

impl<'a> Exam<'a> {
    pub(super) fn of(
        system: &'a dyn System,
        base: &'a Base,
        damaged: DiskState,
        wounds: &'a [Wound],
        counts: &'a mut Counts,
        stream: Stream,
    ) -> Self {
        let hit = Hit::of(base, &damaged);
        Self { system, base, wounds, damaged, hit, counts, stream, phase: "an open" }
    }

    /// Opens it in every way; the disk as it is then, where it opens for writing.
    pub(super) fn examine(&mut self) -> Result<Option<DiskState>, Finding> {
        let (base, damaged) = (self.base, &self.damaged);
        let is_another = base.is_taken_back(damaged) || base.is_replaced(damaged);
        if is_another || base.looks_unfinished(damaged) {
            self.counts.left_out += 1;
            return Ok(None);
        }
        self.counts.images += 1;
        let done = match self.hit.expected(self.base) {
            Expected::Refused(row) => {
                self.counts.more(row);
                self.refused().map(|()| None)
            }
            Expected::Shown(lsn) => {
                if lsn < self.base.layout.last {
                    self.counts.more("torn tail dropped");
                }
                self.shown(lsn).map(Some)
            }
        };
        done.map_err(|mut finding| {
            let (phase, layout) = (self.phase, &self.base.layout);
            finding.expected = format!(
                "{} ({phase}; sealed to LSN {}, last {}, {:?})",
                finding.expected, layout.sealed, layout.last, self.hit.verdict
            );
            finding
        })
    }

    fn refused(&mut self) -> Result<(), Finding> {
        let before = self.damaged.key();
        for way in [Way::Look(Look::ReadOnly), Way::Write] {
            let disk = SimDisk::mount(&self.damaged);
            match self.open(&disk, way)? {
                Ok(_) => {
                    let expected = format!(
                        "Corrupt to {way:?}, by the row: {:?}",
                        self.hit.expected(self.base)
                    );
                    return Err(wrong(expected, "the store opens"));
                }
                Err(error) => self.hit.check(&error, false)?,
            }
            self.unchanged(&disk, before, way)?;
        }
        self.salvage(before)
    }

    /// X3.
    fn salvage(&mut self, before: u128) -> Result<(), Finding> {
        self.phase = "a salvage";
        let disk = SimDisk::mount(&self.damaged);
        let way = Way::Look(Look::Salvage);
        let opened = self.open(&disk, way)?;
        self.unchanged(&disk, before, way)?;
        let (session, lost) = match opened {
            Ok(opened) => opened,
            Err(error) if self.hit.root => {
                self.counts.more("nothing to salvage");
                return self.hit.check(&error, false);
            }
            Err(error) => return Err(wrong("a salvage of a damaged log", format!("{error:?}"))),
        };
        if lost.is_empty() {
            return Err(wrong("a salvage that says what it left out", "nothing said"));
        }
        self.counts.more("salvaged");
        let lsn = session.snapshot().and_then(|view| view.last_lsn());
        let lsn = lsn.map_err(|error| wrong("an LSN", format!("{error:?}")))?;
        let sealed = self.base.layout.sealed;
        let best = match self.hit.verdict {
            Verdict::Refused(_, before) | Verdict::Torn(before) => before.max(sealed),
            Verdict::Whole => self.base.layout.last,
        };
        // An older manifest stands for itself: which of its files are left is another matter.
        if self.hit.root {
            return self.state_at(lsn).map(|_| ());
        }
        if lsn != best {
            return Err(wrong(format!("a salvage at LSN {best}"), format!("LSN {lsn}")));
        }
        let state = self.state_at(lsn)?;
        // A checkpoint seals no rows of what was dropped while it ran: the log has the drop.
        let last = self.state_at(self.base.layout.last)?;
        let is_dropped = |collection: &Arc<Collection>| {
            last.collections.values().all(|other| other.id != collection.id)
        };
        let dropped = state.collections.iter().filter(|(_, found)| is_dropped(found));
        let skipped = dropped.map(|(name, _)| name.clone()).collect();
        Looker { skipped, ..self.looker() }.check(&*session, &state)
    }

    fn shown(&mut self, lsn: u64) -> Result<DiskState, Finding> {
        let (state, before) = (self.state_at(lsn)?, self.damaged.key());
        let way = Way::Look(Look::ReadOnly);
        let disk = SimDisk::mount(&self.damaged);
        let (session, _) = self.opened(&disk, way)?;
        self.looker().check(&*session, &state)?;
        self.unchanged(&disk, before, way)?;
        let disk = SimDisk::mount(&self.damaged);
        self.phase = "an open for writing";
        let (session, _) = self.opened(&disk, Way::Write)?;
        let state = Arc::new(state.with_ids(&ids_of(&*session, &state)?));
        let mut looker = self.looker();
        looker.check(&*session, &state)?;
        let met = looker.met.take();
        are_told(&*session, &met)?;
        let left = disk.state();
        if self.hit.owners.is_empty() {
            self.counts.more("harmless");
        }
        self.go_on(&disk, &*session, state, &met)?;
        Ok(left)
    }

    pub(super) fn looker(&mut self) -> Looker<'_> {
        let stream = Stream::from_rng(&mut self.stream);
        let (skipped, met) = (Vec::new(), Met::default());
        Looker { base: self.base, hit: &self.hit, stream, is_running: false, skipped, met }
    }

    /// The state at a boundary of batches.
    pub(super) fn state_at(&self, lsn: u64) -> Result<Arc<State>, Finding> {
        let found = self.base.states.get(&lsn).cloned();
        found.ok_or_else(|| wrong(format!("a boundary of batches at LSN {lsn}"), "none is known"))
    }

    /// Opens it where it must open.
    pub(super) fn opened(
        &mut self,
        disk: &SimDisk,
        way: Way,
    ) -> Result<(Box<dyn Session>, Vec<Error>), Finding> {
        let opened = self.open(disk, way)?;
        opened
            .map_err(|error| wrong(format!("a store that opens for {way:?}"), format!("{error:?}")))
    }

    /// Opens it, and sees to it that no read asks for more than its file has.
    pub(super) fn open(&mut self, disk: &SimDisk, way: Way) -> Result<Opened, Finding> {
        let (env, options) = (env_on(disk, self.stream.draw()), &self.base.options);
        disk.set_call_budget(CALLS_MAX);
        disk.set_recording(Recording::Trace);
        let opened = match way {
            Way::Write => self.system.open(env, options).map(|session| (session, Vec::new())),
            Way::Look(look) => self.system.look(env, options, look),
        };
        disk.set_recording(Recording::Off);
        let sizes: BTreeMap<String, u64> = disk
            .state()
            .list()
            .into_iter()
            .map(|(path, len)| (path.display().to_string(), len))
            .collect();
        for call in disk.take_trace().iter().filter(|call| call.kind == IoKind::Read) {
            let Some(size) = sizes.get(&*call.path) else { continue };
            if call.offset + call.len > size + READ_BEYOND_MAX {
                let expected = format!("reads within the {size} bytes of {}", call.path);
                return Err(wrong(expected, format!("{} bytes at {}", call.len, call.offset)));
            }
        }
        Ok(opened)
    }

    /// X1, X2: the same files with the same bytes.
    fn unchanged(&self, disk: &SimDisk, before: u128, way: Way) -> Result<(), Finding> {
        if disk.state().key() == before {
            return Ok(());
        }
        let list = |state: &DiskState| format!("{:?}", state.list());
        let expected = format!("an open for {way:?} that writes nothing: {}", list(&self.damaged));
        Err(wrong(expected, list(&disk.state())))
    }
}

/// Collections of which a read was `Corrupt` are told of.
pub(super) fn are_told(session: &dyn Session, met: &BTreeSet<u64>) -> Result<(), Finding> {
    let told =
        session.damaged().map_err(|error| wrong("the damaged ones", format!("{error:?}")))?;
    let told: BTreeSet<u64> = told.into_iter().map(CollectionId::value).collect();
    if met.is_subset(&told) {
        return Ok(());
    }
    Err(wrong(format!("{met:?} among the damaged collections"), format!("{told:?}")))
}

/// The ids of the collections of a state, by what stands for their names.
pub(super) fn ids_of(session: &dyn Session, state: &State) -> Result<BTreeMap<u64, u64>, Finding> {
    let mut ids = BTreeMap::new();
    for (name, collection) in &state.collections {
        let id = session.id_of(name).map_err(|error| wrong("an id", format!("{error:?}")))?;
        let id =
            id.ok_or_else(|| wrong(format!("the collection {name:?}"), "no such collection"))?;
        ids.insert(collection.key(), id.value());
    }
    Ok(ids)
}
