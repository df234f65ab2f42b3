//! Replica histories: a leader, a follower, and a channel between them.
//!
//! **Place.** Beside the explorer of one store; the campaign asks for a share of the seeds. Everything
//! is a function of the seed, as there.
//!
//! | file | noun |
//! |---|---|
//! | `applied` | the model of a follower: what an operation comes to |
//! | `side` | one of the two stores, on a disk of its own |
//! | `pair` | the history: stops, connections, what an observer is told |
//! | `acts` | what each of the two does in a step |
//! | `images` | crash images of both |
//!
//! - Q1. An observer is told what is durable, in LSN order, each once for each time it was set, and of
//!   the leader's model nothing else. No crash of the leader loses or changes what was told.
//! - Q2. What a follower answered is there in each of its crash images, and of the batch under way all or
//!   nothing; its collections have the leader's names, schemas and ids.
//! - Q3. From each position that was noted, or an older one, both come to hold the same; from a copy too.
//! - Q4. What a follower refuses changes nothing.
//! - Q5. Of a seed whose store is encrypted either of the two is, or both are: what one tells the other is in plain. No byte of
//!   the encrypted one gives anything away, and no nonce seals two things (I15, I16). Keys stay as they
//!   are: shreds and new keys are the business of one store, and a shred is told of as a drop.
//!
//! What `shrink` does not do: a replica history is replayed from its address, and not made smaller.

mod acts;
mod applied;
mod images;
mod pair;
mod side;

use crate::address::Address;
use crate::checker::{Finding, Invariant};
use crate::digest;
use crate::history::{History, Shape};
use crate::system::System;
use crate::tally::{Tally, Violation};
use crate::watch::Watch;
use images::{Explored, Points};
use pair::{Out, Pair};

/// One seed in so many has a replica history too.
const ONE_IN: u64 = 2;

/// One of them in so many is played twice and compared.
const REPEATED_ONE_IN: u64 = 16;

/// What is counted, and must not stay at zero in a campaign of some size.
pub const COUNTS: [&str; 23] = [
    "encrypted leaders",
    "encrypted followers",
    "histories",
    "histories repeated",
    "images of leaders",
    "images of followers",
    "batches observed",
    "checkpoints observed",
    "batches applied",
    "applies that came to nothing",
    "applies refused",
    "catch-ups by LSN",
    "catch-ups too late",
    "catch-ups of leaders in images",
    "catch-ups of followers in images",
    "copies",
    "leader writes that failed",
    "leader starts",
    "leader stops inside a call",
    "follower starts",
    "follower stops inside an apply",
    "equal states",
    "faults",
];

/// Counted where it occurs, and seldom: a follower that was away for too long, in an image.
pub const TOO_LATE: &str = "images too late to catch up";

/// Whether a seed has a replica history.
pub fn has(seed: u64) -> bool {
    seed % ONE_IN == 1
}

/// Explores the replica history of a seed; `None` if the watch was told to stop.
pub fn explore(system: &dyn System, seed: u64, watch: &Watch) -> Option<Tally> {
    watch.at(&Address::replica(seed));
    let Some(history) = history_of(seed) else { return Some(Tally::default()) };
    let out = Pair::new(system, &history).play();
    let mut tally = taken(&history, &out);
    if (seed / ONE_IN).is_multiple_of(REPEATED_ONE_IN) {
        *tally.replica.entry("histories repeated").or_default() += 1;
        let again = Pair::new(system, &history).play();
        if again.hash != out.hash {
            let expected = format!("trace hash {:016x} of the first run", out.hash);
            let found = format!("{:016x} of the second run of the same seed", again.hash);
            let finding = Finding::new(Invariant::Answers, expected, found);
            tally.violations.push(violation(Address::replica(seed), finding, Vec::new()));
        }
    }
    if tally.violations.is_empty() {
        let points = Points { system, history: &history, out: &out, watch };
        take_images(&mut tally, points.every());
    }
    for vault in out.vaults.iter().flatten() {
        for (invariant, times) in vault.take_evaluated() {
            *tally.invariants.entry(invariant.name()).or_default() += times;
        }
    }
    (!watch.is_stopped()).then_some(tally)
}

/// Shows a replica history again, or one image of it.
///
/// # Errors
/// What is wrong with the address.
pub fn replay(
    system: &dyn System,
    address: Address,
    watch: &Watch,
) -> Result<(Tally, Vec<String>), String> {
    let seed = address.seed;
    let history = history_of(seed).ok_or_else(|| format!("seed {seed} has no replica history"))?;
    let out = Pair::new(system, &history).play();
    let mut tally = taken(&history, &out);
    let log = out.calls.iter().map(|call| format!("{:?}: {}", call.who, call.step.call)).collect();
    let points = Points { system, history: &history, out: &out, watch };
    match address.crashes() {
        [] => {}
        [(point, number)] => {
            let mut explored = Explored::default();
            if !points.look(*point, *number, &mut explored) {
                return Err(format!("there is no image {address}"));
            }
            take_images(&mut tally, explored);
        }
        _ => return Err("an address of a replica history has one crash at most".to_owned()),
    }
    Ok((tally, log))
}

/// The leader's history; long ones are left to runs of one store.
fn history_of(seed: u64) -> Option<History> {
    let history = History { encrypted: false, ..History::of(seed) };
    (has(seed) && history.shape != Shape::Churn).then_some(history)
}

fn taken(history: &History, out: &Out) -> Tally {
    let mut tally = Tally { trace_hash: out.hash, ..Tally::default() };
    tally.replica.insert("histories", 1);
    for (name, times) in &out.counts {
        *tally.replica.entry(name).or_default() += times;
    }
    if let Some((operation, finding)) = &out.finding {
        let mut finding = finding.clone();
        finding.found = format!("{} at operation {operation}", finding.found);
        let calls = &out.calls[out.calls.len().saturating_sub(20)..];
        let trace =
            calls.iter().map(|call| format!("{:?}: {}", call.who, call.step.call)).collect();
        tally.violations.push(violation(Address::replica(history.seed), finding, trace));
    }
    tally
}

fn take_images(tally: &mut Tally, explored: Explored) {
    for (name, times) in &explored.counts {
        *tally.replica.entry(name).or_default() += times;
    }
    let mut words = explored.words;
    words.push(tally.trace_hash);
    tally.trace_hash = digest::of_words(&words);
    for (address, finding, trace) in explored.findings {
        tally.violations.push(violation(address, finding, trace));
    }
}

fn violation(address: Address, finding: Finding, trace: Vec<String>) -> Violation {
    let Finding { invariant, expected, found } = finding;
    Violation { address, invariant, expected, found, trace }
}
