//! Explores schedules of every scenario, at random and by PCT, in slices that several threads of the
//! machine take turns at, until something is found or all are done.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use quiver_sim::disk::DiskState;
use quiver_sim::stream::Stream;
use shuttle::scheduler::{
    PctScheduler, RandomScheduler, ReplayScheduler, Scheduler,
    UncontrolledNondeterminismCheckScheduler,
};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

use crate::scenarios::{ALL, Scenario};
use crate::stage::{self, Tally};

/// How the next thread is chosen.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Each that can run alike.
    Random,
    /// By priorities, which change at so many points but one.
    Pct(usize),
    /// At random, and then once more: what a schedule does not decide is found.
    Twice,
}

const WAYS: [Way; 5] = [Way::Random, Way::Pct(2), Way::Pct(3), Way::Pct(5), Way::Twice];

/// Schedules of one slice. The first of a PCT slice only counts steps.
const SLICE: usize = 50;

/// Far more steps than any schedule takes: a thread that waits for nothing any more ends here.
const STEPS_MAX: usize = 200_000;

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Random => write!(f, "random"),
            Self::Pct(depth) => write!(f, "pct-{depth}"),
            Self::Twice => write!(f, "twice"),
        }
    }
}

/// A schedule in which a promise was broken.
#[derive(Debug)]
pub(crate) struct Found {
    slice: usize,
    /// Schedules of all scenarios until it was.
    pub(crate) schedules: u64,
    pub(crate) wrong: String,
}

impl Found {
    pub(crate) fn scenario(&self) -> &'static str {
        job(self.slice).0.name
    }

    /// The scenario and the way.
    pub(crate) fn place(&self) -> String {
        format!("{} under {}", self.scenario(), job(self.slice).1)
    }
}

fn config(persistence: FailurePersistence) -> Config {
    let mut config = Config::new();
    // Recovery and merges go deep.
    config.stack_size = 1 << 20;
    config.failure_persistence = persistence;
    config.max_steps = MaxSteps::FailAfter(STEPS_MAX);
    // What the other threads would do behind a panic is of no interest.
    config.ungraceful_shutdown_config.immediately_return_on_panic = true;
    config.silence_warnings = true;
    config
}

/// The disk that every schedule begins with.
pub(crate) fn base() -> DiskState {
    let made = Arc::new(Mutex::new(None));
    let place = Arc::clone(&made);
    Runner::new(RandomScheduler::new_from_seed(0, 1), config(FailurePersistence::None)).run(
        move || {
            let base = stage::base();
            *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(base);
        },
    );
    let base = made.lock().unwrap_or_else(PoisonError::into_inner).take();
    base.expect("the schedule above ran to its end")
}

fn run<S: Scheduler + 'static>(
    scheduler: S,
    persistence: FailurePersistence,
    base: &DiskState,
    scenario: &'static Scenario,
    tally: &Arc<Tally>,
) -> Result<(), String> {
    let (base, tally) = (base.clone(), Arc::clone(tally));
    let runner = Runner::new(scheduler, config(persistence));
    let played = catch_unwind(AssertUnwindSafe(|| {
        runner.run(move || stage::play(&base, scenario.setting, &tally, scenario.play));
    }));
    played.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        text.unwrap_or_else(|| "a panic without words".to_owned())
    })
}

/// A slice by its number: of which scenario, in which way.
fn job(slice: usize) -> (&'static Scenario, Way) {
    let turn = slice % (ALL.len() * WAYS.len());
    (&ALL[turn / WAYS.len()], WAYS[turn % WAYS.len()])
}

/// Plays a slice, whose schedules follow from its number.
fn play_slice(
    slice: usize,
    seed: u64,
    persistence: FailurePersistence,
    base: &DiskState,
    tally: &Arc<Tally>,
) -> Result<(), String> {
    let (scenario, way) = job(slice);
    let seed = Stream::at(seed, &[slice as u64]).draw();
    match way {
        Way::Random => {
            let scheduler = RandomScheduler::new_from_seed(seed, SLICE);
            run(scheduler, persistence, base, scenario, tally)
        }
        Way::Pct(depth) => {
            let scheduler = PctScheduler::new_from_seed(seed, depth, SLICE);
            run(scheduler, persistence, base, scenario, tally)
        }
        Way::Twice => {
            let scheduler = RandomScheduler::new_from_seed(seed, SLICE / 2);
            let twice = UncontrolledNondeterminismCheckScheduler::new(scheduler);
            run(twice, persistence, base, scenario, tally)
        }
    }
}

/// Explores so many slices of each scenario in each way.
pub(crate) fn explore(slices: usize, seed: u64, tally: &Arc<Tally>) -> Option<Found> {
    let base = base();
    let all = slices * ALL.len() * WAYS.len();
    let (next, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let found = Mutex::new(None);
    let work = || {
        while !is_over.load(Ordering::Relaxed) {
            let slice = next.fetch_add(1, Ordering::Relaxed);
            if slice >= all {
                return;
            }
            if let Err(wrong) = play_slice(slice, seed, FailurePersistence::None, &base, tally) {
                is_over.store(true, Ordering::Relaxed);
                let schedules = tally.schedules.load(Ordering::Relaxed);
                let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                found.get_or_insert(Found { slice, schedules, wrong });
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Plays the slice again in which something was found, alone, and prints the schedule.
pub(crate) fn print_schedule(found: &Found, seed: u64) {
    let print = FailurePersistence::Print;
    if play_slice(found.slice, seed, print, &base(), &Arc::default()).is_ok() {
        unreachable!("a slice follows from its number and the seed");
    }
}

/// Plays one schedule again.
pub(crate) fn replay(scenario: &'static Scenario, schedule: &str) -> Result<(), String> {
    let scheduler = ReplayScheduler::new_from_encoded(schedule);
    run(scheduler, FailurePersistence::None, &base(), scenario, &Arc::default())
}
