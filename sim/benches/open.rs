//! What one open of a small store costs on the simulated disk: the unit of every campaign.
//!
//! `cargo bench -p quiver-sim --bench open`. Medians of rounds, in microseconds of this machine.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use quiver_sim::disk::{DiskState, SimClock, SimDisk, SimEntropy};
use quiver_store::{Descriptor, DistanceMetric, Dtype, Env, Options, Store};

const ROUNDS: usize = 15;
const OPENS: u32 = 400;

fn env(disk: &SimDisk) -> Env {
    Env::new(
        "/store",
        Arc::new(disk.clone()),
        Arc::new(SimClock::new(1)),
        Arc::new(SimEntropy::new(7)),
    )
}

fn options() -> Options {
    Options { log_step_bytes_min: 4096, log_step_bytes_max: 65_536, ..Options::default() }
}

/// A store of a few collections and rows; sealed, and with a few more in the log.
fn small_store(stop: impl Fn(Store)) -> DiskState {
    let disk = SimDisk::new();
    let store = Store::open_with(env(&disk), options()).expect("an empty disk takes a store");
    for name in ["a", "b"] {
        let schema = Descriptor::new(8, Dtype::F32, DistanceMetric::L2);
        let id = store.create_collection(name, schema).expect("the name is free");
        for row in 0..10 {
            store.upsert(id, &format!("row-{row}"), &[0.5; 8], b"{\"n\":1}").expect("fits");
        }
        if name == "a" {
            store.checkpoint().expect("no fault is planted");
        }
    }
    stop(store);
    disk.state()
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn measure(state: &DiskState) -> f64 {
    let rounds = (0..ROUNDS).map(|_| {
        let started = Instant::now();
        for _ in 0..OPENS {
            let disk = SimDisk::mount(state);
            black_box(Store::open_with(env(&disk), options()).expect("recovers"));
        }
        started.elapsed().as_secs_f64() * 1e6 / f64::from(OPENS)
    });
    median(rounds.collect())
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn main() {
    let closed = small_store(|store| store.close().expect("no fault is planted"));
    let dropped = small_store(drop);
    let settling = {
        let disk = SimDisk::mount(&dropped);
        let store = Store::open_with(env(&disk), options()).expect("recovers");
        let id = store.collection_id("a").expect("open").expect("there");
        store.upsert(id, "last", &[1.0; 8], b"").expect("fits");
        store.upsert(id, "unproved", &[1.0; 8], b"").expect("fits");
        drop(store);
        disk.state()
    };
    println!("open after a clean close        {:6.2} us", measure(&closed));
    println!("open after a kill               {:6.2} us", measure(&dropped));
    println!("open after a kill, tail settled {:6.2} us", measure(&settling));
}
