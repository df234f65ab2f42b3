//! Readers wait for nobody: while a write, a checkpoint, a merge, a backup or a verification is inside
//! any call of the disk, another thread reads. And nobody waits for a verification: another thread writes.

#![expect(
    clippy::disallowed_methods,
    reason = "the reader is a thread of the system, which the disk waits for"
)]

use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use quiver_store::vfs::memory::{CountingEntropy, MemoryVfs, StoppedClock};
use quiver_store::vfs::{Access, CallSite, DirEntry, File, Lock, Vfs};
use quiver_store::{
    CollectionId, Descriptor, DistanceMetric, Dtype, Env, FilterableField, Options, Result,
    SecPredicate, Store, VerifyOptions,
};

/// How long a read may take before it counts as waiting for the call.
const NEVER: Duration = Duration::from_secs(60);

/// Asks for a read, and is told when it is done.
struct Reader {
    thread: ThreadId,
    ask: Sender<()>,
    done: Receiver<()>,
}

/// Has a read done inside of every call of the disk but those of the reader.
#[derive(Default)]
struct Asking {
    reader: Mutex<Option<Reader>>,
    reads: AtomicU64,
}

impl Asking {
    fn read(&self) {
        // Whoever is asked is inside of a call of his own, and is waited for.
        let Ok(reader) = self.reader.try_lock() else { return };
        let Some(reader) = reader.as_ref().filter(|it| it.thread != thread::current().id()) else {
            return;
        };
        reader.ask.send(()).expect("the reader is there");
        reader.done.recv_timeout(NEVER).expect("a reader waits for a call of the disk");
        self.reads.fetch_add(1, Ordering::Relaxed);
    }
}

/// A disk in memory, inside of whose calls somebody reads.
struct ReadDisk(MemoryVfs, Arc<Asking>);

struct ReadFile(Arc<dyn File>, Arc<Asking>);

impl std::fmt::Debug for ReadDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReadDisk")
    }
}

impl std::fmt::Debug for ReadFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReadFile")
    }
}

impl ReadDisk {
    fn wrapped(&self, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(ReadFile(file, Arc::clone(&self.1)))
    }
}

impl Vfs for ReadDisk {
    fn create_new(&self, path: &Path, site: CallSite) -> io::Result<Arc<dyn File>> {
        self.1.read();
        self.0.create_new(path, site).map(|file| self.wrapped(file))
    }

    fn open(&self, path: &Path, access: Access, site: CallSite) -> io::Result<Arc<dyn File>> {
        self.1.read();
        self.0.open(path, access, site).map(|file| self.wrapped(file))
    }

    fn rename(&self, from: &Path, to: &Path, site: CallSite) -> io::Result<()> {
        self.1.read();
        self.0.rename(from, to, site)
    }

    fn unlink(&self, path: &Path, site: CallSite) -> io::Result<()> {
        self.1.read();
        self.0.unlink(path, site)
    }

    fn create_dir(&self, path: &Path, site: CallSite) -> io::Result<()> {
        self.0.create_dir(path, site)
    }

    fn read_dir(&self, path: &Path, site: CallSite) -> io::Result<Vec<DirEntry>> {
        self.1.read();
        self.0.read_dir(path, site)
    }

    fn sync_dir(&self, path: &Path, site: CallSite) -> io::Result<()> {
        self.1.read();
        self.0.sync_dir(path, site)
    }

    fn lock(&self, path: &Path, access: Access, site: CallSite) -> io::Result<Box<dyn Lock>> {
        self.0.lock(path, access, site)
    }
}

impl File for ReadFile {
    fn read_at(&self, buf: &mut [u8], offset: u64, site: CallSite) -> io::Result<usize> {
        self.1.read();
        self.0.read_at(buf, offset, site)
    }

    fn write_at(&self, bytes: &[u8], offset: u64, site: CallSite) -> io::Result<usize> {
        self.1.read();
        self.0.write_at(bytes, offset, site)
    }

    fn allocate(&self, len: u64, site: CallSite) -> io::Result<()> {
        self.1.read();
        self.0.allocate(len, site)
    }

    fn len(&self, site: CallSite) -> io::Result<u64> {
        self.0.len(site)
    }

    fn sync_data(&self, site: CallSite) -> io::Result<()> {
        self.1.read();
        self.0.sync_data(site)
    }
}

/// Every kind of read there is.
fn read_all(store: &Store, id: CollectionId) -> Result<()> {
    store.get(id, "0")?.expect("it is never deleted");
    store.get_vector(id, "1")?.expect("it is never deleted");
    let rows = store.scan(id)?.collect::<Result<Vec<_>>>()?.len();
    let snapshot = store.snapshot()?;
    assert!(snapshot.len(id)? >= 2 && rows >= 2);
    assert!(store.capture_vector_source(id)?.iter().count() >= 2);
    let even = SecPredicate::Eq { field: "even".to_owned(), value: true.into() };
    assert!(store.matching_ids(id, &even)?.len() >= 2);
    assert_eq!(store.collection_id("a")?, Some(id));
    store.descriptor(id).map(drop)
}

