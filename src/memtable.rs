//! The memtable: the rows of one collection since its last seal, every version of them.
//!
//! **Place.** Under the segments' own rows stands what was sealed; above it stands this. A commit
//! inserts a section's records after they are durable; readers look rows up as of an LSN; a
//! checkpoint takes it out of use whole and turns its newest versions into a segment.
//!
//! **Invariants**
//!
//! - E1. A version is never changed or removed: what a reader sees at an LSN stays.
//! - E2. Rows are kept as they were serialised: an entry points into the bytes of its batch, so that
//!   no row is copied by itself, and a memtable takes as much memory as its part of the log, and
//!   `ENTRY_BYTES` for each record.
//! - E3. The lock is held for one lookup, one run of a scan or one section's insertion, never
//!   across I/O.
//!
//! **A crash leaves** nothing of it: the log holds the same records.

use std::borrow::Borrow;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ops::Bound;

use crate::cursor::len_u32;
use crate::error::{Error, Result};
use crate::ids::Lsn;
use crate::limits::PAYLOAD_BYTES_MAX;
use crate::record::Record;
use crate::row_bytes::RowBytes;
use crate::sync::{AtomicUsize, Mutex, Ordering, RwLock, reading, writing};
use crate::vector::Stride;
use crate::wal::frame::{Batch, Section};

/// Memory that a batch takes once it is inserted, about: its records, and an entry for each.
pub(crate) fn memory_bytes(batch: &Batch) -> usize {
    BATCH_BYTES + batch.frame_bytes() + ENTRY_BYTES * batch.records() as usize
}

/// Memory that an entry takes beside the bytes it points to, about.
const ENTRY_BYTES: usize = 64;

/// Memory that a batch takes beside its records, about.
const BATCH_BYTES: usize = 128;

/// One version of one row: an upsert or a deletion, and where its bytes are.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The prefix of the id.
    pub(crate) prefix: u64,
    pub(crate) lsn: Lsn,
    bytes: RowBytes,
    id_at: u32,
    vector_len: u32,
    payload_len: u32,
    id_len: u16,
    pub(crate) is_live: bool,
}

impl Entry {
    pub(crate) fn id(&self) -> &str {
        str::from_utf8(self.id_bytes()).expect("records are decoded before they are inserted")
    }

    /// The vector; empty for a deletion.
    pub(crate) fn vector(&self) -> &[u8] {
        &self.bytes[self.value_at()..][..self.vector_len as usize]
    }

    /// The payload; empty for a deletion.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.bytes[self.value_at() + self.vector_len as usize..][..self.payload_len as usize]
    }

    /// Whether both are versions of one row.
    fn is_of(&self, other: &Self) -> bool {
        self.prefix == other.prefix && self.id_bytes() == other.id_bytes()
    }

    pub(crate) fn id_bytes(&self) -> &[u8] {
        &self.bytes[self.id_at as usize..][..usize::from(self.id_len)]
    }

    fn value_at(&self) -> usize {
        self.id_at as usize + usize::from(self.id_len)
    }
}

/// The place of a version among all: by id, of one id the newest first.
trait Place {
    fn prefix(&self) -> u64;
    fn rest(&self) -> (&[u8], Reverse<Lsn>);
}

impl Place for Entry {
    fn prefix(&self) -> u64 {
        self.prefix
    }

    fn rest(&self) -> (&[u8], Reverse<Lsn>) {
        (self.id_bytes(), Reverse(self.lsn))
    }
}

/// A place to look at, which need not be taken.
struct Query<'a> {
    prefix: u64,
    id: &'a [u8],
    lsn: Lsn,
}

impl<'a> Query<'a> {
    fn new(id: &'a [u8], lsn: Lsn) -> Self {
        Self { prefix: prefix(id), id, lsn }
    }
}

