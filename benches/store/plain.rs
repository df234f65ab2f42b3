//! The raw contenders: plain files, written and read with plain calls.

use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Failure;
use crate::disk::drop_cached_file;

/// What a plain scan reads at a time.
const RUN_BYTES: usize = 1024 * 1024;

/// A plain file.
#[derive(Debug)]
pub(crate) struct Plain {
    file: File,
    end: AtomicU64,
}

impl Plain {
    /// A new file, filled with so many bytes and durable.
    pub(crate) fn new(path: &Path, fill_bytes: u64) -> io::Result<Self> {
        Ok(Self { file: filled(path, fill_bytes)?, end: AtomicU64::new(0) })
    }

    /// Appends bytes and makes them durable.
    pub(crate) fn append(&self, bytes: &[u8]) -> Result<(), Failure> {
        let at = self.end.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.file.write_all_at(bytes, at)?;
        self.file.sync_data()?;
        Ok(())
    }

    /// Starts again at the front, over what was written.
    pub(crate) fn rewind(&self) {
        self.end.store(0, Ordering::Relaxed);
    }

    /// Drops the file from the system's page cache.
    pub(crate) fn drop_cached(&self) -> Result<(), Failure> {
        Ok(drop_cached_file(&self.file)?)
    }

    /// Reads one row's value.
    pub(crate) fn read(&self, into: &mut [u8], row: u64) -> Result<(), Failure> {
        self.file.read_exact_at(into, row * into.len() as u64)?;
        black_box(&into);
        Ok(())
    }

    /// Reads so many bytes from the front, in runs, each of which is shown to `see`.
    pub(crate) fn scan(&self, bytes: u64, mut see: impl FnMut(&[u8])) -> Result<(), Failure> {
        let mut run = vec![0; RUN_BYTES];
        let mut at = 0;
        while at < bytes {
            let len = usize::try_from(bytes - at)?.min(RUN_BYTES);
            self.file.read_exact_at(&mut run[..len], at)?;
            see(black_box(&run[..len]));
            at += len as u64;
        }
        Ok(())
    }
}

/// A new file, filled with so many bytes and durable.
pub(crate) fn filled(path: &Path, bytes: u64) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
    let run = [b'x'; 64 * 1024];
    let mut at = 0;
    while at < bytes {
        file.write_all_at(&run, at)?;
        at += run.len() as u64;
    }
    file.sync_all()?;
    Ok(file)
}

/// Reads a file front to back, in runs; how many bytes.
pub(crate) fn read_file(file: &File) -> io::Result<u64> {
    let mut run = vec![0; RUN_BYTES];
    let mut at = 0;
    loop {
        let count = file.read_at(&mut run, at)?;
        black_box(&run[..count]);
        at += count as u64;
        if count == 0 {
            return Ok(at);
        }
    }
}

/// Reads every byte: the least that anybody does who wants a row for something.
pub(crate) fn touch(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let sum = words.iter().fold(0_u64, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word)));
    rest.iter().fold(sum, |sum, byte| sum.wrapping_add(u64::from(*byte)))
}
