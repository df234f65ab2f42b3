//! One schedule: a store on a simulated disk, threads that use it, a crash in the middle and one at the
//! end, and a recovery of each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use quiver_sim::disk::{DiskState, Fault, FaultPlan, PlannedFault, Policy};
use quiver_sim::stream::Stream;
use quiver_store::vfs::Entropy;
use quiver_store::{
    CollectionId, Descriptor, DistanceMetric, Dtype, Env, ErrorKind, Options, Outcome, Result,
    Snapshot, Store, Ticket, WalEntry, WalOp, WriteBatch,
};
use shuttle::rand::RngCore;

use crate::ledger::{Answer, Change, History, Key, Ledger, Rows, Sight, View};
use crate::own::OwnThreads;
use crate::switching::{Cut, Switching};

/// The names of the collections.
const NAMES: [&str; 2] = ["a", "b"];

/// Rows that each collection begins with, and that any request may change.
pub(crate) const SHARED: u64 = 3;

/// Rows of the first collection that are deleted once each.
const DOOMED: u64 = 6;

/// The most changing calls before the one that is cut short.
const CALLS_MAX: u64 = 60;

/// How often what is to be tested did happen.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) schedules: AtomicU64,
    pub(crate) crashes_inside: AtomicU64,
    pub(crate) crashes: AtomicU64,
    pub(crate) views: AtomicU64,
    pub(crate) groups: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) unknown: AtomicU64,
    pub(crate) faults: AtomicU64,
    pub(crate) checkpoints: AtomicU64,
}

impl Tally {
    /// What is counted, in words.
    pub(crate) fn counts(&self) -> [(&'static str, u64); 9] {
        [
            ("schedules", &self.schedules),
            ("crashes while threads ran", &self.crashes_inside),
            ("recoveries", &self.crashes),
            ("views of readers", &self.views),
            ("groups of several requests", &self.groups),
            ("requests after a close", &self.refused),
            ("requests of unknown outcome", &self.unknown),
            ("faults that fired", &self.faults),
            ("checkpoints that were published", &self.checkpoints),
        ]
        .map(|(what, count)| (what, count.load(Ordering::Relaxed)))
    }
}

pub(crate) fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

/// How a scenario has its store.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Setting {
    /// So little memory for rows that checkpoints are due at once.
    pub(crate) is_tight: bool,
    /// Syncs fail.
    pub(crate) has_faults: bool,
    /// The store begins threads of its own.
    pub(crate) has_threads: bool,
}

/// A store with the threads that use it.
pub(crate) struct Stage {
    pub(crate) store: Store,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) tally: Arc<Tally>,
    pub(crate) disk: Switching,
    ids: [CollectionId; 2],
    next_value: AtomicU64,
    next_doomed: AtomicU64,
}

/// The disk that every schedule begins with: a store that was closed, with a few rows.
///
/// To be called within a schedule of its own.
pub(crate) fn base() -> DiskState {
    let disk = Switching::mount(&DiskState::new());
    let store = open(&disk, Options { reserve_bytes: 4096, ..options(false) }, 1, false);
    let store = store.expect("the disk is empty and has no faults");
    let mut batch = WriteBatch::new();
    for name in NAMES {
        let schema = Descriptor::new(1, Dtype::F32, DistanceMetric::L2);
        let id = store.create_collection(name, schema).expect("the disk has no faults");
        let doomed = if name == NAMES[0] { DOOMED } else { 0 };
        let rows = (0..SHARED).map(|row| format!("r{row}"));
        for row in rows.chain((0..doomed).map(|row| format!("d{row}"))) {
            batch.upsert(id, &row, &[0.0], b"0");
        }
    }
    store.write(batch).expect("the disk has no faults");
    store.close().expect("the disk has no faults");
    disk.disk.state()
}

fn options(is_tight: bool) -> Options {
    Options {
        log_step_bytes_min: 4096,
        log_step_bytes_max: 4096,
        group_bytes_max: if is_tight { 4096 } else { 1 << 20 },
        memtable_bytes_max: if is_tight { 2048 } else { 1 << 20 },
        page_cache_bytes: 1 << 16,
        step_bytes: 512,
        merge_factor: 2,
        reserve_bytes: 0,
        ..Options::default()
    }
}

#[derive(Debug)]
struct SeededEntropy(Mutex<Stream>);

impl Entropy for SeededEntropy {
    fn fill(&self, buf: &mut [u8]) -> std::io::Result<()> {
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        buf.fill_with(|| stream.draw().to_le_bytes()[0]);
        Ok(())
    }
}

