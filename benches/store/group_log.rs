//! A plain preallocated log with group commit: what many threads that share a sync can reach at most.
//!
//! Whoever has to wait and finds no leader leads: it gives the others time to come, as the store does,
//! then writes all that waits with one call and syncs once.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Condvar, Mutex};
use std::thread;

use crate::Failure;
use crate::plain::filled;

#[derive(Debug)]
pub(crate) struct GroupLog {
    file: File,
    state: Mutex<State>,
    committed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// Records that came, and those that are durable.
    came: u64,
    durable: u64,
    has_leader: bool,
    last_group: u64,
    end: u64,
}

impl GroupLog {
    /// A new file, filled with so many bytes and durable.
    pub(crate) fn new(path: &Path, fill_bytes: u64) -> io::Result<Self> {
        let file = filled(path, fill_bytes)?;
        Ok(Self { file, state: Mutex::default(), committed: Condvar::new() })
    }

    /// Appends a record; it is durable once this returns.
    pub(crate) fn append(&self, record: &[u8]) -> Result<(), Failure> {
        let poisoned = |_| "another thread panicked";
        let mut state = self.state.lock().map_err(poisoned)?;
        state.waiting.extend_from_slice(record);
        state.came += 1;
        let own = state.came;
        while state.durable < own {
            if state.has_leader {
                state = self.committed.wait(state).map_err(poisoned)?;
                continue;
            }
            state.has_leader = true;
            if state.last_group > 1 {
                let mut before = 0;
                while before != state.came {
                    before = state.came;
                    drop(state);
                    thread::yield_now();
                    state = self.state.lock().map_err(poisoned)?;
                }
            }
            let (group, through, at) = (std::mem::take(&mut state.waiting), state.came, state.end);
            state.end += group.len() as u64;
            drop(state);
            self.file.write_all_at(&group, at)?;
            self.file.sync_data()?;
            state = self.state.lock().map_err(poisoned)?;
            state.last_group = through - state.durable;
            (state.durable, state.has_leader) = (through, false);
            self.committed.notify_all();
        }
        Ok(())
    }

    /// Starts again at the front, over what was written.
    pub(crate) fn rewind(&self) {
        if let Ok(mut state) = self.state.lock() {
            state.end = 0;
        }
    }
}
