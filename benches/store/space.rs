//! Bytes written and kept for each byte of rows, through a long ingest and a churn.

use quiver_store::Options;

use crate::disk::bytes_on_disk;
use crate::plain::Plain;
use crate::report::{Goal, Line, Unit};
use crate::rounds::{Seconds, seconds};
use crate::rows::Rows;
use crate::subject::{BATCH_ROWS, Subject};
use crate::{Bench, Failure};

const DIM: usize = 32;

/// One ingest and no rounds: bytes do not drift, and its rate is that of a long run.
pub(crate) fn measure(bench: &mut Bench<'_>) -> Result<(), Failure> {
    let rows = Rows::new(DIM);
    let count = bench.sized(1_000_000, 250_000);
    let logical = (count * rows.row_bytes() as u64) as f64;
    let path = bench.dir.join("store");
    let subject = Subject::open(&path, rows.dim(), &Options::default())?;
    let raw = Plain::new(&bench.dir.join("raw"), 0)?;
    let run = vec![b'x'; rows.row_bytes() * usize::try_from(BATCH_ROWS)?];
    let (mut own, mut plain) = <(Seconds, Seconds)>::default();
    // In turns here too: a tenth of the rows each.
    for tenth in 0..10 {
        let part = count / 10;
        own = own + seconds(|| subject.ingest(&rows, tenth * part, part))?;
        plain = plain + seconds(|| (0..part / BATCH_ROWS).try_for_each(|_| raw.append(&run)))?;
    }
    let syncs = subject.vfs.syncs() as f64 / count as f64;
    own = own + seconds(|| Ok(subject.store.checkpoint()?))?;
    let megabytes = logical / 1e6;
    bench.report.add(
        Line::new(
            format!("ingest of {count} rows, dim 32, checkpoint"),
            Unit::MegabytesPerSecond,
            own.rate_of(megabytes),
        )
        .raw(plain.rate_of(megabytes))
        .syncs(syncs),
    );
    let per_byte = |what: &str, bytes: u64, goal: Goal, note: String| {
        let figure = bytes as f64 / logical;
        Line::new(what, Unit::Count, figure).raw(1.0).goal(goal).note(note)
    };
    let stats = subject.store.stats()?;
    bench.report.add(per_byte(
        "bytes written per logical byte, ingest",
        subject.vfs.written_bytes(),
        Goal::AtMost(6.0),
        format!("{count} rows; the goal is for a million"),
    ));
    bench.report.add(per_byte(
        "bytes on disk per logical byte",
        bytes_on_disk(&path)?,
        Goal::None,
        format!("{} segments", stats.segments),
    ));
    subject.store.compact()?;
    bench.report.add(per_byte(
        "bytes written per logical byte, compacted",
        subject.vfs.written_bytes(),
        Goal::None,
        String::new(),
    ));
    subject.ingest(&rows, 0, count / 2)?;
    subject.store.checkpoint()?;
    bench.report.add(per_byte(
        "bytes on disk per live byte, half overwritten",
        bytes_on_disk(&path)?,
        Goal::None,
        format!("{} segments", subject.store.stats()?.segments),
    ));
    subject.store.compact()?;
    bench.report.add(per_byte(
        "bytes on disk per live byte, compacted",
        bytes_on_disk(&path)?,
        Goal::None,
        format!("{} segments", subject.store.stats()?.segments),
    ));
    subject.store.close()?;
    Ok(())
}
