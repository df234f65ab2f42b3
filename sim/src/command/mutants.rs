//! `quiver-sim mutants`: is every sync needed, and would the checks see a wrong engine?

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use serde_json::{Value, json};

use super::sweep::default_bounds;
use super::{Refusal, ReportFile, cancelled_by_ctrl_c, jobs_or_cores, run::jobs};
use crate::campaign::{Campaign, PATIENCE, Report, Which};
use crate::damage;
use crate::disk::Filesystem;
use crate::planted::{Bug, Planted, SyncSites};
use crate::report::number;
use crate::swarm;
use crate::sweep;
use crate::system::System;

/// How many times as long an image of an encrypted store takes.
const ENCRYPTED_TAKES: u64 = 5;

/// How many images a campaign checks before the sweep has its turn, which takes a known number.
const IMAGES_BEFORE_SWEEP: u64 = 60_000;

/// Seeds whose stores are damaged for each bug that only damage shows.
const DAMAGED_SEEDS: u64 = 100;

/// Seeds whose tasks meet for each bug that only they show.
const SWARM_SEEDS: u64 = 200;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How many images each wrong engine may take before it counts as not found.
    #[arg(long, default_value_t = 1_500_000, value_parser = clap::value_parser!(u64).range(1..))]
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
    /// Tries the planted bugs of these names only, and no elided sync.
    #[arg(long, value_name = "NAME", value_parser = planted_name)]
    only: Vec<String>,
    /// Where to write the table as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What became of one wrong engine.
struct Verdict {
    name: String,
    /// What has to coincide before it does harm.
    conditions: &'static [&'static str],
    images: u64,
    /// The invariant that was violated first, and where.
    first: Option<(&'static str, String)>,
}

