//! Writes the seeds of the corpus: `cargo run --release -p quiver-fuzz-bodies --bin seeds`. What is there
//! under another name stays, so what a fix brought is kept.

use std::process::ExitCode;
use std::{fs, io};

use quiver_fuzz_bodies::{TARGETS, seeds};

fn main() -> ExitCode {
    match write() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot write the seeds: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write() -> io::Result<()> {
    for target in TARGETS {
        let made = seeds::of(target.name);
        let folder = seeds::folder(target.name);
        fs::create_dir_all(&folder)?;
        for (name, bytes) in &made {
            fs::write(folder.join(name), bytes)?;
        }
        println!("{}: {} seeds", target.name, made.len());
    }
    Ok(())
}
