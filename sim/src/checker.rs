//! Reads a whole store through its public calls and holds it against the model.
//!
//! **Place.** Used by the forward run after each reopen, and by the explorer on each image.
//!
//! - K1. The hot path allocates next to nothing: rows are digested as they stream by. Only on a
//!   mismatch the store is read again, whole, for a diff.
//! - K2. Reading also checks that the calls agree with one another: names in order, `len` with the
//!   rows of the scan, ids in order.
//! - K3. What was found is in one of the states of the window, or it is a violation; the name of the
//!   invariant is the one that comes closest to what is wrong.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use quiver_store::CollectionId;

use crate::digest;
use crate::model::{Collection, KnownId, State, Window};
use crate::system::View;

/// An invariant, by the name that the reports use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// Acknowledged operations are there.
    I1,
    /// Batches are whole or not there.
    I2,
    /// The state is one after some first part of all operations.
    I3,
    /// Nothing is there that was not written.
    I4,
    /// Recovery succeeds.
    I5,
    /// Recovering again changes nothing.
    I6,
    /// What was seen after a recovery stays.
    I7,
    /// No file is there that the manifest does not name.
    I8,
    /// Damage is answered with the right data or a typed error that names the file.
    I9,
    /// A failed call says truly what became of it.
    I10,
    /// The store writes again once faults stop.
    I11,
    /// What a predicate finds is what a look at every payload finds.
    I12,
    /// A snapshot or an iterator shows one LSN.
    I13,
    /// LSNs, ids, file names and versions never come back.
    I14,
    /// No secret and no key is on the disk in plain.
    I15,
    /// No key and nonce seal two contents.
    I16,
    /// What was shredded cannot be read.
    I17,
    /// Files, handles, bytes and work stay within their bounds.
    I18,
    /// What is acknowledged after a recovery survives the next crash.
    Probe,
    /// A running store answers as the model does.
    Answers,
}

impl Invariant {
    /// All that the explorer and the forward run evaluate: all but I9, which has a campaign of its own.
    pub const ALL: [Self; 19] = [
        Self::I1,
        Self::I2,
        Self::I3,
        Self::I4,
        Self::I5,
        Self::I6,
        Self::I7,
        Self::I8,
        Self::I10,
        Self::I11,
        Self::I12,
        Self::I13,
        Self::I14,
        Self::I15,
        Self::I16,
        Self::I17,
        Self::I18,
        Self::Probe,
        Self::Answers,
    ];

    /// Those that only encrypted histories evaluate.
    pub const OF_ENCRYPTION: [Self; 3] = [Self::I15, Self::I16, Self::I17];

    /// Its name and statement in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::I1 => "I1 durable",
            Self::I2 => "I2 atomic",
            Self::I3 => "I3 prefix",
            Self::I4 => "I4 no phantom",
            Self::I5 => "I5 opens",
            Self::I6 => "I6 idempotent",
            Self::I7 => "I7 stable after seen",
            Self::I8 => "I8 tidy",
            Self::I9 => "I9 detected",
            Self::I10 => "I10 fails closed",
            Self::I11 => "I11 comes back",
            Self::I12 => "I12 index agrees",
            Self::I13 => "I13 snapshot",
            Self::I14 => "I14 order",
            Self::I15 => "I15 secret",
            Self::I16 => "I16 nonce",
            Self::I17 => "I17 shredded",
            Self::I18 => "I18 bounded",
            Self::Probe => "probe after recovery",
            Self::Answers => "answers of a running store",
        }
    }
}

/// What is expected of a store that hangs.
pub const AN_ANSWER: &str = "an answer";

/// What is wrong, before it is known where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which invariant does not hold.
    pub invariant: Invariant,
    /// What should be.
    pub expected: String,
    /// What is.
    pub found: String,
}

impl Finding {
    /// A finding.
    pub fn new(
        invariant: Invariant,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self { invariant, expected: expected.into(), found: found.into() }
    }

    /// A store that does not come back.
    pub fn hang(invariant: Invariant, patience: Duration) -> Self {
        let seconds = patience.as_secs_f64();
        let found = format!(
            "none within {seconds} seconds: it spins or waits, and what shows it again does not come back \
             either"
        );
        Self::new(invariant, AN_ANSWER, found)
    }
}

