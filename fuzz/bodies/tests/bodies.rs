//! Every target over its corpus, and over some thousands of inputs made from it.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use quiver_fuzz_bodies::mutate::Mutator;
use quiver_fuzz_bodies::seeds::folder;
use quiver_fuzz_bodies::{self as bodies, Target};

/// The seed of the mutator. What fails is written into a file too, so it need not be guessed.
const SEED: u64 = 1;

/// No input takes so long, even where others want the processor.
const TIME_MAX: Duration = Duration::from_secs(10);

fn corpus(target: Target) -> Vec<Vec<u8>> {
    let folder = folder(target.name);
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("the folder can be listed").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no corpus in {}", folder.display());
    paths.iter().map(|path| fs::read(path).expect("the corpus can be read")).collect()
}

fn run(target: Target, input: &[u8], what: &str) {
    let start = Instant::now();
    let caught = catch_unwind(AssertUnwindSafe(|| target.run(input)));
    let took = start.elapsed();
    if caught.is_ok() && took <= TIME_MAX {
        return;
    }
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-found", target.name));
    fs::write(&path, input).expect("the target's folder can be written");
    eprintln!("{}: {what}, {took:?}; the input is in {}", target.name, path.display());
    match caught {
        Err(panic) => resume_unwind(panic),
        Ok(_) => panic!("{took:?} for one input, expected {TIME_MAX:?} at most"),
    }
}

/// Set where it is the corpus alone that is measured, as in `fuzz/coverage.sh`.
fn is_of_corpus_only() -> bool {
    std::env::var_os("CORPUS_ONLY").is_some()
}

fn check(target: Target, mutated: usize) {
    let seeds = corpus(target);
    for (place, seed) in seeds.iter().enumerate() {
        run(target, seed, &format!("file {place} of the corpus, in the order of names"));
    }
    let mut mutator = Mutator::new(SEED);
    for number in 0..if is_of_corpus_only() { 0 } else { mutated } {
        let input = mutator.input(&seeds, target.input_bytes_max);
        run(target, &input, &format!("input {number} of seed {SEED}"));
    }
}

macro_rules! checked {
    ($($test:ident: $target:ident, $mutated:literal;)+) => {
        $(#[test]
        fn $test() {
            check(bodies::$target, $mutated);
        })+

        #[test]
        fn every_target_is_checked() {
            // The store itself is below.
            assert_eq!([$(bodies::$target.name),+].len() + 1, bodies::TARGETS.len());
        }
    };
}

checked! {
    pages_hold: PAGE_DECODE, 3000;
    frames_hold: WAL_DECODE, 20_000;
    logs_hold: LOG_REPLAY, 3000;
    manifests_hold: MANIFEST_DECODE, 3000;
    segments_hold: SEGMENT_OPEN, 3000;
    segments_of_pages_hold: SEGMENT_PAGES, 60;
    tombstones_hold: TOMBSTONES_DECODE, 3000;
    changes_hold: CHANGES_DECODE, 3000;
    parked_records_hold: PARKED_DECODE, 3000;
    indexes_hold: SEC_DECODE, 3000;
    descriptors_hold: DESCRIPTOR_DECODE, 5000;
    key_files_hold: KEYFILE_DECODE, 2000;
    key_files_of_stores_hold: KEYFILE_OPEN, 2000;
    payloads_hold: PAYLOAD_FIELDS, 2000;
    predicates_hold: PREDICATE, 3000;
    imports_hold: IMPORT, 5000;
    file_names_hold: FILE_NAMES, 5000;
}

#[test]
fn stores_hold() {
    let target = bodies::STORE_OPS;
    let seeds = corpus(target);
    for (place, seed) in seeds.iter().enumerate() {
        run(target, seed, &format!("file {place} of the corpus, in the order of names"));
    }
    let mut inputs = seeds;
    for number in 0..if is_of_corpus_only() { 0 } else { 600 } {
        let before = &inputs[number % inputs.len()];
        let input = bodies::store_ops::mutate(before, SEED + number as u64, target.input_bytes_max);
        run(target, &input, &format!("input {number} of seed {SEED}"));
        inputs.push(input);
    }
}

/// One decoder serves both: what the simulator keeps is an input, and what is made of it is one again.
#[test]
fn reproducers_of_the_simulator_are_inputs() {
    if is_of_corpus_only() {
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/sim");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .expect("it is in the repository")
        .map(|entry| entry.expect("the folder can be listed").path())
        .filter(|path| path.extension().is_some_and(|it| it == "repro"))
        .collect();
    paths.sort();
    let (mut taken, all) = (0, paths.len());
    for path in paths {
        let input = fs::read(&path).expect("the corpus can be read");
        run(bodies::STORE_OPS, &input, &path.display().to_string());
        if bodies::store_ops::read(&input).is_some() {
            taken += 1;
            let made = bodies::store_ops::mutate(&input, SEED, bodies::STORE_OPS.input_bytes_max);
            assert!(bodies::store_ops::read(&made).is_some(), "made of {}", path.display());
        }
    }
    // The others go beyond what is worth its time, or have threads of their own.
    assert!(taken * 10 >= all * 8, "{taken} of {all} are taken");
}
