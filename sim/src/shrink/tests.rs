//! Planted bugs are found from a seed, shrunk, and played from their files, each down to the size
//! that it says.

use std::sync::atomic::AtomicU64;

use quiver_store::{Env, Options};

use super::*;
use crate::campaign::{Campaign, Which};
use crate::disk::Filesystem;
use crate::repro::{Outcome, Status, Systems, planted_names};
use crate::system::Session;
use crate::toy::{Bug as ToyBug, Toy};

/// The images within which each bug is found.
const IMAGES: u64 = 400_000;

/// Replica histories are not made smaller.
fn is_small(violation: &Violation) -> bool {
    !violation.address.is_replica()
}

fn first_violation(system: Arc<dyn System>) -> Violation {
    let campaign = Campaign {
        seed: 1,
        seeds: None,
        images: Some(IMAGES),
        limit: None,
        which: Which::All,
        filesystem: Filesystem::Posix,
        jobs: 1,
        shard: (0, 1),
        patience: PATIENCE,
        system,
    };
    let enough = AtomicBool::new(false);
    let report = campaign.run(
        &mut |progress| {
            enough.store(progress.tally.violations.iter().any(is_small), Ordering::Relaxed)
        },
        &enough,
    );
    report.tally.violations.into_iter().find(is_small).expect("the bug is found")
}

/// The bug's first violation, said in full.
fn found(name: &str) -> (Arc<dyn System>, Violation, Reproducer) {
    let status = Status::Planted(name.to_owned());
    let systems = Systems::of(&status).expect("it is one of the names");
    let wrong = systems.wrong.expect("it is planted");
    let violation = first_violation(wrong.clone());
    let file = of_address(&*wrong, status, violation.address, Some(violation.invariant));
    let file = file.unwrap_or_else(|why| panic!("{name}: {why}"));
    (wrong, violation, file)
}

fn shrunk(system: &Arc<dyn System>, file: Reproducer) -> Shrunk {
    shrink(system, file, Budget::default(), &mut |_, _| {}).expect("it reproduces")
}

/// The bug is found, shrunk, written, read back and played; its size is at most the one given:
/// operations, requests, faults, crashes, exceptions.
fn comes_down_to(name: &str, most: [usize; 5]) {
    let (system, violation, file) = found(name);
    let Shrunk { file, runs, finished } = shrunk(&system, file);
    assert!(finished, "{name}: {runs} runs");
    assert_eq!(file.violates, Violates::of(&violation), "{name}");
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("it.repro");
    let played = file.play(&*system);
    let file = file.explained(file.shown(&played).expect("it was shrunk"));
    let written = write(&*system, &file, &path).unwrap_or_else(|why| panic!("{name}: {why}"));
    let text = std::fs::read_to_string(&path).expect("it was written");
    assert_eq!(text, written.text, "{name}");
    let again = Reproducer::parse(&text).unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
    let verdict = again.verdict();
    assert!(verdict.as_said && verdict.outcome == Outcome::Reproduces, "{name}: {verdict:?}");
    let Size { operations, requests, faults, crashes, survivors } = written.size;
    let size = [operations, requests, faults, crashes, survivors];
    let small = size.iter().zip(most).all(|(size, most)| *size <= most);
    assert!(small, "{name} came down to {size:?} only, expected {most:?}:\n{text}");
}

