//! `quiver-sim mutants`: is every sync needed, and would the checks see a wrong engine?

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use serde_json::{Value, json};

use super::{Refusal, ReportFile, cancelled_by_ctrl_c, jobs_or_cores, run::jobs};
use crate::campaign::{Campaign, PATIENCE, Report};
use crate::planted::{Bug, Planted, SyncSites};
use crate::report::number;
use crate::system::System;
use crate::tally::Violation;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How many images each wrong engine may take before it counts as not found.
    #[arg(long, default_value_t = 300_000, value_parser = clap::value_parser!(u64).range(1..))]
    images: u64,
    /// How many images the engine itself has to pass, as the control.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    control: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many threads; as many as there are cores by default.
    #[arg(long, value_parser = jobs)]
    jobs: Option<usize>,
    /// Where to write the table as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What became of one wrong engine.
struct Verdict {
    name: String,
    images: u64,
    first: Option<Violation>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Refusal> {
    let file = arguments.json.as_deref().map(ReportFile::open).transpose()?;
    let cancel = cancelled_by_ctrl_c();
    let control = Arc::new(Planted::new(Bug::None));
    let mut out = io::stdout().lock();
    let sound = campaign(arguments, control.clone(), arguments.control, &cancel);
    if let Some(violation) = sound.tally.violations.first() {
        let address = violation.address;
        return Err(Refusal(format!("the engine itself fails at {address}: see `run`"), 1));
    }
    let sites: SyncSites = control.sync_sites();
    let images = number(sound.tally.images_checked);
    writeln!(out, "control: no violation in {images} images, {} sync sites reached", sites.len())?;
    let mut elided = Vec::new();
    for (site, calls) in &sites {
        let verdict = hunt(arguments, Bug::ElidedSync(site.clone()), &cancel);
        let Some(verdict) = verdict else { return cut_short(&mut out) };
        print(&mut out, &verdict)?;
        elided.push((verdict, *calls));
    }
    let mut planted = Vec::new();
    for bug in Bug::PLANTED {
        let Some(verdict) = hunt(arguments, bug, &cancel) else { return cut_short(&mut out) };
        print(&mut out, &verdict)?;
        planted.push(verdict);
    }
    let verdicts = elided.iter().map(|(verdict, _)| verdict).chain(&planted);
    let missed = verdicts.filter(|verdict| verdict.first.is_none()).count();
    if let Some(file) = file {
        let sync_sites: Vec<Value> = elided
            .iter()
            .map(|(verdict, calls)| {
                let mut row = row(verdict);
                row["calls"] = json!(calls);
                row
            })
            .collect();
        let planted: Vec<Value> = planted.iter().map(row).collect();
        let all_caught = missed == 0;
        file.write(&json!({
            "sync_sites": sync_sites,
            "planted": planted,
            "all_caught": all_caught,
        }))?;
    }
    if missed > 0 {
        writeln!(out, "{missed} not caught: the checks are too weak, or a sync is not needed")?;
        return Ok(ExitCode::from(1));
    }
    writeln!(out, "all {} caught", elided.len() + planted.len())?;
    Ok(ExitCode::SUCCESS)
}

/// Runs a wrong engine until its first violation; `None` if cancelled.
fn hunt(arguments: &Arguments, bug: Bug, cancel: &AtomicBool) -> Option<Verdict> {
    let name = match &bug {
        Bug::ElidedSync(site) => format!("no sync at {site}"),
        other => other.name().to_owned(),
    };
    let report = campaign(arguments, Arc::new(Planted::new(bug)), arguments.images, cancel);
    if cancel.load(Ordering::Relaxed) {
        return None;
    }
    let first = report.tally.violations.first().cloned();
    Some(Verdict { name, images: report.tally.images_checked, first })
}

fn campaign(
    arguments: &Arguments,
    system: Arc<dyn System>,
    images: u64,
    cancel: &AtomicBool,
) -> Report {
    let campaign = Campaign {
        seed: arguments.seed,
        seeds: None,
        images: Some(images),
        limit: None,
        jobs: jobs_or_cores(arguments.jobs),
        shard: (0, 1),
        patience: PATIENCE,
        system,
    };
    let enough = AtomicBool::new(false);
    campaign.run(
        &mut |progress| {
            if cancel.load(Ordering::Relaxed) || !progress.tally.violations.is_empty() {
                enough.store(true, Ordering::Relaxed);
            }
        },
        &enough,
    )
}

fn print(out: &mut impl Write, verdict: &Verdict) -> io::Result<()> {
    let Verdict { name, images, first } = verdict;
    match first {
        Some(violation) => {
            let (invariant, address) = (violation.invariant.name(), violation.address);
            writeln!(
                out,
                "caught      {name:<44} {invariant:<12} {:>9} images, at {address}",
                number(*images)
            )
        }
        None => writeln!(out, "NOT CAUGHT  {name:<44} {:<12} {:>9} images", "", number(*images)),
    }
}

fn row(verdict: &Verdict) -> Value {
    json!({
        "name": verdict.name,
        "caught": verdict.first.is_some(),
        "images": verdict.images,
        "invariant": verdict.first.as_ref().map(|violation| violation.invariant.name()),
        "address": verdict.first.as_ref().map(|violation| violation.address.to_string()),
    })
}

fn cut_short(out: &mut impl Write) -> Result<ExitCode, Refusal> {
    writeln!(out, "cancelled: the rest was not tried")?;
    Ok(ExitCode::from(130))
}
