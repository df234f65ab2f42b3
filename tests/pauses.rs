//! How fast writers may go beside the store's thread for background work, and stores without one.

#![expect(
    clippy::disallowed_methods,
    reason = "the threads of the store under test are the system's, and a test waits for them"
)]

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};

use quiver_store::vfs::os::OsThreads;
use quiver_store::vfs::{Bell, Clock, Thread, Threads};
use quiver_store::{
    CollectionId, Descriptor, DistanceMetric, Dtype, Env, Options, Result, Store, WriteBatch,
};

/// How long anything here may take before it counts as never.
const NEVER: Duration = Duration::from_secs(60);

/// Memory for rows, so little that there is background work soon.
const MEMTABLE_BYTES_MAX: usize = 64 * 1024;

/// Threads that count what is asked of them. Nobody who pauses sleeps, and those of the store can be kept
/// asleep.
#[derive(Debug, Default)]
struct Watched {
    spawned: AtomicU64,
    bells: AtomicU64,
    /// The pauses of writers, in microseconds.
    pauses: Mutex<Vec<u64>>,
    activity: Mutex<Activity>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Activity {
    /// Threads of the store that do not sleep.
    awake: u64,
    /// Bells that have rung, and nobody has waited for them since.
    rung: BTreeSet<u64>,
    keeps_asleep: bool,
}

#[derive(Debug)]
struct WatchedThreads(Arc<Watched>);

#[derive(Debug)]
struct WatchedBell(Arc<Watched>, u64);

impl Watched {
    fn change(&self, change: impl FnOnce(&mut Activity)) {
        change(&mut self.activity.lock().expect("no panic"));
        self.changed.notify_all();
    }

    /// Waits until no thread of the store is awake.
    fn wait_until_asleep(&self) {
        let activity = self.activity.lock().expect("no panic");
        let is_active = |it: &mut Activity| it.awake > 0 || !it.rung.is_empty();
        let waited = self.changed.wait_timeout_while(activity, NEVER, is_active);
        assert!(!waited.expect("no panic").1.timed_out(), "the store's thread never sleeps");
    }

    /// The pauses since this was asked last.
    fn take_pauses(&self) -> Vec<u64> {
        std::mem::take(&mut self.pauses.lock().expect("no panic"))
    }
}

/// Keeps the threads of a store asleep.
struct KeptAsleep<'w>(&'w Watched);

impl<'w> KeptAsleep<'w> {
    fn new(watched: &'w Watched) -> Self {
        watched.wait_until_asleep();
        watched.change(|activity| activity.keeps_asleep = true);
        Self(watched)
    }
}

impl Drop for KeptAsleep<'_> {
    fn drop(&mut self) {
        self.0.change(|activity| activity.keeps_asleep = false);
    }
}

impl Threads for WatchedThreads {
    fn spawn(&self, name: &str, body: Box<dyn FnOnce() + Send>) -> io::Result<Box<dyn Thread>> {
        self.0.spawned.fetch_add(1, Ordering::Relaxed);
        self.0.change(|activity| activity.awake += 1);
        let watched = Arc::clone(&self.0);
        let body = move || {
            body();
            watched.change(|activity| activity.awake -= 1);
        };
        OsThreads::new().spawn(name, Box::new(body))
    }

    fn bell(&self) -> Arc<dyn Bell> {
        let number = self.0.bells.fetch_add(1, Ordering::Relaxed);
        Arc::new(WatchedBell(Arc::clone(&self.0), number))
    }
}

impl Bell for WatchedBell {
    fn ring(&self) {
        self.0.change(|activity| {
            if !activity.keeps_asleep {
                activity.rung.insert(self.1);
            }
        });
    }

    fn wait(&self, us_max: Option<u64>) -> bool {
        let is_of_the_store =
            thread::current().name().is_some_and(|name| name.starts_with("quiver-"));
        if let Some(us) = us_max {
            if !is_of_the_store {
                self.0.pauses.lock().expect("no panic").push(us);
            }
            return false;
        }
        self.0.change(|activity| activity.awake -= 1);
        let activity = self.0.activity.lock().expect("no panic");
        let is_silent = |it: &mut Activity| !it.rung.remove(&self.1);
        let mut activity = self.0.changed.wait_while(activity, is_silent).expect("no panic");
        activity.awake += 1;
        true
    }
}

/// A clock that a step takes a while by.
#[derive(Debug, Default)]
struct TickingClock(AtomicU64);

impl Clock for TickingClock {
    fn monotonic_us(&self) -> u64 {
        self.0.fetch_add(100_000, Ordering::Relaxed)
    }
}

