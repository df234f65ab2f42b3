//! A panic inside of the store, in a thread of its own or of a caller: it takes no more writes and says why,
//! nobody sleeps for good, reads go on, and the directory is free behind the last handle.

#![expect(
    clippy::disallowed_methods,
    reason = "the threads of the store under test are the system's, and so are those that wait for them"
)]

use std::any::Any;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use quiver_store::codec::{PageCodec, Place, TAG_SIZE_BYTES};
#[cfg(feature = "encryption")]
use quiver_store::keyring::Custody;
use quiver_store::vfs::memory::{CountingEntropy, StoppedClock};
use quiver_store::vfs::os::OsThreads;
use quiver_store::vfs::{Clock, Entropy};
use quiver_store::{
    CollectionId, Descriptor, DistanceMetric, Dtype, Env, ErrorKind, Options, Outcome, Result,
    SingleCodecKeyRing, Store, WriteBatch,
};
#[cfg(feature = "encryption")]
use quiver_store::{Key, KeyRing};

/// How long anything here may take before it counts as never.
const NEVER: Duration = Duration::from_secs(60);

/// What the panics say.
const WORDS: &str = "as the test wants it";

/// Panics in one thread, once it is armed.
#[derive(Debug)]
struct Trap {
    thread: &'static str,
    is_armed: AtomicBool,
}

impl Trap {
    fn spring(&self) {
        let is_there = thread::current().name() == Some(self.thread);
        assert!(!(is_there && self.is_armed.load(Ordering::Relaxed)), "{WORDS}");
    }
}

/// Random bytes are drawn under the locks of a step or of a commit.
#[derive(Debug)]
struct TrappedEntropy(Arc<Trap>, CountingEntropy);

impl Entropy for TrappedEntropy {
    fn fill(&self, buf: &mut [u8]) -> io::Result<()> {
        self.0.spring();
        self.1.fill(buf)
    }
}

/// The time of a step is taken under no lock.
#[derive(Debug)]
struct TrappedClock(Arc<Trap>);

impl Clock for TrappedClock {
    fn monotonic_us(&self) -> u64 {
        self.0.spring();
        StoppedClock.monotonic_us()
    }
}

/// A store in memory that was closed with a row, and its collection.
fn made() -> Result<(Env, CollectionId)> {
    let env = Env::memory();
    let store = Store::open_with(env.clone(), Options::default())?;
    let schema = Descriptor::new(4, Dtype::F32, DistanceMetric::L2);
    let id = store.create_collection("a", schema)?;
    store.upsert(id, "x", &[0.5; 4], b"there")?;
    store.close()?;
    Ok((env, id))
}

fn opened(env: &Env, trap: &Arc<Trap>, is_under_locks: bool) -> Result<Store> {
    let mut env = env.clone().with_threads(Arc::new(OsThreads::new()));
    match is_under_locks {
        true => env.entropy = Arc::new(TrappedEntropy(Arc::clone(trap), CountingEntropy::new())),
        false => env.clock = Arc::new(TrappedClock(Arc::clone(trap))),
    }
    let store =
        Store::open_with(env, Options { memtable_bytes_max: 64 * 1024, ..Options::default() });
    trap.is_armed.store(true, Ordering::Relaxed);
    store
}

fn row(id: CollectionId, external_id: &str) -> WriteBatch {
    let mut batch = WriteBatch::new();
    batch.upsert(id, external_id, &[0.5; 4], &[7; 500]);
    batch
}

/// Runs a future in this thread, which sleeps while it is pending.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// Does something in a thread of its own, which must come to an end.
fn ends<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, ended) = mpsc::channel();
    thread::spawn(move || done.send(work()));
    ended.recv_timeout(NEVER).unwrap_or_else(|_| panic!("it never ends: {what}"))
}

fn assert_latched<T: std::fmt::Debug>(what: &str, answer: Result<T>) {
    let error = answer.expect_err(what);
    assert_eq!(error.kind(), ErrorKind::Latched, "{what}: {error}");
    assert!(error.to_string().contains(WORDS), "{what}: {error}");
}

