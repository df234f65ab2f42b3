//! What was asked, answered, observed and seen in one schedule: the side that holds the engine's
//! answers against one another, and what a crash left against them.
//!
//! **Invariants** of use:
//!
//! - G1. Every value is written once, and a deletion on its own is of a row that no other request
//!   deletes. So each request is found in the history by what it changed.
//! - G2. The history is what the observer was shown; it is believed only as far as the answers, the
//!   views of readers and the recovered states agree with it.
//! - G3. A mark is how many answers there were: whoever takes one before a call may rely on them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use quiver_store::ErrorKind;

/// A row: the number of its collection, and its id.
pub(crate) type Key = (usize, String);

/// The live rows, with their payloads.
pub(crate) type Rows = BTreeMap<Key, String>;

/// One change of a row; without a value its end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Change {
    pub(crate) key: Key,
    pub(crate) value: Option<String>,
}

/// What a request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Durable, with what is told of it: the LSN of its last change, how many deletions hit.
    Committed { last_lsn: Option<u64>, hits: Option<u64> },
    /// Nothing to be done.
    Unchanged,
    /// Not written, or for `Unknown` maybe.
    Refused(ErrorKind),
}

#[derive(Debug)]
struct Request {
    changes: Vec<Change>,
    /// Whether it is to be put only where there is no row.
    if_absent: bool,
    begun: usize,
    answer: Option<Answer>,
}

#[derive(Debug)]
struct Observed {
    lsn: u64,
    change: Change,
    ends_batch: bool,
}

/// What a reader saw, and what had been answered before it looked.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) reader: usize,
    pub(crate) mark: usize,
    pub(crate) sight: Sight,
}

#[derive(Debug)]
pub(crate) enum Sight {
    /// All rows, as of an LSN.
    All { lsn: u64, rows: Rows },
    /// One row, as of whenever it was.
    One { key: Key, value: Option<String> },
}

#[derive(Debug)]
struct Books {
    base: (u64, Rows),
    requests: Vec<Request>,
    /// Requests in the order of their answers.
    answered: Vec<usize>,
    observed: Vec<Observed>,
    views: Vec<View>,
    wrong: Vec<String>,
}

/// The books of one schedule. Never held where another thread may run.
#[derive(Debug)]
pub(crate) struct Ledger(Mutex<Books>);

impl Ledger {
    pub(crate) fn new(lsn: u64, rows: Rows) -> Self {
        Self(Mutex::new(Books {
            base: (lsn, rows),
            requests: Vec::new(),
            answered: Vec::new(),
            observed: Vec::new(),
            views: Vec::new(),
            wrong: Vec::new(),
        }))
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many answers there were.
    pub(crate) fn mark(&self) -> usize {
        self.books().answered.len()
    }

    /// Notes a request that is about to be made; its number.
    pub(crate) fn ask(&self, changes: Vec<Change>, if_absent: bool) -> usize {
        let mut books = self.books();
        let begun = books.answered.len();
        books.requests.push(Request { changes, if_absent, begun, answer: None });
        books.requests.len() - 1
    }

    /// Notes its answer.
    pub(crate) fn answer(&self, request: usize, answer: Answer) {
        let mut books = self.books();
        let before = books.requests[request].answer.replace(answer);
        if let Some(before) = before {
            books.wrong.push(format!("request {request}: answered {before:?}, then {answer:?}"));
        }
        books.answered.push(request);
    }

    /// Notes what the observer was shown.
    pub(crate) fn observe(&self, lsn: u64, change: Change, ends_batch: bool) {
        self.books().observed.push(Observed { lsn, change, ends_batch });
    }

    pub(crate) fn see(&self, view: View) {
        self.books().views.push(view);
    }

    /// Notes what should not have happened.
    pub(crate) fn wrong(&self, what: String) {
        self.books().wrong.push(what);
    }

    /// How many requests were answered so.
    pub(crate) fn count(&self, is_counted: impl Fn(&Answer) -> bool) -> u64 {
        let books = self.books();
        let answers = books.requests.iter().filter_map(|request| request.answer.as_ref());
        answers.filter(|answer| is_counted(answer)).count() as u64
    }

    /// Closes the books on a run: everything that was said in it is held against its history.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub(crate) fn close(&self) -> Result<History, String> {
        let books = self.books();
        if let Some(wrong) = books.wrong.first() {
            return Err(wrong.clone());
        }
        let mut history = History::new(&books)?;
        for (number, request) in books.requests.iter().enumerate() {
            let lsn = history.check_request(number, request)?;
            history.lsns.push(lsn);
        }
        // Only now it is known of every request where it stands.
        for (number, request) in books.requests.iter().enumerate() {
            if request.answer == Some(Answer::Unchanged) {
                history.check_unchanged(number, request, &books.answered)?;
            }
        }
        history.answered.clone_from(&books.answered);
        history.check_views(&books.views)?;
        history.extras = extras(&books);
        Ok(history)
    }
}

