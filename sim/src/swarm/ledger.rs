//! Whether single-record reads and writes are linearizable, with LSNs as the witness.
//!
//! **Place.** The desk tells it of each request and each read of one row, with the numbers of the events
//! between which it was under way. It shares no code with the model, which checks more and is told the
//! order of commits; this one is told nothing but what clients saw.
//!
//! **Why no search is needed.** A history is linearizable if there is *one* order of its operations that
//! respects real time and in which each read shows the write before it. To find such an order is hard; to
//! check one that is given is not, and the store gives one: each acknowledged write has an LSN.
//!
//! - R1. Let writes be ordered by LSN. The order respects real time if a write that began after another's
//!   answer has the higher LSN. An LSN is given once.
//! - R2. A read belongs behind the version that it shows and before the next one of its row. There is such
//!   a place inside the read's own time if the version is not older than the newest one that anybody was
//!   known to have seen, by an answer or by a read, before the read began. Nor may it be newer than what
//!   was committed when the read ended: it may be no write that nobody has driven.
//! - R3. Two reads that follow one another find versions in that order: what the first showed is what R2
//!   takes as known when the second begins.
//! - R4. `put_if_absent`, `update_payload` and `delete` are reads and writes in one. What they answer is held
//!   against the version just before their LSN; one that came to nothing, as a read would be.
//! - R5. A write without an answer, or with `Unknown`, may have happened: its versions stand behind the
//!   last acknowledged LSN, in the order of submission, and before the next. Nothing has to show them; what
//!   was shown once stays.
//! - R6. Versions are told apart by their content; of several that would do, a read is taken to show the
//!   oldest that is allowed. So nothing right is refused, and what writes the same twice is judged less.
//! - R7. After a crash no LSN at or below an acknowledged one is missing.

use std::collections::BTreeMap;
use std::sync::Arc;

use quiver_store::{CollectionId, ErrorKind};

use crate::checker::{Finding, Invariant};
use crate::digest;
use crate::system::{Outcome, Request, RowChange};

/// The place of a version: its LSN, and behind it the place among what may have happened (R5).
type Rank = (u64, u64);

/// What a row was from some point on.
#[derive(Clone, Debug)]
enum Content {
    Absent,
    Row {
        digest: u128,
        vector: Arc<[f32]>,
    },
    /// A new payload of a row that is not known for certain.
    Unsure,
}

/// The versions of one row, and what is known of them from when on.
#[derive(Debug, Default)]
struct Row {
    versions: BTreeMap<Rank, Content>,
    /// That a version was seen, by an answer or a read, and when that ended.
    seen: Vec<(u64, Rank)>,
}

/// What clients saw of a run.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    rows: BTreeMap<(CollectionId, Arc<str>), Row>,
    /// The answers that told LSNs, in the order of the events: when, and the highest LSN so far.
    told: Vec<(u64, u64)>,
    /// The last acknowledged LSN.
    acked: u64,
    /// How many writes stand behind it that may have happened.
    maybe: u64,
    /// What was judged.
    pub(super) reads: u64,
    pub(super) writes: u64,
    pub(super) conditions: u64,
}

/// A request under way.
#[derive(Clone, Debug)]
pub(super) struct Begun {
    /// The event of its begin.
    pub(super) at: u64,
    pub(super) request: Request,
}

impl Content {
    fn of(id: &str, (vector, payload): &(Arc<[f32]>, Arc<[u8]>)) -> Self {
        let digest = digest::of_row(0, id, vector, payload);
        Self::Row { digest, vector: vector.clone() }
    }

    fn may_be(&self, shown: Option<u128>) -> bool {
        match self {
            Self::Absent => shown.is_none(),
            Self::Row { digest, .. } => shown == Some(*digest),
            Self::Unsure => true,
        }
    }

    fn may_be_there(&self, is_there: bool) -> bool {
        match self {
            Self::Absent => !is_there,
            Self::Row { .. } => is_there,
            Self::Unsure => true,
        }
    }
}

impl Row {
    /// The version that stood just before a place; whether it is known for certain is part of the rank.
    fn before(&self, rank: Rank) -> (Rank, Content) {
        let last = self.versions.range(..rank).next_back();
        last.map_or(((0, 0), Content::Absent), |(rank, content)| (*rank, content.clone()))
    }

