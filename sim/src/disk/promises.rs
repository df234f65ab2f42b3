//! Whether a loss of power is one that the filesystem of the disk admits.
//!
//! **Place.** What is drawn keeps the promises of [`super::kindness`] by the way it is drawn. What is said, by a
//! reproducer or by the shrinker, is judged here: an image that the filesystem never leaves shows nothing of
//! an engine on it.
//!
//! - J1. Nothing that is drawn is refused.
//! - J2. Nothing is refused on the reference, which promises nothing.

use std::collections::BTreeMap;

use super::content::SECTOR_LEN;
use super::image::{FileParts, Holds};
use super::inode::Inode;
use super::kindness::{Kindness, keep_a_prefix};
use super::plan::CrashPlan;
use super::state::{Node, NodeId};

/// The promise that a plan breaks, if it breaks one.
pub(crate) fn broken(plan: &CrashPlan) -> Option<String> {
    let inner = plan.state().inner();
    let kindness = inner.kindness;
    if kindness == Kindness::NONE {
        return None;
    }
    let directories = inner.noisy_directories().into_iter();
    let kept: BTreeMap<NodeId, Vec<bool>> =
        directories.map(|id| (id, plan.kept(id).to_vec())).collect();
    if kindness.names_in_order {
        let mut in_order = kept.clone();
        keep_a_prefix(inner, &mut in_order);
        if in_order != kept {
            return Some("this filesystem keeps no name that is younger than one it loses".into());
        }
    }
    let owed = inner.owed(&kept);
    inner.noisy.iter().find_map(|id| {
        let Node::File(inode) = inner.node(*id) else { return None };
        let parts = plan.file(*id)?.parts(inode);
        let owed = owed.get(id).copied().unwrap_or(0);
        let why = Surviving { inode, parts: &parts, owed }.broken(kindness)?;
        Some(why.to_owned())
    })
}

/// What survives of a file.
struct Surviving<'a> {
    inode: &'a Inode,
    parts: &'a FileParts,
    /// The order of the rename that brings along what was written before it; zero if none does.
    owed: u64,
}

impl Surviving<'_> {
    fn broken(&self, kindness: Kindness) -> Option<&'static str> {
        let inode = self.inode;
        let owed = |at: &usize| inode.pending[*at].order < self.owed;
        if !self.all().filter(owed).all(|at| self.is_whole(at)) {
            return Some(
                "this filesystem keeps a replacing rename only with the bytes of its file",
            );
        }
        let torn = |holds: &Holds| matches!(holds, Holds::Mix { .. } | Holds::Scrap { .. });
        let is_bound = self.owed > 0 || kindness.bytes_before_length && inode.may_get_longer();
        if is_bound && self.parts.holds.values().any(torn) {
            return Some("this filesystem writes a sector whole where it promises bytes");
        }
        let least = self.all().filter(owed).rfind(|at| inode.reaches_beyond(*at));
        let mut ends = std::iter::once(None)
            .chain(self.all().filter(|at| inode.reaches_beyond(*at)).map(Some))
            .filter(|end| *end >= least);
        if kindness.bytes_before_length && !ends.any(|end| self.ends_with(end)) {
            return Some("this filesystem keeps a length only with all bytes up to it");
        }
        None
    }

    fn all(&self) -> std::ops::Range<usize> {
        0..self.inode.pending.len()
    }

    /// Whether all of a change is there, or what a later one put in its place.
    fn is_whole(&self, at: usize) -> bool {
        let Self { inode, parts, .. } = self;
        let mutation = &inode.pending[at];
        if mutation.cut_at().is_some() {
            return parts.cuts.iter().any(|cut| *cut as usize == at);
        }
        let (from, to) = mutation.sectors();
        let mut below = (from..to).filter(|sector| sector * SECTOR_LEN < parts.len);
        below.all(|sector| {
            let there = match parts.holds.get(&sector) {
                Some(Holds::Version(version)) => *version as usize >= at,
                _ => false,
            };
            there || parts.is_cut(inode, at, sector)
        })
    }

    /// Whether this is the file up to a change of its length, or of what is beyond its durable end, with
    /// nothing of what came behind that.
    fn ends_with(&self, end: Option<usize>) -> bool {
        let Self { inode, parts, .. } = self;
        let is_there = |at: usize| end.is_some_and(|end| at <= end);
        let no_later = |holds: &Holds| match holds {
            Holds::Version(at)
            | Holds::Mix { version: at, .. }
            | Holds::Scrap { version: at, .. } => {
                is_there(*at as usize) || !inode.reaches_beyond(*at as usize)
            }
            Holds::Garbage(_) | Holds::Stale => false,
        };
        let mut lengths =
            self.all().filter(|at| is_there(*at) && inode.pending[*at].changes_length());
        let len = inode.len_made(|at| is_there(at) && inode.pending[at].changes_length());
        // What a failed sync lost of a length is no change that is pending.
        (inode.lost || len == parts.len)
            && lengths.all(|at| self.is_whole(at))
            && parts.cuts.iter().all(|cut| is_there(*cut as usize))
            && parts.holds.values().all(no_later)
    }
}
