//! What survives a loss of power, said in full: which pending changes, down to the sector.
//!
//! **Place.** Reproducers carry it, and the shrinker makes it smaller. A [`CrashPlan`] that a policy
//! drew is turned into it and back.
//!
//! - W1. Survivors are exceptions from all or nothing. A pending change of a file that is kept
//!   leaves its bytes, in the order of time, and the length it made; one that is lost leaves
//!   nothing of itself, and what an earlier one left stays.
//! - W2. A plan made of the survivors of a plan builds the same disk.
//! - W3. A place is named by its path. The eight hexadecimal digits by which the names of a store's
//!   files differ from run to run are a star; two places of one name are told apart by `@2`.

use std::collections::{BTreeMap, BTreeSet};

use super::content::{Content, SECTOR_LEN};
use super::directory::{Directory, DirectoryImage};
use super::image::{FileImage, FileParts, Holds};
use super::inode::{FileChange, Inode};
use super::plan::CrashPlan;
use super::promises;
use super::state::{DiskState, Inner, Node, NodeId};

/// What the exceptions are exceptions from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Base {
    /// All that was pending is lost.
    Nothing,
    /// All that was pending survives.
    Everything,
}

/// What survives a loss of power, told by its exceptions from all or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survivors {
    /// All or nothing.
    pub base: Base,
    /// But for these.
    pub exceptions: Vec<Exception>,
}

/// One exception.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// The file or directory, by its path. Eight hexadecimal digits behind a dash, as an engine draws them for names
    /// that are never used again, are told as `*`: they differ from run to run. A second place of the same name
    /// has `@2` behind it.
    pub place: String,
    /// What of it.
    pub what: What,
}

/// What is otherwise than with the rest. Changes are counted from zero in each place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// A change survives, in these of its sectors, counted from its first; in all of them if none
    /// is named.
    Keeps(usize, BTreeSet<u64>),
    /// A change is lost, in the same way.
    Loses(usize, BTreeSet<u64>),
    /// The file has this length.
    Length(u64),
    /// A sector of a change is torn at a byte: the old bytes come first, or the new ones.
    Mix {
        /// The change.
        change: usize,
        /// The sector, counted from the change's first.
        sector: u64,
        /// The byte.
        at: u16,
        /// Whether the old ones come first.
        old_first: bool,
    },
    /// A sector of a change holds garbage in the bytes of the change.
    Scrap {
        /// The change.
        change: usize,
        /// The sector, counted from the change's first.
        sector: u64,
        /// Decides the garbage.
        seed: u64,
    },
    /// A sector, counted from the durable end of the file, holds garbage where nothing was ever
    /// durable.
    Garbage {
        /// The sector.
        sector: u64,
        /// Decides the garbage.
        seed: u64,
    },
    /// A sector, counted as for garbage, holds what another file held there.
    Stale {
        /// The sector.
        sector: u64,
        /// Which file: a place, or `deleted@N` or `unlinked@N` for one that has no name any more.
        of: String,
    },
}

impl Survivors {
    /// All or nothing, without exceptions.
    pub fn of(base: Base) -> Self {
        Self { base, exceptions: Vec::new() }
    }

    /// The same in as many exceptions as there are: one for each change or sector.
    #[must_use]
    pub fn apart(&self) -> Self {
        let mut exceptions = Vec::new();
        for Exception { place, what } in &self.exceptions {
            let mut add = |what| exceptions.push(Exception { place: place.clone(), what });
            let single = |sector: &u64| BTreeSet::from([*sector]);
            match what {
                What::Keeps(change, sectors) if sectors.len() > 1 => {
                    sectors.iter().for_each(|one| add(What::Keeps(*change, single(one))));
                }
                What::Loses(change, sectors) if sectors.len() > 1 => {
                    sectors.iter().for_each(|one| add(What::Loses(*change, single(one))));
                }
                what => add(what.clone()),
            }
        }
        Self { base: self.base, exceptions }
    }
}

impl CrashPlan {
    /// What survives, told with the fewer exceptions.
    pub fn survivors(&self) -> Survivors {
        let [nothing, everything] =
            [Base::Nothing, Base::Everything].map(|base| self.survivors_from(base));
        let fewer = everything.exceptions.len() < nothing.exceptions.len();
        if fewer { everything } else { nothing }
    }

