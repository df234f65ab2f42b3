//! The tool `quiver`: looks at stores, checks, copies and mends them. Feature `cli`.
//!
//! One file for each command, one for what they all say and how (`output`), one for Ctrl-C (`stop`).
//!
//! - B1. Answers go to standard output, progress and errors to standard error. With `--json` an answer is
//!   one JSON document, or one a line where it is a stream, and an error is one too.
//! - B2. The exit code says what kind of end it was: see [`output::Failure`].
//! - B3. Nothing is written but by the commands whose help says so.

mod compact;
mod copies;
mod dump;
mod export;
mod import;
mod keys;
mod output;
mod stats;
mod stop;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use keys::{KeyFile, Opener};
use output::{Failure, Output};

const AFTER: &str = "\
A store is a directory: CURRENT names a manifest, which names all other files; logs hold what was \
written last, segments the rows before it.

Exit codes:
  0    done, and nothing is wrong
  1    something is damaged, or does not check out
  2    wrong usage, or what was asked for is not there or is in the way
  3    the disk failed or is full
  4    the store is open elsewhere
  130  ended by Ctrl-C; what was done stays, and most commands can be begun again

An encrypted store is opened with --key-file FILE, or QUIVER_KEY_FILE.

When a store is damaged:
  quiver verify DIR             says which files, and whose rows they hold
  quiver restore BACKUP NEW     makes a store of a backup
  quiver salvage DIR NEW        copies what can still be read into a new store";

/// Looks at quiver stores, checks, copies and mends them.
#[derive(Debug, Parser)]
#[command(name = "quiver", version, after_help = AFTER)]
struct Arguments {
    /// Answer in JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    key_file: KeyFile,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Collections, rows, files and state of a store. Writes nothing.
    Stats(stats::Arguments),
    /// Read every page of every file and hold the files against each other. Writes nothing.
    Verify(verify::Arguments),
    /// Show what stands in a store's files: pages, frames, the manifest, rows. Writes nothing.
    Dump(dump::Arguments),
    /// Copy a store into an empty directory; the copy is a store. An unfinished one is gone on with.
    Backup(copies::Backup),
    /// Make a store of a backup in an empty directory. An unfinished one is gone on with.
    Restore(copies::Arguments),
    /// Copy what can be read of a damaged store into a new one, and say what cannot.
    Salvage(copies::Arguments),
    /// Write rows of a file into a collection: .jsonl, .npy, .fvecs, .bvecs.
    Import(import::Arguments),
    /// Write the rows of a collection as JSON lines, which `import` reads back. Changes nothing.
    Export(export::Arguments),
    /// Join the segments of each collection into one, so that the store takes the least space.
    Compact(compact::Arguments),
    /// Put another master key in the place of the one an encrypted store has.
    Rotate(keys::Rotate),
    /// Drop a collection of an encrypted store and destroy its key.
    Shred(keys::Shred),
}

/// A store's directory.
#[derive(Debug, clap::Args)]
struct Dir {
    /// The store's directory.
    dir: PathBuf,
}

fn run(command: &Command, opener: &Opener, out: &mut Output) -> Result<(), Failure> {
    match command {
        Command::Stats(arguments) => stats::run(arguments, opener, out),
        Command::Verify(arguments) => verify::run(arguments, opener, out),
        Command::Dump(arguments) => dump::run(arguments, out),
        Command::Backup(arguments) => copies::backup(arguments, opener, out),
        Command::Restore(arguments) => copies::restore(arguments, opener, out),
        Command::Salvage(arguments) => copies::salvage(arguments, opener, out),
        Command::Import(arguments) => import::run(arguments, opener, out),
        Command::Export(arguments) => export::run(arguments, opener, out),
        Command::Compact(arguments) => compact::run(arguments, opener, out),
        Command::Rotate(arguments) => keys::rotate(arguments, opener, out),
        Command::Shred(arguments) => keys::shred(arguments, opener, out),
    }
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // Help and version are no errors, and clap knows where each belongs.
        Err(error) => error.exit(),
    };
    let mut out = Output::new(arguments.json);
    stop::listen();
    let done = Opener::new(&arguments.key_file)
        .and_then(|opener| run(&arguments.command, &opener, &mut out))
        .and_then(|()| out.finish());
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::PipeClosed) => ExitCode::SUCCESS,
        Err(failure) => {
            out.fail(&failure);
            ExitCode::from(failure.code())
        }
    }
}
