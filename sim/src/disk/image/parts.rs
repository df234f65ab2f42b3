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
}

impl FileImage {
    /// Takes the image apart.
    pub(crate) fn parts(&self, inode: &Inode) -> FileParts {
        let len = self.len(inode);
        let mut parts = FileParts { len, holds: BTreeMap::new(), stale: None };
        match &self.shape {
            Shape::Durable => {}
            Shape::Volatile => {
                for (mutation, version) in inode.pending.iter().zip(0..) {
                    let (from, to) = mutation.sectors();
                    parts.holds.extend((from..to).map(|sector| (sector, Holds::Version(version))));
                }
            }
            Shape::Sectors(sectors) => {
                parts.stale.clone_from(&sectors.stale);
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

    /// Puts an image together.
    pub(crate) fn of_parts(inode: &Inode, parts: &FileParts) -> Self {
        let mut sectors = Sectors::over(inode);
        sectors.len = parts.len;
        sectors.stale.clone_from(&parts.stale);
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