fn open(disk: &Switching, options: Options, seed: u64, has_threads: bool) -> Result<Store> {
    let entropy = Arc::new(SeededEntropy(Mutex::new(Stream::new(seed))));
    let env = Env { vfs: Arc::new(disk.clone()), entropy, ..Env::memory() };
    let env = if has_threads { env.with_threads(Arc::new(OwnThreads)) } else { env };
    Store::open_with(env, options)
}

/// Plays one schedule of a scenario.
///
/// # Panics
/// If the engine broke a promise.
pub(crate) fn play(
    base: &DiskState,
    setting: Setting,
    tally: &Arc<Tally>,
    scenario: impl FnOnce(&Arc<Stage>, &mut Stream),
) {
    // The one thing besides the order of threads that is drawn, so that a schedule replays.
    let mut dice = Stream::new(shuttle::rand::thread_rng().next_u64());
    count(&tally.schedules, 1);
    let stage = Arc::new(Stage::open(base, setting, tally, &mut dice));
    scenario(&stage, &mut dice);
    let history = stage.ledger.close().unwrap_or_else(|wrong| panic!("{wrong}"));
    let inside = stage.disk.take_cut();
    count(&tally.crashes_inside, u64::from(inside.is_some()));
    let end = Cut { state: stage.disk.disk.state(), mark: stage.ledger.mark() };
    stage.note_counts();
    let disk = stage.disk.clone();
    drop(stage);
    if setting.has_threads {
        // Its threads are gone with the last handle, and the lock with them.
        let reopened = open(&disk, options(false), dice.draw(), false);
        if let Err(error) = reopened {
            panic!("behind the drop of the last handle: {error}");
        }
    }
    for cut in inside.into_iter().chain([end]) {
        recover(&cut, &history, &mut dice);
        count(&tally.crashes, 1);
    }
}

/// Crashes, opens what is left, and holds it against what had been answered.
fn recover(cut: &Cut, history: &History, dice: &mut Stream) {
    let (crash, state) = match dice.below(3) {
        0 => ("a kill", cut.state.kill()),
        _ => {
            let policy = *dice.pick(&Policy::ALL);
            (policy.name(), cut.state.plan_power_loss(policy, false, dice).build())
        }
    };
    let disk = Switching::mount(&state);
    let found = open(&disk, options(false), dice.draw(), false)
        .and_then(|store| read_all(&store.snapshot()?, &ids_of(&store)?));
    let checked = match found {
        Ok((lsn, rows)) => history.check_recovered(cut.mark, lsn, &rows),
        Err(error) => Err(format!("I5: does not open: {error}")),
    };
    checked.unwrap_or_else(|wrong| panic!("after {crash}: {wrong}"));
}

fn ids_of(store: &Store) -> Result<[CollectionId; 2]> {
    let mut ids = [CollectionId(0); 2];
    for (id, name) in ids.iter_mut().zip(NAMES) {
        *id = store.collection_id(name)?.expect("no scenario drops a collection");
    }
    Ok(ids)
}

/// The LSN of a view and all its rows.
fn read_all(view: &Snapshot, ids: &[CollectionId; 2]) -> Result<(u64, Rows)> {
    let mut rows = Rows::new();
    for (number, id) in ids.iter().enumerate() {
        for row in view.scan(*id)? {
            let (row_id, record) = row?;
            rows.insert((number, row_id), text_of(&record.payload, &record.vector));
        }
    }
    Ok((view.lsn().value(), rows))
}

/// The value of a row; vector and payload say the same number.
fn text_of(payload: &[u8], vector: &[f32]) -> String {
    let text = String::from_utf8_lossy(payload).into_owned();
    let number: Option<f32> = text.trim_end_matches('.').parse().ok();
    if number.is_some() && vector == [number.unwrap_or_default()] {
        return text;
    }
    format!("{text} with the vector {vector:?}")
}

