//! Rows into a store.

use crate::descriptor::{Descriptor, DistanceMetric, Dtype};
use crate::env::Env;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::CollectionId;
use crate::import::{ImportOptions, ImportRow, ImportSummary, import_rows, row_id};
use crate::options::Options;
use crate::store::Store;

fn store(dtype: Dtype) -> (Store, CollectionId) {
    let options = Options { batch_bytes_max: 4_096, ..Options::default() };
    let store = Store::open_with(Env::memory(), options).expect("an empty disk");
    let schema = Descriptor::new(2, dtype, DistanceMetric::L2);
    let id = store.create_collection("rows", schema).expect("a new name");
    (store, id)
}

fn row(x: f32) -> ImportRow {
    ImportRow { vector: vec![x, 0.0], ..ImportRow::default() }
}

#[test]
fn rows_arrive_in_batches_and_progress_sees_each() -> Result<()> {
    let (store, id) = store(Dtype::F32);
    let rows = (0_u8..7).map(|i| Ok(row(f32::from(i))));
    let options = ImportOptions { batch_rows: 3, id_prefix: "p-".into(), ..Default::default() };
    let mut seen = Vec::new();
    let summary = import_rows(&store, id, rows, &options, |so_far| {
        assert_eq!(store.len(id).expect("open"), so_far.rows, "what is told is there");
        seen.push((so_far.rows, so_far.batches));
    })?;
    assert_eq!(seen, [(3, 1), (6, 2), (7, 3)]);
    let bytes = 7 * (8 + 12);
    let last_lsn = store.snapshot()?.lsn();
    assert_eq!(summary, ImportSummary { rows: 7, batches: 3, bytes, last_lsn: Some(last_lsn) });
    assert_eq!(store.get_vector(id, "p-0000000006")?, Some(vec![6.0, 0.0]));
    Ok(())
}

#[test]
fn repeating_an_import_that_broke_off_gives_what_one_import_gives() -> Result<()> {
    let (store, id) = store(Dtype::F32);
    let ids = [Some("a"), None, Some("b"), None, None];
    let rows = || ids.iter().map(|id| Ok(ImportRow { id: id.map(str::to_owned), ..row(1.0) }));
    let options = ImportOptions { batch_rows: 2, ..Default::default() };
    let broken = rows().take(3).chain([Err(Error::new(ErrorKind::Io, "gone"))]);
    let error = import_rows(&store, id, broken, &options, |_| {}).expect_err("it broke off");
    assert_eq!(error.kind(), ErrorKind::Io);
    assert_eq!(error.to_string(), "import stopped, 2 rows stored: gone");
    assert_eq!(store.len(id)?, 2, "a batch that was not whole is not there");
    for _ in 0..2 {
        import_rows(&store, id, rows(), &options, |_| {})?;
        let found: Vec<String> =
            store.scan(id)?.map(|it| it.map(|it| it.0)).collect::<Result<_>>()?;
        assert_eq!(found, [row_id(1), row_id(3), row_id(4), "a".into(), "b".into()]);
    }
    Ok(())
}

#[test]
fn large_rows_do_not_make_a_batch_too_large() -> Result<()> {
    let (store, id) = store(Dtype::F32);
    let options = ImportOptions { batch_bytes: 2_000, ..Default::default() };
    let large = |len| Ok(ImportRow { payload: vec![7; len], ..row(1.0) });
    let rows = [900, 900, 900, 3_000, 10].map(large);
    let summary = import_rows(&store, id, rows, &options, |_| {})?;
    assert_eq!((summary.rows, summary.batches), (5, 4), "900 twice, 900, 3,000, 10");
    let error = import_rows(&store, id, [large(5_000)], &options, |_| {});
    let error = error.expect_err("beyond the batch of the store");
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.to_string().starts_with("rows 0 to 0: batch of "), "{error}");
    let rows = [3_000, 3_000].map(large);
    let error = import_rows(&store, id, rows, &ImportOptions::default(), |_| {});
    let (kind, text) = error.map_err(|error| (error.kind(), error.to_string())).expect_err("both");
    assert_eq!(kind, ErrorKind::TooLarge);
    let expected = "rows 0 to 1, all that batch_rows and batch_bytes allow: batch of ";
    assert!(text.starts_with(expected), "{text}");
    Ok(())
}

