//! What a record shows and how it ends the command: the same for a run and for shards that are joined.
//! What it comes to is [`Record::verdict`], which the page tells too.

use std::io::Write;
use std::process::ExitCode;

use super::{Refusal, sweep};
use crate::engine::Engine;
use crate::record::{Record, Verdict};
use crate::report;

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

/// How many violations there are, by the part that found them, and where to begin.
fn summary(record: &Record) -> String {
    let Record { done, swept, hurt, swarmed, .. } = record;
    let parts = [
        ("the sweep", swept.as_ref().map_or(0, |part| part.violations.len())),
        ("damage", hurt.as_ref().map_or(0, |part| part.violations.len())),
        ("swarms", swarmed.as_ref().map_or(0, |part| part.violations.len())),
        ("campaigns", done.tally.violations.len()),
    ];
    let all: usize = parts.iter().map(|(_, count)| count).sum();
    let told = parts.iter().filter(|(_, count)| *count > 0);
    let told: Vec<String> = told.map(|(part, count)| format!("{count} in {part}")).collect();
    let begin = "one cause may show many times: begin with one that can be shrunk, and look at the rest again \
                 once it is mended";
    format!("{all} violations: {}; {begin}", told.join(", "))
}

/// How it ends.
pub(super) fn of(record: &Record, out: &mut impl Write) -> Result<ExitCode, Refusal> {
    match record.verdict() {
        Verdict::Violated => {
            writeln!(out, "\n{}", summary(record))?;
            return Ok(ExitCode::from(1));
        }
        Verdict::Cancelled => return Ok(ExitCode::from(130)),
        Verdict::Idle(idle) => {
            let images = report::number(record.done.tally.images_checked);
            writeln!(out, "no violation in {images} images of campaigns, which is no pass yet")?;
            return Err(Refusal(format!("counters stayed at zero: {idle}"), 3));
        }
        Verdict::SomeShards => {
            let idle = record.done.tally.idle().join("; ");
            if !idle.is_empty() {
                writeln!(out, "counters at zero, to be judged by `merge`: {idle}")?;
            }
        }
        Verdict::Sound => {}
    }
    let done = &record.done;
    let images = report::number(done.tally.images_checked);
    let rate = report::number(report::rate(done.tally.images_checked, done.elapsed));
    writeln!(out, "no violation in {images} images, {rate} per second")?;
    Ok(ExitCode::SUCCESS)
}
