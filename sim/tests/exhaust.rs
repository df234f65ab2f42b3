//! Sequences of operations in a small scope: the engine holds, wrong ones are found by short ones.

use std::sync::atomic::AtomicBool;

use quiver_sim::engine::Engine;
use quiver_sim::exhaust::{self, Bounds, ENCRYPTED, PLAIN, Report};
use quiver_sim::planted::{Bug, Planted};
use quiver_sim::report;
use quiver_sim::repro::Status;
use quiver_sim::shrink;
use quiver_sim::system::System;

fn exhausted(system: &dyn System, depth: usize, jobs: usize, shard: (u64, u64)) -> Report {
    let letters = PLAIN;
    let bounds = Bounds { depth, letters, encrypted: false, images_max: 64, jobs, shard };
    exhaust::run(system, &bounds, &AtomicBool::new(false), &mut |_, _| ())
}

/// Counts and hash do not depend on threads, and parts make the whole.
#[test]
fn small_scopes_hold_and_are_the_same_on_any_number_of_threads() {
    let one = exhausted(&Engine, 2, 1, (0, 1));
    assert!(one.violations.is_empty(), "{}", report::exhaust_violations(&one, false));
    let sequences: Vec<u64> = one.levels.iter().map(|level| level.sequences).collect();
    assert_eq!(sequences, [1, 9, 81]);
    let total = one.total();
    assert!(total.coverage.points_whole > 100 && total.coverage.points_inside > 100, "{total:?}");
    assert!(total.coverage.looked_at <= total.coverage.legal);
    for level in &one.levels[1..] {
        assert!(level.tally.images_checked > 0, "{level:?}");
    }
    let two = exhausted(&Engine, 2, 2, (0, 1)).total();
    assert_eq!((two.tally, two.coverage), (total.tally.clone(), total.coverage.clone()));
    let parts = [0, 1, 2].map(|part| exhausted(&Engine, 2, 1, (part, 3)).total());
    assert_eq!(parts.iter().map(|part| part.sequences).sum::<u64>(), total.sequences);
    let images = |level: &exhaust::Level| level.tally.images_checked;
    assert_eq!(parts.iter().map(images).sum::<u64>(), images(&total));
}

#[test]
fn encrypted_scopes_hold() {
    let bounds = Bounds {
        depth: 2,
        letters: ENCRYPTED,
        encrypted: true,
        images_max: 64,
        jobs: 2,
        shard: (0, 1),
    };
    let done = exhaust::run(&Engine, &bounds, &AtomicBool::new(false), &mut |_, _| ());
    assert!(done.violations.is_empty(), "{}", report::exhaust_violations(&done, true));
    let tally = done.total().tally;
    assert_eq!(tally.images_checked, tally.images_encrypted);
}

/// The one that is found is as short as can be, and becomes a reproducer that is smaller still.
#[test]
fn wrong_engines_are_found_by_the_shortest_sequence_that_shows_them() {
    for (bug, length) in [(Bug::AcknowledgedBeforeSync, 0), (Bug::DroppedCollectionStays, 3)] {
        let planted = Planted::new(bug.clone());
        let done = exhausted(&planted, 3, 2, (0, 1));
        let (sequence, violation) = done.violations.first().expect("a wrong engine is found");
        assert_eq!(done.levels.len() - 1, length, "{bug:?}: {sequence}");
        let status = Status::Planted(bug.name().to_owned());
        let wanted = Some(violation.invariant);
        let file = shrink::of_sequence(&planted, status, sequence, false, wanted);
        let file = file.expect("it can be said");
        assert!(file.history.operations.len() <= length, "{bug:?}");
        assert!(exhaust::one(&Engine, sequence, false, 64).violations.is_empty());
    }
}
