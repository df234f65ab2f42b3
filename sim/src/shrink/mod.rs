//! The shrinker: a violation made as small as it will go.
//!
//! **Place.** Behind `quiver-sim shrink`. It starts from an address or from a reproducer, and ends
//! with a reproducer that was played from its own file.
//!
//! - Z1. **What counts.** A candidate counts only if playing it violates the same invariant, by a
//!   panic if it was a panic and without one if it was not. Another violation, or none, is a failure,
//!   and so is a candidate whose words do not fit its run. As in a campaign, a finding of the run
//!   itself comes before whatever a crash would show: it is that one that counts then.
//! - Z2. **What is made smaller**, in this order and again until nothing changes: the operations, by
//!   leaving some out and by one in the place of several; the faults, the crashes, the contents of
//!   operations, names, dimensions, settings and dice; and then what survives, from nothing and from
//!   everything, whichever takes fewer words.
//! - Z3. A candidate that lost operations is also tried with the plainest crashes, and then by a hunt
//!   through its own points: what the operations left out is often just the place of the crash.
//! - Z4. The result is a function of the start and the budget in runs. A bound in time and a
//!   cancellation end it earlier, with what was reached.
//! - Z5. Nothing is told of a file that was not read back and played (peers printed plans that did not
//!   reproduce).
//! - Z6. A candidate at which a store hangs or the simulator panics does not count either, and takes
//!   nothing along of what was reached: it is played on a thread of its own (`player`). A start that hangs
//!   does not reproduce.
//!
//! The order and the halving are those of delta debugging (Zeller and Hildebrandt, "Simplifying and
//! Isolating Failure-Inducing Input", 2002).

mod contents;
mod crashes;
mod operations;
mod output;
mod pin;
mod player;
mod shape;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::campaign::PATIENCE;
use crate::digest;
use crate::disk::{Base, Survivors};
use crate::explore::chain::{self, At, Crash, Deed, End, Met, Played, Then};
use crate::history::Shape;
use crate::repro::{Reproducer, Violates};
use crate::system::System;
use crate::tally::Violation;
use crate::watch::Watch;
use player::Player;

pub(crate) use output::beside;
pub use output::{Written, rust_test, write};
pub use pin::{of_address, of_case, of_sequence};

/// How many images one hunt looks at (Z3).
const HUNT_IMAGES: u64 = 1500;

/// The same where one image takes many times as long: each has every further recovery made of it, and a
/// hunt of hundreds of rows took minutes.
const HUNT_IMAGES_OF_LARGE: u64 = 150;

/// Hunts in a row without a catch, after which there are no more.
const HUNTS_IN_VAIN_MAX: u32 = 24;

/// As many images of a hunt cost about as much as a run.
const IMAGES_PER_RUN: u64 = 50;

/// Why nothing is shrunk.
const NOT_REPRODUCED: &str = "it does not reproduce, at no point of its history: if it is mended, \
                              its status is `fixed`; else play it with the program that found it";

/// Why nothing is shrunk, the other way.
const NO_TIME: &str = "it was ended before the violation was seen once: give it more time or runs";

/// How much may be tried.
#[derive(Clone, Copy, Debug)]
pub struct Budget<'a> {
    /// How many candidates are played at most.
    pub runs: u64,
    /// For how long at most; the result then depends on the machine.
    pub limit: Option<Duration>,
    /// How long a candidate may give no sign of life before it counts as hanging (Z6).
    pub patience: Duration,
    /// What ends it, without waiting for the end of the candidate of that moment.
    pub cancel: Option<&'a AtomicBool>,
}

impl Budget<'_> {
    /// Whether there is no time for the candidate of this moment any more, whatever runs are left.
    fn is_up(&self, start: Instant) -> bool {
        let late = self.limit.is_some_and(|limit| start.elapsed() >= limit);
        late || self.cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed))
    }
}

impl Default for Budget<'_> {
    fn default() -> Self {
        Self { runs: 20_000, limit: None, patience: PATIENCE, cancel: None }
    }
}

