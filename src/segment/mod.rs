//! Segments: rows sealed into files that are never changed.

mod plain;

pub(crate) use plain::{Rows, SegmentIdentity, build, read};
