//! Damage to a file of one collection is that collection's, and nobody else's.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use quiver_sim::disk::{DiskState, SimClock, SimDisk, SimEntropy};
use quiver_store::{
    CollectionId, Descriptor, DistanceMetric, Dtype, Env, ErrorKind, FilterableField, Options,
    Result, SecPredicate, Store,
};

fn env(disk: &SimDisk) -> Env {
    Env {
        dir: "/store".into(),
        vfs: Arc::new(disk.clone()),
        clock: Arc::new(SimClock::new(1)),
        entropy: Arc::new(SimEntropy::new(1)),
    }
}

/// Without merges, so that a collection keeps the segments that a test makes.
fn options() -> Options {
    Options { merge_factor: 16, reserve_bytes: 0, ..Options::default() }
}

fn open(disk: &SimDisk) -> Result<Store> {
    Store::open_with(env(disk), options())
}

fn schema() -> Descriptor {
    Descriptor::new(1, Dtype::F32, DistanceMetric::L2)
        .with_filterable(vec![FilterableField::numeric("n")])
}

fn id(store: &Store, name: &str) -> CollectionId {
    store.collection_id(name).expect("open").expect("it was created")
}

/// All rows by id, whatever is wrong with others; and the errors on the way.
fn readable(store: &Store, name: &str) -> (Vec<String>, Vec<ErrorKind>) {
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    for row in store.scan(id(store, name)).expect("a scan starts") {
        match row {
            Ok((id, row)) => rows.push(format!("{id}={}", row.vector[0])),
            Err(error) => errors.push(error.kind()),
        }
    }
    (rows, errors)
}

fn kind<T>(answer: Result<T>) -> Option<ErrorKind> {
    answer.err().map(|error| error.kind())
}

