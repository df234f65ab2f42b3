//! Where calls meet: readers and a commit on its way to the disk or a publish that removes what they
//! look for, a close and whoever waits for it.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Barrier, OnceLock};

use quiver_sim::disk::{SimClock, SimDisk, SimEntropy};
use quiver_store::vfs::{Access, CallSite, DirEntry, File, Lock, Vfs};
use quiver_store::{
    CollectionId, Descriptor, DistanceMetric, Dtype, Env, ErrorKind, Options, Store, WriteBatch,
};

/// Where somebody comes by.
#[derive(Clone, Copy, Debug)]
enum Place<'a> {
    /// Before a call that changes something.
    Before,
    /// Behind the removal of a file.
    Removed(&'a Path),
    /// Behind an attempt to open a file that is not there.
    Missed(&'a Path),
}

/// Who comes by.
type Visit = Arc<dyn Fn(Place<'_>) + Send + Sync>;

/// A disk on which somebody comes by.
struct Visited<T> {
    inner: T,
    visit: Visit,
}

impl<T> fmt::Debug for Visited<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a disk on which somebody comes by")
    }
}

fn env(disk: SimDisk, seed: u64, visit: Visit) -> Env {
    Env::new(
        "/store",
        Arc::new(Visited { inner: disk, visit }),
        Arc::new(SimClock::new(1)),
        Arc::new(SimEntropy::new(seed)),
    )
}

fn create(store: &Store) -> CollectionId {
    let schema = Descriptor::new(1, Dtype::F32, DistanceMetric::L2);
    store.create_collection("a", schema).expect("the name is free")
}

impl Vfs for Visited<SimDisk> {
    fn create_new(&self, path: &Path, site: CallSite) -> io::Result<Arc<dyn File>> {
        (self.visit)(Place::Before);
        let inner = self.inner.create_new(path, site)?;
        Ok(Arc::new(Visited { inner, visit: self.visit.clone() }))
    }

    fn open(&self, path: &Path, access: Access, site: CallSite) -> io::Result<Arc<dyn File>> {
        let opened = self.inner.open(path, access, site);
        if opened.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            (self.visit)(Place::Missed(path));
        }
        opened
    }

    fn rename(&self, from: &Path, to: &Path, site: CallSite) -> io::Result<()> {
        (self.visit)(Place::Before);
        self.inner.rename(from, to, site)
    }

    fn unlink(&self, path: &Path, site: CallSite) -> io::Result<()> {
        (self.visit)(Place::Before);
        self.inner.unlink(path, site)?;
        (self.visit)(Place::Removed(path));
        Ok(())
    }

    fn create_dir(&self, path: &Path, site: CallSite) -> io::Result<()> {
        self.inner.create_dir(path, site)
    }

    fn read_dir(&self, path: &Path, site: CallSite) -> io::Result<Vec<DirEntry>> {
        self.inner.read_dir(path, site)
    }

    fn sync_dir(&self, path: &Path, site: CallSite) -> io::Result<()> {
        (self.visit)(Place::Before);
        self.inner.sync_dir(path, site)
    }

    fn lock(&self, path: &Path, access: Access, site: CallSite) -> io::Result<Box<dyn Lock>> {
        self.inner.lock(path, access, site)
    }
}

impl File for Visited<Arc<dyn File>> {
    fn read_at(&self, buf: &mut [u8], offset: u64, site: CallSite) -> io::Result<usize> {
        self.inner.read_at(buf, offset, site)
    }

    fn write_at(&self, bytes: &[u8], offset: u64, site: CallSite) -> io::Result<usize> {
        (self.visit)(Place::Before);
        self.inner.write_at(bytes, offset, site)
    }

    fn allocate(&self, len: u64, site: CallSite) -> io::Result<()> {
        (self.visit)(Place::Before);
        self.inner.allocate(len, site)
    }

    fn len(&self, site: CallSite) -> io::Result<u64> {
        self.inner.len(site)
    }

    fn sync_data(&self, site: CallSite) -> io::Result<()> {
        (self.visit)(Place::Before);
        self.inner.sync_data(site)
    }
}

