//! Does background work: picks the step that is due, and the writers' share of it.
//!
//! See [`crate::store::jobs`] for what is under way and which lock guards it.

use std::io;

use crate::error::{Error, ErrorKind, Result};
use crate::ids::Lsn;
use crate::store::jobs::Jobs;
use crate::store::merge::Merge;
use crate::store::on_disk::OnDisk;
use crate::store::pace::{Load, pressure};
use crate::store::park::can_unpark;
use crate::store::reclaim::discard;
use crate::store::seal::Seal;
use crate::store::{Inner, full_disk};
use crate::sync::{Arc, Ordering, locked, reading, try_locked};

/// Bytes of background work that a group of writes does for each of its own: a row is written once
/// by a seal and a few times by merges.
const WORK_PER_BYTE: u64 = 4;

/// How many groups pass between work that failed and the next try by itself.
const GROUPS_BETWEEN_TRIES: u32 = 64;

impl Inner {
    /// One step of whatever is due; how many bytes of work it was, or nothing to do.
    ///
    /// # Errors
    /// Those of the disk: the job is undone (J3).
    pub(super) fn step(&self, jobs: &mut Jobs) -> Result<Option<u64>> {
        let is_due = jobs.rotation.is_some() || self.checkpoint_is_due(&*self.lock_on_disk()?);
        if is_due {
            return self.step_checkpoint(jobs).map(Some);
        }
        if jobs.merge.is_none() {
            let version = Arc::clone(&reading(&self.live)?.version);
            jobs.merge = Merge::due(&version, &self.cache, self.options.merge_factor);
        }
        if jobs.merge.is_some() {
            return self.step_merge(jobs).map(Some);
        }
        self.has_work.store(false, Ordering::Relaxed);
        Ok(None)
    }

    /// One step of a checkpoint: a log switch if none waits for its seal, else of the seal. Where the
    /// reserve could be given back for one that found the disk full, it is begun anew at once.
    pub(super) fn step_checkpoint(&self, jobs: &mut Jobs) -> Result<u64> {
        self.has_work.store(true, Ordering::Relaxed);
        loop {
            let stepped = match jobs.rotation {
                None => self.rotate(jobs),
                Some(_) => self.step_seal(jobs),
            };
            let Err(error) = &stepped else { return stepped };
            let made = jobs.seal.take().map(Seal::into_made);
            // This ends: a reserve is there again only once the disk had room for it.
            if !self.undo(made.unwrap_or_default(), error, true)? {
                return stepped;
            }
        }
    }

    /// One step of the merge under way.
    pub(super) fn step_merge(&self, jobs: &mut Jobs) -> Result<u64> {
        self.has_work.store(true, Ordering::Relaxed);
        self.give_up_merge(jobs)?;
        if jobs.merge.is_none() {
            return Ok(0);
        }
        let stepped = self.merge_rows(jobs);
        if let Err(error) = &stepped {
            let merge = jobs.merge.take();
            if let (ErrorKind::Corrupt, Some(merge)) = (error.kind(), &merge) {
                // It is not begun again behind every write.
                self.note_damage(merge.inputs.id, error)?;
            }
            self.undo(merge.map(Merge::into_made).unwrap_or_default(), error, false)?;
        }
        stepped
    }

    /// Removes the files of a job that failed (J3); whether there is more room now.
    fn undo(&self, made: Vec<String>, error: &Error, frees_space: bool) -> Result<bool> {
        tracing::warn!(%error, files = made.len(), "a step of background work failed");
        let mut on_disk = locked(&self.on_disk)?;
        // From a failed rename on, a crash may leave the manifest that names them.
        if on_disk.latched.is_some() {
            return Ok(false);
        }
        // Someone removed the directory of a store that is open: what the log still takes would be
        // lost with it. A single file may be missing because a sync of the directory lost its name.
        if error.io_kind() == Some(io::ErrorKind::NotFound) && self.is_directory_gone() {
            on_disk.latched = Some(format!("its directory is gone: {error}"));
            return Ok(false);
        }
        discard(&self.tools(), &mut on_disk, made);
        Ok(frees_space && full_disk::give_back(&self.tools(), &mut on_disk, error))
    }

    fn is_directory_gone(&self) -> bool {
        let listed = self.disk.read_dir(self.disk.root());
        listed.is_err_and(|error| error.io_kind() == Some(io::ErrorKind::NotFound))
    }

