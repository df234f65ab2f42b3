//! Kinder filesystems: the engine holds there too, and a wrong one may get away with it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use quiver_sim::campaign::{Campaign, PATIENCE, Report, Which};
use quiver_sim::disk::Filesystem;
use quiver_sim::engine::Engine;
use quiver_sim::planted::{Bug, Planted};
use quiver_sim::system::System;
use quiver_sim::tally::ENUMERATED;

const SEEDS: u64 = 10;

fn run(system: Arc<dyn System>, filesystem: Filesystem) -> Report {
    let campaign = Campaign {
        seed: 1,
        seeds: Some(SEEDS),
        images: None,
        limit: None,
        which: Which::Plain,
        filesystem,
        jobs: 2,
        shard: (0, 1),
        patience: PATIENCE,
        system,
    };
    campaign.run(&mut |_| {}, &AtomicBool::new(false))
}

#[test]
fn engine_holds_on_every_filesystem() {
    let images = Filesystem::ALL.map(|filesystem| {
        let done = run(Arc::new(Engine), filesystem).tally;
        assert_eq!(done.violations, [], "{filesystem:?}");
        assert!(done.images_checked > 1000, "{filesystem:?}");
        // More seeds move more counters, but none that cannot move keeps a run from ending well.
        let counts_enumerated = done.policies.contains_key(ENUMERATED);
        assert_eq!(counts_enumerated, filesystem == Filesystem::Posix, "{filesystem:?}");
        let idle = done.idle();
        assert!(!idle.iter().any(|name| name.starts_with("policy ")), "{filesystem:?}: {idle:?}");
        done.images_checked
    });
    // What is promised leaves less to look at.
    assert!(images[1..].iter().all(|count| *count < images[0]), "{images:?}");
}

/// Names that a journal keeps in order need no sync between them, nor do those of files that btrfs has synced:
/// an engine that leaves out the sync of the directory before the rename of `CURRENT` loses nothing there, and a
/// store where only POSIX is promised.
#[test]
fn sync_that_kinder_filesystems_make_unnecessary_is_missed_on_the_reference() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src/store/publish.rs");
    let source = std::fs::read_to_string(source).expect("the engine is beside the simulator");
    let mut lines = (1..).zip(source.lines());
    let (line, _) = lines.find(|(_, line)| line.contains(".sync_dir(")).expect("it syncs twice");
    let site = format!("src/store/publish.rs:{line}");
    for filesystem in Filesystem::ALL {
        let done = run(Arc::new(Planted::new(Bug::ElidedSync(site.clone()))), filesystem).tally;
        let is_kinder = filesystem != Filesystem::Posix;
        assert_eq!(done.violations.is_empty(), is_kinder, "{filesystem:?}, without {site}");
        for violation in &done.violations {
            assert_eq!(violation.address.kind().filesystem(), filesystem);
        }
    }
}
