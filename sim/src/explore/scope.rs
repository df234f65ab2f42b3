//! Every legal image of the points of one operation, not a sample.
//!
//! **Place.** [`crate::exhaust`] asks for it, for each of its sequences.
//!
//! - O1. Of a point between two calls all legal images are looked at, counted over whole mutations and
//!   named tears, if they are at most as many as the caller allows; else so many of them, no two of them
//!   equal and spread over all, and the point counts as one at which that bound holds.
//! - O2. A crash inside a call leaves, once power is lost, what a crash before or behind it may leave. What
//!   differs is the page cache of a killed process, and a write that stopped within a sector: of those a
//!   few are drawn.
//! - O3. What an image recovers to is judged by I1 to I5 for every image. What is asked of a recovered
//!   store further (other recoveries, writes, lookups, verification) is asked of a share of them, or of
//!   each where the caller wants it thorough.

use std::collections::BTreeMap;

use super::{Calls, Explorer, Images, Way};
use crate::checker::Content;
use crate::forward::{Forward, Point};
use crate::history::History;
use crate::system::System;
use crate::tally::Tally;
use crate::watch::Watch;

/// Images inside of one call.
const IMAGES_INSIDE: u64 = 4;

/// How closely the points of a scope are looked at.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Points with more legal images than this have so many of them looked at (O1).
    pub images_max: u64,
    /// O3.
    pub thorough: bool,
}

/// The content that each image recovered to, by its key; for histories that share a seed.
pub type Seen = BTreeMap<u128, Content>;

/// How much of what is legal was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Points between two calls, or behind an operation.
    pub points: u64,
    /// Of them, how many with all legal images.
    pub points_whole: u64,
    /// Points inside a call.
    pub points_inside: u64,
    /// Legal images of the points between calls, duplicates included.
    pub legal: u128,
    /// Of them, how many were looked at.
    pub looked_at: u128,
    /// The most that one point had.
    pub legal_most: u128,
}

impl Coverage {
    /// Adds another.
    pub fn add(&mut self, other: &Self) {
        self.points += other.points;
        self.points_whole += other.points_whole;
        self.points_inside += other.points_inside;
        self.legal = self.legal.saturating_add(other.legal);
        self.looked_at = self.looked_at.saturating_add(other.looked_at);
        self.legal_most = self.legal_most.max(other.legal_most);
    }
}

/// Looks at all points of the last operation of a history; at those of the creation of the store, where
/// there is no operation. What the run itself found is taken over.
pub fn last_operation(
    system: &dyn System,
    history: &History,
    forward: &Forward,
    bounds: Bounds,
    watch: &Watch,
    seen: &mut Seen,
) -> (Tally, Coverage) {
    let mut explorer = Explorer::new(system, history, watch, false);
    explorer.take_run(forward);
    explorer.seen = std::mem::take(seen);
    explorer.thorough = bounds.thorough.then_some(false);
    let mut coverage = Coverage::default();
    if explorer.tally.violations.is_empty() {
        explorer.last_operation(forward, bounds.images_max, &mut coverage);
    }
    *seen = explorer.seen;
    (explorer.tally, coverage)
}

impl Explorer<'_> {
    fn last_operation(&mut self, forward: &Forward, images_max: u64, coverage: &mut Coverage) {
        let last = self.history.operations.len().checked_sub(1);
        let belongs = |call: usize| match last {
            Some(last) => call >= forward.opening_calls && forward.calls[call].operation == last,
            None => call < forward.opening_calls,
        };
        for (place, point) in forward.points.iter().enumerate() {
            let is_looked_at = match point {
                Point::Before(call) | Point::Inside(call) => belongs(*call),
                Point::End { operation, .. } => last.is_none_or(|last| *operation == last),
            };
            if !is_looked_at {
                continue;
            }
            let (state, window, calls) = forward.at(point);
            let calls = Calls::Forward(&forward.calls[..calls]);
            let way = Way { before: None, calls, image: None };
            let images = match point {
                Point::Inside(call) => Images::inside(&forward.calls[*call].step),
                _ => Images::up_to(state, images_max),
            };
            coverage.count(point, &images);
            let address = self.history.address();
            self.point(&way, &images, 2 * IMAGES_INSIDE, window, address, place as u64);
            if self.gives_up() {
                return;
            }
        }
    }
}

impl Coverage {
    fn count(&mut self, point: &Point, images: &Images<'_>) {
        if matches!(point, Point::Inside(_)) {
            self.points_inside += 1;
            return;
        }
        self.points += 1;
        self.points_whole += u64::from(images.are_exhaustive());
        // Where nothing is pending there is one image.
        let (legal, looked_at) = images.share().unwrap_or((1, 1));
        self.legal = self.legal.saturating_add(legal);
        self.looked_at = self.looked_at.saturating_add(looked_at.into());
        self.legal_most = self.legal_most.max(legal);
    }
}
