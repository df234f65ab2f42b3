//! What is sealed: each place once, and nothing made without the key is taken.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use quiver_store::codec::Place;
use quiver_store::{AesGcmCodec, ErrorKind, Key, PageCodec, SingleCodecKeyRing, Store};

use crate::disk::{Disk, check_whole, fill, filled, options, schema};

/// Remembers every place at which something was sealed.
#[derive(Debug)]
struct EachPlaceOnce(AesGcmCodec, Mutex<BTreeSet<String>>);

impl PageCodec for EachPlaceOnce {
    fn id(&self) -> u8 {
        self.0.id()
    }

    fn seal(
        &self,
        place: &Place,
        header: &[u8],
        body: &mut [u8],
    ) -> quiver_store::Result<[u8; 16]> {
        let Place { store, salt, kind, collection, position } = *place;
        let shown = format!("{store} {salt} {kind:?} {collection} {position}");
        assert!(self.1.lock().expect("one thread").insert(shown), "sealed twice: {place:?}");
        self.0.seal(place, header, body)
    }

    fn open(
        &self,
        place: &Place,
        header: &[u8],
        body: &mut [u8],
        tag: &[u8; 16],
    ) -> quiver_store::Result<()> {
        self.0.open(place, header, body, tag)
    }
}

/// Found by reading: with one codec for all, the pages of a parked file and the sections within shared
/// places, and so nonces.
#[test]
fn no_place_is_sealed_twice_with_one_codec_for_all() {
    let disk = Disk::new();
    let codec = EachPlaceOnce(AesGcmCodec::new(Key::from_bytes([3; 32])), Mutex::default());
    let ring = Arc::new(SingleCodecKeyRing::new(Arc::new(codec)));
    let open = || Store::open_with(disk.env().with_keyring(ring.clone()), options());
    let store = open().expect("new");
    let id = store.create_collection("dossiers", schema()).expect("new");
    fill(&store, id, 0);
    store.checkpoint().expect("sealed");
    // More pages of parked records than the offset of the first section.
    for i in 0..20 {
        let payload = format!(r#"{{"subject":"{}"}}"#, "x".repeat(20_000));
        store.upsert(id, &format!("long-{i}"), &[0.0, 0.0], payload.as_bytes()).expect("written");
    }
    drop(store);
    let names = disk.names("/store");
    let segment = names.iter().find(|name| name.ends_with(".seg")).expect("sealed");
    let segment = format!("/store/{segment}");
    let whole = disk.read(&segment);
    disk.remove(&segment);
    let store = open().expect("damaged, and confined");
    store.checkpoint().expect("parked");
    drop(store);
    disk.write(&segment, &whole);
    let store = open().expect("well again");
    assert_eq!(store.len(id).expect("well again"), 40);
    store.checkpoint().expect("sealed");
    store.compact().expect("merged");
    assert_eq!(store.len(id).expect("well again"), 40);
}

#[test]
fn page_and_frame_that_someone_without_the_key_made_are_refused() {
    let disk = Disk::new();
    let id = filled(&disk);
    let names = disk.names("/store");
    let segment = names.iter().find(|name| name.ends_with(".seg")).expect("sealed");
    let log = names.iter().rfind(|name| name.ends_with(".wal")).expect("a log");
    for (name, at) in [(segment, 4000), (log, 512 + 56 + 60), (log, 512 + 16)] {
        let path = format!("/store/{name}");
        let bytes = disk.read(&path);
        let mut forged = bytes.clone();
        forged[at] ^= 1;
        if name == segment {
            forge_page(&mut forged[..16_384]);
        } else {
            forge_frame(&mut forged);
        }
        disk.remove(&path);
        disk.write(&path, &forged);
        let found = disk.try_open(1).and_then(|store| {
            let report = store.verify(Default::default(), |_| ControlFlow::Continue(()))?;
            let error = report.findings.into_iter().next().map(|finding| finding.error);
            error.map_or(Ok(store), Err)
        });
        let error = found.expect_err("forged");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{name} at {at}: {error}");
        disk.remove(&path);
        disk.write(&path, &bytes);
    }
    check_whole(&disk.open(), id);
}

/// Makes the checksum of a page hold.
fn forge_page(page: &mut [u8]) {
    page[16..20].fill(0);
    let checksum = crc32c::crc32c(page);
    page[16..20].copy_from_slice(&checksum.to_le_bytes());
}

/// Makes the checksums of the first frame of a log hold.
fn forge_frame(log: &mut [u8]) {
    let salt: Vec<u8> = log[32..48].to_vec();
    let at = 512;
    let len = u32::from_le_bytes([log[at], log[at + 1], log[at + 2], log[at + 3]]) as usize;
    let place = [&salt[..], &(at as u64).to_le_bytes(), &log[at..at + 4]].concat();
    let seed = crc32c::crc32c(&place);
    let header = crc32c::crc32c_append(seed, &log[at + 8..at + 36]);
    log[at + 36..at + 40].copy_from_slice(&header.to_le_bytes());
    let frame = crc32c::crc32c_append(seed, &log[at + 8..at + len]);
    log[at + 4..at + 8].copy_from_slice(&frame.to_le_bytes());
}
