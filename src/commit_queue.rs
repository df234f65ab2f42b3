//! Requests that wait for their commit, in the order in which they came.
//!
//! - Q1. Writers validate and serialise before they enqueue, outside any lock. Whoever drives the
//!   queue takes a group from its front and commits it with one write and one sync.
//! - Q2. Of the threads that wait for an answer one leads; the others sleep until it has
//!   committed. Whoever has no answer then leads next. So a group is what came during the commit
//!   before, not whoever was first to get a lock.
//! - Q3. Every ticket is answered: after a close with `Closed`, after a panic with `Latched`.

use std::collections::VecDeque;
use std::task::Waker;

use crate::descriptor::Descriptor;
use crate::error::{Error, Result};
use crate::ids::CollectionId;
use crate::live_set::Below;
use crate::replication::WalOp;
use crate::request::{Committer, Outcome, Ticket};
use crate::sec::FilterableField;
use crate::sync::{self, Condvar, Mutex, Weak, locked};
use crate::wal::frame::Batch;

/// What a request turned into once it was validated.
#[derive(Debug)]
pub(crate) enum Work {
    Write {
        batch: Batch,
        /// Whether it has deletions, whose hits are to be told.
        deletes: bool,
        /// Whether it adds no rows, and so has to work on a full disk.
        frees_space: bool,
        /// What the hits rest on, where that was found out before it was enqueued.
        below: Option<Below>,
    },
    /// A row, where there is none of its id.
    Put {
        collection: CollectionId,
        external_id: String,
        /// Its upsert.
        batch: Batch,
    },
    /// Another payload of a row, where there is one.
    UpdatePayload {
        collection: CollectionId,
        external_id: String,
        payload: Vec<u8>,
        /// The most bytes that its vectors take, which are read when the group is planned.
        vector_bytes_max: usize,
    },
    Create {
        name: String,
        descriptor: Descriptor,
    },
    Drop {
        name: String,
        /// Whether its key is to be destroyed.
        shreds: bool,
    },
    DropById {
        id: CollectionId,
    },
    Rename {
        name: String,
        new_name: String,
    },
    AddFilterable {
        name: String,
        field: FilterableField,
    },
    /// An operation on a collection, done by another store.
    Replicated {
        op: WalOp,
    },
}

impl Work {
    /// Bytes of its frame, about: what a group is bounded by.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Write { batch, .. } | Self::Put { batch, .. } => batch.frame_bytes(),
            Self::UpdatePayload { payload, vector_bytes_max, .. } => {
                4096 + payload.len() + vector_bytes_max
            }
            Self::Create { .. }
            | Self::Drop { .. }
            | Self::DropById { .. }
            | Self::Rename { .. }
            | Self::AddFilterable { .. }
            | Self::Replicated { .. } => 512,
        }
    }

    /// Whether it adds nothing.
    pub(crate) fn frees_space(&self) -> bool {
        match self {
            Self::Write { frees_space, .. } => *frees_space,
            Self::Drop { .. }
            | Self::DropById { .. }
            | Self::Replicated { op: WalOp::DropCollection { .. } } => true,
            Self::Put { .. }
            | Self::UpdatePayload { .. }
            | Self::Create { .. }
            | Self::Rename { .. }
            | Self::AddFilterable { .. }
            | Self::Replicated { .. } => false,
        }
    }

    /// Whether what it comes to depends on a row.
    pub(crate) fn asks_for_a_row(&self) -> bool {
        matches!(self, Self::Put { .. } | Self::UpdatePayload { .. })
    }
}

/// One request that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) work: Work,
    pub(crate) ticket: Ticket,
}

/// The requests that wait.
#[derive(Debug, Default)]
pub(crate) struct CommitQueue {
    state: Mutex<State>,
    committed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    has_leader: bool,
    /// Why it takes no more requests, if it takes none.
    refusal: Option<Error>,
    /// Tickets that a panic answered, whose tasks are to be woken.
    left: Vec<Ticket>,
    /// Requests in the group before: more than one promises company again.
    last_group: usize,
}

/// What a thread that waits for an answer is to do next.
pub(crate) enum Turn<'q> {
    /// It has its answer.
    Answered(Result<Outcome>),
    /// It commits a group, and then asks again.
    Lead(Leadership<'q>),
}

/// The right to lead; given back, and everyone woken, when it is dropped.
pub(crate) struct Leadership<'q>(&'q CommitQueue);

impl Drop for Leadership<'_> {
    fn drop(&mut self) {
        if let Ok(mut state) = locked(&self.0.state) {
            state.has_leader = false;
        }
        self.0.committed.notify_all();
    }
}

impl Leadership<'_> {
    /// Where others wrote along with the last group, gives them the time to do it again: until no
    /// further request comes in while this thread yields.
    pub(crate) fn gather(&self) -> Result<()> {
        let mut before = None;
        loop {
            let count = {
                let state = locked(&self.0.state)?;
                if state.last_group < 2 {
                    return Ok(());
                }
                state.waiting.len()
            };
            if before == Some(count) {
                return Ok(());
            }
            before = Some(count);
            sync::yield_now();
        }
    }
}

