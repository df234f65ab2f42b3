//! Every read call against a map, over memtables, segments, tombstones, merges and reopens.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use quiver_store::vfs::memory::{CountingEntropy, MemoryVfs, StoppedClock};
use quiver_store::{
    CollectionId, Descriptor, DistanceMetric, Dtype, Env, ErrorKind, Options, Record, ScanRange,
    Snapshot, Store, WriteBatch,
};

const DIM: u32 = 3;

type Rows = BTreeMap<String, Record>;

/// Numbers that look random and are the same in each run (a linear congruence, Knuth's constants).
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn id(&mut self) -> String {
        format!(
            "{:03}-{}",
            self.below(120),
            "i".repeat(usize::try_from(self.0 % 5).expect("small"))
        )
    }

    fn record(&mut self) -> Record {
        let element = f32::from(u16::try_from(self.below(1000)).expect("small"));
        let long = if self.below(20) == 0 { 20_000 } else { 60 };
        let len = usize::try_from(self.below(long)).expect("small");
        let byte = u8::try_from(self.below(256)).expect("a byte");
        Record { vector: vec![element, -0.0, f32::MAX], payload: vec![byte; len] }
    }
}

struct Run {
    vfs: Arc<MemoryVfs>,
    entropy: Arc<CountingEntropy>,
    options: Options,
    store: Store,
    id: CollectionId,
    rows: Rows,
    snapshots: Vec<(Snapshot, Rows)>,
    draws: Draws,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut draws = Draws(seed);
        let options = Options {
            memtable_bytes_max: 1 << (10 + draws.below(8)),
            step_bytes: 1 << draws.below(16),
            merge_factor: 2 + usize::try_from(draws.below(3)).expect("small"),
            page_cache_bytes: draws.below(3) * 50_000,
            read_ahead_bytes: 1 << draws.below(18),
            ..Options::default()
        };
        let (vfs, entropy) = (Arc::new(MemoryVfs::new()), Arc::new(CountingEntropy::new()));
        let store = Store::open_with(env(&vfs, &entropy), options.clone()).expect("creates");
        let schema = Descriptor::new(DIM, Dtype::F32, DistanceMetric::L2);
        let id = store.create_collection("rows", schema).expect("new");
        let (rows, snapshots) = (Rows::new(), Vec::new());
        Self { vfs, entropy, options, store, id, rows, snapshots, draws }
    }

    fn step(&mut self) {
        match self.draws.below(24) {
            0..=7 => self.upsert(),
            8..=12 => {
                let id = self.draws.id();
                let found = self.store.delete(self.id, &id).expect("ok");
                assert_eq!(found, self.rows.remove(&id).is_some(), "hit of {id}");
            }
            13..=15 => self.batch(),
            16 => self.store.checkpoint().expect("ok"),
            17..=19 => drop(self.store.maintain().expect("ok")),
            20 => self.snapshots.push((self.store.snapshot().expect("open"), self.rows.clone())),
            21 if !self.snapshots.is_empty() => {
                let count = self.snapshots.len() as u64;
                let place = usize::try_from(self.draws.below(count)).expect("small");
                let (snapshot, rows) = self.snapshots.swap_remove(place);
                same(&snapshot, self.id, &rows);
            }
            22 if self.draws.below(4) == 0 => self.store.compact().expect("ok"),
            23 if self.draws.below(4) == 0 => self.reopen(),
            _ => self.spot_checks(),
        }
    }

    fn upsert(&mut self) {
        let (id, record) = (self.draws.id(), self.draws.record());
        self.store.upsert(self.id, &id, &record.vector, &record.payload).expect("ok");
        self.rows.insert(id, record);
    }

    fn batch(&mut self) {
        let mut batch = WriteBatch::new();
        for _ in 0..=self.draws.below(30) {
            let id = self.draws.id();
            if self.draws.below(3) == 0 {
                batch.delete(self.id, &id);
                self.rows.remove(&id);
            } else {
                let record = self.draws.record();
                batch.upsert(self.id, &id, &record.vector, &record.payload);
                self.rows.insert(id, record);
            }
        }
        self.store.write(batch).expect("ok");
    }

    fn reopen(&mut self) {
        for (snapshot, rows) in self.snapshots.drain(..) {
            same(&snapshot, self.id, &rows);
        }
        if self.draws.below(2) == 0 {
            self.store.close().expect("closes");
        }
        self.store = Store::open_with(Env::memory(), Options::default()).expect("lets go of it");
        let env = env(&self.vfs, &self.entropy);
        self.store = Store::open_with(env, self.options.clone()).expect("recovers");
    }

    fn spot_checks(&mut self) {
        assert_eq!(self.store.len(self.id).expect("ok"), self.rows.len() as u64);
        let ids: Vec<String> = (0..5).map(|_| self.draws.id()).collect();
        let asked: Vec<&str> = ids.iter().map(String::as_str).collect();
        let found = self.store.get_many(self.id, &asked).expect("ok");
        for (id, found) in ids.iter().zip(found) {
            let expected = self.rows.get(id);
            assert_eq!(found.as_ref(), expected, "{id}");
            let vector = self.store.get_vector(self.id, id).expect("ok");
            assert_eq!(vector.as_ref(), expected.map(|row| &row.vector), "{id}");
            let payload = self.store.get_payload(self.id, id).expect("ok");
            assert_eq!(payload.as_ref(), expected.map(|row| &row.payload), "{id}");
        }
        let (from, until) = (&ids[0], &ids[1]);
        let limit = self.draws.below(20);
        let range = ScanRange::all().from(from).until(until).limit(limit);
        let scanned = self.store.scan_payloads(self.id, range).expect("ok");
        let scanned: Vec<_> = scanned.collect::<Result<_, _>>().expect("ok");
        let inside = self.rows.iter().filter(|(id, _)| *id >= from && *id < until);
        let expected = inside.map(|(id, row)| (id.clone(), row.payload.clone()));
        let expected: Vec<_> = expected.take(usize::try_from(limit).expect("small")).collect();
        assert_eq!(scanned, expected, "from {from} until {until}");
    }
}

