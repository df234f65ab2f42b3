//! Engines of others on the simulated disk: settings that promise to survive do, settings that do not are
//! caught.
//!
//! `cargo run --release --manifest-path sim/foreign/Cargo.toml [-- redb|sqlite] [--images N] [--faults]`

mod redb;
mod rows;
mod sqlite;
#[cfg(test)]
mod tests;
mod vfs;

use std::process::ExitCode;

use ::redb::Durability;
use clap::{Parser, ValueEnum};
use quiver_sim::subject::{Options, Report, explore};

use crate::redb::Redb;
use crate::sqlite::Sqlite;

/// Runs engines of others under simulated crashes and compares the outcome with what is expected.
#[derive(Debug, Parser)]
struct Command {
    /// Only this engine.
    engine: Option<Engine>,
    /// Images of a setting that ought to pass, about.
    #[arg(long, default_value_t = 20_000)]
    images: u64,
    /// Calls that fail, too: what is found then is told, and expected of nobody.
    #[arg(long)]
    faults: bool,
    /// The stories of what was found.
    #[arg(long)]
    stories: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Engine {
    Redb,
    Sqlite,
}

/// What ought to come of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Passes,
    Caught,
}

/// A row of the table.
struct Setting {
    engine: Engine,
    name: &'static str,
    /// What is asked of it.
    promise: &'static str,
    /// Whether what never became durable may read as bytes of a deleted file.
    stale_bytes: bool,
    /// Whether a sector that is being written may be garbage.
    torn_sectors: bool,
    expected: Verdict,
    run: fn(&Options) -> Report,
}

/// Acknowledged transactions survive, whole and in their order.
const DURABLE: &str = "durable";
/// What is there is the outcome of the transactions up to some point.
const ORDERED: &str = "ordered";

fn redb(options: &Options, durability: Durability, two_phase: bool) -> Report {
    explore(Redb { durability, two_phase, in_place: false }, options)
}

fn sqlite(
    options: &Options,
    journal_mode: &'static str,
    synchronous: &'static str,
    promise: &str,
) -> Report {
    // Its random numbers are those of the process.
    let options = Options { jobs: 1, ..options.clone() };
    explore(Sqlite { journal_mode, synchronous, is_durable: promise == DURABLE }, &options)
}

