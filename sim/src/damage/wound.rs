//! One damage: what it does to which file.
//!
//! - H1. A wound changes something: one that would leave every byte as it is is none.
//! - H2. It says the bytes that each file has before and after, so that it can be undone.

use std::path::{Path, PathBuf};

use super::base::Base;
use super::layout::Kind;
use crate::disk::DiskState;
use crate::stream::Stream;

pub(super) const SECTOR: usize = 512;
const PAGE: usize = 16 * 1024;

/// What a damage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    Flip,
    Zeroed,
    Garbage,
    Stale,
    Misdirected,
    Missing,
    Cut,
    Lengthened,
    Swapped,
    Duplicated,
    Foreign,
}

impl Form {
    /// Those that are of one sector.
    pub(super) const OF_SECTORS: [Self; 5] =
        [Self::Flip, Self::Zeroed, Self::Garbage, Self::Stale, Self::Misdirected];

    /// Those that are of a whole file.
    pub(super) const OF_FILES: [Self; 6] = [
        Self::Missing,
        Self::Cut,
        Self::Lengthened,
        Self::Swapped,
        Self::Duplicated,
        Self::Foreign,
    ];

    pub(super) const ALL: [Self; 11] = [
        Self::Flip,
        Self::Zeroed,
        Self::Garbage,
        Self::Stale,
        Self::Misdirected,
        Self::Missing,
        Self::Cut,
        Self::Lengthened,
        Self::Swapped,
        Self::Duplicated,
        Self::Foreign,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Flip => "flipped bit",
            Self::Zeroed => "zeroed sector",
            Self::Garbage => "garbage sector",
            Self::Stale => "stale sector",
            Self::Misdirected => "misdirected",
            Self::Missing => "missing file",
            Self::Cut => "cut file",
            Self::Lengthened => "lengthened file",
            Self::Swapped => "swapped files",
            Self::Duplicated => "duplicated file",
            Self::Foreign => "of another store",
        }
    }
}

/// A file before and after.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) path: PathBuf,
    before: Option<Vec<u8>>,
    after: Option<Vec<u8>>,
}

/// A file with its bytes before and after.
type BeforeAndAfter<'a> = (&'a Path, Option<Vec<u8>>, Option<Vec<u8>>);

/// What was done to a store.
#[derive(Clone, Debug)]
pub(super) struct Wound {
    pub(super) form: Form,
    pub(super) kind: Kind,
    pub(super) changes: Vec<Change>,
    /// In words, for a violation.
    pub(super) words: String,
}

impl Wound {
    pub(super) fn apply(&self, state: &DiskState) -> DiskState {
        let done = |state: DiskState, change: &Change| {
            state.with_file(&change.path, change.after.as_deref())
        };
        self.changes.iter().fold(state.clone(), done)
    }

    /// Puts back what is still as the wound left it. What was written since stays.
    pub(super) fn undo(&self, state: &DiskState) -> DiskState {
        self.changes.iter().rev().fold(state.clone(), |state, change| change.undo(state))
    }

    /// The wound of this form at a sector of a file, if there is one; the rest is drawn.
    pub(super) fn at(
        base: &Base,
        state: &DiskState,
        (form, path, sector): (Form, &Path, usize),
        stream: &mut Stream,
    ) -> Option<Self> {
        let before = state.read(path)?;
        let at = sector * SECTOR;
        let mut after = before.clone();
        let what = match form {
            Form::Missing => {
                let changes = vec![(path, Some(before), None)];
                return Self::of(form, base, path, String::new(), changes);
            }
            Form::Swapped => {
                let other = base.another(state, path, stream)?;
                let its = state.read(&other)?;
                let what = format!("with {}", other.display());
                let changes = vec![
                    (path, Some(before.clone()), Some(its.clone())),
                    (&other, Some(its), Some(before)),
                ];
                return Self::of(form, base, path, what, changes);
            }
            Form::Duplicated => {
                let other = renumbered(path, stream)?;
                let what = format!("as {}", other.display());
                let changes = vec![(&*other, state.read(&other), Some(before))];
                return Self::of(form, base, path, what, changes);
            }
            Form::Cut => {
                let len = if sector > 0 { at } else { stream.index(before.len()) };
                after.truncate(len);
                format!("to {len} bytes")
            }
            Form::Lengthened => {
                let len = *stream.pick(&[1, SECTOR, PAGE]);
                let byte = if stream.chance(1, 2) { 0 } else { 0xa5 };
                after.extend(std::iter::repeat_n(byte, len));
                format!("by {len} bytes of {byte:#x}")
            }
            _ => bytes_at(base, state, (form, path, at), &mut after, stream)?,
        };
        let what = if what.is_empty() { format!("sector {sector}") } else { what };
        Self::of(form, base, path, what, vec![(path, Some(before), Some(after))])
    }

