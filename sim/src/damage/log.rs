//! What an undamaged log proves, and what damage to it may cost: the table of D7.
//!
//! | the first frame that is damaged, of LSN n, is | legal |
//! |---|---|
//! | in a file that the manifest ends, before that end | `Corrupt` |
//! | in the last one, and the manifest states LSN n or more as durable | `Corrupt` |
//! | the same, and a later undamaged frame does | `Corrupt` |
//! | the same, and the undamaged closing frame does | `Corrupt` |
//! | in the last one otherwise | the state at n - 1, which is a torn tail |
//!
//! - G1. What is proved is told from the undamaged bytes: a frame counts for as long as none of its
//!   bytes has changed.

use std::ops::Range;
use std::path::PathBuf;

use super::bytes::{crc32c, long, word};

const SECTOR: usize = 512;
const FRAME_HEADER: usize = 56;
const CLOSING: u8 = 3;

/// A frame of an undamaged log.
#[derive(Clone, Debug)]
struct Frame {
    range: Range<usize>,
    first: u64,
    last: u64,
    durable: u64,
    closes: bool,
}

/// An undamaged log file.
#[derive(Clone, Debug)]
pub(super) struct Log {
    pub(super) path: PathBuf,
    base: u64,
    /// Where it ends, if the manifest says so.
    end: Option<u64>,
    frames: Vec<Frame>,
    header: Vec<u8>,
    bytes: Vec<u8>,
}

/// What damage to logs may lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing is missing.
    Whole,
    /// The store must be refused: by which row, and the LSN before the damage.
    Refused(&'static str, u64),
    /// The state at this LSN.
    Torn(u64),
}

/// The rows of the table that end in `Corrupt`.
pub(super) const ROWS: [&str; 6] = [
    "a log is missing",
    "the header of a log",
    "a frame of an ended log",
    "proved by the manifest",
    "proved by a later frame",
    "proved by a closing frame",
];

impl Log {
    /// Reads an undamaged log to where its frames end.
    pub(super) fn read(
        path: PathBuf,
        bytes: &[u8],
        salt: &[u8],
        base: u64,
        end: Option<u64>,
    ) -> Self {
        let mut log = Self {
            path,
            base,
            end,
            frames: Vec::new(),
            header: bytes[..SECTOR.min(bytes.len())].to_vec(),
            bytes: bytes.to_vec(),
        };
        let (mut at, mut next) = (SECTOR, base);
        while let Some(frame) = frame_at(bytes, at, salt).filter(|frame| frame.first == next) {
            next = frame.last + 1;
            let behind = frame.range.end;
            at = if bytes[at + 29] & 1 == 1 { behind.next_multiple_of(SECTOR) } else { behind };
            let closes = frame.closes;
            log.frames.push(frame);
            if closes || end.is_some_and(|end| next > end) {
                break;
            }
        }
        log
    }

    /// The last LSN in it.
    pub(super) fn last(&self) -> u64 {
        let last = self.frames.last().map_or(self.base.saturating_sub(1), |frame| frame.last);
        self.end.unwrap_or(last)
    }

    /// Whether every record of it is below one that is sealed already.
    fn is_whole(&self, range: &Range<usize>, now: &[u8]) -> bool {
        now.get(range.clone()).is_some_and(|now| *now == self.bytes[range.clone()])
    }

    fn verdict(&self, now: Option<&[u8]>, proved: u64) -> Verdict {
        let before = self.base.saturating_sub(1);
        let Some(now) = now else { return Verdict::Refused(ROWS[0], before) };
        if now.get(..SECTOR) != Some(&self.header[..]) {
            return Verdict::Refused(ROWS[1], before);
        }
        let damaged = self.frames.iter().position(|frame| !self.is_whole(&frame.range, now));
        let Some(place) = damaged else { return Verdict::Whole };
        let lost = self.frames[place].first;
        if self.end.is_some() {
            return Verdict::Refused(ROWS[2], lost - 1);
        }
        if proved >= lost {
            return Verdict::Refused(ROWS[3], lost - 1);
        }
        let proves = |frame: &&Frame| frame.durable >= lost && self.is_whole(&frame.range, now);
        match self.frames[place..].iter().find(proves) {
            Some(frame) if frame.closes => Verdict::Refused(ROWS[5], lost - 1),
            Some(_) => Verdict::Refused(ROWS[4], lost - 1),
            None => Verdict::Torn(lost - 1),
        }
    }
}

/// What damage to several logs, oldest first, leads to; `now` gives the bytes that they have.
pub(super) fn verdict(
    logs: &[Log],
    proved: u64,
    now: impl Fn(&PathBuf) -> Option<Vec<u8>>,
) -> Verdict {
    let of = |log: &Log| log.verdict(now(&log.path).as_deref(), proved);
    logs.iter().map(of).find(|verdict| *verdict != Verdict::Whole).unwrap_or(Verdict::Whole)
}

fn frame_at(bytes: &[u8], at: usize, salt: &[u8]) -> Option<Frame> {
    let header = bytes.get(at..at + FRAME_HEADER)?;
    let len = word(header, 0);
    let frame = bytes.get(at..at.checked_add(len)?).filter(|_| len >= FRAME_HEADER)?;
    let place = (at as u64).to_le_bytes();
    let whole = crc32c(&[salt, &place, &frame[..4], &frame[8..]]);
    if whole as usize != word(header, 4) {
        return None;
    }
    let (first, records) = (long(header, 8), word(header, 24) as u64);
    Some(Frame {
        range: at..at + len,
        first,
        last: (first + records).saturating_sub(1),
        durable: long(header, 16),
        closes: header[28] == CLOSING,
    })
}