/// What a store was found to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The highest visible LSN.
    pub lsn: u64,
    /// The sum of the digests of collections and rows.
    pub digest: u128,
    /// The id of each collection, by what stands for its name in digests.
    pub ids: Vec<(u64, u64)>,
}

impl Content {
    /// What a store in this state holds, of which all ids are known.
    ///
    /// # Panics
    /// If one is not.
    pub fn of(state: &State) -> Self {
        let id_of = |collection: &Collection| match collection.id {
            KnownId::Is(id) => (collection.key(), id),
            KnownId::Above(_) => unreachable!("a state with ids"),
        };
        let ids = state.collections.values().map(|collection| id_of(collection)).collect();
        Self { lsn: state.lsn, digest: state.digest, ids }
    }

    /// The ids as a map.
    pub fn ids_by_key(&self) -> BTreeMap<u64, u64> {
        self.ids.iter().copied().collect()
    }

    /// Three words that stand for the content in traces.
    pub fn words(&self) -> [u64; 3] {
        let bytes = self.digest.to_le_bytes();
        let (words, _) = bytes.as_chunks::<8>();
        let ids = self.ids.iter().fold(0, |sum: u64, (key, id)| sum.wrapping_add(key ^ id));
        [self.lsn, u64::from_le_bytes(words[0]), ids]
    }
}

/// Why a store could not be read.
#[derive(Debug)]
pub enum Unreadable {
    /// A call failed.
    Failed(quiver_store::Error),
    /// Two calls contradict one another (K2).
    Contradiction(String),
}

impl From<quiver_store::Error> for Unreadable {
    fn from(error: quiver_store::Error) -> Self {
        Self::Failed(error)
    }
}

impl Unreadable {
    /// The finding that this is.
    pub fn finding(self) -> Finding {
        match self {
            Self::Failed(error) => {
                Finding::new(Invariant::I5, "a store that can be read", format!("{error:?}"))
            }
            Self::Contradiction(found) => {
                Finding::new(Invariant::Answers, "calls that agree with one another", found)
            }
        }
    }
}

/// Reads everything (K1).
///
/// # Errors
/// The first call that failed or contradicts another.
pub fn read(session: &dyn View) -> Result<Content, Unreadable> {
    let names = session.names()?;
    let mut content = Content { lsn: session.last_lsn()?, digest: 0, ids: Vec::new() };
    content.ids.reserve(names.len());
    for (place, name) in names.iter().enumerate() {
        if place > 0 && names[place - 1] >= *name {
            let found = format!("the name {name:?} after {:?}", names[place - 1]);
            return Err(Unreadable::Contradiction(found));
        }
        let Some(id) = session.id_of(name)? else {
            return Err(Unreadable::Contradiction(format!("no id of the listed name {name:?}")));
        };
        let key = digest::name_key(name);
        let term = digest::of_collection(key, &session.descriptor(id)?);
        content.digest = content.digest.wrapping_add(term);
        content.digest = content.digest.wrapping_add(read_rows(session, id, key)?);
        content.ids.push((key, id.value()));
    }
    Ok(content)
}

fn read_rows(session: &dyn View, id: CollectionId, key: u64) -> Result<u128, Unreadable> {
    let mut rows = 0u64;
    let mut sum = 0u128;
    let mut last = String::new();
    let mut disorder = None;
    session.scan(id, &mut |row, vector, payload| {
        if rows > 0 && *last >= *row && disorder.is_none() {
            disorder = Some(format!("the row {row:?} after {last:?}"));
        }
        last.clear();
        last.push_str(row);
        rows += 1;
        sum = sum.wrapping_add(digest::of_row(key, row, vector, payload));
    })?;
    if let Some(found) = disorder {
        return Err(Unreadable::Contradiction(found));
    }
    let len = session.len(id)?;
    if len != rows {
        let found = format!("len {len} of collection {id}, whose scan has {rows} rows");
        return Err(Unreadable::Contradiction(found));
    }
    Ok(sum)
}

/// Holds what was found against what a crash may leave (K3). Returns which of the window's states
/// it is.
///
/// # Errors
/// The invariant that does not hold, without the diff.
pub fn judge(content: &Content, window: &Window) -> Result<usize, Finding> {
    let same = |state: &State| state.lsn == content.lsn && state.digest == content.digest;
    let Some(place) =
        window.states.iter().position(|state| same(state) && ids_agree(content, state))
    else {
        return Err(mismatch(content, window));
    };
    Ok(place)
}

