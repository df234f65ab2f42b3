//! The small histories that the sweep puts faults into.
//!
//! **Place.** Fixed ones, which together make every call of the store and stop it in every way; and
//! the first steps of seeded ones.
//!
//! - H1. Limits are at their least, so that a few rows cross windows, groups, log steps and the
//!   bounds past which a checkpoint runs by itself.
//! - H2. No fault is in them: the sweep adds its own.
//!
//! Fixed histories are told in steps, with `; ` between them:
//!
//! | step | meaning |
//! |---|---|
//! | `+a`, `-a`, `!a` | the collection is created, dropped, shredded |
//! | `a.x=9`, `a.x-` | a row with a payload of so many bytes; its end |
//! | `write M & M`, `batch M & M` | rows in one `write`, one `upsert_batch` |
//! | `group(N) M M` | requests submitted, then driven N times |
//! | `get a.x`, `read-all`, `checkpoint`, `maintain`, `maintain-all`, `compact`, `second-open` | the call, or calls |
//! | `capture a`, `keep-indexes` | an index is built, those that are held are kept |
//! | `snapshot`, `read-snapshot`, `pause a N`, `resume N`, `release-all` | views that are held: a snapshot, an iterator that showed N rows |
//! | `rotate`, `rekey a` | another master key, another key of the collection |
//! | `close`, `kill`, `power-loss` | an end, and a reopen |
//! | `kill(N)`, `power-loss(N)` | the same before or inside an I/O call of the step before |

use std::sync::Arc;

use quiver_store::{Descriptor, DistanceMetric, Dtype, Options};

use crate::disk::Medium;
use crate::history::{Action, Change, History, Member, Operation, Shape, Slot, Source};
use crate::reads::Read;
use crate::row_range::RowRange;

/// Elements of every vector.
const DIM: u32 = 2;

/// The collections, by slot.
const SLOTS: [&str; 2] = ["a", "b"];

/// Steps of a seeded history.
const SEEDED_STEPS: usize = 9;

/// Small enough for pairs of faults.
const SMALLEST: [(&str, &str); 4] = [
    ("first-writes", "+a; a.x=9; a.x-"),
    ("drops-of-nothing", "+a; -a; +b; -b"),
    ("after-a-kill", "+a; a.x=9; kill; a.y=9"),
    ("sealed", "+a; a.x=9; checkpoint; a.x-"),
];

const OTHERS: [(&str, &str); 14] = [
    ("overwrites", "+a; a.x=9; a.y=600; a.x=300; a.y-; a.none-; get a.x; second-open"),
    (
        "batches",
        "+a; +b; batch a.x=40 & a.y=700 & a.x=8; write a.z=9 & a.y- & b.x=900; maintain; \
         write a.x- & b.x-; maintain; kill",
    ),
    (
        "groups",
        "+a; group(1) a.x=50 -b +b a.y=50; group(100) b.x=50 -b -b b.y=50; group(0) a.z=50 a.x=50; \
         a.w=9; group(0) a.lost=50; kill",
    ),
    ("drops", "+a; a.x=9; -a; +a; a.y=9; checkpoint; -a; -a; checkpoint; kill; +a"),
    ("closes", "+a; a.x=9; close; close; a.y=9; close; kill; power-loss; a.z=9"),
    (
        "checkpoints",
        "+a; +b; a.x=500; b.x=500; checkpoint; b.y=9; checkpoint; checkpoint; a.x-; b.x-; \
         checkpoint; kill",
    ),
    ("power-losses", "+a; a.x=9; power-loss; a.y=9; power-loss(5); a.z=9; power-loss"),
    ("kills", "+a; a.x=9; kill(9); a.y=9; kill(6); a.z=9; kill; power-loss"),
    ("long-log", "+a; a.a=700; a.b=1700; batch a.c=900 & a.d=900; a.e=20; kill"),
    ("log-bound", "+a; a.a=1500; a.b=1500; a.a=1500; kill; a.b=3000; power-loss"),
    (
        "merges",
        "+a; a.x=300; a.y=9; checkpoint; a.x=9; a.z=9; checkpoint; a.y-; checkpoint; maintain-all; \
         get a.x; compact; get a.x; kill; get a.z",
    ),
    (
        "held-views",
        "+a; a.x=300; a.y=9; snapshot; checkpoint; pause a 1; a.x=9; a.y-; checkpoint; \
         read-snapshot; compact; resume 1; read-snapshot; release-all; maintain; power-loss",
    ),
    (
        "merge-under-way",
        "+a; a.x=1500; a.y=1500; checkpoint; a.v=1500; a.w=1500; checkpoint; maintain; a.u=9; \
         checkpoint; maintain; maintain; maintain; maintain; maintain; power-loss; read-all",
    ),
    ("many-logs", "+a; kill; a.x=9; kill; a.y=9; kill; a.z=9; maintain; read-all"),
];