/// What holds behind the panic; the store is left without a handle.
fn assert_takes_no_writes(store: Store, id: CollectionId, env: &Env) -> Result<()> {
    // The locks are poisoned a moment before anybody can say by what.
    let begun = Instant::now();
    let is_told = |error: quiver_store::Error| {
        assert_eq!(error.kind(), ErrorKind::Latched, "{error}");
        error.to_string().contains(WORDS)
    };
    while !is_told(store.upsert(id, "z", &[0.5; 4], b"").expect_err("a write")) {
        assert!(begun.elapsed() < NEVER, "nobody says why");
        thread::yield_now();
    }
    assert_latched("a batch", store.write(row(id, "z")));
    assert_latched(
        "a creation",
        store.create_collection("b", Descriptor::new(1, Dtype::F32, DistanceMetric::L2)),
    );
    assert_latched("a request", store.submit(row(id, "z")).map(drop));
    assert_latched("a checkpoint", store.checkpoint());
    match store.stats() {
        Ok(stats) => assert!(stats.latched.is_some_and(|why| why.contains(WORDS))),
        refused => assert_latched("the figures", refused),
    }
    let there = store.get(id, "x")?.map(|row| row.payload);
    assert_eq!(there.as_deref(), Some(&b"there"[..]), "reads go on");
    assert!(store.scan(id)?.all(|row| row.is_ok()), "scans too");
    assert_eq!(store.get(id, "z")?, None);
    ends("the drop of the last handle", move || drop(store));
    let reopened = Store::open_with(env.clone(), Options::default())?;
    assert!(reopened.get(id, "x")?.is_some());
    reopened.upsert(id, "z", &[0.5; 4], b"").map(drop)
}

#[test]
fn a_panic_in_background_work_latches_the_store() -> Result<()> {
    for is_under_locks in [true, false] {
        let trap = Arc::new(Trap { thread: "quiver-work", is_armed: AtomicBool::new(false) });
        let (env, id) = made()?;
        let store = opened(&env, &trap, is_under_locks)?;
        let writer = store.clone();
        let (written, refused) = ends("writes until one is refused", move || {
            let begun = Instant::now();
            let mut written = 0;
            while begun.elapsed() < NEVER {
                if let Err(error) = writer.write(row(id, &format!("{written}"))) {
                    return (written, error);
                }
                written += 1;
            }
            panic!("{written} writes behind a panic of the store's thread");
        });
        // Of the one that was under way the outcome may be unknown.
        let kind = refused.kind();
        assert!([ErrorKind::Latched, ErrorKind::Unknown].contains(&kind), "{refused}");
        assert_takes_no_writes(store, id, &env)?;
        let reopened = Store::open_with(env, Options::default())?;
        for i in 0..written {
            assert!(reopened.get(id, &format!("{i}"))?.is_some(), "row {i} of {written} is gone");
        }
    }
    Ok(())
}

#[test]
fn a_panic_in_a_commit_by_the_store_answers_whoever_awaits() -> Result<()> {
    let trap = Arc::new(Trap { thread: "quiver-commit", is_armed: AtomicBool::new(false) });
    let (env, id) = made()?;
    let store = opened(&env, &trap, true)?;
    // The first group of a process makes a log, with a salt.
    let tickets: Vec<_> =
        (0..3).map(|i| store.submit(row(id, &format!("{i}")))).collect::<Result<_>>()?;
    let answers: Vec<Result<Outcome>> = tickets
        .iter()
        .map(|ticket| {
            let ticket = ticket.clone();
            ends("a task that awaits", move || block_on(ticket))
        })
        .collect();
    for answer in answers {
        let error = answer.expect_err("it was not committed");
        // In the group it may be in the log; not taken into it, it is not.
        assert!([ErrorKind::Unknown, ErrorKind::Latched].contains(&error.kind()), "{error}");
    }
    for ticket in tickets {
        let kind = ends("a thread that waits", move || ticket.wait()).map_err(|error| error.kind());
        assert!(matches!(kind, Err(ErrorKind::Unknown | ErrorKind::Latched)), "{kind:?}");
    }
    assert_takes_no_writes(store, id, &env)
}

/// Seals nothing, and panics in the seal of what holds these words, or in what is opened.
#[derive(Debug, Default)]
struct TrappedCodec {
    in_seals: AtomicBool,
    in_opens: AtomicBool,
}

const TAG: [u8; TAG_SIZE_BYTES] = [0xAB; TAG_SIZE_BYTES];

const MARK: &[u8] = b"sprung by this";

impl PageCodec for TrappedCodec {
    fn id(&self) -> u8 {
        7
    }

    fn seal(&self, _: &Place, _: &[u8], bytes: &mut [u8]) -> Result<[u8; TAG_SIZE_BYTES]> {
        let is_marked = bytes.windows(MARK.len()).any(|part| part == MARK);
        assert!(!(is_marked && self.in_seals.load(Ordering::Relaxed)), "{WORDS}");
        Ok(TAG)
    }

    fn open(&self, _: &Place, _: &[u8], _: &mut [u8], _: &[u8; TAG_SIZE_BYTES]) -> Result<()> {
        assert!(!self.in_opens.load(Ordering::Relaxed), "{WORDS}");
        Ok(())
    }
}

