//! What a seed draws before its run: how many tasks, their habits and pace, faults, and the ends of processes.
//!
//! **Place.** Everything else that happens follows from it, from the draws of each client, and from the
//! order in which the runtime lets tasks go on, which the seed decides too.

use crate::disk::Fault;
use crate::history::Planned;
use crate::stream::Stream;

/// Sets the draws of a plan apart.
const OF_PLANS: u64 = 0x706c_616e;

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// A kill between two calls of the store.
    Kill,
    /// A loss of power between two calls of the store.
    PowerLoss,
    /// A kill before or inside an I/O call of the next call that makes any.
    KillInside(u64),
    /// A loss of power there.
    PowerLossInside(u64),
    /// A clean end.
    Close,
}

/// What a client does, by its place in the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Upsert,
    Delete,
    Batch,
    Put,
    Update,
    Collections,
    Get,
    Read,
    Snapshot,
    Scan,
}

/// All kinds with their usual weights.
const KINDS: [(Kind, u64); 10] = [
    (Kind::Upsert, 8),
    (Kind::Delete, 4),
    (Kind::Batch, 5),
    (Kind::Put, 4),
    (Kind::Update, 3),
    (Kind::Collections, 1),
    (Kind::Get, 8),
    (Kind::Read, 2),
    (Kind::Snapshot, 3),
    (Kind::Scan, 4),
];

/// How a client goes about.
#[derive(Clone, Debug)]
pub(super) struct Habits {
    weights: [u64; KINDS.len()],
    /// The longest pause before what it does next, in milliseconds of virtual time.
    pub(super) pause_ms_max: u64,
    /// Of eight requests, how many it submits and leaves to others to drive; of the rest it drives half by
    /// itself, and waits in the call for the other half.
    pub(super) leaves_of_eight: u64,
    /// How many requests it may have in flight at a time.
    pub(super) in_flight_max: usize,
}

/// A run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) clients: Vec<Habits>,
    /// The longest pause of who drives what others submitted.
    pub(super) driver_ms_max: u64,
    /// The longest pause between two steps of background work.
    pub(super) upkeep_ms_max: u64,
    /// The longest pause between calls that do much at once, where anybody makes them.
    pub(super) sealing_ms_max: Option<u64>,
    /// When each process ends, in milliseconds since its begin, and how. The last one ends the run.
    pub(super) rounds: Vec<(u64, Stop)>,
    /// Whether calls of the disk fail.
    pub(super) has_faults: bool,
    /// Whether the disk is full for a while.
    pub(super) fills_disk: bool,
}

impl Plan {
    /// The plan of a seed.
    pub(super) fn of(seed: u64) -> Self {
        let mut stream = Stream::at(seed, &[OF_PLANS]);
        let clients = (0..stream.size(2, 6)).map(|_| Habits::draw(&mut stream)).collect();
        let rounds = stream.size(2, 4);
        let rounds = (0..rounds).map(|_| (stream.between(20, 200), Stop::draw(&mut stream)));
        let rounds = rounds.collect();
        let goes_wrong = stream.below(8);
        Self {
            clients,
            driver_ms_max: *stream.pick(&[2, 5, 10, 30]),
            upkeep_ms_max: *stream.pick(&[2, 5, 10, 40]),
            sealing_ms_max: stream.chance(2, 3).then(|| *stream.pick(&[10, 30, 80])),
            rounds,
            has_faults: (1..4).contains(&goes_wrong),
            fills_disk: goes_wrong == 4,
        }
    }

    /// Whether anything goes wrong besides the ends of processes.
    pub(super) fn is_faulty(&self) -> bool {
        self.has_faults || self.fills_disk
    }
}

impl Stop {
    fn draw(stream: &mut Stream) -> Self {
        match stream.below(10) {
            0 | 1 => Self::Kill,
            2 | 3 => Self::PowerLoss,
            4 | 5 => Self::KillInside(stream.below(1000)),
            6..9 => Self::PowerLossInside(stream.below(1000)),
            _ => Self::Close,
        }
    }
}

impl Habits {
    fn draw(stream: &mut Stream) -> Self {
        let mut weights = KINDS.map(|(_, usual)| usual * stream.below(4));
        weights[0] = weights[0].max(1);
        Self {
            weights,
            pause_ms_max: *stream.pick(&[1, 3, 8, 20]),
            leaves_of_eight: *stream.pick(&[2, 4, 6, 8]),
            in_flight_max: *stream.pick(&[1, 1, 2, 4]),
        }
    }

    /// What it does next.
    pub(super) fn kind(&self, stream: &mut Stream) -> Kind {
        KINDS[stream.weighted(&self.weights)].0
    }
}

/// A fault for what comes next, now and then.
pub(super) fn faults(stream: &mut Stream) -> Vec<Planned> {
    if !stream.chance(1, 14) {
        return Vec::new();
    }
    (0..stream.size(1, 2))
        .map(|_| {
            let width = *stream.pick(&[1, 1, 3, 9]);
            Planned { after_calls: stream.below(width), fault: *stream.pick(&Fault::ALL) }
        })
        .collect()
}
