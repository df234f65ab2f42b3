//! Damage at rest to a small store: every byte of every file.
//!
//! What is proved is never lost in silence; what is not proved is a torn tail; what is not the
//! right data is an error.

use std::path::PathBuf;
use std::sync::Arc;

use quiver_sim::disk::{DiskState, SimClock, SimDisk, SimEntropy};
use quiver_store::{Descriptor, DistanceMetric, Dtype, Env, ErrorKind, Options, Store};

fn open(disk: &SimDisk) -> quiver_store::Result<Store> {
    let env = Env {
        dir: "/store".into(),
        vfs: Arc::new(disk.clone()),
        clock: Arc::new(SimClock::new(1)),
        entropy: Arc::new(SimEntropy::new(1)),
    };
    let options = Options {
        log_step_bytes_min: 1024,
        log_step_bytes_max: 1024,
        log_window_bytes: 1024,
        ..Options::default()
    };
    Store::open_with(env, options)
}

/// A store with one row in a segment and three in the log, stopped in some way.
fn store(stop: impl FnOnce(Store)) -> DiskState {
    let disk = SimDisk::new();
    let store = open(&disk).expect("an empty disk takes a store");
    let schema = Descriptor::new(1, Dtype::F32, DistanceMetric::L2);
    let id = store.create_collection("a", schema).expect("the name is free");
    store.upsert(id, "0", &[1.0], b"zero").expect("fits");
    store.checkpoint().expect("no fault is planted");
    for row in ["1", "2", "3"] {
        store.upsert(id, row, &[1.0], b"payload").expect("fits");
    }
    stop(store);
    disk.state()
}

/// The rows that a disk shows, or how its open failed.
fn rows(state: &DiskState) -> Result<Vec<(String, Vec<u8>)>, ErrorKind> {
    let store = open(&SimDisk::mount(state)).map_err(|error| error.kind())?;
    let id = store.collection_id("a").expect("open").expect("the collection is sealed");
    let rows = store.scan(id).expect("open");
    Ok(rows.map(|row| row.map(|(id, row)| (id, row.payload)).expect("in memory")).collect())
}

fn file(state: &DiskState, part: &str) -> (PathBuf, usize) {
    let mut files = state.list().into_iter();
    let (path, len) = files.find(|(path, _)| path.to_string_lossy().contains(part)).expect("there");
    (path, usize::try_from(len).expect("small"))
}

fn flipped(state: &DiskState, path: &PathBuf, at: usize) -> DiskState {
    let byte = state.read(path).expect("there")[at] ^ (1 << (at % 8));
    state.damaged(path, at as u64, &[byte]).expect("inside the file")
}

/// Flips one bit in every byte of the log; the bytes at which each outcome came.
fn outcomes(state: &DiskState) -> Vec<Result<usize, ErrorKind>> {
    let undamaged = rows(state).expect("sound");
    let (path, len) = file(state, "log-");
    let outcome = |at| {
        rows(&flipped(state, &path, at)).map(|found| {
            assert_eq!(found, undamaged[..found.len()], "byte {at} shows other rows");
            found.len()
        })
    };
    (0..len).map(outcome).collect()
}

#[test]
fn damage_to_a_proved_record_is_corruption_and_to_the_unproved_one_a_torn_tail() {
    let found = outcomes(&store(drop));
    // Header, and the two groups that the third one proves.
    let proved = 512..512 + 2 * 512;
    assert!(found[..512].iter().all(|outcome| *outcome == Err(ErrorKind::Corrupt)));
    assert!(found[proved.clone()].iter().all(|outcome| match outcome {
        Err(kind) => *kind == ErrorKind::Corrupt,
        // Padding holds nothing.
        Ok(rows) => *rows == 4,
    }));
    assert!(found[proved.clone()].iter().filter(|outcome| outcome.is_err()).count() > 200);
    let last = &found[proved.end..];
    assert!(last.iter().all(|outcome| matches!(outcome, Ok(3 | 4))), "only row 3 may go");
    assert!(last.iter().filter(|outcome| **outcome == Ok(3)).count() > 100);
}

#[test]
fn proof_and_closing_frame_turn_damage_to_the_last_record_into_corruption() {
    let proved = store(|store| assert!(store.maintain().expect("no fault is planted")));
    let closed = store(|store| store.close().expect("no fault is planted"));
    for state in [proved, closed] {
        let found = outcomes(&state);
        let last_record = &found[512 + 2 * 512..][..100];
        assert!(last_record.iter().all(|outcome| *outcome == Err(ErrorKind::Corrupt)));
        assert!(found.iter().all(|outcome| matches!(outcome, Err(ErrorKind::Corrupt) | Ok(4))));
    }
}

#[test]
fn every_flipped_byte_of_current_manifest_and_segment_is_an_error() {
    let state = store(|store| store.close().expect("no fault is planted"));
    for part in ["CURRENT", "manifest-", "segment-"] {
        let (path, len) = file(&state, part);
        for at in 0..len {
            let kind = rows(&flipped(&state, &path, at)).expect_err("one bit differs");
            assert_eq!(kind, ErrorKind::Corrupt, "byte {at} of {}", path.display());
        }
    }
}
