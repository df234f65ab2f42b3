//! What readers see while a commit is on its way to the disk: nothing of it, and without waiting.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use quiver_sim::disk::{SimClock, SimDisk, SimEntropy};
use quiver_store::vfs::{Access, CallSite, DirEntry, File, Lock, Vfs};
use quiver_store::{
    CollectionId, Descriptor, DistanceMetric, Dtype, Env, Options, Store, WriteBatch,
};

/// What looks at the store, and how often it did.
type Look = Arc<Mutex<Option<(Store, CollectionId, u32)>>>;

/// A disk on which a reader comes by at each call of a commit.
#[derive(Debug)]
struct Visited<T> {
    inner: T,
    look: Look,
}

fn visit(look: &Look) {
    if let Some((store, id, looks)) = look.lock().expect("no panic").as_mut() {
        assert_eq!(store.get(*id, "new").expect("open"), None, "seen before it is durable");
        assert!(store.get(*id, "old").expect("open").is_some(), "gone before it is durable");
        assert_eq!(store.scan(*id).expect("open").count(), 1);
        *looks += 1;
    }
}

impl Vfs for Visited<SimDisk> {
    fn create_new(&self, path: &Path, site: CallSite) -> io::Result<Arc<dyn File>> {
        visit(&self.look);
        let inner = self.inner.create_new(path, site)?;
        Ok(Arc::new(Visited { inner, look: self.look.clone() }))
    }

    fn open(&self, path: &Path, access: Access, site: CallSite) -> io::Result<Arc<dyn File>> {
        self.inner.open(path, access, site)
    }

    fn rename(&self, from: &Path, to: &Path, site: CallSite) -> io::Result<()> {
        visit(&self.look);
        self.inner.rename(from, to, site)
    }

    fn unlink(&self, path: &Path, site: CallSite) -> io::Result<()> {
        visit(&self.look);
        self.inner.unlink(path, site)
    }

    fn create_dir(&self, path: &Path, site: CallSite) -> io::Result<()> {
        self.inner.create_dir(path, site)
    }

    fn read_dir(&self, path: &Path, site: CallSite) -> io::Result<Vec<DirEntry>> {
        self.inner.read_dir(path, site)
    }

    fn sync_dir(&self, path: &Path, site: CallSite) -> io::Result<()> {
        visit(&self.look);
        self.inner.sync_dir(path, site)
    }

    fn lock(&self, path: &Path, site: CallSite) -> io::Result<Box<dyn Lock>> {
        self.inner.lock(path, site)
    }
}

impl File for Visited<Arc<dyn File>> {
    fn read_at(&self, buf: &mut [u8], offset: u64, site: CallSite) -> io::Result<usize> {
        self.inner.read_at(buf, offset, site)
    }

    fn write_at(&self, bytes: &[u8], offset: u64, site: CallSite) -> io::Result<usize> {
        visit(&self.look);
        self.inner.write_at(bytes, offset, site)
    }

    fn allocate(&self, len: u64, site: CallSite) -> io::Result<()> {
        visit(&self.look);
        self.inner.allocate(len, site)
    }

    fn len(&self, site: CallSite) -> io::Result<u64> {
        self.inner.len(site)
    }

    fn sync_data(&self, site: CallSite) -> io::Result<()> {
        visit(&self.look);
        self.inner.sync_data(site)
    }
}

#[test]
fn readers_wait_for_no_commit_and_see_nothing_before_it_is_durable() {
    let (disk, look) = (SimDisk::new(), Look::default());
    let env = Env {
        dir: "/store".into(),
        vfs: Arc::new(Visited { inner: disk, look: look.clone() }),
        clock: Arc::new(SimClock::new(1)),
        entropy: Arc::new(SimEntropy::new(1)),
    };
    let store = Store::open_with(env, Options::default()).expect("an empty disk takes a store");
    let schema = Descriptor::new(1, Dtype::F32, DistanceMetric::L2);
    let id = store.create_collection("a", schema).expect("the name is free");
    store.upsert(id, "old", &[1.0], b"").expect("fits");
    *look.lock().expect("no panic") = Some((store.clone(), id, 0));
    // A commit into the open log, and a publish.
    let mut batch = WriteBatch::new();
    batch.upsert(id, "new", &[1.0], b"").delete(id, "old");
    store.checkpoint().expect("no fault is planted");
    store.write(batch).expect("no fault is planted");
    let (_, _, looks) = look.lock().expect("no panic").take().expect("it was put there");
    assert!(looks >= 12, "{looks} looks");
    assert!(store.get(id, "new").expect("open").is_some());
}
