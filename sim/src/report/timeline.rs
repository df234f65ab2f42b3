//! The way to a violation, step by step: I/O calls, crashes, what survived, and an image nearby that is
//! as it should be.
//!
//! **Place.** Drawn by `html`. It plays a reproducer and nothing else, so it shows what `replay`
//! shows.
//!
//! - M1. The last good image differs from the bad one in as little as was found: one change less lost or
//!   less kept, then everything, nothing or a kill at the same point, then the points before it.
//! - M2. Calls and changes are brought together by their names and offsets, from the crash backwards, as
//!   a file may have changed its name since. A change whose call lies further back has none.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::checker::Invariant;
use crate::disk::{Base, CrashPlan, DiskState, IoKind, Survivors};
use crate::explore::chain::{At, CALLS_TOLD, Called, Chain, Crash, Deed, End, Met};
use crate::forward::Forward;
use crate::panic_trap;
use crate::record::Record;
use crate::repro::{Reproducer, Status};
use crate::shrink;
use crate::system::System;
use crate::tally::Violation;

/// Violations of one part of a run whose way is told.
const TOLD_MAX: usize = 4;

/// How many images are tried for one that is good, and for how long.
const TRIES: usize = 60;
const PATIENCE: Duration = Duration::from_secs(10);

/// What became of a change that was pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// All of it is there.
    Survived,
    /// Some of it is.
    Part,
    /// Nothing of it is.
    Lost,
    /// It is in the page cache, which survives the process.
    Cached,
}

/// A change that was pending at a crash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it was, and of which file.
    pub what: String,
    /// What became of it.
    pub fate: Fate,
    /// The same in words.
    pub words: String,
}

/// An image: how the machine stopped, and what that left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// How and when it stopped.
    pub words: String,
    /// What was pending.
    pub changes: Vec<Change>,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A call.
    Call {
        /// The call.
        called: Called,
        /// What became of its change at the next crash, where it was pending then.
        fate: Option<Fate>,
        /// Whether the next crash is inside of it.
        inside: bool,
    },
    /// A crash.
    Crash(Left),
}

/// The whole way.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// What does not hold.
    pub violation: Violation,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// The last good image, where there is one near.
    pub good: Option<Left>,
}

impl Timeline {
    /// The image that shows the violation: the last crash.
    pub fn bad(&self) -> Option<&Left> {
        self.events.iter().rev().find_map(|event| match event {
            Event::Crash(left) => Some(left),
            Event::Call { .. } => None,
        })
    }

    /// Plays a reproducer on the system on which it shows.
    ///
    /// # Errors
    /// It does not show there.
    pub fn of(system: &dyn System, file: &Reproducer) -> Result<Self, String> {
        panic_trap::catch(|| played(system, file))?
    }
}

/// The ways to violations, by their places, which are addresses and cases of a sweep, and by what does not
/// hold there: all that one run finds before a crash has one address.
pub type Ways = BTreeMap<(String, Invariant), Timeline>;

/// The ways to the first violations of a run. Where one cannot be played, its last lines have to do.
pub fn of_record(system: &dyn System, record: &Record, seeded: u64) -> Ways {
    let mut ways = Ways::new();
    let mut add = |of: (String, Invariant), file: &dyn Fn() -> Result<Reproducer, String>| {
        let file = panic_trap::catch(file).and_then(|file| file);
        if let Ok(way) = file.and_then(|file| Timeline::of(system, &file)) {
            ways.insert(of, way);
        }
    };
    let found = record.done.tally.violations.iter().filter(|found| found.shrink().is_some());
    for Violation { address, invariant, .. } in found.take(TOLD_MAX) {
        let file = || shrink::of_address(system, Status::Open, *address, Some(*invariant));
        add((address.to_string(), *invariant), &file);
    }
    let swept = record.swept.iter().flat_map(|part| &part.violations);
    let swept = swept.filter(|(_, found)| found.shrink().is_some());
    for (case, found) in swept.take(TOLD_MAX) {
        let wanted = Some(found.invariant);
        let file = || shrink::of_case(system, Status::Open, case, seeded, wanted);
        add((case.to_string(), found.invariant), &file);
    }
    ways
}