/// All that is looked at.
const SETTINGS: [Setting; 15] = [
    Setting {
        engine: Engine::Redb,
        name: "Durability::Immediate",
        promise: DURABLE,
        stale_bytes: true,
        torn_sectors: false,
        expected: Verdict::Passes,
        run: |options| redb(options, Durability::Immediate, false),
    },
    Setting {
        engine: Engine::Redb,
        name: "Durability::Immediate, two phases",
        promise: DURABLE,
        stale_bytes: true,
        torn_sectors: false,
        expected: Verdict::Passes,
        run: |options| redb(options, Durability::Immediate, true),
    },
    Setting {
        engine: Engine::Redb,
        name: "Durability::None",
        promise: DURABLE,
        stale_bytes: true,
        torn_sectors: false,
        expected: Verdict::Caught,
        run: |options| redb(options, Durability::None, false),
    },
    Setting {
        engine: Engine::Sqlite,
        name: "journal, synchronous=EXTRA",
        promise: DURABLE,
        stale_bytes: false,
        torn_sectors: true,
        expected: Verdict::Passes,
        run: |options| sqlite(options, "DELETE", "EXTRA", DURABLE),
    },
    Setting {
        engine: Engine::Sqlite,
        name: "journal, synchronous=FULL",
        promise: ORDERED,
        stale_bytes: false,
        torn_sectors: true,
        expected: Verdict::Passes,
        run: |options| sqlite(options, "DELETE", "FULL", ORDERED),
    },
    Setting {
        engine: Engine::Sqlite,
        name: "journal, synchronous=FULL",
        promise: DURABLE,
        // The removal of the journal commits, and is not synced: as documented at EXTRA.
        stale_bytes: false,
        torn_sectors: true,
        expected: Verdict::Caught,
        run: |options| sqlite(options, "DELETE", "FULL", DURABLE),
    },
    Setting {
        engine: Engine::Sqlite,
        name: "journal, synchronous=OFF",
        promise: ORDERED,
        stale_bytes: false,
        torn_sectors: true,
        expected: Verdict::Caught,
        run: |options| sqlite(options, "DELETE", "OFF", ORDERED),
    },
    Setting {
        engine: Engine::Sqlite,
        name: "WAL, synchronous=FULL",
        promise: DURABLE,
        stale_bytes: true,
        torn_sectors: true,
        expected: Verdict::Passes,
        run: |options| sqlite(options, "WAL", "FULL", DURABLE),
    },
    Setting {
        engine: Engine::Sqlite,
        name: "WAL, synchronous=NORMAL",
        promise: ORDERED,
        stale_bytes: true,
        torn_sectors: true,
        expected: Verdict::Passes,
        run: |options| sqlite(options, "WAL", "NORMAL", ORDERED),
    },
    Setting {
        engine: Engine::Sqlite,
        name: "WAL, synchronous=NORMAL",
        promise: DURABLE,
        stale_bytes: true,
        torn_sectors: true,
        expected: Verdict::Caught,
        run: |options| sqlite(options, "WAL", "NORMAL", DURABLE),
    },
    Setting {
        engine: Engine::Sqlite,
        name: "WAL, synchronous=OFF",
        promise: ORDERED,
        stale_bytes: true,
        torn_sectors: true,
        expected: Verdict::Caught,
        run: |options| sqlite(options, "WAL", "OFF", ORDERED),
    },
    Setting {
        engine: Engine::Sqlite,
        name: "WAL, synchronous=OFF",
        promise: DURABLE,
        stale_bytes: true,
        torn_sectors: true,
        expected: Verdict::Caught,
        run: |options| sqlite(options, "WAL", "OFF", DURABLE),
    },
    Setting {
        engine: Engine::Redb,
        name: "Durability::Immediate",
        promise: ORDERED,
        stale_bytes: true,
        torn_sectors: true,
        // Its header is written in place, the magic number with it.
        expected: Verdict::Caught,
        run: |options| redb(options, Durability::Immediate, false),
    },
    Setting {
        engine: Engine::Redb,
        name: "Immediate, created in place",
        promise: DURABLE,
        stale_bytes: true,
        torn_sectors: false,
        expected: Verdict::Caught,
        run: |options| {
            let durability = Durability::Immediate;
            explore(Redb { durability, two_phase: true, in_place: true }, options)
        },
    },
    Setting {
        engine: Engine::Sqlite,
        name: "journal, synchronous=EXTRA",
        promise: ORDERED,
        stale_bytes: true,
        torn_sectors: true,
        // The header of a journal has no checksum: that of a deleted one is taken for its own.
        expected: Verdict::Caught,
        run: |options| sqlite(options, "DELETE", "EXTRA", ORDERED),
    },
];

impl Setting {
    /// Looks at about so many images, and ends with the first failure.
    fn look(&self, images: u64, faults: bool) -> Report {
        let of_seed = 400;
        let seeds = 0..images.div_ceil(of_seed);
        let Self { stale_bytes, torn_sectors, .. } = *self;
        let options = Options { seeds, images: of_seed, faults, ..Options::default() };
        (self.run)(&Options { stale_bytes, torn_sectors, ..options })
    }
}

impl Verdict {
    fn of(report: &Report) -> Self {
        if report.is_clean() { Self::Passes } else { Self::Caught }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Passes => "passes",
            Self::Caught => "caught",
        }
    }
}

fn main() -> ExitCode {
    let command = Command::parse();
    println!(
        "engine  setting                            asked    stale  torn  expected  seen    images"
    );
    let mut as_expected = true;
    for setting in &SETTINGS {
        if command.engine.is_some_and(|engine| engine != setting.engine) {
            continue;
        }
        let report = setting.look(command.images, command.faults);
        let seen = Verdict::of(&report);
        as_expected &= seen == setting.expected;
        let engine = format!("{:?}", setting.engine).to_lowercase();
        let found = report.found.first();
        let images = found.map_or(report.tally.images, |found| found.images);
        let kind = found.map_or(String::new(), |found| format!(", {}", found.finding.kind.name()));
        println!(
            "{engine:<7} {:<34} {:<8} {:<6} {:<5} {:<9} {:<7} {images}{kind}",
            setting.name,
            setting.promise,
            if setting.stale_bytes { "yes" } else { "no" },
            if setting.torn_sectors { "yes" } else { "no" },
            setting.expected.word(),
            seen.word()
        );
        if command.stories && !report.is_clean() || seen != setting.expected {
            println!("{report}");
        }
    }
    if as_expected || command.faults { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
