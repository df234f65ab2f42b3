//! A panic inside of the store, in a thread of its own or of a caller: the store is latched.
//!
//! - A1. What the panic left half changed is behind a lock that it poisoned, or was not changed. Either
//!   way no write is taken any more: what waits, and whatever is asked later, is answered `Latched`,
//!   with the words of the panic. Reads go on.
//! - A2. The group that was being committed is answered `Unknown`: it may be in the log.
//! - A3. Nobody sleeps for good: threads that wait and tasks that await are woken, where no lock is held.
//! - A4. The panic goes on: whose thread it is sees it, and a thread of the store ends.
//! - A5. Guarded is whatever holds the lock of the jobs or of the disk state while it calls what is not the
//!   engine's own: disk, codec, ring, entropy, clock. A panic of a caller's closure that is called between
//!   steps, where no lock is held, or while something is only read, is his alone: nothing is half changed.
//!
//! **A crash leaves** what a crash at the moment of the panic would have left.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::Waker;

use crate::error::{Error, ErrorKind};
use crate::request::{Ticket, wake_all};
use crate::store::Inner;
use crate::sync::locked;

impl Inner {
    /// Does a part of the store's work. The caller holds no lock.
    pub(super) fn guarded<T>(&self, what: &str, work: impl FnOnce() -> T) -> T {
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(done) => done,
            Err(panic) => {
                self.latch_behind_panic(format!("{what} panicked: {}", words(&*panic)));
                resume_unwind(panic)
            }
        }
    }

    fn latch_behind_panic(&self, why: String) {
        tracing::error!(%why, "latched");
        // The first one is the cause of those behind it.
        let why = self.panicked.get_or_init(|| why);
        // Where this lock is poisoned, whoever takes it is refused by that.
        if let Ok(mut on_disk) = locked(&self.on_disk) {
            on_disk.latched.get_or_insert_with(|| why.clone());
        }
        if let Ok(wakers) = self.queue.refuse(latched(why)) {
            wake_all(wakers);
        }
    }

    /// The error of a lock that a panic poisoned, with the words of the panic.
    pub(super) fn told(&self, error: Error) -> Error {
        self.panicked.get().map_or(error, |why| latched(why))
    }
}

fn latched(why: &str) -> Error {
    let text = format!("the store takes no writes until it is reopened: {why}");
    Error::new(ErrorKind::Latched, text)
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without words")
}

/// Tasks that are to be woken once no lock is held. A panic on the way there does not keep them asleep (A3).
#[derive(Default)]
pub(super) struct Woken(pub(super) Vec<Waker>);

impl Drop for Woken {
    fn drop(&mut self) {
        // One panic is under way, or nothing is left to be woken.
        let _ = catch_unwind(AssertUnwindSafe(|| wake_all(std::mem::take(&mut self.0))));
    }
}

/// The tickets of a group that is being committed: each has its answer when this is dropped (A2).
pub(super) struct Group<'i>(pub(super) &'i Inner, pub(super) Vec<Ticket>);

impl Drop for Group<'_> {
    fn drop(&mut self) {
        let Self(inner, tickets) = self;
        let is_left_out = |ticket: &mut Ticket| ticket.poll().is_none();
        let left_out: Vec<Ticket> = tickets.extract_if(.., is_left_out).collect();
        if left_out.is_empty() {
            return;
        }
        let what = "a thread panicked while it was committed: it may or may not survive a reopen";
        left_out.iter().for_each(|it| it.answer(Err(Error::new(ErrorKind::Unknown, what))));
        // Their tasks are woken behind the locks.
        inner.queue.leave(left_out);
    }
}
