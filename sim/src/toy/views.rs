//! The reads of a toy and of its snapshots: right by the default methods of [`View`], or wrong.

use std::cell::{Cell, RefCell};
use std::ops::Bound;
use std::rc::Rc;
use std::sync::Arc;

use quiver_store::{CollectionId, Descriptor, Error, Result, SecPredicate};

use super::{Bug, Open, State, ToySession};
use crate::row_range::RowRange;
use crate::system::{self, Row, Scan, SeeRow, Shown, Vectors, View};

/// A copy of everything.
pub(super) struct ToySnapshot {
    pub(super) open: Rc<RefCell<Open>>,
    pub(super) state: State,
}

/// A state that a view shows, and what is wrong with how it does.
trait Shows {
    fn shown<T>(&self, see: impl FnOnce(&State) -> Result<T>) -> Result<T>;
    fn store(&self) -> &Rc<RefCell<Open>>;

    fn bug(&self) -> Bug {
        self.store().borrow().files.bug
    }
}

impl Shows for ToySession {
    fn shown<T>(&self, see: impl FnOnce(&State) -> Result<T>) -> Result<T> {
        let open = self.0.borrow();
        open.usable()?;
        see(&open.state)
    }

    fn store(&self) -> &Rc<RefCell<Open>> {
        &self.0
    }
}

impl Shows for ToySnapshot {
    fn shown<T>(&self, see: impl FnOnce(&State) -> Result<T>) -> Result<T> {
        let open = self.open.borrow();
        match open.files.bug {
            Bug::SnapshotOutlivesClose => see(&self.state),
            Bug::SnapshotShowsLater => {
                open.usable()?;
                see(&State { lsn: self.state.lsn, ..open.state.clone() })
            }
            Bug::SnapshotLosesDropped => {
                open.usable()?;
                let mut state = self.state.clone();
                state.collections.retain(|name, _| open.state.collections.contains_key(name));
                see(&state)
            }
            _ => {
                open.usable()?;
                see(&self.state)
            }
        }
    }

    fn store(&self) -> &Rc<RefCell<Open>> {
        &self.open
    }
}

/// Where a later wrong row is looked up.
struct Live {
    open: Rc<RefCell<Open>>,
    id: CollectionId,
}

impl Live {
    /// A row as it is now.
    fn row(&self, shown: Shown) -> Option<Result<Shown>> {
        let open = self.open.borrow();
        let (vector, payload) = open.state.named(self.id).ok()?.1.rows.get(&shown.id)?;
        let (vector, payload) = (Some(vector.clone()), Some(payload.clone()));
        Some(Ok(Shown { id: shown.id, vector, payload }))
    }
}

impl<T: Shows> View for T {
    fn names(&self) -> Result<Vec<String>> {
        self.shown(|state| Ok(state.collections.keys().cloned().collect()))
    }

    fn id_of(&self, name: &str) -> Result<Option<CollectionId>> {
        let id = |state: &State| state.collections.get(name).map(|found| CollectionId(found.id));
        self.shown(|state| Ok(id(state)))
    }

    fn descriptor(&self, id: CollectionId) -> Result<Descriptor> {
        self.shown(|state| Ok(state.named(id)?.1.descriptor.clone()))
    }

    fn len(&self, id: CollectionId) -> Result<u64> {
        let deletes = match self.bug() {
            Bug::LenForgetsDeletes => self.store().borrow().deletes,
            _ => 0,
        };
        self.shown(|state| Ok(state.named(id)?.1.rows.len() as u64 + deletes))
    }

    fn get(&self, id: CollectionId, row: &str, see: &mut dyn FnMut(&[f32], &[u8])) -> Result<bool> {
        self.shown(|state| {
            let found = state.named(id)?.1.rows.get(row);
            if let Some((vector, payload)) = found {
                see(vector, payload);
            }
            Ok(found.is_some())
        })
    }

    fn scan(&self, id: CollectionId, see: &mut SeeRow<'_>) -> Result<()> {
        self.shown(|state| {
            let rows = &state.named(id)?.1.rows;
            rows.iter().for_each(|(row, (vector, payload))| see(row, vector, payload));
            Ok(())
        })
    }

