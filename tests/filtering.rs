//! Filters answer as a scan with the predicate held against every payload, wherever the rows are.

use std::collections::BTreeMap;

use quiver_store::{
    CollectionId, Descriptor, DistanceMetric, Dtype, Env, ErrorKind, FilterableField, Options,
    SecPredicate, SecValue, Snapshot, Store,
};

/// Whether a row of this kind and size holds a predicate.
type Holds<'a> = &'a dyn Fn(u64, u64) -> bool;

type Rows = BTreeMap<String, (u64, u64)>;

fn schema() -> Descriptor {
    Descriptor::new(1, Dtype::F32, DistanceMetric::L2).with_filterable([
        FilterableField::keyword("kind"),
        FilterableField::numeric("meta.size"),
        FilterableField::boolean("even"),
    ])
}

fn payload(kind: u64, size: u64) -> String {
    let even = size.is_multiple_of(2);
    format!(r#"{{"kind":"k{kind}","meta":{{"size":{size}}},"even":{even},"other":[1,{{}}]}}"#)
}

fn eq(field: &str, value: impl Into<SecValue>) -> SecPredicate {
    SecPredicate::Eq { field: field.into(), value: value.into() }
}

fn size_between(lo: u64, hi: u64) -> SecPredicate {
    SecPredicate::Range {
        field: "meta.size".into(),
        lo: Some(lo.into()),
        hi: Some(hi.into()),
        lo_inclusive: true,
        hi_inclusive: false,
    }
}

/// Holds every predicate against the rows, by ids and by row numbers.
fn check(snapshot: &Snapshot, id: CollectionId, rows: &Rows) -> quiver_store::Result<()> {
    let cases: [(SecPredicate, Holds<'_>); 6] = [
        (eq("kind", "k3"), &|kind, _| kind == 3),
        (size_between(100, 130), &|_, size| (100..130).contains(&size)),
        (eq("even", true), &|_, size| size.is_multiple_of(2)),
        (
            SecPredicate::And(vec![
                size_between(0, 500),
                SecPredicate::Not(Box::new(eq("kind", "k1"))),
                eq("even", false),
            ]),
            &|kind, size| size < 500 && kind != 1 && !size.is_multiple_of(2),
        ),
        (SecPredicate::Or(vec![eq("meta.size", 7_i64), eq("meta.size", 8.0)]), &|_, size| {
            size == 7 || size == 8
        }),
        (SecPredicate::Exists { field: "kind".into() }, &|_, _| true),
    ];
    for (predicate, holds) in cases {
        let expected: Vec<&String> =
            rows.iter().filter(|(_, (kind, size))| holds(*kind, *size)).map(|(id, _)| id).collect();
        let found = snapshot.matching_ids(id, &predicate)?;
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{predicate:?}");
        let numbers = snapshot.matching_rows(id, &predicate)?;
        let vectors = snapshot.capture_vector_source(id)?;
        let of_numbers = vectors.iter().zip(0..).filter(|(_, row)| numbers.contains(*row));
        let of_numbers: Vec<String> = of_numbers.map(|((id, _), _)| id).collect();
        assert_eq!(of_numbers, found, "{predicate:?} by numbers");
    }
    Ok(())
}

#[test]
fn filters_agree_with_scans_wherever_the_rows_are() -> quiver_store::Result<()> {
    for index_bytes_max in [1, 2000, 1 << 20] {
        let options = Options { index_bytes_max, merge_factor: 3, ..Options::default() };
        let store = Store::open_with(Env::memory(), options)?;
        let id = store.create_collection("rows", schema())?;
        let mut rows = Rows::new();
        let mut snapshots = Vec::new();
        let mut random: u64 = 9;
        for step in 0..3000_u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(step | 1);
            let draw = random >> 33;
            let row = format!("row-{:03}", draw % 400);
            if draw.is_multiple_of(5) {
                store.delete(id, &row)?;
                rows.remove(&row);
            } else {
                let (kind, size) = (draw % 7, draw % 1009);
                store.upsert(id, &row, &[0.0], payload(kind, size).as_bytes())?;
                rows.insert(row, (kind, size));
            }
            match step % 500 {
                100 | 300 => store.checkpoint()?,
                400 => while store.maintain()? {},
                450 => store.compact()?,
                _ => {}
            }
            if step % 250 == 249 {
                check(&store.snapshot()?, id, &rows)?;
                snapshots.push((store.snapshot()?, rows.clone()));
            }
        }
        for (snapshot, rows) in &snapshots {
            check(snapshot, id, rows)?;
        }
    }
    Ok(())
}

#[test]
fn a_predicate_that_does_not_fit_the_schema_is_refused() -> quiver_store::Result<()> {
    let store = Store::open_with(Env::memory(), Options::default())?;
    let id = store.create_collection("rows", schema())?;
    for (predicate, message) in [
        (eq("color", "red"), r#"predicate on "color": no such filterable field"#),
        (eq("kind", 3_i64), "kind"),
        (eq("meta.size", f64::NAN), "NaN"),
    ] {
        let error = store.matching_ids(id, &predicate).expect_err("it does not fit");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(message), "{error}");
    }
    Ok(())
}

#[test]
fn a_schema_with_a_malformed_path_is_refused() -> quiver_store::Result<()> {
    let store = Store::open_with(Env::memory(), Options::default())?;
    let plain = || Descriptor::new(1, Dtype::F32, DistanceMetric::L2);
    for fields in [
        vec![FilterableField::keyword("a..b")],
        vec![FilterableField::keyword("a"), FilterableField::numeric("a")],
    ] {
        let schema = plain().with_filterable(fields);
        let error = store.create_collection("rows", schema).expect_err("malformed");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    }
    assert_eq!(store.collection_names()?, [""; 0]);
    Ok(())
}
