//! What a seed draws before its first operation: settings, kinds, sizes, names and ids.
//!
//! **Place.** The generator in [`super::workload`] draws one and keeps to it (G1, G2).

use std::sync::Arc;

use quiver_store::Options;
use quiver_store::limits::EXTERNAL_ID_BYTES_MAX;

use super::{Shape, Slot};
use crate::stream::Stream;

/// How often each kind of operation is drawn; the order is that of `draw_action`.
pub(super) const KINDS: [(u64, &str); 35] = [
    (10, "upsert"),
    (5, "delete"),
    (6, "batch"),
    (5, "write"),
    (6, "group"),
    (2, "create"),
    (2, "drop"),
    (3, "put"),
    (3, "update"),
    (2, "rename"),
    (1, "field"),
    (1, "get"),
    (1, "scan"),
    (1, "read all"),
    (8, "read"),
    (4, "snapshot"),
    (2, "read of a snapshot"),
    (3, "read snapshot"),
    (1, "release"),
    (4, "pause"),
    (4, "resume"),
    (3, "capture index"),
    (3, "keep indexes"),
    (2, "restore index"),
    (8, "checkpoint"),
    (8, "maintain"),
    (1, "maintain all"),
    (2, "compact"),
    (2, "verify"),
    (2, "backup"),
    (2, "close"),
    (4, "kill"),
    (4, "power loss"),
    (1, "bad"),
    (12, "motif"),
];

/// How many of [`KINDS`] write rows; one of them at least is on.
const WRITES: usize = 5;

/// Kinds that long runs without images leave out: they end processes, which drops what has piled
/// up, or look at a single call.
const NOT_IN_CHURN: [&str; 7] =
    ["read all", "scan", "backup", "close", "kill", "power loss", "bad"];

/// Rows in batches that fill a large collection.
pub(super) const FILL_ROWS: usize = 100;

/// A seed's own kind of workload.
#[derive(Clone, Debug)]
pub(super) struct Profile {
    pub(super) weights: [u64; KINDS.len()],
    pub(super) payload_bytes_max: usize,
    /// Whether payload sizes at which something may turn over are preferred.
    pub(super) bounds: bool,
    pub(super) batch_rows_max: usize,
    pub(super) group_members_max: usize,
    /// Whether most changes are of the same few rows.
    pub(super) hot: bool,
}

pub(super) fn draw_shape(seed: u64, stream: &mut Stream) -> Shape {
    // Seeds take turns, so that a short campaign has some of each.
    match seed % 32 {
        31 => Shape::Churn,
        7 | 23 => Shape::Many,
        15 => Shape::Wide,
        _ => match stream.below(64) {
            0 => Shape::Many,
            1 => Shape::Wide,
            _ => Shape::Small,
        },
    }
}

pub(super) fn draw_options(shape: Shape, stream: &mut Stream) -> Options {
    // Bounds on bytes are the tighter, the less the log may take.
    let churn = shape == Shape::Churn;
    let step_min = 512 << stream.below(if churn { 4 } else { 8 });
    let step_max = step_min << stream.below(4);
    let large_log = !churn && stream.chance(1, 3);
    let large_memtable = !churn && stream.chance(1, 3);
    Options {
        batch_bytes_max: (128 * 1024) << stream.below(3),
        group_bytes_max: 4096 << stream.below(5),
        log_step_bytes_min: step_min,
        log_step_bytes_max: step_max,
        log_size_bytes_max: if large_log { 1 << 20 } else { 4096 << stream.below(5) },
        log_files_max: stream.between(1, 16),
        log_window_bytes: 512 << stream.below(10),
        memtable_bytes_max: if large_memtable { 1 << 20 } else { 1024 << stream.below(5) },
        page_cache_bytes: *stream.pick(&[0, 0, 20_000, 100_000, 32 << 20]),
        read_ahead_bytes: 16_384 << stream.below(5),
        step_bytes: 64 << stream.below(12),
        merge_factor: *stream.pick(&[2, 3, 4, 4]),
        index_bytes_max: *stream.pick(&[1, 300, 8 << 20]),
        reserve_bytes: if stream.chance(1, 2) { 0 } else { 4096 << stream.below(9) },
        // Without threads to begin, nothing comes of these.
        background: true,
        idle_us: 100_000,
        create: true,
    }
}

