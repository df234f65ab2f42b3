//! `quiver-sim shrink`: a violation made small, in a file of its own.
//!
//! Ctrl-C ends it with what was reached, which is written and told of; a second one ends it at once.
//! A file that is there stays whole until there is a smaller one to put in its place.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;

use super::bar::progress_bar;
use super::exhaust::images_max;
use super::hunt::{self, Ground, Hunt};
use super::place::Place;
use super::replay::Target;
use super::swarm::missing;
use super::sweep::SEEDED;
use super::{CORPUS, Refusal, cancelled_by_ctrl_c, jobs_or_cores};
use crate::campaign::{PATIENCE, Which};
use crate::checker::Invariant;
use crate::exhaust::{IMAGES_MAX, PointBounds, Sequence};
use crate::panic_trap;
use crate::planted::Bug;
use crate::report;
use crate::repro::{Reproducer, Status, Systems, Verdict, Violates, invariant_of};
use crate::shrink::{self, Budget, Shrunk, Size, Written};
use crate::swarm;
use crate::sweep::Case;
use crate::system::System;
use crate::tally::Violation;

/// What a bar shows.
const BAR: &str = "{bar:24} {human_pos}/{human_len} runs, {msg}";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// SEED:POINT:IMAGE as a violation printed it, or a .repro file. With --mutant it may be left
    /// out: the first violation of that bug is looked for.
    target: Option<Target>,
    /// Where to write the reproducer; into corpus/sim, if that is here, by default. A file that is
    /// shrunk again is replaced.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How many minutes to try at most. The result depends on the machine only if they run out.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    minutes: u64,
    /// How many candidates to play at most.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    runs: u64,
    /// The address is one of this planted bug, as `mutants` names it.
    #[arg(long, value_name = "NAME")]
    mutant: Option<String>,
    /// A case of the sweep, as a violation printed it.
    #[arg(long, conflicts_with = "target")]
    case: Option<Case>,
    /// How many seeded histories the sweep of that case had besides the fixed ones.
    #[arg(long, default_value_t = SEEDED, requires = "case")]
    seeded: u64,
    /// A sequence of operations, as `exhaust` printed it.
    #[arg(long, conflicts_with_all = ["target", "case"])]
    sequence: Option<Sequence>,
    /// The stores of that sequence are encrypted.
    #[arg(long, requires = "sequence")]
    encrypted: bool,
    /// How many images of a point `exhaust` looked at, as the violation printed it.
    #[arg(long, default_value_t = IMAGES_MAX, requires = "sequence", value_parser = images_max)]
    images_max: u64,
    /// `exhaust` was thorough.
    #[arg(long, requires = "sequence")]
    thorough: bool,
    /// Which of the violations at the address, by the first word of its invariant; the first one by
    /// default.
    #[arg(long, value_name = "NAME", value_parser = invariant_of)]
    violates: Option<Invariant>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Refusal> {
    let cancel = cancelled_by_ctrl_c();
    let (file, out) = start(arguments, &cancel)?;
    let systems = Systems::of(&file.status).map_err(|why| Refusal(why, 2))?;
    let before = Size::of(&file);
    let limit = Some(Duration::from_secs(60 * arguments.minutes));
    let (runs, patience, cancelled) = (arguments.runs, PATIENCE, Some(&*cancel));
    let budget = Budget { runs, limit, patience, cancel: cancelled };
    let bar = progress_bar(arguments.runs, BAR).with_message("starting");
    let start = Instant::now();
    let shrunk = shrink::shrink(systems.shared(), file, budget, &mut |size, runs| {
        bar.set_position(runs);
        bar.set_message(size.to_string());
    });
    bar.finish_and_clear();
    let seconds = start.elapsed().as_secs_f64();
    let cancelled = cancel.load(Ordering::Relaxed);
    let Shrunk { file, runs, finished } =
        shrunk.map_err(|why| Refusal(why, if cancelled { 130 } else { 1 }))?;
    let cancelled = cancelled && !finished;
    let played = file.play(systems.shows());
    let violation = file.shown(&played).ok_or_else(|| {
        let why = "the smallest one does not reproduce a second time: a run is not deterministic";
        Refusal(why.to_owned(), 1)
    })?;
    let mut file = file.explained(violation);
    // A file that said how small it is says it anew.
    if finished && (arguments.mutant.is_some() || file.shrinks_to.is_some()) {
        file.shrinks_to = Some(file.history.operations.len());
    }
    // Z5: from here on only what was read back from the file is told.
    let written = shrink::write(systems.shows(), &file, &out).map_err(|why| Refusal(why, 1))?;
    let end = match (cancelled, finished) {
        (true, _) => "cancelled: begin again with the file",
        (false, true) => "nothing smaller is left to try",
        (false, false) => "the budget is used up: begin again with the file",
    };
    let end = format!("{runs} runs in {seconds:.1} s, {end}");
    tell(&file, &written, &out, &format!("before: {before}\nafter:  {}\n{end}", written.size))?;
    Ok(ExitCode::from(if cancelled { 130 } else { 0 }))
}

