//! Checkpoint: seals the rows into segments, publishes them and drops the log.
//!
//! Each collection that changed since the last checkpoint is written whole into one new segment
//! that replaces its old one. Writers wait meanwhile; readers do not.
//!
//! **A crash leaves** the old manifest with its log, and segments that nothing names; or the new
//! one. Both hold the same rows.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::codec::PageCodec;
use crate::error::Result;
use crate::file_names::FileName;
use crate::ids::CollectionId;
use crate::live_set::{Collection, LiveSet};
use crate::manifest::{CollectionEntry, SegmentEntry};
use crate::segment::{self, SegmentIdentity};
use crate::store::on_disk::{OnDisk, Tools};
use crate::store::publish::{discard, publish};
use crate::store::tail::{settle_log, start_log};
use crate::store::{Inner, Store};
use crate::sync::reading;

impl Store {
    /// Seals all rows into segments, publishes them and drops the log, so that the next open has
    /// nothing to replay. Removes files that belong to no manifest.
    ///
    /// *Durability*: changes nothing of what is durable. Runs by itself past
    /// [`crate::Options::log_size_bytes_max`].
    ///
    /// # Errors
    /// `Full` and `Io`: nothing changed, try again. `Latched`: reopen first. `Closed`.
    pub fn checkpoint(&self) -> Result<()> {
        let mut on_disk = self.lock_on_disk()?;
        self.inner.checkpoint(&mut on_disk)
    }
}

/// How far [`Store::compact_with`] is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompactProgress {
    /// Rows written so far.
    pub rows_done: u64,
    /// Rows to write in all, about.
    pub rows: u64,
}

impl Store {
    /// Seals all rows and joins the segments of each collection into one, so that the store takes
    /// the least space; to its end.
    ///
    /// *Durability*: changes nothing of what is durable.
    ///
    /// # Errors
    /// Those of [`Store::checkpoint`].
    pub fn compact(&self) -> Result<()> {
        self.compact_with(|_| ControlFlow::Continue(()))
    }

    /// As [`Store::compact`], asking between two steps whether to go on. What is done by then
    /// stays done.
    ///
    /// # Errors
    /// Those of [`Store::checkpoint`].
    pub fn compact_with(
        &self,
        mut go_on: impl FnMut(CompactProgress) -> ControlFlow<()>,
    ) -> Result<()> {
        if go_on(CompactProgress::default()).is_break() {
            return Ok(());
        }
        self.checkpoint()
    }
}

impl Inner {
    pub(super) fn checkpoint(&self, on_disk: &mut OnDisk) -> Result<()> {
        on_disk.check_latch()?;
        let tools = self.tools();
        let live = reading(&self.live)?.clone();
        if on_disk.manifest.sealed == live.last {
            return if on_disk.orphans.is_empty() {
                Ok(())
            } else {
                publish(&tools, on_disk, |_| {})
            };
        }
        let mut made = Vec::new();
        let sealed = seal(&tools, on_disk, &live, &mut made)
            .and_then(|segments| Ok((segments, start_log(&tools, on_disk, &[])?)));
        let published = sealed.and_then(|(segments, log)| {
            let (entry, collections) = (log.entry(), entries(&live));
            let published = publish(&tools, on_disk, |manifest| {
                manifest.sealed = live.last;
                manifest.logs = vec![entry];
                manifest.segments = segments;
                manifest.collections = collections;
            });
            settle_log(&tools, on_disk, log, published)
        });
        if published.is_err() && on_disk.latched.is_none() {
            discard(tools.disk, on_disk, made);
        }
        tracing::debug!(lsn = live.last.0, ok = published.is_ok(), "checkpoint");
        published
    }
}

/// Writes and syncs a segment for each collection that changed; the names of the new files go to
/// `made` also when it fails.
fn seal(
    tools: &Tools<'_>,
    on_disk: &mut OnDisk,
    live: &LiveSet,
    made: &mut Vec<String>,
) -> Result<Vec<SegmentEntry>> {
    let old: BTreeMap<CollectionId, SegmentEntry> =
        on_disk.manifest.segments.iter().map(|segment| (segment.collection, *segment)).collect();
    let mut segments = Vec::new();
    for (&id, collection) in &live.collections {
        if collection.changed <= on_disk.manifest.sealed {
            segments.extend(old.get(&id));
        } else if !collection.rows.is_empty() {
            segments.push(seal_collection(tools, on_disk, id, collection, made)?);
        }
    }
    segments.sort_by_key(|segment| segment.file);
    Ok(segments)
}

fn seal_collection(
    tools: &Tools<'_>,
    on_disk: &mut OnDisk,
    id: CollectionId,
    collection: &Collection,
    made: &mut Vec<String>,
) -> Result<SegmentEntry> {
    let (file_id, salt) = (on_disk.take_file(), tools.salt()?);
    let identity = SegmentIdentity { store: on_disk.manifest.store, collection: id, salt };
    let codec: &dyn PageCodec = tools.codec;
    let (bytes, footer) = segment::build(&identity, &collection.rows, codec)?;
    let name = FileName::Segment(file_id, salt.into()).text();
    made.push(name.clone());
    let file = tools.disk.create_new(&name)?;
    file.write_all_at(&bytes, 0)?;
    file.sync_data()?;
    let (len, rows) = (bytes.len() as u64, collection.rows.len() as u64);
    Ok(SegmentEntry { file: file_id, collection: id, salt, len, rows, footer })
}

fn entries(live: &LiveSet) -> Vec<CollectionEntry> {
    let entry = |(&id, collection): (&CollectionId, &Collection)| CollectionEntry {
        id,
        name: collection.name.clone(),
        descriptor: collection.descriptor.clone(),
    };
    live.collections.iter().map(entry).collect()
}