fn played(system: &dyn System, file: &Reproducer) -> Result<Timeline, String> {
    let played = file.play(system);
    if let Some(why) = &played.met.astray {
        return Err(why.clone());
    }
    let violation = file.shown(&played).cloned();
    let violation = violation.ok_or("it does not show what it says")?;
    let Chain { crashes, then, .. } = &file.chain;
    let mut events = Vec::new();
    if crashes.is_empty() {
        let forward = Forward::of(system, &file.history);
        let from = forward.calls.len().saturating_sub(CALLS_TOLD);
        events.extend(forward.calls[from..].iter().map(Called::of).map(called));
    }
    for (place, crash) in crashes.iter().enumerate() {
        events.extend(before_crash(&played.met, place, crash));
    }
    if let (Some(then), Some(after)) = (then, &played.met.after)
        && let Some(survivors) = &then.loss
    {
        let when = format!("power is lost after the recovery, and after this: {}", word(then.deed));
        let left = loss(after, survivors, when);
        let mut calls: Vec<Event> = played.met.calls_after.iter().cloned().map(called).collect();
        tell_fates(&mut calls, &left.changes);
        events.extend(calls);
        events.push(Event::Crash(left));
    }
    let good = last_good(system, file, &played.met);
    Ok(Timeline { violation, events, good })
}

fn called(called: Called) -> Event {
    Event::Call { called, fate: None, inside: false }
}

fn word(deed: Deed) -> &'static str {
    Deed::ALL.iter().find(|(known, _)| *known == deed).map_or("", |(_, word)| *word)
}

/// The calls before a crash, and the crash.
fn before_crash(met: &Met, place: usize, crash: &Crash) -> Vec<Event> {
    let Some(state) = met.stops.get(place) else { return Vec::new() };
    let left = left(state, crash);
    let calls = met.calls.get(place).map(Vec::as_slice).unwrap_or_default();
    let mut events: Vec<Event> = calls.iter().cloned().map(called).collect();
    if let Some(Some(step)) = met.inside.get(place) {
        let operation = met.operations.get(place).copied().flatten();
        let called = Called { operation, call: step.call.clone() };
        events.push(Event::Call { called, fate: None, inside: true });
    }
    tell_fates(&mut events, &left.changes);
    events.push(Event::Crash(left));
    events
}

fn left(state: &DiskState, crash: &Crash) -> Left {
    let when = when(&crash.at);
    match &crash.end {
        End::Loss(survivors) => loss(state, survivors, format!("power is lost {when}")),
        End::Kill => {
            let mut changes = changes(state.plan_survivors(&Survivors::of(Base::Everything)).ok());
            for change in &mut changes {
                (change.fate, change.words) = (Fate::Cached, "in the page cache".to_owned());
            }
            Left { words: format!("the process is killed {when}"), changes }
        }
    }
}

fn loss(state: &DiskState, survivors: &Survivors, words: String) -> Left {
    Left { words, changes: changes(state.plan_survivors(survivors).ok()) }
}

fn when(at: &At) -> String {
    match at {
        At::After => "after the last operation".to_owned(),
        At::Before(kind, nth) => format!("before {} {nth} of it", kind.name()),
        At::Inside(kind, nth, inside) => {
            format!("inside {} {nth} of it: {}", kind.name(), inside.to_string().trim())
        }
    }
}

fn changes(plan: Option<CrashPlan>) -> Vec<Change> {
    let lines = plan.map(|plan| plan.describe()).unwrap_or_default();
    lines.iter().map(|line| change(line)).collect()
}

/// A line in which a plan says what became of a change.
fn change(line: &str) -> Change {
    let (what, words) = line.rsplit_once(": ").unwrap_or((line, ""));
    let mut numbers = words.split(' ').filter_map(|word| word.parse::<u64>().ok());
    let fate = match (words.split([',', ' ']).next(), numbers.next(), numbers.next()) {
        (Some("survived"), ..) => Fate::Survived,
        (Some("lost"), ..) | (_, Some(0), Some(_)) => Fate::Lost,
        (_, Some(kept), Some(of)) if kept == of => Fate::Survived,
        _ => Fate::Part,
    };
    Change { what: what.to_owned(), fate, words: words.to_owned() }
}

