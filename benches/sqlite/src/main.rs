//! Filters of a merged store, warm, beside SQLite with the same rows in the same process.
//!
//! `cargo bench --manifest-path benches/sqlite/Cargo.toml [-- --dir DIR] [--json FILE] [--large]`,
//! with the arguments of the benchmark of the store and the columns of its table; *raw* is SQLite.
//! `--large` takes a million rows after the hundred thousand.
//!
//! It is a package outside the workspace, for SQLite takes longer to compile than the engine. What
//! it does not share with the benchmark of the store is the database and the queries.
//!
//! Ranges begin at other places from query to query, the same for all contenders. The answers are
//! compared, so nobody is quick by being wrong.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it measures the real disk and prints what it found"
)]
#![expect(dead_code, reason = "the modules of the other benchmark can do more than is used here")]

#[path = "../../store/arguments.rs"]
mod arguments;
#[path = "../../store/counted.rs"]
mod counted;
mod database;
#[path = "../../store/disk.rs"]
mod disk;
#[path = "../../store/payloads.rs"]
mod payloads;
mod queries;
#[path = "../../store/report.rs"]
mod report;
#[path = "../../store/rounds.rs"]
mod rounds;
#[path = "../../store/rows.rs"]
mod rows;
#[path = "../../store/subject.rs"]
mod subject;

use std::path::Path;
use std::process::ExitCode;

use arguments::Arguments;
use report::Report;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let outcome = match Arguments::read() {
        Ok(Arguments::Measure { dir, json, large, names }) if names.is_empty() => {
            measure(&dir, json.as_deref(), large)
        }
        Ok(_) => Err("there are no sections here".into()),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot measure: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(parent: &Path, json: Option<&Path>, large: bool) -> Result<(), Failure> {
    let dir = tempfile::tempdir_in(parent)
        .map_err(|error| format!("no directory below {}: {error}", parent.display()))?;
    let mut report = Report::new(dir.path(), &disk::filesystem(dir.path())?);
    report.start("sqlite");
    queries::measure(dir.path(), 100_000, &mut report)?;
    if large {
        queries::measure(dir.path(), 1_000_000, &mut report)?;
    }
    report.end();
    if let Some(path) = json {
        std::fs::write(path, report.json())?;
    }
    Ok(())
}
