//! Single rows by id: from the memtable, from the store's page cache, from the disk.

use std::hint::black_box;
use std::path::Path;

use quiver_store::Options;

use crate::disk::{drop_cached_file, open_all, settle};
use crate::plain::Plain;
use crate::report::{Goal, Line, Unit};
use crate::rounds::{Samples, in_threads, seconds, take_turns};
use crate::rows::{Rows, ids, picks};
use crate::subject::{Subject, build, uncached_options, unsealed_options};
use crate::{Bench, Failure};

const DIM: usize = 128;

/// Fewer bytes than the page cache and the memtable hold at default options.
const WARM_ROWS: u64 = 30_000;

const COLD_ROWS: u64 = 90_000;

const ROUNDS: usize = 9;

/// Gets of one thread in one warm round.
const GETS: usize = 20_000;

/// Ids in one call of `get_many`.
const MANY: usize = 100;

pub(crate) fn measure(bench: &mut Bench<'_>) -> Result<(), Failure> {
    let rows = Rows::new(DIM);
    warm(bench, &rows)?;
    let path = bench.dir.join("cold");
    build(&path, &rows, COLD_ROWS)?;
    let raw = Plain::new(&bench.dir.join("cold-raw"), COLD_ROWS * rows.value_bytes() as u64)?;
    let cold = Cold { path: &path, rows: &rows, raw: &raw, ids: &ids(0, COLD_ROWS) };
    cold.one_by_one(bench)?;
    for threads in [1, 2] {
        cold.in_a_row(bench, threads)?;
    }
    Ok(())
}

/// Gets `picked` rows of a store.
fn get(subject: &Subject, ids: &[String], picked: &[u64]) -> Result<(), Failure> {
    for &row in picked {
        let record = subject.store.get(subject.rows, &ids[usize::try_from(row)?])?;
        black_box(record.ok_or("a row is missing")?);
    }
    Ok(())
}

fn get_with(subject: &Subject, ids: &[String], picked: &[u64]) -> Result<(), Failure> {
    for &row in picked {
        let id = &ids[usize::try_from(row)?];
        let found = subject.store.get_with(subject.rows, id, |row| {
            black_box((row.vector, row.payload));
        })?;
        found.ok_or("a row is missing")?;
    }
    Ok(())
}

fn get_many(subject: &Subject, ids: &[String], picked: &[u64]) -> Result<(), Failure> {
    for picked in picked.chunks(MANY) {
        let row_ids: Result<Vec<&str>, Failure> =
            picked.iter().map(|&row| Ok(ids[usize::try_from(row)?].as_str())).collect();
        black_box(subject.store.get_many(subject.rows, &row_ids?)?);
    }
    Ok(())
}

fn pread(raw: &Plain, rows: &Rows, picked: &[u64]) -> Result<(), Failure> {
    let mut value = vec![0; rows.value_bytes()];
    picked.iter().try_for_each(|&row| raw.read(&mut value, row))
}

fn warm(bench: &mut Bench<'_>, rows: &Rows) -> Result<(), Failure> {
    let (sealed, unsealed) = (bench.dir.join("sealed"), bench.dir.join("unsealed"));
    build(&sealed, rows, WARM_ROWS)?;
    let sealed = Subject::open(&sealed, rows.dim(), &Options::default())?;
    let unsealed = Subject::open(&unsealed, rows.dim(), &unsealed_options())?;
    unsealed.ingest(rows, 0, WARM_ROWS)?;
    let raw = Plain::new(&bench.dir.join("raw"), WARM_ROWS * rows.value_bytes() as u64)?;
    let ids = ids(0, WARM_ROWS);
    let mut samples: [Samples; 8] = Default::default();
    let [plain, own, borrowed, many, young, young_borrowed, plain_pair, own_pair] = &mut samples;
    let one =
        |samples: &mut Samples, round: usize, work: &dyn Fn(&[u64]) -> Result<(), Failure>| {
            let picked = picks(round as u64 + 1, GETS, WARM_ROWS);
            samples.time(1e6, GETS as f64, seconds(|| work(&picked))?);
            Ok(())
        };
    let pair = |samples: &mut Samples,
                round: usize,
                work: &(dyn Fn(&[u64]) -> Result<(), Failure> + Sync)| {
        let picked = picks(round as u64 + 1, 2 * GETS, WARM_ROWS);
        let (left, right) = picked.split_at(GETS);
        let both = |thread| work(if thread == 0 { left } else { right });
        samples.rate(2.0 * GETS as f64, seconds(|| in_threads(2, both))?);
        Ok(())
    };
    take_turns(
        ROUNDS,
        &mut [
            &mut |round| one(plain, round, &|picked| pread(&raw, rows, picked)),
            &mut |round| one(own, round, &|picked| get(&sealed, &ids, picked)),
            &mut |round| one(borrowed, round, &|picked| get_with(&sealed, &ids, picked)),
            &mut |round| one(many, round, &|picked| get_many(&sealed, &ids, picked)),
            &mut |round| one(young, round, &|picked| get(&unsealed, &ids, picked)),
            &mut |round| one(young_borrowed, round, &|picked| get_with(&unsealed, &ids, picked)),
            &mut |round| pair(plain_pair, round, &|picked| pread(&raw, rows, picked)),
            &mut |round| pair(own_pair, round, &|picked| get(&sealed, &ids, picked)),
        ],
    )?;
    let medians = samples.map(|samples| samples.median());
    let [plain, own, borrowed, many, young, young_borrowed, plain_pair, own_pair] = medians;
    let names = [
        ("get, warm, page cache", own, Goal::AtMost(1.5)),
        ("get_with, warm, page cache", borrowed, Goal::None),
        ("get_many of 100, warm, page cache, each row", many, Goal::None),
        ("get, warm, memtable", young, Goal::AtMost(1.0)),
        ("get_with, warm, memtable", young_borrowed, Goal::None),
    ];
    for (what, figure, goal) in names {
        bench.report.add(Line::new(what, Unit::Microseconds, figure).raw(plain).goal(goal));
    }
    bench.report.add(
        Line::new("get, warm, page cache, 2 threads", Unit::RowsPerSecond, own_pair)
            .raw(plain_pair),
    );
    bench.report.add(
        Line::new("get, warm, 2 threads over 1", Unit::Count, own_pair.wall * own.wall / 1e6)
            .note(format!("raw {:.2}", plain_pair.wall * plain.wall / 1e6))
            .goal(Goal::AtLeast(1.7)),
    );
    Ok(())
}