    fn of(
        form: Form,
        base: &Base,
        path: &Path,
        what: String,
        changes: Vec<BeforeAndAfter<'_>>,
    ) -> Option<Self> {
        let kind = base.layout.kind(path);
        let words = format!("{}: {} {what}", form.name(), path.display());
        let changes: Vec<Change> = changes
            .into_iter()
            .filter(|(_, before, after)| before != after)
            .map(|(path, before, after)| Change { path: path.to_owned(), before, after })
            .collect();
        (!changes.is_empty()).then_some(Self { form, kind, changes, words })
    }
}

impl Change {
    fn undo(&self, state: DiskState) -> DiskState {
        let Some(before) = &self.before else { return state.with_file(&self.path, None) };
        let now = state.read(&self.path);
        let Some(now) = now else { return state.with_file(&self.path, Some(before)) };
        // What was made anew under a name that was gone has nothing of the wound.
        let Some(after) = &self.after else { return state };
        if now == *after {
            return state.with_file(&self.path, Some(before));
        }
        // A log may have got more since; what replaced another file has nothing of the wound.
        if self.path.extension().is_none_or(|extension| extension != "wal") {
            return state;
        }
        let mut mended = now;
        for ((byte, old), new) in mended.iter_mut().zip(before).zip(after) {
            if *byte == *new {
                *byte = *old;
            }
        }
        state.with_file(&self.path, Some(&mended))
    }
}

/// Bytes that were meant for another place, and the offset at which they landed: a sector or a page,
/// of the same file or of another of its kind.
fn misdirected(
    base: &Base,
    state: &DiskState,
    path: &Path,
    own: &[u8],
    at: usize,
    stream: &mut Stream,
) -> Option<(usize, Vec<u8>)> {
    let paged = !matches!(base.layout.kind(path), Kind::Log | Kind::Current);
    let unit = if paged && stream.chance(2, 3) { PAGE } else { SECTOR };
    let to = at / unit * unit;
    let other = base.another(state, path, stream).filter(|_| stream.chance(1, 2));
    let from_other = other.is_some();
    let bytes = match other {
        Some(other) => state.read(&other)?,
        None => own.to_vec(),
    };
    let units = bytes.len() / unit;
    // Of another file the same place is the one that is hardest to tell.
    let from = if from_other && stream.chance(1, 2) { to } else { stream.index(units) * unit };
    Some((to, bytes.get(from..from + unit)?.to_vec()))
}

/// The name of a file, with another number in the place of its own.
fn renumbered(path: &Path, stream: &mut Stream) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let parts: Vec<&str> = name.split('-').collect();
    let [kind, number, tag] = parts.as_slice() else { return None };
    let number: u64 = number.parse().ok()?;
    let other =
        if stream.chance(1, 2) { number + 1 + stream.below(50) } else { stream.below(number) };
    Some(path.with_file_name(format!("{kind}-{other:010}-{tag}")))
}

/// Changes bytes of a file, from an offset on; what is worth saying of it beside the sector.
fn bytes_at(
    base: &Base,
    state: &DiskState,
    (form, path, at): (Form, &Path, usize),
    after: &mut Vec<u8>,
    stream: &mut Stream,
) -> Option<String> {
    let end = (at + SECTOR).min(after.len());
    match form {
        Form::Flip => {
            let place = stream.size(at, end.checked_sub(1).filter(|last| *last >= at)?);
            let bit = stream.below(8);
            after[place] ^= 1 << bit;
            return Some(format!("bit {bit} of byte {place}"));
        }
        Form::Zeroed => after.get_mut(at..end)?.fill(0),
        Form::Garbage => {
            let bytes = after.get_mut(at..end)?.iter_mut();
            bytes.for_each(|byte| *byte = stream.draw().to_le_bytes()[0]);
        }
        Form::Stale => {
            let version = stream.pick(base.older.get(path)?);
            let stale = version.get(at..)?.iter().take(end - at);
            after[at..end].fill(0);
            after[at..end].iter_mut().zip(stale).for_each(|(byte, old)| *byte = *old);
        }
        Form::Misdirected => {
            let (from, source) = misdirected(base, state, path, after, at, stream)?;
            let len = source.len().min(after.len().checked_sub(from)?);
            after[from..from + len].copy_from_slice(&source[..len]);
            return Some(format!("{len} bytes at {from}"));
        }
        Form::Foreign => {
            let twin = base.twin.as_ref()?.read(path)?;
            if stream.chance(1, 2) {
                *after = twin;
            } else {
                let page = at / PAGE * PAGE;
                let len = PAGE.min(after.len() - page).min(twin.len().checked_sub(page)?);
                after[page..page + len].copy_from_slice(&twin[page..page + len]);
                return Some(format!("{len} bytes at {page}"));
            }
        }
        Form::Missing | Form::Cut | Form::Lengthened | Form::Swapped | Form::Duplicated => {
            unreachable!("these are of the whole file")
        }
    }
    Some(String::new())
}
