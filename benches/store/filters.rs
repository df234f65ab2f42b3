//! Filters over the payloads of a merged store, warm, and what the indexes cost those who write.
//! The package `benches/sqlite` has the same queries beside SQLite.
//!
//! Ranges begin at other places from query to query. One answer of each kind is compared with what
//! was written, so nobody is quick by being wrong.

use std::hint::black_box;

use quiver_store::{Options, SecPredicate, Snapshot};

use crate::payloads::{
    DIM, NUMBERS, TAGS, Values, build_merged, n_from, schema, score_from, tag_is, upserts,
};
use crate::report::{Goal, Line, Unit};
use crate::rounds::{Figure, Samples, seconds, take_turns, time_each};
use crate::rows::{Rows, id, picks};
use crate::subject::{BATCH_ROWS, Subject};
use crate::{Bench, Failure};

const ROUNDS: usize = 15;

/// Queries of a contender's turn.
const QUERIES: usize = 20;

pub(crate) fn measure(bench: &mut Bench<'_>) -> Result<(), Failure> {
    let small = queries(bench, 100_000)?;
    if bench.large {
        let large = queries(bench, 1_000_000)?;
        bench.report.add(
            Line::new("1000 ids of 1000000 rows; raw: of 100000", Unit::Microseconds, large)
                .raw(small)
                .note("cost grows with the answer, not with the rows"),
        );
    }
    ingest(bench)
}

/// All queries on so many rows. Answers the time in which a range gave a thousand ids.
fn queries(bench: &mut Bench<'_>, count: u64) -> Result<Figure, Failure> {
    let subject = build_merged(&bench.dir.join(format!("store-{count}")), count)?;
    let thousand = ranges(bench, &subject, count)?;
    tags(bench, &subject, count)?;
    conjunctions(bench, &subject, count)?;
    row_sets(bench, &subject, count)?;
    subject.store.close()?;
    Ok(thousand)
}

/// Ranges of a hundredth, a thousandth, and so on, of all numbers.
fn ranges(bench: &mut Bench<'_>, subject: &Subject, count: u64) -> Result<Figure, Failure> {
    let mut thousand = Figure::from(f64::NAN);
    for (percent, width) in [("1", 10_000), ("0.1", 1000), ("0.01", 100)] {
        let ids = |lo| subject.store.matching_ids(subject.rows, &n_from(lo, width));
        agree(&ids(123_456)?, count, |values| (123_456..123_456 + width).contains(&values.n))?;
        let (mut own, mut found) = (Samples::default(), 0);
        for round in 0..=ROUNDS as u64 {
            time_each(&mut own, &picks(round + 7, QUERIES, NUMBERS - width), |lo| {
                let ids = ids(lo)?;
                found += ids.len();
                Ok(ids)
            })?;
        }
        let ids_each = found as f64 / ((ROUNDS + 1) * QUERIES) as f64;
        let own = own.median();
        let is_goal = percent == "1" && count == 100_000;
        let what = format!("{percent} % range of {count} rows");
        bench.report.add(
            Line::new(what, Unit::Microseconds, own)
                .goal(if is_goal { Goal::AtMost(300.0) } else { Goal::None })
                .note(format!("{ids_each:.0} ids, {:.3} us each", own.wall / ids_each)),
        );
        if count * width == 1000 * NUMBERS {
            thousand = own;
        }
    }
    Ok(thousand)
}

/// Holds an answer against the values that all rows were made of.
fn agree(ids: &[String], count: u64, is_wanted: impl Fn(&Values) -> bool) -> Result<(), Failure> {
    let wanted = (0..count).filter(|number| is_wanted(&Values::of(*number)));
    let mut expected: Vec<String> = wanted.map(id).collect();
    expected.sort();
    if ids == expected {
        Ok(())
    } else {
        Err("the store answers other ids than it was given".into())
    }
}

fn tags(bench: &mut Bench<'_>, subject: &Subject, count: u64) -> Result<(), Failure> {
    let ids = |tag| subject.store.matching_ids(subject.rows, &tag_is(tag));
    agree(&ids(42)?, count, |values| values.tag == 42)?;
    let mut own = Samples::default();
    for round in 0..=ROUNDS as u64 {
        time_each(&mut own, &picks(round + 5, QUERIES, TAGS), |tag| Ok(ids(tag)?))?;
    }
    let what = format!("one keyword of {TAGS}, {count} rows");
    bench.report.add(Line::new(what, Unit::Microseconds, own.median()));
    Ok(())
}

/// What each call of a conjunction and of its parts answers.
type Answer<'a> = &'a dyn Fn(&SecPredicate) -> Result<u64, Failure>;