/// A closed store whose gets go to the disk.
struct Cold<'a> {
    path: &'a Path,
    rows: &'a Rows,
    raw: &'a Plain,
    ids: &'a [String],
}

impl Cold<'_> {
    /// Opens the store without a page cache of its own, and every file to be dropped.
    fn open(&self) -> Result<(Subject, Vec<std::fs::File>), Failure> {
        let subject = Subject::open(self.path, self.rows.dim(), &uncached_options())?;
        settle(self.path)?;
        Ok((subject, open_all(self.path)?))
    }

    /// Everything is dropped before each get.
    fn one_by_one(&self, bench: &mut Bench<'_>) -> Result<(), Failure> {
        const GETS: usize = 200;
        let (subject, files) = self.open()?;
        let (mut own, mut plain, mut reads) = <(Samples, Samples, Samples)>::default();
        let mut reads_most = 0;
        let picked = picks(1, GETS + 1, COLD_ROWS);
        take_turns(
            GETS,
            &mut [
                &mut |round| {
                    files.iter().try_for_each(drop_cached_file)?;
                    let before = subject.vfs.reads();
                    let one = &picked[round..][..1];
                    own.time(1e6, 1.0, seconds(|| get(&subject, self.ids, one))?);
                    let count = subject.vfs.reads() - before;
                    reads.push(count as f64);
                    reads_most = reads_most.max(count);
                    Ok(())
                },
                &mut |round| {
                    self.raw.drop_cached()?;
                    let one = &picked[round..][..1];
                    plain.time(1e6, 1.0, seconds(|| pread(self.raw, self.rows, one))?);
                    Ok(())
                },
            ],
        )?;
        bench.report.add(
            Line::new("get, cold, page cache off", Unit::Microseconds, own.median())
                .raw(plain.median()),
        );
        bench.report.add(
            Line::new("get, cold: runs read from disk, most", Unit::Count, reads_most as f64)
                .raw(1.0)
                .goal(Goal::AtMost(4.0))
                .note(format!("median {}", reads.median().wall)),
        );
        subject.store.close()?;
        Ok(())
    }

    /// Everything is dropped before each round of gets.
    fn in_a_row(&self, bench: &mut Bench<'_>, threads: u64) -> Result<(), Failure> {
        const GETS: usize = 150;
        let (subject, files) = self.open()?;
        let (mut own, mut plain) = <(Samples, Samples)>::default();
        let count = GETS * usize::try_from(threads)?;
        let rate = |samples: &mut Samples,
                    round: usize,
                    work: &(dyn Fn(&[u64]) -> Result<(), Failure> + Sync)| {
            let picked = picks(round as u64 + 1, count, COLD_ROWS);
            let each = |thread| work(&picked[usize::try_from(thread)? * GETS..][..GETS]);
            samples.rate(count as f64, seconds(|| in_threads(threads, each))?);
            Ok::<_, Failure>(())
        };
        take_turns(
            ROUNDS,
            &mut [
                &mut |round| {
                    files.iter().try_for_each(drop_cached_file)?;
                    rate(&mut own, round, &|picked| get(&subject, self.ids, picked))
                },
                &mut |round| {
                    self.raw.drop_cached()?;
                    rate(&mut plain, round, &|picked| pread(self.raw, self.rows, picked))
                },
            ],
        )?;
        let name = if threads == 1 { "thread" } else { "threads" };
        bench.report.add(
            Line::new(
                format!("gets, dropped each {GETS}, {threads} {name}"),
                Unit::RowsPerSecond,
                own.median(),
            )
            .raw(plain.median()),
        );
        subject.store.close()?;
        Ok(())
    }
}
