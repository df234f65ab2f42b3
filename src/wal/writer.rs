//! Appends groups to the last log file, into space allocated ahead.
//!
//! A group is encoded into one buffer, written with one call and synced with one call. Space for
//! it is allocated before, in doubling steps, so that the sync writes no file metadata, and so
//! that a full disk is noticed while no byte of the group exists.

use crate::cursor::len_u32;
use crate::error::{ErrorKind, Result};
use crate::ids::Lsn;
use crate::keys::Keys;
use crate::limits::{ALLOCATION_ZEROED_BYTES_MAX, SECTOR_SIZE_BYTES};
use crate::options::Options;
use crate::sync::Arc;
use crate::vfs::DiskFile;
use crate::wal::codecs::{LogCodecs, LogFileIdentity};
use crate::wal::frame::{self, Batch, FRAME_HEADER_SIZE_BYTES, FrameKind, FramePlan};
use crate::wal::header::{LOG_HEADER_SIZE_BYTES, LogHeader};

/// Groups below this size are taken for single writes, of which many more will follow.
const SMALL_GROUP_BYTES: usize = 64 * 1024;

/// The log file that takes frames.
#[derive(Debug)]
pub(crate) struct LogWriter {
    file: DiskFile,
    /// Where the next group starts: a multiple of the sector.
    offset: u64,
    /// How far the file is allocated.
    allocated: u64,
    step: u64,
    step_max: u64,
    pub(crate) header: LogHeader,
    codecs: LogCodecs,
    buffer: Vec<u8>,
}

/// Where a group ended up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Appended {
    /// Offset behind the last frame, before its padding.
    pub(crate) end: u64,
}

impl LogWriter {
    /// Starts a file that was just created: space and header, not yet synced.
    pub(crate) fn start(
        file: DiskFile,
        header: LogHeader,
        options: &Options,
        keys: &Arc<Keys>,
    ) -> Result<Self> {
        let identity = LogFileIdentity { store: header.store, salt: header.salt };
        let mut writer = Self {
            file,
            offset: LOG_HEADER_SIZE_BYTES as u64,
            allocated: 0,
            step: options.log_step_bytes_min,
            step_max: options.log_step_bytes_max,
            header,
            codecs: LogCodecs::new(Arc::clone(keys), identity),
            buffer: Vec::new(),
        };
        writer.reserve(0)?;
        writer.file.write_all_at(&header.encode(), 0)?;
        Ok(writer)
    }

    /// Bytes written so far, the header included.
    pub(crate) fn bytes(&self) -> u64 {
        self.offset
    }

    /// Makes room for a group whose first record has LSN `first`, and encodes it. Where there is no room
    /// the file is as it was, but for zeros at its end, and nothing was sealed: what is sealed at an
    /// offset is written there, or the file takes no more.
    pub(crate) fn prepare<'b>(
        &mut self,
        batches: impl ExactSizeIterator<Item = &'b Batch> + Clone,
        first: Lsn,
        durable: Lsn,
    ) -> Result<Appended> {
        let bytes: usize = batches.clone().map(Batch::frame_bytes).sum();
        let end = self.make_room(bytes)?;
        let (count, mut next) = (batches.len(), first);
        for (i, batch) in batches.enumerate() {
            let plan = FramePlan {
                first: next,
                durable,
                kind: FrameKind::Batch,
                ends_group: i + 1 == count,
            };
            let offset = self.offset + self.buffer.len() as u64;
            frame::encode(&mut self.buffer, offset, &plan, batch, &mut self.codecs)?;
            next = Lsn(next.0 + u64::from(batch.records()));
        }
        self.pad();
        Ok(end)
    }

    /// Writes the prepared group. After an error a part of it may be there: the file must take
    /// no more (W3).
    pub(crate) fn append(&mut self) -> Result<()> {
        self.file.write_all_at(&self.buffer, self.offset)?;
        self.offset += self.buffer.len() as u64;
        Ok(())
    }

    /// Makes durable all that was appended. After an error the file must take no more (W3).
    #[track_caller]
    pub(crate) fn sync(&self) -> Result<()> {
        self.file.sync_data()
    }

    /// Prepares a frame without records: a proof, or the closing frame.
    pub(crate) fn prepare_statement(&mut self, kind: FrameKind, durable: Lsn) -> Result<Appended> {
        let plan = FramePlan { first: durable.next(), durable, kind, ends_group: true };
        let end = self.make_room(FRAME_HEADER_SIZE_BYTES)?;
        let batch = Batch::default();
        frame::encode(&mut self.buffer, self.offset, &plan, &batch, &mut self.codecs)?;
        self.pad();
        Ok(end)
    }

    /// Where a group of so many bytes will end, with room for it and its padding.
    fn make_room(&mut self, bytes: usize) -> Result<Appended> {
        self.buffer.clear();
        self.reserve(bytes.next_multiple_of(SECTOR_SIZE_BYTES))?;
        self.buffer.reserve(bytes + SECTOR_SIZE_BYTES);
        Ok(Appended { end: self.offset + bytes as u64 })
    }

    fn pad(&mut self) {
        self.buffer.resize(self.buffer.len().next_multiple_of(SECTOR_SIZE_BYTES), 0);
    }

    /// Allocates ahead so that `len` more bytes fit.
    fn reserve(&mut self, len: usize) -> Result<()> {
        let needed = self.offset + u64::from(len_u32(len));
        if needed <= self.allocated {
            return Ok(());
        }
        // Small groups sync often: they want space that is written already. Large ones would pay
        // for writing everything twice.
        let step = match len {
            0..SMALL_GROUP_BYTES => self.step.min(ALLOCATION_ZEROED_BYTES_MAX),
            _ => self.step,
        };
        let target = needed.max(self.allocated + step).next_multiple_of(SECTOR_SIZE_BYTES as u64);
        let allocated = match self.file.allocate(target) {
            // What is left of the disk, or of the reserve, may do for this group.
            Err(error) if error.kind() == ErrorKind::Full => {
                let least = needed.next_multiple_of(SECTOR_SIZE_BYTES as u64);
                if least == target {
                    return Err(error);
                }
                self.file.allocate(least).map(|()| least)?
            }
            other => other.map(|()| target)?,
        };
        self.allocated = allocated;
        self.step = (self.step * 2).min(self.step_max);
        Ok(())
    }
}
