//! What a campaign found, as text for people and as JSON for machines.
//!
//! **Place.** The command line prints it. Everything but the times is a function of the seeds.

mod damage;
mod exhaust;
mod html;
mod swarm;
mod sweep;
pub mod timeline;

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::time::Duration;

use serde_json::{Value, json};

use crate::campaign::Report;
use crate::record;
use crate::tally::{SPREADS, Spread, Tally, Violation};
pub use damage::{damage_json, damage_text, damage_violations};
pub use exhaust::{exhaust_json, exhaust_text, exhaust_violations};
pub use html::{mutants_html, replay_html, run_html};
pub use swarm::{swarm_json, swarm_text, swarm_violations};
pub use sweep::{sweep_json, sweep_text, sweep_violations};

/// How wide a row of the closing table is, behind its margin.
const COLUMNS: usize = 44;

/// The closing table.
pub fn text(report: &Report, engine_version: &str, medium: &str) -> String {
    let mut out = format!("quiver-store {engine_version} on a simulated disk, medium {medium}\n");
    // Writing to a string cannot fail.
    let _ = write_table(&mut out, report);
    out
}

fn write_table(out: &mut String, report: &Report) -> fmt::Result {
    let tally = &report.tally;
    let rest = [
        ("replica images checked", number(tally.replica_images())),
        ("trace hash", format!("{:016x}", tally.trace_hash)),
    ];
    for (name, value) in numbers(tally).chain(rest) {
        // One name is longer than the column, and its number ends with the others all the same.
        let width = COLUMNS.saturating_sub(name.len());
        writeln!(out, "  {name}{value:>width$}")?;
    }
    for (.., title, rows) in tally.counters().tables {
        table(out, title, rows)?;
    }
    writeln!(out, "  per history (median, most)")?;
    for name in SPREADS {
        spread(out, name, &tally.spreads[name])?;
    }
    let idle = tally.idle();
    if !idle.is_empty() {
        writeln!(out, "  counters at zero: {}", idle.join("; "))?;
    }
    let rate = number(images_per_second(report));
    let seconds = report.elapsed.as_secs_f64();
    writeln!(out, "  {:<26}{:>18}", "violations", number(tally.violations.len() as u64))?;
    writeln!(out, "  {} in {seconds:.1} s, {rate} images checked per second", report.end.words())?;
    if report.elapsed_encrypted > Duration::ZERO {
        let [plain, encrypted] = rates_apart(report).map(number);
        writeln!(out, "  of plain stores {plain}, of encrypted ones {encrypted} per second")?;
    }
    Ok(())
}

/// Every number of a tally by its words: the sums, and the maximum behind them.
fn numbers(tally: &Tally) -> impl Iterator<Item = (&'static str, String)> {
    let most = ("I/O calls of a recovery, most", number(tally.recovery_calls_max));
    let sums = tally.counters().sums.map(|(_, words, times)| (words, number(*times)));
    sums.into_iter().chain([most])
}

fn table(out: &mut String, title: &str, rows: &BTreeMap<&'static str, u64>) -> fmt::Result {
    writeln!(out, "  {title}")?;
    rows.iter().try_for_each(|(name, times)| writeln!(out, "    {name:<32}{:>10}", number(*times)))
}

fn spread(out: &mut String, name: &str, spread: &Spread) -> fmt::Result {
    let (median, most) = (number(spread.median()), number(spread.most()));
    writeln!(out, "    {name:<28}{median:>8}{most:>8}")
}

/// One violation: what was expected and found, the way there, how to see it again and how to make
/// it small.
pub fn violation(violation: &Violation) -> String {
    let mut out = found(violation, &violation.address);
    out.push_str(&format!("  replay: {}", cargo(&violation.replay())));
    if let Some(shrink) = violation.shrink() {
        out.push_str(&format!("  shrink with: {}", cargo(&shrink)));
    }
    out
}

/// Of a part of a run that was cut.
const CUT: &str = "its share of the run's time was over before it was";

/// A line with a command of the program, as it is given in the repository.
fn cargo(words: &str) -> String {
    let words = words.replacen("quiver-sim ", "quiver-sim -- ", 1);
    format!("cargo run --release -p {words}\n")
}

/// What was expected and found in a place, and the way there.
pub fn found(violation: &Violation, place: &dyn fmt::Display) -> String {
    let Violation { invariant, expected, found, trace, .. } = violation;
    let mut out = format!("violation of {} at {place}\n", invariant.name());
    for (word, text) in [("expected", expected), ("found", found)] {
        let text = text.trim_end().replace('\n', "\n            ");
        out.push_str(&format!("  {word:<9} {text}\n"));
    }
    if !trace.is_empty() {
        out.push_str("  the last I/O calls before the crash, and what of each survived:\n");
    }
    trace.iter().for_each(|line| out.push_str(&format!("    {line}\n")));
    out
}