    /// What survives, told as exceptions from all or nothing (W2).
    pub fn survivors_from(&self, base: Base) -> Survivors {
        let inner = self.state().inner();
        let mut exceptions = Vec::new();
        for (id, place) in places(inner) {
            let whats = match inner.node(id) {
                Node::File(inode) => match self.file(id) {
                    Some(image) => FileWords { inner, inode, base }.of(&image.parts(inode)),
                    None => Vec::new(),
                },
                Node::Directory(_) => {
                    let kept = self.kept(id).iter().enumerate();
                    let whole = BTreeSet::new;
                    kept.filter_map(|(change, kept)| match (base, kept) {
                        (Base::Nothing, true) => Some(What::Keeps(change, whole())),
                        (Base::Everything, false) => Some(What::Loses(change, whole())),
                        _ => None,
                    })
                    .collect()
                }
            };
            exceptions
                .extend(whats.into_iter().map(|what| Exception { place: place.clone(), what }));
        }
        Survivors { base, exceptions }
    }
}

impl DiskState {
    /// The loss of power after which exactly this survives.
    ///
    /// # Errors
    /// What of the survivors there is not: a place with nothing pending, a change, a sector; or which promise
    /// of the disk's filesystem they break.
    pub fn plan_survivors(&self, survivors: &Survivors) -> Result<CrashPlan, String> {
        let inner = self.inner();
        let places = places(inner);
        let mut by_node: BTreeMap<NodeId, Vec<&What>> = BTreeMap::new();
        for Exception { place, what } in &survivors.exceptions {
            let (id, _) = places
                .iter()
                .find(|(_, name)| name == place)
                .ok_or_else(|| format!("nothing is pending in {place}"))?;
            by_node.entry(*id).or_default().push(what);
        }
        let (mut files, mut directories) = (Vec::new(), Vec::new());
        for id in &inner.noisy {
            let whats = by_node.remove(id).unwrap_or_default();
            let named = |why| match places.iter().find(|(node, _)| node == id) {
                Some((_, place)) => format!("{place}: {why}"),
                None => why,
            };
            match inner.node(*id) {
                Node::File(inode) => {
                    let words = FileWords { inner, inode, base: survivors.base };
                    let parts = words.parts(&whats).map_err(named)?;
                    files.push((*id, FileImage::of_parts(inode, &parts)));
                }
                Node::Directory(directory) => {
                    let kept = kept_of(directory, survivors.base, &whats).map_err(named)?;
                    directories.push((*id, DirectoryImage::of(directory, kept)));
                }
            }
        }
        let plan = CrashPlan::new(self.clone(), files, directories);
        promises::broken(&plan).map_or(Ok(plan), Err)
    }

    /// How many changes are pending in each place, and how many sectors each of them touches.
    pub fn pending_sectors(&self) -> BTreeMap<String, Vec<u64>> {
        let inner = self.inner();
        let count = |id| match inner.node(id) {
            Node::File(inode) => {
                let sectors = inode.pending.iter().map(|mutation| mutation.sectors());
                sectors.map(|(from, to)| to - from).collect()
            }
            Node::Directory(directory) => vec![0; directory.pending.len()],
        };
        places(inner).into_iter().map(|(id, place)| (place, count(id))).collect()
    }
}

fn kept_of(directory: &Directory, base: Base, whats: &[&What]) -> Result<Vec<bool>, String> {
    let mut kept = vec![base == Base::Everything; directory.pending.len()];
    let count = kept.len();
    for what in whats {
        let (change, keeps) = match what {
            What::Keeps(change, sectors) if sectors.is_empty() => (change, true),
            What::Loses(change, sectors) if sectors.is_empty() => (change, false),
            other => return Err(format!("a change of names cannot be divided: {other:?}")),
        };
        let kept = kept.get_mut(*change).ok_or_else(|| too_few(*change, count))?;
        *kept = keeps;
    }
    Ok(kept)
}

fn too_few(change: usize, count: usize) -> String {
    format!("there is no pending change {change}: there are {count}")
}

/// One file's part of the survivors.
struct FileWords<'a> {
    inner: &'a Inner,
    inode: &'a Inode,
    base: Base,
}

