//! Locks, atomics and threads of the engine, in one place: `--cfg shuttle` puts those of a scheduler
//! that explores schedules behind it, here and nowhere else. A lock whose holder panicked is an
//! error, never a second panic.

#[cfg(shuttle)]
use shuttle as threads;
#[cfg(not(shuttle))]
use std as threads;

use std::sync::TryLockError;
// Held for no longer than it takes to move a value in: nothing to schedule.
pub(crate) use std::sync::{OnceLock, PoisonError};

pub(crate) use threads::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};
pub(crate) use threads::sync::{Arc, Condvar, Mutex, MutexGuard, RwLock, Weak};
use threads::sync::{RwLockReadGuard, RwLockWriteGuard};
pub(crate) use threads::thread::ThreadId;

use crate::error::{Error, ErrorKind, Result};

/// Takes a lock.
///
/// # Errors
/// `Latched` if a thread panicked while it held the lock: what it guards may be half changed.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> Result<MutexGuard<'_, T>> {
    mutex.lock().map_err(|_| panicked())
}

/// Takes a lock on a value that is only ever replaced whole: it is right even behind a holder who panicked.
pub(crate) fn locked_whole<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a lock that nobody holds, or none; errors as [`locked`].
pub(crate) fn try_locked<T>(mutex: &Mutex<T>) -> Result<Option<MutexGuard<'_, T>>> {
    match mutex.try_lock() {
        Ok(guard) => Ok(Some(guard)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Poisoned(_)) => Err(panicked()),
    }
}

/// Takes a lock for reading; errors as [`locked`].
pub(crate) fn reading<T>(lock: &RwLock<T>) -> Result<RwLockReadGuard<'_, T>> {
    lock.read().map_err(|_| panicked())
}

/// Takes a lock for writing; errors as [`locked`].
pub(crate) fn writing<T>(lock: &RwLock<T>) -> Result<RwLockWriteGuard<'_, T>> {
    lock.write().map_err(|_| panicked())
}

/// Waits for a condition; errors as [`locked`].
pub(crate) fn wait<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
) -> Result<MutexGuard<'a, T>> {
    condvar.wait(guard).map_err(|_| panicked())
}

/// Lets other threads run.
pub(crate) fn yield_now() {
    threads::thread::yield_now();
}

/// Which thread this is.
pub(crate) fn thread_id() -> ThreadId {
    threads::thread::current().id()
}

fn panicked() -> Error {
    Error::new(ErrorKind::Latched, "a thread panicked inside the store; reopen it")
}