/// The whole report.
pub fn json(report: &Report, engine_version: &str) -> Value {
    let tally = &report.tally;
    let by_name = |number: fn(&Spread) -> u64| -> BTreeMap<&str, u64> {
        tally.spreads.iter().map(|(name, spread)| (*name, number(spread))).collect()
    };
    let [plain_rate, encrypted_rate] = rates_apart(report);
    let rest = json!({
        "engine_version": engine_version,
        "ended": report.end.words(),
        "next": report.next,
        "replica_images_checked": tally.replica_images(),
        "medians": by_name(Spread::median),
        "maxima": by_name(Spread::most),
        "counters_at_zero": tally.idle(),
        "violations": tally.violations.iter().map(violation_json).collect::<Vec<Value>>(),
        "elapsed_s": report.elapsed.as_secs_f64(),
        "elapsed_encrypted_s": report.elapsed_encrypted.as_secs_f64(),
        "images_per_second": images_per_second(report),
        "images_per_second_plain": plain_rate,
        "images_per_second_encrypted": encrypted_rate,
        "pace": {
            "every_ms": u64::try_from(report.pace.every.as_millis()).unwrap_or(u64::MAX),
            "images": report.pace.marks,
        },
    });
    let mut json = record::counters(tally);
    if let Value::Object(rest) = rest {
        json.extend(rest);
    }
    Value::Object(json)
}

/// All counters, for who joins them.
fn tally_json(tally: &Tally) -> Value {
    let mut counters = record::counters(tally);
    counters.insert("violations".to_owned(), json!([]));
    Value::Object(counters)
}

fn violation_json(violation: &Violation) -> Value {
    json!({
        "address": violation.address.to_string(),
        "invariant": violation.invariant.name(),
        "expected": violation.expected,
        "found": violation.found,
        "trace": violation.trace,
        "replay": violation.replay(),
        "shrink": violation.shrink(),
    })
}

fn images_per_second(report: &Report) -> u64 {
    rate(report.tally.images_checked, report.elapsed)
}

/// The same of plain and of encrypted stores, as far as these had a share of their own.
fn rates_apart(report: &Report) -> [u64; 2] {
    let Report { tally, elapsed, elapsed_encrypted, .. } = report;
    let plain = tally.images_checked - tally.images_encrypted;
    let encrypted = match *elapsed_encrypted {
        Duration::ZERO => 0,
        elapsed => rate(tally.images_encrypted, elapsed),
    };
    [rate(plain, elapsed.saturating_sub(*elapsed_encrypted)), encrypted]
}

/// How many per second, rounded down.
pub fn rate(count: u64, elapsed: Duration) -> u64 {
    let micros = elapsed.as_micros().max(1);
    u64::try_from(u128::from(count) * 1_000_000 / micros).unwrap_or(u64::MAX)
}

/// A number with its thousands set apart.
pub fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The most memory that this process had at a time, as a line of the table.
pub fn memory_text() -> String {
    peak_memory_bytes()
        .map_or_else(String::new, |bytes| format!("  peak memory {} MiB\n", bytes >> 20))
}

/// The most memory that this process had at a time, where the system tells.
fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::{End, Pace};

    fn report() -> Report {
        let mut tally = Tally::zero();
        tally.images_checked = 1_234_567;
        let (elapsed, elapsed_encrypted) = (Duration::from_secs(10), Duration::ZERO);
        let (end, next, pace) = (End::Target, 0, Pace::default());
        Report { tally, end, elapsed, elapsed_encrypted, next, pace }
    }

    #[test]
    fn thousands_are_set_apart() {
        let cases = [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn json_has_the_fields_that_others_rely_on() {
        let json = json(&report(), "0.1.0");
        for field in [
            "seeds",
            "operations",
            "crash_points",
            "images_checked",
            "images_duplicate",
            "images_nested",
            "images_encrypted",
            "images_per_second_encrypted",
            "violations",
            "elapsed_s",
            "images_per_second",
            "invariants",
            "faults",
            "engine_version",
        ] {
            assert!(json.get(field).is_some(), "{field}");
        }
        assert_eq!(json["images_per_second"], 123_456);
    }

    #[test]
    fn every_number_of_the_tally_stands_in_the_table() {
        let mut report = report();
        let sums = report.tally.counters_mut().sums.map(|(.., times)| times);
        sums.into_iter().zip(2_000_001..).for_each(|(times, count)| *times = count);
        report.tally.recovery_calls_max = 3_000_001;
        let text = text(&report, "0.1.0", "posix");
        let row = |words: &str| {
            let line = text.lines().find(|line| line.trim_start().starts_with(words));
            line.unwrap_or_else(|| panic!("{words}: {text}")).to_owned()
        };
        assert_eq!(row("seeds left out"), format!("  {:<26}{:>18}", "seeds left out", "2,000,003"));
        assert_eq!(row("I/O calls of a recovery, most").len(), row("seeds left out").len());
        assert!(row("I/O calls of a recovery, most").ends_with(" 3,000,001"), "{text}");
        for (name, words, times) in report.tally.counters().sums {
            let line = format!("\n  {words} ");
            let own = text.split(&line).skip(1).any(|rest| {
                rest.lines().next().is_some_and(|rest| rest.trim_start() == number(*times))
            });
            assert!(own, "{name}: {text}");
        }
    }

    #[test]
    fn counters_at_zero_stand_in_the_table() {
        assert!(text(&report(), "0.1.0", "posix").contains("counters at zero: nested images"));
    }
}
