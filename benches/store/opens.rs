//! Opening: behind a clean close, and behind a crash with a log to replay.

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use quiver_store::Options;

use crate::disk::{copy, drop_cached, settle};
use crate::report::{Goal, Line, Unit};
use crate::rounds::{Samples, seconds, take_turns};
use crate::rows::Rows;
use crate::subject::{Subject, build, unsealed_options};
use crate::{Bench, Failure};

const DIM: usize = 128;

/// About 64 MB, in the log and in segments.
const ROWS: u64 = 88_000;

pub(crate) fn measure(bench: &mut Bench<'_>) -> Result<(), Failure> {
    let rows = Rows::new(DIM);
    closed(bench, &rows)?;
    crashed(bench, &rows)
}

/// Raw: the first 4 KiB of each file.
fn closed(bench: &mut Bench<'_>, rows: &Rows) -> Result<(), Failure> {
    const ROUNDS: usize = 15;
    let path = bench.dir.join("closed");
    build(&path, rows, ROWS)?;
    let mut samples: [Samples; 4] = Default::default();
    let [cold, cold_raw, warm, warm_raw] = &mut samples;
    let open = |samples: &mut Samples| {
        let mut opened = None;
        let seconds = seconds(|| {
            opened = Some(Subject::open(&path, rows.dim(), &Options::default())?);
            Ok(())
        })?;
        samples.time(1e3, 1.0, seconds);
        let Some(Subject { store, .. }) = opened else { return Err("not opened".into()) };
        store.close()?;
        Ok(settle(&path)?)
    };
    let read = |samples: &mut Samples| {
        samples.time(1e3, 1.0, seconds(|| read_all(&path, Some(4096)))?);
        Ok(())
    };
    take_turns(
        ROUNDS,
        &mut [
            &mut |_| {
                drop_cached(&path)?;
                open(cold)
            },
            &mut |_| {
                drop_cached(&path)?;
                read(cold_raw)
            },
            &mut |_| {
                read_all(&path, None)?;
                open(warm)
            },
            &mut |_| {
                read_all(&path, None)?;
                read(warm_raw)
            },
        ],
    )?;
    let [cold, cold_raw, warm, warm_raw] = samples.map(|samples| samples.median());
    bench.report.add(
        Line::new("open after clean close, 64 MB, cold", Unit::Milliseconds, cold)
            .raw(cold_raw)
            .goal(Goal::AtMost(2.0))
            .note("raw: 4 KiB of each file"),
    );
    bench.report.add(
        Line::new("open after clean close, 64 MB, warm", Unit::Milliseconds, warm).raw(warm_raw),
    );
    Ok(())
}

/// Raw: the same files read in runs. Each round opens a copy, because an open changes the store.
fn crashed(bench: &mut Bench<'_>, rows: &Rows) -> Result<(), Failure> {
    const ROUNDS: usize = 5;
    let path = bench.dir.join("crashed");
    let subject = Subject::open(&path, rows.dim(), &unsealed_options())?;
    subject.ingest(rows, 0, ROWS)?;
    let megabytes = subject.store.stats()?.log_bytes as f64 / 1e6;
    drop(subject);
    settle(&path)?;
    let mut samples: [Samples; 4] = Default::default();
    let [cold, cold_raw, warm, warm_raw] = &mut samples;
    let fresh = |is_cold: bool| -> Result<PathBuf, Failure> {
        let fresh = bench.dir.join("copy");
        copy(&path, &fresh)?;
        if is_cold {
            drop_cached(&fresh)?;
        }
        Ok(fresh)
    };
    let open = |samples: &mut Samples, fresh: &Path| {
        let mut opened = None;
        let seconds = seconds(|| {
            opened = Some(Subject::open(fresh, rows.dim(), &Options::default())?);
            Ok(())
        })?;
        samples.rate(megabytes, seconds);
        if let Some(Subject { store, rows, .. }) = &opened
            && store.len(*rows)? != ROWS
        {
            return Err("rows were lost".into());
        }
        drop(opened);
        Ok(std::fs::remove_dir_all(fresh)?)
    };
    let read = |samples: &mut Samples| {
        samples.rate(megabytes, seconds(|| read_all(&path, None))?);
        Ok(())
    };
    take_turns(
        ROUNDS,
        &mut [
            &mut |_| open(cold, &fresh(true)?),
            &mut |_| {
                drop_cached(&path)?;
                read(cold_raw)
            },
            &mut |_| open(warm, &fresh(false)?),
            &mut |_| {
                read_all(&path, None)?;
                read(warm_raw)
            },
        ],
    )?;
    let [cold, cold_raw, warm, warm_raw] = samples.map(|samples| samples.median());
    let goal = Goal::AtLeast(400.0);
    for (what, figure, raw) in [("cold", cold, cold_raw), ("warm", warm, warm_raw)] {
        let text = format!("open after a crash, {megabytes:.0} MB of log, {what}");
        bench.report.add(
            Line::new(text, Unit::MegabytesPerSecond, figure)
                .raw(raw)
                .goal(goal)
                .note(format!("{:.0} ms", 1e3 * megabytes / figure.wall)),
        );
    }
    Ok(())
}

/// Reads the files of a directory in runs, or the front of each.
fn read_all(dir: &Path, front_bytes: Option<usize>) -> Result<(), Failure> {
    let mut run = vec![0; front_bytes.unwrap_or(256 * 1024)];
    for entry in std::fs::read_dir(dir)? {
        let file = File::open(entry?.path())?;
        let mut at = 0;
        loop {
            let count = file.read_at(&mut run, at)?;
            black_box(&run[..count]);
            at += count as u64;
            if count == 0 || front_bytes.is_some() {
                break;
            }
        }
    }
    Ok(())
}
