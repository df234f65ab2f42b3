//! What the threads of a schedule do.

use std::sync::Arc;

use quiver_sim::stream::Stream;
use quiver_store::ErrorKind;
use shuttle::sync::atomic::{AtomicUsize, Ordering};
use shuttle::thread::{self, JoinHandle};

use crate::stage::{Setting, Stage, count};

/// Threads on one store.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) setting: Setting,
    pub(crate) play: fn(&Arc<Stage>, &mut Stream),
}

/// Every scenario.
pub(crate) const ALL: [Scenario; 7] = [
    Scenario { name: "writers", setting: PLAIN, play: writers },
    Scenario { name: "tickets", setting: PLAIN, play: tickets },
    Scenario {
        name: "checkpoints",
        setting: Setting { is_tight: true, ..PLAIN },
        play: checkpoints,
    },
    Scenario { name: "close", setting: PLAIN, play: close },
    Scenario {
        name: "failed-sync",
        setting: Setting { has_faults: true, ..PLAIN },
        play: failed_sync,
    },
    Scenario {
        name: "own-threads",
        setting: Setting { is_tight: true, has_threads: true, ..PLAIN },
        play: own_threads,
    },
    Scenario { name: "awaited", setting: Setting { has_threads: true, ..PLAIN }, play: awaited },
];

const PLAIN: Setting = Setting { is_tight: false, has_faults: false, has_threads: false };

/// A thread with a stream of its own.
fn start(
    stage: &Arc<Stage>,
    dice: &mut Stream,
    work: impl FnOnce(&Stage, &mut Stream) + Send + 'static,
) -> JoinHandle<()> {
    let (stage, mut dice) = (Arc::clone(stage), Stream::new(dice.draw()));
    thread::spawn(move || work(&stage, &mut dice))
}

fn join(threads: impl IntoIterator<Item = JoinHandle<()>>) {
    for thread in threads {
        thread.join().expect("a panic of a thread ends the schedule");
    }
}

fn start_writer(stage: &Arc<Stage>, dice: &mut Stream, requests: usize) -> JoinHandle<()> {
    start(stage, dice, move |stage, dice| (0..requests).for_each(|_| stage.write(dice)))
}

fn start_reader(
    stage: &Arc<Stage>,
    dice: &mut Stream,
    reader: usize,
    reads: usize,
) -> JoinHandle<()> {
    start(stage, dice, move |stage, dice| {
        for _ in 0..reads {
            let is_open = match dice.chance(1, 2) {
                true => stage.read_all(reader),
                false => stage.read_one(reader, dice),
            };
            if !is_open {
                return;
            }
        }
    })
}

fn start_task(stage: &Arc<Stage>, dice: &mut Stream, requests: usize) -> JoinHandle<()> {
    start(stage, dice, move |stage, dice| {
        for _ in 0..requests {
            let Some((request, ticket)) = stage.submit(dice) else { return };
            let clone = ticket.clone();
            let awaited = shuttle::future::block_on(ticket);
            if !stage.poll(request, &clone) {
                stage.ledger.wrong(format!("a ticket forgot its answer: {awaited:?}"));
            }
        }
    })
}

/// Writers who wait for one another, and a reader.
fn writers(stage: &Arc<Stage>, dice: &mut Stream) {
    let mut threads: Vec<_> = (0..3).map(|_| start_writer(stage, dice, 2)).collect();
    threads.push(start_reader(stage, dice, 0, 4));
    join(threads);
}

/// Requests that somebody else drives, beside a writer who leads as well.
fn tickets(stage: &Arc<Stage>, dice: &mut Stream) {
    let submitting = Arc::new(AtomicUsize::new(2));
    let driving = Arc::new(AtomicUsize::new(1));
    let mut threads = vec![start_writer(stage, dice, 2), start_reader(stage, dice, 0, 3)];
    for _ in 0..2 {
        let (submitting, driving) = (Arc::clone(&submitting), Arc::clone(&driving));
        threads.push(start(stage, dice, move |stage, dice| {
            let tickets = (0..2).filter_map(|_| stage.submit(dice));
            let mut waiting: Vec<_> = tickets.collect();
            submitting.fetch_sub(1, Ordering::SeqCst);
            while !waiting.is_empty() {
                // Behind the last drive nobody is left to answer: looked at once more, and no more.
                let is_over = driving.load(Ordering::SeqCst) == 0;
                waiting.retain(|(request, ticket)| !stage.poll(*request, ticket));
                if is_over {
                    return;
                }
                thread::yield_now();
            }
        }));
    }
    threads.push(start(stage, dice, move |stage, _| {
        loop {
            let is_last = submitting.load(Ordering::SeqCst) == 0;
            match stage.store.drive() {
                Ok(0) if is_last => break,
                Ok(answered) => count(&stage.tally.groups, u64::from(answered > 1)),
                Err(error) => stage.ledger.wrong(format!("drive: {error}")),
            }
            thread::yield_now();
        }
        driving.store(0, Ordering::SeqCst);
    }));
    join(threads);
}