macro_rules! planted {
    ($($test:ident = $name:literal to $most:expr;)+) => {
        const CASES: &[&str] = &[$($name),+];
        $(#[test] fn $test() { comes_down_to($name, $most); })+
    };
}

/// At most: operations, requests in them, faults, crashes, exceptions in what survives. What exactly
/// a bug comes down to hangs on the violation that is found first; `corpus/sim` has one of each.
const SMALL: [usize; 5] = [6, 4, 1, 2, 2];

/// The same where the first violation takes a second fault.
const STRUCK: [usize; 5] = [6, 4, 2, 2, 2];

/// The same for wrong answers of a running store: neither crash nor dice.
const READS: [usize; 5] = [6, 4, 0, 0, 0];

/// The same where a bound allows some: orphans, and open files.
const BOUNDED: [usize; 5] = [18, 4, 0, 1, 0];

planted! {
    lying_sync = "lying-sync" to SMALL;
    unsynced_directory = "unsynced-directory" to SMALL;
    reordered_rename = "reordered-rename" to SMALL;
    torn_frame_accepted = "torn-frame-accepted" to SMALL;
    recovery_that_only_syncs = "recovery-that-only-syncs" to SMALL;
    acknowledged_before_sync = "acknowledged-before-sync" to SMALL;
    sync_error_ignored = "sync-error-ignored" to SMALL;
    write_error_ignored = "write-error-ignored" to STRUCK;
    toy_filter_misses_last = "toy/filter-misses-last" to READS;
    toy_acknowledges_before_sync = "toy/acknowledges-before-sync" to SMALL;
    toy_believes_torn_frames = "toy/believes-torn-frames" to SMALL;
    toy_keeps_torn_tail = "toy/keeps-torn-tail" to SMALL;
    toy_forgets_directory_sync = "toy/forgets-directory-sync" to SMALL;
    toy_only_syncs = "toy/only-syncs" to SMALL;
    toy_splits_batches = "toy/splits-batches" to SMALL;
    toy_leaves_orphans = "toy/leaves-orphans" to BOUNDED;
    toy_reuses_ids = "toy/reuses-ids" to SMALL;
    toy_panics_at_torn_tail = "toy/panics-at-torn-tail" to SMALL;
    toy_reads_for_ever = "toy/reads-for-ever" to SMALL;
    toy_retries_sync = "toy/retries-sync" to SMALL;
    toy_forgets_deletes = "toy/forgets-deletes" to SMALL;
    toy_snapshot_shows_later = "toy/snapshot-shows-later" to READS;
    toy_snapshot_loses_dropped = "toy/snapshot-loses-dropped" to READS;
    toy_scan_shows_later = "toy/scan-shows-later" to READS;
    toy_range_off_by_one = "toy/range-off-by-one" to READS;
    toy_limit_off_by_one = "toy/limit-off-by-one" to READS;
    toy_prefix_is_a_start = "toy/prefix-is-a-start" to READS;
    toy_len_forgets_deletes = "toy/len-forgets-deletes" to READS;
    toy_many_in_order = "toy/many-in-order" to READS;
    toy_one_pass_only = "toy/one-pass-only" to READS;
    toy_vector_of_first_row = "toy/vector-of-first-row" to READS;
    toy_snapshot_outlives_close = "toy/snapshot-outlives-close" to READS;
    toy_leaks_handles = "toy/leaks-handles" to BOUNDED;
    toy_works_for_ever = "toy/works-for-ever" to SMALL;
}

/// Shows only once a mebibyte is dead, so that hundreds of rows are the least that does: each run
/// takes long, and all of them minutes.
const WITHOUT_CASE: [&str; 1] = ["toy/keeps-dead-rows"];

#[test]
fn every_planted_bug_of_the_toy_is_a_case() {
    let names = planted_names().into_iter().filter(|name| name.starts_with("toy/"));
    let listed = |name: &str| CASES.contains(&name) || WITHOUT_CASE.contains(&name);
    let missing: Vec<String> = names.filter(|name| !listed(name)).collect();
    assert_eq!(missing, [""; 0]);
}

/// Tasks meet, an observer is told wrong, and the history that is left has neither tasks nor a word too many.
#[cfg(madsim)]
#[test]
fn violation_that_only_an_observer_saw_is_shrunk_too() {
    let name = "observer-misses-part-of-a-batch";
    let status = Status::Planted(name.to_owned());
    let wrong = Systems::of(&status).expect("it is planted").wrong.expect("it is wrong");
    let (seed, seeds, jobs, shard) = (1, 40, 1, (0, 1));
    let bounds =
        crate::swarm::Bounds { seed, seeds, jobs, shard, alone: false, patience: PATIENCE };
    let done = crate::swarm::run(wrong.clone(), &bounds, &AtomicBool::new(false));
    let (violation, _) = done.expect("it is built").violations.remove(0);
    let file = of_address(&*wrong, status, violation.address, Some(violation.invariant));
    let Shrunk { file, finished, .. } = shrunk(&wrong, file.expect("it can be said in full"));
    let (verdict, size) = (file.verdict(), Size::of(&file));
    assert!(verdict.as_said && finished, "{verdict:?}");
    assert!(size.operations <= 6 && size.crashes == 0, "{}", file.text());
}

/// A violation that the sweep found, not the campaign: a case, in one of its histories.
#[test]
fn a_case_of_the_sweep_is_shrunk_too() {
    let status = Status::Planted("sync-error-ignored".to_owned());
    let systems = Systems::of(&status).expect("it is one of the names");
    let wrong = systems.wrong.expect("it is planted");
    let shard = (0, 1);
    let bounds =
        crate::sweep::Bounds { seeded: 0, pairs_one_in: 1000, jobs: 1, shard, patience: PATIENCE };
    let swept = crate::sweep::sweep(wrong.clone(), &bounds, &AtomicBool::new(false));
    let mut seen = Vec::new();
    for (case, violation) in swept.violations {
        if seen.contains(&violation.invariant) {
            continue;
        }
        seen.push(violation.invariant);
        let wanted = Some(violation.invariant);
        let file = of_case(&*wrong, status.clone(), &case, 0, wanted);
        let file = file.unwrap_or_else(|why| panic!("{case}: {why}"));
        let Shrunk { file, .. } = shrunk(&wrong, file);
        let verdict = file.verdict();
        assert!(verdict.as_said, "{case}: {verdict:?}");
        assert!(Size::of(&file).operations <= 4, "{case}: {}", file.text());
        let other = of_case(&*systems.right, Status::Open, &case, 0, wanted);
        assert!(other.is_err(), "{case} is violated without the bug");
    }
    assert!(!seen.is_empty(), "the sweep finds the bug");
}

#[test]
fn a_shrinking_that_is_cancelled_ends_with_what_it_has() {
    let (system, _, file) = found("toy/forgets-deletes");
    let cancel = AtomicBool::new(false);
    let budget = Budget { cancel: Some(&cancel), ..Budget::default() };
    let mut told = 0;
    let mut tell = |_: Size, _: u64| {
        told += 1;
        cancel.store(told == 2, Ordering::Relaxed);
    };
    let cut = shrink(&system, file.clone(), budget, &mut tell).expect("it reproduces");
    assert!(!cut.finished && told >= 2);
    let played = cut.file.play(&*system);
    assert!(cut.file.shown(&played).is_some());
    cancel.store(true, Ordering::Relaxed);
    let none = shrink(&system, file, budget, &mut |_, _| {});
    assert_eq!(none.map(|shrunk| shrunk.runs), Err(NO_TIME.to_owned()));
}

#[test]
fn two_shrinkings_come_to_the_same_file_in_the_same_runs() {
    let (system, _, file) = found("toy/splits-batches");
    let (one, two) = (shrunk(&system, file.clone()), shrunk(&system, file));
    assert_eq!((one.file.text(), one.runs), (two.file.text(), two.runs));
}

#[test]
fn budget_in_runs_is_kept_and_what_was_reached_still_reproduces() {
    let (system, _, file) = found("toy/forgets-deletes");
    let before = Size::of(&file);
    let budget = Budget { runs: shrunk(&system, file.clone()).runs / 2, ..Budget::default() };
    let cut = shrink(&system, file, budget, &mut |_, _| {}).expect("it reproduces");
    assert!(!cut.finished);
    // A hunt that has begun is finished.
    let most = budget.runs + 1 + 2 * HUNT_IMAGES / IMAGES_PER_RUN;
    assert!(cut.runs <= most, "{} of {}", cut.runs, budget.runs);
    assert!(Size::of(&cut.file).operations < before.operations);
    let played = cut.file.play(&*system);
    assert!(cut.file.shown(&played).is_some());
}

#[test]
fn only_the_same_invariant_in_the_same_way_counts() {
    let (system, violation, mut file) = found("toy/splits-batches");
    let played = file.play(&*system);
    assert!(file.shown(&played).is_some());
    file.violates.panics = true;
    assert!(file.shown(&played).is_none());
    for invariant in crate::checker::Invariant::ALL {
        file.violates = Violates { invariant, panics: false };
        let same = invariant == violation.invariant;
        assert_eq!(file.shown(&played).is_some(), same, "{}", invariant.name());
    }
}

#[test]
fn what_does_not_reproduce_is_neither_shrunk_nor_written() {
    let (_, _, file) = found("toy/forgets-deletes");
    let right = Systems::of(&file.status).expect("it is one of the names").right;
    let refused = shrink(&right, file.clone(), Budget::default(), &mut |_, _| {});
    assert_eq!(refused.map(|shrunk| shrunk.runs), Err(NOT_REPRODUCED.to_owned()));
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("it.repro");
    std::fs::write(&path, "as it was").expect("a temporary file");
    let refused = write(&*right, &file, &path).expect_err("it passes");
    assert!(refused.ends_with("the file does not reproduce the violation"), "{refused}");
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("it is there").collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(std::fs::read_to_string(&path).expect("it is there"), "as it was");
}

#[test]
fn a_file_whose_crash_is_gone_is_found_again_in_its_history() {
    let (system, _, file) = found("toy/forgets-deletes");
    let Shrunk { mut file, .. } = shrunk(&system, file);
    file.chain.crashes[0].at = At::Before(crate::disk::IoKind::Unlink, 7);
    assert!(file.play(&*system).met.astray.is_some());
    let again = shrunk(&system, file);
    assert!(Size::of(&again.file).operations <= 3);
}

/// A toy that does something else at one of its openings, counted from one.
#[derive(Debug)]
struct Unruly {
    toy: Toy,
    opened: AtomicU64,
    at: AtomicU64,
    does: Does,
}

#[derive(Debug)]
enum Does {
    /// The simulator panics there and ever after, outside every call of the store.
    Panic,
    /// The store hangs there, and the flag is set.
    Hang(Arc<AtomicBool>),
    /// Whoever watches is told to stop.
    CallOff(Arc<Watch>),
}

impl Unruly {
    fn new(bug: ToyBug, at: u64, does: Does) -> Arc<Self> {
        let (opened, at) = (AtomicU64::new(0), AtomicU64::new(at));
        Arc::new(Self { toy: Toy(bug), opened, at, does })
    }

    fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    fn at(&self) -> u64 {
        self.at.load(Ordering::Relaxed)
    }
}

impl System for Unruly {
    fn name(&self) -> &'static str {
        self.toy.name()
    }

    fn version(&self) -> &'static str {
        self.toy.version()
    }

    /// Asked by the forward run before each opening.
    fn latches_early(&self) -> bool {
        let panics = matches!(self.does, Does::Panic) && self.opened() + 1 >= self.at();
        assert!(!panics, "of the simulator");
        self.toy.latches_early()
    }

    fn open(&self, env: Env, options: &Options) -> quiver_store::Result<Box<dyn Session>> {
        if self.opened.fetch_add(1, Ordering::Relaxed) + 1 == self.at() {
            match &self.does {
                Does::Panic => {}
                Does::CallOff(watch) => watch.stop(),
                Does::Hang(hangs) => {
                    hangs.store(true, Ordering::Relaxed);
                    loop {
                        std::thread::park();
                    }
                }
            }
        }
        self.toy.open(env, options)
    }
}