/// Two predicates that one row in a hundred holds each, together and one after the other.
fn conjunctions(bench: &mut Bench<'_>, subject: &Subject, count: u64) -> Result<(), Failure> {
    let snapshot = subject.store.snapshot()?;
    let ids = |predicate: &SecPredicate| {
        Ok(subject.store.matching_ids(subject.rows, predicate)?.len() as u64)
    };
    let rows = |predicate: &SecPredicate| row_count(&snapshot, subject, predicate);
    let calls: [(&str, Answer<'_>); 2] = [("ids", &ids), ("rows", &rows)];
    let second: [(&str, &dyn Fn(u64) -> SecPredicate); 2] = [
        ("keyword", &|start| tag_is(start % TAGS)),
        ("fraction", &|start| score_from((start % 100) as f64)),
    ];
    for (call, answer) in calls {
        for (name, second) in second {
            let (mut both, mut sum) = <(Samples, Samples)>::default();
            let starts = |round: usize| picks(round as u64 + 3, QUERIES, NUMBERS - 10_000);
            let parts = |start| [n_from(start, 10_000), second(start)];
            take_turns(
                ROUNDS,
                &mut [
                    &mut |round| {
                        time_each(&mut both, &starts(round), |start| {
                            answer(&SecPredicate::And(parts(start).to_vec()))
                        })
                    },
                    &mut |round| {
                        time_each(&mut sum, &starts(round), |start| {
                            parts(start).iter().try_fold(0, |sum, part| Ok(sum + answer(part)?))
                        })
                    },
                ],
            )?;
            let what = format!("number And {name}, {call}, {count} rows; raw: sum");
            bench.report.add(
                Line::new(what, Unit::Microseconds, both.median())
                    .raw(sum.median())
                    .goal(Goal::Ratio(1.0)),
            );
        }
    }
    Ok(())
}

fn row_count(
    snapshot: &Snapshot,
    subject: &Subject,
    predicate: &SecPredicate,
) -> Result<u64, Failure> {
    Ok(snapshot.matching_rows(subject.rows, predicate)?.len())
}

/// The first call of a snapshot numbers all rows; later ones use that.
fn row_sets(bench: &mut Bench<'_>, subject: &Subject, count: u64) -> Result<(), Failure> {
    let (mut first, mut later) = <(Samples, Samples)>::default();
    for round in 0..=5 {
        let snapshot = subject.store.snapshot()?;
        let took = seconds(|| {
            black_box(row_count(&snapshot, subject, &n_from(1000, 10_000))?);
            Ok(())
        })?;
        first.time(1e3, 1.0, took);
        time_each(&mut later, &picks(round, QUERIES, NUMBERS - 10_000), |lo| {
            row_count(&snapshot, subject, &n_from(lo, 10_000))
        })?;
    }
    for (name, unit, samples) in
        [("first", Unit::Milliseconds, first), ("later", Unit::Microseconds, later)]
    {
        let what = format!("matching_rows of 1 %, {count} rows, {name}");
        bench.report.add(Line::new(what, unit, samples.median()));
    }
    Ok(())
}

/// Batches of a thousand rows and a checkpoint into a new store, with indexes and without.
fn ingest(bench: &mut Bench<'_>) -> Result<(), Failure> {
    const ROWS: u64 = 100_000;
    const ROUNDS: usize = 7;
    let vectors = Rows::new(DIM);
    // Their making is no part of what is measured.
    let mut samples: [Samples; 2] = Default::default();
    let [indexed, plain] = &mut samples;
    let dir = bench.dir;
    let run = |samples: &mut Samples, fields: &[&str]| {
        let dir = tempfile::tempdir_in(dir)?;
        let subject = Subject::open_as(dir.path(), schema(fields), &Options::default())?;
        let firsts = (0..ROWS).step_by(usize::try_from(BATCH_ROWS)?);
        let batches: Vec<_> =
            firsts.map(|first| upserts(subject.rows, &vectors, first, BATCH_ROWS)).collect();
        let took = seconds(|| {
            for batch in batches {
                subject.store.write(batch)?;
            }
            Ok(subject.store.checkpoint()?)
        })?;
        samples.rate(ROWS as f64, took);
        subject.store.close()?;
        Ok(())
    };
    take_turns(ROUNDS, &mut [&mut |_| run(indexed, &["n", "tag"]), &mut |_| run(plain, &[])])?;
    let [indexed, plain] = samples.map(|samples| samples.median());
    bench.report.add(
        Line::new("ingest, two fields; raw: none", Unit::RowsPerSecond, indexed)
            .raw(plain)
            .goal(Goal::Ratio(0.8))
            .note("batches of 1000 and a checkpoint, 100000 rows"),
    );
    Ok(())
}
