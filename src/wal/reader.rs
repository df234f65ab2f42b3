//! Reads log files back: closed ones to their listed end, the last one to where it stops.
//!
//! The decision at the first frame that is not intact, where LSN n was expected (W5):
//!
//! | file | later intact frame states durable LSN >= n | outcome |
//! |---|---|---|
//! | closed by the manifest | - | `Corrupt` |
//! | the last | yes | `Corrupt`: a proved record is damaged |
//! | the last | no | torn tail: dropped, with all after it |
//!
//! What the manifest and the frames before it state is held against n by the caller, who knows
//! all of it. A read that fails is an error of the disk and never ends a log.

use crate::cursor::index;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{FileId, Lsn, Salt, StoreId};
use crate::keys::Keys;
use crate::limits::SECTOR_SIZE_BYTES;
use crate::sync::Arc;
use crate::vfs::DiskFile;
use crate::wal::codecs::{LogCodecs, LogFileIdentity};
use crate::wal::frame::{self, Batch, FRAME_HEADER_SIZE_BYTES, FrameHeader, FrameKind};
use crate::wal::header::{LOG_HEADER_SIZE_BYTES, LogHeader};

/// A batch read back, and where it stands.
#[derive(Debug)]
pub(crate) struct FrameRead {
    pub(crate) first: Lsn,
    pub(crate) last: Lsn,
    /// What the frame states as durable.
    pub(crate) durable: Lsn,
    /// Offset behind the frame.
    pub(crate) end: u64,
    pub(crate) batch: Batch,
}

/// What the last log file turned out to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastLog {
    /// LSN of its last record; of the one before its base where there is none.
    pub(crate) last: Lsn,
    /// The highest durable LSN that any intact frame before its end states.
    pub(crate) durable: Lsn,
    /// Whether it ends in a closing frame.
    pub(crate) closed: bool,
    /// Whether something that is not zero was dropped behind its end.
    pub(crate) torn: bool,
}

/// What the manifest says of a log file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    pub(crate) store: StoreId,
    pub(crate) file: FileId,
    pub(crate) salt: Salt,
    pub(crate) base: Lsn,
}

/// One log file being read.
#[derive(Debug)]
pub(crate) struct LogReader {
    file: DiskFile,
    len: u64,
    window: Vec<u8>,
    window_at: u64,
    /// How much is read at a time.
    window_bytes: u64,
    base: Lsn,
    codecs: LogCodecs,
}

impl LogReader {
    /// Reads the header and holds it against the manifest.
    ///
    /// # Errors
    /// `Corrupt` where it differs; `Io` where it cannot be read.
    pub(crate) fn start(
        file: DiskFile,
        expected: &Expected,
        window_bytes: u64,
        keys: &Arc<Keys>,
    ) -> Result<Self> {
        let identity = LogFileIdentity { store: expected.store, salt: expected.salt };
        let len = file.len_bytes()?;
        let base = expected.base;
        let (window, window_at) = (Vec::new(), 0);
        let codecs = LogCodecs::new(Arc::clone(keys), identity);
        let mut reader = Self { file, len, window, window_at, window_bytes, base, codecs };
        if len < LOG_HEADER_SIZE_BYTES as u64 {
            return Err(reader.corrupt(0, &format!("{len} bytes long, shorter than its header")));
        }
        let header = LogHeader::decode(reader.bytes(0, LOG_HEADER_SIZE_BYTES)?)
            .map_err(|error| reader.named(error))?;
        let Expected { store, file, salt, base } = *expected;
        if header != (LogHeader { store, file, salt, base }) {
            return Err(reader.corrupt(0, "header is that of another log file"));
        }
        Ok(reader)
    }

