//! Single calls under criterion, for whoever changes one of them: its statistics tell a change of a
//! few per cent from noise. What does not fit there is a contender beside the store, so none of
//! this is in the table.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput};
use quiver_store::Options;

use crate::Failure;
use crate::rows::{Rows, ids};
use crate::subject::{BATCH_ROWS, Subject, build, unsealed_options};

const ROWS: u64 = 30_000;

pub(crate) fn measure(dir: &Path) -> Result<(), Failure> {
    let rows = Rows::new(128);
    let (sealed, unsealed) = (dir.join("sealed"), dir.join("unsealed"));
    build(&sealed, &rows, ROWS)?;
    let sealed = Subject::open(&sealed, rows.dim(), &Options::default())?;
    let unsealed = Subject::open(&unsealed, rows.dim(), &unsealed_options())?;
    unsealed.ingest(&rows, 0, ROWS)?;
    let mut criterion = Criterion::default()
        .without_plots()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3));
    gets(&mut criterion, "page cache", &sealed);
    gets(&mut criterion, "memtable", &unsealed);
    let ids = ids(0, BATCH_ROWS);
    let mut group = criterion.benchmark_group("batch of 1000");
    group.throughput(Throughput::Bytes(BATCH_ROWS * rows.row_bytes() as u64));
    group.bench_function("built", |bencher| {
        bencher.iter_batched(
            || (),
            |()| rows.upserts(sealed.rows, 0, &ids),
            BatchSize::PerIteration,
        );
    });
    group.finish();
    sealed.store.close()?;
    unsealed.store.close()?;
    Ok(())
}

fn gets(criterion: &mut Criterion, place: &str, subject: &Subject) {
    let ids = ids(0, ROWS);
    let mut next = 0;
    // A step that is prime to the number of rows meets each of them.
    let mut pick = || {
        next = (next + 7919) % ids.len();
        ids[next].as_str()
    };
    let mut group = criterion.benchmark_group(place);
    group.bench_function("get", |bencher| {
        bencher.iter(|| subject.store.get(subject.rows, pick()).expect("the store is open"));
    });
    group.bench_function("get_with", |bencher| {
        bencher.iter(|| {
            let see = |row: quiver_store::RecordRef<'_>| {
                black_box(row);
            };
            subject.store.get_with(subject.rows, pick(), see).expect("the store is open")
        });
    });
    group.finish();
}
