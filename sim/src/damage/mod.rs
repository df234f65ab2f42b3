//! Damage: what becomes of bytes that were safe once (I9).
//!
//! **Place.** A counted part of the default run. The campaign crashes stores, the sweep makes calls
//! fail; here bytes change that were durable, between runs and while a store is open.
//!
//! - D1. Small stores are damaged alone at every sector and as whole files, in every form.
//! - D2. What seeded histories leave at their end or at a crash is damaged as drawn, by one damage or
//!   several, and again behind and inside the recovery from the first.
//! - D3. What is expected follows from the undamaged bytes, read here (`log`, `layout`) and not by
//!   the engine, and from the model.
//! - D4. The result is a function of the bounds alone, not of the number of threads; but for a store that
//!   hangs, which is told as a violation of its case, and ends the run.

mod base;
mod bytes;
mod case;
mod confine;
mod content;
mod counts;
mod exam;
mod hit;
mod layout;
mod log;
mod running;
mod stores;
mod twin;
mod wound;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub use case::Case;
pub use counts::Counts;

use crate::checker::{Finding, Invariant};
use crate::disk::{DiskState, Recording, SimDisk};
use crate::history::{Action, History, Shape};
use crate::in_order::{Plan, Seat, each_in_order};
use crate::panic_trap;
use crate::stream::Stream;
use crate::system::System;
use base::Base;
use exam::{Exam, Way};
use hit::wrong;
use stores::Small;
use wound::Wound;

/// Cases of one seed: drawn ones, and those of an open store.
const DRAWN: u64 = 8;
const RUNNING: u64 = 2;

/// The same of an open store with rows enough for pages that are read for nothing else.
const RUNNING_OF_LARGE: u64 = 6;

/// Places of a small store that make one piece of work.
const PLACES: usize = 64;

/// Violations after which a run ends: the first ones are the ones to look at.
pub const VIOLATIONS_MAX: usize = 10;

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The first seed.
    pub seed: u64,
    /// How many seeds.
    pub seeds: u64,
    /// How many threads.
    pub jobs: usize,
    /// Which of how many parts of the work.
    pub shard: (u64, u64),
    /// Violations after which it ends.
    pub violations_max: usize,
    /// How long one case may take before it counts as hanging.
    pub patience: Duration,
}

/// What does not hold, and of which case.
#[derive(Clone, Debug)]
pub struct Found {
    /// The case.
    pub case: Case,
    /// What does not hold.
    pub finding: Finding,
    /// What was done to the store.
    pub wounds: Vec<String>,
}

/// What it came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The counters.
    pub counts: Counts,
    /// What does not hold.
    pub violations: Vec<Found>,
    /// How long it took.
    pub elapsed: Duration,
    /// Whether it was cancelled.
    pub cancelled: bool,
    /// Whether its share of the run's time was over before it was.
    pub cut: bool,
}

impl Report {
    fn hangs<A>(&mut self, hanging: Option<(Case, A)>, bounds: &Bounds) {
        self.violations.extend(hanging.map(|(case, _)| {
            let finding = Finding::hang(Invariant::I9, bounds.patience);
            Found { case, finding, wounds: Vec::new() }
        }));
    }
}

/// A case under way.
struct Tried<'a> {
    system: &'a dyn System,
    counts: &'a mut Counts,
    stream: Stream,
}

impl Tried<'_> {
    fn exam<'b>(&'b mut self, base: &'b Base, damaged: DiskState, wounds: &'b [Wound]) -> Exam<'b> {
        let stream = Stream::from_rng(&mut self.stream);
        Exam::of(self.system, base, damaged, wounds, self.counts, stream)
    }
}

enum Item {
    Small(usize, std::ops::Range<usize>),
    Seed(u64),
}

/// Does all of it.
pub fn run(system: Arc<dyn System>, bounds: &Bounds, cancel: &AtomicBool) -> Report {
    let start = Instant::now();
    let mut report = Report::default();
    let Some((small, missing)) = stores(&system, bounds, cancel, &mut report) else {
        report.elapsed = start.elapsed();
        return report;
    };
    let seeds = (0..bounds.seeds).map_while(|place| bounds.seed.checked_add(place));
    let mut items: Vec<Item> = seeds.map(Item::Seed).collect();
    for (store, one) in small.iter().enumerate() {
        let starts = (0..one.places.len()).step_by(PLACES);
        items.extend(
            starts.map(|from| Item::Small(store, from..(from + PLACES).min(one.places.len()))),
        );
    }
    let (part, parts) = bounds.shard;
    if part > 0 {
        // Every shard makes the small stores; what was looked at for that counts once.
        report.counts = Counts::default();
    }
    let own = items.into_iter().zip(0u64..).filter(|(_, place)| place % parts == part);
    let items: Vec<Item> = own.map(|(item, _)| item).collect();
    carry_out(system, (small, items), bounds, cancel, &mut report);
    if report.violations.len() < bounds.violations_max {
        report.violations.extend(missing.into_iter().map(not_made));
    }
    report.cancelled = cancel.load(Ordering::Relaxed);
    report.elapsed = start.elapsed();
    report
}

