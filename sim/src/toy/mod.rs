//! A small store of the simulator's own, right or wrong in a chosen way: what tests the checker.
//!
//! **Place.** The tests run campaigns on it, the corpus replays violations of it. It shares nothing
//! with the engine: one log file per generation, each begun with a snapshot of everything; `CURRENT`
//! names the generation.
//!
//! - X1. An open never appends to what it found: it writes a new generation and makes it current.
//! - X2. After any failed write or sync the store is latched until it is reopened.

mod bytes;
mod files;
#[cfg(test)]
mod tests;
mod views;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use quiver_store::vfs::Lock;
use quiver_store::{
    CollectionId, Descriptor, Env, Error, ErrorKind, FilterableField, Lsn, Options, Result, limits,
};

use crate::repro::parts::dashed;
use crate::system::{Call, Outcome, Request, RowChange, Session, Standing, System, Ticket, View};
use files::Files;
use views::ToySnapshot;

/// What is wrong with a toy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Nothing.
    None,
    /// A write is acknowledged without a sync.
    AcknowledgesBeforeSync,
    /// Frames are believed without a look at their checksum.
    BelievesTornFrames,
    /// New frames land behind a torn tail, in the file that was found.
    KeepsTornTail,
    /// The rename of `CURRENT` is not made durable.
    ForgetsDirectorySync,
    /// What was found is synced, not written again.
    OnlySyncs,
    /// Each operation of a batch is a frame of its own.
    SplitsBatches,
    /// Old generations stay.
    LeavesOrphans,
    /// Collection ids start over after a drop.
    ReusesIds,
    /// A torn tail is a panic.
    PanicsAtTornTail,
    /// A torn tail is read for ever.
    ReadsForEver,
    /// Something is computed for ever.
    SpinsForEver,
    /// Something is waited for that never comes.
    WaitsForEver,
    /// A failed sync is tried again.
    RetriesSync,
    /// A delete is not replayed.
    ForgetsDeletes,
    /// A snapshot shows rows that were written after it.
    SnapshotShowsLater,
    /// A snapshot of a collection that was dropped since shows none of its rows.
    SnapshotLosesDropped,
    /// An iterator looks its rows up when it comes to them.
    ScanShowsLater,
    /// `until` shows the row that it names.
    RangeOffByOne,
    /// A limit shows one row too many.
    LimitOffByOne,
    /// A prefix also shows what follows it.
    PrefixIsAStart,
    /// `len` counts the rows that were there at the open and upserts since.
    LenForgetsDeletes,
    /// `get_many` answers in the order of the ids.
    ManyInOrder,
    /// The second pass over a vector source shows nothing.
    OnePassOnly,
    /// The vector of another row.
    VectorOfFirstRow,
    /// A snapshot answers after the store was closed.
    SnapshotOutlivesClose,
    /// Each checkpoint leaves a handle open.
    LeaksHandles,
    /// Background work says that there is more for ever.
    WorksForEver,
    /// What is dead is written again at each checkpoint.
    KeepsDeadRows,
    /// A predicate does not find the last of several rows.
    FilterMissesLast,
}

/// What the names of the toy's bugs start with where the engine's bugs are named too.
pub(crate) const PREFIX: &str = "toy/";

impl Bug {
    /// Every bug that comes to an end.
    pub(crate) const PLANTED: [Self; 27] = [
        Self::AcknowledgesBeforeSync,
        Self::BelievesTornFrames,
        Self::KeepsTornTail,
        Self::ForgetsDirectorySync,
        Self::OnlySyncs,
        Self::SplitsBatches,
        Self::LeavesOrphans,
        Self::ReusesIds,
        Self::PanicsAtTornTail,
        Self::ReadsForEver,
        Self::RetriesSync,
        Self::ForgetsDeletes,
        Self::SnapshotShowsLater,
        Self::SnapshotLosesDropped,
        Self::ScanShowsLater,
        Self::RangeOffByOne,
        Self::LimitOffByOne,
        Self::PrefixIsAStart,
        Self::LenForgetsDeletes,
        Self::ManyInOrder,
        Self::OnePassOnly,
        Self::VectorOfFirstRow,
        Self::SnapshotOutlivesClose,
        Self::LeaksHandles,
        Self::WorksForEver,
        Self::KeepsDeadRows,
        Self::FilterMissesLast,
    ];

