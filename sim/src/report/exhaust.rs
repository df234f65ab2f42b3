//! What sequences of operations came to, as text and as JSON.

use std::fmt::{self, Write};

use serde_json::{Value, json};

use super::{number, rate, table};
use crate::exhaust::{Bounds, Level, PointBounds, Report, Sequence};

/// The word for the report, and the version of its format.
const EXHAUST: &str = "quiver-sim exhaust report";
const VERSION: u64 = 1;

/// The table of sequences up to a depth.
pub fn exhaust_text(report: &Report, bounds: &Bounds) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_table(&mut out, report, bounds);
    out
}

fn write_table(out: &mut String, report: &Report, bounds: &Bounds) -> fmt::Result {
    let kind = if bounds.encrypted { "encrypted" } else { "plain" };
    writeln!(out, "every sequence of {} operations of {kind} stores", bounds.letters.len())?;
    writeln!(out, "  {}", bounds.letters.join("; "))?;
    write!(out, "  {:>6}{:>11}{:>13}{:>13}", "length", "sequences", "points", "all images")?;
    writeln!(out, "{:>13}{:>13}{:>13}", "in calls", "checked", "duplicates")?;
    for (length, level) in report.levels.iter().enumerate() {
        write_level(out, &length.to_string(), level)?;
    }
    let total = report.total();
    write_level(out, "all", &total)?;
    let coverage = &total.coverage;
    let binds = coverage.points - coverage.points_whole;
    let (whole, binds) =
        (percent(coverage.points_whole.into(), coverage.points.into()), number(binds));
    let images_max = number(bounds.points.images_max);
    writeln!(out, "  points with all legal images: {whole}; {binds} have more than {images_max}")?;
    let share = percent(coverage.looked_at, coverage.legal);
    let (looked_at, legal) = (large(coverage.looked_at), large(coverage.legal));
    writeln!(out, "  legal images looked at: {looked_at} of {legal}, {share}")?;
    writeln!(out, "  the most of one point: {}", large(coverage.legal_most))?;
    table(out, "invariants evaluated", &total.tally.invariants)?;
    writeln!(out, "  {:<26}{:>18}", "trace hash", format!("{:016x}", total.tally.trace_hash))?;
    let (seconds, found) = (report.elapsed.as_secs_f64(), report.violations.len());
    let images = number(rate(total.tally.images_checked, report.elapsed));
    let end = if report.cancelled { ", cancelled" } else { "" };
    writeln!(out, "  {found} violations in {seconds:.1} s, {images} images per second{end}")
}

fn write_level(out: &mut String, name: &str, level: &Level) -> fmt::Result {
    let Level { sequences, tally, coverage } = level;
    write!(out, "  {name:>6}{:>11}{:>13}", number(*sequences), number(coverage.points))?;
    write!(out, "{:>13}{:>13}", number(coverage.points_whole), number(coverage.points_inside))?;
    let (checked, duplicate) = (number(tally.images_checked), number(tally.images_duplicate));
    writeln!(out, "{checked:>13}{duplicate:>13}")
}

/// Every violation of a sequence, and how to see it again.
pub fn exhaust_violations(report: &Report, bounds: &Bounds) -> String {
    let mut out = String::new();
    for (sequence, violation) in &report.violations {
        let [again, smaller] = commands(sequence, bounds);
        let body = super::found(violation, &violation.address);
        out.push_str(&format!("\nafter: {sequence}\n{body}"));
        out.push_str(&format!("  again: {}", super::cargo(&again)));
        if violation.shrink().is_some() {
            out.push_str(&format!("  smaller: {}", super::cargo(&smaller)));
        }
    }
    out
}

/// The commands that show the violation of a sequence, and make it small. Which images are looked at
/// depends on their bound, and so does the number in an address; what is asked of them, on the other one.
fn commands(sequence: &Sequence, bounds: &Bounds) -> [String; 2] {
    let kind = if bounds.encrypted { " --encrypted" } else { "" };
    let PointBounds { images_max, thorough } = bounds.points;
    let all = if thorough { " --thorough" } else { "" };
    let rest = format!("{kind} --images-max {images_max}{all} --sequence '{sequence}'");
    ["exhaust", "shrink"].map(|verb| format!("quiver-sim {verb}{rest}"))
}

