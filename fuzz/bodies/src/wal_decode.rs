//! The log: frames, headers, whole files, and several files of one log.
//!
//! What begins as a log file is one, or several behind each other ([`logs`]); anything else is a
//! frame, and a header of which the end may be missing.

use quiver_store::wal::header::LOG_MAGIC;

use crate::{frames, headers, logs};

/// See the module.
pub(crate) fn body(input: &[u8]) {
    if input.starts_with(&LOG_MAGIC) {
        logs::whole_files(input);
        return;
    }
    frames::frame(input);
    headers::log_header(input);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeds;

    /// Otherwise what is mended around an input would be refused whatever the input is.
    #[test]
    fn every_seed_is_replayed() {
        for (name, seed) in seeds::of("wal_decode") {
            // The collection, and most of its eight rows.
            let lines = logs::whole_files(&seed);
            assert!(lines >= 8, "{name} shows {lines} lines");
        }
    }
}
