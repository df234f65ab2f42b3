//! `quiver-sim run`: the main job.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::sweep::{default_bounds, verdict};
use super::{Refusal, ReportFile, cancelled_by_ctrl_c, jobs_or_cores};
use crate::campaign::{Campaign, End, PATIENCE, Progress, Report, Which};
use crate::damage;
use crate::disk::Filesystem;
use crate::engine::Engine;
use crate::report;
use crate::swarm;
use crate::sweep;
use crate::system::System;

/// How many images a run checks if nothing else bounds it.
const IMAGES: u64 = 1_000_000;

/// How many of a hundred images are of encrypted stores, and of a hundred minutes.
const ENCRYPTED_IMAGES_PERCENT: u64 = 12;
const ENCRYPTED_TIME_PERCENT: u32 = 18;

/// How many images stand for one seed whose stores are damaged, and how many seeds there are at most.
const IMAGES_PER_DAMAGED_SEED: u64 = 1600;
const DAMAGED_SEEDS_MAX: u64 = 600;

/// How many images stand for one seed of a swarm, and how many seeds there are at most.
const IMAGES_PER_SWARM_SEED: u64 = 4000;
const SWARM_SEEDS_MAX: u64 = 250;

/// Cases of damage with which each counter has to have moved.
const CASES_THAT_MEET_ALL: u64 = 8000;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds to run.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// How many images to check; a million if nothing else bounds the run.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "seeds")]
    images: Option<u64>,
    /// How many minutes to run at most.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    minutes: Option<u64>,
    /// How many threads; as many as there are cores by default.
    #[arg(long, value_parser = jobs)]
    jobs: Option<usize>,
    /// Which part of the seeds, of how many: 1/4 to 4/4 for four machines.
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
    /// Leaves out the sweep of faults over small histories.
    #[arg(long)]
    no_sweep: bool,
    /// Leaves out the damage to stores.
    #[arg(long)]
    no_damage: bool,
    /// Leaves out the swarms of tasks.
    #[arg(long)]
    no_swarm: bool,
    /// Prints neither progress nor table, only violations and counters at zero.
    #[arg(long)]
    quiet: bool,
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

