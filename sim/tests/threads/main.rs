//! Threads explored: writers, readers, checkpoints and closes of one store, under schedules drawn at
//! random and by PCT. Each schedule ends with a crash and a recovery, which are held against what was
//! answered. `docs/threads.md` says what is explored, and what is not.
//!
//! Built with `--cfg shuttle` only; `sim/threads.sh` does that, and builds copies of the engine with
//! planted bugs, which have to be found.
//!
//! ```text
//! threads [SLICES [SEED]]           explore; the engine must keep its promises
//! threads planted NAME              explore until the bug is found; it must be
//! threads replay SCENARIO SCHEDULE  play one schedule again
//! ```

#[cfg(shuttle)]
mod explore;
#[cfg(shuttle)]
mod ledger;
#[cfg(shuttle)]
mod own;
#[cfg(shuttle)]
mod report;
#[cfg(shuttle)]
mod scenarios;
#[cfg(shuttle)]
mod stage;
#[cfg(shuttle)]
mod switching;

#[cfg(shuttle)]
fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    report::run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Built with the rest of the workspace, where there is nothing to schedule.
#[cfg(not(shuttle))]
fn main() {}
