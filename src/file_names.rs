//! The names of a store's files, in one flat directory.
//!
//! One directory, because a name becomes durable with its directory: a single `sync_dir` covers
//! all, and no lost entry of a sub-directory can take its files along.
//!
//! | name | what |
//! |---|---|
//! | `LOCK` | locked while the store is open; never removed, never read |
//! | `CURRENT` | names the newest manifest |
//! | `BACKUP` | in a backup that is being made: whose it is |
//! | `CURRENT.<version>-<tag>.tmp` | the next `CURRENT`, before its rename |
//! | `manifest-<version>-<tag>` | which files exist, and what for |
//! | `log-<file id>-<tag>.wal` | a log file |
//! | `segment-<file id>-<tag>.seg` | a segment |
//! | `tombstones-<file id>-<tag>.tmb` | the dead rows of a segment |
//! | `index-<file id>-<tag>.idx` | an index snapshot |
//! | `changes-<file id>-<tag>.chg` | which rows changed since an index snapshot |
//! | `parked-<file id>-<tag>.prk` | records of a collection that could not be sealed |
//! | `reserve-<file id>-<tag>.res` | space set aside for a full disk |
//! | `key-<key id>.key` | a key, sealed under another ([`crate::key_file`]) |
//!
//! Numbers have ten decimal digits at least, so that names sort by age. The tag is eight
//! hexadecimal digits of the file's salt: a number that a crash took back may be given again, a
//! name is not. A key id is 32 hexadecimal digits and all random.

use crate::ids::{FileId, KeyId, ManifestVersion, Salt};
use crate::limits::NUMBER_MAX;

/// The lock file.
pub const LOCK: &str = "LOCK";

/// The file that names the newest manifest.
pub const CURRENT: &str = "CURRENT";

/// Digits of the largest number.
const DIGITS_MAX: usize = 20;

/// The part of a salt that stands in its file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag(u32);

impl From<Salt> for Tag {
    fn from(salt: Salt) -> Self {
        let [a, b, c, d, ..] = salt.0;
        Self(u32::from_be_bytes([a, b, c, d]))
    }
}

/// The marker of a backup that is being made.
pub const BACKUP: &str = "BACKUP";

/// What the name of a file of the store says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileName {
    /// `LOCK`.
    Lock,
    /// `CURRENT`.
    Current,
    /// `BACKUP`.
    Backup,
    /// `CURRENT.<version>-<tag>.tmp`; the tag is the manifest's.
    CurrentTemporary(ManifestVersion, Tag),
    /// `manifest-<version>-<tag>`.
    Manifest(ManifestVersion, Tag),
    /// `log-<file id>-<tag>.wal`.
    Log(FileId, Tag),
    /// `segment-<file id>-<tag>.seg`.
    Segment(FileId, Tag),
    /// `tombstones-<file id>-<tag>.tmb`.
    Tombstones(FileId, Tag),
    /// `index-<file id>-<tag>.idx`.
    IndexSnapshot(FileId, Tag),
    /// `changes-<file id>-<tag>.chg`.
    Changes(FileId, Tag),
    /// `parked-<file id>-<tag>.prk`.
    Parked(FileId, Tag),
    /// `reserve-<file id>-<tag>.res`.
    Reserve(FileId, Tag),
    /// `key-<key id>.key`.
    Key(KeyId),
}

impl FileName {
    /// The name in its directory.
    pub fn text(self) -> String {
        match self {
            Self::Lock => LOCK.to_owned(),
            Self::Current => CURRENT.to_owned(),
            Self::Backup => BACKUP.to_owned(),
            Self::CurrentTemporary(version, tag) => numbered("CURRENT.", version.0, tag, ".tmp"),
            Self::Manifest(version, tag) => numbered("manifest-", version.0, tag, ""),
            Self::Log(id, tag) => numbered("log-", id.0, tag, ".wal"),
            Self::Segment(id, tag) => numbered("segment-", id.0, tag, ".seg"),
            Self::Tombstones(id, tag) => numbered("tombstones-", id.0, tag, ".tmb"),
            Self::IndexSnapshot(id, tag) => numbered("index-", id.0, tag, ".idx"),
            Self::Changes(id, tag) => numbered("changes-", id.0, tag, ".chg"),
            Self::Parked(id, tag) => numbered("parked-", id.0, tag, ".prk"),
            Self::Reserve(id, tag) => numbered("reserve-", id.0, tag, ".res"),
            Self::Key(id) => format!("key-{id}.key"),
        }
    }

