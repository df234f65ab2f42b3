//! Wrong answers to predicates: the first bugs that are not between the engine and its disk.
//!
//! What an index says follows from pages that no wrapper of the seam could bend and leave whole, so
//! that these bugs stand between the engine and who asks it. They know what their process wrote.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use quiver_store::{
    BackupKeys, CollectionId, Descriptor, FilterableField, Result, SecPredicate, SecValue, WalOp,
};

use super::Bug;
use crate::disk::Onlooker;
use crate::predicate;
use crate::row_range::RowRange;
use crate::system::{
    BackedUp, Call, Copied, GoesOn, Listener, Outcome, Request, Restored, Row, Scan, SeeRow,
    SeeSome, Session, Standing, Ticket, Vectors, Verified, View,
};

impl Bug {
    /// Whether it is about answers to predicates, and nothing else.
    pub(super) fn misleads(&self) -> bool {
        matches!(
            self,
            Self::OldValuesMatch
                | Self::DeadRowsMatch
                | Self::UnsealedRowsLeftOut
                | Self::NothingFoundAfterOpen
                | Self::SnapshotFiltersByNow
                | Self::RowsNumberedBySegment
                | Self::NumbersThroughFloats
                | Self::BoundsAlwaysInside
                | Self::NotNeedsTheField
                | Self::EachBoundByAnyValue
                | Self::LateFieldNotBuilt
        )
    }

    /// What the bug takes a predicate for.
    fn taken_for(&self, predicate: &SecPredicate) -> SecPredicate {
        let all = |parts: &[SecPredicate]| parts.iter().map(|part| self.taken_for(part)).collect();
        let number = |value: &SecValue| match value {
            SecValue::Integer(whole) if *self == Self::NumbersThroughFloats => {
                SecValue::Numeric(*whole as f64)
            }
            SecValue::Unsigned(whole) if *self == Self::NumbersThroughFloats => {
                SecValue::Numeric(*whole as f64)
            }
            other => other.clone(),
        };
        match predicate {
            SecPredicate::Eq { field, value } => {
                SecPredicate::Eq { field: field.clone(), value: number(value) }
            }
            SecPredicate::In { field, values } => SecPredicate::In {
                field: field.clone(),
                values: values.iter().map(number).collect(),
            },
            SecPredicate::Range { field, lo, hi, lo_inclusive, hi_inclusive } => {
                let inside = *self == Self::BoundsAlwaysInside;
                let range = |lo: &Option<SecValue>, hi: &Option<SecValue>| SecPredicate::Range {
                    field: field.clone(),
                    lo: lo.as_ref().map(number),
                    hi: hi.as_ref().map(number),
                    lo_inclusive: *lo_inclusive || inside,
                    hi_inclusive: *hi_inclusive || inside,
                };
                match self {
                    Self::EachBoundByAnyValue => {
                        SecPredicate::And(vec![range(lo, &None), range(&None, hi)])
                    }
                    _ => range(lo, hi),
                }
            }
            SecPredicate::And(parts) => SecPredicate::And(all(parts)),
            SecPredicate::Or(parts) => SecPredicate::Or(all(parts)),
            SecPredicate::Not(part) => {
                let not = SecPredicate::Not(Box::new(self.taken_for(part)));
                match (self, &**part) {
                    (
                        Self::NotNeedsTheField,
                        SecPredicate::Eq { field, .. }
                        | SecPredicate::In { field, .. }
                        | SecPredicate::Range { field, .. },
                    ) => {
                        SecPredicate::And(vec![SecPredicate::Exists { field: field.clone() }, not])
                    }
                    _ => not,
                }
            }
            other => other.clone(),
        }
    }
}

/// A row of a collection.
type Place = (CollectionId, Arc<str>);

/// What a process of the wrong engine remembers.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// What it wrote to each row.
    written: BTreeMap<Place, Vec<Arc<[u8]>>>,
    /// Rows that it wrote since its last checkpoint.
    pub(super) unsealed: BTreeSet<Place>,
    /// Rows that were there when a field was added, and were not written since.
    before_field: BTreeMap<(CollectionId, String), BTreeSet<Arc<str>>>,
    has_sealed: bool,
}

/// A session that answers predicates wrong.
pub(super) struct Misled {
    pub(super) bug: Bug,
    pub(super) view: Rc<dyn Session>,
    pub(super) memory: Rc<RefCell<Memory>>,
    /// Whether the store had rows when it was opened.
    was_there: bool,
    /// Who is told of commits.
    pub(super) listener: RefCell<Option<Listener>>,
    /// Up to where that was told too early.
    pub(super) foretold: Arc<AtomicU64>,
}

/// A snapshot that does.
struct MisledSnapshot {
    bug: Bug,
    view: Box<dyn View>,
    store: Rc<dyn Session>,
    memory: Rc<RefCell<Memory>>,
    was_there: bool,
}

