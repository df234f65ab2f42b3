//! A sample of the images of one forward run.
//!
//! **Place.** The sweep asks for it, tens of thousands of times: what a fault left behind shows when
//! power is lost after it. The swarm asks for one of each of its runs.
//!
//! - P1. The end of the run is always looked at, under several policies; of the points from the
//!   fault on, as many as are asked for.
//! - P2. Crashes of the recoveries are left to the campaign.
//! - P3. A swarm's points are drawn from all of the run, a few images of each; crashes of recoveries are
//!   looked at as in a campaign.

use super::{Calls, Expect, Explorer, Image, Images, Way, forward_images};
use crate::address::Address;
use crate::disk::Policy;
use crate::forward::{Forward, Point};
use crate::history::History;
use crate::system::System;
use crate::tally::{Tally, Violation};
use crate::watch::Watch;

/// Images of a swarm's point, where there is much to choose.
const IMAGES_OF_A_POINT: u64 = 3;

/// How the end of a run is looked at.
const AT_THE_END: [Policy; 2] = [Policy::Nothing, Policy::Random];

/// Looks at the end of a run, and at some of the points behind its first fault (P1). What the run
/// itself found is taken over.
pub fn sample(
    system: &dyn System,
    history: &History,
    forward: &Forward,
    points: usize,
    watch: &Watch,
) -> Tally {
    let mut explorer = Explorer::new(system, history, watch, false);
    explorer.nests = false;
    explorer.take_run(forward);
    if explorer.tally.violations.is_empty() {
        explorer.look_behind_the_fault(forward, points);
    }
    explorer.tally
}

/// Looks at about so many images at points all over a run that has this address (P3). What the run itself
/// found is taken over.
pub fn crashes(
    system: &dyn System,
    history: &History,
    forward: &Forward,
    root: Address,
    images: u64,
    watch: &Watch,
) -> Tally {
    let mut explorer = Explorer::new(system, history, watch, false);
    explorer.root = root;
    explorer.take_run(forward);
    // What that loses cannot be mended through the seam.
    if forward.parent_lost {
        explorer.tally.violations.clear();
    } else if explorer.tally.violations.is_empty() {
        explorer.look_anywhere(forward, images);
    }
    explorer.tally
}

/// What a run came to that panicked outside the store: a fault of the simulator.
pub fn panicked(seed: u64, panic: String) -> Tally {
    let violation = Violation::of_ours(Address::run(seed), panic);
    Tally { seeds: 1, violations: vec![violation], ..Tally::default() }
}

impl Explorer<'_> {
    fn look_behind_the_fault(&mut self, forward: &Forward, points: usize) {
        let run = self.history.address();
        let Some((end, _)) = forward.points.iter().enumerate().next_back() else { return };
        let mut stream = run.below(end as u64, 0).stream(7);
        for (number, policy) in AT_THE_END.into_iter().enumerate() {
            let point = &forward.points[end];
            let (state, window, calls) = forward.at(point);
            let calls = Calls::Forward(&forward.calls[..calls]);
            let way = Way { before: None, calls, image: None };
            let image = Image::loss(state, policy, &mut stream);
            let address = run.below(end as u64, number as u64);
            self.examine(&way, &image, Expect::Window(window), address);
        }
        let first = forward.first_struck.unwrap_or(0);
        let behind = |point: &Point| match point {
            Point::Before(call) | Point::Inside(call) => *call >= first,
            Point::End { calls, .. } => *calls >= first,
        };
        let start = forward.points.iter().position(behind).unwrap_or(end);
        for _ in 0..points {
            let place = start + stream.index(end + 1 - start);
            self.look_at(forward, place, stream.below(8));
            if self.gives_up() {
                return;
            }
        }
    }

    fn look_anywhere(&mut self, forward: &Forward, images: u64) {
        let mut stream = self.root.stream(0x616e_7977);
        for _ in 0..images {
            let place = stream.index(forward.points.len());
            let Some(point) = forward.points.get(place) else { return };
            let (_, window, calls) = forward.at(point);
            let calls = Calls::Forward(&forward.calls[..calls]);
            let way = Way { before: None, calls, image: None };
            let of_point = forward_images(self.history, forward, point);
            let address = self.root;
            self.point(&way, &of_point, IMAGES_OF_A_POINT, window, address, place as u64);
            if self.tally.images_checked >= images || self.gives_up() {
                return;
            }
        }
    }

    fn look_at(&mut self, forward: &Forward, place: usize, number: u64) {
        let point = &forward.points[place];
        let (state, window, calls) = forward.at(point);
        let calls = Calls::Forward(&forward.calls[..calls]);
        let way = Way { before: None, calls, image: None };
        let images = match point {
            Point::Inside(_) => forward_images(self.history, forward, point),
            _ => Images::of(state, false),
        };
        let address = self.history.address().below(place as u64, number);
        let number = if images.are_exhaustive() { 0 } else { number };
        if let Some(image) = images.get(number, address) {
            self.examine(&way, &image, Expect::Window(window), address);
        }
    }
}
