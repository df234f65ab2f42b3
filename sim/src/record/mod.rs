//! What a run came to, in a file that is read back: to go on with it, and to join its shards.
//!
//! **Place.** `quiver-sim run --json` writes a record, `merge` reads some and joins them, `run --state`
//! keeps one of what is under way. People are shown the same by [`crate::report`].
//!
//! | field | meaning |
//! |---|---|
//! | `format`, `version` | `quiver-sim report` or `quiver-sim state`, and [`VERSION`] |
//! | `engine_version`, `bounds` | what was run: both must be equal in all that is joined |
//! | `programs`; of a state `program` | digests of the programs that ran it: see [`program()`] |
//! | `shards`, `shards_of` | which parts of the seeds, counted from one, and of how many |
//! | `ended`, `elapsed_s`, `next` | why the campaign ended, when, and at which place among its seeds |
//! | every counter of [`crate::tally::Tally`] by its name | the campaign |
//! | `violations` | in full |
//! | `sweep`, `damage`, `swarm` | the same of the other parts; null where they were left out |
//! | `pace` | images checked after each so many milliseconds: how fast this machine was |
//!
//! - X1. Reading what was written gives the same. A file in which a field is missing, of another kind or
//!   not known is refused with the place of the field; nothing in it is skipped, and nothing made up. So is
//!   one in which a counter of the campaign is missing that its bounds have at zero.
//! - X2. Shards that are joined come to what one run of all their seeds would have: every counter and
//!   the hash of traces, but for violations beyond the bound at which a run ends. What only a machine
//!   can tell (times, pace) is added too and compared with nothing.
//! - X3. A state is replaced as a whole, by a rename with syncs of the file before it and of the directory
//!   behind it, so that a process may be killed and a machine may lose power at any time.

mod bounds;
mod fields;
mod merge;
mod parts;
mod program;
mod state;
mod tally;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::campaign::{self, End, MARKS_MAX, Pace};
use crate::damage;
use crate::report;
use crate::swarm;
use crate::sweep;
use crate::tally::Tally;
pub use bounds::{Bounds, Parts, seed_of};
use fields::{Fields, Read};
pub use merge::{Merge, Merged};
pub use program::program;
pub use state::{Leg, State};
pub(crate) use tally::counters;
pub use verdict::Verdict;

/// The version of both formats.
pub const VERSION: u64 = 3;

/// Marks of a pace are no further apart.
const SPAN_MAX: Duration = Duration::from_secs(1 << 32);

/// The word for a report.
pub const REPORT: &str = "quiver-sim report";

/// Which parts of the seeds, counted from zero, of how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shards {
    /// The parts.
    pub parts: BTreeSet<u64>,
    /// Of how many.
    pub of: u64,
}

/// A run, or several shards of one.
#[derive(Debug)]
pub struct Record {
    /// The version of the engine.
    pub engine_version: String,
    /// Digests of the programs that ran it: one, unless shards of several were joined.
    pub programs: BTreeSet<String>,
    /// What was asked for.
    pub bounds: Bounds,
    /// Of which seeds.
    pub shards: Shards,
    /// The campaigns of single histories.
    pub done: campaign::Report,
    /// The sweep of faults.
    pub swept: Option<sweep::Report>,
    /// The damage to stores.
    pub hurt: Option<damage::Report>,
    /// The swarms of tasks.
    pub swarmed: Option<swarm::Report>,
}

impl Shards {
    /// One shard.
    pub fn one((part, of): (u64, u64)) -> Self {
        Self { parts: BTreeSet::from([part]), of }
    }

    /// Whether some are not there.
    pub fn are_some(&self) -> bool {
        (self.parts.len() as u64) < self.of
    }

    /// The first few that are not there, counted from one, in words.
    pub fn missing(&self) -> Option<String> {
        let missing = self.of - self.parts.len() as u64;
        let mut first = (0..self.of).filter(|part| !self.parts.contains(part));
        let first: Vec<String> = first.by_ref().take(8).map(|part| self.name(part)).collect();
        let more = missing.saturating_sub(first.len() as u64);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        (missing > 0).then(|| format!("{}{more}", first.join(", ")))
    }

    fn name(&self, part: u64) -> String {
        format!("{}/{}", part + 1, self.of)
    }

    fn read(fields: &Fields<'_>) -> Read<Self> {
        let (numbers, of) = (fields.numbers("shards")?, fields.number("shards_of")?);
        let count = numbers.len();
        let parts: BTreeSet<u64> =
            numbers.into_iter().filter_map(|one| one.checked_sub(1)).collect();
        // What only ended shards have found is a record of none (G4 of `merge`).
        let fits = of > 0 && parts.last().is_none_or(|last| *last < of) && parts.len() == count;
        let wrong = || format!("shards are not some of 1 to {of}, each once");
        fits.then_some(Self { parts, of }).ok_or_else(wrong)
    }
}

