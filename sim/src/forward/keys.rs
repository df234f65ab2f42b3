//! What a history does to keys: shreds, new master keys, new data keys.
//!
//! **Place.** The part of the forward run that knows what is owed of the keys of an encrypted store. In
//! a plain one nothing here does anything.
//!
//! - K1. A shred is a drop, whose answer counts like any other, and then the destruction of the key,
//!   which succeeds or fails for a fault. Asked again it answers true, as long as nobody asked for another
//!   one: whoever asks finishes all. The next open goes on with what a process left undone.
//! - K2. While a master key is being replaced, and after a failure to do so, either one opens the store.
//! - K3. After a success the keys from before are nowhere on the disk, from then on.

use std::collections::BTreeSet;
use std::sync::Arc;

use quiver_store::{CollectionId, Env, ErrorKind};

use super::{Invariant, Runner, env_on};
use crate::checker::Finding;
use crate::disk::SimClock;
use crate::history::requests::NO_COLLECTION;
use crate::model::{Collection, KnownId, State};
use crate::system::{Outcome, Request};
use crate::vault::RawKey;

/// A shred whose drop was acknowledged.
pub(super) struct Begun {
    name: Arc<str>,
    /// The collection, where it is known for certain.
    id: Option<CollectionId>,
    /// Whether another one was asked for since, and so may have finished this one (K1).
    may_be_finished: bool,
}

