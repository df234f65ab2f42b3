//! A store whose publish failed from its rename on, and which is asked for more before it is opened again.
//! Found by swarms: whoever runs a history alone seldom goes on there.

use std::ops::ControlFlow;
use std::sync::Arc;

use quiver_sim::disk::{Fault, FaultPlan, PlannedFault, SimClock, SimDisk, SimEntropy};
use quiver_store::{
    CollectionId, Descriptor, DistanceMetric, Dtype, Env, ErrorKind, Options, Store, VerifyOptions,
};

/// A store with rows in several collections, latched by a rename of which nobody knows whether it
/// happened; its disk, and its collections.
fn latched(seed: u64) -> (Store, SimDisk, Vec<CollectionId>) {
    let disk = SimDisk::new();
    let env = Env::new(
        "/store",
        Arc::new(disk.clone()),
        Arc::new(SimClock::new(1)),
        Arc::new(SimEntropy::new(seed)),
    );
    let options = Options { step_bytes: 64, reserve_bytes: 0, ..Options::default() };
    let store = Store::open_with(env, options).expect("an empty disk");
    let schema = Descriptor::new(1, Dtype::F32, DistanceMetric::L2);
    let collections: Vec<CollectionId> = ["a", "b", "c"]
        .into_iter()
        .map(|name| store.create_collection(name, schema.clone()).expect("the name is free"))
        .collect();
    for id in &collections {
        store.upsert(*id, "k", &[1.0], &[7; 200]).expect("no fault yet");
    }
    // The first rename is that of the switch to a new log file.
    let fault = PlannedFault { call_index: 1, fault: Fault::RenameEio };
    disk.set_faults(FaultPlan { faults: vec![fault], seed });
    store.checkpoint().expect_err("its publish fails");
    let refused = store.upsert(collections[0], "k", &[2.0], &[]).expect_err("it is latched");
    assert_eq!(refused.kind(), ErrorKind::Latched);
    (store, disk, collections)
}

#[test]
fn a_latched_store_verifies_whichever_manifest_is_named() {
    for seed in 0..8 {
        let (store, ..) = latched(seed);
        let report = store
            .verify(VerifyOptions::default(), |_| ControlFlow::Continue(()))
            .expect("reads go on");
        assert!(report.findings.is_empty(), "seed {seed}: {:?}", report.findings);
    }
}

#[test]
fn a_latched_store_makes_no_more_files_behind_the_writes_that_it_refuses() {
    for seed in 0..8 {
        let (store, disk, collections) = latched(seed);
        let before = disk.state().list().len();
        for id in collections.iter().cycle().take(40) {
            let refused = store.upsert(*id, "k", &[2.0], &[7; 200]).expect_err("it is latched");
            assert_eq!(refused.kind(), ErrorKind::Latched);
        }
        let after = disk.state().list().len();
        assert!(after <= before, "seed {seed}: {before} files, and {after} behind refused writes");
    }
}