impl CommitQueue {
    /// Adds a request at the end.
    pub(crate) fn push(&self, work: Work, store: Weak<dyn Committer>) -> Result<Ticket> {
        let ticket = Ticket::new(store);
        let mut state = locked(&self.state)?;
        if let Some(refusal) = &state.refusal {
            return Err(refusal.duplicate());
        }
        state.waiting.push_back(Waiting { work, ticket: ticket.clone() });
        Ok(ticket)
    }

    /// Takes requests from the front up to a number of bytes, and one at least.
    pub(crate) fn take_group(&self, bytes_max: usize) -> Result<Vec<Waiting>> {
        let mut state = locked(&self.state)?;
        let (mut count, mut bytes) = (0, 0);
        for next in &state.waiting {
            bytes += next.work.bytes();
            if count > 0 && bytes > bytes_max {
                break;
            }
            count += 1;
        }
        state.last_group = count;
        Ok(state.waiting.drain(..count).collect())
    }

    /// Sleeps until the ticket is answered or it is this thread's turn to lead.
    pub(crate) fn wait_turn(&self, ticket: &Ticket) -> Result<Turn<'_>> {
        let mut state = locked(&self.state)?;
        loop {
            if let Some(answer) = ticket.poll() {
                return Ok(Turn::Answered(answer));
            }
            if !state.has_leader {
                state.has_leader = true;
                return Ok(Turn::Lead(Leadership(self)));
            }
            state = sync::wait(&self.committed, state)?;
        }
    }

    /// The right to lead, once nobody else has it, where requests wait then.
    pub(crate) fn lead_for_waiting(&self) -> Result<Option<Leadership<'_>>> {
        let mut state = locked(&self.state)?;
        while !state.waiting.is_empty() {
            if !state.has_leader {
                state.has_leader = true;
                return Ok(Some(Leadership(self)));
            }
            state = sync::wait(&self.committed, state)?;
        }
        Ok(None)
    }

    /// Keeps tickets that were answered under a lock, until their tasks can be woken.
    pub(crate) fn leave(&self, tickets: Vec<Ticket>) {
        if let Ok(mut state) = locked(&self.state) {
            state.left.extend(tickets);
        }
    }

    /// Takes no more requests, and answers those that wait; their tasks, to be woken.
    pub(crate) fn close(&self) -> Result<Vec<Waker>> {
        self.refuse(Error::closed())
    }

    /// As [`CommitQueue::close`], with another error.
    pub(crate) fn refuse(&self, error: Error) -> Result<Vec<Waker>> {
        let (waiting, left) = {
            let mut state = locked(&self.state)?;
            state.refusal = Some(error.duplicate());
            (std::mem::take(&mut state.waiting), std::mem::take(&mut state.left))
        };
        let mut wakers = Vec::new();
        for Waiting { ticket, .. } in waiting {
            ticket.answer(Err(error.duplicate()));
            ticket.take_wakers(&mut wakers);
        }
        left.iter().for_each(|ticket| ticket.take_wakers(&mut wakers));
        self.committed.notify_all();
        Ok(wakers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::sync::Arc;

    /// A store that is gone.
    struct Gone;

    impl Committer for Gone {
        fn wait_for(self: Arc<Self>, _: &Ticket) -> Result<Outcome> {
            unreachable!("nobody made one")
        }

        fn drive_soon(self: Arc<Self>) {}
    }

    fn push(queue: &CommitQueue) -> Result<Ticket> {
        let store: Weak<Gone> = Weak::new();
        queue.push(Work::Drop { name: "a".to_owned(), shreds: false }, store)
    }

    #[test]
    fn group_is_bounded_but_never_empty() {
        let queue = CommitQueue::default();
        for _ in 0..5 {
            push(&queue).expect("open");
        }
        assert_eq!(queue.take_group(1).expect("no panic").len(), 1, "one at least");
        assert_eq!(queue.take_group(1024).expect("no panic").len(), 2, "as many as fit");
        assert_eq!(queue.take_group(1 << 20).expect("no panic").len(), 2, "the rest");
        assert!(queue.take_group(1).expect("no panic").is_empty());
    }

    #[test]
    fn close_answers_whoever_waits_and_takes_no_more() {
        let queue = CommitQueue::default();
        let ticket = push(&queue).expect("open");
        assert!(queue.close().expect("no panic").is_empty(), "no task waits");
        let answer = ticket.poll().expect("answered").expect_err("not committed");
        assert_eq!(answer.kind(), ErrorKind::Closed);
        assert_eq!(push(&queue).expect_err("closed").kind(), ErrorKind::Closed);
    }

    #[test]
    fn leadership_for_others_is_taken_only_where_requests_wait() {
        let queue = CommitQueue::default();
        assert!(queue.lead_for_waiting().expect("no panic").is_none());
        let _ticket = push(&queue).expect("open");
        for _ in 0..2 {
            assert!(queue.lead_for_waiting().expect("no panic").is_some());
        }
        queue.take_group(1).expect("no panic");
        assert!(queue.lead_for_waiting().expect("no panic").is_none());
    }

    #[test]
    fn leadership_is_given_back() {
        let queue = CommitQueue::default();
        let ticket = push(&queue).expect("open");
        for _ in 0..2 {
            assert!(matches!(queue.wait_turn(&ticket), Ok(Turn::Lead(_))));
        }
    }
}
