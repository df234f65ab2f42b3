//! The sweep, the damage and the swarms on the page of a run.

use std::fmt::{self, Write};

use super::charts::bars;
use super::markup::Safe;
use super::{command, numbers, told};
use crate::damage;
use crate::record::Record;
use crate::report::{CUT, number};
use crate::swarm;
use crate::sweep;

/// Lines of a story that are shown.
const LINES_MAX: usize = 200;

pub(super) fn parts(out: &mut String, record: &Record) -> fmt::Result {
    record.swept.as_ref().map_or(Ok(()), |part| swept(out, part))?;
    record.hurt.as_ref().map_or(Ok(()), |part| hurt(out, part))?;
    record.swarmed.as_ref().map_or(Ok(()), |part| swarmed(out, part))
}

fn swept(out: &mut String, report: &sweep::Report) -> fmt::Result {
    out.push_str("<section><h2>Sweep: every fault at every call of small histories</h2>");
    let rows = [
        ("histories", number(report.histories)),
        ("runs with one fault", number(report.runs)),
        ("runs with two", number(report.pairs)),
        ("  of both not to be mended", number(report.unmendable)),
        ("runs on a full disk", number(report.full)),
        ("images checked", number(report.tally.images_checked)),
        ("duplicate images", number(report.tally.images_duplicate)),
        ("trace hash", format!("{:016x}", report.tally.trace_hash)),
    ];
    numbers(out, &rows)?;
    cut(out, report.cut)?;
    out.push_str("<div class=cols>");
    let struck = report.planned.iter();
    bars(
        out,
        "Faults that struck",
        struck.map(|(name, (planned, unfired))| (*name, planned - unfired)),
    )?;
    bars(out, "Invariants evaluated", report.tally.invariants.iter().map(|(name, n)| (*name, *n)))?;
    out.push_str("</div></section>");
    Ok(())
}

fn hurt(out: &mut String, report: &damage::Report) -> fmt::Result {
    out.push_str("<section><h2>Damage to stores, at rest and open</h2>");
    let counts = &report.counts;
    let rows = [
        ("cases", number(counts.cases)),
        ("stores examined", number(counts.images)),
        ("left out", number(counts.left_out)),
    ];
    numbers(out, &rows)?;
    cut(out, report.cut)?;
    out.push_str("<div class=cols>");
    bars(out, "Damage", counts.by_form())?;
    bars(out, "Files hit", counts.by_kind())?;
    bars(out, "Came to", counts.outcomes.iter().map(|(name, times)| (*name, *times)))?;
    out.push_str("</div></section>");
    Ok(())
}

fn swarmed(out: &mut String, report: &swarm::Report) -> fmt::Result {
    out.push_str("<section><h2>Swarms of tasks on one store</h2>");
    let rows = [
        ("runs", number(report.runs)),
        ("crash points", number(report.tally.crash_points)),
        ("images checked", number(report.tally.images_checked)),
        ("duplicate images", number(report.tally.images_duplicate)),
        ("trace hash", format!("{:016x}", report.tally.trace_hash)),
    ];
    numbers(out, &rows)?;
    cut(out, report.cut)?;
    out.push_str("<div class=cols>");
    bars(out, "How tasks met", report.counts.0.iter().map(|(name, times)| (*name, *times)))?;
    bars(out, "Invariants evaluated", report.tally.invariants.iter().map(|(name, n)| (*name, *n)))?;
    out.push_str("</div></section>");
    Ok(())
}

/// Of a part that is not whole.
fn cut(out: &mut String, is_cut: bool) -> fmt::Result {
    if is_cut { write!(out, "<p class=warn>Not whole: {}</p>", Safe(CUT)) } else { Ok(()) }
}

/// A violation of the damage campaign.
pub(super) fn damaged(out: &mut String, found: &damage::Found) -> fmt::Result {
    let damage::Found { case, finding, wounds } = found;
    let (name, place) = (finding.invariant.name(), case.to_string());
    write!(out, "<article><h3>{} <small>{}</small></h3>", Safe(name), Safe(&place))?;
    told(out, &[("expected", &finding.expected), ("found", &finding.found)])?;
    if !wounds.is_empty() {
        out.push_str("<h4>What was done to the store</h4>");
        lines(out, wounds)?;
    }
    out.push_str("</article>");
    command(out, &format!("replay {place}"))
}

/// Lines that are shown to who asks for them.
pub(super) fn more(out: &mut String, title: &str, all: &[String]) -> fmt::Result {
    if all.is_empty() {
        return Ok(());
    }
    write!(out, "<details><summary>{title}</summary>")?;
    lines(out, all)?;
    out.push_str("</details>");
    Ok(())
}

/// The last lines of a list.
fn lines(out: &mut String, all: &[String]) -> fmt::Result {
    let from = all.len().saturating_sub(LINES_MAX);
    out.push_str("<pre>");
    if from > 0 {
        writeln!(out, "({from} lines before)")?;
    }
    for line in &all[from..] {
        writeln!(out, "{}", Safe(line))?;
    }
    out.push_str("</pre>");
    Ok(())
}
