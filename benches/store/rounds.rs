//! Contenders that take turns, and the medians of what they measured.

use std::time::Instant;

use crate::Failure;

/// What one contender measured, round by round.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn push(&mut self, figure: f64) {
        self.0.push(figure);
    }

    /// The median of all rounds but the first, which warms up.
    pub(crate) fn median(&self) -> f64 {
        let mut figures = self.0.get(1..).unwrap_or_default().to_vec();
        figures.sort_by(f64::total_cmp);
        figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

/// One contender's part of a round, whose number it is given.
pub(crate) type Turn<'a> = &'a mut dyn FnMut(usize) -> Result<(), Failure>;

/// Runs a number of rounds behind one that warms up. Each round is started by another contender.
pub(crate) fn take_turns(rounds: usize, contenders: &mut [Turn<'_>]) -> Result<(), Failure> {
    for round in 0..=rounds {
        for turn in 0..contenders.len() {
            let who = (round + turn) % contenders.len();
            contenders[who](round)?;
        }
    }
    Ok(())
}

/// Seconds that a call took.
pub(crate) fn seconds(call: impl FnOnce() -> Result<(), Failure>) -> Result<f64, Failure> {
    let started = Instant::now();
    call()?;
    Ok(started.elapsed().as_secs_f64())
}

/// Calls `work` with the number of each of some threads, all at once.
pub(crate) fn in_threads(
    threads: u64,
    work: impl Fn(u64) -> Result<(), Failure> + Sync,
) -> Result<(), Failure> {
    if threads == 1 {
        return work(0);
    }
    std::thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> =
            (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        running.into_iter().try_for_each(|thread| thread.join().expect("no thread panics"))
    })
}
