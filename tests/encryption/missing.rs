//! A key that is missing: whose state it is, and what comes back with it.

use std::ops::ControlFlow;

use quiver_store::limits::PAGE_SIZE_BYTES;
use quiver_store::{ErrorKind, Store, VerifyOptions};

use crate::disk::{Disk, check_whole, fill, options, schema};

#[test]
fn missing_data_key_is_its_collections_state_and_putting_it_back_restores_all() {
    let disk = Disk::new();
    let store = disk.open();
    let before = disk.keys("/store");
    let other = store.create_collection("other", schema()).expect("new");
    let others = disk.keys("/store");
    let id = store.create_collection("dossiers", schema()).expect("new");
    let key = disk.new_key(&others);
    assert_eq!(others.len(), before.len() + 1);
    fill(&store, id, 0);
    fill(&store, other, 0);
    store.checkpoint().expect("sealed");
    fill(&store, id, 20);
    store.rename_collection("dossiers", "files").expect("free");
    drop(store);
    let path = format!("/store/{key}");
    let bytes = disk.take(&path);

    // Twice, so that what could not be read is carried through a settled tail, and parked.
    for round in 1..=2 {
        let store = disk.open();
        for error in [
            store.get(id, "agent-0000").expect_err("no key"),
            store.len(id).expect_err("no key"),
            store.descriptor(id).expect_err("no key"),
            store.upsert(id, "x", &[0.0, 0.0], b"").expect_err("no key"),
            store.create_collection("files", schema()).expect_err("may be its name"),
        ] {
            assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{error}");
        }
        assert_eq!(store.collection_names().expect("open"), ["other"]);
        fill(&store, other, 20 * round);
        if round == 2 {
            store.checkpoint().expect("parked");
        }
        assert_eq!(store.len(other).expect("open"), 20 + 20 * u64::from(round));
        let damaged = store.stats().expect("open").damaged;
        assert!(damaged.len() == 1 && damaged[0].1.contains(&key), "{damaged:?}");
    }

    disk.write(&path, &bytes);
    let store = disk.open();
    assert_eq!(store.collection_names().expect("open"), ["files", "other"]);
    store.rename_collection("files", "dossiers").expect("well again");
    store.drop_collection("other").expect("there");
    store.checkpoint().expect("sealed");
    check_whole(&store, id);
    store.close().expect("closed");
    check_whole(&disk.open(), id);
}

/// L1: a collection that only the log knows has its key, whatever a sweep does; also where the key is
/// missing while the log is dropped.
#[test]
fn key_of_a_collection_that_only_the_log_knows_survives_opens_and_its_own_absence() {
    let disk = Disk::new();
    let (store, id, key) = disk.with_dossiers();
    fill(&store, id, 0);
    drop(store);
    for _ in 0..3 {
        let store = disk.open();
        assert_eq!(store.len(id).expect("open"), 20);
    }
    let bytes = disk.take(&key);
    let store = disk.open();
    assert_eq!(store.len(id).expect_err("no key").kind(), ErrorKind::KeyUnavailable);
    store.checkpoint().expect("its creation is parked");
    drop(store);
    disk.write(&key, &bytes);
    let store = disk.open();
    fill(&store, id, 20);
    check_whole(&store, id);
}

/// L3: a collection that was created and dropped within one log stops no open, key or not.
#[test]
fn creation_and_drop_in_one_log_need_no_key() {
    let disk = Disk::new();
    let (store, id, key) = disk.with_dossiers();
    fill(&store, id, 0);
    assert!(store.drop_collection("dossiers").expect("there"));
    drop(store);
    drop(disk.open());
    disk.remove(&key);
    for _ in 0..2 {
        let store = disk.open();
        assert!(store.collection_names().expect("open").is_empty());
    }
}