impl Place for Query<'_> {
    fn prefix(&self) -> u64 {
        self.prefix
    }

    fn rest(&self) -> (&[u8], Reverse<Lsn>) {
        (self.id, Reverse(self.lsn))
    }
}

/// Which place comes first. The ids themselves lie somewhere else in memory: they are looked at
/// only where their prefixes are equal.
#[inline]
fn compare(one: &(impl Place + ?Sized), other: &(impl Place + ?Sized)) -> std::cmp::Ordering {
    one.prefix().cmp(&other.prefix()).then_with(|| one.rest().cmp(&other.rest()))
}

impl<'a> Borrow<dyn Place + 'a> for Entry {
    fn borrow(&self) -> &(dyn Place + 'a) {
        self
    }
}

impl Ord for dyn Place + '_ {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        compare(self, other)
    }
}

impl PartialOrd for dyn Place + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn Place + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for dyn Place + '_ {}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        compare(self, other)
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}

/// The first bytes of an id as a number: where two differ, they decide which id is lower.
#[inline]
pub(crate) fn prefix(id: &[u8]) -> u64 {
    match id.first_chunk() {
        Some(first) => u64::from_be_bytes(*first),
        None => {
            let mut first = [0; 8];
            first[..id.len()].copy_from_slice(id);
            u64::from_be_bytes(first)
        }
    }
}

/// How many rows a memtable adds to what is beneath it, as far as that was found out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    /// The last operation taken into account.
    pub(crate) through: Lsn,
    pub(crate) change: i64,
}

/// The rows of one collection since its last seal.
#[derive(Debug, Default)]
pub(crate) struct Memtable {
    state: RwLock<State>,
    /// Versions inserted so far: where there are none, nobody takes the lock.
    entries: AtomicUsize,
    /// Held across I/O, by those who count and nobody else.
    pub(crate) count: Mutex<Count>,
}

#[derive(Debug, Default)]
struct State {
    entries: BTreeSet<Entry>,
    /// What was inserted, in order: what [`Memtable::batches`] reads.
    sections: Vec<(Lsn, Section)>,
    /// How many of them stand for no rows: they cannot be opened, or nobody knows of what schema they are.
    kept: usize,
}

impl Memtable {
    /// Inserts the records of a section, the first of which has LSN `first`. For each deletion
    /// `deleted` is told whether the row was live here before, or nothing where it was not here.
    ///
    /// # Errors
    /// `Corrupt` for a record that could not have been acknowledged.
    pub(crate) fn insert(
        &self,
        first: Lsn,
        section: &Section,
        stride: Stride,
        mut deleted: impl FnMut(&str, Option<bool>) -> Result<()>,
    ) -> Result<()> {
        if section.carried.is_some() {
            return self.keep(first, section);
        }
        let mut state = writing(&self.state)?;
        let mut lsn = first;
        let start = section.bytes.as_ptr() as usize;
        section.for_each(|record| {
            let (id, vector_len, payload_len, is_live) = match record {
                Record::Upsert { external_id, vector, payload } => {
                    check_vector(lsn, vector, stride)?;
                    check_payload(lsn, payload)?;
                    (external_id, vector.len(), payload.len(), true)
                }
                Record::Delete { external_id } => {
                    deleted(external_id, state.newest(external_id, lsn).map(|old| old.is_live))?;
                    (external_id, 0, 0, false)
                }
                Record::CreateCollection { .. }
                | Record::DropCollection { .. }
                | Record::RenameCollection { .. }
                | Record::AlterCollection { .. } => {
                    let what = format!("LSN {lsn} is a catalog record among rows");
                    return Err(Error::corrupt(what));
                }
            };
            state.entries.insert(Entry {
                prefix: prefix(id.as_bytes()),
                lsn,
                bytes: section.bytes.clone(),
                id_at: len_u32(id.as_ptr() as usize - start),
                vector_len: len_u32(vector_len),
                payload_len: len_u32(payload_len),
                id_len: u16::try_from(id.len()).expect("ids are bounded by `limits`"),
                is_live,
            });
            lsn = lsn.next();
            Ok(())
        })?;
        state.sections.push((first, section.clone()));
        self.entries.store(state.entries.len() + state.kept, Ordering::Release);
        Ok(())
    }

