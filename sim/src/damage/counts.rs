//! What was done and what came of it.

use std::collections::BTreeMap;

use super::hit::ROOT;
use super::layout::Kind;
use super::log::ROWS;
use super::wound::{Form, Wound};

/// Whatever a damage may come to, besides the rows of the table.
pub(super) const OUTCOMES: [&str; 16] = [
    "torn tail dropped",
    "harmless",
    "confined",
    "parked in a further file",
    "writes refused",
    "refused behind a read",
    "put back and whole again",
    "dropped with its damage",
    "salvaged",
    "nothing to salvage",
    "told from its segments",
    "hit while open",
    "hit again behind recovery",
    "hit again inside recovery",
    "several at once",
    "crash images",
];

/// Counters of a damage campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Cases.
    pub cases: u64,
    /// Stores that were opened with damage, or met it while open.
    pub images: u64,
    /// Stores that were left out: one that was taken back as a whole, or looks like an unfinished one.
    pub left_out: u64,
    /// Damages, by what they are and the file that they hit.
    pub wounds: BTreeMap<(&'static str, &'static str), u64>,
    /// What came of them.
    pub outcomes: BTreeMap<&'static str, u64>,
}

impl Default for Counts {
    fn default() -> Self {
        let names = OUTCOMES.into_iter().chain(ROWS).chain([ROOT]);
        let outcomes = names.map(|name| (name, 0)).collect();
        Self { cases: 0, images: 0, left_out: 0, wounds: BTreeMap::new(), outcomes }
    }
}

impl Counts {
    pub(super) fn more(&mut self, outcome: &'static str) {
        *self.outcomes.entry(outcome).or_default() += 1;
    }

    pub(super) fn wounded(&mut self, wound: &Wound) {
        *self.wounds.entry((wound.form.name(), wound.kind.name())).or_default() += 1;
    }

    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        self.cases += other.cases;
        self.images += other.images;
        self.left_out += other.left_out;
        for (name, times) in &other.wounds {
            *self.wounds.entry(*name).or_default() += times;
        }
        for (name, times) in &other.outcomes {
            *self.outcomes.entry(name).or_default() += times;
        }
    }

    /// How often each form of damage was done to any file.
    pub fn by_form(&self) -> BTreeMap<&'static str, u64> {
        self.sums(Form::ALL.map(Form::name), |(form, _)| form)
    }

    /// How often each kind of file was hit.
    pub fn by_kind(&self) -> BTreeMap<&'static str, u64> {
        self.sums(Kind::ALL.map(Kind::name), |(_, kind)| kind)
    }

    fn sums<const N: usize>(
        &self,
        names: [&'static str; N],
        name: fn((&'static str, &'static str)) -> &'static str,
    ) -> BTreeMap<&'static str, u64> {
        let mut sums: BTreeMap<&'static str, u64> =
            names.into_iter().map(|name| (name, 0)).collect();
        for (both, times) in &self.wounds {
            *sums.entry(name(*both)).or_default() += times;
        }
        sums
    }

    /// The counters that stayed at zero.
    pub fn idle(&self) -> Vec<String> {
        let tables = [self.by_form(), self.by_kind(), self.outcomes.clone()];
        let rows = tables.iter().flatten().filter(|(_, times)| **times == 0);
        rows.map(|(name, _)| format!("{name} of the damage")).collect()
    }
}
