//! Inside a call: what a process that is killed in the middle of one leaves.
//!
//! **Place.** The explorer draws what happened, and a reproducer names it; both come to the same
//! disk. What is drawn takes one number from the stream, whatever the call is.
//!
//! - Q1. A write is torn in the page cache; a sync has made some changes durable and not others; a
//!   change of names happened or did not. No other call has an inside.
//! - Q2. What a sync has done so far keeps the promises of the disk's filesystem too.

use std::collections::BTreeMap;
use std::fmt;

use rand::Rng;

use super::inode::{FileChange, FileMutation, Inode};
use super::kindness::{keep_a_prefix, keep_before, keep_bytes_before_length};
use super::plan::CrashPlan;
use super::state::{DiskState, Inner, Node, NodeId};
use super::survivors::{Base, Survivors};
use super::tear::{Fate, WriteTear};
use super::trace::{IoKind, Step};
use crate::stream::Stream;

/// How far a call came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inside {
    /// The first so many bytes of a write are visible.
    Cut(u64),
    /// These sectors of a write are visible.
    Torn(WriteTear),
    /// An allocation made the file this long.
    Grown(u64),
    /// A sync did this to each pending change, in their order.
    Synced(Vec<Synced>),
    /// A change of names happened.
    Happened,
    /// A change of names did not happen.
    NotHappened,
}

/// What a sync that did not end has done to a pending change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synced {
    /// It is durable.
    Kept,
    /// It is still pending.
    Pending,
    /// About half of its sectors are durable, chosen by this seed; all of it is still pending.
    Scattered(u64),
}

impl Synced {
    fn of(fate: Fate) -> Self {
        match fate {
            Fate::Kept => Self::Kept,
            Fate::Scattered { seed, .. } => Self::Scattered(seed),
            Fate::Lost | Fate::LengthOnly | Fate::Torn(_) => Self::Pending,
        }
    }

    fn of_name(kept: bool) -> Self {
        if kept { Self::Kept } else { Self::Pending }
    }

    fn fate(self) -> Fate {
        match self {
            Self::Kept => Fate::Kept,
            Self::Pending => Fate::Lost,
            Self::Scattered(seed) => Fate::Scattered { seed, eighths: 4 },
        }
    }
}

impl fmt::Display for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut(bytes) => write!(f, "cut {bytes}"),
            Self::Torn(tear) => write!(f, "torn {}", tear.name()),
            Self::Grown(len) => write!(f, "grown {len}"),
            Self::Synced(changes) => {
                let words: Vec<String> = changes.iter().map(Synced::to_string).collect();
                write!(f, "synced {{ {} }}", words.join("; "))
            }
            Self::Happened => f.write_str("happened"),
            Self::NotHappened => f.write_str("not-happened"),
        }
    }
}

impl fmt::Display for Synced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept => f.write_str("kept"),
            Self::Pending => f.write_str("pending"),
            Self::Scattered(seed) => write!(f, "scattered {seed}"),
        }
    }
}

impl Step {
    /// A disk that a process killed *inside* this call may leave.
    ///
    /// `None` where the call has no inside: it did nothing, or cannot be divided.
    pub fn inside<R: Rng + ?Sized>(&self, rng: &mut R) -> Option<DiskState> {
        self.stopped_in(&self.draw_inside(rng)?)
    }

    /// How far the call may have come.
    pub fn draw_inside<R: Rng + ?Sized>(&self, rng: &mut R) -> Option<Inside> {
        match self.call.kind {
            IoKind::Write | IoKind::Allocate => {
                let mut dice = Stream::from_rng(rng);
                self.draw_change(&mut dice)
            }
            IoKind::Sync | IoKind::SyncDir if self.call.elided => None,
            IoKind::Sync | IoKind::SyncDir => {
                let node = self.call.node?;
                let mut dice = Stream::from_rng(rng);
                self.before.draw_sync(node, &mut dice).map(Inside::Synced)
            }
            kind if changes_names(kind) => {
                let happened = Stream::from_rng(rng).chance(1, 2);
                let inside = if happened { Inside::Happened } else { Inside::NotHappened };
                self.changed_names().then_some(inside)
            }
            _ => None,
        }
    }

