//! Compaction: merges segments of a collection into one.
//!
//! Size-tiered: segments of about one size are merged once there are
//! [`crate::Options::merge_factor`] of them, so that each row is rewritten once for each size and
//! there are as many sizes as the logarithm of the rows. A segment of which more than a quarter is
//! dead is rewritten alone.
//!
//! - Z1. A merge reads what was live when it started, in bounded memory, and writes one segment.
//! - Z2. Rows that a checkpoint marked dead in an input meanwhile are dead in the output: at its end
//!   the merge finds them by their ids and writes tombstones for the output, if there are any.
//! - Z3. It changes nothing that a reader sees; readers keep the inputs for as long as they need them.
//! - Z4. It publishes while no checkpoint is under way (J2), so no seal ever marks rows in a segment
//!   that is gone.
//!
//! **A crash leaves** orphans, or the output in place of the inputs.

use std::collections::BTreeSet;
use std::ops::Bound;

use crate::collection::{Collection, LiveSegment};
use crate::error::Result;
use crate::file_names::FileName;
use crate::ids::{FileId, Lsn};
use crate::manifest::Manifest;
use crate::row_cursor::RowCursor;
use crate::scan_range::ScanRange;
use crate::segment::{Columns, Tombstones};
use crate::store::Inner;
use crate::store::jobs::Jobs;
use crate::store::merge::Merge;
use crate::store::on_disk::{KeyOrphan, files_of};
use crate::store::publish::publish;
use crate::store::reclaim::{discard, reclaim};
use crate::sync::{Arc, Ordering, reading, writing};

/// What a row counts as beside its bytes, in bytes of work.
const ROW_BYTES: u64 = 16;

impl Inner {
    /// One step of the merge: rows into the output, or the publish at its end.
    pub(super) fn merge_rows(&self, jobs: &mut Jobs) -> Result<u64> {
        let merge = jobs.merge.as_mut().expect("the caller has seen it");
        let cursor = match &mut merge.cursor {
            Some(cursor) => cursor,
            None => {
                merge.names_lost = self.lock_on_disk()?.names_lost;
                let columns = Columns { vectors: true, payloads: true };
                let ahead = self.options.read_ahead_bytes;
                let inputs = &merge.inputs;
                let started =
                    RowCursor::start(inputs, Lsn(u64::MAX), ScanRange::all(), ahead, columns)?;
                merge.cursor.insert(started)
            }
        };
        let mut done = 0;
        while done < self.options.step_bytes {
            if !cursor.advance()? {
                self.publish_merge(jobs)?;
                return Ok(done);
            }
            let (_, _, builder) = match &mut merge.output {
                Some(output) => output,
                None => {
                    let rows = merge.inputs.segments.iter().map(LiveSegment::rows).sum();
                    let output = self.start_segment(&merge.inputs, rows, &mut merge.made)?;
                    merge.output.insert(output)
                }
            };
            let (id, vector, payload) = cursor.row()?;
            builder.push(id, vector, payload)?;
            done += ROW_BYTES + (id.len() + vector.len() + payload.len()) as u64;
            merge.rows_done += 1;
        }
        Ok(done)
    }

    /// Gives up the merge under way where its collection was dropped, for nobody needs its output and
    /// it keeps the files of its inputs; or where the name of its output may be lost.
    pub(super) fn give_up_merge(&self, jobs: &mut Jobs) -> Result<()> {
        let version = Arc::clone(&reading(&self.live)?.version);
        let mut on_disk = self.lock_on_disk()?;
        let is_in_vain = |merge: &mut Merge| {
            let is_dropped = !version.collections.contains_key(&merge.inputs.id);
            is_dropped || (!merge.made.is_empty() && merge.names_lost != on_disk.names_lost)
        };
        if let Some(merge) = jobs.merge.take_if(is_in_vain) {
            discard(&self.tools(), &mut on_disk, merge.into_made());
        }
        Ok(())
    }

