//! Backups of a store that is in use, of one that is damaged, and onto what is there already.

use std::ops::ControlFlow;
use std::panic::Location;
use std::path::Path;
use std::sync::Arc;

use quiver_sim::disk::{
    Base, DiskState, Fault, FaultPlan, PlannedFault, Policy, SimClock, SimDisk, SimEntropy,
    Survivors,
};
use quiver_sim::stream::Stream;
use quiver_store::vfs::Vfs;
use quiver_store::{
    BackupKeys, BackupReport, CollectionId, Descriptor, DistanceMetric, Dtype, Env,
    EnvelopeKeyRing, ErrorKind, Key, Options, Result, Store, VerifyOptions,
};

fn env(disk: &SimDisk, dir: &str) -> Env {
    // Stores of different directories have different ids.
    let entropy = SimEntropy::new(dir.bytes().map(u64::from).sum());
    let (vfs, clock) = (Arc::new(disk.clone()), Arc::new(SimClock::new(1)));
    Env::new(dir, vfs, clock, Arc::new(entropy))
}

fn encrypted(disk: &SimDisk, dir: &str) -> Env {
    env(disk, dir).with_keyring(Arc::new(EnvelopeKeyRing::new(Key::from_bytes([7; 32]))))
}

fn options() -> Options {
    Options { reserve_bytes: 0, step_bytes: 16 * 1024, ..Options::default() }
}

fn open(disk: &SimDisk, dir: &str) -> Result<Store> {
    Store::open_with(env(disk, dir), options())
}

fn all(store: &Store) -> Vec<String> {
    let mut rows = Vec::new();
    for name in store.collection_names().expect("open") {
        let id = store.collection_id(&name).expect("open").expect("listed");
        for row in store.scan(id).expect("whole") {
            let (id, row) = row.expect("whole");
            rows.push(format!("{name}/{id} {:?} {:?}", row.vector, row.payload));
        }
    }
    rows
}

fn filled(store: &Store) -> CollectionId {
    let schema = Descriptor::new(1, Dtype::F32, DistanceMetric::L2);
    let id = store.create_collection("a", schema).expect("free");
    for round in 0..300 {
        store.upsert(id, &format!("{:03}", round % 200), &[1.0], &[7; 300]).expect("fits");
        if round % 60 == 59 {
            store.checkpoint().expect("no fault is planted");
        }
    }
    store.delete(id, "007").expect("there");
    id
}