fn upsert(store: &Store, id: CollectionId, from: u32, till: u32) -> Result<()> {
    for row in from..till {
        store.upsert(id, &format!("{row}"), &[1.0, 2.0], br#"{"even":true}"#)?;
    }
    Ok(())
}

#[test]
fn a_read_waits_for_no_call_of_the_disk_that_others_are_in() -> Result<()> {
    let asking = Arc::<Asking>::default();
    let vfs = Arc::new(ReadDisk(MemoryVfs::new(), Arc::clone(&asking)));
    let env = Env::new("/store", vfs, Arc::new(StoppedClock), Arc::new(CountingEntropy::new()));
    let options = Options { page_cache_bytes: 0, step_bytes: 256, ..Options::default() };
    let store = Store::open_with(env, options)?;
    let schema = Descriptor::new(2, Dtype::F32, DistanceMetric::L2)
        .with_filterable(vec![FilterableField::boolean("even")]);
    let id = store.create_collection("a", schema)?;
    upsert(&store, id, 0, 20)?;
    thread::scope(|scope| {
        let ((ask, asked), (answer, done)) = (channel(), channel());
        let reading = store.clone();
        let reader = scope.spawn(move || {
            while let Ok(()) = asked.recv() {
                read_all(&reading, id).expect("nothing is damaged");
                answer.send(()).expect("somebody asked");
            }
        });
        *asking.reader.lock().expect("no panic") =
            Some(Reader { thread: reader.thread().id(), ask, done });
        let mut reads = 0;
        let mut each = |what: &str, does: &dyn Fn() -> Result<()>| {
            does()?;
            let now = asking.reads.load(Ordering::Relaxed);
            assert!(now > reads, "no read was done inside of {what}");
            reads = now;
            Result::Ok(())
        };
        each("writes", &|| upsert(&store, id, 20, 30))?;
        each("a checkpoint", &|| store.checkpoint())?;
        each("deletes", &|| store.delete(id, "19").map(drop))?;
        each("a second checkpoint", &|| store.checkpoint())?;
        each("a compaction", &|| store.compact())?;
        each("a verification", &|| {
            store.verify(VerifyOptions::default(), |_| ControlFlow::Continue(())).map(drop)
        })?;
        each("a backup", &|| store.backup_to("/copy", |_| ControlFlow::Continue(())).map(drop))?;
        each("background work", &|| {
            upsert(&store, id, 30, 40)?;
            while store.maintain()? {}
            Ok(())
        })?;
        each("a creation and a drop", &|| {
            store.create_collection("b", Descriptor::new(1, Dtype::U8, DistanceMetric::Dot))?;
            store.drop_collection("b").map(drop)
        })?;
        // Lets the reader go.
        *asking.reader.lock().expect("no panic") = None;
        Ok(())
    })
}

#[test]
fn a_write_waits_for_no_call_of_the_disk_that_a_verification_is_in() -> Result<()> {
    let asking = Arc::<Asking>::default();
    let vfs = Arc::new(ReadDisk(MemoryVfs::new(), Arc::clone(&asking)));
    let env = Env::new("/store", vfs, Arc::new(StoppedClock), Arc::new(CountingEntropy::new()));
    let store = Store::open_with(env, Options { page_cache_bytes: 0, ..Options::default() })?;
    let id = store.create_collection("a", Descriptor::new(2, Dtype::F32, DistanceMetric::L2))?;
    upsert(&store, id, 0, 20)?;
    store.checkpoint()?;
    upsert(&store, id, 0, 2)?;
    thread::scope(|scope| {
        let ((ask, asked), (answer, done)) = (channel(), channel());
        let writing = store.clone();
        let writer = scope.spawn(move || {
            while let Ok(()) = asked.recv() {
                upsert(&writing, id, 2, 3).expect("nothing is damaged");
                answer.send(()).expect("somebody asked");
            }
        });
        *asking.reader.lock().expect("no panic") =
            Some(Reader { thread: writer.thread().id(), ask, done });
        let report = store.verify(VerifyOptions::default(), |_| ControlFlow::Continue(()));
        *asking.reader.lock().expect("no panic") = None;
        let report = report?;
        assert!(report.findings.is_empty(), "{:?}", report.findings);
        // `CURRENT`, the manifest, the log and the segment are opened and read at least once each.
        let writes = asking.reads.load(Ordering::Relaxed);
        assert!(writes >= 8 && report.files == 4, "{writes} writes, {report:?}");
        Ok(())
    })
}

#[test]
fn a_scan_holds_no_lock_and_pins_the_files_of_its_collection_only() -> Result<()> {
    let store = Store::open_with(Env::memory(), Options::default())?;
    let schema = || Descriptor::new(2, Dtype::F32, DistanceMetric::L2);
    let ids = [store.create_collection("a", schema())?, store.create_collection("b", schema())?];
    for from in [0, 100] {
        ids.iter().try_for_each(|&id| upsert(&store, id, from, from + 100))?;
        store.checkpoint()?;
    }
    let mut scan = store.scan(ids[0])?;
    scan.next().expect("there are rows")?;
    // In this very thread: a lock that the scan held would be waited for for ever.
    upsert(&store, ids[0], 200, 210)?;
    store.compact()?;
    store.drop_collection("b")?;
    store.checkpoint()?;
    let stats = store.stats()?;
    assert_eq!(
        (stats.segments, stats.pinned),
        (1, 2),
        "both segments of its own, none of the other"
    );
    assert_eq!(scan.by_ref().count(), 199, "as of its start");
    drop(scan);
    store.checkpoint()?;
    assert_eq!(store.stats()?.pinned, 0);
    Ok(())
}
