//! Real data into a store and back: `cargo run --release --features cli --example ingest`.
//!
//! It stores the 1,797 handwritten digits of `corpus/data/digits.jsonl`, or the rows of another file,
//! closes the store, opens it again, compares every row with the file, asks a few questions of the
//! payloads, and looks for the pictures that are most like one of them.
//!
//! Run it again: it finds what is there. End it whenever you like, with Ctrl-C or by pulling the plug:
//! the next run finds whole batches, and writes all rows again under the same ids.

#![expect(
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a program speaks to its user, opens the file to import, and reads the clock"
)]

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use quiver_store::import::{
    ImportOptions, ImportRow, JsonLinesReader, NpyReader, VecsReader, import_rows, row_id,
};
use quiver_store::{
    CollectionId, Descriptor, DistanceMetric, Dtype, Error, ErrorKind, FilterableField,
    SecPredicate, Store,
};
use serde_json::Value;

const USAGE: &str = "usage: cargo run --release --features cli --example ingest -- [DIR] [FILE]
DIR is the store's directory, digits-store if it is left out; it is made if it is missing
FILE ends in .jsonl, .npy, .fvecs or .bvecs; corpus/data/digits.jsonl if it is left out";

const DIR: &str = "digits-store";
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/data/digits.jsonl");
const COLLECTION: &str = "digits";
const BATCH_ROWS: usize = 250;
const NEIGHBOURS: usize = 5;

fn main() -> ExitCode {
    let given: Result<Vec<String>, _> =
        std::env::args_os().skip(1).map(|argument| argument.into_string()).collect();
    let done = match given {
        Ok(arguments) => run(&arguments, &mut io::stdout()),
        Err(odd) => Err(Failure::usage(&format!("{odd:?} is no text"))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("ingest: {}", failure.text);
            ExitCode::from(failure.code)
        }
    }
}

/// Why it ended, for the user and for the shell.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    pub(crate) text: String,
}

impl Failure {
    fn usage(what: &str) -> Self {
        Self { code: 2, text: format!("{what}\n{USAGE}") }
    }

    fn new(text: impl Into<String>) -> Self {
        Self { code: 1, text: text.into() }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let hint = match error.kind() {
            ErrorKind::Locked => "\nanother program has it open: wait for it to end",
            ErrorKind::Full => "\nfree some space and run it again: it writes the same rows",
            ErrorKind::Corrupt => "\nchoose another directory, or remove this one and run it again",
            _ => "",
        };
        Self::new(format!("{error}{hint}"))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(error.to_string())
    }
}

/// All that the program does; `out` is what the user reads.
pub(crate) fn run(arguments: &[String], out: &mut impl Write) -> Result<(), Failure> {
    if matches!(arguments, [help] if help == "-h" || help == "--help") {
        writeln!(out, "{USAGE}")?;
        return Ok(());
    }
    if let Some(odd) = arguments.iter().find(|it| it.is_empty() || it.starts_with('-')) {
        return Err(Failure::usage(&format!("expected [DIR] [FILE], found {odd:?}")));
    }
    let (dir, file) = match arguments {
        [] => (DIR, FILE),
        [dir] => (dir.as_str(), FILE),
        [dir, file] => (dir.as_str(), file.as_str()),
        _ => {
            let what = format!("expected [DIR] [FILE], found {} arguments", arguments.len());
            return Err(Failure::usage(&what));
        }
    };

    let source = Source::read(file)?;
    let (rows, dim) = (source.rows.len(), source.schema.dim);
    let what = match source.schema.dtype {
        Dtype::U8 => "whole numbers, stored in a byte each",
        _ => "numbers, stored in four bytes each",
    };
    writeln!(out, "read      {file}: {rows} rows of {dim} {what}")?;

    let (store, id) = open(dir, &source.schema)?;
    ingest(&store, id, (dir, file), &source, out)?;
    store.close()?;

    let start = Instant::now();
    let (store, id) = open(dir, &source.schema)?;
    writeln!(out, "reopened  in {}", milliseconds(start))?;
    compare(&store, id, dir, &source, out)?;
    filter(&store, id, &source, out)?;
    find_nearest(&store, id, &source, out)?;
    summarise(&store, dir, out)?;
    store.close()?;
    writeln!(
        out,
        "All is well. Run it again: it finds what is there. The store is yours to remove."
    )?;
    Ok(())
}

