//! `quiver verify`: whether every byte is as it was written.

use std::fmt::Write;
use std::ops::ControlFlow;

use quiver_store::{
    Error, ErrorKind, Finding, Options, Store, VerifyOptions, VerifyProgress, VerifyReport,
};
use serde_json::json;

use crate::Dir;
use crate::keys::Opener;
use crate::output::{Failure, Output, Unit, bar, bytes};
use crate::stop;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Nothing is changed. A store that is open for writing elsewhere answers exit code 4: verify a backup, or \
call `Store::verify` there.

Example: quiver verify /mnt/backup/points --stored")]
pub(crate) struct Arguments {
    #[command(flatten)]
    store: Dir,
    /// Read every byte, but hold no rows against each other: quicker.
    #[arg(long)]
    pages_only: bool,
    /// Look at the files as they are stored, without opening the store: needs no key.
    #[arg(long)]
    stored: bool,
}

pub(crate) fn run(arguments: &Arguments, opener: &Opener, out: &mut Output) -> Result<(), Failure> {
    let dir = &arguments.store.dir;
    let bar = bar(Unit::Bytes);
    let progress = |at: &VerifyProgress| -> ControlFlow<()> {
        bar.set_length(at.bytes);
        bar.set_position(at.bytes_done);
        bar.set_message(at.file.clone());
        stop::goes_on()
    };
    let open = || Store::open_salvage_with(opener.env(dir), Options::default());
    let opened = if arguments.stored { None } else { Some(open()) };
    let (lost, report) = match opened {
        None => (Vec::new(), Store::verify_without_keys(dir, progress)?),
        Some(Ok((store, lost))) => {
            let mut options = VerifyOptions::default();
            options.contents = !arguments.pages_only;
            (lost, store.verify(options, progress)?)
        }
        // Nothing can be shown, but each file can be looked at.
        Some(Err(error)) if error.kind() == ErrorKind::Corrupt => {
            (vec![error], Store::verify_without_keys(dir, progress)?)
        }
        Some(Err(error)) => return Err(error.into()),
    };
    bar.finish_and_clear();
    answer(&lost, &report, out)?;
    if !report.is_complete {
        stop::check("what was found until then is told above")?;
    }
    if lost.is_empty() && report.findings.is_empty() {
        return Ok(());
    }
    let what = "damaged. The files above have to be put back from a copy; `quiver restore` makes a \
                store of a backup, `quiver salvage` of what can still be read";
    Err(Failure::Damaged(what.to_owned()))
}

fn answer(lost: &[Error], report: &VerifyReport, out: &mut Output) -> Result<(), Failure> {
    // What the open met is met again by whoever reads the file.
    let is_known = |error: &&Error| {
        let text = error.to_string();
        let is_it = |found: &Finding| text.contains(&found.file) || text == found.error.to_string();
        !report.findings.iter().any(is_it)
    };
    let unseen: Vec<&Error> = lost.iter().filter(is_known).collect();
    let findings = report.findings.iter().map(|Finding { file, collection, error, .. }| {
        let collection = collection.map(|id| id.value());
        json!({ "file": file, "collection_id": collection, "error": error.to_string() })
    });
    let opening = unseen.iter().map(|error| json!({ "error": error.to_string() }));
    let json = json!({
        "files": report.files,
        "bytes": report.bytes,
        "rows": report.rows,
        "is_complete": report.is_complete,
        "findings": findings.chain(opening).collect::<Vec<_>>(),
    });
    let mut text = String::new();
    for found in &report.findings {
        let whose = found
            .collection
            .map_or_else(|| "the whole store".to_owned(), |id| format!("collection {id}"));
        let _ = writeln!(text, "DAMAGED {} ({whose})\n  {}", found.file, found.error);
    }
    for error in unseen {
        let _ = writeln!(text, "DAMAGED\n  {error}");
    }
    let verdict = match (report.is_complete, report.findings.len() + lost.len()) {
        (true, 0) => "sound",
        (true, _) => "not sound",
        (false, _) => "not looked at to the end",
    };
    let (files, rows) = (report.files, report.rows);
    let _ = writeln!(text, "{verdict}: {files} files, {}, {rows} rows", bytes(report.bytes));
    out.answer(&json, &text)
}
