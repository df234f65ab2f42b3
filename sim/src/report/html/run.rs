//! The page of a run, or of shards that were joined.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::charts::{bars, pace};
use super::markup::Safe;
use super::{Mood, VIOLATIONS_MAX, command, numbers, page, parts, violation};
use crate::disk::Filesystem;
use crate::record::{Bounds, Record, Verdict};
use crate::report::timeline::Ways;
use crate::report::{self, number, rate};
use crate::tally::{Spread, Tally};

/// The whole page, with the ways to violations that are known.
pub fn run_html(record: &Record, ways: &Ways) -> String {
    let tally = &record.done.tally;
    let (verdict, idle) = (record.verdict(), tally.idle());
    let images = number(tally.images_checked);
    let (mood, title) = match (&verdict, record.violations()) {
        (Verdict::Cancelled, _) => (Mood::Doubtful, "No violation so far".to_owned()),
        (Verdict::SomeShards, _) => (Mood::Doubtful, "No violation in some shards".to_owned()),
        (Verdict::Idle(_), _) => (Mood::Doubtful, "No violation, but counters at zero".to_owned()),
        (Verdict::Sound, _) => (Mood::Good, "No violation".to_owned()),
        (Verdict::Violated, 1) => (Mood::Bad, "1 violation".to_owned()),
        (Verdict::Violated, count) => (Mood::Bad, format!("{count} violations")),
    };
    let (version, medium) = (&record.engine_version, &record.bounds.medium);
    let lead = format!(
        "in {images} crash images of quiver-store {version}, each recovered and checked, on a \
         simulated disk of medium {medium}"
    );
    page(&title, mood, &lead, |out| {
        figures(out, record)?;
        violations_of(out, record, ways)?;
        // Of one shard, or of a run with violations, they are no more than a remark.
        let zero = if let Verdict::Idle(all) = &verdict { all.clone() } else { idle.join(", ") };
        if !zero.is_empty() {
            write!(out, "<p class=warn>Counters at zero: {}</p>", Safe(zero))?;
        }
        out.push_str("<section><h2>Images per second</h2>");
        pace(out, &record.done.pace)?;
        out.push_str("</section>");
        counters(out, tally)?;
        parts::parts(out, record)?;
        again(out, record)
    })
}

