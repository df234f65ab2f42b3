//! `quiver backup`, `restore` and `salvage`: from one directory into another.

use std::fmt::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;

use quiver_store::{
    BackupKeys, BackupProgress, BackupReport, Loss, Options, SalvageProgress, SalvageReport, Store,
};
use serde_json::json;

use crate::keys::{Opener, ring};
use crate::output::{Failure, Output, Unit, bar, bytes};
use crate::stop;

/// How many losses are told, those of one page as one.
const LOSSES_SHOWN: usize = 20;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
FROM is only read; a store that is open for writing elsewhere answers exit code 4 (that program can call \
`Store::backup_to` itself). TO must be missing or empty, and is never written over.

Example: quiver backup /var/lib/points /mnt/backup/points")]
pub(crate) struct Arguments {
    #[command(flatten)]
    of: FromTo,
}

/// What to copy where.
#[derive(Debug, clap::Args)]
pub(crate) struct FromTo {
    /// The directory to read.
    from: PathBuf,
    /// The directory to make.
    to: PathBuf,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
FROM is only read; a store that is open for writing elsewhere answers exit code 4 (that program can call \
`Store::backup_to` itself). TO must be missing or empty, and is never written over.

Of an encrypted store the keys stay where they are, unless it is said otherwise: the backup then opens \
once the key files are copied into it.

Example: quiver backup /var/lib/points /mnt/backup/points")]
pub(crate) struct Backup {
    #[command(flatten)]
    of: FromTo,
    /// Copy the keys of an encrypted store as well: the backup opens with its master key, and what is \
    /// shredded later can still be read there.
    #[arg(long)]
    with_keys: bool,
    /// The same, with the backup under the master key in this file instead.
    #[arg(long, value_name = "FILE", conflicts_with = "with_keys")]
    new_key_file: Option<PathBuf>,
}

pub(crate) fn backup(arguments: &Backup, opener: &Opener, out: &mut Output) -> Result<(), Failure> {
    let keys = match &arguments.new_key_file {
        Some(file) => BackupKeys::Under(ring(file)?),
        None if arguments.with_keys => BackupKeys::Included,
        None => BackupKeys::LeftOut,
    };
    copy(&arguments.of, opener, &keys, "backed up", out)
}

pub(crate) fn restore(
    arguments: &Arguments,
    opener: &Opener,
    out: &mut Output,
) -> Result<(), Failure> {
    copy(&arguments.of, opener, &BackupKeys::Included, "restored", out)
}

fn copy(
    arguments: &FromTo,
    opener: &Opener,
    keys: &BackupKeys,
    what: &str,
    out: &mut Output,
) -> Result<(), Failure> {
    let bar = bar(Unit::Bytes);
    let from = opener.open_read_only(&arguments.from)?;
    let report = from.backup_with(&arguments.to, keys, |at: &BackupProgress| {
        bar.set_length(at.bytes);
        bar.set_position(at.bytes_done);
        bar.set_message(at.file.clone());
        stop::goes_on()
    });
    bar.finish_and_clear();
    let BackupReport { lsn, files_copied, files_kept, bytes: size, is_complete, .. } = report?;
    let json = json!({
        "lsn": lsn.value(),
        "files_copied": files_copied,
        "files_kept": files_kept,
        "bytes": size,
        "is_complete": is_complete,
    });
    if !is_complete {
        out.answer(&json, "not finished")?;
        return stop::check("the same command goes on with it");
    }
    let to = arguments.to.display();
    let mut text = format!("{what} into {to}: {files_copied} files, {}", bytes(size));
    if files_kept > 0 {
        let _ = write!(text, ", {files_kept} of them there already");
    }
    let _ = write!(text, ", up to LSN {lsn}; every page was checked");
    out.answer(&json, &text)
}

/// Whether two losses are of one page.
fn is_alike(one: &Loss, other: &Loss) -> bool {
    let is_of_rows = one.external_id.is_some() && other.external_id.is_some();
    is_of_rows
        && one.collection == other.collection
        && one.error.to_string() == other.error.to_string()
}

/// Losses of one page in one line.
fn lost_together(same: &[Loss]) -> String {
    let (Some(first), Some(last)) = (same.first(), same.last()) else { return String::new() };
    let which = match (&first.external_id, &last.external_id) {
        (Some(first), Some(_)) if same.len() == 1 => format!("row {first:?}"),
        (Some(first), Some(last)) => format!("{} rows, {first:?} to {last:?}", same.len()),
        _ => format!("up to {} rows", first.rows_at_most),
    };
    format!("{which} of collection {}: {}", first.collection, first.error)
}

pub(crate) fn salvage(
    arguments: &Arguments,
    opener: &Opener,
    out: &mut Output,
) -> Result<(), Failure> {
    let arguments = &arguments.of;
    let bar = bar(Unit::Count);
    let (store, lost) = Store::open_salvage_with(opener.env(&arguments.from), Options::default())?;
    let progress = |at: &SalvageProgress| -> ControlFlow<()> {
        bar.set_position(at.rows);
        bar.set_message(format!("{}, {} lost", at.collection, at.rows_lost));
        stop::goes_on()
    };
    let report = store.salvage_to(opener.env(&arguments.to), Options::default(), progress);
    bar.finish_and_clear();
    let SalvageReport { collections, rows, losses, rows_lost_at_most, is_complete, .. } = report?;
    let lost: Vec<String> = lost.iter().map(ToString::to_string).collect();
    let json = json!({
        "collections": collections,
        "rows": rows,
        "rows_lost_at_most": rows_lost_at_most,
        "damage": lost,
        "losses": losses.iter().map(|loss| json!({
            "collection_id": loss.collection.value(),
            "id": loss.external_id,
            "rows_at_most": loss.rows_at_most,
            "error": loss.error.to_string(),
        })).collect::<Vec<_>>(),
        "is_complete": is_complete,
    });
    let mut text = String::new();
    for error in &lost {
        let _ = writeln!(text, "DAMAGED {error}");
    }
    for (told, same) in losses.chunk_by(is_alike).enumerate() {
        if told == LOSSES_SHOWN {
            let _ = writeln!(text, "and more: --json lists all");
            break;
        }
        let _ = writeln!(text, "LOST {}", lost_together(same));
    }
    let to = arguments.to.display();
    let _ = write!(
        text,
        "{rows} rows of {collections} collections copied into {to}; lost: {rows_lost_at_most} at most"
    );
    out.answer(&json, &text)?;
    if !is_complete {
        return stop::check("the new store has only some of the rows: remove it and begin again");
    }
    if lost.is_empty() && losses.is_empty() {
        return Ok(());
    }
    Err(Failure::Damaged("some of the store could not be read: see above".to_owned()))
}
