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
