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

/// The legal images of a disk by their numbers, counted over whole mutations and named tears.
///
/// Nodes that no name can reach after a power loss are left out of the count: nothing shows what became
/// of them.
#[derive(Debug)]
pub struct LegalImages<'a> {
    state: &'a DiskState,
    nodes: Vec<(NodeId, Choices)>,
    count: u128,
}

/// The ways in which one node can survive.
#[derive(Debug)]
enum Choices {
    /// For each mutation, its fates.
    File(Vec<Vec<Fate>>),
    /// Each of so many mutations is kept or lost.
    Directory(usize),
}

/// The part of a number that says what becomes of one node.
#[derive(Clone, Copy)]
struct Digit(u128);

impl Digit {
    /// Takes a choice of so many out.
    fn choose(&mut self, choices: usize) -> usize {
        let choice = self.0 % choices as u128;
        self.0 /= choices as u128;
        usize::try_from(choice).expect("less than a usize")
    }
}

impl Choices {
    fn of(node: &Node) -> Self {
        match node {
            Node::File(inode) => {
                let options = inode.pending.iter().map(|mutation| options(inode, mutation));
                Self::File(options.collect())
            }
            Node::Directory(directory) => Self::Directory(directory.pending.len()),
        }
    }

    /// As many as fit into the number, if there are more.
    fn count(&self) -> u128 {
        let all = |each: &mut dyn Iterator<Item = usize>| {
            each.fold(1, |all: u128, choices| all.saturating_mul(choices as u128))
        };
        match self {
            Self::File(options) => all(&mut options.iter().map(Vec::len)),
            Self::Directory(mutations) => all(&mut std::iter::repeat_n(2, *mutations)),
        }
    }

    /// The first mutation is the most significant: addresses of images name these numbers.
    fn fates(&self, mut digit: Digit) -> Vec<Fate> {
        let Self::File(options) = self else { return Vec::new() };
        let mut fates: Vec<Fate> =
            options.iter().rev().map(|fates| fates[digit.choose(fates.len())]).collect();
        fates.reverse();
        fates
    }

    fn kept(&self, mut digit: Digit) -> Vec<bool> {
        let Self::Directory(mutations) = self else { return Vec::new() };
        let mut kept: Vec<bool> = (0..*mutations).map(|_| digit.choose(2) == 1).collect();
        kept.reverse();
        kept
    }
}

impl DiskState {
    /// The legal images; `None` where the medium promises more than the reference: what a promise rules out
    /// is not counted here, and images of such disks are drawn.
    pub fn legal_images(&self) -> Option<LegalImages<'_>> {
        let inner = self.inner();
        if inner.kindness != Kindness::NONE {
            return None;
        }
        let reachable = inner.reachable();
        let nodes: Vec<(NodeId, Choices)> = inner
            .noisy
            .iter()
            .filter(|id| reachable[id.0 as usize])
            .map(|id| (*id, Choices::of(inner.node(*id))))
            .collect();
        let count =
            nodes.iter().fold(1, |all: u128, (_, choices)| all.saturating_mul(choices.count()));
        Some(LegalImages { state: self, nodes, count })
    }
}

impl LegalImages<'_> {
    /// How many there are; as many as fit into the number, if there are more.
    pub fn count(&self) -> u128 {
        self.count
    }

    /// The image of a number below the count.
    pub fn plan(&self, number: u128) -> CrashPlan {
        let mut rest = number;
        let mut digits = Vec::with_capacity(self.nodes.len());
        for (id, choices) in &self.nodes {
            let count = choices.count();
            digits.push((*id, choices, Digit(rest % count)));
            rest /= count;
        }
        let of = |id: NodeId| digits.iter().find(|(node, ..)| *node == id);
        CrashPlan::of_fates(
            self.state,
            |id, inode| match of(id) {
                Some((_, choices, digit)) => choices.fates(*digit),
                None => vec![Fate::Lost; inode.pending.len()],
            },
            |id, directory| match of(id) {
                Some((_, choices, digit)) => choices.kept(*digit),
                None => vec![false; directory.pending.len()],
            },
        )
    }

    /// The number at a place of an order in which any first part is spread over all: each is the golden
    /// section of the count behind the one before it, and no two are equal.
    pub fn spread(&self, place: u64) -> u128 {
        const GOLDEN: (u128, u128) = (1_000, 1_618);
        let count = self.count;
        let section = count / GOLDEN.1 * GOLDEN.0 + count % GOLDEN.1 * GOLDEN.0 / GOLDEN.1;
        let step = (section.max(1)..).find(|step| common_factor(*step, count) == 1);
        product_modulo(place, step.expect("one of any count has no factor in common"), count)
    }
}

fn common_factor(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// By doubling, for the product need not fit into the number.
fn product_modulo(mut factor: u64, step: u128, modulus: u128) -> u128 {
    let sum = |a: u128, b: u128| if a >= modulus - b { a - (modulus - b) } else { a + b };
    let (mut product, mut doubled) = (0, step % modulus);
    while factor != 0 {
        if factor % 2 == 1 {
            product = sum(product, doubled);
        }
        doubled = sum(doubled, doubled);
        factor /= 2;
    }
    product
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