/// Runs one case alone.
///
/// # Errors
/// There is no such case.
pub fn run_case(system: &dyn System, case: &Case) -> Result<Report, String> {
    let mut report = Report::default();
    let seat = Seat::default();
    match case {
        Case::Small(name, place) => {
            let known = stores::names().find(|known| known == name);
            let known = known.ok_or_else(|| format!("there is no small store {name:?}"))?;
            let Some(mut small) = stores::one(system, known) else {
                report.violations.push(not_made(known));
                return Ok(report);
            };
            let count = small.places.len();
            if index(*place) >= count {
                return Err(format!("{name} has {count} places for damage, there is no {place}"));
            }
            look_for_homes(system, &mut small, &seat, &mut report);
            at_a_place(system, &small, index(*place), &seat, &mut report);
        }
        Case::Drawn(seed, place) => {
            there_is(*place, DRAWN, *seed)?;
            let ended = ended((system, &seat), *seed, &mut report);
            if ended.is_none() && !is_of_a_crash(*place) {
                return none_at_rest(*seed, report);
            }
            drawn((system, &seat), (*seed, *place), ended.as_ref(), &mut report);
        }
        Case::Running(seed, place) => {
            there_is(*place, running_of(*seed), *seed)?;
            let ended = ended((system, &seat), *seed, &mut report);
            if ended.is_none() {
                return none_at_rest(*seed, report);
            }
            open((system, &seat), (*seed, *place), ended.as_ref(), &mut report);
        }
    }
    Ok(report)
}

fn there_is(place: u64, count: u64, seed: u64) -> Result<(), String> {
    let none = || format!("seed {seed} has {count} such cases, there is no {place}");
    (place < count).then_some(()).ok_or_else(none)
}

