//! The policies by which a power loss chooses what survives of everything pending.
//!
//! **Place.** A policy gives fates to mutations; `plan` makes an image of them.

use super::content::Content;
use super::directory::Directory;
use super::image::{Fill, Finish};
use super::inode::Inode;
use super::state::{Inner, Node, NodeId};
use super::tear::{Fate, WriteTear};
use crate::stream::Stream;

/// How a power loss chooses what survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Policy {
    /// Everything pending is lost.
    Nothing,
    /// Everything pending survives.
    Everything,
    /// The earliest mutations survive; the one at the edge may be torn.
    Prefix,
    /// One mutation is lost or torn.
    AllButOne,
    /// One mutation survives, whole or torn.
    OnlyOne,
    /// Names and lengths survive, bytes do not.
    MetadataFirst,
    /// Bytes and lengths survive, names do not.
    DataFirst,
    /// The latest mutations survive; the one at the edge may be torn.
    Reverse,
    /// Each mutation, each sector and each length by its own coin, in any order.
    Random,
}

impl Policy {
    /// Every policy.
    pub const ALL: [Self; 9] = [
        Self::Nothing,
        Self::Everything,
        Self::Prefix,
        Self::AllButOne,
        Self::OnlyOne,
        Self::MetadataFirst,
        Self::DataFirst,
        Self::Reverse,
        Self::Random,
    ];

    /// The word for reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Everything => "everything",
            Self::Prefix => "prefix",
            Self::AllButOne => "all-but-one",
            Self::OnlyOne => "only-one",
            Self::MetadataFirst => "metadata-first",
            Self::DataFirst => "data-first",
            Self::Reverse => "reverse",
            Self::Random => "random",
        }
    }
}

/// A policy with everything about the whole disk drawn: which mutation is the edge, the chances.
#[derive(Debug)]
pub(crate) struct Chooser {
    policy: Policy,
    torn_sectors: bool,
    /// The mutation at which `Prefix` and `Reverse` turn, or which `AllButOne` and `OnlyOne` name.
    edge: u64,
    /// What becomes of the mutation at the edge.
    at_edge: Fate,
}

impl Chooser {
    /// Draws the edge from among everything pending.
    pub(crate) fn new(
        policy: Policy,
        torn_sectors: bool,
        inner: &Inner,
        dice: &mut Stream,
    ) -> Self {
        let edged = matches!(
            policy,
            Policy::Prefix | Policy::AllButOne | Policy::OnlyOne | Policy::Reverse
        );
        if !edged {
            return Self { policy, torn_sectors, edge: 0, at_edge: Fate::Lost };
        }
        let mut orders = Vec::new();
        for id in &inner.noisy {
            match inner.node(*id) {
                Node::File(inode) => orders.extend(inode.pending.iter().map(|m| m.order)),
                Node::Directory(directory) => {
                    orders.extend(directory.pending.iter().map(|m| m.order));
                }
            }
        }
        let edge = orders.get(dice.index(orders.len())).copied().unwrap_or(0);
        let whole = if policy == Policy::AllButOne { Fate::Lost } else { Fate::Kept };
        let at_edge = match dice.below(4) {
            0 | 1 => whole,
            2 => Fate::Torn(WriteTear::ALL[dice.index(WriteTear::ALL.len())]),
            _ if matches!(policy, Policy::Prefix | Policy::Reverse) && dice.chance(1, 2) => {
                Fate::Lost
            }
            _ => Fate::Scattered { seed: dice.draw(), eighths: 4 },
        };
        Self { policy, torn_sectors, edge, at_edge }
    }

    /// What becomes of a mutation, but for `Random`, which draws it per file and directory.
    fn fate(&self, order: u64) -> Fate {
        let at_edge = self.at_edge;
        let kept = |kept: bool| if kept { Fate::Kept } else { Fate::Lost };
        match self.policy {
            Policy::Nothing => Fate::Lost,
            Policy::Prefix | Policy::Reverse | Policy::OnlyOne | Policy::AllButOne
                if order == self.edge =>
            {
                at_edge
            }
            Policy::Prefix => kept(order < self.edge),
            Policy::Reverse => kept(order > self.edge),
            Policy::OnlyOne => Fate::Lost,
            Policy::AllButOne | Policy::Everything | Policy::DataFirst => Fate::Kept,
            Policy::MetadataFirst => Fate::LengthOnly,
            Policy::Random => unreachable!("drawn per file and directory"),
        }
    }

    /// The fates of a file's pending mutations.
    pub(crate) fn fates(&self, inode: &Inode, dice: &mut Stream) -> Vec<Fate> {
        if self.policy != Policy::Random {
            return inode.pending.iter().map(|mutation| self.fate(mutation.order)).collect();
        }
        let eighths = 1 + dice.below(7);
        let draw = |_| {
            let kept = dice.chance(eighths, 8);
            match dice.below(8) {
                0 => Fate::Torn(WriteTear::ALL[dice.index(WriteTear::ALL.len())]),
                1 | 2 => Fate::Scattered { seed: dice.draw(), eighths },
                3 if !kept => Fate::LengthOnly,
                _ if kept => Fate::Kept,
                _ => Fate::Lost,
            }
        };
        inode.pending.iter().map(draw).collect()
    }

    /// Which pending changes of a directory survive.
    pub(crate) fn kept(&self, directory: &Directory, dice: &mut Stream) -> Vec<bool> {
        if self.policy == Policy::Random {
            let eighths = 1 + dice.below(7);
            return directory.pending.iter().map(|_| dice.chance(eighths, 8)).collect();
        }
        if self.policy == Policy::DataFirst {
            return vec![false; directory.pending.len()];
        }
        // A change of names is not divisible: a torn one happened or did not, by its tear.
        let whole = |fate| match fate {
            Fate::Lost => false,
            Fate::Kept | Fate::LengthOnly => true,
            torn @ (Fate::Torn(_) | Fate::Scattered { .. }) => {
                torn.keeps(0, 2) != (self.policy == Policy::AllButOne)
            }
        };
        let fates = directory.pending.iter().map(|mutation| self.fate(mutation.order));
        fates.map(whole).collect()
    }

    /// What is left to chance in a file besides the fates.
    pub(crate) fn finish(&self, inner: &Inner, id: NodeId, dice: &mut Stream) -> Finish {
        if matches!(self.policy, Policy::Nothing | Policy::Everything) {
            return Finish::PLAIN;
        }
        let random = self.policy == Policy::Random;
        let fill = match dice.below(4) {
            0 => Fill::Garbage,
            1 => stale_content(inner, id, dice).map_or(Fill::Zero, Fill::Stale),
            _ => Fill::Zero,
        };
        Finish {
            any_order: random && dice.chance(1, 2),
            any_length: random && dice.chance(1, 2),
            torn_sectors: self.torn_sectors && dice.chance(1, 2),
            fill,
        }
    }
}

/// The bytes of a deleted file, or of another one.
fn stale_content(inner: &Inner, id: NodeId, dice: &mut Stream) -> Option<Content> {
    let at = dice.index(inner.stale.len() + inner.nodes.len());
    if let Some(content) = inner.stale.get(at) {
        return Some(content.clone());
    }
    let at = at - inner.stale.len();
    match inner.nodes.get(at)? {
        Some(Node::File(inode)) if at != id.0 as usize => Some(inode.volatile.clone()),
        _ => None,
    }
}
