//! Encrypted stores through the public calls: who opens them, what a missing key is, what a shred, a new
//! master key and a new data key leave behind.

#![cfg(feature = "encryption")]

mod disk;
mod meetings;
mod missing;
mod seals;

use std::ops::ControlFlow;
use std::sync::Arc;

use quiver_store::{BackupKeys, ErrorKind, Store};

use crate::disk::{Disk, check_whole, fill, filled, options, ring, schema, single};

#[test]
fn encrypted_store_reopens_and_nothing_of_it_stands_in_plain() {
    let disk = Disk::new();
    let id = filled(&disk);
    check_whole(&disk.open(), id);
    let bytes = disk.everything("/store");
    for secret in [&b"agent-00"[..], b"dossiers", b"subject", b"espionage", &1.5f32.to_le_bytes()] {
        let secret = match secret.len() {
            // Four bytes may stand anywhere; a whole vector does not.
            4 => [1.5f32.to_le_bytes(), 7.25f32.to_le_bytes()].concat(),
            _ => secret.to_vec(),
        };
        assert!(!bytes.windows(secret.len()).any(|part| part == secret), "{secret:?}");
    }
}

#[test]
fn store_with_one_codec_reopens_and_refuses_to_shred() {
    let disk = Disk::new();
    let open = || Store::open_with(disk.env().with_keyring(single(3)), options());
    let store = open().expect("new");
    let id = store.create_collection("dossiers", schema()).expect("new");
    fill(&store, id, 0);
    store.checkpoint().expect("sealed");
    fill(&store, id, 20);
    let error = store.shred_collection("dossiers").expect_err("one key for all");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    store.close().expect("closed");
    check_whole(&open().expect("its key"), id);
    assert!(disk.keys("/store").is_empty());
}

#[test]
fn wrong_key_and_no_key_and_a_key_too_many_say_which() {
    let disk = Disk::new();
    filled(&disk);
    let refused = |disk: &Disk, ring: Option<Arc<dyn quiver_store::KeyRing>>, what: &str| {
        let env = disk.env();
        let env = match ring {
            Some(ring) => env.with_keyring(ring),
            None => env,
        };
        let error = Store::open_with(env, options()).expect_err(what);
        assert!(error.to_string().contains(what), "{error}");
        error.kind()
    };
    let before = disk.everything("/store");
    assert_eq!(refused(&disk, Some(ring(2)), "master key"), ErrorKind::KeyUnavailable);
    assert_eq!(refused(&disk, None, "is encrypted"), ErrorKind::KeyUnavailable);
    assert_eq!(refused(&disk, Some(single(1)), "key files"), ErrorKind::KeyUnavailable);
    assert!(disk.everything("/store") == before, "nothing was changed");

    let plain = Disk::new();
    drop(Store::open_with(plain.env(), options()).expect("new"));
    assert_eq!(refused(&plain, Some(ring(1)), "not encrypted"), ErrorKind::InvalidArgument);
    assert_eq!(refused(&plain, Some(single(1)), "not encrypted"), ErrorKind::InvalidArgument);

    let one = Disk::new();
    drop(Store::open_with(one.env().with_keyring(single(3)), options()).expect("new"));
    assert_eq!(refused(&one, Some(single(4)), "another key"), ErrorKind::KeyUnavailable);
    assert_eq!(refused(&one, Some(ring(3)), "without key files"), ErrorKind::KeyUnavailable);
    assert_eq!(refused(&one, None, "is encrypted"), ErrorKind::KeyUnavailable);
}

#[test]
fn drop_destroys_the_key_at_the_next_checkpoint() {
    let disk = Disk::new();
    let store = disk.open();
    let id = store.create_collection("dossiers", schema()).expect("new");
    fill(&store, id, 0);
    store.checkpoint().expect("sealed");
    assert_eq!(disk.keys("/store").len(), 2);
    store.drop_collection("dossiers").expect("there");
    assert_eq!(disk.keys("/store").len(), 2, "the log may need it");
    store.checkpoint().expect("sealed");
    assert_eq!(disk.keys("/store").len(), 1);
}

#[test]
fn shredded_collection_is_gone_for_the_master_key_and_for_old_snapshots() {
    let disk = Disk::new();
    let id = filled(&disk);
    let store = disk.open();
    let other = store.create_collection("other", schema()).expect("new");
    fill(&store, other, 0);
    let snapshot = store.snapshot().expect("open");
    let mut scan = store.scan(id).expect("open");
    scan.next().expect("a row").expect("readable");
    assert!(store.shred_collection("dossiers").expect("there"));
    assert!(!store.shred_collection("dossiers").expect("gone"));
    for error in [
        snapshot.get(id, "agent-0000").expect_err("shredded"),
        scan.find_map(Result::err).expect("shredded"),
    ] {
        assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{error}");
    }
    assert_eq!(disk.keys("/store").len(), 2, "the store's and the other collection's");
    assert_eq!(store.len(other).expect("open"), 20);
    store.create_collection("dossiers", schema()).expect("the name is free");
    drop((snapshot, scan, store));
    assert_eq!(disk.open().len(other).expect("open"), 20);
}

