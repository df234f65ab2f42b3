//! A collection whose key file is missing for a while.
//!
//! **Place.** Made on a share of the images of encrypted stores, from the image itself, so that what the
//! log has of the collection is still to be replayed.
//!
//! - M1. The store opens, and all but the collection is what it was. The collection is in no list, and
//!   every call that names it answers `KeyUnavailable`.
//! - M2. A checkpoint works, and the next open finds the same.
//! - M3. Once the file is back, everything is there that was there with it.

use std::path::PathBuf;
use std::sync::Arc;

use quiver_store::{CollectionId, ErrorKind};

use super::examine::{Left, Recovered, words};
use super::{Explorer, Image, Way};
use crate::checker::{Content, Finding, Invariant};
use crate::digest;
use crate::disk::{DiskState, Recording};
use crate::forward::STORE_DIR;
use crate::model::{KnownId, State};
use crate::panic_trap;
use crate::system::{Call, Request, RowChange, Session};
use crate::tally::KEYS_LOST;

/// A key file that can be taken away.
pub(super) struct Lost {
    pub(super) path: PathBuf,
    pub(super) id: CollectionId,
    name: Arc<str>,
}

impl Explorer<'_> {
    /// Takes a key away and puts it back, each time with an open; nothing without keys.
    pub(super) fn without_a_key(&mut self, way: &Way<'_>, image: &Image, left: &Left) {
        let state = image.build();
        let Some(lost) = self.any_key(&state, left) else { return };
        *self.tally.keys.entry(KEYS_LOST).or_default() += 1;
        let done = self.lose(&state, &lost, left);
        if let Err(mut finding) = done.and_then(|()| self.come_and_go(state, &lost, left)) {
            let name = lost.path.display();
            finding.found = format!("{}, while {name} was missing or after it", finding.found);
            self.violated(left.address, finding, way);
        }
    }

    /// The only key file of a collection that is there after the recovery.
    fn any_key(&self, state: &DiskState, left: &Left) -> Option<Lost> {
        let opened = self.vault.as_ref()?.opened(state, self.custody.masters.1);
        let is_alone =
            |id: CollectionId| opened.data.iter().filter(|(_, other, _)| *other == id).count() == 1;
        let mut all = Vec::new();
        for (file, id, _) in opened.data.iter().filter(|(_, id, _)| is_alone(*id)) {
            let key = left.content.ids.iter().find(|(_, there)| there == &id.value());
            let name = left.state.collections.iter().find(|(name, collection)| {
                key.is_some_and(|(key, _)| *key == digest::name_key(name))
                    && collection.id.admits(id.value())
            });
            if let Some((name, _)) = name {
                let path = PathBuf::from(STORE_DIR).join(file);
                all.push(Lost { path, id: *id, name: name.clone() });
            }
        }
        let place = left.address.stream(10).index(all.len());
        (place < all.len()).then(|| all.swap_remove(place))
    }

    fn lose(&mut self, state: &DiskState, lost: &Lost, left: &Left) -> Result<(), Finding> {
        let without = without(&left.state.with_ids(&left.content.ids_by_key()), &lost.name);
        let bytes = state.read(&lost.path).expect("it is there");
        let missing = state.with_file(&lost.path, None);
        // M1.
        let Recovered { disk, outcome } = self.recover(&missing, Recording::Off, &left.address, 11);
        let (session, content) = outcome?;
        self.same(&content, &without, Invariant::I4)?;
        panic_trap::catch(|| refuses(&*session, lost))
            .unwrap_or_else(|panic| Err(Finding::new(Invariant::I5, "no panic", panic)))?;
        // M2.
        panic_trap::catch(|| seals(&*session))
            .unwrap_or_else(|panic| Err(Finding::new(Invariant::I5, "no panic", panic)))?;
        drop(session);
        let Recovered { disk, outcome } =
            self.recover(&disk.state().kill(), Recording::Off, &left.address, 12);
        let (session, content) = outcome?;
        self.same(&content, &without, Invariant::I6)?;
        drop(session);
        // M3.
        let back = disk.state().with_file(&lost.path, Some(&bytes));
        let Recovered { disk, outcome } = self.recover(&back, Recording::Off, &left.address, 13);
        let (session, content) = outcome?;
        self.same(&content, &left.content, Invariant::I1)?;
        self.tidy(&disk, &*session)
    }

    fn same(
        &mut self,
        found: &Content,
        expected: &Content,
        invariant: Invariant,
    ) -> Result<(), Finding> {
        self.tally.evaluated(invariant);
        match found == expected {
            true => Ok(()),
            false => Err(Finding::new(invariant, words(expected), words(found))),
        }
    }
}

/// What is left of a state's content without one collection.
pub(super) fn without(state: &State, name: &Arc<str>) -> Content {
    let mut left = state.clone();
    left.apply(&Request::Drop { name: name.clone() }, KnownId::Above(0));
    Content { lsn: state.lsn, ..Content::of(&left) }
}

/// A checkpoint works.
pub(super) fn seals(session: &dyn Session) -> Result<(), Finding> {
    session.checkpoint().map_err(|error| {
        let expected = "a checkpoint that leaves out what it cannot read";
        Finding::new(Invariant::I11, expected, format!("{error:?}"))
    })
}

/// Every call that names the collection is refused.
fn refuses(session: &dyn Session, lost: &Lost) -> Result<(), Finding> {
    let id = lost.id;
    let row = Some((Arc::from([0.0]), Arc::from([])));
    let write = Request::Write(vec![RowChange { collection: id, id: "row".into(), row }]);
    let delete = RowChange { collection: id, id: "row".into(), row: None };
    let answers = [
        ("descriptor", session.descriptor(id).err()),
        ("len", session.len(id).err()),
        ("get", session.get(id, "row", &mut |_, _| {}).err()),
        ("scan", session.scan(id, &mut |_, _, _| {}).err()),
        ("vectors", session.vectors(id).err()),
        ("upsert", session.perform(&write, Call::Write).err()),
        ("delete", session.perform(&Request::Write(vec![delete]), Call::Single).err()),
        ("rekey", session.rekey(id).err()),
    ];
    for (call, error) in answers {
        let kind = error.map(|error| error.kind());
        if kind != Some(ErrorKind::KeyUnavailable) {
            let found = format!("{kind:?} of {call}");
            let expected = "KeyUnavailable of every call that names a collection without its key";
            return Err(Finding::new(Invariant::Answers, expected, found));
        }
    }
    Ok(())
}
