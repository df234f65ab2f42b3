//! Items, and what all of them are made with.

use std::ops::ControlFlow;

use serde_json::{Value, json};

use crate::error::Result;
use crate::ids::{CollectionId, Salt, StoreId};
use crate::page::{PagePlace, PageType, offsets};
use crate::vfs::DiskFile;

/// The longest byte string over pages that is decoded; of a longer one the pages alone are shown.
pub const STREAM_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DumpOptions {
    /// Only this page, with its bytes.
    pub page: Option<u32>,
    /// Whether pages are shown one by one. Default true.
    pub pages: bool,
    /// Whether what they hold is shown. Default true.
    pub contents: bool,
    /// Only this column, of a segment. Default none.
    pub column: Option<DumpColumn>,
}

/// A column of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DumpColumn {
    /// The ids of the rows.
    Ids,
    /// Where the values of each row are.
    Directory,
    /// The vectors of the rows.
    Vectors,
    /// The payloads of the rows.
    Payloads,
    /// The indexes of filterable fields.
    Indexes,
    /// What tells of most absent ids that they are.
    Filter,
}

impl Default for DumpOptions {
    fn default() -> Self {
        Self { page: None, pages: true, contents: true, column: None }
    }
}

/// Takes items, and says whether to go on.
pub(super) type See<'a> = dyn FnMut(&Value) -> ControlFlow<()> + 'a;

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes that are mostly text: as text, else as hexadecimal digits.
pub(super) fn text_or_hex(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!({ "hex": hex(bytes) }),
    }
}

pub(super) fn first_bytes(file: &DiskFile, len: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let found = file.read_up_to(&mut bytes, 0)?;
    bytes.truncate(found);
    Ok(bytes)
}

/// What a page says of itself.
pub(super) fn place_of(page: &[u8], page_type: PageType, index: u32) -> PagePlace {
    let mut store = StoreId([0; 16]);
    store.0[..8].copy_from_slice(&page[offsets::STORE_TAG..][..8]);
    let salt = Salt(std::array::from_fn(|at| page[offsets::SALT + at]));
    PagePlace { store, salt, collection: CollectionId(0), page_type, index }
}
