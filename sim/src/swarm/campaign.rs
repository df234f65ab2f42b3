//! Swarms of many seeds, on all cores, added up in the order of seeds.
//!
//! - C1. Totals are a function of the first seed, their number and the shard, not of the machine or the
//!   number of threads: what seeds behind the last violation did is thrown away. But for a store that hangs,
//!   which is told as a violation of its seed, and ends the campaign.
//! - C2. The runtime is cheap on a thread that had one before, so each thread makes one run after another.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::counts::{self, Counts};
#[cfg(madsim)]
use crate::address::Address;
use crate::history::History;
use crate::system::System;
use crate::tally::{Tally, Violation};
#[cfg(madsim)]
use crate::watch::Watch;

/// Violations after which it ends.
#[cfg(madsim)]
const VIOLATIONS_MAX: usize = 4;

/// Runs with which every counter has to have moved.
const RUNS_THAT_MEET_ALL: u64 = 200;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The first seed.
    pub seed: u64,
    /// How many seeds, of all shards.
    pub seeds: u64,
    /// How many threads.
    pub jobs: usize,
    /// Which of how many parts of the seeds: `(i, n)` with `i < n`.
    pub shard: (u64, u64),
    /// Whether one seed is looked at alone: run again and told as a whole.
    pub alone: bool,
    /// How long one image may take before it counts as hanging.
    pub patience: Duration,
}

/// What a seed comes to.
#[cfg_attr(not(madsim), expect(dead_code, reason = "nobody makes one without the runtime"))]
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) tally: Tally,
    pub(super) counts: Counts,
    /// One for each violation.
    pub(super) stories: Vec<Vec<String>>,
    /// The story of a seed that is looked at alone.
    pub(super) whole: Vec<String>,
    /// What it did, as a history.
    pub(super) history: Option<History>,
}

/// What a campaign comes to.
#[derive(Debug, Default)]
pub struct Report {
    /// How many runs.
    pub runs: u64,
    /// What the forward runs and the images came to.
    pub tally: Tally,
    /// How tasks met, and what was judged.
    pub counts: Counts,
    /// What does not hold, with the story of the run.
    pub violations: Vec<(Violation, Vec<String>)>,
    /// The story of a seed that was looked at alone.
    pub story: Vec<String>,
    /// What a seed that was looked at alone did: a history of one store, that needs no runtime.
    pub history: Option<History>,
    /// Whether it was called off.
    pub cancelled: bool,
    /// Whether its share of the run's time was over before it was.
    pub cut: bool,
    /// How long it took.
    pub elapsed: Duration,
}

impl Report {
    /// The counters that must not have stayed at zero, but did. Few runs say nothing, but for how
    /// tasks met: that is what a swarm is for.
    pub fn idle(&self) -> Vec<String> {
        let must_move = [counts::SHARED_GROUPS, counts::BETWEEN_SUBMIT_AND_DRIVE];
        let few = self.runs < RUNS_THAT_MEET_ALL;
        let is_idle = |name: &str| {
            self.counts.of(name) == 0 && (!few || (self.runs > 1 && must_move.contains(&name)))
        };
        let idle = counts::NAMES.into_iter().filter(|name| is_idle(name));
        let mut idle: Vec<String> = idle.map(str::to_owned).collect();
        if !few && self.tally.images_checked == 0 {
            idle.push("images checked".to_owned());
        }
        idle
    }

    #[cfg(madsim)]
    fn add(&mut self, mut outcome: Outcome) {
        self.runs += 1;
        self.counts.add(&outcome.counts);
        let violations = std::mem::take(&mut outcome.tally.violations);
        self.violations.extend(violations.into_iter().zip(outcome.stories));
        self.tally.add(&outcome.tally);
        self.story.extend(outcome.whole);
        self.history = outcome.history.or(self.history.take());
    }
}

/// Runs seeds; nothing where this build has no runtime.
#[cfg(not(madsim))]
pub fn run(_system: Arc<dyn System>, _bounds: &Bounds, _cancel: &AtomicBool) -> Option<Report> {
    None
}

/// Runs seeds; nothing where this build has no runtime.
#[cfg(madsim)]
pub fn run(system: Arc<dyn System>, bounds: &Bounds, cancel: &AtomicBool) -> Option<Report> {
    use std::sync::atomic::Ordering;
    use std::time::Instant;

    use crate::in_order::{Plan, in_order};

    let start = Instant::now();
    let mut report = Report { counts: Counts::zero(), ..Report::default() };
    let (part, parts) = bounds.shard;
    let count = (bounds.seeds.saturating_sub(part)).div_ceil(parts);
    let (first, alone) = (bounds.seed, bounds.alone);
    let hanging = in_order(
        count,
        &Plan { jobs: bounds.jobs, patience: bounds.patience, cancel },
        move |place, seat| {
            let seed = first.wrapping_add(place * parts + part);
            seat.begins(());
            outcome_of(&*system, seed, alone, &seat.watch)
        },
        |outcome| {
            report.add(outcome);
            report.violations.len() < VIOLATIONS_MAX
        },
    );
    report.violations.extend(hanging.map(|((), address)| {
        let violation = Violation::hang(address, bounds.patience);
        (violation, Vec::new())
    }));
    report.cancelled = cancel.load(Ordering::Relaxed);
    report.elapsed = start.elapsed();
    Some(report)
}

/// Runs one seed alone, in the calling thread; nothing where this build has no runtime.
#[cfg(not(madsim))]
pub fn one(_system: &dyn System, _seed: u64) -> Option<Report> {
    None
}

/// Runs one seed alone, in the calling thread; nothing where this build has no runtime.
#[cfg(madsim)]
pub fn one(system: &dyn System, seed: u64) -> Option<Report> {
    let start = std::time::Instant::now();
    let mut report = Report { counts: Counts::zero(), ..Report::default() };
    report.add(outcome_of(system, seed, true, &Watch::default()));
    report.elapsed = start.elapsed();
    Some(report)
}

/// A panic that is not the store's is the simulator's own.
#[cfg(madsim)]
fn outcome_of(system: &dyn System, seed: u64, alone: bool, watch: &Watch) -> Outcome {
    let played = crate::panic_trap::catch(|| super::play::play(system, seed, alone, watch));
    played.unwrap_or_else(|panic| {
        let violation = Violation::of_ours(Address::swarm(seed), panic);
        let tally = Tally { seeds: 1, violations: vec![violation], ..Tally::default() };
        Outcome { tally, stories: vec![Vec::new()], ..Outcome::default() }
    })
}