/// Requests that may be in a recovered state though they are not in the history.
fn extras(books: &Books) -> Vec<Extra> {
    let mut extras = Vec::new();
    for (number, request) in books.requests.iter().enumerate() {
        if let Some(Answer::Refused(kind)) = request.answer {
            let told = books.answered.iter().position(|answered| *answered == number);
            let until = if kind == ErrorKind::Unknown { usize::MAX } else { told.unwrap_or(0) };
            extras.push(Extra { changes: request.changes.clone(), until });
        }
    }
    extras
}

#[derive(Debug)]
struct Extra {
    changes: Vec<Change>,
    /// The mark up to which a crash may bring it up.
    until: usize,
}

/// The order of all changes, and the states between batches.
#[derive(Debug)]
pub(crate) struct History {
    /// Each state by the LSN of the last change in it.
    states: BTreeMap<u64, Rows>,
    /// Where each batch ends, with its changes in order.
    batches: Vec<(u64, Vec<Change>)>,
    lsns: Vec<Option<u64>>,
    answered: Vec<usize>,
    extras: Vec<Extra>,
}

impl History {
    fn new(books: &Books) -> Result<Self, String> {
        let (mut last, mut rows) = books.base.clone();
        let mut states = BTreeMap::from([(last, rows.clone())]);
        let (mut batches, mut batch) = (Vec::new(), Vec::new());
        for Observed { lsn, change, ends_batch } in &books.observed {
            if *lsn != last + 1 {
                return Err(format!("I14: LSN {lsn} was observed behind LSN {last}"));
            }
            last = *lsn;
            apply(&mut rows, change);
            batch.push(change.clone());
            if *ends_batch {
                states.insert(last, rows.clone());
                batches.push((last, std::mem::take(&mut batch)));
            }
        }
        let (lsns, answered, extras) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { states, batches, lsns, answered, extras })
    }

    /// Finds a request in the history, whole, if it is there (G1).
    fn find(&self, number: usize, request: &Request) -> Result<Option<u64>, String> {
        let upsert = request.changes.iter().find(|change| change.value.is_some());
        let sign = upsert.unwrap_or(&request.changes[0]);
        let mut found = self.batches.iter().filter(|(_, changes)| match upsert {
            Some(_) => changes.contains(sign),
            None => changes.len() == 1 && changes[0] == *sign,
        });
        let Some((lsn, changes)) = found.next() else { return Ok(None) };
        if found.next().is_some() {
            return Err(format!("request {number} was committed twice"));
        }
        let sorted = |changes: &[Change]| {
            let mut sorted = changes.to_vec();
            sorted.sort();
            sorted
        };
        if sorted(changes) != sorted(&request.changes) {
            return Err(format!("I2: request {number} is {changes:?} in the history"));
        }
        Ok(Some(*lsn))
    }

    /// Holds an answer against the history; the LSN of the request's last change.
    fn check_request(&self, number: usize, request: &Request) -> Result<Option<u64>, String> {
        let found = self.find(number, request)?;
        let Some(answer) = request.answer else {
            return Err(format!("Q3: request {number} was never answered: {:?}", request.changes));
        };
        match (answer, found) {
            (Answer::Committed { last_lsn, hits }, Some(lsn)) => {
                let before = self.before(lsn);
                let was_there = |change: &&Change| before.contains_key(&change.key);
                let deletes = request.changes.iter().filter(|change| change.value.is_none());
                let truth = deletes.filter(was_there).count() as u64;
                if last_lsn.is_some_and(|told| told != lsn) {
                    return Err(format!("request {number} is at LSN {lsn}, told {last_lsn:?}"));
                }
                if hits.is_some_and(|told| told != truth) {
                    return Err(format!("request {number} hit {truth} rows, told {hits:?}"));
                }
                if request.if_absent && request.changes.iter().any(|change| was_there(&change)) {
                    return Err(format!("request {number} was put where there was a row"));
                }
                Ok(Some(lsn))
            }
            (Answer::Committed { .. }, None) => {
                Err(format!("I1: request {number} was acknowledged and never committed"))
            }
            (_, Some(lsn)) => {
                Err(format!("request {number} was answered {answer:?} and is at LSN {lsn}"))
            }
            (_, None) => Ok(None),
        }
    }

    /// Where a row was not put, it was there at some time during the call.
    fn check_unchanged(
        &self,
        number: usize,
        request: &Request,
        answered: &[usize],
    ) -> Result<(), String> {
        let floor = self.floor_of(&answered[..request.begun]);
        let key = &request.changes[0].key;
        if self.states.range(floor..).any(|(_, rows)| rows.contains_key(key)) {
            return Ok(());
        }
        Err(format!("request {number} was not put, and {key:?} was not there"))
    }

    fn before(&self, lsn: u64) -> &Rows {
        let state = self.states.range(..lsn).next_back();
        state.expect("what is in the history stands above the base").1
    }

    fn floor_of(&self, answered: &[usize]) -> u64 {
        let base = *self.states.keys().next().expect("the base is a state");
        let lsns = answered.iter().filter_map(|request| self.lsns[*request]);
        lsns.max().map_or(base, |lsn| lsn.max(base))
    }

    /// The least LSN that whoever took this mark may be shown.
    pub(crate) fn floor(&self, mark: usize) -> u64 {
        self.floor_of(&self.answered[..mark])
    }

    fn check_views(&self, views: &[View]) -> Result<(), String> {
        let mut seen: BTreeMap<usize, u64> = BTreeMap::new();
        for View { reader, mark, sight } in views {
            let before = seen.entry(*reader).or_default();
            let floor = self.floor(*mark);
            match sight {
                Sight::All { lsn, .. } if *lsn < floor => {
                    return Err(format!(
                        "reader {reader} sees LSN {lsn}, and LSN {floor} had been acknowledged"
                    ));
                }
                Sight::All { lsn, .. } if lsn < before => {
                    return Err(format!("reader {reader} sees LSN {lsn} behind LSN {before}"));
                }
                Sight::All { lsn, rows } => {
                    let Some(state) = self.states.get(lsn) else {
                        return Err(format!("I2: reader {reader} sees LSN {lsn}, inside a batch"));
                    };
                    if state != rows {
                        let what = differences(state, rows);
                        return Err(format!("I13: reader {reader} at LSN {lsn}: {what}"));
                    }
                    *before = *lsn;
                }
                Sight::One { key, value } => {
                    let mut later = self.states.range(floor.max(*before)..);
                    let Some((lsn, _)) = later.find(|(_, rows)| rows.get(key) == value.as_ref())
                    else {
                        return Err(format!(
                            "reader {reader} sees {key:?} as {value:?}, which it is not from LSN \
                             {floor} on"
                        ));
                    };
                    *before = *lsn;
                }
            }
        }
        Ok(())
    }

    /// Holds a recovered state against what had been answered when the crash came.
    ///
    /// # Errors
    /// What is missing, or there and was never written, or there in part.
    pub(crate) fn check_recovered(&self, mark: usize, lsn: u64, rows: &Rows) -> Result<(), String> {
        let floor = self.floor(mark);
        if lsn < floor {
            return Err(format!("I1: recovered to LSN {lsn}, and LSN {floor} was acknowledged"));
        }
        let state = self.states.get(&lsn);
        if state == Some(rows) {
            return Ok(());
        }
        let extras: Vec<&Extra> = self.extras.iter().filter(|it| mark <= it.until).collect();
        let mut below = self.states.range(floor..lsn);
        if below.any(|(from, state)| leads_to(state, lsn - from, &extras, rows)) {
            return Ok(());
        }
        Err(match state {
            Some(state) => {
                format!("I3: recovered to LSN {lsn}: {}", differences(state, rows))
            }
            None => format!("I2, I4: recovered to LSN {lsn}, where no batch ends: {rows:?}"),
        })
    }
}

/// Whether some of the requests, in some order, make so many changes that lead to these rows.
fn leads_to(state: &Rows, changes: u64, extras: &[&Extra], rows: &Rows) -> bool {
    if changes == 0 {
        return state == rows;
    }
    extras.iter().enumerate().any(|(at, extra)| {
        let count = extra.changes.len() as u64;
        let mut next = state.clone();
        extra.changes.iter().for_each(|change| apply(&mut next, change));
        let mut others = extras.to_vec();
        others.remove(at);
        count <= changes && leads_to(&next, changes - count, &others, rows)
    })
}

fn apply(rows: &mut Rows, change: &Change) {
    match &change.value {
        Some(value) => drop(rows.insert(change.key.clone(), value.clone())),
        None => drop(rows.remove(&change.key)),
    }
}

fn differences(expected: &Rows, found: &Rows) -> String {
    let mut lines = Vec::new();
    for key in expected.keys().chain(found.keys()) {
        if expected.get(key) != found.get(key) {
            let (expected, found) = (expected.get(key), found.get(key));
            lines.push(format!("{key:?} is {found:?}, expected {expected:?}"));
        }
    }
    lines.sort();
    lines.dedup();
    lines.join("; ")
}
