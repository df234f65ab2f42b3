//! `quiver-sim run`: the main job.

use std::io::{StdoutLock, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::reports::Reports;
use super::stages::{KEEP_EVERY_MS, Stages};
use super::{Refusal, cancelled_by_ctrl_c, jobs_or_cores, verdict};
use crate::campaign::{Campaign, PATIENCE, Which};
use crate::disk::Filesystem;
use crate::engine::Engine;
use crate::record::{self, Bounds, Parts, Shards, State};
use crate::report;
use crate::swarm;
use crate::system::System;

/// How many images a run checks if nothing else bounds it.
const IMAGES: u64 = 1_000_000;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Takes the first seed from a text instead, such as the name of a commit: each then has histories of
    /// its own, the same wherever it is run.
    #[arg(long, value_name = "TEXT", conflicts_with = "seed", value_parser = NonEmptyStringValueParser::new())]
    seed_of: Option<String>,
    /// How many seeds to run. So many are damaged and have swarms too, up to a bound.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// How many images to check; a million if nothing else bounds the run.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "seeds")]
    images: Option<u64>,
    /// How many minutes to run at most: sweep, damage and swarms have at most 15 % of them each, and the
    /// campaigns what is left.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    minutes: Option<u64>,
    /// Goes on behind --images until every counter that has to move has moved, or --minutes are over.
    #[arg(long, conflicts_with = "seeds")]
    until_met: bool,
    /// How many threads; as many as there are cores by default.
    #[arg(long, value_parser = jobs)]
    jobs: Option<usize>,
    /// Which part of the seeds, of how many: 1/4 to 4/4 for four machines. `merge` joins their reports.
    #[arg(long, value_parser = shard, value_name = "I/N")]
    shard: Option<(u64, u64)>,
    /// Which histories to run.
    #[arg(long, value_enum, default_value_t)]
    histories: Which,
    /// Which filesystem is on the disk: `posix` promises least, and is what everything is proved against.
    ///
    /// Another one is what an engine gets away with there. Sweep, damage, swarms and stores that
    /// follow one another are left out then.
    #[arg(long, value_enum, default_value_t)]
    medium: Filesystem,
    /// Where to write the report as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where to write the report as one page, with the way to each violation.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Keeps what is under way in this file, and goes on from it when started again with the same
    /// arguments: after Ctrl-C, and after a machine that went down.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// How often it is kept.
    #[arg(long, hide = true, default_value_t = KEEP_EVERY_MS)]
    keep_every_ms: u64,
    /// Leaves out the sweep of faults over small histories.
    #[arg(long)]
    no_sweep: bool,
    /// Leaves out the damage to stores.
    #[arg(long)]
    no_damage: bool,
    /// Leaves out the swarms of tasks.
    #[arg(long)]
    no_swarm: bool,
    /// Prints neither progress nor table, only violations, counters at zero and the last line.
    #[arg(long)]
    quiet: bool,
}

impl Arguments {
    fn images(&self) -> Option<u64> {
        let unbounded = self.seeds.is_none() && (self.minutes.is_none() || self.until_met);
        self.images.or(unbounded.then_some(IMAGES))
    }

    fn bounds(&self) -> Bounds {
        let seed = self.seed_of.as_deref().map_or(self.seed, record::seed_of);
        // Those know the reference alone.
        let whole = self.medium == Filesystem::Posix;
        let (sweep, damage) = (whole && !self.no_sweep, whole && !self.no_damage);
        let swarm = whole && !self.no_swarm;
        Bounds {
            seed,
            seed_of: self.seed_of.clone(),
            seeds: self.seeds,
            images: self.images(),
            minutes: self.minutes,
            until_met: self.until_met,
            which: self.histories,
            parts: Parts { sweep, damage, swarm },
            medium: self.medium.name().to_owned(),
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Refusal> {
    // A run that left them out without a word would count as a proof of more than it looked at.
    if arguments.bounds().parts.swarm && !swarm::is_built() {
        let Refusal(missing, code) = super::swarm::missing();
        return Err(Refusal(format!("{missing}; or say --no-swarm to run the rest"), code));
    }
    let reports = Reports::open(arguments.json.as_ref(), arguments.html.as_ref())?;
    let system: Arc<dyn System> = Arc::new(Engine);
    let (bounds, version) = (arguments.bounds(), system.version());
    let program = record::program()
        .map_err(|error| Refusal(format!("cannot read this program: {error}"), 2))?;
    let campaign = Campaign {
        seed: bounds.seed,
        seeds: bounds.seeds,
        images: bounds.images,
        limit: bounds.minutes.map(|minutes| Duration::from_secs(60 * minutes)),
        jobs: jobs_or_cores(arguments.jobs),
        shard: arguments.shard.unwrap_or((0, 1)),
        which: bounds.which,
        filesystem: arguments.medium,
        patience: PATIENCE,
        system,
    };
    let state = State::new(&program, version, bounds.clone(), Shards::one(campaign.shard));
    let state = match &arguments.state {
        Some(path) => begun(state, path)?,
        None => state,
    };
    let (kept, quiet, cancel) = (arguments.state.clone(), arguments.quiet, cancelled_by_ctrl_c());
    let keep_every = Duration::from_millis(arguments.keep_every_ms);
    let (cancel, is_told) = (&*cancel, false);
    let stages =
        Stages { campaign, bounds, program, state, kept, keep_every, is_told, quiet, cancel };
    let record = stages.carry_out();
    let print = |out: &mut StdoutLock<'_>| {
        if !quiet {
            let table = report::text(&record.done, version, &record.bounds.medium);
            write!(out, "{}{table}", verdict::parts_text(&record))?;
            write!(out, "{}", report::memory_text())?;
        }
        write!(out, "{}", verdict::violations_text(&record))?;
        verdict::of(&record, out)
    };
    let found = record.violations() > 0;
    reports.tell(found, print, || record.json(), || verdict::page(&record))
}

/// The state of a file, which can be written.
fn begun(state: State, path: &Path) -> Result<State, Refusal> {
    let refused = |why: String| Refusal(format!("{}: {why}", path.display()), 2);
    let state = state.load(path).map_err(refused)?;
    let saved = state.save(path);
    saved.map_err(|error| refused(format!("cannot write the state: {error}")))?;
    Ok(state)
}

pub(super) fn jobs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(jobs @ 1..=1024) => Ok(jobs),
        _ => Err("expected 1 to 1024 threads".to_owned()),
    }
}

/// Reads `I/N`, counted from one, as a part counted from zero.
pub(super) fn shard(text: &str) -> Result<(u64, u64), String> {
    let parts = text
        .split_once('/')
        .and_then(|(part, parts)| Some((part.parse::<u64>().ok()?, parts.parse::<u64>().ok()?)));
    match parts {
        Some((part, parts)) if (1..=parts).contains(&part) => Ok((part - 1, parts)),
        _ => Err("expected I/N with I from 1 to N, such as 2/4".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_count_from_one() {
        assert_eq!(shard("1/4"), Ok((0, 4)));
        assert_eq!(shard("4/4"), Ok((3, 4)));
        for wrong in ["0/4", "5/4", "1", "a/b", "1/0", "-1/2"] {
            assert!(shard(wrong).is_err(), "{wrong}");
        }
    }
}
