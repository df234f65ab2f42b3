//! Plans a group: what each of its requests comes to, in order, before any of it is written.
//!
//! - P1. A request is decided on the state behind all members before it: names, schemas, and rows where
//!   one of the group asks for a row.
//! - P2. An answer that holds only if a member before becomes durable says so, for it is not given
//!   where the group fails.

use std::collections::{BTreeMap, BTreeSet};

use crate::collection::Found;
use crate::commit_queue::{Waiting, Work};
use crate::descriptor::Descriptor;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{CollectionId, KeyId, Lsn};
use crate::limits::{COLLECTIONS_MAX, NUMBER_MAX};
use crate::live_set::{Below, LiveSet};
use crate::record::Record;
use crate::replication::WalOp;
use crate::request::{Outcome, Ticket};
use crate::sec::FilterableField;
use crate::store::Inner;
use crate::store::on_disk::OnDisk;
use crate::wal::frame::{Batch, Section};

/// A request that takes part in the group's write.
pub(super) struct Member {
    pub(super) ticket: Ticket,
    pub(super) batch: Batch,
    pub(super) below: Option<Below>,
    pub(super) first: Lsn,
    pub(super) outcome: Outcome,
}

/// A request that changes nothing.
pub(super) struct Refused {
    pub(super) ticket: Ticket,
    pub(super) answer: Result<Outcome>,
    /// Whether the answer is true only if the group becomes durable (P2).
    pub(super) rests_on_group: bool,
}

/// What a request comes to.
enum Planned {
    /// It commits.
    Commits(Batch, Outcome),
    /// There is nothing to do.
    Is(Outcome),
}

/// A row of the group: its vector, or that it was deleted.
type RowBehind = Option<Vec<u8>>;

/// The store as it will be after the members before.
#[derive(Default)]
struct Overlay {
    names: BTreeMap<String, Option<CollectionId>>,
    schemas: BTreeMap<CollectionId, Descriptor>,
    gone: BTreeSet<CollectionId>,
    /// Of the collections that are created.
    keys: BTreeMap<CollectionId, KeyId>,
    created: usize,
    /// Kept only where the group asks for a row.
    rows: Option<BTreeMap<(CollectionId, String), RowBehind>>,
}

/// A group on its way to a plan.
struct Planner<'a> {
    inner: &'a Inner,
    live: &'a LiveSet,
    overlay: Overlay,
    next: Lsn,
}

impl Inner {
    /// Gives LSNs to the requests of a group, in order.
    pub(super) fn plan(
        &self,
        on_disk: &mut OnDisk,
        live: &LiveSet,
        group: &[Waiting],
    ) -> (Vec<Member>, Vec<Refused>) {
        let asks = group.iter().any(|waiting| waiting.work.asks_for_a_row());
        let overlay = Overlay { rows: asks.then(BTreeMap::new), ..Overlay::default() };
        let mut planner = Planner { inner: self, live, overlay, next: on_disk.log_end.lsn.next() };
        let (mut members, mut refused) = (Vec::with_capacity(group.len()), Vec::new());
        for Waiting { work, ticket } in group {
            let ticket = ticket.clone();
            let rests_on_group = planner.decides(work);
            let answer = match planner.plan(on_disk, work) {
                Ok((Planned::Commits(batch, outcome), below)) => {
                    let first = planner.next;
                    planner.next = Lsn(first.0 + u64::from(batch.records()));
                    match planner.overlay.note(&batch) {
                        Ok(()) => {
                            members.push(Member { ticket, batch, below, first, outcome });
                            continue;
                        }
                        Err(error) => Err(error),
                    }
                }
                Ok((Planned::Is(outcome), _)) => Ok(outcome),
                Err(error) => Err(error),
            };
            refused.push(Refused { ticket, answer, rests_on_group });
        }
        (members, refused)
    }

    /// What the hits of a batch rest on: what its writer found out, or, where a seal came between
    /// or nobody looked, what is there now (A4).
    fn below(&self, live: &LiveSet, batch: &Batch, found: &Option<Below>) -> Result<Below> {
        match found {
            Some(below) if below.epoch == live.version.epoch => Ok(below.clone()),
            _ => live.version.below(&self.cache, batch),
        }
    }
}

impl Overlay {
    /// Keeps the rows of a batch, where one of the group asks for a row.
    fn note(&mut self, batch: &Batch) -> Result<()> {
        let Some(rows) = &mut self.rows else { return Ok(()) };
        for section in batch.sections.iter().filter(|section| !section.is_of_catalog()) {
            section.for_each(|record| {
                let (id, behind) = match record {
                    Record::Upsert { external_id, vector, .. } => (external_id, Some(vector)),
                    Record::Delete { external_id } => (external_id, None),
                    _ => return Ok(()),
                };
                let key = (section.collection, id.to_owned());
                rows.insert(key, behind.map(<[u8]>::to_vec));
                Ok(())
            })?;
        }
        Ok(())
    }

