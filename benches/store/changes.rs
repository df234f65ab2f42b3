//! Updates and deletes of rows that lie in segments, in batches of 1000.

use quiver_store::{Options, WriteBatch};

use crate::plain::Plain;
use crate::report::{Goal, Line, Unit};
use crate::rounds::{Samples, Seconds, seconds, take_turns};
use crate::rows::{ID_BYTES, Rows, ids};
use crate::subject::{BATCH_ROWS, Subject, build};
use crate::{Bench, Failure};

const ROWS: u64 = 60_000;

/// Rows changed in one round.
const CHANGED: u64 = 10_000;

const ROUNDS: usize = 7;

pub(crate) fn measure(bench: &mut Bench<'_>) -> Result<(), Failure> {
    let rows = Rows::new(128);
    let path = bench.dir.join("store");
    build(&path, &rows, ROWS)?;
    let subject = Subject::open(&path, rows.dim(), &Options::default())?;
    let batch_rows = usize::try_from(BATCH_ROWS)?;
    updates(bench, &rows, &subject, vec![b'x'; rows.row_bytes() * batch_rows])?;
    deletes(bench, &rows, &subject, vec![b'x'; ID_BYTES * batch_rows])?;
    subject.store.close()?;
    Ok(())
}

/// The first of the rows that a round changes, and their ids, in no order.
fn changed(round: usize) -> (u64, Vec<String>) {
    let first = round as u64 * CHANGED % ROWS;
    (first, ids(first, CHANGED))
}

/// What the raw contenders append for each batch.
fn appended(
    bench: &Bench<'_>,
    name: &str,
    run: &[u8],
    fill: bool,
) -> Result<impl Fn() -> Result<Seconds, Failure> + use<>, Failure> {
    let batches = CHANGED / BATCH_ROWS;
    let bytes = if fill { batches * run.len() as u64 } else { 0 };
    let file = Plain::new(&bench.dir.join(format!("{name}-{fill}")), bytes)?;
    let run = run.to_vec();
    Ok(move || {
        if fill {
            file.rewind();
        }
        seconds(|| (0..batches).try_for_each(|_| file.append(&run)))
    })
}

fn updates(
    bench: &mut Bench<'_>,
    rows: &Rows,
    subject: &Subject,
    run: Vec<u8>,
) -> Result<(), Failure> {
    let raw = appended(bench, "updates", &run, false)?;
    let raw_pre = appended(bench, "updates", &run, true)?;
    let change = |round: usize| {
        let (first, ids) = changed(round);
        let written = seconds(|| {
            let numbers = (first + round as u64 + 1..).step_by(usize::try_from(BATCH_ROWS)?);
            for (number, ids) in numbers.zip(ids.chunks(usize::try_from(BATCH_ROWS)?)) {
                subject.store.write(rows.upserts(subject.rows, number, ids))?;
            }
            Ok(())
        })?;
        Ok((written, seconds(|| Ok(subject.store.checkpoint()?))?))
    };
    compare(bench, "updates", subject, Goal::Ratio(0.25), change, raw, raw_pre)
}

fn deletes(
    bench: &mut Bench<'_>,
    rows: &Rows,
    subject: &Subject,
    run: Vec<u8>,
) -> Result<(), Failure> {
    let raw = appended(bench, "deletes", &run, false)?;
    let raw_pre = appended(bench, "deletes", &run, true)?;
    let change = |round: usize| {
        let (first, ids) = changed(round);
        let written = seconds(|| {
            for ids in ids.chunks(usize::try_from(BATCH_ROWS)?) {
                let mut batch = WriteBatch::new();
                for id in ids {
                    batch.delete(subject.rows, id);
                }
                subject.store.write(batch)?;
            }
            Ok(())
        })?;
        let left = subject.store.len(subject.rows)?;
        if left != ROWS - CHANGED {
            return Err(format!("{left} rows left of {ROWS}").into());
        }
        let checkpoint = seconds(|| Ok(subject.store.checkpoint()?))?;
        // For the next round.
        subject.ingest(rows, first, CHANGED)?;
        subject.store.checkpoint()?;
        Ok((written, checkpoint))
    };
    compare(bench, "deletes", subject, Goal::Ratio(0.15), change, raw, raw_pre)
}

/// Runs the rounds of one kind of change, which returns the seconds until it was acknowledged and
/// those of the checkpoint behind it.
fn compare(
    bench: &mut Bench<'_>,
    what: &str,
    subject: &Subject,
    goal: Goal,
    change: impl Fn(usize) -> Result<(Seconds, Seconds), Failure>,
    raw: impl Fn() -> Result<Seconds, Failure>,
    raw_pre: impl Fn() -> Result<Seconds, Failure>,
) -> Result<(), Failure> {
    let mut samples: [Samples; 4] = Default::default();
    let [own, sealed, plain, filled] = &mut samples;
    let syncs_before = subject.vfs.syncs();
    take_turns(
        ROUNDS,
        &mut [
            &mut |round| {
                let (written, checkpoint) = change(round)?;
                own.rate(CHANGED as f64, written);
                sealed.rate(CHANGED as f64, written + checkpoint);
                Ok(())
            },
            &mut |_| {
                plain.rate(CHANGED as f64, raw()?);
                Ok(())
            },
            &mut |_| {
                filled.rate(CHANGED as f64, raw_pre()?);
                Ok(())
            },
        ],
    )?;
    let syncs = (subject.vfs.syncs() - syncs_before) as f64;
    let [own, sealed, plain, filled] = samples.map(|samples| samples.median());
    let text = format!("{what} in batches of 1000, dim 128");
    bench
        .report
        .add(Line::new(text, Unit::RowsPerSecond, own).raw(plain).raw_pre(filled).goal(goal));
    bench.report.add(
        Line::new(format!("{what}, with checkpoint"), Unit::RowsPerSecond, sealed)
            .raw(plain)
            .raw_pre(filled)
            .syncs(syncs / (CHANGED as f64 * (ROUNDS as f64 + 1.0)))
            .note("syncs with what prepares the rounds"),
    );
    Ok(())
}