/// What the store is to hold. It stands in memory, so that the store can be compared with it.
struct Source {
    rows: BTreeMap<String, ImportRow>,
    schema: Descriptor,
}

impl Source {
    fn read(file: &str) -> Result<Self, Failure> {
        let mut rows = BTreeMap::new();
        for (number, row) in (0_u64..).zip(rows_of(file)?) {
            let row = row.map_err(|error| Failure::new(format!("{file}: {error}")))?;
            let id = row.id.clone().unwrap_or_else(|| row_id(number));
            if rows.insert(id.clone(), row).is_some() {
                let what = format!("{file}: row {number} has the id {id:?} of a row before it");
                return Err(Failure::new(what));
            }
        }
        let Some(first) = rows.values().next() else {
            return Err(Failure::new(format!("{file}: no rows, expected at least one")));
        };
        let dim = u32::try_from(first.vector.len()).unwrap_or(u32::MAX);
        let is_byte = |x: &f32| x.fract() == 0.0 && (0.0..=255.0).contains(x);
        let are_bytes = rows.values().all(|row| row.vector.iter().all(is_byte));
        let dtype = if are_bytes { Dtype::U8 } else { Dtype::F32 };
        let schema = Descriptor::new(dim, dtype, DistanceMetric::L2).with_filterable([
            FilterableField::numeric("digit"),
            FilterableField::numeric("ink"),
            FilterableField::keyword("split"),
        ]);
        Ok(Self { rows, schema })
    }

    /// The digit that a picture shows, if that is what the row is.
    fn digit(&self, id: &str) -> Option<i64> {
        members(self.rows.get(id)?)["digit"].as_i64()
    }
}

/// The payload of a row; null where it is no JSON.
fn members(row: &ImportRow) -> Value {
    serde_json::from_slice(&row.payload).unwrap_or_default()
}

type Rows = Box<dyn Iterator<Item = quiver_store::Result<ImportRow>>>;

/// The rows of a file, one at a time.
fn rows_of(file: &str) -> Result<Rows, Failure> {
    let failed = |error: &dyn fmt::Display| Failure::new(format!("cannot read {file}: {error}"));
    let opened = || File::open(file).map_err(|error| failed(&error));
    let ending = Path::new(file).extension().and_then(|ending| ending.to_str());
    Ok(match ending {
        Some("jsonl") => Box::new(JsonLinesReader::new(opened()?)),
        Some("npy") => Box::new(NpyReader::new(opened()?).map_err(|error| failed(&error))?),
        Some("fvecs") => Box::new(VecsReader::fvecs(opened()?)),
        Some("bvecs") => Box::new(VecsReader::bvecs(opened()?)),
        _ => return Err(Failure::usage(&format!("the ending of {file} is none that is known"))),
    })
}

/// The store of a directory and its collection, which is made if it is missing.
fn open(dir: &str, schema: &Descriptor) -> Result<(Store, CollectionId), Failure> {
    let elsewhere = |what: String| {
        let text = format!("{what}\nchoose another DIR: one that is empty, or does not exist yet");
        Failure::new(text)
    };
    let store = Store::open(dir).map_err(|error| match error.kind() {
        ErrorKind::InvalidArgument => elsewhere(error.to_string()),
        _ => error.into(),
    })?;
    let names = store.collection_names()?;
    if let Some(name) = names.iter().find(|name| *name != COLLECTION) {
        return Err(elsewhere(format!("{dir} is the store of something else, of {name:?}")));
    }
    let id = match store.collection_id(COLLECTION)? {
        // A file that could not be stored leaves no row behind, and may have been of another kind.
        Some(id) if store.is_empty(id)? && store.descriptor(id)? != *schema => {
            store.drop_collection(COLLECTION)?;
            store.create_collection(COLLECTION, schema.clone())?
        }
        Some(id) => id,
        None => store.create_collection(COLLECTION, schema.clone())?,
    };
    if store.descriptor(id)? != *schema {
        return Err(elsewhere(format!("{dir} holds vectors of another kind than the file")));
    }
    Ok((store, id))
}