/// How large a reproducer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Operations.
    pub operations: usize,
    /// Changes, creations and drops in them.
    pub requests: usize,
    /// Faults.
    pub faults: usize,
    /// Crashes, and losses of power after the last recovery.
    pub crashes: usize,
    /// Exceptions from nothing or everything, in all losses of power.
    pub survivors: usize,
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { operations, requests, faults, crashes, survivors } = self;
        write!(
            f,
            "{operations} operations with {requests} requests, {faults} faults, {crashes} crashes \
             with {survivors} exceptions in what survives"
        )
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The smallest that was found.
    pub file: Reproducer,
    /// How many runs it took.
    pub runs: u64,
    /// Whether nothing smaller is left to try, or else the budget was used up.
    pub finished: bool,
}

/// A shrinking under way.
struct Shrinker<'a> {
    system: Arc<dyn System>,
    player: Player,
    best: Reproducer,
    /// Whether the violation was seen. Until then there is nothing that could be kept, and no play is cut.
    is_shown: bool,
    tried: BTreeSet<u64>,
    hunted: BTreeSet<u64>,
    runs: u64,
    hunts_in_vain: u32,
    budget: Budget<'a>,
    start: Instant,
    told: &'a mut dyn FnMut(Size, u64),
}

/// Makes a reproducer smaller, and tells about progress. It has to reproduce on this system.
///
/// # Errors
/// It does not reproduce, and neither does its history at any other point.
pub fn shrink(
    system: &Arc<dyn System>,
    file: Reproducer,
    budget: Budget<'_>,
    told: &mut dyn FnMut(Size, u64),
) -> Result<Shrunk, String> {
    let mut shrinker = Shrinker::new(system.clone(), file.clone(), budget, told);
    if !shrinker.attempt_and_hunt(file) {
        let why = if shrinker.is_over() { NO_TIME } else { NOT_REPRODUCED };
        return Err(why.to_owned());
    }
    let finished = shrinker.run_passes();
    Ok(Shrunk { file: shrinker.best, runs: shrinker.runs, finished })
}

impl<'a> Shrinker<'a> {
    fn new(
        system: Arc<dyn System>,
        best: Reproducer,
        budget: Budget<'a>,
        told: &'a mut dyn FnMut(Size, u64),
    ) -> Self {
        Self {
            system,
            player: Player::new(budget.patience),
            best,
            is_shown: false,
            tried: BTreeSet::new(),
            hunted: BTreeSet::new(),
            runs: 0,
            hunts_in_vain: 0,
            budget,
            start: Instant::now(),
            told,
        }
    }

    /// Makes every pass until none changes anything (Z2); whether the budget allowed it.
    fn run_passes(&mut self) -> bool {
        loop {
            let before = self.best.text();
            let passes = [
                Self::keep_the_last,
                Self::drop_operations,
                Self::join_operations,
                Self::drop_faults,
                Self::plainer_crashes,
                Self::plainer_contents,
                Self::plainer_shape,
                Self::fewer_survivors,
            ];
            for pass in passes {
                if self.is_over() {
                    return false;
                }
                self.hunts_in_vain = 0;
                pass(self);
            }
            if self.is_over() {
                return false;
            }
            if self.best.text() == before {
                return true;
            }
        }
    }

    fn is_over(&self) -> bool {
        self.runs >= self.budget.runs || self.budget.is_up(self.start)
    }

