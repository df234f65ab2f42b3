//! How many inputs a second each target takes on one core, over its corpus and mutated inputs: `cargo run
//! --release -p quiver-fuzz-bodies --bin rates [TARGET...]`.
//!
//! Half of the inputs are the corpus as it is, half are mutated from it, as a fuzzer's are; making them is
//! not counted. Time is that on a processor where the system tells it, so that what runs beside does not
//! show.

use std::time::{Duration, Instant};
use std::{env, fs};

use quiver_fuzz_bodies::mutate::Mutator;
use quiver_fuzz_bodies::seeds::folder;
use quiver_fuzz_bodies::{STORE_OPS, TARGETS, Target, store_ops};

/// How long each target runs.
const TIME: Duration = Duration::from_secs(2);

/// Inputs made ahead, which are taken in turn.
const INPUTS: usize = 512;

fn main() {
    let wanted: Vec<String> = env::args().skip(1).collect();
    println!("{:<18} {:>10} {:>10} {:>12}", "target", "inputs/s", "us/input", "bytes/input");
    for target in TARGETS {
        if wanted.is_empty() || wanted.iter().any(|name| name == target.name) {
            measure(target);
        }
    }
}

fn measure(target: &Target) {
    let Ok(entries) = fs::read_dir(folder(target.name)) else { return };
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let seeds: Vec<_> = paths.iter().filter_map(|path| fs::read(path).ok()).collect();
    if seeds.is_empty() {
        return;
    }
    let mut mutator = Mutator::new(1);
    let inputs: Vec<Vec<u8>> = (0..INPUTS)
        .map(|number| match number % 2 {
            0 => seeds[number / 2 % seeds.len()].clone(),
            _ if target.name == STORE_OPS.name => {
                let seed = &seeds[number % seeds.len()];
                store_ops::mutate(seed, number as u64, target.input_bytes_max)
            }
            _ => mutator.input(&seeds, target.input_bytes_max),
        })
        .collect();
    let (start, before) = (Instant::now(), on_processor());
    let mut count = 0_u32;
    while start.elapsed() < TIME {
        for input in inputs.iter().cycle().skip(count as usize % INPUTS).take(16) {
            target.run(input);
            count += 1;
        }
    }
    let took = on_processor().zip(before).map_or(start.elapsed(), |(now, before)| now - before);
    let each = took / count;
    let bytes = inputs.iter().map(Vec::len).sum::<usize>() / inputs.len();
    let rate = 1.0 / each.as_secs_f64();
    println!("{:<18} {rate:>10.0} {:>10.1} {bytes:>12}", target.name, each.as_secs_f64() * 1e6);
}

/// How long this process has been on a processor, as Linux says it.
fn on_processor() -> Option<Duration> {
    let text = fs::read_to_string("/proc/self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}