/// Of encrypted stores; the first one is small enough for pairs of faults.
const ENCRYPTED: [(&str, &str); 5] = [
    ("creation-and-rotation", "+a; checkpoint; +b; rotate; kill"),
    ("shreds", "+a; +b; a.x=40; b.x=40; checkpoint; a.y=300; !a; +a; a.z=40; kill; !a; b.y=40"),
    ("new-keys", "+a; a.x=40; rotate; a.y=40; rekey a; a.z=40; kill; rekey a; rotate; power-loss"),
    (
        "encrypted-merges",
        "+a; a.x=300; checkpoint; a.y=9; checkpoint; compact; a.z=9; checkpoint; compact; kill",
    ),
    (
        "shreds-in-groups",
        "+a; group(1) a.x=50 !a +a a.y=50; kill; checkpoint; group(100) a.z=50 +b b.x=50 !b; \
         checkpoint; -a; kill",
    ),
];

/// A history by its name.
#[derive(Clone, Debug)]
pub struct Named {
    /// The name.
    pub name: String,
    /// The history.
    pub history: History,
    /// Whether it is small enough for pairs of faults.
    pub pairs: bool,
}

/// Every history of the sweep: the fixed ones, those of encrypted stores where these can be, and the
/// seeded ones.
pub fn all(seeded: u64, encrypts: bool) -> Vec<Named> {
    let fixed = |(name, steps): (&str, &str), seed, pairs| {
        let history = history(seed, steps.split("; ").map(action).collect());
        Named { name: name.to_owned(), history, pairs }
    };
    let smallest = SMALLEST.into_iter().zip(9000..).map(|(case, seed)| fixed(case, seed, true));
    let others = OTHERS.into_iter().zip(9100..).map(|(case, seed)| fixed(case, seed, false));
    let encrypted = ENCRYPTED.into_iter().zip(9200..).map(|(case, seed)| {
        let mut named = fixed(case, seed, seed == 9200);
        named.history.encrypted = true;
        named
    });
    let encrypted = encrypted.filter(|_| encrypts);
    smallest.chain(others).chain(encrypted).chain((0..seeded).map(seeded_history)).collect()
}

/// A history told in steps.
pub(crate) fn told(seed: u64, steps: &str) -> History {
    history(seed, steps.split("; ").map(action).collect())
}

/// The same, with the steps apart.
pub(crate) fn told_in(seed: u64, steps: &[&str]) -> History {
    history(seed, steps.iter().copied().map(action).collect())
}

fn seeded_history(seed: u64) -> Named {
    let mut history = History { encrypted: false, ..History::of(seed) };
    history.opening.clear();
    history.faulty = false;
    for operation in &mut history.operations {
        operation.faults.clear();
    }
    history.operations.truncate(SEEDED_STEPS);
    Named { name: format!("seed-{seed}"), history, pairs: false }
}

fn history(seed: u64, actions: Vec<Action>) -> History {
    let slot = |name: &str| Slot { name: name.into(), dim: DIM, ids: Vec::new() };
    let steps = actions.into_iter().map(|action| Operation { action, faults: Vec::new() });
    History {
        seed,
        shape: Shape::Small,
        options: Options {
            log_step_bytes_min: 512,
            log_step_bytes_max: 2048,
            log_size_bytes_max: 6144,
            log_files_max: 3,
            log_window_bytes: 512,
            memtable_bytes_max: 4096,
            page_cache_bytes: 0,
            read_ahead_bytes: 16_384,
            step_bytes: 512,
            merge_factor: 2,
            ..Options::default()
        },
        slots: SLOTS.map(slot).to_vec(),
        opening: Vec::new(),
        operations: steps.collect(),
        strikes: Vec::new(),
        dice: 0,
        luck: Vec::new(),
        medium: Medium::default(),
        encrypted: false,
        faulty: false,
    }
}

