//! `quiver-sim replay`: one image again, from its address or from a reproducer.

use std::fs;
use std::io::{self, StdoutLock, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use clap::Args;
use serde_json::Value;

use super::Refusal;
use super::reports::Reports;
use crate::address::{Address, Of};
use crate::damage::{self, Case};
use crate::disk::DiskState;
use crate::engine::Engine;
use crate::explore::{self, Replayed};
use crate::replica;
use crate::report::{self, timeline::Timeline};
use crate::repro::{Reproducer, Status, Systems};
use crate::shrink;
use crate::watch::Watch;

/// What to do about a file that cannot be read.
pub(super) const RESTORE: &str =
    "restore it, play it with the program that wrote it, or shrink its violation again";

/// What to play.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// An image.
    Address(Address),
    /// A case of damage.
    Damage(Case),
    /// A reproducer.
    File(PathBuf),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if Case::is_meant(text) {
            return text.parse().map(Self::Damage);
        }
        // What starts with a digit and is no file was meant as an address.
        match text.parse() {
            Ok(address) => Ok(Self::Address(address)),
            Err(why) if text.starts_with(|c: char| c.is_ascii_digit()) && !text.contains('.') => {
                Err(why)
            }
            Err(_) => Ok(Self::File(text.into())),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// SEED:POINT:IMAGE, and :POINT:IMAGE for each nested crash; the same of a replica history with
    /// `replica-` before it; `damage:STORE:N` and the like; or a .repro file.
    target: Target,
    /// Prints the way to the image and every I/O call of its recovery.
    #[arg(long)]
    trace: bool,
    /// Writes the files of the image into a directory that is new or empty.
    #[arg(long, value_name = "DIR")]
    dump: Option<PathBuf>,
    /// Writes a page with the way to the violation, and a good image beside the bad one.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Refusal> {
    if let Some(dir) = &arguments.dump {
        prepare(dir)
            .map_err(|error| Refusal(format!("cannot dump into {}: {error}", dir.display()), 2))?;
    }
    let reports = Reports::open(None, arguments.html.as_ref())?;
    let (replayed, what, note) = match &arguments.target {
        Target::Address(address) if address.is_replica() => {
            let (tally, log) = replica::replay(&Engine, *address, &Watch::default())
                .map_err(|message| Refusal(message, 2))?;
            (Replayed { tally, log, disk: None }, address.to_string(), String::new())
        }
        Target::Address(address) if address.kind() == Of::Swarm => {
            let words = format!("quiver-sim swarm --seed {}", address.seed);
            return Err(Refusal(format!("a swarm is shown again by `{words}`"), 2));
        }
        Target::Address(address) => {
            let replayed = explore::replay(&Engine, *address, &Watch::default())
                .map_err(|message| Refusal(message, 2))?;
            (replayed, address.to_string(), String::new())
        }
        Target::Damage(_) if arguments.html.is_some() => {
            let why = "a case of damage has no way to show: leave --html out";
            return Err(Refusal(why.to_owned(), 2));
        }
        Target::Damage(case) => return hurt(case),
        Target::File(path) => play(path)?,
    };
    let violations = &replayed.tally.violations;
    let print = |out: &mut StdoutLock<'_>| {
        write!(out, "{note}")?;
        print(out, arguments, &replayed, &what)
    };
    let page = || {
        let way = if violations.is_empty() { None } else { way(&arguments.target) };
        report::replay_html(&what, violations, way.as_ref(), &replayed.log)
    };
    reports.tell(!violations.is_empty(), print, || Value::Null, page)
}

/// Tells what an image shows, and dumps it.
fn print(
    out: &mut StdoutLock<'_>,
    arguments: &Arguments,
    replayed: &Replayed,
    what: &str,
) -> Result<ExitCode, Refusal> {
    if arguments.trace {
        for line in &replayed.log {
            writeln!(out, "{line}")?;
        }
    }
    if let Some(dir) = &arguments.dump {
        let Some(disk) = &replayed.disk else {
            return Err(Refusal(
                "there is no crash, and so no image: leave --dump out".to_owned(),
                2,
            ));
        };
        let count = dump(disk, dir)
            .map_err(|error| Refusal(format!("cannot dump into {}: {error}", dir.display()), 2))?;
        writeln!(out, "{count} files of the image are in {}", dir.display())?;
    }
    for violation in &replayed.tally.violations {
        let shown = match arguments.target {
            Target::Address(_) => report::violation(violation),
            Target::Damage(_) | Target::File(_) => report::found(violation, &what),
        };
        write!(out, "\n{shown}")?;
    }
    if replayed.tally.violations.is_empty() {
        let checks: u64 = replayed.tally.invariants.values().sum();
        writeln!(out, "{what}: no violation, {checks} invariants evaluated")?;
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::from(1))
}

/// The way to a violation, where it can be told.
fn way(target: &Target) -> Option<Timeline> {
    match target {
        Target::Address(address) => {
            let file = shrink::of_address(&Engine, Status::Open, *address, None).ok()?;
            Timeline::of(&Engine, &file).ok()
        }
        Target::File(path) => {
            let file = read(path).ok()?;
            let systems = Systems::of(&file.status).ok()?;
            Timeline::of(systems.shows(), &file).ok()
        }
        Target::Damage(_) => None,
    }
}

/// One case of damage.
fn hurt(case: &Case) -> Result<ExitCode, Refusal> {
    let done = damage::run_case(&Engine, case).map_err(|message| Refusal(message, 2))?;
    let mut out = io::stdout().lock();
    write!(out, "{}", report::damage_violations(&done))?;
    if done.violations.is_empty() {
        writeln!(out, "{case}: no violation in {} stores examined", done.counts.images)?;
    }
    Ok(ExitCode::from(u8::from(!done.violations.is_empty())))
}

/// Reads a text.
pub(super) fn text(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => "it is no text".to_owned(),
        _ => error.to_string(),
    })
}

/// Reads a reproducer.
pub(super) fn read(path: &Path) -> Result<Reproducer, Refusal> {
    let refused = |why: String| Refusal(format!("{}: {why}", path.display()), 2);
    let text = text(path).map_err(|why| {
        let advice = "give an address SEED:POINT:IMAGE or a .repro file";
        refused(format!("{why}; {}", if path.is_file() { RESTORE } else { advice }))
    })?;
    let file = Reproducer::parse(&text).map_err(|why| refused(format!("{why}; {RESTORE}")))?;
    Systems::of(&file.status).map_err(refused)?;
    Ok(file)
}

/// Plays a reproducer where its violation shows, or ought to.
fn play(path: &Path) -> Result<(Replayed, String, String), Refusal> {
    let file = read(path)?;
    let what = path.display().to_string();
    let systems = Systems::of(&file.status).map_err(|why| Refusal(format!("{what}: {why}"), 2))?;
    let played = file.play(systems.shows());
    if let Some(why) = played.met.astray {
        let advice = "shrink it again, which looks for its place anew";
        return Err(Refusal(format!("{what} does not fit this run any more: {why}; {advice}"), 2));
    }
    let note = match &file.status {
        Status::Planted(name) => format!("with the planted bug {name}\n"),
        Status::Open | Status::Fixed => String::new(),
    };
    let (tally, log, disk) = (played.tally, played.log, played.disk);
    Ok((Replayed { tally, log, disk }, what, note))
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
