//! What the clients of a swarm ask for: the words of a history, drawn one at a time.
//!
//! **Place.** Each client of a swarm has one. Names, settings, ids, fields and kinds of rows are those of
//! the seed, shared by all of its clients, so that they meet; what a client draws is its own.

use std::sync::Arc;

use super::filters::Filters;
use super::forms::Form;
use super::profile::{draw_options, draw_profile, draw_slots, twin_of_first};
use super::workload::Generator;
use super::{Action, History, Member, Shape, Slot, Source, encrypted};
use crate::disk::Medium;
use crate::reads::Read;
use crate::stream::Stream;

/// Sets the draws of a swarm apart from those of a history of the same seed.
const OF_SWARMS: u64 = 0x7377_6172;

/// Draws for one client.
pub struct Draws(Generator);

impl std::fmt::Debug for Draws {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Draws").finish_non_exhaustive()
    }
}

impl History {
    /// A history whose operations somebody else decides: settings, names, medium of a seed.
    pub fn without_operations(seed: u64, faulty: bool) -> Self {
        let mut stream = Stream::at(seed, &[OF_SWARMS]);
        let shape = Shape::Small;
        let options = draw_options(shape, &mut stream);
        let encrypted = Self::is_encrypted(seed);
        let mut slots = draw_slots(shape, &mut stream);
        slots.extend(twin_of_first(seed, &slots));
        if encrypted {
            encrypted::lengthen(seed, &mut slots);
        }
        let (opening, operations, strikes, dice, luck) =
            (Vec::new(), Vec::new(), Vec::new(), 0, Vec::new());
        let medium = Medium::drawn(&mut Stream::at(seed, &[OF_SWARMS, 1]));
        Self {
            seed,
            shape,
            options,
            slots,
            opening,
            operations,
            strikes,
            dice,
            luck,
            medium,
            encrypted,
            faulty,
        }
    }
}

impl Draws {
    /// The draws of a client of this number.
    pub fn of(history: &History, client: u64) -> Self {
        let History { seed, slots, encrypted, .. } = history;
        let mut stream = Stream::at(*seed, &[OF_SWARMS, 2, client]);
        let twins = usize::from(slots.last().is_some_and(|slot| slot.name.starts_with("twin")));
        let mut forms = Form::draw(*seed, slots.len() - twins);
        if twins > 0 {
            forms.push(forms[0]);
        }
        let profile = draw_profile(Shape::Small, &mut stream);
        let filters = Filters::draw(*seed, slots.len(), *encrypted);
        let filters = filters.drawn_from(Stream::at(*seed, &[OF_SWARMS, 3, client]));
        let (slots, next) = (slots.clone(), Default::default());
        let memtable_bytes_max = history.options.memtable_bytes_max;
        Self(Generator { stream, profile, slots, forms, filters, memtable_bytes_max, next })
    }

    /// The choices that are the client's own.
    pub fn stream(&mut self) -> &mut Stream {
        &mut self.0.stream
    }

    /// The names.
    pub fn slots(&self) -> &[Slot] {
        &self.0.slots
    }

    /// A creation of a slot's collection.
    pub fn creation(&mut self, slot: usize) -> Member {
        self.0.creation(slot)
    }

    /// An upsert of one row.
    pub fn upsert(&mut self) -> Member {
        let slot = self.0.slot();
        Member::Write(vec![self.0.upsert(slot)])
    }

    /// A deletion of one row.
    pub fn deletion(&mut self) -> Member {
        let slot = self.0.slot();
        Member::Write(vec![self.0.deletion(slot)])
    }

    /// A batch over any collections.
    pub fn batch(&mut self) -> Member {
        Member::Write(self.0.changes())
    }

    /// A row where there is none.
    pub fn put(&mut self) -> Member {
        self.0.put()
    }

    /// Another payload where there is a row.
    pub fn update(&mut self) -> Member {
        self.0.update()
    }

    /// A change of what collections there are.
    pub fn change_of_collections(&mut self) -> Member {
        let slot = self.0.slot();
        match self.0.stream.below(8) {
            0..4 => self.0.creation(slot),
            4 => Member::Drop(slot),
            5 => Member::Shred(slot),
            6 => self.0.rename(),
            _ => self.0.field(),
        }
    }

    /// A read of one row.
    pub fn get(&mut self) -> (usize, Arc<str>) {
        let slot = self.0.slot();
        (slot, self.0.id(slot))
    }

    /// A read of some rows, now and then by a predicate.
    pub fn read(&mut self, source: Source) -> Action {
        let slot = self.0.slot();
        match self.0.filters.read(slot) {
            Some(read) if self.0.stream.chance(1, 3) => Action::Read(source, slot, read),
            _ => self.0.read_of(source),
        }
    }

    /// An iterator, and how many rows it shows first.
    pub fn scan(&mut self) -> (usize, Read, u64) {
        let slot = self.0.slot();
        (slot, self.0.iterator(slot), self.0.stream.below(4))
    }

    /// A compaction, most often to its end.
    pub fn compaction(&mut self) -> Action {
        self.0.compact()
    }
}
