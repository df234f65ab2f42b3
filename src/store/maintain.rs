//! The calls that do background work: to its end, or a step of it.

use std::ops::ControlFlow;

use crate::error::{ErrorKind, Result};
use crate::ids::{CollectionId, Lsn};
use crate::store::merge::Merge;
use crate::store::on_disk::OnDisk;
use crate::store::publish::publish;
use crate::store::reclaim::{discard, reclaim};
use crate::store::{Inner, Store, full_disk};
use crate::sync::{Arc, AtomicBool, Ordering, reading};
use crate::wal::frame::FrameKind;

/// How far [`Store::compact_with`] is, in rows of the collection that is being merged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompactProgress {
    /// The collection.
    pub collection: CollectionId,
    /// Rows written so far.
    pub rows_done: u64,
    /// Rows to write in all.
    pub rows: u64,
}

impl Store {
    /// Seals all rows into segments, publishes them and drops the log, so that the next open has
    /// nothing to replay. Removes files that nothing needs. Writers and readers go on meanwhile.
    ///
    /// *Durability*: changes nothing of what is durable. Runs by itself, in steps behind writes,
    /// past [`crate::Options::memtable_bytes_max`] and [`crate::Options::log_size_bytes_max`].
    ///
    /// # Errors
    /// `Full` and `Io`: nothing is lost, try again. `Latched`: reopen first. `Closed`.
    pub fn checkpoint(&self) -> Result<()> {
        self.check_open()?;
        self.inner.observing.check_outside()?;
        let inner = &*self.inner;
        let target = reading(&inner.live)?.last;
        inner.guarded("a checkpoint", || inner.checkpoint_through(target))?;
        inner.observing.let_go();
        Ok(())
    }

    /// Seals all rows and joins the segments of each collection into one without dead rows, so that
    /// the store takes the least space. Writers and readers go on meanwhile.
    ///
    /// *Durability*: changes nothing of what is durable. *Units and limits*: needs as much free
    /// space as the largest collection takes.
    ///
    /// # Errors
    /// Those of [`Store::checkpoint`]; `Corrupt` where a collection is damaged, behind all others.
    ///
    /// # Examples
    /// ```
    /// # use quiver_store::{Descriptor, DistanceMetric, Dtype, Env, Options, Store};
    /// # let store = Store::open_with(Env::memory(), Options::default())?;
    /// # let id = store.create_collection("a", Descriptor::new(1, Dtype::F32, DistanceMetric::L2))?;
    /// for round in 0..3 {
    ///     store.upsert(id, "x", &[1.0], &[round])?;
    ///     store.checkpoint()?;
    /// }
    /// store.compact()?;
    /// assert_eq!(store.stats()?.segments, 1);
    /// # Ok::<(), quiver_store::Error>(())
    /// ```
    pub fn compact(&self) -> Result<()> {
        self.compact_with(|_| ControlFlow::Continue(()))
    }

    /// As [`Store::compact`], asking between steps whether to go on. Where it breaks off, what was
    /// done for other collections stays done.
    ///
    /// # Errors
    /// Those of [`Store::checkpoint`].
    pub fn compact_with(
        &self,
        mut go_on: impl FnMut(CompactProgress) -> ControlFlow<()>,
    ) -> Result<()> {
        self.checkpoint()?;
        let inner = &*self.inner;
        // Only the ids: a version that is held keeps the files of all merges.
        let ids: Vec<CollectionId> =
            reading(&inner.live)?.version.collections.keys().copied().collect();
        let mut damaged = None;
        for id in ids {
            match inner.compact_one(id, &mut go_on) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => return Ok(()),
                // The others are compacted all the same.
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    damaged.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        damaged.map_or(Ok(()), Err)
    }

    /// One bounded step of background work; whether there was any to do. Call it when idle.
    ///
    /// A step of a checkpoint, if one is under way or due by [`crate::Options::memtable_bytes_max`],
    /// [`crate::Options::log_size_bytes_max`] or [`crate::Options::log_files_max`], or for a drop on a
    /// full disk; else of a merge;
    /// else the removal of files that no reader needs any more, or a proof frame behind records that
    /// nothing proves yet, so that damage to them is told apart from a crash.
    ///
    /// # Errors
    /// Those of the disk. Nothing that was acknowledged is touched; call it again later.
    pub fn maintain(&self) -> Result<bool> {
        let inner = &*self.inner;
        inner.observing.check_outside()?;
        inner.observing.let_go();
        let worked = inner
            .guarded("background work", || Ok(inner.maintain_once()?.is_some() || inner.prove()?));
        if worked? {
            return Ok(true);
        }
        inner.spares.release();
        Ok(false)
    }
}

impl Inner {
    /// Seals up to an LSN, and removes what nothing needs.
    fn checkpoint_through(&self, target: Lsn) -> Result<()> {
        self.seal_through(target)?;
        self.give_up_merge(&mut *self.lock_jobs()?)?;
        let mut on_disk = self.lock_on_disk()?;
        on_disk.check_latch()?;
        self.reclaim_found(&mut on_disk)?;
        // Where there is no room for it yet, the next write says so.
        let _ = full_disk::set_aside(&self.tools(), &mut on_disk);
        Ok(())
    }

