//! `quiver-sim sweep`: every fault at every I/O call of small histories.

use std::io::{StdoutLock, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::reports::Reports;
use super::{Refusal, cancelled_by_ctrl_c, jobs_or_cores, run::jobs};
use crate::campaign::PATIENCE;
use crate::engine::Engine;
use crate::report;
use crate::sweep::{self, Bounds, Case, Report};

/// One pair in so many is run by default.
const PAIRS_ONE_IN: u64 = 12;

/// Seeded histories besides the fixed ones.
pub(super) const SEEDED: u64 = 4;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Runs one case only, as a violation printed it.
    #[arg(long)]
    case: Option<Case>,
    /// How many seeded histories to sweep besides the fixed ones.
    #[arg(long, default_value_t = SEEDED)]
    seeded: u64,
    /// Runs one pair of faults in so many.
    #[arg(long, default_value_t = PAIRS_ONE_IN, value_parser = clap::value_parser!(u64).range(1..))]
    pairs_one_in: u64,
    /// How many threads; as many as there are cores by default.
    #[arg(long, value_parser = jobs)]
    jobs: Option<usize>,
    /// Where to write the report as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Refusal> {
    let reports = Reports::open(arguments.json.as_ref(), None)?;
    if let Some(case) = &arguments.case {
        let done = sweep::run_case(&Engine, case, arguments.seeded)
            .map_err(|message| Refusal(message, 2))?;
        let found = !done.violations.is_empty();
        let print = |out: &mut StdoutLock<'_>| {
            write!(out, "{}", report::sweep_violations(&done))?;
            if !found {
                writeln!(out, "{case}: no violation in {} images", done.tally.images_checked)?;
            }
            Ok(ExitCode::from(u8::from(found)))
        };
        return reports.tell(found, print, || report::sweep_json(&done), String::new);
    }
    let bounds = Bounds {
        seeded: arguments.seeded,
        pairs_one_in: arguments.pairs_one_in,
        jobs: jobs_or_cores(arguments.jobs),
        shard: (0, 1),
        patience: PATIENCE,
    };
    let cancel = cancelled_by_ctrl_c();
    let done = sweep::sweep(Arc::new(Engine), &bounds, &cancel);
    let print = |out: &mut StdoutLock<'_>| {
        write!(out, "{}{}", report::sweep_text(&done), report::sweep_violations(&done))?;
        verdict(&done).unwrap_or(Ok(ExitCode::SUCCESS))
    };
    let found = !done.violations.is_empty();
    reports.tell(found, print, || report::sweep_json(&done), String::new)
}

/// The bounds of the part that the default run makes.
pub(super) fn default_bounds(jobs: usize, shard: (u64, u64)) -> Bounds {
    Bounds { seeded: SEEDED, pairs_one_in: PAIRS_ONE_IN, jobs, shard, patience: PATIENCE }
}

/// How a sweep ends the command, if it does.
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
    let message = format!("counters stayed at zero: {} (the sweep is dead there)", idle.join("; "));
    Some(Err(Refusal(message, 3)))
}
