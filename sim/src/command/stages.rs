//! The stages of a run: its parts, then its campaigns, each kept in the state when it is done.
//!
//! - A1. Campaigns are kept every few seconds too. A process that is killed loses what came after that, or
//!   the part that was under way.
//! - A2. A state that cannot be written is told of once; the run goes on, and tries again at each turn.
//! - A3. A run that is bounded in minutes ends in about as many: each part has a share of them at most, and
//!   the campaigns have what the parts left. A part that its share has cut is as small as that.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use super::bar::progress_bar;
use super::sweep::default_bounds;
use crate::campaign::{Campaign, Course, End, Progress, Report, Which};
use crate::damage;
use crate::engine::Engine;
use crate::record::{Bounds, Leg, Record, Shards, State};
use crate::report;
use crate::swarm;
use crate::sweep;
use crate::tally::Tally;

/// How often the state of a campaign is kept, in milliseconds.
pub(super) const KEEP_EVERY_MS: u64 = 2000;

/// How many of a hundred minutes the sweep, the damage and the swarms may take each (A3).
const PART_TIME_PERCENT: u32 = 15;

/// How often a part is asked whether its time is up.
const TICK: Duration = Duration::from_millis(20);

/// How many of a hundred images are of encrypted stores, and of a hundred minutes.
const ENCRYPTED_IMAGES_PERCENT: u64 = 12;
const ENCRYPTED_TIME_PERCENT: u32 = 18;

/// How many images stand for one seed whose stores are damaged, and how many seeds there are at most. Of a
/// run that is bounded in seeds as many are damaged.
const IMAGES_PER_DAMAGED_SEED: u64 = 1600;
const DAMAGED_SEEDS_MAX: u64 = 600;

/// How many images stand for one seed of a swarm, and how many seeds there are at most.
const IMAGES_PER_SWARM_SEED: u64 = 4000;
const SWARM_SEEDS_MAX: u64 = 250;

/// A run under way.
pub(super) struct Stages<'a> {
    pub(super) campaign: Campaign,
    pub(super) bounds: Bounds,
    /// The digest of this program.
    pub(super) program: String,
    pub(super) state: State,
    /// Where the state is kept.
    pub(super) kept: Option<PathBuf>,
    pub(super) keep_every: Duration,
    /// Whether it was told that it cannot be kept.
    pub(super) is_told: bool,
    pub(super) quiet: bool,
    pub(super) cancel: &'a AtomicBool,
}

