//! Bars on a logarithmic scale, and the rate over time.

use std::fmt::{self, Write};

use super::markup::Safe;
use crate::campaign::Pace;
use crate::report::number;

/// Bars, one below the other. What stayed at zero stands out.
pub(super) fn bars<'a>(
    out: &mut String,
    title: &str,
    rows: impl IntoIterator<Item = (&'a str, u64)>,
) -> fmt::Result {
    let rows: Vec<(&str, u64)> = rows.into_iter().collect();
    if rows.is_empty() {
        return Ok(());
    }
    let most = rows.iter().map(|(_, times)| *times).max().unwrap_or(0);
    let zeros = rows.iter().filter(|(_, times)| *times == 0).count();
    write!(out, "<section class=bars><h3>{}</h3>", Safe(title))?;
    if zeros > 0 {
        write!(out, "<p class=warn>{zeros} of {} never occurred</p>", rows.len())?;
    }
    out.push_str("<div class=grid>");
    for (name, times) in rows {
        write!(out, "<span class=name>{}</span>", Safe(name))?;
        match times {
            0 => out.push_str("<i class=zero></i><b class=zero>0</b>"),
            _ => {
                let width = share(times, most);
                write!(out, "<i><u style=\"width:{width}%\"></u></i><b>{}</b>", number(times))?;
            }
        }
    }
    out.push_str("</div></section>");
    Ok(())
}

/// The length of a bar in per cent: one of the digits of the longest, roughly. Never nothing.
pub(super) fn share(times: u64, most: u64) -> u32 {
    // A logarithm in whole steps of a sixteenth, so that pages are the same on every machine.
    let log = |value: u64| {
        let value = value.saturating_add(1);
        let digit = value.ilog2();
        let rest = (u128::from(value) << 4 >> digit) - 16;
        16 * u64::from(digit) + u64::try_from(rest).unwrap_or(0)
    };
    let per_cent = 100 * log(times) / log(most).max(1);
    u32::try_from(per_cent).unwrap_or(100).clamp(2, 100)
}

const WIDTH: u64 = 720;
const HEIGHT: u64 = 150;
const LEFT: u64 = 64;
const TOP: u64 = 14;

/// Images per second, over time.
pub(super) fn pace(out: &mut String, pace: &Pace) -> fmt::Result {
    let rates = pace.rates();
    if rates.len() < 2 {
        out.push_str("<p class=faint>The run was too short for a rate over time.</p>");
        return Ok(());
    }
    let most = rates.iter().copied().max().unwrap_or(0).max(1);
    let last = rates.len() as u64 - 1;
    let x = |place: u64| LEFT + place * (WIDTH - LEFT - 8) / last;
    let y = |rate: u64| TOP + HEIGHT - scaled(rate, HEIGHT, most);
    let mut line = String::new();
    for (place, rate) in (0..).zip(&rates) {
        write!(line, "{},{} ", x(place), y(*rate))?;
    }
    let (bottom, right, end) = (TOP + HEIGHT, x(last), TOP + HEIGHT + 20);
    write!(
        out,
        "<svg class=pace viewBox=\"0 0 {WIDTH} {}\" role=img aria-label=\"images per second over \
         time\">",
        end + 8
    )?;
    for quarter in [0, 2, 4] {
        let rate = most / 4 * quarter;
        let at = y(rate);
        write!(out, "<path class=rule d=\"M{LEFT} {at}H{right}\"/>")?;
        write!(out, "<text x={} y={} text-anchor=end>{}</text>", LEFT - 8, at + 4, number(rate))?;
    }
    write!(out, "<path class=area d=\"M{LEFT},{bottom} L{line} {right},{bottom}Z\"/>")?;
    write!(out, "<polyline class=line points=\"{line}\"/>")?;
    let total = pace.every.saturating_mul(u32::try_from(rates.len()).unwrap_or(u32::MAX));
    write!(out, "<text x={LEFT} y={end}>0 s</text>")?;
    write!(out, "<text x={right} y={end} text-anchor=end>{} s</text></svg>", total.as_secs())
}

fn scaled(value: u64, to: u64, of: u64) -> u64 {
    let scaled = u128::from(value) * u128::from(to) / u128::from(of.max(1));
    u64::try_from(scaled).unwrap_or(to)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn bars_grow_with_the_number_and_zero_stands_out() {
        let shares = [1, 2, 9, 100, 1000, 1_000_000].map(|times| share(times, 1_000_000));
        assert!(shares.is_sorted() && shares[5] == 100 && shares[0] >= 2, "{shares:?}");
        let mut out = String::new();
        bars(&mut out, "faults", [("sync-eio", 0), ("read-eio", 7)]).expect("a string");
        assert!(out.contains("<b class=zero>0</b>") && out.contains("1 of 2 never occurred"));
        assert_eq!(out.matches("class=zero").count(), 2);
    }

    #[test]
    fn rate_is_drawn_for_each_second() {
        let mut pace_of = Pace::default();
        (1..=9).for_each(|second| pace_of.mark(Duration::from_secs(second), 100 * second));
        let mut out = String::new();
        pace(&mut out, &pace_of).expect("a string");
        assert!(out.contains("polyline") && out.contains(">9 s</text>"), "{out}");
        let (mut out, huge) = (String::new(), Pace { marks: vec![0, u64::MAX], ..pace_of });
        pace(&mut out, &huge).expect("a string");
    }
}
