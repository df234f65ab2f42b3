//! Close and background work.

use std::task::Waker;

use crate::error::Result;
use crate::replication::Observer;
use crate::request::wake_all;
use crate::store::jobs::Jobs;
use crate::store::merge::Merge;
use crate::store::on_disk::OnDisk;
use crate::store::panics::Woken;
use crate::store::reclaim::discard;
use crate::store::seal::Seal;
use crate::store::{Inner, Store};
use crate::sync::{Ordering, locked};
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
    /// same, and nothing is lost. `Closed` if it was closed before. `Latched` if a thread panicked inside
    /// of it: it is closed by the drop of the last handle.
    pub fn close(&self) -> Result<()> {
        let inner = &*self.inner;
        inner.observing.check_outside()?;
        // It may hold a handle of this store. Dropped behind the locks: what it does then is its own.
        let mut _observer = Observer::default();
        let mut woken = Woken::default();
        let closed = inner.guarded("a close", || inner.end(&mut woken.0, &mut _observer))?;
        inner.background.end();
        wake_all(std::mem::take(&mut woken.0));
        closed
    }
}

impl Inner {
    /// Commits what waits and takes nothing more; whether the log was closed. `wakers` are those of tasks
    /// that are answered, whatever becomes of it, and `observer` is the one that there was.
    fn end(&self, wakers: &mut Vec<Waker>, observer: &mut Observer) -> Result<Result<()>> {
        // A step that is under way ends first; none follows.
        let mut jobs = self.lock_jobs()?;
        let mut on_disk = self.lock_on_disk()?;
        loop {
            let mut driven = self.drive(&mut on_disk)?;
            wakers.append(&mut driven.wakers);
            if driven.answered == 0 {
                break;
            }
        }
        *observer = std::mem::take(&mut *locked(&self.observing.observer)?);
        let Jobs { seal, merge, .. } = std::mem::take(&mut *jobs);
        let made = seal.map(Seal::into_made).into_iter().chain(merge.map(Merge::into_made));
        if on_disk.latched.is_none() {
            discard(&self.tools(), &mut on_disk, made.flatten());
        }
        self.closed.store(true, Ordering::Release);
        wakers.append(&mut self.queue.close()?);
        let closed = self.state(&mut on_disk, FrameKind::Closing);
        on_disk.log = None;
        on_disk.lock = None;
        Ok(closed)
    }

    /// Appends a frame that states the last durable LSN, without a sync: all that it speaks of is
    /// durable, and a statement that is lost proves nothing and harms nothing.
    pub(super) fn state(&self, on_disk: &mut OnDisk, kind: FrameKind) -> Result<()> {
        let durable = on_disk.log_end.lsn;
        let Some(log) = &mut on_disk.log else { return Ok(()) };
        log.prepare_statement(kind, durable)?;
        let written = log.append();
        match &written {
            Ok(()) => on_disk.unproved = false,
            // The file may hold a torn frame now and takes no more (W3).
            Err(_) => on_disk.log = None,
        }
        written
    }
}
