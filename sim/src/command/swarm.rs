//! `quiver-sim swarm`: tasks that share a store, in virtual time.

use std::io::{StdoutLock, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::reports::Reports;
use super::{Refusal, cancelled_by_ctrl_c, jobs_or_cores, run::jobs, run::shard};
use crate::campaign::PATIENCE;
use crate::engine::Engine;
use crate::report;
use crate::swarm::{self, Bounds, Report};

/// How many seeds a campaign has.
const SEEDS: u64 = 2000;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Runs this seed alone, twice and once without tasks, and tells what its tasks did.
    #[arg(long, conflicts_with_all = ["seeds", "first", "shard"])]
    seed: Option<u64>,
    /// How many seeds to run.
    #[arg(long, default_value_t = SEEDS, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// How many threads; as many as there are cores by default.
    #[arg(long, value_parser = jobs)]
    jobs: Option<usize>,
    /// Which part of the seeds, of how many: 1/4 to 4/4 for four machines.
    #[arg(long, value_parser = shard, value_name = "I/N")]
    shard: Option<(u64, u64)>,
    /// Where to write the report as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Refusal> {
    let reports = Reports::open(arguments.json.as_ref(), None)?;
    let bounds = Bounds {
        seed: arguments.seed.unwrap_or(arguments.first),
        seeds: if arguments.seed.is_some() { 1 } else { arguments.seeds },
        jobs: jobs_or_cores(arguments.jobs),
        shard: arguments.shard.unwrap_or((0, 1)),
        alone: arguments.seed.is_some(),
        patience: PATIENCE,
    };
    let cancel = cancelled_by_ctrl_c();
    let done = swarm::run(Arc::new(Engine), &bounds, &cancel).ok_or_else(missing)?;
    let print = |out: &mut StdoutLock<'_>| {
        if done.violations.is_empty() {
            done.story.iter().try_for_each(|line| writeln!(out, "{line}"))?;
        }
        write!(out, "{}{}", report::swarm_text(&done), report::swarm_violations(&done))?;
        verdict(&done).unwrap_or(Ok(ExitCode::SUCCESS))
    };
    let found = !done.violations.is_empty();
    reports.tell(found, print, || report::swarm_json(&done), String::new)
}

/// This build has no swarms.
pub(super) fn missing() -> Refusal {
    Refusal(swarm::MISSING.to_owned(), 2)
}

/// How swarms end the command, if they do.
pub(super) fn verdict(done: &Report) -> Option<Result<ExitCode, Refusal>> {
    if !done.violations.is_empty() {
        return Some(Ok(ExitCode::from(1)));
    }
    if done.cancelled {
        return Some(Ok(ExitCode::from(130)));
    }
    let idle = done.idle();
    if idle.is_empty() {
        return None;
    }
    let message = format!("counters stayed at zero: {} (the swarm is dead there)", idle.join("; "));
    Some(Err(Refusal(message, 3)))
}
