//! Frames and headers of the log.
//!
//! The input is both: a frame, and a header of which the end may be missing. Whole files are the input of
//! the target `log_replay` ([`crate::logs`]).

use crate::{frames, headers};

/// See the module.
pub(crate) fn body(input: &[u8]) {
    frames::frame(input);
    headers::log_header(input);
}
