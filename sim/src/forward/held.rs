//! Snapshots and iterators that are held while the history goes on (I13).
//!
//! **Place.** The part of the forward run that makes reads: on the store, and on what it holds. A
//! held snapshot of the model is the state that was committed when the store's was taken.
//!
//! - V1. Each answer of a held view is the one of its LSN, whatever was written, sealed, merged or
//!   dropped meanwhile; so is each row of an iterator that is under way.
//! - V2. A read writes nothing.
//! - V3. What is held ends with its process; it is read once more before that. After a close it
//!   answers `Closed`.

use std::sync::Arc;

use quiver_store::{CollectionId, ErrorKind};

use super::{Invariant, Runner};
use crate::checker::{self, Finding, Unreadable};
use crate::history::Source;
use crate::history::requests::NO_COLLECTION;
use crate::model::{Collection, KnownId, State, Window};
use crate::reads::{self, Read, Seen, Wrong};
use crate::system::{Scan, View};

/// How many snapshots, and how many iterators, are held at a time.
const HELD_MAX: usize = 4;

/// A snapshot of the store, and what it must show.
pub(super) struct Snapshot {
    view: Box<dyn View>,
    state: Arc<State>,
    manifest: u64,
}

/// An iterator under way, and what it must show.
pub(super) struct Paused {
    rows: Scan,
    expected: Vec<Seen>,
    shown: usize,
    state: Arc<State>,
    manifest: u64,
    words: String,
}