impl Arguments {
    fn images(&self) -> Option<u64> {
        let unbounded = self.seeds.is_none() && self.minutes.is_none();
        self.images.or(unbounded.then_some(IMAGES))
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Refusal> {
    // A run that left them out without a word would count as a proof of more than it looked at.
    let whole = arguments.medium == Filesystem::Posix;
    if whole && !arguments.no_swarm && !swarm::is_built() {
        let Refusal(missing, code) = super::swarm::missing();
        return Err(Refusal(format!("{missing}; or say --no-swarm to run the rest"), code));
    }
    let file = arguments.json.as_deref().map(ReportFile::open).transpose()?;
    let system: Arc<dyn System> = Arc::new(Engine);
    let campaign = Campaign {
        seed: arguments.seed,
        seeds: arguments.seeds,
        images: arguments.images(),
        limit: arguments.minutes.map(|minutes| Duration::from_secs(60 * minutes)),
        jobs: jobs_or_cores(arguments.jobs),
        shard: arguments.shard.unwrap_or((0, 1)),
        which: arguments.histories,
        filesystem: arguments.medium,
        patience: PATIENCE,
        system: system.clone(),
    };
    let cancel = cancelled_by_ctrl_c();
    let parts = Parts::of(arguments, &campaign, &cancel);
    let done = run_campaigns(&campaign, arguments.quiet, &cancel);
    if let Some(file) = file {
        let mut json = report::json(&done, system.version());
        parts.add_to(&mut json);
        file.write(&json)?;
    }
    let mut out = io::stdout().lock();
    if !arguments.quiet {
        write!(out, "{}{}", parts.text(), report::text(&done, system.version()))?;
    }
    write!(out, "{}", parts.violations())?;
    for violation in &done.tally.violations {
        write!(out, "\n{}", report::violation(violation))?;
    }
    if !done.tally.violations.is_empty() {
        return Ok(ExitCode::from(1));
    }
    if let Some(ended) = parts.verdict() {
        return ended;
    }
    if done.end == End::Cancelled {
        return Ok(ExitCode::from(130));
    }
    let idle = done.tally.idle();
    if !idle.is_empty() {
        let idle = idle.join(", ");
        let advice = "run more images, or find out why the check is dead";
        return Err(Refusal(format!("counters stayed at zero: {idle}; {advice}"), 3));
    }
    let images = report::number(done.tally.images_checked);
    let rate = report::number(report::rate(done.tally.images_checked, done.elapsed));
    writeln!(out, "no violation in {images} images, {rate} per second")?;
    Ok(ExitCode::SUCCESS)
}

/// What a run does besides its campaigns of single histories.
struct Parts {
    swept: Option<sweep::Report>,
    hurt: Option<damage::Report>,
    swarmed: Option<swarm::Report>,
}

impl Parts {
    fn of(arguments: &Arguments, campaign: &Campaign, cancel: &AtomicBool) -> Self {
        let Campaign { seed, jobs, shard, images, .. } = *campaign;
        let whole = campaign.filesystem == Filesystem::Posix;
        let swept = (whole && !arguments.no_sweep)
            .then(|| sweep::sweep(&Engine, &default_bounds(jobs, shard), cancel));
        let hurt = (whole && !arguments.no_damage).then(|| {
            let seeds = images.map_or(DAMAGED_SEEDS_MAX, damaged_seeds);
            let violations_max = damage::VIOLATIONS_MAX;
            let bounds = damage::Bounds { seed, seeds, jobs, shard, violations_max };
            damage::run(&Engine, &bounds, cancel)
        });
        let swarmed = (whole && !arguments.no_swarm).then(|| {
            let of_seeds = campaign.seeds.unwrap_or(SWARM_SEEDS_MAX).min(SWARM_SEEDS_MAX);
            let seeds = images.map_or(of_seeds, swarm_seeds);
            let bounds = swarm::Bounds { seed, seeds, jobs, shard, alone: false };
            swarm::run(&Engine, &bounds, cancel).expect("it was asked whether it is there")
        });
        Self { swept, hurt, swarmed }
    }

    fn add_to(&self, json: &mut serde_json::Value) {
        let Self { swept, hurt, swarmed } = self;
        json["sweep"] = swept.as_ref().map_or(serde_json::Value::Null, report::sweep_json);
        json["damage"] = hurt.as_ref().map_or(serde_json::Value::Null, report::damage_json);
        json["swarm"] = swarmed.as_ref().map_or(serde_json::Value::Null, report::swarm_json);
    }

    fn text(&self) -> String {
        let Self { swept, hurt, swarmed } = self;
        let swept = swept.as_ref().map(report::sweep_text).unwrap_or_default();
        let hurt = hurt.as_ref().map(report::damage_text).unwrap_or_default();
        let swarmed = swarmed.as_ref().map(report::swarm_text).unwrap_or_default();
        swept + &hurt + &swarmed
    }

    fn violations(&self) -> String {
        let Self { swept, hurt, swarmed } = self;
        let swept = swept.as_ref().map(report::sweep_violations).unwrap_or_default();
        let hurt = hurt.as_ref().map(report::damage_violations).unwrap_or_default();
        let swarmed = swarmed.as_ref().map(report::swarm_violations).unwrap_or_default();
        swept + &hurt + &swarmed
    }

    /// How they end the command, if they do.
    fn verdict(&self) -> Option<Result<ExitCode, Refusal>> {
        let swept = self.swept.as_ref().and_then(verdict);
        let hurt = || self.hurt.as_ref().and_then(damage_verdict);
        let swarmed = || self.swarmed.as_ref().and_then(super::swarm::verdict);
        swept.or_else(hurt).or_else(swarmed)
    }
}

/// Runs a campaign; one of all histories as one of the plain ones and one of the others, so that both
/// have their share and their rate.
fn run_campaigns(campaign: &Campaign, quiet: bool, cancel: &AtomicBool) -> Report {
    let run = |campaign: &Campaign| {
        let bar = progress_bar(campaign, quiet);
        let done = campaign.run(&mut |progress| show(&bar, campaign, progress), cancel);
        bar.finish_and_clear();
        done
    };
    if campaign.which != Which::All {
        return run(campaign);
    }
    let of_images = campaign.images.map(|images| images * ENCRYPTED_IMAGES_PERCENT / 100);
    let of_time = campaign.limit.map(|limit| limit * ENCRYPTED_TIME_PERCENT / 100);
    let plain = Campaign {
        which: Which::Plain,
        images: campaign.images.map(|images| images - of_images.unwrap_or(0)),
        limit: campaign.limit.map(|limit| limit - of_time.unwrap_or_default()),
        ..campaign.clone()
    };
    let done = run(&plain);
    if !matches!(done.end, End::Target | End::Time) || of_images == Some(0) {
        return done;
    }
    let encrypted =
        Campaign { which: Which::Encrypted, images: of_images, limit: of_time, ..plain };
    done.and(run(&encrypted))
}

/// How many seeds' stores are damaged for so many images.
fn damaged_seeds(images: u64) -> u64 {
    (images / IMAGES_PER_DAMAGED_SEED).clamp(1, DAMAGED_SEEDS_MAX)
}

/// How many seeds' tasks share a store for so many images.
fn swarm_seeds(images: u64) -> u64 {
    (images / IMAGES_PER_SWARM_SEED).clamp(1, SWARM_SEEDS_MAX)
}

/// How a damage campaign ends the command, if it does.
fn damage_verdict(done: &damage::Report) -> Option<Result<ExitCode, Refusal>> {
    if !done.violations.is_empty() {
        return Some(Ok(ExitCode::from(1)));
    }
    if done.cancelled {
        return Some(Ok(ExitCode::from(130)));
    }
    let idle = done.counts.idle();
    if idle.is_empty() || done.counts.cases < CASES_THAT_MEET_ALL {
        return None;
    }
    let message = format!("counters stayed at zero: {}; a check is dead there", idle.join(", "));
    Some(Err(Refusal(message, 3)))
}

fn progress_bar(campaign: &Campaign, quiet: bool) -> ProgressBar {
    if quiet || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (length, unit) = match (campaign.images, campaign.seeds, campaign.limit) {
        (Some(images), _, _) => (images, "images"),
        (_, Some(seeds), _) => (seeds, "seeds"),
        (_, _, Some(limit)) => (limit.as_secs(), "seconds"),
        (None, None, None) => unreachable!("a run without bounds gets one in images"),
    };
    let template = format!("{{bar:32}} {{human_pos}}/{{human_len}} {unit}, {{msg}}, {{eta}} left");
    let style = ProgressStyle::with_template(&template).expect("a constant template");
    ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr_with_hz(5))
        .with_style(style)
        .with_message("starting")
}

fn show(bar: &ProgressBar, campaign: &Campaign, progress: Progress<'_>) {
    let tally = progress.tally;
    bar.set_position(match (campaign.images, campaign.seeds) {
        (Some(_), _) => tally.images_checked,
        (None, Some(_)) => tally.seeds,
        (None, None) => progress.elapsed.as_secs(),
    });
    let rate = report::number(report::rate(tally.images_checked, progress.elapsed));
    bar.set_message(match tally.violations.len() {
        0 => format!("{rate} images/s"),
        count => format!("{rate} images/s, {count} violations"),
    });
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