    /// One step of a checkpoint or a merge, or else the removal of files; bytes of work, or none where
    /// there was none.
    pub(super) fn maintain_once(&self) -> Result<Option<u64>> {
        {
            let mut jobs = self.lock_jobs()?;
            self.lock_on_disk()?.check_latch()?;
            if let Some(bytes) = self.step(&mut jobs)? {
                return Ok(Some(bytes));
            }
        }
        let mut on_disk = self.lock_on_disk()?;
        on_disk.check_latch()?;
        let orphans = on_disk.orphans.len();
        self.reclaim_found(&mut on_disk)?;
        Ok((on_disk.orphans.len() < orphans).then_some(0))
    }

    /// Appends a proof frame behind records that nothing proves yet; whether there were any.
    pub(super) fn prove(&self) -> Result<bool> {
        let mut on_disk = self.lock_on_disk()?;
        on_disk.check_latch()?;
        if !on_disk.can_prove() {
            return Ok(false);
        }
        self.state(&mut on_disk, FrameKind::Proof)?;
        Ok(true)
    }

    /// Removes the orphans that nobody holds, those that the open found included, for which this
    /// process has to publish once (R1). Keys of creations that came to nothing are among them.
    fn reclaim_found(&self, on_disk: &mut OnDisk) -> Result<()> {
        on_disk.orphan_keys();
        if !on_disk.orphans.is_empty() && !on_disk.has_published {
            publish(&self.tools(), on_disk, |_| {})?;
        }
        reclaim(&self.tools(), on_disk);
        Ok(())
    }

    /// Merges what a collection has now, to the end. Where the caller is asked no lock is held and no step is
    /// under way: a panic of his leaves a merge that the next work goes on with.
    fn compact_one(
        &self,
        id: CollectionId,
        go_on: &mut impl FnMut(CompactProgress) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        // Whether the merge that was begun here is published.
        let mut published: Option<Arc<AtomicBool>> = None;
        let what = "a compaction";
        while let Some(progress) = self.guarded(what, || self.begin_whole(id, &mut published))? {
            let flow = go_on(progress);
            self.guarded(what, || self.go_on_or_undo(flow))?;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Begins a merge of all that a collection has, where none is under way; how far that one is. Nothing
    /// where there is none to begin. A checkpoint that is under way goes first.
    fn begin_whole(
        &self,
        id: CollectionId,
        published: &mut Option<Arc<AtomicBool>>,
    ) -> Result<Option<CompactProgress>> {
        loop {
            let mut jobs = self.lock_jobs()?;
            self.lock_on_disk()?.check_latch()?;
            if jobs.rotation.is_some() {
                self.step_checkpoint(&mut jobs)?;
                continue;
            }
            if jobs.merge.is_none() {
                let version = Arc::clone(&reading(&self.live)?.version);
                let found = version.collections.get(&id);
                if let Some(damage) = found.and_then(|found| found.damage_met()) {
                    return Err(damage);
                }
                let whole = found.and_then(|found| Merge::whole(found, &self.cache));
                // One that somebody else's step undid begins again.
                let is_done =
                    published.as_ref().is_some_and(|published| published.load(Ordering::Relaxed));
                let (Some(whole), false) = (whole, is_done) else { return Ok(None) };
                *published = Some(Arc::clone(&whole.published));
                jobs.merge = Some(whole);
            }
            let merge = jobs.merge.as_ref().expect("set above where there was none");
            let (collection, rows_done) = (merge.inputs.id, merge.rows_done);
            return Ok(Some(CompactProgress { collection, rows_done, rows: merge.rows() }));
        }
    }

    /// One step of the merge under way, or its end without a result.
    fn go_on_or_undo(&self, flow: ControlFlow<()>) -> Result<()> {
        let mut jobs = self.lock_jobs()?;
        if flow.is_break() {
            let made = jobs.merge.take().map(Merge::into_made).unwrap_or_default();
            discard(&self.tools(), &mut *self.lock_on_disk()?, made);
            return Ok(());
        }
        // Someone else may have begun a checkpoint, or ended the merge.
        if jobs.rotation.is_none() && jobs.merge.is_some() {
            self.step_merge(&mut jobs)?;
        }
        Ok(())
    }
}
