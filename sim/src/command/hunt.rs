//! Looking for a wrong engine, on the ground where it can be seen.
//!
//! **Place.** Under `mutants`, which counts the images until it is found, and `shrink --mutant`, which wants
//! what can be made small.
//!
//! - H1. Crashes are looked for as the default run does: in a campaign, and in the sweep, which puts faults
//!   where a campaign rarely draws them; then in a longer campaign, which goes on behind the first.
//! - H2. A violation that is not wanted is passed over, and the campaign goes on behind its seed, if it
//!   came so far.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::place::Place;
use super::sweep::default_bounds;
use crate::campaign::{Campaign, Course, PATIENCE, Report, Which};
use crate::checker::Invariant;
use crate::damage;
use crate::disk::Filesystem;
use crate::planted::Bug;
use crate::swarm;
use crate::sweep;
use crate::system::System;
use crate::tally::{Tally, Violation};

/// How many times as long an image of an encrypted store takes.
const ENCRYPTED_TAKES: u64 = 5;

/// How many images a campaign checks before the sweep has its turn, which takes about as long as half a
/// million; of encrypted stores half as many.
const IMAGES_BEFORE_SWEEP: u64 = 100_000;

/// Seeds whose stores are damaged for each bug that only damage shows.
const DAMAGED_SEEDS: u64 = 100;

/// Seeds whose tasks meet for each bug that only they show.
const SWARM_SEEDS: u64 = 200;

/// How many images a wrong engine may take, if nothing else is said.
pub(super) const IMAGES_MAX: u64 = 1_500_000;

/// Where a wrong engine is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ground {
    /// In a campaign and the sweep.
    Crashes(Which),
    /// In stores that are damaged.
    Damage,
    /// In swarms.
    Tasks,
}

pub(super) const GROUNDS: [(&str, Ground); 4] = [
    ("plain", Ground::Crashes(Which::Plain)),
    ("encrypted", Ground::Crashes(Which::Encrypted)),
    ("damage", Ground::Damage),
    ("tasks", Ground::Tasks),
];

/// The ground of a name.
pub(super) fn ground(name: &str) -> Result<Ground, String> {
    let found = GROUNDS.iter().find(|(known, _)| *known == name);
    found.map(|(_, ground)| *ground).ok_or_else(|| format!("there is no ground {name}"))
}

impl Ground {
    /// That of a planted bug.
    pub(super) fn of(bug: &Bug) -> Self {
        match (bug.is_of_tasks(), bug.is_of_damage(), bug.is_of_encryption()) {
            (true, ..) => Self::Tasks,
            (_, true, _) => Self::Damage,
            (.., true) => Self::Crashes(Which::Encrypted),
            _ => Self::Crashes(Which::Plain),
        }
    }
}

/// How long a campaign is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bound {
    Seeds(u64),
    Images(u64),
}

/// A hunt under way.
pub(super) struct Hunt<'a> {
    pub(super) system: Arc<dyn System>,
    /// The first seed that was not looked at.
    pub(super) seed: u64,
    pub(super) jobs: usize,
    /// How many images there may be in all; of encrypted stores, which take longer, fewer.
    pub(super) images_max: u64,
    /// How many there were.
    pub(super) images: u64,
    /// Which violations are wanted (H2).
    pub(super) is_wanted: fn(&Violation) -> bool,
    pub(super) cancel: &'a AtomicBool,
}