impl Runner<'_> {
    /// A read, held against the model.
    pub(super) fn read(&mut self, source: Source, slot: usize, read: &Read) {
        let place = self.snapshot_at(source);
        let state = self.state_of(place);
        let (id, collection) = self.collection_in(&state, slot);
        let checked =
            self.in_view(place, |view| reads::check(view, id, collection.as_deref(), read));
        let Some(checked) = checked else { return };
        self.after_read();
        let mut invariant = self.evaluated_read(place);
        if read.filters() {
            invariant = Invariant::I12;
            self.evaluated(invariant);
        }
        match checked {
            Ok(()) => {}
            Err(Wrong::Failed(error))
                if self.blame.excuses_read(error.kind()) || self.excuses_view(&state, &error) => {}
            Err(Wrong::Failed(error)) => {
                self.wrong(invariant, format!("{read:?} of slot {slot}"), format!("{error:?}"));
            }
            Err(Wrong::Differs { expected, found }) => {
                self.wrong(invariant, expected, format!("{found} from {source:?}, slot {slot}"));
            }
        }
    }

    pub(super) fn take_snapshot(&mut self) {
        if self.snapshots.len() == HELD_MAX {
            self.release_snapshot(0);
        }
        let Some(taken) = self.inside(|session| session.snapshot()) else { return };
        self.after_read();
        self.evaluated(Invariant::Answers);
        match taken {
            Ok(view) => {
                let (state, manifest) = (self.model.committed().clone(), self.manifest);
                self.more("snapshots", 1);
                self.snapshots.push(Snapshot { view, state, manifest });
            }
            Err(error) => self.wrong(Invariant::Answers, "a snapshot", format!("{error:?}")),
        }
    }

    /// Reads all of a held snapshot.
    pub(super) fn read_snapshot(&mut self, number: u64) {
        if let Some(place) = self.snapshot_at(Source::Snapshot(number)) {
            self.check_snapshot(place);
        }
    }

    /// Lets go of a held snapshot or iterator.
    pub(super) fn release(&mut self, number: u64) {
        let held = self.snapshots.len() + self.paused.len();
        let Some(place) = round(number, held) else { return };
        match place.checked_sub(self.snapshots.len()) {
            None => self.release_snapshot(place),
            Some(place) => {
                drop(self.paused.remove(place));
                self.let_go();
            }
        }
    }

    /// Lets go of everything held.
    pub(super) fn release_all(&mut self) {
        while self.holds_views() && !self.stopped {
            self.release(0);
        }
    }

    /// Starts an iterator and takes some rows of it.
    pub(super) fn pause(&mut self, source: Source, slot: usize, read: &Read, rows: u64) {
        let Some((range, parts)) = read.iterates() else { return };
        let place = self.snapshot_at(source);
        let state = self.state_of(place);
        let (id, collection) = self.collection_in(&state, slot);
        let Some(collection) = collection else { return self.read(source, slot, read) };
        if self.paused.len() == HELD_MAX {
            drop(self.paused.remove(0));
            self.let_go();
        }
        let Some(started) = self.in_view(place, |view| read.start(view, id)) else { return };
        self.after_read();
        match started {
            Ok(Some(scan)) => {
                let expected = reads::rows_in(&collection, &range);
                let expected = expected.map(|(id, row)| Seen::expected(id, row, parts)).collect();
                let words = format!("{read:?} of slot {slot} from {source:?}");
                let manifest = self.manifest;
                self.more("paused scans", 1);
                self.paused.push(Paused { rows: scan, expected, shown: 0, state, manifest, words });
                self.go_on(self.paused.len() - 1, rows);
            }
            Ok(None) => {}
            Err(error)
                if self.blame.excuses_read(error.kind()) || self.excuses_view(&state, &error) => {}
            Err(error) => {
                self.wrong(Invariant::Answers, format!("{read:?}"), format!("{error:?}"));
            }
        }
    }

    /// Takes some more rows of a held iterator.
    pub(super) fn resume(&mut self, number: u64, rows: u64) {
        if let Some(place) = round(number, self.paused.len()) {
            self.go_on(place, rows);
        }
    }

    fn go_on(&mut self, place: usize, rows: u64) {
        let mut paused = self.paused.remove(place);
        let changed = self.has_changed(paused.state.lsn, paused.manifest);
        let invariant = if changed { Invariant::I13 } else { Invariant::Answers };
        self.more("paused scans, changed under", u64::from(changed));
        for _ in 0..rows {
            let Some(next) = self.guarded(|| paused.rows.next()) else { return };
            self.after_read();
            self.evaluated(invariant);
            let expected = paused.expected.get(paused.shown);
            match next.transpose() {
                Ok(Some(shown)) if expected == Some(&Seen::of(&shown)) => paused.shown += 1,
                Ok(None) if expected.is_none() => {
                    drop(paused);
                    return self.let_go();
                }
                Err(error)
                    if self.blame.excuses_read(error.kind())
                        || self.excuses_view(&paused.state, &error) =>
                {
                    drop(paused);
                    return self.let_go();
                }
                other => {
                    let (Paused { shown, words, .. }, lsn) = (&paused, paused.state.lsn);
                    let expected = expected.map(Seen::id);
                    let expected = format!("row {shown} of {words} at LSN {lsn}: {expected:?}");
                    let found = format!("{:?}", other.map(|shown| shown.map(|shown| shown.id)));
                    return self.wrong(invariant, expected, found);
                }
            }
        }
        self.paused.insert(place, paused);
    }

    /// Reads each snapshot once more, and each iterator to its end (V3).
    pub(super) fn read_all_held(&mut self) {
        self.check_snapshots();
        while !self.paused.is_empty() && !self.stopped {
            self.go_on(0, u64::MAX);
        }
    }

    /// Reads all of each snapshot.
    pub(super) fn check_snapshots(&mut self) {
        for place in 0..self.snapshots.len() {
            if !self.stopped {
                self.check_snapshot(place);
            }
        }
    }

    /// After a close every call answers `Closed`; an iterator may still show rows that it has, none
    /// of them wrong, but not end early.
    pub(super) fn check_held_closed(&mut self) {
        let snapshots = std::mem::take(&mut self.snapshots);
        for Snapshot { view, .. } in &snapshots {
            self.evaluated(Invariant::Answers);
            let Some(kind) = self.guarded(|| closed_kind(&**view)) else { return };
            if kind != Some(ErrorKind::Closed) {
                let found = format!("{kind:?}");
                self.wrong(Invariant::Answers, "Closed of a snapshot after a close", found);
            }
        }
        for mut paused in std::mem::take(&mut self.paused) {
            let Some(next) = self.guarded(|| paused.rows.next()) else { return };
            let expected = paused.expected.get(paused.shown);
            let right = match &next {
                None => expected.is_none(),
                Some(Ok(shown)) => expected == Some(&Seen::of(shown)),
                Some(Err(error)) => {
                    error.kind() == ErrorKind::Closed || self.excuses_view(&paused.state, error)
                }
            };
            self.evaluated(Invariant::Answers);
            if !right {
                let expected =
                    format!("Closed or {:?} of {}", expected.map(Seen::id), paused.words);
                self.wrong(Invariant::Answers, expected, format!("{next:?}"));
            }
        }
    }

    fn release_snapshot(&mut self, place: usize) {
        self.check_snapshot(place);
        drop(self.snapshots.remove(place));
        self.let_go();
    }

    /// After something held was dropped: the last reader of a file may be the one that removes it.
    fn let_go(&mut self) {
        self.notice_faults();
        self.mark_calls(self.model.window());
    }

    /// Everything that a snapshot shows is the state of its LSN (V1).
    fn check_snapshot(&mut self, place: usize) {
        let Some(content) = self.in_view(Some(place), checker::read) else { return };
        self.after_read();
        let invariant = self.evaluated_read(Some(place));
        let state = self.snapshots[place].state.clone();
        let window = Window { states: vec![state.clone()], ..Window::default() };
        let found = match content {
            Ok(content) => {
                self.words.extend(content.words());
                let Err(finding) = checker::judge(&content, &window) else { return };
                let diff = self.in_view(Some(place), |view| checker::diff(view, &window));
                format!("{}; {}", finding.found, diff.unwrap_or_default())
            }
            Err(Unreadable::Failed(error))
                if self.blame.excuses_read(error.kind()) || self.excuses_view(&state, &error) =>
            {
                return;
            }
            Err(unreadable) => unreadable.finding().found,
        };
        self.wrong(invariant, format!("a snapshot that shows LSN {}", state.lsn), found);
    }

    /// Whether a snapshot or an iterator is held, which may keep files.
    pub(super) fn holds_views(&self) -> bool {
        !self.snapshots.is_empty() || !self.paused.is_empty()
    }

    /// Runs a read on the store, or on the held snapshot of a place.
    fn in_view<T>(&mut self, place: Option<usize>, run: impl FnOnce(&dyn View) -> T) -> Option<T> {
        let Some(place) = place else { return self.inside(|session| run(session)) };
        let snapshot = self.snapshots.remove(place);
        let result = self.guarded(|| run(&*snapshot.view));
        self.snapshots.insert(place, snapshot);
        result
    }

    fn snapshot_at(&self, source: Source) -> Option<usize> {
        match source {
            Source::Store => None,
            Source::Snapshot(number) => round(number, self.snapshots.len()),
        }
    }

    fn state_of(&self, place: Option<usize>) -> Arc<State> {
        match place {
            None => self.model.committed().clone(),
            Some(place) => self.snapshots[place].state.clone(),
        }
    }

    /// The collection that has a slot's name in a state. Where there is none, the id is the one that
    /// has the name now: a view from before must know it only if it had another name then.
    fn collection_in(&self, state: &State, slot: usize) -> (CollectionId, Option<Arc<Collection>>) {
        let name = &self.history.slots[slot].name;
        match state.collections.get(name) {
            Some(collection) => match collection.id {
                KnownId::Is(id) => (CollectionId(id), Some(collection.clone())),
                KnownId::Above(_) => (NO_COLLECTION, None),
            },
            None => {
                let id = self.id_of(slot, None);
                (id, state.collection(id).map(|(_, collection)| collection.clone()))
            }
        }
    }

    /// Counts a read; as I13 where anything has changed since the view was taken.
    fn evaluated_read(&mut self, place: Option<usize>) -> Invariant {
        let changed = place.map(|place| &self.snapshots[place]);
        let changed = changed.is_some_and(|held| self.has_changed(held.state.lsn, held.manifest));
        let invariant = if changed { Invariant::I13 } else { Invariant::Answers };
        self.evaluated(invariant);
        invariant
    }

    fn has_changed(&self, lsn: u64, manifest: u64) -> bool {
        self.model.committed().lsn != lsn || self.manifest != manifest
    }

    /// A read has written nothing (V2).
    pub(super) fn after_read(&mut self) {
        self.notice_faults();
        let calls = self.out.calls.len();
        self.mark_calls(self.model.window());
        if let Some(marked) = self.out.calls.get(calls) {
            let found = marked.step.call.to_string();
            self.wrong(Invariant::Answers, "no write by a read", found);
        }
    }

    pub(super) fn wrong(
        &mut self,
        invariant: Invariant,
        expected: impl Into<String>,
        found: String,
    ) {
        self.found(Finding::new(invariant, expected, found));
        self.stopped = true;
    }
}

/// A number counted round some.
fn round(number: u64, some: usize) -> Option<usize> {
    let place = number.checked_rem(some as u64)?;
    Some(usize::try_from(place).expect("below a usize"))
}

/// What a snapshot's calls answer; `None` where they differ or one succeeds.
fn closed_kind(view: &dyn View) -> Option<ErrorKind> {
    let id = CollectionId(1);
    let kinds = [
        view.names().err()?.kind(),
        view.id_of("a").err()?.kind(),
        view.len(id).err()?.kind(),
        view.get(id, "k0", &mut |_, _| {}).err()?.kind(),
        view.get_many(id, &["k0"]).err()?.kind(),
        view.scan(id, &mut |_, _, _| {}).err()?.kind(),
    ];
    kinds.iter().all(|kind| *kind == kinds[0]).then_some(kinds[0])
}
