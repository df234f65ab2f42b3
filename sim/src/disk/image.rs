//! What one file holds after a power loss: fates of its pending mutations turned into sectors and
//! a length.
//!
//! **Place.** Between `tear` (what became of each mutation) and `plan` (the whole disk).
//!
//! - P1. A sector holds its durable version, or the version after some pending mutation that
//!   touched it. Nothing else, but for P2 and P3.
//! - P2. A byte inside the length that never was durable may be zero, garbage or stale.
//! - P3. Where sectors may tear, a sector that a pending write touched may mix old and new bytes,
//!   or hold garbage in the bytes of the write.
//! - P4. The length is one that the file had since its last sync, or between two such.
//! - P6. A byte beyond a surviving shortening, and older than it, is gone: it is one that never was
//!   durable (P2). Files that were not made shorter know nothing of it.
//! - P5. The key is the key of the content, and needs no content to be built.

mod parts;
mod shortened;

pub(crate) use parts::{FileParts, Holds};

use super::content::{CHUNK_SECTORS, Content, SECTOR_LEN, Sector, cut};
use super::inode::{FileChange, FileMutation, Inode};
use super::key::{SECTOR_BYTES, sector_part};
use super::tear::{Fate, Tear, WriteTear};
use crate::stream::{Stream, scrambled};

/// At most so many never-durable sectors of a file get garbage or stale bytes in one image.
const FILLED_SECTORS_MAX: u64 = 16;

/// What one sector holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pick {
    /// What was durable, or zeros.
    Base,
    /// What the page cache held after this pending mutation.
    Version(u32),
    /// Garbage, where nothing was ever durable.
    Garbage(u64),
    /// What another file holds in that place.
    Stale,
    /// Old and new bytes on the two sides of a byte.
    Mix { version: u32, at: u16, old_first: bool },
    /// The version after a write with garbage in the bytes of the write.
    Scrap { version: u32, seed: u64 },
}

/// What never-durable bytes inside the length read as.
#[derive(Clone, Debug)]
pub(crate) enum Fill {
    /// Zeros.
    Zero,
    /// Garbage.
    Garbage,
    /// The bytes of another, perhaps deleted, file.
    Stale(Content),
}

/// What a policy leaves to chance besides the fates.
#[derive(Clone, Debug)]
pub(crate) struct Finish {
    /// Pending versions reach the medium in any order, not in that of the calls.
    pub(crate) any_order: bool,
    /// The length is drawn on its own.
    pub(crate) any_length: bool,
    /// Sectors may tear.
    pub(crate) torn_sectors: bool,
    /// What never-durable bytes read as.
    pub(crate) fill: Fill,
}

impl Finish {
    /// Nothing left to chance.
    pub(crate) const PLAIN: Self =
        Self { any_order: false, any_length: false, torn_sectors: false, fill: Fill::Zero };
}

/// What one file holds after a power loss.
#[derive(Clone, Debug)]
pub(crate) struct FileImage {
    shape: Shape,
    /// How many mutations survived whole.
    pub(crate) kept: usize,
    /// How many left nothing.
    pub(crate) lost: usize,
    /// The finest cut inside one mutation.
    pub(crate) tear: Tear,
}

#[derive(Clone, Debug)]
enum Shape {
    Durable,
    Volatile,
    Sectors(Box<Sectors>),
}

#[derive(Clone, Debug)]
struct Sectors {
    len: u64,
    first: u64,
    picks: Vec<Pick>,
    stale: Option<Content>,
    /// The shortenings that survive (P6), in the order of time.
    cuts: Vec<u32>,
}

impl FileImage {
    /// The image that these fates, one per pending mutation, make.
    pub(crate) fn of(inode: &Inode, fates: &[Fate], finish: &Finish, dice: &mut Stream) -> Self {
        assert_eq!(fates.len(), inode.pending.len(), "one fate per pending mutation");
        let total = fates.len();
        if fates.iter().all(|fate| *fate == Fate::Lost) && !finish.any_length {
            return Self { shape: Shape::Durable, kept: 0, lost: total, tear: Tear::None };
        }
        let whole = fates.iter().all(|fate| *fate == Fate::Kept) && !finish.torn_sectors;
        if whole && !inode.lost && !finish.any_order && !finish.any_length {
            return Self { shape: Shape::Volatile, kept: total, lost: 0, tear: Tear::None };
        }
        let mut image = Self { shape: Shape::Durable, kept: 0, lost: 0, tear: Tear::None };
        let mut sectors = Sectors::over(inode);
        let mut order: Vec<usize> = (0..total).collect();
        if finish.any_order {
            for at in (1..total).rev() {
                order.swap(at, dice.index(at + 1));
            }
        }
        let mut garbage = matches!(finish.fill, Fill::Garbage);
        for index in order {
            image.apply(&mut sectors, inode, index, fates[index]);
            garbage |= fates[index] == Fate::Torn(WriteTear::Garbage);
        }
        if !sectors.cuts.is_empty() {
            sectors.take_cuts(inode, fates);
        }
        if finish.any_length && sectors.draw_len(inode, dice) {
            image.tear = image.tear.max(Tear::Sector);
        }
        let filled = if garbage {
            sectors.fill(inode, |dice| Pick::Garbage(dice.draw()), dice)
        } else if let Fill::Stale(content) = &finish.fill {
            sectors.stale = Some(content.clone());
            sectors.fill(inode, |_| Pick::Stale, dice)
        } else {
            false
        };
        if filled {
            image.tear = image.tear.max(Tear::Sector);
        }
        if finish.torn_sectors && sectors.tear(inode, dice) {
            image.tear = Tear::TornSector;
        }
        image.shape = Shape::Sectors(Box::new(sectors));
        image
    }

