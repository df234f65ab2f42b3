//! What stands in the files of a store, for people and programs to read. Feature `cli`.
//!
//! **Place.** Above the store, which it never opens: files are decoded one by one by the engine's own
//! decoders, whatever of the others is there or sound. Nothing is written and no lock is taken, so a
//! file that is being written may look torn.
//!
//! - O1. Every file comes to a sequence of *items*, each a JSON object. One that does not check out has a
//!   member `error`, and the dump goes on behind it where it can.
//! - O2. Memory follows the bytes that are there: pages are read one by one, frames within the length of
//!   their file, byte strings over pages up to [`STREAM_BYTES_MAX`].
//!
//! | file | items |
//! |---|---|
//! | directory | `CURRENT`, each entry of the manifest, each file that is there or ought to be |
//! | `CURRENT` | its fields |
//! | log | header, each frame with its sections and records |
//! | segment, by a column | see `columns` |
//! | any other | each page; then what the pages hold: entries, rows, dead rows, changes, records |

mod columns;
mod directory;
mod item;
mod log;
mod pages;
mod segment;
mod tables;

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use serde_json::{Value, json};

use crate::env::Env;
use crate::error::{Error, Result};
use crate::file_names::FileName;
use crate::vfs::{Access, Disk};
use item::See;

pub use item::{DumpColumn, DumpOptions, STREAM_BYTES_MAX};

/// Shows a file, or a directory with all that it should hold; how many items do not check out.
///
/// # Errors
/// `NotFound` if there is nothing of that name; `InvalidArgument` if it is none of a store's files, or no
/// segment where a column is asked for; `Io`.
///
/// # Examples
/// ```no_run
/// # use std::ops::ControlFlow;
/// use quiver_store::dump::{DumpOptions, dump};
/// let damaged = dump("/var/lib/points".as_ref(), DumpOptions::default(), &mut |item| {
///     println!("{item}");
///     ControlFlow::Continue(())
/// })?;
/// assert_eq!(damaged, 0);
/// # Ok::<(), quiver_store::Error>(())
/// ```
pub fn dump(path: &Path, options: DumpOptions, see: &mut See<'_>) -> Result<u64> {
    let vfs = Env::os(path).vfs;
    let disk = Disk::new(vfs, path);
    let mut damaged = 0;
    let mut counted = |item: &Value| {
        damaged += u64::from(item.get("error").is_some());
        see(item)
    };
    // Whoever calls knows where it broke off.
    let _ended = match disk.read_dir(path) {
        Ok(_) if options.column.is_some() => {
            return Err(Error::invalid("a column is one of a segment: name its file"));
        }
        Ok(entries) => directory::show(&disk, entries, &mut counted)?,
        Err(error) => match error.io_kind() {
            Some(io::ErrorKind::NotADirectory) => {
                let parent = path.parent().unwrap_or(Path::new("/"));
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                show_file(&disk.at(parent), name, options, &mut counted)?
            }
            Some(io::ErrorKind::NotFound) => {
                return Err(Error::not_found(format!("there is no {}", path.display())));
            }
            _ => return Err(error),
        },
    };
    Ok(damaged)
}

fn show_file(
    disk: &Disk,
    name: &str,
    options: DumpOptions,
    see: &mut See<'_>,
) -> Result<ControlFlow<()>> {
    let file = disk.open(name, Access::Read)?;
    if let Some(column) = options.column {
        if !pages::is_of_segment(&file)? {
            return Err(Error::invalid(format!("{name} is no segment, and has no columns")));
        }
        return columns::show(disk, name, &file, column, see);
    }
    match FileName::parse(name) {
        Some(FileName::Current | FileName::CurrentTemporary(..)) => {
            Ok(see(&directory::current(&file)?))
        }
        Some(FileName::Log(..)) => log::show(&file, see),
        Some(FileName::Lock | FileName::Backup | FileName::Reserve(..) | FileName::Key(_)) => {
            let item = json!({ "item": "file", "file": name, "bytes": file.len_bytes()? });
            Ok(see(&item))
        }
        Some(
            FileName::Manifest(..)
            | FileName::Segment(..)
            | FileName::Tombstones(..)
            | FileName::IndexSnapshot(..)
            | FileName::Changes(..)
            | FileName::Parked(..),
        ) => pages::show(&file, options, see),
        // A copy may have another name.
        None if pages::starts_as_page(&file)? => pages::show(&file, options, see),
        None if log::starts_as_log(&file)? => log::show(&file, see),
        None => {
            let path = file.path().display();
            let what =
                format!("{path}: neither its name nor its first bytes are of a store's file");
            Err(Error::invalid(what))
        }
    }
}
