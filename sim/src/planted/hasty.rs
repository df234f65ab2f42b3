//! Wrong commit queues and wrong readers beside them: what only tasks that meet can show.
//!
//! These bugs stand between the engine and who calls it. Each is right as long as one caller waits for the
//! end of one call before the next; they go wrong between `submit` and `drive`, or between rows.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use quiver_store::{BackupKeys, CollectionId, Descriptor, KeyRing, Lsn, Result, WalOp};

use super::Bug;
use crate::disk::Onlooker;
use crate::row_range::RowRange;
use crate::system::{
    BackedUp, Call, Copied, GoesOn, Listener, Outcome, Request, Restored, Row, Scan, SeeRow,
    Session, Shown, Standing, Ticket, Told, Verified, View,
};

impl Bug {
    /// Whether it is about tasks that meet, and looked for in swarms.
    pub fn is_of_tasks(&self) -> bool {
        matches!(
            self,
            Self::UnsyncedWritesShown
                | Self::ScanFollowsWrites
                | Self::AnswersSwapped
                | Self::GroupMemberLost
                | Self::CachedReadStale
                | Self::PutAnswersFromBeforeGroup
                | Self::ObserverMissesPartOfABatch
        )
    }
}

/// A request that was submitted.
struct Kept {
    /// The engine's ticket; none for what the engine was not told of.
    inner: Option<Ticket>,
    request: Request,
    answer: Option<Result<Outcome>>,
    is_told: bool,
}

/// A row of a collection.
type Place = (CollectionId, Arc<str>);

/// A session that is wrong where tasks meet.
pub(super) struct Hasty {
    bug: Bug,
    inner: Rc<dyn Session>,
    kept: RefCell<Vec<Kept>>,
    cache: RefCell<BTreeMap<Place, Option<Row>>>,
}

impl Hasty {
    /// The session with the bug over it.
    pub(super) fn over(bug: Bug, session: Box<dyn Session>) -> Self {
        let (kept, cache) = (RefCell::default(), RefCell::default());
        Self { bug, inner: session.into(), kept, cache }
    }

    /// A row as the engine shows it.
    fn row(&self, id: CollectionId, row: &str) -> Result<Option<Row>> {
        row_of(&*self.inner, id, row)
    }

    /// What waits and has written this row last, if anything has.
    fn unsynced(&self, id: CollectionId, row: &str) -> Option<Option<Row>> {
        let kept = self.kept.borrow();
        let waiting = kept.iter().filter(|kept| !kept.is_told).rev();
        let mut changes = waiting.flat_map(|kept| match &kept.request {
            Request::Write(changes) => changes.as_slice(),
            _ => &[],
        });
        let change = changes.find(|change| change.collection == id && &*change.id == row)?;
        Some(change.row.clone())
    }

    /// Takes the answers of a group that was driven, and tells them wrong.
    fn settle(&self) -> usize {
        let mut kept = self.kept.borrow_mut();
        let mut held = 0;
        let mut last = None;
        for kept in kept.iter_mut().filter(|kept| kept.answer.is_none() && !kept.is_told) {
            match kept.inner {
                Some(ticket) => {
                    kept.answer = self.inner.poll(ticket);
                    if let Some(Ok(Outcome::Written { last_lsn, .. })) = &kept.answer {
                        last = *last_lsn;
                    }
                }
                None => {
                    held += 1;
                    last = last.map(|Lsn(lsn)| Lsn(lsn + 1));
                    kept.answer = Some(Ok(Outcome::Written { last_lsn: last, hits: Some(0) }));
                }
            }
        }
        if self.bug == Bug::AnswersSwapped {
            let mut written: Vec<&mut Lsn> = kept
                .iter_mut()
                .filter(|kept| !kept.is_told)
                .filter_map(|kept| match &mut kept.answer {
                    Some(Ok(Outcome::Written { last_lsn: Some(lsn), .. })) => Some(lsn),
                    _ => None,
                })
                .collect();
            if let [first, second, ..] = &mut written[..] {
                std::mem::swap(*first, *second);
            }
        }
        held
    }

    /// What becomes of a conditional write whose condition is looked at too early.
    fn put_early(&self, request: &Request) -> Result<Option<Request>> {
        let Request::Put(change) = request else { return Ok(Some(request.clone())) };
        match self.row(change.collection, &change.id)? {
            None => Ok(Some(Request::Write(vec![change.clone()]))),
            Some(_) => Ok(None),
        }
    }

    fn keep(
        &self,
        inner: Option<Ticket>,
        request: &Request,
        answer: Option<Result<Outcome>>,
    ) -> Ticket {
        let mut kept = self.kept.borrow_mut();
        kept.push(Kept { inner, request: request.clone(), answer, is_told: false });
        Ticket(kept.len() - 1)
    }

    /// Whether a request is lost in the group that it is a member of.
    fn loses(&self, request: &Request) -> bool {
        let one = matches!(request, Request::Write(changes) if changes.len() == 1);
        let kept = self.kept.borrow();
        let mut others = kept.iter().filter(|kept| kept.answer.is_none() && !kept.is_told);
        self.bug == Bug::GroupMemberLost && one && others.next().is_some()
    }
}

fn row_of(view: &dyn Session, id: CollectionId, row: &str) -> Result<Option<Row>> {
    let mut found = None;
    view.get(id, row, &mut |vector, payload| found = Some((vector.into(), payload.into())))?;
    Ok(found)
}

impl View for Hasty {
    fn names(&self) -> Result<Vec<String>> {
        self.inner.names()
    }