    /// The name in reproducers.
    pub(crate) fn name(self) -> String {
        dashed(&format!("{self:?}"))
    }
}

#[derive(Debug)]
pub(crate) struct Toy(pub(crate) Bug);

#[derive(Clone, Debug)]
struct Collection {
    id: u64,
    descriptor: Descriptor,
    rows: BTreeMap<String, (Vec<f32>, Vec<u8>)>,
}

#[derive(Clone, Debug, Default)]
struct State {
    lsn: u64,
    last_id: u64,
    collections: BTreeMap<String, Collection>,
}

struct Open {
    files: Files,
    state: State,
    waiting: VecDeque<(Ticket, Request)>,
    answers: BTreeMap<Ticket, Result<Outcome>>,
    tickets: usize,
    closed: bool,
    /// Deletes that found a row since the open.
    deletes: u64,
    options: Options,
    _lock: Box<dyn Lock>,
}

struct ToySession(Rc<RefCell<Open>>);

impl System for Toy {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn version(&self) -> &'static str {
        "0"
    }

    fn latches_early(&self) -> bool {
        true
    }

    fn open(&self, env: Env, options: &Options) -> Result<Box<dyn Session>> {
        let hangs = self.0 == Bug::SpinsForEver || self.0 == Bug::WaitsForEver;
        if hangs && env.vfs.read_dir(&env.dir, files::here()).is_ok() {
            loop {
                if self.0 == Bug::WaitsForEver {
                    std::thread::park();
                }
                std::hint::black_box(0);
            }
        }
        // As the engine does, to time the open.
        let times = [env.clock.monotonic_us(), env.clock.monotonic_us()];
        std::hint::black_box(times);
        let (files, lock, state) = Files::open(env, self.0)?;
        Ok(Box::new(ToySession(Rc::new(RefCell::new(Open {
            files,
            state,
            waiting: VecDeque::new(),
            answers: BTreeMap::new(),
            tickets: 0,
            closed: false,
            deletes: 0,
            options: options.clone(),
            _lock: lock,
        })))))
    }
}

fn refused(kind: ErrorKind) -> Error {
    Error::new(kind, format!("refused: {kind:?}"))
}

impl State {
    fn named(&self, id: CollectionId) -> Result<(&String, &Collection)> {
        let found = self.collections.iter().find(|(_, collection)| collection.id == id.value());
        found.ok_or_else(|| refused(ErrorKind::NotFound))
    }

    fn check(&self, request: &Request, options: &Options) -> Result<()> {
        let wrong = |wrong: bool, kind| if wrong { Err(refused(kind)) } else { Ok(()) };
        match request {
            Request::Create { name, descriptor } => {
                wrong(name.len() > limits::COLLECTION_NAME_BYTES_MAX, ErrorKind::TooLarge)?;
                wrong(name.contains('/'), ErrorKind::InvalidArgument)?;
                descriptor.validate()
            }
            Request::Drop { .. }
            | Request::Shred { .. }
            | Request::Update { .. }
            | Request::Rename { .. } => Ok(()),
            Request::AddField { field, .. } => field.validate(),
            Request::Put(change) => self.check(&Request::Write(vec![change.clone()]), options),
            Request::Write(changes) => {
                wrong(changes.is_empty(), ErrorKind::InvalidArgument)?;
                for RowChange { collection, id, row } in changes {
                    let (_, collection) = self.named(*collection)?;
                    wrong(id.is_empty(), ErrorKind::InvalidArgument)?;
                    wrong(id.len() > limits::EXTERNAL_ID_BYTES_MAX, ErrorKind::TooLarge)?;
                    let Some((vector, payload)) = row else { continue };
                    let dim = collection.descriptor.dim as usize;
                    let is_whole = vector.len() == dim
                        || (collection.descriptor.multivector
                            && !vector.is_empty()
                            && vector.len().is_multiple_of(dim));
                    wrong(!is_whole, ErrorKind::InvalidArgument)?;
                    wrong(payload.len() >= options.batch_bytes_max, ErrorKind::TooLarge)?;
                }
                Ok(())
            }
        }
    }

