//! The way to a violation: lanes of files, calls from top to bottom, syncs as bars, crashes as bands, and
//! beside what survived the last image that is good.

use std::fmt::{self, Write};

use super::markup::Safe;
use crate::disk::IoKind;
use crate::explore::chain::Called;
use crate::forward::STORE_DIR;
use crate::report::timeline::{Change, Event, Fate, Left, Timeline};

/// Changes of a crash that are shown, those first in which good and bad differ.
const CHANGES_MAX: usize = 60;

const LANE: usize = 18;
const HEIGHT: usize = 26;

impl Fate {
    fn class(self) -> &'static str {
        match self {
            Self::Survived => "survived",
            Self::Part => "part",
            Self::Lost => "lost",
            Self::Cached => "cached",
        }
    }
}

/// The whole way.
pub(super) fn way(out: &mut String, timeline: &Timeline) -> fmt::Result {
    let lanes = lanes(&timeline.events);
    let last = timeline.events.iter().rposition(|event| matches!(event, Event::Crash(_)));
    out.push_str("<h4>What happened</h4>");
    key(out);
    out.push_str("<div class=scroll><table class=way>");
    heads(out, &lanes)?;
    for (place, event) in timeline.events.iter().enumerate() {
        match event {
            Event::Call { called, fate, inside } => call(out, &lanes, called, *fate, *inside)?,
            Event::Crash(left) => {
                crash(out, &lanes, left)?;
                if Some(place) != last {
                    out.push_str("<tr><td colspan=7>");
                    survived(out, left, None)?;
                    out.push_str("</td></tr>");
                }
            }
        }
    }
    out.push_str("</table></div>");
    match timeline.bad() {
        None => out.push_str("<p>It does not hold in the running store, before any crash.</p>"),
        Some(bad) => {
            out.push_str(match timeline.good {
                Some(_) => "<h4>What survived: the first bad image beside the last good one</h4>",
                None => "<h4>What survived</h4>",
            });
            out.push_str("<div class=scroll>");
            survived(out, bad, timeline.good.as_ref())?;
            out.push_str("</div>");
            if timeline.good.is_none() {
                out.push_str("<p>None of the images near it that were tried is good.</p>");
            }
        }
    }
    Ok(())
}

fn key(out: &mut String) {
    out.push_str(
        "<p class=key><span class=survived>survived</span> <span class=part>in part</span> \
         <span class=lost>lost</span> <span class=cached>in the page cache</span> what became of a \
         change that was pending at the crash; what has no colour was durable, or failed. A bar is a \
         sync of that file.</p>",
    );
}

/// Short names of files and directories, in the order in which they appear.
fn lanes(events: &[Event]) -> Vec<String> {
    let mut lanes: Vec<String> = Vec::new();
    for event in events {
        let Event::Call { called, .. } = event else { continue };
        let lane = lane_of(called);
        if !lanes.contains(&lane) {
            lanes.push(lane);
        }
    }
    lanes
}

/// A change of names is one of its directory.
fn lane_of(called: &Called) -> String {
    let path: &str = &called.call.path;
    let of_names = matches!(
        called.call.kind,
        IoKind::Create
            | IoKind::CreateDir
            | IoKind::RemoveDir
            | IoKind::Rename
            | IoKind::Unlink
            | IoKind::Lock
    );
    let path = match (of_names, path.rsplit_once('/')) {
        (true, Some((dir, _))) => dir,
        _ => path,
    };
    if path.is_empty() { "/".to_owned() } else { path.to_owned() }
}

fn short(path: &str) -> &str {
    match path.strip_prefix(STORE_DIR).and_then(|rest| rest.strip_prefix('/')) {
        Some(inside) => inside,
        None => path,
    }
}

/// The name of a lane: its letter.
fn letter(place: usize) -> char {
    let letters = ('A'..='Z').chain('a'..='z');
    letters.into_iter().nth(place).unwrap_or('*')
}

fn heads(out: &mut String, lanes: &[String]) -> fmt::Result {
    write!(out, "<tr class=heads><th>")?;
    lanes_of(out, lanes.len(), |out| {
        for place in 0..lanes.len() {
            write!(out, "<text x={} y=18 text-anchor=middle>{}</text>", x(place), letter(place))?;
        }
        Ok(())
    })?;
    out.push_str("</th><th colspan=6>");
    for (place, lane) in lanes.iter().enumerate() {
        write!(out, "<span class=file><b>{}</b> {}</span> ", letter(place), Safe(short(lane)))?;
    }
    out.push_str("</th></tr>");
    Ok(())
}

fn x(place: usize) -> usize {
    LANE / 2 + LANE * place
}

fn lanes_of(
    out: &mut String,
    count: usize,
    draw: impl FnOnce(&mut String) -> fmt::Result,
) -> fmt::Result {
    write!(out, "<svg class=lanes width={} height={HEIGHT}>", LANE * count.max(1))?;
    draw(out)?;
    out.push_str("</svg>");
    Ok(())
}

