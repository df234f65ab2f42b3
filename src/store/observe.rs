//! The commit observer: is shown every durable operation once, in order.
//!
//! - O1. An entry is shown behind its commit: it is durable, visible and answered.
//! - O2. Entries are shown in LSN order, each once for each observer that was set. All of it happens
//!   under the lock of the disk state, which no reader takes.
//! - O3. An observer may read rows. It may not write, checkpoint, close or ask for what the lock of the
//!   disk state or of the jobs guards: each would wait for itself, and is refused instead.
//! - O4. An observer that panics is not called again, and the store takes no more writes: whoever
//!   follows it would miss something.
//! - O5. An observer is dropped where no lock is held: it may hold the last handle of the store, whose
//!   drop waits for the store's threads.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{Error, Result};
use crate::file_names::FileName;
use crate::ids::Lsn;
use crate::manifest::LogEnd;
use crate::replication::{CommitObserver, WalEntry, WalOp, entries};
use crate::store::on_disk::OnDisk;
use crate::store::{Inner, Store};
use crate::sync::{locked, thread_id};
use crate::vfs::Access;
use crate::wal::frame::Batch;
use crate::wal::reader::{Expected, LogReader};

impl Store {
    /// Shows every operation that commits from now on to an observer, in the place of the one before.
    ///
    /// It is called in the thread that commits, behind the commit, in LSN order, each entry once; a
    /// slow one makes writers wait, never readers. It is told of each checkpoint too. It may read rows
    /// from the store; calls that change, checkpoint or close it are refused, and so are those that wait
    /// for a commit, such as [`Store::stats`]. One that holds a handle of the store keeps the store
    /// open, until it is replaced, cleared or let go of by [`Store::close`].
    ///
    /// *Durability*: what an observer was shown survives power loss.
    ///
    /// # Errors
    /// `Closed`; `InvalidArgument` inside an observer.
    ///
    /// # Examples
    /// ```
    /// # use std::sync::{Arc, Mutex};
    /// # use quiver_store::{Descriptor, DistanceMetric, Dtype, Env, Options, Store};
    /// # let store = Store::open_with(Env::memory(), Options::default())?;
    /// # let id = store.create_collection("a", Descriptor::new(1, Dtype::F32, DistanceMetric::L2))?;
    /// let seen = Arc::new(Mutex::new(Vec::new()));
    /// let list = Arc::clone(&seen);
    /// store.set_commit_observer(Arc::new(move |entry| {
    ///     list.lock().expect("no panic").push(entry.clone());
    /// }))?;
    /// let lsn = store.upsert(id, "x", &[1.0], b"")?;
    /// assert_eq!(seen.lock().expect("no panic")[0].lsn, lsn);
    /// # Ok::<(), quiver_store::Error>(())
    /// ```
    pub fn set_commit_observer(&self, observer: CommitObserver) -> Result<()> {
        self.inner.observing.check_outside()?;
        let commits_wait = self.lock_on_disk()?;
        let replaced = self.inner.observing.replace(Some(observer));
        drop(commits_wait);
        self.inner.observing.let_go();
        replaced
    }

    /// As [`Store::set_commit_observer`], and shows it first what was committed behind an LSN, out of
    /// the log: how it catches up after a reopen.
    ///
    /// # Errors
    /// `NotFound` where the log does not go back so far, because a checkpoint dropped it: begin with a
    /// [`Store::replication_snapshot`]. `InvalidArgument` for an LSN that is not visible yet;
    /// `KeyUnavailable` where records are of a collection whose key is missing; `Io` and `Corrupt` from
    /// the log. The observer is not set then, though it may have been shown something.
    pub fn set_commit_observer_from(&self, after: Lsn, observer: CommitObserver) -> Result<()> {
        self.inner.observing.check_outside()?;
        let replaced = self.inner.guarded("a read of the log for an observer", || {
            let mut on_disk = self.lock_on_disk()?;
            self.inner.catch_up(&mut on_disk, after, &observer)?;
            self.inner.observing.replace(Some(observer))
        });
        self.inner.observing.let_go();
        replaced
    }

