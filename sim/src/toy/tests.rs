//! The simulator passes a right toy and finds what is wrong with each of the others.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::{Bug, Toy};
use crate::address::Address;
use crate::campaign::{Campaign, End, Report, Which};
use crate::checker::{AN_ANSWER, Invariant};
use crate::disk::Filesystem;
use crate::explore::{explore, replay};
use crate::system::System;
use crate::tally::Violation;
use crate::watch::Watch;
use crate::{damage, exhaust, report, sweep};

fn run(bug: Bug, images: u64, jobs: usize) -> Report {
    let campaign = Campaign {
        seed: 1,
        seeds: None,
        images: Some(images),
        limit: None,
        which: Which::All,
        filesystem: Filesystem::Posix,
        jobs,
        shard: (0, 1),
        patience: Duration::from_secs(2),
        system: Arc::new(Toy(bug)),
    };
    campaign.run(&mut |_| {}, &AtomicBool::new(false))
}

/// Twenty long runs, which one seed in 32 is.
fn run_long(bug: Bug) -> Vec<Violation> {
    let run = |seed: u64| {
        let campaign = Campaign {
            seed,
            seeds: Some(1),
            images: None,
            limit: None,
            which: Which::All,
            filesystem: Filesystem::Posix,
            jobs: 1,
            shard: (0, 1),
            patience: Duration::from_secs(2),
            system: Arc::new(Toy(bug)),
        };
        campaign.run(&mut |_| {}, &AtomicBool::new(false)).tally.violations
    };
    (0..20).flat_map(|place| run(31 + 32 * place)).collect()
}

/// The bug is found, by the invariant that names it best, and the address shows it again.
fn is_found(bug: Bug, images: u64, invariants: &[Invariant]) {
    let report = run(bug, images, 2);
    let found = &report.tally.violations;
    assert_eq!(report.end, End::Violations, "{bug:?} passes {images} images");
    let names: Vec<Invariant> = found.iter().map(|violation| violation.invariant).collect();
    assert!(names.iter().any(|name| invariants.contains(name)), "{bug:?} is found as {names:?}");
    let first = &found[0];
    let address: Address = first.address.to_string().parse().expect("printed addresses parse");
    let again = replay(&Toy(bug), address, &Watch::default()).expect("the address exists");
    let same = again.tally.violations.iter().any(|violation| {
        violation.invariant == first.invariant && violation.address == first.address
    });
    assert!(same, "{bug:?}: {first:?} is replayed as {:?}", again.tally.violations);
}

#[test]
fn right_toy_passes_and_every_counter_moves() {
    let report = run(Bug::None, 150_000, 2);
    assert_eq!(report.tally.violations, [], "of {:?}", report.tally.images_checked);
    assert_eq!(report.end, End::Target);
    let idle = report.tally.idle();
    // A toy allocates nothing ahead, draws nothing at random, sets no space aside, and has no files
    // but its log.
    let expected = [
        "fault allocate-no-space",
        "fault entropy-fails",
        "fault full-disk-with-reserve",
        "calls behind what a reader saw",
        "checkpoints",
        "log switches",
        "merges",
        "pinned files, most",
        "segments at the end",
        "segments, most",
        "tombstone files, most",
    ];
    assert_eq!(idle, expected);
}

#[test]
fn totals_are_a_function_of_the_seed() {
    let (one, two) = (run(Bug::None, 8000, 1), run(Bug::None, 8000, 2));
    assert_eq!(one.tally, two.tally);
}

#[test]
fn acknowledging_before_the_sync_is_found() {
    is_found(Bug::AcknowledgesBeforeSync, 50_000, &[Invariant::I1, Invariant::Probe]);
}

#[test]
fn believing_torn_frames_is_found() {
    is_found(Bug::BelievesTornFrames, 50_000, &[Invariant::I3, Invariant::I5]);
}

#[test]
fn writing_behind_a_torn_tail_is_found() {
    is_found(Bug::KeepsTornTail, 50_000, &[Invariant::Probe, Invariant::I1]);
}

#[test]
fn a_rename_without_directory_sync_is_found() {
    is_found(Bug::ForgetsDirectorySync, 50_000, &[Invariant::I1, Invariant::I5]);
}

#[test]
fn recovery_that_only_syncs_is_found() {
    // What was seen counts as acknowledged for every later point of the history.
    is_found(Bug::OnlySyncs, 900_000, &[Invariant::I7, Invariant::I1]);
}

#[test]
fn split_batches_are_found() {
    is_found(Bug::SplitsBatches, 50_000, &[Invariant::I2]);
}

#[test]
fn orphans_are_found() {
    is_found(Bug::LeavesOrphans, 50_000, &[Invariant::I6, Invariant::I8]);
}

#[test]
fn reused_collection_ids_are_found() {
    is_found(Bug::ReusesIds, 200_000, &[Invariant::Answers, Invariant::I14]);
}

#[test]
fn panics_are_found() {
    is_found(Bug::PanicsAtTornTail, 50_000, &[Invariant::I5]);
}

#[test]
fn endless_io_is_found() {
    is_found(Bug::ReadsForEver, 50_000, &[Invariant::I5]);
}

#[test]
fn a_retried_sync_is_found() {
    is_found(Bug::RetriesSync, 400_000, &[Invariant::I1, Invariant::I5]);
}

#[test]
fn forgotten_deletes_are_found() {
    is_found(Bug::ForgetsDeletes, 50_000, &[Invariant::I3, Invariant::I5]);
}