    /// The disk where the call came just so far; `None` where it cannot have.
    pub fn stopped_in(&self, inside: &Inside) -> Option<DiskState> {
        let names = changes_names(self.call.kind);
        match (self.call.kind, inside) {
            (IoKind::Sync | IoKind::SyncDir, Inside::Synced(synced)) => {
                self.before.synced_in_part(self.call.node?, synced)
            }
            (IoKind::Write | IoKind::Allocate, inside) => self.changed_in_part(inside),
            (_, Inside::Happened) if names && self.changed_names() => Some(self.after.clone()),
            (_, Inside::NotHappened) if names && self.changed_names() => Some(self.before.clone()),
            _ => None,
        }
    }

    /// What survives a loss of power just before this sync that loses all but what the sync has
    /// made durable so far.
    pub fn survivors_of(&self, inside: &Inside) -> Option<Survivors> {
        let (Inside::Synced(synced), Some(node)) = (inside, self.call.node) else { return None };
        let fits = |pending: usize| pending == synced.len();
        let (IoKind::Sync | IoKind::SyncDir) = self.call.kind else { return None };
        let inner = self.before.inner();
        let owed = match inner.node(node) {
            Node::Directory(_) => inner.owed(&BTreeMap::from([(node, kept(synced))])),
            Node::File(_) => BTreeMap::new(),
        };
        let plan = CrashPlan::of_fates(
            &self.before,
            |id, inode| match id == node && fits(inode.pending.len()) {
                true => {
                    let fates: Vec<Fate> = synced.iter().map(|one| one.fate()).collect();
                    inode.reached(&fates).into_owned()
                }
                false => {
                    let mut fates = vec![Fate::Lost; inode.pending.len()];
                    keep_before(inode, &mut fates, owed.get(&id).copied().unwrap_or(0));
                    fates
                }
            },
            |id, directory| match id == node && fits(directory.pending.len()) {
                true => kept(synced),
                false => vec![false; directory.pending.len()],
            },
        );
        Some(plan.survivors_from(Base::Nothing))
    }

    fn changed_names(&self) -> bool {
        self.before.inner().next_order < self.after.inner().next_order
    }

    /// The mutation that the call made.
    fn mutation(&self) -> Option<&FileMutation> {
        let new_order = self.before.inner().next_order + 1;
        let after = self.after.inner().file(self.call.node?);
        after.pending.iter().find(|mutation| mutation.order >= new_order)
    }

    /// A write or allocation that happened in part.
    fn draw_change(&self, dice: &mut Stream) -> Option<Inside> {
        self.call.node?;
        let mutation = self.mutation()?;
        match mutation.change {
            FileChange::Grow { from } => {
                let step = mutation.after.len() - from;
                (step >= 2).then(|| Inside::Grown(from + 1 + dice.below(step - 1)))
            }
            FileChange::Extend { .. } | FileChange::Shorten { .. } => None,
            FileChange::Write { count, .. } => {
                if count < 2 {
                    return None;
                }
                let len = usize::try_from(count).expect("it was a slice in memory");
                if dice.chance(3, 4) {
                    let cut = 1 + dice.index(len - 1);
                    // Kernels copy by pages, devices by sectors: half the cuts are at a sector.
                    let sector_cut = (cut.next_multiple_of(512)).min(len - 1);
                    let cut = if dice.chance(1, 2) { sector_cut } else { cut };
                    Some(Inside::Cut(cut as u64))
                } else {
                    Some(Inside::Torn(WriteTear::ALL[dice.index(WriteTear::ALL.len())]))
                }
            }
        }
    }

    fn changed_in_part(&self, inside: &Inside) -> Option<DiskState> {
        let node = self.call.node?;
        let mutation = self.mutation()?;
        let mut state = self.before.clone();
        let inner = state.inner_mut();
        let order = inner.take_order();
        let inode = inner.file_mut(node);
        match (mutation.change, inside) {
            (FileChange::Grow { from }, Inside::Grown(len)) => {
                let inside = (from + 1..mutation.after.len()).contains(len);
                inside.then(|| inode.grow(order, *len))?;
            }
            (FileChange::Write { offset, count, .. }, inside) => {
                let len = usize::try_from(count).expect("it was a slice in memory");
                let mut bytes = vec![0; len];
                mutation.after.read(&mut bytes, offset);
                match inside {
                    Inside::Cut(cut) if (1..count).contains(cut) => {
                        let cut = usize::try_from(*cut).expect("below a usize");
                        inode.write(order, &bytes[..cut], offset);
                    }
                    Inside::Torn(tear) => tear_into(inode, order, &bytes, offset, *tear),
                    _ => return None,
                }
            }
            _ => return None,
        }
        inner.settle(node);
        Some(state)
    }
}