fn go_on(_: &quiver_store::BackupProgress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn backup(store: &Store, dir: &str) -> Result<BackupReport> {
    store.backup_with(dir, &BackupKeys::Included, go_on)
}

fn names(disk: &SimDisk, dir: &str) -> Vec<String> {
    let listed = disk.read_dir(Path::new(dir), Location::caller()).expect("a directory");
    listed.into_iter().map(|entry| entry.name).collect()
}

#[test]
fn a_backup_shows_what_was_there_when_it_began_whatever_happens_meanwhile() {
    let disk = SimDisk::new();
    let store = open(&disk, "/store").expect("an empty disk takes a store");
    let id = filled(&store);
    let before = all(&store);
    let mut rounds = 0;
    let report = store.backup_to("/backup/new", |_| {
        rounds += 1;
        store.upsert(id, &format!("x{rounds}"), &[2.0], b"").expect("fits");
        store.compact().expect("no fault is planted");
        ControlFlow::Continue(())
    });
    let report = report.expect("there is room");
    assert!(report.is_complete && rounds > 3 && report.files_kept == 0, "{report:?}");
    // What it kept from being removed goes now.
    store.checkpoint().expect("no fault is planted");
    let stats = store.stats().expect("open");
    assert_eq!((stats.pinned, stats.orphans), (0, 0));
    drop(store);
    let nothing = Survivors { base: Base::Nothing, exceptions: Vec::new() };
    let lost = disk.state().plan_survivors(&nothing).expect("it names nothing").build();
    for state in [lost, disk.state()] {
        let disk = SimDisk::mount(&state);
        let copy = open(&disk, "/backup/new").expect("a backup is a store");
        assert_eq!(all(&copy), before);
        assert_eq!(copy.stats().expect("open").last_lsn, report.lsn);
        let verified = copy.verify(VerifyOptions::default(), |_| ControlFlow::Continue(()));
        assert_eq!(verified.expect("open").findings.len(), 0);
        copy.upsert(id, "more", &[1.0], b"").expect("it takes writes");
        copy.checkpoint().expect("no fault is planted");
        assert!(!names(&disk, "/backup/new").iter().any(|name| name == "BACKUP"));
    }
}

#[test]
fn a_backup_that_was_cut_short_is_no_store_and_is_gone_on_with() {
    let disk = SimDisk::new();
    let store = open(&disk, "/store").expect("an empty disk takes a store");
    let id = filled(&store);
    // Segments are copied before logs.
    let report = store.backup_with("/backup", &BackupKeys::Included, |progress| {
        match progress.file.ends_with(".wal") {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    assert!(!report.expect("called off").is_complete);
    for refused in
        [open(&disk, "/backup"), Store::open_read_only_with(env(&disk, "/backup"), options())]
    {
        let error = refused.expect_err("no store yet");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains("unfinished backup"), "{error}");
    }
    // Another store does not go on with it.
    let other = open(&disk, "/other").expect("an empty directory");
    let error = backup(&other, "/backup").expect_err("another store's");
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    store.upsert(id, "later", &[2.0], b"").expect("fits");
    let report = backup(&store, "/backup").expect("it goes on");
    assert!(report.is_complete && report.files_kept > 0 && report.files_copied > 0, "{report:?}");
    assert_eq!(all(&open(&disk, "/backup").expect("a store")), all(&store));
}

#[test]
fn nothing_is_written_over() {
    let disk = SimDisk::new();
    let store = open(&disk, "/store").expect("an empty disk takes a store");
    filled(&store);
    drop(open(&disk, "/other").expect("an empty directory"));
    for dir in ["/store", "/other"] {
        let before = names(&disk, dir);
        assert_eq!(backup(&store, dir).expect_err(dir).kind(), ErrorKind::AlreadyExists);
        assert_eq!(names(&disk, dir), before);
    }
    disk.create_dir(Path::new("/full"), Location::caller()).expect("free");
    disk.create_new(Path::new("/full/notes.txt"), Location::caller()).expect("free");
    let error = backup(&store, "/full").expect_err("something else");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert_eq!(names(&disk, "/full"), ["notes.txt"]);
}

#[test]
fn damage_is_not_copied_and_a_full_disk_is_gone_on_with() {
    let disk = SimDisk::new();
    let store = open(&disk, "/store").expect("an empty disk takes a store");
    filled(&store);
    let expected = all(&store);
    store.close().expect("no fault is planted");
    let state = disk.state();
    for (path, len) in state.list() {
        let is_paged = [".seg", ".tmb", ".wal"].iter().any(|kind| named(&path).ends_with(kind));
        if !is_paged {
            continue;
        }
        let at = if named(&path).ends_with(".wal") { 530 } else { len - 1 };
        let byte = state.read(&path).expect("there")[usize::try_from(at).expect("small")] ^ 1;
        let damaged = SimDisk::mount(&state.damaged(&path, at, &[byte]).expect("inside"));
        let answer = Store::open_read_only_with(env(&damaged, "/store"), options())
            .and_then(|store| backup(&store, "/backup"));
        let error = answer.expect_err("it is not sound");
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains(named(&path)), "{error}");
    }
    let disk = SimDisk::mount(&state);
    let store = Store::open_read_only_with(env(&disk, "/store"), options()).expect("whole");
    disk.set_free_bytes(Some(40_000));
    assert_eq!(backup(&store, "/backup").expect_err("no room").kind(), ErrorKind::Full);
    disk.set_free_bytes(None);
    assert!(backup(&store, "/backup").expect("there is room now").is_complete);
    drop(store);
    assert_eq!(all(&open(&disk, "/backup").expect("a store")), expected);
}

fn named(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).expect("our names")
}

#[test]
fn a_salvage_copies_all_rows_but_those_on_damaged_pages() {
    let disk = SimDisk::new();
    let store = open(&disk, "/store").expect("an empty disk takes a store");
    let id = filled(&store);
    let schema = Descriptor::new(1, Dtype::F32, DistanceMetric::L2);
    let other = store.create_collection("b", schema).expect("free");
    store.upsert(other, "0", &[1.0], b"").expect("fits");
    store.close().expect("no fault is planted");
    let expected = all(&open(&disk, "/store").expect("whole"));
    let state = disk.state();
    let paged = state.list().into_iter().filter(|(path, _)| named(path).ends_with(".seg"));
    let (mut least, mut most) = (usize::MAX, 0);
    for (path, len) in paged {
        for at in (0..len).step_by(16 * 1024) {
            let at = at + 1000;
            let byte = state.read(&path).expect("there")[usize::try_from(at).expect("small")] ^ 1;
            let disk = SimDisk::mount(&state.damaged(&path, at, &[byte]).expect("inside"));
            let (store, _) =
                Store::open_salvage_with(env(&disk, "/store"), options()).expect("some of it");
            let target = env(&disk, "/salvaged");
            let report = store.salvage_to(target, options(), |_| ControlFlow::Continue(()));
            let report = report.expect("there is room");
            assert!(report.is_complete && report.rows_lost_at_most > 0, "{report:?}");
            assert!(report.losses.iter().all(|loss| loss.error.to_string().contains(named(&path))));
            let copy = open(&disk, "/salvaged").expect("a store");
            let rows = all(&copy);
            assert!(rows.iter().all(|row| expected.contains(row)));
            assert!(rows.iter().any(|row| row.starts_with("b/0")));
            assert!(rows.len() as u64 + report.rows_lost_at_most >= expected.len() as u64);
            assert_eq!(report.rows, rows.len() as u64);
            (least, most) = (least.min(rows.len()), most.max(rows.len()));
            let again =
                store.salvage_to(env(&disk, "/salvaged"), options(), |_| ControlFlow::Continue(()));
            drop(copy);
            assert!(again.is_err(), "it is open");
            let again =
                store.salvage_to(env(&disk, "/salvaged"), options(), |_| ControlFlow::Continue(()));
            assert_eq!(again.expect_err("a store").kind(), ErrorKind::AlreadyExists);
            assert_eq!(copied_id(&disk, "/salvaged"), id);
        }
    }
    // A page of values costs the rows on it; one without which nothing reads, those of its segment.
    assert!(least < 100 && most > 150 && most < expected.len(), "{least} to {most}");
}

fn copied_id(disk: &SimDisk, dir: &str) -> CollectionId {
    let store = open(disk, dir).expect("a store");
    store.collection_id("a").expect("open").expect("it was copied")
}

/// The syncs of a backup, as the simulated disk names them.
fn sync_sites(disk: &SimDisk) -> Vec<String> {
    let sites = disk.sync_sites().into_keys();
    sites.filter(|site| site.starts_with("src/store/backup")).collect()
}

/// What a loss of power leaves, in many ways.
fn images(state: &DiskState, draws: usize) -> Vec<DiskState> {
    let mut images = Vec::new();
    for (draw, policy) in
        Policy::ALL.into_iter().cycle().take(draws * Policy::ALL.len()).enumerate()
    {
        let mut dice = Stream::at(draw as u64, &[]);
        images.push(state.plan_power_loss(policy, false, &mut dice).build());
    }
    images
}

/// Plays backups that are cut short, killed, gone on with and ended, with power lost behind each, while
/// these syncs do nothing; the syncs that there were, or what was lost.
fn play_backups(
    env: fn(&SimDisk, &str) -> Env,
    elided: &[String],
) -> std::result::Result<Vec<String>, String> {
    let disk = SimDisk::new();
    let store =
        Store::open_with(env(&disk, "/store"), options()).map_err(|error| error.to_string())?;
    filled(&store);
    let expected = all(&store);
    store.close().map_err(|error| error.to_string())?;
    // Ends behind the last byte of the first file, before its sync.
    let disk = SimDisk::mount(&disk.state());
    disk.set_elided(elided.to_vec());
    let (mut first, mut cut_short, mut sites) = (None, None, Vec::new());
    let source = |disk: &SimDisk| Store::open_read_only_with(env(disk, "/store"), options());
    source(&disk)
        .and_then(|store| {
            store.backup_with("/backup", &BackupKeys::Included, |at| {
                let file = first.get_or_insert_with(|| at.file.clone());
                let next = at.bytes_done + 16 * 1024;
                let len =
                    disk.state().read(Path::new("/store").join(&*file)).map_or(0, |all| all.len());
                if *file != at.file || next > len as u64 {
                    cut_short.get_or_insert_with(|| disk.state());
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            })
        })
        .map_err(|error| error.to_string())?;
    sites.extend(sync_sites(&disk));
    let cut_short = cut_short.expect("it has several files");
    let mut begun = images(&cut_short, 30);
    begun.push(cut_short.kill());
    for (image, state) in begun.into_iter().enumerate() {
        let disk = SimDisk::mount(&state);
        disk.set_elided(elided.to_vec());
        let report = source(&disk).and_then(|store| backup(&store, "/backup"));
        let report = report.map_err(|error| format!("image {image}: {error}"))?;
        assert!(report.is_complete);
        sites.extend(sync_sites(&disk));
        for (other, state) in images(&disk.state(), 1).into_iter().enumerate() {
            let disk = SimDisk::mount(&state);
            let copy = Store::open_with(env(&disk, "/backup"), options());
            let copy = copy.map_err(|error| format!("image {image}:{other}: {error}"))?;
            let damaged = copy.stats().map_err(|error| error.to_string())?.damaged;
            if !damaged.is_empty() || all(&copy) != expected {
                return Err(format!("image {image}:{other}: {damaged:?}"));
            }
        }
    }
    sites.sort();
    sites.dedup();
    Ok(sites)
}

#[test]
fn a_backup_outlives_every_loss_of_power_and_needs_each_of_its_syncs() {
    // Key files are the fifth.
    for (env, count) in [(env as fn(&SimDisk, &str) -> Env, 4), (encrypted, 5)] {
        let sites = play_backups(env, &[]).expect("nothing is lost");
        assert_eq!(sites.len(), count, "{sites:?}");
        for site in sites {
            play_backups(env, std::slice::from_ref(&site)).expect_err(&site);
        }
    }
}

#[test]
fn what_a_failed_call_left_of_a_backup_is_not_relied_on() {
    let disk = SimDisk::new();
    let store = open(&disk, "/store").expect("an empty disk takes a store");
    filled(&store);
    let expected = all(&store);
    store.close().expect("no fault is planted");
    let state = disk.state();
    let nothing = Survivors { base: Base::Nothing, exceptions: Vec::new() };
    let mut failed = 0;
    // The first sync of a directory is of the one above, which nothing mends.
    for (fault, first) in
        [(Fault::SyncEio, 0), (Fault::WriteShortThenEio, 0), (Fault::SyncDirEio, 1)]
    {
        for call_index in first..12 {
            let disk = SimDisk::mount(&state);
            let store = Store::open_read_only_with(env(&disk, "/store"), options());
            let store = store.expect("it was closed");
            let faults = vec![PlannedFault { call_index, fault }];
            disk.set_faults(FaultPlan { faults, seed: call_index });
            let first_try = backup(&store, "/backup");
            failed += u32::from(first_try.is_err());
            disk.set_faults(FaultPlan::default());
            let again = backup(&store, "/backup");
            match again {
                Ok(report) => assert!(report.is_complete),
                // The first one failed behind its last step.
                Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}"),
            }
            if first_try.is_err() && backup(&store, "/backup").is_ok() {
                panic!("{fault:?} {call_index}: a backup is made over another");
            }
            let lost = disk.state().plan_survivors(&nothing).expect("it names nothing").build();
            let copy = open(&SimDisk::mount(&lost), "/backup");
            let copy = copy.unwrap_or_else(|error| panic!("{fault:?} {call_index}: {error}"));
            assert_eq!(all(&copy), expected, "{fault:?} {call_index}");
        }
    }
    assert!(failed > 10, "{failed} faults hit a backup");
}