impl Stage {
    fn open(base: &DiskState, setting: Setting, tally: &Arc<Tally>, dice: &mut Stream) -> Self {
        let disk = Switching::mount(base);
        let own_options = options(setting.is_tight);
        let store = open(&disk, own_options, dice.draw(), setting.has_threads);
        let store = store.expect("the base was closed and has no faults");
        let ids = ids_of(&store).expect("just opened");
        let (lsn, rows) = store
            .snapshot()
            .and_then(|view| read_all(&view, &ids))
            .expect("the base has no faults");
        let ledger = Arc::new(Ledger::new(lsn, rows));
        let (books, counts) = (Arc::clone(&ledger), Arc::clone(tally));
        store
            .set_commit_observer(Arc::new(move |entry| observe(&books, &counts, &ids, entry)))
            .expect("just opened");
        let stage = Self {
            store,
            ledger,
            tally: Arc::clone(tally),
            disk,
            ids,
            next_value: AtomicU64::new(1),
            next_doomed: AtomicU64::new(0),
        };
        // The first write of a process moves the tail; in half of the schedules it is over by then.
        if dice.chance(1, 2) {
            stage.upsert(dice);
        }
        if setting.has_faults {
            stage.disk.disk.set_faults(failing_syncs(dice));
        }
        let books = Arc::clone(&stage.ledger);
        let call = dice.below(CALLS_MAX);
        stage.disk.cut_at(call, Stream::new(dice.draw()), move || books.mark());
        stage
    }

    fn note_counts(&self) {
        let refused = |kind| move |answer: &Answer| *answer == Answer::Refused(kind);
        count(&self.tally.refused, self.ledger.count(refused(ErrorKind::Closed)));
        count(&self.tally.unknown, self.ledger.count(refused(ErrorKind::Unknown)));
        count(&self.tally.faults, self.disk.disk.faults_fired().values().sum());
    }

    /// A value that is written once.
    fn value(&self, dice: &mut Stream) -> (f32, String) {
        let number = u16::try_from(self.next_value.fetch_add(1, Ordering::Relaxed));
        let number = number.expect("a schedule makes few requests");
        // Long ones, so that frames reach over sectors.
        let dots = if dice.chance(1, 4) { dice.size(300, 700) } else { 0 };
        (f32::from(number), format!("{number}{}", ".".repeat(dots)))
    }

    /// A row that others change too.
    pub(crate) fn shared_key(dice: &mut Stream) -> Key {
        (dice.index(2), format!("r{}", dice.below(SHARED)))
    }

    fn set(&self, batch: &mut WriteBatch, key: Key, dice: &mut Stream) -> Change {
        let (number, value) = self.value(dice);
        batch.upsert(self.ids[key.0], &key.1, &[number], value.as_bytes());
        Change { key, value: Some(value) }
    }

    /// A batch over both collections, with deletions at times.
    fn batch(&self, dice: &mut Stream) -> (WriteBatch, Vec<Change>) {
        let (mut batch, mut changes) = (WriteBatch::new(), Vec::new());
        for collection in 0..2 {
            let row = dice.below(SHARED);
            let key = (collection, format!("r{row}"));
            changes.push(self.set(&mut batch, key, dice));
            if dice.chance(1, 3) {
                let key = (collection, format!("r{}", (row + 1) % SHARED));
                batch.delete(self.ids[collection], &key.1);
                changes.push(Change { key, value: None });
            }
        }
        (batch, changes)
    }

    /// Writes by one of the calls that wait.
    pub(crate) fn write(&self, dice: &mut Stream) {
        match dice.below(5) {
            0 => self.delete(dice),
            1 => self.put_if_absent(dice),
            2 => self.upsert(dice),
            _ => {
                let (batch, changes) = self.batch(dice);
                let request = self.ledger.ask(changes, false);
                self.note(request, self.store.write(batch).map(|lsn| committed(lsn.value())));
            }
        }
    }

    fn upsert(&self, dice: &mut Stream) {
        let key = Self::shared_key(dice);
        let (number, value) = self.value(dice);
        let change = Change { key: key.clone(), value: Some(value.clone()) };
        let request = self.ledger.ask(vec![change], false);
        let lsn = self.store.upsert(self.ids[key.0], &key.1, &[number], value.as_bytes());
        self.note(request, lsn.map(|lsn| committed(lsn.value())));
    }

    fn delete(&self, dice: &mut Stream) {
        let doomed = self.next_doomed.fetch_add(1, Ordering::Relaxed);
        if doomed >= DOOMED {
            return self.upsert(dice);
        }
        let key = (0, format!("d{doomed}"));
        let request = self.ledger.ask(vec![Change { key: key.clone(), value: None }], false);
        let hit = self.store.delete(self.ids[0], &key.1);
        let answer =
            hit.map(|hit| Answer::Committed { last_lsn: None, hits: Some(u64::from(hit)) });
        self.note(request, answer);
    }

    fn put_if_absent(&self, dice: &mut Stream) {
        let key = match dice.chance(1, 2) {
            true => Self::shared_key(dice),
            false => (0, format!("p{}", dice.below(2))),
        };
        let (number, value) = self.value(dice);
        let change = Change { key: key.clone(), value: Some(value.clone()) };
        let request = self.ledger.ask(vec![change], true);
        let put = self.store.put_if_absent(self.ids[key.0], &key.1, &[number], value.as_bytes());
        let committed = Answer::Committed { last_lsn: None, hits: None };
        self.note(request, put.map(|put| if put { committed } else { Answer::Unchanged }));
    }

