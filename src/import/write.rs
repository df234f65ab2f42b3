//! Rows into a collection, batch by batch.
//!
//! It stands on [`crate::Store`]. Each batch commits whole; a row is checked here before it joins one,
//! so that the error names it. Between batches nothing is kept.

use std::mem::take;

use crate::descriptor::Descriptor;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{CollectionId, Lsn};
use crate::import::ImportRow;
use crate::limits::VECTOR_BYTES_MAX;
use crate::store::Store;
use crate::write_batch::{WriteBatch, check_id, check_payload};

/// How rows are written. It is data of the caller; nothing of it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportOptions {
    /// The most rows of one batch, 1 at least. Default 1,000. A larger one makes fewer syncs and
    /// costs memory.
    pub batch_rows: usize,
    /// The bytes past which a batch is not made larger by another row. Default 4 MiB, to be below
    /// [`crate::Options::batch_bytes_max`]. A row that is larger is written alone.
    pub batch_bytes: usize,
    /// What is put before each id, given or made from the row number. Default empty.
    pub id_prefix: String,
    /// Whether NaN and infinities are stored. Default false: such a row is refused. It concerns the
    /// element types that have them.
    pub takes_non_finite: bool,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            batch_rows: 1_000,
            batch_bytes: 4 * 1024 * 1024,
            id_prefix: String::new(),
            takes_non_finite: false,
        }
    }
}

/// What an import wrote so far, or in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportSummary {
    /// Rows, each as often as it came: one whose id came before replaced it.
    pub rows: u64,
    /// Batches, each of which was synced.
    pub batches: u64,
    /// Bytes of ids, payloads and vectors, these with four bytes an element.
    pub bytes: u64,
    /// LSN of the last row; none while there is none.
    pub last_lsn: Option<Lsn>,
}

/// The id of a row that has none in the file: its number, counted from 0, in ten digits, so that the
/// order of ids is that of rows.
///
/// # Examples
/// ```
/// assert_eq!(quiver_store::import::row_id(42), "0000000042");
/// ```
pub fn row_id(row: u64) -> String {
    format!("{row:010}")
}

/// Writes rows to a collection in batches; `progress` sees what is durable after each one.
///
/// A row without an id gets that of [`row_id`], counted over all rows. Repeating an import that
/// failed, or that a crash ended, writes the same rows again. To end one early, end the iterator.
///
/// *Units and limits*: memory for one batch, see [`ImportOptions`].
///
/// *Durability*: as [`Store::write`] for each batch. On an error, the batches that `progress` saw are
/// there, and nothing of later ones; of the one that was being written, see the kind of the error.
///
/// # Errors
/// Those of the rows, and those of [`Store::write`], with the numbers of the rows: `InvalidArgument`
/// and `TooLarge` for a row that the collection cannot hold and for settings that make no sense.
///
/// # Examples
/// ```
/// use quiver_store::import::{ImportOptions, ImportRow, import_rows};
/// use quiver_store::{Descriptor, DistanceMetric, Dtype, Env, Options, Store};
///
/// # fn main() -> quiver_store::Result<()> {
/// let store = Store::open_with(Env::memory(), Options::default())?;
/// let id = store.create_collection("a", Descriptor::new(1, Dtype::F32, DistanceMetric::L2))?;
/// let rows = [1.0, 2.0].map(|x| Ok(ImportRow { vector: vec![x], ..ImportRow::default() }));
/// let options = ImportOptions { id_prefix: "row-".into(), ..ImportOptions::default() };
/// import_rows(&store, id, rows, &options, |_| {})?;
/// assert_eq!(store.get_vector(id, "row-0000000001")?, Some(vec![2.0]));
/// # Ok(())
/// # }
/// ```
pub fn import_rows(
    store: &Store,
    collection: CollectionId,
    rows: impl IntoIterator<Item = Result<ImportRow>>,
    options: &ImportOptions,
    mut progress: impl FnMut(&ImportSummary),
) -> Result<ImportSummary> {
    if options.batch_rows == 0 {
        return Err(Error::invalid("batch_rows is 0, expected at least 1"));
    }
    let descriptor = store.descriptor(collection)?;
    let mut summary = ImportSummary::default();
    let mut draft = Draft::default();
    for (number, row) in (0_u64..).zip(rows) {
        let row = row.map_err(|error| {
            let kind = error.kind();
            error.reported_as(kind, &format!("import stopped, {} rows stored", summary.rows))
        })?;
        let external_id =
            options.id_prefix.clone() + &row.id.clone().unwrap_or_else(|| row_id(number));
        let vector = stored(&row, &external_id, &descriptor, options).map_err(|error| {
            let (kind, stored) = (error.kind(), summary.rows);
            error.reported_as(kind, &format!("row {number} ({stored} rows stored)"))
        })?;
        let bytes = size_of_val(&*row.vector) + row.payload.len() + external_id.len();
        if draft.rows > 0 && draft.bytes.saturating_add(bytes) > options.batch_bytes {
            take(&mut draft).write(store, &mut summary)?;
            progress(&summary);
        }
        draft.batch.upsert_raw(collection, &external_id, &vector, &row.payload);
        draft.rows += 1;
        draft.bytes += bytes;
        if draft.rows == options.batch_rows {
            take(&mut draft).write(store, &mut summary)?;
            progress(&summary);
        }
    }
    if draft.rows > 0 {
        draft.write(store, &mut summary)?;
        progress(&summary);
    }
    Ok(summary)
}

