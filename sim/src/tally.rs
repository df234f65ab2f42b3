//! What a campaign counted.
//!
//! **Place.** The explorer fills one per seed; the campaign adds them up in the order of seeds, so
//! that totals are a function of the seeds alone. Reports print it.
//!
//! - T1. *Checked* is an image that the real recovery opened and whose invariants were evaluated. A
//!   duplicate is an image equal to one of the same history that was checked; it is never counted
//!   as checked.
//! - T2. Adding depends on no order, and shards are joined by the same addition. Only violations are
//!   kept in the order in which they came.
//! - T3. Each counter has its name and its words in one place, `Counters`: it is added, judged, written,
//!   read back and told by what stands there.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::address::{Address, Of};
use crate::checker::{AN_ANSWER, Finding, Invariant};
use crate::disk::{Fault, MEDIUM_COUNTS, Policy, Tear, Ticking};
use crate::forward::{FULL_DISK, RESERVE_OWED};
use crate::replica;
use crate::repro;

/// What is expected of the simulator itself.
const NO_PANIC_OF_OURS: &str = "no panic of the simulator";

/// A violation, with all that is needed to look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which image of which run.
    pub address: Address,
    /// Which invariant.
    pub invariant: Invariant,
    /// What should be.
    pub expected: String,
    /// What is.
    pub found: String,
    /// The last writing I/O calls before the crash, and what of everything pending survived.
    pub trace: Vec<String>,
}

impl Violation {
    /// A store that does not come back from an image or a run.
    pub fn hang(address: Address, patience: Duration) -> Self {
        let Finding { invariant, expected, found } = Finding::hang(Invariant::I5, patience);
        Self { address, invariant, expected, found, trace: Vec::new() }
    }

    /// A panic that is neither the store's nor caught around it: a fault of the simulator.
    pub fn of_ours(address: Address, panic: String) -> Self {
        let (invariant, expected) = (Invariant::Answers, NO_PANIC_OF_OURS.to_owned());
        Self { address, invariant, expected, found: panic, trace: Vec::new() }
    }

    /// The command that shows it again.
    pub fn replay(&self) -> String {
        match self.address.kind() {
            Of::Swarm => format!("quiver-sim swarm --seed {}", self.address.seed),
            _ => format!("quiver-sim replay {}", self.address),
        }
    }

    /// The command that makes it small; none where the store hangs or the simulator fails, for then
    /// playing it does not come to an end, and none for a replica history.
    pub fn shrink(&self) -> Option<String> {
        let ends = ![AN_ANSWER, NO_PANIC_OF_OURS].contains(&self.expected.as_str());
        let plays = ends && !self.address.is_replica();
        let word = repro::word_of(self.invariant);
        plays.then(|| format!("quiver-sim shrink {} --violates {word}", self.address))
    }
}

/// Sums.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Histories.
    pub seeds: u64,
    /// Of them, how many were encrypted.
    pub seeds_encrypted: u64,
    /// Seeds passed over, whose histories are of a kind that was not asked for.
    pub seeds_left_out: u64,
    /// Operations carried out in them.
    pub operations: u64,
    /// Crash points looked at, nested ones included.
    pub crash_points: u64,
    /// Points at which all legal images were checked.
    pub exhaustive_points: u64,
    /// Images checked (T1).
    pub images_checked: u64,
    /// Of them, how many are of encrypted stores.
    pub images_encrypted: u64,
    /// Of them, how many came after a crash of a recovery, or after a recovery that was seen.
    pub images_nested: u64,
    /// Images equal to one checked before.
    pub images_duplicate: u64,
    /// Forward runs that were made twice and compared.
    pub runs_repeated: u64,
    /// Images checked, by the finest tear among what was lost.
    pub tears: BTreeMap<&'static str, u64>,
    /// Images checked, by the way the machine stopped: a policy of losing power, or a kill.
    pub policies: BTreeMap<&'static str, u64>,
    /// How often each invariant was evaluated.
    pub invariants: BTreeMap<&'static str, u64>,
    /// How often each fault fired.
    pub faults: BTreeMap<&'static str, u64>,
    /// Histories by what they came to, one spread for each of [`SPREADS`].
    pub spreads: BTreeMap<&'static str, Spread>,
    /// Verifications and backups, by the names of [`COPIES`].
    pub copies: BTreeMap<&'static str, u64>,
    /// What was done to keys of encrypted stores, by the names of [`KEY_COUNTS`].
    pub keys: BTreeMap<&'static str, u64>,
    /// What replica histories came to, by the names of [`replica::COUNTS`].
    pub replica: BTreeMap<&'static str, u64>,
    /// The most I/O calls that one recovery made.
    pub recovery_calls_max: u64,
    /// The sum of one hash for each history, of its traces and recovered states in order.
    pub trace_hash: u64,
    /// What does not hold, by address.
    pub violations: Vec<Violation>,
}

