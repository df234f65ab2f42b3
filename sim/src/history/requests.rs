//! What the members of a history ask of a store: plain data, with the ids that the store gave.

use quiver_store::CollectionId;

use super::{Change, Member, Slot};
use crate::model::{KnownId, Model};
use crate::system::{Request, RowChange};

/// An id that no history reaches.
pub const NO_COLLECTION: CollectionId = CollectionId(1 << 40);

/// Whose names, and who knows which ids they have now.
#[derive(Clone, Copy, Debug)]
pub struct Requests<'a> {
    /// The names.
    pub slots: &'a [Slot],
    /// What the store holds.
    pub model: &'a Model,
    /// The slot that a creation under way will most likely give the next id.
    pub guess: Option<usize>,
    /// Whether there are keys to be destroyed.
    pub has_keys: bool,
}

impl Requests<'_> {
    /// What a member asks for.
    pub fn of(&self, member: &Member) -> Request {
        let name = |slot: &usize| self.slots[*slot].name.clone();
        match member {
            Member::Write(changes) => {
                Request::Write(changes.iter().map(|change| self.change(change)).collect())
            }
            Member::Create(slot, descriptor) => {
                Request::Create { name: name(slot), descriptor: descriptor.clone() }
            }
            Member::Shred(slot) if self.has_keys => Request::Shred { name: name(slot) },
            Member::Drop(slot) | Member::Shred(slot) => Request::Drop { name: name(slot) },
            Member::Put(change) => Request::Put(self.change(change)),
            Member::Update(slot, id, payload) => Request::Update {
                collection: self.id_of(*slot),
                id: id.clone(),
                payload: payload.clone(),
            },
            Member::Rename(slot, other) => {
                Request::Rename { name: name(slot), new_name: name(other) }
            }
            Member::AddField(slot, field) => {
                Request::AddField { name: name(slot), field: field.clone() }
            }
        }
    }

    fn change(&self, change: &Change) -> RowChange {
        let collection = self.id_of(change.slot);
        RowChange { collection, id: change.id.clone(), row: change.row.clone() }
    }

    /// The id of the collection that has a slot's name now.
    pub fn id_of(&self, slot: usize) -> CollectionId {
        let name = &self.slots[slot].name;
        match self.model.committed().collections.get(name).map(|collection| collection.id) {
            Some(KnownId::Is(id)) => CollectionId(id),
            _ if self.guess == Some(slot) => CollectionId(self.model.id_floor() + 1),
            _ => NO_COLLECTION,
        }
    }
}
