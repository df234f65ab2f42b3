//! A campaign: seeds on all cores, added up in their order.
//!
//! **Place.** The command line makes one and prints what it returns.
//!
//! - C1. Workers take seeds in ascending order and finish in any; totals are added up in ascending
//!   order, and the run ends with the seed at which the target is reached. What later seeds did is
//!   thrown away. So totals are a function of first seed, target and shard, not of the machine.
//! - C2. A bound in minutes, a cancellation or a hang ends the run earlier, with the seeds added up
//!   so far.
//! - C3. A worker that stays at one image for too long is reported as a violation with its address.
//! - C4. A campaign that goes on from where one ended ends as that one would have, had nothing ended it.
//! - C5. Shards share the seeds out among them, each to one. Which seeds are a shard's follows no period:
//!   kinds of histories have periods of their own, and a shard would never see some.

mod pace;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::address::{Address, Of};
use crate::digest;
use crate::disk::Filesystem;
use crate::explore;
use crate::history::History;
use crate::in_order::{Plan, Seat, Turn, in_turns};
use crate::panic_trap;
use crate::replica;
use crate::stream::Stream;
use crate::system::System;
use crate::tally::{Tally, Violation};
use crate::watch::Watch;
pub use pace::{MARKS_MAX, Pace};

/// How long one image may take, usually, before it counts as hanging.
pub const PATIENCE: Duration = Duration::from_secs(20);

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
    /// Each.
    pub const ALL: [Self; 3] = [Self::All, Self::Plain, Self::Encrypted];

    /// Its word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Plain => "plain",
            Self::Encrypted => "encrypted",
        }
    }

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
    /// The place of the next seed among this shard's.
    pub next: u64,
    /// How fast it went.
    pub pace: &'a Pace,
}

/// Where a campaign begins, and what it waits for besides its bounds.
#[derive(Default)]
pub struct Course<'a> {
    /// What was added up before (C4).
    pub tally: Option<Tally>,
    /// The place of the next seed among this shard's.
    pub next: u64,
    /// How long it took so far.
    pub elapsed: Duration,
    /// How fast it went so far.
    pub pace: Pace,
    /// What has to hold of the totals before the bound in images ends the campaign.
    pub met: Option<&'a dyn Fn(&Tally) -> bool>,
    /// What ends it, where it holds of the totals.
    pub enough: Option<&'a dyn Fn(&Tally) -> bool>,
}

/// Why a campaign ended, the worse the later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

impl End {
    /// Each.
    pub const ALL: [Self; 5] =
        [Self::Target, Self::Time, Self::Cancelled, Self::Violations, Self::Hang];

    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Target => "target reached",
            Self::Time => "time is up",
            Self::Cancelled => "cancelled",
            Self::Violations => "ended by violations",
            Self::Hang => "ended by a store that hangs",
        }
    }
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
    /// The place of the next seed among this shard's.
    pub next: u64,
    /// How fast it went: of the machine, not of the seeds.
    pub pace: Pace,
}

impl Report {
    /// This and another one behind it. What ended worse decides.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.tally.add(&other.tally);
        self.pace = self.pace.before(&other.pace);
        self.next = other.next;
        self.elapsed += other.elapsed;
        self.elapsed_encrypted += other.elapsed_encrypted;
        self.end = self.end.max(other.end);
        self
    }
}

/// What a place of a shard came to.
enum Done {
    /// It has no seed.
    Nothing,
    /// Its seed is of a kind that was not asked for.
    LeftOut,
    Counted(Box<Tally>),
}

/// The seed at a place of a shard, counted from the first one of all. Each row of as many seeds as there
/// are shards has one for each, in an order drawn for the row (C5).
fn dealt(place: u64, (part, parts): (u64, u64)) -> Option<u64> {
    let turn = Stream::at(parts, &[place]).below(parts);
    let column = (u128::from(part) + u128::from(turn)) % u128::from(parts);
    place.checked_mul(parts)?.checked_add(u64::try_from(column).ok()?)
}

