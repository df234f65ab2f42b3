//! Work on all cores whose results are taken in the order of the work.
//!
//! **Place.** Under the campaigns, the sweep, damage, swarms and exhaust. What they add up is then a
//! function of the work, not of the number of threads.
//!
//! - N1. Results are taken from the first on, until there are enough or it is cancelled. What was done beyond
//!   that is thrown away, and so is what was under way when it was cancelled: it may be a part only.
//! - N2. A worker that stays at one thing for too long is told by what it is at, and ends the rest; but what
//!   it does beyond what is enough is nobody's. Its thread cannot be stopped and ends with the process, so that
//!   no worker borrows anything.

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::address::Address;
use crate::watch::{Silence, Watch};

/// How often the calling thread looks up.
const TICK: Duration = Duration::from_millis(50);

/// How work is shared out.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// How many threads.
    pub jobs: usize,
    /// How long a worker may stay at one thing.
    pub patience: Duration,
    /// What is not done by then is left out.
    pub cancel: &'a AtomicBool,
}

/// A worker's seat, on which lies what it is at.
#[derive(Debug)]
pub struct Seat<C> {
    /// Told of each image, and to stop.
    pub watch: Watch,
    at: Mutex<Option<C>>,
}

impl<C> Default for Seat<C> {
    fn default() -> Self {
        Self { watch: Watch::default(), at: Mutex::default() }
    }
}

impl<C: Clone> Seat<C> {
    /// Says what comes next.
    pub fn begins(&self, case: C) {
        // In this order, for who looks in between: nothing lies here yet.
        self.watch.goes_on();
        *self.at() = Some(case);
    }

    /// Whoever has nothing to do does not hang.
    fn rests(&self) {
        *self.at() = None;
    }

    fn at(&self) -> MutexGuard<'_, Option<C>> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does the work of each item, as [`in_order`] does that of a number.
pub fn each_in_order<T, C, R>(
    items: impl AsRef<[T]> + Send + Sync + 'static,
    plan: &Plan<'_>,
    work: impl Fn(&T, &Seat<C>) -> R + Send + Sync + 'static,
    take: impl FnMut(R) -> bool,
) -> Option<(C, Address)>
where
    T: 'static,
    C: Clone + Send + 'static,
    R: Send + 'static,
{
    let count = items.as_ref().len() as u64;
    let of_item = move |number, seat: &Seat<C>| {
        let place = usize::try_from(number).expect("it is below a length");
        work(&items.as_ref()[place], seat)
    };
    in_order(count, plan, of_item, take)
}

/// Does the work of each number below `count`, and gives its results to `take`, which says whether it wants
/// more (N1). What a worker hangs at is returned, with the image (N2).
pub fn in_order<C, R>(
    count: u64,
    plan: &Plan<'_>,
    work: impl Fn(u64, &Seat<C>) -> R + Send + Sync + 'static,
    mut take: impl FnMut(R) -> bool,
) -> Option<(C, Address)>
where
    C: Clone + Send + 'static,
    R: Send + 'static,
{
    in_turns(0..count, plan, work, |turn| match turn {
        Turn::Result(result) => take(result),
        Turn::Tick => true,
    })
}

/// What the calling thread has to do next.
#[derive(Debug)]
pub enum Turn<R> {
    /// A result is next.
    Result(R),
    /// Some time has passed.
    Tick,
}

/// As [`in_order`] of the numbers of a range, with turns in between in which no result is taken.
pub fn in_turns<C, R>(
    numbers: Range<u64>,
    plan: &Plan<'_>,
    work: impl Fn(u64, &Seat<C>) -> R + Send + Sync + 'static,
    mut take: impl FnMut(Turn<R>) -> bool,
) -> Option<(C, Address)>
where
    C: Clone + Send + 'static,
    R: Send + 'static,
{
    if plan.cancel.load(Ordering::Relaxed) {
        return None;
    }
    let (work, next) = (Arc::new(work), Arc::new(AtomicU64::new(numbers.start)));
    let (sender, results) = mpsc::channel();
    let mut workers = Vec::new();
    for _ in 0..plan.jobs.max(1) {
        let seat = Arc::new(Seat::default());
        let (sender, next, work) = (sender.clone(), next.clone(), work.clone());
        let own = seat.clone();
        let thread = thread::spawn(move || {
            while !own.watch.is_stopped() {
                let place = next.fetch_add(1, Ordering::Relaxed);
                if place >= numbers.end {
                    break;
                }
                let done = work(place, &own);
                own.rests();
                if own.watch.is_stopped() || sender.send((place, done)).is_err() {
                    break;
                }
            }
        });
        workers.push(Worker { seat, silence: Silence::begun(), thread });
    }
    drop(sender);
    let ended = collect(plan, numbers.start, &mut workers, &results, &mut take);
    workers.iter().for_each(|worker| worker.seat.watch.stop());
    match ended {
        Ended::Done => {
            // Who has panicked ends it all: another one may hang and never come back.
            workers.sort_by_key(|worker| !worker.has_panicked());
            for worker in workers {
                worker.thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic));
            }
            None
        }
        Ended::Hangs(case, address) => Some((case, address)),
        Ended::LeftBehind => None,
    }
}

