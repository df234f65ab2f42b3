//! Sequences of operations in a small scope: the engine holds, wrong ones are found by short ones.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use quiver_sim::campaign::PATIENCE;
use quiver_sim::engine::Engine;
use quiver_sim::exhaust::{self, Bounds, ENCRYPTED, PLAIN, PointBounds, Report};
use quiver_sim::planted::{Bug, Planted};
use quiver_sim::report;
use quiver_sim::repro::Status;
use quiver_sim::shrink;
use quiver_sim::system::System;

const POINTS: PointBounds = PointBounds { images_max: 64, thorough: false };

fn bounds_of(letters: &'static [&'static str], depth: usize) -> Bounds {
    Bounds {
        depth,
        letters,
        encrypted: false,
        points: POINTS,
        jobs: 2,
        shard: (0, 1),
        patience: PATIENCE,
    }
}

fn engine() -> Arc<dyn System> {
    Arc::new(Engine)
}

fn exhausted(system: &Arc<dyn System>, bounds: &Bounds) -> Report {
    exhaust::run(system, bounds, &AtomicBool::new(false), &mut |_, _| ())
}

/// Counts and hash do not depend on threads, and parts make the whole.
#[test]
fn small_scopes_hold_and_are_the_same_on_any_number_of_threads() {
    // Three letters, and so nine pieces of work at the full depth.
    let bounds = bounds_of(&PLAIN[..3], 4);
    let one = exhausted(&engine(), &Bounds { jobs: 1, ..bounds });
    assert!(one.violations.is_empty(), "{}", report::exhaust_violations(&one, &bounds));
    let sequences: Vec<u64> = one.levels.iter().map(|level| level.sequences).collect();
    assert_eq!(sequences, [1, 3, 9, 27, 81]);
    let total = one.total();
    assert!(total.coverage.points_whole > 100 && total.coverage.points_inside > 100, "{total:?}");
    assert!(total.coverage.looked_at < total.coverage.legal, "the bound holds somewhere");
    for level in &one.levels[1..] {
        assert!(level.tally.images_checked > 0, "{level:?}");
    }
    let two = exhausted(&engine(), &Bounds { jobs: 2, ..bounds }).total();
    assert_eq!((two.tally, two.coverage), (total.tally.clone(), total.coverage.clone()));
    let mut parts = exhaust::Level::default();
    for part in 0..3 {
        let done = exhausted(&engine(), &Bounds { shard: (part, 3), ..bounds });
        assert_eq!(done.levels[4].sequences, 27, "a third of them");
        parts.add(&done.total());
    }
    assert_eq!(parts.sequences, total.sequences);
    assert_eq!((parts.tally, parts.coverage), (total.tally, total.coverage));
}

/// What a share of images is asked, nearly as many are as had their content judged.
#[test]
fn a_thorough_look_asks_everything_of_every_image() {
    let thorough = PointBounds { thorough: true, ..POINTS };
    let share = exhausted(&engine(), &bounds_of(PLAIN, 1)).total().tally;
    let all = Bounds { points: thorough, ..bounds_of(PLAIN, 1) };
    let all = exhausted(&engine(), &all).total().tally;
    assert!(all.violations.is_empty());
    for asked in ["I8 tidy", "probe after recovery"] {
        let (times, judged) = (all.invariants[asked], all.invariants["I3 prefix"]);
        assert!(10 * times >= 9 * judged, "{asked}: {:?}", all.invariants);
        assert!(all.invariants[asked] > 4 * share.invariants[asked], "{:?}", share.invariants);
    }
}

#[test]
fn encrypted_scopes_hold() {
    let bounds = Bounds { encrypted: true, ..bounds_of(ENCRYPTED, 2) };
    let done = exhausted(&engine(), &bounds);
    assert!(done.violations.is_empty(), "{}", report::exhaust_violations(&done, &bounds));
    let tally = done.total().tally;
    assert_eq!(tally.images_checked, tally.images_encrypted);
}

/// The one that is found is as short as can be, and becomes a reproducer that is smaller still.
#[test]
fn wrong_engines_are_found_by_the_shortest_sequence_that_shows_them() {
    for (bug, length) in [(Bug::AcknowledgedBeforeSync, 0), (Bug::DroppedCollectionStays, 3)] {
        let planted: Arc<dyn System> = Arc::new(Planted::new(bug.clone()));
        let done = exhausted(&planted, &bounds_of(PLAIN, 3));
        let (sequence, violation) = done.violations.first().expect("a wrong engine is found");
        assert_eq!(done.levels.len() - 1, length, "{bug:?}: {sequence}");
        let status = Status::Planted(bug.name().to_owned());
        let wanted = Some(violation.invariant);
        let file = shrink::of_sequence(&*planted, status, sequence, (false, POINTS), wanted);
        let file = file.expect("it can be said");
        assert!(file.history.operations.len() <= length, "{bug:?}");
        assert!(exhaust::one(&Engine, sequence, false, POINTS).violations.is_empty());
    }
}