/// Prints the file, what it shows, and a test that plays it.
fn tell(file: &Reproducer, written: &Written, out: &Path, sizes: &str) -> io::Result<()> {
    let mut print = io::stdout().lock();
    let path = out.display();
    writeln!(print, "{}\n\n{sizes}", written.text.trim_end())?;
    write!(print, "\n{}", report::found(&written.violation, &path))?;
    let Verdict { words, as_said, .. } = file.verdict();
    if matches!(file.status, Status::Planted(_)) {
        let not = if as_said { "" } else { "NOT AS IT SAYS: " };
        writeln!(print, "  {not}{words}")?;
    }
    writeln!(print, "  replay with: cargo run --release -p quiver-sim -- replay {path}")?;
    let name = out.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let test = shrink::rust_test(&name.unwrap_or_default(), &written.text);
    let from = format!("played from {path}; every file of corpus/sim is played by the tests");
    write!(print, "\n{from}. On its own:\n\n{test}")
}

/// Whether the reproducer can be written, before minutes are spent on it.
fn may_write(out: &Path) -> Result<(), Refusal> {
    let refused = |why: &dyn std::fmt::Display| {
        let path = out.display();
        Refusal(format!("cannot write {path}: {why}; say where to with --out FILE"), 2)
    };
    if out.is_dir() {
        return Err(refused(&"it is a directory"));
    }
    let beside = shrink::beside(out);
    fs::write(&beside, "").and_then(|()| fs::remove_file(&beside)).map_err(|error| refused(&error))
}

/// The reproducer to start with, and the file to write; that it can be written is known before any work.
fn start(arguments: &Arguments, cancel: &AtomicBool) -> Result<(Reproducer, PathBuf), Refusal> {
    if let Some(Target::File(path)) = &arguments.target {
        if arguments.mutant.is_some() || arguments.violates.is_some() {
            let why = "a file says by itself what it violates, and with which planted bug: leave \
                       --mutant and --violates out";
            return Err(Refusal(why.to_owned(), 2));
        }
        let file = super::replay::read(path)?;
        let said = file.violates;
        let file = match &file.status {
            // What an input of the fuzzer says of itself means nothing.
            Status::Open => {
                as_shown(file, &*Systems::of(&Status::Open).map_err(|why| Refusal(why, 2))?.right)
            }
            Status::Fixed | Status::Planted(_) => file,
        };
        if file.violates != said {
            let (shown, said) = (file.violates.invariant.name(), said.invariant.name());
            let path = path.display();
            writeln!(io::stderr(), "{path} shows {shown}, not {said}: that is made smaller")?;
        }
        let out = arguments.out.clone().unwrap_or_else(|| path.clone());
        may_write(&out)?;
        return Ok((file, out));
    }
    let status = match &arguments.mutant {
        Some(name) => Status::Planted(name.clone()),
        None => Status::Open,
    };
    let systems = Systems::of(&status).map_err(|why| Refusal(why, 2))?;
    let name = default_name(arguments).ok_or_else(|| {
        let why = "nothing to shrink: give an address SEED:POINT:IMAGE, a .repro file, --case CASE, \
                   --sequence SEQUENCE or --mutant NAME";
        Refusal(why.to_owned(), 2)
    })?;
    let out = match &arguments.out {
        Some(out) => out.clone(),
        None => default_out(&name)?,
    };
    may_write(&out)?;
    let Arguments { target, case, sequence, seeded, violates, .. } = arguments;
    let (system, violates) = (systems.shows(), *violates);
    let file = match (case, sequence, target) {
        (Some(case), ..) => shrink::of_case(system, status, case, *seeded, violates),
        (_, Some(sequence), _) => {
            let Arguments { encrypted, images_max, thorough, .. } = *arguments;
            let within = (encrypted, PointBounds { images_max, thorough });
            shrink::of_sequence(system, status, sequence, within, violates)
        }
        (.., Some(Target::Address(address))) => {
            shrink::of_address(system, status, *address, violates)
        }
        _ => {
            let wrong = systems.wrong.as_ref().expect("a planted bug has a wrong system");
            let name = arguments.mutant.as_deref().expect("without one there was no name");
            match first(name, wrong, cancel)? {
                Place::Address(address) => shrink::of_address(system, status, address, violates),
                Place::Swept(case) => shrink::of_case(system, status, &case, SEEDED, violates),
                Place::Damaged(case) => Err(format!("damage is not made smaller: replay {case}")),
            }
        }
    };
    Ok((file.map_err(|why| Refusal(why, 1))?, out))
}

/// A file by what it shows where it fits its run and does not show what it says.
fn as_shown(file: Reproducer, system: &dyn System) -> Reproducer {
    let Ok(played) = panic_trap::catch(|| file.play(system)) else { return file };
    let fits = played.met.astray.is_none();
    let first = played.tally.violations.first().map(Violates::of);
    match first.filter(|_| fits && file.shown(&played).is_none()) {
        Some(violates) => Reproducer { violates, ..file },
        None => file,
    }
}