/// A store with a row in each of two segments and one in the log, all of which spring the trap where they are
/// sealed again.
fn made_with_a_codec() -> Result<(Env, Arc<TrappedCodec>, Store, CollectionId)> {
    let codec = Arc::new(TrappedCodec::default());
    let env = Env::memory().with_keyring(Arc::new(SingleCodecKeyRing::new(codec.clone())));
    let options = Options { group_bytes_max: 4096, ..Options::default() };
    let store = Store::open_with(env.clone(), options)?;
    let id = filled(&store)?;
    Ok((env, codec, store, id))
}

fn filled(store: &Store) -> Result<CollectionId> {
    let id = store.create_collection("a", Descriptor::new(4, Dtype::F32, DistanceMetric::L2))?;
    store.upsert(id, "x", &[0.5; 4], b"there")?;
    for row in ["1", "2"] {
        store.upsert(id, row, &[0.5; 4], MARK)?;
        store.checkpoint()?;
    }
    store.upsert(id, "3", &[0.5; 4], MARK)?;
    Ok(id)
}

/// The panic comes to the caller, the store is latched, and a reopening has every row.
fn assert_latched_behind(what: &str, does: impl FnOnce(&Store, CollectionId)) -> Result<()> {
    let (env, codec, store, id) = made_with_a_codec()?;
    codec.in_seals.store(true, Ordering::Relaxed);
    let panic = catch_unwind(AssertUnwindSafe(|| does(&store, id))).expect_err(what);
    codec.in_seals.store(false, Ordering::Relaxed);
    assert_is_ours(what, &*panic);
    assert_takes_no_writes(store, id, &env)?;
    assert_has_every_row(what, &env, id)
}

fn assert_is_ours(what: &str, panic: &(dyn Any + Send)) {
    assert_eq!(panic.downcast_ref::<String>().map(String::as_str), Some(WORDS), "{what}");
}

/// What was acknowledged in front of a panic and behind it.
fn assert_has_every_row(what: &str, env: &Env, id: CollectionId) -> Result<()> {
    let reopened = Store::open_with(env.clone(), Options::default())?;
    for row in ["x", "1", "2", "3", "z"] {
        assert!(reopened.get(id, row)?.is_some(), "row {row} is gone behind {what}");
    }
    reopened.compact()?;
    reopened.close()
}

#[test]
fn a_codec_that_panics_in_a_checkpoint_latches_the_store() -> Result<()> {
    assert_latched_behind("a checkpoint", |store, _| drop(store.checkpoint()))?;
    assert_latched_behind("a checkpoint with an index snapshot", |store, id| {
        let covered = store.snapshot().expect("open").lsn();
        drop(store.checkpoint_with_index_snapshots(&[(id, MARK, covered)]));
    })
}

#[test]
fn a_codec_that_panics_in_a_compaction_latches_the_store() -> Result<()> {
    assert_latched_behind("a compaction", |store, id| {
        // Nothing is left for the checkpoint in front of it to seal.
        store.delete(id, "3").expect("no row is sealed");
        store.upsert(id, "3", &[0.5; 4], b"").expect("no mark");
        drop(store.compact());
    })
}

#[test]
fn a_codec_that_panics_in_a_close_latches_the_store_and_leaves_no_task_asleep() -> Result<()> {
    assert_latched_behind("a close", |store, id| {
        // Each is a group of its own, as the first is so long: that one is committed.
        let tickets = ["y", "4"].map(|external_id| {
            let mut batch = WriteBatch::new();
            let payload = if external_id == "y" { &[7; 8000] } else { MARK };
            batch.upsert(id, external_id, &[0.5; 4], payload);
            store.submit(batch).expect("open")
        });
        let tasks = tickets.map(|mut ticket| {
            let (asked, asks) = mpsc::channel();
            let task = thread::spawn(move || {
                block_on(poll_fn(|context| {
                    let polled = Pin::new(&mut ticket).poll(context);
                    let _ = asked.send(());
                    polled
                }))
            });
            asks.recv().expect("it asks first");
            task
        });
        let closed = catch_unwind(AssertUnwindSafe(|| store.close()));
        let [first, second] =
            tasks.map(|task| ends("a task that awaits", move || task.join().expect("no panic")));
        first.expect("committed in front of the panic");
        let error = second.expect_err("it was not committed");
        assert_eq!(error.kind(), ErrorKind::Unknown, "{error}");
        resume_unwind(closed.expect_err("a close"));
    })
}

#[test]
fn a_caller_who_panics_between_steps_of_a_compaction_latches_nothing() -> Result<()> {
    let (_, _, store, id) = made_with_a_codec()?;
    let panics = || store.compact_with(|_| panic!("{WORDS}"));
    catch_unwind(AssertUnwindSafe(panics)).expect_err("his own");
    assert_eq!(store.stats()?.latched, None);
    store.upsert(id, "4", &[0.5; 4], b"")?;
    store.compact()?;
    assert_eq!((store.len(id)?, store.stats()?.segments), (5, 1));
    store.close()
}