/// What is looked at first.
fn figures(out: &mut String, record: &Record) -> fmt::Result {
    let done = &record.done;
    let per_second = rate(done.tally.images_checked, done.elapsed);
    let seconds = done.elapsed.as_secs();
    let elapsed = match seconds {
        0..=119 => format!("{:.1} s", done.elapsed.as_secs_f64()),
        120..=7199 => format!("{} min", seconds / 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    };
    let shards = format!("{} of {}", record.shards.parts.len(), record.shards.of);
    let tiles = [
        ("images checked", number(done.tally.images_checked)),
        ("violations", number(record.violations() as u64)),
        ("histories", number(done.tally.seeds)),
        ("crash points", number(done.tally.crash_points)),
        ("images per second", number(per_second)),
        ("time of machines", elapsed),
        ("shards", shards),
        ("ended", done.end.words().to_owned()),
    ];
    out.push_str("<div class=tiles>");
    for (name, value) in tiles {
        write!(out, "<div><b>{}</b><span>{name}</span></div>", Safe(value))?;
    }
    out.push_str("</div>");
    match record.shards.missing() {
        Some(missing) if record.shards.parts.len() > 1 => {
            write!(out, "<p class=warn>Missing: shard {}</p>", Safe(missing))
        }
        _ => Ok(()),
    }
}

fn violations_of(out: &mut String, record: &Record, ways: &Ways) -> fmt::Result {
    let count = record.violations();
    if count == 0 {
        return Ok(());
    }
    out.push_str("<section><h2>Violations</h2>");
    let mut shown = 0;
    for found in record.done.tally.violations.iter().take(VIOLATIONS_MAX) {
        let known = (found.address.to_string(), found.invariant);
        violation(out, &known.0, found, ways.get(&known))?;
        command(out, &found.replay())?;
        found.shrink().map_or(Ok(()), |shrink| command(out, &shrink))?;
        shown += 1;
    }
    let swept = record.swept.iter().flat_map(|part| &part.violations);
    for (case, found) in swept.take(VIOLATIONS_MAX) {
        let known = (case.to_string(), found.invariant);
        violation(out, &known.0, found, ways.get(&known))?;
        command(out, &format!("sweep --case '{case}'"))?;
        shown += 1;
    }
    for found in record.hurt.iter().flat_map(|part| &part.violations).take(VIOLATIONS_MAX) {
        parts::damaged(out, found)?;
        shown += 1;
    }
    let swarmed = record.swarmed.iter().flat_map(|part| &part.violations);
    for (found, story) in swarmed.take(VIOLATIONS_MAX) {
        violation(out, &found.address.to_string(), found, None)?;
        command(out, &found.replay())?;
        parts::more(out, "What the tasks did", story)?;
        shown += 1;
    }
    if count > shown {
        write!(out, "<p class=warn>and {} more, which the JSON report has</p>", count - shown)?;
    }
    out.push_str("</section>");
    Ok(())
}

/// Every counter (P3).
fn counters(out: &mut String, tally: &Tally) -> fmt::Result {
    out.push_str("<section class=cols>");
    for (.., title, rows) in tally.counters().tables {
        bars(out, &heading(title), rows.iter().map(|(name, times)| (*name, *times)))?;
    }
    let hash = ("trace hash", format!("{:016x}", tally.trace_hash));
    let rows: Vec<(&str, String)> = report::numbers(tally).chain([hash]).collect();
    out.push_str("<section><h3>The campaign</h3>");
    numbers(out, &rows)?;
    out.push_str("</section>");
    spread_table(out, &tally.spreads)?;
    out.push_str("</section>");
    Ok(())
}

/// Words as a heading has them.
fn heading(words: &str) -> String {
    let mut chars = words.chars();
    chars.next().map_or_else(String::new, |first| {
        format!("{}{}", first.to_ascii_uppercase(), chars.as_str())
    })
}

fn spread_table(out: &mut String, spreads: &BTreeMap<&'static str, Spread>) -> fmt::Result {
    out.push_str("<section><h3>Of each history</h3><table class=spreads>");
    out.push_str("<tr><th></th><th>median</th><th>most</th></tr>");
    for (name, spread) in spreads {
        let (median, most) = (number(spread.median()), number(spread.most()));
        let class = if spread.most() == 0 { "zero" } else { "" };
        write!(
            out,
            "<tr class=\"{class}\"><td>{}</td><td class=num>{median}</td><td class=num>{most}</td></tr>",
            Safe(name)
        )?;
    }
    out.push_str("</table></section>");
    Ok(())
}

/// How to make the same run.
fn again(out: &mut String, record: &Record) -> fmt::Result {
    out.push_str("<section><h2>The same again</h2>");
    let parts: Vec<u64> = record.shards.parts.iter().take(1).copied().collect();
    let words = words_of(&record.bounds);
    match (record.shards.of, parts.first(), record.shards.parts.len()) {
        (1, ..) => command(out, &words)?,
        (of, Some(part), 1) => command(out, &format!("{words} --shard {}/{of}", part + 1))?,
        (of, ..) => command(out, &format!("{words} --shard I/{of}"))?,
    }
    out.push_str("</section>");
    Ok(())
}

fn words_of(bounds: &Bounds) -> String {
    let Bounds { seed, seed_of, seeds, images, minutes, until_met, which, parts, medium } = bounds;
    let mut words = match seed_of {
        Some(text) => format!("run --seed-of {}", quoted(text)),
        None => format!("run --seed {seed}"),
    };
    for (name, value) in [("seeds", seeds), ("images", images), ("minutes", minutes)] {
        if let Some(value) = value {
            words.push_str(&format!(" --{name} {value}"));
        }
    }
    let flags = [
        (*until_met, "--until-met"),
        (!parts.sweep, "--no-sweep"),
        (!parts.damage, "--no-damage"),
        (!parts.swarm, "--no-swarm"),
    ];
    for (_, flag) in flags.into_iter().filter(|(is_set, _)| *is_set) {
        words.push_str(&format!(" {flag}"));
    }
    // Another filesystem has none of the parts, whatever is asked for.
    if medium != Filesystem::Posix.name() {
        words.push_str(&format!(" --medium {medium}"));
    }
    format!("{words} --histories {}", which.name())
}

/// A word of a shell's command line.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