    /// Enqueues a batch; the request and its ticket, unless the store is closed.
    pub(crate) fn submit(&self, dice: &mut Stream) -> Option<(usize, Ticket)> {
        let (batch, changes) = self.batch(dice);
        let request = self.ledger.ask(changes, false);
        match self.store.submit(batch) {
            Ok(ticket) => Some((request, ticket)),
            Err(error) => {
                self.note(request, Err(error));
                None
            }
        }
    }

    /// Notes the answer of a ticket, if there is one.
    pub(crate) fn poll(&self, request: usize, ticket: &Ticket) -> bool {
        let Some(answer) = ticket.poll() else { return false };
        self.note(
            request,
            answer.map(|outcome| match outcome {
                Outcome::Written { last_lsn, hits } => {
                    Answer::Committed { last_lsn: Some(last_lsn.value()), hits: Some(hits) }
                }
                other => panic!("a batch was answered with {other:?}"),
            }),
        );
        true
    }

    fn note(&self, request: usize, answer: Result<Answer>) {
        self.ledger.answer(
            request,
            answer.unwrap_or_else(|error| {
                let kind = error.kind();
                let is_fault = [ErrorKind::Io, ErrorKind::Latched, ErrorKind::Unknown];
                let has_fault = !self.disk.disk.faults_fired().is_empty();
                if kind != ErrorKind::Closed && !(has_fault && is_fault.contains(&kind)) {
                    self.ledger.wrong(format!("request {request}: {error}"));
                }
                Answer::Refused(kind)
            }),
        );
    }

    /// Reads everything as of one moment; whether the store was open.
    pub(crate) fn read_all(&self, reader: usize) -> bool {
        let mark = self.ledger.mark();
        let seen = self.store.snapshot().and_then(|view| read_all(&view, &self.ids));
        self.see(reader, mark, seen.map(|(lsn, rows)| Sight::All { lsn, rows }))
    }

    /// Reads one row as it is now; whether the store was open.
    pub(crate) fn read_one(&self, reader: usize, dice: &mut Stream) -> bool {
        let key = Self::shared_key(dice);
        let mark = self.ledger.mark();
        let row = self.store.get(self.ids[key.0], &key.1);
        let seen = row.map(|row| row.map(|row| text_of(&row.payload, &row.vector)));
        self.see(reader, mark, seen.map(|value| Sight::One { key, value }))
    }

    fn see(&self, reader: usize, mark: usize, sight: Result<Sight>) -> bool {
        match sight {
            Ok(sight) => {
                count(&self.tally.views, 1);
                self.ledger.see(View { reader, mark, sight });
                true
            }
            Err(error) => {
                if error.kind() != ErrorKind::Closed {
                    self.ledger.wrong(format!("reader {reader}: {error}"));
                }
                false
            }
        }
    }
}

fn committed(lsn: u64) -> Answer {
    Answer::Committed { last_lsn: Some(lsn), hits: None }
}

fn observe(ledger: &Ledger, tally: &Tally, ids: &[CollectionId; 2], entry: &WalEntry) {
    let number = |id| ids.iter().position(|known| *known == id).expect("nothing else is written");
    let change = match &entry.op {
        WalOp::Upsert { collection_id, external_id, vector, payload } => {
            let vector: Vec<f32> =
                vector.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            let key = (number(*collection_id), external_id.clone());
            Change { key, value: Some(text_of(payload, &vector)) }
        }
        WalOp::Delete { collection_id, external_id } => {
            Change { key: (number(*collection_id), external_id.clone()), value: None }
        }
        WalOp::Checkpoint { .. } => return count(&tally.checkpoints, 1),
        other => return ledger.wrong(format!("nobody asked for {other:?}")),
    };
    ledger.observe(entry.lsn.value(), change, entry.ends_batch);
}

/// One of the next syncs fails, and at times those behind it, so that moving the tail fails as well.
fn failing_syncs(dice: &mut Stream) -> FaultPlan {
    let first = dice.below(4);
    let count = if dice.chance(1, 3) { 2 } else { 1 };
    let fault = Fault::SyncEio;
    let faults = (first..first + count).map(|call_index| PlannedFault { call_index, fault });
    FaultPlan { faults: faults.collect(), seed: dice.draw() }
}