#[test]
fn endless_computing_is_found_with_its_address() {
    let report = run(Bug::SpinsForEver, 50_000, 1);
    assert_eq!(report.end, End::Hang);
    assert_eq!(report.tally.violations[0].invariant, Invariant::I5);
}

/// A point of nothing but duplicates takes as long as they are many.
#[test]
fn duplicates_are_seen_to_go_on() {
    let watch = Watch::default();
    let tally = explore(&Toy(Bug::None), Address::run(1), &watch).expect("nobody stops it");
    assert!(tally.images_duplicate > 0, "there are none");
    let images = tally.images_checked + tally.images_duplicate;
    assert!(watch.turns() >= images, "{} turns, {images} images", watch.turns());
}

/// One that waits, which takes nothing from other tests.
#[test]
fn store_that_never_comes_back_is_told_with_its_case_by_sweep_exhaust_and_damage() {
    let (never, patience) = (AtomicBool::new(false), Duration::from_millis(200));
    let system = || -> Arc<dyn System> { Arc::new(Toy(Bug::WaitsForEver)) };
    let (jobs, shard) = (2, (0, 1));

    let bounds = sweep::Bounds { seeded: 0, pairs_one_in: 100, jobs, shard, patience };
    let done = sweep::sweep(system(), &bounds, &never);
    let (case, violation) = done.violations.last().expect("it hangs");
    assert_eq!((&*violation.expected, violation.shrink()), (AN_ANSWER, None), "{case}");
    assert!(!report::sweep_violations(&done).contains("smaller"));

    let (letters, encrypted) = (exhaust::PLAIN, false);
    let points = exhaust::PointBounds { images_max: 64, thorough: false };
    let bounds = exhaust::Bounds { depth: 2, letters, encrypted, points, jobs, shard, patience };
    let done = exhaust::run(&system(), &bounds, &never, &mut |_, _| ());
    let (sequence, violation) = done.violations.last().expect("it hangs");
    assert_eq!((&*violation.expected, violation.shrink()), (AN_ANSWER, None), "{sequence}");
    assert!(!report::exhaust_violations(&done, &bounds).contains("smaller"));
    let json = report::exhaust_json(&done, &bounds, None, "0.1.0");
    let last = json["violations"].as_array().and_then(|all| all.last()).expect("it is told");
    let again = last["replay"].as_str().expect("it is shown again");
    assert!(again.starts_with("quiver-sim exhaust") && last["shrink"].is_null(), "{last}");

    let (seed, seeds, violations_max) = (1, 4, 1);
    let bounds = damage::Bounds { seed, seeds, jobs, shard, violations_max, patience };
    let done = damage::run(system(), &bounds, &never);
    assert_eq!(done.violations.len(), 1, "it ends the run");
    assert_eq!(done.violations[0].finding.expected, AN_ANSWER, "{}", done.violations[0].case);
}

#[test]
fn snapshots_that_show_what_came_later_are_found() {
    is_found(Bug::SnapshotShowsLater, 50_000, &[Invariant::I13]);
}

#[test]
fn snapshots_that_lose_a_dropped_collection_are_found() {
    is_found(Bug::SnapshotLosesDropped, 200_000, &[Invariant::I13]);
}

#[test]
fn snapshots_that_outlive_a_close_are_found() {
    is_found(Bug::SnapshotOutlivesClose, 1_500_000, &[Invariant::Answers]);
}

#[test]
fn iterators_that_show_what_came_later_are_found() {
    is_found(Bug::ScanShowsLater, 200_000, &[Invariant::I13]);
}

#[test]
fn wrong_ranges_are_found() {
    is_found(Bug::RangeOffByOne, 100_000, &[Invariant::Answers]);
    is_found(Bug::LimitOffByOne, 100_000, &[Invariant::Answers]);
    is_found(Bug::PrefixIsAStart, 100_000, &[Invariant::Answers]);
}

#[test]
fn wrong_numbers_of_rows_are_found() {
    is_found(Bug::LenForgetsDeletes, 100_000, &[Invariant::Answers]);
}

#[test]
fn rows_of_other_ids_are_found() {
    is_found(Bug::ManyInOrder, 100_000, &[Invariant::Answers]);
    is_found(Bug::VectorOfFirstRow, 100_000, &[Invariant::Answers]);
}

#[test]
fn vector_sources_of_one_pass_are_found() {
    is_found(Bug::OnePassOnly, 100_000, &[Invariant::Answers]);
}

#[test]
fn rows_that_no_predicate_finds_are_found() {
    is_found(Bug::FilterMissesLast, 100_000, &[Invariant::I12]);
}

#[test]
fn endless_background_work_is_found() {
    is_found(Bug::WorksForEver, 100_000, &[Invariant::I18]);
}

#[test]
fn what_piles_up_is_found_in_long_runs() {
    assert_eq!(run_long(Bug::None), []);
    for bug in [Bug::LeaksHandles, Bug::KeepsDeadRows, Bug::LeavesOrphans] {
        let found = run_long(bug);
        // A field that comes late makes the toy write its rows anew, without the dead ones.
        let least = if bug == Bug::KeepsDeadRows { 2 } else { 10 };
        assert!(found.len() >= least, "{bug:?} is found {} times", found.len());
        assert!(found.iter().any(|violation| violation.invariant == Invariant::I18), "{bug:?}");
    }
}