impl FileWords<'_> {
    fn sectors(&self, change: usize) -> (u64, u64) {
        self.inode.pending[change].sectors()
    }

    /// The changes that touch a sector, in the order of time.
    fn touching(&self, sector: u64) -> impl DoubleEndedIterator<Item = usize> {
        (0..self.inode.pending.len()).filter(move |change| {
            let (from, to) = self.sectors(*change);
            (from..to).contains(&sector)
        })
    }

    /// The first sector of which a byte was never durable.
    fn durable_end(&self) -> u64 {
        self.inode.never_durable_from() / SECTOR_LEN
    }

    /// A sector counted from there.
    fn never_durable(&self, sector: u64) -> Result<u64, String> {
        let end = self.inode.lengths().end().div_ceil(SECTOR_LEN);
        let at = self.durable_end().checked_add(sector).filter(|at| *at < end);
        at.ok_or_else(|| format!("sector {sector} lies beyond the end of the file"))
    }

    /// The shortenings that exceptions leave there.
    fn cuts_of(&self, whats: &[What]) -> Vec<u32> {
        let cut = |(at, version): (usize, u32)| {
            let cuts = self.inode.pending[at].cut_at().is_some();
            (cuts && self.is_present(whats, at)).then_some(version)
        };
        (0..self.inode.pending.len()).zip(0..).filter_map(cut).collect()
    }

    /// The exceptions that an image is.
    fn of(&self, parts: &FileParts) -> Vec<What> {
        let mut whats = match self.base {
            Base::Nothing => self.kept(parts),
            Base::Everything => self.lost(parts),
        };
        let made = self.len_of(&whats);
        if made != parts.len {
            self.explain_len(parts.len, &mut whats);
        }
        for (sector, holds) in &parts.holds {
            whats.extend(self.odd(*sector, *holds, parts));
        }
        whats
    }

    /// What survives of each change, told from nothing.
    fn kept(&self, parts: &FileParts) -> Vec<What> {
        let mut whats = Vec::new();
        for change in 0..self.inode.pending.len() {
            if parts.cuts.iter().any(|cut| *cut as usize == change) {
                whats.push(What::Keeps(change, BTreeSet::new()));
                continue;
            }
            let (from, to) = self.sectors(change);
            let version = |sector| match parts.holds.get(&sector) {
                Some(Holds::Version(version)) => Some(*version as usize),
                _ => None,
            };
            let own: BTreeSet<u64> = (from..to)
                .filter(|sector| version(*sector) == Some(change))
                .map(|sector| sector - from)
                .collect();
            // What a later one covers may count as kept.
            let covered = |sector| {
                let later = version(sector).is_some_and(|it| it >= change);
                later || parts.is_cut(self.inode, change, sector)
            };
            let whole = (from..to).all(covered);
            if !own.is_empty() {
                whats.push(What::Keeps(change, if whole { BTreeSet::new() } else { own }));
            }
        }
        whats
    }

    /// What is lost of each change, told from everything.
    fn lost(&self, parts: &FileParts) -> Vec<What> {
        let mut lost = vec![BTreeSet::new(); self.inode.pending.len()];
        let touched: BTreeSet<u64> = (0..lost.len())
            .flat_map(|change| {
                let (from, to) = self.sectors(change);
                from..to
            })
            .filter(|sector| sector * SECTOR_LEN < parts.len)
            .collect();
        for sector in touched {
            let there = match parts.holds.get(&sector) {
                None => None,
                Some(Holds::Version(version)) => Some(*version as usize),
                // It is said what the sector holds, whatever is kept of it.
                Some(_) => continue,
            };
            let there = self.touching(sector).rev().take_while(|one| Some(*one) != there);
            // What a later cut took is lost anyhow.
            for change in there.filter(|one| !parts.is_cut(self.inode, *one, sector)) {
                lost[change].insert(sector - self.sectors(change).0);
            }
        }
        let mut whats = Vec::new();
        for (change, sectors) in lost.into_iter().enumerate() {
            let cuts = self.inode.pending[change].cut_at().is_some();
            if cuts && !parts.cuts.iter().any(|cut| *cut as usize == change) {
                whats.push(What::Loses(change, BTreeSet::new()));
                continue;
            }
            let (from, to) = self.sectors(change);
            let there = |sector: &u64| {
                let cut = parts.is_cut(self.inode, change, *sector);
                sector * SECTOR_LEN < parts.len && !cut
            };
            let below = (from..to).filter(there).count();
            if !sectors.is_empty() {
                // What lies beyond the end of the file is lost anyhow.
                let whole = sectors.len() == below;
                whats.push(What::Loses(change, if whole { BTreeSet::new() } else { sectors }));
            }
        }
        whats
    }

    /// Adds what makes the length right: a change of length alone, or the number.
    fn explain_len(&self, len: u64, whats: &mut Vec<What>) {
        let grows = self.inode.pending.iter().enumerate().filter(|(_, mutation)| {
            matches!(mutation.change, FileChange::Grow { .. } | FileChange::Extend { .. })
        });
        let mut tried = whats.clone();
        match self.base {
            Base::Nothing => {
                let mut grows = grows.filter(|(_, mutation)| mutation.len() == len);
                tried.extend(grows.next().map(|(it, _)| What::Keeps(it, BTreeSet::new())));
            }
            Base::Everything => {
                let grows = grows.filter(|(_, mutation)| mutation.len() > len);
                tried.extend(grows.map(|(it, _)| What::Loses(it, BTreeSet::new())));
            }
        }
        if self.len_of(&tried) == len {
            *whats = tried;
        } else {
            whats.push(What::Length(len));
        }
    }

    /// The length that exceptions without a length of their own make (W1).
    fn len_of(&self, whats: &[What]) -> u64 {
        self.inode.len_made(|change| self.is_present(whats, change))
    }

    /// Whether exceptions leave anything of a change.
    fn is_present(&self, whats: &[What], wanted: usize) -> bool {
        let whole = |what: &What| matches!(what, What::Loses(change, sectors) if *change == wanted && sectors.is_empty());
        let any = |what: &What| matches!(what, What::Keeps(change, _) if *change == wanted);
        match self.base {
            Base::Nothing => whats.iter().any(any),
            Base::Everything => !whats.iter().any(whole),
        }
    }

    /// What is said of a sector that holds neither an old nor a new version.
    fn odd(&self, sector: u64, holds: Holds, parts: &FileParts) -> Option<What> {
        let within = |version: u32| sector - self.sectors(version as usize).0;
        Some(match holds {
            Holds::Version(_) => return None,
            Holds::Mix { version, at, old_first } => {
                let change = version as usize;
                What::Mix { change, sector: within(version), at, old_first }
            }
            Holds::Scrap { version, seed } => {
                What::Scrap { change: version as usize, sector: within(version), seed }
            }
            Holds::Garbage(seed) => What::Garbage { sector: sector - self.durable_end(), seed },
            Holds::Stale => {
                let content = parts.stale.as_ref().expect("stale sectors have a source");
                let of = stale_place(self.inner, content)?;
                What::Stale { sector: sector - self.durable_end(), of }
            }
        })
    }

    /// The image that exceptions are.
    fn parts(&self, whats: &[&What]) -> Result<FileParts, String> {
        let mut kept: Vec<Vec<bool>> = Vec::new();
        for mutation in &self.inode.pending {
            let (from, to) = mutation.sectors();
            let count = usize::try_from(to - from).expect("the disk bounds the length of a file");
            kept.push(vec![self.base == Base::Everything; count]);
        }
        for what in whats {
            let (change, sectors, keeps) = match what {
                What::Keeps(change, sectors) => (*change, sectors, true),
                What::Loses(change, sectors) => (*change, sectors, false),
                _ => continue,
            };
            let count = kept.len();
            let kept = kept.get_mut(change).ok_or_else(|| too_few(change, count))?;
            if sectors.is_empty() {
                kept.fill(keeps);
            }
            for sector in sectors {
                let at = usize::try_from(*sector).ok().and_then(|at| kept.get_mut(at));
                *at.ok_or_else(|| format!("change {change} has no sector {sector}"))? = keeps;
            }
        }
        let mut holds = BTreeMap::new();
        for (change, version) in (0..kept.len()).zip(0u32..) {
            let (from, to) = self.sectors(change);
            let there = (from..to).zip(&kept[change]).filter(|(_, kept)| **kept);
            holds.extend(there.map(|(sector, _)| (sector, Holds::Version(version))));
        }
        let owned: Vec<What> = whats.iter().map(|what| (*what).clone()).collect();
        let cuts = self.cuts_of(&owned);
        let mut parts = FileParts { len: self.len_of(&owned), holds, stale: None, cuts };
        parts.forget_cut(self.inode);
        for what in whats {
            self.put(what, &mut parts)?;
        }
        let lengths = self.inode.lengths();
        if !lengths.contains(&parts.len) {
            let (low, longest) = lengths.into_inner();
            return Err(format!("length {} is not one from {low} to {longest}", parts.len));
        }
        parts.holds.retain(|sector, _| sector * SECTOR_LEN < parts.len);
        Ok(parts)
    }

    /// Takes in an exception that is not one of a change.
    fn put(&self, what: &What, parts: &mut FileParts) -> Result<(), String> {
        let place = |change: usize, sector: u64| {
            let count = self.inode.pending.len();
            let mutation = self.inode.pending.get(change).ok_or_else(|| too_few(change, count))?;
            let (from, to) = mutation.sectors();
            let inside = sector < to - from;
            inside
                .then_some(from + sector)
                .ok_or_else(|| format!("change {change} has no sector {sector}"))
        };
        // Asked behind `place`, which refuses what is no change.
        let version = |change: usize| u32::try_from(change).expect("it is the place of a change");
        match what {
            What::Keeps(..) | What::Loses(..) => {}
            What::Length(len) => parts.len = *len,
            What::Mix { change, sector, at, old_first } => {
                let sector = place(*change, *sector)?;
                let holds = Holds::Mix {
                    version: version(*change),
                    at: (*at).min(511),
                    old_first: *old_first,
                };
                parts.holds.insert(sector, holds);
            }
            What::Scrap { change, sector, seed } => {
                let sector = place(*change, *sector)?;
                let holds = Holds::Scrap { version: version(*change), seed: *seed };
                parts.holds.insert(sector, holds);
            }
            What::Garbage { sector, seed } => {
                parts.holds.insert(self.never_durable(*sector)?, Holds::Garbage(*seed));
            }
            What::Stale { sector, of } => {
                let content = stale_content(self.inner, of);
                let content = content.ok_or_else(|| format!("there is no file {of}"))?;
                parts.stale = Some(content);
                parts.holds.insert(self.never_durable(*sector)?, Holds::Stale);
            }
        }
        Ok(())
    }
}