fn opened(watched: &Arc<Watched>, background: bool) -> Result<(Store, CollectionId)> {
    let mut env = Env::memory().with_threads(Arc::new(WatchedThreads(Arc::clone(watched))));
    env.clock = Arc::new(TickingClock::default());
    let options =
        Options { memtable_bytes_max: MEMTABLE_BYTES_MAX, background, ..Options::default() };
    let store = Store::open_with(env, options)?;
    let schema = Descriptor::new(4, Dtype::F32, DistanceMetric::L2);
    let id = store.create_collection("a", schema)?;
    Ok((store, id))
}

/// Writes rows until a figure of the store is reached; how many.
fn write_until(
    store: &Store,
    id: CollectionId,
    prefix: &str,
    is_reached: impl Fn(&Store) -> Result<bool>,
) -> Result<u64> {
    let (begun, mut rows) = (Instant::now(), 0);
    while !is_reached(store)? {
        assert!(begun.elapsed() < NEVER, "{rows} rows, and it is not reached");
        store.upsert(id, &format!("{prefix}{rows}"), &[0.5; 4], &[7; 1000])?;
        rows += 1;
    }
    Ok(rows)
}

fn memtable_bytes(store: &Store) -> Result<usize> {
    Ok(usize::try_from(store.stats()?.memtable_bytes).unwrap_or(usize::MAX))
}

/// The engine that never pauses, and the one that always does, both fail here.
#[test]
fn writers_pause_the_longer_the_further_they_run_ahead_of_the_work() -> Result<()> {
    let watched = Arc::<Watched>::default();
    let (store, id) = opened(&watched, true)?;
    let reaches = |part: usize| move |store: &Store| Ok(memtable_bytes(store)? > part);
    // What steps take has to be known first: the thread makes a checkpoint.
    write_until(&store, id, "first", |store| {
        Ok(memtable_bytes(store)? > MEMTABLE_BYTES_MAX || store.stats()?.checkpoints > 0)
    })?;
    watched.wait_until_asleep();
    assert_eq!(store.stats()?.checkpoints, 1);
    let asleep = KeptAsleep::new(&watched);
    watched.take_pauses();
    write_until(&store, id, "free", reaches(MEMTABLE_BYTES_MAX - 4096))?;
    assert_eq!(watched.take_pauses(), [0; 0], "nothing is due yet");
    // Where half as much again is in memory, writers do the work themselves.
    let rows = write_until(&store, id, "slowed", reaches(MEMTABLE_BYTES_MAX / 16 * 23))?;
    let pauses = watched.take_pauses();
    let [early, late] = [&pauses[..pauses.len() / 2], &pauses[pauses.len() / 2..]];
    let mean = |of: &[u64]| of.iter().sum::<u64>() / of.len().max(1) as u64;
    assert!(pauses.len() >= 8 && pauses.len() as u64 <= rows, "{rows} rows, pauses {pauses:?}");
    assert!(mean(late) > mean(early) * 3 / 2, "they do not grow: {pauses:?}");
    // The work has caught up: nobody pauses.
    drop(asleep);
    store.checkpoint()?;
    store.upsert(id, "behind", &[0.5; 4], &[7; 1000])?;
    watched.wait_until_asleep();
    watched.take_pauses();
    write_until(&store, id, "again", reaches(MEMTABLE_BYTES_MAX / 2))?;
    assert_eq!(watched.take_pauses(), [0; 0]);
    Ok(())
}

#[test]
fn without_background_no_thread_is_begun_and_all_work_is_done() -> Result<()> {
    for background in [false, true] {
        let watched = Arc::<Watched>::default();
        let (store, id) = opened(&watched, background)?;
        let rows = write_until(&store, id, "", |store| {
            let stats = store.stats()?;
            Ok(stats.checkpoints > 2 && stats.merges > 0)
        })?;
        let mut batch = WriteBatch::new();
        batch.upsert(id, "awaited", &[0.5; 4], b"");
        let mut ticket = pin!(store.submit(batch)?);
        let mut context = Context::from_waker(Waker::noop());
        let is_pending = ticket.as_mut().poll(&mut context).is_pending();
        if !background {
            assert!(is_pending, "nobody has driven it");
            assert_eq!(store.drive()?, 1);
            assert!(ticket.as_mut().poll(&mut context).is_ready());
            assert_eq!(store.len(id)?, rows + 1);
            assert_eq!(
                watched.take_pauses(),
                [0; 0],
                "who works himself is not slowed down as well"
            );
        }
        // The control: it is the option, and not the seam, that begins none.
        let spawned = if background { 2 } else { 0 };
        assert_eq!(watched.spawned.load(Ordering::Relaxed), spawned, "{background}");
        store.close()?;
    }
    Ok(())
}