#[test]
fn collection_whose_key_is_lost_for_good_can_be_dropped_by_its_id() {
    let disk = Disk::new();
    let (store, id, key) = disk.with_dossiers();
    fill(&store, id, 0);
    store.checkpoint().expect("sealed");
    fill(&store, id, 20);
    drop(store);
    disk.remove(&key);
    let store = disk.open();
    assert!(store.drop_collection_by_id(id).expect("there"));
    assert!(!store.drop_collection_by_id(id).expect("gone"));
    store.create_collection("dossiers", schema()).expect("the name is free");
    store.checkpoint().expect("sealed");
    drop(store);
    let store = disk.open();
    assert_eq!(store.get(id, "agent-0000").expect_err("gone").kind(), ErrorKind::NotFound);
    assert_eq!(disk.keys("/store").len(), 2, "the store's and the new collection's");
}

/// Found by reading: a carried section out of a parked file was taken for one out of a log, and did not
/// open when its key was back.
#[test]
fn records_parked_twice_without_their_key_in_between_come_back() {
    let disk = Disk::new();
    let (store, id, key) = disk.with_dossiers();
    fill(&store, id, 0);
    store.checkpoint().expect("sealed");
    store.delete(id, "agent-0003").expect("there");
    store.close().expect("closed");
    let names = disk.names("/store");
    let segment = names.iter().find(|name| name.ends_with(".seg")).expect("sealed");
    let segment = format!("/store/{segment}");
    disk.park_without(&segment);
    let store = disk.open();
    store.upsert(id, "agent-0099", &[0.0, 0.0], b"").expect("well again");
    drop(store);
    disk.park_without(&key);
    let store = disk.open();
    assert_eq!(store.get(id, "agent-0003").expect("well again"), None);
    assert!(store.get(id, "agent-0099").expect("well again").is_some());
    assert_eq!(store.len(id).expect("well again"), 20);
}

/// A name that is parked with the records whose key is missing is the collection's once the key is back,
/// and stays it.
#[test]
fn name_among_parked_records_stays_when_they_are_sealed() {
    let disk = Disk::new();
    let (store, id, key) = disk.with_dossiers();
    fill(&store, id, 0);
    store.checkpoint().expect("sealed");
    store.rename_collection("dossiers", "files").expect("free");
    store.upsert(id, "agent-0099", &[0.0, 0.0], b"").expect("written");
    drop(store);
    disk.park_without(&key);
    for _ in 0..2 {
        let store = disk.open();
        assert_eq!(store.collection_names().expect("open"), ["files"]);
        assert_eq!(store.len(id).expect("well again"), 21);
        store.checkpoint().expect("sealed");
    }
}

/// Without keys a log is verified all the same, whatever of it is the catalog's.
#[test]
fn log_with_a_drop_verifies_without_keys() {
    let disk = Disk::new();
    let store = disk.open();
    store.create_collection("dossiers", schema()).expect("new");
    store.drop_collection("dossiers").expect("there");
    store.close().expect("closed");
    let report = quiver_store::Store::verify_without_keys_with(disk.env(), options(), |_| {
        std::ops::ControlFlow::Continue(())
    });
    let findings = report.expect("keyless").findings;
    assert!(findings.is_empty(), "{findings:?}");
}

/// Parked is its creation alone: with the key back there is no row to seal, and the parked file goes all
/// the same.
#[test]
fn creation_that_was_parked_is_settled_once_its_key_is_back() {
    let disk = Disk::new();
    let (store, id, key) = disk.with_dossiers();
    drop(store);
    disk.park_without(&key);
    let store = disk.open();
    store.checkpoint().expect("an end");
    assert!(!disk.names("/store").iter().any(|name| name.starts_with("parked-")));
    drop(store);
    let store = disk.open();
    assert_eq!(store.collection_id("dossiers").expect("open"), Some(id));
    assert_eq!(store.len(id).expect("open"), 0);
}

