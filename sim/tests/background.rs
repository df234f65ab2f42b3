//! The store's own threads on the simulated disk: power is lost, and space runs out, while they work.
//!
//! The threads are the system's, so no two runs are alike: what they do is explored step by step by
//! the histories, and schedule by schedule under shuttle. Here all of it runs as it ships.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use quiver_sim::disk::{DiskState, Policy, SimClock, SimDisk, SimEntropy};
use quiver_sim::stream::Stream;
use quiver_store::vfs::os::OsThreads;
use quiver_store::{
    CollectionId, Descriptor, DistanceMetric, Dtype, Env, ErrorKind, Options, Result, Store,
};

/// How long anything may take before it counts as never.
const NEVER: Duration = Duration::from_secs(60);

fn env(disk: &SimDisk) -> Env {
    let (vfs, clock) = (Arc::new(disk.clone()), Arc::new(SimClock::new(1)));
    Env::new("/store", vfs, clock, Arc::new(SimEntropy::new(7)))
}

fn open(disk: &SimDisk) -> Result<Store> {
    let options = Options {
        memtable_bytes_max: 8 * 1024,
        log_size_bytes_max: 64 * 1024,
        step_bytes: 1024,
        reserve_bytes: 0,
        idle_us: 1000,
        ..Options::default()
    };
    Store::open_with(env(disk).with_threads(Arc::new(OsThreads::new())), options)
}

fn create(store: &Store) -> Result<CollectionId> {
    store.create_collection("a", Descriptor::new(1, Dtype::F32, DistanceMetric::L2))
}

fn row_of(writer: u32, row: u64) -> String {
    format!("{writer}-{:03}", row % 200)
}

fn becomes(mut holds: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < NEVER {
        if holds() {
            return true;
        }
        thread::yield_now();
    }
    false
}

/// What was acknowledged before a copy of the disk was taken, and the copy.
struct Copied {
    acknowledged: BTreeMap<u32, u64>,
    state: DiskState,
}

#[test]
fn what_was_acknowledged_survives_a_loss_of_power_beside_the_stores_own_threads() -> Result<()> {
    const WRITERS: u32 = 3;
    const ROWS: u64 = 3000;
    const ROWS_PER_COPY: u64 = 30;
    let disk = SimDisk::new();
    let store = open(&disk)?;
    let id = create(&store)?;
    let acknowledged = Mutex::new(BTreeMap::new());
    let copies = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (store, disk, acknowledged, copies) = (&store, &disk, &acknowledged, &copies);
            scope.spawn(move || {
                for row in 1..=ROWS {
                    let (name, payload) = (row_of(writer, row), row.to_le_bytes());
                    store.upsert(id, &name, &[1.0], &payload).expect("no fault is planted");
                    acknowledged.lock().expect("no panic").insert(writer, row);
                    // By the count of rows: a copier beside them may get no turn on a busy machine.
                    if row % ROWS_PER_COPY == 0 {
                        let acknowledged = acknowledged.lock().expect("no panic").clone();
                        let copied = Copied { acknowledged, state: disk.state() };
                        copies.lock().expect("no panic").push(copied);
                    }
                }
            });
        }
    });
    let copies = copies.into_inner().expect("no panic");
    let stats = store.stats()?;
    assert!(stats.checkpoints > 5 && stats.merges > 0, "{stats:?}");
    drop(store);
    let mut dice = Stream::new(4711);
    for (copied, policy) in copies.iter().zip(Policy::ALL.into_iter().cycle()) {
        let image = copied.state.plan_power_loss(policy, false, &mut dice).build();
        let store = open(&SimDisk::mount(&image))?;
        let id = store.collection_id("a")?;
        let id = id.unwrap_or_else(|| panic!("{policy:?}: the collection is lost"));
        for (writer, row) in &copied.acknowledged {
            let found = store.get_payload(id, &row_of(*writer, *row))?;
            let found = found.map(|payload| {
                u64::from_le_bytes(payload.try_into().expect("the payload of a row number"))
            });
            assert!(found >= Some(*row), "{policy:?}: {writer} wrote {row}, found {found:?}");
        }
    }
    assert_eq!(copies.len() as u64, u64::from(WRITERS) * (ROWS / ROWS_PER_COPY));
    Ok(())
}

#[test]
fn background_work_that_a_full_disk_stops_goes_on_once_there_is_room() -> Result<()> {
    let disk = SimDisk::new();
    let store = open(&disk)?;
    let id = create(&store)?;
    let mut written = 0_u64;
    let mut write = || {
        let result = store.upsert(id, &row_of(0, written), &[1.0], &[7; 100]);
        written += u64::from(result.is_ok());
        result
    };
    write()?;
    disk.set_free_bytes(Some(0));
    // The log has room allocated ahead, so rows go in until work is due that makes files.
    let stopped = becomes(|| {
        match write() {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::Full, "{error}"),
        }
        store.stats().is_ok_and(|stats| stats.background_failure.is_some())
    });
    assert!(stopped, "the thread says nothing: {:?}", store.stats()?);
    disk.set_free_bytes(None);
    let goes_on = becomes(|| {
        let stats = store.stats().expect("open");
        stats.background_failure.is_none() && stats.checkpoints > 0
    });
    assert!(goes_on, "it was not tried again: {:?}", store.stats()?);
    write()?;
    let rows = store.len(id)?;
    drop(store);
    assert_eq!(open(&disk)?.len(id)?, rows);
    assert_eq!(rows, written.min(200));
    Ok(())
}
