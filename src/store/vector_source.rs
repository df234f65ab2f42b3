//! The vectors of a collection for whoever builds an index over them.

use crate::error::{Error, Result};
use crate::ids::{CollectionId, Lsn};
use crate::row_cursor::RowCursor;
use crate::scan_range::ScanRange;
use crate::segment::Columns;
use crate::store::snapshot::Snapshot;
use crate::sync::{Arc, Mutex, locked};

/// The vectors of one collection in ascending order of their ids, as often as wanted, without a
/// lock: it stands on a [`Snapshot`].
#[derive(Clone, Debug)]
pub struct VectorSource {
    snapshot: Snapshot,
    id: CollectionId,
    len: u64,
    error: Arc<Mutex<Option<Error>>>,
}

impl Snapshot {
    /// As [`crate::Store::capture_vector_source`].
    ///
    /// # Errors
    /// Those of [`crate::Store::get`].
    pub fn capture_vector_source(&self, id: CollectionId) -> Result<VectorSource> {
        VectorSource::new(self.clone(), id)
    }
}

impl VectorSource {
    pub(super) fn new(snapshot: Snapshot, id: CollectionId) -> Result<Self> {
        let len = snapshot.len(id)?;
        Ok(Self { snapshot, id, len, error: Arc::default() })
    }

    /// How many vectors there are.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Elements of each vector; 0 after a close of the store.
    pub fn dim(&self) -> u32 {
        self.snapshot.descriptor(self.id).map_or(0, |descriptor| descriptor.dim)
    }

    /// LSN of the last operation that it shows.
    pub fn lsn(&self) -> Lsn {
        self.snapshot.lsn()
    }

    /// The ids and vectors, from the first on. It ends early if reading fails: ask
    /// [`VectorSource::take_error`] behind the last one.
    pub fn iter(&self) -> impl Iterator<Item = (String, Vec<f32>)> + use<> {
        let columns = Columns { vectors: true, payloads: false };
        let opened = self.snapshot.descriptor(self.id).and_then(|descriptor| {
            Ok((self.snapshot.cursor(self.id, ScanRange::all(), columns)?, descriptor.form()))
        });
        let error = Arc::clone(&self.error);
        let mut opened = match opened {
            Ok(opened) => Some(opened),
            Err(why) => keep(&error, why),
        };
        std::iter::from_fn(move || {
            let (cursor, form) = opened.as_mut()?;
            match next(cursor) {
                Ok(Some(vector)) => {
                    let vector = form.elements(vector);
                    Some((cursor.id().to_owned(), vector))
                }
                Ok(None) => None,
                Err(why) => {
                    opened = None;
                    keep(&error, why)
                }
            }
        })
    }

    /// Why the last iteration ended early, if it did; it is told once.
    pub fn take_error(&self) -> Option<Error> {
        locked(&self.error).map_or_else(Some, |mut error| error.take())
    }
}

fn next(cursor: &mut RowCursor) -> Result<Option<&[u8]>> {
    Ok(if cursor.advance()? { Some(cursor.vector()?) } else { None })
}

fn keep<T>(slot: &Mutex<Option<Error>>, why: Error) -> Option<T> {
    if let Ok(mut error) = locked(slot) {
        *error = Some(why);
    }
    None
}