impl Campaign {
    /// Runs it, and tells about progress now and then from the calling thread.
    pub fn run(&self, progress: &mut dyn FnMut(Progress<'_>), cancel: &AtomicBool) -> Report {
        self.run_on(Course::default(), progress, cancel)
    }

    /// The same from where another one ended (C4).
    pub fn run_on(
        &self,
        course: Course<'_>,
        progress: &mut dyn FnMut(Progress<'_>),
        cancel: &AtomicBool,
    ) -> Report {
        let Course { tally, next, elapsed, pace, met, enough } = course;
        let (tally, start) = (tally.unwrap_or_else(|| self.zero()), Instant::now());
        let mut sums = Sums { tally, next, elapsed, start, pace, met, enough };
        let plan = Plan { jobs: self.jobs, patience: self.patience, cancel };
        // What each worker needs outlives a thread that hangs.
        let campaign = self.clone();
        let mut end = None;
        let work = move |place, seat: &Seat<()>| {
            seat.begins(());
            campaign.done_at(place, &seat.watch)
        };
        let hanging = in_turns(next..self.places(), &plan, work, |turn| {
            end = match turn {
                Turn::Result(done) => self.add(&mut sums, done),
                Turn::Tick => self.look_up(&mut sums, progress),
            };
            end.is_none()
        });
        if let Some((_, address)) = hanging {
            sums.tally.violations.push(Violation::hang(address, self.patience));
            end = Some(End::Hang);
        }
        let cancelled = cancel.load(Ordering::Relaxed).then_some(End::Cancelled);
        let end = end.or(cancelled).unwrap_or(End::Target);
        let elapsed = sums.elapsed();
        let elapsed_encrypted = match self.which {
            Which::Encrypted => elapsed,
            Which::All | Which::Plain => Duration::ZERO,
        };
        let Sums { tally, next, mut pace, .. } = sums;
        pace.mark(elapsed, tally.images_checked);
        Report { tally, end, elapsed, elapsed_encrypted, next, pace }
    }

    /// How many seeds there are at most, of all shards.
    fn end(&self) -> u64 {
        self.seeds.unwrap_or(u64::MAX).min((u64::MAX - self.seed).saturating_add(1))
    }

    /// How many places a shard has; the last one may have no seed.
    fn places(&self) -> u64 {
        self.end().div_ceil(self.shard.1)
    }

    fn done_at(&self, place: u64, watch: &Watch) -> Done {
        let offset = dealt(place, self.shard).filter(|offset| *offset < self.end());
        let Some(seed) = offset.map(|offset| self.seed + offset) else { return Done::Nothing };
        if !self.which.admits(seed) {
            return Done::LeftOut;
        }
        let explored = panic_trap::catch(|| explored(&*self.system, seed, self.filesystem, watch));
        // One that was told to stop is not taken.
        let tally = explored.unwrap_or_else(|panic| Some(own_panic(watch, panic)));
        tally.map_or(Done::Nothing, |tally| Done::Counted(Box::new(tally)))
    }

    /// The counters that may move, at zero.
    fn zero(&self) -> Tally {
        let mut tally = Tally::zero();
        if !self.system.backs_up() {
            tally.copies.clear();
        }
        if !self.system.replicates() {
            tally.replica.clear();
        }
        if self.which == Which::Plain || !self.system.encrypts() {
            tally.forget_encryption();
        }
        if self.filesystem != Filesystem::Posix {
            tally.forget_posix();
        }
        tally
    }

    /// Adds what the next place came to; how that ends the run, if it does (C1).
    fn add(&self, sums: &mut Sums<'_>, done: Done) -> Option<End> {
        let tally = match done {
            Done::Nothing => return None,
            Done::LeftOut => None,
            Done::Counted(tally) => Some(tally),
        };
        sums.next += 1;
        let Some(tally) = tally else {
            sums.tally.seeds_left_out += 1;
            return None;
        };
        sums.tally.add(&tally);
        if sums.tally.violations.len() >= VIOLATIONS_MAX {
            return Some(End::Violations);
        }
        let enough = self.images.is_some_and(|images| sums.tally.images_checked >= images);
        let met = || sums.met.is_none_or(|met| met(&sums.tally));
        let is_enough = (enough && met()) || sums.enough.is_some_and(|enough| enough(&sums.tally));
        is_enough.then_some(End::Target)
    }

    /// Tells how far it is; whether its time is up.
    fn look_up(&self, sums: &mut Sums<'_>, progress: &mut dyn FnMut(Progress<'_>)) -> Option<End> {
        let elapsed = sums.elapsed();
        sums.pace.mark(elapsed, sums.tally.images_checked);
        let Sums { tally, next, pace, .. } = &*sums;
        progress(Progress { tally, elapsed, next: *next, pace });
        self.limit.is_some_and(|limit| elapsed >= limit).then_some(End::Time)
    }
}

/// What is added up while a campaign runs.
struct Sums<'a> {
    tally: Tally,
    next: u64,
    /// Before the start.
    elapsed: Duration,
    start: Instant,
    pace: Pace,
    met: Option<&'a dyn Fn(&Tally) -> bool>,
    enough: Option<&'a dyn Fn(&Tally) -> bool>,
}