    /// Reads a file that the manifest closed: every frame up to LSN `end`, which must end at
    /// offset `end_offset`. Frames behind are void.
    ///
    /// # Errors
    /// `Corrupt` at the first frame that is not intact; errors of `visit`.
    pub(crate) fn read_closed(
        &mut self,
        end: Lsn,
        end_offset: u64,
        mut visit: impl FnMut(FrameRead) -> Result<()>,
    ) -> Result<()> {
        let mut at = LOG_HEADER_SIZE_BYTES as u64;
        let mut next = self.base;
        while next <= end {
            let Some(header) = self.intact(at)?.filter(|header| header.first == next) else {
                return Err(self.corrupt(at, &format!("no intact frame, expected LSN {next}")));
            };
            next = header.last().next();
            if header.kind == FrameKind::Batch {
                let read = self.read(at, &header)?;
                let frame_end = read.end;
                if next > end && (header.last() != end || frame_end != end_offset) {
                    return Err(self.corrupt(
                        at,
                        &format!(
                            "frame ends LSN {} at {frame_end}, expected LSN {end} at {end_offset}",
                            header.last()
                        ),
                    ));
                }
                visit(read).map_err(|error| self.said_at(at, error))?;
            } else {
                self.check_seal(at, &header)?;
            }
            at = behind(at, &header);
        }
        Ok(())
    }

    /// Reads the last file to where it stops.
    ///
    /// # Errors
    /// `Corrupt` where a later frame proves what is not intact (W5); errors of `visit`.
    pub(crate) fn read_last(
        &mut self,
        mut visit: impl FnMut(FrameRead) -> Result<()>,
    ) -> Result<LastLog> {
        let mut at = LOG_HEADER_SIZE_BYTES as u64;
        let mut log = LastLog {
            last: self.base.previous(),
            durable: self.base.previous(),
            closed: false,
            torn: false,
        };
        while let Some(header) = self.intact(at)? {
            if header.first != log.last.next() {
                let (found, expected) = (header.first, log.last.next());
                return Err(self.corrupt(at, &format!("LSN {found}, expected {expected}")));
            }
            log.durable = log.durable.max(header.durable);
            log.last = header.last();
            match header.kind {
                FrameKind::Batch => {
                    let read = self.read(at, &header)?;
                    visit(read).map_err(|error| self.said_at(at, error))?;
                }
                FrameKind::Proof => self.check_seal(at, &header)?,
                FrameKind::Closing => {
                    self.check_seal(at, &header)?;
                    log.closed = true;
                    return Ok(log);
                }
            }
            at = behind(at, &header);
        }
        log.torn = self.refuse_proved_damage(at, log.last.next())?;
        Ok(log)
    }

    /// Looks behind the first frame that is not intact for one that proves LSN `expected`;
    /// whether anything but zeros is there is returned.
    fn refuse_proved_damage(&mut self, stopped: u64, expected: Lsn) -> Result<bool> {
        let sector = SECTOR_SIZE_BYTES as u64;
        let mut torn = false;
        let mut at = stopped;
        while at < self.len {
            let rest = index((self.len - at).min(FRAME_HEADER_SIZE_BYTES as u64));
            torn |= self.bytes(at, rest)?.iter().any(|&byte| byte != 0);
            // Groups start on fresh sectors, and each of a group's frames states the same.
            at = (at + 1).next_multiple_of(sector);
            if let Some(header) = self.intact(at)?
                && header.durable >= expected
            {
                let proof = header.durable;
                return Err(self.corrupt(stopped, &format!(
                    "no intact frame for LSN {expected}, but the frame at {at} proves LSN {proof}"
                )));
            }
        }
        Ok(torn)
    }

    fn read(&mut self, at: u64, header: &FrameHeader) -> Result<FrameRead> {
        self.bytes(at, header.len)?;
        let Self { window, window_at, codecs, .. } = self;
        let frame = &window[index(at - *window_at)..][..header.len];
        let batch = frame::decode(frame, at, codecs).map_err(|error| self.named(error))?;
        let (first, last, durable) = (header.first, header.last(), header.durable);
        Ok(FrameRead { first, last, durable, end: at + header.len as u64, batch })
    }

    /// Refuses a frame without records that someone without the key made.
    fn check_seal(&mut self, at: u64, header: &FrameHeader) -> Result<()> {
        self.bytes(at, header.len)?;
        let Self { window, window_at, codecs, .. } = self;
        let frame = &window[index(at - *window_at)..][..header.len];
        frame::check_seal(frame, at, codecs).map_err(|error| self.named(error))
    }

