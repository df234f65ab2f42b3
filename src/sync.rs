//! Locks of the engine, in one place: threads of an exhaustive scheduler can stand behind it, and
//! a lock whose holder panicked is an error here, never a second panic.

pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard, RwLock, Weak};
use std::sync::{RwLockReadGuard, RwLockWriteGuard, TryLockError};

use crate::error::{Error, ErrorKind, Result};

/// Takes a lock.
///
/// # Errors
/// `Latched` if a thread panicked while it held the lock: what it guards may be half changed.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> Result<MutexGuard<'_, T>> {
    mutex.lock().map_err(|_| panicked())
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
    std::thread::yield_now();
}

fn panicked() -> Error {
    Error::new(ErrorKind::Latched, "a thread panicked inside the store; reopen it")
}