/// The whole report; of one sequence alone, if there is one.
pub fn exhaust_json(
    report: &Report,
    bounds: &Bounds,
    sequence: Option<&Sequence>,
    engine_version: &str,
) -> Value {
    let violations = report.violations.iter().map(|(sequence, violation)| {
        let [again, smaller] = commands(sequence, bounds);
        let mut json = super::violation_json(violation);
        json["sequence"] = json!(sequence.to_string());
        // Its address is one of this sequence, which is no history that a seed has.
        json["replay"] = json!(again);
        json["shrink"] = json!(violation.shrink().map(|_| smaller));
        json
    });
    let total = report.total();
    let (part, parts) = bounds.shard;
    json!({
        "format": EXHAUST,
        "version": VERSION,
        "engine_version": engine_version,
        "operations": bounds.letters,
        "encrypted": bounds.encrypted,
        "depth": sequence.is_none().then_some(bounds.depth),
        "sequence": sequence.map(Sequence::to_string),
        "shard": [part + 1, parts],
        "images_max": bounds.points.images_max,
        "thorough": bounds.points.thorough,
        "levels": report.levels.iter().map(level_json).collect::<Vec<Value>>(),
        "total": level_json(&total),
        "invariants": total.tally.invariants,
        "trace_hash": format!("{:016x}", total.tally.trace_hash),
        "cancelled": report.cancelled,
        "violations": violations.collect::<Vec<Value>>(),
        "elapsed_s": report.elapsed.as_secs_f64(),
        "images_per_second": rate(total.tally.images_checked, report.elapsed),
    })
}

fn level_json(level: &Level) -> Value {
    let Level { sequences, tally, coverage } = level;
    json!({
        "sequences": sequences,
        "points": coverage.points,
        "points_whole": coverage.points_whole,
        "points_inside": coverage.points_inside,
        // Too large for the numbers of JSON.
        "legal_images": coverage.legal.to_string(),
        "legal_images_looked_at": coverage.looked_at.to_string(),
        "images_checked": tally.images_checked,
        "images_nested": tally.images_nested,
        "images_duplicate": tally.images_duplicate,
    })
}

/// A number that may have forty digits.
fn large(value: u128) -> String {
    match u64::try_from(value) {
        Ok(value) => number(value),
        Err(_) => format!("about 10^{}", value.ilog10()),
    }
}

/// A share to a tenth of a percent, rounded down: all is said of all alone.
fn percent(part: u128, whole: u128) -> String {
    let tenths = part.saturating_mul(1000).checked_div(whole).unwrap_or(1000);
    format!("{}.{} %", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::Invariant;
    use crate::exhaust::PLAIN;
    use crate::tally::Violation;

    #[test]
    fn a_share_that_is_not_all_is_never_shown_as_all() {
        assert_eq!(percent(999_999, 1_000_000), "99.9 %");
        assert_eq!(percent(7, 7), "100.0 %");
        assert_eq!(percent(0, 0), "100.0 %");
        assert_eq!(percent(1, u128::MAX), "0.0 %");
    }

    #[test]
    fn numbers_of_any_size_are_shown() {
        assert_eq!(large(1_234), "1,234");
        assert_eq!(large(u128::MAX), "about 10^38");
    }

    #[test]
    fn commands_of_a_violation_show_it() {
        let sequence: Sequence = "+a; a.x=9".parse().expect("operations");
        let violation = Violation {
            address: "3:4:5".parse().expect("an address"),
            invariant: Invariant::I1,
            expected: "a row".to_owned(),
            found: "  replay: none".to_owned(),
            trace: Vec::new(),
        };
        let report = Report { violations: vec![(sequence, violation)], ..Report::default() };
        let (images_max, letters, shard) = (64, PLAIN, (0, 1));
        let bounds = Bounds {
            depth: 2,
            letters,
            encrypted: true,
            points: PointBounds { images_max, thorough: true },
            jobs: 1,
            shard,
            patience: crate::campaign::PATIENCE,
        };
        let rest = "--encrypted --images-max 64 --thorough --sequence '+a; a.x=9'";
        let text = exhaust_violations(&report, &bounds);
        for (word, verb) in [("again", "exhaust"), ("smaller", "shrink")] {
            let line = format!("  {word}: cargo run --release -p quiver-sim -- {verb} {rest}\n");
            assert!(text.contains(&line), "{text}");
        }
        let json = exhaust_json(&report, &bounds, None, "0.1.0");
        assert_eq!((&json["depth"], &json["shard"]), (&json!(2), &json!([1, 1])));
        let of_one = exhaust_json(&report, &bounds, Some(&report.violations[0].0), "0.1.0");
        assert_eq!((&of_one["depth"], &of_one["sequence"]), (&json!(null), &json!("+a; a.x=9")));
        assert_eq!(json["violations"][0]["replay"], format!("quiver-sim exhaust {rest}"));
        assert_eq!(json["violations"][0]["shrink"], format!("quiver-sim shrink {rest}"));
    }
}