/// Where a planted bug shows first, of what can be made small. What leader and follower come to is passed
/// over: their histories are not.
fn first(name: &str, system: &Arc<dyn System>, cancel: &AtomicBool) -> Result<Place, Refusal> {
    let ground = ground_of(name, swarm::is_built())?;
    let (system, jobs, images_max) = (system.clone(), jobs_or_cores(None), hunt::IMAGES_MAX);
    let is_wanted = |violation: &Violation| violation.shrink().is_some();
    let mut hunt = Hunt { system, seed: 1, jobs, images_max, images: 0, is_wanted, cancel };
    if let Some((_, place)) = hunt.on(ground) {
        return Ok(place);
    }
    if hunt.is_cancelled() {
        return Err(Refusal("cancelled before the bug was found".to_owned(), 130));
    }
    let images = report::number(hunt.images);
    let why = format!(
        "{name} is not found in {images} images, but for where leader and follower meet, which is not made \
         smaller: give an address that `mutants --only {name}` prints"
    );
    Err(Refusal(why, 1))
}

/// Where a planted bug is looked for, in a build that has swarms or has none.
fn ground_of(name: &str, has_swarms: bool) -> Result<Ground, Refusal> {
    let bug = Bug::PLANTED.iter().find(|bug| bug.name() == name);
    let ground = bug.map_or(Ground::Crashes(Which::Plain), Ground::of);
    match ground {
        Ground::Damage => {
            let why = format!(
                "{name} shows in damaged stores only, and damage is not made smaller: `mutants --only \
                 {name}` says where it is found"
            );
            Err(Refusal(why, 2))
        }
        Ground::Tasks if !has_swarms => Err(missing()),
        Ground::Tasks | Ground::Crashes(_) => Ok(ground),
    }
}

/// What the file is called by default; nothing where nothing is asked for.
fn default_name(arguments: &Arguments) -> Option<String> {
    let Arguments { target, mutant, case, sequence, .. } = arguments;
    let name = match (case, sequence, mutant, target) {
        (Some(case), ..) => format!("case-{case}"),
        (_, Some(sequence), ..) => format!("sequence-{sequence}"),
        (_, _, Some(mutant), _) => format!("planted-{mutant}"),
        (_, _, _, Some(Target::Address(address))) => format!("seed-{address}"),
        _ => return None,
    };
    Some(plain(&name))
}

/// A name of a file for an address, a case or a bug.
fn plain(name: &str) -> String {
    name.replace(|c: char| !c.is_ascii_alphanumeric(), "-")
}

fn default_out(name: &str) -> Result<PathBuf, Refusal> {
    let folder = Path::new(CORPUS);
    let folder = if folder.is_dir() { folder } else { Path::new(".") };
    let out = folder.join(format!("{name}.repro"));
    match fs::exists(&out) {
        Ok(false) => Ok(out),
        Ok(true) => {
            let why = format!("{} is there already: say where to with --out", out.display());
            Err(Refusal(why, 2))
        }
        Err(error) => Err(Refusal(format!("cannot look for {}: {error}", out.display()), 2)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bug_of_tasks_is_refused_in_a_build_without_swarms_as_elsewhere() {
        for bug in Bug::PLANTED.iter().filter(|bug| bug.is_of_tasks()) {
            let refused = ground_of(bug.name(), false).map_err(|Refusal(why, code)| (why, code));
            assert_eq!(refused, Err((swarm::MISSING.to_owned(), 2)), "{}", bug.name());
            let ground = ground_of(bug.name(), true).map_err(|Refusal(why, _)| why);
            assert_eq!(ground, Ok(Ground::Tasks), "{}", bug.name());
        }
        let plain = ground_of("lying-sync", false).map_err(|Refusal(why, _)| why);
        assert_eq!(plain, Ok(Ground::Crashes(Which::Plain)));
    }

    /// An input of `store_ops` that was found names an invariant at random.
    #[test]
    fn file_that_shows_another_violation_than_it_says_is_shrunk_by_what_it_shows() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/sim");
        let text = fs::read_to_string(path.join("planted-acknowledged-before-sync.repro"));
        let file = Reproducer::parse(&text.expect("it is there")).expect("it is one");
        let wrong = Systems::of(&file.status).expect("it is planted").wrong.expect("it is wrong");
        let (said, file) = (file.violates, Reproducer { status: Status::Open, ..file });
        assert_eq!(as_shown(file.clone(), &*wrong).violates, said, "what is said is shown");
        let other = Violates { invariant: Invariant::I13, panics: true };
        let file = Reproducer { violates: other, ..file };
        assert_eq!(as_shown(file.clone(), &*wrong).violates, said);
        assert_eq!(as_shown(file, &crate::engine::Engine).violates, other, "nothing is shown");
    }
}