/// L25: an intent that is durable is gone on with by the next open, and whoever asks again is answered true.
#[test]
fn shred_that_was_cut_short_is_finished_by_the_next_open() {
    let disk = Disk::new();
    let id = filled(&disk);
    let store = disk.open();
    let ticket = store
        .submit(quiver_store::Request::ShredCollection { name: "dossiers".to_owned() })
        .expect("open");
    store.drive().expect("open");
    ticket.poll().expect("answered").expect("durable");
    assert_eq!(store.stats().expect("open").unfinished_shreds, 1);
    assert_eq!(disk.keys("/store").len(), 2, "the key is still there");
    drop(store);
    let store = disk.open();
    assert_eq!(disk.keys("/store").len(), 1);
    assert!(store.shred_collection("dossiers").expect("finished"));
    assert!(!store.shred_collection("dossiers").expect("told once"));
    assert_eq!(store.get(id, "agent-0000").expect_err("gone").kind(), ErrorKind::NotFound);
}

#[test]
fn new_master_key_opens_the_store_and_the_old_one_does_not() {
    let disk = Disk::new();
    let id = filled(&disk);
    let store = disk.open();
    let old = disk.keys("/store");
    store.rotate_master_key(&*ring(2)).expect("rotated");
    fill(&store, id, 20);
    store.close().expect("closed");
    let now = disk.keys("/store");
    assert_eq!(now.len(), old.len());
    assert_eq!(now.iter().filter(|name| !old.contains(name)).count(), 1, "one file was replaced");
    assert_eq!(disk.try_open(1).expect_err("old").kind(), ErrorKind::KeyUnavailable);
    check_whole(&disk.try_open(2).expect("new"), id);
}

#[test]
fn rekeyed_collection_is_whole_under_its_new_key_and_the_old_one_is_gone() {
    let disk = Disk::new();
    let id = filled(&disk);
    let store = disk.open();
    let snapshot = store.snapshot().expect("open");
    let bytes = (id, &b"an index"[..]);
    let covered = snapshot.lsn();
    store.checkpoint_with_index_snapshots(&[(bytes.0, bytes.1, covered)]).expect("published");
    let old = disk.keys("/store");
    store.rekey_collection(id).expect("rekeyed");
    assert_eq!(snapshot.len(id).expect("old segments are still readable"), 40);
    let now = disk.keys("/store");
    assert_eq!(now.len(), old.len());
    assert_eq!(now.iter().filter(|name| !old.contains(name)).count(), 1);
    check_whole(&store, id);
    let (index, at) = store.read_index_snapshot(id).expect("open").expect("kept");
    assert_eq!((index.as_slice(), at), (bytes.1, covered));
    drop((snapshot, store));
    check_whole(&disk.open(), id);
}

/// L24: what a backup holds is what was asked for, and a shred here leaves no key in one without keys.
#[test]
fn backup_holds_the_keys_that_it_was_asked_to_hold() {
    let disk = Disk::new();
    let id = filled(&disk);
    let store = disk.open();
    let fresh = store.create_collection("young", schema()).expect("new");
    store.upsert(fresh, "x", &[0.0, 0.0], b"").expect("its key is named by the log alone");
    let go_on = |_: &quiver_store::BackupProgress| ControlFlow::Continue(());
    let keys = [
        ("/left-out", BackupKeys::LeftOut, 0),
        ("/included", BackupKeys::Included, 3),
        ("/under", BackupKeys::Under(ring(9)), 3),
    ];
    for (dir, keys, count) in &keys {
        let report = store.backup_with(dir, keys, go_on).expect("copied");
        assert!(report.is_complete);
        assert_eq!(disk.keys(dir).len(), *count, "{dir}");
        let report =
            Store::verify_without_keys_with(disk.at(dir), options(), |_| ControlFlow::Continue(()));
        let findings = report.expect("keyless").findings;
        assert!(findings.is_empty(), "{dir}: {findings:?}");
    }
    let young = disk.keys("/store");
    assert!(store.shred_collection("dossiers").expect("there"));
    assert!(store.drop_collection("young").expect("there"));
    let open = |dir: &str, byte| Store::open_with(disk.at(dir).with_keyring(ring(byte)), options());
    assert_eq!(open("/left-out", 1).expect_err("no key").kind(), ErrorKind::KeyUnavailable);
    assert_eq!(open("/under", 1).expect_err("other key").kind(), ErrorKind::KeyUnavailable);
    for (dir, byte) in [("/included", 1), ("/under", 9)] {
        let backup = open(dir, byte).expect("its key");
        assert_eq!(backup.len(fresh).expect("whole"), 1);
        backup.drop_collection("young").expect("there");
        check_whole(&backup, id);
    }
    // The keys that are left here do not bring back what was shredded.
    for name in disk.keys("/store") {
        disk.write(&format!("/left-out/{name}"), &disk.read(&format!("/store/{name}")));
    }
    let backup = open("/left-out", 1).expect("the store key is there");
    assert_eq!(backup.len(id).expect_err("shredded").kind(), ErrorKind::KeyUnavailable);
    assert!(young.len() > disk.keys("/store").len());
}