/// The stored form of a row's vector, if the collection can hold the row.
fn stored(
    row: &ImportRow,
    external_id: &str,
    descriptor: &Descriptor,
    options: &ImportOptions,
) -> Result<Vec<u8>> {
    check_id(external_id)?;
    check_payload(&row.payload)?;
    let (len, dim) = (row.vector.len(), descriptor.dim as usize);
    let is_whole = len > 0 && len.is_multiple_of(dim);
    if !is_whole || (!descriptor.multivector && len != dim) {
        let of = if descriptor.multivector { "a multiple of " } else { "" };
        return Err(Error::invalid(format!(
            "vector of dimension {len}, expected {of}{dim}: import into a collection of that \
             dimension"
        )));
    }
    let non_finite = row.vector.iter().position(|element| !element.is_finite());
    if let Some(at) = non_finite.filter(|_| !options.takes_non_finite) {
        return Err(Error::invalid(format!(
            "element {at} of the vector is {}, expected a finite number: mend the file, or set \
             takes_non_finite",
            row.vector[at]
        )));
    }
    let mut vector = Vec::new();
    descriptor.form().put(&row.vector, &mut vector).map_err(|at| {
        let (found, expected) = (row.vector[at], descriptor.form().expected());
        Error::invalid(format!(
            "element {at} of the vector is {found}, expected {expected}: import into a collection \
             of another element type"
        ))
    })?;
    if vector.len() > VECTOR_BYTES_MAX {
        let len = vector.len();
        return Err(Error::too_large(format!(
            "vectors of {len} bytes, expected at most {VECTOR_BYTES_MAX}: make several rows of it"
        )));
    }
    Ok(vector)
}

/// A batch being filled.
#[derive(Default)]
struct Draft {
    batch: WriteBatch,
    rows: usize,
    bytes: usize,
}

impl Draft {
    fn write(self, store: &Store, summary: &mut ImportSummary) -> Result<()> {
        let (first, behind) = (summary.rows, summary.rows + self.rows as u64);
        let lsn = store.write(self.batch).map_err(|error| {
            let (kind, last) = (error.kind(), behind - 1);
            let of = match kind {
                ErrorKind::TooLarge if last > first => {
                    ", all that batch_rows and batch_bytes allow"
                }
                _ => "",
            };
            error.reported_as(kind, &format!("rows {first} to {last}{of}"))
        })?;
        summary.rows = behind;
        summary.batches += 1;
        summary.bytes += self.bytes as u64;
        summary.last_lsn = Some(lsn);
        Ok(())
    }
}
