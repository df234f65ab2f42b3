//! A plainer store: fewer slots, short names, small dimensions, usual settings, no dice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use quiver_store::{Descriptor, Options};

use super::Shrinker;
use crate::disk::Medium;
use crate::history::{Shape, Slot};
use crate::repro::parts::Visit;
use crate::repro::settings;
use crate::system::Row;

/// Sees which slots and ids are in use.
#[derive(Default)]
struct Used {
    slots: BTreeSet<usize>,
    ids: Vec<Arc<str>>,
}

impl Visit for Used {
    fn slot(&mut self, slot: &mut usize) {
        self.slots.insert(*slot);
    }

    fn id(&mut self, id: &mut Arc<str>) {
        if !self.ids.contains(id) {
            self.ids.push(id.clone());
        }
    }
}

/// Gives slots other numbers.
struct Renumber(BTreeMap<usize, usize>);

impl Visit for Renumber {
    fn slot(&mut self, slot: &mut usize) {
        *slot = self.0[slot];
    }
}

/// Gives ids other names.
struct Rename(BTreeMap<Arc<str>, Arc<str>>);

impl Visit for Rename {
    fn id(&mut self, id: &mut Arc<str>) {
        if let Some(name) = self.0.get(id) {
            *id = name.clone();
        }
    }
}

/// Cuts the vectors of a slot.
struct Resize {
    slot: usize,
    dim: u32,
}

impl Visit for Resize {
    fn row(&mut self, slot: usize, row: &mut Row) {
        if slot == self.slot {
            row.0 = row.0.iter().take(self.dim as usize).copied().collect();
        }
    }

    fn schema(&mut self, slot: usize, schema: &mut Descriptor) {
        if slot == self.slot {
            schema.dim = self.dim;
        }
    }
}

/// `a` to `z`, then `a1` and so on.
fn short_name(place: usize) -> Arc<str> {
    let letter = char::from(b'a' + u8::try_from(place % 26).expect("below 26"));
    match place / 26 {
        0 => letter.to_string().into(),
        round => format!("{letter}{round}").into(),
    }
}

impl Shrinker<'_> {
    /// Makes everything around the operations plainer.
    pub(super) fn plainer_shape(&mut self) {
        self.no_ids();
        self.fewer_slots();
        self.shorter_names();
        for slot in 0..self.best.history.slots.len() {
            self.smaller_dimension(slot);
        }
        self.usual_settings();
        let mut candidate = self.best.clone();
        candidate.history.shape = Shape::Small;
        self.attempt(candidate);
        let mut candidate = self.best.clone();
        candidate.history.medium = Medium::default();
        self.attempt(candidate);
        let mut candidate = self.best.clone();
        candidate.history.encrypted = false;
        self.attempt(candidate);
        self.less_chance();
    }

    fn fewer_slots(&mut self) {
        let mut used = Used::default();
        self.best.visited(&mut used);
        // Some deeds of the simulator are done to the first slot.
        if used.slots.is_empty() {
            used.slots.insert(0);
        }
        if used.slots.len() < self.best.history.slots.len() {
            let numbers = used.slots.iter().copied().zip(0..).collect();
            let mut candidate = self.best.visited(&mut Renumber(numbers));
            let slots = &self.best.history.slots;
            let kept = used.slots.iter().filter_map(|slot| slots.get(*slot).cloned());
            candidate.history.slots = kept.collect();
            self.attempt(candidate);
        }
    }

    /// Forgets the ids of which a generator would draw: what is drawn is written out.
    pub(super) fn no_ids(&mut self) {
        let mut candidate = self.best.clone();
        candidate.history.slots.iter_mut().for_each(|slot| slot.ids.clear());
        self.attempt(candidate);
    }

    fn shorter_names(&mut self) {
        let mut candidate = self.best.clone();
        for (place, slot) in candidate.history.slots.iter_mut().enumerate() {
            *slot = Slot { name: format!("c{place}").into(), ..slot.clone() };
        }
        self.attempt_and_hunt(candidate);
        let mut used = Used::default();
        self.best.visited(&mut used);
        let short = (0..).map(short_name);
        let names: BTreeMap<_, _> = used.ids.iter().cloned().zip(short.clone()).collect();
        let candidate = self.best.visited(&mut Rename(names));
        if self.attempt_and_hunt(candidate) {
            return;
        }
        for (id, name) in used.ids.iter().cloned().zip(short) {
            if !used.ids.contains(&name) {
                let candidate = self.best.visited(&mut Rename([(id, name)].into()));
                self.attempt(candidate);
            }
        }
    }

    fn smaller_dimension(&mut self, slot: usize) {
        let Some(now) = self.best.history.slots.get(slot).map(|slot| slot.dim) else { return };
        let mut dims = vec![1, now / 4, now / 2, now.saturating_sub(1)];
        dims.dedup();
        for dim in dims.into_iter().filter(|dim| (1..now).contains(dim)) {
            let mut candidate = self.best.visited(&mut Resize { slot, dim });
            candidate.history.slots[slot].dim = dim;
            if self.attempt_and_hunt(candidate) {
                return;
            }
        }
    }

    fn usual_settings(&mut self) {
        let mut candidate = self.best.clone();
        candidate.history.options = Options::default();
        if self.attempt_and_hunt(candidate) {
            return;
        }
        let mut at = 0;
        while let Some(options) = settings::simpler(&self.best.history.options).get(at) {
            let mut candidate = self.best.clone();
            candidate.history.options = options.clone();
            let valid = candidate.history.options.validate().is_ok();
            if !valid || !self.attempt_and_hunt(candidate) {
                at += 1;
            }
        }
    }

    fn less_chance(&mut self) {
        let mut candidate = self.best.clone();
        candidate.history.luck.iter_mut().for_each(|luck| luck.dice = 0);
        self.attempt(candidate);
        for place in 0..self.best.history.luck.len() {
            for dice in 0..4.min(self.best.history.luck[place].dice) {
                let mut candidate = self.best.clone();
                candidate.history.luck[place].dice = dice;
                if self.attempt(candidate) {
                    break;
                }
            }
        }
        let mut candidate = self.best.clone();
        candidate.chain.dice.clear();
        self.attempt(candidate);
        for seed in 0..8.min(self.best.history.seed) {
            let mut candidate = self.best.clone();
            candidate.history.seed = seed;
            if self.attempt(candidate) {
                break;
            }
        }
        if self.best.history.faulty {
            let mut candidate = self.best.clone();
            candidate.history.faulty = false;
            self.attempt_loosely(candidate);
        }
    }
}
