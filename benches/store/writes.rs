//! Durable upserts, one by one and in batches.

use quiver_store::Options;

use crate::plain::Plain;
use crate::report::{Goal, Line, Unit};
use crate::rounds::{Samples, in_threads, seconds, take_turns};
use crate::rows::{Rows, ids};
use crate::subject::{BATCH_ROWS, Subject};
use crate::{Bench, Failure};

/// Single rows, each durable before its call returns. Threads of the raw contenders write into one
/// file without a lock, and sync it each for itself.
pub(crate) fn single(bench: &mut Bench<'_>) -> Result<(), Failure> {
    // Short turns: what else keeps the disk busy meets all contenders.
    const ROUNDS: usize = 50;
    for (threads, rows_each, goal) in [(1, 60, Goal::Ratio(1.2)), (16, 12, Goal::None)] {
        let rows = Rows::new(128);
        let dir = tempfile::tempdir_in(bench.dir)?;
        let count = threads * rows_each;
        let row = vec![b'x'; rows.row_bytes()];
        let raw = Plain::new(&dir.path().join("raw"), 0)?;
        let raw_pre = Plain::new(&dir.path().join("raw-pre"), count * row.len() as u64)?;
        let subject = Subject::open(&dir.path().join("store"), rows.dim(), &Options::default())?;
        let (mut own, mut plain, mut filled) = Default::default();
        let mut syncs = 0;
        let rate = |samples: &mut Samples, work: &(dyn Fn(u64) -> Result<(), Failure> + Sync)| {
            samples.rate(count as f64, seconds(|| in_threads(threads, work))?);
            Ok::<_, Failure>(())
        };
        let append = |file: &Plain| (0..rows_each).try_for_each(|_| file.append(&row));
        take_turns(
            ROUNDS,
            &mut [
                &mut |round| {
                    let first = round as u64 * count;
                    let ids = ids(first, count);
                    let syncs_before = subject.vfs.syncs();
                    rate(&mut own, &|thread| {
                        let from = usize::try_from(thread * rows_each)?;
                        let till = from + usize::try_from(rows_each)?;
                        for (number, id) in (first..).zip(&ids[from..till]) {
                            let vector = rows.vector(number);
                            subject.store.upsert(subject.rows, id, vector, rows.payload())?;
                        }
                        Ok(())
                    })?;
                    syncs += subject.vfs.syncs() - syncs_before;
                    Ok(())
                },
                &mut |_| rate(&mut plain, &|_| append(&raw)),
                &mut |_| {
                    raw_pre.rewind();
                    rate(&mut filled, &|_| append(&raw_pre))
                },
            ],
        )?;
        subject.store.close()?;
        let name = if threads == 1 { "thread" } else { "threads" };
        bench.report.add(
            Line::new(
                format!("single upserts, dim 128, {threads} {name}"),
                Unit::RowsPerSecond,
                own.median(),
            )
            .raw(plain.median())
            .raw_pre(filled.median())
            .goal(goal)
            .syncs(syncs as f64 / (count * (ROUNDS as u64 + 1)) as f64),
        );
    }
    Ok(())
}

/// Batches of 1000 rows, each durable before its call returns; and a checkpoint behind each round.
/// Checkpoints and merges that the store runs by itself are in both figures.
pub(crate) fn batches(bench: &mut Bench<'_>) -> Result<(), Failure> {
    for (dim, batches, rounds) in [(128, 20, 8), (768, 8, 8)] {
        let goals = if dim == 128 {
            [Goal::Ratio(0.45), Goal::Ratio(0.28)]
        } else {
            [Goal::None, Goal::Ratio(0.7)]
        };
        batches_of(bench, &Rows::new(dim), batches, rounds, goals)?;
    }
    Ok(())
}

fn batches_of(
    bench: &mut Bench<'_>,
    rows: &Rows,
    batches: u64,
    rounds: usize,
    goals: [Goal; 2],
) -> Result<(), Failure> {
    let dir = tempfile::tempdir_in(bench.dir)?;
    let run = vec![b'x'; rows.row_bytes() * usize::try_from(BATCH_ROWS)?];
    let round_bytes = batches * run.len() as u64;
    let megabytes = round_bytes as f64 / 1e6;
    let raw = Plain::new(&dir.path().join("raw"), 0)?;
    let raw_pre = Plain::new(&dir.path().join("raw-pre"), round_bytes)?;
    let subject = Subject::open(&dir.path().join("store"), rows.dim(), &Options::default())?;
    let mut samples: [Samples; 4] = Default::default();
    let [own, sealed, plain, filled] = &mut samples;
    let mut syncs = [0; 2];
    let append = |file: &Plain| (0..batches).try_for_each(|_| file.append(&run));
    take_turns(
        rounds,
        &mut [
            &mut |round| {
                let count = batches * BATCH_ROWS;
                let first = round as u64 * count;
                let ids = ids(first, count);
                let syncs_before = subject.vfs.syncs();
                let written = seconds(|| {
                    let numbers = (first..).step_by(usize::try_from(BATCH_ROWS)?);
                    for (number, ids) in numbers.zip(ids.chunks(usize::try_from(BATCH_ROWS)?)) {
                        subject.store.write(rows.upserts(subject.rows, number, ids))?;
                    }
                    Ok(())
                })?;
                syncs[0] += subject.vfs.syncs() - syncs_before;
                let checkpoint = seconds(|| Ok(subject.store.checkpoint()?))?;
                syncs[1] += subject.vfs.syncs() - syncs_before;
                own.rate(megabytes, written);
                sealed.rate(megabytes, written + checkpoint);
                Ok(())
            },
            &mut |_| {
                plain.rate(megabytes, seconds(|| append(&raw))?);
                Ok(())
            },
            &mut |_| {
                raw_pre.rewind();
                filled.rate(megabytes, seconds(|| append(&raw_pre))?);
                Ok(())
            },
        ],
    )?;
    subject.store.close()?;
    let [own, sealed, plain, filled] = samples.map(|samples| samples.median());
    let rows_written = (batches * BATCH_ROWS * (rounds as u64 + 1)) as f64;
    let names = ["acknowledged", "with checkpoint"];
    for (i, figure) in [own, sealed].into_iter().enumerate() {
        let what = format!("batches of 1000, dim {}, {}", rows.dim(), names[i]);
        bench.report.add(
            Line::new(what, Unit::MegabytesPerSecond, figure)
                .raw(plain)
                .raw_pre(filled)
                .goal(goals[i])
                .syncs(syncs[i] as f64 / rows_written),
        );
    }
    Ok(())
}
