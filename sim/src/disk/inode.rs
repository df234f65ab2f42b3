//! One file: what is durable, what is visible, and what is pending between the two.
//!
//! - N1. A pending mutation remembers the whole volatile content after it, by reference. So a
//!   version of a sector is the sector as the page cache held it after that mutation.
//! - N2. While nothing was ever lost, a sync makes the volatile content the durable one. Once a
//!   sync has failed, it makes durable only what was written since, and never brings back what
//!   the failed one lost (the loss belongs to the inode).
//! - N3. A change of length alone, by `set_len`, is whole or not at all, unlike the growth by writes and by
//!   `allocate`, which may stop at any length. A shortening is one change, and survives whole or not at all. If it survives, bytes beyond
//!   it that are older than it are gone: where the file is long enough they read as bytes that never
//!   were durable. If it is lost, they are there as if it had not been.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use super::content::{Content, SECTOR_LEN};
use super::image::{FileImage, Finish};
use super::medium::FailedSync;
use super::tear::Fate;
use crate::stream::Stream;

/// What a pending mutation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileChange {
    /// Bytes were written.
    Write {
        /// Where.
        offset: u64,
        /// How many; never zero.
        count: u64,
        /// Whether that made the file longer.
        grew: bool,
    },
    /// The file was made longer, with zeros.
    Grow {
        /// The length before.
        from: u64,
    },
    /// The same as one change of metadata: there is no length in between.
    Extend {
        /// The length before.
        from: u64,
    },
    /// The file was made shorter.
    Shorten {
        /// The length before.
        from: u64,
    },
}

/// A change of a file that no sync has made durable yet.
#[derive(Clone, Debug)]
pub(crate) struct FileMutation {
    /// Its place in time among all mutations of the disk.
    pub(crate) order: u64,
    /// What it did.
    pub(crate) change: FileChange,
    /// The volatile content after it (N1).
    pub(crate) after: Content,
}

impl FileMutation {
    /// The sectors it touched, first and one past the last; empty for a change of length.
    pub(crate) fn sectors(&self) -> (u64, u64) {
        match self.change {
            FileChange::Write { offset, count, .. } => {
                (offset / SECTOR_LEN, (offset + count).div_ceil(SECTOR_LEN))
            }
            FileChange::Grow { .. } | FileChange::Extend { .. } | FileChange::Shorten { .. } => {
                (0, 0)
            }
        }
    }

    /// The length it cut the file to, if it did.
    pub(crate) fn cut_at(&self) -> Option<u64> {
        matches!(self.change, FileChange::Shorten { .. }).then(|| self.after.len())
    }

    /// Whether it made the file longer or shorter.
    pub(crate) fn changes_length(&self) -> bool {
        match self.change {
            FileChange::Write { grew, .. } => grew,
            FileChange::Grow { .. } | FileChange::Extend { .. } | FileChange::Shorten { .. } => {
                true
            }
        }
    }

    /// The length the file has at least if this mutation alone survives; just this if it made the
    /// file shorter.
    pub(crate) fn len(&self) -> u64 {
        match self.change {
            FileChange::Write { offset, count, grew: false } => offset + count,
            FileChange::Write { grew: true, .. }
            | FileChange::Grow { .. }
            | FileChange::Extend { .. }
            | FileChange::Shorten { .. } => self.after.len(),
        }
    }
}

/// A file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inode {
    /// What survives a power loss for certain.
    pub(crate) durable: Content,
    /// What a read shows.
    pub(crate) volatile: Content,
    /// What happened since the last sync, in order.
    pub(crate) pending: Vec<FileMutation>,
    /// Whether a failed sync lost something that the volatile content still shows (N2).
    pub(crate) lost: bool,
}

impl Inode {
    /// A file whose whole content is durable.
    pub(crate) fn quiet(content: Content) -> Self {
        Self { volatile: content.clone(), durable: content, pending: Vec::new(), lost: false }
    }

    /// Whether a power loss changes nothing.
    pub(crate) fn is_quiet(&self) -> bool {
        self.pending.is_empty() && !self.lost
    }

    /// Whether anything pending made it longer or shorter.
    pub(crate) fn has_another_length(&self) -> bool {
        self.pending.iter().any(FileMutation::changes_length)
    }

    /// Whether a pending change has to do with the length, or with bytes beyond the durable end.
    pub(crate) fn reaches_beyond(&self, at: usize) -> bool {
        let mutation = &self.pending[at];
        mutation.changes_length() || mutation.len() > self.durable.len()
    }

    /// Whether any of them does.
    pub(crate) fn may_get_longer(&self) -> bool {
        (0..self.pending.len()).any(|at| self.reaches_beyond(at))
    }

