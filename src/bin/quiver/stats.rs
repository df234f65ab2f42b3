//! `quiver stats`: what is in a store.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use quiver_store::vfs::os::OsVfs;
use quiver_store::vfs::{Access, Disk};
use quiver_store::{CollectionId, Store};
use serde_json::{Value, json};

use crate::Dir;
use crate::keys::Opener;
use crate::output::{Failure, Output, bytes};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: quiver stats /var/lib/points --json | jq .collections")]
pub(crate) struct Arguments {
    #[command(flatten)]
    store: Dir,
}

/// A collection as the answer has it.
struct Line {
    json: Value,
    text: [String; 6],
}

pub(crate) fn run(arguments: &Arguments, opener: &Opener, out: &mut Output) -> Result<(), Failure> {
    let store = opener.open_read_only(&arguments.store.dir)?;
    let stats = store.stats()?;
    let mut lines = Vec::new();
    for name in store.collection_names()? {
        if let Some(id) = store.collection_id(&name)? {
            lines.push(line(&store, id, &name)?);
        }
    }
    let on_disk = size(store.dir(), &stats.files);
    let damaged: Vec<Value> = stats
        .damaged
        .iter()
        .map(|(id, why)| json!({ "collection_id": id.value(), "error": why }))
        .collect();
    let json = json!({
        "directory": store.dir().display().to_string(),
        "collections": lines.iter().map(|line| line.json.clone()).collect::<Vec<_>>(),
        "rows": stats.rows,
        "last_lsn": stats.last_lsn.value(),
        "manifest_version": stats.manifest_version.value(),
        "log_files": stats.log_files,
        "segments": stats.segments,
        "tombstones": stats.tombstones,
        "files": stats.files,
        "bytes": on_disk,
        "damaged": damaged,
    });
    let mut text = String::new();
    let head = ["collection", "id", "vectors", "metric", "rows", "filterable fields"];
    let head = head.map(str::to_owned);
    let lines: Vec<&[String; 6]> =
        std::iter::once(&head).chain(lines.iter().map(|line| &line.text)).collect();
    table(&mut text, &lines);
    let _ = writeln!(
        text,
        "\n{} rows in {}, up to LSN {}: {} segments, {} with dead rows, {} log files, manifest {}",
        stats.rows,
        bytes(on_disk),
        stats.last_lsn,
        stats.segments,
        stats.tombstones,
        stats.log_files,
        stats.manifest_version,
    );
    for (id, why) in &stats.damaged {
        let _ = writeln!(text, "DAMAGED: collection {id}: {why}");
    }
    out.answer(&json, &text)?;
    if stats.damaged.is_empty() {
        return Ok(());
    }
    let what = format!("{} collections are damaged: see `quiver verify`", stats.damaged.len());
    Err(Failure::Damaged(what))
}

fn line(store: &Store, id: CollectionId, name: &str) -> Result<Line, Failure> {
    let descriptor = store.descriptor(id)?;
    // A damaged collection cannot tell.
    let rows = store.len(id).ok();
    let fields: Vec<String> = descriptor
        .filterable
        .iter()
        .map(|field| format!("{}:{}", field.path, field.field_type))
        .collect();
    let many = if descriptor.multivector { ", many a row" } else { "" };
    let dtype = format!("{:?}", descriptor.dtype).to_lowercase();
    let vectors = format!("{} x {dtype}{many}", descriptor.dim);
    let json = json!({
        "name": name,
        "id": id.value(),
        "dim": descriptor.dim,
        "dtype": dtype,
        "metric": format!("{:?}", descriptor.metric),
        "multivector": descriptor.multivector,
        "filterable": fields,
        "rows": rows,
    });
    let text = [
        name.to_owned(),
        id.to_string(),
        vectors,
        format!("{:?}", descriptor.metric),
        rows.map_or_else(|| "?".to_owned(), |rows| rows.to_string()),
        fields.join(" "),
    ];
    Ok(Line { json, text })
}

/// Bytes of files, as far as they are there.
fn size(dir: &Path, files: &[String]) -> u64 {
    let disk = Disk::new(Arc::new(OsVfs::new()), dir);
    let len = |name: &String| disk.open(name, Access::Read).ok()?.len_bytes().ok();
    files.iter().filter_map(len).sum()
}

fn table(text: &mut String, lines: &[&[String; 6]]) {
    let width = |at: usize| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    for line in lines {
        let mut row = String::new();
        for (cell, width) in line.iter().zip(widths) {
            let _ = write!(row, "{cell:width$}  ");
        }
        let _ = writeln!(text, "{}", row.trim_end());
    }
}