    /// Seals until every operation up to an LSN is in segments.
    pub(super) fn seal_through(&self, target: Lsn) -> Result<()> {
        loop {
            let mut jobs = self.lock_jobs()?;
            {
                let on_disk = self.lock_on_disk()?;
                let live = reading(&self.live)?;
                on_disk.check_latch()?;
                let is_sealed = on_disk.manifest.sealed >= target;
                if jobs.rotation.is_none() && is_sealed && !can_unpark(&on_disk, &live) {
                    return Ok(());
                }
            }
            self.step_checkpoint(&mut jobs)?;
        }
    }

    /// Does background work behind a group of writes, in proportion to its size; all that is under
    /// way where writes have run ahead of it (J4).
    pub(super) fn work(&self, written_bytes: u64) -> Result<()> {
        let (owed, is_behind) = {
            let mut on_disk = self.lock_on_disk()?;
            // Nothing can be published any more: what a step made would stay until the next open.
            if on_disk.latched.is_some() {
                return Ok(());
            }
            let is_idle = !self.has_work.load(Ordering::Relaxed);
            if is_idle && !self.checkpoint_is_due(&on_disk) {
                on_disk.owed_bytes = 0;
                return Ok(());
            }
            on_disk.owed_bytes += written_bytes.saturating_mul(WORK_PER_BYTE);
            let rests = on_disk.rests > 0;
            on_disk.rests = on_disk.rests.saturating_sub(1);
            let is_behind = self.is_behind(&on_disk);
            if rests || (on_disk.owed_bytes < self.options.step_bytes && !is_behind) {
                return Ok(());
            }
            (std::mem::take(&mut on_disk.owed_bytes), is_behind)
        };
        // Where someone else does a step now, that is enough, unless writes have run ahead.
        let mut jobs = match try_locked(&self.jobs)? {
            Some(jobs) => jobs,
            None if is_behind => self.lock_jobs()?,
            None => return Ok(()),
        };
        let mut done = 0;
        while done < owed || self.is_behind(&*self.lock_on_disk()?) {
            match self.step(&mut jobs) {
                Ok(Some(bytes)) => done += bytes.max(1),
                Ok(None) => break,
                Err(error) if error.kind() == ErrorKind::Closed => return Err(error),
                Err(_) => {
                    // The writes are acknowledged. Trying again behind each of them would make a
                    // full disk slow as well.
                    locked(&self.on_disk)?.rests = GROUPS_BETWEEN_TRIES;
                    break;
                }
            }
        }
        Ok(())
    }

    /// Whether a checkpoint is due, by what recovery would have to read, by memory, or by what a drop
    /// leaves to be freed.
    pub(super) fn checkpoint_is_due(&self, on_disk: &OnDisk) -> bool {
        let options = &self.options;
        on_disk.log_bytes() > options.log_size_bytes_max
            || on_disk.manifest.logs.len() as u64 > options.log_files_max
            || on_disk.memtable_bytes > options.memtable_bytes_max
            || full_disk::drop_frees_space(on_disk)
    }

    /// What there is to do, for writers to know; they are slowed down by how far it is behind.
    pub(super) fn load(&self, on_disk: &OnDisk) -> Load {
        let options = &self.options;
        let by_memory = pressure(
            on_disk.memtable_bytes as u64,
            options.memtable_bytes_max as u64,
            options.memtable_bytes_max as u64 / 2 * 3,
        );
        let log_bytes_max = options.log_size_bytes_max;
        let by_log = pressure(on_disk.log_bytes(), log_bytes_max, log_bytes_max * 2);
        let is_failing = on_disk.rests > 0;
        let by_rows = if is_failing { 0 } else { by_memory.max(by_log) };
        self.background.pace.set_by_rows(by_rows);
        Load {
            is_due: self.has_work.load(Ordering::Relaxed) || self.checkpoint_is_due(on_disk),
            // Where work failed, writers count the groups until it is tried again.
            is_behind: is_failing || self.is_behind(on_disk),
        }
    }

    /// Whether writers have to wait for the work they are owed.
    fn is_behind(&self, on_disk: &OnDisk) -> bool {
        let options = &self.options;
        on_disk.rests == 0
            && (full_disk::drop_frees_space(on_disk)
                || on_disk.manifest.logs.len() as u64 > options.log_files_max
                || on_disk.log_bytes() / 2 > options.log_size_bytes_max
                || on_disk.memtable_bytes / 3 * 2 > options.memtable_bytes_max)
    }
}
