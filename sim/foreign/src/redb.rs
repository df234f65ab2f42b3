//! redb, through its own trait for the file beneath.
//!
//! The name of that file is no business of redb's, and its creation no atomic one: a file in which that was
//! cut short is none of redb's for good. So it is made under another name, and renamed when it is done.

use std::io;

use quiver_sim::fs::{File, OpenOptions, SimFs};
use quiver_sim::stream::Stream;
use quiver_sim::subject::{Result, Subject};
use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition,
};

use crate::rows::{self, Changes, Rows};

const TABLE: TableDefinition<'_, u8, &[u8]> = TableDefinition::new("rows");
const PATH: &str = "/redb";
const UNFINISHED: &str = "/redb.new";
/// Small, so that pages are written before a commit, too.
const CACHE_BYTES: usize = 64 << 10;

/// How redb is used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Redb {
    /// Of each transaction.
    pub(crate) durability: Durability,
    /// Whether a commit syncs twice.
    pub(crate) two_phase: bool,
    /// Whether it is created under its own name.
    pub(crate) in_place: bool,
}

fn database(fs: &SimFs, path: &str) -> Result<Database> {
    let file = OpenOptions::new().read(true).write(true).create(true).open(fs, path)?;
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    Ok(builder.create_with_backend(Backend(file))?)
}

#[derive(Debug)]
struct Backend(File);

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }
}

impl Subject for Redb {
    type Op = Changes;
    type State = Rows;
    type Store = Database;

    fn open(&self, fs: &SimFs) -> Result<Database> {
        if !fs.exists(PATH) && !self.in_place {
            if fs.exists(UNFINISHED) {
                fs.remove_file(UNFINISHED)?;
            }
            drop(database(fs, UNFINISHED)?);
            fs.open(UNFINISHED)?.sync_all()?;
            fs.rename(UNFINISHED, PATH)?;
        }
        let database = database(fs, PATH)?;
        fs.sync_dir("/")?;
        Ok(database)
    }

    fn draw(&self, dice: &mut Stream) -> Changes {
        rows::draw(dice)
    }

    fn model(&self, state: &mut Rows, changes: &Changes) {
        rows::apply(state, changes);
    }

    fn apply(&self, store: &mut Database, changes: &Changes) -> Result<()> {
        let mut transaction = store.begin_write()?;
        transaction.set_durability(self.durability)?;
        transaction.set_two_phase_commit(self.two_phase);
        {
            let mut table = transaction.open_table(TABLE)?;
            for (key, value) in changes {
                match value {
                    Some(value) => drop(table.insert(key, &**value)?),
                    None => drop(table.remove(key)?),
                }
            }
        }
        Ok(transaction.commit()?)
    }

    fn observe(&self, store: &mut Database) -> Result<Rows> {
        let transaction = store.begin_read()?;
        let table = match transaction.open_table(TABLE) {
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Rows::new()),
            table => table?,
        };
        let mut rows = Rows::new();
        for row in table.iter()? {
            let (key, value) = row?;
            rows.insert(key.value(), value.value().to_vec());
        }
        Ok(rows)
    }
}
