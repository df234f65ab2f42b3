//! A key file and a segment that come and go from open to open, under a store that goes on.
//!
//! **Place.** Made on the images of which a key is taken away ([`super::lost_key`]), from the image itself.
//! What a store puts aside for a collection without its key and for one without a segment lies in files of one
//! kind, and what happened in between must outlive both.
//!
//! - B1. The store opens, and a checkpoint works, whatever is missing.
//! - B2. While both are there everything is, each new name included; without the key all but its collection is.
//! - B3. A new name that is refused has not been given.

use std::path::PathBuf;
use std::sync::Arc;

use super::Explorer;
use super::examine::{Left, words};
use super::lost_key::{Lost, seals, without};
use crate::checker::{self, Content, Finding, Invariant, Unreadable};
use crate::disk::{DiskState, SimDisk};
use crate::forward::{CALLS_MAX, STORE_DIR, open_any};
use crate::model::{KnownId, State};
use crate::panic_trap;
use crate::stream::Stream;
use crate::system::{Call, Request, Session};

/// How often it is opened, the last time with everything in place.
const OPENS: usize = 6;

/// What happens in one session.
#[derive(Clone, Copy)]
struct Turn {
    without_key: bool,
    without_segment: bool,
    renames: bool,
    seals: bool,
}

/// What no luck brings about often enough: a name given before its collection is put aside without its key,
/// and another one given before it is put aside without a segment.
const PLOT: [Turn; 4] = [
    Turn { without_key: false, without_segment: false, renames: true, seals: false },
    Turn { without_key: true, without_segment: false, renames: false, seals: true },
    Turn { without_key: false, without_segment: false, renames: true, seals: false },
    Turn { without_key: false, without_segment: true, renames: false, seals: true },
];

impl Turn {
    /// One as it comes.
    fn drawn(dice: &mut Stream) -> Self {
        let [without_key, without_segment, renames, seals] = [(); 4].map(|()| dice.chance(1, 2));
        Self { without_key, without_segment, renames, seals }
    }
}

/// A file, and its bytes while it is away.
struct Absentee {
    path: PathBuf,
    bytes: Option<Vec<u8>>,
}

impl Absentee {
    fn is_away(&self) -> bool {
        self.bytes.is_some()
    }

    /// Takes it away, or puts back what was taken. What the store has removed itself stays away.
    fn go(&mut self, away: bool, disk: DiskState) -> DiskState {
        match (away, self.is_away()) {
            (true, false) => {
                self.bytes = disk.read(&self.path);
                if self.is_away() { disk.with_file(&self.path, None) } else { disk }
            }
            (false, true) => disk.with_file(&self.path, self.bytes.take().as_deref()),
            _ => disk,
        }
    }
}

/// What the store must hold, and names that nobody has any more.
struct Known {
    state: State,
    given_up: Vec<Arc<str>>,
    fresh_names: u64,
}