/// The places where something is pending that a name reaches or may reach again.
fn places(inner: &Inner) -> Vec<(NodeId, String)> {
    let mut ids = inner.noisy.clone();
    ids.sort();
    named(inner, ids)
}

/// Names for nodes (W3).
fn named(inner: &Inner, ids: Vec<NodeId>) -> Vec<(NodeId, String)> {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut named = Vec::new();
    for id in ids {
        let Some(path) = inner.path_of(id) else { continue };
        let mut place = without_tags(&path.display().to_string());
        let times = seen.entry(place.clone()).or_default();
        *times += 1;
        if *times > 1 {
            place.push_str(&format!("@{times}"));
        }
        named.push((id, place));
    }
    named
}

/// Puts a star for eight hexadecimal digits between a dash and the end of a part of a name.
fn without_tags(path: &str) -> String {
    let mut out = String::new();
    for (place, part) in path.split('-').enumerate() {
        if place > 0 {
            out.push('-');
        }
        let (head, tail) = part.split_at(part.find(['.', '/']).unwrap_or(part.len()));
        let is_tag = head.len() == 8 && head.bytes().all(|byte| byte.is_ascii_hexdigit());
        out.push_str(if is_tag && place > 0 { "*" } else { head });
        out.push_str(tail);
    }
    out
}

/// The files that are there, with the names by which a stale sector tells of them.
fn files(inner: &Inner) -> Vec<(String, &Content)> {
    let ids = (0..inner.nodes.len()).filter_map(|at| u32::try_from(at).ok()).map(NodeId);
    let there = ids.filter(|id| inner.nodes[id.0 as usize].is_some()).collect::<Vec<_>>();
    let named = named(inner, there.clone());
    let mut files = Vec::new();
    for id in there {
        let Node::File(inode) = inner.node(id) else { continue };
        let place = named.iter().find(|(node, _)| *node == id);
        let place = place.map_or_else(|| format!("unlinked@{}", id.0), |(_, place)| place.clone());
        files.push((place, &inode.volatile));
    }
    let deleted = inner.stale.iter().enumerate();
    files.extend(deleted.map(|(at, content)| (format!("deleted@{at}"), content)));
    files
}

fn stale_place(inner: &Inner, content: &Content) -> Option<String> {
    let same = |(_, other): &(String, &Content)| other.key() == content.key();
    files(inner).into_iter().find(same).map(|(place, _)| place)
}

fn stale_content(inner: &Inner, of: &str) -> Option<Content> {
    files(inner).into_iter().find(|(place, _)| place == of).map(|(_, content)| content.clone())
}