fn env(vfs: &Arc<MemoryVfs>, entropy: &Arc<CountingEntropy>) -> Env {
    Env::new("/store", vfs.clone(), Arc::new(StoppedClock), entropy.clone())
}

/// A snapshot shows exactly these rows, by every way of reading them all.
fn same(snapshot: &Snapshot, id: CollectionId, rows: &Rows) {
    assert_eq!(snapshot.len(id).expect("ok"), rows.len() as u64);
    let scanned: Rows = snapshot.scan(id).expect("ok").collect::<Result<_, _>>().expect("ok");
    assert_eq!(&scanned, rows);
    let mut shown = Rows::new();
    let seen = snapshot.scan_with(id, ScanRange::all(), |id, row| {
        shown.insert(id.to_owned(), row.to_record());
        ControlFlow::Continue(())
    });
    seen.expect("ok");
    assert_eq!(&shown, rows);
    let source = snapshot.capture_vector_source(id).expect("ok");
    assert_eq!((source.len(), source.dim()), (rows.len() as u64, DIM));
    let vectors = rows.iter().map(|(id, row)| (id.clone(), row.vector.clone()));
    assert!(source.iter().eq(vectors) && source.take_error().is_none());
    for (external_id, row) in rows.iter().step_by(7) {
        assert_eq!(snapshot.get(id, external_id).expect("ok").as_ref(), Some(row));
    }
}

