//! A disk in memory whose files can be looked at, taken away and changed, and stores on it.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use quiver_store::file_names::FileName;
use quiver_store::vfs::memory::{CountingEntropy, MemoryVfs, StoppedClock};
use quiver_store::vfs::{Access, CallSite, EntryKind, Vfs};
use quiver_store::{
    AesGcmCodec, CollectionId, Descriptor, DistanceMetric, Dtype, Env, EnvelopeKeyRing,
    FilterableField, Key, Options, SecPredicate, SingleCodecKeyRing, Store,
};

pub(crate) fn here() -> CallSite {
    std::panic::Location::caller()
}

pub(crate) fn ring(byte: u8) -> Arc<EnvelopeKeyRing> {
    Arc::new(EnvelopeKeyRing::new(Key::from_bytes([byte; 32])))
}

pub(crate) fn single(byte: u8) -> Arc<SingleCodecKeyRing> {
    let codec = AesGcmCodec::new(Key::from_bytes([byte; 32]));
    Arc::new(SingleCodecKeyRing::new(Arc::new(codec)))
}

/// A disk on which stores are opened with one key or another.
pub(crate) struct Disk {
    vfs: Arc<MemoryVfs>,
    entropy: Arc<CountingEntropy>,
}

impl Disk {
    pub(crate) fn new() -> Self {
        Self { vfs: Arc::new(MemoryVfs::new()), entropy: Arc::new(CountingEntropy::new()) }
    }

    pub(crate) fn at(&self, dir: &str) -> Env {
        Env::new(dir, self.vfs.clone(), Arc::new(StoppedClock), self.entropy.clone())
    }

    pub(crate) fn env(&self) -> Env {
        self.at("/store")
    }

    pub(crate) fn try_open(&self, byte: u8) -> quiver_store::Result<Store> {
        Store::open_with(self.env().with_keyring(ring(byte)), options())
    }

    pub(crate) fn open(&self) -> Store {
        self.try_open(1).expect("its key")
    }

    pub(crate) fn names(&self, dir: &str) -> Vec<String> {
        let entries = self.vfs.read_dir(Path::new(dir), here()).expect("there");
        let files = entries.into_iter().filter(|entry| entry.kind == EntryKind::File);
        files.map(|entry| entry.name).collect()
    }

    pub(crate) fn keys(&self, dir: &str) -> Vec<String> {
        let is_key = |name: &String| matches!(FileName::parse(name), Some(FileName::Key(_)));
        self.names(dir).into_iter().filter(is_key).collect()
    }

    pub(crate) fn read(&self, path: &str) -> Vec<u8> {
        let file = self.vfs.open(Path::new(path), Access::Read, here()).expect("there");
        let mut bytes = vec![0; usize::try_from(file.len(here()).expect("memory")).expect("small")];
        let read = file.read_at(&mut bytes, 0, here()).expect("memory");
        assert!(read == bytes.len());
        bytes
    }

    pub(crate) fn write(&self, path: &str, bytes: &[u8]) {
        let file = self.vfs.create_new(Path::new(path), here()).expect("not there");
        file.write_at(bytes, 0, here()).expect("memory");
    }

    /// Other bytes in a file that is there, also for who has it open.
    pub(crate) fn write_over(&self, path: &str, bytes: &[u8]) {
        let file = self.vfs.open(Path::new(path), Access::ReadWrite, here()).expect("there");
        file.write_at(bytes, 0, here()).expect("memory");
    }

    pub(crate) fn remove(&self, path: &str) {
        self.vfs.unlink(Path::new(path), here()).expect("there");
    }

    /// Takes a file away; its bytes, to put it back.
    pub(crate) fn take(&self, path: &str) -> Vec<u8> {
        let bytes = self.read(path);
        self.remove(path);
        bytes
    }

    /// A store with a new collection `dossiers`, and the path of its key.
    pub(crate) fn with_dossiers(&self) -> (Store, CollectionId, String) {
        let store = self.open();
        let before = self.keys("/store");
        let id = store.create_collection("dossiers", schema()).expect("new");
        (store, id, format!("/store/{}", self.new_key(&before)))
    }

    /// Has a checkpoint park what cannot be read without a file, which is there again behind it.
    pub(crate) fn park_without(&self, path: &str) {
        let bytes = self.take(path);
        let store = self.open();
        store.checkpoint().expect("parked");
        store.close().expect("closed");
        self.write(path, &bytes);
    }

    /// All bytes of all files but the lock.
    pub(crate) fn everything(&self, dir: &str) -> Vec<u8> {
        let names = self.names(dir).into_iter().filter(|name| name != "LOCK");
        names.flat_map(|name| self.read(&format!("{dir}/{name}"))).collect()
    }

    /// The key file that is there now and was not before.
    pub(crate) fn new_key(&self, before: &[String]) -> String {
        let mut now = self.keys("/store");
        now.retain(|name| !before.contains(name));
        assert_eq!(now.len(), 1, "one key was made");
        now.remove(0)
    }
}

pub(crate) fn options() -> Options {
    Options { reserve_bytes: 0, ..Options::default() }
}

pub(crate) fn schema() -> Descriptor {
    let fields = vec![FilterableField::keyword("subject")];
    Descriptor::new(2, Dtype::F32, DistanceMetric::L2).with_filterable(fields)
}

pub(crate) const PAYLOAD: &[u8] = br#"{"subject":"espionage"}"#;

pub(crate) fn fill(store: &Store, id: CollectionId, from: u32) {
    for i in from..from + 20 {
        store.upsert(id, &format!("agent-{i:04}"), &[1.5, 7.25], PAYLOAD).expect("written");
    }
}

/// A store with a collection whose rows are in a segment and in the log.
pub(crate) fn filled(disk: &Disk) -> CollectionId {
    let store = disk.open();
    let id = store.create_collection("dossiers", schema()).expect("new");
    fill(&store, id, 0);
    store.checkpoint().expect("sealed");
    fill(&store, id, 20);
    store.close().expect("closed");
    id
}

pub(crate) fn check_whole(store: &Store, id: CollectionId) {
    assert_eq!(store.collection_names().expect("open"), ["dossiers"]);
    assert_eq!(store.len(id).expect("open"), 40);
    let record = store.get(id, "agent-0031").expect("open").expect("there");
    assert_eq!((record.vector, record.payload.as_slice()), (vec![1.5, 7.25], PAYLOAD));
    let spies = SecPredicate::Eq { field: "subject".into(), value: "espionage".into() };
    assert_eq!(store.matching_ids(id, &spies).expect("open").len(), 40);
    let report = store.verify(Default::default(), |_| ControlFlow::Continue(())).expect("open");
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}