/// How work comes to its end.
enum Ended<C> {
    /// Every worker comes back, or has panicked.
    Done,
    Hangs(C, Address),
    /// A worker hangs at what nobody wants any more.
    LeftBehind,
}

struct Worker<C> {
    seat: Arc<Seat<C>>,
    silence: Silence,
    thread: thread::JoinHandle<()>,
}

impl<C: Clone> Worker<C> {
    fn has_panicked(&self) -> bool {
        self.thread.is_finished() && self.seat.at().is_some()
    }
}

fn collect<C: Clone, R>(
    plan: &Plan<'_>,
    first: u64,
    workers: &mut [Worker<C>],
    results: &Receiver<(u64, R)>,
    take: &mut impl FnMut(Turn<R>) -> bool,
) -> Ended<C> {
    let (mut early, mut turn, mut is_enough) = (BTreeMap::new(), first, false);
    let mut looked = Instant::now();
    loop {
        match results.recv_timeout(TICK) {
            Ok((place, result)) => {
                early.insert(place, result);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ended::Done,
        }
        while !is_enough && let Some(result) = early.remove(&turn) {
            turn += 1;
            is_enough = !take(Turn::Result(result));
        }
        if looked.elapsed() >= TICK {
            looked = Instant::now();
            // Whose thread is over with something on the seat has panicked: that is the caller's.
            if workers.iter().any(Worker::has_panicked) {
                return Ended::Done;
            }
            let is_over = is_enough || plan.cancel.load(Ordering::Relaxed);
            match hanging(workers, plan.patience) {
                Some(_) if is_over => return Ended::LeftBehind,
                Some((case, address)) => return Ended::Hangs(case, address),
                None => is_enough = is_enough || !take(Turn::Tick),
            }
        }
        if is_enough || plan.cancel.load(Ordering::Relaxed) {
            workers.iter().for_each(|worker| worker.seat.watch.stop());
        }
    }
}

fn hanging<C: Clone>(workers: &mut [Worker<C>], patience: Duration) -> Option<(C, Address)> {
    workers.iter_mut().find_map(|Worker { seat, silence, .. }| {
        let is_hanging = silence.is_longer_than(patience, &seat.watch);
        let case = is_hanging.then(|| seat.at().clone()).flatten();
        case.map(|case| (case, seat.watch.address()))
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    static NEVER: AtomicBool = AtomicBool::new(false);

    fn plan(jobs: usize, cancel: &AtomicBool) -> Plan<'_> {
        Plan { jobs, patience: Duration::from_secs(60), cancel }
    }

    #[test]
    fn results_come_in_order_from_any_number_of_threads_until_there_are_enough() {
        for jobs in [1, 2, 7] {
            let mut taken = Vec::new();
            let work = |number: u64, seat: &Seat<u64>| {
                seat.begins(number);
                (0..(100 - number) * 50).fold(number, |sum, _| sum)
            };
            let hanging = in_order(100, &plan(jobs, &NEVER), work, |number| {
                taken.push(number);
                number < 60
            });
            assert_eq!(taken, (0..=60).collect::<Vec<u64>>(), "{jobs} threads");
            assert_eq!(hanging, None);
        }
    }

    #[test]
    fn cancelled_work_is_left_out() {
        let cancel = AtomicBool::new(false);
        let mut taken = 0;
        let work = |_, seat: &Seat<()>| {
            seat.begins(());
            thread::yield_now();
        };
        in_order(u64::MAX, &plan(2, &cancel), work, |()| {
            taken += 1;
            if taken == 3 {
                cancel.store(true, Ordering::Relaxed);
            }
            true
        });
        assert!(taken >= 3, "{taken}");
        let none = |_: &Seat<()>| unreachable!("it was cancelled before it began");
        let take = |()| true;
        assert_eq!(in_order(5, &plan(2, &cancel), move |_, seat| none(seat), take), None);
    }

    /// N1.
    #[test]
    fn what_is_under_way_when_it_is_cancelled_is_thrown_away() {
        let cancel = AtomicBool::new(false);
        let mut taken = Vec::new();
        let work = |number: u64, seat: &Seat<u64>| {
            seat.begins(number);
            while number > 0 && !seat.watch.is_stopped() {
                seat.watch.goes_on();
            }
            number
        };
        in_order(9, &plan(3, &cancel), work, |number| {
            taken.push(number);
            cancel.store(true, Ordering::Relaxed);
            true
        });
        assert_eq!(taken, [0], "the others were cut");
    }

    /// N2.
    #[test]
    fn worker_that_hangs_beyond_what_is_enough_is_left_behind() {
        let short = Plan { patience: Duration::from_millis(100), ..plan(2, &NEVER) };
        let is_enough = Arc::new(AtomicBool::new(false));
        let told = is_enough.clone();
        let work = move |number: u64, seat: &Seat<u64>| {
            seat.begins(number);
            if number > 0 {
                loop {
                    match told.load(Ordering::Relaxed) {
                        true => thread::park(),
                        false => seat.watch.goes_on(),
                    }
                }
            }
        };
        let mut taken = 0;
        let hanging = in_order(2, &short, work, |()| {
            taken += 1;
            is_enough.store(true, Ordering::Relaxed);
            false
        });
        assert_eq!((hanging, taken), (None, 1));
    }

    #[test]
    fn range_begins_where_it_says_and_ends_with_a_tick_that_has_enough() {
        let (mut taken, mut ticks) = (Vec::new(), 0);
        let is_told = Cell::new(false);
        let work = |number: u64, seat: &Seat<u64>| {
            seat.begins(number);
            while number == 12 && !seat.watch.is_stopped() {
                seat.watch.goes_on();
            }
            number
        };
        let hanging = in_turns(10..20, &plan(1, &NEVER), work, |turn| match turn {
            Turn::Result(number) => {
                taken.push(number);
                is_told.set(number == 11);
                true
            }
            Turn::Tick => {
                ticks += u64::from(is_told.get());
                ticks < 3
            }
        });
        assert_eq!((hanging, taken, ticks), (None, vec![10, 11], 3));
    }

    #[test]
    fn items_are_done_as_their_numbers_are() {
        let (items, mut taken) = (["a", "b", "c"], String::new());
        let work = |item: &&str, seat: &Seat<()>| {
            seat.begins(());
            (*item).to_owned()
        };
        each_in_order(items, &plan(2, &NEVER), work, |item| {
            taken.push_str(&item);
            true
        });
        assert_eq!(taken, "abc");
    }

    #[test]
    fn worker_that_does_not_come_back_is_told_and_who_has_nothing_to_do_is_not() {
        let short = Plan { patience: Duration::from_millis(300), ..plan(4, &NEVER) };
        let mut taken = Vec::new();
        let before = AtomicU64::new(0);
        let work = move |number: u64, seat: &Seat<u64>| {
            for part in 0..4 {
                seat.begins(number * 10 + part);
                if number == 2 && part == 1 {
                    while before.load(Ordering::Relaxed) < 2 {
                        seat.watch.goes_on();
                    }
                    loop {
                        thread::park();
                    }
                }
            }
            before.fetch_add(u64::from(number < 2), Ordering::Relaxed);
            number
        };
        let hanging = in_order(4, &short, work, |number| {
            taken.push(number);
            true
        });
        let hanging = hanging.map(|(case, _)| case);
        assert_eq!((hanging, taken), (Some(21), vec![0, 1]));
    }

    #[test]
    fn panic_of_a_worker_is_the_callers() {
        let work = |number: u64, seat: &Seat<u64>| {
            seat.begins(number);
            assert!(number < 3, "of the work");
        };
        let take = |()| true;
        let told = panic::catch_unwind(|| in_order(5, &plan(2, &NEVER), work, take));
        assert!(told.is_err());
        // Nor is it taken for a hang while another goes on for longer.
        let work = |number: u64, seat: &Seat<u64>| {
            seat.begins(number);
            assert!(number > 0, "of the work");
            while !seat.watch.is_stopped() {
                seat.watch.goes_on();
            }
        };
        let short = Plan { patience: Duration::from_millis(200), ..plan(2, &NEVER) };
        let told = panic::catch_unwind(|| in_order(2, &short, work, take));
        assert!(told.is_err());
        // And nobody waits for one that hangs beside it.
        let work = |number: u64, seat: &Seat<u64>| {
            seat.begins(number);
            assert!(number > 0, "of the work");
            loop {
                thread::park();
            }
        };
        let told = panic::catch_unwind(|| in_order(2, &plan(2, &NEVER), work, take));
        assert!(told.is_err());
    }
}
