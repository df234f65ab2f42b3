//! What of a history must be readable to nobody: names, ids, fields, vectors, payloads.

use std::collections::BTreeMap;

use quiver_store::{Descriptor, Dtype, FilterableField};

use super::needles::{Needles, Secret};
use crate::engine::stored;
use crate::history::{Action, Change, History, Member};
use crate::system::Row;

/// All secrets of a history, those of the explorer's own writes included.
pub(super) fn of(history: &History) -> Needles {
    let mut secrets = Secrets { needles: Needles::default(), forms: BTreeMap::new() };
    for slot in &history.slots {
        secrets.needles.add(Secret::Name, slot.name.as_bytes());
        slot.ids.iter().for_each(|id| secrets.needles.add(Secret::Id, id.as_bytes()));
    }
    let actions = || history.operations.iter().map(|operation| &operation.action);
    // Which type the elements of a slot have is said where it is created.
    actions().flat_map(members).for_each(|member| {
        if let Member::Create(slot, schema) = member {
            secrets.schema(*slot, schema);
        }
    });
    for action in actions() {
        members(action).iter().for_each(|member| secrets.member(member));
        if let Action::Batch(changes) | Action::Write(changes) = action {
            changes.iter().for_each(|change| secrets.change(change));
        }
    }
    secrets.needles.add(Secret::Payload, crate::explore::PROBE_PAYLOAD);
    secrets.needles
}

fn members(action: &Action) -> &[Member] {
    match action {
        Action::Single(member) => std::slice::from_ref(member),
        Action::Group(members, _) => members,
        _ => &[],
    }
}

struct Secrets {
    needles: Needles,
    /// Type and number of elements of each slot's vectors.
    forms: BTreeMap<usize, (Dtype, u32)>,
}

impl Secrets {
    fn schema(&mut self, slot: usize, schema: &Descriptor) {
        self.forms.insert(slot, (schema.dtype, schema.dim));
        schema.filterable.iter().for_each(|field| self.field(field));
    }

    fn field(&mut self, field: &FilterableField) {
        self.needles.add(Secret::Field, field.path.as_bytes());
    }

    fn member(&mut self, member: &Member) {
        match member {
            Member::Write(changes) => changes.iter().for_each(|change| self.change(change)),
            Member::Put(change) => self.change(change),
            Member::Update(_, id, payload) => {
                self.needles.add(Secret::Id, id.as_bytes());
                self.needles.add(Secret::Payload, payload);
            }
            Member::AddField(_, field) => self.field(field),
            // Schemas were taken in before.
            Member::Create(..) | Member::Drop(_) | Member::Shred(_) | Member::Rename(..) => {}
        }
    }

    fn change(&mut self, change: &Change) {
        self.needles.add(Secret::Id, change.id.as_bytes());
        if let Some(row) = &change.row {
            self.row(change.slot, row);
        }
    }

    fn row(&mut self, slot: usize, (vector, payload): &Row) {
        self.needles.add(Secret::Payload, payload);
        let elements: Vec<u8> = vector.iter().flat_map(|element| element.to_le_bytes()).collect();
        self.needles.add(Secret::Vector, &elements);
        if let Some((dtype, dim)) = self.forms.get(&slot)
            && *dim > 0
            && let Some(bytes) = stored(vector, *dtype, *dim)
        {
            self.needles.add(Secret::Vector, &bytes);
        }
    }
}
