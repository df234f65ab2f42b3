//! Promises of the public calls, on the in-memory disk and on a real directory.

#![expect(
    clippy::disallowed_methods,
    reason = "a test looks at real directories and runs threads of its own"
)]

use std::sync::Arc;

use quiver_store::vfs::memory::{CountingEntropy, MemoryVfs, StoppedClock};
use quiver_store::{
    CollectionId, Descriptor, DistanceMetric, Dtype, Env, ErrorKind, Lsn, Options, Outcome,
    Request, Store, WriteBatch,
};

fn schema(dim: u32) -> Descriptor {
    Descriptor::new(dim, Dtype::F32, DistanceMetric::L2)
}

/// Two environments on one disk: the second opens what the first left.
fn shared_disk() -> impl Fn() -> Env {
    let vfs = Arc::new(MemoryVfs::new());
    let entropy = Arc::new(CountingEntropy::new());
    move || Env::new("/store", vfs.clone(), Arc::new(StoppedClock), entropy.clone())
}

fn open(env: Env) -> Store {
    Store::open_with(env, Options::default()).expect("opens")
}

fn kind<T: std::fmt::Debug>(result: quiver_store::Result<T>) -> ErrorKind {
    result.expect_err("must be refused").kind()
}

#[test]
fn rows_survive_close_and_drop_and_checkpoint() {
    let env = shared_disk();
    let store = open(env());
    let id = store.create_collection("a", schema(2)).expect("new");
    assert_eq!(store.upsert(id, "x", &[1.0, f32::NAN], b"one").expect("ok"), Lsn(2));
    assert_eq!(store.upsert(id, "y", &[3.0, 4.0], b"two").expect("ok"), Lsn(3));
    store.close().expect("closes");
    for round in 0..6u8 {
        let store = open(env());
        assert_eq!(store.len(id).expect("there"), 2, "round {round}");
        let row = store.get(id, "x").expect("ok").expect("live");
        assert_eq!(row.vector[1].to_bits(), f32::NAN.to_bits());
        store.upsert(id, "y", &[f32::from(round), 4.0], &[round]).expect("ok");
        if round % 2 == 0 {
            store.checkpoint().expect("ok");
        }
        if round % 3 == 0 {
            store.close().expect("closes");
        }
    }
    let store = open(env());
    assert_eq!(store.get(id, "y").expect("ok").expect("live").payload, [5]);
    assert_eq!(store.stats().expect("ok").last_lsn, Lsn(9));
}

#[test]
fn batch_over_two_collections_is_one_frame() {
    let env = shared_disk();
    let store = open(env());
    let (a, b) = (
        store.create_collection("a", schema(1)).expect("new"),
        store.create_collection("b", schema(1)).expect("new"),
    );
    let mut batch = WriteBatch::new();
    batch.upsert(b, "1", &[1.0], b"").upsert(a, "1", &[1.0], b"").delete(a, "1");
    assert_eq!(store.write(batch).expect("ok"), Lsn(5));
    drop(store);
    let store = open(env());
    assert_eq!((store.len(a).expect("ok"), store.len(b).expect("ok")), (0, 1));
}

#[test]
fn group_commits_in_order_and_refuses_only_who_must_be() {
    let store = open(Env::memory());
    let id = store.create_collection("a", schema(1)).expect("new");
    let mut late = WriteBatch::new();
    late.upsert(id, "late", &[1.0], b"");
    let requests: [Request; 5] = [
        Request::CreateCollection { name: "b".into(), descriptor: schema(1) },
        Request::CreateCollection { name: "b".into(), descriptor: schema(1) },
        Request::DropCollection { name: "a".into() },
        late.into(),
        Request::CreateCollection { name: "a".into(), descriptor: schema(3) },
    ];
    let tickets = requests.map(|request| store.submit(request).expect("plausible"));
    assert!(tickets[0].poll().is_none(), "nothing is committed before it is driven");
    assert_eq!(store.drive().expect("ok"), 5);
    let answers = tickets.map(|ticket| ticket.poll().expect("driven"));
    assert_eq!(
        *answers[0].as_ref().expect("ok"),
        Outcome::Created { id: CollectionId(2), lsn: Lsn(2) }
    );
    assert_eq!(answers[1].as_ref().expect_err("taken").kind(), ErrorKind::AlreadyExists);
    assert_eq!(
        *answers[2].as_ref().expect("ok"),
        Outcome::Dropped { existed: true, lsn: Some(Lsn(3)) }
    );
    assert_eq!(answers[3].as_ref().expect_err("gone").kind(), ErrorKind::NotFound);
    assert_eq!(
        *answers[4].as_ref().expect("ok"),
        Outcome::Created { id: CollectionId(3), lsn: Lsn(4) }
    );
}

