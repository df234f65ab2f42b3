//! Wrong answers of a damaged store, wrong shreds, and wrong keys of backups: bugs between the engine and who asks it.
//!
//! What a page says is held against checksums of checksums, so that no wrapper of the seam could make
//! the engine take a wrong one; what an engine would answer that did is answered here.

use std::cell::RefCell;
use std::path::Path;

use quiver_store::vfs::Disk;
use quiver_store::{
    BackupKeys, CollectionId, Descriptor, Error, ErrorKind, KeyRing, Result, WalOp,
};

use super::copied_keys::{self, KeyFiles};
use super::{Bug, secrets};
use crate::disk::Onlooker;
use crate::row_range::RowRange;
use crate::system::{
    BackedUp, Call, Copied, GoesOn, Listener, Outcome, Request, Restored, Row, RowChange, Scan,
    SeeRow, Session, Standing, Ticket, Verified, View,
};

/// A session that makes little of damage.
pub(super) struct Careless {
    bug: Bug,
    inner: Box<dyn Session>,
    disk: Disk,
    /// The row that was shown last.
    shown: RefCell<Option<Row>>,
    /// The collections that the open found damaged.
    found_damaged: Vec<CollectionId>,
    /// The keys that this process has had, as far as it destroys any.
    keys: RefCell<KeyFiles>,
}

impl Careless {
    /// The session with the bug over it, where it is one of these.
    pub(super) fn over(bug: &Bug, inner: Box<dyn Session>, disk: &Disk) -> Box<dyn Session> {
        let is_one = matches!(
            bug,
            Bug::HiddenRowsAbsent
                | Bug::MisplacedPageShown
                | Bug::DamagedTakesWrites
                | Bug::DamageSeenTakesWrites
                | Bug::KeyDestroyedBeforeDrop
                | Bug::ShredAnswersEarly
        );
        if !is_one && !bug.miscopies_keys() {
            return inner;
        }
        let (bug, disk, shown) = (bug.clone(), disk.clone(), RefCell::default());
        let found_damaged = inner.damaged().unwrap_or_default();
        Box::new(Self { bug, inner, disk, shown, found_damaged, keys: RefCell::default() })
    }

    /// Whether a request that was refused is acknowledged.
    fn takes(&self, request: &Request) -> bool {
        let was_found = |change: &RowChange| self.found_damaged.contains(&change.collection);
        match (&self.bug, request) {
            (Bug::DamagedTakesWrites, _) => true,
            (Bug::DamageSeenTakesWrites, Request::Write(changes)) => !changes.iter().any(was_found),
            _ => false,
        }
    }

    /// Keeps the keys of which some are about to be destroyed.
    fn keep_keys(&self) {
        if self.bug == Bug::BackupBringsDestroyedKeys {
            // What cannot be read for a fault is not kept.
            self.keys.borrow_mut().extend(copied_keys::read(&self.disk).unwrap_or_default());
        }
    }

    /// What is done before a shred: its key is destroyed, or kept.
    fn before(&self, request: &Request) -> Result<()> {
        if let Request::Shred { .. } = request {
            self.keep_keys();
        }
        if let (Bug::KeyDestroyedBeforeDrop, Request::Shred { name }) = (&self.bug, request)
            && let Some(id) = self.inner.id_of(name)?
        {
            secrets::destroy_keys_of(&self.disk, id)?;
        }
        Ok(())
    }

    fn hides(&self, error: &Error) -> bool {
        self.bug == Bug::HiddenRowsAbsent && error.kind() == ErrorKind::Corrupt
    }
}

impl View for Careless {
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
        let mut seen: Option<Row> = None;
        let answer = self.inner.get(id, row, &mut |vector, payload| {
            seen = Some((vector.into(), payload.into()));
        });
        let error = match answer {
            Ok(is_there) => {
                if let Some((vector, payload)) = &seen {
                    see(vector, payload);
                }
                *self.shown.borrow_mut() = seen.or_else(|| self.shown.take());
                return Ok(is_there);
            }
            Err(error) => error,
        };
        let words = error.to_string();
        let is_misplaced = error.kind() == ErrorKind::Corrupt
            && ["of another", "says it is page"].iter().any(|what| words.contains(what));
        match (&self.bug, &*self.shown.borrow()) {
            (Bug::MisplacedPageShown, Some((vector, payload))) if is_misplaced => {
                see(vector, payload);
                Ok(true)
            }
            _ if self.hides(&error) => Ok(false),
            _ => Err(error),
        }
    }

    fn scan(&self, id: CollectionId, see: &mut SeeRow<'_>) -> Result<()> {
        self.inner.scan(id, see)
    }

    fn scan_range(&self, id: CollectionId, range: &RowRange) -> Result<Scan> {
        self.inner.scan_range(id, range)
    }

    fn last_lsn(&self) -> Result<u64> {
        self.inner.last_lsn()
    }
}

impl Session for Careless {
    fn perform(&self, request: &Request, call: Call) -> Result<Outcome> {
        self.before(request)?;
        match self.inner.perform(request, call) {
            Err(error) if error.kind() == ErrorKind::Corrupt && self.takes(request) => {
                Ok(Outcome::Written { last_lsn: None, hits: None })
            }
            answer => answer,
        }
    }

    fn submit(&self, request: &Request) -> Result<Ticket> {
        self.before(request)?;
        self.inner.submit(request)
    }

    fn drive(&self) -> Result<usize> {
        self.inner.drive()
    }

    fn poll(&self, ticket: Ticket) -> Option<Result<Outcome>> {
        self.inner.poll(ticket)
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

    fn verify(&self, contents: bool) -> Result<Verified> {
        self.inner.verify(contents)
    }

    fn back_up(&self, to: &Path, keys: &BackupKeys, goes_on: &mut GoesOn<'_>) -> Result<BackedUp> {
        let instead = copied_keys::wanted_instead(&self.bug, keys);
        let copied = self.inner.back_up(to, &instead, goes_on)?;
        if copied.is_complete {
            copied_keys::put(&self.bug, &self.disk, &self.keys.borrow(), to, keys)?;
        }
        Ok(copied)
    }

    fn observe(&self, after: Option<u64>, listener: Listener) -> Result<()> {
        self.inner.observe(after, listener)
    }

    fn copied(&self) -> Result<Copied> {
        self.inner.copied()
    }

    fn follow(&self, ops: Vec<WalOp>) -> Result<Option<u64>> {
        self.inner.follow(ops)
    }

    fn shred(&self, name: &str) -> Result<bool> {
        match self.bug {
            Bug::ShredAnswersEarly => Ok(true),
            _ => self.inner.shred(name),
        }
    }

    fn rotate(&self, ring: &dyn KeyRing) -> Result<()> {
        self.inner.rotate(ring)
    }

    fn rekey(&self, id: CollectionId) -> Result<()> {
        self.keep_keys();
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
