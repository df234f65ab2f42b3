//! What an error must say, whatever the input was.

use quiver_store::{Error, ErrorKind};

/// Checks an error that is about the bytes of an input alone.
///
/// # Panics
/// If it does not say what is wrong, or blames something else than the bytes.
pub(crate) fn check(error: &Error) {
    let text = error.to_string();
    assert!(text.len() >= 8, "{error:?} says nothing");
    assert!(!text.ends_with(['.', '\n', ' ']), "{error:?} is no message");
    // The bytes are to blame: neither the disk, which is memory, nor the caller.
    let kind = error.kind();
    let blames_bytes = matches!(kind, ErrorKind::Corrupt | ErrorKind::Unsupported);
    assert!(blames_bytes, "{error:?}, expected Corrupt or Unsupported");
}

/// Checks an error of a store in which one file is an input. Any of some names says where.
///
/// # Panics
/// As [`check`], and if it names none of them.
pub(crate) fn check_names(error: &Error, names: &[&str]) {
    check(error);
    let text = error.to_string();
    let is_named = names.iter().any(|name| text.contains(name));
    assert!(is_named, "{error:?} does not say that it is in one of {names:?}");
}