/// Two collections. Of each, rows 1 and 2 are in a segment of their own, of which 1 was overwritten
/// since (3 is in the segment that did it), and rows 2 and 4 are changed in the log.
fn two_collections() -> DiskState {
    let disk = SimDisk::new();
    let store = open(&disk).expect("an empty disk takes a store");
    let ids = ["a", "b"].map(|name| store.create_collection(name, schema()).expect("free"));
    for id in ids {
        store.upsert(id, "1", &[1.0], br#"{"n":1}"#).expect("fits");
        store.upsert(id, "2", &[2.0], br#"{"n":2}"#).expect("fits");
    }
    store.checkpoint().expect("no fault is planted");
    for id in ids {
        store.upsert(id, "1", &[10.0], br#"{"n":10}"#).expect("fits");
        store.upsert(id, "3", &[3.0], br#"{"n":3}"#).expect("fits");
    }
    store.checkpoint().expect("no fault is planted");
    for id in ids {
        store.delete(id, "2").expect("fits");
        store.upsert(id, "4", &[4.0], br#"{"n":4}"#).expect("fits");
    }
    store.close().expect("no fault is planted");
    disk.state()
}

const WHOLE: [&str; 3] = ["1=10", "3=3", "4=4"];

/// The files of a kind, in the order of their numbers: of `a` first.
fn files(state: &DiskState, part: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = state.list().into_iter().map(|(path, _)| path).collect();
    found.retain(|path| path.to_string_lossy().contains(part));
    found.sort();
    found
}

fn flipped(state: &DiskState, path: &Path, at: usize) -> DiskState {
    let byte = state.read(path).expect("there")[at] ^ 1;
    state.damaged(path, at as u64, &[byte]).expect("inside the file")
}

/// What a damage to `a` leaves must be refused where `a` is asked for what it hides, and `b` must be as
/// if nothing had happened, also behind a checkpoint and a reopen.
fn check_confined(damaged: &DiskState, shown: &[&str], hides: bool) -> DiskState {
    let disk = SimDisk::mount(damaged);
    let store = open(&disk).expect("the damage is of one collection");
    let (a, b) = (id(&store, "a"), id(&store, "b"));
    for round in 0..2 {
        let (rows, errors) = readable(&store, "a");
        assert_eq!(rows, shown, "round {round}");
        assert_eq!(errors, if hides { vec![ErrorKind::Corrupt] } else { vec![] });
        if hides {
            assert_eq!(kind(store.len(a)), Some(ErrorKind::Corrupt));
            assert_eq!(kind(store.get(a, "never written")), Some(ErrorKind::Corrupt));
            let exists = SecPredicate::Exists { field: "n".to_owned() };
            assert_eq!(kind(store.matching_ids(a, &exists)), Some(ErrorKind::Corrupt));
            assert_eq!(kind(store.capture_vector_source(a)), Some(ErrorKind::Corrupt));
        }
        assert!(store.get(a, "4").expect("in memory").is_some());
        let error = store.upsert(a, "5", &[5.0], b"").expect_err("a damaged collection");
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("/store/"), "names the file: {error}");
        assert_eq!(store.stats().expect("open").damaged.len(), 1);
        assert_eq!(readable(&store, "b"), (WHOLE.map(str::to_owned).to_vec(), vec![]));
        store.checkpoint().expect("the other collection is sealed");
    }
    store.upsert(b, "5", &[5.0], b"").expect("the other collection takes writes");
    store.close().expect("no fault is planted");
    let parked = files(&disk.state(), ".prk");
    assert_eq!(parked.len(), 1, "what the log held of it is parked");
    assert_eq!(disk.state().list().iter().filter(|(path, _)| is_log(path)).count(), 1);
    disk.state()
}

fn is_log(path: &Path) -> bool {
    path.extension().is_some_and(|found| found == "wal")
}

/// With the right bytes back the collection is whole again, and nothing stays parked.
fn check_repaired(state: &DiskState) {
    let disk = SimDisk::mount(state);
    let store = open(&disk).expect("whole");
    assert_eq!(readable(&store, "a"), (WHOLE.map(str::to_owned).to_vec(), vec![]));
    assert_eq!(store.len(id(&store, "a")).expect("whole"), 3);
    assert!(store.stats().expect("open").damaged.is_empty());
    store.checkpoint().expect("whole");
    assert!(files(&disk.state(), ".prk").is_empty());
    store.upsert(id(&store, "a"), "6", &[6.0], b"").expect("it takes writes again");
    drop(store);
    let store = open(&SimDisk::mount(&disk.state())).expect("whole");
    let rows = ["1=10", "3=3", "4=4", "6=6"].map(str::to_owned).to_vec();
    assert_eq!(readable(&store, "a"), (rows, vec![]));
}

#[test]
fn damaged_segment_hides_its_rows_and_nothing_else() {
    let state = two_collections();
    let segment = &files(&state, "segment-")[0];
    let undamaged = state.read(segment).expect("there");
    // A byte of the footer page, which is the last.
    let damaged = flipped(&state, segment, undamaged.len() - 1);
    let left = check_confined(&damaged, &["1=10", "3=3", "4=4"], true);
    let at = undamaged.len() - 1;
    check_repaired(&left.damaged(segment, at as u64, &undamaged[at..]).expect("inside the file"));
}

#[test]
fn damaged_tombstones_hide_the_rows_of_their_segment() {
    let state = two_collections();
    let tombstones = &files(&state, "tombstones-")[0];
    let damaged = flipped(&state, tombstones, 100);
    let left = check_confined(&damaged, &["1=10", "3=3", "4=4"], true);
    check_repaired(&flipped(&left, tombstones, 100));
}

#[test]
fn damaged_newest_segment_does_not_bring_old_rows_back() {
    let state = two_collections();
    // The first two are of the first checkpoint.
    let segment = &files(&state, "segment-")[2];
    let damaged = flipped(&state, segment, 20_000);
    let left = check_confined(&damaged, &["4=4"], true);
    check_repaired(&flipped(&left, segment, 20_000));
}
