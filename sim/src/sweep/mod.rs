//! The sweep: every fault at every I/O call of small histories, alone and in pairs.
//!
//! **Place.** A counted part of the default run, and `quiver-sim sweep`. The campaign draws where
//! its faults strike; the sweep leaves nothing to luck, in a small scope.
//!
//! - W1. A history is run once without faults. Then once for each fault of the catalogue and each
//!   call of its kind that was made, in every process of the history, opening and creation
//!   included; several times where the fault leaves something to chance, or media differ.
//! - W2. In each run every answer is judged by what the I/O calls came to, faults then end, and the
//!   store has to write again (the forward run does both). The end, and a sample of the points
//!   behind the fault, are looked at as crash points.
//! - W3. Pairs: a second fault at each later call of a run with a first one, in the smallest
//!   histories; of all pairs as many as the bound allows, drawn by their place.
//! - W4. The disk is also full from each operation on, with more or less space left, for one operation
//!   or to the end.
//! - W5. The result is a function of the bounds alone, not of the number of threads; but for a store that
//!   hangs, which is told as a violation of its case, and ends the sweep.

mod case;
mod histories;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub use case::{Case, Full};
pub use histories::{Named, all};
pub(crate) use histories::{told, told_in};

use crate::address::Address;
use crate::disk::{CallClass, Fault};
use crate::explore;
use crate::forward::{FULL_DISK, Forward};
use crate::history::Strike;
use crate::in_order::{Plan, Seat, each_in_order};
use crate::panic_trap;
use crate::stream::Stream;
use crate::system::System;
use crate::tally::{Tally, Violation};

/// Points behind a fault that are looked at, besides the end.
const POINTS: usize = 2;

/// Bytes that a disk has left when it is full: none, a name, a log file, a manifest with less or more
/// of what belongs to it, a checkpoint.
const SPACES_LEFT: [u64; 6] = [0, 6000, 10_000, 27_000, 32_000, 90_000];

/// Violations after which the sweep ends.
const VIOLATIONS_MAX: usize = 10;

/// What to sweep.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How many seeded histories besides the fixed ones.
    pub seeded: u64,
    /// One pair in so many is run.
    pub pairs_one_in: u64,
    /// How many threads.
    pub jobs: usize,
    /// Which of how many parts of the work.
    pub shard: (u64, u64),
    /// How long one image may take before it counts as hanging.
    pub patience: Duration,
}

/// What a sweep came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Histories.
    pub histories: u64,
    /// Runs with one fault.
    pub runs: u64,
    /// Runs with two.
    pub pairs: u64,
    /// Runs on a full disk.
    pub full: u64,
    /// Runs that are not judged: a directory above the store lost what no store can mend.
    pub unmendable: u64,
    /// For each fault, at how many calls it was to strike, and at how many it did not: a short read
    /// of one byte, an unlink that a first fault made unnecessary.
    pub planned: BTreeMap<&'static str, (u64, u64)>,
    /// What the runs and their images counted.
    pub tally: Tally,
    /// What does not hold, by the case.
    pub violations: Vec<(Case, Violation)>,
    /// How long it took.
    pub elapsed: Duration,
    /// Whether it was cancelled.
    pub cancelled: bool,
    /// Whether its share of the run's time was over before it was.
    pub cut: bool,
}

impl Report {
    fn zero() -> Self {
        let planned = Fault::ALL.iter().map(|fault| (fault.name(), (0, 0))).collect();
        Self { planned, ..Self::default() }
    }

    fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.pairs += other.pairs;
        self.full += other.full;
        self.unmendable += other.unmendable;
        for (name, (planned, unfired)) in other.planned {
            let own = self.planned.entry(name).or_default();
            own.0 += planned;
            own.1 += unfired;
        }
        self.tally.add(&other.tally);
        self.violations.extend(other.violations);
    }

    fn hangs(&mut self, hanging: Option<(Case, Address)>, bounds: &Bounds) {
        let told = hanging.map(|(case, address)| (case, Violation::hang(address, bounds.patience)));
        self.violations.extend(told);
    }

    /// The counters that stayed at zero.
    pub fn idle(&self) -> Vec<String> {
        let unfired = self.planned.iter().filter(|(_, (planned, unfired))| planned == unfired);
        let mut idle: Vec<String> =
            unfired.map(|(name, _)| format!("fault {name} of the sweep")).collect();
        let found_full = self.tally.faults.get(FULL_DISK).copied().unwrap_or_default();
        let counts = [
            ("runs", self.runs),
            ("images checked", self.tally.images_checked),
            ("pairs", self.pairs),
            ("full disks", self.full),
            ("calls on a full disk", found_full),
        ];
        for (name, count) in counts {
            if count == 0 {
                idle.push(format!("{name} of the sweep"));
            }
        }
        idle
    }
}

