//! `move_tail`: ends the last log file at its last durable record and goes on in a new one.
//!
//! One routine for the first write of a process, a failed append, a failed sync, recovery and the
//! log switch of a checkpoint. They differ only in the batches above the last durable LSN that
//! have to be written again; a log switch has none.

use crate::error::Result;
use crate::file_names::FileName;
use crate::ids::Lsn;
use crate::manifest::{LogEnd, LogEntry, Manifest};
use crate::store::on_disk::{LIMBO, OnDisk, Tools};
use crate::store::publish::publish;
use crate::store::reclaim::discard;
use crate::wal::frame::Batch;
use crate::wal::header::{LOG_HEADER_SIZE_BYTES, LogHeader};
use crate::wal::writer::LogWriter;

/// A log file that is written and synced, and that nothing names yet.
#[derive(Debug)]
pub(super) struct NewLog {
    writer: LogWriter,
    end: LogEnd,
}

/// Writes the batches, with the LSNs above the last durable one, into a new log file, and
/// publishes it.
///
/// # Errors
/// `Latched` if the publish failed from its rename on. With any other kind nothing of the batches
/// is in a file that a manifest names, but what a failed append left in the last listed one.
pub(super) fn move_tail(tools: &Tools<'_>, on_disk: &mut OnDisk, tail: &[&Batch]) -> Result<()> {
    let log = start_log(tools, on_disk, tail)?;
    let (entry, old_end) = (log.entry(), on_disk.log_end);
    let published = publish(tools, on_disk, |manifest| {
        end_last_log(manifest, old_end);
        manifest.logs.push(entry);
    });
    settle_log(tools, on_disk, log, published)
}

/// Takes a published log into use, or removes one that was not published.
pub(super) fn settle_log(
    tools: &Tools<'_>,
    on_disk: &mut OnDisk,
    log: NewLog,
    published: Result<()>,
) -> Result<()> {
    if let Err(error) = published {
        if on_disk.latched.is_none() {
            discard(tools, on_disk, [log.name()]);
        }
        return Err(error);
    }
    on_disk.log_end = log.end;
    on_disk.log = Some(log.writer);
    // The manifest ends the old file below whatever was in limbo there.
    on_disk.in_limbo = false;
    for orphan in on_disk.key_orphans.iter_mut().filter(|orphan| orphan.lsn == LIMBO) {
        orphan.lsn = Lsn(0);
    }
    // The manifest states the tail as durable.
    on_disk.unproved = false;
    Ok(())
}

/// Creates a log file that starts above the last durable LSN, writes the batches and syncs it.
pub(super) fn start_log(
    tools: &Tools<'_>,
    on_disk: &mut OnDisk,
    tail: &[&Batch],
) -> Result<NewLog> {
    let file_id = on_disk.take_file();
    let header = LogHeader {
        store: on_disk.manifest.store,
        file: file_id,
        salt: tools.salt()?,
        base: on_disk.log_end.lsn.next(),
    };
    let name = FileName::Log(file_id, header.salt.into()).text();
    let made = write_log(tools, &name, header, tail);
    if made.is_err() {
        discard(tools, on_disk, [name]);
    }
    made
}

fn write_log(tools: &Tools<'_>, name: &str, header: LogHeader, tail: &[&Batch]) -> Result<NewLog> {
    let file = tools.disk.create_new(name)?;
    let mut writer = LogWriter::start(file, header, tools.options, tools.keys)?;
    let mut end = LogEnd { lsn: header.base.previous(), offset: LOG_HEADER_SIZE_BYTES as u64 };
    if !tail.is_empty() {
        let durable = end.lsn;
        let batches = tail.iter().copied();
        end.offset = writer.prepare(batches, header.base, durable)?.end;
        end.lsn = Lsn(durable.0 + records(tail));
        writer.append()?;
    }
    writer.sync()?;
    Ok(NewLog { writer, end })
}

impl NewLog {
    fn name(&self) -> String {
        let header = &self.writer.header;
        FileName::Log(header.file, header.salt.into()).text()
    }

    /// What a manifest says of it.
    pub(super) fn entry(&self) -> LogEntry {
        let header = &self.writer.header;
        LogEntry {
            file: header.file,
            salt: header.salt,
            base: header.base,
            durable: self.end.lsn,
            end: None,
        }
    }
}

/// Gives the open-ended log its end, or drops it where it holds no record. A log that has its end
/// keeps it: `end` speaks of the open-ended one.
pub(super) fn end_last_log(manifest: &mut Manifest, end: LogEnd) {
    match manifest.logs.last_mut() {
        Some(log) if log.end.is_some() => {}
        Some(log) if log.base > end.lsn => drop(manifest.logs.pop()),
        Some(log) => log.end = Some(end),
        None => {}
    }
}

/// How many LSNs batches take.
pub(super) fn records(batches: &[&Batch]) -> u64 {
    batches.iter().map(|batch| u64::from(batch.records())).sum()
}
