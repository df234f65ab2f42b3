//! The store whose segment the targets take apart, and where the sections of a segment are.

use quiver_store::{Descriptor, DistanceMetric, Dtype, FilterableField, Result, Store};

/// Bytes of the footer of a segment.
pub(crate) const FOOTER_SIZE_BYTES: usize = 72;

/// How many columns there are.
pub(crate) const COLUMNS: usize = 6;

/// The column of the secondary indexes.
pub(crate) const INDEXES: usize = 5;

/// Where the digest is in a footer, the length of the tail, and those of the columns.
pub(crate) const DIGEST_OFFSET: usize = 12;
pub(crate) const TAIL_LEN_OFFSET: usize = 16;
pub(crate) const LENS_OFFSET: usize = 24;

/// Payloads of the rows, of every kind that indexes tell apart.
pub(crate) const PAYLOADS: [&str; 8] = [
    r#"{"k":"red","n":1,"b":true}"#,
    r#"{"k":["red","blue"],"n":[-1.5,2],"b":[false,true]}"#,
    r#"{"k":"","n":1e300}"#,
    "",
    r#"{"k":"blue","n":18446744073709551615,"b":false}"#,
    r#"{"n":-9223372036854775808,"a":{"n":7}}"#,
    r#"{"k":"a longer keyword that shares a prefix","a":{"n":0.1}}"#,
    r#"{"k":"a longer keyword that shares a prefix with it","n":-0.0}"#,
];

/// What is declared of them.
pub(crate) fn fields() -> Vec<FilterableField> {
    vec![
        FilterableField::numeric("a.n"),
        FilterableField::boolean("b"),
        FilterableField::keyword("k"),
        FilterableField::numeric("n"),
    ]
}

/// One collection with a segment of these rows.
///
/// # Errors
/// Those of the store.
pub(crate) fn fill(store: &Store) -> Result<()> {
    let schema = Descriptor::new(2, Dtype::F32, DistanceMetric::L2).with_filterable(fields());
    let id = store.create_collection("c", schema)?;
    for (payload, number) in PAYLOADS.iter().zip(0_u8..) {
        let row = format!("row-{number:02}");
        store.upsert(id, &row, &[f32::from(number), 0.5], payload.as_bytes())?;
    }
    Ok(())
}

/// The same rows, each of one to three vectors.
///
/// # Errors
/// Those of the store.
pub(crate) fn fill_several(store: &Store) -> Result<()> {
    let schema = Descriptor::new(2, Dtype::F16, DistanceMetric::Cosine)
        .with_filterable(fields())
        .with_multivector(true);
    let id = store.create_collection("c", schema)?;
    for (payload, number) in PAYLOADS.iter().zip(0_u8..) {
        let row = format!("row-{number:02}");
        let vectors = vec![f32::from(number) + 0.5; 2 * (usize::from(number) % 3 + 1)];
        store.upsert(id, &row, &vectors, payload.as_bytes())?;
    }
    Ok(())
}

/// The same with columns of several pages, and indexes with long lists and several nodes.
///
/// # Errors
/// Those of the store.
pub(crate) fn fill_many(store: &Store) -> Result<()> {
    fill(store)?;
    let id = store.collection_id("c")?.expect("just created");
    for number in 0_u16..400 {
        let (row, parity, digit) = (format!("row-{number:04}"), number % 2 == 0, number % 7);
        let few = if parity { "even" } else { "odd" };
        let payload = format!(
            r#"{{"k":["value-{number}-of-many","{few}"],"n":{number}.5,"b":{parity},"a":{{"n":{digit}}}}}"#
        );
        store.upsert(id, &row, &[f32::from(number), 0.5], payload.as_bytes())?;
    }
    Ok(())
}

/// The same with so many rows that every column but the filter has pages of its own.
///
/// # Errors
/// Those of the store.
pub(crate) fn fill_pages(store: &Store) -> Result<()> {
    fill(store)?;
    let id = store.collection_id("c")?.expect("just created");
    for number in 0_u16..2200 {
        let row = format!("row-{:05}-{number:04}", u32::from(number) * 40_503 % 65_536);
        let payload = format!(r#"{{"k":"{row}","n":{number}}}"#);
        store.upsert(id, &row, &[f32::from(number), 0.5], payload.as_bytes())?;
    }
    Ok(())
}

/// The little-endian number at a place of a footer.
pub(crate) fn long(footer: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(footer[at..][..8].try_into().expect("eight bytes"))
}
