//! The queries that both answer.

use std::path::Path;

use rusqlite::Connection;

use crate::Failure;
use crate::database::{self, BY_NUMBER, BY_NUMBER_COVERING, BY_TAG};
use crate::payloads::{NUMBERS, TAGS, build_merged, n_from, tag_is};
use crate::report::{Goal, Line, Report, Unit};
use crate::rounds::{Samples, take_turns, time_each};
use crate::rows::picks;
use crate::subject::Subject;

const ROUNDS: usize = 15;

/// Queries of a contender's turn.
const QUERIES: usize = 20;

/// All queries on so many rows.
pub(crate) fn measure(dir: &Path, count: u64, report: &mut Report) -> Result<(), Failure> {
    let subject = build_merged(&dir.join(format!("store-{count}")), count)?;
    let database = database::build(&dir.join(format!("sqlite-{count}")), count)?;
    ranges(report, &subject, &database, count)?;
    tags(report, &subject, &database, count)?;
    subject.store.close()?;
    Ok(())
}

/// Ranges of a hundredth, a thousandth, and so on, of all numbers.
fn ranges(
    report: &mut Report,
    subject: &Subject,
    database: &Connection,
    count: u64,
) -> Result<(), Failure> {
    let mut by_number = database.prepare(BY_NUMBER)?;
    let mut covering = database.prepare(BY_NUMBER_COVERING)?;
    for (percent, width) in [("1", 10_000), ("0.1", 1000), ("0.01", 100)] {
        let (mut own, mut plain, mut covered) = <(Samples, Samples, Samples)>::default();
        let (mut found, mut expected) = (0, 0);
        let starts = |round: usize| picks(round as u64 + 7, QUERIES, NUMBERS - width);
        take_turns(
            ROUNDS,
            &mut [
                &mut |round| {
                    time_each(&mut own, &starts(round), |lo| {
                        let ids = subject.store.matching_ids(subject.rows, &n_from(lo, width))?;
                        found += ids.len();
                        Ok(ids)
                    })
                },
                &mut |round| {
                    time_each(&mut plain, &starts(round), |lo| {
                        let ids = database::ids_from(&mut by_number, lo, width)?;
                        expected += ids.len();
                        Ok(ids)
                    })
                },
                &mut |round| {
                    time_each(&mut covered, &starts(round), |lo| {
                        database::ids_from(&mut covering, lo, width)
                    })
                },
            ],
        )?;
        let own_ids = subject.store.matching_ids(subject.rows, &n_from(123_456, width))?;
        agree(&own_ids, &database::ids_from(&mut by_number, 123_456, width)?)?;
        if found != expected {
            return Err(format!("{found} ids, of SQLite {expected}").into());
        }
        let ids_each = found as f64 / ((ROUNDS + 1) * QUERIES) as f64;
        let (own, plain, covered) = (own.median(), plain.median(), covered.median());
        let is_goal = percent == "1" && count == 100_000;
        let each = format!("{ids_each:.0} ids, {:.3} us each", own.wall / ids_each);
        let what = format!("{percent} % range of {count} rows");
        report.add(
            Line::new(format!("{what}; raw: SQLite"), Unit::Microseconds, own)
                .raw(plain)
                .goal(if is_goal { Goal::Ratio(0.8) } else { Goal::None })
                .note(each),
        );
        if percent == "1" {
            report.add(
                Line::new(format!("{what}; raw: covering"), Unit::Microseconds, own)
                    .raw(covered)
                    .goal(if is_goal { Goal::AtMost(300.0) } else { Goal::None })
                    .note("SQLite with an index on number and id"),
            );
        }
    }
    Ok(())
}

fn agree(own: &[String], of_sqlite: &[String]) -> Result<(), Failure> {
    if own == of_sqlite { Ok(()) } else { Err("the store answers other ids than SQLite".into()) }
}

fn tags(
    report: &mut Report,
    subject: &Subject,
    database: &Connection,
    count: u64,
) -> Result<(), Failure> {
    let mut by_tag = database.prepare(BY_TAG)?;
    let own_ids = |tag| subject.store.matching_ids(subject.rows, &tag_is(tag));
    agree(&own_ids(42)?, &database::ids_of_tag(&mut by_tag, 42)?)?;
    let (mut own, mut plain) = <(Samples, Samples)>::default();
    let picked = |round: usize| picks(round as u64 + 5, QUERIES, TAGS);
    take_turns(
        ROUNDS,
        &mut [
            &mut |round| time_each(&mut own, &picked(round), |tag| Ok(own_ids(tag)?)),
            &mut |round| {
                time_each(&mut plain, &picked(round), |tag| database::ids_of_tag(&mut by_tag, tag))
            },
        ],
    )?;
    let what = format!("one keyword of {TAGS}, {count} rows; raw: SQLite");
    report.add(Line::new(what, Unit::Microseconds, own.median()).raw(plain.median()));
    Ok(())
}
