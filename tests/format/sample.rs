//! A small store that uses every structure of the format once, the same in every run.

use std::collections::BTreeMap;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quiver_store::vfs::memory::{CountingEntropy, MemoryVfs, StoppedClock};
use quiver_store::vfs::{Access, CallSite, File};
use quiver_store::{
    Descriptor, DistanceMetric, Dtype, Env, FilterableField, Options, Request, Store, WriteBatch,
};

/// Bytes of files by name.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// Where the sample stands in the repository.
pub(crate) fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus/golden/store-1")
}

/// A disk and all that an open needs beside it.
pub(crate) struct Sample {
    env: Env,
}

impl Sample {
    pub(crate) fn empty() -> Self {
        let env = Env {
            dir: "/store".into(),
            vfs: Arc::new(MemoryVfs::new()),
            clock: Arc::new(StoppedClock),
            entropy: Arc::new(CountingEntropy::new()),
        };
        Self { env }
    }

    /// A disk with these files in the store's directory.
    pub(crate) fn of(files: &Files) -> Self {
        let sample = Self::empty();
        sample.env.vfs.create_dir(&sample.env.dir, here()).expect("a new disk");
        for (name, bytes) in files {
            let file = sample.env.vfs.create_new(&sample.path(name), here()).expect("a new disk");
            file.write_at(bytes, 0, here()).expect("memory takes all");
        }
        sample
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
        let names = self.env.vfs.read_dir(&self.env.dir, here()).expect("a store's directory");
        let names = names.into_iter().map(|entry| entry.name).filter(|name| name != "LOCK");
        names.map(|name| (name.clone(), self.read(&name))).collect()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        let file = self.env.vfs.open(&self.path(name), Access::Read, here()).expect("listed");
        let mut bytes = vec![0; usize::try_from(length(&*file)).expect("small")];
        assert_eq!(file.read_at(&mut bytes, 0, here()).expect("memory"), bytes.len());
        bytes
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

    fn path(&self, name: &str) -> PathBuf {
        Path::join(&self.env.dir, name)
    }
}

fn length(file: &dyn File) -> u64 {
    file.len(here()).expect("memory")
}

fn here() -> CallSite {
    Location::caller()
}

/// Writes the sample: a segment, its tombstones, an index snapshot and its changes, parked records, two
/// logs, every kind of frame and record.
pub(crate) fn write() -> quiver_store::Result<Files> {
    let sample = Sample::empty();
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
    drop(store);
    let store = sample.open()?;
    store.delete(fruit, "nobody")?;
    let mut batch = WriteBatch::new();
    batch.upsert(fruit, "plum", &[4.0, 5.0], b"null");
    let requests = [
        Request::CreateCollection {
            name: "gone".into(),
            descriptor: schema(3, DistanceMetric::Dot),
        },
        Request::DropCollection { name: "gone".into() },
        batch.into(),
    ];
    for request in requests {
        store.submit(request)?;
    }
    assert_eq!(store.drive()?, 3, "one group of three frames");
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