    /// The newest version that was known to be there when something began.
    fn floor(&self, began: u64) -> Rank {
        let known = self.seen.iter().filter(|(ended, _)| *ended < began);
        known.map(|(_, rank)| *rank).max().unwrap_or_default()
    }

    /// The oldest version that a read which began then may have shown (R2, R6).
    fn shown(&self, began: u64, right: impl Fn(&Content) -> bool) -> Option<Rank> {
        let floor = self.floor(began);
        if floor == (0, 0) && right(&Content::Absent) {
            return Some(floor);
        }
        let mut versions = self.versions.range(floor..);
        versions.find(|(_, content)| right(content)).map(|(rank, _)| *rank)
    }
}

impl Ledger {
    /// A read of one row has ended.
    pub(super) fn read(
        &mut self,
        (collection, id): (CollectionId, &Arc<str>),
        (began, ended): (u64, u64),
        shown: Option<u128>,
    ) -> Result<(), Finding> {
        self.reads += 1;
        let row = self.rows.entry((collection, id.clone())).or_default();
        match row.shown(began, |content| content.may_be(shown)) {
            Some(rank) => {
                row.seen.push((ended, rank));
                Ok(())
            }
            None => {
                let floor = row.floor(began);
                let expected = format!(
                    "row {id:?} of collection {collection} as of LSN {} or later: a read that is linearizable",
                    floor.0
                );
                let found = match shown {
                    Some(digest) => format!("a row of digest {digest:032x}"),
                    None => "no row".to_owned(),
                };
                Err(Finding::new(Invariant::Answers, expected, found))
            }
        }
    }

    /// A request was answered. `committed` is the store's last LSN by then, for calls that tell none.
    pub(super) fn answered(
        &mut self,
        begun: &Begun,
        ended: u64,
        answer: &Result<Outcome, ErrorKind>,
        committed: Option<u64>,
    ) -> Result<(), Finding> {
        let time = (begun.at, ended);
        match answer {
            Ok(Outcome::Written { last_lsn, hits }) => {
                let Some(last) = last_lsn.map(|lsn| lsn.value()).or(committed) else {
                    return Ok(());
                };
                self.take_lsns(&begun.request, time, last)?;
                self.write(&begun.request, time, last, *hits)
            }
            Ok(Outcome::Unchanged) => self.came_to_nothing(&begun.request, time),
            Ok(Outcome::Created { lsn, .. } | Outcome::Altered { lsn }) => {
                let Some(last) = lsn.map(|lsn| lsn.value()).or(committed) else { return Ok(()) };
                self.take_lsns(&begun.request, time, last)
            }
            Ok(Outcome::Dropped { existed, lsn }) => {
                let last = lsn.map(|lsn| lsn.value()).or(committed).filter(|_| *existed);
                last.map_or(Ok(()), |last| self.take_lsns(&begun.request, time, last))
            }
            Err(ErrorKind::Unknown) => {
                self.may_have_happened(&begun.request);
                Ok(())
            }
            Err(_) => Ok(()),
        }
    }

