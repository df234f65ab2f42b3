//! Nodes of the simulated runtime that lose power when they are killed.
#![cfg(madsim)]

use std::collections::BTreeSet;

use madsim::runtime::{Handle, Runtime};
use quiver_sim::disk::Policy;
use quiver_sim::fs::SimFs;
use quiver_sim::node_disks::{self, NodeDisks};

/// A log whose entries are synced two at a time.
fn append(fs: &SimFs, entry: u8) -> std::io::Result<()> {
    let log =
        quiver_sim::fs::OpenOptions::new().append(true).read(true).create(true).open(fs, "/log")?;
    log.write_all_at(&[entry; 600], 0)?;
    if entry.is_multiple_of(2) {
        log.sync_all()?;
        fs.sync_dir("/")?;
    }
    Ok(())
}

/// What two nodes hold after one of them was killed behind its third entry.
fn run(seed: u64, end: Option<Policy>, kills: bool) -> [Vec<u8>; 2] {
    let runtime = Runtime::with_seed_and_config(seed, madsim::Config::default());
    runtime.add_simulator::<NodeDisks>();
    let nodes = [(); 2].map(|()| runtime.create_node().build());
    runtime.block_on(async {
        for node in &nodes {
            let task = node.spawn(async {
                for entry in 1..=3 {
                    append(&node_disks::fs(), entry).expect("no call fails");
                    madsim::time::sleep(std::time::Duration::from_millis(1)).await;
                }
            });
            task.await.expect("nobody has killed it");
        }
        let disks = madsim::plugin::simulator::<NodeDisks>();
        disks.set_end(nodes[0].id(), end);
        let before = node_disks::of(nodes[0].id());
        if kills {
            Handle::current().kill(nodes[0].id());
            // A process that is dead reaches no disk that anybody sees.
            append(&before, 4).expect("no call fails");
        }
        Handle::current().restart(nodes[0].id());
        assert_eq!(disks.losses(nodes[0].id()), u64::from(kills));
        nodes.map(|node| node_disks::of(node.id()).read("/log").expect("its name is durable"))
    })
}

#[test]
fn killed_node_loses_what_it_had_not_synced_and_the_other_nothing() {
    let whole: Vec<u8> = [[1; 600], [2; 600], [3; 600]].concat();
    let [killed, other] = run(1, Some(Policy::Nothing), true);
    assert_eq!(killed, whole[..1200]);
    assert_eq!(other, whole);
    let [killed, _] = run(1, Some(Policy::Everything), true);
    assert_eq!(killed, whole);
}

#[test]
fn restart_without_a_kill_keeps_the_page_cache() {
    let [restarted, _] = run(1, Some(Policy::Nothing), false);
    assert_eq!(restarted.len(), 1800);
}

#[test]
fn killed_process_keeps_the_page_cache_and_loses_its_locks() {
    let runtime = Runtime::with_seed_and_config(1, madsim::Config::default());
    runtime.add_simulator::<NodeDisks>();
    let node = runtime.create_node().build();
    runtime.block_on(async {
        let disks = madsim::plugin::simulator::<NodeDisks>();
        disks.set_process_kill(node.id(), true);
        let before = node_disks::of(node.id());
        before.write("/log", "not synced").expect("no call fails");
        let _held = before.lock("/lock").expect("nobody else has it");
        Handle::current().kill(node.id());
        let fs = node_disks::of(node.id());
        assert_eq!(fs.read("/log").expect("it is in the page cache"), b"not synced");
        fs.lock("/lock").expect("its holder is dead");
        assert_eq!(disks.losses(node.id()), 0);
        let after = fs.lose_power(Policy::Nothing, 0);
        assert!(!after.exists("/log"), "nothing has made it durable");
    });
}

#[test]
fn what_survives_is_drawn_by_the_seed_of_the_runtime() {
    let mut found = BTreeSet::new();
    for seed in 0..40 {
        let [killed, _] = run(seed, None, true);
        assert_eq!(killed[..1200], [[1; 600], [2; 600]].concat());
        assert_eq!(run(seed, None, true)[0], killed, "seed {seed}");
        found.insert(killed);
    }
    assert!(found.len() > 3, "{}", found.len());
}