    fn id_of(&self, name: &str) -> Result<Option<CollectionId>> {
        self.inner.id_of(name)
    }

    fn descriptor(&self, id: CollectionId) -> Result<Descriptor> {
        self.inner.descriptor(id)
    }

    fn len(&self, id: CollectionId) -> Result<u64> {
        self.inner.len(id)
    }

    fn get(&self, id: CollectionId, row: &str, see: &mut dyn FnMut(&[f32], &[u8])) -> Result<bool> {
        let mut found = self.row(id, row)?;
        if self.bug == Bug::UnsyncedWritesShown
            && let Some(unsynced) = self.unsynced(id, row)
        {
            found = unsynced;
        }
        if self.bug == Bug::CachedReadStale {
            let mut cache = self.cache.borrow_mut();
            found = cache.entry((id, row.into())).or_insert(found).clone();
        }
        if let Some((vector, payload)) = &found {
            see(vector, payload);
        }
        Ok(found.is_some())
    }

    fn scan(&self, id: CollectionId, see: &mut SeeRow<'_>) -> Result<()> {
        self.inner.scan(id, see)
    }

    fn scan_range(&self, id: CollectionId, range: &RowRange) -> Result<Scan> {
        if self.bug != Bug::ScanFollowsWrites {
            return self.inner.scan_range(id, range);
        }
        let rows: Result<Vec<Shown>> = self.inner.scan_range(id, range)?.collect();
        let inner = self.inner.clone();
        Ok(Box::new(rows?.into_iter().filter_map(move |shown| {
            let row = row_of(&*inner, id, &shown.id).transpose()?;
            Some(row.map(|(vector, payload)| Shown {
                id: shown.id,
                vector: Some(vector.to_vec()),
                payload: Some(payload.to_vec()),
            }))
        })))
    }

    fn last_lsn(&self) -> Result<u64> {
        self.inner.last_lsn()
    }
}

impl Session for Hasty {
    fn perform(&self, request: &Request, call: Call) -> Result<Outcome> {
        let outcome = self.inner.perform(request, call);
        self.cache.borrow_mut().clear();
        self.settle();
        outcome
    }

    fn submit(&self, request: &Request) -> Result<Ticket> {
        if self.loses(request) {
            return Ok(self.keep(None, request, None));
        }
        let early = match self.bug {
            Bug::PutAnswersFromBeforeGroup => self.put_early(request)?,
            _ => Some(request.clone()),
        };
        match early {
            Some(early) => Ok(self.keep(Some(self.inner.submit(&early)?), request, None)),
            // It takes part in the group, with nothing to do.
            None => {
                let nothing = Request::Drop { name: "nobody".into() };
                self.inner.submit(&nothing)?;
                Ok(self.keep(None, request, Some(Ok(Outcome::Unchanged))))
            }
        }
    }

    fn drive(&self) -> Result<usize> {
        let driven = self.inner.drive()?;
        Ok(driven + self.settle())
    }

    fn poll(&self, ticket: Ticket) -> Option<Result<Outcome>> {
        let kept = &mut self.kept.borrow_mut()[ticket.0];
        if kept.answer.is_none() {
            kept.answer = kept.inner.and_then(|inner| self.inner.poll(inner));
        }
        let answer = kept.answer.take();
        kept.is_told |= answer.is_some();
        answer
    }

    fn standing(&self) -> Result<Standing> {
        self.inner.standing()
    }

    fn snapshot(&self) -> Result<Box<dyn View>> {
        self.inner.snapshot()
    }

    fn checkpoint(&self) -> Result<()> {
        self.inner.checkpoint()
    }

    fn maintain(&self) -> Result<bool> {
        self.inner.maintain()
    }

    fn compact(&self, steps: Option<u64>) -> Result<()> {
        self.inner.compact(steps)
    }

    fn keep_indexes(&self, indexes: &[(CollectionId, &[u8], u64)]) -> Result<()> {
        self.inner.keep_indexes(indexes)
    }

    fn restored_index(&self, id: CollectionId) -> Result<Option<Restored>> {
        self.inner.restored_index(id)
    }

    fn observe(&self, after: Option<u64>, listener: Listener) -> Result<()> {
        if self.bug != Bug::ObserverMissesPartOfABatch {
            return self.inner.observe(after, listener);
        }
        let listener = move |told: Told| {
            if told.ends_batch || !told.lsn.is_multiple_of(3) {
                listener(told);
            }
        };
        self.inner.observe(after, Arc::new(listener))
    }

    fn copied(&self) -> Result<Copied> {
        self.inner.copied()
    }

    fn follow(&self, ops: Vec<WalOp>) -> Result<Option<u64>> {
        self.inner.follow(ops)
    }

    fn verify(&self, contents: bool) -> Result<Verified> {
        self.inner.verify(contents)
    }

    fn back_up(&self, to: &Path, keys: &BackupKeys, goes_on: &mut GoesOn<'_>) -> Result<BackedUp> {
        self.inner.back_up(to, keys, goes_on)
    }

    fn shred(&self, name: &str) -> Result<bool> {
        self.inner.shred(name)
    }

    fn rotate(&self, ring: &dyn KeyRing) -> Result<()> {
        self.inner.rotate(ring)
    }

    fn rekey(&self, id: CollectionId) -> Result<()> {
        self.inner.rekey(id)
    }

    fn onlooker(&self) -> Option<Onlooker> {
        self.inner.onlooker()
    }

    fn damaged(&self) -> Result<Vec<CollectionId>> {
        self.inner.damaged()
    }

    fn close(&self) -> Result<()> {
        self.inner.close()
    }
}