    fn last_lsn(&self) -> Result<u64> {
        self.shown(|state| Ok(state.lsn))
    }

    fn get_many(&self, id: CollectionId, rows: &[&str]) -> Result<Vec<Option<Row>>> {
        let mut rows = rows.to_vec();
        if self.bug() == Bug::ManyInOrder {
            rows.sort_unstable();
        }
        self.shown(|state| {
            let found = &state.named(id)?.1.rows;
            let owned = |(vector, payload): &(Vec<f32>, Vec<u8>)| {
                (vector.clone().into(), payload.clone().into())
            };
            Ok(rows.into_iter().map(|row| found.get(row).map(owned)).collect())
        })
    }

    fn get_vector(&self, id: CollectionId, row: &str) -> Result<Option<Vec<f32>>> {
        let first = self.bug() == Bug::VectorOfFirstRow;
        self.shown(|state| {
            let rows = &state.named(id)?.1.rows;
            let found = rows.get(row).map(|(vector, _)| vector.clone());
            let any = rows.values().next().map(|(vector, _)| vector.clone());
            Ok(if first { found.and(any) } else { found })
        })
    }

    fn scan_range(&self, id: CollectionId, range: &RowRange) -> Result<Scan> {
        let mut range = range.clone();
        let bug = self.bug();
        match bug {
            Bug::RangeOffByOne => range.end = included(range.end),
            Bug::LimitOffByOne => range.limit = range.limit.map(|limit| limit + 1),
            Bug::PrefixIsAStart if range.start == Bound::Unbounded => {
                range.start = Bound::Included(std::mem::take(&mut range.prefix));
            }
            _ => {}
        }
        let mut shown = Vec::new();
        self.scan(id, &mut |row, vector, payload| {
            if range.admits(row) && shown.len() < range.rows_max() {
                let (vector, payload) = (Some(vector.to_vec()), Some(payload.to_vec()));
                shown.push(Shown { id: row.to_owned(), vector, payload });
            }
        })?;
        if bug == Bug::ScanShowsLater {
            let live = Live { open: self.store().clone(), id };
            return Ok(Box::new(shown.into_iter().map_while(move |row| live.row(row))));
        }
        Ok(Box::new(shown.into_iter().map(Ok)))
    }

    fn vectors(&self, id: CollectionId) -> Result<Box<dyn Vectors>> {
        let mut rows = Vec::new();
        self.scan(id, &mut |row, vector, _| rows.push((row.to_owned(), vector.to_vec())))?;
        let passes = if self.bug() == Bug::OnePassOnly { 1 } else { u64::MAX };
        let dim = self.descriptor(id)?.dim;
        Ok(Box::new(Passes { dim, rows, left: Cell::new(passes) }))
    }

    fn matching_ids(&self, id: CollectionId, predicate: &SecPredicate) -> Result<Vec<String>> {
        let mut found = system::matching(self, id, predicate)?;
        if self.bug() == Bug::FilterMissesLast && found.len() > 1 {
            found.pop();
        }
        Ok(found.into_iter().map(|(_, id)| id).collect())
    }
}

fn included(end: Bound<Arc<str>>) -> Bound<Arc<str>> {
    match end {
        Bound::Excluded(id) => Bound::Included(id),
        other => other,
    }
}

/// Captured vectors that can be read so many times.
struct Passes {
    dim: u32,
    rows: Vec<(String, Vec<f32>)>,
    left: Cell<u64>,
}

impl Vectors for Passes {
    fn count(&self) -> u64 {
        self.rows.len() as u64
    }

    fn dim(&self) -> u32 {
        self.dim
    }

    fn pass(&self) -> Scan {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        let rows = if left == 0 { Vec::new() } else { self.rows.clone() };
        let shown = |(id, vector)| Ok(Shown { id, vector: Some(vector), payload: None });
        Box::new(rows.into_iter().map(shown))
    }

    fn take_error(&self) -> Option<Error> {
        None
    }
}