impl Record {
    /// The whole report.
    pub fn json(&self) -> Value {
        let Self { engine_version, programs, bounds, shards, done, swept, hurt, swarmed } = self;
        let mut json = report::json(done, engine_version);
        json["format"] = json!(REPORT);
        json["version"] = json!(VERSION);
        json["programs"] = json!(programs);
        json["bounds"] = bounds.json();
        json["medium"] = json!(bounds.medium);
        json["shards"] = shards.parts.iter().map(|part| part + 1).collect();
        json["shards_of"] = json!(shards.of);
        json["sweep"] = swept.as_ref().map_or(Value::Null, report::sweep_json);
        json["damage"] = hurt.as_ref().map_or(Value::Null, report::damage_json);
        json["swarm"] = swarmed.as_ref().map_or(Value::Null, report::swarm_json);
        json
    }

    /// Reads a report (X1).
    ///
    /// # Errors
    /// What is wrong with it, and what to do.
    pub fn read(text: &str) -> Result<Self, String> {
        let value = parsed(text, REPORT)?;
        let fields = Fields::of(&value)?;
        let bounds = fields.within("bounds", Bounds::read)?;
        let zero = bounds.zero(bounds.came_to(end(&fields)?));
        let record = Self {
            engine_version: fields.text("engine_version")?.to_owned(),
            programs: fields.texts("programs")?.into_iter().collect(),
            bounds,
            shards: Shards::read(&fields)?,
            done: campaign(&fields, &zero)?,
            swept: part(&fields, "sweep", parts::sweep)?,
            hurt: part(&fields, "damage", parts::damage)?,
            swarmed: part(&fields, "swarm", parts::swarm)?,
        };
        fields.follow(&["format", "version"]);
        if fields.text("medium")? != record.bounds.medium {
            return Err("medium is not that of the bounds".to_owned());
        }
        fields.end()?;
        let asked = record.bounds.parts;
        let has = Parts {
            sweep: record.swept.is_some(),
            damage: record.hurt.is_some(),
            swarm: record.swarmed.is_some(),
        };
        if asked == has {
            Ok(record)
        } else {
            Err("a part that was asked for is missing".to_owned())
        }
    }

    /// How many violations there are, of all parts.
    pub fn violations(&self) -> usize {
        let Self { done, swept, hurt, swarmed, .. } = self;
        let parts = [
            swept.as_ref().map(|part| part.violations.len()),
            hurt.as_ref().map(|part| part.violations.len()),
            swarmed.as_ref().map(|part| part.violations.len()),
        ];
        done.tally.violations.len() + parts.into_iter().flatten().sum::<usize>()
    }

    /// Whether any part was ended by Ctrl-C.
    pub fn is_cancelled(&self) -> bool {
        let Self { done, swept, hurt, swarmed, .. } = self;
        done.end == End::Cancelled
            || swept.as_ref().is_some_and(|part| part.cancelled)
            || hurt.as_ref().is_some_and(|part| part.cancelled)
            || swarmed.as_ref().is_some_and(|part| part.cancelled)
    }
}

/// The JSON of a file of this format and version.
fn parsed(text: &str, format: &str) -> Result<Value, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let cut = if error.is_eof() { ", as if cut off" } else { "" };
        format!("it is no JSON{cut}: {error}")
    })?;
    let fields = Fields::of(&value)?;
    let found =
        fields.text("format").map_err(|_| format!("it does not say that it is a {format}"))?;
    if found != format {
        return Err(format!("it is a {found}, not a {format}"));
    }
    let version = fields.number("version")?;
    if version != VERSION {
        return Err(format!("format version {version}, this program knows {VERSION}"));
    }
    Ok(value)
}

fn part<T>(
    fields: &Fields<'_>,
    name: &str,
    read: impl FnOnce(&Fields<'_>) -> Read<T>,
) -> Read<Option<T>> {
    fields.maybe(name, |fields| fields.within(name, read))
}

fn end(fields: &Fields<'_>) -> Read<End> {
    fields.one_of("ended", End::ALL, |end| end.words())
}

/// The campaign of a report or of a leg, in which these counters began at zero.
fn campaign(fields: &Fields<'_>, zero: &Tally) -> Read<campaign::Report> {
    let pace = fields.within("pace", |pace| {
        let every = Duration::from_millis(pace.count("every_ms")?.max(1));
        Ok(Pace { every, marks: pace.counts("images")? })
    })?;
    if pace.marks.len() > MARKS_MAX || pace.every > SPAN_MAX {
        return Err(format!("pace has more than {MARKS_MAX} marks, or too far from one another"));
    }
    fields.follow(&[
        "replica_images_checked",
        "medians",
        "maxima",
        "counters_at_zero",
        "images_per_second",
        "images_per_second_plain",
        "images_per_second_encrypted",
    ]);
    Ok(campaign::Report {
        tally: tally::tally_of_all(fields, zero)?,
        end: end(fields)?,
        elapsed: fields.seconds("elapsed_s")?,
        elapsed_encrypted: fields.seconds("elapsed_encrypted_s")?,
        next: fields.count("next")?,
        pace,
    })
}