impl Hunt<'_> {
    /// Looks on a ground for what is violated first.
    pub(super) fn on(&mut self, ground: Ground) -> Option<(Invariant, Place)> {
        match ground {
            Ground::Tasks => self.in_swarms(),
            Ground::Damage => self.in_damage(),
            Ground::Crashes(which) => self.in_crashes(which),
        }
    }

    /// H1.
    fn in_crashes(&mut self, which: Which) -> Option<(Invariant, Place)> {
        let (images_max, before_sweep) = match which {
            Which::Encrypted => (self.images_max / ENCRYPTED_TAKES, IMAGES_BEFORE_SWEEP / 2),
            Which::All | Which::Plain => (self.images_max, IMAGES_BEFORE_SWEEP),
        };
        let found = self.in_campaigns(which, images_max.min(before_sweep));
        let found = found.or_else(|| (self.images < images_max).then(|| self.in_sweep())?);
        found.or_else(|| self.in_campaigns(which, images_max))
    }

    /// Looks on until there were so many images in all.
    fn in_campaigns(&mut self, which: Which, images_max: u64) -> Option<(Invariant, Place)> {
        while self.images < images_max && !self.is_cancelled() {
            let is_wanted = self.is_wanted;
            let Report { tally, .. } =
                self.campaign(which, Bound::Images(images_max - self.images));
            self.images += tally.images_checked + tally.replica_images();
            if let Some(first) = tally.violations.iter().find(|one| is_wanted(one)) {
                return Some((first.invariant, Place::Address(first.address)));
            }
            let seeds = tally.seeds + tally.seeds_left_out;
            if seeds == 0 {
                break;
            }
            self.seed += seeds;
        }
        None
    }

    /// A campaign that ends with the seed of the first violation that is wanted.
    pub(super) fn campaign(&self, which: Which, bound: Bound) -> Report {
        let (seeds, images) = match bound {
            Bound::Seeds(seeds) => (Some(seeds), None),
            Bound::Images(images) => (None, Some(images)),
        };
        let campaign = Campaign {
            seed: self.seed,
            seeds,
            images,
            limit: None,
            which,
            filesystem: Filesystem::Posix,
            jobs: self.jobs,
            shard: (0, 1),
            patience: PATIENCE,
            system: self.system.clone(),
        };
        let found = |tally: &Tally| tally.violations.iter().any(self.is_wanted);
        let course = Course { enough: Some(&found), ..Course::default() };
        campaign.run_on(course, &mut |_| {}, self.cancel)
    }

    fn in_sweep(&mut self) -> Option<(Invariant, Place)> {
        let bounds = default_bounds(self.jobs, (0, 1));
        let done = sweep::sweep(self.system.clone(), &bounds, self.cancel);
        self.images += done.tally.images_checked;
        let mut wanted = done.violations.into_iter().filter(|(_, one)| (self.is_wanted)(one));
        let (case, violation) = wanted.next()?;
        Some((violation.invariant, Place::Swept(case)))
    }

    fn in_swarms(&mut self) -> Option<(Invariant, Place)> {
        let (seed, seeds, jobs) = (self.seed, SWARM_SEEDS, self.jobs);
        let (shard, patience) = ((0, 1), PATIENCE);
        let bounds = swarm::Bounds { seed, seeds, jobs, shard, alone: false, patience };
        let done = swarm::run(self.system.clone(), &bounds, self.cancel)?;
        self.images += done.tally.images_checked;
        let (first, _) = done.violations.iter().find(|(one, _)| (self.is_wanted)(one))?;
        Some((first.invariant, Place::Address(first.address)))
    }

    /// A known number of cases.
    fn in_damage(&mut self) -> Option<(Invariant, Place)> {
        let (seed, seeds, jobs) = (self.seed, DAMAGED_SEEDS, self.jobs);
        let (shard, violations_max, patience) = ((0, 1), 1, PATIENCE);
        let bounds = damage::Bounds { seed, seeds, jobs, shard, violations_max, patience };
        let done = damage::run(self.system.clone(), &bounds, self.cancel);
        self.images += done.counts.images;
        let first = done.violations.into_iter().next()?;
        Some((first.finding.invariant, Place::Damaged(first.case)))
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planted::Planted;

    static NEVER: AtomicBool = AtomicBool::new(false);

    fn hunt(bug: Bug, is_wanted: fn(&Violation) -> bool) -> Hunt<'static> {
        let system = Arc::new(Planted::new(bug));
        Hunt { system, seed: 1, jobs: 2, images_max: 20_000, images: 0, is_wanted, cancel: &NEVER }
    }

    #[test]
    fn bug_is_found_on_its_ground() {
        let bug = Bug::AcknowledgedBeforeSync;
        let mut one = hunt(bug.clone(), |_| true);
        let (_, place) = one.on(Ground::of(&bug)).expect("it is found");
        assert!(matches!(place, Place::Address(_)) && one.images > 0, "{place}");
    }

    #[test]
    fn what_is_not_wanted_is_passed_over_and_what_is_behind_it_found() {
        let first_of = |is_wanted| {
            let mut one = hunt(Bug::AcknowledgedBeforeSync, is_wanted);
            match one.on(Ground::Crashes(Which::Plain)) {
                Some((_, Place::Address(address))) => (address.seed, one.images),
                other => panic!("{other:?}"),
            }
        };
        let (first, images) = first_of(|_| true);
        // Seeds are looked at in their order, but many of them before anybody looks at what they came to.
        let (second, more_images) = first_of(|violation| violation.address.seed > 40);
        assert!(first <= 40 && second > 40, "{first} and {second}");
        assert!(more_images > images, "{images} and {more_images}");
    }

    #[test]
    fn engine_itself_takes_all_images_and_a_hunt_that_is_called_off_takes_none() {
        let mut one = hunt(Bug::None, |_| true);
        one.images_max = 3000;
        assert_eq!(one.on(Ground::Crashes(Which::Plain)), None);
        assert!(one.images >= 3000, "{}", one.images);
        let cancelled = AtomicBool::new(true);
        let mut one = Hunt { cancel: &cancelled, images: 0, ..one };
        assert_eq!((one.on(Ground::Crashes(Which::Plain)), one.images), (None, 0));
    }
}