/// What shows nothing after its last recovery, whatever is done then.
fn in_vain() -> Reproducer {
    let (system, _, file) = found("toy/forgets-deletes");
    let Shrunk { file, .. } = shrunk(&system, file);
    assert!(!file.chain.crashes.is_empty());
    file
}

#[test]
fn panic_of_the_simulator_where_a_deed_is_looked_for_shows_nothing() {
    let system = Unruly::new(ToyBug::None, 1, Does::Panic);
    let none = pin::with_a_deed(&*system, in_vain(), &Watch::default());
    assert!(none.is_none() && system.opened() == 0);
}

#[test]
fn search_for_a_deed_ends_with_the_play_in_which_it_is_called_off() {
    let watch = Arc::new(Watch::default());
    let file = in_vain();
    let opened_until = |at: u64| {
        let system = Unruly::new(ToyBug::None, at, Does::CallOff(watch.clone()));
        assert!(pin::with_a_deed(&*system, file.clone(), &watch).is_none());
        system.opened()
    };
    let all = opened_until(u64::MAX);
    assert!(all > 290, "{all}");
    let some = opened_until(10);
    assert!((10..20).contains(&some), "{some}");
    assert_eq!(opened_until(10), 0, "nothing is played for who has stopped");
}

#[test]
fn search_for_a_deed_is_counted_and_left_out_where_the_budget_is_used_up() {
    let cancel = AtomicBool::new(true);
    let system = Unruly::new(ToyBug::None, u64::MAX, Does::Panic);
    let mut file = in_vain();
    file.chain.then = Some(Then { deed: Deed::Everything, loss: None });
    for (budget, runs) in [
        (Budget::default(), 291),
        (Budget { runs: 1, ..Budget::default() }, 1),
        (Budget { cancel: Some(&cancel), ..Budget::default() }, 0),
    ] {
        let told = &mut |_: Size, _: u64| {};
        let mut shrinker = Shrinker::new(system.clone(), file.clone(), budget, told);
        shrinker.attempt(file.clone());
        let before = system.opened();
        shrinker.plainer_deed();
        assert_eq!((shrinker.runs, system.opened() > before), (runs, runs > 1));
    }
}