fn call(
    out: &mut String,
    lanes: &[String],
    called: &Called,
    fate: Option<Fate>,
    inside: bool,
) -> fmt::Result {
    let Called { operation, call } = called;
    let is_sync = matches!(call.kind, IoKind::Sync | IoKind::SyncDir);
    let lane = lane_of(called);
    let own = lanes.iter().position(|known| *known == lane).unwrap_or(0);
    let row = if is_sync { "sync" } else { "" };
    write!(out, "<tr class=\"{row}\"><td>")?;
    lanes_of(out, lanes.len(), |out| {
        for place in 0..lanes.len() {
            write!(out, "<path class=lane d=\"M{} 0V{HEIGHT}\"/>", x(place))?;
        }
        let (at, middle) = (x(own), HEIGHT / 2);
        match (is_sync, &call.result) {
            (true, Ok(_)) if !call.elided => {
                let (from, width) = (at - LANE / 2 + 1, LANE - 2);
                write!(out, "<rect class=bar x={from} y={} width={width} height=5 />", middle - 2)
            }
            (_, Err(_)) => {
                let (a, b) = (at - 5, middle - 5);
                write!(out, "<path class=failed d=\"M{a} {b}l10 10m0 -10l-10 10\"/>")
            }
            _ => {
                let class = fate.map_or("durable", Fate::class);
                write!(out, "<circle class={class} cx={at} cy={middle} r=5 />")
            }
        }
    })?;
    let by = operation.map_or("recovery".to_owned(), |operation| format!("op {operation}"));
    write!(out, "</td><td class=faint>{by}</td><td><b>{}</b></td>", call.kind.name())?;
    write!(out, "<td class=path>{}", Safe(short(&call.path)))?;
    if let Some(to) = &call.to {
        write!(out, " to {}", Safe(short(to)))?;
    }
    out.push_str("</td><td class=num>");
    match call.kind {
        IoKind::Write => write!(out, "{} + {}", call.offset, call.len)?,
        IoKind::Allocate => write!(out, "to {}", call.len)?,
        _ => {}
    }
    out.push_str("</td><td>");
    if inside {
        out.push_str("<span class=struck>crash inside of it</span> ");
    }
    if let Some(fault) = call.fault {
        write!(out, "<span class=struck>{}</span> ", Safe(fault.name()))?;
    }
    if let Err(kind) = &call.result {
        write!(out, "<span class=struck>failed: {}</span> ", Safe(kind))?;
    }
    if call.elided {
        out.push_str("<span class=struck>switched off</span> ");
    }
    if let Some(fate) = fate {
        write!(out, "<span class={0}>{0}</span>", fate.class())?;
    }
    write!(out, "</td><td class=faint>{}</td></tr>", Safe(call.site_label()))
}

fn crash(out: &mut String, lanes: &[String], left: &Left) -> fmt::Result {
    out.push_str("<tr class=crash><td>");
    lanes_of(out, lanes.len(), |out| {
        let (end, middle) = (LANE * lanes.len(), HEIGHT / 2);
        write!(out, "<path d=\"M0 {middle}H{end}\"/>")
    })?;
    write!(out, "</td><td colspan=6><b>crash</b> {}</td></tr>", Safe(&left.words))
}

/// Every change of an image, and what became of it in another one.
fn survived(out: &mut String, bad: &Left, good: Option<&Left>) -> fmt::Result {
    let rows = beside(bad, good);
    out.push_str("<table class=left><tr><th>pending change</th>");
    let head = if good.is_some() { "first bad" } else { "left" };
    write!(out, "<th>{head}<br><small>{}</small></th>", Safe(&bad.words))?;
    if let Some(good) = good {
        write!(out, "<th>last good<br><small>{}</small></th>", Safe(&good.words))?;
    }
    out.push_str("</tr>");
    let differs = |row: &Row<'_>| {
        let [bad, good] = row.map(|change| change.map(|change| &change.words));
        bad != good
    };
    let mut shown: Vec<&Row<'_>> = rows.iter().collect();
    if shown.len() > CHANGES_MAX {
        shown.sort_by_key(|row| !differs(row));
        shown.truncate(CHANGES_MAX);
    }
    for row in &shown {
        let class = if good.is_some() && differs(row) { "differs" } else { "" };
        let what = row.iter().flatten().next().map_or("", |change| change.what.as_str());
        let what = what.replace(&format!("{STORE_DIR}/"), "");
        write!(out, "<tr class=\"{class}\"><td class=path>{}</td>", Safe(what))?;
        fate(out, row[0])?;
        if good.is_some() {
            fate(out, row[1])?;
        }
        out.push_str("</tr>");
    }
    if rows.is_empty() {
        out.push_str("<tr><td colspan=3 class=faint>nothing was pending</td></tr>");
    }
    out.push_str("</table>");
    if rows.len() > shown.len() {
        write!(out, "<p class=faint>and {} more</p>", rows.len() - shown.len())?;
    }
    Ok(())
}

/// A change in the bad image and in the good one.
type Row<'a> = [Option<&'a Change>; 2];

/// Changes of both images, each beside itself.
fn beside<'a>(bad: &'a Left, good: Option<&'a Left>) -> Vec<Row<'a>> {
    let mut others: Vec<&Change> =
        good.map(|good| good.changes.iter().collect()).unwrap_or_default();
    let mut rows: Vec<Row<'_>> = Vec::new();
    for change in &bad.changes {
        let same = others.iter().position(|other| other.what == change.what);
        rows.push([Some(change), same.map(|place| others.remove(place))]);
    }
    rows.extend(others.into_iter().map(|other| [None, Some(other)]));
    rows
}

fn fate(out: &mut String, change: Option<&Change>) -> fmt::Result {
    match change {
        None => {
            out.push_str("<td class=faint>not pending</td>");
            Ok(())
        }
        Some(Change { fate, words, .. }) => {
            write!(out, "<td><span class={}>{}</span></td>", fate.class(), Safe(words))
        }
    }
}