    fn apply(&mut self, sectors: &mut Sectors, inode: &Inode, index: usize, fate: Fate) {
        let mutation = &inode.pending[index];
        let (from, to) = mutation.sectors();
        let count = to - from;
        let version = u32::try_from(index).expect("far fewer pending mutations than 2^32");
        let mut kept = 0;
        for at in (0..count).filter(|at| fate.keeps(*at, count)) {
            sectors.set(from + at, Pick::Version(version));
            kept += 1;
        }
        if mutation.cut_at().is_some() {
            match fate {
                Fate::Lost => self.lost += 1,
                _ => {
                    sectors.cuts.push(version);
                    self.kept += 1;
                }
            }
            return;
        }
        let full = mutation.len();
        let len = len_left(mutation, fate);
        sectors.len = sectors.len.max(len);
        // A change of length has no bytes to lose, so a length alone is all of it.
        let length_there = len >= full;
        match (kept == count && length_there, kept == 0 && len == 0) {
            (true, _) => self.kept += 1,
            (_, true) => self.lost += 1,
            _ => self.tear = self.tear.max(Tear::Sector),
        }
    }

    /// The key of the content (P5).
    pub(crate) fn key(&self, inode: &Inode) -> u128 {
        match &self.shape {
            Shape::Durable => inode.durable.key(),
            Shape::Volatile => inode.volatile.key(),
            Shape::Sectors(sectors) => sectors.key(inode),
        }
    }

    /// The content.
    pub(crate) fn content(&self, inode: &Inode) -> Content {
        match &self.shape {
            Shape::Durable => inode.durable.clone(),
            Shape::Volatile => inode.volatile.clone(),
            Shape::Sectors(sectors) => sectors.content(inode),
        }
    }

    /// The length.
    pub(crate) fn len(&self, inode: &Inode) -> u64 {
        match &self.shape {
            Shape::Durable => inode.durable.len(),
            Shape::Volatile => inode.volatile.len(),
            Shape::Sectors(sectors) => sectors.len,
        }
    }

    /// Whether a sector shows what another file held.
    pub(crate) fn is_stale(&self) -> bool {
        let Shape::Sectors(sectors) = &self.shape else { return false };
        sectors.stale.is_some() && sectors.picks.contains(&Pick::Stale)
    }

    /// Whether a pending shortening survives.
    pub(crate) fn keeps_cut(&self, inode: &Inode, index: usize) -> bool {
        self.parts(inode).cuts.iter().any(|cut| *cut as usize == index)
    }

    /// How many of the sectors of a pending write hold its version or a later one, and how many
    /// it touched.
    pub(crate) fn survived(&self, inode: &Inode, index: usize) -> (u64, u64) {
        let (from, to) = inode.pending[index].sectors();
        let there = |sector: &u64| match &self.shape {
            Shape::Durable => false,
            Shape::Volatile => true,
            Shape::Sectors(sectors) => {
                let inside = sector * SECTOR_LEN < sectors.len;
                inside
                    && matches!(sectors.pick(*sector),
                        Pick::Version(v) | Pick::Mix { version: v, .. } if v as usize >= index)
            }
        };
        ((from..to).filter(there).count() as u64, to - from)
    }
}

impl Sectors {
    /// The durable content, open to change wherever a pending write touched it.
    fn over(inode: &Inode) -> Self {
        let writes = inode.pending.iter().map(FileMutation::sectors).filter(|(a, b)| a < b);
        let (first, end) =
            writes.fold((u64::MAX, 0), |(a, b), (from, to)| (a.min(from), b.max(to)));
        let (first, count) = if first < end { (first, end - first) } else { (0, 0) };
        let count = usize::try_from(count).expect("the disk bounds the length of a file");
        let len = inode.durable.len();
        Self { len, first, picks: vec![Pick::Base; count], stale: None, cuts: Vec::new() }
    }