impl Stages<'_> {
    /// Carries out what is not done yet.
    pub(super) fn carry_out(mut self) -> Record {
        self.parts();
        let done = self.campaigns();
        let Self { campaign, bounds, program, state, .. } = self;
        let State { swept, hurt, swarmed, .. } = state;
        let (engine_version, shards) =
            (campaign.system.version().to_owned(), Shards::one(campaign.shard));
        let programs = BTreeSet::from([program]);
        Record { engine_version, programs, bounds, shards, done, swept, hurt, swarmed }
    }

    fn parts(&mut self) {
        let Campaign { seed, jobs, shard, images, seeds, limit, patience, .. } = self.campaign;
        let asked = self.bounds.parts;
        let cancel = self.cancel;
        if asked.sweep && self.state.swept.is_none() {
            let bounds = default_bounds(jobs, shard);
            let mut swept =
                until(limit, cancel, |stop| sweep::sweep(Arc::new(Engine), &bounds, stop));
            (swept.cancelled, swept.cut) = stopped(swept.cancelled, cancel);
            self.state.swept = Some(swept);
            self.keep();
        }
        if asked.damage && self.state.hurt.is_none() {
            let seeds = seeds_of(images, seeds, IMAGES_PER_DAMAGED_SEED, DAMAGED_SEEDS_MAX);
            let violations_max = damage::VIOLATIONS_MAX;
            let bounds = damage::Bounds { seed, seeds, jobs, shard, violations_max, patience };
            let mut hurt =
                until(limit, cancel, |stop| damage::run(Arc::new(Engine), &bounds, stop));
            (hurt.cancelled, hurt.cut) = stopped(hurt.cancelled, cancel);
            self.state.hurt = Some(hurt);
            self.keep();
        }
        if asked.swarm && self.state.swarmed.is_none() {
            let seeds = seeds_of(images, seeds, IMAGES_PER_SWARM_SEED, SWARM_SEEDS_MAX);
            let bounds = swarm::Bounds { seed, seeds, jobs, shard, alone: false, patience };
            let done = until(limit, cancel, |stop| swarm::run(Arc::new(Engine), &bounds, stop));
            let mut swarmed = done.expect("it was asked whether it is there");
            (swarmed.cancelled, swarmed.cut) = stopped(swarmed.cancelled, cancel);
            self.state.swarmed = Some(swarmed);
            self.keep();
        }
    }

    /// How long the parts took, whichever process carried them out.
    fn spent(&self) -> Duration {
        let State { swept, hurt, swarmed, .. } = &self.state;
        let parts = [
            swept.as_ref().map(|part| part.elapsed),
            hurt.as_ref().map(|part| part.elapsed),
            swarmed.as_ref().map(|part| part.elapsed),
        ];
        parts.into_iter().flatten().fold(Duration::ZERO, Duration::saturating_add)
    }

    /// Runs a campaign; one of all histories as one of the plain ones and one of the others, so that
    /// both have their share and their rate.
    fn campaigns(&mut self) -> Report {
        let spent = self.spent();
        let mut campaign = self.campaign.clone();
        campaign.limit = campaign.limit.map(|limit| limit.saturating_sub(spent));
        let moved = |tally: &Tally| tally.idle().is_empty();
        let met = self.bounds.until_met;
        if campaign.which != Which::All {
            return self.leg(0, &campaign, met.then_some(&moved));
        }
        let of_images = campaign.images.map(|images| percent(images, ENCRYPTED_IMAGES_PERCENT));
        let of_time = campaign.limit.map(|limit| limit * ENCRYPTED_TIME_PERCENT / 100);
        let plain = Campaign {
            which: Which::Plain,
            images: campaign.images.map(|images| images - of_images.unwrap_or(0)),
            limit: campaign.limit.map(|limit| limit - of_time.unwrap_or_default()),
            ..campaign
        };
        let done = self.leg(0, &plain, met.then_some(&moved));
        if !matches!(done.end, End::Target | End::Time) || of_images == Some(0) {
            return done;
        }
        let encrypted =
            Campaign { which: Which::Encrypted, images: of_images, limit: of_time, ..plain };
        let so_far = done.tally.clone();
        let moved = |tally: &Tally| {
            let mut both = so_far.clone();
            both.add(tally);
            both.idle().is_empty()
        };
        done.and(self.leg(1, &encrypted, met.then_some(&moved)))
    }

    /// One campaign, from where it was left.
    fn leg(
        &mut self,
        place: usize,
        campaign: &Campaign,
        met: Option<&dyn Fn(&Tally) -> bool>,
    ) -> Report {
        let mut course = Course { met, ..Course::default() };
        match self.state.legs.get(place) {
            Some(leg) if leg.is_over => return leg.so_far.clone(),
            Some(Leg { so_far, .. }) => {
                let Report { tally, elapsed, next, pace, .. } = so_far.clone();
                course = Course { tally: Some(tally), next, elapsed, pace, ..course };
            }
            None => {}
        }
        let bar = bar_of(campaign, self.quiet);
        let mut kept = Instant::now();
        let cancel = self.cancel;
        let mut told = |progress: Progress<'_>| {
            show(&bar, campaign, progress);
            if self.kept.is_some() && kept.elapsed() >= self.keep_every {
                kept = Instant::now();
                let leg = Leg { so_far: under_way(campaign, progress), is_over: false };
                self.set(place, leg);
            }
        };
        let done = campaign.run_on(course, &mut told, cancel);
        bar.finish_and_clear();
        self.set(place, Leg::ended(done.clone()));
        done
    }

    fn set(&mut self, place: usize, leg: Leg) {
        self.state.legs.truncate(place);
        self.state.legs.push(leg);
        self.keep();
    }

    fn keep(&mut self) {
        let Some(path) = &self.kept else { return };
        let Err(error) = self.state.save(path) else { return };
        if !self.is_told {
            let path = path.display();
            // Nobody is left to tell where the error channel is gone.
            let _ = writeln!(
                io::stderr(),
                "cannot write the state {path}: {error}; the run goes on and tries again"
            );
            self.is_told = true;
        }
    }
}

