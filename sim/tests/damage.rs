//! Damage at rest to a small store: every byte of every file.
//!
//! What is proved is never lost in silence; what is not proved is a torn tail; what is not the
//! right data is an error.
//!
//! Every bit of every file of a closed store is changed alone. In headers, and in files that are no pages
//! (log, keys, `CURRENT`), the store is opened and read whole for each. In the body of a page that is done
//! for one bit of each byte, and the others are put to the function that every reader of a page has to
//! pass before it looks at anything in it, and which answers with no more than an error: since it refuses
//! them too, a reader cannot tell one bit of the byte from another.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quiver_sim::disk::{DiskState, SimClock, SimDisk, SimEntropy};
use quiver_store::ids::{Salt, StoreId};
use quiver_store::limits::PAGE_SIZE_BYTES;
use quiver_store::page::{PAGE_HEADER_SIZE_BYTES, PAGE_MAGIC, offsets, verify_stored};
use quiver_store::{
    CollectionId, Descriptor, DistanceMetric, Dtype, Env, EnvelopeKeyRing, ErrorKind, Key, Options,
    RecoveryTail, Store,
};

fn open(disk: &SimDisk) -> quiver_store::Result<Store> {
    open_kept(disk, Kept::Plain)
}

/// How a store is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Plain,
    Encrypted,
}

