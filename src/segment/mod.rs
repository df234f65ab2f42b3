//! A segment: rows of one collection in ascending order of their ids, sealed into a file that is
//! never changed.
//!
//! **Place.** Floor 3. A seal or a merge streams rows into a [`SegmentBuilder`]; readers find them
//! through a [`Segment`], walk them with a [`SegmentCursor`], and a seal looks up the rows that it
//! overwrites with a [`SegmentProbe`].
//!
//! **Invariants**
//!
//! - S1. Rows are in ascending order of the bytes of their ids, each id once. A row is its number.
//! - S2. The footer holds a digest of all pages before it, and the manifest holds the footer's
//!   checksum: a page of another segment, or of an older one, is refused.
//! - S3. A segment is named by a manifest only after it was synced.
//! - S4, S5. See `layout`, which also has the tables of the file.
//!
//! | column | content |
//! |---|---|
//! | ids | sorted, prefix-compressed, one unit for each page: `ids` |
//! | directory | where the payload of each row is, and its vectors where it has several |
//! | vectors | of one length, the stride, or a multiple of it |
//! | payloads | one after the other |
//! | filter | tells of most ids that are not there: `filter` |
//! | indexes | which rows have which values of the filterable fields: `indexes` |
//!
//! **A crash leaves** a file that no manifest names, whatever of it is there.

mod ahead;
mod builder;
mod by_field;
mod by_row;
mod check_ids;
mod check_indexes;
mod cursor;
#[cfg(feature = "cli")]
mod dump;
mod filter;
mod ids;
mod indexes;
mod layout;
mod probe;
mod reader;
mod rescue;
#[cfg(test)]
mod tests;
mod tombstones;
mod verify;

pub(crate) use builder::{SegmentBuilder, SegmentPlan};
pub(crate) use check_ids::SeenIds;
pub(crate) use cursor::{Columns, SegmentCursor};
pub(crate) use filter::KnownIds;
pub(crate) use layout::SegmentIdentity;
pub(crate) use probe::SegmentProbe;
pub(crate) use reader::Segment;
pub(crate) use rescue::Rescued;
pub(crate) use tombstones::Tombstones;
pub(crate) use verify::{RunBytes, Seen};
