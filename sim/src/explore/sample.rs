//! A sample of the images of one forward run with faults in it.
//!
//! **Place.** The sweep asks for it, tens of thousands of times: what a fault left behind shows when
//! power is lost after it.
//!
//! - P1. The end of the run is always looked at, under several policies; of the points from the
//!   fault on, as many as are asked for.
//! - P2. Crashes of the recoveries are left to the campaign.

use super::{Calls, Expect, Explorer, Image, Images, Way, forward_images};
use crate::address::Address;
use crate::checker::Invariant;
use crate::disk::Policy;
use crate::forward::{Forward, Point};
use crate::history::History;
use crate::system::System;
use crate::tally::{Tally, Violation};
use crate::watch::Watch;

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

/// What a run came to that panicked outside the store: a fault of the simulator.
pub fn panicked(seed: u64, panic: String) -> Tally {
    let violation = Violation {
        address: Address::run(seed),
        invariant: Invariant::Answers,
        expected: "no panic of the simulator".to_string(),
        found: panic,
        trace: Vec::new(),
    };
    Tally { seeds: 1, violations: vec![violation], ..Tally::default() }
}

impl Explorer<'_> {
    fn look_behind_the_fault(&mut self, forward: &Forward, points: usize) {
        let run = Address::run(self.history.seed);
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

    fn look_at(&mut self, forward: &Forward, place: usize, number: u64) {
        let point = &forward.points[place];
        let (state, window, calls) = forward.at(point);
        let calls = Calls::Forward(&forward.calls[..calls]);
        let way = Way { before: None, calls, image: None };
        let images = match point {
            Point::Inside(_) => forward_images(self.history, forward, point),
            _ => Images::of(state, false),
        };
        let address = Address::run(self.history.seed).below(place as u64, number);
        let number = if images.are_exhaustive() { 0 } else { number };
        if let Some(image) = images.get(number, address) {
            self.examine(&way, &image, Expect::Window(window), address);
        }
    }
}