impl DiskState {
    /// What a sync of this node that is under way may have done.
    fn draw_sync(&self, id: NodeId, dice: &mut Stream) -> Option<Vec<Synced>> {
        let synced: Vec<Synced> = match self.inner().node(id) {
            Node::File(inode) => {
                let mut fates = inode.drawn_fates(dice);
                if self.inner().kindness.bytes_before_length {
                    keep_bytes_before_length(inode, &mut fates);
                }
                fates.into_iter().map(Synced::of).collect()
            }
            Node::Directory(directory) => {
                let draw = |_| if dice.chance(1, 2) { Synced::Kept } else { Synced::Pending };
                let mut synced: Vec<Synced> = directory.pending.iter().map(draw).collect();
                if self.inner().kindness.names_in_order {
                    let mut in_order = self.inner().names_kept(id, kept(&synced));
                    keep_a_prefix(self.inner(), &mut in_order);
                    let in_order = in_order.remove(&id).unwrap_or_default();
                    synced = in_order.into_iter().map(Synced::of_name).collect();
                }
                synced
            }
        };
        (!synced.is_empty()).then_some(synced)
    }

    /// The disk on which a sync of this node has done just this; `None` where it cannot have.
    fn synced_in_part(&self, id: NodeId, synced: &[Synced]) -> Option<Self> {
        let mut state = self.clone();
        let inner = state.inner_mut();
        match inner.node(id) {
            Node::File(inode) if inode.pending.len() == synced.len() => {
                let fates: Vec<Fate> = synced.iter().map(|one| one.fate()).collect();
                if inner.kindness.bytes_before_length {
                    let mut promised = inode.reached(&fates).into_owned();
                    keep_bytes_before_length(inode, &mut promised);
                    if promised != *inode.reached(&fates) {
                        return None;
                    }
                }
                inner.file_mut(id).sync_partly(&fates);
            }
            Node::Directory(directory) if directory.pending.len() == synced.len() => {
                let names = inner.names_kept(id, kept(synced));
                if inner.kindness.names_in_order {
                    let mut in_order = names.clone();
                    keep_a_prefix(inner, &mut in_order);
                    if in_order != names {
                        return None;
                    }
                }
                inner.bring_bytes(&names);
                inner.directory_mut(id).sync_partly(&kept(synced));
            }
            _ => return None,
        }
        inner.settle(id);
        Some(state)
    }
}

impl Inner {
    /// The changes of names that are kept where one directory keeps these, and no other one any.
    fn names_kept(&self, id: NodeId, kept: Vec<bool>) -> BTreeMap<NodeId, Vec<bool>> {
        let nothing = |id: NodeId| match self.node(id) {
            Node::Directory(directory) => (id, vec![false; directory.pending.len()]),
            Node::File(_) => unreachable!("a file has no names"),
        };
        let mut all: BTreeMap<_, _> = self.noisy_directories().into_iter().map(nothing).collect();
        all.insert(id, kept);
        all
    }
}

fn changes_names(kind: IoKind) -> bool {
    use IoKind::{Create, CreateDir, Lock, RemoveDir, Rename, Unlink};
    matches!(kind, Create | Rename | Unlink | CreateDir | RemoveDir | Lock)
}

fn kept(synced: &[Synced]) -> Vec<bool> {
    synced.iter().map(|one| *one == Synced::Kept).collect()
}

/// Writes the sectors of a write that a tear keeps, as one mutation each.
fn tear_into(inode: &mut Inode, order: u64, bytes: &[u8], offset: u64, tear: WriteTear) {
    let first = offset / 512;
    let end = offset + bytes.len() as u64;
    let count = end.div_ceil(512) - first;
    for at in (0..count).filter(|at| tear.keeps(*at, count)) {
        let from = offset.max((first + at) * 512) - offset;
        let to = end.min((first + at + 1) * 512) - offset;
        let range = usize::try_from(from).expect("inside the slice")
            ..usize::try_from(to).expect("inside the slice");
        inode.write(order, &bytes[range], offset + from);
    }
    if !tear.ends_with_the_last_kept_sector() {
        inode.grow(order, end);
    }
}
