//! A store embedded in a program: `cargo run --example embed -- DIR`.
//!
//! Run it several times: it finds what it left.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program speaks to its user")]

use std::process::ExitCode;

use quiver_store::{
    CollectionId, Descriptor, DistanceMetric, Dtype, ErrorKind, Result, Store, WriteBatch,
};

const USAGE: &str = "usage: cargo run --example embed -- DIR
DIR is the store's directory; it is made if it is missing, and must be empty or a store";

fn main() -> ExitCode {
    // An argument that is no text is one that is not expected.
    let text = |it: std::ffi::OsString| it.into_string().unwrap_or_default();
    let mut arguments = std::env::args_os().skip(1).map(text);
    let dir = match (arguments.next(), arguments.next()) {
        (Some(dir), None) if !dir.is_empty() && !dir.starts_with('-') => dir,
        (Some(help), None) if help == "-h" || help == "--help" => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        (given, _) => {
            let what = if given.is_none() { "DIR is missing" } else { "expected one DIR" };
            eprintln!("embed: {what}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("embed: {error}");
            if let Some(hint) = hint(error.kind()) {
                eprintln!("{hint}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(dir: &str) -> Result<()> {
    let store = Store::open(dir)?;
    let articles = open_collection(&store)?;
    println!("{dir} holds {} articles", store.len(articles)?);

    // One row: once this returns, it survives power loss.
    let lsn = store.upsert(articles, "a1", &[0.1, 0.2, 0.3], br#"{"title":"On logs"}"#)?;
    println!("wrote a1 as operation {lsn}");

    // Several rows, all or none.
    let mut batch = WriteBatch::new();
    let run = format!("run-{lsn}");
    batch.upsert(articles, &run, &[0.3, 0.2, 0.1], br#"{"title":"On runs"}"#);
    batch.delete(articles, "a0");
    store.write(batch)?;

    for row in store.scan(articles)? {
        let (id, record) = row?;
        println!("{id} {:?} {}", record.vector, String::from_utf8_lossy(&record.payload));
    }
    // Not needed for durability: it spares the next open some work.
    store.close()
}

fn open_collection(store: &Store) -> Result<CollectionId> {
    match store.collection_id("articles")? {
        Some(id) => Ok(id),
        None => {
            let schema = Descriptor::new(3, Dtype::F32, DistanceMetric::Cosine);
            store.create_collection("articles", schema)
        }
    }
}

/// What the user can do about an error.
fn hint(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::Locked => Some("another program has it open: wait for it to end"),
        ErrorKind::InvalidArgument => Some("choose an empty directory, or one that does not exist"),
        ErrorKind::Full => Some("nothing was written: free some space and run it again"),
        ErrorKind::Corrupt => Some("restore the directory from a copy"),
        _ => None,
    }
}
