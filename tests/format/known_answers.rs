//! Encryption at rest against answers that another implementation computed: `known_answers.py`, which
//! says how to compute them again.

use std::sync::Arc;

use quiver_store::codec::{FileKind, PageCodec, Place};
use quiver_store::file_names::FileName;
use quiver_store::ids::{KeyId, Salt, StoreId};
use quiver_store::key_file::{self, KeyIdentity};
use quiver_store::limits::PAGE_SIZE_BYTES;
use quiver_store::page::{self, PAGE_HEADER_SIZE_BYTES, PagePlace, PageType};
use quiver_store::vfs::Entropy;
use quiver_store::vfs::memory::{MemoryVfs, StoppedClock};
use quiver_store::wal::frame::FrameHeader;
use quiver_store::wal::header::{LOG_HEADER_SIZE_BYTES, LogHeader};
use quiver_store::{
    AesGcmCodec, CollectionId, Descriptor, DistanceMetric, Dtype, Env, Key, Options,
    SingleCodecKeyRing, Store,
};
use sha2::{Digest, Sha256};

use crate::document::Document;
use crate::sample;
use crate::seals::{catalog_key, file_key};

/// The byte that the store of the frame draws, again and again.
const DRAWN: u8 = 0x5A;

const COLLECTION: CollectionId = CollectionId(7);

fn answer(name: &str) -> String {
    let answers = include_str!("known_answers.txt").lines();
    let pairs = answers.filter_map(|line| line.split_once(" = "));
    let found = pairs.into_iter().find(|(named, _)| *named == name);
    found.unwrap_or_else(|| panic!("no answer is named {name}")).1.to_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes that count on from the first.
fn counting<const LEN: usize>(first: u8) -> [u8; LEN] {
    std::array::from_fn(|i| first + u8::try_from(i).expect("a few"))
}

fn codec() -> AesGcmCodec {
    AesGcmCodec::new(Key::from_bytes(counting(0)))
}

fn store() -> StoreId {
    StoreId(counting(0x10))
}

fn salt() -> Salt {
    Salt(counting(0x20))
}

#[test]
fn document_derives_the_known_keys() {
    let document = Document::read();
    let place = Place {
        store: store(),
        salt: salt(),
        kind: FileKind::Segment,
        collection: COLLECTION,
        position: 0,
    };
    let key = file_key(&document, &counting(0), &place);
    assert_eq!(hex(&key), answer("file key"));
    assert_eq!(hex(&catalog_key(&document, &counting(0), store())), answer("catalog key"));
}

#[test]
fn a_sealed_page_is_the_known_one_and_opens() {
    let place = PagePlace {
        store: store(),
        salt: salt(),
        collection: COLLECTION,
        page_type: PageType::SegmentColumn,
        index: 3,
    };
    let payload = b"known answer";
    let bound = codec().for_file(&Place {
        store: store(),
        salt: salt(),
        kind: FileKind::Segment,
        collection: COLLECTION,
        position: 0,
    });
    let unbound: Arc<dyn PageCodec> = Arc::new(codec());
    for codec in [unbound, bound.expect("a key of the file's own")] {
        let mut page = vec![0; PAGE_SIZE_BYTES];
        page[PAGE_HEADER_SIZE_BYTES..][..payload.len()].copy_from_slice(payload);
        page::seal(&place, &*codec, &mut page, payload.len()).expect("sealed");
        assert_eq!(hex(&page[..PAGE_HEADER_SIZE_BYTES]), answer("page header"));
        assert_eq!(hex(&Sha256::digest(&page)), answer("page SHA-256"));
        assert_eq!(page::open(&place, &*codec, &mut page).expect("its own place"), payload);
    }
}

#[test]
fn a_key_file_is_the_known_one_and_opens() {
    let identity =
        KeyIdentity { store: store(), key: KeyId(counting(0x30)), collection: COLLECTION };
    let key = Key::from_bytes(counting(0x40));
    let file = key_file::encode(&identity, &codec(), &key).expect("sealed");
    assert_eq!(hex(&file), answer("key file"));
    let opened = key_file::decode(&identity, &codec(), &file).expect("intact");
    assert_eq!(opened.expect("its key").bytes(), key.bytes());
}

/// Draws one byte again and again, so that what is sealed depends on nothing else.
#[derive(Debug)]
struct SameByte;

impl Entropy for SameByte {
    fn fill(&self, buf: &mut [u8]) -> std::io::Result<()> {
        buf.fill(DRAWN);
        Ok(())
    }
}

#[test]
fn the_first_frame_of_a_log_is_the_known_one() {
    let env =
        Env::new("/store", Arc::new(MemoryVfs::new()), Arc::new(StoppedClock), Arc::new(SameByte));
    let env = env.with_keyring(Arc::new(SingleCodecKeyRing::new(Arc::new(codec()))));
    let options = Options { reserve_bytes: 0, ..Options::default() };
    let opened = Store::open_with(env.clone(), options).expect("a new store");
    let schema = Descriptor::new(2, Dtype::F32, DistanceMetric::Dot);
    opened.create_collection("answers", schema).expect("free");
    opened.close().expect("memory does not fail");
    let files = sample::files_in(&env);
    let is_log = |name: &&String| matches!(FileName::parse(name), Some(FileName::Log(..)));
    let name = files.keys().find(is_log).expect("a log");
    let (header, frames) = files[name].split_at(LOG_HEADER_SIZE_BYTES);
    let header = LogHeader::decode(header).expect("our own");
    assert_eq!((header.store.0, header.salt.0), ([DRAWN; 16], [DRAWN; 16]));
    let frame = FrameHeader::plausible(frames).expect("our own");
    assert_eq!(hex(&frames[..frame.len]), answer("frame"));
}
