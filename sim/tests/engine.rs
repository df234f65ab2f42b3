//! Campaigns on the engine itself, small enough for every test run.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use quiver_sim::campaign::{Campaign, End, PATIENCE, Report, Which};
use quiver_sim::disk::Filesystem;
use quiver_sim::engine::Engine;
use quiver_sim::planted::{Bug, Planted};
use quiver_sim::system::System;

fn run(system: Arc<dyn System>, seed: u64, seeds: u64, jobs: usize) -> Report {
    let campaign = Campaign {
        seed,
        seeds: Some(seeds),
        images: None,
        limit: None,
        which: Which::All,
        filesystem: Filesystem::Posix,
        jobs,
        shard: (0, 1),
        patience: PATIENCE,
        system,
    };
    campaign.run(&mut |_| {}, &AtomicBool::new(false))
}

#[test]
fn two_runs_of_the_same_seeds_are_equal_to_the_byte_on_any_number_of_threads() {
    let (one, two) = (run(Arc::new(Engine), 40, 12, 1), run(Arc::new(Engine), 40, 12, 2));
    assert_eq!(one.end, End::Target);
    assert!(one.tally.images_checked > 1000, "{} images", one.tally.images_checked);
    assert_eq!(one.tally, two.tally);
}

#[test]
fn engine_passes_a_small_campaign() {
    let report = run(Arc::new(Engine), 90_000, 24, 2);
    assert_eq!(report.tally.violations, []);
}

#[test]
fn every_sync_of_the_source_is_reached_and_so_switched_off_by_mutants() {
    let control = Arc::new(Planted::new(Bug::None));
    run(control.clone(), 1, 16, 2);
    let reached: BTreeSet<String> = control.sync_sites().into_keys().collect();
    assert_eq!(reached, syncs_of_the_source());
}

/// `file:line` of every call of a sync above the seam. What only passes its caller's
/// place on is no site of its own.
fn syncs_of_the_source() -> BTreeSet<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
    let mut sites = BTreeSet::new();
    for folder in ["", "manifest/", "segment/", "store/", "wal/"] {
        let files = std::fs::read_dir(source.join(folder));
        for file in files.expect("the engine is beside the simulator") {
            let path = file.expect("a name").path();
            if path.is_dir() {
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("source is text");
            let name = path.file_name().expect("a file").to_string_lossy();
            let lines = syncs_of(&text).into_iter();
            sites.extend(lines.map(|line| format!("src/{folder}{name}:{line}")));
        }
    }
    sites
}

/// The lines of a file that call a sync.
fn syncs_of(text: &str) -> Vec<usize> {
    let mut lines = Vec::new();
    let mut passes_on = false;
    for (number, line) in (1..).zip(text.lines()) {
        passes_on |= line.trim() == "#[track_caller]";
        if line == "}" {
            passes_on = false;
        }
        let code = line.split("//").next().unwrap_or_default();
        let calls = [".sync_data()", ".sync_dir(", ".sync()", "write_synced("];
        let syncs = calls.iter().any(|call| code.contains(call)) && !code.contains("fn ");
        if syncs && !passes_on {
            lines.push(number);
        }
    }
    lines
}