    /// The header of the frame at an offset, if the whole frame is intact.
    fn intact(&mut self, at: u64) -> Result<Option<FrameHeader>> {
        let left = self.len.saturating_sub(at);
        if left < FRAME_HEADER_SIZE_BYTES as u64 {
            return Ok(None);
        }
        let salt = self.codecs.log().salt;
        let bytes = self.bytes(at, FRAME_HEADER_SIZE_BYTES)?;
        let Some(header) = FrameHeader::plausible(bytes) else { return Ok(None) };
        if header.len as u64 > left || !header.stands_at(bytes, salt, at) {
            return Ok(None);
        }
        Ok(header.is_intact(self.bytes(at, header.len)?, salt, at).then_some(header))
    }

    /// Bytes of the file, read ahead in windows. The caller has held them against its length.
    fn bytes(&mut self, at: u64, len: usize) -> Result<&[u8]> {
        let end = at + len as u64;
        if at < self.window_at || end > self.window_at + self.window.len() as u64 {
            let ahead = self.window_bytes.max(len as u64).min(self.len - at);
            self.window.resize(index(ahead), 0);
            self.window_at = at;
            self.file.read_exact_at(&mut self.window, at)?;
        }
        Ok(&self.window[index(at - self.window_at)..][..len])
    }

    fn corrupt(&self, at: u64, what: &str) -> Error {
        Error::corrupt(format!("{} at {at}: {what}", self.file.path().display()))
    }

    /// What is wrong with the records of a frame, where that is said of the bytes; an error of another
    /// kind is of something else.
    fn said_at(&self, at: u64, error: Error) -> Error {
        match error.kind() {
            kind @ (ErrorKind::Corrupt | ErrorKind::Unsupported) => {
                error.reported_as(kind, &format!("{} at {at}", self.file.path().display()))
            }
            _ => error,
        }
    }

    fn named(&self, error: Error) -> Error {
        let kind = error.kind();
        error.reported_as(kind, &self.file.path().display().to_string())
    }
}

/// Where the next frame starts.
fn behind(at: u64, header: &FrameHeader) -> u64 {
    let end = at + header.len as u64;
    if header.ends_group { end.next_multiple_of(SECTOR_SIZE_BYTES as u64) } else { end }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;
    use crate::vfs::Disk;
    use crate::vfs::memory::MemoryVfs;
    use crate::wal::frame::{FramePlan, Section, encode};

    #[test]
    fn what_is_wrong_with_records_is_said_with_file_and_offset() {
        let (store, salt, file, base) = (StoreId([1; 16]), Salt([2; 16]), FileId(7), Lsn(1));
        let keys = Arc::new(Keys::plain());
        let mut codecs = LogCodecs::new(Arc::clone(&keys), LogFileIdentity { store, salt });
        let mut section = Section::new(crate::ids::CollectionId(0));
        section.push(&Record::DropCollection { id: crate::ids::CollectionId(9), shreds: false });
        let plan =
            FramePlan { first: base, durable: Lsn(0), kind: FrameKind::Batch, ends_group: true };
        let mut bytes = LogHeader { store, file, salt, base }.encode().to_vec();
        let batch = Batch { sections: vec![section] };
        let at = bytes.len() as u64;
        encode(&mut bytes, at, &plan, &batch, &mut codecs).expect("plain");
        let end = bytes.len() as u64;

        let disk = Disk::new(Arc::new(MemoryVfs::new()), "/".as_ref());
        let log = disk.create_new("log").expect("a new disk");
        log.write_all_at(&bytes, 0).expect("memory takes all");
        let expected = Expected { store, file, salt, base };
        let mut reader = LogReader::start(log, &expected, 512, &keys).expect("just written");
        let refused = |_: FrameRead| Err(Error::corrupt("no such collection"));
        let said = "/log at 512: no such collection";
        assert_eq!(reader.read_closed(base, end, refused).expect_err("refused").to_string(), said);
        assert_eq!(reader.read_last(refused).expect_err("refused").to_string(), said);
        // A key that is missing is not the file's fault.
        let missing = |_: FrameRead| Err(Error::new(ErrorKind::KeyUnavailable, "no key"));
        assert_eq!(reader.read_last(missing).expect_err("missing").to_string(), "no key");
    }
}
