//! Where tasks leave what they ask of the store, and wait for what comes of it.
//!
//! **Place.** Between the tasks of a run and its one [`super::desk`], which takes what was asked and carries
//! it out, one call of the store at a time.
//!
//! - H1. What is asked waits until the desk takes it, in any order: the time between is that of a call on
//!   its way, and of a thread that has not got its turn.
//! - H2. Each event here has a number, later ones higher ones. An operation begins with the number of its
//!   asking and ends with that of its answer, so that two of them overlap or follow one another.
//! - H3. A process that ends takes along all that was asked of it and not answered.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use super::plan::Stop;
use crate::history::{Action, Member};
use crate::reads::Read;
use crate::stream::Stream;
use crate::system::Ticket;

/// Something that the store holds for a task: a snapshot or an iterator.
pub(super) type Handle = u64;

/// What a task asks for.
#[derive(Clone, Debug)]
pub(super) enum Want {
    /// A request is enqueued.
    Submit(Member),
    /// A request is carried out by the call that waits for its end, and by that drives the others.
    Perform(Member),
    /// One group is committed.
    Drive,
    /// Any other call.
    Call(Action),
    /// A snapshot is taken and held.
    Snapshot,
    /// All of a held snapshot is read.
    ReadAll(Handle),
    /// A read of a held snapshot.
    ReadHeld(Handle, usize, Read),
    /// An iterator is started, of the store or of a held snapshot.
    Start(Option<Handle>, usize, Read, u64),
    /// A held iterator shows so many rows more.
    Resume(Handle, u64),
    /// What is held is let go.
    Release(Handle),
    /// The process ends.
    End(Stop),
}

/// What a task is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// It is done, whatever came of it.
    Done,
    /// The request waits for its commit.
    Waits(Ticket),
    /// The store holds this for the task.
    Holds(Handle),
    /// There is no such thing any more, or no room for it.
    Gone,
}

/// Something asked for and not taken yet.
#[derive(Debug)]
pub(super) struct Ask {
    /// Its number (H2).
    pub(super) number: u64,
    /// Who asked.
    pub(super) task: usize,
    /// For what.
    pub(super) want: Want,
}

enum Awaited<T> {
    Open(Option<Waker>),
    There(T),
}

#[derive(Default)]
struct Inside {
    events: u64,
    asks: Vec<Ask>,
    desk: Option<Waker>,
    replies: BTreeMap<u64, Awaited<Reply>>,
    answers: BTreeMap<Ticket, Awaited<()>>,
}

/// The hall. Clones are the same one.
#[derive(Clone, Default)]
pub(super) struct Hall(Arc<Mutex<Inside>>);

impl Hall {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        // A panic of a task ends the run anyway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for something and waits for the reply.
    pub(super) async fn ask(&self, task: usize, want: Want) -> Reply {
        let number = {
            let mut inside = self.inside();
            let number = inside.next_event();
            inside.asks.push(Ask { number, task, want });
            inside.replies.insert(number, Awaited::Open(None));
            if let Some(waker) = inside.desk.take() {
                waker.wake();
            }
            number
        };
        poll_fn(|context| poll(&mut self.inside().replies, number, context.waker())).await
    }

    /// Waits until a request that was submitted is answered.
    pub(super) async fn answer(&self, ticket: Ticket) {
        poll_fn(|context| poll(&mut self.inside().answers, ticket, context.waker())).await;
    }

    /// Whether a request that was submitted is answered; it is told once.
    pub(super) fn is_answered(&self, ticket: Ticket) -> bool {
        let answers = &mut self.inside().answers;
        let is_there = matches!(answers.get(&ticket), Some(Awaited::There(())));
        if is_there {
            answers.remove(&ticket);
        }
        is_there
    }

    /// Waits for something to do, and takes any of it (H1).
    pub(super) async fn take(&self, stream: &mut Stream) -> Ask {
        poll_fn(|context| {
            let mut inside = self.inside();
            if inside.asks.is_empty() {
                inside.desk = Some(context.waker().clone());
                return Poll::Pending;
            }
            let place = stream.index(inside.asks.len());
            Poll::Ready(inside.asks.remove(place))
        })
        .await
    }

    /// Replies to whoever asked.
    pub(super) fn reply(&self, number: u64, reply: Reply) {
        fulfil(&mut self.inside().replies, number, reply);
    }

    /// Tells whoever waits for it that a request is answered.
    pub(super) fn tell(&self, ticket: Ticket) {
        fulfil(&mut self.inside().answers, ticket, ());
    }

    /// The number of an event that happens now (H2).
    pub(super) fn event(&self) -> u64 {
        self.inside().next_event()
    }

    /// Forgets everything (H3).
    pub(super) fn clear(&self) {
        let mut inside = self.inside();
        *inside = Inside { events: inside.events, ..Inside::default() };
    }
}

impl Inside {
    fn next_event(&mut self) -> u64 {
        self.events += 1;
        self.events
    }
}

fn poll<K: Ord, T>(awaited: &mut BTreeMap<K, Awaited<T>>, key: K, waker: &Waker) -> Poll<T> {
    match awaited.remove(&key) {
        Some(Awaited::There(it)) => Poll::Ready(it),
        Some(Awaited::Open(_)) | None => {
            awaited.insert(key, Awaited::Open(Some(waker.clone())));
            Poll::Pending
        }
    }
}

fn fulfil<K: Ord, T>(awaited: &mut BTreeMap<K, Awaited<T>>, key: K, it: T) {
    if let Some(Awaited::Open(Some(waker))) = awaited.insert(key, Awaited::There(it)) {
        waker.wake();
    }
}