impl Sums<'_> {
    fn elapsed(&self) -> Duration {
        self.elapsed + self.start.elapsed()
    }
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
    tally.trace_hash = digest::of_words(&[seed, tally.trace_hash]);
    Some(tally)
}

/// A panic that is neither the store's nor caught around it is the simulator's own.
fn own_panic(watch: &Watch, panic: String) -> Tally {
    let violation = Violation::of_ours(watch.address(), panic);
    Tally { seeds: 1, violations: vec![violation], ..Tally::default() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::toy::{Bug, Toy};

    #[test]
    fn every_seed_is_of_one_shard_and_every_shard_has_seeds_of_every_residue() {
        for parts in 1..=16 {
            let rows = 0..400;
            let all: Vec<u64> = rows
                .flat_map(|place| (0..parts).filter_map(move |part| dealt(place, (part, parts))))
                .collect();
            let once: BTreeSet<u64> = all.iter().copied().collect();
            assert_eq!((once.len(), once.last()), (all.len(), Some(&(400 * parts - 1))));
            for part in 0..parts {
                let own = (0..400).filter_map(|place| dealt(place, (part, parts)));
                let residues: BTreeSet<u64> = own.map(|seed| seed % 16).collect();
                assert_eq!(residues.len(), 16, "{part} of {parts}");
            }
        }
        assert_eq!(dealt(u64::MAX, (0, 2)), None);
    }

    #[test]
    fn two_legs_end_as_the_worse_of_them_did() {
        let leg = |end| {
            let (tally, pace, elapsed) = (Tally::default(), Pace::default(), Duration::ZERO);
            Report { tally, end, elapsed, elapsed_encrypted: elapsed, next: 0, pace }
        };
        for one in End::ALL {
            for other in End::ALL {
                assert_eq!(leg(one).and(leg(other)).end, one.max(other), "{one:?}, {other:?}");
            }
        }
    }

    #[test]
    fn campaign_at_the_last_of_all_seeds_comes_to_its_end() {
        let campaign = Campaign {
            seed: u64::MAX - 2,
            seeds: None,
            images: None,
            limit: None,
            which: Which::All,
            filesystem: Filesystem::Posix,
            jobs: 2,
            shard: (0, 1),
            patience: PATIENCE,
            system: Arc::new(Toy(Bug::None)),
        };
        let done = campaign.run(&mut |_| {}, &AtomicBool::new(false));
        assert_eq!((done.end, done.tally.seeds + done.tally.seeds_left_out), (End::Target, 3));
    }
}