    /// Applies a change of a row that rests on what is there.
    fn apply_to_row(&mut self, change: &RowChange, wants_row: bool, bug: Bug) -> Result<Outcome> {
        let (_, collection) = self.named(change.collection)?;
        if collection.rows.contains_key(&*change.id) != wants_row {
            return Ok(Outcome::Unchanged);
        }
        self.apply(&Request::Write(vec![change.clone()]), bug)
    }

    fn rename(&mut self, name: &str, new_name: &str) -> Result<Outcome> {
        if !self.collections.contains_key(name) {
            return Err(refused(ErrorKind::NotFound));
        }
        if self.collections.contains_key(new_name) {
            return Err(refused(ErrorKind::AlreadyExists));
        }
        let collection = self.collections.remove(name).expect("just seen");
        self.collections.insert(new_name.to_string(), collection);
        self.lsn += 1;
        Ok(Outcome::Altered { lsn: Some(Lsn(self.lsn)) })
    }

    fn add_field(&mut self, name: &str, field: &FilterableField) -> Result<Outcome> {
        let collection = self.collections.get_mut(name);
        let collection = collection.ok_or_else(|| refused(ErrorKind::NotFound))?;
        let mut fields = collection.descriptor.filterable.clone();
        if fields.iter().any(|own| own.path == field.path) {
            return Err(refused(ErrorKind::AlreadyExists));
        }
        fields.push(field.clone());
        collection.descriptor = collection.descriptor.clone().with_filterable(fields);
        self.lsn += 1;
        Ok(Outcome::Altered { lsn: Some(Lsn(self.lsn)) })
    }

    /// Applies a request; refuses it without a trace.
    fn apply(&mut self, request: &Request, bug: Bug) -> Result<Outcome> {
        match request {
            Request::Create { name, .. } if self.collections.contains_key(&**name) => {
                Err(refused(ErrorKind::AlreadyExists))
            }
            Request::Create { name, descriptor } => {
                let highest = self.collections.values().map(|one| one.id).max().unwrap_or(0);
                self.last_id = if bug == Bug::ReusesIds { highest } else { self.last_id } + 1;
                self.lsn += 1;
                let (id, descriptor) = (self.last_id, descriptor.clone());
                let collection = Collection { id, descriptor, rows: BTreeMap::new() };
                self.collections.insert(name.to_string(), collection);
                Ok(Outcome::Created { id: CollectionId(id), lsn: Some(Lsn(self.lsn)) })
            }
            Request::Drop { name } | Request::Shred { name } => {
                let existed = self.collections.remove(&**name).is_some();
                self.lsn += u64::from(existed);
                Ok(Outcome::Dropped { existed, lsn: existed.then_some(Lsn(self.lsn)) })
            }
            Request::Put(change) => self.apply_to_row(change, false, bug),
            Request::Update { collection, id, payload } => {
                let (_, found) = self.named(*collection)?;
                let Some((vector, _)) = found.rows.get(&**id) else {
                    return Ok(Outcome::Unchanged);
                };
                let row = Some((vector.as_slice().into(), payload.clone()));
                let change = RowChange { collection: *collection, id: id.clone(), row };
                self.apply_to_row(&change, true, bug)
            }
            Request::Rename { name, new_name } => self.rename(name, new_name),
            Request::AddField { name, field } => self.add_field(name, field),
            Request::Write(changes) => {
                for change in changes {
                    self.named(change.collection)?;
                }
                let mut hits = 0;
                for change in changes {
                    let name = self.named(change.collection)?.0.clone();
                    let collection = self.collections.get_mut(&name).expect("just found");
                    match &change.row {
                        None => hits += u64::from(collection.rows.remove(&*change.id).is_some()),
                        Some((vector, payload)) => {
                            let row = (vector.to_vec(), payload.to_vec());
                            collection.rows.insert(change.id.to_string(), row);
                        }
                    }
                }
                self.lsn += changes.len() as u64;
                Ok(Outcome::Written { last_lsn: Some(Lsn(self.lsn)), hits: Some(hits) })
            }
        }
    }
}