    /// Puts the output in the place of the inputs (Z2, Z4).
    fn publish_merge(&self, jobs: &mut Jobs) -> Result<()> {
        assert!(jobs.rotation.is_none(), "a checkpoint goes before a merge");
        let merge = jobs.merge.as_mut().expect("it is being stepped");
        let output = match merge.output.take() {
            Some(output) => Some(self.finish_segment(output, &merge.inputs)?),
            None => None,
        };
        let id = merge.inputs.id;
        let version = Arc::clone(&reading(&self.live)?.version);
        let Some(collection) = version.collections.get(&id) else {
            // It was dropped meanwhile.
            let made = jobs.merge.take().map(Merge::into_made).unwrap_or_default();
            drop(output);
            discard(&self.tools(), &mut *self.lock_on_disk()?, made);
            return Ok(());
        };
        let output = match output {
            Some(output) => self.bury(merge, collection, output)?,
            None => None,
        };
        let inputs: BTreeSet<FileId> =
            merge.inputs.segments.iter().map(|live| live.entry.file).collect();
        let mut segments = collection.segments.to_vec();
        segments.retain(|live| !inputs.contains(&live.entry.file));
        segments.extend(output.clone());
        let index_snapshot = self.rekeyed_index_snapshot(collection, merge)?;
        let (old_key, new_key) = (collection.key, merge.inputs.key);
        let mut on_disk = self.lock_on_disk()?;
        on_disk.check_latch()?;
        let rekeys = merge.rekeys.then_some((id, old_key, new_key));
        let rekeyed = rekeys.map(|keys| self.rekeyed(&mut on_disk, keys, index_snapshot));
        let rekeyed = rekeyed.transpose()?;
        on_disk.check_names(merge.names_lost)?;
        if rekeyed.is_some() {
            // Records under the old key may stand in the log up to here.
            let lsn = reading(&self.live)?.last;
            on_disk.key_orphans.push(KeyOrphan { lsn, key: old_key, collection: id });
        }
        let published = publish(&self.tools(), &mut on_disk, |manifest| {
            replace(manifest, &inputs, output.as_ref());
            rekeyed.iter().for_each(|rekeyed| rekeyed.name(manifest));
        });
        if published.is_err() && rekeyed.is_some() {
            on_disk.key_orphans.retain(|orphan| orphan.key != old_key);
        }
        published?;
        let mut live = writing(&self.live)?;
        if let Some(collection) = Arc::make_mut(&mut live.version).collection_mut(id) {
            collection.segments = segments.into();
            if let Some(rekeyed) = rekeyed {
                rekeyed.apply(collection);
            }
        }
        drop((live, version));
        tracing::debug!(collection = id.0, inputs = inputs.len(), "compact");
        let merge = jobs.merge.take().expect("it is being stepped");
        merge.inputs.segments.iter().for_each(|live| {
            self.cache.forget(live.entry.file, live.segment.pages());
        });
        merge.published.store(true, Ordering::Relaxed);
        jobs.merges += 1;
        // Where every row of it died meanwhile, the output is of no use.
        let named: BTreeSet<String> = files_of(&on_disk.manifest).map(FileName::text).collect();
        let unnamed = merge.into_made().into_iter().filter(|name| !named.contains(name));
        discard(&self.tools(), &mut on_disk, unnamed);
        reclaim(&self.tools(), &mut on_disk);
        Ok(())
    }

    /// Marks the rows of the output dead that died in the inputs since the merge read them (Z2);
    /// nothing where none is left.
    fn bury(
        &self,
        merge: &mut Merge,
        collection: &Collection,
        output: LiveSegment,
    ) -> Result<Option<LiveSegment>> {
        let mut dead = Tombstones::default();
        for before in merge.inputs.segments.iter() {
            let is_it = |live: &&LiveSegment| live.entry.file == before.entry.file;
            let now = collection.segments.iter().find(is_it);
            if now.is_some_and(|now| now.dead.len() == before.dead.len()) {
                continue;
            }
            let mut probe = output.segment.probe();
            let columns = Columns { vectors: false, payloads: false };
            let ahead = self.options.read_ahead_bytes;
            let mut cursor = before.segment.cursor(Bound::Unbounded, ahead, columns)?;
            while cursor.advance()? {
                let row = cursor.row();
                // A segment that is gone had all of its rows die.
                let died = now.is_none_or(|now| now.dead.contains(row));
                if died
                    && !before.dead.contains(row)
                    && let Some(row) = probe.find(cursor.id())?
                {
                    dead.insert(row);
                }
            }
        }
        match dead.len() {
            0 => Ok(Some(output)),
            all if all == output.entry.rows => Ok(None),
            _ => {
                Ok(Some(self.write_tombstones(&output, merge.inputs.key, dead, &mut merge.made)?))
            }
        }
    }
}

/// Names the output and not the inputs, nor their tombstones.
fn replace(manifest: &mut Manifest, inputs: &BTreeSet<FileId>, output: Option<&LiveSegment>) {
    manifest.segments.retain(|entry| !inputs.contains(&entry.file));
    manifest.tombstones.retain(|entry| !inputs.contains(&entry.segment));
    if let Some(output) = output {
        manifest.segments.push(output.entry);
        manifest.tombstones.extend(output.tombstones);
    }
    manifest.segments.sort_by_key(|entry| entry.file);
    manifest.tombstones.sort_by_key(|entry| entry.segment);
}