/// What a campaign has come to by now.
fn under_way(campaign: &Campaign, progress: Progress<'_>) -> Report {
    let Progress { tally, elapsed, next, pace } = progress;
    let encrypted = campaign.which == Which::Encrypted;
    let elapsed_encrypted = if encrypted { elapsed } else { Duration::ZERO };
    let (tally, pace, end) = (tally.clone(), pace.clone(), End::Cancelled);
    Report { tally, end, elapsed, elapsed_encrypted, next, pace }
}

/// Does a part of a run that is bounded by this time: it is told to stop when its share of that is over, or
/// with the run (A3).
fn until<T>(
    limit: Option<Duration>,
    cancel: &AtomicBool,
    part: impl FnOnce(&AtomicBool) -> T,
) -> T {
    let Some(limit) = limit else { return part(cancel) };
    let end = Instant::now() + limit * PART_TIME_PERCENT / 100;
    let stop = AtomicBool::new(cancel.load(Ordering::Relaxed));
    let (over, is_over) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let stop = &stop;
        scope.spawn(move || {
            while is_over.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                if cancel.load(Ordering::Relaxed) || Instant::now() >= end {
                    stop.store(true, Ordering::Relaxed);
                }
            }
        });
        let done = part(stop);
        drop(over);
        done
    })
}

/// Whether a part that was told to stop was cancelled with the run, or cut.
fn stopped(is_stopped: bool, cancel: &AtomicBool) -> (bool, bool) {
    let is_cancelled = cancel.load(Ordering::Relaxed);
    (is_cancelled, is_stopped && !is_cancelled)
}

/// So many of a hundred.
fn percent(of: u64, percent: u64) -> u64 {
    of / 100 * percent + of % 100 * percent / 100
}

/// How many seeds a part has in a run of so many images or seeds.
fn seeds_of(images: Option<u64>, seeds: Option<u64>, images_each: u64, most: u64) -> u64 {
    let of_images = images.map(|images| images / images_each);
    of_images.or(seeds).unwrap_or(most).clamp(1, most)
}

fn bar_of(campaign: &Campaign, quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let (length, unit) = match (campaign.images, campaign.seeds, campaign.limit) {
        (Some(images), _, _) => (images, "images"),
        (_, Some(seeds), _) => (seeds, "seeds"),
        (_, _, Some(limit)) => (limit.as_secs(), "seconds"),
        (None, None, None) => unreachable!("a run without bounds gets one in images"),
    };
    let template = format!("{{bar:32}} {{human_pos}}/{{human_len}} {unit}, {{msg}}, {{eta}} left");
    progress_bar(length, &template).with_message("starting")
}

