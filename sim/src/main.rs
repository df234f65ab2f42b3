//! The `quiver-sim` command; see `quiver_sim::command`.

use std::process::ExitCode;

fn main() -> ExitCode {
    quiver_sim::command::main()
}