    fn pick(&self, sector: u64) -> Pick {
        let index = sector.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        index.and_then(|at| self.picks.get(at).copied()).unwrap_or(Pick::Base)
    }

    fn set(&mut self, sector: u64, pick: Pick) {
        if self.picks.is_empty() {
            self.first = sector;
        }
        if sector < self.first {
            let missing = usize::try_from(self.first - sector).expect("the disk is bounded");
            self.picks.splice(0..0, std::iter::repeat_n(Pick::Base, missing));
            self.first = sector;
        }
        let at = usize::try_from(sector - self.first).expect("the disk is bounded");
        if self.picks.len() <= at {
            self.picks.resize(at + 1, Pick::Base);
        }
        self.picks[at] = pick;
    }

    /// Draws a length (P4); whether it differs from the one that the fates made.
    fn draw_len(&mut self, inode: &Inode, dice: &mut Stream) -> bool {
        let before = self.len;
        let (shortest, longest) = inode.lengths().into_inner();
        self.len = match dice.below(4) {
            0 => shortest + dice.below(longest - shortest + 1),
            1 if !inode.pending.is_empty() => {
                let index = dice.index(inode.pending.len());
                inode.pending[index].len().max(shortest)
            }
            2 => longest,
            _ => before,
        };
        // A mutation's own length is never one in the middle.
        self.len = if self.len == before { before } else { inode.without_middle(self.len) };
        self.len != before
    }

    /// Puts something else than zeros where nothing was ever durable (P2); whether there was
    /// room for any.
    fn fill(
        &mut self,
        inode: &Inode,
        what: impl Fn(&mut Stream) -> Pick,
        dice: &mut Stream,
    ) -> bool {
        let mut filled = false;
        let durable = self.durable_end(inode);
        let (from, to) = (durable / SECTOR_LEN, self.len.div_ceil(SECTOR_LEN));
        let count = to.saturating_sub(from);
        let skipped = count.saturating_sub(FILLED_SECTORS_MAX);
        // Mostly the first ones: there a reader of a tail looks first.
        let start = if dice.chance(1, 4) { dice.below(skipped + 1) } else { 0 };
        for sector in from + start..(from + start + FILLED_SECTORS_MAX).min(to) {
            if self.pick(sector) == Pick::Base {
                let pick = what(dice);
                self.set(sector, pick);
                filled = true;
            }
        }
        filled
    }

    /// Tears one or two sectors of pending writes (P3); whether there was one to tear.
    fn tear(&mut self, inode: &Inode, dice: &mut Stream) -> bool {
        let mut torn = false;
        for _ in 0..=dice.below(2) {
            let index = dice.index(inode.pending.len());
            let Some(mutation) = inode.pending.get(index) else { break };
            let (from, to) = mutation.sectors();
            let sector = from + dice.below(to - from);
            if from == to || sector * SECTOR_LEN >= self.len {
                continue;
            }
            let version = u32::try_from(index).expect("far fewer pending mutations than 2^32");
            let at = 1 + u16::try_from(dice.below(SECTOR_LEN - 1)).expect("below 512");
            let pick = match dice.below(3) {
                0 => Pick::Mix { version, at, old_first: false },
                1 => Pick::Mix { version, at, old_first: true },
                _ => Pick::Scrap { version, seed: dice.draw() },
            };
            self.set(sector, pick);
            torn = true;
        }
        torn
    }

    /// What a sector holds, not yet cut at the length.
    fn uncut(&self, inode: &Inode, sector: u64) -> Sector {
        let durable = || self.aged(inode, inode.durable.sector(sector), sector, None);
        let after = |version: u32| {
            let bytes = inode.pending[version as usize].after.sector(sector);
            self.aged(inode, bytes, sector, Some(version))
        };
        match self.pick(sector) {
            Pick::Base => durable(),
            Pick::Version(version) => after(version),
            Pick::Garbage(seed) => self.over_never_durable(inode, sector, &garbage(seed)),
            Pick::Stale => {
                let stale = self.stale.as_ref().expect("picked only where there is a stale file");
                self.over_never_durable(inode, sector, &stale.sector(sector))
            }
            Pick::Mix { version, at, old_first } => {
                let (old, new) = (durable(), after(version));
                let (mut bytes, rest) = if old_first { (old, new) } else { (new, old) };
                bytes[usize::from(at)..].copy_from_slice(&rest[usize::from(at)..]);
                bytes
            }
            Pick::Scrap { version, seed } => {
                let mutation = &inode.pending[version as usize];
                let mut bytes = mutation.after.sector(sector);
                if let FileChange::Write { offset, count, .. } = mutation.change {
                    let from = within(offset, sector);
                    let to = within(offset + count, sector);
                    bytes[from..to].copy_from_slice(&garbage(seed)[from..to]);
                }
                self.aged(inode, bytes, sector, Some(version))
            }
        }
    }

