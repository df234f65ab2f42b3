//! A new data key that meets other work: what is written, renamed or fails while it is made.
//!
//! The disk calls back when a file is made, and can refuse to make any more of a kind.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use quiver_store::vfs::memory::{CountingEntropy, MemoryVfs, StoppedClock};
use quiver_store::vfs::{Access, CallSite, DirEntry, File, Lock, Vfs};
use quiver_store::{CollectionId, Env, ErrorKind, Store, WalOp};

use crate::disk::{fill, options, ring, schema};

type Visit = Box<dyn FnOnce() + Send>;

/// A disk in memory that calls back at the next segment, and refuses files of some kind.
#[derive(Default)]
struct Visited {
    inner: MemoryVfs,
    at_segment: Mutex<Option<Visit>>,
    refuses_logs: AtomicBool,
    refuses_keys: AtomicBool,
}

impl std::fmt::Debug for Visited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Visited")
    }
}

impl Vfs for Visited {
    fn create_new(&self, path: &Path, site: CallSite) -> io::Result<Arc<dyn File>> {
        let is_of = |end: &str| path.extension().is_some_and(|found| found == end);
        let refuses = |flag: &AtomicBool, end: &str| flag.load(Ordering::Relaxed) && is_of(end);
        if refuses(&self.refuses_logs, "wal") || refuses(&self.refuses_keys, "key") {
            return Err(io::ErrorKind::Other.into());
        }
        let visit =
            if is_of("seg") { self.at_segment.lock().expect("one thread").take() } else { None };
        if let Some(visit) = visit {
            visit();
        }
        self.inner.create_new(path, site)
    }

    fn open(&self, path: &Path, access: Access, site: CallSite) -> io::Result<Arc<dyn File>> {
        self.inner.open(path, access, site)
    }

    fn rename(&self, from: &Path, to: &Path, site: CallSite) -> io::Result<()> {
        self.inner.rename(from, to, site)
    }

    fn unlink(&self, path: &Path, site: CallSite) -> io::Result<()> {
        self.inner.unlink(path, site)
    }

    fn create_dir(&self, path: &Path, site: CallSite) -> io::Result<()> {
        self.inner.create_dir(path, site)
    }

    fn read_dir(&self, path: &Path, site: CallSite) -> io::Result<Vec<DirEntry>> {
        self.inner.read_dir(path, site)
    }

    fn sync_dir(&self, path: &Path, site: CallSite) -> io::Result<()> {
        self.inner.sync_dir(path, site)
    }

    fn lock(&self, path: &Path, access: Access, site: CallSite) -> io::Result<Box<dyn Lock>> {
        self.inner.lock(path, access, site)
    }
}

impl Visited {
    fn open_store(self: &Arc<Self>, entropy: &Arc<CountingEntropy>) -> Store {
        let env = Env::new("/store", self.clone(), Arc::new(StoppedClock), entropy.clone());
        Store::open_with(env.with_keyring(ring(1)), options()).expect("its key")
    }

    fn segment(&self) -> String {
        let site = std::panic::Location::caller();
        let entries = self.inner.read_dir(Path::new("/store"), site).expect("there");
        let mut names = entries.into_iter().map(|entry| entry.name);
        let segment = names.rfind(|name| name.ends_with(".seg"));
        format!("/store/{}", segment.expect("sealed"))
    }
}

/// A store whose collection gets a new key, with something done while its rows are written anew, and a
/// stop behind the publish: the checkpoint that follows fails.
fn rekey_with(
    meanwhile: impl FnOnce(&Store, CollectionId) + Send + 'static,
) -> (Arc<Visited>, Arc<CountingEntropy>, CollectionId) {
    let (disk, entropy) = (Arc::new(Visited::default()), Arc::new(CountingEntropy::new()));
    let store = disk.open_store(&entropy);
    let id = store.create_collection("dossiers", schema()).expect("new");
    fill(&store, id, 0);
    store.checkpoint().expect("sealed");
    // A log that takes what is done meanwhile.
    store.upsert(id, "early", &[0.0, 0.0], b"").expect("written");
    let (visitor, visited) = (store.clone(), disk.clone());
    // The first segment is that of the checkpoint in front.
    let behind = disk.clone();
    *disk.at_segment.lock().expect("one thread") = Some(Box::new(move || {
        *behind.at_segment.lock().expect("one thread") = Some(Box::new(move || {
            meanwhile(&visitor, id);
            visited.refuses_logs.store(true, Ordering::Relaxed);
        }));
    }));
    store.rekey_collection(id).expect_err("the last checkpoint finds no room for its log");
    disk.refuses_logs.store(false, Ordering::Relaxed);
    *disk.at_segment.lock().expect("one thread") = None;
    drop(store);
    (disk, entropy, id)
}

#[test]
fn name_that_is_given_while_a_collection_is_rekeyed_outlives_a_crash() {
    let (disk, entropy, id) = rekey_with(|store, _| {
        store.rename_collection("dossiers", "files").expect("free");
    });
    for _ in 0..2 {
        let store = disk.open_store(&entropy);
        assert_eq!(store.collection_names().expect("open"), ["files"]);
        assert_eq!(store.len(id).expect("whole"), 21);
        store.checkpoint().expect("sealed");
    }
}

/// Rows in the log under the old key are parked under the new one: the old one goes with the log.
#[test]
fn rows_under_the_old_key_that_have_to_be_parked_come_back() {
    let (disk, entropy, id) = rekey_with(|store, id| {
        store.upsert(id, "late", &[1.0, 1.0], b"").expect("written under the old key");
    });
    let site = std::panic::Location::caller();
    let segment = disk.segment();
    let file = disk.inner.open(Path::new(&segment), Access::Read, site).expect("there");
    let mut bytes = vec![0; usize::try_from(file.len(site).expect("memory")).expect("small")];
    file.read_at(&mut bytes, 0, site).expect("memory");
    disk.inner.unlink(Path::new(&segment), site).expect("there");
    let store = disk.open_store(&entropy);
    assert_eq!(store.len(id).expect_err("damaged").kind(), ErrorKind::Corrupt);
    store.checkpoint().expect("parked");
    drop(store);
    let file = disk.inner.create_new(Path::new(&segment), site).expect("it is missing");
    file.write_at(&bytes, 0, site).expect("memory");
    let store = disk.open_store(&entropy);
    assert_eq!(store.len(id).expect("well again"), 22);
    store.rekey_collection(id).expect("well again");
    assert!(store.get(id, "late").expect("well again").is_some());
}

/// A creation that another store did is asked for again until it succeeds; it is not taken for one that
/// was dropped since.
#[test]
fn replicated_creation_whose_key_could_not_be_made_is_done_when_it_comes_again() {
    let (disk, entropy) = (Arc::new(Visited::default()), Arc::new(CountingEntropy::new()));
    let store = disk.open_store(&entropy);
    let creation = WalOp::CreateCollection {
        collection_id: CollectionId(5),
        name: "dossiers".to_owned(),
        descriptor: schema(),
    };
    disk.refuses_keys.store(true, Ordering::Relaxed);
    store.apply_replicated(creation.clone()).expect_err("no key");
    disk.refuses_keys.store(false, Ordering::Relaxed);
    assert!(store.apply_replicated(creation).expect("a key").is_some());
    assert_eq!(store.collection_id("dossiers").expect("open"), Some(CollectionId(5)));
}