/// Of a seed whose history is a long run, or violates something itself.
fn none_at_rest(seed: u64, report: Report) -> Result<Report, String> {
    match report.violations.is_empty() {
        true => Err(format!("seed {seed} has no store at rest: its history is a long run")),
        false => Ok(report),
    }
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The small stores, and the names of those that are missing; nothing where one hangs.
fn stores(
    system: &Arc<dyn System>,
    bounds: &Bounds,
    cancel: &AtomicBool,
    report: &mut Report,
) -> Option<(Vec<Small>, Vec<&'static str>)> {
    let names: Vec<&'static str> = stores::names().collect();
    let (mut made, mut missing) = (Vec::new(), Vec::new());
    let system = system.clone();
    let hanging = each_in_order(
        names,
        &Plan { jobs: bounds.jobs, patience: bounds.patience, cancel },
        move |&name, seat| {
            let mut found = Report::default();
            seat.begins(Case::Small(name.to_owned(), 0));
            let mut small = stores::one(&*system, name);
            if let Some(small) = &mut small {
                look_for_homes(&*system, small, seat, &mut found);
            }
            (name, small, found)
        },
        |(name, small, found)| {
            report.counts.add(&found.counts);
            report.violations.extend(found.violations);
            match small {
                Some(small) => made.push(small),
                None => missing.push(name),
            }
            true
        },
    );
    let is_hanging = hanging.is_some();
    report.hangs(hanging, bounds);
    (!is_hanging).then_some((made, missing))
}

fn not_made(name: &'static str) -> Found {
    let finding = wrong("a small store without damage", "none, or it cannot be read");
    Found { case: Case::Small(name.to_owned(), 0), finding, wounds: Vec::new() }
}

/// Which segment shows which row, and that the store is whole before anything happens to it.
fn look_for_homes(system: &dyn System, small: &mut Small, seat: &Seat<Case>, report: &mut Report) {
    let case = Case::Small(small.name.to_owned(), 0);
    let Small { base, .. } = small;
    attempt((system, seat), &case, report, &[], |tried| {
        tried.exam(base, base.state.clone(), &[]).examine()?;
        stores::find_homes(tried, base)
    });
}

fn carry_out(
    system: Arc<dyn System>,
    (small, items): (Vec<Small>, Vec<Item>),
    bounds: &Bounds,
    cancel: &AtomicBool,
    report: &mut Report,
) {
    let hanging = each_in_order(
        items,
        &Plan { jobs: bounds.jobs, patience: bounds.patience, cancel },
        move |item, seat| carry_out_one(&*system, &small, item, seat),
        // Results are added up in the order of the items (D4).
        |result| {
            report.counts.add(&result.counts);
            report.violations.extend(result.violations);
            report.violations.len() < bounds.violations_max
        },
    );
    report.hangs(hanging, bounds);
}

fn carry_out_one(system: &dyn System, small: &[Small], item: &Item, seat: &Seat<Case>) -> Report {
    let mut report = Report::default();
    match item {
        Item::Small(store, places) => {
            for place in places.clone() {
                at_a_place(system, &small[*store], place, seat, &mut report);
            }
        }
        Item::Seed(seed) => {
            seat.begins(Case::Drawn(*seed, 0));
            let ended = ended((system, seat), *seed, &mut report);
            for place in 0..DRAWN {
                drawn((system, seat), (*seed, place), ended.as_ref(), &mut report);
            }
            for place in 0..running_of(*seed) {
                open((system, seat), (*seed, place), ended.as_ref(), &mut report);
            }
        }
    }
    report
}

/// How many cases of an open store a seed has.
fn running_of(seed: u64) -> u64 {
    match History::of(seed).shape {
        Shape::Many | Shape::Wide => RUNNING_OF_LARGE,
        Shape::Small | Shape::Churn => RUNNING,
    }
}

/// Runs something of a case; what does not hold, a panic too, goes into the report.
fn attempt(
    (system, seat): (&dyn System, &Seat<Case>),
    case: &Case,
    report: &mut Report,
    path: &[u64],
    run: impl FnOnce(&mut Tried<'_>) -> Result<(), Finding>,
) {
    seat.begins(case.clone());
    let seed = crate::digest::name_key(&case.to_string());
    let counts = &mut report.counts;
    let mut tried = Tried { system, counts, stream: Stream::at(seed, path) };
    let done = panic_trap::catch(|| run(&mut tried));
    let finding = match done {
        Ok(Ok(())) => return,
        Ok(Err(finding)) => finding,
        Err(panic) => wrong("no panic", panic),
    };
    report.violations.push(Found { case: case.clone(), finding, wounds: Vec::new() });
}

/// D1.
fn at_a_place(
    system: &dyn System,
    small: &Small,
    place: usize,
    seat: &Seat<Case>,
    report: &mut Report,
) {
    let case = Case::Small(small.name.to_owned(), place as u64);
    let mut words = Vec::new();
    let before = report.violations.len();
    attempt((system, seat), &case, report, &[1], |tried| {
        let (form, path, sector) = &small.places[place];
        let base = &small.base;
        let at = (*form, path.as_path(), *sector);
        let wound = Wound::at(base, &base.state, at, &mut tried.stream);
        let Some(wound) = wound else { return Ok(()) };
        words.push(wound.words.clone());
        one(tried, base, vec![wound])
    });
    told(report, before, words);
}

/// D2.
fn drawn(
    (system, seat): (&dyn System, &Seat<Case>),
    (seed, place): (u64, u64),
    ended: Option<&Base>,
    report: &mut Report,
) {
    let case = Case::Drawn(seed, place);
    let mut words = Vec::new();
    let before = report.violations.len();
    attempt((system, seat), &case, report, &[1], |tried| {
        let crashed;
        let base = if is_of_a_crash(place) {
            let mut stream = Stream::from_rng(&mut tried.stream);
            crashed = Base::at_a_crash(system, &quiet(seed), &mut stream);
            if crashed.is_some() {
                tried.counts.more("crash images");
            }
            crashed.as_ref()
        } else {
            ended
        };
        let Some(base) = base else { return Ok(()) };
        let count = if tried.stream.chance(1, 3) { tried.stream.size(2, 4) } else { 1 };
        let (mut state, mut wounds) = (base.state.clone(), Vec::new());
        for _ in 0..count {
            let Some(wound) = running::drawn(base, &state, &mut tried.stream, false) else { break };
            state = wound.apply(&state);
            words.push(wound.words.clone());
            wounds.push(wound);
        }
        if wounds.len() > 1 {
            tried.counts.more("several at once");
        }
        one_or_again(tried, base, wounds, &mut words)
    });
    told(report, before, words);
}

/// Damage while it is open.
fn open(
    (system, seat): (&dyn System, &Seat<Case>),
    (seed, place): (u64, u64),
    ended: Option<&Base>,
    report: &mut Report,
) {
    let Some(base) = ended else { return };
    let case = Case::Running(seed, place);
    let (mut words, before) = (Vec::new(), report.violations.len());
    attempt((system, seat), &case, report, &[1], |tried| {
        tried.counts.cases += 1;
        running::run(tried, base, &mut words)
    });
    told(report, before, words);
}

/// The words of what was done, for the violations since.
fn told(report: &mut Report, before: usize, words: Vec<String>) {
    for found in report.violations.iter_mut().skip(before) {
        found.wounds.clone_from(&words);
    }
}

fn one(tried: &mut Tried<'_>, base: &Base, wounds: Vec<Wound>) -> Result<(), Finding> {
    one_or_again(tried, base, wounds, &mut Vec::new())
}

/// One damaged store; now and then it is damaged once more behind its recovery, or inside.
fn one_or_again(
    tried: &mut Tried<'_>,
    base: &Base,
    mut wounds: Vec<Wound>,
    words: &mut Vec<String>,
) -> Result<(), Finding> {
    tried.counts.cases += 1;
    wounds.iter().for_each(|wound| tried.counts.wounded(wound));
    let damaged = wounds.iter().fold(base.state.clone(), |state, wound| wound.apply(&state));
    let left = tried.exam(base, damaged.clone(), &wounds).examine()?;
    let Some(behind) = left.filter(|_| tried.stream.chance(1, 3)) else { return Ok(()) };
    let (left, outcome) = match tried.stream.chance(1, 2) {
        true => (behind, "hit again behind recovery"),
        false => (inside_recovery(tried, base, &damaged)?, "hit again inside recovery"),
    };
    let whole = running::undone(&left, &wounds);
    let Some(base) = base.later(whole, base.states.clone()) else { return Ok(()) };
    let Some(second) = running::drawn(&base, &left, &mut tried.stream, false) else {
        return Ok(());
    };
    tried.counts.wounded(&second);
    tried.counts.more(outcome);
    words.push(format!("{outcome}: {}", second.words));
    let damaged = second.apply(&left);
    wounds.push(second);
    tried.exam(&base, damaged, &wounds).examine().map(|_| ())
}

/// The disk at some call of the recovery, where the process was killed.
fn inside_recovery(
    tried: &mut Tried<'_>,
    base: &Base,
    damaged: &DiskState,
) -> Result<DiskState, Finding> {
    let disk = SimDisk::mount(damaged);
    disk.set_recording(Recording::Forks);
    let env = crate::forward::env_on(&disk, tried.stream.draw());
    let opened = tried.system.open(env, &base.options);
    opened.map_err(|error| {
        wrong(format!("a store that opens for {:?}", Way::Write), format!("{error:?}"))
    })?;
    let steps = disk.take_steps();
    if steps.is_empty() {
        return Ok(disk.state().kill());
    }
    Ok(tried.stream.pick(&steps).before.kill())
}

/// A history without faults of the disk; what these leave is not at rest.
fn quiet(seed: u64) -> History {
    let mut history = History::of(seed);
    // What is damaged is the store: the files of a copy would be none of its own.
    history.operations.retain(|step| !matches!(step.action, Action::BackUp(..)));
    history.encrypted = false;
    history.opening.clear();
    history.faulty = false;
    history.strikes.clear();
    for operation in &mut history.operations {
        operation.faults.clear();
    }
    history
}

/// Whether a drawn case is of a store at a crash, and not of one at rest.
fn is_of_a_crash(place: u64) -> bool {
    place % 4 == 3
}

/// The end of a seed's history; nothing of a long run, whose stores are too large, and of one that comes to
/// nothing that can be read, which is told.
fn ended(
    (system, seat): (&dyn System, &Seat<Case>),
    seed: u64,
    report: &mut Report,
) -> Option<Base> {
    let history = quiet(seed);
    if history.shape == Shape::Churn {
        return None;
    }
    let mut made = None;
    attempt((system, seat), &Case::Drawn(seed, 0), report, &[], |_| {
        made = Base::at_the_end(system, &history, seed.is_multiple_of(2));
        let none = || wrong("a store at the end of a history without faults", "none to be read");
        made.is_some().then_some(()).ok_or_else(none)
    });
    made
}
