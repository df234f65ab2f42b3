//! `quiver-sim replay`: one image again.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::Refusal;
use crate::address::Address;
use crate::disk::DiskState;
use crate::engine::Engine;
use crate::explore;
use crate::report;
use crate::watch::Watch;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// SEED:POINT:IMAGE, and :POINT:IMAGE for each nested crash.
    address: Address,
    /// Prints the way to the image and every I/O call of its recovery.
    #[arg(long)]
    trace: bool,
    /// Writes the files of the image into a directory that is new or empty.
    #[arg(long, value_name = "DIR")]
    dump: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Refusal> {
    if let Some(dir) = &arguments.dump {
        prepare(dir)
            .map_err(|error| Refusal(format!("cannot dump into {}: {error}", dir.display()), 2))?;
    }
    let replayed = explore::replay(&Engine, arguments.address, &Watch::default())
        .map_err(|message| Refusal(message, 2))?;
    let mut out = io::stdout().lock();
    if arguments.trace {
        for line in &replayed.log {
            writeln!(out, "{line}")?;
        }
    }
    if let Some(dir) = &arguments.dump {
        let Some(disk) = &replayed.disk else {
            return Err(Refusal("an address without a crash has no image to dump".to_owned(), 2));
        };
        let count = dump(disk, dir)
            .map_err(|error| Refusal(format!("cannot dump into {}: {error}", dir.display()), 1))?;
        writeln!(out, "{count} files of the image are in {}", dir.display())?;
    }
    for violation in &replayed.tally.violations {
        write!(out, "\n{}", report::violation(violation))?;
    }
    if replayed.tally.violations.is_empty() {
        let checks: u64 = replayed.tally.invariants.values().sum();
        writeln!(out, "{}: no violation, {checks} invariants evaluated", arguments.address)?;
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::from(1))
}

fn prepare(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    if fs::read_dir(dir)?.next().is_some() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the directory is not empty"));
    }
    Ok(())
}

fn dump(disk: &DiskState, dir: &Path) -> io::Result<u64> {
    let mut count = 0;
    for (path, _) in disk.list() {
        let target = dir.join(path.strip_prefix("/").unwrap_or(&path));
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&target, disk.read(&path).unwrap_or_default())?;
        count += 1;
    }
    Ok(count)
}
