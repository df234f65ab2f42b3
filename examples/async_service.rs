//! An asynchronous program with many tasks and one store:
//! `cargo run --release --example async_service -- DIR [TASKS [WRITES]]`.
//!
//! Each task stands for a client of a service. It writes rows one after the other and reads them back.
//!
//! - A write is `store.submit(batch)?.await`: no thread of the runtime waits for the disk. A thread of the
//!   store commits all that waits with one sync, so a thousand tasks take little longer than one.
//! - A read may have to wait for the disk, and runs where the runtime lets threads do that
//!   (`spawn_blocking`). Many small reads go together in one such call.
//! - How many writes may wait at a time is bounded (a semaphore), for each holds its batch in memory, and so
//!   that whoever sends too much is slowed down at the door.
//! - Opening and closing wait for the disk as well. Behind a Ctrl-C the tasks finish what they have begun.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a program speaks to its user, and measures how long it took"
)]

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use quiver_store::{CollectionId, Descriptor, DistanceMetric, Dtype, Error, Store, WriteBatch};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str = "usage: cargo run --release --example async_service -- DIR [TASKS [WRITES]]
DIR is the store's directory; it is made if it is missing, and must be empty or a store
TASKS, by default 256, is how many clients there are; WRITES, by default 50, how often each writes";

const DIM: u32 = 64;

/// The most writes that wait for their commit at a time.
const WAITING_MAX: usize = 1024;

struct Arguments {
    dir: String,
    tasks: u64,
    writes: u64,
}

impl Arguments {
    fn read() -> Result<Option<Self>, String> {
        let given: Vec<String> = std::env::args().skip(1).collect();
        if given.iter().any(|word| word == "-h" || word == "--help") {
            return Ok(None);
        }
        let number = |at: usize, usual: u64| match given.get(at) {
            None => Ok(usual),
            Some(word) => match word.parse() {
                Ok(number @ 1..=1_000_000) => Ok(number),
                _ => Err(format!("{word:?}: expected a number from 1 to 1000000")),
            },
        };
        match given.as_slice() {
            [dir, rest @ ..] if !dir.is_empty() && !dir.starts_with('-') && rest.len() < 3 => {
                Ok(Some(Self { dir: dir.clone(), tasks: number(1, 256)?, writes: number(2, 50)? }))
            }
            [] => Err("DIR is missing".to_owned()),
            _ => Err("expected DIR and at most two numbers".to_owned()),
        }
    }
}

/// What the tasks share.
struct Service {
    store: Store,
    articles: CollectionId,
    waiting: Semaphore,
    is_stopping: AtomicBool,
    written: AtomicU64,
}

impl Service {
    fn open(dir: &str) -> Result<Self, Error> {
        let store = Store::open(dir)?;
        let articles = match store.collection_id("articles")? {
            Some(id) => id,
            None => {
                let schema = Descriptor::new(DIM, Dtype::F32, DistanceMetric::Cosine);
                store.create_collection("articles", schema)?
            }
        };
        Ok(Self {
            store,
            articles,
            waiting: Semaphore::new(WAITING_MAX),
            is_stopping: AtomicBool::new(false),
            written: AtomicU64::new(0),
        })
    }

    /// Durable once it returns.
    async fn write(&self, id: &str, vector: &[f32], payload: &str) -> Result<(), Failure> {
        let _permit = self.waiting.acquire().await?;
        let mut batch = WriteBatch::new();
        batch.upsert(self.articles, id, vector, payload.as_bytes());
        self.store.submit(batch)?.await?;
        self.written.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// The payloads of rows, read together.
    async fn read(&self, ids: Vec<String>) -> Result<Vec<Option<Vec<u8>>>, Failure> {
        let (store, articles) = (self.store.clone(), self.articles);
        let payloads = spawn_blocking(move || {
            let snapshot = store.snapshot()?;
            ids.iter().map(|id| snapshot.get_payload(articles, id)).collect::<Result<_, Error>>()
        });
        Ok(payloads.await??)
    }

    /// One client: writes, and then finds what it wrote.
    async fn serve(&self, task: u64, writes: u64) -> Result<(), Failure> {
        let mut own = Vec::new();
        for write in 0..writes {
            if self.is_stopping.load(Ordering::Relaxed) {
                break;
            }
            let id = format!("task-{task}-{write}");
            let vector = [(task % 1000) as f32; DIM as usize];
            self.write(&id, &vector, &format!("{{\"task\":{task},\"write\":{write}}}")).await?;
            own.push(id);
        }
        let found = self.read(own.clone()).await?;
        match found.iter().zip(&own).find(|(payload, _)| payload.is_none()) {
            Some((_, id)) => Err(format!("{id} was written and is not there").into()),
            None => Ok(()),
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match Arguments::read() {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(what) => {
            eprintln!("async_service: {what}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("async_service: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(Arguments { dir, tasks, writes }: Arguments) -> Result<(), Failure> {
    let service = Arc::new(spawn_blocking(move || Service::open(&dir)).await??);
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for task in 0..tasks {
        let service = Arc::clone(&service);
        clients.spawn(async move { service.serve(task, writes).await });
    }
    let mut failed = None;
    loop {
        tokio::select! {
            ended = clients.join_next() => match ended {
                None => break,
                Some(ended) => {
                    // The others finish what they have begun, and the store is closed all the same.
                    if let Err(error) = ended.map_err(Failure::from).and_then(|served| served) {
                        service.is_stopping.store(true, Ordering::Relaxed);
                        failed.get_or_insert(error);
                    }
                }
            },
            asked = tokio::signal::ctrl_c() => {
                asked?;
                eprintln!("stopping: what was begun is finished first");
                service.is_stopping.store(true, Ordering::Relaxed);
            }
        }
    }
    let (written, seconds) =
        (service.written.load(Ordering::Relaxed), begun.elapsed().as_secs_f64());
    let store = service.store.clone();
    drop(service);
    let rows = store.len(store.collection_id("articles")?.ok_or("articles are gone")?)?;
    spawn_blocking(move || store.close()).await??;
    match failed {
        Some(error) => Err(error),
        None => {
            let rate = written as f64 / seconds;
            println!(
                "{written} durable writes of {tasks} tasks in {seconds:.2} s, {rate:.0} a second"
            );
            println!("{rows} rows, each of this run read back");
            Ok(())
        }
    }
}