    /// Writes bytes.
    pub(crate) fn write(&mut self, order: u64, bytes: &[u8], offset: u64) {
        if bytes.is_empty() {
            return;
        }
        let before = self.volatile.len();
        self.volatile.write(bytes, offset);
        let grew = self.volatile.len() > before;
        let change = FileChange::Write { offset, count: bytes.len() as u64, grew };
        self.pending.push(FileMutation { order, change, after: self.volatile.clone() });
    }

    /// Makes the file at least `len` bytes long.
    pub(crate) fn grow(&mut self, order: u64, len: u64) {
        let from = self.volatile.len();
        if len > from {
            self.volatile.grow(len);
            let change = FileChange::Grow { from };
            self.pending.push(FileMutation { order, change, after: self.volatile.clone() });
        }
    }

    /// Makes the file at most `len` bytes long.
    pub(crate) fn shorten(&mut self, order: u64, len: u64) {
        let from = self.volatile.len();
        if len < from {
            self.volatile.shorten(len);
            let change = FileChange::Shorten { from };
            self.pending.push(FileMutation { order, change, after: self.volatile.clone() });
        }
    }

    /// Makes the file just `len` bytes long, as one change of metadata (N3).
    pub(crate) fn set_len(&mut self, order: u64, len: u64) {
        let from = self.volatile.len();
        if len > from {
            self.volatile.grow(len);
            let change = FileChange::Extend { from };
            self.pending.push(FileMutation { order, change, after: self.volatile.clone() });
        } else {
            self.shorten(order, len);
        }
    }

    /// A length in place of this one that the file can have had: none in the middle of a change of
    /// length alone (N3).
    pub(crate) fn without_middle(&self, len: u64) -> u64 {
        let whole = |mutation: &FileMutation| {
            matches!(mutation.change, FileChange::Extend { .. } | FileChange::Shorten { .. })
        };
        if !self.pending.iter().any(whole) {
            return len;
        }
        let (mut before, mut below) = (self.durable.len(), 0);
        let mut take = |had: u64| below = if had <= len { u64::max(below, had) } else { below };
        take(before);
        for mutation in &self.pending {
            let after = mutation.after.len();
            take(after);
            take(mutation.len());
            // What grows bit by bit may have come just so far.
            if !whole(mutation) && (before..after).contains(&len) {
                return len;
            }
            before = after;
        }
        below
    }

    /// The lengths that the file had since its last sync, or between two such.
    pub(crate) fn lengths(&self) -> RangeInclusive<u64> {
        let longest = self.pending.iter().map(FileMutation::len).fold(self.durable.len(), u64::max);
        self.never_durable_from()..=longest
    }

    /// The byte from which on a power loss may leave what never was durable: the durable end, or
    /// where a pending change cut the file before it.
    pub(crate) fn never_durable_from(&self) -> u64 {
        self.pending.iter().filter_map(FileMutation::cut_at).fold(self.durable.len(), u64::min)
    }

    /// The length that some of the pending mutations make, in the order of time.
    pub(crate) fn len_made(&self, present: impl Fn(usize) -> bool) -> u64 {
        let made = |len: u64, (at, mutation): (usize, &FileMutation)| match mutation.cut_at() {
            _ if !present(at) => len,
            Some(cut) => cut,
            None => len.max(mutation.len()),
        };
        self.pending.iter().enumerate().fold(self.durable.len(), made)
    }

    /// A sync that succeeds.
    pub(crate) fn sync(&mut self) {
        if self.lost {
            let fates = vec![Fate::Kept; self.pending.len()];
            self.durable = self.content_of(&fates);
        } else {
            self.durable = self.volatile.clone();
        }
        self.pending.clear();
    }

    /// A sync that fails: each pending mutation is durable or lost for good.
    pub(crate) fn lose(&mut self, dice: &mut Stream, shown: FailedSync) {
        let fates = self.drawn_fates(dice);
        self.durable = self.content_of(&fates);
        self.pending.clear();
        if shown == FailedSync::ShowsOld {
            let len = self.volatile.len();
            self.volatile = self.durable.clone();
            // The length in the cache is not the length on the medium.
            if dice.chance(1, 2) {
                self.volatile.grow(len);
            }
        }
        self.lost = self.durable.key() != self.volatile.key();
    }

    /// A sync that is under way: some pending mutations are durable already, the others still
    /// pending.
    pub(crate) fn sync_partly(&mut self, fates: &[Fate]) {
        let fates = self.reached(fates);
        self.durable = self.content_of(&fates);
        let mut fates = fates.iter();
        self.pending.retain(|_| fates.next() != Some(&Fate::Kept));
    }

