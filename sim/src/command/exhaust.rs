//! `quiver-sim exhaust`: every sequence of a few operations.

use std::io::{StdoutLock, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use indicatif::ProgressBar;

use super::bar::progress_bar;
use super::reports::Reports;
use super::{Refusal, cancelled_by_ctrl_c, jobs_or_cores, run::jobs, run::shard};
use crate::campaign::PATIENCE;
use crate::engine::Engine;
use crate::exhaust::{self, Bounds, ENCRYPTED, IMAGES_MAX, PLAIN, PointBounds, Sequence};
use crate::report;
use crate::system::System;

/// What a bar shows.
const BAR: &str = "{bar:32} {human_pos}/{human_len} sequences of {msg}, {eta} left";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The longest sequences, in operations.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(0..=12))]
    depth: u64,
    /// Of encrypted stores, with operations on keys.
    #[arg(long)]
    encrypted: bool,
    /// Points with more legal images than this have so many of them looked at.
    #[arg(long, default_value_t = IMAGES_MAX, value_parser = images_max)]
    images_max: u64,
    /// Asks everything of every image: further recoveries, writes, lookups and verification, which
    /// otherwise a share of them is asked.
    #[arg(long)]
    thorough: bool,
    /// Looks at one sequence alone, as a violation printed it.
    #[arg(long, conflicts_with_all = ["depth", "shard"])]
    sequence: Option<Sequence>,
    /// How many threads; as many as there are cores by default.
    #[arg(long, value_parser = jobs)]
    jobs: Option<usize>,
    /// Which part of the sequences, of how many: 1/4 to 4/4 for four machines.
    ///
    /// `merge` does not join these reports: counts of sequences, points, images and violations add up to
    /// those of one run, but not duplicates, which are told apart within a shard.
    #[arg(long, value_parser = shard, value_name = "I/N")]
    shard: Option<(u64, u64)>,
    /// Where to write the report as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Refusal> {
    let reports = Reports::open(arguments.json.as_ref(), None)?;
    let bounds = Bounds {
        depth: usize::try_from(arguments.depth).expect("at most twelve"),
        letters: if arguments.encrypted { ENCRYPTED } else { PLAIN },
        encrypted: arguments.encrypted,
        points: PointBounds { images_max: arguments.images_max, thorough: arguments.thorough },
        jobs: jobs_or_cores(arguments.jobs),
        shard: arguments.shard.unwrap_or((0, 1)),
        patience: PATIENCE,
    };
    let done = match &arguments.sequence {
        Some(sequence) => exhaust::one(&Engine, sequence, bounds.encrypted, bounds.points),
        None => {
            let bar = progress_bar(1, BAR);
            let show = &mut |length: usize, sequences: u64| show(&bar, &bounds, length, sequences);
            let engine: Arc<dyn System> = Arc::new(Engine);
            let done = exhaust::run(&engine, &bounds, &cancelled_by_ctrl_c(), show);
            bar.finish_and_clear();
            done
        }
    };
    // Shorter sequences make fewer pieces: such a shard has none of them either.
    if !done.cancelled && done.total().sequences == 0 {
        let (part, parts) = bounds.shard;
        let why = format!(
            "shard {}/{parts} has no sequence of length {}: there are fewer pieces of work than shards; \
             take fewer of them",
            part + 1,
            bounds.depth
        );
        return Err(Refusal(why, 2));
    }
    let found = !done.violations.is_empty();
    let print = |out: &mut StdoutLock<'_>| {
        if arguments.sequence.is_none() {
            write!(out, "{}", report::exhaust_text(&done, &bounds))?;
        }
        write!(out, "{}", report::exhaust_violations(&done, &bounds))?;
        if found {
            return Ok(ExitCode::from(1));
        }
        if let Some(sequence) = &arguments.sequence {
            let images = report::number(done.total().tally.images_checked);
            writeln!(out, "{sequence}: no violation in {images} images of its last operation")?;
        }
        if done.is_idle() {
            writeln!(out, "nothing was looked at: there was no point with an image")?;
            return Ok(ExitCode::from(3));
        }
        Ok(ExitCode::from(if done.cancelled { 130 } else { 0 }))
    };
    let json = || {
        let sequence = arguments.sequence.as_ref();
        report::exhaust_json(&done, &bounds, sequence, Engine.version())
    };
    reports.tell(found, print, json, String::new)
}

/// A bound on the images of a point.
pub(super) fn images_max(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(images @ 1..=1_000_000) => Ok(images),
        _ => Err("expected 1 to 1000000 images".to_owned()),
    }
}

fn show(bar: &ProgressBar, bounds: &Bounds, length: usize, sequences: u64) {
    let letters = bounds.letters.len() as u64;
    let all = letters.saturating_pow(u32::try_from(length).unwrap_or(u32::MAX));
    bar.set_length(all / bounds.shard.1);
    bar.set_position(sequences);
    bar.set_message(format!("length {length}"));
}
