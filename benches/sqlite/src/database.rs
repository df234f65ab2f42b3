//! The same rows in SQLite, built from its own source: what an index of a widely used store takes.

use std::path::Path;

use rusqlite::{Connection, Statement, params};

use crate::Failure;
use crate::payloads::{Values, tag_name};
use crate::rows::id;

/// An index on the number alone, which leads to the row that has the id.
pub(crate) const BY_NUMBER: &str =
    "SELECT id FROM rows INDEXED BY rows_n WHERE n BETWEEN ? AND ? ORDER BY id";

/// An index that has the id beside the number, so that no row is looked at.
pub(crate) const BY_NUMBER_COVERING: &str =
    "SELECT id FROM rows INDEXED BY rows_n_id WHERE n BETWEEN ? AND ? ORDER BY id";

/// The same kind of index on the keyword as [`BY_NUMBER`].
pub(crate) const BY_TAG: &str = "SELECT id FROM rows INDEXED BY rows_tag WHERE tag = ? ORDER BY id";

/// Makes a database of so many rows that keeps all of its pages in memory once they were read.
pub(crate) fn build(path: &Path, count: u64) -> Result<Connection, Failure> {
    let mut connection = Connection::open(path)?;
    connection.execute_batch(
        "PRAGMA synchronous = OFF; PRAGMA cache_size = -1048576;
         CREATE TABLE rows (id TEXT PRIMARY KEY, n INTEGER, tag TEXT, payload BLOB);",
    )?;
    let all = connection.transaction()?;
    {
        let mut insert = all.prepare("INSERT INTO rows VALUES (?, ?, ?, ?)")?;
        for number in 0..count {
            let values = Values::of(number);
            let n = i64::try_from(values.n)?;
            insert.execute(params![id(number), n, tag_name(values.tag), values.payload()])?;
        }
    }
    all.commit()?;
    connection.execute_batch(
        "CREATE INDEX rows_n ON rows (n);
         CREATE INDEX rows_n_id ON rows (n, id);
         CREATE INDEX rows_tag ON rows (tag);",
    )?;
    Ok(connection)
}

/// The ids that a prepared query for a range of numbers answers.
pub(crate) fn ids_from(
    query: &mut Statement<'_>,
    lo: u64,
    width: u64,
) -> Result<Vec<String>, Failure> {
    let (lo, hi) = (i64::try_from(lo)?, i64::try_from(lo + width - 1)?);
    let ids = query.query_map(params![lo, hi], |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// The ids that a prepared query for a keyword answers.
pub(crate) fn ids_of_tag(query: &mut Statement<'_>, tag: u64) -> Result<Vec<String>, Failure> {
    let ids = query.query_map(params![tag_name(tag)], |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}
