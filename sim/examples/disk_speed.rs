//! What the simulated disk costs per call, fork and crash image: `cargo run --release -p
//! quiver-sim --example disk_speed`. The budget is 40 us per checked image, all included.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::hint::black_box;
use std::panic::Location;
use std::path::Path;
use std::time::Instant;

use quiver_sim::disk::{Policy, Recording, SimDisk};
use quiver_store::vfs::{Access, Vfs};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn measure<T>(what: &str, rounds: u32, mut run: impl FnMut() -> T) {
    for _ in 0..rounds / 10 {
        black_box(run());
    }
    let start = Instant::now();
    for _ in 0..rounds {
        black_box(run());
    }
    let each = start.elapsed().as_secs_f64() * 1e9 / f64::from(rounds);
    println!("{what:<58} {each:>9.0} ns");
}

/// A store's directory: manifest, two logs, a segment.
fn store() -> SimDisk {
    let disk = SimDisk::new();
    let here = Location::caller();
    for directory in ["/store", "/store/segments"] {
        disk.create_dir(Path::new(directory), here).expect("the name is free");
    }
    let files = [
        ("LOCK", 0),
        ("CURRENT", 64),
        ("manifest-0000000003", 600),
        ("log-0000000004.wal", 9000),
        ("log-0000000006.wal", 2000),
        ("segments/0000000005.seg", 49_152),
    ];
    for (name, len) in files {
        let file = disk.create_new(&Path::new("/store").join(name), here).expect("free");
        file.write_at(&vec![7; len], 0, here).expect("no fault is planned");
        file.allocate(len.next_multiple_of(65_536) as u64, here).expect("no fault is planned");
        file.sync_data(here).expect("no fault is planned");
    }
    for directory in ["/", "/store", "/store/segments"] {
        disk.sync_dir(Path::new(directory), here).expect("no fault is planned");
    }
    disk
}

fn main() {
    let here = Location::caller();
    let disk = store();
    let quiet = disk.state();
    let log = Path::new("/store/log-0000000006.wal");
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    measure("fork (state)", 1_000_000, || disk.state());
    measure("mount", 1_000_000, || SimDisk::mount(&quiet));
    measure("key of a quiet disk", 1_000_000, || quiet.key());
    measure("full key of a quiet disk", 1_000_000, || quiet.full_key());
    measure("plan + build, quiet disk", 1_000_000, || {
        quiet.plan_power_loss(Policy::Random, false, &mut rng).build()
    });
    measure("plan + key, quiet disk", 1_000_000, || {
        quiet.plan_power_loss(Policy::Random, false, &mut rng).key()
    });

    let writer = SimDisk::mount(&quiet);
    let file = writer.open(log, Access::ReadWrite, here).expect("it is there");
    file.write_at(&[9; 700], 2048, here).expect("no fault is planned");
    let noisy = writer.state();
    for policy in [Policy::Nothing, Policy::Everything, Policy::Prefix, Policy::Random] {
        let name = policy.name();
        measure(&format!("plan + key, one pending write, {name}"), 500_000, || {
            noisy.plan_power_loss(policy, false, &mut rng).key()
        });
        measure(&format!("plan + build, one pending write, {name}"), 500_000, || {
            noisy.plan_power_loss(policy, false, &mut rng).build()
        });
    }
    measure("plan + key, one pending write, random, torn", 500_000, || {
        noisy.plan_power_loss(Policy::Random, true, &mut rng).key()
    });
    measure("legal images of one pending write", 100_000, || {
        let legal = noisy.legal_images().expect("the reference");
        (0..legal.count()).map(|number| legal.plan(number)).collect::<Vec<_>>()
    });
    measure("full key, one pending write", 500_000, || noisy.full_key());
    measure("mount, open, read 4 KiB, close", 500_000, || {
        let disk = SimDisk::mount(&quiet);
        let file = disk.open(log, Access::Read, here).expect("it is there");
        let mut buf = [0; 4096];
        file.read_at(&mut buf, 0, here).expect("no fault is planned")
    });

    let page = vec![3; 16_384];
    measure("16 KiB page write + sync, no fork", 100_000, || {
        file.write_at(&page, 16_384, here).expect("no fault is planned");
        file.sync_data(here).expect("no fault is planned");
    });
    measure("700 byte write + sync, no fork", 200_000, || {
        file.write_at(&[9; 700], 4096, here).expect("no fault is planned");
        file.sync_data(here).expect("no fault is planned");
    });
    measure("700 byte write + sync, a fork of each kept", 200_000, || {
        writer.set_recording(Recording::Forks);
        file.write_at(&[9; 700], 4096, here).expect("no fault is planned");
        file.sync_data(here).expect("no fault is planned");
        writer.take_trace();
        writer.take_steps()
    });
    let mut piece = vec![0; 16_384];
    measure("16 KiB read", 200_000, || file.read_at(&mut piece, 0, here));
}
