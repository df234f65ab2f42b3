//! Joins shards of one run.
//!
//! - G1. What cannot be joined is named with its reason, and the rest is joined without it.
//! - G2. Each shard counts once, whichever of its files comes first. Where two files of a shard that
//!   depends on seeds alone tell two stories, that is said: one of the machines is not to be trusted. What the
//!   one that does not count found is one of the violations all the same.
//! - G3. Shards of several programs are joined only if they may be: two builds of one version may hold two
//!   engines, and shards of both prove neither. Machines that build for themselves come to several programs
//!   of one source.
//! - G4. A shard that was ended by Ctrl-C is one that is missing. What it found is one of the violations
//!   all the same; nothing else of it is taken.

use std::collections::BTreeSet;
use std::time::Duration;

use super::tally::join;
use super::{Record, Shards, parts};
use crate::campaign::{self, End, Pace};
use crate::tally::Tally;
use crate::{damage, swarm, sweep};

/// What to do about a file that is not as it should be.
const RUN_AGAIN: &str = "run that shard again with this program";

/// Records that are being joined.
#[derive(Debug, Default)]
pub struct Merge {
    /// Whether shards of several programs may be joined (G3).
    other_builds: bool,
    joined: Vec<(String, Record)>,
    /// Records of which only what they found is taken (G2, G4).
    aside: Vec<(String, Record)>,
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
    /// Nothing yet; of one program, or of several (G3).
    pub fn new(other_builds: bool) -> Self {
        Self { other_builds, ..Self::default() }
    }

    /// Takes in the text of a file, or why there is none.
    pub fn take(&mut self, name: &str, text: Result<String, String>) {
        let record = text.and_then(|text| Record::read(&text));
        let taken = record.map_err(|why| format!("{why}; {RUN_AGAIN}"));
        match taken.and_then(|record| self.fits(&record).map(|()| record)) {
            Ok(record) if record.shards.parts.is_empty() => {
                self.refused.push(format!(
                    "{name}: it counts as no shard, for those that it tells of were ended by Ctrl-C; run \
                     them again"
                ));
                self.aside.push((name.to_owned(), record));
            }
            Ok(record) if record.is_cancelled() => {
                let shards: Vec<String> =
                    record.shards.parts.iter().map(|part| record.shards.name(*part)).collect();
                self.refused.push(format!(
                    "{name}: shard {} was ended by Ctrl-C; go on with it, with its --state, or run it again",
                    shards.join(", ")
                ));
                self.aside.push((name.to_owned(), record));
            }
            Ok(record) => match self.is_new(&record) {
                Ok(()) => self.joined.push((name.to_owned(), record)),
                Err(why) => {
                    self.refused.push(format!("{name}: {why}"));
                    self.aside.push((name.to_owned(), record));
                }
            },
            Err(why) => self.refused.push(format!("{name}: {why}")),
        }
    }

    /// Whether a record is of the same run as the first one.
    fn fits(&self, record: &Record) -> Result<(), String> {
        let Some((first, head)) = self.joined.first().or(self.aside.first()) else {
            return Ok(());
        };
        let Record { engine_version, programs, bounds, shards, .. } = record;
        if *engine_version != head.engine_version {
            let known = &head.engine_version;
            return Err(format!(
                "it is of engine version {engine_version}, {first} of {known}; join reports of one \
                 version"
            ));
        }
        if *programs != head.programs && !self.other_builds {
            let [known, other] = [&head.programs, programs].map(named);
            return Err(format!(
                "it is of program {other}, {first} of {known}, and their engines may differ; run that \
                 shard again with one program, or say --other-builds if both were built from the same \
                 sources"
            ));
        }
        if let Some(differ) = head.bounds.differ(bounds) {
            return Err(format!("{differ} as in {first}; join reports of one run"));
        }
        if shards.of != head.shards.of {
            let (of, known) = (shards.of, head.shards.of);
            return Err(format!("it is one of {of} shards, {first} one of {known}; {RUN_AGAIN}"));
        }
        Ok(())
    }

    fn is_new(&self, record: &Record) -> Result<(), String> {
        self.joined.iter().try_for_each(|(name, other)| apart(name, other, record))
    }

