//! The stages of a run: its parts, then its campaigns, each kept in the state when it is done.
//!
//! - Campaigns are kept every few seconds too. A process that is killed loses what came after that, or
//!   the part that was under way.
//! - A state that cannot be written any more is told of once; the run goes on.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::sweep::default_bounds;
use crate::campaign::{Campaign, Course, End, Progress, Report, Which};
use crate::damage;
use crate::engine::Engine;
use crate::record::{Bounds, Leg, Record, Shards, State};
use crate::report;
use crate::swarm;
use crate::sweep;
use crate::tally::Tally;

/// How often the state of a campaign is kept.
const KEEP_EVERY: Duration = Duration::from_secs(2);

/// How many of a hundred images are of encrypted stores, and of a hundred minutes.
const ENCRYPTED_IMAGES_PERCENT: u64 = 12;
const ENCRYPTED_TIME_PERCENT: u32 = 18;

/// How many images stand for one seed whose stores are damaged, and how many seeds there are at most.
const IMAGES_PER_DAMAGED_SEED: u64 = 1600;
const DAMAGED_SEEDS_MAX: u64 = 600;

/// How many images stand for one seed of a swarm, and how many seeds there are at most.
const IMAGES_PER_SWARM_SEED: u64 = 4000;
const SWARM_SEEDS_MAX: u64 = 250;

/// A run under way.
pub(super) struct Stages<'a> {
    pub(super) campaign: Campaign,
    pub(super) bounds: Bounds,
    pub(super) state: State,
    /// Where the state is kept.
    pub(super) kept: Option<PathBuf>,
    pub(super) quiet: bool,
    pub(super) cancel: &'a AtomicBool,
}

impl Stages<'_> {
    /// Carries out what is not done yet.
    pub(super) fn carry_out(mut self) -> Record {
        self.parts();
        let done = self.campaigns();
        let Self { campaign, bounds, state, .. } = self;
        let State { swept, hurt, swarmed, .. } = state;
        let (engine_version, shards) =
            (campaign.system.version().to_owned(), Shards::one(campaign.shard));
        Record { engine_version, bounds, shards, done, swept, hurt, swarmed }
    }

    fn parts(&mut self) {
        let Campaign { seed, jobs, shard, images, seeds, .. } = self.campaign;
        let asked = self.bounds.parts;
        let cancel = self.cancel;
        if asked.sweep && self.state.swept.is_none() {
            let bounds = default_bounds(jobs, shard);
            self.state.swept = Some(sweep::sweep(&Engine, &bounds, cancel));
            self.keep();
        }
        if asked.damage && self.state.hurt.is_none() {
            let seeds = images.map_or(DAMAGED_SEEDS_MAX, damaged_seeds);
            let violations_max = damage::VIOLATIONS_MAX;
            let bounds = damage::Bounds { seed, seeds, jobs, shard, violations_max };
            self.state.hurt = Some(damage::run(&Engine, &bounds, cancel));
            self.keep();
        }
        if asked.swarm && self.state.swarmed.is_none() {
            let of_seeds = seeds.unwrap_or(SWARM_SEEDS_MAX).min(SWARM_SEEDS_MAX);
            let seeds = images.map_or(of_seeds, swarm_seeds);
            let bounds = swarm::Bounds { seed, seeds, jobs, shard, alone: false };
            let done = swarm::run(&Engine, &bounds, cancel);
            self.state.swarmed = Some(done.expect("it was asked whether it is there"));
            self.keep();
        }
    }

    /// Runs a campaign; one of all histories as one of the plain ones and one of the others, so that
    /// both have their share and their rate.
    fn campaigns(&mut self) -> Report {
        let campaign = self.campaign.clone();
        let moved = |tally: &Tally| tally.idle().is_empty();
        let met = self.bounds.until_met;
        if campaign.which != Which::All {
            return self.leg(0, &campaign, met.then_some(&moved));
        }
        let of_images = campaign.images.map(|images| images * ENCRYPTED_IMAGES_PERCENT / 100);
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
                course = Course { tally: Some(tally), next, elapsed, pace, met };
            }
            None => {}
        }
        let bar = progress_bar(campaign, self.quiet);
        let mut kept = Instant::now();
        let cancel = self.cancel;
        let mut told = |progress: Progress<'_>| {
            show(&bar, campaign, progress);
            if self.kept.is_some() && kept.elapsed() >= KEEP_EVERY {
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
        if let Err(error) = self.state.save(path) {
            let path = path.display();
            // Nobody is left to tell where the error channel is gone.
            let _ = writeln!(
                io::stderr(),
                "cannot write the state {path}: {error}; the run goes on without it"
            );
            self.kept = None;
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

/// How many seeds' stores are damaged for so many images.
fn damaged_seeds(images: u64) -> u64 {
    (images / IMAGES_PER_DAMAGED_SEED).clamp(1, DAMAGED_SEEDS_MAX)
}

/// How many seeds' tasks share a store for so many images.
fn swarm_seeds(images: u64) -> u64 {
    (images / IMAGES_PER_SWARM_SEED).clamp(1, SWARM_SEEDS_MAX)
}

fn progress_bar(campaign: &Campaign, quiet: bool) -> ProgressBar {
    if quiet || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (length, unit) = match (campaign.images, campaign.seeds, campaign.limit) {
        (Some(images), _, _) => (images, "images"),
        (_, Some(seeds), _) => (seeds, "seeds"),
        (_, _, Some(limit)) => (limit.as_secs(), "seconds"),
        (None, None, None) => unreachable!("a run without bounds gets one in images"),
    };
    let template = format!("{{bar:32}} {{human_pos}}/{{human_len}} {unit}, {{msg}}, {{eta}} left");
    let style = ProgressStyle::with_template(&template).expect("a constant template");
    ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr_with_hz(5))
        .with_style(style)
        .with_message("starting")
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
