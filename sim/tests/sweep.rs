//! The sweep itself: equal on any number of threads, silent on the engine, and not deaf.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use quiver_sim::campaign::PATIENCE;
use quiver_sim::engine::Engine;
use quiver_sim::planted::{Bug, Planted};
use quiver_sim::sweep::{Bounds, Report, run_case, sweep};
use quiver_sim::system::System;

fn small(system: Arc<dyn System>, jobs: usize) -> Report {
    let bounds = Bounds { seeded: 0, pairs_one_in: 200, jobs, shard: (0, 4), patience: PATIENCE };
    sweep(system, &bounds, &AtomicBool::new(false))
}

#[test]
fn sweep_finds_nothing_and_is_equal_on_any_number_of_threads() {
    let (one, two) = (small(Arc::new(Engine), 1), small(Arc::new(Engine), 2));
    assert_eq!(one.violations, []);
    assert_eq!(one.idle(), [""; 0]);
    assert!(one.runs > 1000 && one.pairs > 20, "{} runs, {} pairs", one.runs, one.pairs);
    assert_eq!((one.tally, one.planned), (two.tally, two.planned));
}

#[test]
fn wrong_engines_are_found_and_their_cases_show_them_again() {
    for bug in [Bug::SyncErrorIgnored, Bug::WriteErrorIgnored] {
        let planted: Arc<dyn System> = Arc::new(Planted::new(bug.clone()));
        let report = small(planted.clone(), 2);
        let (case, violation) = report.violations.first().expect("a wrong engine is found");
        let again = run_case(&*planted, case, 0).expect("the case is of a history there is");
        let again = again.violations.first().map(|(_, violation)| violation);
        assert_eq!(again, Some(violation), "{bug:?}: {case}");
    }
}
