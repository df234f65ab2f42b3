//! The one public error type of the engine.
//!
//! A kind exists only if a caller would act differently on it. The message says what happened,
//! where (file, page or offset), what was expected and what was found.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::Path;

/// The result of every call that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, by what the caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The disk failed a call. The operation was *not written*; trying again is safe.
    Io,
    /// Bytes on the disk are not what was written there. Restore from a copy.
    Corrupt,
    /// The file is of a newer version, or uses a feature that this version does not know.
    Unsupported,
    /// The caller's argument is wrong; nothing was changed.
    InvalidArgument,
    /// No such collection.
    NotFound,
    /// A collection of that name exists.
    AlreadyExists,
    /// The argument is beyond a limit of [`crate::limits`] or [`crate::Options`].
    TooLarge,
    /// The disk is full. The operation was *not written*; writes resume once there is space.
    Full,
    /// Another process, or another handle of this one, has the store open.
    Locked,
    /// A publish failed where its outcome cannot be known. Reads go on; reopen the store to write.
    Latched,
    /// The write may or may not survive: reading it back after a reopen tells.
    Unknown,
    /// The collection's key is missing.
    KeyUnavailable,
    /// The store was closed.
    Closed,
}

/// An error of the engine.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    source: Option<io::Error>,
}

impl Error {
    /// An error of a kind with a message.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), source: None }))
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The same cause reported under another kind, with words put before the message.
    pub(crate) fn reported_as(self, kind: ErrorKind, before: &str) -> Self {
        let Inner { message, source, .. } = *self.0;
        Self(Box::new(Inner { kind, message: format!("{before}: {message}"), source }))
    }

    /// A copy for each waiter of a group; the source's text is part of the message already.
    pub(crate) fn duplicate(&self) -> Self {
        Self::new(self.0.kind, self.0.message.clone())
    }

    /// A failed call of the seam.
    pub(crate) fn io(verb: &str, path: &Path, source: io::Error) -> Self {
        let kind = match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Full,
            _ => ErrorKind::Io,
        };
        let message = format!("cannot {verb} {}: {source}", path.display());
        Self(Box::new(Inner { kind, message, source: Some(source) }))
    }

    pub(crate) fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::TooLarge, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// The answer of every call after a close.
    pub(crate) fn closed() -> Self {
        Self::new(ErrorKind::Closed, "the store is closed")
    }

    /// The kind of the underlying call's error, where there was one.
    pub(crate) fn io_kind(&self) -> Option<io::ErrorKind> {
        self.0.source.as_ref().map(io::Error::kind)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0.kind, self.0.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|source| source as _)
    }
}
