//! The store under test, on the operating system with its calls counted.

use std::path::Path;
use std::sync::Arc;

use quiver_store::{CollectionId, Descriptor, DistanceMetric, Dtype, Env, KeyRing, Options, Store};

use crate::Failure;
use crate::counted::CountedVfs;
use crate::rows::{Rows, ids};

/// Rows of a batch.
pub(crate) const BATCH_ROWS: u64 = 1000;

/// Settings under which no checkpoint runs by itself.
pub(crate) fn unsealed_options() -> Options {
    let (memtable_bytes_max, log_size_bytes_max) = (1 << 30, 1 << 30);
    Options { memtable_bytes_max, log_size_bytes_max, ..Options::default() }
}

/// Settings under which every read goes to the system.
pub(crate) fn uncached_options() -> Options {
    Options { page_cache_bytes: 0, ..Options::default() }
}

/// An open store with one collection.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) store: Store,
    pub(crate) rows: CollectionId,
    pub(crate) vfs: Arc<CountedVfs>,
}

impl Subject {
    /// Opens the store in a directory, or creates it there.
    pub(crate) fn open(dir: &Path, dim: u32, options: &Options) -> Result<Self, Failure> {
        Self::open_as(dir, Descriptor::new(dim, Dtype::F32, DistanceMetric::L2), options)
    }

    /// The same with a collection of another kind.
    pub(crate) fn open_as(
        dir: &Path,
        schema: Descriptor,
        options: &Options,
    ) -> Result<Self, Failure> {
        Self::open_in(Env::os(dir), schema, options)
    }

    /// The same, encrypted.
    pub(crate) fn open_with_keys(
        dir: &Path,
        dim: u32,
        options: &Options,
        ring: Arc<dyn KeyRing>,
    ) -> Result<Self, Failure> {
        let schema = Descriptor::new(dim, Dtype::F32, DistanceMetric::L2);
        Self::open_in(Env::os(dir).with_keyring(ring), schema, options)
    }

    fn open_in(env: Env, schema: Descriptor, options: &Options) -> Result<Self, Failure> {
        let vfs = Arc::new(CountedVfs::default());
        let env = Env { vfs: Arc::<CountedVfs>::clone(&vfs), ..env };
        let store = Store::open_with(env, options.clone())?;
        let rows = match store.collection_id("rows")? {
            Some(rows) => rows,
            None => store.create_collection("rows", schema)?,
        };
        Ok(Self { store, rows, vfs })
    }

    /// Upserts rows in batches.
    pub(crate) fn ingest(&self, rows: &Rows, first: u64, count: u64) -> Result<(), Failure> {
        let mut next = first;
        while next < first + count {
            let batch_rows = BATCH_ROWS.min(first + count - next);
            let ids = ids(next, batch_rows);
            self.store.write(rows.upserts(self.rows, next, &ids))?;
            next += batch_rows;
        }
        Ok(())
    }
}

/// Makes a store of so many rows, checkpointed and closed.
pub(crate) fn build(dir: &Path, rows: &Rows, count: u64) -> Result<(), Failure> {
    let subject = Subject::open(dir, rows.dim(), &Options::default())?;
    subject.ingest(rows, 0, count)?;
    subject.store.checkpoint()?;
    subject.store.close()?;
    Ok(())
}