/// A history by its place, and one fault in it; with all that may follow it where pairs are made.
struct Item {
    history: usize,
    case: Case,
}

/// Sweeps.
pub fn sweep(system: Arc<dyn System>, bounds: &Bounds, cancel: &AtomicBool) -> Report {
    let start = Instant::now();
    let histories: Arc<[Named]> = Arc::from(all(bounds.seeded, system.encrypts()));
    let mut report = Report { histories: histories.len() as u64, ..Report::zero() };
    let items = items(&system, &histories, bounds, cancel, &mut report);
    let (part, parts) = bounds.shard;
    let own = items.into_iter().zip(0u64..).filter(|(_, place)| place % parts == part);
    let items: Vec<Item> = own.map(|(item, _)| item).collect();
    if report.violations.is_empty() {
        carry_out(system, histories, items, bounds, cancel, &mut report);
    }
    report.cancelled = cancel.load(Ordering::Relaxed);
    report.elapsed = start.elapsed();
    report
}

/// Each history without faults, and what is to be tried in it.
fn items(
    system: &Arc<dyn System>,
    histories: &Arc<[Named]>,
    bounds: &Bounds,
    cancel: &AtomicBool,
    report: &mut Report,
) -> Vec<Item> {
    let mut items = Vec::new();
    let system = system.clone();
    let mut place = 0;
    let hanging = each_in_order(
        histories.clone(),
        &Plan { jobs: bounds.jobs, patience: bounds.patience, cancel },
        move |named, seat| without_faults(&*system, named, seat),
        |counted| {
            match counted {
                Ok(counted) => items.extend(items_of(place, &histories[place], &counted)),
                Err(violations) => report.violations.extend(violations),
            }
            place += 1;
            true
        },
    );
    report.hangs(hanging, bounds);
    items
}

/// Runs one case alone.
///
/// # Errors
/// There is no such history, or no such operation in it.
pub fn run_case(system: &dyn System, case: &Case, seeded: u64) -> Result<Report, String> {
    let histories = all(seeded, system.encrypts());
    let named = histories.iter().find(|named| named.name == case.history);
    let named = named.ok_or_else(|| format!("there is no history {:?}", case.history))?;
    let count = named.history.operations.len();
    if let Some(Full { operation, .. }) = case.full.filter(|full| full.operation >= count) {
        return Err(format!("{} has {count} operations, there is no {operation}", named.name));
    }
    let mut report = Report { histories: 1, ..Report::zero() };
    run(system, named, case, &Seat::default(), &mut report);
    Ok(report)
}

fn carry_out(
    system: Arc<dyn System>,
    histories: Arc<[Named]>,
    items: Vec<Item>,
    bounds: &Bounds,
    cancel: &AtomicBool,
    report: &mut Report,
) {
    let one_in = bounds.pairs_one_in;
    let hanging = each_in_order(
        items,
        &Plan { jobs: bounds.jobs, patience: bounds.patience, cancel },
        move |Item { history, case }, seat| {
            carry_out_one(&*system, (&histories[*history], case), one_in, seat)
        },
        // Results are added up in the order of the items (W5).
        |result| {
            report.add(result);
            report.violations.len() < VIOLATIONS_MAX
        },
    );
    report.hangs(hanging, bounds);
}

fn carry_out_one(
    system: &dyn System,
    (named, case): (&Named, &Case),
    one_in: u64,
    seat: &Seat<Case>,
) -> Report {
    let mut report = Report::default();
    let Some(forward) = run(system, named, case, seat, &mut report) else { return report };
    if named.pairs {
        for case in followers(case, &forward) {
            let mut dice = Stream::at(named.history.seed, &[case_number(&case)]);
            if dice.chance(1, one_in) {
                run(system, named, &case, seat, &mut report);
            }
        }
    }
    report
}

/// Runs one case; the forward run, unless it panicked.
fn run(
    system: &dyn System,
    named: &Named,
    case: &Case,
    seat: &Seat<Case>,
    report: &mut Report,
) -> Option<Forward> {
    let history = case.apply(&named.history);
    seat.begins(case.clone());
    seat.watch.at(&history.address());
    let ran = panic_trap::catch(|| {
        let forward = Forward::of(system, &history);
        let tally = explore::sample(system, &history, &forward, POINTS, &seat.watch);
        (forward, tally)
    });
    let (forward, mut tally) = match ran {
        Ok((forward, tally)) => (Some(forward), tally),
        Err(panic) => (None, explore::panicked(history.seed, panic)),
    };
    match case.strikes.len() {
        0 => report.full += u64::from(case.full.is_some()),
        1 => report.runs += 1,
        _ => report.pairs += 1,
    }
    for strike in &case.strikes {
        let name = strike.fault.name();
        let counts = report.planned.entry(name).or_default();
        counts.0 += 1;
        let has_struck = |forward: &Forward| has_struck(&forward.counted, strike);
        counts.1 += u64::from(!forward.as_ref().is_some_and(has_struck));
    }
    if forward.as_ref().is_some_and(|forward| forward.parent_lost) {
        report.unmendable += 1;
        tally.violations.clear();
    }
    let violations = std::mem::take(&mut tally.violations);
    report.violations.extend(violations.into_iter().map(|violation| (case.clone(), violation)));
    report.tally.add(&tally);
    forward
}

