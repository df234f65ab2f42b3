//! The explorer: crash images of every point of a history, recovered by the real code and checked.
//!
//! **Place.** One call per seed, on any thread; the campaign adds up what they return. `replay`
//! looks at one image alone, [`chain`] at one that is said in full.
//!
//! - E1. The result is a function of the seed. What an image looks like depends on its address only,
//!   never on which images came before.
//! - E2. A key that was seen before is a duplicate: what was recovered then is held against this
//!   point's window.
//! - E3. Recovery's own I/O calls are crash points too, on a share of the images, to a depth of two,
//!   under the window of the first crash: until an open returns nobody has seen anything.
//! - E4. Further recoveries of one image (again, after a loss of power, after a write) are made on a
//!   share of the images, and in `replay` always.

mod absences;
mod again;
pub mod chain;
mod copies;
mod examine;
pub(crate) mod image;
mod lookups;
mod lost_key;
mod sample;
pub mod scope;
mod secrecy;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::address::{Address, DEPTH_MAX};
use crate::checker::{Content, Finding, Invariant};
use crate::digest;
use crate::disk::Step;
use crate::forward::{Forward, Marked, Point};
use crate::history::{History, Shape};
use crate::model::Window;
use crate::system::System;
use crate::tally::{COPIES, KEY_COUNTS, SPREADS, Tally, Violation};
use crate::vault::{Custody, Vault};
use crate::watch::Watch;
pub(crate) use again::PROBE_PAYLOAD;
use chain::{Chain, Met};
use image::{Image, Images};
pub use sample::{crashes, panicked, sample};

/// Images that one history's points are looked at with, before duplicates and nested ones.
const IMAGES_WANTED: u64 = 2400;

/// The same where one image takes many times as long.
const IMAGES_WANTED_OF_LARGE: u64 = 300;

/// As [`IMAGES_WANTED`] of an encrypted one, so that its share of a campaign is one of many histories.
const IMAGES_WANTED_OF_ENCRYPTED: u64 = 800;

/// Images of a recovery's points, per point.
const NESTED_PER_POINT: u64 = 2;

/// Violations after which a history is given up.
const VIOLATIONS_MAX: usize = 3;

/// Calls of which a violation tells.
const TRACE_CALLS: usize = 20;

/// One forward run in so many is made twice and compared.
const REPEATED_ONE_IN: u64 = 32;

/// What an image must recover to.
#[derive(Clone, Copy, Debug)]
enum Expect<'a> {
    /// One of the states that a crash there may leave.
    Window(&'a Window),
    /// What was seen before, and nothing else; the invariant is the one that says so.
    Exactly(&'a Content, Invariant),
}

/// The crashes on the way to an image: for the words of a violation.
#[derive(Clone, Copy, Debug)]
struct Way<'a> {
    before: Option<&'a Way<'a>>,
    calls: Calls<'a>,
    image: Option<&'a Image>,
}

