//! Durable writes per second of the store, beside a plain file on the same disk.
//!
//! `cargo bench --bench store [-- DIR]`; `QUIVER_BENCH_DIR` names the directory too, and without
//! either it is one below the build's target directory. Each figure is the median over rounds, in
//! which the contenders take turns, because a disk is busy at times:
//!
//! - *store*: upserts of 128 f32 elements and 200 bytes of payload, under ids in random order;
//! - *raw*: the same bytes (id, vector, payload) appended to a plain file, with an `fdatasync`;
//! - *raw-pre*: the same into a file that was filled with zeros before.
//!
//! Sixteen threads share one file and one lock in the raw contenders, and one store.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it measures the real disk beside the store and prints what it found"
)]

mod counted;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use counted::CountedVfs;
use quiver_store::{
    CollectionId, Descriptor, DistanceMetric, Dtype, Env, Options, Store, WriteBatch,
};

const DIM: u32 = 128;
const PAYLOAD_BYTES: usize = 200;
const ID_BYTES: usize = 16;
const ROW_BYTES: usize = ID_BYTES + DIM as usize * 4 + PAYLOAD_BYTES;

/// The first round warms up and is not counted.
const ROUNDS: usize = 12;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// One way of writing.
#[derive(Clone, Copy)]
struct Mode {
    name: &'static str,
    threads: u64,
    /// Rows that become durable together.
    batch_rows: u64,
    /// Batches of each thread in one round.
    batches: u64,
}

const MODES: [Mode; 3] = [
    Mode { name: "1 thread, single rows", threads: 1, batch_rows: 1, batches: 400 },
    Mode { name: "16 threads, single rows", threads: 16, batch_rows: 1, batches: 50 },
    Mode { name: "1 thread, batches of 1000", threads: 1, batch_rows: 1000, batches: 5 },
];

impl Mode {
    fn rows_of_a_round(&self) -> u64 {
        self.threads * self.batch_rows * self.batches
    }
}

fn main() -> ExitCode {
    let argument = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let named = argument.or_else(|| std::env::var("QUIVER_BENCH_DIR").ok()).map(PathBuf::from);
    let parent = named.unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into());
    match run(&parent) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot measure in {}: {error}", parent.display());
            ExitCode::FAILURE
        }
    }
}

fn run(parent: &Path) -> Result<(), Failure> {
    let dir = tempfile::tempdir_in(parent)?;
    let filesystem = filesystem(dir.path())?;
    println!("{} on {filesystem}, {ROW_BYTES} bytes a row", dir.path().display());
    if ["tmpfs", "ramfs"].contains(&filesystem.as_str()) {
        return Err("a filesystem in memory makes nothing durable; name another directory".into());
    }
    println!(
        "| {:<25} | {:>9} | {:>9} | {:>9} | {:>9} | {:>13} | {:>9} |",
        "rows per second", "store", "raw", "raw-pre", "store/raw", "store/raw-pre", "syncs/row"
    );
    println!("|---|---|---|---|---|---|---|");
    for mode in &MODES {
        measure(dir.path(), mode)?;
    }
    Ok(())
}

/// Runs the rounds of one mode and prints its line.
fn measure(dir: &Path, mode: &Mode) -> Result<(), Failure> {
    let dir = tempfile::tempdir_in(dir)?;
    let bytes_of_all = mode.rows_of_a_round() * ROUNDS as u64 * ROW_BYTES as u64;
    let raw = Plain::new(&dir.path().join("raw"), 0)?;
    let raw_pre = Plain::new(&dir.path().join("raw-pre"), bytes_of_all)?;
    let store = Contender::new(&dir.path().join("store"))?;
    let mut rates: [Vec<f64>; 3] = Default::default();
    let mut syncs = 0;
    for round in 0..ROUNDS {
        for turn in 0..3 {
            let who = (round + turn) % 3;
            let syncs_before = store.vfs.syncs();
            let started = Instant::now();
            match who {
                0 => in_threads(mode, |thread, batch| store.write(mode, round, thread, batch))?,
                1 => in_threads(mode, |_, _| raw.append(mode))?,
                _ => in_threads(mode, |_, _| raw_pre.append(mode))?,
            }
            let seconds = started.elapsed().as_secs_f64();
            if round > 0 {
                rates[who].push(as_f64(mode.rows_of_a_round()) / seconds);
                syncs += store.vfs.syncs() - syncs_before;
            }
        }
    }
    let [store_rate, raw_rate, pre_rate] = rates.map(median);
    let rows = mode.rows_of_a_round() * (ROUNDS as u64 - 1);
    println!(
        "| {:<25} | {store_rate:>9.0} | {raw_rate:>9.0} | {pre_rate:>9.0} | {:>9.2} | {:>13.2} | {:>9.3} |",
        mode.name,
        store_rate / raw_rate,
        store_rate / pre_rate,
        as_f64(syncs) / as_f64(rows),
    );
    store.store.close()?;
    Ok(())
}

