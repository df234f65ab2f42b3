//! The `quiver-sim` command.
fn main() {}