/// Writes all rows, unless they are there. Rows of another file are left as they are.
fn ingest(
    store: &Store,
    id: CollectionId,
    (dir, file): (&str, &str),
    source: &Source,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let (there, rows) = (store.len(id)?, source.rows.len());
    if there >= rows as u64 {
        writeln!(out, "stored    nothing: {there} rows are there already")?;
        return Ok(());
    }
    if there > 0 {
        check_rows(store, id, dir, source)?;
        writeln!(
            out,
            "found     {there} rows of a run that did not end: writing all of them again"
        )?;
    }
    let style = "storing {bar:40} {human_pos} of {human_len} rows, {rate} a second, {eta} left";
    let style = ProgressStyle::with_template(style).map_err(|it| Failure::new(it.to_string()))?;
    // What cannot be written to the terminal is only progress.
    let style = style.with_key("rate", |state: &ProgressState, text: &mut dyn fmt::Write| {
        let _ = write!(text, "{:.0}", state.per_sec());
    });
    let bar = ProgressBar::new(rows as u64).with_style(style);
    let options = ImportOptions { batch_rows: BATCH_ROWS, ..ImportOptions::default() };
    let start = Instant::now();
    let written = import_rows(store, id, rows_of(file)?, &options, |so_far| {
        bar.set_position(so_far.rows);
    })?;
    bar.finish_and_clear();
    let seconds = start.elapsed().as_secs_f64();
    // Not needed for safety: what is sealed needs no replay when the store is opened again.
    store.checkpoint()?;
    writeln!(
        out,
        "stored    {rows} rows in {seconds:.3} s, {:.0} rows a second; synced to disk every {BATCH_ROWS} rows",
        written.rows as f64 / seconds
    )?;
    Ok(())
}

/// Holds every row of the store against the file, and every row of the file against the store.
fn compare(
    store: &Store,
    id: CollectionId,
    dir: &str,
    source: &Source,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let start = Instant::now();
    let (found, rows) = (check_rows(store, id, dir, source)?, source.rows.len());
    let took = milliseconds(start);
    if found != rows {
        return Err(Failure::new(format!("{dir}: {found} of {rows} rows of the file are there")));
    }
    writeln!(out, "compared  {rows} rows in {took}: ids, vectors and payloads are as in the file")?;
    Ok(())
}

/// How many rows the store has, if each is as in the file.
fn check_rows(
    store: &Store,
    id: CollectionId,
    dir: &str,
    source: &Source,
) -> Result<usize, Failure> {
    let mut rows = 0;
    for found in store.scan(id)? {
        let (id, found) = found?;
        let is_same = source
            .rows
            .get(&id)
            .is_some_and(|row| (&row.vector, &row.payload) == (&found.vector, &found.payload));
        if !is_same {
            return Err(Failure::new(format!(
                "{dir}: row {id:?} is not as in the file: was it made from another one? choose \
                 another DIR"
            )));
        }
        rows += 1;
    }
    Ok(rows)
}

/// A question to the store, and how to answer it from the file.
struct Question {
    text: &'static str,
    predicate: SecPredicate,
    holds: fn(&Value) -> bool,
}

/// Whether a member has a value of which something is so. As in the store, a member that is an array
/// has the values of its elements.
fn has(row: &Value, member: &str, is_so: impl Fn(&Value) -> bool) -> bool {
    match &row[member] {
        Value::Array(values) => values.iter().any(is_so),
        value => is_so(value),
    }
}

