//! `quiver-sim shrink`: a violation made small, in a file of its own.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::replay::Target;
use super::{CORPUS, Refusal, jobs_or_cores};
use crate::address::Address;
use crate::campaign::{Campaign, PATIENCE};
use crate::checker::Invariant;
use crate::report;
use crate::repro::{Reproducer, Status, Systems, Verdict, invariant_of};
use crate::shrink::{self, Budget, Shrunk, Size};
use crate::system::System;

/// How many images are looked at for the first violation of a planted bug.
const IMAGES: u64 = 400_000;

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
    /// Which of the violations at the address, by the first word of its invariant; the first one by
    /// default.
    #[arg(long, value_name = "NAME", value_parser = invariant_of)]
    violates: Option<Invariant>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Refusal> {
    let (file, out) = start(arguments)?;
    let systems = Systems::of(&file.status).map_err(|why| Refusal(why, 2))?;
    let before = Size::of(&file);
    let limit = Some(Duration::from_secs(60 * arguments.minutes));
    let budget = Budget { runs: arguments.runs, limit };
    let bar = progress_bar(arguments.runs);
    let shrunk = shrink::shrink(systems.shows(), file, budget, &mut |size, runs| {
        bar.set_position(runs);
        bar.set_message(size.to_string());
    });
    bar.finish_and_clear();
    let Shrunk { file, runs, finished } = shrunk.map_err(|why| Refusal(why, 1))?;
    let played = file.play(systems.shows());
    let violation = file.shown(&played).ok_or_else(|| {
        Refusal(
            "the smallest one does not reproduce a second time: a run is not deterministic"
                .to_owned(),
            1,
        )
    })?;
    let file = file.explained(violation);
    // Z5: from here on only what was read back from the file is told.
    let written = shrink::write(systems.shows(), &file, &out).map_err(|why| Refusal(why, 1))?;
    let mut print = io::stdout().lock();
    let path = out.display();
    writeln!(print, "{}", written.text.trim_end())?;
    writeln!(print, "\nbefore: {before}\nafter:  {}", written.size)?;
    let end = if finished { "nothing smaller is left to try" } else { "the budget is used up" };
    writeln!(print, "{runs} runs, {end}")?;
    write!(print, "\n{}", report::found(&written.violation, &path))?;
    let Verdict { words, as_said, .. } = file.verdict();
    if matches!(file.status, Status::Planted(_)) {
        let not = if as_said { "" } else { "NOT AS IT SAYS: " };
        writeln!(print, "  {not}{words}")?;
    }
    writeln!(print, "  replay with: cargo run --release -p quiver-sim -- replay {path}")?;
    let name = out.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let test = shrink::rust_test(&name.unwrap_or_default(), &written.text);
    writeln!(
        print,
        "\nplayed from {path}; every file of corpus/sim is played by the tests. On its own:\n"
    )?;
    write!(print, "{test}")?;
    Ok(ExitCode::SUCCESS)
}

/// The reproducer to start with, and the file to write.
fn start(arguments: &Arguments) -> Result<(Reproducer, PathBuf), Refusal> {
    let status = match &arguments.mutant {
        Some(name) => Status::Planted(name.clone()),
        None => Status::Open,
    };
    let address = match &arguments.target {
        Some(Target::File(path)) => {
            if arguments.mutant.is_some() {
                let why = "a file says by itself which bug is planted: leave --mutant out";
                return Err(Refusal(why.to_owned(), 2));
            }
            let file = super::replay::read(path)?;
            return Ok((file, arguments.out.clone().unwrap_or_else(|| path.clone())));
        }
        Some(Target::Address(address)) => Some(*address),
        None => None,
    };
    let systems = Systems::of(&status).map_err(|why| Refusal(why, 2))?;
    let address = match (address, systems.wrong.clone()) {
        (Some(address), _) => address,
        (None, Some(wrong)) => first_violation(wrong)?,
        (None, None) => {
            let why = "nothing to shrink: give an address, a .repro file, or --mutant NAME";
            return Err(Refusal(why.to_owned(), 2));
        }
    };
    let out = match &arguments.out {
        Some(out) => out.clone(),
        None => default_out(arguments.mutant.as_deref(), address)?,
    };
    let file = shrink::of_address(systems.shows(), status, address, arguments.violates);
    file.map(|file| (file, out)).map_err(|why| Refusal(why, 1))
}

fn first_violation(system: Arc<dyn System>) -> Result<Address, Refusal> {
    let campaign = Campaign {
        seed: 1,
        seeds: None,
        images: Some(IMAGES),
        limit: None,
        jobs: jobs_or_cores(None),
        shard: (0, 1),
        patience: PATIENCE,
        system,
    };
    let enough = AtomicBool::new(false);
    let found = campaign.run(
        &mut |progress| enough.store(!progress.tally.violations.is_empty(), Ordering::Relaxed),
        &enough,
    );
    let first = found.tally.violations.first().map(|violation| violation.address);
    let images = report::number(IMAGES);
    first.ok_or_else(|| Refusal(format!("the bug is not found in {images} images"), 1))
}

fn default_out(mutant: Option<&str>, address: Address) -> Result<PathBuf, Refusal> {
    let folder = Path::new(CORPUS);
    let folder = if folder.is_dir() { folder } else { Path::new(".") };
    let name = match mutant {
        Some(name) => format!("planted-{}", name.replace('/', "-")),
        None => format!("seed-{}", address.to_string().replace(':', "-")),
    };
    let out = folder.join(name + ".repro");
    match fs::exists(&out) {
        Ok(false) => Ok(out),
        Ok(true) => {
            let why = format!("{} is there already: say where to with --out", out.display());
            Err(Refusal(why, 2))
        }
        Err(error) => Err(Refusal(format!("cannot look for {}: {error}", out.display()), 2)),
    }
}

fn progress_bar(runs: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:24} {human_pos}/{human_len} runs, {msg}");
    ProgressBar::with_draw_target(Some(runs), ProgressDrawTarget::stderr_with_hz(5))
        .with_style(style.expect("a constant template"))
        .with_message("starting")
}