/// What an open refuses a verification finds, of a running store and of one that was opened so.
#[test]
fn wrong_key_of_a_collection_that_only_the_log_knows_is_found_by_a_verification() {
    let disk = Disk::new();
    let (store, id, key) = disk.with_dossiers();
    fill(&store, id, 0);
    let name = key.strip_prefix("/store/").expect("its directory");
    let found = |store: &Store| {
        let report = store.verify(VerifyOptions::default(), |_| ControlFlow::Continue(()));
        let findings = report.expect("open").findings;
        findings
            .iter()
            .for_each(|found| assert_eq!((&*found.file, found.collection), (name, Some(id))));
        findings.iter().map(|finding| finding.error.kind()).collect::<Vec<_>>()
    };
    assert!(found(&store).is_empty());
    let bytes = disk.take(&key);
    assert_eq!(found(&store), [ErrorKind::Corrupt], "missing");
    // A byte of the sealed key, with and without a checksum that holds.
    let mut changed = bytes.clone();
    changed[50] ^= 1;
    disk.write(&key, &changed);
    assert_eq!(found(&store), [ErrorKind::Corrupt], "damaged");
    let end = changed.len() - 4;
    let checksum = crc32c::crc32c(&changed[..end]).to_le_bytes();
    changed[end..].copy_from_slice(&checksum);
    disk.remove(&key);
    disk.write(&key, &changed);
    assert_eq!(found(&store), [ErrorKind::KeyUnavailable], "of another key");
    drop(store);
    let store = disk.open();
    assert_eq!(store.len(id).expect_err("refused").kind(), ErrorKind::KeyUnavailable);
    assert_eq!(found(&store), [ErrorKind::KeyUnavailable]);
    drop(store);
    disk.remove(&key);
    disk.write(&key, &bytes);
    let store = disk.open();
    assert!(found(&store).is_empty());
    assert_eq!(store.len(id).expect("its key"), 20);
}

/// What was parked without its key is not replayed over what was acknowledged since, where its rows have to
/// be parked again.
#[test]
fn name_that_was_given_behind_parked_records_outlives_their_parking_again() {
    for with_row in [true, false] {
        let disk = Disk::new();
        let (store, id, key) = disk.with_dossiers();
        fill(&store, id, 0);
        store.checkpoint().expect("sealed");
        let segment = disk.names("/store").into_iter().find(|name| name.starts_with("segment-"));
        let segment = format!("/store/{}", segment.expect("it was sealed"));
        store.rename_collection("dossiers", "files").expect("free");
        if with_row {
            store.upsert(id, "agent-0003", &[1.0, 2.0], b"again").expect("durable");
        }
        drop(store);
        disk.park_without(&key);

        // Beyond the footer, so that it opens, and whoever looks for a row finds the damage.
        let mut damaged = disk.read(&segment);
        let store = disk.open();
        store.rename_collection("files", "records").expect("well again");
        let pages = damaged.len() / PAGE_SIZE_BYTES;
        damaged[..(pages - 1) * PAGE_SIZE_BYTES].iter_mut().for_each(|byte| *byte ^= 0x55);
        disk.write_over(&segment, &damaged);
        store.checkpoint().expect("its rows are parked again");
        drop(store);
        for _ in 0..2 {
            let store = disk.open();
            assert_eq!(store.collection_id("records").expect("open"), Some(id), "{with_row}");
            assert_eq!(store.collection_id("files").expect("open"), None);
            if with_row {
                let row = store.get(id, "agent-0003").expect("it is in memory").expect("there");
                assert_eq!(row.payload, b"again");
            }
        }
    }
}

/// A key that is back is no finding of the manifest, though its collection stays closed until the next open.
#[test]
fn key_put_back_while_the_store_runs_leaves_a_verification_without_findings() {
    for is_damaged in [false, true] {
        let disk = Disk::new();
        let store = disk.open();
        let before = disk.keys("/store");
        let id = store.create_collection("dossiers", schema()).expect("new");
        let path = format!("/store/{}", disk.new_key(&before));
        fill(&store, id, 0);
        store.checkpoint().expect("sealed");
        fill(&store, id, 20);
        drop(store);
        let bytes = disk.read(&path);
        disk.remove(&path);
        if is_damaged {
            disk.write(&path, &bytes[..bytes.len() - 1]);
        }
        let store = disk.open();
        if is_damaged {
            disk.remove(&path);
        }
        disk.write(&path, &bytes);
        let report = store.verify(VerifyOptions::default(), |_| ControlFlow::Continue(()));
        let findings = report.expect("open").findings;
        assert!(findings.is_empty(), "{findings:?}");
        store.get(id, "agent-0000").expect_err("closed by the open");
        drop(store);
        check_whole(&disk.open(), id);
    }
}
