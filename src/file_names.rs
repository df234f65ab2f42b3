//! The names of a store's files, in one flat directory.
//!
//! One directory, because a name becomes durable with its directory: a single `sync_dir` covers
//! all, and no lost entry of a sub-directory can take its files along.
//!
//! | name | what |
//! |---|---|
//! | `LOCK` | locked while the store is open; never removed, never read |
//! | `CURRENT` | names the newest manifest |
//! | `CURRENT.<version>.tmp` | the next `CURRENT`, before its rename |
//! | `manifest-<version>` | which files exist, and what for |
//! | `log-<file id>.wal` | a log file |
//! | `segment-<file id>.seg` | a segment |
//!
//! Numbers have ten digits at least, so that names sort by age.

use crate::ids::{FileId, ManifestVersion};

/// The lock file.
pub const LOCK: &str = "LOCK";

/// The file that names the newest manifest.
pub const CURRENT: &str = "CURRENT";

/// What the name of a file of the store says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileName {
    /// `LOCK`.
    Lock,
    /// `CURRENT`.
    Current,
    /// `CURRENT.<version>.tmp`.
    CurrentTemporary(ManifestVersion),
    /// `manifest-<version>`.
    Manifest(ManifestVersion),
    /// `log-<file id>.wal`.
    Log(FileId),
    /// `segment-<file id>.seg`.
    Segment(FileId),
}

impl FileName {
    /// The name in its directory.
    pub fn text(self) -> String {
        match self {
            Self::Lock => LOCK.to_owned(),
            Self::Current => CURRENT.to_owned(),
            Self::CurrentTemporary(version) => format!("CURRENT.{:010}.tmp", version.0),
            Self::Manifest(version) => format!("manifest-{:010}", version.0),
            Self::Log(id) => format!("log-{:010}.wal", id.0),
            Self::Segment(id) => format!("segment-{:010}.seg", id.0),
        }
    }

    /// Reads a name; `None` for one that the engine never gives.
    pub fn parse(text: &str) -> Option<Self> {
        let number = |before: &str, after: &str| {
            let digits = text.strip_prefix(before)?.strip_suffix(after)?;
            let padded = digits.len() == 10 || (digits.len() > 10 && !digits.starts_with('0'));
            let plain = padded && digits.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| digits.parse().ok()).flatten()
        };
        match text {
            LOCK => return Some(Self::Lock),
            CURRENT => return Some(Self::Current),
            _ => {}
        }
        if let Some(version) = number("CURRENT.", ".tmp") {
            return Some(Self::CurrentTemporary(ManifestVersion(version)));
        }
        if let Some(version) = number("manifest-", "") {
            return Some(Self::Manifest(ManifestVersion(version)));
        }
        if let Some(id) = number("log-", ".wal") {
            return Some(Self::Log(FileId(id)));
        }
        number("segment-", ".seg").map(|id| Self::Segment(FileId(id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for name in [
            FileName::Lock,
            FileName::Current,
            FileName::CurrentTemporary(ManifestVersion(7)),
            FileName::Manifest(ManifestVersion(12_345_678_901)),
            FileName::Log(FileId(3)),
            FileName::Segment(FileId(9)),
        ] {
            assert_eq!(FileName::parse(&name.text()), Some(name));
        }
    }

    #[test]
    fn foreign_names_are_not_ours() {
        for text in ["", "notes.txt", "log-1.wal", "log-+000000001.wal", "CURRENT.tmp", "LOCKS"] {
            assert_eq!(FileName::parse(text), None, "{text}");
        }
    }
}