    /// Does something with the store; nothing if that does not come to its end (Z6).
    fn aside<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&dyn System, &Watch) -> T + Send + 'static,
    ) -> Option<T> {
        let (system, budget, start) = (self.system.clone(), self.budget, self.start);
        let may_cut = self.is_shown;
        let is_over = || may_cut && budget.is_up(start);
        self.player.play(is_over, move |watch| work(&*system, watch))
    }

    fn play(&mut self, file: Reproducer) -> Option<Played> {
        self.aside(move |system, watch| file.play_watched(system, watch))
    }

    /// What is met on the way of the best one, once more.
    fn met_by_the_best(&mut self) -> Option<Met> {
        self.play(self.best.clone()).map(|played| played.met)
    }

    /// Plays a candidate that was not played before.
    fn try_out(&mut self, candidate: &Reproducer) -> Option<Played> {
        if self.is_over() || !self.tried.insert(digest::name_key(&candidate.text())) {
            return None;
        }
        self.runs += 1;
        // A history that no generator draws may be one that the simulator itself is not made for.
        self.play(candidate.clone())
    }

    /// Whether a candidate counts (Z1); if so it is the best one now.
    fn attempt(&mut self, candidate: Reproducer) -> bool {
        let Some(played) = self.try_out(&candidate) else { return false };
        let counts = played.met.astray.is_none() && candidate.shown(&played).is_some();
        if counts {
            self.adopt(candidate);
        }
        counts
    }

    fn adopt(&mut self, candidate: Reproducer) {
        self.best = candidate;
        self.is_shown = true;
        (self.told)(Size::of(&self.best), self.runs);
    }

    /// The same, for a candidate that lost operations (Z3).
    fn attempt_loosely(&mut self, candidate: Reproducer) -> bool {
        if self.attempt(candidate.clone()) {
            return true;
        }
        let mut plainer = candidate.clone();
        for loss in plainer.history.luck.iter_mut().filter_map(|luck| luck.loss.as_mut()) {
            loss.exceptions.clear();
        }
        if self.attempt(plainer) {
            return true;
        }
        let plain = [
            End::Loss(Survivors::of(Base::Nothing)),
            End::Loss(Survivors::of(Base::Everything)),
            End::Kill,
        ];
        if !candidate.chain.crashes.is_empty() {
            for end in plain {
                let mut moved = candidate.clone();
                moved.chain.crashes = vec![Crash { at: At::After, end }];
                if self.attempt(moved) {
                    return true;
                }
            }
        }
        false
    }

    /// The same, with a hunt where that fails.
    fn attempt_and_hunt(&mut self, candidate: Reproducer) -> bool {
        if candidate.text() == self.best.text() && self.runs > 0 {
            return false;
        }
        if self.attempt_loosely(candidate.clone()) {
            return true;
        }
        // A long run is made for what piles up, and each of its images takes as long as it does.
        let long = candidate.history.shape == Shape::Churn;
        if long || self.is_over() || self.hunts_in_vain >= HUNTS_IN_VAIN_MAX {
            return false;
        }
        // The dice and the crashes of a candidate are nothing to a hunt.
        let mut bare = candidate.clone();
        bare.chain = chain::Chain::default();
        if !self.hunted.insert(digest::name_key(&bare.text())) {
            return false;
        }
        let wanted = candidate.violates;
        let history = candidate.history.clone();
        let nested = candidate.chain.crashes.len() > 1;
        let hunted = self.aside(move |system, watch| {
            let wanted = |violation: &Violation| Violates::of(violation) == wanted;
            let images = match history.shape {
                Shape::Small => HUNT_IMAGES,
                Shape::Many | Shape::Wide | Shape::Churn => HUNT_IMAGES_OF_LARGE,
            };
            let hunt = chain::hunt(system, &history, nested, images, &wanted, watch);
            let pin = |violation| pin::pin(system, &history, &violation, None, watch);
            (hunt.found.map(pin).and_then(Result::ok), hunt.images)
        });
        let (pinned, images) = hunted.unwrap_or_default();
        self.runs += 1 + images / IMAGES_PER_RUN;
        self.hunts_in_vain += 1;
        let Some(mut pinned) = pinned else { return false };
        // A read that the history says is plainer than one that is drawn after a recovery.
        let drawn = |then: &Then| matches!(then.deed, Deed::LookUp | Deed::Everything);
        if candidate.chain.crashes.is_empty() && pinned.chain.then.as_ref().is_some_and(drawn) {
            return false;
        }
        pinned.status = candidate.status;
        pinned.shrinks_to = candidate.shrinks_to;
        pinned.remarks = candidate.remarks;
        self.hunts_in_vain = 0;
        self.adopt(pinned);
        true
    }
}

impl Size {
    /// The size of a reproducer.
    pub fn of(file: &Reproducer) -> Self {
        let Reproducer { history, chain, .. } = file;
        let faults = history.operations.iter().map(|operation| operation.faults.len());
        let struck = history.opening.len() + history.strikes.len();
        let losses = history.luck.iter().filter_map(|luck| luck.loss.as_ref());
        let ends = chain.crashes.iter().filter_map(|crash| match &crash.end {
            End::Loss(loss) => Some(loss),
            End::Kill => None,
        });
        let last = chain.then.as_ref().and_then(|then| then.loss.as_ref());
        let survivors = losses.chain(ends).chain(last).map(|loss| loss.exceptions.len());
        Self {
            operations: history.operations.len(),
            requests: history.operations.iter().map(contents::requests).sum(),
            faults: struck + faults.sum::<usize>(),
            crashes: chain.crashes.len() + usize::from(last.is_some()),
            survivors: survivors.sum(),
        }
    }
}
