//! What a campaign came to, in numbers and in words.

use std::collections::BTreeMap;
use std::fmt;

use super::Case;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Kind {
    /// It does not open on what a crash has left.
    DoesNotOpen,
    /// It shows what no crash may leave: something acknowledged is missing, or nobody wrote it.
    Lost,
    /// Opened again it shows something else.
    Changed,
    /// An operation after a recovery fails, or is lost though it was acknowledged.
    NotAfterwards,
    /// It fails though no call of the filesystem failed.
    Refused,
    /// It panicked.
    Panicked,
    /// It makes I/O calls without end, or does not come back.
    Hangs,
    /// It leaves files open, or has more of them each time it is opened.
    Leaks,
    /// Two runs of one seed differ.
    Unsteady,
}

impl Kind {
    /// Whether a failure of the other kind is as good to show the same bug: what is lost may show at
    /// once, behind a second recovery, or in what is written after one.
    pub(super) fn is_like(self, other: Self) -> bool {
        let missing = [Self::Lost, Self::Changed, Self::NotAfterwards];
        self == other || missing.contains(&self) && missing.contains(&other)
    }

    /// The word for reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::DoesNotOpen => "does not open",
            Self::Lost => "lost",
            Self::Changed => "changed",
            Self::NotAfterwards => "not afterwards",
            Self::Refused => "refused",
            Self::Panicked => "panicked",
            Self::Hangs => "hangs",
            Self::Leaks => "leaks",
            Self::Unsteady => "unsteady",
        }
    }
}

/// What was expected, and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub kind: Kind,
    /// What ought to be.
    pub expected: String,
    /// What is.
    pub found: String,
    /// What came between the last crash of the case and that: the end of its story.
    pub(super) then: Vec<String>,
}

impl Finding {
    pub(super) fn new(kind: Kind, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self { kind, expected: expected.into(), found: found.into(), then: Vec::new() }
    }

    /// The same behind something else.
    pub(super) fn behind(mut self, what: impl IntoIterator<Item = String>) -> Self {
        self.then.splice(0..0, what);
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.kind.name())?;
        writeln!(f, "  expected: {}", self.expected)?;
        write!(f, "  found:    {}", self.found)
    }
}

/// A failure.
#[derive(Clone, Debug)]
pub struct Found {
    /// By which [`super::replay`] finds it again; that of a hang without I/O calls hangs again. `None` for
    /// what does not come back at will: two runs that differ, a panic of the subject's own words.
    pub case: Option<Case>,
    /// What is wrong.
    pub finding: Finding,
    /// The operations, the calls, the crash and what survived, one line each, as the case is carried out again; first
    /// of all that it did not come again, where it did not.
    pub story: Vec<String>,
    /// How many images had been checked by then, in the order of the seeds.
    pub images: u64,
}

/// What was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Histories.
    pub seeds: u64,
    /// Operations of them.
    pub operations: u64,
    /// Calls of the filesystem in them.
    pub calls: u64,
    /// Crash points of which an image was looked at.
    pub points: u64,
    /// Images opened by the code under test and checked.
    pub images: u64,
    /// Of these, images of crashes in the process behind a crash: its recovery, its operations, its end.
    pub nested: u64,
    /// Processes behind a crash of which each changing call was looked for crashes in it.
    pub recoveries: u64,
    /// Images that had been checked before.
    pub duplicates: u64,
    /// Images by what ended the process.
    pub policies: BTreeMap<&'static str, u64>,
    /// Faults that struck histories.
    pub faults: BTreeMap<&'static str, u64>,
    /// Recoveries that a fault struck.
    pub struck: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Self) {
        let Self { seeds, operations, calls, points, images, nested, recoveries, .. } = other;
        self.seeds += seeds;
        self.operations += operations;
        self.calls += calls;
        self.points += points;
        self.images += images;
        self.nested += nested;
        self.recoveries += recoveries;
        self.duplicates += other.duplicates;
        self.struck += other.struck;
        for (own, others) in
            [(&mut self.policies, &other.policies), (&mut self.faults, &other.faults)]
        {
            for (name, times) in others {
                *own.entry(name).or_default() += times;
            }
        }
    }
}

/// What a campaign came to. Printed, it is a table and the failures with their stories.
#[derive(Clone, Debug, Default)]
#[must_use = "a report that is not looked at passes whatever was found: `assert_clean`"]
pub struct Report {
    /// What was looked at.
    pub tally: Tally,
    /// What was found, in the order of the seeds.
    pub found: Vec<Found>,
    /// What was asked for, besides crashes.
    pub(super) asked: Asked,
}

/// What a campaign is asked to look at, and may come to nothing of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    pub(super) faults: bool,
    pub(super) nested: bool,
}

/// Of so many seeds some have faults, and images whose recovery is looked at.
const SEEDS_ENOUGH: u64 = 8;

impl Report {
    /// Whether nothing was found.
    pub fn is_clean(&self) -> bool {
        self.found.is_empty()
    }

    /// Fails a test with the whole report if anything was found, or nothing looked at.
    ///
    /// # Panics
    /// If anything was found, if there was no image, or if eight seeds or more had none of the faults or
    /// none of the crashes in recoveries that [`Options`](super::Options) asks for.
    #[track_caller]
    pub fn assert_clean(&self) {
        assert!(self.is_clean(), "{self}");
        let Tally { seeds, images, recoveries, struck: recoveries_struck, ref faults, .. } =
            self.tally;
        assert!(images > 0, "nothing was looked at: no seed, or none with an image\n{self}");
        if seeds >= SEEDS_ENOUGH {
            let struck = !self.asked.faults || !faults.is_empty();
            assert!(struck, "faults are asked for, and none has struck\n{self}");
            let struck = !self.asked.faults || recoveries_struck > 0;
            assert!(struck, "faults are asked for, and none has struck a recovery\n{self}");
            let looked = !self.asked.nested || recoveries > 0;
            assert!(looked, "crashes in recoveries are asked for, and none was looked at\n{self}");
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { seeds, operations, calls, points, images, nested, .. } = self.tally;
        let Tally { recoveries, duplicates, .. } = self.tally;
        let listed = |counts: &BTreeMap<&'static str, u64>| {
            let words: Vec<String> =
                counts.iter().map(|(name, times)| format!("{name} {times}")).collect();
            if words.is_empty() { "none".to_owned() } else { words.join(", ") }
        };
        writeln!(f, "histories   {seeds}, of {operations} operations and {calls} I/O calls")?;
        writeln!(f, "points      {points}")?;
        writeln!(
            f,
            "images      {images} checked, {nested} of them behind another crash, in {recoveries} processes, and {duplicates} duplicates"
        )?;
        writeln!(f, "ends        {}", listed(&self.tally.policies))?;
        let struck = self.tally.struck;
        writeln!(f, "faults      {}; recoveries struck {struck}", listed(&self.tally.faults))?;
        writeln!(f, "found       {}", self.found.len())?;
        for Found { case, finding, story, images } in &self.found {
            writeln!(f, "\n{finding}\n  after {images} images")?;
            if let Some(case) = case {
                writeln!(f, "  case: {case}")?;
            }
            story.iter().try_for_each(|line| writeln!(f, "  | {line}"))?;
        }
        Ok(())
    }
}
