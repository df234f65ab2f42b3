//! A campaign: seeds on all cores, added up in their order.
//!
//! **Place.** The command line makes one and prints what it returns.
//!
//! - C1. Workers take seeds in ascending order and finish in any; totals are added up in ascending
//!   order, and the run ends with the seed at which the target is reached. What later seeds did is
//!   thrown away. So totals are a function of first seed, target and shard, not of the machine.
//! - C2. A bound in minutes, a cancellation or a hang ends the run earlier, with the seeds added up
//!   so far.
//! - C3. A worker that stays at one image for too long is reported as a violation with its address;
//!   its thread cannot be stopped and ends with the process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::address::{Address, Of};
use crate::checker::Invariant;
use crate::disk::Filesystem;
use crate::explore;
use crate::history::History;
use crate::panic_trap;
use crate::replica;
use crate::system::System;
use crate::tally::{AN_ANSWER, NO_PANIC_OF_OURS, Tally, Violation};
use crate::watch::Watch;

/// How long one image may take, usually, before it counts as hanging.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How often the main thread looks up.
const TICK: Duration = Duration::from_millis(100);

/// Violations after which a campaign ends: the first ones are the ones to look at.
const VIOLATIONS_MAX: usize = 10;

/// Which histories are run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Which {
    /// All.
    #[default]
    All,
    /// Those of stores that are not encrypted.
    Plain,
    /// Those of stores that are.
    Encrypted,
}

impl Which {
    fn admits(self, seed: u64) -> bool {
        match self {
            Self::All => true,
            Self::Plain => !History::is_encrypted(seed),
            Self::Encrypted => History::is_encrypted(seed),
        }
    }
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// The first seed.
    pub seed: u64,
    /// How many seeds at most, of all shards; `None` without a bound.
    pub seeds: Option<u64>,
    /// How many checked images end the run; `None` without a bound.
    pub images: Option<u64>,
    /// How long at most; `None` without a bound. The result then depends on the machine.
    pub limit: Option<Duration>,
    /// Which of the histories.
    pub which: Which,
    /// Which filesystem is on the disk.
    pub filesystem: Filesystem,
    /// How many threads.
    pub jobs: usize,
    /// Which of how many parts of the seeds: `(i, n)` with `i < n`.
    pub shard: (u64, u64),
    /// How long one image may take before it counts as hanging.
    pub patience: Duration,
    /// The system under test.
    pub system: Arc<dyn System>,
}

/// How far a campaign is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// What was added up so far.
    pub tally: &'a Tally,
    /// Since the start.
    pub elapsed: Duration,
}

/// Why a campaign ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The target in images or seeds was reached.
    Target,
    /// Time was up.
    Time,
    /// It was cancelled.
    Cancelled,
    /// There were violations enough.
    Violations,
    /// A store hangs.
    Hang,
}

/// The result of a campaign.
#[derive(Clone, Debug)]
pub struct Report {
    /// The totals.
    pub tally: Tally,
    /// Why it ended.
    pub end: End,
    /// How long it took.
    pub elapsed: Duration,
    /// How long of that only encrypted histories were run.
    pub elapsed_encrypted: Duration,
}

impl Report {
    /// This and another one behind it, which decides how both ended where this one came to its end.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.tally.add(&other.tally);
        self.elapsed += other.elapsed;
        self.elapsed_encrypted += other.elapsed_encrypted;
        if self.end == End::Target || self.end == End::Time {
            self.end = other.end;
        }
        self
    }
}

struct Worker {
    watch: Arc<Watch>,
    turns: u64,
    since: Instant,
}

struct Seeds {
    next: AtomicU64,
    end: u64,
    first: u64,
    shard: (u64, u64),
}

impl Seeds {
    /// The next place among this shard's seeds, and the seed.
    fn take(&self) -> Option<(u64, u64)> {
        let place = self.next.fetch_add(1, Ordering::Relaxed);
        let (part, parts) = self.shard;
        let offset = place.checked_mul(parts)?.checked_add(part)?;
        let seed = self.first.checked_add(offset)?;
        (offset < self.end).then_some((place, seed))
    }
}

