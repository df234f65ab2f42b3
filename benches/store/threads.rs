//! Many writers, many readers, and background work beside them.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use quiver_store::{Options, ScanRange};

use crate::group_log::GroupLog;
use crate::plain::touch;
use crate::report::{Goal, Line, Unit};
use crate::rounds::{Samples, in_threads, seconds, take_turns, thread_nanos};
use crate::rows::{Rows, id, ids, picks};
use crate::subject::{BATCH_ROWS, Subject, build};
use crate::{Bench, Failure};

const DIM: usize = 128;
/// Fewer bytes than the page cache holds at default options.
const WARM_ROWS: u64 = 30_000;

pub(crate) fn measure(bench: &mut Bench<'_>) -> Result<(), Failure> {
    writers(bench)?;
    readers(bench)?;
    ingest(bench)?;
    latency(bench)
}

/// Durable single upserts of 1, 16 and 64 threads; under *raw-pre* and as ratio a plain preallocated log
/// with the same group commit.
fn writers(bench: &mut Bench<'_>) -> Result<(), Failure> {
    const ROUNDS: usize = 40;
    const THREADS: [u64; 3] = [1, 16, 64];
    const ROWS_EACH: [u64; 3] = [60, 20, 10];
    let rows = Rows::new(DIM);
    let dir = tempfile::tempdir_in(bench.dir)?;
    let row = vec![b'x'; rows.row_bytes()];
    let fill = 64 * 10 * row.len() as u64;
    let log = GroupLog::new(&dir.path().join("log"), fill)?;
    let subject = Subject::open(&dir.path().join("store"), rows.dim(), &Options::default())?;
    let next = AtomicU64::new(0);
    let mut own: [Samples; 3] = Default::default();
    let mut plain: [Samples; 3] = Default::default();
    // All contenders in each round, so that a busy disk meets them all.
    for round in 0..=ROUNDS {
        for turn in 0..THREADS.len() {
            let which = (round + turn) % THREADS.len();
            let (threads, each) = (THREADS[which], ROWS_EACH[which]);
            let count = (threads * each) as f64;
            let upserts = |_| {
                (0..each).try_for_each(|_| {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let vector = rows.vector(number);
                    subject.store.upsert(subject.rows, &id(number), vector, rows.payload())?;
                    Ok(())
                })
            };
            own[which].rate(count, seconds(|| in_threads(threads, upserts))?);
            log.rewind();
            let appends = |_| (0..each).try_for_each(|_| log.append(&row));
            plain[which].rate(count, seconds(|| in_threads(threads, appends))?);
        }
    }
    subject.store.close()?;
    let (own, plain) = (own.map(|own| own.median()), plain.map(|plain| plain.median()));
    for (which, threads) in THREADS.into_iter().enumerate() {
        let goal = if threads == 16 { Goal::Ratio(0.8) } else { Goal::None };
        let what = format!("durable upserts, {threads} thr. (raw: group log)");
        let line = Line::new(what, Unit::RowsPerSecond, own[which]);
        bench.report.add(line.raw(plain[which]).goal(goal));
    }
    for (over, under, goal) in [(1, 0, 5.0), (2, 1, 1.0)] {
        let what = format!("upserts, {} threads over {}", THREADS[over], THREADS[under]);
        let line = Line::new(what, Unit::Count, own[over].wall / own[under].wall);
        let raw = plain[over].wall / plain[under].wall;
        bench.report.add(line.goal(Goal::AtLeast(goal)).note(format!("group log {raw:.2}")));
    }
    Ok(())
}

