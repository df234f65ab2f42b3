//! A thread of a store's own: begun when it is first needed, woken, and ended for good.
//!
//! - W1. A body is run once. It sleeps on its worker's bell and ends soon after [`Worker::is_ending`]
//!   says so.
//! - W2. Behind [`Worker::end`] the thread is gone and none will be begun, unless that thread itself
//!   asked for it.
//! - W3. A thread that could not be begun is not tried again: its work is done without one.

use crate::error::Result;
use crate::sync::{Arc, AtomicBool, AtomicU8, Mutex, Ordering, locked};
use crate::vfs::{Bell, Thread, Threads};

/// How a thread waits for work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Rest {
    /// It works, or is about to look for work.
    Awake,
    /// It sleeps for a while, and looks for work then.
    Dozing,
    /// It sleeps until it is woken.
    Asleep,
}

#[derive(Debug)]
enum State {
    Unborn,
    Running(Box<dyn Thread>),
    /// There is none and there will be none.
    Ended,
}

/// A thread of a store's own.
#[derive(Debug)]
pub(super) struct Worker {
    name: &'static str,
    threads: Option<Arc<dyn Threads>>,
    bell: Option<Arc<dyn Bell>>,
    state: Mutex<State>,
    rest: AtomicU8,
    /// Whether wakes need no lock: it runs.
    is_running: AtomicBool,
    is_ending: AtomicBool,
}

impl Worker {
    /// A worker whose thread is not begun yet; one that never has any where there are no threads.
    pub(super) fn new(name: &'static str, threads: Option<Arc<dyn Threads>>) -> Self {
        Self {
            name,
            bell: threads.as_ref().map(|threads| threads.bell()),
            state: Mutex::new(if threads.is_some() { State::Unborn } else { State::Ended }),
            threads,
            rest: AtomicU8::new(Rest::Awake as u8),
            is_running: AtomicBool::new(false),
            is_ending: AtomicBool::new(false),
        }
    }

    /// Begins the thread if need be; whether there is one.
    pub(super) fn begin(&self, body: impl FnOnce() -> Box<dyn FnOnce() + Send>) -> Result<bool> {
        if self.is_running.load(Ordering::Acquire) {
            return Ok(true);
        }
        let Some(threads) = &self.threads else { return Ok(false) };
        let mut state = locked(&self.state)?;
        if !matches!(*state, State::Unborn) {
            return Ok(matches!(*state, State::Running(_)));
        }
        match threads.spawn(self.name, body()) {
            Ok(thread) => {
                *state = State::Running(thread);
                self.is_running.store(true, Ordering::Release);
                Ok(true)
            }
            Err(error) => {
                tracing::warn!(%error, thread = self.name, "cannot begin a thread");
                *state = State::Ended;
                Ok(false)
            }
        }
    }

    /// Wakes the thread where it rests as deeply as given, or deeper.
    pub(super) fn wake_from(&self, rest: Rest) {
        if self.rest.load(Ordering::SeqCst) >= rest as u8 {
            self.rest.store(Rest::Awake as u8, Ordering::SeqCst);
            self.ring();
        }
    }

    fn ring(&self) {
        if let Some(bell) = &self.bell {
            bell.ring();
        }
    }

    /// Inside of the thread: says how it will rest. It looks for work once more behind this, so that
    /// none is missed that came before.
    pub(super) fn lie_down(&self, rest: Rest) {
        self.rest.store(rest as u8, Ordering::SeqCst);
    }

    /// Inside of the thread: sleeps until it is woken, which it returns, or a time has passed.
    pub(super) fn sleep(&self, us_max: Option<u64>) -> bool {
        let has_rung =
            !self.is_ending() && self.bell.as_ref().is_some_and(|bell| bell.wait(us_max));
        self.rest.store(Rest::Awake as u8, Ordering::SeqCst);
        has_rung
    }

    /// Whether the thread is to end.
    pub(super) fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::SeqCst)
    }

    /// Asks the thread to end, without waiting for it.
    pub(super) fn ask_to_end(&self) {
        self.is_ending.store(true, Ordering::SeqCst);
        self.ring();
    }

    /// Ends the thread and waits for that (W2). The caller holds no lock that the thread takes.
    pub(super) fn end(&self) {
        self.ask_to_end();
        let ended = match locked(&self.state) {
            Ok(mut state) => std::mem::replace(&mut *state, State::Ended),
            Err(_) => return,
        };
        if let State::Running(thread) = ended {
            thread.join();
        }
    }
}
