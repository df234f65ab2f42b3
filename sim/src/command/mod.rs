//! The command line: `run`, `merge`, `replay`, `sweep`, `swarm`, `exhaust`, `mutants`, `shrink`, `corpus`.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | no violation, and every counter moved |
//! | 1 | a violation; a planted bug that was not found; nothing to shrink, for it does not reproduce; a file of the corpus that does not do what its status says |
//! | 2 | wrong arguments; an address or a file that cannot be read, does not parse or does not fit the run; a shard that is missing; a build that has no swarms was asked for one; a report or a line that cannot be written, where there is no violation |
//! | 3 | no violation, but a counter stayed at zero: the run was too short, or a check is dead; not of one shard of many |
//! | 130 | ended by Ctrl-C, with the table so far, or the file; a second one ends it at once |

mod bar;
mod corpus;
mod exhaust;
mod hunt;
mod merge;
mod mutants;
mod patches;
mod place;
mod replay;
mod reports;
mod run;
mod shrink;
mod stages;
mod swarm;
mod sweep;
#[cfg(test)]
mod tests;
mod verdict;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};

/// Where reproducers and scenarios are kept, seen from the repository.
const CORPUS: &str = "corpus/sim";

/// Signals closer than this are one: `timeout` tells a process, and then all of its group.
const ONE_PRESS: Duration = Duration::from_millis(400);

/// Crashes a store a million times and checks what it recovers.
#[derive(Debug, Parser)]
#[command(name = "quiver-sim", version, args_conflicts_with_subcommands = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: run::Arguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks recovery at crash points of seeded histories (the default).
    Run(run::Arguments),
    /// Shows one image again, from the address that a violation printed or from a .repro file.
    Replay(replay::Arguments),
    /// Puts every fault at every I/O call of small histories; a part of the default run too.
    Sweep(sweep::Arguments),
    /// Lets several tasks, background work and kills share a store in virtual time; a part of the
    /// default run too.
    Swarm(swarm::Arguments),
    /// Looks at every sequence of a few operations up to a depth, at every crash point of each and at
    /// every legal image of that: a proof of a small scope.
    ///
    /// Points with more legal images than --images-max have so many of them drawn; how many such points
    /// there are, and which share of all legal images was looked at, is in the table.
    Exhaust(exhaust::Arguments),
    /// Makes a violation as small as it will go and writes it into a .repro file.
    ///
    /// Operations, faults, crashes, contents and what survived are left out or made plainer as long
    /// as the same invariant is violated. What it prints was read back from the file and played.
    Shrink(shrink::Arguments),
    /// Plays every .repro and .scenario file of a directory and says whether each does what it says.
    ///
    /// A file with `status fixed` has to pass, one with `status planted NAME` has to reproduce with
    /// that bug and pass without it, and one with `status open` counts as wrong for as long as it
    /// reproduces. Exit codes: 0 all do what they say, 1 one does not, 2 one does not parse.
    Corpus(corpus::Arguments),
    /// Joins the reports of shards, or directories of reproducers.
    ///
    /// The totals are those of one run of all seeds. A report that is damaged or of another run is named
    /// and left out, and so is a shard that is there already; what is missing is said. Exit codes: 0 no
    /// violation in all shards, 1 a violation, 2 a report was left out or is missing, 3 counters at zero.
    Merge(merge::Arguments),
    /// Plants wrong engines and elided syncs: each must be found.
    Mutants(mutants::Arguments),
}

/// Why a command ended early: what to tell, and the exit code.
struct Refusal(String, u8);

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self(format!("cannot print: {error}"), 2)
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let line = CommandLine::parse();
    let done = match line.command {
        None => run::run(&line.run),
        Some(Command::Run(arguments)) => run::run(&arguments),
        Some(Command::Replay(arguments)) => replay::run(&arguments),
        Some(Command::Sweep(arguments)) => sweep::run(&arguments),
        Some(Command::Swarm(arguments)) => swarm::run(&arguments),
        Some(Command::Exhaust(arguments)) => exhaust::run(&arguments),
        Some(Command::Shrink(arguments)) => shrink::run(&arguments),
        Some(Command::Corpus(arguments)) => corpus::run(&arguments),
        Some(Command::Merge(arguments)) => merge::run(&arguments),
        Some(Command::Mutants(arguments)) => mutants::run(&arguments),
    };
    match done {
        Ok(code) => code,
        Err(Refusal(message, code)) => {
            complain(&message);
            ExitCode::from(code)
        }
    }
}

/// Tells of an error.
fn complain(message: &str) {
    // Nobody is left to tell where the error channel is gone.
    let _ = writeln!(io::stderr(), "error: {message}");
}

/// A flag that Ctrl-C sets. A second Ctrl-C ends the process at once.
fn cancelled_by_ctrl_c() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = flag.clone();
    let mut first: Option<Instant> = None;
    let handler = move || {
        set.store(true, Ordering::Relaxed);
        if first.get_or_insert_with(Instant::now).elapsed() > ONE_PRESS {
            std::process::exit(130);
        }
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        let _ = writeln!(io::stderr(), "Ctrl-C will end the run without a table: {error}");
    }
    flag
}

/// As many threads as there are cores, if the caller does not say.
fn jobs_or_cores(jobs: Option<usize>) -> usize {
    jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}
