//! Memory, as the system accounts for it: each figure is of a process of its own, this program
//! started again, which reads `VmRSS` and `VmHWM` of `/proc/self/status`. The peak is reset before
//! the work, and everything is counted from what the process had then.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;

use quiver_store::{Options, ScanRange};

use crate::arguments::CHILD;
use crate::report::{Goal, Line, Unit};
use crate::rows::Rows;
use crate::subject::Subject;
use crate::{Bench, Failure};

const DIM: usize = 128;

pub(crate) fn measure(bench: &mut Bench<'_>) -> Result<(), Failure> {
    let count = bench.sized(1_000_000, 150_000);
    for (count, name) in [(count / 4, "small"), (count, "large")] {
        let path = bench.dir.join(name);
        let logical = (count * Rows::new(DIM).row_bytes() as u64) as f64 / 1e6;
        for (work, what, goal) in [
            ("ingest", "batch ingest: peak above start", Goal::AtMost(96.0)),
            ("idle", "open and idle: above start", Goal::AtMost(32.0)),
            ("scan", "scan: peak above open", Goal::None),
        ] {
            let mebibytes = spawned(work, &path, count)?;
            let goal = if name == "large" { goal } else { Goal::None };
            bench.report.add(
                Line::new(format!("{count} rows, {what}"), Unit::Mebibytes, mebibytes)
                    .goal(goal)
                    .note(format!("{logical:.0} MB of rows, VmHWM or VmRSS of a child")),
            );
        }
    }
    Ok(())
}

/// What a process of its own takes for some work.
fn spawned(work: &str, dir: &Path, count: u64) -> Result<f64, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(CHILD).arg(work).arg(dir).arg(count.to_string());
    let output = command.output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse::<f64>()? / 1024.0)
}

/// Does what a child is told, and prints the KiB that it took.
pub(crate) fn child(words: &[String]) -> Result<(), Failure> {
    let [work, dir, count] = words else { return Err("a child is told work, DIR, ROWS".into()) };
    let (dir, count) = (Path::new(dir), count.parse()?);
    let kibibytes = match work.as_str() {
        "ingest" => {
            let rows = Rows::new(DIM);
            let start = reset()?;
            let subject = Subject::open(dir, rows.dim(), &Options::default())?;
            subject.ingest(&rows, 0, count)?;
            let peak = status("VmHWM")?;
            subject.store.checkpoint()?;
            let peak = peak.max(status("VmHWM")?);
            subject.store.close()?;
            peak - start
        }
        "idle" => {
            let start = reset()?;
            let subject = open(dir)?;
            let now = status("VmRSS")?;
            drop(subject);
            now - start
        }
        "scan" => {
            let subject = open(dir)?;
            let start = reset()?;
            let mut seen = 0;
            subject.store.scan_with(subject.rows, ScanRange::all(), |_, row| {
                black_box((row.vector, row.payload));
                seen += 1;
                ControlFlow::Continue(())
            })?;
            if seen != count {
                return Err(format!("{seen} rows of {count}").into());
            }
            status("VmHWM")? - start
        }
        _ => return Err(format!("a child cannot do this: {work}").into()),
    };
    println!("{kibibytes}");
    Ok(())
}

fn open(dir: &Path) -> Result<Subject, Failure> {
    Subject::open(dir, u32::try_from(DIM)?, &Options::default())
}

/// Forgets the peak so far; the memory of now, in KiB.
fn reset() -> Result<f64, Failure> {
    std::fs::write("/proc/self/clear_refs", "5")?;
    status("VmRSS")
}

/// A line of the process's own status, in KiB.
fn status(name: &str) -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kibibytes.ok_or_else(|| format!("no {name} in the status of the process"))?.parse()?)
}
