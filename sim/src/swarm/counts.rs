//! What swarm runs came to, by name.
//!
//! - N1. Each name stands in the report, at zero too. One that stayed at zero in a campaign of some size
//!   fails it: then tasks did not meet where they have to, or a check is dead.

use std::collections::BTreeMap;

/// How often members of one group came from several tasks.
pub const SHARED_GROUPS: &str = "groups of several tasks";

/// How often a task submitted while what another had submitted waited to be driven.
pub const BETWEEN_SUBMIT_AND_DRIVE: &str = "submits between submit and drive of another";

/// Milliseconds of virtual time.
pub const VIRTUAL_MS: &str = "virtual milliseconds";

/// All names.
pub const NAMES: [&str; 31] = [
    "tasks",
    "clients",
    "calls of the store",
    "requests",
    "groups",
    SHARED_GROUPS,
    BETWEEN_SUBMIT_AND_DRIVE,
    "reads between submit and drive",
    "background steps between submit and drive",
    "requests carried out beside waiting ones",
    "background steps",
    "checkpoints and compactions",
    "snapshots held",
    "reads of held snapshots",
    "scans left between rows",
    "scans gone on with after a change",
    "commits observed",
    "linearizable reads",
    "linearizable writes",
    "conditional answers judged",
    "processes",
    "kills",
    "losses of power",
    "kills inside a call",
    "losses of power inside a call",
    "closes",
    "requests under way at an end",
    "runs with faults",
    "runs of encrypted stores",
    "runs carried out without tasks, and equal",
    VIRTUAL_MS,
];

/// Sums by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(pub BTreeMap<&'static str, u64>);

impl Counts {
    /// All at zero.
    pub fn zero() -> Self {
        Self(NAMES.into_iter().map(|name| (name, 0)).collect())
    }

    /// Counts so many more.
    pub fn more(&mut self, name: &'static str, times: u64) {
        debug_assert!(NAMES.contains(&name), "{name} is not in the table");
        *self.0.entry(name).or_default() += times;
    }

    /// How many of a name.
    pub fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// Adds others.
    pub fn add(&mut self, others: &Self) {
        for (name, times) in &others.0 {
            *self.0.entry(name).or_default() += times;
        }
    }
}
