//! Where a path leads, before anything is looked at.
//!
//! **Place.** At the entry of every call of [`SimFs`](super::SimFs) that takes a path. Behind it a path is
//! absolute and has one spelling, so that the disk, its record and a comparison of parents see the same.
//!
//! - P1. A path is absolute, or counted from `/`. Empty names and `.` are dropped. An empty path leads
//!   nowhere (`NotFound`); one with a zero byte, or that is no text, is none (`InvalidInput`).
//! - P2. `..` is refused (`InvalidInput`). Without links it would name nothing that has no other name, but
//!   code that climbs out of its directory does so by mistake more often than not.
//! - P3. A `/` or a `.` at the end means a directory. It is remembered: Linux answers to it by the call.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// A path in its one spelling.
#[derive(Clone, Debug)]
pub(super) struct Place {
    path: PathBuf,
    ending: Ending,
}

/// What a path ends with (P3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// A name.
    Name,
    /// A name and a `/`.
    Slash,
    /// A `.`.
    Dot,
    /// Nothing: it is `/` itself.
    Root,
}

impl Place {
    /// Reads a path.
    ///
    /// # Errors
    /// `NotFound` and `InvalidInput` (P1, P2).
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let text = path.to_str().filter(|text| !text.contains('\0'));
        let text = text.ok_or(ErrorKind::InvalidInput)?;
        if text.is_empty() {
            return Err(ErrorKind::NotFound.into());
        }
        let mut path = PathBuf::from("/");
        for name in text.split('/').filter(|name| !name.is_empty() && *name != ".") {
            if name == ".." {
                return Err(ErrorKind::InvalidInput.into());
            }
            path.push(name);
        }
        let ending = match text.trim_end_matches('/').rsplit('/').next() {
            Some(".") => Ending::Dot,
            _ if path.parent().is_none() => Ending::Root,
            _ if text.ends_with('/') => Ending::Slash,
            _ => Ending::Name,
        };
        Ok(Self { path, ending })
    }

    /// The path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What it ends with.
    pub(super) fn ending(&self) -> Ending {
        self.ending
    }

    /// Whether it ends with a name, a `/` behind it or not: with something that can be given and taken.
    pub(super) fn is_named(&self) -> bool {
        matches!(self.ending, Ending::Name | Ending::Slash)
    }

    /// The directory that it is in; that of `/` is `/`.
    pub(super) fn parent(&self) -> Self {
        let path = self.path.parent().unwrap_or(&self.path).to_owned();
        Self { path, ending: Ending::Slash }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_path_are_one_place() {
        for (text, path, ending) in [
            ("a", "/a", Ending::Name),
            ("/a", "/a", Ending::Name),
            (".//a", "/a", Ending::Name),
            ("//a/./b", "/a/b", Ending::Name),
            ("a/", "/a", Ending::Slash),
            ("./a//", "/a", Ending::Slash),
            ("a/.", "/a", Ending::Dot),
            ("a/.//", "/a", Ending::Dot),
            (".", "/", Ending::Dot),
            ("/", "/", Ending::Root),
            ("//", "/", Ending::Root),
            (".a", "/.a", Ending::Name),
            ("a.", "/a.", Ending::Name),
        ] {
            let place = Place::of(Path::new(text)).expect(text);
            assert_eq!((place.path(), place.ending()), (Path::new(path), ending), "{text}");
        }
        let refused = |text: &str| Place::of(Path::new(text)).map(drop).map_err(|e| e.kind());
        assert_eq!(refused(""), Err(ErrorKind::NotFound));
        for text in ["..", "a/../b", "a\0b"] {
            assert_eq!(refused(text), Err(ErrorKind::InvalidInput), "{text:?}");
        }
    }
}
