//! Close and background work.

use std::sync::atomic::Ordering;

use crate::error::Result;
use crate::store::on_disk::OnDisk;
use crate::store::{Inner, Store};
use crate::wal::frame::FrameKind;

impl Store {
    /// Commits what waits, closes the log and gives the lock back. Every later call of any clone
    /// answers `Closed`.
    ///
    /// *Durability*: all that was acknowledged is durable already. The closing frame is not synced;
    /// where it survives, the next open need not look for the end of the log.
    ///
    /// # Errors
    /// `Io` or `Full` if the closing frame could not be written: the store is closed all the
    /// same, and nothing is lost. `Closed` if it was closed before.
    pub fn close(&self) -> Result<()> {
        let inner = &*self.inner;
        let mut on_disk = self.lock_on_disk()?;
        while inner.drive(&mut on_disk)? > 0 {}
        inner.closed.store(true, Ordering::Release);
        inner.queue.close()?;
        let closed = inner.state(&mut on_disk, FrameKind::Closing);
        on_disk.log = None;
        on_disk.lock = None;
        closed
    }

    /// One bounded step of background work; whether there was any to do. Call it when idle.
    ///
    /// Today: a checkpoint if the log has outgrown [`crate::Options::log_size_bytes_max`] or
    /// [`crate::Options::log_files_max`], else a
    /// proof frame behind records that nothing proves yet, so that damage to them is told apart
    /// from a crash.
    ///
    /// # Errors
    /// Those of the disk. Nothing that was acknowledged is touched; call it again later.
    pub fn maintain(&self) -> Result<bool> {
        let inner = &*self.inner;
        let mut on_disk = self.lock_on_disk()?;
        on_disk.check_latch()?;
        if inner.log_is_long(&on_disk) {
            inner.checkpoint(&mut on_disk)?;
            return Ok(true);
        }
        if !on_disk.unproved || on_disk.log.is_none() {
            return Ok(false);
        }
        inner.state(&mut on_disk, FrameKind::Proof)?;
        Ok(true)
    }
}

impl Inner {
    /// Appends a frame that states the last durable LSN, without a sync: all that it speaks of is
    /// durable, and a statement that is lost proves nothing and harms nothing.
    fn state(&self, on_disk: &mut OnDisk, kind: FrameKind) -> Result<()> {
        let durable = on_disk.log_end.lsn;
        let Some(log) = &mut on_disk.log else { return Ok(()) };
        log.prepare_statement(kind, durable, &self.codec)?;
        let written = log.append();
        match &written {
            Ok(()) => on_disk.unproved = false,
            // The file may hold a torn frame now and takes no more (W3).
            Err(_) => on_disk.log = None,
        }
        written
    }

    /// Whether a checkpoint is due, by bytes or files that recovery would have to read.
    pub(super) fn log_is_long(&self, on_disk: &OnDisk) -> bool {
        let ended = on_disk.manifest.logs.iter().filter_map(|log| log.end);
        let open = on_disk.log.as_ref().map_or(on_disk.log_end.offset, |log| log.bytes());
        let bytes = ended.map(|end| end.offset).fold(open, u64::saturating_add);
        let files = on_disk.manifest.logs.len() as u64;
        bytes > self.options.log_size_bytes_max || files > self.options.log_files_max
    }
}