    /// Keeps a section of which nothing can be told but that it is there, and has to be parked.
    ///
    /// # Errors
    /// As [`crate::sync::locked`].
    pub(crate) fn keep(&self, first: Lsn, section: &Section) -> Result<()> {
        let mut state = writing(&self.state)?;
        state.sections.push((first, section.clone()));
        state.kept += 1;
        self.entries.store(state.entries.len() + state.kept, Ordering::Release);
        Ok(())
    }

    /// The newest version of a row at or before an LSN.
    pub(crate) fn get(&self, id: &str, at: Lsn) -> Result<Option<Entry>> {
        if self.is_empty() {
            return Ok(None);
        }
        Ok(reading(&self.state)?.newest(id, at).cloned())
    }

    /// Whether nothing was inserted.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries() == 0
    }

    /// Versions in it, which are at least as many as rows, and sections that are only kept.
    pub(crate) fn entries(&self) -> usize {
        self.entries.load(Ordering::Acquire)
    }

    /// Appends to `run` the newest versions, at or before an LSN, of up to `rows_max` rows from an
    /// id on, deletions included; whether there may be more.
    pub(crate) fn run(
        &self,
        from: Bound<&str>,
        at: Lsn,
        rows_max: usize,
        run: &mut impl Extend<Entry>,
    ) -> Result<bool> {
        let state = reading(&self.state)?;
        let query = match from {
            Bound::Unbounded => Query::new(&[], Lsn(u64::MAX)),
            Bound::Included(id) => Query::new(id.as_bytes(), Lsn(u64::MAX)),
            // Behind the oldest version there can be.
            Bound::Excluded(id) => Query::new(id.as_bytes(), Lsn(0)),
        };
        let query: &dyn Place = &query;
        let mut last: Option<&Entry> = None;
        let mut rows = 0;
        let entries =
            state.entries.range::<dyn Place, _>((Bound::Included(query), Bound::Unbounded));
        for entry in entries.filter(|entry| entry.lsn <= at) {
            if last.is_some_and(|last| last.is_of(entry)) {
                continue;
            }
            if rows == rows_max {
                return Ok(true);
            }
            run.extend([entry.clone()]);
            last = Some(entry);
            rows += 1;
        }
        Ok(false)
    }

    /// LSN of the last record; 0 where there is none.
    pub(crate) fn through(&self) -> Result<Lsn> {
        let state = reading(&self.state)?;
        let last = state.sections.last();
        Ok(last.map_or(Lsn(0), |(first, section)| Lsn(first.0 + u64::from(section.records) - 1)))
    }

    /// The sections whose first record is at or behind `from` and at or before `until`, in order.
    pub(crate) fn sections(&self, from: Lsn, until: Lsn) -> Result<Vec<(Lsn, Section)>> {
        let state = reading(&self.state)?;
        let start = state.sections.partition_point(|(first, _)| *first < from);
        let inside = state.sections[start..].iter().take_while(|(first, _)| *first <= until);
        Ok(inside.cloned().collect())
    }
}

impl State {
    fn newest(&self, id: &str, at: Lsn) -> Option<&Entry> {
        let query: &dyn Place = &Query::new(id.as_bytes(), at);
        let from = (Bound::Included(query), Bound::Unbounded);
        let entry = self.entries.range::<dyn Place, _>(from).next()?;
        (entry.id_bytes() == id.as_bytes()).then_some(entry)
    }
}

fn check_vector(lsn: Lsn, vector: &[u8], stride: Stride) -> Result<()> {
    if stride.fits(vector.len()) {
        return Ok(());
    }
    let (len, expected) = (vector.len(), stride.bytes);
    Err(Error::corrupt(format!("LSN {lsn} has a vector of {len} bytes, expected {expected}")))
}

