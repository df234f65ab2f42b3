//! The command line of the explorer, and what it prints.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it reports to who runs it")]

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::explore::{explore, print_schedule, replay};
use crate::scenarios::ALL;
use crate::stage::Tally;

/// Slices of each scenario in each way.
const SLICES: usize = 20;

/// The same schedules in every run, so that what CI finds is found again.
const SEED: u64 = 1;

const USAGE: &str = "threads [SLICES [SEED]] | planted NAME | replay SCENARIO SCHEDULE";

pub(crate) fn run(arguments: &[&str]) -> ExitCode {
    match arguments {
        ["planted", name] => planted(name),
        ["replay", scenario, schedule] => again(scenario, schedule),
        numbers => {
            let parsed: Result<Vec<u64>, _> = numbers.iter().map(|text| text.parse()).collect();
            match parsed.as_deref() {
                Ok([]) => shipped(SLICES, SEED),
                Ok([slices]) => shipped(slices_of(*slices), SEED),
                Ok([slices, seed]) => shipped(slices_of(*slices), *seed),
                _ => {
                    eprintln!("usage: {USAGE}");
                    ExitCode::from(2)
                }
            }
        }
    }
}

fn slices_of(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// What is found is told once, at the end, and not by each thread that panics.
static IS_LOUD: AtomicBool = AtomicBool::new(false);

fn silence_panics() {
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if IS_LOUD.load(Ordering::Relaxed) {
            loud(panic);
        }
    }));
}

/// Explores an engine in which nothing may be found.
fn shipped(slices: usize, seed: u64) -> ExitCode {
    silence_panics();
    let (tally, started) = (Arc::<Tally>::default(), Instant::now());
    let found = explore(slices, seed, &tally);
    let seconds = started.elapsed().as_secs_f64();
    if let Some(found) = found {
        IS_LOUD.store(true, Ordering::Relaxed);
        print_schedule(&found, seed);
        let (place, scenario, wrong) = (found.place(), found.scenario(), &found.wrong);
        eprintln!("threads: {place}, in {} schedules: {wrong}", found.schedules);
        eprintln!("again, with the schedule above: sim/threads.sh replay {scenario} 'SCHEDULE'");
        return ExitCode::FAILURE;
    }
    let counts = tally.counts();
    let schedules = counts[0].1;
    #[expect(clippy::cast_precision_loss, reason = "a rate to look at")]
    let rate = schedules as f64 / seconds;
    println!("threads: {schedules} schedules in {seconds:.1} s, {rate:.0} a second; nothing found");
    counts.iter().for_each(|(what, count)| println!("  {count:>9} {what}"));
    // A check that was never made would be passed by any engine.
    let idle: Vec<&str> = counts.iter().filter(|it| it.1 == 0).map(|it| it.0).collect();
    if idle.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("threads: there were no {}", idle.join(", no "));
    ExitCode::FAILURE
}

/// Explores an engine with a bug, which has to be found.
fn planted(name: &str) -> ExitCode {
    silence_panics();
    let tally = Arc::<Tally>::default();
    let Some(found) = explore(SLICES, SEED, &tally) else {
        let schedules = tally.counts()[0].1;
        eprintln!("planted {name}: NOT found in {schedules} schedules");
        return ExitCode::FAILURE;
    };
    let wrong: String = found.wrong.chars().take(160).collect();
    let (schedules, place) = (found.schedules, found.place());
    println!("planted {name}: found in {schedules} schedules, by {place}: {wrong}");
    ExitCode::SUCCESS
}

fn again(name: &str, schedule: &str) -> ExitCode {
    let Some(scenario) = ALL.iter().find(|scenario| scenario.name == name) else {
        eprintln!("no scenario {name}: {}", ALL.map(|scenario| scenario.name).join(", "));
        return ExitCode::from(2);
    };
    match replay(scenario, schedule) {
        Ok(()) => {
            println!("{name}: the schedule breaks no promise");
            ExitCode::SUCCESS
        }
        Err(wrong) => {
            eprintln!("{name}: {wrong}");
            ExitCode::FAILURE
        }
    }
}
