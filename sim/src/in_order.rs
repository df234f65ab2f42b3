//! Work on all cores whose results are taken in the order of the work.
//!
//! **Place.** Under the campaigns that know beforehand what is to be done: sweep, damage, swarm and
//! exhaust. What they add up is then a function of the work, not of the number of threads.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

/// Does the work of each number below `count`, and gives its results to `take` from zero on, until that
/// has enough. What was done beyond that is thrown away; a cancellation leaves out what was not begun.
pub fn in_order<R: Send>(
    count: u64,
    jobs: usize,
    cancel: &AtomicBool,
    work: impl Fn(u64) -> R + Sync,
    mut take: impl FnMut(R) -> ControlFlow<()>,
) {
    let (next, enough) = (AtomicU64::new(0), AtomicBool::new(false));
    let (sender, results) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            let (sender, next, enough, work) = (sender.clone(), &next, &enough, &work);
            scope.spawn(move || {
                while !enough.load(Ordering::Relaxed) && !cancel.load(Ordering::Relaxed) {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    if place >= count || sender.send((place, work(place))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let (mut early, mut turn) = (BTreeMap::new(), 0);
        for (place, result) in results {
            early.insert(place, result);
            while let Some(result) = early.remove(&turn) {
                turn += 1;
                if !enough.load(Ordering::Relaxed) && take(result).is_break() {
                    enough.store(true, Ordering::Relaxed);
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_from_any_number_of_threads_until_there_are_enough() {
        for jobs in [1, 2, 7] {
            let mut taken = Vec::new();
            let work = |number: u64| (0..(100 - number) * 50).fold(number, |sum, _| sum);
            in_order(100, jobs, &AtomicBool::new(false), work, |number| {
                taken.push(number);
                if number == 60 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            assert_eq!(taken, (0..=60).collect::<Vec<u64>>(), "{jobs} threads");
        }
    }

    #[test]
    fn cancelled_work_is_not_begun() {
        let take = |(): ()| -> ControlFlow<()> { unreachable!("nothing was begun") };
        in_order(5, 2, &AtomicBool::new(true), |_| (), take);
    }
}