    /// The process has ended, and the next one found the store at an LSN. What was under way may have
    /// happened.
    pub(super) fn crashed<'a>(
        &mut self,
        under_way: impl Iterator<Item = &'a Begun>,
        recovered: u64,
    ) -> Result<(), Finding> {
        if recovered < self.acked {
            let expected = format!("LSN {} or a later one, which was acknowledged", self.acked);
            return Err(Finding::new(Invariant::I1, expected, format!("LSN {recovered}")));
        }
        under_way.for_each(|begun| self.may_have_happened(&begun.request));
        Ok(())
    }

    /// Takes in the LSNs of a request (R1).
    fn take_lsns(
        &mut self,
        request: &Request,
        (began, ended): (u64, u64),
        last: u64,
    ) -> Result<(), Finding> {
        let first = last + 1 - operations(request).min(last);
        let before = self.told.partition_point(|(when, _)| *when < began);
        let known = before.checked_sub(1).map_or(0, |place| self.told[place].1);
        if first <= known || first <= self.acked {
            let expected = format!("an LSN above {}, which was told before", known.max(self.acked));
            let found = format!("LSNs {first} to {last}");
            return Err(Finding::new(Invariant::I14, expected, found));
        }
        (self.acked, self.maybe) = (last, 0);
        self.told.push((ended, last));
        Ok(())
    }

    fn row(&mut self, change: &RowChange) -> &mut Row {
        self.rows.entry((change.collection, change.id.clone())).or_default()
    }

    fn write(
        &mut self,
        request: &Request,
        (_, ended): (u64, u64),
        last: u64,
        hits: Option<u64>,
    ) -> Result<(), Finding> {
        self.writes += 1;
        match request {
            Request::Write(changes) => {
                let first = last + 1 - changes.len() as u64;
                for (lsn, change) in (first..).zip(changes) {
                    let content = match &change.row {
                        Some(row) => Content::of(&change.id, row),
                        None => Content::Absent,
                    };
                    if let (None, [_], Some(hits)) = (&change.row, &changes[..], hits) {
                        self.judge(change, lsn, hits > 0)?;
                    }
                    self.put(change.collection, &change.id, (lsn, 0), ended, content);
                }
            }
            Request::Put(change) => {
                self.judge(change, last, false)?;
                let row = change.row.as_ref().expect("what is put is a row");
                let content = Content::of(&change.id, row);
                self.put(change.collection, &change.id, (last, 0), ended, content);
            }
            Request::Update { collection, id, payload } => {
                let change = RowChange { collection: *collection, id: id.clone(), row: None };
                self.judge(&change, last, true)?;
                let content = match self.row(&change).before((last, 0)) {
                    ((_, 0), Content::Row { vector, .. }) => {
                        Content::of(id, &(vector, payload.clone()))
                    }
                    _ => Content::Unsure,
                };
                self.put(*collection, id, (last, 0), ended, content);
            }
            Request::Create { .. }
            | Request::Drop { .. }
            | Request::Shred { .. }
            | Request::Rename { .. }
            | Request::AddField { .. } => {}
        }
        Ok(())
    }

    fn put(&mut self, of: CollectionId, id: &Arc<str>, rank: Rank, ended: u64, content: Content) {
        let row = self.rows.entry((of, id.clone())).or_default();
        row.versions.insert(rank, content);
        row.seen.push((ended, rank));
    }

    /// Whether the row was there just before an LSN, as an answer says (R4).
    fn judge(&mut self, change: &RowChange, lsn: u64, was_there: bool) -> Result<(), Finding> {
        self.conditions += 1;
        let (rank, content) = self.row(change).before((lsn, 0));
        // What may have happened may have been void by then.
        if rank.1 > 0 || content.may_be_there(was_there) {
            return Ok(());
        }
        let expected = format!("the answer that fits row {:?} as of LSN {}", change.id, rank.0);
        let found = format!("one as if it was there: {was_there}, at LSN {lsn}");
        Err(Finding::new(Invariant::Answers, expected, found))
    }

    /// A change of a row that came to nothing saw that it was there, or that it was not (R4).
    fn came_to_nothing(&mut self, request: &Request, time: (u64, u64)) -> Result<(), Finding> {
        let (collection, id, was_there) = match request {
            Request::Put(change) => (change.collection, &change.id, true),
            Request::Update { collection, id, .. } => (*collection, id, false),
            _ => return Ok(()),
        };
        self.conditions += 1;
        let row = self.rows.entry((collection, id.clone())).or_default();
        if row.shown(time.0, |content| content.may_be_there(was_there)).is_some() {
            return Ok(());
        }
        let expected = format!("a version of row {id:?} from LSN {} on", row.floor(time.0).0);
        let found = format!("an answer as if it was there: {was_there}");
        Err(Finding::new(Invariant::Answers, expected, found))
    }

    /// Adds the versions of a write that may have happened (R5).
    fn may_have_happened(&mut self, request: &Request) {
        self.maybe += 1;
        let rank = (self.acked, self.maybe);
        let mut add = |of: CollectionId, id: &Arc<str>, content: Content| {
            let row = self.rows.entry((of, id.clone())).or_default();
            // Of several changes of one row in a batch only the last can be seen.
            row.versions.insert(rank, content);
        };
        match request {
            Request::Write(changes) => changes.iter().for_each(|change| {
                let content = change.row.as_ref();
                let content = content.map_or(Content::Absent, |row| Content::of(&change.id, row));
                add(change.collection, &change.id, content);
            }),
            Request::Put(RowChange { collection, id, row: Some(row) }) => {
                add(*collection, id, Content::of(id, row));
            }
            Request::Update { collection, id, .. } => add(*collection, id, Content::Unsure),
            _ => {}
        }
    }
}