/// One reader against two, and two beside a writer, whose background work runs as well.
fn readers(bench: &mut Bench<'_>) -> Result<(), Failure> {
    const ROUNDS: usize = 9;
    const GETS: usize = 40_000;
    let rows = Rows::new(DIM);
    let path = bench.dir.join("readers");
    build(&path, &rows, WARM_ROWS)?;
    let subject = Subject::open(&path, rows.dim(), &Options::default())?;
    let known = ids(0, WARM_ROWS);
    // What a thread did, by its own processor's time.
    let by_cpu = AtomicU64::new(0);
    let get = |thread: u64| {
        let begun = thread_nanos();
        for row in picks(thread + 1, GETS, WARM_ROWS) {
            let found = subject.store.get(subject.rows, &known[usize::try_from(row)?])?;
            black_box(found.ok_or("a row is missing")?);
        }
        by_cpu.fetch_max(thread_nanos() - begun, Ordering::Relaxed);
        Ok(())
    };
    let mut samples: [Samples; 6] = Default::default();
    let [one, two, beside, scan_one, scan_two, scan_beside] = &mut samples;
    let (mut cpu_alone, mut cpu_beside) = (Samples::default(), Samples::default());
    let gets = |samples: &mut Samples, threads: u64| {
        by_cpu.store(0, Ordering::Relaxed);
        samples.rate(threads as f64 * GETS as f64, seconds(|| in_threads(threads, get))?);
        Ok::<_, Failure>(GETS as f64 / (by_cpu.load(Ordering::Relaxed) as f64 / 1e9))
    };
    let scans = |samples: &mut Samples, threads: u64| {
        let took = seconds(|| in_threads(threads, |_| scan(&subject)))?;
        samples.rate((threads * WARM_ROWS) as f64, took);
        Ok::<_, Failure>(())
    };
    let next = AtomicU64::new(0);
    take_turns(
        ROUNDS,
        &mut [
            &mut |_| gets(one, 1).map(drop),
            &mut |_| gets(two, 2).map(|rate| cpu_alone.push(rate)),
            &mut |_| scans(scan_one, 1),
            &mut |_| scans(scan_two, 2),
            &mut |_| {
                beside_a_writer(&subject, &rows, &next, || {
                    gets(beside, 2).map(|rate| cpu_beside.push(rate))?;
                    scans(scan_beside, 2)
                })
            },
        ],
    )?;
    subject.store.close()?;
    let [one, two, beside, scan_one, scan_two, scan_beside] = samples.map(|own| own.median().wall);
    // Two readers, a writer and the store's own thread share the processors.
    let processors = std::thread::available_parallelism().map_or(1, usize::from).min(4) as f64;
    let share = (processors / 4.0 * 100.0).round() / 100.0;
    let (cpu_alone, cpu_beside) = (cpu_alone.median().wall, cpu_beside.median().wall);
    for (what, ratio, goal) in [
        ("gets, warm, 2 threads over 1", two / one, Goal::AtLeast(1.7)),
        ("scans, warm, 2 threads over 1", scan_two / scan_one, Goal::AtLeast(1.7)),
        ("gets beside a writer over alone", beside / two, Goal::AtLeast(share)),
        ("scans beside a writer over alone", scan_beside / scan_two, Goal::AtLeast(share)),
        ("the same gets by their own cpu time", cpu_beside / cpu_alone, Goal::None),
    ] {
        bench.report.add(Line::new(what, Unit::Count, ratio).goal(goal));
    }
    Ok(())
}

/// Reads the rows that were there from the start: a writer makes more.
fn scan(subject: &Subject) -> Result<(), Failure> {
    let mut count = 0;
    subject.store.scan_with(subject.rows, ScanRange::all(), |id, row| {
        black_box(touch(id.as_bytes()) ^ touch(row.vector) ^ touch(row.payload));
        count += 1;
        if count < WARM_ROWS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    if count == WARM_ROWS { Ok(()) } else { Err(format!("{count} rows").into()) }
}

/// Does something while a thread writes batches of new rows.
fn beside_a_writer(
    subject: &Subject,
    rows: &Rows,
    next: &AtomicU64,
    work: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                let first = WARM_ROWS + next.fetch_add(BATCH_ROWS, Ordering::Relaxed);
                // Behind all that were there from the start, in the order of ids.
                let ids: Vec<String> =
                    (first..first + BATCH_ROWS).map(|row| format!("x{row:015}")).collect();
                subject.store.write(rows.upserts(subject.rows, first, &ids))?;
            }
            Ok(())
        });
        let worked = work();
        is_done.store(true, Ordering::Relaxed);
        writer.join().expect("no thread panics").and(worked)
    })
}