#[test]
fn every_read_agrees_with_a_map_whatever_is_sealed_merged_or_reopened() {
    let (mut merges, mut tombstones) = (0, 0);
    for seed in 0..40 {
        let mut run = Run::new(seed);
        for _ in 0..250 {
            run.step();
        }
        let stats = run.store.stats().expect("ok");
        merges += stats.merges;
        tombstones += stats.tombstones;
        let now = run.store.snapshot().expect("open");
        same(&now, run.id, &run.rows);
        for (snapshot, rows) in run.snapshots.drain(..) {
            same(&snapshot, run.id, &rows);
        }
    }
    assert!(merges > 0 && tombstones > 0, "{merges} merges, {tombstones} files of tombstones");
}

#[test]
fn snapshot_of_a_dropped_collection_stays_readable_until_the_store_is_closed() {
    let mut run = Run::new(1);
    for _ in 0..50 {
        run.upsert();
    }
    run.store.checkpoint().expect("ok");
    run.upsert();
    let snapshot = run.store.snapshot().expect("open");
    assert!(run.store.drop_collection("rows").expect("there"));
    run.store.compact().expect("ok");
    assert_eq!(run.store.stats().expect("ok").segments, 0);
    assert!(run.store.stats().expect("ok").pinned > 0, "its file is still needed");
    same(&snapshot, run.id, &run.rows);
    assert_eq!(run.store.len(run.id).expect_err("dropped").kind(), ErrorKind::NotFound);
    let other = snapshot.clone();
    drop(snapshot);
    assert!(run.store.stats().expect("ok").pinned > 0);
    run.store.close().expect("closes");
    assert_eq!(other.len(run.id).expect_err("closed").kind(), ErrorKind::Closed);
}

#[test]
fn file_that_a_snapshot_needs_is_removed_when_it_lets_go() {
    let mut run = Run::new(2);
    for _ in 0..50 {
        run.upsert();
    }
    run.store.checkpoint().expect("ok");
    let snapshot = run.store.snapshot().expect("open");
    run.upsert();
    run.store.compact().expect("ok");
    let pinned = run.store.stats().expect("ok").pinned;
    assert!(pinned > 0);
    drop(snapshot);
    run.store.checkpoint().expect("ok");
    let stats = run.store.stats().expect("ok");
    assert_eq!((stats.pinned, stats.orphans), (0, 0));
}

#[test]
fn store_can_be_used_between_the_steps_of_a_compaction_and_can_break_it_off() {
    let mut run = Run::new(3);
    for _ in 0..3 {
        run.batch();
        run.store.checkpoint().expect("ok");
    }
    let (store, id) = (run.store.clone(), run.id);
    let mut asked = 0;
    let compacted = run.store.compact_with(|progress| {
        asked += 1;
        assert!(progress.rows_done <= progress.rows && progress.collection == id);
        store.upsert(id, "between", &[1.0, 2.0, 3.0], b"").expect("no lock is held");
        store.checkpoint().expect("nor by a checkpoint's");
        if asked == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    compacted.expect("ok");
    assert!((1..=3).contains(&asked));
    let between = Record { vector: vec![1.0, 2.0, 3.0], payload: Vec::new() };
    run.rows.insert("between".into(), between);
    same(&run.store.snapshot().expect("open"), run.id, &run.rows);
    assert_eq!(run.store.stats().expect("ok").orphans, 0, "what was broken off is removed");
}

#[test]
fn compaction_leaves_nothing_behind() {
    let mut run = Run::new(4);
    for _ in 0..6 {
        run.batch();
        run.store.checkpoint().expect("ok");
    }
    run.store.compact().expect("ok");
    let stats = run.store.stats().expect("ok");
    assert_eq!((stats.segments, stats.tombstones, stats.pinned, stats.orphans), (1, 0, 0, 0));
}

#[test]
fn rows_of_no_collection_are_not_found_however_few_are_asked_for() {
    let run = Run::new(5);
    let nobody = CollectionId(99);
    for ids in [&["a"][..], &[]] {
        let error = run.store.get_many(nobody, ids).expect_err("no such collection");
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}
