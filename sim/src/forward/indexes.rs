//! Index snapshots on a running store: taken, handed over later, and restored.

use std::sync::Arc;

use quiver_store::CollectionId;

use super::{Invariant, Runner};
use crate::index::{self, Outcome};
use crate::reads::Wrong;

/// The most that wait to be handed over.
const CAPTURED_MAX: usize = 4;

/// An index that was built and is not kept yet. It ends with its process.
#[derive(Clone, Debug)]
pub(super) struct Captured {
    id: CollectionId,
    bytes: Arc<[u8]>,
    covered: u64,
}

impl Runner<'_> {
    /// Builds an index over the rows of a slot, as they are now.
    pub(super) fn capture_index(&mut self, slot: usize) {
        let id = self.id_of(slot, None);
        let committed = self.model.committed().clone();
        let Some((_, collection)) = committed.collection(id) else { return };
        if self.captured.len() == CAPTURED_MAX {
            self.captured.remove(0);
        }
        let bytes = index::stored(collection).into();
        self.captured.push(Captured { id, bytes, covered: committed.lsn });
    }

    /// Hands over what was built, the newest of each collection, and restores it.
    pub(super) fn keep_indexes(&mut self) {
        let committed = self.model.committed().clone();
        let mut newest: Vec<Captured> = Vec::new();
        for captured in std::mem::take(&mut self.captured) {
            newest.retain(|other| other.id != captured.id);
            if committed.collection(captured.id).is_some() {
                newest.push(captured);
            }
        }
        let given: Vec<(CollectionId, &[u8], u64)> =
            newest.iter().map(|one| (one.id, &*one.bytes, one.covered)).collect();
        if self.background(|session| session.keep_indexes(&given)).is_none() {
            return;
        }
        for Captured { id, covered, .. } in newest {
            match self.check_index(id) {
                Some(Outcome::Restored(found)) if found != covered => {
                    let expected = format!("the index snapshot of {id} that covers LSN {covered}");
                    self.wrong(Invariant::I12, expected, format!("one that covers {found}"));
                }
                Some(Outcome::Missing) if self.system.keeps_indexes() => {
                    let expected = format!("the index snapshot of {id} that was just kept");
                    self.wrong(Invariant::I12, expected, "none".to_owned());
                }
                _ => {}
            }
        }
    }

    /// Restores the index of a slot.
    pub(super) fn restore_index(&mut self, slot: usize) {
        let id = self.id_of(slot, None);
        if self.model.committed().collection(id).is_some() {
            self.check_index(id);
        }
    }

    fn check_index(&mut self, id: CollectionId) -> Option<Outcome> {
        let committed = self.model.committed().clone();
        let (_, collection) = committed.collection(id)?;
        let collection = collection.clone();
        let checked = self.inside(|session| index::check(session, id, &collection))?;
        self.after_read();
        self.evaluated(Invariant::I12);
        match checked {
            Ok(outcome) => {
                self.more("indexes restored", u64::from(matches!(outcome, Outcome::Restored(_))));
                self.more("indexes to be built again", u64::from(outcome == Outcome::Rebuilt));
                Some(outcome)
            }
            Err(Wrong::Failed(error)) => {
                if !self.blame.excuses_read(error.kind()) {
                    self.wrong(Invariant::I12, "an index".to_owned(), format!("{error:?}"));
                }
                None
            }
            Err(Wrong::Differs { expected, found }) => {
                self.wrong(Invariant::I12, expected, found);
                None
            }
        }
    }
}
