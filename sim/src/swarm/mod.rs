//! Swarms: several tasks on one store, in a simulated runtime with virtual time.
//!
//! **Place.** Beside the explorer of one store, whose forward run carries out what the tasks ask for and
//! whose recoveries and checks look at the crashes. Everything is a function of the seed.
//!
//! | file | noun |
//! |---|---|
//! | `plan` | what a seed draws before the run |
//! | `tasks` | the clients, the driver, background work, the end of a process |
//! | `hall`, `desk` | where tasks ask, and who carries it out |
//! | `ledger` | what clients saw: linearizable by LSN |
//! | `play` | one seed: its run, the same once more, its crash images |
//! | `campaign` | seeds on all cores, added up in their order |
//! | `counts`, `story` | what it came to, in numbers and in words |
//!
//! - W1. Clients, background work and kills are tasks; a call of the store does not wait, so tasks meet
//!   between calls only: between `submit` and `drive`, between steps of background work, between rows of a
//!   scan, between reads of a snapshot. Interleavings inside a call need threads and are not seen here.
//! - W2. Reads of one row and writes are linearizable (`ledger`). What a read, a scan or a snapshot shows is
//!   moreover the model's state of one LSN, from its first row to its last (I13): that is the forward run's
//!   check, and is made on each call.
//! - W3. A process ends between two calls, or before or inside an I/O call; the next one recovers with the
//!   real code, and all goes on. Crash images are examined for I1 to I18 as those of any other history.
//! - W4. A run is a sequence of operations; carried out again without runtime, tasks or virtual time it
//!   is the same to the byte, as is a second run of the seed.
//!
//! The runtime is `madsim`, which exists only in a build with `--cfg madsim`; `.cargo/config.toml` sets
//! that. Without it there are no swarms, and whoever asks for one is told so.

mod campaign;
pub mod counts;
#[cfg(madsim)]
mod desk;
#[cfg(madsim)]
mod hall;
#[cfg(madsim)]
mod ledger;
#[cfg(madsim)]
mod plan;
#[cfg(madsim)]
mod play;
#[cfg(madsim)]
mod story;
#[cfg(madsim)]
mod tasks;

pub use campaign::{Bounds, Report, one, run};
pub use counts::Counts;

/// What to tell somebody who asks for a swarm that this build does not have.
pub const MISSING: &str = "this build has no simulated runtime: it was made without `--cfg madsim`, which \
.cargo/config.toml of the repository sets and RUSTFLAGS in the environment hide; unset RUSTFLAGS, or add \
`--cfg madsim` to them, and build again";

/// Whether this build has the runtime.
pub const fn is_built() -> bool {
    cfg!(madsim)
}
