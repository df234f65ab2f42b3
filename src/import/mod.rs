//! Rows from the files that vectors come in: `.fvecs`, `.bvecs`, `.npy`, JSON lines. Feature `cli`.
//!
//! A reader is an iterator of [`ImportRow`]s over anything that implements [`std::io::Read`]: the
//! caller opens the file. [`import_rows`] takes such an iterator, or any other, to a collection.
//!
//! It stands on the calls of [`crate::Store`] and nothing stands on it. What holds:
//!
//! - I1. *Memory follows what was read.* A length that a file claims is held against its limit, and is
//!   never a reason to allocate: buffers grow with the bytes that came. A reader keeps one row.
//! - I2. *A file is whole or refused.* Bytes are missing nowhere and left over nowhere; nothing is
//!   skipped but blank lines. The error says where, what was found, what was expected and what to do.
//! - I3. *Behind an error comes nothing.* A reader ends with the first one.
//! - I4. *Repeating an import gives the same rows.* Ids follow from the file and the prefix alone: see
//!   [`row_id`]. So after a crash, the import is started again from the first row.
//!
//! A crash leaves whole batches of an import: the first ones, and at most one more than was
//! acknowledged.
//!
//! # Examples
//! ```
//! use quiver_store::import::{ImportOptions, JsonLinesReader, import_rows};
//! use quiver_store::{Descriptor, DistanceMetric, Dtype, Env, Options, Store};
//!
//! # fn main() -> quiver_store::Result<()> {
//! let file = br#"{"id": "a", "vector": [1, 2.5], "lang": "en"}
//! {"id": 17, "vector": [3, 4], "lang": "de"}
//! "#;
//! let store = Store::open_with(Env::memory(), Options::default())?;
//! let id = store.create_collection("a", Descriptor::new(2, Dtype::F32, DistanceMetric::L2))?;
//! let rows = JsonLinesReader::new(&file[..]);
//! let summary = import_rows(&store, id, rows, &ImportOptions::default(), |so_far| {
//!     println!("{} rows", so_far.rows);
//! })?;
//! assert_eq!(summary.rows, 2);
//! assert_eq!(store.get_payload(id, "17")?.as_deref(), Some(&br#"{"lang":"de"}"#[..]));
//! # Ok(())
//! # }
//! ```

mod input;
mod json_lines;
mod npy;
mod npy_header;
mod vecs;
mod write;

pub use json_lines::{JsonLinesReader, LINE_BYTES_MAX};
pub use npy::NpyReader;
pub use npy_header::{NPY_HEADER_BYTES_MAX, NpyElement};
pub use vecs::VecsReader;
pub use write::{ImportOptions, ImportSummary, import_rows, row_id};

/// One row of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImportRow {
    /// The id, where the file gives one.
    pub id: Option<String>,
    /// The elements of its vector.
    pub vector: Vec<f32>,
    /// What is stored beside the vector; empty where the file has nothing.
    pub payload: Vec<u8>,
}

#[cfg(test)]
mod tests;