impl Explorer<'_> {
    /// Opens it again and again, each time without one of the two, or without both, or with both.
    pub(super) fn come_and_go(
        &mut self,
        mut disk: DiskState,
        lost: &Lost,
        left: &Left,
    ) -> Result<(), Finding> {
        let mut dice = left.address.stream(14);
        let mut segments: Vec<PathBuf> = disk.list().into_iter().map(|(path, _)| path).collect();
        segments.retain(|path| {
            path.starts_with(STORE_DIR)
                && path.extension().is_some_and(|extension| extension == "seg")
        });
        if segments.is_empty() {
            return Ok(());
        }
        let mut key = Absentee { path: lost.path.clone(), bytes: None };
        let mut segment = Absentee { path: dice.pick(&segments).clone(), bytes: None };
        let state = left.state.with_ids(&left.content.ids_by_key());
        let mut known = Known { state, given_up: Vec::new(), fresh_names: 0 };
        let has_plot = dice.chance(1, 2);
        for open in 0..OPENS {
            let drawn = Turn::drawn(&mut dice);
            let said = PLOT.get(open).filter(|_| has_plot).copied();
            let turn = said.unwrap_or(drawn);
            let is_last = open + 1 == OPENS;
            disk = key.go(!is_last && turn.without_key, disk);
            disk = segment.go(!is_last && turn.without_segment, disk);
            let mounted = SimDisk::mount(&disk);
            mounted.set_call_budget(CALLS_MAX);
            let envs = self.envs(&mounted, left.address.stream(20 + open as u64).draw());
            let (system, options) = (self.system, &self.history.options);
            let away = (key.is_away(), segment.is_away());
            self.tally.evaluated(Invariant::I11);
            panic_trap::catch(|| {
                let session = open_any(system, envs, options).map_err(Unreadable::Failed);
                let session = session.map_err(Unreadable::finding)?;
                go_on(&*session, lost, (turn, away), &mut known, &mut dice)
            })
            .unwrap_or_else(|panic| Err(Finding::new(Invariant::I5, "no panic", panic)))
            .map_err(|finding| self.with_place(finding, open, away, &segment))?;
            disk = mounted.state().kill();
        }
        Ok(())
    }

    fn with_place(
        &self,
        finding: Finding,
        open: usize,
        (without_key, without_segment): (bool, bool),
        segment: &Absentee,
    ) -> Finding {
        let there = |is_away: bool| if is_away { "missing" } else { "there" };
        let found = format!(
            "{} at open {open}, the key {}, {} {}",
            finding.found,
            there(without_key),
            segment.path.display(),
            there(without_segment)
        );
        Finding { found, ..finding }
    }
}

/// One session.
fn go_on(
    session: &dyn Session,
    lost: &Lost,
    (turn, (without_key, without_segment)): (Turn, (bool, bool)),
    known: &mut Known,
    dice: &mut Stream,
) -> Result<(), Finding> {
    // B2. Which rows a missing segment takes along is for the damage campaign to say.
    if !without_segment {
        let found = checker::read(session).map_err(Unreadable::finding)?;
        let expected = match name_of(&known.state, lost).filter(|_| without_key) {
            Some(name) => without(&known.state, &name),
            None => Content::of(&known.state),
        };
        if found != expected {
            return Err(Finding::new(Invariant::I1, words(&expected), words(&found)));
        }
    }
    if turn.renames {
        rename(session, lost, without_key || without_segment, known, dice)?;
    }
    if turn.seals {
        seals(session)?;
    }
    Ok(())
}

/// Gives a collection a name that was never given, or one that was given up.
fn rename(
    session: &dyn Session,
    lost: &Lost,
    may_refuse: bool,
    known: &mut Known,
    dice: &mut Stream,
) -> Result<(), Finding> {
    let of_lost = name_of(&known.state, lost).filter(|_| dice.chance(3, 4));
    let names: Vec<Arc<str>> = known.state.collections.keys().cloned().collect();
    let name = of_lost.unwrap_or_else(|| dice.pick(&names).clone());
    let place = dice.index(known.given_up.len() + 1);
    if place == known.given_up.len() {
        known.given_up.push(Arc::from(format!("renamed-{}", known.fresh_names)));
        known.fresh_names += 1;
    }
    let id = known.state.collections[&name].id;
    let new_name = known.given_up[place].clone();
    let request = Request::Rename { name: name.clone(), new_name };
    match session.perform(&request, Call::Single) {
        Ok(_) => {
            known.state.apply(&request, id);
            known.given_up[place] = name;
            Ok(())
        }
        Err(_) if may_refuse => Ok(()),
        Err(error) => {
            let expected = format!("{request:?} while nothing is missing");
            Err(Finding::new(Invariant::Answers, expected, format!("{error:?}")))
        }
    }
}

/// The name of the collection of the key now.
fn name_of(state: &State, lost: &Lost) -> Option<Arc<str>> {
    let of_key = |id: KnownId| id == KnownId::Is(lost.id.value());
    let found = state.collections.iter().find(|(_, collection)| of_key(collection.id));
    found.map(|(name, _)| name.clone())
}