#[test]
fn a_row_that_does_not_fit_is_named_and_earlier_batches_stay() -> Result<()> {
    let (store, id) = store(Dtype::U8);
    let options = ImportOptions { batch_rows: 2, ..Default::default() };
    let bad = |bad: ImportRow| {
        let rows = [row(1.0), row(2.0), row(3.0), bad].map(Ok);
        let error = import_rows(&store, id, rows, &options, |_| {}).expect_err("one is bad");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        assert_eq!(store.len(id).expect("open"), 2);
        error.to_string()
    };
    let found = bad(ImportRow { vector: vec![1.0; 3], ..row(0.0) });
    assert!(
        found.starts_with("row 3 (2 rows stored): vector of dimension 3, expected 2"),
        "{found}"
    );
    let found = bad(ImportRow { vector: Vec::new(), ..row(0.0) });
    assert!(found.contains("vector of dimension 0, expected 2"), "{found}");
    let found = bad(ImportRow { id: Some(String::new()), ..row(0.0) });
    assert!(found.contains("id of 0 bytes, expected 1 to 1024"), "{found}");
    let found = bad(row(f32::NAN));
    assert!(found.contains("element 0 of the vector is NaN, expected a finite number"), "{found}");
    let found = bad(row(0.5));
    assert!(
        found
            .starts_with("row 3 (2 rows stored): element 0 of the vector is 0.5, expected a whole"),
        "{found}"
    );
    let none = ImportOptions { batch_rows: 0, ..Default::default() };
    let error = import_rows(&store, id, [Ok(row(1.0))], &none, |_| {}).expect_err("no batch");
    assert_eq!(error.to_string(), "batch_rows is 0, expected at least 1");
    Ok(())
}

#[test]
fn every_element_type_is_stored_as_the_store_itself_would() -> Result<()> {
    let vector = vec![1.0, 0.0, 1.0, 1.0];
    for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16, Dtype::I8, Dtype::U8, Dtype::Binary] {
        let store = Store::open_with(Env::memory(), Options::default())?;
        let schema = Descriptor::new(2, dtype, DistanceMetric::Dot).with_multivector(true);
        let id = store.create_collection("rows", schema)?;
        let row = ImportRow { vector: vector.clone(), ..ImportRow::default() };
        import_rows(&store, id, [Ok(row)], &ImportOptions::default(), |_| {})?;
        store.upsert(id, "own", &vector, b"")?;
        assert_eq!(store.get(id, &row_id(0))?, store.get(id, "own")?, "{dtype:?}");
    }
    Ok(())
}

#[test]
fn a_row_of_too_many_vectors_is_named() -> Result<()> {
    let store = Store::open_with(Env::memory(), Options::default())?;
    let schema = Descriptor::new(65_536, Dtype::F32, DistanceMetric::Dot).with_multivector(true);
    let id = store.create_collection("rows", schema)?;
    let row = |vectors: usize| {
        Ok(ImportRow { vector: vec![0.0; vectors * 65_536], ..ImportRow::default() })
    };
    let error = import_rows(&store, id, [row(1), row(65)], &ImportOptions::default(), |_| {});
    let error = error.expect_err("a vector more than a row may have");
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    let expected = "row 1 (0 rows stored): vectors of 17039360 bytes, expected at most 16777216";
    assert!(error.to_string().starts_with(expected), "{error}");
    Ok(())
}

#[test]
fn non_finite_elements_are_stored_where_asked_for() -> Result<()> {
    let (store, id) = store(Dtype::F32);
    let options = ImportOptions { takes_non_finite: true, ..Default::default() };
    import_rows(&store, id, [Ok(row(f32::INFINITY))], &options, |_| {})?;
    assert_eq!(store.get_vector(id, &row_id(0))?, Some(vec![f32::INFINITY, 0.0]));
    Ok(())
}
