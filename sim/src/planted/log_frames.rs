//! The frames of a log, found in its bytes, and written again otherwise.

use std::ops::Range;

use quiver_store::ids::Salt;
use quiver_store::limits::SECTOR_SIZE_BYTES;
use quiver_store::manifest::LogEnd;
use quiver_store::wal::codecs::{LogCodecs, LogFileIdentity};
use quiver_store::wal::frame::{self, Batch, FrameHeader, FrameKind, FramePlan};
use quiver_store::wal::header::LOG_HEADER_SIZE_BYTES;
use quiver_store::{CollectionId, Lsn};

/// A batch in a log.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchFacts {
    /// LSN of its first operation.
    pub(super) first: Lsn,
    /// How many operations.
    pub(super) records: u32,
    /// Where its frame ends.
    pub(super) offset: u64,
}

/// What a log holds.
#[derive(Clone, Debug, Default)]
pub(super) struct LogFacts {
    /// Its batches, in order.
    pub(super) batches: Vec<BatchFacts>,
}

impl BatchFacts {
    pub(super) fn last(&self) -> Lsn {
        Lsn(self.first.0 + u64::from(self.records)).previous()
    }

    pub(super) fn end(&self) -> LogEnd {
        LogEnd { lsn: self.last(), offset: self.offset }
    }
}

/// Frames that stand one behind the other, by their headers only.
pub(super) struct Frames<'a> {
    bytes: &'a [u8],
    next: usize,
}

impl<'a> Frames<'a> {
    pub(super) fn from(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, next: at }
    }
}

impl Iterator for Frames<'_> {
    type Item = (Range<usize>, FrameHeader);

    fn next(&mut self) -> Option<Self::Item> {
        let found = FrameHeader::plausible(self.bytes.get(self.next..)?)?;
        let end = self.next.checked_add(found.len).filter(|end| *end <= self.bytes.len())?;
        let range = self.next..end;
        self.next = behind(end, &found);
        Some((range, found))
    }
}

/// Where the next frame starts behind one that ends here.
pub(super) fn behind(end: usize, found: &FrameHeader) -> usize {
    if found.ends_group { end.next_multiple_of(SECTOR_SIZE_BYTES) } else { end }
}

impl LogFacts {
    /// The intact frames of a whole file.
    pub(super) fn of(bytes: &[u8], salt: Salt) -> Self {
        let is_intact = |(range, found): &(Range<usize>, FrameHeader)| {
            found.is_intact(&bytes[range.clone()], salt, range.start as u64)
        };
        let mut facts = Self::default();
        facts.note(Frames::from(bytes, LOG_HEADER_SIZE_BYTES).take_while(is_intact), 0);
        facts
    }

    /// Takes in a group that stands at `offset` of the file.
    pub(super) fn take_in(&mut self, group: &[u8], offset: u64) {
        self.note(Frames::from(group, 0), offset);
    }

    fn note(&mut self, frames: impl Iterator<Item = (Range<usize>, FrameHeader)>, offset: u64) {
        let batches = frames.filter(|(_, found)| found.kind == FrameKind::Batch);
        self.batches.extend(batches.map(|(range, found)| BatchFacts {
            first: found.first,
            records: found.records,
            offset: offset + range.end as u64,
        }));
    }
}

/// A log file, and where in it a piece of it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stand {
    pub(super) identity: LogFileIdentity,
    pub(super) offset: u64,
}

impl Stand {
    fn plus(self, bytes: usize) -> Self {
        Self { offset: self.offset + bytes as u64, ..self }
    }

    fn decode(self, frame: &[u8]) -> Option<Batch> {
        frame::decode(frame, self.offset, &mut LogCodecs::plain(self.identity)).ok()
    }

    fn encode(self, out: &mut Vec<u8>, plan: &FramePlan, batch: &Batch) {
        frame::encode(out, self.offset, plan, batch, &mut LogCodecs::plain(self.identity))
            .expect("the plain codec never fails");
    }
}

fn plan_of(found: &FrameHeader) -> FramePlan {
    let FrameHeader { first, durable, kind, ends_group, .. } = *found;
    FramePlan { first, durable, kind, ends_group }
}