/// How many LSNs a request that changed something takes.
fn operations(request: &Request) -> u64 {
    match request {
        Request::Write(changes) => changes.len() as u64,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use quiver_store::Lsn;

    use super::*;

    const OF: CollectionId = CollectionId(1);

    fn change(value: Option<f32>) -> RowChange {
        let row = value.map(|value| (Arc::from([value]), Arc::from([])));
        RowChange { collection: OF, id: "a".into(), row }
    }

    fn write(at: u64, value: Option<f32>) -> Begun {
        Begun { at, request: Request::Write(vec![change(value)]) }
    }

    fn put(at: u64, value: f32) -> Begun {
        Begun { at, request: Request::Put(change(Some(value))) }
    }

    fn written(lsn: u64) -> Result<Outcome, ErrorKind> {
        Ok(Outcome::Written { last_lsn: Some(Lsn(lsn)), hits: None })
    }

    fn shown(value: f32) -> Option<u128> {
        Some(digest::of_row(0, "a", &[value], &[]))
    }

    fn read(ledger: &mut Ledger, time: (u64, u64), shown: Option<u128>) -> bool {
        ledger.read((OF, &"a".into()), time, shown).is_ok()
    }

    /// A row of value 1 at LSN 1 and value 2 at LSN 2, the second written from 3 to 6.
    fn two_versions() -> Ledger {
        let mut ledger = Ledger::default();
        assert!(ledger.answered(&write(1, Some(1.0)), 2, &written(1), None).is_ok());
        assert!(ledger.answered(&write(3, Some(2.0)), 6, &written(2), None).is_ok());
        ledger
    }

    #[test]
    fn read_that_overlaps_a_write_may_show_either_version_and_no_later_one_the_older() {
        assert!(read(&mut two_versions(), (4, 7), shown(1.0)));
        assert!(read(&mut two_versions(), (4, 7), shown(2.0)));
        assert!(!read(&mut two_versions(), (7, 8), shown(1.0)), "stale after an acknowledgement");
        assert!(!read(&mut two_versions(), (4, 7), None), "the row was there before");
        let mut ledger = two_versions();
        assert!(read(&mut ledger, (4, 5), shown(2.0)));
        assert!(!read(&mut ledger, (5, 7), shown(2.5)), "nobody wrote that");
        assert!(read(&mut ledger, (5, 7), shown(1.0)), "it began before the first one ended");
        assert!(!read(&mut ledger, (6, 7), shown(1.0)), "older than what was read before");
    }

    #[test]
    fn lsns_follow_real_time_and_are_given_once() {
        assert!(two_versions().answered(&write(7, None), 8, &written(2), None).is_err());
        assert!(two_versions().answered(&write(7, None), 8, &written(1), None).is_err());
        assert!(two_versions().answered(&write(7, None), 8, &written(3), None).is_ok());
    }

    #[test]
    fn conditions_hold_just_before_their_lsn() {
        assert!(two_versions().answered(&put(7, 3.0), 8, &written(3), None).is_err());
        assert!(two_versions().answered(&put(7, 3.0), 8, &Ok(Outcome::Unchanged), None).is_ok());
        let mut ledger = two_versions();
        assert!(ledger.answered(&write(7, None), 8, &written(3), None).is_ok());
        let late = ledger.answered(&put(9, 3.0), 10, &Ok(Outcome::Unchanged), None);
        assert!(late.is_err(), "the row was gone before it began");
        assert!(ledger.answered(&put(9, 3.0), 10, &written(4), None).is_ok());
    }

    #[test]
    fn what_may_have_happened_may_be_shown_and_stays_once_it_was() {
        let mut ledger = two_versions();
        let under_way = [write(7, Some(3.0))];
        assert!(ledger.crashed(under_way.iter(), 3).is_ok());
        assert!(read(&mut ledger, (8, 9), shown(2.0)));
        assert!(read(&mut ledger, (10, 11), shown(3.0)));
        assert!(!read(&mut ledger, (12, 13), shown(2.0)));
        assert!(ledger.crashed([].into_iter(), 1).is_err(), "LSN 2 was acknowledged");
    }
}
