//! The store beside what the same disk does without one.
//!
//! `cargo bench --bench store [-- SECTION...] [--dir DIR] [--json FILE] [--large]`. Without a name
//! all sections of the table run, in about three minutes; with names, those whose name contains
//! one of them. The directory is also taken from `QUIVER_BENCH_DIR`, and without either it is one
//! below the build's target directory. `--large` takes the sizes at which the goals are stated
//! (1 million rows), which takes several minutes more.
//!
//! **How it measures.** Each figure is the median over rounds of one run, in which the contenders
//! take turns in one directory, because a disk and a machine are busy at times; the first round
//! warms up. So ratios can be compared between runs, and absolute figures cannot. A row is an id of
//! 16 bytes, in random order, a vector, and a payload of 200 bytes.
//!
//! - *store*: the engine at default options, unless the line says otherwise.
//! - *raw*: the same bytes with plain calls: appended and made durable with one `fdatasync` where
//!   the store acknowledges, read with one `pread` a row or in runs of 1 MiB. The bytes to write lie
//!   ready.
//! - *raw-pre*: the same writes into a file that was filled before.
//! - In the section *filter* what stands under *raw* is said in the line. The same filters beside
//!   SQLite are in the package `benches/sqlite`, which the workspace does not build.
//! - *ratio*: how fast the store is, measured in raw: 2 is twice as fast, for rates and for times.
//! - *cpu*: the same ratio by the time of processors instead of the clock on the wall, which still
//!   means something while others keep disk and processors busy.
//! - *goal*: what is to be reached. Nothing here fails if it is not.
//!
//! A *cold* figure is measured behind a `posix_fadvise(DONTNEED)` of every file concerned, which
//! were synced before, and with an empty page cache of the store's own. Directory entries and
//! inodes stay in the memory of the system, and so may what is below it.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it measures the real disk beside the store and prints what it found"
)]

mod arguments;
mod calls;
mod changes;
mod counted;
mod disk;
mod filters;
mod gets;
mod group_log;
mod memory;
mod opens;
mod payloads;
mod plain;
mod report;
mod rounds;
mod rows;
mod scans;
mod sealed;
mod space;
mod subject;
mod threads;
mod verifies;
mod writes;

use std::path::Path;
use std::process::ExitCode;

use arguments::Arguments;
use report::Report;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What every section is given.
struct Bench<'a> {
    /// An empty directory on the disk that is measured.
    dir: &'a Path,
    /// Whether to take the sizes at which the goals are stated.
    large: bool,
    report: &'a mut Report,
}

impl Bench<'_> {
    /// A number of rows: the size at which a goal is stated, or a fraction of it.
    fn sized(&self, large: u64, small: u64) -> u64 {
        if self.large { large } else { small }
    }
}

type Section = fn(&mut Bench<'_>) -> Result<(), Failure>;

const SECTIONS: [(&str, Section); 12] = [
    ("single", writes::single),
    ("batch", writes::batches),
    ("get", gets::measure),
    ("scan", scans::measure),
    ("change", changes::measure),
    ("filter", filters::measure),
    ("open", opens::measure),
    ("verify", verifies::measure),
    ("space", space::measure),
    ("memory", memory::measure),
    ("encrypted", sealed::measure),
    ("threads", threads::measure),
];

/// Runs only if it is named: the statistics of criterion on single calls, without a raw baseline.
const CALLS: &str = "calls";

fn main() -> ExitCode {
    let outcome = match Arguments::read() {
        Ok(Arguments::Child(words)) => memory::child(&words),
        Ok(Arguments::Measure { dir, json, large, names }) => {
            measure(&dir, json.as_deref(), large, &names)
        }
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

fn measure(
    parent: &Path,
    json: Option<&Path>,
    large: bool,
    names: &[String],
) -> Result<(), Failure> {
    let dir = tempfile::tempdir_in(parent)
        .map_err(|error| format!("no directory below {}: {error}", parent.display()))?;
    let filesystem = disk::filesystem(dir.path())?;
    if ["tmpfs", "ramfs"].contains(&filesystem.as_str()) {
        return Err("a filesystem in memory makes nothing durable; name another directory".into());
    }
    if names.iter().any(|name| CALLS.contains(name.as_str())) {
        return calls::measure(dir.path());
    }
    let wanted = |name: &str| names.is_empty() || names.iter().any(|part| name.contains(part));
    let sections: Vec<_> = SECTIONS.into_iter().filter(|(name, _)| wanted(name)).collect();
    if sections.is_empty() {
        let all: Vec<_> = SECTIONS.iter().map(|(name, _)| *name).collect();
        return Err(format!("no section is named so: there are {}, {CALLS}", all.join(", ")).into());
    }
    let mut report = Report::new(dir.path(), &filesystem);
    for (name, section) in sections {
        report.start(name);
        let own = tempfile::tempdir_in(dir.path())?;
        section(&mut Bench { dir: own.path(), large, report: &mut report })?;
    }
    report.end();
    if let Some(path) = json {
        std::fs::write(path, report.json())?;
    }
    Ok(())
}
