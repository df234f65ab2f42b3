//! Waits for the answer to a request, and commits meanwhile what nobody else does.

use crate::commit_queue::{Leadership, Turn, Work};
use crate::error::Result;
use crate::request::{Committer, Outcome, Ticket, wake_all};
use crate::store::Inner;
use crate::sync::{Arc, Weak};

impl Committer for Inner {
    fn wait_for(self: Arc<Self>, ticket: &Ticket) -> Result<Outcome> {
        self.observing.check_outside()?;
        self.wait_for_answer(ticket)
    }

    fn drive_soon(self: Arc<Self>) {
        self.commit_in_background();
    }
}

impl Inner {
    /// Adds a request to those that wait.
    pub(super) fn enqueue(self: &Arc<Self>, work: Work) -> Result<Ticket> {
        self.observing.check_outside()?;
        let own: Weak<Self> = Arc::downgrade(self);
        self.queue.push(work, own)
    }

    /// Enqueues what was prepared and waits for its answer.
    pub(super) fn commit_work(self: &Arc<Self>, work: Work) -> Result<Outcome> {
        self.observing.check_outside()?;
        self.background.pace.slow_down(work.bytes() as u64);
        let ticket = self.enqueue(work)?;
        self.wait_for_answer(&ticket)
    }

    fn wait_for_answer(self: &Arc<Self>, ticket: &Ticket) -> Result<Outcome> {
        loop {
            match self.queue.wait_turn(ticket)? {
                Turn::Answered(answer) => return answer,
                Turn::Lead(leadership) => {
                    if let Err(error) = self.lead(leadership) {
                        // A close may have committed the request before it closed.
                        return ticket.poll().unwrap_or(Err(error));
                    }
                }
            }
        }
    }

    /// Commits a group of what waits, once nobody else leads; whether anything waited.
    pub(super) fn lead_group(self: &Arc<Self>) -> Result<bool> {
        match self.queue.lead_for_waiting()? {
            Some(leadership) => self.lead(leadership).map(|()| true),
            None => Ok(false),
        }
    }

    /// Commits one group.
    fn lead(self: &Arc<Self>, leadership: Leadership<'_>) -> Result<()> {
        self.guarded("a commit", || self.lead_to_the_end(leadership))
    }

    fn lead_to_the_end(self: &Arc<Self>, leadership: Leadership<'_>) -> Result<()> {
        leadership.gather()?;
        let driven = self.lock_on_disk().and_then(|mut on_disk| self.drive(&mut on_disk));
        // Whoever waits may lead now: neither tasks nor background work hold up a commit.
        drop(leadership);
        let driven = driven?;
        wake_all(driven.wakers);
        self.work_behind(driven.bytes, driven.load);
        Ok(())
    }
}
