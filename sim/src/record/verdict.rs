//! How a run ended, all parts of it together: for the exit code of the command and for the head of its page.
//!
//! - V1. Counters at zero are an error of a whole run. One shard of many may have too few runs for some of
//!   them: its counters are judged when all shards are joined.

use super::Record;
use crate::damage;

/// Cases of damage with which each counter has to have moved.
const CASES_THAT_MEET_ALL: u64 = 8000;

/// How a run ended, the first that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Something does not hold.
    Violated,
    /// It was ended by Ctrl-C.
    Cancelled,
    /// Nothing was found, in some shards of many (V1).
    SomeShards,
    /// Nothing was found, but counters stayed at zero: which ones, and what to do.
    Idle(String),
    /// Nothing was found by all of what was asked for.
    Sound,
}

impl Record {
    /// How it ended.
    pub fn verdict(&self) -> Verdict {
        if self.violations() > 0 {
            return Verdict::Violated;
        }
        if self.is_cancelled() {
            return Verdict::Cancelled;
        }
        if self.shards.are_some() {
            return Verdict::SomeShards;
        }
        let Self { done, swept, hurt, swarmed, .. } = self;
        let too_short = "run more images, or find out why the check is dead";
        let parts = [
            (
                swept.as_ref().map(|part| part.idle()),
                "the run was too short, or the sweep is dead there",
            ),
            (hurt.as_ref().map(of_damage), "a check is dead there"),
            (
                swarmed.as_ref().map(|part| part.idle()),
                "the run was too short, or the swarm is dead there",
            ),
            (Some(done.tally.idle()), too_short),
        ];
        let idle = parts.into_iter().map(|(idle, advice)| (idle.unwrap_or_default(), advice));
        let mut idle = idle.filter(|(idle, _)| !idle.is_empty());
        let told = |(idle, advice): (Vec<String>, _)| format!("{} ({advice})", idle.join("; "));
        idle.next().map_or(Verdict::Sound, |idle| Verdict::Idle(told(idle)))
    }
}

fn of_damage(done: &damage::Report) -> Vec<String> {
    let enough = done.counts.cases >= CASES_THAT_MEET_ALL;
    if enough { done.counts.idle() } else { Vec::new() }
}