type Counted = Vec<Vec<(CallClass, Option<Fault>)>>;

/// Whether the call was made that it was planned for, and had something to strike.
fn has_struck(counted: &Counted, strike: &Strike) -> bool {
    let Strike { process, call, fault } = *strike;
    let calls = counted.get(process).into_iter().flatten();
    let mut of_class = calls.filter(|(class, _)| *class == fault.class());
    let found = usize::try_from(call).ok().and_then(|call| of_class.nth(call));
    found.is_some_and(|(_, struck)| *struck == Some(fault))
}

/// The calls of a history without faults, by process.
fn without_faults(
    system: &dyn System,
    named: &Named,
    seat: &Seat<Case>,
) -> Result<Counted, Vec<(Case, Violation)>> {
    let case = Case { history: named.name.clone(), full: None, strikes: Vec::new(), dice: 0 };
    let mut report = Report::default();
    let forward = run(system, named, &case, seat, &mut report);
    match forward {
        Some(forward) if report.violations.is_empty() => Ok(forward.counted),
        _ => Err(report.violations),
    }
}

/// Every fault at every call of its kind (W1).
fn items_of(history: usize, named: &Named, counted: &Counted) -> Vec<Item> {
    // What comes behind the last step is the forward run's own: faults are over then.
    let mut items = Vec::new();
    for (process, calls) in counted.iter().enumerate() {
        for (place, (class, _)) in calls.iter().enumerate() {
            let call = calls[..place].iter().filter(|(other, _)| other == class).count() as u64;
            for fault in Fault::ALL.into_iter().filter(|fault| fault.class() == *class) {
                for dice in 0..ways(fault) {
                    let strikes = vec![Strike { process, call, fault }];
                    let case = Case { history: named.name.clone(), full: None, strikes, dice };
                    items.push(Item { history, case });
                }
            }
        }
    }
    items.extend(full_disks(named).map(|case| Item { history, case }));
    items
}

/// The disk is full from each operation on, with so much space left, for one operation and for all.
fn full_disks(named: &Named) -> impl Iterator<Item = Case> + '_ {
    let count = named.history.operations.len();
    let spaces = (0..count).flat_map(|operation| SPACES_LEFT.map(|bytes| (operation, bytes)));
    spaces.flat_map(move |(operation, bytes)| {
        [1, count].map(|operations| Case {
            history: named.name.clone(),
            full: Some(Full { operation, bytes, operations }),
            strikes: Vec::new(),
            dice: 0,
        })
    })
}

/// The case with a second fault at each call behind the first one (W3).
fn followers(case: &Case, forward: &Forward) -> Vec<Case> {
    let mut cases = Vec::new();
    let [first] = case.strikes[..] else { return cases };
    let calls = &forward.counted[first.process];
    let Some(struck) = calls.iter().position(|(_, fault)| *fault == Some(first.fault)) else {
        return cases;
    };
    let later = (struck + 1..calls.len()).map(|place| (first.process, place));
    let next = forward.counted.get(first.process + 1).map_or(0, Vec::len);
    let next = (0..next).map(|place| (first.process + 1, place));
    for (process, place) in later.chain(next) {
        let calls = &forward.counted[process];
        let class = calls[place].0;
        let call = calls[..place].iter().filter(|(other, _)| *other == class).count() as u64;
        for fault in Fault::ALL.into_iter().filter(|fault| fault.class() == class) {
            let strikes = vec![first, Strike { process, call, fault }];
            cases.push(Case { strikes, ..case.clone() });
        }
    }
    cases
}

/// In how many ways a fault is tried: once where it leaves nothing to chance, more often where
/// media differ too.
fn ways(fault: Fault) -> u64 {
    use Fault::{
        CreateNoSpace, EntropyFails, OpenEio, ReadDirEio, ReadEio, ReadEioSticky, ReadInterrupted,
        SyncDirEio, SyncEio, SyncNoSpace, WriteInterrupted, WritebackEio,
    };
    match fault {
        CreateNoSpace | EntropyFails | OpenEio | ReadDirEio | ReadEio | ReadEioSticky
        | ReadInterrupted | WriteInterrupted => 1,
        SyncEio | SyncNoSpace | SyncDirEio | WritebackEio => 4,
        _ => 2,
    }
}

fn case_number(case: &Case) -> u64 {
    crate::digest::name_key(&case.to_string())
}
