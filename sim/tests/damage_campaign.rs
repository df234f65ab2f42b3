//! The damage campaign in small: nothing does not hold, and wrong engines are found.

use std::sync::atomic::AtomicBool;

use quiver_sim::damage::{Bounds, run};
use quiver_sim::engine::Engine;

#[test]
fn damage_is_detected_and_stays_where_it_is() {
    let bounds = Bounds { seed: 1, seeds: 40, jobs: 2, shard: (0, 1), violations_max: 10 };
    let done = run(&Engine, &bounds, &AtomicBool::new(false));
    for found in &done.violations {
        println!("{}\n  {:?}\n  {:#?}", found.case, found.wounds, found.finding);
    }
    println!("{:#?} in {:?}", done.counts, done.elapsed);
    assert!(done.violations.is_empty(), "{} violations", done.violations.len());
}
