//! `quiver dump`: what stands in the files, whatever of it is sound.

use std::fmt::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;

use quiver_store::dump::{DumpColumn, DumpOptions, dump};
use serde_json::Value;

use crate::output::{Failure, Output};
use crate::stop;

/// The longest value of a line of text; --json has all of it.
const VALUE_CHARACTERS_MAX: usize = 120;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A page is 16 KiB: a header that says where it belongs, and a checksum. Logs are not made of pages but of \
frames, one for each batch of writes. The manifest says which files there are. What does not check out has \
an `error`, and the dump goes on behind it. With --json each item is a line of its own.

Examples:
  quiver dump /var/lib/points
  quiver dump /var/lib/points/segment-0000000003-12997805.seg --no-pages --limit 5
  quiver dump /var/lib/points/segment-0000000003-12997805.seg --column vectors --limit 5
  quiver dump /var/lib/points/log-0000000002-0c8b7b80.wal --json | jq 'select(.item == \"frame\")'")]
pub(crate) struct Arguments {
    /// A store's directory, or one of its files.
    path: PathBuf,
    /// Only this page, with its bytes.
    #[arg(long)]
    page: Option<u32>,
    /// Leave out the pages, and show what they hold.
    #[arg(long, conflicts_with = "page")]
    no_pages: bool,
    /// Only the pages, and not what they hold.
    #[arg(long, conflicts_with = "no_pages")]
    no_contents: bool,
    /// Only this column of a segment, value by value.
    #[arg(long, value_enum, conflicts_with_all = ["page", "no_pages", "no_contents"])]
    column: Option<ColumnName>,
    /// The most items to show.
    #[arg(long)]
    limit: Option<u64>,
}

/// The word for a column.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ColumnName {
    /// Pages of ids, and the ids.
    Ids,
    /// Where the values of each row are.
    Directory,
    /// Numbers, where the store's manifest is beside the file; else bytes.
    Vectors,
    /// Text, or bytes.
    Payloads,
    /// The index of each filterable field.
    Indexes,
    /// The blocks of the filter.
    Filter,
}

impl ColumnName {
    fn column(self) -> DumpColumn {
        match self {
            Self::Ids => DumpColumn::Ids,
            Self::Directory => DumpColumn::Directory,
            Self::Vectors => DumpColumn::Vectors,
            Self::Payloads => DumpColumn::Payloads,
            Self::Indexes => DumpColumn::Indexes,
            Self::Filter => DumpColumn::Filter,
        }
    }
}

pub(crate) fn run(arguments: &Arguments, out: &mut Output) -> Result<(), Failure> {
    let mut options = DumpOptions::default();
    options.page = arguments.page;
    options.pages = !arguments.no_pages;
    options.contents = !arguments.no_contents;
    options.column = arguments.column.map(ColumnName::column);
    let mut left = arguments.limit.unwrap_or(u64::MAX);
    let mut failed = None;
    let damaged = dump(&arguments.path, options, &mut |item| {
        if left == 0 {
            return ControlFlow::Break(());
        }
        left -= 1;
        let shown = match out.is_json {
            true => out.line(&item.to_string()),
            false => out.line(&text(item)),
        };
        if let Err(failure) = shown {
            failed = Some(failure);
            return ControlFlow::Break(());
        }
        stop::goes_on()
    })?;
    if let Some(failure) = failed {
        return Err(failure);
    }
    stop::check("the rest was not shown")?;
    if damaged == 0 {
        return Ok(());
    }
    Err(Failure::Damaged(format!("{damaged} items do not check out: look for `error`")))
}

/// An item in one line: what it is, then its members.
fn text(item: &Value) -> String {
    let Value::Object(members) = item else { return item.to_string() };
    let mut line = members.get("item").and_then(Value::as_str).unwrap_or_default().to_owned();
    for (name, value) in members {
        let shown = match value {
            Value::Null => continue,
            _ if name == "item" || name == "error" => continue,
            Value::String(text) if !text.contains(' ') && !text.is_empty() => text.clone(),
            other => other.to_string(),
        };
        let _ = write!(line, " {name}={}", short(&shown));
    }
    if let Some(error) = members.get("error").and_then(Value::as_str) {
        let _ = write!(line, "\n  ERROR {error}");
    }
    line
}

fn short(text: &str) -> String {
    match text.char_indices().nth(VALUE_CHARACTERS_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}... ({} bytes)", &text[..end], text.len()),
    }
}
