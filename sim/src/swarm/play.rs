//! One seed: its run, the same once more now and then, and its crash images.
//!
//! - Y1. What a seed comes to depends on nothing else.
//! - Y2. A violation carries the story of the run: who asked for what, when, and what was answered.

use madsim::runtime::Runtime;

use super::campaign::Outcome;
use super::desk::{Desk, Played};
use super::plan::Plan;
use super::story;
use crate::address::Address;
use crate::checker::{Finding, Invariant};
use crate::digest;
use crate::explore;
use crate::forward::Forward;
use crate::history::History;
use crate::system::System;
use crate::tally::Violation;
use crate::watch::Watch;

/// One run in so many is made twice and compared, and once without tasks.
const REPEATED_ONE_IN: u64 = 16;

/// Crash images of one run, before those of further recoveries.
const IMAGES: u64 = 60;

/// Crash images of one run that is encrypted, which take several times as long.
const IMAGES_OF_ENCRYPTED: u64 = 16;

/// Lines of a story that a violation tells, if it is not the only thing to be shown.
const LINES_MAX: usize = 60;

/// What a seed comes to; its story as a whole if so said.
pub(super) fn play(system: &dyn System, seed: u64, alone: bool, watch: &Watch) -> Outcome {
    let address = Address::swarm(seed);
    watch.at(&address);
    let plan = Plan::of(seed);
    let base = History::without_operations(seed, plan.is_faulty());
    let played = run(system, &base, &plan);
    let hash = hash_of(&played);
    let Played { forward, operations, story, mut counts } = played;
    let history = History { operations, ..base.clone() };
    counts.more("runs with faults", u64::from(plan.is_faulty()));
    counts.more("runs of encrypted stores", u64::from(forward.vault.is_some()));
    let images = if forward.vault.is_some() { IMAGES_OF_ENCRYPTED } else { IMAGES };
    let mut tally = explore::crashes(system, &history, &forward, address, images, watch);
    tally.trace_hash = digest::of_words(&[tally.trace_hash, hash]);
    if (alone || seed.is_multiple_of(REPEATED_ONE_IN)) && tally.violations.is_empty() {
        tally.runs_repeated += 1;
        let again = hash_of(&run(system, &base, &plan));
        let mut differs = unequal("the second run of the same seed", hash, again);
        // What tasks asked for, without tasks (W4).
        let without = Forward::of(system, &history).trace_hash;
        counts.more("runs carried out without tasks, and equal", 1);
        differs = differs.or(unequal("the run without tasks", forward.trace_hash, without));
        tally.violations.extend(differs.map(|finding| violation(address, finding)));
    }
    let told = || {
        let lines_max = if alone { usize::MAX } else { LINES_MAX };
        story::told(&story, &history.operations, plan.clients.len(), lines_max)
    };
    let stories = tally.violations.iter().map(|_| told()).collect();
    let whole = if alone { told() } else { Vec::new() };
    Outcome { tally, counts, stories, whole, history: alone.then_some(history) }
}

fn run(system: &dyn System, base: &History, plan: &Plan) -> Played {
    let runtime = Runtime::with_seed_and_config(base.seed, madsim::Config::default());
    runtime.block_on(async { Desk::new(system, base, plan).play().await })
}

/// What tells one run from another: every I/O call and answer, and when whose turn it was.
fn hash_of(played: &Played) -> u64 {
    let mut words = vec![played.forward.trace_hash];
    words.extend(played.story.iter().flat_map(story::Line::words));
    digest::of_words(&words)
}

fn unequal(what: &str, first: u64, second: u64) -> Option<Finding> {
    let expected = format!("trace hash {first:016x}, that of the first run");
    let found = format!("{second:016x} of {what}");
    (first != second).then(|| Finding::new(Invariant::Answers, expected, found))
}

fn violation(address: Address, Finding { invariant, expected, found }: Finding) -> Violation {
    Violation { address, invariant, expected, found, trace: Vec::new() }
}