/// The toy at its openings, one of which is waited for in vain.
fn hanging_at(at: u64) -> (Arc<Unruly>, Arc<AtomicBool>) {
    let hangs = Arc::new(AtomicBool::new(false));
    (Unruly::new(ToyBug::ForgetsDeletes, at, Does::Hang(hangs.clone())), hangs)
}

/// Z6.
#[test]
fn candidate_that_hangs_does_not_count_and_the_others_are_played_on() {
    let (system, _, file) = found("toy/forgets-deletes");
    let before = Size::of(&file);
    for at in [40, 200] {
        let (unruly, hangs) = hanging_at(at);
        let unruly: Arc<dyn System> = unruly;
        let budget = Budget { patience: Duration::from_secs(1), ..Budget::default() };
        let cut = shrink(&unruly, file.clone(), budget, &mut |_, _| {}).expect("it reproduces");
        assert!(hangs.load(Ordering::Relaxed), "there are fewer openings than {at}");
        let after = Size::of(&cut.file);
        assert!(cut.finished && after.operations < before.operations, "{after}, {before} before");
        assert!(cut.file.shown(&cut.file.play(&*system)).is_some());
    }
}

/// Z6. Nobody waits for the patience of a candidate that hangs.
#[test]
fn what_was_reached_is_kept_where_it_is_ended_while_a_candidate_hangs() {
    let (system, _, file) = found("toy/forgets-deletes");
    let before = Size::of(&file);
    for is_cancelled in [true, false] {
        let (unruly, hangs) = hanging_at(u64::MAX);
        let shared: Arc<dyn System> = unruly.clone();
        let (limit, cancel) = match is_cancelled {
            true => (None, Some(&*hangs)),
            false => (Some(Duration::from_secs(5)), None),
        };
        let budget = Budget { limit, cancel, ..Budget::default() };
        let mut tell = |size: Size, _: u64| {
            if size.operations < before.operations {
                unruly.at.fetch_min(unruly.opened() + 1, Ordering::Relaxed);
            }
        };
        let cut = shrink(&shared, file.clone(), budget, &mut tell).expect("it reproduces");
        assert!(!cut.finished && hangs.load(Ordering::Relaxed));
        let after = Size::of(&cut.file);
        assert!(after.operations < before.operations, "{after}, {before} before");
        assert!(cut.file.shown(&cut.file.play(&*system)).is_some());
    }
}