#[test]
fn readers_wait_for_no_commit_and_see_nothing_before_it_is_durable() {
    let (looks, seen) = (Arc::new(AtomicU32::new(0)), Arc::new(OnceLock::new()));
    let (count, shown) = (looks.clone(), seen.clone());
    let visit = move |_: Place<'_>| {
        let Some((store, id)): Option<&(Store, CollectionId)> = shown.get() else { return };
        if count.fetch_add(1, Ordering::Relaxed) < 1000 {
            assert_eq!(store.get(*id, "new").expect("open"), None, "seen before it is durable");
            assert!(store.get(*id, "old").expect("open").is_some(), "gone before it is durable");
            assert_eq!(store.scan(*id).expect("open").count(), 1);
        }
    };
    let env = env(SimDisk::new(), 1, Arc::new(visit));
    let store = Store::open_with(env, Options::default()).expect("an empty disk takes a store");
    let id = create(&store);
    store.upsert(id, "old", &[1.0], b"").expect("fits");
    seen.set((store.clone(), id)).expect("set once");
    // A publish, and a commit into the open log.
    store.checkpoint().expect("no fault is planted");
    let mut batch = WriteBatch::new();
    batch.upsert(id, "new", &[1.0], b"").delete(id, "old");
    store.write(batch).expect("no fault is planted");
    let looks = looks.swap(1000, Ordering::Relaxed);
    assert!(looks >= 12, "{looks} looks");
    assert!(store.get(id, "new").expect("open").is_some());
}

#[test]
fn what_waits_for_a_close_touches_nothing_after_it() {
    for round in 0..40 {
        let (gate, armed) = (Arc::new(Barrier::new(2)), Arc::new(AtomicBool::new(false)));
        let (closed, touched) =
            (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let visit = {
            let (gate, armed) = (gate.clone(), armed.clone());
            let (closed, touched) = (closed.clone(), touched.clone());
            move |_: Place<'_>| {
                if armed.swap(false, Ordering::SeqCst) {
                    // The first call of a commit, which holds the lock: once that the others are
                    // under way, and once to go on.
                    gate.wait();
                    gate.wait();
                }
                touched.fetch_or(closed.load(Ordering::SeqCst), Ordering::SeqCst);
            }
        };
        let env = env(SimDisk::new(), round, Arc::new(visit));
        let store = Store::open_with(env, Options::default()).expect("an empty disk takes a store");
        let id = create(&store);
        armed.store(true, Ordering::SeqCst);
        std::thread::scope(|scope| {
            scope.spawn(|| store.upsert(id, "held", &[0.0], b"").expect("it had the lock"));
            gate.wait();
            scope.spawn(|| {
                store.close().expect("closes once");
                closed.store(true, Ordering::SeqCst);
            });
            for call in [Store::checkpoint, |store: &Store| store.maintain().map(drop)] {
                let store = &store;
                scope.spawn(move || {
                    let kind = call(store).err().map(|error| error.kind());
                    assert!(matches!(kind, None | Some(ErrorKind::Closed)), "{kind:?}");
                });
            }
            // Time for all of them to come to the lock.
            (0..500).for_each(|_| std::thread::yield_now());
            gate.wait();
        });
        assert!(
            !touched.load(Ordering::SeqCst),
            "round {round}: the disk was touched after a close"
        );
    }
}

#[test]
fn a_reader_between_removal_and_replacement_gets_the_new_index_snapshot() {
    for round in 0..20 {
        let (gate, armed) = (Arc::new(Barrier::new(2)), Arc::new(AtomicBool::new(false)));
        let visit = {
            let (gate, armed) = (gate.clone(), armed.clone());
            move |place: Place<'_>| {
                let is_of = |path: &Path| {
                    let name = path.file_name().expect("a file").to_string_lossy();
                    armed.load(Ordering::SeqCst) && name.starts_with("index-")
                };
                match place {
                    // The publish, which holds the lock: once for the reader to begin, and once that
                    // it found the file missing.
                    Place::Removed(path) if is_of(path) => {
                        gate.wait();
                        gate.wait();
                        armed.store(false, Ordering::SeqCst);
                        // Time for it to come to the lock, or to its answer, if it asks for none.
                        (0..500).for_each(|_| std::thread::yield_now());
                    }
                    Place::Missed(path) if is_of(path) => drop(gate.wait()),
                    _ => {}
                }
            }
        };
        let env = env(SimDisk::new(), round, Arc::new(visit));
        let store = Store::open_with(env, Options::default()).expect("an empty disk takes a store");
        let id = create(&store);
        let lsn = store.upsert(id, "x", &[1.0], b"").expect("fits");
        let keep = |bytes: &[u8]| store.checkpoint_with_index_snapshots(&[(id, bytes, lsn)]);
        keep(b"old").expect("no fault is planted");
        armed.store(true, Ordering::SeqCst);
        let read = std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                gate.wait();
                store.read_index_snapshot(id)
            });
            keep(b"new").expect("no fault is planted");
            reader.join().expect("no panic")
        });
        let read = read.unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert_eq!(read, Some((b"new".to_vec(), lsn)), "round {round}");
    }
}
