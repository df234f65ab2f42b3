//! Verification. The raw contender reads the same files front to back, in runs of 1 MiB, and looks at
//! nothing.

use std::fs::File;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use quiver_store::{
    Descriptor, DistanceMetric, Dtype, FilterableField, Options, Store, VerifyOptions,
};

use crate::disk::{drop_cached_file, open_all, settle};
use crate::plain::read_file;
use crate::report::{Goal, Line, Unit};
use crate::rounds::{Samples, seconds, take_turns};
use crate::rows::Rows;
use crate::subject::Subject;
use crate::{Bench, Failure};

const ROUNDS: usize = 7;

/// What is verified, in how many segments, and what is to be reached.
struct Case {
    what: &'static str,
    rows: Rows,
    count: u64,
    fields: Vec<FilterableField>,
    is_compact: bool,
    goal: Goal,
}

/// Rows without payloads are the hardest case: the most rows for each byte. An index takes the parsing
/// of every payload, which no reading is measured by.
pub(crate) fn measure(bench: &mut Bench<'_>) -> Result<(), Failure> {
    let goal = Goal::Ratio(0.7);
    let (bare, full) = (bench.sized(1_000_000, 500_000), bench.sized(500_000, 100_000));
    let case =
        |what, rows, count| Case { what, rows, count, fields: Vec::new(), is_compact: true, goal };
    let year = vec![FilterableField::numeric("year")];
    for case in [
        case("dim 32, no payload", Rows::bare(32), bare),
        Case { is_compact: false, ..case("dim 32, no payload, as ingested", Rows::bare(32), bare) },
        case("dim 128, 200 bytes", Rows::new(128), full),
        Case {
            fields: year,
            goal: Goal::None,
            ..case("dim 128, 200 bytes, an index", Rows::new(128), full)
        },
    ] {
        let path = bench.dir.join("store");
        let segments = case.build(&path)?;
        case.verify(bench, &path, segments)?;
        std::fs::remove_dir_all(&path)?;
    }
    Ok(())
}

impl Case {
    /// Makes the store; how many segments it has.
    fn build(&self, path: &Path) -> Result<u64, Failure> {
        let mut schema = Descriptor::new(self.rows.dim(), Dtype::F32, DistanceMetric::L2);
        schema.filterable.clone_from(&self.fields);
        let subject = Subject::open_as(path, schema, &Options::default())?;
        subject.ingest(&self.rows, 0, self.count)?;
        subject.store.checkpoint()?;
        if self.is_compact {
            subject.store.compact()?;
        }
        let segments = subject.store.stats()?.segments;
        subject.store.close()?;
        Ok(settle(path).map(|()| segments)?)
    }

    fn verify(&self, bench: &mut Bench<'_>, path: &Path, segments: u64) -> Result<(), Failure> {
        let files = open_all(path)?;
        let mut samples: [Samples; 6] = Default::default();
        let [cold_raw, cold, warm_raw, pages_raw, warm, pages] = &mut samples;
        let drop_all = || files.iter().try_for_each(drop_cached_file);
        let pages_only = {
            let mut options = VerifyOptions::default();
            options.contents = false;
            options
        };
        take_turns(
            ROUNDS,
            &mut [
                &mut |_| {
                    drop_all()?;
                    read(path, cold_raw)
                },
                &mut |_| {
                    drop_all()?;
                    self.look(path, VerifyOptions::default(), cold)
                },
                &mut |_| read(path, warm_raw),
                &mut |_| self.look(path, VerifyOptions::default(), warm),
                &mut |_| read(path, pages_raw),
                &mut |_| self.look(path, pages_only, pages),
            ],
        )?;
        let [cold_raw, cold, warm_raw, pages_raw, warm, pages] =
            samples.map(|samples| samples.median());
        let (what, rows) = (self.what, self.count);
        for (how, figure, raw, goal) in [
            ("cold", cold, cold_raw, self.goal),
            ("warm", warm, warm_raw, Goal::None),
            ("warm, pages only", pages, pages_raw, Goal::None),
        ] {
            let what = format!("verify, {what}, {how}");
            bench.report.add(
                Line::new(what, Unit::MegabytesPerSecond, figure)
                    .raw(raw)
                    .goal(goal)
                    .note(format!("{rows} rows in {segments} segments")),
            );
        }
        Ok(())
    }

    /// Verifies the store as one does that was just opened.
    fn look(
        &self,
        path: &Path,
        options: VerifyOptions,
        samples: &mut Samples,
    ) -> Result<(), Failure> {
        let store = Store::open_read_only(path)?;
        let mut found = None;
        let took = seconds(|| {
            found = Some(store.verify(options, |_| ControlFlow::Continue(()))?);
            Ok(())
        })?;
        let report = found.expect("it was timed");
        let rows = if options.contents { self.count } else { 0 };
        if !report.findings.is_empty() || report.rows != rows {
            return Err(format!("{report:?}").into());
        }
        samples.rate(report.bytes as f64 / 1e6, took);
        Ok(())
    }
}

/// Reads the segments of a store.
fn read(path: &Path, samples: &mut Samples) -> Result<(), Failure> {
    let mut bytes = 0;
    let took = seconds(|| {
        for file in segments_of(path)? {
            bytes += read_file(&File::open(file)?)?;
        }
        Ok(())
    })?;
    samples.rate(bytes as f64 / 1e6, took);
    Ok(())
}

fn segments_of(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = std::fs::read_dir(path)?.map(|entry| Ok(entry?.path()));
    let paths: Vec<PathBuf> = entries.collect::<std::io::Result<_>>()?;
    Ok(paths.into_iter().filter(|path| path.extension().is_some_and(|end| end == "seg")).collect())
}
