//! The image of a file taken apart: which sector holds what, and the length.

use std::collections::BTreeMap;

use super::super::content::{Content, SECTOR_LEN};
use super::super::inode::Inode;
use super::super::tear::Tear;
use super::{FileImage, Pick, Sectors, Shape};

/// What a sector holds, where it is not what was durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// What the page cache held after this pending mutation.
    Version(u32),
    /// Garbage, where nothing was ever durable.
    Garbage(u64),
    /// What the stale content holds in that place.
    Stale,
    /// Old and new bytes on the two sides of a byte.
    Mix { version: u32, at: u16, old_first: bool },
    /// The version after a write with garbage in the bytes of the write.
    Scrap { version: u32, seed: u64 },
}

/// What one file holds after a power loss.
#[derive(Clone, Debug)]
pub(crate) struct FileParts {
    /// Its length.
    pub(crate) len: u64,
    /// The sectors below the length that do not hold what was durable.
    pub(crate) holds: BTreeMap<u64, Holds>,
    /// What stale sectors are taken from.
    pub(crate) stale: Option<Content>,
    /// The shortenings that survive, in the order of time.
    pub(crate) cuts: Vec<u32>,
}

impl FileParts {
    /// Nothing is left of a version in a sector that lies wholly beyond a later cut.
    pub(crate) fn forget_cut(&mut self, inode: &Inode) {
        if self.cuts.is_empty() {
            return;
        }
        let cuts = &self.cuts;
        self.holds.retain(|sector, holds| match holds {
            Holds::Version(version) => !is_cut(inode, cuts, *version as usize, *sector),
            _ => true,
        });
    }

    /// Whether a later cut took what this change left in a sector.
    pub(crate) fn is_cut(&self, inode: &Inode, change: usize, sector: u64) -> bool {
        is_cut(inode, &self.cuts, change, sector)
    }
}

fn is_cut(inode: &Inode, cuts: &[u32], change: usize, sector: u64) -> bool {
    let mut later = cuts.iter().map(|cut| *cut as usize).filter(|cut| *cut > change);
    later.any(|cut| inode.pending[cut].after.len() <= sector * SECTOR_LEN)
}

impl FileImage {
    /// Takes the image apart.
    pub(crate) fn parts(&self, inode: &Inode) -> FileParts {
        let len = self.len(inode);
        let mut parts = FileParts { len, holds: BTreeMap::new(), stale: None, cuts: Vec::new() };
        match &self.shape {
            Shape::Durable => {}
            Shape::Volatile => {
                for (mutation, version) in inode.pending.iter().zip(0..) {
                    let (from, to) = mutation.sectors();
                    parts.holds.extend((from..to).map(|sector| (sector, Holds::Version(version))));
                    parts.cuts.extend(mutation.cut_at().map(|_| version));
                }
                parts.forget_cut(inode);
            }
            Shape::Sectors(sectors) => {
                parts.stale.clone_from(&sectors.stale);
                parts.cuts.clone_from(&sectors.cuts);
                for (pick, sector) in sectors.picks.iter().zip(sectors.first..) {
                    if let Some(holds) = Holds::of(*pick) {
                        parts.holds.insert(sector, holds);
                    }
                }
            }
        }
        parts.holds.retain(|sector, _| sector * SECTOR_LEN < len);
        parts
    }

    /// The sectors that hold what nobody wrote there, one line each.
    pub(crate) fn odd_sectors(&self, inode: &Inode, path: &str) -> Vec<String> {
        let parts = self.parts(inode);
        let told = |(sector, holds): (&u64, &Holds)| {
            let words = match holds {
                Holds::Version(_) => return None,
                Holds::Garbage(_) => "reads as garbage: nothing was ever durable there".to_owned(),
                Holds::Stale => {
                    "reads as what another, perhaps deleted, file held there".to_owned()
                }
                Holds::Mix { at, old_first, .. } => {
                    let (first, then) = if *old_first { ("old", "new") } else { ("new", "old") };
                    format!("is torn: {first} bytes up to {at}, {then} ones behind")
                }
                Holds::Scrap { .. } => "is torn: garbage where it was being written".to_owned(),
            };
            Some(format!("the sector of {path} at {} {words}", sector * SECTOR_LEN))
        };
        parts.holds.iter().filter_map(told).collect()
    }

    /// Puts an image together.
    pub(crate) fn of_parts(inode: &Inode, parts: &FileParts) -> Self {
        let mut sectors = Sectors::over(inode);
        sectors.len = parts.len;
        sectors.stale.clone_from(&parts.stale);
        sectors.cuts.clone_from(&parts.cuts);
        let mut tear = Tear::None;
        for (sector, holds) in &parts.holds {
            sectors.set(*sector, holds.pick());
            tear = tear.max(match holds {
                Holds::Version(_) => Tear::None,
                Holds::Garbage(_) | Holds::Stale => Tear::Sector,
                Holds::Mix { .. } | Holds::Scrap { .. } => Tear::TornSector,
            });
        }
        let mut image = Self { shape: Shape::Sectors(Box::new(sectors)), kept: 0, lost: 0, tear };
        for (index, mutation) in inode.pending.iter().enumerate() {
            if mutation.cut_at().is_some() {
                let kept = parts.cuts.iter().any(|cut| *cut as usize == index);
                *if kept { &mut image.kept } else { &mut image.lost } += 1;
                continue;
            }
            let (kept, of) = image.survived(inode, index);
            let long_enough = parts.len >= mutation.len();
            match (kept == of && long_enough, kept == 0 && (of > 0 || !long_enough)) {
                (true, _) => image.kept += 1,
                (_, true) => image.lost += 1,
                _ => image.tear = image.tear.max(Tear::Sector),
            }
        }
        image
    }
}

impl Holds {
    fn of(pick: Pick) -> Option<Self> {
        Some(match pick {
            Pick::Base => return None,
            Pick::Version(version) => Self::Version(version),
            Pick::Garbage(seed) => Self::Garbage(seed),
            Pick::Stale => Self::Stale,
            Pick::Mix { version, at, old_first } => Self::Mix { version, at, old_first },
            Pick::Scrap { version, seed } => Self::Scrap { version, seed },
        })
    }

    fn pick(self) -> Pick {
        match self {
            Self::Version(version) => Pick::Version(version),
            Self::Garbage(seed) => Pick::Garbage(seed),
            Self::Stale => Pick::Stale,
            Self::Mix { version, at, old_first } => Pick::Mix { version, at, old_first },
            Self::Scrap { version, seed } => Pick::Scrap { version, seed },
        }
    }
}