    /// Shows nothing to anybody any more.
    ///
    /// # Errors
    /// Those of [`Store::set_commit_observer`].
    pub fn clear_commit_observer(&self) -> Result<()> {
        self.inner.observing.check_outside()?;
        let commits_wait = self.lock_on_disk()?;
        let replaced = self.inner.observing.replace(None);
        drop(commits_wait);
        self.inner.observing.let_go();
        replaced
    }
}

impl Inner {
    /// Shows a batch that was committed (O1).
    pub(super) fn observe(&self, on_disk: &mut OnDisk, first: Lsn, batch: &Batch) {
        let observer = match self.observing.observer() {
            Ok(None) => return,
            Ok(Some(observer)) => observer,
            Err(error) => {
                on_disk.latched.get_or_insert(error.to_string());
                return;
            }
        };
        let shown = entries(first, batch, |entry| self.show(&observer, &entry));
        if let Err(error) = shown {
            self.stop_observing(on_disk, &error);
        }
    }

    /// Shows that a checkpoint was published.
    pub(super) fn observe_checkpoint(&self, on_disk: &mut OnDisk) {
        let Ok(Some(observer)) = self.observing.observer() else { return };
        let (lsn, manifest_version) = (on_disk.manifest.sealed, on_disk.manifest.version);
        let op = WalOp::Checkpoint { last_checkpointed_lsn: lsn, manifest_version };
        if let Err(error) = self.show(&observer, &WalEntry { lsn, op, ends_batch: true }) {
            self.stop_observing(on_disk, &error);
        }
    }

    fn stop_observing(&self, on_disk: &mut OnDisk, error: &Error) {
        tracing::error!(%error, "latched");
        on_disk.latched.get_or_insert(error.to_string());
        // The locks are poisoned where this fails: nobody is called any more.
        let _ = self.observing.replace(None);
    }

    /// Calls an observer (O3, O4).
    fn show(&self, observer: &CommitObserver, entry: &WalEntry) -> Result<()> {
        *locked(&self.observing.inside)? = Some(thread_id());
        let called = catch_unwind(AssertUnwindSafe(|| observer(entry)));
        *locked(&self.observing.inside)? = None;
        called.map_err(|_| {
            let lsn = entry.lsn;
            Error::new(
                crate::error::ErrorKind::Latched,
                format!("the commit observer panicked at LSN {lsn}"),
            )
        })
    }

    /// Shows what the log holds behind an LSN. No commit and no publish comes between: the caller
    /// holds the disk state.
    fn catch_up(&self, on_disk: &mut OnDisk, after: Lsn, observer: &CommitObserver) -> Result<()> {
        let last = on_disk.log_end.lsn;
        if after > last {
            let what = format!("an observer behind LSN {after}, the last one is {last}");
            return Err(Error::invalid(what));
        }
        if after == last {
            return Ok(());
        }
        let base = on_disk.manifest.logs.first().map_or(last.next(), |log| log.base);
        if after.next() < base {
            let what = format!(
                "the log begins at LSN {base}, behind LSN {after}: begin with a replication snapshot"
            );
            return Err(Error::not_found(what));
        }
        let logs = on_disk.manifest.logs.clone();
        for log in &logs {
            let LogEnd { lsn: end, offset } = log.end.unwrap_or(on_disk.log_end);
            if end < log.base || end <= after {
                continue;
            }
            let name = FileName::Log(log.file, log.salt.into()).text();
            let file = self.disk.open(&name, Access::Read)?;
            let expected =
                Expected { store: self.store, file: log.file, salt: log.salt, base: log.base };
            let window = self.options.log_window_bytes;
            let mut reader = LogReader::start(file, &expected, window, &self.keys)?;
            let mut panicked = false;
            let read = reader.read_closed(end, offset, |frame| {
                if frame.last <= after {
                    return Ok(());
                }
                entries(frame.first, &frame.batch, |entry| {
                    if entry.lsn <= after {
                        return Ok(());
                    }
                    self.show(observer, &entry).inspect_err(|_| panicked = true)
                })
            });
            if let (Err(error), true) = (&read, panicked) {
                self.stop_observing(on_disk, error);
            }
            read?;
        }
        Ok(())
    }
}