impl Runner<'_> {
    /// What the next process may stand on: as many as there are master keys to be tried (K2).
    pub(super) fn envs(&mut self) -> Vec<Env> {
        self.count_clock();
        let masters: Vec<u32> = match self.out.vault {
            Some(_) => self.custody.to_try().collect(),
            None => vec![0],
        };
        masters.into_iter().map(|master| self.env_with(master)).collect()
    }

    fn env_with(&mut self, master: u32) -> Env {
        self.processes += 1;
        let mut stream = self.address.stream(0x656e_7472 + self.processes);
        let seed = stream.draw();
        self.clock = Arc::new(SimClock::new(seed));
        let env = match &self.out.vault {
            Some(vault) => vault.env(&self.disk, seed, master),
            None => env_on(&self.disk, seed),
        };
        match &self.time {
            Some(time) => Env { clock: time.clone(), ..env },
            None => Env { clock: self.clock.clone(), ..env },
        }
    }

    /// Takes over what the vault found and counted.
    pub(super) fn heed_vault(&mut self) {
        let Some(vault) = self.out.vault.clone() else { return };
        for (invariant, times) in vault.take_evaluated() {
            *self.out.evaluated.entry(invariant).or_default() += times;
        }
        for finding in vault.take_findings() {
            self.found(finding);
            self.stopped = true;
        }
    }

    /// The shreds that were acknowledged as drops. Only of one that is answered alone it is known which
    /// collection it was.
    pub(super) fn shreds_among(
        &self,
        answered: &[(Request, quiver_store::Result<Outcome>)],
    ) -> Vec<Begun> {
        let shredded = answered.iter().filter_map(|(request, answer)| match (request, answer) {
            (Request::Shred { name }, Ok(Outcome::Dropped { existed: true, .. })) => Some(name),
            _ => None,
        });
        let begun = shredded.map(|name| {
            let known = self.model.committed().collections.get(name);
            let id = known.filter(|_| answered.len() == 1).and_then(|known| match known.id {
                KnownId::Is(id) => Some(CollectionId(id)),
                KnownId::Above(_) => None,
            });
            Begun { name: name.clone(), id, may_be_finished: false }
        });
        begun.collect()
    }

    /// Their drops are durable from now on: what is left is done at once, or by the next open.
    pub(super) fn begin_shreds(&mut self, shreds: Vec<Begun>) {
        let Some(vault) = self.out.vault.clone().filter(|_| !shreds.is_empty()) else { return };
        self.has_shredded = true;
        for id in shreds.iter().filter_map(|begun| begun.id) {
            Arc::make_mut(&mut self.custody.begun).extend(vault.keys_of(id));
        }
        self.shreds.extend(shreds);
    }

    /// Whether a view from before may answer this: a shred ends what it can show, at the latest when
    /// the key is destroyed.
    pub(super) fn excuses_view(&self, state: &State, error: &quiver_store::Error) -> bool {
        let now = self.model.committed();
        let is_gone = |collection: &Arc<Collection>| match collection.id {
            KnownId::Is(id) => now.collection(CollectionId(id)).is_none(),
            KnownId::Above(_) => true,
        };
        error.kind() == ErrorKind::KeyUnavailable
            && self.has_shredded
            && state.collections.values().any(is_gone)
    }

    /// Destroys the keys of what was dropped for that (K1). Not while the name is in use again, or
    /// something waits that may use it: that would be another shred.
    pub(super) fn finish_shreds(&mut self) {
        let mut was_asked = false;
        for mut begun in std::mem::take(&mut self.shreds) {
            begun.may_be_finished |= was_asked;
            let name = &begun.name;
            let is_taken = self.model.committed().collections.contains_key(name);
            if self.stopped || !self.waiting.is_empty() || is_taken || self.model.in_limbo() {
                self.shreds.push(begun);
                continue;
            }
            let Some(result) = self.inside(|session| session.shred(name)) else { return };
            self.after_call(None);
            // Also where it fails it may have finished others before.
            self.shreds.iter_mut().for_each(|begun| begun.may_be_finished = true);
            was_asked = true;
            match result {
                Ok(answer) if answer || begun.may_be_finished => {
                    self.check_success("a shred");
                    self.shredded(&begun);
                }
                Ok(_) => {
                    let expected = "true for a shred that was begun";
                    self.found(Finding::new(Invariant::Answers, expected, "false"));
                    self.stopped = true;
                }
                Err(error) => {
                    self.check_error(&error);
                    self.shreds.push(begun);
                }
            }
        }
    }

    fn shredded(&mut self, Begun { id, .. }: &Begun) {
        self.more("shreds", 1);
        if let (Some(id), Some(vault)) = (id, &self.out.vault) {
            let keys = vault.keys_of(*id);
            self.destroyed(keys);
        }
    }

    /// What is owed from now on (K3), which holds at this moment.
    fn destroyed(&mut self, keys: BTreeSet<RawKey>) {
        let begun = Arc::make_mut(&mut self.custody.begun);
        begun.retain(|key| !keys.contains(key));
        Arc::make_mut(&mut self.custody.destroyed).extend(keys);
        self.check_custody();
    }

    /// Holds the disk as it is against what is owed.
    fn check_custody(&mut self) {
        let Some(vault) = self.out.vault.clone().filter(|_| self.custody.is_owed()) else { return };
        self.evaluated(Invariant::I17);
        let opened = vault.opened(&self.disk.state(), self.custody.masters.1);
        if let Err(finding) = self.custody.judge(&opened) {
            self.found(finding);
            self.stopped = true;
        }
    }

    /// A process that met no fault and no full disk has finished what the ones before it left undone (K1).
    pub(super) fn resumed(&mut self) {
        if !self.excused && !self.was_full && !self.custody.begun.is_empty() {
            let keys = BTreeSet::clone(&self.custody.begun);
            self.destroyed(keys);
        }
    }

    pub(super) fn rotate(&mut self) {
        let Some(vault) = self.out.vault.clone() else { return };
        let next = self.custody.masters.1 + 1;
        self.custody.masters.1 = next;
        let ring = vault.ring(next);
        if self.background(|session| session.rotate(&*ring)).is_some() {
            self.more("master keys replaced", 1);
            self.custody.masters = (next, next);
            self.check_custody();
        }
    }

    pub(super) fn rekey(&mut self, slot: usize) {
        let Some(vault) = self.out.vault.clone() else { return };
        let id = self.id_of(slot, None);
        if id == NO_COLLECTION || self.background(|session| session.rekey(id)).is_none() {
            return;
        }
        self.more("data keys replaced", 1);
        let opened = vault.opened(&self.disk.state(), self.custody.masters.1);
        let own = opened.data.iter().filter(|(_, collection, _)| *collection == id);
        let own: BTreeSet<RawKey> = own.map(|(_, _, key)| *key).collect();
        if own.len() == 1 {
            let mut keys = vault.keys_of(id);
            keys.retain(|key| !own.contains(key));
            self.destroyed(keys);
        } else if !self.excused {
            let found = format!("{} of collection {id}", own.len());
            let expected = "one key of a collection that was just given another";
            self.found(Finding::new(Invariant::I17, expected, found));
            self.stopped = true;
        }
    }
}