impl Misled {
    pub(super) fn of(bug: Bug, session: Box<dyn Session>) -> Result<Self> {
        let was_there = session.last_lsn()? > 0;
        let (memory, listener, foretold) = (Rc::default(), RefCell::default(), Arc::default());
        Ok(Self { bug, view: session.into(), memory, was_there, listener, foretold })
    }

    fn note(&self, request: &Request) {
        let changes = match request {
            Request::Write(changes) => changes,
            Request::AddField { name, field } if self.bug == Bug::LateFieldNotBuilt => {
                let mut rows = BTreeSet::new();
                if let Ok(Some(id)) = self.view.id_of(name)
                    && self.view.scan(id, &mut |row, _, _| rows.extend([Arc::from(row)])).is_ok()
                {
                    let place = (id, field.path.clone());
                    self.memory.borrow_mut().before_field.insert(place, rows);
                }
                return;
            }
            _ => return,
        };
        let memory = &mut *self.memory.borrow_mut();
        for change in changes {
            for ((collection, _), rows) in &mut memory.before_field {
                if *collection == change.collection {
                    rows.remove(&change.id);
                }
            }
            let place = (change.collection, change.id.clone());
            memory.unsealed.insert(place.clone());
            if let Some((_, payload)) = &change.row {
                memory.written.entry(place).or_default().push(payload.clone());
            }
        }
    }

    fn sealed(&self) {
        let memory = &mut *self.memory.borrow_mut();
        memory.unsealed.clear();
        memory.has_sealed = true;
    }
}

/// Who is asked.
struct Asked<'a> {
    bug: &'a Bug,
    view: &'a dyn View,
    memory: &'a Memory,
    was_there: bool,
}

impl Asked<'_> {
    fn ids(&self, id: CollectionId, predicate: &SecPredicate) -> Result<Vec<String>> {
        let mut ids = self.view.matching_ids(id, &self.bug.taken_for(predicate))?;
        let unsealed = |row: &str| self.memory.unsealed.contains(&(id, row.into()));
        match self.bug {
            Bug::OldValuesMatch | Bug::DeadRowsMatch => {
                let fields = self.view.descriptor(id)?.filterable;
                ids.extend(self.held(id, predicate, &fields)?);
                ids.sort();
                ids.dedup();
            }
            Bug::UnsealedRowsLeftOut => ids.retain(|row| !unsealed(row)),
            Bug::LateFieldNotBuilt => {
                let shown = format!("{predicate:?}");
                for ((collection, path), rows) in &self.memory.before_field {
                    if *collection == id && shown.contains(&format!("{path:?}")) {
                        ids.retain(|row| !rows.contains(row.as_str()));
                    }
                }
            }
            Bug::NothingFoundAfterOpen if self.was_there && !self.memory.has_sealed => ids.clear(),
            _ => {}
        }
        Ok(ids)
    }

    /// Rows that held a predicate once, those that are there or those that are not.
    fn held(
        &self,
        id: CollectionId,
        predicate: &SecPredicate,
        fields: &[FilterableField],
    ) -> Result<Vec<String>> {
        let mut held = Vec::new();
        for ((collection, row), payloads) in &self.memory.written {
            let holds = |payload: &Arc<[u8]>| predicate::holds(predicate, fields, payload);
            if *collection == id
                && payloads.iter().any(holds)
                && self.view.get(id, row, &mut |_, _| {})? == (*self.bug == Bug::OldValuesMatch)
            {
                held.push(row.to_string());
            }
        }
        Ok(held)
    }

    fn rows(&self, id: CollectionId, predicate: &SecPredicate) -> Result<Vec<u32>> {
        let found: BTreeSet<String> = self.ids(id, predicate)?.into_iter().collect();
        let mut all = Vec::new();
        for row in self.view.vectors(id)?.pass() {
            all.push(row?.id);
        }
        if *self.bug == Bug::RowsNumberedBySegment {
            // A stable sort: within both it is the order of the ids.
            all.sort_by_key(|row| self.memory.unsealed.contains(&(id, row.as_str().into())));
        }
        let places = (0..).zip(all).filter(|(_, row)| found.contains(row));
        Ok(places.map(|(place, _)| place).collect())
    }
}