impl Campaign {
    /// Runs it, and tells about progress now and then from the calling thread.
    pub fn run(&self, progress: &mut dyn FnMut(Progress<'_>), cancel: &AtomicBool) -> Report {
        let start = Instant::now();
        let seeds = Arc::new(Seeds {
            next: AtomicU64::new(0),
            end: self.seeds.unwrap_or(u64::MAX),
            first: self.seed,
            shard: self.shard,
        });
        let (sender, results) = mpsc::channel();
        let mut workers = Vec::new();
        for _ in 0..self.jobs.max(1) {
            let watch = Arc::new(Watch::default());
            workers.push(Worker { watch: watch.clone(), turns: 0, since: start });
            let (seeds, system, sender) = (seeds.clone(), self.system.clone(), sender.clone());
            let of = (self.which, self.filesystem);
            thread::spawn(move || work(&*system, of, &seeds, &watch, &sender));
        }
        drop(sender);
        let mut tally = Tally::zero();
        if !self.system.backs_up() {
            tally.copies.clear();
        }
        if !self.system.replicates() || self.filesystem != Filesystem::Posix {
            tally.replica.clear();
        }
        if self.which == Which::Plain || !self.system.encrypts() {
            tally.forget_encryption();
        }
        let end = self.add_up(&mut tally, &mut workers, &results, start, progress, cancel);
        for worker in &workers {
            worker.watch.stop();
        }
        let elapsed = start.elapsed();
        let elapsed_encrypted = match self.which {
            Which::Encrypted => elapsed,
            Which::All | Which::Plain => Duration::ZERO,
        };
        Report { tally, end, elapsed, elapsed_encrypted }
    }

    /// Adds up results in the order of seeds (C1) until something ends the run.
    fn add_up(
        &self,
        tally: &mut Tally,
        workers: &mut [Worker],
        results: &Receiver<(u64, Option<Tally>)>,
        start: Instant,
        progress: &mut dyn FnMut(Progress<'_>),
        cancel: &AtomicBool,
    ) -> End {
        let mut early = BTreeMap::new();
        let mut next = 0;
        let mut told = start;
        let mut ended = false;
        while !ended {
            match results.recv_timeout(TICK) {
                Ok((place, result)) => {
                    early.insert(place, result);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => ended = true,
            }
            while let Some(result) = early.remove(&next) {
                next += 1;
                let Some(result) = result else {
                    tally.seeds_left_out += 1;
                    continue;
                };
                tally.add(&result);
                if tally.violations.len() >= VIOLATIONS_MAX {
                    return End::Violations;
                }
                if self.images.is_some_and(|images| tally.images_checked >= images) {
                    return End::Target;
                }
            }
            if told.elapsed() >= TICK {
                told = Instant::now();
                progress(Progress { tally, elapsed: start.elapsed() });
                if let Some(address) = hanging(workers, self.patience) {
                    tally.violations.push(hang(address, self.patience));
                    return End::Hang;
                }
            }
            if cancel.load(Ordering::Relaxed) {
                return End::Cancelled;
            }
            if self.limit.is_some_and(|limit| start.elapsed() >= limit) {
                return End::Time;
            }
        }
        End::Target
    }
}

fn work(
    system: &dyn System,
    (which, filesystem): (Which, Filesystem),
    seeds: &Seeds,
    watch: &Watch,
    sender: &Sender<(u64, Option<Tally>)>,
) {
    while let Some((place, seed)) = seeds.take() {
        if !which.admits(seed) {
            if sender.send((place, None)).is_err() {
                break;
            }
            continue;
        }
        let explored = panic_trap::catch(|| explored(system, seed, filesystem, watch));
        let Some(tally) = explored.unwrap_or_else(|panic| Some(own_panic(watch, panic))) else {
            break;
        };
        if sender.send((place, Some(tally))).is_err() {
            break;
        }
    }
    watch.stop();
}

/// What a seed comes to: its history of one store, and that of two where it has one.
fn explored(
    system: &dyn System,
    seed: u64,
    filesystem: Filesystem,
    watch: &Watch,
) -> Option<Tally> {
    let run = Address::of(Of::on(filesystem), seed);
    let mut tally = explore::explore(system, run, watch)?;
    if filesystem == Filesystem::Posix && system.replicates() && replica::has(seed) {
        tally.add(&replica::explore(system, seed, watch)?);
    }
    Some(tally)
}

/// A panic that is neither the store's nor caught around it is the simulator's own.
fn own_panic(watch: &Watch, panic: String) -> Tally {
    let violation = Violation {
        address: watch.address(),
        invariant: Invariant::Answers,
        expected: NO_PANIC_OF_OURS.to_string(),
        found: panic,
        trace: Vec::new(),
    };
    Tally { seeds: 1, violations: vec![violation], ..Tally::default() }
}

/// The image at which a worker has stayed for too long (C3).
fn hanging(workers: &mut [Worker], patience: Duration) -> Option<Address> {
    for worker in workers {
        let turns = worker.watch.turns();
        if turns != worker.turns || worker.watch.is_stopped() {
            worker.turns = turns;
            worker.since = Instant::now();
        } else if worker.since.elapsed() >= patience {
            return Some(worker.watch.address());
        }
    }
    None
}

fn hang(address: Address, patience: Duration) -> Violation {
    Violation {
        address,
        invariant: Invariant::I5,
        expected: AN_ANSWER.to_string(),
        found: format!("none within {} seconds, and no I/O call", patience.as_secs()),
        trace: Vec::new(),
    }
}