    /// Reads a name; `None` for one that the engine never gives.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            LOCK => return Some(Self::Lock),
            CURRENT => return Some(Self::Current),
            BACKUP => return Some(Self::Backup),
            _ => {}
        }
        if let Some((number, tag)) = number(text, "CURRENT.", ".tmp") {
            return Some(Self::CurrentTemporary(ManifestVersion(number), tag));
        }
        if let Some((number, tag)) = number(text, "manifest-", "") {
            return Some(Self::Manifest(ManifestVersion(number), tag));
        }
        if let Some((number, tag)) = number(text, "log-", ".wal") {
            return Some(Self::Log(FileId(number), tag));
        }
        if let Some((number, tag)) = number(text, "segment-", ".seg") {
            return Some(Self::Segment(FileId(number), tag));
        }
        if let Some((number, tag)) = number(text, "tombstones-", ".tmb") {
            return Some(Self::Tombstones(FileId(number), tag));
        }
        if let Some((number, tag)) = number(text, "index-", ".idx") {
            return Some(Self::IndexSnapshot(FileId(number), tag));
        }
        if let Some((number, tag)) = number(text, "changes-", ".chg") {
            return Some(Self::Changes(FileId(number), tag));
        }
        if let Some((number, tag)) = number(text, "parked-", ".prk") {
            return Some(Self::Parked(FileId(number), tag));
        }
        if let Some((number, tag)) = number(text, "reserve-", ".res") {
            return Some(Self::Reserve(FileId(number), tag));
        }
        key_id(text.strip_prefix("key-")?.strip_suffix(".key")?).map(Self::Key)
    }
}

fn key_id(text: &str) -> Option<KeyId> {
    let (digits, rest) = text.as_bytes().as_chunks::<2>();
    if digits.len() != 16 || !rest.is_empty() || !text.bytes().all(is_hexadecimal) {
        return None;
    }
    let mut id = KeyId::NONE;
    for (byte, digits) in id.0.iter_mut().zip(digits) {
        *byte = u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(id)
}

/// Lower-case: a name has one form.
fn is_hexadecimal(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

fn numbered(before: &str, number: u64, tag: Tag, after: &str) -> String {
    let mut text = String::with_capacity(before.len() + DIGITS_MAX + 9 + after.len());
    text.push_str(before);
    push_digits(&mut text, number, 10, 10);
    text.push('-');
    push_digits(&mut text, tag.0.into(), 16, 8);
    text.push_str(after);
    text
}

/// A number with at least so many digits. Without the machinery of `format!`, which was a fifteenth
/// of a recovery: that makes dozens of names.
fn push_digits(text: &mut String, mut number: u64, radix: u32, digits_min: usize) {
    let mut digits = ['0'; DIGITS_MAX];
    let mut used = 0;
    while number > 0 {
        let digit = u32::try_from(number % u64::from(radix)).expect("below the radix");
        digits[used] = char::from_digit(digit, radix).expect("below the radix");
        number /= u64::from(radix);
        used += 1;
    }
    text.extend(digits[..used.max(digits_min)].iter().rev());
}

fn number(text: &str, before: &str, after: &str) -> Option<(u64, Tag)> {
    let (digits, tag) = text.strip_prefix(before)?.strip_suffix(after)?.split_once('-')?;
    let padded = digits.len() == 10 || (digits.len() > 10 && !digits.starts_with('0'));
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    if !padded || !plain || tag.len() != 8 || !tag.bytes().all(is_hexadecimal) {
        return None;
    }
    let number = digits.parse().ok().filter(|number| *number < NUMBER_MAX)?;
    Some((number, Tag(u32::from_str_radix(tag, 16).ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        let tag = Tag::from(Salt([0x0a; 16]));
        for name in [
            FileName::Lock,
            FileName::Current,
            FileName::Backup,
            FileName::CurrentTemporary(ManifestVersion(7), tag),
            FileName::Manifest(ManifestVersion(12_345_678_901), tag),
            FileName::Log(FileId(3), tag),
            FileName::Segment(FileId(9), tag),
            FileName::Tombstones(FileId(10), tag),
            FileName::Reserve(FileId(11), tag),
            FileName::IndexSnapshot(FileId(12), tag),
            FileName::Changes(FileId(13), tag),
            FileName::Parked(FileId(14), tag),
            FileName::Key(KeyId([0xa0; 16])),
        ] {
            assert_eq!(FileName::parse(&name.text()), Some(name));
        }
        assert_eq!(FileName::Log(FileId(3), tag).text(), "log-0000000003-0a0a0a0a.wal");
    }

    #[test]
    fn foreign_names_are_not_ours() {
        for text in [
            "",
            "notes.txt",
            "log-1-0a0a0a0a.wal",
            "log-0000000001.wal",
            "log-+000000001-0a0a0a0a.wal",
            "log-0000000001-0A0A0A0A.wal",
            "log-0000000001-0a0a0a0.wal",
            "log-18446744073709551615-0a0a0a0a.wal",
            "tombstones-0000000001-0a0a0a0a.seg",
            "reserve-0000000001-0a0a0a0a",
            "CURRENT.tmp",
            "LOCKS",
            "key-a0.key",
            "key-A0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0.key",
        ] {
            assert_eq!(FileName::parse(text), None, "{text}");
        }
    }
}
