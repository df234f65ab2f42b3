//! What a caller asks of the commit queue, and what it is answered.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::descriptor::Descriptor;
use crate::error::{Error, Result};
use crate::ids::{CollectionId, Lsn};
use crate::sec::FilterableField;
use crate::sync::{Arc, Mutex, Weak, locked};
use crate::write_batch::WriteBatch;

/// What [`crate::Store::submit`] takes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Request {
    /// Row changes.
    Write(WriteBatch),
    /// A new collection.
    CreateCollection {
        /// Its name.
        name: String,
        /// Its schema.
        descriptor: Descriptor,
    },
    /// A row, where there is none of its id.
    PutIfAbsent {
        /// Its collection.
        collection: CollectionId,
        /// Its id.
        external_id: String,
        /// Its vector.
        vector: Vec<f32>,
        /// Its payload.
        payload: Vec<u8>,
    },
    /// Another payload of a row, where there is one; its vector stays.
    UpdatePayload {
        /// Its collection.
        collection: CollectionId,
        /// Its id.
        external_id: String,
        /// Its new payload.
        payload: Vec<u8>,
    },
    /// The end of a collection.
    DropCollection {
        /// Its name.
        name: String,
    },
    /// The end of a collection whose name need not be known.
    DropCollectionById {
        /// Its id.
        id: CollectionId,
    },
    /// The end of a collection, and the intent to destroy its key: answered once that is durable. The
    /// key is destroyed by [`crate::Store::shred_collection`], or by the next open.
    ShredCollection {
        /// Its name.
        name: String,
    },
    /// Another name of a collection.
    RenameCollection {
        /// Its name.
        name: String,
        /// Its name from then on.
        new_name: String,
    },
    /// One more filterable field of a collection.
    AddFilterable {
        /// The collection's name.
        name: String,
        /// The field.
        field: FilterableField,
    },
}

impl From<WriteBatch> for Request {
    fn from(batch: WriteBatch) -> Self {
        Self::Write(batch)
    }
}

/// What became of a request that was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The batch is durable.
    Written {
        /// LSN of its last operation.
        last_lsn: Lsn,
        /// How many of its deletes found a live row.
        hits: u64,
    },
    /// The collection exists.
    Created {
        /// Its id.
        id: CollectionId,
        /// LSN of the creation.
        lsn: Lsn,
    },
    /// Nothing was written: the row is there that was to be put, or is not that was to be updated.
    Unchanged,
    /// The collection has its new name, or its new field.
    Altered {
        /// Its id.
        id: CollectionId,
        /// LSN of the change.
        lsn: Lsn,
    },
    /// The collection is gone.
    Dropped {
        /// Whether it was there.
        existed: bool,
        /// LSN of the drop; none if it was not there.
        lsn: Option<Lsn>,
    },
}

/// The store that a ticket is of, as far as the ticket needs it.
pub(crate) trait Committer: Send + Sync {
    /// Sleeps until the ticket is answered, and leads commits where nobody else does.
    fn wait_for(self: Arc<Self>, ticket: &Ticket) -> Result<Outcome>;

    /// Sees to it that what waits is committed though no thread waits for it.
    fn drive_soon(self: Arc<Self>);
}

/// A request that waits for its commit.
///
/// Its answer can be [polled](Ticket::poll), [waited for](Ticket::wait), or awaited: it is a future for
/// any executor. All three may be done more than once, and by clones.
///
/// *Awaiting* needs somebody who commits: the store's own thread, or whoever calls
/// [`crate::Store::drive`] where the store has none (see [`crate::Options::background`]).
///
/// *Durability*: an answer of `Ok` means durable. A ticket that is dropped takes nothing back.
///
/// # Errors
/// As the call that the request stands for: see [`crate::Store::write`]. `Closed` where the store was
/// closed, or its last handle dropped, before the request was committed.
///
/// # Examples
/// ```
/// # use quiver_store::{Descriptor, DistanceMetric, Dtype, Env, Options, Store, WriteBatch};
/// # let store = Store::open_with(Env::memory(), Options::default())?;
/// # let id = store.create_collection("a", Descriptor::new(1, Dtype::F32, DistanceMetric::L2))?;
/// let mut batch = WriteBatch::new();
/// batch.upsert(id, "x", &[1.0], b"");
/// let ticket = store.submit(batch)?;
/// assert!(ticket.poll().is_none(), "nobody has committed it yet");
/// ticket.wait()?; // in an async function: `ticket.await?`
/// assert!(store.get(id, "x")?.is_some());
/// # Ok::<(), quiver_store::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Ticket {
    slot: Arc<Mutex<Slot>>,
    store: Weak<dyn Committer>,
}