    /// A sector's bytes and its part of the key.
    fn sector(&self, inode: &Inode, sector: u64) -> (Sector, u128) {
        let bytes = cut(self.uncut(inode, sector), within(self.len, sector));
        (bytes, sector_part(&bytes, sector))
    }

    /// The content of which this sector is an exact copy, if there is one.
    fn source<'a>(&self, inode: &'a Inode, sector: u64) -> Option<&'a Content> {
        let uncut =
            |content: &Content| content.len() <= self.len || (sector + 1) * SECTOR_LEN <= self.len;
        if !self.cuts.is_empty() && self.is_aged(inode, sector) {
            return None;
        }
        match self.pick(sector) {
            Pick::Base => Some(&inode.durable).filter(|content| uncut(content)),
            Pick::Version(version) => {
                Some(&inode.pending[version as usize].after).filter(|content| uncut(content))
            }
            _ => None,
        }
    }

    /// The sectors that may differ from the durable content and lie inside the length.
    fn span(&self) -> std::ops::Range<u64> {
        let end = (self.first + self.picks.len() as u64).min(self.len.div_ceil(SECTOR_LEN));
        self.first..end.max(self.first)
    }

    fn key(&self, inode: &Inode) -> u128 {
        if self.is_shortened(inode) {
            return self.shortened_key(inode);
        }
        let mut sum = inode.durable.sum();
        for sector in self.span().filter(|sector| self.pick(*sector) != Pick::Base) {
            let part = match self.source(inode, sector) {
                Some(content) => content.part(sector),
                None => self.sector(inode, sector).1,
            };
            sum = sum.wrapping_sub(inode.durable.part(sector)).wrapping_add(part);
        }
        Content::key_of(sum, self.len)
    }

    fn content(&self, inode: &Inode) -> Content {
        if self.is_shortened(inode) {
            return self.shortened_content(inode);
        }
        let mut content = inode.durable.clone();
        let span = self.span();
        let mut sector = span.start;
        while sector < span.end {
            let chunk = sector..sector + CHUNK_SECTORS as u64;
            if let Some(source) = self.whole_chunk(inode, &chunk) {
                content.share_chunk(sector, source);
                sector = chunk.end;
                continue;
            }
            if self.pick(sector) != Pick::Base {
                match self.source(inode, sector) {
                    Some(source) => content.copy_sector(sector, source),
                    None => {
                        let (bytes, part) = self.sector(inode, sector);
                        content.set_sector(sector, &bytes, part);
                    }
                }
            }
            sector += 1;
        }
        content.set_len(self.len);
        content
    }

    /// The version that all sectors of a chunk hold, if it is one.
    fn whole_chunk<'a>(
        &self,
        inode: &'a Inode,
        chunk: &std::ops::Range<u64>,
    ) -> Option<&'a Content> {
        let first = self.pick(chunk.start);
        let aligned = chunk.start.is_multiple_of(CHUNK_SECTORS as u64);
        let one = aligned && matches!(first, Pick::Version(_));
        if !one || !chunk.clone().all(|sector| self.pick(sector) == first) {
            return None;
        }
        self.source(inode, chunk.end - 1)
    }
}

/// The length that a mutation leaves by its fate; zero where it leaves none.
pub(crate) fn len_left(mutation: &FileMutation, fate: Fate) -> u64 {
    let (from, to) = mutation.sectors();
    let count = to - from;
    let short = match fate {
        Fate::Lost => return 0,
        Fate::Torn(tear) => tear.ends_with_the_last_kept_sector(),
        Fate::Scattered { seed, .. } => scrambled(seed) & 1 == 0,
        Fate::Kept | Fate::LengthOnly => false,
    };
    if !short || count == 0 {
        return mutation.len();
    }
    let last_kept = (0..count).rev().find(|at| fate.keeps(*at, count));
    last_kept.map_or(0, |at| mutation.len().min((from + at + 1) * SECTOR_LEN))
}

/// Where a byte offset lies in a sector, held to its two ends.
fn within(offset: u64, sector: u64) -> usize {
    let within = offset.saturating_sub(sector * SECTOR_LEN).min(SECTOR_LEN);
    usize::try_from(within).expect("at most 512")
}

fn garbage(seed: u64) -> Sector {
    let mut bytes = [0; SECTOR_BYTES];
    let mut dice = Stream::new(seed);
    for word in bytes.as_chunks_mut::<8>().0 {
        *word = dice.draw().to_le_bytes();
    }
    bytes
}