    /// Joins what was taken in.
    pub fn finish(self) -> Merged {
        let Self { mut joined, aside, refused, .. } = self;
        // By their seeds, whatever the order of the files.
        joined.sort_by_key(|(_, record)| record.shards.parts.first().copied());
        let records = joined.into_iter().map(|(_, record)| record);
        let whole = records.reduce(both);
        let found = aside.into_iter().map(|(_, record)| record);
        let found = found.filter(|record| record.violations() > 0).map(violations_of);
        let record = match whole {
            Some(whole) => Some(found.fold(whole, both)),
            None => found.reduce(both).map(of_no_shard),
        };
        Merged { record, refused }
    }
}

/// Whether two records have no shard in common (G2).
fn apart(name: &str, one: &Record, other: &Record) -> Result<(), String> {
    let mut common = one.shards.parts.intersection(&other.shards.parts);
    let Some(part) = common.next() else { return Ok(()) };
    let shard = one.shards.name(*part);
    let of_seeds = |record: &Record| record.done.end == End::Target;
    let same_seeds = one.shards == other.shards && of_seeds(one) && of_seeds(other);
    if same_seeds && !are_equal(one, other) {
        return Err(format!(
            "shard {shard} is in {name} too, and came to something else there; one of the two \
             machines or programs is not as the other: run that shard again on both"
        ));
    }
    Err(format!("shard {shard} is in {name} already, which counts; leave one of the two out"))
}

/// Whether two records of the same seeds came to the same. Parts that a bound in minutes may have cut say
/// nothing of that.
fn are_equal(one: &Record, other: &Record) -> bool {
    if one.done.tally != other.done.tally {
        return false;
    }
    let swept = |Record { swept, .. }: &Record| {
        swept.clone().map(|part| (part.runs, part.planned, part.tally, part.violations))
    };
    let hurt = |Record { hurt, .. }: &Record| {
        let cases = |part: &damage::Report| -> Vec<String> {
            part.violations.iter().map(|found| found.case.to_string()).collect()
        };
        hurt.as_ref().map(|part| (part.counts.clone(), cases(part)))
    };
    let swarmed = |Record { swarmed, .. }: &Record| {
        let told = swarmed.as_ref();
        told.map(|part| (part.counts.clone(), part.tally.clone(), part.violations.clone()))
    };
    let parts = |record: &Record| (swept(record), hurt(record), swarmed(record));
    one.bounds.minutes.is_some() || parts(one) == parts(other)
}

/// A record of what a shard found, and of nothing else (G4).
fn violations_of(record: Record) -> Record {
    let Record { done, swept, hurt, swarmed, .. } = record;
    let of = |tally: Tally| Tally { violations: tally.violations, ..Tally::default() };
    let (elapsed, elapsed_encrypted) = (Duration::ZERO, Duration::ZERO);
    let (tally, end, pace) = (of(done.tally), End::Target, Pace::default());
    let done = campaign::Report { tally, end, elapsed, elapsed_encrypted, next: 0, pace };
    Record {
        shards: Shards { parts: BTreeSet::new(), of: record.shards.of },
        done,
        swept: swept
            .map(|part| sweep::Report { violations: part.violations, ..sweep::Report::default() }),
        hurt: hurt.map(|part| damage::Report {
            violations: part.violations,
            ..damage::Report::default()
        }),
        swarmed: swarmed
            .map(|part| swarm::Report { violations: part.violations, ..swarm::Report::default() }),
        ..record
    }
}

/// The same with the counters that a table shows.
fn of_no_shard(mut record: Record) -> Record {
    record.done.tally.add(&Tally::zero());
    record
}

fn named(programs: &BTreeSet<String>) -> String {
    programs.iter().map(String::as_str).collect::<Vec<_>>().join(" and ")
}

fn both(one: Record, other: Record) -> Record {
    let mut shards = one.shards;
    shards.parts.extend(other.shards.parts);
    let mut programs = one.programs;
    programs.extend(other.programs);
    Record {
        engine_version: one.engine_version,
        programs,
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