fn check_payload(lsn: Lsn, payload: &[u8]) -> Result<()> {
    if payload.len() <= PAYLOAD_BYTES_MAX {
        return Ok(());
    }
    let (len, most) = (payload.len(), PAYLOAD_BYTES_MAX);
    Err(Error::corrupt(format!("LSN {lsn} has a payload of {len} bytes, expected at most {most}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::CollectionId;
    use std::collections::BTreeMap;

    const STRIDE: Stride = Stride { bytes: 4, is_multi: false };

    fn section(changes: &[(&str, Option<&[u8]>)]) -> Section {
        let mut section = Section::new(CollectionId(1));
        for (external_id, payload) in changes {
            section.push(&match payload {
                Some(payload) => Record::Upsert { external_id, vector: &[9; 4], payload },
                None => Record::Delete { external_id },
            });
        }
        section
    }

    fn shown(memtable: &Memtable, from: Bound<&str>, at: Lsn) -> BTreeMap<String, Vec<u8>> {
        let mut run = Vec::new();
        while {
            let last = run.last().map(|entry: &Entry| entry.id().to_owned());
            let from = last.as_deref().map_or(from, Bound::Excluded);
            memtable.run(from, at, 2, &mut run).expect("no panic")
        } {}
        let live = run.iter().filter(|entry| entry.is_live);
        live.map(|entry| (entry.id().to_owned(), entry.payload().to_vec())).collect()
    }

    #[test]
    fn reader_at_an_lsn_sees_what_was_newest_then() {
        let memtable = Memtable::default();
        let ids = ["a", "b", "abcdefgh", "abcdefghi", "\u{1f980}", "c"];
        let mut states = vec![BTreeMap::new()];
        let mut hits = Vec::new();
        for step in 0..40_usize {
            let mut state = states[step].clone();
            let id = ids[step * 7 % ids.len()];
            let payload = [u8::try_from(step).expect("small")];
            let change = (!step.is_multiple_of(3)).then_some(payload.as_slice());
            match change {
                Some(payload) => drop(state.insert(id.to_owned(), payload.to_vec())),
                None => drop(state.remove(id)),
            }
            states.push(state);
            let lsn = Lsn(step as u64 + 1);
            let inserted = memtable.insert(lsn, &section(&[(id, change)]), STRIDE, |id, live| {
                hits.push((live.unwrap_or(false), states[step].contains_key(id)));
                Ok(())
            });
            inserted.expect("well formed");
        }
        assert!(hits.iter().all(|(found, expected)| found == expected) && !hits.is_empty());
        for (lsn, state) in states.iter().enumerate() {
            let at = Lsn(lsn as u64);
            assert_eq!(&shown(&memtable, Bound::Unbounded, at), state, "at {lsn}");
            for id in ids {
                let found = memtable.get(id, at).expect("no panic");
                let found = found.filter(|entry| entry.is_live);
                let found = found.map(|entry| entry.payload().to_vec());
                assert_eq!(found.as_ref(), state.get(id), "{id} at {lsn}");
                let behind: BTreeMap<_, _> = state
                    .clone()
                    .split_off(id)
                    .into_iter()
                    .filter(|(other, _)| other != id)
                    .collect();
                assert_eq!(shown(&memtable, Bound::Excluded(id), at), behind);
            }
        }
    }

    #[test]
    fn vector_of_another_length_is_corrupt() {
        let memtable = Memtable::default();
        let batch = section(&[("a", Some(b""))]);
        let error = memtable
            .insert(Lsn(1), &batch, Stride { bytes: 5, is_multi: false }, |_, _| Ok(()))
            .expect_err("short");
        assert_eq!(error.kind(), crate::ErrorKind::Corrupt);
    }
}