/// Its crash is rare among the images of a long history, so that leaving half of it out loses sight of it.
const BATCH_IN_TWO_FRAMES: &str = r#"quiver-sim reproducer 1
status planted batch-in-two-frames
violates I2
option step_bytes 64
option merge_factor 2
slot s0 "c0" dim 11
slot s1 "c1" dim 11

open
create s0 stored x"01040000000b000000020100000005030100000003070100000001"
kill
delete s0 "kk"
keep-indexes
write {
    upsert s0 "b" [0*11] ""
    upsert s0 "kk" [0*11] ""
}
checkpoint
field s0 numeric "x.y"
write {
    upsert s0 "kkk" [0*11] ""
    upsert s0 "d" [0*11] ""
    upsert s0 "kk" [0*11] ""
}
checkpoint
upsert s0 "kk" [0*11] ""
checkpoint
upsert s0 "kkk" [0*11] ""
checkpoint
upsert s0 "kk" [0*11] ""
kill
create s1 stored x"01040000000b000000020100000005030100000003070100000001"
write {
    upsert s0 "kk" [0*11] ""
    upsert s1 "kkk" [0*11] "a"*808
}
crash before sync 0 power-loss everything
    but loses change 0 sectors 2 of /store/log-0000000022-*.wal
"#;

#[test]
fn violation_of_the_last_operation_is_looked_for_without_those_before() {
    let file = Reproducer::parse(BATCH_IN_TWO_FRAMES).expect("it is one");
    let system = Systems::of(&file.status).expect("it is planted").wrong.expect("it is wrong");
    let Shrunk { file, runs, finished } = shrunk(&system, file);
    assert!(finished && file.history.operations.len() <= 3, "{runs} runs:\n{}", file.text());
}