impl Open {
    fn usable(&self) -> Result<()> {
        if self.closed { Err(refused(ErrorKind::Closed)) } else { Ok(()) }
    }

    /// Commits all that waits with one write and one sync.
    fn commit(&mut self) -> usize {
        let waiting = std::mem::take(&mut self.waiting);
        let count = waiting.len();
        let mut next = self.state.clone();
        let mut frames = Vec::new();
        let mut done = Vec::new();
        for (ticket, request) in waiting {
            if self.files.latched {
                self.answers.insert(ticket, Err(refused(ErrorKind::Latched)));
                continue;
            }
            let lsn = next.lsn;
            match next.apply(&request, self.files.bug) {
                Err(error) => done.push((ticket, Err(error))),
                Ok(outcome) => {
                    if next.lsn > lsn {
                        self.files.frame(&mut frames, &request, lsn + 1);
                    }
                    done.push((ticket, Ok(outcome)));
                }
            }
        }
        let written = if frames.is_empty() { Ok(()) } else { self.files.append(&frames) };
        self.files.latched |= written.is_err();
        if written.is_ok() {
            self.state = next;
        }
        for (ticket, answer) in done {
            if let Ok(Outcome::Written { hits: Some(hits), .. }) = answer {
                self.deletes += hits;
            }
            // A refusal may rest on what was not written.
            let answer = if written.is_ok() { answer } else { Err(refused(ErrorKind::Unknown)) };
            self.answers.insert(ticket, answer);
        }
        count
    }

    fn submit(&mut self, request: &Request) -> Result<Ticket> {
        self.usable()?;
        self.state.check(request, &self.options)?;
        let ticket = Ticket(self.tickets);
        self.tickets += 1;
        self.waiting.push_back((ticket, request.clone()));
        Ok(ticket)
    }
}

impl Session for ToySession {
    fn perform(&self, request: &Request, _call: Call) -> Result<Outcome> {
        let mut open = self.0.borrow_mut();
        let ticket = open.submit(request)?;
        open.commit();
        open.answers.remove(&ticket).expect("a commit answers all that waits")
    }

    fn submit(&self, request: &Request) -> Result<Ticket> {
        self.0.borrow_mut().submit(request)
    }

    fn drive(&self) -> Result<usize> {
        let mut open = self.0.borrow_mut();
        open.usable()?;
        Ok(open.commit())
    }

    fn poll(&self, ticket: Ticket) -> Option<Result<Outcome>> {
        self.0.borrow_mut().answers.remove(&ticket)
    }

    fn standing(&self) -> Result<Standing> {
        let open = self.0.borrow();
        let rows = open.state.collections.values().map(|one| one.rows.len() as u64).sum();
        Ok(Standing {
            last_lsn: open.state.lsn,
            rows,
            log_files: 1,
            segments: 0,
            manifest_version: open.files.generation,
            files: open.files.names(),
            orphans: open.files.orphans.len() as u64,
            ..Standing::default()
        })
    }

    fn snapshot(&self) -> Result<Box<dyn View>> {
        let open = self.0.borrow();
        open.usable()?;
        let state = open.state.clone();
        Ok(Box::new(ToySnapshot { open: self.0.clone(), state }))
    }

    fn checkpoint(&self) -> Result<()> {
        let open = &mut *self.0.borrow_mut();
        open.usable()?;
        if open.files.latched {
            return Err(refused(ErrorKind::Latched));
        }
        let published = open.files.publish(&open.state);
        open.files.latched |= published.is_err();
        published.map_err(|_| refused(ErrorKind::Latched))
    }

    fn maintain(&self) -> Result<bool> {
        let open = self.0.borrow();
        open.usable()?;
        if open.files.latched {
            return Err(refused(ErrorKind::Latched));
        }
        let due = open.files.log_bytes() > open.options.log_size_bytes_max;
        let for_ever = open.files.bug == Bug::WorksForEver;
        drop(open);
        if due {
            self.checkpoint()?;
        }
        Ok(due || for_ever)
    }

    fn close(&self) -> Result<()> {
        let mut open = self.0.borrow_mut();
        open.usable()?;
        open.closed = true;
        Ok(())
    }
}
