//! The damage campaign in small: the engine passes it, and no engine that makes little of damage does.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use quiver_sim::campaign::PATIENCE;
use quiver_sim::damage::{Bounds, Report, run, run_case};
use quiver_sim::engine::Engine;
use quiver_sim::planted::{Bug, Planted};
use quiver_sim::report;
use quiver_sim::system::System;

fn damaged(system: Arc<dyn System>, seeds: u64, violations_max: usize) -> Report {
    let bounds =
        Bounds { seed: 1, seeds, jobs: 2, shard: (0, 1), violations_max, patience: PATIENCE };
    run(system, &bounds, &AtomicBool::new(false))
}

#[test]
fn damage_is_detected_and_stays_where_it_is() {
    let done = damaged(Arc::new(Engine), 40, 10);
    assert!(done.violations.is_empty(), "{}", report::damage_violations(&done));
    let (table, idle) = (report::damage_text(&done), done.counts.idle());
    assert!(idle.is_empty(), "{idle:?} stayed at zero\n{table}");
}

#[test]
fn engines_that_make_little_of_damage_are_found_and_replayed() {
    let wrong =
        Bug::PLANTED.iter().filter(|bug| bug.is_of_damage() || **bug == Bug::TornTailRefused);
    let mut count = 0;
    for bug in wrong {
        let system: Arc<dyn System> = Arc::new(Planted::new(bug.clone()));
        let done = damaged(system.clone(), 400, 1);
        let Some(found) = done.violations.first() else { panic!("{} is not found", bug.name()) };
        let again = run_case(&*system, &found.case).expect("the case of a violation");
        assert_eq!(again.violations.first().map(|again| &again.finding), Some(&found.finding));
        count += 1;
    }
    assert_eq!(count, 9);
}
