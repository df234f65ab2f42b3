//! Requests that wait for their commit, in the order in which they came.
//!
//! Writers validate and serialise before they enqueue, outside any lock. Whoever drives the queue
//! takes a group from its front and commits it with one write and one sync.

use std::collections::VecDeque;

use crate::descriptor::Descriptor;
use crate::error::Result;
use crate::request::Ticket;
use crate::sync::{Mutex, locked};
use crate::wal::frame::Batch;

/// What a request turned into once it was validated.
#[derive(Debug)]
pub(crate) enum Work {
    Write(Batch),
    Create { name: String, descriptor: Descriptor },
    Drop { name: String },
}

impl Work {
    /// Bytes of its frame, about: what a group is bounded by.
    fn bytes(&self) -> usize {
        match self {
            Self::Write(batch) => batch.frame_bytes(),
            Self::Create { .. } | Self::Drop { .. } => 512,
        }
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
    waiting: Mutex<VecDeque<Waiting>>,
}

impl CommitQueue {
    /// Adds a request at the end.
    pub(crate) fn push(&self, work: Work) -> Result<Ticket> {
        let ticket = Ticket::new();
        locked(&self.waiting)?.push_back(Waiting { work, ticket: ticket.clone() });
        Ok(ticket)
    }

    /// Takes requests from the front up to a number of bytes, and one at least.
    pub(crate) fn take_group(&self, bytes_max: usize) -> Result<Vec<Waiting>> {
        let mut waiting = locked(&self.waiting)?;
        let (mut count, mut bytes) = (0, 0);
        for next in waiting.iter() {
            bytes += next.work.bytes();
            if count > 0 && bytes > bytes_max {
                break;
            }
            count += 1;
        }
        Ok(waiting.drain(..count).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_is_bounded_but_never_empty() {
        let queue = CommitQueue::default();
        for _ in 0..5 {
            queue.push(Work::Drop { name: "a".to_owned() }).expect("no panic");
        }
        assert_eq!(queue.take_group(1).expect("no panic").len(), 1, "one at least");
        assert_eq!(queue.take_group(1024).expect("no panic").len(), 2, "as many as fit");
        assert_eq!(queue.take_group(1 << 20).expect("no panic").len(), 2, "the rest");
        assert!(queue.take_group(1).expect("no panic").is_empty());
    }
}
