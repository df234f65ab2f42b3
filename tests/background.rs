//! Threads of the store's own: what is awaited is committed, background work is done ahead of the
//! writers, and a store that is closed or dropped leaves nobody behind.

#![expect(
    clippy::disallowed_methods,
    reason = "the threads of the store under test are the system's, and so are those that wait for them"
)]

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use quiver_store::vfs::os::OsThreads;
use quiver_store::{
    CollectionId, Descriptor, DistanceMetric, Dtype, Env, ErrorKind, Options, Outcome, Result,
    Store, Ticket, WalOp, WriteBatch,
};

/// How long anything here may take before it counts as never.
const NEVER: Duration = Duration::from_secs(60);

fn memory() -> Env {
    Env::memory().with_threads(Arc::new(OsThreads::new()))
}

/// Little memory for rows, so that there is background work soon.
fn options() -> Options {
    Options { memtable_bytes_max: 64 * 1024, idle_us: 1000, ..Options::default() }
}

fn create(store: &Store) -> Result<CollectionId> {
    store.create_collection("a", Descriptor::new(4, Dtype::F32, DistanceMetric::L2))
}

fn row(id: CollectionId, external_id: &str) -> WriteBatch {
    let mut batch = WriteBatch::new();
    batch.upsert(id, external_id, &[0.5; 4], &[7; 500]);
    batch
}