/// Calls up to a crash.
#[derive(Clone, Copy, Debug)]
enum Calls<'a> {
    Forward(&'a [Marked]),
    Recovery(&'a [Step]),
    /// Of a recovery that was right, so many, and of what was done behind it. None where they are not kept.
    Process(&'a [Step], usize),
}

/// Everything that one history's exploration keeps.
#[derive(Debug)]
pub struct Explorer<'a> {
    system: &'a dyn System,
    history: &'a History,
    /// The address of the run.
    root: Address,
    watch: &'a Watch,
    seen: BTreeMap<u128, Content>,
    tally: Tally,
    /// The keys and secrets of an encrypted run.
    vault: Option<Arc<Vault>>,
    /// What is owed of the keys at the image that is looked at.
    custody: Custody,
    /// One image alone, with every check (E4).
    alone: bool,
    /// Whether crashes of recoveries are looked at (E3).
    nests: bool,
    /// Images after which it ends.
    images_max: u64,
    /// Each image with every check, and with the crashes of its recovery if so said.
    thorough: Option<bool>,
    /// One image alone, with the checks that are said.
    chain: Option<&'a Chain>,
    /// What was met on the way of the chain.
    met: Met,
    /// The I/O calls of the image looked at alone.
    log: Vec<String>,
}

/// Explores the history of a run; `None` if the watch was told to stop.
pub fn explore(system: &dyn System, run: Address, watch: &Watch) -> Option<Tally> {
    watch.at(&run);
    let history = History::at(run);
    let forward = Forward::of(system, &history);
    let mut explorer = Explorer::new(system, &history, watch, false);
    explorer.take_run(&forward);
    // What that loses cannot be mended through the seam, here as in the sweep and in a reproducer.
    if forward.parent_lost {
        explorer.tally.violations.clear();
    }
    if run.seed.is_multiple_of(REPEATED_ONE_IN) {
        explorer.compare_with_second_run(&forward);
    }
    if explorer.tally.violations.is_empty() && !forward.parent_lost {
        explorer.every_point(&forward);
    }
    (!watch.is_stopped()).then_some(explorer.tally)
}

/// What [`replay`] found.
#[derive(Debug)]
pub struct Replayed {
    /// The counters of this image alone, and its violations.
    pub tally: Tally,
    /// The way to the image and what its recovery did, one line each.
    pub log: Vec<String>,
    /// The disk that recovery started from; none for an address without a crash.
    pub disk: Option<crate::disk::DiskState>,
}

/// Rebuilds one image from its address and checks it, with everything that is else checked on a
/// share of the images.
///
/// # Errors
/// What is wrong with the address: there is no such point or image.
pub fn replay(system: &dyn System, address: Address, watch: &Watch) -> Result<Replayed, String> {
    let history = History::at(address);
    let forward = Forward::of(system, &history);
    let mut explorer = Explorer::new(system, &history, watch, true);
    explorer.take_run(&forward);
    let Some(((point, number), nested)) = address.crashes().split_first() else {
        let log = explorer.words_of_run(&forward);
        return Ok(Replayed { tally: explorer.tally, log, disk: None });
    };
    let points = forward.points.len();
    let place = usize::try_from(*point).ok().and_then(|place| forward.points.get(place));
    let place = place.ok_or_else(|| {
        format!("the history of seed {} has {points} points, there is no {point}", address.seed)
    })?;
    let images = forward_images(&history, &forward, place);
    let at = history.address().below(*point, *number);
    let image = images.get(*number, at).ok_or_else(|| format!("there is no image {at}"))?;
    let (_, window, calls) = forward.at(place);
    let way = Way { before: None, calls: Calls::Forward(&forward.calls[..calls]), image: None };
    let disk = explorer.descend(&way, image, window, at, nested)?;
    Ok(Replayed { tally: explorer.tally, log: explorer.log, disk: Some(disk) })
}

impl<'a> Explorer<'a> {
    fn new(system: &'a dyn System, history: &'a History, watch: &'a Watch, alone: bool) -> Self {
        let (seen, tally, log) = (BTreeMap::new(), Tally::default(), Vec::new());
        let (thorough, chain, met) = (None, None, Met::default());
        let (vault, custody, nests, images_max) = (None, Custody::default(), true, u64::MAX);
        let root = history.address();
        Self {
            system,
            history,
            root,
            watch,
            seen,
            tally,
            vault,
            custody,
            alone,
            nests,
            images_max,
            thorough,
            chain,
            met,
            log,
        }
    }

    /// Counts what the forward run counted and found.
    fn take_run(&mut self, forward: &Forward) {
        self.vault.clone_from(&forward.vault);
        let tally = &mut self.tally;
        tally.seeds = 1;
        tally.seeds_encrypted = u64::from(forward.vault.is_some());
        tally.operations = forward.operations;
        for (invariant, times) in &forward.evaluated {
            *tally.invariants.entry(invariant.name()).or_default() += times;
        }
        for (name, times) in &forward.faults {
            *tally.faults.entry(name).or_default() += times;
        }
        // A system that has no such calls has no such counters.
        for (name, times) in COPIES.iter().filter_map(|name| forward.counts.get_key_value(name)) {
            *tally.copies.entry(name).or_default() += times;
        }
        for name in KEY_COUNTS.into_iter().filter(|_| forward.vault.is_some()) {
            let times = forward.counts.get(name).copied().unwrap_or_default();
            *tally.keys.entry(name).or_default() += times;
        }
        if self.history.shape == Shape::Churn {
            tally.count("operations of long runs", forward.operations);
        } else {
            tally.count("operations", forward.operations);
            for name in SPREADS.into_iter().filter(|name| !name.starts_with("operations")) {
                tally.count(name, forward.counts.get(name).copied().unwrap_or_default());
            }
        }
        tally.trace_hash = forward.trace_hash;
        let address = self.root;
        for (operation, finding) in &forward.findings {
            let mut finding = finding.clone();
            let action = self.history.operations.get(*operation);
            let action = action.map(|operation| shortened(&format!("{:?}", operation.action)));
            let action = action.unwrap_or_else(|| "the end".to_string());
            finding.found = format!("{} in operation {operation}, {action}", finding.found);
            let calls = Calls::Forward(&forward.calls);
            self.violated(address, finding, &Way { before: None, calls, image: None });
        }
    }

    fn compare_with_second_run(&mut self, forward: &Forward) {
        self.tally.runs_repeated += 1;
        let again = Forward::of(self.system, self.history);
        if again.trace_hash != forward.trace_hash {
            let expected = format!("trace hash {:016x} of the first run", forward.trace_hash);
            let found = format!("{:016x} of the second run of the same seed", again.trace_hash);
            let finding = Finding::new(Invariant::Answers, expected, found);
            let calls = Calls::Forward(&again.calls);
            let way = Way { before: None, calls, image: None };
            self.violated(self.history.address(), finding, &way);
        }
    }

    fn every_point(&mut self, forward: &Forward) {
        let (images, least) = match self.history.shape {
            Shape::Small if self.vault.is_some() => (IMAGES_WANTED_OF_ENCRYPTED, 1),
            Shape::Small => (IMAGES_WANTED, 6),
            Shape::Many | Shape::Wide | Shape::Churn => (IMAGES_WANTED_OF_LARGE, 1),
        };
        let wanted = (images / (forward.points.len() as u64).max(1)).clamp(least, 48);
        for (place, point) in forward.points.iter().enumerate() {
            let (_, window, calls) = forward.at(point);
            let way =
                Way { before: None, calls: Calls::Forward(&forward.calls[..calls]), image: None };
            let images = forward_images(self.history, forward, point);
            let address = self.history.address();
            self.point(&way, &images, wanted, window, address, place as u64);
            if self.gives_up() {
                return;
            }
        }
    }

    fn gives_up(&self) -> bool {
        self.tally.images_checked >= self.images_max
            || self.tally.violations.len() >= VIOLATIONS_MAX
            || self.watch.is_stopped()
    }

    /// Looks at the images of one point.
    fn point(
        &mut self,
        way: &Way<'_>,
        images: &Images<'_>,
        wanted: u64,
        window: &Window,
        above: Address,
        point: u64,
    ) {
        let mut any = false;
        for number in 0..images.count(wanted) {
            let address = above.below(point, number);
            // A call that has no inside has none for any number.
            let Some(image) = images.get(number, address) else { break };
            any = true;
            self.examine(way, &image, Expect::Window(window), address);
            if self.gives_up() {
                break;
            }
        }
        self.tally.crash_points += u64::from(any);
        self.tally.exhaustive_points += u64::from(any && images.are_exhaustive());
    }

    /// Looks at the points of a recovery (E3).
    fn nested(&mut self, way: &Way<'_>, steps: &[Step], window: &Window, above: Address) {
        for (place, step) in steps.iter().enumerate() {
            let way =
                Way { before: Some(way), calls: Calls::Recovery(&steps[..place]), image: None };
            for inside in [false, true] {
                let images = nested_images(step, inside);
                let point = 2 * place as u64 + u64::from(inside);
                self.point(&way, &images, NESTED_PER_POINT, window, above, point);
                if self.gives_up() {
                    return;
                }
            }
        }
    }

    /// Follows an address down to its image and checks that.
    fn descend(
        &mut self,
        way: &Way<'_>,
        image: Image,
        window: &Window,
        at: Address,
        nested: &[(u64, u64)],
    ) -> Result<crate::disk::DiskState, String> {
        let Some(((point, number), rest)) = nested.split_first() else {
            let state = image.build();
            self.examine(way, &image, Expect::Window(window), at);
            return Ok(state);
        };
        self.custody = window.custody.clone();
        let steps = self.steps_of_recovery(&image, at);
        let place = usize::try_from(point / 2).ok().and_then(|place| steps.get(place));
        let step = place.ok_or_else(|| {
            format!("the recovery of {at} has {} points, there is no {point}", 2 * steps.len())
        })?;
        let below = at.below(*point, *number);
        let images = nested_images(step, point % 2 == 1);
        let next =
            images.get(*number, below).ok_or_else(|| format!("there is no image {below}"))?;
        let upto = usize::try_from(point / 2).expect("it is a place in the steps");
        let crashed = Way { image: Some(&image), ..*way };
        let calls = Calls::Recovery(&steps[..upto]);
        let way = Way { before: Some(&crashed), calls, image: None };
        self.descend(&way, next, window, below, rest)
    }

    fn violated(&mut self, address: Address, finding: Finding, way: &Way<'_>) {
        let Finding { invariant, expected, found } = finding;
        let trace = way.words();
        self.tally.violations.push(Violation { address, invariant, expected, found, trace });
    }

    fn words_of_run(&self, forward: &Forward) -> Vec<String> {
        let mut lines = Vec::new();
        let mut calls = forward.calls.iter().peekable();
        for (place, operation) in self.history.operations.iter().enumerate() {
            lines.push(format!("operation {place}: {}", shortened(&format!("{operation:?}"))));
            while let Some(marked) = calls.next_if(|marked| marked.operation <= place) {
                lines.push(format!("  {}", marked.step.call));
            }
        }
        lines
    }

    fn mix_in(&mut self, words: [u64; 3]) {
        let [a, b, c] = words;
        self.tally.trace_hash = digest::of_words(&[self.tally.trace_hash, a, b, c]);
    }
}

impl<'a> Way<'a> {
    /// The way on behind a recovery from its image, which was right. Of the calls so many are the recovery's.
    fn behind(&'a self, calls: &'a [Step], of_recovery: usize) -> Self {
        let calls = Calls::Process(calls, of_recovery);
        Way { before: Some(self), calls, image: None }
    }
}

impl Way<'_> {
    /// The crashes one after another: the last calls before each, and what survived.
    fn words(&self) -> Vec<String> {
        let mut lines = self.before.map(Way::words).unwrap_or_default();
        match self.calls {
            Calls::Forward(calls) => {
                let from = calls.len().saturating_sub(TRACE_CALLS);
                let shown = calls[from..].iter();
                lines
                    .extend(shown.map(|call| format!("op {}: {}", call.operation, call.step.call)));
            }
            Calls::Recovery(steps) => {
                let from = steps.len().saturating_sub(TRACE_CALLS);
                lines.extend(steps[from..].iter().map(|step| format!("recovery: {}", step.call)));
            }
            Calls::Process(steps, of_recovery) => {
                lines.push("the next process opens it and goes on".to_owned());
                let (recovery, afterwards) = steps.split_at(of_recovery);
                for (when, steps) in [("recovery", recovery), ("afterwards", afterwards)] {
                    let shown = &steps[steps.len().saturating_sub(TRACE_CALLS)..];
                    lines.extend(shown.iter().map(|step| format!("{when}: {}", step.call)));
                }
            }
        }
        if let Some(image) = self.image {
            lines.extend(image.describe());
        }
        lines
    }
}

/// Where one image takes long, not all legal ones are looked at.
fn forward_images<'a>(history: &History, forward: &'a Forward, point: &'a Point) -> Images<'a> {
    let enumerate = history.shape == Shape::Small;
    match point {
        Point::Inside(call) => Images::inside(&forward.calls[*call].step),
        Point::Before(_) | Point::End { .. } => Images::of(forward.at(point).0, enumerate),
    }
}

fn nested_images(step: &Step, inside: bool) -> Images<'_> {
    if inside { Images::inside(step) } else { Images::of(&step.before, false) }
}

/// Whether one more crash fits into an address.
fn has_room(address: &Address) -> bool {
    address.crashes().len() < DEPTH_MAX
}

fn shortened(words: &str) -> String {
    let mut chars = words.chars();
    let head: String = chars.by_ref().take(300).collect();
    if chars.next().is_some() { format!("{head}...") } else { head }
}
