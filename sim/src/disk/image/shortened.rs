//! Images of files that a pending change made shorter.
//!
//! **Place.** Apart from the rest of `image`, which need not know: a file that only grows has no cuts,
//! and is as long as its durable content at least.
//!
//! - P6 of `image`: what is older than a surviving shortening ends there. So the age of every sector
//!   counts, of the durable ones too, and keys and contents are made sector by sector.

use super::super::content::{Content, SECTOR_LEN, Sector, cut};
use super::super::inode::Inode;
use super::super::tear::Fate;
use super::{Pick, Sectors, len_left, within};

impl Sectors {
    /// Takes in that there are cuts: the length that these fates make in the order of time, and
    /// sectors that are gone.
    pub(super) fn take_cuts(&mut self, inode: &Inode, fates: &[Fate]) {
        self.cuts.sort_unstable();
        let made = |len: u64, (mutation, fate): (&_, &Fate)| {
            let left = len_left(mutation, *fate);
            match (mutation.cut_at(), fate) {
                (Some(_), Fate::Lost) => len,
                (Some(cut), _) => cut,
                (None, _) => len.max(left),
            }
        };
        self.len = inode.pending.iter().zip(fates).fold(inode.durable.len(), made);
        self.forget_cut(inode);
    }

    /// Nothing is left of a version in a sector that lies wholly beyond a later cut.
    pub(super) fn forget_cut(&mut self, inode: &Inode) {
        for at in 0..self.picks.len() {
            let sector = self.first + at as u64;
            let Some(version) = self.picks[at].version() else { continue };
            if self.end_of(inode, Some(version)) <= sector * SECTOR_LEN {
                self.picks[at] = Pick::Base;
            }
        }
    }

    /// Where what is as old as this version ends; what is durable is older than all.
    fn end_of(&self, inode: &Inode, version: Option<u32>) -> u64 {
        let later = self.cuts.iter().filter(|cut| version.is_none_or(|version| **cut > version));
        later.map(|cut| inode.pending[*cut as usize].after.len()).fold(u64::MAX, u64::min)
    }

    /// The byte from which on nothing is as durable as it was.
    pub(super) fn durable_end(&self, inode: &Inode) -> u64 {
        inode.durable.len().min(self.end_of(inode, None))
    }

    /// A sector's bytes of this age, without those that a later cut has taken.
    pub(super) fn aged(
        &self,
        inode: &Inode,
        bytes: Sector,
        sector: u64,
        version: Option<u32>,
    ) -> Sector {
        if self.cuts.is_empty() {
            return bytes;
        }
        cut(bytes, within(self.end_of(inode, version), sector))
    }

    /// Whether a cut takes bytes of what a sector holds.
    pub(super) fn is_aged(&self, inode: &Inode, sector: u64) -> bool {
        self.end_of(inode, self.pick(sector).version()) < (sector + 1) * SECTOR_LEN
    }

    /// Bytes laid over the part of a sector that is not durable, and never was or is gone.
    pub(super) fn over_never_durable(&self, inode: &Inode, sector: u64, bytes: &Sector) -> Sector {
        let durable = within(self.durable_end(inode), sector);
        let mut sector = inode.durable.sector(sector);
        sector[durable..].copy_from_slice(&bytes[durable..]);
        sector
    }

    /// Whether bytes that are durable are not there, by a cut or by the length.
    pub(super) fn is_shortened(&self, inode: &Inode) -> bool {
        self.len < inode.durable.len() || !self.cuts.is_empty()
    }

    /// The sectors that may differ from the durable content, beyond the length too.
    fn changed(&self, inode: &Inode) -> std::ops::Range<u64> {
        let low = self.len.min(self.durable_end(inode)) / SECTOR_LEN;
        let span = self.span();
        let low = if span.is_empty() { low } else { low.min(span.start) };
        low..span.end.max(inode.durable.len().div_ceil(SECTOR_LEN))
    }

    pub(super) fn shortened_key(&self, inode: &Inode) -> u128 {
        let mut sum = inode.durable.sum();
        for sector in self.changed(inode) {
            let part = if sector * SECTOR_LEN >= self.len {
                0
            } else {
                match self.source(inode, sector) {
                    Some(content) => content.part(sector),
                    None => self.sector(inode, sector).1,
                }
            };
            sum = sum.wrapping_sub(inode.durable.part(sector)).wrapping_add(part);
        }
        Content::key_of(sum, self.len)
    }

    pub(super) fn shortened_content(&self, inode: &Inode) -> Content {
        let mut content = inode.durable.clone();
        content.shorten(self.len);
        for sector in self.changed(inode) {
            if sector * SECTOR_LEN >= self.len {
                break;
            }
            let (bytes, part) = self.sector(inode, sector);
            content.set_sector(sector, &bytes, part);
        }
        content.set_len(self.len);
        content
    }
}

impl Pick {
    /// The pending mutation whose version is shown; `None` for what is durable, and for what never
    /// was anywhere.
    fn version(self) -> Option<u32> {
        match self {
            Self::Version(version) | Self::Mix { version, .. } | Self::Scrap { version, .. } => {
                Some(version)
            }
            Self::Base | Self::Garbage(_) | Self::Stale => None,
        }
    }
}
