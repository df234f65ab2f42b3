//! Threads of the store's own, as threads of the schedule.
//!
//! Nothing sleeps here, so a wait with a time is over at once: whatever a thread does behind one is
//! done as early as may be.

use std::io;
use std::sync::Arc;

use quiver_store::vfs::{Bell, Thread, Threads};
use shuttle::sync::{Condvar, Mutex};
use shuttle::thread::{self, JoinHandle};

/// Begins threads of the schedule.
#[derive(Debug)]
pub(crate) struct OwnThreads;

impl Threads for OwnThreads {
    fn spawn(&self, name: &str, body: Box<dyn FnOnce() + Send>) -> io::Result<Box<dyn Thread>> {
        let begun = thread::Builder::new().name(name.to_owned()).spawn(body)?;
        Ok(Box::new(OwnThread(begun)))
    }

    fn bell(&self) -> Arc<dyn Bell> {
        Arc::new(OwnBell { has_rung: Mutex::new(false), rang: Condvar::new() })
    }
}

#[derive(Debug)]
struct OwnThread(JoinHandle<()>);

impl Thread for OwnThread {
    fn join(self: Box<Self>) {
        if self.0.thread().id() != thread::current().id() {
            self.0.join().expect("a panic of a thread ends the schedule");
        }
    }
}

#[derive(Debug)]
struct OwnBell {
    has_rung: Mutex<bool>,
    rang: Condvar,
}

impl Bell for OwnBell {
    fn ring(&self) {
        *self.has_rung.lock().expect("a panic ends the schedule") = true;
        self.rang.notify_all();
    }

    fn wait(&self, us_max: Option<u64>) -> bool {
        if us_max.is_some() {
            thread::yield_now();
        }
        let mut has_rung = self.has_rung.lock().expect("a panic ends the schedule");
        while us_max.is_none() && !*has_rung {
            has_rung = self.rang.wait(has_rung).expect("a panic ends the schedule");
        }
        std::mem::take(&mut *has_rung)
    }
}
