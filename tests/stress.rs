//! Writers, readers and the store's own threads beside one another for ten seconds, on a real disk: what
//! readers see is one state each time, and never goes back.
//!
//! Each writer counts: its batch `n` writes `n` into each row of its own set, in two collections, and
//! puts one row that is new. So a reader can tell from the rows alone:
//!
//! - I2, I13: in one snapshot all rows of a writer's set have the same number, in both collections;
//! - I3: that number never goes back from one snapshot to a later one, and is at least what was
//!   acknowledged before the snapshot was taken;
//! - I4: no number is above what its writer has begun.
//!
//! At the end the store is reopened without a close, and all acknowledged is there.

#![expect(
    clippy::disallowed_methods,
    reason = "real threads on a real disk for a time, which is what is tested"
)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use quiver_store::{
    CollectionId, Descriptor, DistanceMetric, Dtype, Env, Options, Record, Result, Snapshot, Store,
    WriteBatch,
};

const WRITERS: usize = 3;
const READERS: usize = 2;
const SET_ROWS: usize = 20;
const TIME: Duration = Duration::from_secs(10);

/// What a writer has begun and what was acknowledged to it.
#[derive(Debug, Default)]
struct Progress {
    begun: AtomicU64,
    acknowledged: AtomicU64,
}

struct Subject {
    store: Store,
    collections: [CollectionId; 2],
    progress: [Progress; WRITERS],
    until: Instant,
}

fn options() -> Options {
    Options {
        memtable_bytes_max: 256 * 1024,
        log_size_bytes_max: 1 << 20,
        step_bytes: 64 * 1024,
        idle_us: 1000,
        ..Options::default()
    }
}

fn row_of(writer: usize, row: usize) -> String {
    format!("writer-{writer}-{row:02}")
}

impl Subject {
    fn goes_on(&self) -> bool {
        Instant::now() < self.until
    }

    fn write(&self, writer: usize) -> Result<()> {
        let own = &self.progress[writer];
        let mut number = 0_u64;
        while self.goes_on() {
            number += 1;
            own.begun.store(number, Ordering::SeqCst);
            let mut batch = WriteBatch::new();
            for collection in self.collections {
                for row in 0..SET_ROWS {
                    let vector = [number as f32; 8];
                    batch.upsert(collection, &row_of(writer, row), &vector, &number.to_le_bytes());
                }
            }
            let new = format!("new-{writer}-{number:08}");
            batch.upsert(self.collections[0], &new, &[0.0; 8], &[9; 300]);
            if number.is_multiple_of(3) {
                // Awaited or waited for is all the same.
                self.store.submit(batch)?.wait()?;
            } else {
                self.store.write(batch)?;
            }
            own.acknowledged.store(number, Ordering::SeqCst);
            if number.is_multiple_of(50) {
                let old = format!("new-{writer}-{:08}", number - 25);
                assert!(self.store.delete(self.collections[0], &old)?, "{old} was written");
                assert_eq!(self.store.get(self.collections[0], &old)?, None, "a deleted row");
            }
        }
        Ok(())
    }

    fn read(&self, reader: usize) -> Result<u64> {
        let mut seen = [0; WRITERS];
        let mut snapshots = 0;
        while self.goes_on() {
            let before =
                self.progress.each_ref().map(|own| own.acknowledged.load(Ordering::SeqCst));
            let snapshot = self.store.snapshot()?;
            let shown = match (snapshots + reader) % 3 {
                0 => self.by_scans(&snapshot)?,
                _ => self.by_gets(&snapshot)?,
            };
            for writer in 0..WRITERS {
                let begun = self.progress[writer].begun.load(Ordering::SeqCst);
                let number = shown[writer];
                assert!(
                    number >= before[writer],
                    "{number} behind acknowledged {}",
                    before[writer]
                );
                assert!(number >= seen[writer], "{number} behind {}, seen before", seen[writer]);
                assert!(number <= begun, "{number} above {begun}, which nobody wrote");
            }
            seen = shown;
            snapshots += 1;
        }
        Ok(snapshots as u64)
    }