/// The number of an image counts among as many as were looked at of its point: it is found again only
/// where as many are counted.
#[test]
fn images_of_sequences_are_pinned_by_their_own_numbers() {
    use crate::exhaust::{self, Bounds, PLAIN, PointBounds};
    use crate::planted::{Bug, Planted};

    let mut pinned = 0;
    for images_max in [40, 3000] {
        for bug in
            [Bug::AcknowledgedBeforeSync, Bug::DroppedCollectionStays, Bug::UnsyncedDirectory]
        {
            let planted: Arc<dyn System> = Arc::new(Planted::new(bug.clone()));
            let (letters, shard) = (PLAIN, (0, 1));
            let bounds = Bounds {
                depth: 3,
                letters,
                encrypted: false,
                points: PointBounds { images_max, thorough: false },
                jobs: 2,
                shard,
                patience: PATIENCE,
            };
            let done = exhaust::run(&planted, &bounds, &AtomicBool::new(false), &mut |_, _| ());
            for (sequence, violation) in done.violations {
                let history = sequence.history(false);
                let (max, watch) = (Some(images_max), Watch::default());
                let file = pin::pin(&*planted, &history, &violation, max, &watch);
                file.unwrap_or_else(|why| panic!("{bug:?}, {images_max}, {sequence}: {why}"));
                pinned += 1;
            }
        }
    }
    assert!(pinned >= 6, "{pinned} violations");
}
