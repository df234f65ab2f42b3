//! A log file as a wrong reader would see it: what is on the disk, mended or bent where it should
//! not be.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use quiver_store::ids::Lsn;
use quiver_store::limits::SECTOR_SIZE_BYTES;
use quiver_store::vfs::{CallSite, File};
use quiver_store::wal::codecs::{LogCodecs, LogFileIdentity};
use quiver_store::wal::frame::{self, Batch, FrameHeader, FrameKind, FramePlan};
use quiver_store::wal::header::{LOG_HEADER_SIZE_BYTES, LogHeader};

use super::log_frames::{Frames, Stand, behind, without_deletions};

/// Bytes that stand in for a file. It is only read.
#[derive(Debug)]
pub(super) struct LogView(Vec<u8>);

impl LogView {
    /// Gives every frame whose header can be one the checksum of what is there.
    pub(super) fn accepting_torn_frames(
        file: &dyn File,
        site: CallSite,
    ) -> io::Result<Arc<dyn File>> {
        let mut bytes = read(file, site)?;
        if let Ok(header) = LogHeader::decode(bytes.get(..LOG_HEADER_SIZE_BYTES).unwrap_or(&[])) {
            for (range, _) in frames(&bytes) {
                let at = range.start;
                let checksum = frame::checksum(&bytes[range], header.salt, at as u64);
                bytes[at + 4..at + 8].copy_from_slice(&checksum.to_le_bytes());
            }
        }
        Ok(Arc::new(Self(bytes)))
    }

    /// Syncs the file, and shows it with a closing frame behind its last intact one: whoever
    /// reads it takes all of it as durable.
    pub(super) fn synced_and_closed(file: &dyn File, site: CallSite) -> io::Result<Arc<dyn File>> {
        let mut bytes = read(file, site)?;
        file.sync_data(site)?;
        if let Some((header, (at, last))) = end_of_intact(&bytes) {
            let closing = frame_of(FrameKind::Closing, &header, at as u64, last);
            bytes.resize(bytes.len().max(at + closing.len()), 0);
            bytes[at..at + closing.len()].copy_from_slice(&closing);
        }
        Ok(Arc::new(Self(bytes)))
    }

    /// Shows nothing from the first frame on that is not intact.
    pub(super) fn ending_at_first_invalid(
        file: &dyn File,
        site: CallSite,
    ) -> io::Result<Arc<dyn File>> {
        let mut bytes = read(file, site)?;
        if let Some((_, (at, _))) = end_of_intact(&bytes) {
            let len = bytes.len();
            bytes[at.min(len)..].fill(0);
        }
        Ok(Arc::new(Self(bytes)))
    }

    /// Shows a frame behind a torn tail that proves what was torn.
    pub(super) fn refusing_torn_tail(file: &dyn File, site: CallSite) -> io::Result<Arc<dyn File>> {
        let mut bytes = read(file, site)?;
        if let Some((header, (at, last))) = end_of_intact(&bytes)
            && bytes.get(at..).is_some_and(|rest| rest.iter().any(|byte| *byte != 0))
        {
            let place = (at + 1).next_multiple_of(SECTOR_SIZE_BYTES);
            let frame = frame_of(FrameKind::Proof, &header, place as u64, last.next());
            bytes.resize(bytes.len().max(place + frame.len()), 0);
            bytes[place..place + frame.len()].copy_from_slice(&frame);
        }
        Ok(Arc::new(Self(bytes)))
    }

    /// Shows the file without the deletions in it.
    pub(super) fn without_deletions(file: &dyn File, site: CallSite) -> io::Result<Arc<dyn File>> {
        let mut bytes = read(file, site)?;
        if let Ok(header) = LogHeader::decode(bytes.get(..LOG_HEADER_SIZE_BYTES).unwrap_or(&[])) {
            let identity = LogFileIdentity { store: header.store, salt: header.salt };
            for (range, found) in frames(&bytes) {
                let stand = Stand { identity, offset: range.start as u64 };
                let frame = &mut bytes[range];
                if found.is_intact(frame, header.salt, stand.offset) {
                    without_deletions(frame, stand, &found);
                }
            }
        }
        Ok(Arc::new(Self(bytes)))
    }
}

/// All bytes of a file.
pub(super) fn read(file: &dyn File, site: CallSite) -> io::Result<Vec<u8>> {
    let len = usize::try_from(file.len(site)?).expect("simulated files are small");
    let mut bytes = vec![0; len];
    let mut read = 0;
    while read < len {
        match file.read_at(&mut bytes[read..], read as u64, site) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

fn frames(bytes: &[u8]) -> Vec<(Range<usize>, FrameHeader)> {
    Frames::from(bytes, LOG_HEADER_SIZE_BYTES).collect()
}

/// The header of a log, where its intact frames end, and the LSN of the last record before.
fn end_of_intact(bytes: &[u8]) -> Option<(LogHeader, (usize, Lsn))> {
    let header = LogHeader::decode(bytes.get(..LOG_HEADER_SIZE_BYTES)?).ok()?;
    let (mut at, mut last) = (LOG_HEADER_SIZE_BYTES, header.base.previous());
    for (range, found) in frames(bytes) {
        if !found.is_intact(&bytes[range.clone()], header.salt, range.start as u64) {
            break;
        }
        last = found.last();
        at = behind(range.end, &found);
    }
    Some((header, (at, last)))
}

/// A frame without records.
fn frame_of(kind: FrameKind, header: &LogHeader, offset: u64, durable: Lsn) -> Vec<u8> {
    let identity = LogFileIdentity { store: header.store, salt: header.salt };
    let plan = FramePlan { first: durable.next(), durable, kind, ends_group: true };
    let mut bytes = Vec::new();
    frame::encode(&mut bytes, offset, &plan, &Batch::default(), &mut LogCodecs::plain(identity))
        .expect("the plain codec never fails");
    bytes
}

impl File for LogView {
    fn read_at(&self, buf: &mut [u8], offset: u64, _: CallSite) -> io::Result<usize> {
        let from = usize::try_from(offset).map_or(self.0.len(), |at| at.min(self.0.len()));
        let count = buf.len().min(self.0.len() - from);
        buf[..count].copy_from_slice(&self.0[from..from + count]);
        Ok(count)
    }

    fn write_at(&self, _: &[u8], _: u64, _: CallSite) -> io::Result<usize> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn allocate(&self, _: u64, _: CallSite) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn len(&self, _: CallSite) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn sync_data(&self, _: CallSite) -> io::Result<()> {
        Ok(())
    }
}
