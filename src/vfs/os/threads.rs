//! Threads of the operating system.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::super::{Bell, Thread, Threads};

/// Threads of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsThreads;

impl OsThreads {
    /// The system's threads; none is begun yet.
    pub fn new() -> Self {
        Self
    }
}

impl Threads for OsThreads {
    fn spawn(&self, name: &str, body: Box<dyn FnOnce() + Send>) -> io::Result<Box<dyn Thread>> {
        let thread = thread::Builder::new().name(name.to_owned()).spawn(body)?;
        Ok(Box::new(OsThread(thread)))
    }

    fn bell(&self) -> Arc<dyn Bell> {
        Arc::new(OsBell::default())
    }
}

#[derive(Debug)]
struct OsThread(JoinHandle<()>);

impl Thread for OsThread {
    fn join(self: Box<Self>) {
        if self.0.thread().id() != thread::current().id() {
            // A panic has latched the store.
            let _ = self.0.join();
        }
    }
}

#[derive(Debug, Default)]
struct OsBell {
    has_rung: Mutex<bool>,
    rang: Condvar,
}

impl Bell for OsBell {
    fn ring(&self) {
        // No code of a caller runs under this lock, so it cannot be left half changed.
        *self.has_rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.rang.notify_all();
    }

    fn wait(&self, us_max: Option<u64>) -> bool {
        let mut has_rung = self.has_rung.lock().unwrap_or_else(PoisonError::into_inner);
        let silent = |has_rung: &mut bool| !*has_rung;
        has_rung = match us_max {
            None => self.rang.wait_while(has_rung, silent).unwrap_or_else(PoisonError::into_inner),
            Some(us) => {
                let waited =
                    self.rang.wait_timeout_while(has_rung, Duration::from_micros(us), silent);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        std::mem::take(&mut *has_rung)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_before_the_wait_ends_it_and_counts_once() {
        let bell = OsThreads::new().bell();
        bell.ring();
        bell.ring();
        assert!(bell.wait(None));
        assert!(!bell.wait(Some(1)), "it was taken");
    }

    #[test]
    fn a_thread_is_woken_and_joined() {
        let bell = OsThreads::new().bell();
        let inside = Arc::clone(&bell);
        let thread = OsThreads::new()
            .spawn("waits", Box::new(move || assert!(inside.wait(None))))
            .expect("a thread");
        bell.ring();
        thread.join();
    }
}
