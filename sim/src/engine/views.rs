//! The reads of the engine: of its store and of its snapshots, whose calls have the same names.

use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use quiver_store::{
    CollectionId, Descriptor, Error, Record, RecordRef, Result, RoaringBitmap, ScanRange,
    SecPredicate, VectorSource,
};

use super::stored::stored;
use super::{EngineSession, EngineSnapshot};
use crate::row_range::RowRange;
use crate::system::{Row, Scan, SeeRow, SeeSome, Shown, Vectors, View};

/// The engine's words for a range.
fn range_of(range: &RowRange) -> ScanRange {
    let mut words = ScanRange::all().prefix(&range.prefix);
    words = match &range.start {
        Bound::Unbounded => words,
        Bound::Included(id) => words.from(id),
        Bound::Excluded(id) => words.after(id),
    };
    words = match &range.end {
        Bound::Unbounded => words,
        Bound::Included(id) => words.through(id),
        Bound::Excluded(id) => words.until(id),
    };
    match range.limit {
        None => words,
        Some(rows) => words.limit(rows),
    }
}

fn shown(row: Result<(String, Record)>) -> Result<Shown> {
    let (id, record) = row?;
    Ok(Shown { id, vector: Some(record.vector), payload: Some(record.payload) })
}

fn payload_shown(row: Result<(String, Vec<u8>)>) -> Result<Shown> {
    let (id, payload) = row?;
    Ok(Shown { id, vector: None, payload: Some(payload) })
}

/// The elements of a borrowed row, whose bytes are what they say.
fn elements(row: &RecordRef<'_>) -> Vec<f32> {
    let elements = row.vector_f32();
    let stored = stored(&elements, row.dtype, row.dim);
    assert!(stored.as_deref() == Some(row.vector), "bytes of a row");
    elements
}

impl Vectors for VectorSource {
    fn count(&self) -> u64 {
        self.len()
    }

    fn dim(&self) -> u32 {
        self.dim()
    }

    fn pass(&self) -> Scan {
        let (source, mut rows, mut ended) = (self.clone(), self.iter(), false);
        Box::new(std::iter::from_fn(move || {
            if ended {
                return None;
            }
            if let Some((id, vector)) = rows.next() {
                return Some(Ok(Shown { id, vector: Some(vector), payload: None }));
            }
            ended = true;
            source.take_error().map(Err)
        }))
    }

    fn take_error(&self) -> Option<Error> {
        self.take_error()
    }
}

/// The calls that [`quiver_store::Store`] and [`quiver_store::Snapshot`] both have.
macro_rules! reads_of {
    ($view:ty, $reads:tt, $lsn:expr, $rows:expr) => {
        impl View for $view {
            fn last_lsn(&self) -> Result<u64> {
                let lsn: fn(&Self) -> Result<u64> = $lsn;
                lsn(self)
            }

            fn names(&self) -> Result<Vec<String>> {
                self.$reads.collection_names()
            }

            fn id_of(&self, name: &str) -> Result<Option<CollectionId>> {
                self.$reads.collection_id(name)
            }

            fn descriptor(&self, id: CollectionId) -> Result<Descriptor> {
                self.$reads.descriptor(id)
            }

            fn len(&self, id: CollectionId) -> Result<u64> {
                let len = self.$reads.len(id)?;
                assert_eq!(self.$reads.is_empty(id)?, len == 0, "is_empty of {len} rows");
                Ok(len)
            }

            fn get(
                &self,
                id: CollectionId,
                row: &str,
                see: &mut dyn FnMut(&[f32], &[u8]),
            ) -> Result<bool> {
                let found = self.$reads.get(id, row)?;
                if let Some(record) = &found {
                    see(&record.vector, &record.payload);
                }
                Ok(found.is_some())
            }

            fn scan(&self, id: CollectionId, see: &mut SeeRow<'_>) -> Result<()> {
                for row in self.$reads.scan(id)? {
                    let (row, record) = row?;
                    see(&row, &record.vector, &record.payload);
                }
                Ok(())
            }

            fn get_many(&self, id: CollectionId, rows: &[&str]) -> Result<Vec<Option<Row>>> {
                let owned = |record: Record| (record.vector.into(), Arc::from(record.payload));
                let found = self.$reads.get_many(id, rows)?;
                Ok(found.into_iter().map(|record| record.map(owned)).collect())
            }

            fn get_vector(&self, id: CollectionId, row: &str) -> Result<Option<Vec<f32>>> {
                self.$reads.get_vector(id, row)
            }

            fn get_payload(&self, id: CollectionId, row: &str) -> Result<Option<Vec<u8>>> {
                self.$reads.get_payload(id, row)
            }

            fn get_with(
                &self,
                id: CollectionId,
                row: &str,
                see: &mut dyn FnMut(&[f32], &[u8]),
            ) -> Result<bool> {
                let seen =
                    self.$reads.get_with(id, row, |row| see(&elements(&row), row.payload))?;
                Ok(seen.is_some())
            }

            fn scan_range(&self, id: CollectionId, range: &RowRange) -> Result<Scan> {
                Ok(Box::new(self.$reads.scan_range(id, range_of(range))?.map(shown)))
            }

            fn scan_payloads(&self, id: CollectionId, range: &RowRange) -> Result<Scan> {
                let rows = self.$reads.scan_payloads(id, range_of(range))?;
                Ok(Box::new(rows.map(payload_shown)))
            }

            fn scan_with(
                &self,
                id: CollectionId,
                range: &RowRange,
                see: &mut SeeSome<'_>,
            ) -> Result<()> {
                let mut ended = false;
                self.$reads.scan_with(id, range_of(range), |id, row| {
                    assert!(!ended, "a row after the scan was ended");
                    let flow = see(id, &elements(&row), row.payload);
                    ended = flow == ControlFlow::Break(());
                    flow
                })
            }

            fn vectors(&self, id: CollectionId) -> Result<Box<dyn Vectors>> {
                Ok(Box::new(self.$reads.capture_vector_source(id)?))
            }

            fn matching_ids(
                &self,
                id: CollectionId,
                predicate: &SecPredicate,
            ) -> Result<Vec<String>> {
                self.$reads.matching_ids(id, predicate)
            }

            fn matching_rows(
                &self,
                id: CollectionId,
                predicate: &SecPredicate,
            ) -> Result<Vec<u32>> {
                let rows: fn(&Self, CollectionId, &SecPredicate) -> Result<RoaringBitmap> = $rows;
                Ok(rows(self, id, predicate)?.into_iter().collect())
            }
        }
    };
}

reads_of!(
    EngineSession,
    store,
    |session| Ok(session.store.stats()?.last_lsn.value()),
    |session, id, predicate| session.store.snapshot()?.matching_rows(id, predicate)
);
reads_of!(EngineSnapshot, 0, |snapshot| Ok(snapshot.0.lsn().value()), |snapshot, id, predicate| {
    snapshot.0.matching_rows(id, predicate)
});
