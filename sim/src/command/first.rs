//! The first violation of a planted bug that can be made small.
//!
//! **Place.** `shrink --mutant` without an address begins here. It looks where `mutants` does: in swarms
//! where only tasks show the bug; else in a campaign, in the sweep, and in a longer campaign.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::sweep::default_bounds;
use super::{Refusal, jobs_or_cores};
use crate::address::Address;
use crate::campaign::{Campaign, PATIENCE, Which};
use crate::disk::Filesystem;
use crate::planted::Bug;
use crate::report;
use crate::swarm;
use crate::sweep::{self, Case};
use crate::system::System;

/// How many images of campaigns are looked at.
const IMAGES: u64 = 400_000;

/// How many of them before the sweep has its turn.
const IMAGES_BEFORE_SWEEP: u64 = 60_000;

/// Seeds whose tasks meet.
const SWARM_SEEDS: u64 = 200;

/// Where it is.
pub(super) enum First {
    /// An image, or the run of a swarm.
    Address(Address),
    /// A case of the sweep.
    Case(Case),
}

/// Looks for it in a wrong engine, which has a planted bug of this name.
///
/// # Errors
/// Only damage shows the bug, nothing was found, or it was cancelled.
pub(super) fn violation(
    name: &str,
    system: &Arc<dyn System>,
    cancel: &AtomicBool,
) -> Result<First, Refusal> {
    let bug = Bug::PLANTED.iter().find(|bug| bug.name() == name);
    if bug.is_some_and(Bug::is_of_damage) {
        let why = format!(
            "{name} shows in damaged stores only, and damage is not made smaller: `mutants --only \
             {name}` says where it is found"
        );
        return Err(Refusal(why, 2));
    }
    let found = match bug.is_some_and(Bug::is_of_tasks) {
        true => of_tasks(&**system, cancel),
        false => {
            let encrypted = bug.is_some_and(Bug::is_of_encryption);
            let which = if encrypted { Which::Encrypted } else { Which::All };
            of_crashes(system, which, cancel)
        }
    };
    if let Some(first) = found {
        return Ok(first);
    }
    if cancel.load(Ordering::Relaxed) {
        return Err(Refusal("cancelled before the bug was found".to_owned(), 130));
    }
    let images = report::number(IMAGES);
    let why = format!(
        "{name} is not found in {images} images and the sweep, but for where leader and follower meet, \
         which is not made smaller: give an address that `mutants --only {name}` prints"
    );
    Err(Refusal(why, 1))
}

fn of_tasks(system: &dyn System, cancel: &AtomicBool) -> Option<First> {
    let jobs = jobs_or_cores(None);
    let bounds = swarm::Bounds { seed: 1, seeds: SWARM_SEEDS, jobs, shard: (0, 1), alone: false };
    let done = swarm::run(system, &bounds, cancel)?;
    done.violations.first().map(|(violation, _)| First::Address(violation.address))
}

fn of_crashes(system: &Arc<dyn System>, which: Which, cancel: &AtomicBool) -> Option<First> {
    let mut looked = Looked { which, seed: 1, images: 0 };
    if let Some(address) = looked.in_campaigns(system, IMAGES_BEFORE_SWEEP, cancel) {
        return Some(First::Address(address));
    }
    let done = sweep::sweep(&**system, &default_bounds(jobs_or_cores(None), (0, 1)), cancel);
    if let Some((case, _)) = done.violations.first() {
        return Some(First::Case(case.clone()));
    }
    looked.in_campaigns(system, IMAGES, cancel).map(First::Address)
}

/// What was looked at so far.
struct Looked {
    which: Which,
    /// The first seed that was not.
    seed: u64,
    images: u64,
}

impl Looked {
    /// Looks on until so many images were looked at in all. What leader and follower come to is passed
    /// over: their histories are not made smaller.
    fn in_campaigns(
        &mut self,
        system: &Arc<dyn System>,
        images_max: u64,
        cancel: &AtomicBool,
    ) -> Option<Address> {
        while self.images < images_max && !cancel.load(Ordering::Relaxed) {
            let campaign = Campaign {
                seed: self.seed,
                seeds: None,
                images: Some(images_max - self.images),
                limit: None,
                which: self.which,
                filesystem: Filesystem::Posix,
                jobs: jobs_or_cores(None),
                shard: (0, 1),
                patience: PATIENCE,
                system: system.clone(),
            };
            let enough = AtomicBool::new(false);
            let done = campaign.run(
                &mut |progress| {
                    let mut violations = progress.tally.violations.iter();
                    let found = violations.any(|violation| !violation.address.is_replica());
                    enough.store(found || cancel.load(Ordering::Relaxed), Ordering::Relaxed);
                },
                &enough,
            );
            let tally = done.tally;
            let mut addresses = tally.violations.iter().map(|violation| violation.address);
            if let Some(address) = addresses.find(|address| !address.is_replica()) {
                return Some(address);
            }
            let seeds = tally.seeds + tally.seeds_left_out;
            if seeds == 0 {
                break;
            }
            self.seed += seeds;
            self.images += tally.images_checked;
        }
        None
    }
}