/// Calls `write` for each batch of each thread.
fn in_threads(
    mode: &Mode,
    write: impl Fn(u64, u64) -> Result<(), Failure> + Sync,
) -> Result<(), Failure> {
    let all = |thread| (0..mode.batches).try_for_each(|batch| write(thread, batch));
    if mode.threads == 1 {
        return all(0);
    }
    std::thread::scope(|scope| {
        let all = &all;
        let running: Vec<_> =
            (0..mode.threads).map(|thread| scope.spawn(move || all(thread))).collect();
        running.into_iter().try_for_each(|thread| thread.join().expect("no thread panics"))
    })
}

/// The store under test.
struct Contender {
    store: Store,
    collection: CollectionId,
    vfs: Arc<CountedVfs>,
}

impl Contender {
    fn new(dir: &Path) -> Result<Self, Failure> {
        let vfs = Arc::new(CountedVfs::default());
        let env = Env { vfs: Arc::<CountedVfs>::clone(&vfs), ..Env::os(dir) };
        let store = Store::open_with(env, Options::default())?;
        let schema = Descriptor::new(DIM, Dtype::F32, DistanceMetric::L2);
        let collection = store.create_collection("rows", schema)?;
        Ok(Self { store, collection, vfs })
    }

    fn write(&self, mode: &Mode, round: usize, thread: u64, batch: u64) -> Result<(), Failure> {
        let first = (thread * mode.batches + batch) * mode.batch_rows;
        let first = round as u64 * mode.rows_of_a_round() + first;
        let (vector, payload) = ([0.5; DIM as usize], [b'x'; PAYLOAD_BYTES]);
        let mut rows = WriteBatch::new();
        for row in first..first + mode.batch_rows {
            // An odd factor permutes the numbers: every id once, in no order.
            let id = format!("{:016x}", row.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            rows.upsert(self.collection, &id, &vector, &payload);
        }
        self.store.write(rows)?;
        Ok(())
    }
}

/// A plain file, written from front to back.
struct Plain {
    file: Mutex<File>,
    end: AtomicU64,
}

impl Plain {
    fn new(path: &Path, zeros: u64) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        let block = [0; 64 * 1024];
        let mut at = 0;
        while at < zeros {
            file.write_all_at(&block, at)?;
            at += block.len() as u64;
        }
        file.sync_all()?;
        Ok(Self { file: Mutex::new(file), end: AtomicU64::new(0) })
    }

    fn append(&self, mode: &Mode) -> Result<(), Failure> {
        let len = usize::try_from(mode.batch_rows)? * ROW_BYTES;
        let bytes = vec![b'x'; len];
        let file = self.file.lock().expect("no thread panics");
        let at = self.end.fetch_add(len as u64, Ordering::Relaxed);
        file.write_all_at(&bytes, at)?;
        file.sync_data()?;
        Ok(())
    }
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn as_f64(count: u64) -> f64 {
    f64::from(u32::try_from(count).expect("counts of a benchmark are small"))
}

/// The type of the filesystem that a directory is on, as the system lists its mounts.
fn filesystem(dir: &Path) -> io::Result<String> {
    let dir = dir.canonicalize()?;
    let Ok(mounts) = std::fs::read_to_string("/proc/self/mounts") else {
        return Ok("unknown".to_owned());
    };
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (point, kind) = (words.next()?, words.next()?);
        dir.starts_with(point).then(|| (point.len(), kind.to_owned()))
    });
    // Of two mounts on one point the later one is seen.
    Ok(mounts.max_by_key(|(len, _)| *len).map_or("unknown".to_owned(), |(_, kind)| kind))
}
