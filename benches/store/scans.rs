//! All rows in id order. The raw contender reads as many bytes, in runs, in the order of the file.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::Path;

use quiver_store::{Options, ScanRange};

use crate::disk::{drop_cached_file, open_all, settle};
use crate::plain::{Plain, touch};
use crate::report::{Goal, Line, Unit};
use crate::rounds::{Samples, seconds, take_turns};
use crate::rows::Rows;
use crate::subject::{Subject, build};
use crate::{Bench, Failure};

const DIM: usize = 128;

/// About 64 MB.
const ROWS: u64 = 90_000;

const ROUNDS: usize = 7;

pub(crate) fn measure(bench: &mut Bench<'_>) -> Result<(), Failure> {
    let rows = Rows::new(DIM);
    let path = bench.dir.join("store");
    build(&path, &rows, ROWS)?;
    let bytes = ROWS * rows.row_bytes() as u64;
    let raw = Plain::new(&bench.dir.join("raw"), bytes)?;
    let subject = Subject::open(&path, rows.dim(), &Options::default())?;
    let own = Own { subject, rows: &rows, path: &path };
    warm(bench, &own, &raw, bytes)?;
    cold(bench, &own, &raw, bytes)?;
    own.subject.store.close()?;
    Ok(())
}

/// The store's ways to read everything. Each says whether all rows came.
struct Own<'a> {
    subject: Subject,
    rows: &'a Rows,
    path: &'a Path,
}

impl Own<'_> {
    /// Shows each row where it lies.
    fn scan_with(&self, mut see: impl FnMut(&[u8])) -> Result<(), Failure> {
        let mut count = 0;
        let Subject { store, rows, .. } = &self.subject;
        store.scan_with(*rows, ScanRange::all(), |id, row| {
            see(id.as_bytes());
            see(row.vector);
            see(row.payload);
            count += 1;
            ControlFlow::Continue(())
        })?;
        all(count)
    }

    /// Hands each row out.
    fn scan(&self) -> Result<(), Failure> {
        let mut count = 0;
        for row in self.subject.store.scan(self.subject.rows)? {
            black_box(row?);
            count += 1;
        }
        all(count)
    }

    fn scan_payloads(&self) -> Result<(), Failure> {
        let mut count = 0;
        for row in self.subject.store.scan_payloads(self.subject.rows, ScanRange::all())? {
            black_box(row?);
            count += 1;
        }
        all(count)
    }

    fn vectors(&self) -> Result<(), Failure> {
        let source = self.subject.store.capture_vector_source(self.subject.rows)?;
        let count = source.iter().map(black_box).count() as u64;
        source.take_error().map_or(Ok(()), Err)?;
        all(count)
    }
}

fn all(count: u64) -> Result<(), Failure> {
    if count == ROWS { Ok(()) } else { Err(format!("{count} rows of {ROWS}").into()) }
}

fn warm(bench: &mut Bench<'_>, own: &Own<'_>, raw: &Plain, bytes: u64) -> Result<(), Failure> {
    let mut samples: [Samples; 8] = Default::default();
    let [plain, plain_touched, plain_vectors, seen, touched, scanned, payloads, vectors] =
        &mut samples;
    let rate = |samples: &mut Samples, bytes: u64, work: &dyn Fn() -> Result<(), Failure>| {
        samples.rate(bytes as f64 / 1e6, seconds(work)?);
        Ok(())
    };
    let show = |bytes: &[u8]| {
        black_box(bytes);
    };
    let read = |bytes: &[u8]| {
        black_box(touch(bytes));
    };
    let payload_bytes = ROWS * (own.rows.row_bytes() - own.rows.value_bytes()) as u64
        + ROWS * own.rows.payload().len() as u64;
    let vector_bytes = bytes - ROWS * own.rows.payload().len() as u64;
    take_turns(
        ROUNDS,
        &mut [
            &mut |_| rate(plain, bytes, &|| raw.scan(bytes, show)),
            &mut |_| rate(plain_touched, bytes, &|| raw.scan(bytes, read)),
            &mut |_| rate(plain_vectors, vector_bytes, &|| raw.scan(vector_bytes, show)),
            &mut |_| rate(seen, bytes, &|| own.scan_with(show)),
            &mut |_| rate(touched, bytes, &|| own.scan_with(read)),
            &mut |_| rate(scanned, bytes, &|| own.scan()),
            &mut |_| rate(payloads, payload_bytes, &|| own.scan_payloads()),
            &mut |_| rate(vectors, vector_bytes, &|| own.vectors()),
        ],
    )?;
    let medians = samples.map(|samples| samples.median());
    let [plain, plain_touched, plain_vectors, seen, touched, scanned, payloads, vectors] = medians;
    let goal = Goal::Ratio(0.45);
    for (what, figure, raw, goal) in [
        ("scan_with, warm", seen, plain, goal),
        ("scan_with, warm, each byte read", touched, plain_touched, goal),
        ("scan, warm", scanned, plain, Goal::None),
        ("scan_payloads, warm", payloads, plain, Goal::None),
        ("vector source, warm", vectors, plain_vectors, Goal::None),
    ] {
        let line = Line::new(what, Unit::MegabytesPerSecond, figure).raw(raw).goal(goal);
        bench.report.add(line);
    }
    Ok(())
}

fn cold(bench: &mut Bench<'_>, own: &Own<'_>, raw: &Plain, bytes: u64) -> Result<(), Failure> {
    settle(own.path)?;
    let files = open_all(own.path)?;
    let (mut plain, mut seen) = <(Samples, Samples)>::default();
    let megabytes = bytes as f64 / 1e6;
    let read = |bytes: &[u8]| {
        black_box(touch(bytes));
    };
    take_turns(
        ROUNDS,
        &mut [
            &mut |_| {
                raw.drop_cached()?;
                plain.rate(megabytes, seconds(|| raw.scan(bytes, read))?);
                Ok(())
            },
            &mut |_| {
                files.iter().try_for_each(drop_cached_file)?;
                seen.rate(megabytes, seconds(|| own.scan_with(read))?);
                Ok(())
            },
        ],
    )?;
    bench.report.add(
        Line::new("scan_with, cold, each byte read", Unit::MegabytesPerSecond, seen.median())
            .raw(plain.median()),
    );
    Ok(())
}
