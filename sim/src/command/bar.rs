//! Progress on a terminal.
//!
//! **Place.** Commands that take long tell here how far they are; where nobody looks on, nothing is shown.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often it is drawn at most, in a second.
const DRAWN_PER_SECOND: u8 = 5;

/// A bar of so many steps, with what its template says beside it.
pub(super) fn progress_bar(length: u64, template: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(template).expect("templates of the program are right");
    let target = ProgressDrawTarget::stderr_with_hz(DRAWN_PER_SECOND);
    ProgressBar::with_draw_target(Some(length), target).with_style(style)
}
