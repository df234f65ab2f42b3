//! Every legal image of a small crash point, not a sample.
//!
//! **Place.** Where what is pending allows few enough images, counted over whole mutations and the
//! eight named tears of a write, the explorer checks them all.

use super::image::len_left;
use super::inode::{FileChange, FileMutation, Inode};
use super::kindness::Kindness;
use super::plan::CrashPlan;
use super::state::{DiskState, Node, NodeId};
use super::tear::{Fate, WriteTear};

/// The ways in which one node can survive, one element per combination.
enum Ways {
    File(Vec<Vec<Fate>>),
    Directory(Vec<Vec<bool>>),
}

impl Ways {
    fn count(&self) -> usize {
        match self {
            Self::File(ways) => ways.len(),
            Self::Directory(ways) => ways.len(),
        }
    }
}

impl DiskState {
    /// How many legal images there are, counted as by [`DiskState::legal_images`]; as many as fit into the
    /// number, if there are more.
    pub fn legal_count(&self) -> u128 {
        let inner = self.inner();
        let reachable = inner.reachable();
        let of_node = |id: &NodeId| -> u128 {
            match inner.node(*id) {
                Node::File(inode) => {
                    let ways = inode.pending.iter().map(|mutation| options(inode, mutation).len());
                    ways.fold(1, |all: u128, ways| all.saturating_mul(ways as u128))
                }
                Node::Directory(directory) => {
                    let doublings = u32::try_from(directory.pending.len()).unwrap_or(u32::MAX);
                    2_u128.saturating_pow(doublings)
                }
            }
        };
        let nodes = inner.noisy.iter().filter(|id| reachable[id.0 as usize]);
        nodes.fold(1, |all: u128, id| all.saturating_mul(of_node(id)))
    }

    /// All legal images, counted over whole mutations and named tears, if they are at most `max`.
    ///
    /// Nodes that no name can reach after a power loss are left out of the count: nothing shows
    /// what became of them.
    pub fn legal_images(&self, max: usize) -> Option<Vec<CrashPlan>> {
        let inner = self.inner();
        // What a promise rules out is not counted here: images of such disks are drawn.
        if inner.kindness != Kindness::NONE {
            return None;
        }
        let reachable = inner.reachable();
        let mut nodes: Vec<(NodeId, Ways)> = Vec::new();
        let mut total: usize = 1;
        for id in inner.noisy.iter().filter(|id| reachable[id.0 as usize]) {
            let room = max / total;
            let ways = match inner.node(*id) {
                Node::File(inode) => {
                    let options: Vec<Vec<Fate>> =
                        inode.pending.iter().map(|mutation| options(inode, mutation)).collect();
                    Ways::File(combined(&options, room)?)
                }
                Node::Directory(directory) => {
                    let options = vec![vec![false, true]; directory.pending.len()];
                    Ways::Directory(combined(&options, room)?)
                }
            };
            total = total.checked_mul(ways.count())?;
            nodes.push((*id, ways));
        }
        if total > max {
            return None;
        }
        let plan = |mut number: usize| {
            let mut digits = Vec::with_capacity(nodes.len());
            for (id, ways) in &nodes {
                digits.push((*id, number % ways.count()));
                number /= ways.count();
            }
            let ways = |id: NodeId| {
                let at = digits.iter().position(|(node, _)| *node == id)?;
                Some((&nodes[at].1, digits[at].1))
            };
            CrashPlan::of_fates(
                self,
                |id, inode| match ways(id) {
                    Some((Ways::File(ways), digit)) => ways[digit].clone(),
                    _ => vec![Fate::Lost; inode.pending.len()],
                },
                |id, directory| match ways(id) {
                    Some((Ways::Directory(ways), digit)) => ways[digit].clone(),
                    _ => vec![false; directory.pending.len()],
                },
            )
        };
        Some((0..total).map(plan).collect())
    }
}

/// The fates of one mutation that differ from one another.
fn options(inode: &Inode, mutation: &FileMutation) -> Vec<Fate> {
    let mut options = vec![Fate::Lost, Fate::Kept];
    let (from, to) = mutation.sectors();
    let never_durable_from = inode.never_durable_from();
    let grows = mutation.len() > never_durable_from;
    if matches!(mutation.change, FileChange::Shorten { .. }) {
        return options;
    }
    if matches!(mutation.change, FileChange::Grow { .. } | FileChange::Extend { .. }) {
        if grows {
            options.push(Fate::Torn(WriteTear::Garbage));
        }
        return options;
    }
    let shape = |fate: Fate| {
        let kept: Vec<bool> = (0..to - from).map(|at| fate.keeps(at, to - from)).collect();
        let len = len_left(mutation, fate).max(never_durable_from);
        (kept, len, grows && fate == Fate::Torn(WriteTear::Garbage))
    };
    let mut shapes = vec![shape(Fate::Lost), shape(Fate::Kept)];
    for tear in WriteTear::ALL.map(Fate::Torn) {
        let made = shape(tear);
        if !shapes.contains(&made) {
            shapes.push(made);
            options.push(tear);
        }
    }
    options
}

/// Every way to take one of each, if they are at most `max`.
fn combined<T: Copy>(options: &[Vec<T>], max: usize) -> Option<Vec<Vec<T>>> {
    let mut all: Vec<Vec<T>> = vec![Vec::new()];
    for choices in options {
        if all.len() * choices.len() > max {
            return None;
        }
        let longer = |way: &Vec<T>, choice: &T| way.iter().chain([choice]).copied().collect();
        all = all
            .iter()
            .flat_map(|way| choices.iter().map(|c| longer(way, c)).collect::<Vec<_>>())
            .collect();
    }
    Some(all)
}