fn show(bar: &ProgressBar, campaign: &Campaign, progress: Progress<'_>) {
    let tally = progress.tally;
    bar.set_position(match (campaign.images, campaign.seeds) {
        (Some(_), _) => tally.images_checked,
        (None, Some(_)) => tally.seeds,
        (None, None) => progress.elapsed.as_secs(),
    });
    let rate = report::number(report::rate(tally.images_checked, progress.elapsed));
    bar.set_message(match tally.violations.len() {
        0 => format!("{rate} images/s"),
        count => format!("{rate} images/s, {count} violations"),
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::PATIENCE;
    use crate::disk::Filesystem;
    use crate::record::Parts;

    #[test]
    fn part_ends_with_its_share_of_the_time_or_with_the_run() {
        let never = AtomicBool::new(false);
        let spins = |stop: &AtomicBool| {
            let start = Instant::now();
            while !stop.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
            start.elapsed()
        };
        let limit = Duration::from_secs(2);
        let share = limit * PART_TIME_PERCENT / 100;
        let took = until(Some(limit), &never, spins);
        assert!(took >= share - TICK && took < limit * 5, "{took:?}");
        let took = until(Some(limit * 1000), &AtomicBool::new(true), spins);
        assert!(took < limit * 5, "{took:?}");
        assert_eq!(until(None, &never, |_| 7), 7);
        // One that was cancelled before it began does nothing.
        let stopped_at_once = |stop: &AtomicBool| stop.load(Ordering::Relaxed);
        assert!(until(Some(limit), &AtomicBool::new(true), stopped_at_once));
    }

    #[test]
    fn part_that_its_time_has_cut_is_told_from_one_that_was_cancelled() {
        let (never, cancel) = (AtomicBool::new(false), AtomicBool::new(true));
        assert_eq!(stopped(false, &never), (false, false));
        assert_eq!(stopped(true, &never), (false, true));
        assert_eq!(stopped(true, &cancel), (true, false));
        assert_eq!(stopped(false, &cancel), (true, false), "at its last item");
        assert_eq!((percent(250, 12), percent(u64::MAX, 12)), (30, u64::MAX / 100 * 12 + 1));
    }

    /// A run that is gone on with does no part twice, and has that much less time.
    #[test]
    fn part_that_is_done_is_not_done_again() {
        let (never, limit) = (AtomicBool::new(false), Duration::from_secs(60));
        let campaign = Campaign {
            seed: 1,
            seeds: None,
            images: None,
            limit: Some(limit),
            which: Which::All,
            filesystem: Filesystem::Posix,
            jobs: 1,
            shard: (0, 1),
            patience: PATIENCE,
            system: Arc::new(Engine),
        };
        let bounds = Bounds {
            seed: 1,
            seed_of: None,
            seeds: None,
            images: None,
            minutes: Some(1),
            until_met: false,
            which: Which::All,
            parts: Parts { sweep: true, damage: true, swarm: true },
            medium: Filesystem::Posix.name().to_owned(),
        };
        let elapsed = limit / 3;
        let mut state = State::new("", "", bounds.clone(), Shards::one((0, 1)));
        state.swept = Some(sweep::Report { runs: 7, elapsed, ..sweep::Report::default() });
        state.hurt = Some(damage::Report { elapsed, ..damage::Report::default() });
        state.swarmed = Some(swarm::Report { runs: 8, elapsed, ..swarm::Report::default() });
        let (program, kept, keep_every) = (String::new(), None, Duration::ZERO);
        let (is_told, quiet, cancel) = (false, true, &never);
        let stages =
            Stages { campaign, bounds, program, state, kept, keep_every, is_told, quiet, cancel };
        let done = stages.carry_out();
        assert_eq!(done.swept.map(|part| part.runs), Some(7));
        assert_eq!(done.hurt.map(|part| part.counts.cases), Some(0));
        assert_eq!(done.swarmed.map(|part| part.runs), Some(8));
        assert_eq!(done.done.end, End::Time, "the parts took all of it");
    }

    #[test]
    fn few_seeds_or_images_damage_few_stores() {
        let seeds =
            |images, seeds| seeds_of(images, seeds, IMAGES_PER_DAMAGED_SEED, DAMAGED_SEEDS_MAX);
        assert_eq!(seeds(None, Some(5)), 5);
        assert_eq!(seeds(Some(16_000), None), 10);
        assert_eq!((seeds(Some(1), None), seeds(None, None)), (1, 600));
        assert_eq!(seeds(None, Some(1_000_000)), 600);
    }
}
