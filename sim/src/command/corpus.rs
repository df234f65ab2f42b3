//! `quiver-sim corpus`: every reproducer and scenario of a directory.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use clap::Args;

use super::replay::{self, RESTORE};
use super::{CORPUS, Refusal, cancelled_by_ctrl_c};
use crate::panic_trap;
use crate::repro::{Outcome, Reproducer};
use crate::scenario;

/// What to do about a directory that is not the right one.
const ADVICE: &str = "begin in the repository, or name the directory";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The directory with .repro and .scenario files.
    #[arg(default_value = CORPUS, value_name = "DIR")]
    dir: PathBuf,
}

/// A line of the table.
struct Row {
    outcome: &'static str,
    /// Whether the file does what it says; `None` where it cannot be read.
    as_said: Option<bool>,
    name: String,
    words: String,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Refusal> {
    let dir = &arguments.dir;
    let unreadable =
        |error: io::Error| Refusal(format!("cannot read {}: {error}; {ADVICE}", dir.display()), 2);
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let extension = path.extension().map(|extension| extension.to_string_lossy().into_owned());
        if matches!(extension.as_deref(), Some("repro" | "scenario")) {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        let why = format!("{} has no .repro and no .scenario file; {ADVICE}", dir.display());
        return Err(Refusal(why, 2));
    }
    let cancel = cancelled_by_ctrl_c();
    let mut out = io::stdout().lock();
    let (mut as_said, mut otherwise, mut unread) = (0, 0, 0);
    for path in &paths {
        if cancel.load(Ordering::Relaxed) {
            writeln!(out, "cancelled: the rest was not played")?;
            return Ok(ExitCode::from(130));
        }
        let row = look(path);
        let sign = match row.as_said {
            Some(true) => "ok",
            Some(false) => "WRONG",
            None => "-",
        };
        match row.as_said {
            Some(true) => as_said += 1,
            Some(false) => otherwise += 1,
            None => unread += 1,
        }
        let Row { outcome, name, words, .. } = row;
        writeln!(out, "{outcome:<15}{sign:<6}{name}")?;
        if !words.is_empty() {
            writeln!(out, "{:<21}{words}", "")?;
        }
    }
    let count = paths.len();
    writeln!(out, "{count} files: {as_said} as they say, {otherwise} not, {unread} not readable")?;
    Ok(ExitCode::from(match (otherwise, unread) {
        (0, 0) => 0,
        (_, 0) => 1,
        _ => 2,
    }))
}

fn look(path: &Path) -> Row {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let unread =
        |words: String| Row { outcome: "does not parse", as_said: None, name: name.clone(), words };
    let text = match replay::text(path) {
        Ok(text) => text,
        Err(why) => return unread(format!("{why}; {RESTORE}")),
    };
    if path.extension().is_some_and(|extension| extension == "scenario") {
        let played = panic_trap::catch(|| scenario::check(&text)).flatten();
        let outcome = if played.is_ok() { "passes" } else { "fails" };
        let as_said = Some(played.is_ok());
        return Row { outcome, as_said, name, words: played.err().unwrap_or_default() };
    }
    match Reproducer::parse(&text) {
        Err(wrong) => unread(format!("{wrong}; {RESTORE}")),
        Ok(file) => {
            let verdict = file.verdict();
            let outcome = match verdict.outcome {
                Outcome::Passes => "passes",
                Outcome::Reproduces => "reproduces",
                Outcome::Strays => "does not fit",
            };
            Row { outcome, as_said: Some(verdict.as_said), name, words: verdict.words }
        }
    }
}
