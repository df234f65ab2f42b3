//! A small store that uses every structure of the format once, the same in every run: as it is, and
//! encrypted.

use std::collections::BTreeMap;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quiver_store::file_names::FileName;
use quiver_store::vfs::memory::{CountingEntropy, MemoryVfs, StoppedClock};
use quiver_store::vfs::{Access, CallSite, File};
use quiver_store::{
    CollectionId, Descriptor, DistanceMetric, Dtype, Env, FilterableField, KeyRing, Options,
    Request, SingleCodecKeyRing, Store, WriteBatch,
};

/// Bytes of files by name.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// The two samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Golden {
    Plain,
    #[cfg(feature = "encryption")]
    Encrypted,
}

/// The master key of the encrypted sample: bytes that count from 0.
#[cfg(feature = "encryption")]
pub(crate) const MASTER_KEY: [u8; 32] = {
    let mut key = [0; 32];
    let mut byte = 0;
    while byte < 32 {
        key[byte as usize] = byte;
        byte += 1;
    }
    key
};

impl Golden {
    /// Where the sample stands in the repository.
    pub(crate) fn dir(self) -> PathBuf {
        let name = match self {
            Self::Plain => "plain",
            #[cfg(feature = "encryption")]
            Self::Encrypted => "encrypted",
        };
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus/format-v1").join(name)
    }

    pub(crate) fn ring(self) -> Arc<dyn KeyRing> {
        match self {
            Self::Plain => Arc::new(SingleCodecKeyRing::plaintext()),
            #[cfg(feature = "encryption")]
            Self::Encrypted => {
                let key = quiver_store::Key::from_bytes(MASTER_KEY);
                Arc::new(quiver_store::EnvelopeKeyRing::new(key))
            }
        }
    }

    fn is_encrypted(self) -> bool {
        self != Self::Plain
    }
}

/// A disk and all that an open needs beside it.
pub(crate) struct Sample {
    env: Env,
}

impl Sample {
    pub(crate) fn empty(ring: Arc<dyn KeyRing>) -> Self {
        let env = Env::new(
            "/store",
            Arc::new(MemoryVfs::new()),
            Arc::new(StoppedClock),
            Arc::new(CountingEntropy::new()),
        );
        let env = env.with_keyring(ring);
        Self { env }
    }

    /// A disk with these files in the store's directory.
    pub(crate) fn of(files: &Files, ring: Arc<dyn KeyRing>) -> Self {
        let sample = Self::empty(ring);
        sample.env.vfs.create_dir(&sample.env.dir, here()).expect("a new disk");
        files.iter().for_each(|(name, bytes)| sample.put(name, bytes));
        sample
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        let file = self.env.vfs.create_new(&self.path(name), here()).expect("not there yet");
        file.write_at(bytes, 0, here()).expect("memory takes all");
    }

    pub(crate) fn open(&self) -> quiver_store::Result<Store> {
        // Small steps keep the golden files small.
        let options = Options {
            log_step_bytes_min: 4096,
            log_step_bytes_max: 4096,
            ..Options { reserve_bytes: 0, ..Options::default() }
        };
        Store::open_with(self.env.clone(), options)
    }

    /// All files but the lock.
    pub(crate) fn files(&self) -> Files {
        files_in(&self.env)
    }

    /// Changes one bit at the end of the only file of a kind, or changes it back.
    fn flip(&self, extension: &str) {
        let files = self.files();
        let of_kind = |name: &&String| name.ends_with(extension);
        let name = files.keys().find(of_kind).expect("there is one");
        let last = files[name].len() - 1;
        let file = self.env.vfs.open(&self.path(name), Access::ReadWrite, here()).expect("listed");
        file.write_at(&[files[name][last] ^ 1], last as u64, here()).expect("memory takes all");
    }

    /// Opens and closes the store while the key of a collection is missing.
    fn reopen_without_key_of(&self, collection: CollectionId) -> quiver_store::Result<()> {
        let is_its = |(name, bytes): &(String, Vec<u8>)| {
            matches!(FileName::parse(name), Some(FileName::Key(_)))
                && bytes[40..48] == collection.value().to_le_bytes()
        };
        let (name, bytes) = self.files().into_iter().find(is_its).expect("it has a key");
        self.env.vfs.unlink(&self.path(&name), here()).expect("memory");
        self.open()?.close()?;
        self.put(&name, &bytes);
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::join(&self.env.dir, name)
    }
}

