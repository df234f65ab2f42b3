//! Followers on a disk that has no room.

use std::sync::{Arc, Mutex};

use quiver_sim::disk::{SimClock, SimDisk, SimEntropy};
use quiver_store::{
    Descriptor, DistanceMetric, Dtype, Env, ErrorKind, Options, Result, Store, WalEntry,
};

#[test]
fn a_creation_that_found_no_room_is_done_when_it_comes_again() -> Result<()> {
    let disk = SimDisk::new();
    let env = Env::new(
        "/store",
        Arc::new(disk.clone()),
        Arc::new(SimClock::new(1)),
        Arc::new(SimEntropy::new(1)),
    );
    let leader = Store::open_with(Env::memory(), Options::default())?;
    let shown: Arc<Mutex<Vec<WalEntry>>> = Arc::default();
    let list = Arc::clone(&shown);
    leader.set_commit_observer(Arc::new(move |entry| {
        list.lock().expect("no panic").push(entry.clone());
    }))?;
    let schema = Descriptor::new(3, Dtype::F32, DistanceMetric::Dot);
    let id = leader.create_collection("a", schema)?;
    leader.upsert(id, "x", &[1.0, 2.0, 3.0], b"")?;
    let shown = std::mem::take(&mut *shown.lock().expect("no panic"));

    let follower = Store::open_with(env, Options::default())?;
    disk.set_free_bytes(Some(0));
    let error = follower.apply_replicated(shown[0].op.clone()).expect_err("no room for a log");
    assert_eq!(error.kind(), ErrorKind::Full);
    disk.set_free_bytes(None);
    for entry in shown {
        let applied = follower.apply_replicated(entry.op.clone())?;
        assert!(applied.is_some(), "it was never done: {entry:?}");
    }
    assert_eq!(follower.collection_id("a")?, Some(id));
    assert_eq!(follower.get(id, "x")?, leader.get(id, "x")?);
    Ok(())
}
