//! Swarms of tasks on the engine: they find nothing in it, find every wrong engine that is planted for
//! them, and are the same on any number of threads.

use std::process::Command;

/// Without the runtime a swarm is refused, and so is a run that would leave it out without a word.
#[cfg(not(madsim))]
#[test]
fn a_build_without_the_runtime_says_what_to_do() {
    for arguments in [&["swarm", "--seed", "1"][..], &["run", "--seeds", "1"], &["mutants"]] {
        let done = Command::new(env!("CARGO_BIN_EXE_quiver-sim")).args(arguments).output();
        let done = done.expect("it starts");
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains("--cfg madsim") && said.contains("RUSTFLAGS"), "{said}");
    }
}

#[cfg(madsim)]
mod built {
    use std::panic::Location;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use std::time::Duration;

    use quiver_sim::address::Of;
    use quiver_sim::campaign::PATIENCE;
    use quiver_sim::engine::Engine;
    use quiver_sim::planted::{Bug, Planted};
    use quiver_sim::report;
    use quiver_sim::swarm::counts::{BETWEEN_SUBMIT_AND_DRIVE, SHARED_GROUPS};
    use quiver_sim::swarm::{Bounds, Counts, Report, run};
    use quiver_sim::system::{Session, System};
    use quiver_sim::tally::Violation;
    use quiver_store::{Env, Error, Options};

    use super::Command;

    fn swarmed(system: Arc<dyn System>, seed: u64, seeds: u64, jobs: usize) -> Report {
        let bounds = Bounds { seed, seeds, jobs, shard: (0, 1), alone: false, patience: PATIENCE };
        run(system, &bounds, &AtomicBool::new(false)).expect("it is built")
    }

    #[test]
    fn tasks_on_the_engine_meet_and_nothing_is_violated() {
        let done = swarmed(Arc::new(Engine), 1, 24, 2);
        assert!(done.violations.is_empty(), "{}", report::swarm_violations(&done));
        assert_eq!(done.runs, 24);
        assert_eq!(done.idle(), Vec::<String>::new());
        assert!(done.counts.of(SHARED_GROUPS) > 100, "{:?}", done.counts);
        assert!(done.counts.of(BETWEEN_SUBMIT_AND_DRIVE) > 100, "{:?}", done.counts);
        assert!(done.tally.images_checked > 1000, "{} images", done.tally.images_checked);
        let judged = ["linearizable reads", "linearizable writes", "conditional answers judged"];
        for name in
            judged.into_iter().chain(["commits observed", "scans gone on with after a change"])
        {
            assert!(done.counts.of(name) > 50, "{name}: {}", done.counts.of(name));
        }
    }

    #[test]
    fn totals_do_not_depend_on_threads_or_shards() {
        let (one, two) = (swarmed(Arc::new(Engine), 30, 8, 1), swarmed(Arc::new(Engine), 30, 8, 2));
        assert_eq!((one.tally.clone(), one.counts.clone()), (two.tally, two.counts));
        let mut counts = Counts::zero();
        for part in 0..2 {
            let (jobs, patience) = (1, PATIENCE);
            let bounds =
                Bounds { seed: 30, seeds: 8, jobs, shard: (part, 2), alone: false, patience };
            let done =
                run(Arc::new(Engine), &bounds, &AtomicBool::new(false)).expect("it is built");
            counts.add(&done.counts);
        }
        assert_eq!(counts, one.counts);
    }

    #[test]
    fn every_wrong_engine_of_tasks_is_caught() {
        let bugs: Vec<&Bug> = Bug::PLANTED.iter().filter(|bug| bug.is_of_tasks()).collect();
        assert!(bugs.len() >= 7, "{bugs:?}");
        for bug in bugs {
            let done = swarmed(Arc::new(Planted::new(bug.clone())), 1, 40, 2);
            assert!(!done.violations.is_empty(), "{} is not caught", bug.name());
            let (violation, story) = &done.violations[0];
            assert_eq!(
                violation.replay(),
                format!("quiver-sim swarm --seed {}", violation.address.seed)
            );
            assert!(!story.is_empty(), "{}", bug.name());
        }
    }

    /// The engine, but what was there before is waited for in vain.
    #[derive(Debug)]
    struct ComesBackOnce;

    impl System for ComesBackOnce {
        fn name(&self) -> &'static str {
            "comes back once"
        }

        fn version(&self) -> &'static str {
            Engine.version()
        }

        fn replicates(&self) -> bool {
            Engine.replicates()
        }

        fn keeps_indexes(&self) -> bool {
            Engine.keeps_indexes()
        }

        fn keeps_reserve(&self) -> bool {
            Engine.keeps_reserve()
        }

        fn open(&self, env: Env, options: &Options) -> Result<Box<dyn Session>, Error> {
            while env.vfs.read_dir(&env.dir, Location::caller()).is_ok() {
                std::thread::park();
            }
            Engine.open(env, options)
        }
    }

    #[test]
    fn store_that_never_comes_back_is_told_with_its_seed() {
        let (patience, violation) = (Duration::from_millis(500), "none within 0.5 seconds");
        let bounds = Bounds { seed: 1, seeds: 9, jobs: 2, shard: (0, 1), alone: false, patience };
        let done = run(Arc::new(ComesBackOnce), &bounds, &AtomicBool::new(false));
        let done = done.expect("it is built");
        let told = |(one, _): &(Violation, Vec<String>)| {
            let Violation { address, found, .. } = one;
            found.starts_with(violation)
                && address.kind() == Of::Swarm
                && bounds.seeds >= address.seed
        };
        assert!(done.violations.iter().any(told), "{}", report::swarm_violations(&done));
    }

    #[test]
    fn runs_in_which_tasks_never_meet_are_told() {
        let done = Report { runs: 2, counts: Counts::zero(), ..Report::default() };
        assert_eq!(done.idle(), [SHARED_GROUPS, BETWEEN_SUBMIT_AND_DRIVE]);
        let many = Report { runs: 1000, counts: Counts::zero(), ..Report::default() };
        assert!(many.idle().contains(&"kills inside a call".to_owned()));
    }

    #[test]
    fn one_seed_is_told_as_a_whole() {
        let done = Command::new(env!("CARGO_BIN_EXE_quiver-sim"))
            .args(["swarm", "--seed", "2"])
            .output()
            .expect("it starts");
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        assert_eq!(done.status.code(), Some(0), "{said}");
        for words in ["client 0", "driver", "upkeep", "waits", "virtual seconds", "0 violations"] {
            assert!(said.contains(words), "{words:?} in {said}");
        }
    }
}
