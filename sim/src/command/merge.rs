//! `quiver-sim merge`: the shards of one run, or the reproducers of several machines, together.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, StdoutLock, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::replay::{self, RESTORE};
use super::reports::Reports;
use super::{Refusal, verdict};
use crate::record::{Merge, Merged, Record};
use crate::report;
use crate::repro::{Gather, Gathered};
use crate::shrink;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Reports that `run --json` wrote, one of each shard.
    #[arg(
        required_unless_present = "corpus",
        conflicts_with = "corpus",
        value_name = "REPORT.json"
    )]
    reports: Vec<PathBuf>,
    /// Joins reports of several programs: of machines that built one source each for itself.
    ///
    /// Without it they are refused, for two builds of one version may hold two engines. --seed-of with
    /// the name of the commit lets it be seen in the reports that the source was the same.
    #[arg(long, conflicts_with = "corpus")]
    other_builds: bool,
    /// Where to write the joined report as JSON.
    #[arg(long, value_name = "FILE", conflicts_with = "corpus")]
    json: Option<PathBuf>,
    /// Where to write it as one page, with the way to each violation.
    #[arg(long, value_name = "FILE", conflicts_with = "corpus")]
    html: Option<PathBuf>,
    /// Directories of .repro files, which are joined instead.
    #[arg(long, value_name = "DIR", num_args = 1.., requires = "into")]
    corpus: Vec<PathBuf>,
    /// The directory to join them in. What is there already stays.
    #[arg(long, value_name = "DIR", requires = "corpus")]
    into: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Refusal> {
    if let Some(into) = &arguments.into {
        return gather(&arguments.corpus, into);
    }
    let reports = Reports::open(arguments.json.as_ref(), arguments.html.as_ref())?;
    let mut merge = Merge::new(arguments.other_builds);
    for path in &arguments.reports {
        merge.take(&path.display().to_string(), replay::text(path));
    }
    let Merged { record, refused } = merge.finish();
    tell(&refused)?;
    let Some(record) = record else {
        return Err(Refusal("no report could be used".to_owned(), 2));
    };
    let print = |out: &mut StdoutLock<'_>| print(out, &record, &refused);
    let found = record.violations() > 0;
    reports.tell(found, print, || record.json(), || verdict::page(&record))
}

/// Tells what the shards came to, and what is missing.
fn print(
    out: &mut StdoutLock<'_>,
    record: &Record,
    refused: &[String],
) -> Result<ExitCode, Refusal> {
    let table = report::text(&record.done, &record.engine_version, &record.bounds.medium);
    write!(out, "{}{table}", verdict::parts_text(record))?;
    write!(out, "{}", verdict::violations_text(record))?;
    let missing = record.shards.missing();
    if let Some(missing) = &missing {
        writeln!(out, "missing: shard {missing}; run what is missing, then merge again")?;
    }
    if record.violations() == 0 && (missing.is_some() || !refused.is_empty()) {
        let (found, of) = (record.shards.parts.len(), record.shards.of);
        let why = format!("no violation, but only {found} of {of} shards could be joined");
        // Each of them is there: then it was one too many that was left out.
        return match missing {
            Some(_) => Err(Refusal(why, 2)),
            None => Err(Refusal(format!("{} reports were left out", refused.len()), 2)),
        };
    }
    verdict::of(record, out)
}

/// Tells of what was left out, on the channel of errors.
fn tell(refused: &[String]) -> io::Result<()> {
    let mut err = io::stderr().lock();
    refused.iter().try_for_each(|why| writeln!(err, "left out: {why}"))
}

/// Joins directories of reproducers.
fn gather(corpus: &[PathBuf], into: &Path) -> Result<ExitCode, Refusal> {
    let unwritable =
        |error: io::Error| Refusal(format!("cannot write into {}: {error}", into.display()), 2);
    fs::create_dir_all(into).map_err(unwritable)?;
    let mut gathered = Gather::default();
    let (mut new, mut again, mut wrong) = (0u64, 0u64, 0u64);
    for path in reproducers(into)? {
        let (name, text) = (stem(&path), replay::text(&path).unwrap_or_default());
        if gathered.take(&name, &text).is_err() {
            gathered.occupy(&name);
        }
    }
    let mut out = io::stdout().lock();
    let mut err = io::stderr().lock();
    for dir in corpus.iter().filter(|dir| *dir != into) {
        for path in reproducers(dir)? {
            let taken = replay::text(&path).and_then(|text| {
                let taken = gathered.take(&stem(&path), &text).map_err(|why| why.to_string())?;
                Ok((text, taken))
            });
            let shown = path.display();
            match taken {
                Err(why) => {
                    wrong += 1;
                    writeln!(err, "left: {shown}: {why}; {RESTORE}")?;
                }
                Ok((_, Gathered::Again(name, status))) => {
                    again += 1;
                    writeln!(out, "again     {shown}, as {name}.repro, {}", status.words())?;
                }
                Ok((text, Gathered::New(name))) => {
                    new += 1;
                    let target = into.join(format!("{name}.repro"));
                    let beside = shrink::beside(&target);
                    fs::write(&beside, text).map_err(unwritable)?;
                    fs::rename(&beside, &target).map_err(unwritable)?;
                    writeln!(out, "new       {shown}, as {name}.repro")?;
                }
            }
        }
    }
    writeln!(out, "{new} new, {again} there already, {wrong} not readable")?;
    Ok(ExitCode::from(if wrong > 0 { 2 } else { 0 }))
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The reproducers of a directory, by name.
fn reproducers(dir: &Path) -> Result<Vec<PathBuf>, Refusal> {
    let unreadable = |error: io::Error| {
        Refusal(format!("cannot read {}: {error}; name a directory", dir.display()), 2)
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension() == Some(OsStr::new("repro")) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}
