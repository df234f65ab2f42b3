//! Reports as one page: no script, no network, one file.
//!
//! **Place.** `run`, `merge`, `mutants` and `replay` write one with `--html`. What it tells is what the
//! tables tell, and for violations the way to them.
//!
//! - P1. Every text that is not the page's own is escaped ([`markup::Safe`]) and cut at a length.
//! - P2. A page is of bounded size, whatever the size of the run: rates are thinned, and of violations
//!   and changes the first are shown and the others counted.
//! - P3. Every counter of the tally is on it; one that stayed at zero stands out.

mod charts;
mod markup;
mod mutants;
mod parts;
mod run;
#[cfg(test)]
mod tests;
mod way;

use std::fmt::{self, Write};

use super::timeline::Timeline;
use crate::tally::Violation;
use markup::Safe;
pub use mutants::mutants_html;
pub use run::run_html;

const STYLE: &str = include_str!("page.css");

/// How a page looks at first sight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Good,
    Doubtful,
    Bad,
}

/// A page with a head and a body.
fn page(
    title: &str,
    mood: Mood,
    lead: &str,
    body: impl FnOnce(&mut String) -> fmt::Result,
) -> String {
    let mood = match mood {
        Mood::Good => "good",
        Mood::Doubtful => "doubtful",
        Mood::Bad => "bad",
    };
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8><meta name=viewport \
         content=\"width=device-width,initial-scale=1\"><meta name=color-scheme content=\"light \
         dark\"><title>{0}</title><style>{STYLE}</style></head><body><header class={mood}><h1>{0}</h1>\
         <p>{1}</p></header><main>",
        Safe(title),
        Safe(lead),
    );
    // Writing to a string cannot fail.
    let _ = body(&mut out);
    out.push_str("</main></body></html>\n");
    out
}

/// A violation, or an image without one, as a page of its own.
pub fn replay_html(
    place: &str,
    violations: &[Violation],
    way: Option<&Timeline>,
    log: &[String],
) -> String {
    let (mood, title) = match violations {
        [] => (Mood::Good, "No violation".to_owned()),
        [first, ..] => (Mood::Bad, format!("Violation of {}", first.invariant.name())),
    };
    page(&title, mood, &format!("at {place}"), |out| {
        for violation in violations.iter().take(VIOLATIONS_MAX) {
            let way = way.filter(|way| way.violation.invariant == violation.invariant);
            self::violation(out, place, violation, way)?;
        }
        parts::more(out, "The way to the image and every I/O call of its recovery", log)
    })
}

/// Violations of one kind that a page shows.
const VIOLATIONS_MAX: usize = 12;

/// A violation: what was expected and found, and the way there, or else its last lines.
fn violation(
    out: &mut String,
    place: &str,
    violation: &Violation,
    way: Option<&Timeline>,
) -> fmt::Result {
    let Violation { invariant, expected, found, trace, .. } = violation;
    write!(out, "<article><h3>{} <small>{}</small></h3>", Safe(invariant.name()), Safe(place))?;
    told(out, &[("expected", expected), ("found", found)])?;
    match way {
        Some(way) => way::way(out, way)?,
        None if trace.is_empty() => {}
        None => {
            let lines = trace.iter().take(200).map(|line| Safe(line).to_string());
            let lines: Vec<String> = lines.collect();
            write!(out, "<h4>The last I/O calls</h4><pre>{}</pre>", lines.join("\n"))?;
        }
    }
    out.push_str("</article>");
    Ok(())
}

/// Words and what they say.
fn told(out: &mut String, rows: &[(&str, &String)]) -> fmt::Result {
    out.push_str("<dl>");
    for (word, text) in rows {
        write!(out, "<dt>{word}</dt><dd>{}</dd>", Safe(text.trim_end()))?;
    }
    out.push_str("</dl>");
    Ok(())
}

/// A command in its own line.
fn command(out: &mut String, words: &str) -> fmt::Result {
    let words = words.strip_prefix("quiver-sim ").unwrap_or(words);
    write!(out, "<pre class=command>cargo run --release -p quiver-sim -- {}</pre>", Safe(words))
}

/// A table of names and numbers in columns.
fn numbers(out: &mut String, rows: &[(&str, String)]) -> fmt::Result {
    out.push_str("<div class=numbers>");
    for (name, value) in rows {
        write!(out, "<span>{}</span><b>{}</b>", Safe(name), Safe(value))?;
    }
    out.push_str("</div>");
    Ok(())
}