fn ids_agree(content: &Content, state: &State) -> bool {
    content.ids.len() == state.collections.len()
        && state.collections.values().all(|collection| {
            let found = content.ids.iter().find(|(key, _)| *key == collection.key());
            found.is_some_and(|(_, id)| collection.id.admits(*id))
        })
}

fn mismatch(content: &Content, window: &Window) -> Finding {
    let highest = window.states.iter().map(|state| state.lsn).max().unwrap_or(0);
    let lowest = window.states.iter().map(|state| state.lsn).min().unwrap_or(0);
    let same_lsn = window.states.iter().filter(|state| state.lsn == content.lsn);
    let mut same_lsn = same_lsn.peekable();
    let invariant = if content.lsn < lowest {
        Invariant::I1
    } else if content.lsn > highest {
        Invariant::I4
    } else if same_lsn.peek().is_none() {
        Invariant::I2
    } else if same_lsn.any(|state| state.digest == content.digest) {
        Invariant::I14
    } else {
        Invariant::I3
    };
    let mut boundaries = String::new();
    for state in &window.states {
        write!(boundaries, " {}", state.lsn).expect("a string takes everything");
    }
    Finding::new(
        invariant,
        format!("the state at LSN{boundaries}, of which {} is acknowledged", window.acked_lsn),
        format!("LSN {} with other content, or an LSN that is none of these", content.lsn),
    )
}

/// Says in words how a store differs from the nearest state of a window.
pub fn diff(session: &dyn View, window: &Window) -> String {
    let lsn = session.last_lsn().unwrap_or(0);
    let nearest = window.states.iter().min_by_key(|state| state.lsn.abs_diff(lsn));
    let Some(state) = nearest else { return String::new() };
    let mut words = format!("against the state at LSN {}:", state.lsn);
    if let Err(error) = diff_state(session, state, &mut words) {
        write!(words, " reading fails: {error:?}").expect("a string takes everything");
    }
    words
}

fn diff_state(session: &dyn View, state: &State, words: &mut String) -> quiver_store::Result<()> {
    let mut lines = Vec::new();
    let names = session.names()?;
    for name in &names {
        if !state.collections.contains_key(name.as_str()) {
            lines.push(format!("collection {} is too many", short(name)));
        }
    }
    for (name, expected) in &state.collections {
        let Some(id) = session.id_of(name)? else {
            lines.push(format!("collection {} is missing", short(name)));
            continue;
        };
        if !expected.id.admits(id.value()) {
            let known = match expected.id {
                KnownId::Is(id) => format!("{id}"),
                KnownId::Above(floor) => format!("one above {floor}"),
            };
            lines.push(format!("collection {} has id {id}, expected {known}", short(name)));
        }
        if session.descriptor(id)? != expected.descriptor {
            lines.push(format!("collection {} has another schema", short(name)));
        }
        let mut found = BTreeMap::new();
        session.scan(id, &mut |row, vector, payload| {
            found.insert(row.to_string(), digest::of_row(0, row, vector, payload));
        })?;
        for (row, value) in expected.rows.iter() {
            match found.remove(&**row) {
                None => lines.push(format!("row {} of {} is missing", short(row), short(name))),
                Some(term) => {
                    if term != digest::of_row(0, row, &value.vector, &value.payload) {
                        lines.push(format!(
                            "row {} of {} has another vector or payload than the {} elements and \
                             {} bytes expected",
                            short(row),
                            short(name),
                            value.vector.len(),
                            value.payload.len()
                        ));
                    }
                }
            }
        }
        for row in found.keys() {
            lines.push(format!("row {} of {} is too many", short(row), short(name)));
        }
    }
    let shown = lines.len().min(12);
    for line in &lines[..shown] {
        write!(words, "\n    {line}").expect("a string takes everything");
    }
    if lines.len() > shown {
        write!(words, "\n    and {} more", lines.len() - shown).expect("a string takes everything");
    }
    if lines.is_empty() {
        words.push_str(" the content is the same");
    }
    Ok(())
}

fn short(name: &str) -> String {
    let mut chars = name.chars();
    let head: String = chars.by_ref().take(24).collect();
    if chars.next().is_some() { format!("{head:?}...") } else { format!("{head:?}") }
}
