//! Settings: plain data, checked once at open. Components (disk, clock, keys) are [`crate::Env`].

use crate::error::{Error, Result};
use crate::limits::{FRAME_BYTES_MAX, SECTOR_SIZE_BYTES};

/// The settings of a store. None of them is stored: each open may choose anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The largest batch, in bytes of its frame in the log. Default 16 MiB, at most
    /// [`FRAME_BYTES_MAX`]. A larger one costs memory for as long as it waits.
    pub batch_bytes_max: usize,
    /// The most bytes that one group of waiting batches writes with one sync. Default 4 MiB. A
    /// larger one lets more writers share a sync and makes each of them wait longer; a batch
    /// beyond it is written alone.
    pub group_bytes_max: usize,
    /// The first step by which a log file is allocated ahead, in bytes: a multiple of 512.
    /// Default 64 KiB. Steps double up to `log_step_bytes_max`.
    pub log_step_bytes_min: u64,
    /// The largest step by which a log file is allocated ahead. Default 4 MiB. A larger one makes
    /// fewer syncs write file metadata and wastes more space at the end of a log file.
    pub log_step_bytes_max: u64,
    /// The bytes of log past which a checkpoint runs by itself. Default 64 MiB. A larger one
    /// makes recovery read more and checkpoints rarer.
    pub log_size_bytes_max: u64,
    /// The live log files past which a checkpoint runs by itself. Default 16. Each process that
    /// writes adds one; a larger number makes recovery open more of them.
    pub log_files_max: u64,
    /// How much of a log file recovery reads at a time, in bytes: 512 at least. Default 256 KiB. A
    /// larger one makes fewer calls and takes more memory while the store is opened.
    pub log_window_bytes: u64,
    /// The bytes of rows kept in memory past which a checkpoint runs by itself. Default 32 MiB.
    /// While one runs, new rows take as much again. A larger one makes larger segments, and fewer
    /// of them to merge.
    pub memtable_bytes_max: usize,
    /// The bytes of pages that reads keep. Default 32 MiB; 0 keeps none.
    pub page_cache_bytes: u64,
    /// How much of each column a scan or merge reads at a time, in bytes. Default 256 KiB.
    pub read_ahead_bytes: u64,
    /// What one step of a checkpoint or merge writes, about, in bytes. Default 1 MiB. A larger one
    /// makes [`crate::Store::maintain`] take longer, and a writer that does a step behind its write.
    pub step_bytes: u64,
    /// How many segments of about one size are merged into one: 2 to 16. Default 4. A larger one
    /// rewrites rows less often and makes reads look into more segments.
    pub merge_factor: usize,
    /// Memory for values of filterable fields while a segment is made, in bytes. Default 8 MiB. A
    /// larger one cuts the indexes of large segments into fewer parts, each of which a filter looks into.
    pub index_bytes_max: usize,
    /// The bytes set aside on the disk, so that deletes, drops and the checkpoint that frees space
    /// still work when it is full. Default 1 MiB; 0 for none.
    pub reserve_bytes: u64,
    /// Whether threads of the store's own do background work ahead of the writers, and commit what is
    /// awaited. Default true. They are begun when there is first something to do for them, and need
    /// [`crate::Env::threads`]. Without them, writers do the work behind their writes, in proportion.
    pub background: bool,
    /// How long after the last write the background takes a store for idle, in microseconds: it then
    /// appends a proof frame and gives unused memory back. Default 100,000. A shorter one tells damage
    /// to the last records from a crash sooner, and writes more frames.
    pub idle_us: u64,
    /// Whether a directory without a store becomes one. Default true.
    pub create: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            batch_bytes_max: 16 * 1024 * 1024,
            group_bytes_max: 4 * 1024 * 1024,
            log_step_bytes_min: 64 * 1024,
            log_step_bytes_max: 4 * 1024 * 1024,
            log_size_bytes_max: 64 * 1024 * 1024,
            log_files_max: 16,
            log_window_bytes: 256 * 1024,
            memtable_bytes_max: 32 * 1024 * 1024,
            page_cache_bytes: 32 * 1024 * 1024,
            read_ahead_bytes: 256 * 1024,
            step_bytes: 1024 * 1024,
            merge_factor: 4,
            index_bytes_max: 8 * 1024 * 1024,
            reserve_bytes: 1024 * 1024,
            background: true,
            idle_us: 100_000,
            create: true,
        }
    }
}

impl Options {
    /// Whether the settings make sense together.
    ///
    /// # Errors
    /// `InvalidArgument`, naming the setting, its value and what it may be.
    pub fn validate(&self) -> Result<()> {
        let sector = SECTOR_SIZE_BYTES as u64;
        check("batch_bytes_max", self.batch_bytes_max as u64, 4096, FRAME_BYTES_MAX as u64)?;
        check("group_bytes_max", self.group_bytes_max as u64, 4096, FRAME_BYTES_MAX as u64)?;
        check("log_step_bytes_min", self.log_step_bytes_min, sector, self.log_step_bytes_max)?;
        check("log_step_bytes_max", self.log_step_bytes_max, sector, 1 << 30)?;
        check("log_size_bytes_max", self.log_size_bytes_max, 4096, 1 << 40)?;
        check("log_window_bytes", self.log_window_bytes, sector, 1 << 30)?;
        check("log_files_max", self.log_files_max, 1, 1024)?;
        check("memtable_bytes_max", self.memtable_bytes_max as u64, 1024, 1 << 40)?;
        check("page_cache_bytes", self.page_cache_bytes, 0, 1 << 40)?;
        check("read_ahead_bytes", self.read_ahead_bytes, 1, 1 << 30)?;
        check("step_bytes", self.step_bytes, 1, 1 << 30)?;
        check("merge_factor", self.merge_factor as u64, 2, 16)?;
        check("index_bytes_max", self.index_bytes_max as u64, 1, 1 << 30)?;
        check("idle_us", self.idle_us, 1000, 3_600_000_000)?;
        check("reserve_bytes", self.reserve_bytes, 0, 1 << 40)?;
        for (name, value) in [
            ("log_step_bytes_min", self.log_step_bytes_min),
            ("log_step_bytes_max", self.log_step_bytes_max),
        ] {
            if !value.is_multiple_of(sector) {
                return Err(Error::invalid(format!(
                    "{name} is {value}, expected a multiple of 512"
                )));
            }
        }
        Ok(())
    }
}

fn check(name: &str, value: u64, low: u64, high: u64) -> Result<()> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(Error::invalid(format!("{name} is {value}, expected {low} to {high}")))
}