pub(super) fn draw_profile(shape: Shape, stream: &mut Stream) -> Profile {
    let mut weights = [0; KINDS.len()];
    // What piles up does so where work of all kinds meets.
    let kinds_on = if shape == Shape::Churn { 9 } else { 7 };
    for (weight, (usual, kind)) in weights.iter_mut().zip(KINDS) {
        let left_out = shape == Shape::Churn && NOT_IN_CHURN.contains(&kind);
        if stream.chance(kinds_on, 10) && !left_out {
            *weight = usual * stream.between(1, 4);
        }
    }
    if weights[..WRITES].iter().all(|weight| *weight == 0) {
        weights[0] = 10;
    }
    let payload_bytes_max = match shape {
        Shape::Small => *stream.pick(&[8, 32, 64, 64, 200, 600, 2000]),
        Shape::Many => *stream.pick(&[8, 32, 100, 300]),
        Shape::Wide => *stream.pick(&[600, 6000, 20_000]),
        Shape::Churn => *stream.pick(&[200, 600, 1500]),
    };
    Profile {
        weights,
        payload_bytes_max,
        bounds: stream.chance(1, 3),
        batch_rows_max: match shape {
            Shape::Small => stream.size(1, 9),
            Shape::Many | Shape::Churn => stream.size(4, 24),
            Shape::Wide => stream.size(1, 4),
        },
        group_members_max: stream.size(2, 6),
        hot: stream.chance(1, 4),
    }
}

pub(super) fn draw_slots(shape: Shape, stream: &mut Stream) -> Vec<Slot> {
    let count = stream.size(1, 4);
    let dim_max = match shape {
        Shape::Wide => 600,
        _ => *stream.pick(&[2, 4, 8, 8, 16, 64]),
    };
    (0..count)
        .map(|index| {
            let name = match stream.below(4) {
                0 => format!("Items.v{index}"),
                1 => format!("{index}{}", "n".repeat(stream.size(1, 254))),
                _ => format!("c{index}"),
            };
            let dim = u32::try_from(stream.between(1, dim_max)).expect("at most 600");
            let large = index == 0 && matches!(shape, Shape::Many | Shape::Churn);
            let ids = if large { many_ids(stream) } else { few_ids(stream) };
            Slot { name: name.into(), dim, ids }
        })
        .collect()
}

/// On half of the seeds one slot more, which has all but the name of the first: what the first one's
/// collection can be renamed to.
pub(super) fn twin_of_first(seed: u64, slots: &[Slot]) -> Option<Slot> {
    let mut stream = Stream::at(seed, &[0x7477_696e]);
    let first = slots.first().filter(|_| stream.chance(1, 2))?;
    Some(Slot { name: "twin".into(), dim: first.dim, ids: first.ids.clone() })
}

fn few_ids(stream: &mut Stream) -> Vec<Arc<str>> {
    let count = stream.size(1, 12);
    let style = stream.below(9);
    (0..count)
        .map(|index| -> Arc<str> {
            match style {
                0 => format!("ключ-{index}-⚙"),
                1 => format!("\u{1f980}{index}\0\n"),
                2 => {
                    let tail = stream.size(1, EXTERNAL_ID_BYTES_MAX - 2);
                    format!("{index:02}{}", "x".repeat(tail))
                }
                3 => format!("{:02}{}", index, "y".repeat(EXTERNAL_ID_BYTES_MAX - 2)),
                // Each is the beginning of the next.
                4 => "k".repeat(index + 1),
                _ => format!("k{index}"),
            }
            .into()
        })
        .collect()
}

/// Enough ids to fill several pages of them, so that what is kept per page matters.
fn many_ids(stream: &mut Stream) -> Vec<Arc<str>> {
    let count = stream.size(150, 700);
    let style = stream.below(4);
    let width = *stream.pick(&[40, 120, 300]);
    let mut ids: Vec<Arc<str>> = (0..count)
        .map(|index| -> Arc<str> {
            match style {
                // Long, with nothing in common: few to a page.
                0 => {
                    let words = width / 16;
                    let text: String =
                        (0..words).map(|_| format!("{:016x}", stream.draw())).collect();
                    format!("{text}{index}")
                }
                // Nothing but the end differs.
                1 => format!("{}{index:05}", "tenant/".repeat(width / 7)),
                2 => format!("{}/{index:04}", stream.below(8)),
                _ => format!("user-{index}"),
            }
            .into()
        })
        .collect();
    ids.sort();
    ids
}