#[test]
fn a_codec_that_panics_in_a_count_leaves_the_next_count_right() -> Result<()> {
    let codec = Arc::new(TrappedCodec::default());
    let env = Env::memory().with_keyring(Arc::new(SingleCodecKeyRing::new(codec.clone())));
    // No page is kept that was opened before.
    let store = Store::open_with(env, Options { page_cache_bytes: 0, ..Options::default() })?;
    let id = store.create_collection("a", Descriptor::new(4, Dtype::F32, DistanceMetric::L2))?;
    // Their ids take some pages.
    let name = |row: u32| format!("{row:x<64}");
    let mut batch = WriteBatch::new();
    for row in 0..1000 {
        batch.upsert(id, &name(row), &[0.5; 4], b"");
    }
    store.write(batch)?;
    store.checkpoint()?;
    store.upsert(id, &name(0), &[0.5; 4], b"newer")?;
    store.upsert(id, &name(1000), &[0.5; 4], b"")?;
    codec.in_opens.store(true, Ordering::Relaxed);
    catch_unwind(AssertUnwindSafe(|| store.len(id))).expect_err("the codec's");
    codec.in_opens.store(false, Ordering::Relaxed);
    assert_eq!((store.len(id)?, store.stats()?.latched), (1001, None));
    store.upsert(id, &name(1001), &[0.5; 4], b"")?;
    assert_eq!(store.len(id)?, 1002);
    store.close()
}

/// Keys in files, all of which stand for one codec; panics where it is asked for that.
#[cfg(feature = "encryption")]
#[derive(Debug, Default)]
struct TrappedRing {
    codec: Arc<TrappedCodec>,
    in_keys: AtomicBool,
}

#[cfg(feature = "encryption")]
impl KeyRing for TrappedRing {
    fn custody(&self) -> Custody {
        Custody::Envelope(self.codec.clone())
    }

    fn codec(&self, _: &Key) -> Arc<dyn PageCodec> {
        assert!(!self.in_keys.load(Ordering::Relaxed), "{WORDS}");
        self.codec.clone()
    }
}

/// As [`assert_latched_behind`], of a store with key files and a second collection, "doomed"; whether that is
/// there behind it. What is done springs the trap.
#[cfg(feature = "encryption")]
fn assert_latched_with_keys(
    what: &str,
    does: impl FnOnce(&Store, CollectionId, &TrappedRing),
) -> Result<bool> {
    let ring = Arc::new(TrappedRing::default());
    let env = Env::memory().with_keyring(ring.clone());
    let store = Store::open_with(env.clone(), Options::default())?;
    let id = filled(&store)?;
    let schema = Descriptor::new(4, Dtype::F32, DistanceMetric::L2);
    let doomed = store.create_collection("doomed", schema)?;
    store.upsert(doomed, "x", &[0.5; 4], b"")?;
    let panic = catch_unwind(AssertUnwindSafe(|| does(&store, id, &ring))).expect_err(what);
    ring.in_keys.store(false, Ordering::Relaxed);
    ring.codec.in_seals.store(false, Ordering::Relaxed);
    assert_is_ours(what, &*panic);
    assert_takes_no_writes(store, id, &env)?;
    let is_there = Store::open_with(env.clone(), Options::default())?.collection_id("doomed")?;
    assert_has_every_row(what, &env, id)?;
    Ok(is_there.is_some())
}

#[cfg(feature = "encryption")]
#[test]
fn a_ring_or_a_codec_that_panics_in_a_rekey_latches_the_store() -> Result<()> {
    assert_latched_with_keys("a new key", |store, id, ring| {
        // Nothing is left for the checkpoint in front of it to seal.
        store.checkpoint().expect("no trap yet");
        ring.in_keys.store(true, Ordering::Relaxed);
        drop(store.rekey_collection(id));
    })?;
    assert_latched_with_keys("a merge under a new key", |store, id, ring| {
        store.checkpoint().expect("no trap yet");
        ring.codec.in_seals.store(true, Ordering::Relaxed);
        drop(store.rekey_collection(id));
    })
    .map(|is_there| assert!(is_there, "it is another one"))
}

#[cfg(feature = "encryption")]
#[test]
fn a_codec_that_panics_in_a_shred_latches_the_store_and_the_next_open_goes_on() -> Result<()> {
    let is_there = assert_latched_with_keys("a shred", |store, _, ring| {
        // The checkpoint that it waits for seals what the log holds of the others.
        ring.codec.in_seals.store(true, Ordering::Relaxed);
        drop(store.shred_collection("doomed"));
    })?;
    assert!(!is_there, "its drop is durable");
    Ok(())
}
