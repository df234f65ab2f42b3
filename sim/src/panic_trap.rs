//! Catches the panics of a store under test, with where they came from, without a word on the
//! terminal.
//!
//! **Place.** Around every call into a store that the explorer makes. The hook is installed once for
//! the process; threads that are not inside [`catch`] keep the hook that was there before.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

static INSTALLED: Once = Once::new();

/// Runs something that may panic; the error is the panic's message and place.
///
/// # Errors
/// `message at file:line` of the panic.
pub fn catch<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    INSTALLED.call_once(install);
    DEPTH.set(DEPTH.get() + 1);
    let result = panic::catch_unwind(AssertUnwindSafe(run));
    DEPTH.set(DEPTH.get() - 1);
    result.map_err(|_| {
        let last = LAST.with_borrow_mut(Option::take);
        last.unwrap_or_else(|| "a panic without a message".to_string())
    })
}

fn install() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |panicked| {
        if DEPTH.get() == 0 {
            before(panicked);
            return;
        }
        let payload = panicked.payload();
        let message = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_string())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_string());
        let place = panicked.location().map(|at| format!(" at {}:{}", at.file(), at.line()));
        LAST.set(Some(format!("{message}{}", place.unwrap_or_default())));
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_are_caught_with_message_and_place() {
        assert_eq!(catch(|| 7), Ok(7));
        let caught = catch(|| panic!("no more {}", "calls")).expect_err("it panicked");
        assert!(caught.starts_with("no more calls at "), "{caught}");
        assert!(caught.contains("panic_trap.rs:"), "{caught}");
    }
}
