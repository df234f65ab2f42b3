//! Damage to a file of one collection is that collection's, and nobody else's.

use std::ops::ControlFlow;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quiver_sim::disk::{DiskState, SimClock, SimDisk, SimEntropy};
use quiver_store::vfs::{Access, Vfs};
use quiver_store::{
    CollectionId, Descriptor, DistanceMetric, Dtype, Env, ErrorKind, FilterableField, Options,
    Result, ScanRange, SecPredicate, Store, VerifyOptions,
};

fn env(disk: &SimDisk) -> Env {
    Env::new(
        "/store",
        Arc::new(disk.clone()),
        Arc::new(SimClock::new(1)),
        Arc::new(SimEntropy::new(1)),
    )
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

/// The rows of `many_rows` in its long segment.
const MANY: u64 = 20_000;

/// Two collections, with so many rows in `a` that their ids do not all stand in the tail of its newest
/// segment, which is read when the segment is opened; and that segment.
fn many_rows() -> (DiskState, PathBuf) {
    let disk = SimDisk::mount(&two_collections());
    let store = open(&disk).expect("whole");
    let a = id(&store, "a");
    for round in 0..MANY {
        store.upsert(a, &format!("{round:08}"), &[0.5], br#"{"n":7}"#).expect("fits");
    }
    store.checkpoint().expect("no fault is planted");
    store.close().expect("no fault is planted");
    let state = disk.state();
    let sizes = state.list().into_iter().filter(|(path, _)| !is_log(path));
    let (segment, _) = sizes.max_by_key(|(_, bytes)| *bytes).expect("there are some");
    (state, segment)
}

#[test]
fn damage_that_a_checkpoint_meets_parks_the_collection_and_seals_the_other() {
    let (state, segment) = many_rows();
    let whole = MANY + WHOLE.len() as u64;
    // The first page is one of ids.
    let disk = SimDisk::mount(&flipped(&state, &segment, 100));
    let store = open(&disk).expect("nobody has looked yet");
    let (a, b) = (id(&store, "a"), id(&store, "b"));
    store.upsert(a, "00000000", &[7.0], b"").expect("nobody has looked yet");
    store.upsert(b, "5", &[5.0], b"").expect("fits");
    store.checkpoint().expect("the other collection is sealed");
    assert_eq!(kind(store.upsert(a, "x", &[7.0], b"")), Some(ErrorKind::Corrupt));
    assert_eq!(store.get(a, "00000000").expect("in memory").expect("there").vector, [7.0]);
    assert_eq!(store.get(a, "00019999").expect("on another page").expect("there").vector, [0.5]);
    assert_eq!(kind(store.compact()), Some(ErrorKind::Corrupt));
    let report = verified(&store);
    assert_eq!(report.len(), 1, "{report:?}");
    drop(store);
    assert_eq!(files(&disk.state(), ".prk").len(), 1);
    let disk = SimDisk::mount(&flipped(&disk.state(), &segment, 100));
    let store = open(&disk).expect("whole");
    assert_eq!(store.len(a).expect("whole"), whole);
    assert_eq!(store.get(a, "00000000").expect("whole").expect("there").vector, [7.0]);
    store.checkpoint().expect("whole");
    assert!(files(&disk.state(), ".prk").is_empty());
    assert_eq!(verified(&store), Vec::<String>::new());
}

/// What becomes of a read.
type ReadKind = fn(&Store, CollectionId) -> Option<ErrorKind>;

/// Every read that meets the first page of ids of `many_rows`.
fn reads() -> Vec<(&'static str, ReadKind)> {
    vec![
        ("get", |store, id| kind(store.get(id, "00000001"))),
        ("get_many", |store, id| kind(store.get_many(id, &["00019999", "00000001"]))),
        ("get_vector", |store, id| kind(store.get_vector(id, "00000001"))),
        ("get_payload", |store, id| kind(store.get_payload(id, "00000001"))),
        ("scan", |store, id| match store.scan(id) {
            Ok(mut rows) => rows.find_map(kind),
            Err(error) => Some(error.kind()),
        }),
        ("scan_payloads", |store, id| match store.scan_payloads(id, ScanRange::all()) {
            Ok(mut rows) => rows.find_map(kind),
            Err(error) => Some(error.kind()),
        }),
        ("scan_with", |store, id| {
            kind(store.scan_with(id, ScanRange::all(), |_, _| ControlFlow::Continue(())))
        }),
        ("matching_ids", |store, id| {
            kind(store.matching_ids(id, &SecPredicate::Exists { field: "n".to_owned() }))
        }),
        ("capture_vector_source", |store, id| {
            let source = store.capture_vector_source(id).ok()?;
            source.iter().for_each(drop);
            source.take_error().map(|error| error.kind())
        }),
    ]
}

#[test]
fn damage_that_a_read_meets_refuses_writes_from_then_on() {
    let (state, segment) = many_rows();
    for (name, read) in reads() {
        let disk = SimDisk::mount(&flipped(&state, &segment, 100));
        let store = open(&disk).expect("nobody has looked yet");
        let (a, b) = (id(&store, "a"), id(&store, "b"));
        store.upsert(a, "4", &[44.0], b"").expect("nobody has looked yet");
        assert_eq!(read(&store, a), Some(ErrorKind::Corrupt), "{name}");
        let error = store.upsert(a, "x", &[7.0], b"").expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{name}");
        assert!(error.to_string().contains("/store/segment-"), "names the file: {error}");
        let damaged = store.stats().expect("open").damaged;
        assert_eq!(damaged.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [a], "{name}");
        assert_eq!(store.get(a, "00019999").expect("another page").expect("there").vector, [0.5]);
        store.upsert(b, "x", &[7.0], b"").expect("the other takes writes");
        store.checkpoint().expect("the other is sealed");
        assert_eq!(files(&disk.state(), ".prk").len(), 1, "{name}: what the log held is parked");
        assert_eq!(store.get(a, "4").expect("in memory").expect("there").vector, [44.0]);
    }
}

#[test]
fn file_that_a_read_finds_cut_refuses_writes_from_then_on() {
    let (state, segment) = many_rows();
    let disk = SimDisk::mount(&state);
    let store = open(&disk).expect("whole");
    let a = id(&store, "a");
    let bytes = state.read(&segment).expect("there");
    disk.damage(|state| state.with_file(&segment, Some(&bytes[..10_000])));
    assert_eq!(kind(store.get(a, "00000001")), Some(ErrorKind::Corrupt));
    assert_eq!(kind(store.upsert(a, "x", &[7.0], b"")), Some(ErrorKind::Corrupt));
    assert_eq!(store.stats().expect("open").damaged.len(), 1);
}

#[test]
fn one_wrong_read_refuses_writes_until_the_store_is_opened_again() {
    let (state, segment) = many_rows();
    let disk = SimDisk::mount(&flipped(&state, &segment, 100));
    let store = open(&disk).expect("nobody has looked yet");
    let a = id(&store, "a");
    store.upsert(a, "4", &[44.0], b"").expect("nobody has looked yet");
    assert_eq!(kind(store.get(a, "00000001")), Some(ErrorKind::Corrupt));
    // The right bytes are back.
    disk.damage(|state| flipped(state, &segment, 100));
    assert_eq!(store.get(a, "00000001").expect("the right bytes").expect("there").vector, [0.5]);
    assert_eq!(kind(store.upsert(a, "x", &[7.0], b"")), Some(ErrorKind::Corrupt));
    store.checkpoint().expect("what the log held is parked");
    drop(store);
    let store = open(&disk).expect("whole");
    assert!(store.stats().expect("open").damaged.is_empty());
    store.upsert(a, "x", &[7.0], b"").expect("it takes writes again");
    store.checkpoint().expect("whole");
    assert!(files(&disk.state(), ".prk").is_empty());
    assert_eq!(store.get(a, "4").expect("whole").expect("there").vector, [44.0]);
}

#[test]
fn damage_to_a_file_that_only_a_snapshot_reads_refuses_nothing() {
    let (state, segment) = many_rows();
    let disk = SimDisk::mount(&state);
    let store = open(&disk).expect("whole");
    let a = id(&store, "a");
    let before = store.snapshot().expect("open");
    store.upsert(a, "00000001", &[7.0], b"").expect("whole");
    store.compact().expect("whole");
    disk.damage(|state| flipped(state, &segment, 100));
    assert_eq!(kind(before.get(a, "00000001")), Some(ErrorKind::Corrupt));
    assert!(store.stats().expect("open").damaged.is_empty());
    store.upsert(a, "x", &[7.0], b"").expect("its own files are whole");
    // Of another page than the one below, which must not be cached.
    assert_eq!(store.get(a, "00019999").expect("whole").expect("there").vector, [0.5]);
    store.checkpoint().expect("whole");
    assert!(files(&disk.state(), ".prk").is_empty());
    // A snapshot whose files are live is a reader like any other.
    let now = store.snapshot().expect("open");
    let sizes = disk.state().list().into_iter().filter(|(path, _)| *path != segment);
    let (merged, _) = sizes.max_by_key(|(_, bytes)| *bytes).expect("there are some");
    disk.damage(|state| flipped(state, &merged, 100));
    assert_eq!(kind(now.get(a, "00000002")), Some(ErrorKind::Corrupt));
    assert_eq!(kind(store.upsert(a, "y", &[7.0], b"")), Some(ErrorKind::Corrupt));
}

fn verified(store: &Store) -> Vec<String> {
    let report = store.verify(VerifyOptions::default(), |_| ControlFlow::Continue(()));
    let report = report.expect("it reports what it finds");
    assert!(report.is_complete);
    report.findings.iter().map(|found| format!("{}: {}", found.file, found.error)).collect()
}

/// What is found without opening anything.
fn stored(disk: &SimDisk) -> Result<Vec<String>> {
    let go_on = |_: &quiver_store::VerifyProgress| ControlFlow::Continue(());
    let report = Store::verify_without_keys_with(env(disk), options(), go_on)?;
    assert!(report.is_complete);
    Ok(report.findings.iter().map(|found| format!("{}: {}", found.file, found.error)).collect())
}

#[test]
fn dropping_a_damaged_collection_removes_its_files() {
    let state = two_collections();
    let segment = &files(&state, "segment-")[0];
    let disk = SimDisk::mount(&flipped(&state, segment, 20_000));
    let store = open(&disk).expect("one collection is damaged");
    store.checkpoint().expect("the other collection is sealed");
    assert_eq!(files(&disk.state(), ".prk").len(), 1);
    assert!(store.drop_collection("a").expect("a drop is taken"));
    store.checkpoint().expect("no fault is planted");
    assert!(files(&disk.state(), ".prk").is_empty());
    assert!(!disk.state().list().iter().any(|(path, _)| path == segment));
    assert_eq!(verified(&store), Vec::<String>::new());
}

#[test]
fn every_page_that_is_damaged_is_found_by_verify_and_named() {
    let state = two_collections();
    for (path, bytes) in state.list() {
        let name = path.file_name().and_then(|name| name.to_str()).expect("our names").to_owned();
        if name == "LOCK" || bytes == 0 {
            continue;
        }
        let disk = SimDisk::mount(&state);
        let store = open(&disk).expect("whole");
        assert_eq!(verified(&store), Vec::<String>::new());
        // It changes under the open store.
        let byte = disk.state().read(&path).expect("there")[10] ^ 1;
        let file = disk.open(&path, Access::ReadWrite, Location::caller()).expect("there");
        file.write_at(&[byte], 10, Location::caller()).expect("the disk takes it");
        let found = verified(&store);
        let named = if name == "CURRENT" { "manifest-" } else { name.as_str() };
        assert!(found.len() == 1 && found[0].starts_with(named), "{name}: {found:?}");
        let error = stored(&disk).expect_err("somebody has it open for writing");
        assert_eq!(error.kind(), ErrorKind::Locked);
        drop(store);
        let found = stored(&disk).expect("it reports what it finds");
        let named = if name.starts_with("manifest-") { "CURRENT" } else { name.as_str() };
        assert!(found.len() == 1 && found[0].starts_with(named), "{name}: {found:?}");
    }
}

#[test]
fn reading_only_writes_nothing_and_shows_all() {
    let state = two_collections();
    let disk = SimDisk::mount(&state);
    let store = Store::open_read_only_with(env(&disk), options()).expect("whole");
    let other = Store::open_read_only_with(env(&disk), options()).expect("readers share");
    assert_eq!(kind(open(&disk)), Some(ErrorKind::Locked));
    for store in [&store, &other] {
        let a = id(store, "a");
        assert_eq!(readable(store, "a"), (WHOLE.map(str::to_owned).to_vec(), vec![]));
        for answer in [
            store.upsert(a, "x", &[1.0], b"").map(drop),
            store.drop_collection("a").map(drop),
            store.checkpoint(),
            store.compact(),
            store.maintain().map(drop),
        ] {
            let error = answer.expect_err("it is open for reading only");
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(error.to_string().contains("for reading only"), "{error}");
        }
        assert!(store.stats().expect("open").is_read_only);
        assert_eq!(verified(store), Vec::<String>::new());
    }
    drop(other);
    store.close().expect("open");
    assert_eq!(disk.state().key(), state.key(), "not a byte is written");
    let nothing = SimDisk::new();
    let error = Store::open_read_only_with(env(&nothing), options()).expect_err("no store");
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn salvage_shows_what_stands_before_the_damage_and_says_what_does_not() {
    let state = two_collections();
    let log = &files(&state, ".wal")[0];
    // The delete of row 2 of `a` is the first record; the next is the upsert of row 4.
    for (at, rows) in [(560, vec!["1=10", "2=2", "3=3"]), (1100, vec!["1=10", "3=3"])] {
        let damaged = flipped(&state, log, at);
        assert_eq!(kind(open(&SimDisk::mount(&damaged))), Some(ErrorKind::Corrupt));
        let disk = SimDisk::mount(&damaged);
        let (store, lost) = Store::open_salvage_with(env(&disk), options()).expect("some of it");
        assert_eq!(lost.len(), 1);
        assert!(lost[0].to_string().contains("log-"), "{}", lost[0]);
        let rows = rows.into_iter().map(str::to_owned).collect();
        assert_eq!(readable(&store, "a"), (rows, vec![]));
    }
    let (_, none) =
        Store::open_salvage_with(env(&SimDisk::mount(&state)), options()).expect("whole");
    assert!(none.is_empty());
    let damaged = flipped(&state, Path::new("/store/CURRENT"), 20);
    let (store, lost) =
        Store::open_salvage_with(env(&SimDisk::mount(&damaged)), options()).expect("some of it");
    assert_eq!(readable(&store, "b"), (WHOLE.map(str::to_owned).to_vec(), vec![]));
    assert!(lost.len() == 1 && lost[0].to_string().contains("CURRENT"), "{lost:?}");
    let manifest = &files(&state, "manifest-")[0];
    let damaged = flipped(&state, manifest, 20);
    let error = Store::open_salvage_with(env(&SimDisk::mount(&damaged)), options());
    let error = error.expect_err("there is no other manifest");
    assert!(error.to_string().contains("no manifest is intact"), "{error}");
}

/// Two collections, of which records of `a` are parked, and more of both stand in the log. Row 4 of `a` is
/// parked as 4 and 40 in the log.
fn parked_and_written() -> DiskState {
    let state = two_collections();
    let segment = &files(&state, "segment-")[0];
    let disk = SimDisk::mount(&flipped(&state, segment, 20_000));
    open(&disk).expect("one collection is damaged").checkpoint().expect("the other is sealed");
    let disk = SimDisk::mount(&flipped(&disk.state(), segment, 20_000));
    let store = open(&disk).expect("whole");
    let (a, b) = (id(&store, "a"), id(&store, "b"));
    store.upsert(a, "4", &[40.0], b"").expect("it takes writes again");
    store.upsert(a, "6", &[6.0], b"").expect("it takes writes again");
    store.upsert(b, "7", &[7.0], b"").expect("fits");
    drop(store);
    disk.state()
}

/// All of `parked_and_written`.
fn check_parked_and_written(state: &DiskState) {
    let disk = SimDisk::mount(state);
    let store = open(&disk).expect("whole");
    let rows = ["1=10", "3=3", "4=40", "6=6"].map(str::to_owned).to_vec();
    assert_eq!(readable(&store, "a"), (rows.clone(), vec![]));
    store.checkpoint().expect("whole");
    assert!(files(&disk.state(), ".prk").is_empty(), "what was parked is sealed");
    assert_eq!(readable(&store, "a"), (rows, vec![]));
    assert_eq!(verified(&store), Vec::<String>::new());
}

#[test]
fn records_are_parked_behind_those_that_cannot_be_read() {
    let state = parked_and_written();
    let first = &files(&state, ".prk")[0];
    let disk = SimDisk::mount(&flipped(&state, first, 100));
    for _ in 0..2 {
        let store = open(&disk).expect("one collection is damaged");
        store.checkpoint().expect("the other collection is sealed");
        let (a, b) = (id(&store, "a"), id(&store, "b"));
        assert_eq!(store.get(a, "4").expect("in memory").expect("there").vector, [40.0]);
        assert_eq!(kind(store.get(a, "1")), Some(ErrorKind::Corrupt));
        assert_eq!(kind(store.upsert(a, "8", &[8.0], b"")), Some(ErrorKind::Corrupt));
        store.upsert(b, "8", &[8.0], b"").expect("the other takes writes");
        store.checkpoint().expect("the other collection is sealed");
        store.close().expect("no fault is planted");
        assert_eq!(files(&disk.state(), ".prk").len(), 2, "the first stays, and is joined once");
        assert_eq!(disk.state().list().iter().filter(|(path, _)| is_log(path)).count(), 1);
    }
    check_parked_and_written(&flipped(&disk.state(), first, 100));
    let store = open(&disk).expect("one collection is damaged");
    assert!(store.drop_collection("a").expect("a drop is taken"));
    store.checkpoint().expect("no fault is planted");
    assert!(files(&disk.state(), ".prk").is_empty(), "both go with their collection");
}

/// As `parked_and_written`, with all records of `a` in two parked files.
fn parked_twice() -> DiskState {
    let state = parked_and_written();
    let first = &files(&state, ".prk")[0];
    let disk = SimDisk::mount(&flipped(&state, first, 100));
    open(&disk).expect("one collection is damaged").checkpoint().expect("the other is sealed");
    flipped(&disk.state(), first, 100)
}

#[test]
fn parked_row_is_not_shown_where_a_later_parked_file_cannot_be_read() {
    let state = parked_twice();
    let last = &files(&state, ".prk")[1];
    let disk = SimDisk::mount(&flipped(&state, last, 100));
    let store = open(&disk).expect("one collection is damaged");
    // The first file has it as 4.
    let error = store.get(id(&store, "a"), "4").expect_err("the last file may have replaced it");
    assert!(error.to_string().contains("parked-"), "{error}");
    store.checkpoint().expect("nothing more is parked");
    drop(store);
    assert_eq!(files(&disk.state(), ".prk"), files(&state, ".prk"));
    check_parked_and_written(&flipped(&disk.state(), last, 100));
}

#[test]
fn parked_files_that_can_be_read_become_one_with_the_next() {
    let disk = SimDisk::mount(&parked_twice());
    let store = open(&disk).expect("whole");
    store.upsert(id(&store, "a"), "6", &[6.0], b"").expect("it takes writes");
    drop(store);
    let segment = &files(&disk.state(), "segment-")[0];
    let disk = SimDisk::mount(&flipped(&disk.state(), segment, 20_000));
    open(&disk).expect("one collection is damaged").checkpoint().expect("the other is sealed");
    assert_eq!(files(&disk.state(), ".prk").len(), 1);
    check_parked_and_written(&flipped(&disk.state(), segment, 20_000));
}