/// Writes 300 rows in ten batches, which is work for the background.
fn write_some(store: &Store, id: CollectionId, prefix: &str) -> Result<()> {
    for batch_of in 0..10 {
        let mut batch = WriteBatch::new();
        for i in 0..30 {
            batch.upsert(id, &format!("{prefix}{batch_of}-{i}"), &[0.5; 4], &[7; 500]);
        }
        store.write(batch)?;
    }
    Ok(())
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

/// Asks again until it holds.
fn becomes(mut holds: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < NEVER {
        if holds() {
            return true;
        }
        thread::yield_now();
    }
    false
}

#[test]
fn what_is_awaited_is_committed_by_the_store_itself() -> Result<()> {
    let store = Store::open_with(memory(), Options::default())?;
    let id = create(&store)?;
    let tickets: Vec<Ticket> =
        (0..100).map(|i| store.submit(row(id, &format!("{i}")))).collect::<Result<_>>()?;
    let (mut last, mut first) = (0, u64::MAX);
    for ticket in tickets {
        let clone = ticket.clone();
        let Outcome::Written { last_lsn, .. } = block_on(ticket)? else { unreachable!("a write") };
        assert!(last_lsn.value() > last, "in the order of submission");
        (last, first) = (last_lsn.value(), first.min(last_lsn.value()));
        assert!(matches!(clone.poll(), Some(Ok(_))), "the answer stays");
        assert_eq!(clone.wait()?, block_on(clone)?);
    }
    assert_eq!(last - first, 99, "without gaps");
    assert_eq!(store.len(id)?, 100);
    Ok(())
}

#[test]
fn refusals_reach_whoever_awaits() -> Result<()> {
    let store = Store::open_with(memory(), Options::default())?;
    create(&store)?;
    let again = store.submit(quiver_store::Request::CreateCollection {
        name: "a".to_owned(),
        descriptor: Descriptor::new(1, Dtype::F32, DistanceMetric::L2),
    })?;
    let refused = block_on(again).expect_err("there is one of that name");
    assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
    Ok(())
}

/// An executor may run a task inside of its waker.
#[test]
fn tasks_are_woken_where_no_lock_is_held() -> Result<()> {
    struct Writes(Store, CollectionId, mpsc::Sender<Result<u64>>);
    impl Wake for Writes {
        fn wake(self: Arc<Self>) {
            let Self(store, id, done) = &*self;
            let written = store.upsert(*id, "inside", &[0.0; 4], b"").and_then(|_| {
                store.checkpoint()?;
                store.len(*id)
            });
            let _ = done.send(written);
        }
    }
    let store = Store::open_with(memory(), Options::default())?;
    let id = create(&store)?;
    let (done, rows) = mpsc::channel();
    let waker = Waker::from(Arc::new(Writes(store.clone(), id, done)));
    let mut ticket = pin!(store.submit(row(id, "outside"))?);
    assert!(ticket.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(rows.recv_timeout(NEVER).expect("woken, and not stuck")?, 2);
    Ok(())
}

#[test]
fn without_threads_a_ticket_is_waited_for_or_driven() -> Result<()> {
    let store = Store::open_with(Env::memory(), Options::default())?;
    let id = create(&store)?;
    let (waited, beside) = (store.submit(row(id, "x"))?, store.submit(row(id, "y"))?);
    assert!(waited.poll().is_none() && beside.poll().is_none());
    waited.wait()?;
    assert!(matches!(beside.poll(), Some(Ok(_))), "in the same group");
    let (driven, waker) = (store.submit(row(id, "z"))?, Waker::noop());
    let mut awaited = pin!(driven);
    assert!(awaited.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
    assert_eq!(store.drive()?, 1);
    assert!(awaited.as_mut().poll(&mut Context::from_waker(waker)).is_ready());
    Ok(())
}

#[test]
fn the_end_of_a_store_answers_whoever_waits() -> Result<()> {
    for closes in [true, false] {
        let store = Store::open_with(Env::memory(), Options::default())?;
        let id = create(&store)?;
        let tickets = [store.submit(row(id, "x"))?, store.submit(row(id, "y"))?];
        let awaited = tickets[1].clone();
        let (begun, asked) = mpsc::channel();
        let task = thread::spawn(move || {
            let mut awaited = pin!(awaited);
            block_on(std::future::poll_fn(|context| {
                let polled = awaited.as_mut().poll(context);
                let _ = begun.send(());
                polled
            }))
        });
        asked.recv_timeout(NEVER).expect("it is polled once");
        if closes {
            store.close()?;
        }
        drop(store);
        let answers = [tickets[0].wait(), task.join().expect("no panic")];
        for answer in answers {
            // A close commits what waits; a drop does not.
            match answer {
                Ok(_) => assert!(closes),
                Err(error) => assert!(!closes && error.kind() == ErrorKind::Closed, "{error}"),
            }
        }
    }
    Ok(())
}

#[test]
fn checkpoints_are_made_by_a_thread_of_the_store() -> Result<()> {
    let store = Store::open_with(memory(), options())?;
    let id = create(&store)?;
    let (told, checkpoints) = mpsc::channel();
    store.set_commit_observer(Arc::new(move |entry| {
        if let WalOp::Checkpoint { .. } = entry.op {
            let _ = told.send(thread::current().name().map(str::to_owned));
        }
    }))?;
    // Up to where one is due, and not to where a writer would make it himself.
    let mut rows = 0;
    while store.stats()?.memtable_bytes <= 64 * 1024 && store.stats()?.checkpoints == 0 {
        rows += 1;
        store.upsert(id, &format!("{rows}"), &[0.5; 4], &[7; 500])?;
    }
    let by = checkpoints.recv_timeout(NEVER).expect("a checkpoint without being asked for one");
    assert_eq!(by.as_deref(), Some("quiver-work"));
    assert_eq!(store.len(id)?, rows);
    assert_eq!(store.stats()?.background_failure, None);
    Ok(())
}

#[test]
fn an_idle_store_proves_what_it_wrote_last() -> Result<()> {
    let store = Store::open_with(memory(), options())?;
    let id = create(&store)?;
    store.upsert(id, "x", &[0.5; 4], b"")?;
    let written = || store.stats().map(|stats| (stats.last_lsn, stats.log_bytes));
    // Where the thread was quick, what was written before is proved already: it has to be so again.
    for i in 0..3 {
        let (_, before) = written()?;
        store.upsert(id, "x", &[0.5; 4], b"")?;
        let frame = 512;
        let is_proved = || written().is_ok_and(|(_, bytes)| bytes >= before + 2 * frame);
        assert!(becomes(is_proved), "write {i} is not proved: {:?}", written()?);
    }
    Ok(())
}

#[test]
fn the_directory_is_free_behind_the_last_handle() -> Result<()> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut rows = 0;
    for round in 0..20 {
        let store = Store::open_with(Env::os(dir.path()), options())?;
        let id = match store.collection_id("a")? {
            Some(id) => id,
            None => create(&store)?,
        };
        assert_eq!(store.len(id)?, rows, "round {round}");
        write_some(&store, id, &format!("{round}-"))?;
        rows += 300;
        let ticket = store.submit(row(id, &format!("{round}-x")))?;
        block_on(ticket)?;
        rows += 1;
        // In the middle of whatever its threads do.
        match round % 2 {
            0 => store.close()?,
            _ => drop(store),
        }
    }
    Ok(())
}

/// The commit thread calls the observer, which holds the last handle and panics: so the store ends in
/// a thread of its own, which cannot wait for itself.
#[test]
fn the_last_handle_may_be_dropped_in_a_thread_of_the_store() -> Result<()> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for panics in [true, false] {
        let store = Store::open_with(Env::os(dir.path()), options())?;
        let id = match store.collection_id("a")? {
            Some(id) => id,
            None => create(&store)?,
        };
        // Work for the other thread, so that it is there to be waited for.
        write_some(&store, id, "")?;
        let held = std::sync::Mutex::new(Some(store.clone()));
        let is_armed = Arc::new(AtomicBool::new(false));
        let armed = Arc::clone(&is_armed);
        store.set_commit_observer(Arc::new(move |entry| {
            if !armed.load(Ordering::Relaxed) || matches!(entry.op, WalOp::Checkpoint { .. }) {
                return;
            }
            assert!(!panics, "as the test wants it");
            drop(held.lock().expect("no panic").take());
        }))?;
        let ticket = store.submit(row(id, "x"))?;
        is_armed.store(true, Ordering::Relaxed);
        drop(store);
        block_on(ticket)?;
        let free = || match Store::open_with(Env::os(dir.path()), options()) {
            Ok(store) => store.get(id, "x").is_ok_and(|row| row.is_some()),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
                false
            }
        };
        assert!(becomes(free), "the store never ended");
    }
    Ok(())
}

/// Each writer is slowed down by what it writes, and none waits for a whole checkpoint.
#[test]
fn writers_ahead_of_the_background_lose_nothing_and_memory_stays_bounded() -> Result<()> {
    let store = Store::open_with(memory(), options())?;
    let id = create(&store)?;
    let most = AtomicU64::new(0);
    thread::scope(|scope| {
        for writer in 0..4 {
            let (store, most) = (store.clone(), &most);
            scope.spawn(move || {
                for i in 0..500 {
                    let id_of = format!("{writer}-{i}");
                    store.upsert(id, &id_of, &[0.5; 4], &[7; 500]).expect("written");
                    let bytes = store.stats().expect("open").memtable_bytes;
                    most.fetch_max(bytes, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(store.len(id)?, 2000);
    // Two memtables, half of one beyond that, and the groups that were under way.
    assert!(most.into_inner() < 64 * 1024 * 4, "rows piled up in memory");
    let stats = store.stats()?;
    assert!(stats.checkpoints > 3 && stats.segments < 20, "{stats:?}");
    Ok(())
}
