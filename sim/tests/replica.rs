//! Replica histories on the engine: they find nothing, and what they count moves.

use std::collections::BTreeMap;

use quiver_sim::address::Address;
use quiver_sim::engine::Engine;
use quiver_sim::replica;
use quiver_sim::tally::Tally;
use quiver_sim::watch::Watch;

fn explored(seeds: std::ops::Range<u64>) -> Tally {
    let mut tally = Tally::zero();
    for seed in seeds.filter(|seed| replica::has(*seed)) {
        let explored = replica::explore(&Engine, seed, &Watch::default());
        tally.add(&explored.expect("nobody stops it"));
    }
    tally
}

#[test]
fn a_follower_of_the_engine_is_equal_to_its_leader_and_every_counter_moves() {
    let tally = explored(0..120);
    assert_eq!(tally.violations, []);
    let idle: BTreeMap<_, _> = tally.replica.iter().filter(|(_, times)| **times == 0).collect();
    assert!(idle.is_empty(), "{idle:?}");
    assert!(tally.replica_images() > 3000, "{} images", tally.replica_images());
}

#[test]
fn an_image_is_replayed_from_its_address_alone() {
    let seed = (0..100).find(|seed| replica::has(*seed)).expect("one in a few");
    let run = Address::replica(seed);
    let (tally, log) = replica::replay(&Engine, run, &Watch::default()).expect("it is there");
    assert_eq!((tally.violations.len(), tally.replica_images()), (0, 0));
    assert!(log.len() > 4, "{log:?}");
    let image = run.below(2, 0);
    let (tally, _) = replica::replay(&Engine, image, &Watch::default()).expect("it is there");
    assert_eq!((tally.violations.len(), tally.replica_images()), (0, 1));
    for missing in [run.below(1 << 40, 0), image.below(0, 0), Address::replica(seed + 1)] {
        assert!(replica::replay(&Engine, missing, &Watch::default()).is_err(), "{missing}");
    }
}