/// What a change is known by: its kind, its file and its offset.
type Mark = (&'static str, String, u64);

/// Which call made a change: by the words of the plan.
fn mark_of(what: &str) -> Option<Mark> {
    let mut words = what.split(' ');
    let (kind, second, third) = (words.next()?, words.next()?, words.next()?);
    match kind {
        "write" => {
            let offset = words.next()?.trim_end_matches(',').parse().ok()?;
            Some(("write", second.to_owned(), offset))
        }
        "allocate" => Some(("allocate", second.to_owned(), 0)),
        _ => {
            let dir = third.trim_end_matches(':').trim_end_matches('/');
            let plus = words.clone().find_map(|word| word.strip_prefix('+'));
            let name = plus.or_else(|| words.clone().find_map(|word| word.strip_prefix('-')))?;
            let kinds = ["create", "create_dir", "rename", "unlink"];
            let kind = kinds.into_iter().find(|known| *known == kind)?;
            Some((kind, format!("{dir}/{name}"), 0))
        }
    }
}

/// The same of a call, whose file may have another name by now.
fn mark(called: &Called, later_names: &BTreeMap<Arc<str>, String>) -> Option<Mark> {
    let call = &called.call;
    let now = |path: &Arc<str>| later_names.get(path).cloned().unwrap_or_else(|| path.to_string());
    Some(match call.kind {
        IoKind::Write => ("write", now(&call.path), call.offset),
        IoKind::Allocate => ("allocate", now(&call.path), 0),
        IoKind::Create | IoKind::Lock => ("create", call.path.to_string(), 0),
        IoKind::CreateDir => ("create_dir", call.path.to_string(), 0),
        IoKind::Rename => ("rename", call.to.as_ref()?.to_string(), 0),
        IoKind::Unlink => ("unlink", call.path.to_string(), 0),
        _ => return None,
    })
}

/// Brings calls and changes together (M2).
fn tell_fates(events: &mut [Event], changes: &[Change]) {
    let mut open: Vec<(Mark, Fate)> =
        changes.iter().filter_map(|one| Some((mark_of(&one.what)?, one.fate))).collect();
    let mut later_names = BTreeMap::new();
    for event in events.iter_mut().rev() {
        let Event::Call { called, fate, .. } = event else { continue };
        if let Some(mark) = mark(called, &later_names)
            && let Some(place) = open.iter().rposition(|(of_change, _)| *of_change == mark)
        {
            *fate = Some(open.remove(place).1);
        }
        let call = &called.call;
        if let (IoKind::Rename, Some(to)) = (call.kind, &call.to) {
            // It may have been renamed once more since.
            let now = later_names.get(to).cloned().unwrap_or_else(|| to.to_string());
            later_names.insert(call.path.clone(), now);
        }
    }
}

/// An image near the bad one that is good (M1).
fn last_good(system: &dyn System, file: &Reproducer, met: &Met) -> Option<Left> {
    let start = Instant::now();
    let (last, place) = (file.chain.crashes.last()?, file.chain.crashes.len() - 1);
    let state = met.stops.get(place)?;
    let mut tries: Vec<(String, Crash)> = same_point(state, last);
    let operation = met.operations.get(place).copied().flatten();
    tries.extend(points_before(met.calls.get(place)?, operation, &last.at));
    for (words, crash) in tries.into_iter().take(TRIES) {
        if start.elapsed() > PATIENCE {
            return None;
        }
        let mut other = file.clone();
        other.chain.crashes[place] = crash.clone();
        let Ok(played) = panic_trap::catch(|| other.play(system)) else { continue };
        if played.met.astray.is_none() && played.tally.violations.is_empty() {
            let state = played.met.stops.get(place)?;
            let left = left(state, &crash);
            return Some(Left { words: format!("{}: {words}", left.words), ..left });
        }
    }
    None
}

/// Other images of the same point, the nearest first.
fn same_point(state: &DiskState, crash: &Crash) -> Vec<(String, Crash)> {
    let with = |end| Crash { at: crash.at.clone(), end };
    let mut tries = Vec::new();
    if let End::Loss(survivors) = &crash.end
        && let Ok(plan) = state.plan_survivors(survivors)
    {
        for base in [Base::Everything, Base::Nothing] {
            let words = match base {
                Base::Everything => "one change more survives",
                Base::Nothing => "one change fewer survives",
            };
            let survivors = plan.survivors_from(base);
            for place in 0..survivors.exceptions.len() {
                let mut near = survivors.clone();
                near.exceptions.remove(place);
                tries.push((words.to_owned(), with(End::Loss(near))));
            }
        }
    }
    // What is most telling comes first, of as many as there is time for.
    tries.truncate(TRIES / 2);
    let all = |base| with(End::Loss(Survivors::of(base)));
    tries.push(("everything survives".to_owned(), all(Base::Everything)));
    tries.push(("nothing survives".to_owned(), all(Base::Nothing)));
    tries.push(("the page cache survives".to_owned(), with(End::Kill)));
    tries
}

/// The points before it in the same operation or recovery, the nearest first.
fn points_before(calls: &[Called], operation: Option<usize>, at: &At) -> Vec<(String, Crash)> {
    // Where some were left out, they cannot be counted.
    if calls.len() >= CALLS_TOLD {
        return Vec::new();
    }
    let own: Vec<IoKind> = calls
        .iter()
        .filter(|called| called.operation == operation)
        .map(|called| called.call.kind)
        .collect();
    let mut points = Vec::new();
    if let At::Inside(kind, nth, _) = at {
        points.push(At::Before(*kind, *nth));
    }
    for place in (0..own.len()).rev() {
        let nth = own[..place].iter().filter(|kind| **kind == own[place]).count();
        points.push(At::Before(own[place], nth));
    }
    let ends = |at: At| {
        [Base::Everything, Base::Nothing].map(|base| {
            let words = match base {
                Base::Everything => "everything survives",
                Base::Nothing => "nothing survives",
            };
            let end = End::Loss(Survivors::of(base));
            (words.to_owned(), Crash { at: at.clone(), end })
        })
    };
    points.into_iter().flat_map(ends).collect()
}

#[cfg(test)]
mod tests {
    use std::panic::Location;

    use super::*;
    use crate::disk::IoCall;

    #[test]
    fn fate_is_read_from_the_words_of_a_plan() {
        let cases = [
            ("write /s/a at 512, 9 bytes: 0 of 1 sectors, length 0", Fate::Lost),
            ("write /s/a at 512, 9 bytes: 1 of 2 sectors, length 9", Fate::Part),
            ("write /s/a at 512, 9 bytes: 2 of 2 sectors, length 9", Fate::Survived),
            ("allocate /s/a from 0 to 9: in part, length 3", Fate::Part),
            ("allocate /s/a from 0 to 9: survived, length 9", Fate::Survived),
            ("rename in /s: +b -a: lost", Fate::Lost),
            ("unlink in /: -a: survived", Fate::Survived),
        ];
        let marks = [
            ("write", "/s/a", 512),
            ("write", "/s/a", 512),
            ("write", "/s/a", 512),
            ("allocate", "/s/a", 0),
            ("allocate", "/s/a", 0),
            ("rename", "/s/b", 0),
            ("unlink", "/a", 0),
        ];
        for ((line, fate), (kind, path, offset)) in cases.into_iter().zip(marks) {
            let change = change(line);
            assert_eq!(change.fate, fate, "{line}");
            assert_eq!(mark_of(&change.what), Some((kind, path.to_owned(), offset)), "{line}");
        }
    }
    #[test]
    fn a_write_is_told_under_the_name_that_its_file_has_at_the_crash() {
        let call = |kind, path: &str, to: Option<&str>| {
            let call = IoCall {
                index: 0,
                kind,
                path: path.into(),
                to: to.map(Into::into),
                offset: 0,
                len: 9,
                result: Ok(0),
                fault: None,
                elided: false,
                site: Location::caller(),
                node: None,
            };
            called(Called { operation: None, call })
        };
        let mut events = [
            call(IoKind::Write, "/s/a", None),
            call(IoKind::Rename, "/s/a", Some("/s/b")),
            call(IoKind::Rename, "/s/b", Some("/s/c")),
        ];
        tell_fates(&mut events, &[change("write /s/c at 0, 9 bytes: 0 of 1 sectors, length 0")]);
        let fates = events.iter().map(|event| match event {
            Event::Call { fate, .. } => *fate,
            Event::Crash(_) => None,
        });
        assert_eq!(fates.collect::<Vec<_>>(), [Some(Fate::Lost), None, None]);
    }
}