/// Batches of 1000 rows with the background work that they cause, over the same with none at all.
fn ingest(bench: &mut Bench<'_>) -> Result<(), Failure> {
    const ROUNDS: usize = 4;
    let rows = Rows::new(DIM);
    // Several memtables at default options.
    let count = bench.sized(400_000, 200_000);
    let never = 1 << 40;
    let none = Options {
        memtable_bytes_max: usize::try_from(never)?,
        log_size_bytes_max: never,
        background: false,
        ..Options::default()
    };
    let megabytes = count as f64 * rows.row_bytes() as f64 / 1e6;
    let (mut with, mut without) = <(Samples, Samples)>::default();
    let run = |samples: &mut Samples, options: &Options| {
        let dir = tempfile::tempdir_in(bench.dir)?;
        let subject = Subject::open(dir.path(), rows.dim(), options)?;
        samples.rate(megabytes, seconds(|| subject.ingest(&rows, 0, count))?);
        let checkpoints = subject.store.stats()?.checkpoints;
        subject.store.close()?;
        Ok::<_, Failure>(checkpoints)
    };
    let mut checkpoints = 0;
    take_turns(
        ROUNDS,
        &mut [
            &mut |_| run(&mut with, &Options::default()).map(|made| checkpoints = made),
            &mut |_| run(&mut without, &none).map(drop),
        ],
    )?;
    let what = format!("ingest of {count} rows (raw: no background work)");
    let line = Line::new(what, Unit::MegabytesPerSecond, with.median()).raw(without.median());
    let note = format!("{checkpoints} checkpoints in each");
    bench.report.add(line.goal(Goal::Ratio(0.85)).note(note));
    Ok(())
}

/// The slowest hundredth of durable upserts at rest, and while checkpoints and merges go on.
fn latency(bench: &mut Bench<'_>) -> Result<(), Failure> {
    const ROUNDS: usize = 6;
    const CALLS: u64 = 3000;
    let rows = Rows::new(DIM);
    let dir = tempfile::tempdir_in(bench.dir)?;
    let subject = Subject::open(dir.path(), rows.dim(), &Options::default())?;
    subject.ingest(&rows, 0, 100_000)?;
    subject.store.compact()?;
    let next = AtomicU64::new(1 << 32);
    let upserts = || -> Result<Vec<f64>, Failure> {
        (0..CALLS)
            .map(|_| {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let (id, vector) = (id(number), rows.vector(number));
                let begun = Instant::now();
                subject.store.upsert(subject.rows, &id, vector, rows.payload())?;
                Ok(begun.elapsed().as_secs_f64() * 1e6)
            })
            .collect()
    };
    let mut samples: [Samples; 4] = Default::default();
    let [rest, rest_p50, busy, busy_p50] = &mut samples;
    take_turns(
        ROUNDS,
        &mut [
            &mut |_| {
                let mut took = upserts()?;
                took.sort_by(f64::total_cmp);
                rest.push(took[took.len() * 99 / 100]);
                rest_p50.push(took[took.len() / 2]);
                Ok(())
            },
            &mut |_| {
                let is_done = AtomicBool::new(false);
                std::thread::scope(|scope| {
                    let work = scope.spawn(|| -> Result<(), Failure> {
                        while !is_done.load(Ordering::Relaxed) {
                            subject.store.checkpoint()?;
                            subject.store.compact_with(|_| {
                                if is_done.load(Ordering::Relaxed) {
                                    ControlFlow::Break(())
                                } else {
                                    ControlFlow::Continue(())
                                }
                            })?;
                        }
                        Ok(())
                    });
                    let took = upserts();
                    is_done.store(true, Ordering::Relaxed);
                    work.join().expect("no thread panics")?;
                    let mut took = took?;
                    took.sort_by(f64::total_cmp);
                    busy.push(took[took.len() * 99 / 100]);
                    busy_p50.push(took[took.len() / 2]);
                    Ok(())
                })
            },
        ],
    )?;
    subject.store.close()?;
    let [rest, rest_p50, busy, busy_p50] = samples.map(|samples| samples.median().wall);
    let what = "upsert, p99, in checkpoints and merges";
    let line = Line::new(what, Unit::Microseconds, busy)
        .note(format!("at rest {rest:.0}; p50 {busy_p50:.0} against {rest_p50:.0}"));
    bench.report.add(line);
    let line = Line::new("the same over p99 at rest", Unit::Count, busy / rest);
    bench.report.add(line.goal(Goal::AtMost(5.0)));
    Ok(())
}