#[derive(Debug, Default)]
struct Slot {
    answer: Option<Result<Outcome>>,
    /// Tasks that are woken once there is an answer.
    wakers: Vec<Waker>,
}

impl Slot {
    fn answer(&self) -> Option<Result<Outcome>> {
        self.answer.as_ref().map(|answer| match answer {
            Ok(outcome) => Ok(*outcome),
            Err(error) => Err(error.duplicate()),
        })
    }
}

impl Ticket {
    pub(crate) fn new(store: Weak<dyn Committer>) -> Self {
        Self { slot: Arc::default(), store }
    }

    /// The answer, or `None` while the request waits.
    ///
    /// # Errors
    /// Those of the [ticket](Ticket).
    pub fn poll(&self) -> Option<Result<Outcome>> {
        match locked(&self.slot) {
            Ok(slot) => slot.answer(),
            Err(error) => Some(Err(error)),
        }
    }

    /// Sleeps until the request is answered. The calling thread commits what waits, this request among
    /// it, where nobody else does.
    ///
    /// # Errors
    /// Those of the [ticket](Ticket); `InvalidArgument` inside an observer.
    pub fn wait(&self) -> Result<Outcome> {
        match self.store.upgrade() {
            Some(store) => store.wait_for(self),
            None => self.poll().unwrap_or_else(|| Err(Error::closed())),
        }
    }

    /// Notes the answer. Whoever waits for it in a thread is woken by the queue; tasks are woken by
    /// whoever has [taken](Ticket::take_wakers) them and holds no lock: a task may run inside of it.
    pub(crate) fn answer(&self, answer: Result<Outcome, Error>) {
        if let Ok(mut slot) = locked(&self.slot) {
            slot.answer = Some(answer);
        }
    }

    /// Takes the tasks that wait for an answer that is there.
    pub(crate) fn take_wakers(&self, wakers: &mut Vec<Waker>) {
        if let Ok(mut slot) = locked(&self.slot)
            && slot.answer.is_some()
        {
            wakers.append(&mut slot.wakers);
        }
    }
}

/// Wakes tasks. The caller holds no lock: a task may run inside of it. One that panics keeps none of the
/// others asleep.
pub(crate) fn wake_all(wakers: Vec<Waker>) {
    let wake = |waker: Waker| catch_unwind(AssertUnwindSafe(|| waker.wake())).err();
    let panics: Vec<_> = wakers.into_iter().filter_map(wake).collect();
    if let Some(panic) = panics.into_iter().next() {
        resume_unwind(panic);
    }
}

impl Future for Ticket {
    type Output = Result<Outcome>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        {
            let mut slot = match locked(&self.slot) {
                Ok(slot) => slot,
                Err(error) => return Poll::Ready(Err(error)),
            };
            if let Some(answer) = slot.answer() {
                return Poll::Ready(answer);
            }
            let waker = context.waker();
            if !slot.wakers.iter().any(|known| known.will_wake(waker)) {
                slot.wakers.push(waker.clone());
            }
        }
        // Behind the registration: an answer that comes now wakes the task.
        match self.store.upgrade() {
            Some(store) => {
                store.drive_soon();
                Poll::Pending
            }
            // The end of the store answered it just now, or is about to.
            None => Poll::Ready(Self::poll(&self).unwrap_or_else(|| Err(Error::closed()))),
        }
    }
}