fn open_kept(disk: &SimDisk, kept: Kept) -> quiver_store::Result<Store> {
    let env = Env::new(
        "/store",
        Arc::new(disk.clone()),
        Arc::new(SimClock::new(1)),
        Arc::new(SimEntropy::new(1)),
    );
    let ring = || Arc::new(EnvelopeKeyRing::new(Key::from_bytes([7; 32])));
    let env = if kept == Kept::Encrypted { env.with_keyring(ring()) } else { env };
    let options = Options {
        log_step_bytes_min: 1024,
        log_step_bytes_max: 1024,
        log_window_bytes: 1024,
        reserve_bytes: 0,
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
fn the_error_of_a_log_that_was_cut_below_what_is_proved_names_it() {
    // What recovery writes again is stated by the manifest that names its log.
    let disk = SimDisk::mount(&store(drop));
    drop(open(&disk).expect("sound"));
    let proved = disk.state();
    let mut files = proved.list().into_iter().map(|(path, _)| path);
    let path = files.rfind(|path| is_log(path)).expect("the last one");
    let bytes = proved.read(&path).expect("there");
    let cut = proved.with_file(&path, Some(&bytes[..512]));
    let error = open(&SimDisk::mount(&cut)).expect_err("the manifest states its record as durable");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
}

/// A cleanly closed store with a file of every kind that a checkpoint leaves, and rows in the log.
fn closed_store(kept: Kept) -> DiskState {
    let disk = SimDisk::new();
    let store = open_kept(&disk, kept).expect("an empty disk takes a store");
    let schema = Descriptor::new(1, Dtype::F32, DistanceMetric::L2);
    let id = store.create_collection("a", schema.clone()).expect("the name is free");
    let other = store.create_collection("b", schema).expect("the name is free");
    for row in ["0", "1", "2"] {
        store.upsert(id, row, &[1.0], row.as_bytes()).expect("fits");
    }
    let covered = store.upsert(other, "0", &[1.0], b"zero").expect("fits");
    store.checkpoint().expect("no fault is planted");
    store.delete(id, "1").expect("fits");
    store.checkpoint_with_index_snapshots(&[(id, b"graph", covered)]).expect("no fault is planted");
    store.upsert(id, "3", &[1.0], b"three").expect("fits");
    store.upsert(other, "0", &[2.0], b"again").expect("fits");
    store.close().expect("no fault is planted");
    disk.state()
}

fn is_log(path: &Path) -> bool {
    path.extension().is_some_and(|found| found == "wal")
}

/// All that a store shows, or what it says is wrong, by what was asked: of the store, and of each of the
/// two collections.
fn shown(state: &DiskState, kept: Kept) -> [Vec<Result<String, ErrorKind>>; 3] {
    let store = match open_kept(&SimDisk::mount(state), kept) {
        Ok(store) => store,
        Err(error) => return [vec![Err(error.kind())], Vec::new(), Vec::new()],
    };
    let kind = |error: quiver_store::Error| error.kind();
    let names = store.collection_names().map_err(kind);
    let of_store = match kept {
        Kept::Plain => vec![names.map(|names| format!("{names:?}"))],
        // A name is shown by who has the key to it.
        Kept::Encrypted => Vec::new(),
    };
    let [a, b] = [1, 2].map(|id| {
        let id = CollectionId(id);
        let mut shown =
            vec![store.descriptor(id).map(|schema| format!("{schema:?}")).map_err(kind)];
        match store.scan(id) {
            Err(error) => shown.push(Err(error.kind())),
            Ok(rows) => {
                shown.extend(rows.map(|row| row.map(|row| format!("{row:?}")).map_err(kind)));
            }
        }
        shown.push(store.len(id).map(|len| len.to_string()).map_err(kind));
        let index = store.read_index_snapshot(id);
        shown.push(index.map(|index| format!("{index:?}")).map_err(kind));
        shown.push(match store.recovery_tail(id) {
            // Building the index again is never wrong.
            Ok(RecoveryTail::Rebuild) => Err(ErrorKind::Corrupt),
            tail => tail.map(|tail| format!("{tail:?}")).map_err(kind),
        });
        shown
    });
    [of_store, a, b]
}

/// The files that only the first collection needs.
fn files_of_a(state: &DiskState) -> Vec<String> {
    let mut files =
        ["tombstones-", "index-", "changes-", "segment-0000000002"].map(String::from).to_vec();
    for (path, _) in state.list() {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        if name.ends_with(".key") && state.read(&path).expect("there")[40..48] == 1u64.to_le_bytes()
        {
            files.push(name);
        }
    }
    files
}

#[test]
fn every_flipped_bit_of_a_closed_store_is_refused_or_harmless() {
    check_every_bit(Kept::Plain);
}

#[test]
fn every_flipped_bit_of_a_closed_encrypted_store_is_refused_or_harmless() {
    check_every_bit(Kept::Encrypted);
}

/// Which bits of a byte of a file are flipped with an open each: all; but in the bodies of pages one of
/// each byte, and the others by [`check_page`].
fn bits_of(file: &[u8], at: usize) -> Range<usize> {
    let is_in_body = is_of_pages(file) && at % PAGE_SIZE_BYTES >= PAGE_HEADER_SIZE_BYTES;
    if is_in_body { at % 8..at % 8 + 1 } else { 0..8 }
}

fn is_of_pages(file: &[u8]) -> bool {
    file.starts_with(&PAGE_MAGIC) && file.len().is_multiple_of(PAGE_SIZE_BYTES)
}

/// No bit of a byte of a page gets past what every reader of the page asks first.
fn check_page(file: &[u8], store: StoreId, at: usize) {
    let index = at / PAGE_SIZE_BYTES;
    let mut page = file[index * PAGE_SIZE_BYTES..][..PAGE_SIZE_BYTES].to_vec();
    let salt = Salt(*page[offsets::SALT..].first_chunk().expect("in the header"));
    let index = u32::try_from(index).expect("a small file");
    let verified =
        |page: &[u8]| verify_stored(store, salt, index, page).map_err(|error| error.kind());
    assert!(verified(&page).is_ok());
    for bit in 0..8 {
        page[at % PAGE_SIZE_BYTES] ^= 1 << bit;
        assert_eq!(verified(&page), Err(ErrorKind::Corrupt), "bit {bit} of byte {at}");
        page[at % PAGE_SIZE_BYTES] ^= 1 << bit;
    }
}

/// The id of the store, as the header of its log has it.
fn store_id(files: &[(PathBuf, Vec<u8>)]) -> StoreId {
    let log = files.iter().find(|(path, _)| is_log(path));
    let (_, header) = log.expect("rows stand in the log");
    StoreId(*header[8..].first_chunk().expect("a header"))
}

fn check_every_bit(kept: Kept) {
    let state = closed_store(kept);
    let whole = shown(&state, kept);
    let files_of_a = files_of_a(&state);
    let files: Vec<(PathBuf, Vec<u8>)> = state
        .list()
        .into_iter()
        .map(|(path, _)| (path.clone(), state.read(&path).expect("there")))
        .collect();
    let store = store_id(&files);
    let places: Vec<(usize, usize)> = files
        .iter()
        .enumerate()
        .flat_map(|(file, (_, bytes))| (0..bytes.len()).map(move |at| (file, at)))
        .collect();
    let check = |part: &[(usize, usize)]| {
        let (mut refused, mut harmless) = (vec![0u64; files.len()], 0u64);
        for (file, at) in part {
            let (path, bytes) = &files[*file];
            let bits = bits_of(bytes, *at);
            if bits.len() < 8 {
                check_page(bytes, store, *at);
            }
            for bit in bits {
                let byte = bytes[*at] ^ (1 << bit);
                let damaged = state.damaged(path, *at as u64, &[byte]).expect("inside the file");
                let found = shown(&damaged, kept);
                if found == whole {
                    harmless += 1;
                    continue;
                }
                refused[*file] += 1;
                let mut errors = found.iter().flatten().filter_map(|answer| answer.as_ref().err());
                let place = format!("bit {bit} of byte {at} of {}: {found:?}", path.display());
                assert!(errors.all(|kind| *kind == ErrorKind::Corrupt), "{place}");
                // What is shown beside the errors was there.
                for (found, whole) in found.iter().zip(&whole) {
                    let mut shown = found.iter().filter(|answer| answer.is_ok());
                    assert!(shown.all(|answer| whole.contains(answer)), "{place}");
                }
                let is_of_a = files_of_a.iter().any(|part| path.to_string_lossy().contains(part));
                assert!(!is_of_a || found[2] == whole[2], "{place}");
                let count = |shown: &[Vec<Result<String, ErrorKind>>; 3]| {
                    shown.iter().flatten().filter(|answer| answer.is_ok()).count()
                };
                assert!(count(&found) < count(&whole), "{place}");
            }
        }
        (refused, harmless)
    };
    let (one, two) = places.split_at(places.len() / 2);
    let ((one, some), (two, more)) = std::thread::scope(|scope| {
        let one = scope.spawn(|| check(one));
        let two = check(two);
        (one.join().expect("no violation"), two)
    });
    let harmless = some + more;
    for ((path, bytes), refused) in files.iter().zip(one.iter().zip(&two).map(|(a, b)| a + b)) {
        let bits: u64 = (0..bytes.len()).map(|at| bits_of(bytes, at).len() as u64).sum();
        let name = path.display();
        match is_log(path) {
            // Padding behind the frames holds nothing.
            true => {
                assert!(refused > bits / 4 && refused + harmless == bits, "{refused} of {name}")
            }
            false => assert_eq!(refused, bits, "{name}"),
        }
    }
}
