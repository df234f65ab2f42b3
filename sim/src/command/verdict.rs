//! What a record shows and how it ends the command: the same for a run and for shards that are joined.
//!
//! - Counters at zero are an error of a whole run. One shard of many may have too few runs for some of
//!   them: its counters are judged when all shards are joined.

use std::io::Write;
use std::process::ExitCode;

use super::{Refusal, swarm, sweep};
use crate::damage;
use crate::engine::Engine;
use crate::record::Record;
use crate::report;

/// Cases of damage with which each counter has to have moved.
const CASES_THAT_MEET_ALL: u64 = 8000;

/// The tables of all parts besides the campaigns.
pub(super) fn parts_text(record: &Record) -> String {
    let Record { swept, hurt, swarmed, .. } = record;
    let swept = swept.as_ref().map(report::sweep_text).unwrap_or_default();
    let hurt = hurt.as_ref().map(report::damage_text).unwrap_or_default();
    let swarmed = swarmed.as_ref().map(report::swarm_text).unwrap_or_default();
    swept + &hurt + &swarmed
}

/// Every violation.
pub(super) fn violations_text(record: &Record) -> String {
    let Record { done, swept, hurt, swarmed, .. } = record;
    let swept = swept.as_ref().map(report::sweep_violations).unwrap_or_default();
    let hurt = hurt.as_ref().map(report::damage_violations).unwrap_or_default();
    let swarmed = swarmed.as_ref().map(report::swarm_violations).unwrap_or_default();
    let mut out = swept + &hurt + &swarmed;
    for violation in &done.tally.violations {
        out.push('\n');
        out.push_str(&report::violation(violation));
    }
    out
}

/// The page, for which the first violations are played again.
pub(super) fn page(record: &Record) -> String {
    let timelines = report::timeline::of_record(&Engine, record, sweep::SEEDED);
    report::run_html(record, &timelines)
}

/// How it ends.
pub(super) fn of(record: &Record, out: &mut impl Write) -> Result<ExitCode, Refusal> {
    let Record { done, swept, hurt, swarmed, shards, .. } = record;
    if record.violations() > 0 {
        return Ok(ExitCode::from(1));
    }
    if record.is_cancelled() {
        return Ok(ExitCode::from(130));
    }
    let idle = done.tally.idle().join(", ");
    if shards.are_some() {
        if !idle.is_empty() {
            writeln!(out, "counters at zero, to be judged by `merge`: {idle}")?;
        }
    } else {
        let swept = swept.as_ref().and_then(sweep::verdict);
        let hurt = || hurt.as_ref().and_then(of_damage);
        let swarmed = || swarmed.as_ref().and_then(swarm::verdict);
        if let Some(ended) = swept.or_else(hurt).or_else(swarmed) {
            return ended;
        }
        if !idle.is_empty() {
            let advice = "run more images, or find out why the check is dead";
            return Err(Refusal(format!("counters stayed at zero: {idle}; {advice}"), 3));
        }
    }
    let images = report::number(done.tally.images_checked);
    let rate = report::number(report::rate(done.tally.images_checked, done.elapsed));
    writeln!(out, "no violation in {images} images, {rate} per second")?;
    Ok(ExitCode::SUCCESS)
}

/// How a damage campaign ends the command, if it does.
fn of_damage(done: &damage::Report) -> Option<Result<ExitCode, Refusal>> {
    let idle = done.counts.idle();
    if idle.is_empty() || done.counts.cases < CASES_THAT_MEET_ALL {
        return None;
    }
    let message = format!("counters stayed at zero: {}; a check is dead there", idle.join(", "));
    Some(Err(Refusal(message, 3)))
}