/// A group in which each frame states those before it as durable.
pub(super) fn proving_itself(group: &[u8], stand: Stand) -> Vec<u8> {
    let mut out = group.to_vec();
    for (range, found) in Frames::from(group, 0) {
        let place = stand.plus(range.start);
        if let (FrameKind::Batch, Some(batch)) = (found.kind, place.decode(&group[range.clone()])) {
            let plan = FramePlan { durable: found.first.previous(), ..plan_of(&found) };
            let mut frame = Vec::new();
            place.encode(&mut frame, &plan, &batch);
            out[range].copy_from_slice(&frame);
        }
    }
    out
}

/// A group in other frames.
pub(super) struct Reframed {
    pub(super) bytes: Vec<u8>,
    /// By the offset at which each frame ended, where it ends now.
    pub(super) ends: Vec<(u64, u64)>,
}

/// A group with a frame for each collection that a batch touches, where there is room for it in
/// the padding.
pub(super) fn one_frame_each(group: &[u8], stand: Stand) -> Option<Reframed> {
    let (mut out, mut ends) = (Vec::new(), Vec::new());
    for (range, found) in Frames::from(group, 0) {
        let batch = stand.plus(range.start).decode(&group[range.clone()])?;
        let count = batch.sections.len();
        let mut first = found.first;
        for (section, i) in batch.sections.into_iter().zip(1..) {
            let ends_group = found.ends_group && i == count;
            let plan = FramePlan { first, ends_group, ..plan_of(&found) };
            first = Lsn(first.0 + u64::from(section.records));
            let place = stand.plus(out.len());
            place.encode(&mut out, &plan, &Batch { sections: vec![section] });
        }
        ends.push((stand.offset + range.end as u64, stand.offset + out.len() as u64));
    }
    if out.len() > group.len() || out.is_empty() {
        return None;
    }
    out.resize(group.len(), 0);
    Some(Reframed { bytes: out, ends })
}

/// The collection that a group drops, if it drops one.
pub(super) fn dropped_by(group: &[u8], stand: Stand) -> Vec<CollectionId> {
    let mut dropped = Vec::new();
    for (range, found) in Frames::from(group, 0) {
        if found.kind != FrameKind::Batch {
            continue;
        }
        let batch = stand.plus(range.start).decode(&group[range]);
        for section in batch.iter().flat_map(|batch| &batch.sections) {
            // A record of the catalog: its kind, 2 for a drop, and the collection's id.
            if let ([2, id @ ..], CollectionId(0)) = (&section.bytes[..], section.collection)
                && let Some(id) = id.first_chunk::<8>()
            {
                dropped.push(CollectionId(u64::from_le_bytes(*id)));
            }
        }
    }
    dropped
}

/// Makes every deletion of a frame one of another id of the same length.
pub(super) fn without_deletions(frame: &mut [u8], stand: Stand, found: &FrameHeader) {
    let Some(mut batch) = stand.decode(frame) else { return };
    for section in &mut batch.sections {
        // Records of rows: those that change a schema stand in sections of their own.
        if matches!(section.bytes.first(), Some(3 | 4)) {
            let mut bytes = section.bytes.to_vec();
            misdirect_deletions(&mut bytes);
            section.bytes = bytes.into();
        }
    }
    let mut out = Vec::new();
    stand.encode(&mut out, &plan_of(found), &batch);
    frame.copy_from_slice(&out);
}

/// Walks over records of rows: kind 3 with three lengths, or kind 4 with one.
fn misdirect_deletions(bytes: &mut [u8]) {
    let mut at = 0;
    while at + 3 <= bytes.len() {
        let id_len = usize::from(u16::from_le_bytes([bytes[at + 1], bytes[at + 2]]));
        if bytes[at] == 3 {
            let word =
                |from: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| bytes[from + i])) as usize;
            at += 11 + id_len + word(at + 3) + word(at + 7);
            continue;
        }
        let id = &mut bytes[at + 3..][..id_len];
        // Characters of one byte stay such.
        if let Some(byte) = id.iter_mut().rev().find(|byte| byte.is_ascii()) {
            *byte = if *byte == b'!' { b'?' } else { b'!' };
        }
        at += 3 + id_len;
    }
}
