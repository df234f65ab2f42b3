//! A forward run whose operations come one at a time, from somebody who hears what each came to.
//!
//! **Place.** The swarm's tasks decide what comes next; the run itself, its crash points and its checks
//! are those of a drawn history.
//!
//! - S1. The history that it is made with has no operations. Carried out again with those that were
//!   taken, in their order, it is the same run to the byte.
//! - S2. What is submitted is answered in the order of submission, so an answer's place tells whose
//!   it is.

use std::sync::Arc;

use quiver_store::vfs::Clock;
use quiver_store::{CollectionId, ErrorKind};

use super::{Forward, Invariant, Runner};
use crate::checker::Finding;
use crate::history::requests::Requests;
use crate::history::{History, Member, Operation};
use crate::system::{Listener, Outcome, Request, System, Ticket};

/// What an operation was answered.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// Answers to requests, in the order of their commit. One that had no ticket was the operation's own.
    pub answers: Vec<(Option<Ticket>, Result<Outcome, ErrorKind>)>,
    /// What a single read showed: the collection that it asked, and the digest of the row, if there is
    /// one.
    pub shown: Option<(CollectionId, Option<u128>)>,
}

impl Said {
    pub(super) fn hear(&mut self, ticket: Option<Ticket>, answer: &quiver_store::Result<Outcome>) {
        let answer = answer.as_ref().map(|outcome| *outcome).map_err(quiver_store::Error::kind);
        self.answers.push((ticket, answer));
    }
}

/// What became of an operation.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// What was answered.
    pub said: Said,
    /// How many calls that change the disk it made.
    pub calls: usize,
    /// The ticket of a request that it submitted.
    pub ticket: Option<Ticket>,
    /// Requests that wait.
    pub waiting: usize,
    /// Snapshots that are held.
    pub snapshots: usize,
    /// Iterators that are held.
    pub paused: usize,
    /// The LSN of the last operation that is committed.
    pub lsn: u64,
    /// Whether something was found that ends the run.
    pub is_over: bool,
}

/// A run that goes on by one operation at a time.
pub struct Stepwise<'a> {
    runner: Runner<'a>,
    next: usize,
}

impl std::fmt::Debug for Stepwise<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stepwise").field("next", &self.next).finish_non_exhaustive()
    }
}

impl<'a> Stepwise<'a> {
    /// Creates the store of a history without operations, whose processes read this clock.
    pub fn begin(system: &'a dyn System, history: &'a History, time: Arc<dyn Clock>) -> Self {
        let mut runner = Runner::new(system, history);
        runner.time = Some(time);
        runner.begin();
        Self { runner, next: 0 }
    }

    /// Carries out one operation.
    pub fn take(&mut self, operation: &Operation) -> Taken {
        let calls = self.runner.out.calls.len();
        let waiting = self.runner.waiting.back().map(|(ticket, _)| *ticket);
        self.runner.take_turn(self.next, operation);
        self.next += 1;
        let newest = self.runner.waiting.back().map(|(ticket, _)| *ticket);
        Taken {
            said: std::mem::take(&mut self.runner.said),
            calls: self.runner.out.calls.len() - calls,
            ticket: newest.filter(|_| newest > waiting),
            waiting: self.runner.waiting.len(),
            snapshots: self.runner.snapshots.len(),
            paused: self.runner.paused.len(),
            lsn: self.lsn(),
            is_over: self.runner.stopped,
        }
    }

    /// The LSN of the last operation that is committed.
    pub fn lsn(&self) -> u64 {
        self.runner.model.committed().lsn
    }

    /// Whether an answer of `Unknown` is unsettled.
    pub fn is_in_limbo(&self) -> bool {
        self.runner.model.in_limbo()
    }

    /// What a member of a group asks the store for now.
    pub fn request(&self, member: &Member) -> Request {
        let Runner { history, model, out, .. } = &self.runner;
        let has_keys = out.vault.is_some();
        Requests { slots: &history.slots, model, guess: None, has_keys }.of(member)
    }

    /// Has a listener told of what commits from now on in this process.
    pub fn listen(&mut self, listener: Listener) {
        if !self.runner.system.replicates() {
            return;
        }
        match self.runner.inside(|session| session.observe(None, listener)) {
            Some(Ok(())) | None => {}
            Some(Err(error)) => {
                let found = format!("{error:?}");
                self.found(Finding::new(Invariant::Answers, "an observer that is set", found));
            }
        }
    }

    /// Counts a check that was made outside.
    pub fn evaluated(&mut self, invariant: Invariant) {
        self.runner.evaluated(invariant);
    }

    /// Takes in what a check outside found, which ends the run.
    pub fn found(&mut self, finding: Finding) {
        self.runner.found(finding);
        self.runner.stopped = true;
    }

    /// Whether something was found.
    pub fn is_over(&self) -> bool {
        self.runner.stopped
    }

    /// Ends the run: with a write that succeeds, where anything went wrong before.
    pub fn finish(mut self) -> Forward {
        self.runner.operation = self.next;
        self.runner.finish();
        self.runner.out
    }
}
