//! Contenders that take turns, and the medians of what they measured.

use std::hint::black_box;
use std::ops::Add;
use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

use crate::Failure;

/// What some work took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seconds {
    /// By the clock on the wall.
    pub(crate) wall: f64,
    /// Of processors, in this process: what others of the machine cannot make longer by much.
    pub(crate) cpu: f64,
}

impl Seconds {
    /// The rate at which so much was done.
    pub(crate) fn rate_of(self, amount: f64) -> Figure {
        Figure { wall: amount / self.wall, cpu: Some(amount / self.cpu) }
    }
}

impl Add for Seconds {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { wall: self.wall + other.wall, cpu: self.cpu + other.cpu }
    }
}

/// A figure by the clock on the wall, and the same by the time of processors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    pub(crate) wall: f64,
    pub(crate) cpu: Option<f64>,
}

impl From<f64> for Figure {
    fn from(wall: f64) -> Self {
        Self { wall, cpu: None }
    }
}

/// What one contender measured, round by round.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    wall: Vec<f64>,
    cpu: Vec<f64>,
}

impl Samples {
    /// A round in which so much was done in some time.
    pub(crate) fn rate(&mut self, amount: f64, took: Seconds) {
        self.wall.push(amount / took.wall);
        self.cpu.push(amount / took.cpu);
    }

    /// A round in which each of so many things took a part of the time; `per_second` is the unit's.
    pub(crate) fn time(&mut self, per_second: f64, count: f64, took: Seconds) {
        self.wall.push(per_second * took.wall / count);
        self.cpu.push(per_second * took.cpu / count);
    }

    /// A round of which only one number is known.
    pub(crate) fn push(&mut self, figure: f64) {
        self.wall.push(figure);
    }

    /// The medians of all rounds but the first, which warms up.
    pub(crate) fn median(&self) -> Figure {
        let cpu = Some(median(&self.cpu)).filter(|cpu| cpu.is_finite());
        Figure { wall: median(&self.wall), cpu }
    }
}

fn median(figures: &[f64]) -> f64 {
    let mut figures = figures.get(1..).unwrap_or_default().to_vec();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
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

/// What a call took.
pub(crate) fn seconds(call: impl FnOnce() -> Result<(), Failure>) -> Result<Seconds, Failure> {
    let (started, cpu) = (Instant::now(), cpu_seconds());
    call()?;
    Ok(Seconds { wall: started.elapsed().as_secs_f64(), cpu: cpu_seconds() - cpu })
}

/// A round of calls, one for each of some arguments.
pub(crate) fn time_each<T>(
    samples: &mut Samples,
    arguments: &[u64],
    mut call: impl FnMut(u64) -> Result<T, Failure>,
) -> Result<(), Failure> {
    let took = seconds(|| {
        for argument in arguments {
            black_box(call(*argument)?);
        }
        Ok(())
    })?;
    samples.time(1e6, arguments.len() as f64, took);
    Ok(())
}

/// Seconds of processors that this process took so far, in the kernel too.
fn cpu_seconds() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// Nanoseconds of processors that this thread took so far.
pub(crate) fn thread_nanos() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(now.tv_sec * 1_000_000_000 + now.tv_nsec).unwrap_or_default()
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