/// All files of a store but the lock.
pub(crate) fn files_in(env: &Env) -> Files {
    let names = env.vfs.read_dir(&env.dir, here()).expect("a store's directory");
    let names = names.into_iter().map(|entry| entry.name).filter(|name| name != "LOCK");
    let read = |name: String| {
        let file = env.vfs.open(&env.dir.join(&name), Access::Read, here()).expect("listed");
        let mut bytes = vec![0; usize::try_from(length(&*file)).expect("small")];
        assert_eq!(file.read_at(&mut bytes, 0, here()).expect("memory"), bytes.len());
        (name, bytes)
    };
    names.map(read).collect()
}

fn length(file: &dyn File) -> u64 {
    file.len(here()).expect("memory")
}

fn here() -> CallSite {
    Location::caller()
}

/// Writes the sample: a segment, its tombstones, an index snapshot and its changes, parked records, two
/// logs, every kind of frame and record. What there is in an encrypted store only, a carried section and
/// a record that shreds, is in the encrypted one.
pub(crate) fn write(golden: Golden) -> quiver_store::Result<Files> {
    let sample = Sample::empty(golden.ring());
    let store = sample.open()?;
    let schema = |dim, metric| Descriptor::new(dim, Dtype::F32, metric);
    let red = [FilterableField::boolean("red")];
    let fruit = schema(2, DistanceMetric::Cosine).with_filterable(red);
    let fruit = store.create_collection("fruit", fruit)?;
    store.upsert(fruit, "apple", &[1.0, -2.0], br#"{"red":true}"#)?;
    store.upsert(fruit, "kiwi", &[7.0, 7.0], b"")?;
    store.upsert(fruit, "lime", &[8.0, 9.0], b"")?;
    let covered = store.upsert(fruit, "pear", &[0.5, f32::INFINITY], b"")?;
    store.checkpoint()?;
    store.delete(fruit, "kiwi")?;
    store.checkpoint_with_index_snapshots(&[(fruit, b"graph", covered)])?;
    store.delete(fruit, "lime")?;
    store.close()?;
    sample.flip(".seg");
    let store = sample.open()?;
    store.checkpoint()?;
    store.close()?;
    sample.flip(".seg");
    let store = sample.open()?;
    let seeds = store.create_collection("grain", schema(1, DistanceMetric::L2))?;
    store.rename_collection("grain", "seeds")?;
    store.add_filterable("seeds", FilterableField::keyword("kind"))?;
    let mut batch = WriteBatch::new();
    batch.upsert(seeds, "poppy", &[3.0], b"{}").upsert(fruit, "fig", &[-0.0, 0.0], b"[]");
    batch.delete(fruit, "pear");
    store.write(batch)?;
    store.maintain()?;
    if golden.is_encrypted() {
        // Nothing proves it, so the next open writes it into another file.
        store.delete(fruit, "nobody")?;
    }
    drop(store);
    if golden.is_encrypted() {
        sample.reopen_without_key_of(fruit)?;
    }
    let store = sample.open()?;
    store.delete(fruit, "nobody")?;
    let mut batch = WriteBatch::new();
    batch.upsert(fruit, "plum", &[4.0, 5.0], b"null");
    let create = |name: &str| Request::CreateCollection {
        name: name.into(),
        descriptor: schema(3, DistanceMetric::Dot),
    };
    let mut requests =
        vec![create("gone"), Request::DropCollection { name: "gone".into() }, batch.into()];
    if golden.is_encrypted() {
        requests.extend([create("ashes"), Request::ShredCollection { name: "ashes".into() }]);
    }
    let frames = requests.len();
    for request in requests {
        store.submit(request)?;
    }
    assert_eq!(store.drive()?, frames, "one group of all frames");
    store.close()?;
    Ok(sample.files())
}

/// What the sample holds: collection, id, vector, payload.
pub(crate) fn rows(store: &Store) -> quiver_store::Result<Vec<String>> {
    let mut rows = Vec::new();
    for name in store.collection_names()? {
        let id = store.collection_id(&name)?.expect("listed");
        for row in store.scan(id)? {
            let (row, record) = row?;
            let payload = String::from_utf8_lossy(&record.payload);
            rows.push(format!("{name} {id} {row} {:?} {payload}", record.vector));
        }
    }
    Ok(rows)
}
