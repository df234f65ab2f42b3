//! What the threads of a store do: one works in the background ahead of the writers, one commits what
//! is awaited.
//!
//! - G1. They do what [`crate::Store::maintain`] and [`crate::Store::drive`] do, a step or a group at a time, and
//!   hold no lock in between: nothing happens in them that no caller could do, so the simulator
//!   drives the same steps.
//! - G2. Nothing depends on them. What fails is tried again later; whoever writes ahead of the work is
//!   slowed down ([`crate::store::pace`]), and at last does it himself (J4).
//! - G3. A close, and the drop of the last handle, end them and wait for that: the directory is free
//!   behind it.
//! - G4. A panic in them latches the store ([`crate::store::panics`]), and ends the thread in which it came.
//!
//! **A crash leaves** what a crash inside of the same steps does anywhere.

use crate::error::{ErrorKind, Result};
use crate::store::Inner;
use crate::store::merge::merge_pressure;
use crate::store::pace::Load;
use crate::store::worker::Rest;
use crate::sync::{self, Arc, Ordering, reading};

/// How long the thread rests behind the first failure, in microseconds; twice as long behind each
/// further one.
const FIRST_PAUSE_US: u64 = 100_000;

/// How often that doubles.
const PAUSE_DOUBLINGS_MAX: u32 = 6;

impl Inner {
    /// Behind a group: hands the work that it caused to the thread, or does its share of it here. What
    /// it cannot do is tried again behind a later group.
    pub(super) fn work_behind(self: &Arc<Self>, bytes: u64, load: Load) {
        self.observing.let_go();
        let maintenance = &self.background.maintenance;
        let body = || -> Box<dyn FnOnce() + Send> {
            let inner = Arc::clone(self);
            Box::new(move || inner.guarded("the store's work", || inner.work_until_ended()))
        };
        let is_handed_on = match maintenance.begin(body) {
            Ok(true) => {
                maintenance.wake_from(if load.is_due { Rest::Dozing } else { Rest::Asleep });
                !load.is_behind
            }
            _ => false,
        };
        if !is_handed_on {
            drop(self.work(bytes));
        }
    }

    /// Has what waits committed, by the thread for that, where there may be one.
    pub(super) fn commit_in_background(self: &Arc<Self>) {
        let commits = &self.background.commits;
        let body = || -> Box<dyn FnOnce() + Send> {
            let inner = Arc::clone(self);
            Box::new(move || inner.guarded("the store's commits", || inner.commit_until_ended()))
        };
        if let Ok(true) = commits.begin(body) {
            commits.wake_from(Rest::Asleep);
        }
    }

    /// Commits as long as anything waits, and sleeps then.
    fn commit_until_ended(self: &Arc<Self>) {
        let worker = &self.background.commits;
        while !worker.is_ending() {
            worker.lie_down(Rest::Asleep);
            match self.lead_group() {
                Ok(true) => {}
                Ok(false) => drop(worker.sleep(None)),
                // Closed, or a panic: what waits is answered by that.
                Err(_) => return,
            }
        }
    }

    /// Does background work as long as any is due, and sleeps then.
    fn work_until_ended(&self) {
        let worker = &self.background.maintenance;
        let mut failures = 0;
        while !worker.is_ending() {
            let worked =
                self.work_once().and_then(|worked| if worked { Ok(()) } else { self.rest() });
            match worked {
                Ok(()) => {
                    failures = 0;
                    self.background.note(None);
                }
                Err(error) if [ErrorKind::Closed, ErrorKind::Latched].contains(&error.kind()) => {
                    return;
                }
                Err(error) => {
                    self.background.note(Some(error.to_string()));
                    worker.sleep(Some(FIRST_PAUSE_US << failures));
                    failures = (failures + 1).min(PAUSE_DOUBLINGS_MAX);
                }
            }
        }
    }

    /// One step of whatever is due, timed; whether there was any.
    fn work_once(&self) -> Result<bool> {
        // Who wants to do a step himself goes first: a thread that gives a lock back and takes it again
        // would not let him.
        while self.jobs_wanted.load(Ordering::SeqCst) > 0 {
            sync::yield_now();
        }
        let begun_us = self.clock.monotonic_us();
        let worked = self.maintain_once();
        self.observing.let_go();
        let worked = worked?;
        if let Some(bytes) = worked {
            let took_us = self.clock.monotonic_us().saturating_sub(begun_us);
            self.background.pace.note_step(bytes, took_us);
        }
        let factor = self.options.merge_factor;
        let pressure = merge_pressure(&reading(&self.live)?.version, factor);
        self.background.pace.set_by_merges(pressure);
        Ok(worked.is_some())
    }

    /// Sleeps until there may be work; where the store has been idle for a while, proves what it wrote
    /// last and gives memory back.
    fn rest(&self) -> Result<()> {
        let worker = &self.background.maintenance;
        worker.lie_down(Rest::Asleep);
        let (is_due, last, is_unproved) = {
            let on_disk = self.lock_on_disk()?;
            (self.load(&on_disk).is_due, on_disk.log_end.lsn, on_disk.can_prove())
        };
        if is_due {
            return Ok(());
        }
        if !is_unproved {
            self.spares.release();
            worker.sleep(None);
            return Ok(());
        }
        worker.lie_down(Rest::Dozing);
        let has_rung = worker.sleep(Some(self.options.idle_us));
        if has_rung || worker.is_ending() || self.lock_on_disk()?.log_end.lsn != last {
            return Ok(());
        }
        self.prove().map(drop)
    }
}