    /// What a sync under way has done, given what it was drawn to have done.
    ///
    /// A shortening reaches the medium whole, after everything before it and before anything behind it.
    /// Were it durable and an earlier write still pending, that could later show beyond it; were it
    /// pending and a later write durable, it could later cut that (N3).
    pub(crate) fn reached<'a>(&self, fates: &'a [Fate]) -> Cow<'a, [Fate]> {
        let last = fates.iter().rposition(|fate| *fate != Fate::Lost);
        let done = last.map_or(&[][..], |last| &self.pending[..=last]);
        match done.iter().rposition(|mutation| mutation.cut_at().is_some()) {
            None => Cow::Borrowed(fates),
            Some(last) => {
                let mut fates = fates.to_vec();
                fates[..=last].fill(Fate::Kept);
                Cow::Owned(fates)
            }
        }
    }

    fn content_of(&self, fates: &[Fate]) -> Content {
        let image = FileImage::of(self, fates, &Finish::PLAIN, &mut Stream::new(0));
        image.content(self)
    }

    /// What a sync that does not end may have done, one fate per pending mutation.
    pub(crate) fn drawn_fates(&self, dice: &mut Stream) -> Vec<Fate> {
        let draw = |_: &FileMutation| match dice.below(5) {
            0 | 1 => Fate::Kept,
            2 | 3 => Fate::Lost,
            _ => Fate::Scattered { seed: dice.draw(), eighths: 4 },
        };
        self.pending.iter().map(draw).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(content: &Content) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(content.len()).expect("short")];
        content.read(&mut bytes, 0);
        bytes
    }

    #[test]
    fn sync_makes_the_volatile_content_durable() {
        let mut inode = Inode::default();
        inode.write(1, b"hello", 0);
        inode.grow(2, 4096);
        assert_eq!(inode.durable.len(), 0);
        assert!(!inode.is_quiet());
        inode.sync();
        assert!(inode.is_quiet() && inode.durable.is(&inode.volatile));
    }

    #[test]
    fn failed_sync_then_ok_sync_leaves_the_lost_bytes_lost() {
        let mut losses = 0;
        for seed in 0..50 {
            let mut inode = Inode::default();
            inode.write(1, &[1; 512], 0);
            inode.sync();
            inode.write(2, &[2; 512], 0);
            inode.write(3, &[3; 512], 512);
            inode.lose(&mut Stream::new(seed), FailedSync::ShowsNew);
            let after_loss = inode.durable.key();
            assert_eq!(bytes_of(&inode.volatile), [[2; 512], [3; 512]].concat());
            inode.sync();
            assert_eq!(inode.durable.key(), after_loss, "an Ok sync brought lost bytes back");
            losses += u32::from(inode.lost);
            inode.write(4, &[4; 512], 1024);
            inode.sync();
            assert_eq!(bytes_of(&inode.durable)[1024..], [4; 512]);
            let lost = bytes_of(&inode.durable)[..1024] != bytes_of(&inode.volatile)[..1024];
            assert_eq!(lost, inode.lost, "seed {seed}");
        }
        assert!(losses > 20, "only {losses} of 50 failed syncs lost anything");
    }

    #[test]
    fn failed_sync_may_show_what_is_durable_at_once() {
        let mut shorter = 0;
        for seed in 0..50 {
            let mut inode = Inode::default();
            inode.write(1, &[1; 512], 0);
            inode.sync();
            inode.write(2, &[2; 1024], 0);
            inode.lose(&mut Stream::new(seed), FailedSync::ShowsOld);
            let (shown, durable) = (bytes_of(&inode.volatile), bytes_of(&inode.durable));
            assert_eq!(shown[..durable.len()], durable);
            assert!(shown[durable.len()..].iter().all(|byte| *byte == 0));
            shorter += u32::from(shown.len() < 1024);
        }
        assert!((5..45).contains(&shorter), "{shorter}");
    }

    #[test]
    fn sync_under_way_leaves_the_rest_pending() {
        let mut kinds = [false; 3];
        for seed in 0..50 {
            let mut inode = Inode::default();
            inode.write(1, &[1; 512], 0);
            inode.write(2, &[2; 512], 512);
            let fates = inode.drawn_fates(&mut Stream::new(seed));
            inode.sync_partly(&fates);
            kinds[inode.pending.len()] = true;
            inode.sync();
            assert_eq!(inode.durable.key(), inode.volatile.key());
        }
        assert_eq!(kinds, [true; 3]);
    }
}
