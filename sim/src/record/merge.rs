//! Joins shards of one run.
//!
//! - G1. What cannot be joined is named with its reason, and the rest is joined without it.
//! - G2. Each shard counts once, whichever of its files comes first. Where two files of a shard that
//!   depends on seeds alone tell two stories, that is said: one of the machines is not to be trusted.

use super::tally::join;
use super::{Record, parts};
use crate::campaign::{self, End};

/// What to do about a file that is not as it should be.
const RUN_AGAIN: &str = "run that shard again with this program";

/// Records that are being joined.
#[derive(Debug, Default)]
pub struct Merge {
    joined: Vec<(String, Record)>,
    refused: Vec<String>,
}

/// What came of it.
#[derive(Debug)]
pub struct Merged {
    /// The shards together; none where not one file could be used.
    pub record: Option<Record>,
    /// Of each file that was left out: which, why, and what to do.
    pub refused: Vec<String>,
}

impl Merge {
    /// Takes in the text of a file, or why there is none.
    pub fn take(&mut self, name: &str, text: Result<String, String>) {
        let record = text.and_then(|text| Record::read(&text));
        let taken = record.map_err(|why| format!("{why}; {RUN_AGAIN}"));
        match taken.and_then(|record| self.fits(&record).map(|()| record)) {
            Ok(record) => self.joined.push((name.to_owned(), record)),
            Err(why) => self.refused.push(format!("{name}: {why}")),
        }
    }

    fn fits(&self, record: &Record) -> Result<(), String> {
        let Some((first, head)) = self.joined.first() else { return Ok(()) };
        let Record { engine_version, bounds, shards, .. } = record;
        if *engine_version != head.engine_version {
            let known = &head.engine_version;
            return Err(format!(
                "it is of engine version {engine_version}, {first} of {known}; join reports of one \
                 version"
            ));
        }
        if let Some(differ) = head.bounds.differ(bounds) {
            return Err(format!("{differ} as in {first}; join reports of one run"));
        }
        if shards.of != head.shards.of {
            let (of, known) = (shards.of, head.shards.of);
            return Err(format!("it is one of {of} shards, {first} one of {known}; {RUN_AGAIN}"));
        }
        self.joined.iter().try_for_each(|(name, other)| apart(name, other, record))
    }

    /// Joins what was taken in.
    pub fn finish(self) -> Merged {
        let Self { mut joined, refused } = self;
        // By their seeds, whatever the order of the files.
        joined.sort_by_key(|(_, record)| record.shards.parts.first().copied());
        let records = joined.into_iter().map(|(_, record)| record);
        Merged { record: records.reduce(both), refused }
    }
}

/// Whether two records have no shard in common (G2).
fn apart(name: &str, one: &Record, other: &Record) -> Result<(), String> {
    let mut common = one.shards.parts.intersection(&other.shards.parts);
    let Some(part) = common.next() else { return Ok(()) };
    let shard = one.shards.name(*part);
    let of_seeds = |record: &Record| record.done.end == End::Target;
    let same_seeds = one.shards == other.shards && of_seeds(one) && of_seeds(other);
    if same_seeds && one.done.tally != other.done.tally {
        return Err(format!(
            "shard {shard} is in {name} too, and came to something else there; one of the two \
             machines or programs is not as the other: run that shard again on both"
        ));
    }
    Err(format!("shard {shard} is in {name} already, which counts; leave one of the two out"))
}

fn both(one: Record, other: Record) -> Record {
    let mut shards = one.shards;
    shards.parts.extend(other.shards.parts);
    Record {
        engine_version: one.engine_version,
        bounds: one.bounds,
        shards,
        done: campaigns(one.done, &other.done),
        swept: zipped(one.swept, other.swept, parts::join_sweeps),
        hurt: zipped(one.hurt, other.hurt, parts::join_damage),
        swarmed: zipped(one.swarmed, other.swarmed, parts::join_swarms),
    }
}

fn zipped<T>(one: Option<T>, other: Option<T>, join: impl FnOnce(T, T) -> T) -> Option<T> {
    one.zip(other).map(|(one, other)| join(one, other))
}

/// Two machines' campaigns side by side: the times are added, so that rates are those of one of them.
fn campaigns(mut one: campaign::Report, other: &campaign::Report) -> campaign::Report {
    join(&mut one.tally, &other.tally);
    one.elapsed = one.elapsed.saturating_add(other.elapsed);
    one.elapsed_encrypted = one.elapsed_encrypted.saturating_add(other.elapsed_encrypted);
    one.next = one.next.saturating_add(other.next);
    one.pace = one.pace.beside(&other.pace);
    // What ended worse decides.
    one.end = one.end.max(other.end);
    one
}