    /// The number of each writer, from single rows.
    fn by_gets(&self, snapshot: &Snapshot) -> Result<[u64; WRITERS]> {
        let mut shown = [0; WRITERS];
        for (writer, shown) in shown.iter_mut().enumerate() {
            let mut numbers = Vec::new();
            for collection in self.collections {
                for row in [0, SET_ROWS / 2, SET_ROWS - 1] {
                    let record = snapshot.get(collection, &row_of(writer, row))?;
                    numbers.push(record.map_or(0, |record| number_of(&record)));
                }
            }
            *shown = same(&numbers);
        }
        Ok(shown)
    }

    /// The number of each writer, from all rows.
    fn by_scans(&self, snapshot: &Snapshot) -> Result<[u64; WRITERS]> {
        let mut numbers: [Vec<u64>; WRITERS] = std::array::from_fn(|_| Vec::new());
        let mut rows = 0;
        for collection in self.collections {
            let mut before = String::new();
            for row in snapshot.scan(collection)? {
                let (id, record) = row?;
                assert!(id > before, "{id} behind {before}");
                rows += 1;
                if let Some(own) = id.strip_prefix("writer-") {
                    let writer: usize = own[..1].parse().expect("a digit");
                    numbers[writer].push(number_of(&record));
                }
                before = id;
            }
        }
        let counted: u64 =
            self.collections.iter().map(|&id| snapshot.len(id)).sum::<Result<u64>>()?;
        assert_eq!(rows, counted, "as many rows as the snapshot counts");
        Ok(numbers.map(|numbers| {
            assert!([0, 2 * SET_ROWS].contains(&numbers.len()), "{} rows", numbers.len());
            same(&numbers)
        }))
    }
}

fn number_of(record: &Record) -> u64 {
    let number = u64::from_le_bytes(record.payload.as_slice().try_into().expect("eight bytes"));
    assert_eq!(record.vector, [number as f32; 8], "vector and payload of one write");
    number
}

/// The one number that all of them are.
fn same(numbers: &[u64]) -> u64 {
    let first = numbers.first().copied().unwrap_or(0);
    assert!(numbers.iter().all(|number| *number == first), "several states in one: {numbers:?}");
    first
}

#[test]
fn readers_see_one_state_that_never_goes_back_whatever_runs_beside_them() -> Result<()> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = Store::open_with(Env::os(dir.path()), options())?;
    let schema = || Descriptor::new(8, Dtype::F32, DistanceMetric::L2);
    let collections =
        [store.create_collection("a", schema())?, store.create_collection("b", schema())?];
    let until = Instant::now() + TIME;
    let subject = Subject { store, collections, progress: Default::default(), until };
    thread::scope(|scope| {
        let subject = &subject;
        let writers: Vec<_> =
            (0..WRITERS).map(|writer| scope.spawn(move || subject.write(writer))).collect();
        let readers: Vec<_> =
            (0..READERS).map(|reader| scope.spawn(move || subject.read(reader))).collect();
        while subject.goes_on() {
            // Callers may do what the store's own threads do.
            subject.store.compact().expect("no fault");
            thread::yield_now();
        }
        for writer in writers {
            writer.join().expect("no writer panics")?;
        }
        for reader in readers {
            assert!(reader.join().expect("no reader panics")? > 0, "a reader saw nothing");
        }
        Result::Ok(())
    })?;
    let stats = subject.store.stats()?;
    assert!(stats.checkpoints > 0 && stats.merges > 0, "nothing ran beside them: {stats:?}");
    assert_eq!(stats.background_failure, None);
    let Subject { store, progress, .. } = subject;
    drop(store);
    let store = Store::open_with(Env::os(dir.path()), options())?;
    for (writer, own) in progress.iter().enumerate() {
        let record = store.get(collections[1], &row_of(writer, 7))?.expect("written");
        assert_eq!(number_of(&record), own.acknowledged.load(Ordering::SeqCst));
    }
    Ok(())
}
