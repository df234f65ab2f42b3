//! Ctrl-C: long work looks here between steps and ends cleanly. A second one ends the process at once.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::output::Failure;

static STOPPED: AtomicBool = AtomicBool::new(false);

/// Notes Ctrl-C from here on.
#[expect(clippy::disallowed_methods, reason = "a program may end itself")]
pub(crate) fn listen() {
    let heard = ctrlc::set_handler(|| {
        if STOPPED.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    });
    // Without a handler Ctrl-C ends the process as ever: no command loses anything by that.
    drop(heard);
}

/// Whether to go on.
pub(crate) fn goes_on() -> ControlFlow<()> {
    if STOPPED.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// Ends a command that was stopped.
///
/// # Errors
/// `Interrupted`, where it was.
pub(crate) fn check(what_now: &str) -> Result<(), Failure> {
    match goes_on() {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Failure::Interrupted(what_now.to_owned())),
    }
}
