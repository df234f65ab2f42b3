//! SQLite, through a VFS of ours.

use quiver_sim::fs::SimFs;
use quiver_sim::stream::Stream;
use quiver_sim::subject::{Result, Subject};
use rusqlite::{Connection, OpenFlags};

use crate::rows::{self, Changes, Rows};
use crate::vfs::{self, within};

const PATH: &str = "/sqlite.db";

/// How SQLite is used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sqlite {
    /// `DELETE` or `WAL`.
    pub(crate) journal_mode: &'static str,
    /// `OFF`, `NORMAL`, `FULL` or `EXTRA`.
    pub(crate) synchronous: &'static str,
    /// Whether an acknowledged transaction ought to survive, or only order and wholeness.
    pub(crate) is_durable: bool,
}

/// A connection, and the filesystem that it is on.
pub(crate) struct Open {
    fs: SimFs,
    /// None once it is dropped.
    connection: Option<Connection>,
}

impl Drop for Open {
    fn drop(&mut self) {
        // Its last calls need the filesystem, too.
        let connection = self.connection.take();
        within(&self.fs, || drop(connection));
    }
}

impl Open {
    fn run<T>(&mut self, run: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T> {
        let connection = self.connection.as_mut().ok_or("it is dropped")?;
        Ok(within(&self.fs, || run(connection))?)
    }
}

impl Subject for Sqlite {
    type Op = Changes;
    type State = Rows;
    type Store = Open;

    fn open(&self, fs: &SimFs) -> Result<Open> {
        vfs::reseed(fs);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = within(fs, || Connection::open_with_flags_and_vfs(PATH, flags, vfs::NAME));
        let mut store = Open { fs: fs.clone(), connection: Some(opened?) };
        let Self { journal_mode, synchronous, .. } = self;
        // The log without shared memory needs the first line; with a journal it would keep that.
        let locking = if *journal_mode == "WAL" { "EXCLUSIVE" } else { "NORMAL" };
        store.run(|connection| {
            connection.execute_batch(&format!(
                "PRAGMA locking_mode={locking};
                 PRAGMA temp_store=MEMORY;
                 PRAGMA page_size=1024;
                 PRAGMA cache_size=8;
                 PRAGMA journal_mode={journal_mode};
                 PRAGMA synchronous={synchronous};
                 PRAGMA wal_autocheckpoint=8;
                 CREATE TABLE IF NOT EXISTS rows (key INTEGER PRIMARY KEY, value BLOB NOT NULL);"
            ))
        })?;
        Ok(store)
    }

    fn draw(&self, dice: &mut Stream) -> Changes {
        rows::draw(dice)
    }

    fn model(&self, state: &mut Rows, changes: &Changes) {
        rows::apply(state, changes);
    }

    fn apply(&self, store: &mut Open, changes: &Changes) -> Result<()> {
        store.run(|connection| {
            let transaction = connection.transaction()?;
            for (key, value) in changes {
                match value {
                    Some(value) => transaction
                        .execute("INSERT OR REPLACE INTO rows VALUES (?1, ?2)", (key, value))?,
                    None => transaction.execute("DELETE FROM rows WHERE key = ?1", [key])?,
                };
            }
            transaction.commit()
        })
    }

    fn observe(&self, store: &mut Open) -> Result<Rows> {
        store.run(|connection| {
            let mut statement = connection.prepare("SELECT key, value FROM rows")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })
    }

    fn is_durable(&self, _changes: &Changes) -> bool {
        self.is_durable
    }

    /// A reader sees what a killed writer had committed and not synced.
    fn keeps_what_it_showed(&self) -> bool {
        false
    }
}