/// Writers and a reader beside checkpoints, seals and merges.
fn checkpoints(stage: &Arc<Stage>, dice: &mut Stream) {
    let mut threads: Vec<_> = (0..2).map(|_| start_writer(stage, dice, 3)).collect();
    threads.push(start_reader(stage, dice, 0, 4));
    threads.push(start(stage, dice, |stage, dice| {
        let done = stage.store.checkpoint();
        let stepped = (0..dice.below(4)).try_for_each(|_| stage.store.maintain().map(drop));
        if let Err(error) = done.and(stepped) {
            stage.ledger.wrong(format!("a checkpoint: {error}"));
        }
    }));
    join(threads);
}

/// Writers, tickets and a reader, and somebody who closes the store beneath them. Nobody else drives the
/// tickets: a leader takes them along, or the close does, or they are refused.
fn close(stage: &Arc<Stage>, dice: &mut Stream) {
    let open = Arc::new(AtomicUsize::new(1));
    let mut threads: Vec<_> = (0..2).map(|_| start_writer(stage, dice, 2)).collect();
    threads.push(start_reader(stage, dice, 0, 3));
    let until = Arc::clone(&open);
    threads.push(start(stage, dice, move |stage, dice| {
        let mut waiting: Vec<_> = (0..2).filter_map(|_| stage.submit(dice)).collect();
        while !waiting.is_empty() {
            let is_over = until.load(Ordering::SeqCst) == 0;
            waiting.retain(|(request, ticket)| !stage.poll(*request, ticket));
            if is_over {
                return;
            }
            thread::yield_now();
        }
    }));
    threads.push(start(stage, dice, move |stage, _| {
        if let Err(error) = stage.store.close() {
            stage.ledger.wrong(format!("the close: {error}"));
        }
        open.store(0, Ordering::SeqCst);
    }));
    join(threads);
}

/// Writers of which several may share the sync that fails.
fn failed_sync(stage: &Arc<Stage>, dice: &mut Stream) {
    let mut threads: Vec<_> = (0..3).map(|_| start_writer(stage, dice, 2)).collect();
    threads.push(start_reader(stage, dice, 0, 2));
    join(threads);
}

/// A writer, a reader and tasks that await, on a store that has threads of its own; at times somebody closes
/// it beneath them.
fn own_threads(stage: &Arc<Stage>, dice: &mut Stream) {
    let mut threads = vec![start_writer(stage, dice, 2), start_reader(stage, dice, 0, 2)];
    threads.extend((0..2).map(|_| start_task(stage, dice, 2)));
    if dice.chance(1, 3) {
        threads.push(start(stage, dice, |stage, _| {
            if let Err(error) = stage.store.close() {
                stage.ledger.wrong(format!("the close: {error}"));
            }
        }));
    }
    join(threads);
    drive_behind(stage);
}

/// Nobody but one who awaits one ticket after the other, and the store's thread that commits them: each
/// finds it at another point on its way to sleep.
fn awaited(stage: &Arc<Stage>, dice: &mut Stream) {
    let requests = dice.size(2, 4);
    join([start_task(stage, dice, requests)]);
    drive_behind(stage);
}

fn drive_behind(stage: &Stage) {
    // Observers are shown a group behind its answers, under the lock that a drive takes: behind this one
    // all that was answered was shown as well.
    match stage.store.drive() {
        Ok(0) => {}
        Err(error) if error.kind() == ErrorKind::Closed => {}
        other => stage.ledger.wrong(format!("a drive with nothing left: {other:?}")),
    }
}