    fn row(&self, id: CollectionId, external_id: &str) -> Option<&RowBehind> {
        self.rows.as_ref()?.get(&(id, external_id.to_owned()))
    }
}

impl Planner<'_> {
    /// Whether an earlier member of the group has a say in what becomes of this request.
    fn decides(&self, work: &Work) -> bool {
        let Overlay { names, schemas, gone, .. } = &self.overlay;
        match work {
            Work::Write { batch, .. } => {
                batch.sections.iter().any(|section| gone.contains(&section.collection))
            }
            Work::Put { collection, external_id, .. }
            | Work::UpdatePayload { collection, external_id, .. } => {
                gone.contains(collection) || self.overlay.row(*collection, external_id).is_some()
            }
            Work::Create { name, .. } | Work::Drop { name, .. } => names.contains_key(name),
            Work::DropById { id } => gone.contains(id) || schemas.contains_key(id),
            Work::Rename { name, new_name } => {
                names.contains_key(name) || names.contains_key(new_name)
            }
            Work::Replicated { .. } => !names.is_empty() || !schemas.is_empty(),
            Work::AddFilterable { name, .. } => {
                let is_changed = |id| schemas.contains_key(&id);
                names.contains_key(name) || self.id(name).is_some_and(is_changed)
            }
        }
    }

    fn plan(&mut self, on_disk: &mut OnDisk, work: &Work) -> Result<(Planned, Option<Below>)> {
        let planned = match work {
            Work::Write { batch, deletes, below, .. } => {
                let planned = self.write(batch)?;
                let below = match deletes {
                    true => Some(self.inner.below(self.live, batch, below)?),
                    false => None,
                };
                return Ok((planned, below));
            }
            Work::Put { collection, external_id, batch } => {
                let planned = self.write(batch)?;
                match self.vector(*collection, external_id)? {
                    Some(_) => Planned::Is(Outcome::Unchanged),
                    None => planned,
                }
            }
            Work::UpdatePayload { collection, external_id, payload, .. } => {
                self.update_payload(*collection, external_id, payload)?
            }
            Work::Create { name, descriptor } => self.create(on_disk, name, descriptor)?,
            Work::Drop { name, shreds } => self.drop(name, *shreds),
            Work::DropById { id } => match self.there(*id) {
                None => Planned::Is(Outcome::Dropped { existed: false, lsn: None }),
                Some((name, _)) => self.drop_id(*id, &name, false),
            },
            Work::Rename { name, new_name } => self.rename(name, new_name)?,
            Work::AddFilterable { name, field } => self.add_filterable(name, field)?,
            Work::Replicated { op } => self.replicated(on_disk, op)?,
        };
        Ok((planned, None))
    }

    fn check_there(&self, id: CollectionId) -> Result<()> {
        self.live.version.collection(id)?;
        if self.overlay.gone.contains(&id) {
            return Err(Error::not_found(format!("collection {id} was dropped")));
        }
        Ok(())
    }

    /// Refuses to change what is damaged; it can be dropped (D2).
    fn check_well(&self, id: CollectionId) -> Result<()> {
        self.live.version.collections.get(&id).map_or(Ok(()), |found| found.check_well())
    }

    fn write(&self, batch: &Batch) -> Result<Planned> {
        for section in &batch.sections {
            self.check_there(section.collection)?;
            self.check_well(section.collection)?;
        }
        let last_lsn = Lsn(self.next.0 + u64::from(batch.records()) - 1);
        let mut batch = batch.clone();
        for section in &mut batch.sections {
            section.key = self.key(section.collection)?;
        }
        Ok(Planned::Commits(batch, Outcome::Written { last_lsn, hits: 0 }))
    }

    /// The vector that a row has behind the members before, if it is live (P1).
    fn vector(&self, id: CollectionId, external_id: &str) -> Result<Option<Vec<u8>>> {
        if let Some(behind) = self.overlay.row(id, external_id) {
            return Ok(behind.clone());
        }
        let cache = &self.inner.cache;
        let found = self.live.version.collection(id)?.find(cache, external_id, self.live.last)?;
        Ok(match found {
            None => None,
            Some(Found::Memory(entry)) => Some(entry.vector().to_vec()),
            Some(Found::Sealed(live, row)) => {
                let mut vector = Vec::new();
                live.segment.vector_into(cache, row, &mut vector)?;
                Some(vector)
            }
        })
    }

    fn update_payload(
        &self,
        id: CollectionId,
        external_id: &str,
        payload: &[u8],
    ) -> Result<Planned> {
        self.check_there(id)?;
        self.check_well(id)?;
        let Some(vector) = self.vector(id, external_id)? else {
            return Ok(Planned::Is(Outcome::Unchanged));
        };
        let record = Record::Upsert { external_id, vector: &vector, payload };
        let batch = one_record(id, self.key(id)?, &record);
        let (bytes, most) = (batch.frame_bytes(), self.inner.options.batch_bytes_max);
        if bytes > most {
            let what = format!("row of {bytes} bytes with its vector, expected at most {most}");
            return Err(Error::too_large(what));
        }
        let outcome = Outcome::Written { last_lsn: self.next, hits: 0 };
        Ok(Planned::Commits(batch, outcome))
    }

    fn id(&self, name: &str) -> Option<CollectionId> {
        let known = self.overlay.names.get(name).copied();
        known.unwrap_or_else(|| self.live.version.id(name))
    }

    fn id_there(&self, name: &str) -> Result<CollectionId> {
        self.id(name).ok_or_else(|| Error::not_found(format!("no collection is named {name}")))
    }

    /// The key of a collection behind the members before.
    fn key(&self, id: CollectionId) -> Result<KeyId> {
        match self.overlay.keys.get(&id) {
            Some(key) => Ok(*key),
            None => Ok(self.live.version.collection(id)?.key),
        }
    }

    /// Refuses a name that a collection has, or may have.
    fn check_free(&self, name: &str) -> Result<()> {
        self.live.version.check_names_known()?;
        match self.id(name) {
            None => Ok(()),
            Some(_) => {
                Err(Error::new(ErrorKind::AlreadyExists, format!("collection {name} exists")))
            }
        }
    }

    fn create(
        &mut self,
        on_disk: &mut OnDisk,
        name: &str,
        descriptor: &Descriptor,
    ) -> Result<Planned> {
        self.check_free(name)?;
        let id = on_disk.next_collection;
        self.create_as(on_disk, id, name, descriptor)
    }

    /// Creates a collection under an id that is at or above the next one.
    fn create_as(
        &mut self,
        on_disk: &mut OnDisk,
        id: CollectionId,
        name: &str,
        descriptor: &Descriptor,
    ) -> Result<Planned> {
        if self.live.version.collections.len() + self.overlay.created >= COLLECTIONS_MAX {
            let what = format!("a store holds at most {COLLECTIONS_MAX} collections");
            return Err(Error::too_large(what));
        }
        // The next id stands in every manifest (M2).
        if id.0 >= NUMBER_MAX - 1 {
            return Err(Error::too_large(format!("no collection id is left: {id} is the last")));
        }
        // Also if the creation comes to nothing behind this, the id is not given again, unless it was asked
        // for.
        let key = self.inner.provision(on_disk, id)?;
        on_disk.next_collection = CollectionId(id.0 + 1);
        on_disk.shredded_at_open.remove(name);
        let stored = descriptor.encode();
        let record = Record::CreateCollection { name, descriptor: &stored };
        let batch = one_record(id, key, &record);
        self.overlay.keys.insert(id, key);
        self.overlay.names.insert(name.to_owned(), Some(id));
        self.overlay.schemas.insert(id, descriptor.clone());
        self.overlay.created += 1;
        Ok(Planned::Commits(batch, Outcome::Created { id, lsn: self.next }))
    }

    fn drop(&mut self, name: &str, shreds: bool) -> Planned {
        let Some(id) = self.id(name) else {
            return Planned::Is(Outcome::Dropped { existed: false, lsn: None });
        };
        self.drop_id(id, name, shreds)
    }

    fn drop_id(&mut self, id: CollectionId, name: &str, shreds: bool) -> Planned {
        let record = Record::DropCollection { id, shreds };
        let batch = one_record(CollectionId(0), KeyId::NONE, &record);
        if !name.is_empty() {
            self.overlay.names.insert(name.to_owned(), None);
        }
        self.overlay.gone.insert(id);
        Planned::Commits(batch, Outcome::Dropped { existed: true, lsn: Some(self.next) })
    }

    fn rename(&mut self, name: &str, new_name: &str) -> Result<Planned> {
        let id = self.id_there(name)?;
        self.check_well(id)?;
        self.check_free(new_name)?;
        let batch = one_record(id, self.key(id)?, &Record::RenameCollection { name: new_name });
        self.overlay.names.insert(name.to_owned(), None);
        self.overlay.names.insert(new_name.to_owned(), Some(id));
        Ok(Planned::Commits(batch, Outcome::Altered { id, lsn: self.next }))
    }

    /// What an operation of another store comes to here: nothing, where it is so already, or where its
    /// collection was dropped here.
    fn replicated(&mut self, on_disk: &mut OnDisk, op: &WalOp) -> Result<Planned> {
        match op {
            WalOp::CreateCollection { collection_id, name, descriptor } => {
                if *collection_id < on_disk.next_collection {
                    return self.created_again(*collection_id, name, descriptor);
                }
                self.check_free(name)?;
                self.create_as(on_disk, *collection_id, name, descriptor)
            }
            WalOp::DropCollection { collection_id: id } => match self.known(on_disk, *id)? {
                None => Ok(Planned::Is(Outcome::Unchanged)),
                Some((name, _)) => Ok(self.drop_id(*id, &name, false)),
            },
            WalOp::RenameCollection { collection_id: id, name } => {
                match self.known(on_disk, *id)? {
                    Some((own, _)) if own != *name => self.rename(&own, name),
                    _ => Ok(Planned::Is(Outcome::Unchanged)),
                }
            }
            WalOp::AlterCollection { collection_id: id, descriptor } => {
                match self.known(on_disk, *id)? {
                    Some((_, own)) if !own.is_alteration_of(descriptor) => {
                        own.check_alteration(descriptor)?;
                        self.alter(*id, descriptor.clone())
                    }
                    _ => Ok(Planned::Is(Outcome::Unchanged)),
                }
            }
            WalOp::Upsert { .. } | WalOp::Delete { .. } | WalOp::Checkpoint { .. } => {
                unreachable!("rows are written as a batch, and a checkpoint is none of its own")
            }
        }
    }

    /// A creation of an id that was given here: it is there in the same way, or was dropped since.
    fn created_again(
        &self,
        id: CollectionId,
        name: &str,
        descriptor: &Descriptor,
    ) -> Result<Planned> {
        match self.there(id) {
            None => Ok(Planned::Is(Outcome::Unchanged)),
            Some((_, own)) if own.is_alteration_of(descriptor) => {
                Ok(Planned::Is(Outcome::Unchanged))
            }
            Some((own, _)) => {
                let what =
                    format!("collection {id} exists, and is {own} of another schema than {name}");
                Err(Error::new(ErrorKind::AlreadyExists, what))
            }
        }
    }

    /// Name and schema of a collection behind the members before; nothing of one that was dropped.
    ///
    /// # Errors
    /// `NotFound` for one that was never here.
    fn known(&self, on_disk: &OnDisk, id: CollectionId) -> Result<Option<(String, Descriptor)>> {
        if id >= on_disk.next_collection {
            return Err(Error::not_found(format!("no collection has had the id {id}")));
        }
        Ok(self.there(id))
    }

    fn there(&self, id: CollectionId) -> Option<(String, Descriptor)> {
        let Overlay { names, schemas, gone, .. } = &self.overlay;
        if gone.contains(&id) {
            return None;
        }
        let live = self.live.version.collections.get(&id);
        let renamed = names.iter().find(|(_, now)| **now == Some(id)).map(|(name, _)| name);
        let name = renamed.or(live.map(|live| &live.name))?.clone();
        let descriptor = schemas.get(&id).or(live.map(|live| &live.descriptor))?.clone();
        Some((name, descriptor))
    }

    fn add_filterable(&mut self, name: &str, field: &FilterableField) -> Result<Planned> {
        let id = self.id_there(name)?;
        self.check_well(id)?;
        let mut descriptor = match self.overlay.schemas.get(&id) {
            Some(changed) => changed.clone(),
            None => self.live.version.collection(id)?.descriptor.clone(),
        };
        if let Some(own) = descriptor.filterable.iter().find(|own| own.path == field.path) {
            let (path, field_type) = (&own.path, own.field_type);
            let what = format!("filterable field {path:?} of type {field_type} exists");
            return Err(Error::new(ErrorKind::AlreadyExists, what));
        }
        let mut fields = std::mem::take(&mut descriptor.filterable);
        fields.push(field.clone());
        let descriptor = descriptor.with_filterable(fields);
        descriptor.validate()?;
        self.alter(id, descriptor)
    }

    fn alter(&mut self, id: CollectionId, descriptor: Descriptor) -> Result<Planned> {
        let stored = descriptor.encode();
        let batch = one_record(id, self.key(id)?, &Record::AlterCollection { descriptor: &stored });
        self.overlay.schemas.insert(id, descriptor);
        Ok(Planned::Commits(batch, Outcome::Altered { id, lsn: self.next }))
    }
}

/// A batch of one record in the section of a collection.
fn one_record(id: CollectionId, key: KeyId, record: &Record<'_>) -> Batch {
    let mut section = Section { key, ..Section::new(id) };
    section.push(record);
    Batch { sections: vec![section] }
}