fn questions() -> [Question; 3] {
    // The number seven may be written 7.0.
    fn has_seven(row: &Value) -> bool {
        has(row, "digit", |it| it.as_f64() == Some(7.0))
    }
    fn has_ink(row: &Value) -> bool {
        has(row, "ink", |it| it.as_f64().is_some_and(|ink| (200.0..250.0).contains(&ink)))
    }
    let is_seven = || SecPredicate::Eq { field: "digit".into(), value: 7_i64.into() };
    let is_test = SecPredicate::Eq { field: "split".into(), value: "test".into() };
    [
        Question { text: "digit = 7", predicate: is_seven(), holds: has_seven },
        Question {
            text: "200 <= ink < 250",
            predicate: SecPredicate::Range {
                field: "ink".into(),
                lo: Some(200_i64.into()),
                hi: Some(250_i64.into()),
                lo_inclusive: true,
                hi_inclusive: false,
            },
            holds: has_ink,
        },
        Question {
            text: "digit = 7 and split = \"test\"",
            predicate: SecPredicate::And(vec![is_seven(), is_test]),
            holds: |row| has_seven(row) && has(row, "split", |it| it == "test"),
        },
    ]
}

fn filter(
    store: &Store,
    id: CollectionId,
    source: &Source,
    out: &mut impl Write,
) -> Result<(), Failure> {
    if source.rows.keys().all(|id| source.digit(id).is_none()) {
        writeln!(out, "filtered  nothing: no payload has a \"digit\" to ask for")?;
        return Ok(());
    }
    for Question { text, predicate, holds } in questions() {
        let start = Instant::now();
        let found = store.matching_ids(id, &predicate)?;
        let took = milliseconds(start);
        let holding = source.rows.iter().filter(|(_, row)| holds(&members(row)));
        let expected: Vec<&String> = holding.map(|(id, _)| id).collect();
        if !found.iter().eq(expected.iter().copied()) {
            let (found, expected) = (found.len(), expected.len());
            let what = format!("{text}: the store found {found} rows, the file has {expected}");
            return Err(Failure::new(what));
        }
        let rows = found.len();
        writeln!(out, "filtered  {text:<28} {rows:>4} rows in {took}, the same as in the file")?;
    }
    Ok(())
}

/// Looks for the pictures most like one of them, by comparing it with all. An index would compare it
/// with a few; it would be built from the same `VectorSource`.
fn find_nearest(
    store: &Store,
    id: CollectionId,
    source: &Source,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let seven = source.rows.iter().find(|(id, _)| source.digit(id) == Some(7));
    let Some((asked, wanted)) = seven.or_else(|| source.rows.first_key_value()) else {
        return Ok(());
    };
    let start = Instant::now();
    let vectors = store.capture_vector_source(id)?;
    let others = vectors.iter().filter(|(id, _)| id != asked);
    let mut nearest: Vec<(f32, String)> =
        others.map(|(id, vector)| (distance(&vector, &wanted.vector), id)).collect();
    if let Some(error) = vectors.take_error() {
        return Err(error.into());
    }
    nearest.sort_by(|a, b| a.0.total_cmp(&b.0));
    let shows =
        |id: &str| source.digit(id).map_or(String::new(), |it| format!(", which is a {it}"));
    writeln!(
        out,
        "searched  what is nearest to {asked}{} in {}:",
        shows(asked),
        milliseconds(start)
    )?;
    for (distance, id) in nearest.iter().take(NEIGHBOURS) {
        writeln!(out, "          {id} at distance {distance:.1}{}", shows(id))?;
    }
    Ok(())
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt()
}

fn summarise(store: &Store, dir: &str, out: &mut impl Write) -> Result<(), Failure> {
    let (mut bytes, mut files) = (0, 0);
    for entry in std::fs::read_dir(dir)? {
        bytes += entry?.metadata()?.len();
        files += 1;
    }
    let stats = store.stats()?;
    let kib = |bytes: u64| bytes.div_ceil(1024);
    writeln!(
        out,
        "on disk   {dir}: {} rows in {} KiB, {files} files; {} KiB of it are set aside for a full disk",
        stats.rows,
        kib(bytes),
        kib(stats.reserve_bytes)
    )?;
    Ok(())
}

fn milliseconds(start: Instant) -> String {
    format!("{:.1} ms", start.elapsed().as_secs_f64() * 1_000.0)
}
