//! `quiver export`: the rows of a collection as JSON lines.

#![expect(clippy::disallowed_types, reason = "the tool makes a file that is no store's")]

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use quiver_store::{CollectionId, Record, Store};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::Dir;
use crate::keys::Opener;
use crate::output::{Failure, Output, Unit, bar};
use crate::stop;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A line for each row, in the order of ids: `id`, `vector` (one array; the vectors of a row one after the \
other), and `payload` where there is one that is JSON. One that is not is in `payload_hex`, and a line \
that `import` refuses. NaN and infinities have no JSON and are refused.

Example: quiver export /var/lib/points digits --out digits.jsonl")]
pub(crate) struct Arguments {
    #[command(flatten)]
    store: Dir,
    /// The collection's name.
    collection: String,
    /// A file to make; standard output if it is left out.
    #[arg(long)]
    out: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, opener: &Opener, out: &mut Output) -> Result<(), Failure> {
    let store = opener.open_read_only(&arguments.store.dir)?;
    let name = &arguments.collection;
    let Some(id) = store.collection_id(name)? else {
        let names = store.collection_names()?.join(", ");
        return Err(Failure::Usage(format!("no collection is named {name}; there are: {names}")));
    };
    let Some(path) = &arguments.out else {
        let mut stdout = BufWriter::new(io::stdout());
        write_rows(&store, id, &mut stdout)?;
        return stdout.flush().map_err(not_written);
    };
    let file = File::create_new(path)
        .map_err(|error| Failure::File(format!("cannot make {}", path.display()), error))?;
    let mut file = BufWriter::new(file);
    let rows = write_rows(&store, id, &mut file)?;
    let synced = file.flush().and_then(|()| file.get_ref().sync_all());
    synced.map_err(|error| Failure::File(format!("cannot write {}", path.display()), error))?;
    let text = format!("{rows} rows into {}", path.display());
    out.answer(&json!({ "rows": rows }), &text)
}

fn write_rows(store: &Store, id: CollectionId, out: &mut impl Write) -> Result<u64, Failure> {
    let bar = bar(Unit::Rows);
    bar.set_length(store.len(id).unwrap_or(0));
    let mut rows = 0;
    for row in store.scan(id)? {
        let (external_id, record) = row?;
        let line = line(&external_id, &record)?;
        out.write_all(line.as_bytes()).and_then(|()| out.write_all(b"\n")).map_err(not_written)?;
        rows += 1;
        bar.set_position(rows);
        stop::check("the file has only some of the rows")?;
    }
    bar.finish_and_clear();
    Ok(rows)
}

fn line(external_id: &str, record: &Record) -> Result<String, Failure> {
    if record.vector.iter().any(|element| !element.is_finite()) {
        let what = format!("row {external_id:?} has a NaN or an infinity, which JSON has not");
        return Err(Failure::Usage(what));
    }
    let mut line = format!("{{\"id\":{},\"vector\":", Value::from(external_id));
    line += &serde_json::to_string(&record.vector).expect("finite numbers are JSON");
    let text = std::str::from_utf8(&record.payload).ok();
    let raw = text.and_then(|text| serde_json::from_str::<&RawValue>(text).ok());
    match raw {
        _ if record.payload.is_empty() => {}
        // A line holds no line ends.
        Some(raw) => line += &format!(",\"payload\":{}", raw.get().replace(['\n', '\r'], " ")),
        None => {
            line += ",\"payload_hex\":\"";
            record.payload.iter().for_each(|byte| line += &format!("{byte:02x}"));
            line += "\"";
        }
    }
    line += "}";
    Ok(line)
}

fn not_written(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::PipeClosed,
        _ => Failure::File("cannot write the rows".to_owned(), error),
    }
}