/// How often each of some things occurred, by their names.
pub(crate) type Table = BTreeMap<&'static str, u64>;

/// What is told alike of a tally, in the order in which people are told (T3).
pub(crate) struct Counters<Number, Rows> {
    /// Numbers that are summed up: the name in files, the words for people, and the number.
    pub sums: [(&'static str, &'static str, Number); 11],
    /// Tables of them: the name in files, the word for one row, the words for all, and the rows.
    pub tables: [(&'static str, &'static str, &'static str, Rows); 7],
}

/// Takes a tally apart, whether it is to be read or to be changed.
macro_rules! counters_of {
    ($tally:expr) => {{
        // Whoever adds a field is asked here what becomes of it. What is neither a sum nor a table has to
        // be added, judged, written, read back and told beside these.
        let Tally {
            seeds,
            seeds_encrypted,
            seeds_left_out,
            operations,
            crash_points,
            exhaustive_points,
            images_checked,
            images_encrypted,
            images_nested,
            images_duplicate,
            runs_repeated,
            tears,
            policies,
            invariants,
            faults,
            spreads: _,
            copies,
            keys,
            replica,
            recovery_calls_max: _,
            trace_hash: _,
            violations: _,
        } = $tally;
        Counters {
            sums: [
                ("seeds", "histories", seeds),
                ("seeds_encrypted", "  of them encrypted", seeds_encrypted),
                ("seeds_left_out", "seeds left out", seeds_left_out),
                ("operations", "operations", operations),
                ("crash_points", "crash points", crash_points),
                ("exhaustive_points", "  of them exhaustive", exhaustive_points),
                ("images_checked", "images checked", images_checked),
                ("images_nested", "  of them nested", images_nested),
                ("images_encrypted", "  of them encrypted", images_encrypted),
                ("images_duplicate", "duplicate images", images_duplicate),
                ("runs_repeated", "runs repeated and equal", runs_repeated),
            ],
            tables: [
                ("invariants", "invariant", "invariants evaluated", invariants),
                ("faults", "fault", "faults fired", faults),
                ("policies", "policy", "images by policy", policies),
                ("tears", "tear", "images by finest tear", tears),
                ("replica", "replica", "two stores, one following", replica),
                ("copies", "counter", "verifications and backups", copies),
                ("keys", "key", "keys of encrypted stores", keys),
            ],
        }
    }};
}

/// How often each small number occurred.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spread(pub BTreeMap<u64, u64>);

impl Spread {
    /// Counts one occurrence.
    pub fn count(&mut self, number: u64) {
        *self.0.entry(number).or_default() += 1;
    }

    /// The median; zero of nothing.
    pub fn median(&self) -> u64 {
        let all: u64 = self.0.values().sum();
        let mut seen = 0;
        for (number, times) in &self.0 {
            seen += times;
            if seen * 2 >= all {
                return *number;
            }
        }
        0
    }

    /// The highest number; zero of nothing.
    pub fn most(&self) -> u64 {
        self.0.keys().next_back().copied().unwrap_or_default()
    }

    fn add(&mut self, other: &Self) {
        for (number, times) in &other.0 {
            *self.0.entry(*number).or_default() += times;
        }
    }
}

/// What is told of each history.
pub const SPREADS: [&str; 15] = [
    "operations",
    "log files, most",
    "segments, most",
    "segments at the end",
    "tombstone files, most",
    "pinned files, most",
    "checkpoints",
    "merges",
    "log switches",
    "rows, most",
    "snapshots",
    "paused scans",
    "paused scans, changed under",
    "calls behind what a reader saw",
    "operations of long runs",
];

/// What is counted of verifications and backups.
pub const COPIES: [&str; 6] = [
    "verifications",
    "images verified",
    "backups",
    "backups gone on with",
    "images with a backup",
    "backups gone on with after a crash",
];
/// What is counted of keys.
pub const KEY_COUNTS: [&str; 4] =
    ["shreds", "master keys replaced", "data keys replaced", KEYS_LOST];

/// The word for collections whose keys are missing for a while.
pub const KEYS_LOST: &str = "keys missing for a while";

/// The word for images of a killed process in [`Tally::policies`].
pub const KILL: &str = "kill";

/// The word for images that were enumerated in [`Tally::policies`].
pub const ENUMERATED: &str = "enumerated";

impl Tally {
    /// A tally in which every counter stands at zero, so that one that stays there shows.
    pub fn zero() -> Self {
        let mut tally = Self::default();
        for invariant in Invariant::ALL {
            tally.invariants.insert(invariant.name(), 0);
        }
        for policy in Policy::ALL {
            tally.policies.insert(policy.name(), 0);
        }
        tally.policies.insert(KILL, 0);
        tally.policies.insert(ENUMERATED, 0);
        for fault in Fault::ALL {
            tally.faults.insert(fault.name(), 0);
        }
        for name in SPREADS {
            tally.spreads.insert(name, Spread::default());
        }
        for name in COPIES {
            tally.copies.insert(name, 0);
        }
        for name in KEY_COUNTS {
            tally.keys.insert(name, 0);
        }
        for name in replica::COUNTS {
            tally.replica.insert(name, 0);
        }
        tally.faults.insert(FULL_DISK, 0);
        tally.faults.insert(RESERVE_OWED, 0);
        for name in MEDIUM_COUNTS {
            tally.faults.insert(name, 0);
        }
        for ticking in Ticking::FAULTS {
            tally.faults.insert(ticking.name(), 0);
        }
        for tear in [Tear::None, Tear::Mutation, Tear::Sector, Tear::TornSector] {
            tally.tears.insert(tear.name(), 0);
        }
        tally
    }

    /// Takes out what only encrypted histories count, where there are none.
    pub fn forget_encryption(&mut self) {
        self.keys.clear();
        for invariant in Invariant::OF_ENCRYPTION {
            self.invariants.remove(invariant.name());
        }
    }

    /// Takes out what is looked at on the POSIX filesystem alone.
    pub fn forget_posix(&mut self) {
        self.replica.clear();
        // What a filesystem promises beyond POSIX is drawn, never enumerated.
        self.policies.remove(ENUMERATED);
    }

    /// The counters that are told alike.
    pub(crate) fn counters(&self) -> Counters<&u64, &Table> {
        counters_of!(self)
    }

    /// The same, to be changed.
    pub(crate) fn counters_mut(&mut self) -> Counters<&mut u64, &mut Table> {
        counters_of!(self)
    }

    /// Counts an evaluation.
    pub fn evaluated(&mut self, invariant: Invariant) {
        *self.invariants.entry(invariant.name()).or_default() += 1;
    }

    /// Images of replica histories that were checked.
    pub fn replica_images(&self) -> u64 {
        let of = |name: &str| self.replica.get(name).copied().unwrap_or_default();
        of("images of leaders") + of("images of followers")
    }

    /// Counts a number of one history.
    pub fn count(&mut self, name: &'static str, number: u64) {
        self.spreads.entry(name).or_default().count(number);
    }

    /// Adds another tally (T2).
    pub fn add(&mut self, other: &Self) {
        let (own, others) = (self.counters_mut(), other.counters());
        for ((.., own), (.., others)) in own.sums.into_iter().zip(others.sums) {
            *own += others;
        }
        for ((.., own), (.., others)) in own.tables.into_iter().zip(others.tables) {
            for (name, times) in others {
                *own.entry(name).or_default() += times;
            }
        }
        for (name, spread) in &other.spreads {
            self.spreads.entry(name).or_default().add(spread);
        }
        self.recovery_calls_max = self.recovery_calls_max.max(other.recovery_calls_max);
        self.trace_hash = self.trace_hash.wrapping_add(other.trace_hash);
        self.violations.extend(other.violations.iter().cloned());
    }

    /// The counters that a campaign of some size must not leave at zero, but did.
    pub fn idle(&self) -> Vec<String> {
        let mut idle = Vec::new();
        let plain = [
            ("images checked", self.images_checked),
            ("nested images", self.images_nested),
            ("duplicate images", self.images_duplicate),
            ("exhaustive points", self.exhaustive_points),
            ("runs repeated", self.runs_repeated),
        ];
        idle.extend(plain.iter().filter(|(_, times)| *times == 0).map(|(name, _)| (*name).into()));
        if !self.keys.is_empty() && self.images_encrypted == 0 {
            idle.push("encrypted images".into());
        }
        for (_, kind, _, table) in self.counters().tables {
            let unused = table.iter().filter(|(_, times)| **times == 0);
            idle.extend(unused.map(|(name, _)| format!("{kind} {name}")));
        }
        let unused = self.spreads.iter().filter(|(_, spread)| spread.most() == 0);
        idle.extend(unused.map(|(name, _)| (*name).into()));
        idle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_of_the_counted_numbers() {
        let mut spread = Spread::default();
        assert_eq!(spread.median(), 0);
        for number in [5, 1, 9, 9, 9] {
            spread.count(number);
        }
        assert_eq!(spread.median(), 9);
        spread.count(1);
        spread.count(1);
        assert_eq!(spread.median(), 5);
    }

    #[test]
    fn each_counter_has_the_name_of_its_field_and_is_added() {
        let mut tally = Tally::default();
        let all = tally.counters_mut();
        for ((.., times), count) in all.sums.into_iter().zip(1_001..) {
            *times = count;
        }
        for ((.., table), count) in all.tables.into_iter().zip(2_001..) {
            table.insert("it", count);
        }
        let mut twice = tally.clone();
        twice.add(&tally);
        let (fields, doubled, all) = (format!("{tally:?}"), format!("{twice:?}"), tally.counters());
        for (name, _, times) in all.sums {
            assert!(fields.contains(&format!(" {name}: {times},")), "{name}: {fields}");
            assert!(doubled.contains(&format!(" {name}: {},", 2 * times)), "{name}: {doubled}");
        }
        for (name, .., table) in all.tables {
            let times = table["it"];
            assert!(fields.contains(&format!(" {name}: {{\"it\": {times}}},")), "{name}: {fields}");
            let sum = format!(" {name}: {{\"it\": {}}},", 2 * times);
            assert!(doubled.contains(&sum), "{name}: {doubled}");
        }
    }

    #[test]
    fn panic_of_ours_is_replayed_and_never_made_small() {
        let violation = Violation::of_ours(Address::run(7), "at once".to_owned());
        assert_eq!((violation.shrink(), &*violation.found), (None, "at once"));
        assert_eq!(violation.replay(), format!("quiver-sim replay {}", Address::run(7)));
    }

    #[test]
    fn counters_at_zero_are_named() {
        let mut tally = Tally::zero();
        let idle = tally.idle().len();
        tally.evaluated(Invariant::I1);
        assert_eq!(tally.idle().len(), idle - 1);
        assert!(tally.idle().contains(&"fault sync-eio".to_string()));
    }
}