#[test]
fn collection_ids_are_never_given_again() {
    let env = shared_disk();
    let mut last = CollectionId(0);
    for round in 0..6 {
        let store = open(env());
        let id = store.create_collection("a", schema(1)).expect("free");
        assert!(id > last, "{id} after {last}");
        last = id;
        assert!(store.drop_collection("a").expect("ok"));
        assert!(!store.drop_collection("a").expect("ok"));
        if round % 2 == 0 {
            store.checkpoint().expect("ok");
        }
    }
}

#[test]
fn bad_arguments_are_refused_and_change_nothing() {
    let options = Options { batch_bytes_max: 4096, ..Options::default() };
    let store = Store::open_with(Env::memory(), options).expect("opens");
    let id = store.create_collection("a", schema(2)).expect("new");
    let before = store.stats().expect("ok");
    let long = "x".repeat(1025);
    for name in ["", ".", "..", "a b", "ä", &"n".repeat(256)] {
        assert_eq!(kind(store.create_collection(name, schema(1))), ErrorKind::InvalidArgument);
    }
    for dim in [0, 65_537] {
        assert_eq!(kind(store.create_collection("d", schema(dim))), ErrorKind::InvalidArgument);
    }
    assert_eq!(kind(store.create_collection("a", schema(2))), ErrorKind::AlreadyExists);
    assert_eq!(kind(store.upsert(id, "", &[0.0; 2], b"")), ErrorKind::InvalidArgument);
    assert_eq!(kind(store.upsert(id, &long, &[0.0; 2], b"")), ErrorKind::InvalidArgument);
    assert_eq!(kind(store.upsert(id, "x", &[0.0; 3], b"")), ErrorKind::InvalidArgument);
    assert_eq!(kind(store.upsert(id, "x", &[0.0; 2], &[0; 5000])), ErrorKind::TooLarge);
    assert_eq!(kind(store.delete(id, &long)), ErrorKind::InvalidArgument);
    assert_eq!(kind(store.upsert(CollectionId(9), "x", &[0.0], b"")), ErrorKind::NotFound);
    assert_eq!(kind(store.write(WriteBatch::new())), ErrorKind::InvalidArgument);
    assert_eq!(kind(store.get(CollectionId(9), "x")), ErrorKind::NotFound);
    assert_eq!(store.stats().expect("ok"), before);
}

#[test]
fn every_call_after_close_answers_closed() {
    let store = open(Env::memory());
    let id = store.create_collection("a", schema(1)).expect("new");
    let other = store.clone();
    store.close().expect("closes");
    assert_eq!(kind(other.close()), ErrorKind::Closed);
    assert_eq!(kind(other.upsert(id, "x", &[0.0], b"")), ErrorKind::Closed);
    assert_eq!(kind(other.get(id, "x")), ErrorKind::Closed);
    assert_eq!(kind(other.scan(id).map(|_| ())), ErrorKind::Closed);
    assert_eq!(kind(other.checkpoint()), ErrorKind::Closed);
    assert_eq!(kind(other.maintain()), ErrorKind::Closed);
    assert_eq!(kind(other.collection_names()), ErrorKind::Closed);
}

#[test]
fn scan_shows_the_rows_of_its_start_in_order() {
    let store = open(Env::memory());
    let id = store.create_collection("a", schema(1)).expect("new");
    let ids: Vec<String> = (0..1000).map(|i| format!("{i:04}")).collect();
    for external_id in ids.iter().rev() {
        store.upsert(id, external_id, &[0.0], b"").expect("ok");
    }
    let scan = store.scan(id).expect("ok");
    store.delete(id, "0500").expect("ok");
    let found: Vec<String> = scan.map(|row| row.expect("ok").0).collect();
    assert_eq!(found, ids);
    assert_eq!(store.scan(id).expect("ok").count(), 999);
}