/// Every call of [`View`] but those with predicates.
macro_rules! passed_on {
    ($session:ty, $asked:expr) => {
        impl View for $session {
            fn names(&self) -> Result<Vec<String>> {
                self.view.names()
            }

            fn id_of(&self, name: &str) -> Result<Option<CollectionId>> {
                self.view.id_of(name)
            }

            fn descriptor(&self, id: CollectionId) -> Result<Descriptor> {
                self.view.descriptor(id)
            }

            fn len(&self, id: CollectionId) -> Result<u64> {
                self.view.len(id)
            }

            fn get(
                &self,
                id: CollectionId,
                row: &str,
                see: &mut dyn FnMut(&[f32], &[u8]),
            ) -> Result<bool> {
                self.view.get(id, row, see)
            }

            fn scan(&self, id: CollectionId, see: &mut SeeRow<'_>) -> Result<()> {
                self.view.scan(id, see)
            }

            fn last_lsn(&self) -> Result<u64> {
                self.view.last_lsn()
            }

            fn get_many(&self, id: CollectionId, rows: &[&str]) -> Result<Vec<Option<Row>>> {
                self.view.get_many(id, rows)
            }

            fn get_vector(&self, id: CollectionId, row: &str) -> Result<Option<Vec<f32>>> {
                self.view.get_vector(id, row)
            }

            fn get_payload(&self, id: CollectionId, row: &str) -> Result<Option<Vec<u8>>> {
                self.view.get_payload(id, row)
            }

            fn get_with(
                &self,
                id: CollectionId,
                row: &str,
                see: &mut dyn FnMut(&[f32], &[u8]),
            ) -> Result<bool> {
                self.view.get_with(id, row, see)
            }

            fn scan_range(&self, id: CollectionId, range: &RowRange) -> Result<Scan> {
                self.view.scan_range(id, range)
            }

            fn scan_payloads(&self, id: CollectionId, range: &RowRange) -> Result<Scan> {
                self.view.scan_payloads(id, range)
            }

            fn scan_with(
                &self,
                id: CollectionId,
                range: &RowRange,
                see: &mut SeeSome<'_>,
            ) -> Result<()> {
                self.view.scan_with(id, range, see)
            }

            fn vectors(&self, id: CollectionId) -> Result<Box<dyn Vectors>> {
                self.view.vectors(id)
            }

            fn matching_ids(&self, id: CollectionId, asked: &SecPredicate) -> Result<Vec<String>> {
                let view: fn(&Self) -> &dyn View = $asked;
                let Self { bug, was_there, memory, .. } = self;
                let (memory, view) = (&*memory.borrow(), view(self));
                Asked { bug, view, memory, was_there: *was_there }.ids(id, asked)
            }

            fn matching_rows(&self, id: CollectionId, asked: &SecPredicate) -> Result<Vec<u32>> {
                let view: fn(&Self) -> &dyn View = $asked;
                let Self { bug, was_there, memory, .. } = self;
                let (memory, view) = (&*memory.borrow(), view(self));
                Asked { bug, view, memory, was_there: *was_there }.rows(id, asked)
            }
        }
    };
}

passed_on!(Misled, |session| &*session.view);
passed_on!(MisledSnapshot, |snapshot| match snapshot.bug {
    Bug::SnapshotFiltersByNow => &*snapshot.store,
    _ => &*snapshot.view,
});

impl Session for Misled {
    fn perform(&self, request: &Request, call: Call) -> Result<Outcome> {
        let outcome = self.performed(request, call)?;
        self.note(request);
        Ok(outcome)
    }

    fn submit(&self, request: &Request) -> Result<Ticket> {
        let ticket = self.view.submit(request)?;
        self.note(request);
        Ok(ticket)
    }

    fn drive(&self) -> Result<usize> {
        self.view.drive()
    }

    fn poll(&self, ticket: Ticket) -> Option<Result<Outcome>> {
        self.view.poll(ticket)
    }

    fn standing(&self) -> Result<Standing> {
        self.view.standing()
    }

    fn snapshot(&self) -> Result<Box<dyn View>> {
        let view = self.view.snapshot()?;
        let (store, memory) = (self.view.clone(), self.memory.clone());
        let (bug, was_there) = (self.bug.clone(), self.was_there);
        Ok(Box::new(MisledSnapshot { bug, view, store, memory, was_there }))
    }

    fn checkpoint(&self) -> Result<()> {
        self.view.checkpoint()?;
        self.sealed();
        Ok(())
    }

    fn maintain(&self) -> Result<bool> {
        self.view.maintain()
    }

    fn compact(&self, steps: Option<u64>) -> Result<()> {
        self.view.compact(steps)?;
        if steps.is_none() {
            self.sealed();
        }
        Ok(())
    }

    fn keep_indexes(&self, indexes: &[(CollectionId, &[u8], u64)]) -> Result<()> {
        self.view.keep_indexes(indexes)?;
        self.sealed();
        Ok(())
    }

    fn restored_index(&self, id: CollectionId) -> Result<Option<Restored>> {
        Ok(self.restored(self.view.restored_index(id)?))
    }

    fn observe(&self, after: Option<u64>, listener: Listener) -> Result<()> {
        self.observed(after, listener)
    }

    fn copied(&self) -> Result<Copied> {
        self.copy()
    }

    fn follow(&self, ops: Vec<WalOp>) -> Result<Option<u64>> {
        self.followed(ops)
    }

    fn verify(&self, contents: bool) -> Result<Verified> {
        self.verified(contents)
    }

    fn back_up(&self, to: &Path, keys: &BackupKeys, goes_on: &mut GoesOn<'_>) -> Result<BackedUp> {
        self.view.back_up(to, keys, goes_on)
    }

    fn onlooker(&self) -> Option<Onlooker> {
        self.view.onlooker()
    }

    fn close(&self) -> Result<()> {
        self.view.close()
    }
}