fn action(step: &str) -> Action {
    let (word, rest) = step.split_once(' ').unwrap_or((step, ""));
    let (word, number) = match word.split_once('(') {
        Some((word, number)) => (word, number.trim_end_matches(')')),
        None => (word, ""),
    };
    let number: u64 = number.parse().unwrap_or_default();
    match word {
        "write" => Action::Write(rest.split(" & ").map(change).collect()),
        "batch" => Action::Batch(rest.split(" & ").map(change).collect()),
        "group" => {
            let drives = u32::try_from(number).expect("a few");
            Action::Group(rest.split(' ').map(member).collect(), drives)
        }
        "get" => {
            let (name, id) = rest.split_once('.').expect("a collection and a row");
            Action::Get(slot(name), id.into())
        }
        "read-all" => Action::ReadAll,
        "checkpoint" => Action::Checkpoint,
        "maintain" => Action::Maintain,
        "maintain-all" => Action::MaintainAll,
        "compact" => Action::Compact(None),
        "snapshot" => Action::Snapshot,
        "read-snapshot" => Action::ReadSnapshot(0),
        "pause" => {
            let (name, rows) = rest.split_once(' ').expect("a collection and a number");
            let rows = rows.parse().expect("a number of rows");
            Action::Pause(Source::Store, slot(name), Read::Rows(RowRange::default()), rows)
        }
        "resume" => Action::Resume(0, rest.parse().expect("a number of rows")),
        "release-all" => Action::ReleaseAll,
        "capture" => Action::CaptureIndex(slot(rest)),
        "keep-indexes" => Action::KeepIndexes,
        "rotate" => Action::Rotate,
        "rekey" => Action::Rekey(slot(rest)),
        "second-open" => Action::SecondOpen,
        "close" => Action::Close,
        "kill" if step.ends_with(')') => Action::KillInside(number),
        "kill" => Action::Kill,
        "power-loss" if step.ends_with(')') => Action::PowerLossInside(number),
        "power-loss" => Action::PowerLoss,
        _ => Action::Single(member(step)),
    }
}

fn member(text: &str) -> Member {
    let schema = Descriptor::new(DIM, Dtype::F32, DistanceMetric::L2);
    match text.split_at_checked(1) {
        Some(("+", name)) => Member::Create(slot(name), schema),
        Some(("-", name)) => Member::Drop(slot(name)),
        Some(("!", name)) => Member::Shred(slot(name)),
        _ => Member::Write(vec![change(text)]),
    }
}

fn slot(name: &str) -> usize {
    SLOTS.iter().position(|known| *known == name).expect("one of the collections")
}

fn change(text: &str) -> Change {
    let (name, row) = text.split_once('.').expect("a collection and a row");
    let slot = slot(name);
    let Some((id, bytes)) = row.split_once('=') else {
        let id = row.strip_suffix('-').expect("`=` and a number of bytes, or `-`");
        return Change { slot, id: id.into(), row: None };
    };
    let bytes: usize = bytes.parse().expect("a number of bytes");
    // Each row of these histories has a payload of its own.
    let seed = id.bytes().fold(bytes, |sum, byte| sum * 31 + usize::from(byte));
    let byte = |place: usize| u8::try_from((seed + place * 7) % 251).expect("below 251");
    let payload: Arc<[u8]> = (0..bytes).map(byte).collect();
    Change { slot, id: id.into(), row: Some((Arc::from([1.0, f32::from(byte(0))]), payload)) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn fixed_histories_make_every_kind_of_step() {
        let mut seen = BTreeSet::new();
        for named in all(0, true) {
            for operation in named.history.operations {
                let shown = format!("{:?}", operation.action);
                let end = shown.find(['(', ' ']).unwrap_or(shown.len());
                seen.insert(shown[..end].to_string());
            }
        }
        let expected = [
            "Batch",
            "Checkpoint",
            "Close",
            "Compact",
            "Get",
            "Group",
            "Kill",
            "KillInside",
            "Maintain",
            "MaintainAll",
            "Pause",
            "PowerLoss",
            "PowerLossInside",
            "ReadAll",
            "ReadSnapshot",
            "Rekey",
            "ReleaseAll",
            "Resume",
            "Rotate",
            "SecondOpen",
            "Single",
            "Snapshot",
            "Write",
        ];
        assert_eq!(seen.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    }
}