#[test]
fn threads_share_one_store() {
    let env = shared_disk();
    let store = open(env());
    let id = store.create_collection("a", schema(1)).expect("new");
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let store = store.clone();
            scope.spawn(move || {
                for i in 0..100 {
                    store.upsert(id, &format!("{thread}-{i}"), &[0.0], b"").expect("ok");
                }
            });
        }
    });
    assert_eq!(store.len(id).expect("ok"), 800);
    drop(store);
    assert_eq!(open(env()).len(id).expect("ok"), 800);
}

mod on_the_operating_system {
    use super::*;

    #[test]
    fn missing_parents_are_made_and_rows_survive_a_reopen() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("a/b/store");
        let store = Store::open(&path).expect("creates");
        let id = store.create_collection("a", schema(1)).expect("new");
        store.upsert(id, "x", &[1.0], b"").expect("ok");
        assert_eq!(kind(Store::open(&path)), ErrorKind::Locked);
        drop(store);
        assert_eq!(Store::open(&path).expect("opens").len(id).expect("ok"), 1);
    }

    #[test]
    fn path_that_is_no_store_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let file = dir.path().join("notes.txt");
        std::fs::write(&file, "mine").expect("writes");
        assert_eq!(kind(Store::open(&file)), ErrorKind::InvalidArgument);
        assert_eq!(kind(Store::open(dir.path())), ErrorKind::InvalidArgument);
        let names: Vec<_> = std::fs::read_dir(dir.path()).expect("reads").collect();
        assert_eq!(names.len(), 1, "nothing was added");
        let options = Options { create: false, ..Options::default() };
        let missing = dir.path().join("missing");
        assert_eq!(kind(Store::open_with(Env::os(&missing), options)), ErrorKind::NotFound);
        assert!(!missing.exists());
    }

    #[test]
    fn store_without_current_is_corrupt_never_new() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let store = Store::open(dir.path()).expect("creates");
        store.create_collection("a", schema(1)).expect("new");
        drop(store);
        std::fs::remove_file(dir.path().join("CURRENT")).expect("removes");
        assert_eq!(kind(Store::open(dir.path())), ErrorKind::Corrupt);
    }
}

#[test]
fn log_files_are_bounded_over_many_short_processes() {
    let env = shared_disk();
    for round in 0..60u8 {
        let store = open(env());
        let id = match store.collection_id("a").expect("ok") {
            Some(id) => id,
            None => store.create_collection("a", schema(1)).expect("new"),
        };
        store.upsert(id, &round.to_string(), &[0.0], b"").expect("ok");
        assert!(store.stats().expect("ok").log_files <= 17, "the default is 16");
        store.close().expect("closes");
    }
    let store = open(env());
    assert_eq!(store.stats().expect("ok").rows, 60);
}

#[test]
fn directory_that_vanishes_stops_the_writes_at_the_next_file() {
    let parent = tempfile::tempdir().expect("a temporary directory");
    let path = parent.path().join("store");
    let store = Store::open(&path).expect("opens");
    let id = store.create_collection("a", schema(1)).expect("the name is free");
    store.upsert(id, "x", &[1.0], b"kept").expect("fits");
    store.checkpoint().expect("no fault");
    store.upsert(id, "y", &[1.0], b"").expect("fits");
    std::fs::remove_dir_all(&path).expect("it is there");
    assert_eq!(store.checkpoint().expect_err("no file can be made").kind(), ErrorKind::Io);
    let refused = store.upsert(id, "z", &[1.0], b"").expect_err("it would be lost");
    assert_eq!(refused.kind(), ErrorKind::Latched);
    assert!(refused.to_string().contains("directory is gone"), "{refused}");
    let shown = store.get(id, "x").expect("reads go on").expect("it was written");
    assert_eq!(shown.payload, b"kept");
}