/// A name of the catalogue.
fn planted_name(name: &str) -> Result<String, String> {
    let mut names = Bug::PLANTED.iter().map(Bug::name);
    match names.clone().any(|known| known == name) {
        true => Ok(name.to_owned()),
        false => {
            let known = names.by_ref().collect::<Vec<_>>().join(", ");
            Err(format!("no planted bug has that name; there are {known}"))
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Refusal> {
    if !swarm::is_built() {
        return Err(super::swarm::missing());
    }
    let file = arguments.json.as_deref().map(ReportFile::open).transpose()?;
    let cancel = cancelled_by_ctrl_c();
    let mut out = io::stdout().lock();
    let (plain, mut images) = sound(arguments, Which::Plain, &cancel)?;
    let (encrypted, more_images) = sound(arguments, Which::Encrypted, &cancel)?;
    images += more_images;
    let resealed = Arc::new(Planted::new(Bug::Resealed));
    let (seed, which) = (arguments.seed, Which::Plain);
    let resealed = campaign(arguments, which, seed, resealed, arguments.control, &cancel);
    if let Some(violation) = resealed.tally.violations.first() {
        let address = violation.address;
        return Err(Refusal(format!("the wrapper is no control: it fails at {address}"), 1));
    }
    // Where a site is reached without keys too, that is where it is looked for.
    let mut sites: BTreeMap<&String, (Which, u64)> = BTreeMap::new();
    sites.extend(encrypted.iter().map(|(site, calls)| (site, (Which::Encrypted, *calls))));
    sites.extend(plain.iter().map(|(site, calls)| (site, (Which::Plain, *calls))));
    let images = number(images);
    writeln!(out, "control: no violation in {images} images, {} sync sites reached", sites.len())?;
    let is_wanted = |bug: &&Bug| {
        arguments.only.is_empty() || arguments.only.iter().any(|name| name == bug.name())
    };
    let mut elided = Vec::new();
    for (site, (which, calls)) in sites.into_iter().filter(|_| arguments.only.is_empty()) {
        let verdict = hunt(arguments, Bug::ElidedSync(site.clone()), which, &cancel);
        let Some(verdict) = verdict else { return cut_short(&mut out) };
        print(&mut out, &verdict)?;
        elided.push((verdict, calls));
    }
    let mut planted = Vec::new();
    for bug in Bug::PLANTED.iter().filter(is_wanted) {
        let which = if bug.is_of_encryption() { Which::Encrypted } else { Which::Plain };
        let Some(verdict) = hunt(arguments, bug.clone(), which, &cancel) else {
            return cut_short(&mut out);
        };
        print(&mut out, &verdict)?;
        planted.push(verdict);
    }
    let verdicts = elided.iter().map(|(verdict, _)| verdict).chain(&planted);
    let missed = verdicts.filter(|verdict| verdict.first.is_none()).count();
    if let Some(file) = file {
        file.write(&table(&elided, &planted, missed == 0))?;
    }
    if missed > 0 {
        writeln!(out, "{missed} not caught: the checks are too weak, or a sync is not needed")?;
        return Ok(ExitCode::from(1));
    }
    writeln!(out, "all {} caught", elided.len() + planted.len())?;
    Ok(ExitCode::SUCCESS)
}

/// Runs the engine itself, as the control; the sites of syncs that it reached, and the images.
fn sound(
    arguments: &Arguments,
    which: Which,
    cancel: &AtomicBool,
) -> Result<(SyncSites, u64), Refusal> {
    let control = Arc::new(Planted::new(Bug::None));
    let (seed, images) = (arguments.seed, arguments.control);
    let sound = campaign(arguments, which, seed, control.clone(), images, cancel);
    match sound.tally.violations.first() {
        None => Ok((control.sync_sites(), sound.tally.images_checked)),
        Some(violation) => {
            let address = violation.address;
            Err(Refusal(format!("the engine itself fails at {address}: see `run`"), 1))
        }
    }
}

fn table(elided: &[(Verdict, u64)], planted: &[Verdict], all_caught: bool) -> Value {
    let sync_sites: Vec<Value> = elided
        .iter()
        .map(|(verdict, calls)| {
            let mut row = row(verdict);
            row["calls"] = json!(calls);
            row
        })
        .collect();
    let planted: Vec<Value> = planted.iter().map(row).collect();
    json!({ "sync_sites": sync_sites, "planted": planted, "all_caught": all_caught })
}

/// Looks for a wrong engine as the default run does: in a campaign, and in the sweep, which puts
/// faults where a campaign rarely draws them; `None` if cancelled.
fn hunt(arguments: &Arguments, bug: Bug, which: Which, cancel: &AtomicBool) -> Option<Verdict> {
    let name = match &bug {
        Bug::ElidedSync(site) => format!("no sync at {site}"),
        other => other.name().to_owned(),
    };
    let mut verdict = Verdict { name, conditions: bug.conditions(), images: 0, first: None };
    let (is_of_damage, is_of_tasks) = (bug.is_of_damage(), bug.is_of_tasks());
    let system = Arc::new(Planted::new(bug));
    if is_of_tasks {
        verdict.swarm(arguments, &*system, cancel);
        return (!cancel.load(Ordering::Relaxed)).then_some(verdict);
    }
    if is_of_damage {
        verdict.damage(arguments, &*system, cancel);
        return (!cancel.load(Ordering::Relaxed)).then_some(verdict);
    }
    // Histories with keys take a multiple of the time.
    let bound = match which {
        Which::Encrypted => arguments.images / ENCRYPTED_TAKES,
        _ => arguments.images,
    };
    let first = bound.min(IMAGES_BEFORE_SWEEP);
    let from = (which, arguments.seed);
    let seeds = verdict.campaign(arguments, from, system.clone(), first, cancel);
    if verdict.first.is_none() && verdict.images < bound {
        verdict.sweep(&*system, jobs_or_cores(arguments.jobs), cancel);
    }
    if verdict.first.is_none() && verdict.images < bound {
        let rest = bound - verdict.images;
        verdict.campaign(arguments, (which, arguments.seed + seeds), system, rest, cancel);
    }
    (!cancel.load(Ordering::Relaxed)).then_some(verdict)
}

impl Verdict {
    /// Goes on in a campaign; how many seeds it took.
    fn campaign(
        &mut self,
        arguments: &Arguments,
        (which, seed): (Which, u64),
        system: Arc<dyn System>,
        images: u64,
        cancel: &AtomicBool,
    ) -> u64 {
        let tally = campaign(arguments, which, seed, system, images, cancel).tally;
        self.images += tally.images_checked + tally.replica_images();
        let first = tally.violations.first();
        self.first =
            first.map(|violation| (violation.invariant.name(), violation.address.to_string()));
        tally.seeds + tally.seeds_left_out
    }

    /// Goes on in the sweep.
    fn sweep(&mut self, system: &dyn System, jobs: usize, cancel: &AtomicBool) {
        let done = sweep::sweep(system, &default_bounds(jobs, (0, 1)), cancel);
        self.images += done.tally.images_checked;
        let first = done.violations.first();
        self.first = first.map(|(case, violation)| (violation.invariant.name(), case.to_string()));
    }
}

impl Verdict {
    /// Goes on in swarms.
    fn swarm(&mut self, arguments: &Arguments, system: &dyn System, cancel: &AtomicBool) {
        let bounds = swarm::Bounds {
            seed: arguments.seed,
            seeds: SWARM_SEEDS,
            jobs: jobs_or_cores(arguments.jobs),
            shard: (0, 1),
            alone: false,
        };
        let Some(done) = swarm::run(system, &bounds, cancel) else { return };
        self.images += done.tally.images_checked;
        let first = done.violations.first();
        self.first =
            first.map(|(violation, _)| (violation.invariant.name(), violation.address.to_string()));
    }

    /// Goes on with damage, which has a known number of cases.
    fn damage(&mut self, arguments: &Arguments, system: &dyn System, cancel: &AtomicBool) {
        let bounds = damage::Bounds {
            seed: arguments.seed,
            seeds: DAMAGED_SEEDS,
            jobs: jobs_or_cores(arguments.jobs),
            shard: (0, 1),
            violations_max: 1,
        };
        let done = damage::run(system, &bounds, cancel);
        self.images += done.counts.images;
        let first = done.violations.first();
        self.first = first.map(|found| (found.finding.invariant.name(), found.case.to_string()));
    }
}

fn campaign(
    arguments: &Arguments,
    which: Which,
    seed: u64,
    system: Arc<dyn System>,
    images: u64,
    cancel: &AtomicBool,
) -> Report {
    let campaign = Campaign {
        seed,
        seeds: None,
        images: Some(images),
        limit: None,
        jobs: jobs_or_cores(arguments.jobs),
        shard: (0, 1),
        which,
        filesystem: Filesystem::Posix,
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

/// A line of the table: the number behind the name is that of the conditions.
fn print(out: &mut impl Write, verdict: &Verdict) -> io::Result<()> {
    let Verdict { name, conditions, images, first } = verdict;
    let (count, images) = (conditions.len(), number(*images));
    match first {
        Some((invariant, place)) => writeln!(
            out,
            "caught      {name:<40} {count} {invariant:<28} {images:>9} images, at {place}"
        ),
        None => {
            writeln!(out, "NOT CAUGHT  {name:<40} {count} {:<28} {images:>9} images", "")?;
            conditions.iter().try_for_each(|condition| writeln!(out, "    where {condition}"))
        }
    }
}

fn row(verdict: &Verdict) -> Value {
    json!({
        "name": verdict.name,
        "conditions": verdict.conditions,
        "caught": verdict.first.is_some(),
        "images": verdict.images,
        "invariant": verdict.first.as_ref().map(|(invariant, _)| invariant),
        "address": verdict.first.as_ref().map(|(_, place)| place),
    })
}

fn cut_short(out: &mut impl Write) -> Result<ExitCode, Refusal> {
    writeln!(out, "cancelled: the rest was not tried")?;
    Ok(ExitCode::from(130))
}
