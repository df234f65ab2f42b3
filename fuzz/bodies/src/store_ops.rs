//! The store itself: operations, faults, crash points and what survives them, on the simulated disk against
//! the model.
//!
//! The input is a reproducer as text ([`quiver_sim::repro`]): there is one decoder for what the simulator
//! keeps, what the fuzzer makes and what `quiver-sim replay` plays. What is no reproducer is passed
//! over; [`mutate`] makes reproducers of reproducers.
//!
//! - O1. What an input says it violates, and with which planted bug, does not matter: on the engine it
//!   must violate nothing.
//! - O2. An input that does not fit its run, because its crash is at a call that there is not, shows nothing
//!   but what its history shows.
//! - O3. What reads, writes and reads the same.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use quiver_sim::checker::Invariant;
use quiver_sim::disk::{
    Base, Exception, Fault, Inside, IoKind, Survivors, Synced, What, WriteTear,
};
use quiver_sim::engine::Engine;
use quiver_sim::explore::chain::{At, Chain, Crash, Deed, End, Then};
use quiver_sim::history::{Action, History, Luck, Member, Operation, Planned, Slot, Strike};
use quiver_sim::repro::parts::Visit;
use quiver_sim::repro::{Reproducer, Status, Violates, actions};
use quiver_sim::stream::Stream;
use quiver_sim::system::Row;
use quiver_store::limits::EXTERNAL_ID_BYTES_MAX;
use quiver_store::{Descriptor, Dtype};

/// More operations take more time than they find.
const OPERATIONS_MAX: usize = 16;

/// Larger vectors only take time.
const DIMENSION_MAX: u32 = 1024;

/// Generated payloads are cut off here.
const PAYLOAD_BYTES_MAX: usize = 48;

/// More bytes of a setting only take time.
const SETTING_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Generated histories that are cut up for their operations.
const HISTORIES: u64 = 512;

/// See the module.
pub(crate) fn body(input: &[u8]) {
    let Some(file) = read(input) else { return };
    let text = file.text();
    // Nearly all: what was read is what is written, so reading it again would only take time.
    if text.as_bytes() != input {
        let again = Reproducer::parse(&text).map(|again| again.text());
        assert!(again.as_ref() == Ok(&text), "{text}\nis read as\n{again:?}");
    }
    let played = file.play(&Engine);
    let violation = played.tally.violations.first();
    if let Some(violation) = violation.filter(|_| played.met.astray.is_none()) {
        panic!("{}", quiver_sim::report::found(violation, &"this input"));
    }
}

/// The reproducer, if it is one that is worth its time.
pub fn read(input: &[u8]) -> Option<Reproducer> {
    let file = Reproducer::parse(std::str::from_utf8(input).ok()?).ok()?;
    fits(&file.history).then_some(file)
}

fn fits(history: &History) -> bool {
    let History { options, slots, operations, strikes, opening, .. } = history;
    let sizes = [
        options.log_step_bytes_max,
        options.log_size_bytes_max,
        options.log_window_bytes,
        options.page_cache_bytes,
        options.read_ahead_bytes,
        options.step_bytes,
        options.reserve_bytes,
    ];
    let are_few = operations.len() <= OPERATIONS_MAX
        && strikes.len() + opening.len() <= 4
        && operations.iter().all(|operation| operation.faults.len() <= 4);
    let backs_up = operations.iter().any(|it| matches!(it.action, Action::BackUp(..)));
    // The simulator does not look into backups of an encrypted store.
    are_few
        && !(history.encrypted && backs_up)
        && !slots.is_empty()
        && slots.len() <= 4
        && slots.iter().all(|slot| (1..=DIMENSION_MAX).contains(&slot.dim))
        && are_fitted(slots, operations)
        && options.validate().is_ok()
        && options.create
        && sizes.iter().all(|size| *size <= SETTING_BYTES_MAX)
}

/// Another reproducer made of one, or of a generated history where the input is none.
pub fn mutate(input: &[u8], seed: u64, bytes_max: usize) -> Vec<u8> {
    let mut stream = Stream::new(seed);
    let mut file = read(input).unwrap_or_else(|| drawn(&mut stream));
    file.remarks.clear();
    file.shrinks_to = None;
    file.status = Status::Open;
    for _ in 0..=stream.below(3) {
        let mut other = file.clone();
        change(&mut other, &mut stream);
        if fits(&other.history) && other.text().len() <= bytes_max {
            file = other;
        }
    }
    let text = file.text().into_bytes();
    if text.len() <= bytes_max { text } else { input[..input.len().min(bytes_max)].to_vec() }
}

/// The first operations of a generated history.
fn drawn(stream: &mut Stream) -> Reproducer {
    let mut history = generated(stream);
    history.operations.truncate(1 + stream.index(6));
    settle(&mut history);
    let violates = Violates { invariant: Invariant::ALL[0], panics: false };
    let (status, shrinks_to, remarks) = (Status::Open, None, Vec::new());
    Reproducer { remarks, status, shrinks_to, violates, history, chain: Chain::default() }
}

/// One of some generated histories. What is small is fast, and what is fast finds more.
fn generated(stream: &mut Stream) -> History {
    static SMALL: OnceLock<Vec<History>> = OnceLock::new();
    let small = SMALL.get_or_init(|| {
        let all = (0..HISTORIES).map(History::of);
        all.filter(|it| it.slots.iter().all(|slot| slot.dim <= 8)).map(shortened).collect()
    });
    stream.pick(small).clone()
}

fn shortened(mut history: History) -> History {
    for slot in &mut history.slots {
        slot.ids.truncate(3);
    }
    for operation in &mut history.operations {
        let parts = actions::parts(&mut operation.action);
        parts.into_iter().for_each(|part| part.visit(&mut Short));
    }
    history.slots.truncate(4);
    history.strikes.truncate(4);
    history.opening.clear();
    history
}

/// Makes payloads short.
struct Short;

impl Visit for Short {
    fn row(&mut self, _: usize, row: &mut Row) {
        if row.1.len() > PAYLOAD_BYTES_MAX {
            row.1 = row.1[..PAYLOAD_BYTES_MAX].into();
        }
    }
}

/// Leaves out what refers to what was cut off, and fits the others to their slots; there is luck for each
/// operation.
fn settle(history: &mut History) {
    let History { slots, operations, luck, .. } = history;
    let types = Types::of(operations);
    operations.retain_mut(|operation| {
        Fitting::of(slots, types, &mut operation.action).is_known
            && is_answerable(slots, &operation.action)
    });
    luck.resize(operations.len(), Luck::default());
}

/// Whether all operations are of these slots, as they are.
fn are_fitted(slots: &[Slot], operations: &[Operation]) -> bool {
    let types = Types::of(operations);
    operations.iter().all(|operation| {
        let fitting = Fitting::of(slots, types, &mut operation.action.clone());
        fitting.is_known && fitting.was_fitted && is_answerable(slots, &operation.action)
    })
}

/// Whether the model knows the answer: it takes an empty batch for good, which `bad empty-batch` asks, and a
/// name for one that keeps its dimension.
fn is_answerable(slots: &[Slot], action: &Action) -> bool {
    let dim = |slot: usize| slots.get(slot).map(|slot| slot.dim);
    let is_good = |member: &Member| match member {
        Member::Write(changes) => !changes.is_empty(),
        Member::Rename(from, to) => dim(*from) == dim(*to),
        _ => true,
    };
    match action {
        Action::Batch(changes) | Action::Write(changes) => !changes.is_empty(),
        Action::Single(member) => is_good(member),
        Action::Group(members, _) => members.iter().all(is_good),
        _ => true,
    }
}

/// What vectors of a history may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Types {
    /// Any element.
    F32,
    /// Zero and one, which every type holds exactly.
    Several,
}

impl Types {
    fn of(operations: &[Operation]) -> Self {
        let mut types = Self::F32;
        for operation in operations {
            let mut action = operation.action.clone();
            actions::parts(&mut action).into_iter().for_each(|part| part.visit(&mut types));
        }
        types
    }
}

impl Visit for Types {
    fn schema(&mut self, _: usize, schema: &mut Descriptor) {
        if schema.dtype != Dtype::F32 {
            *self = Self::Several;
        }
    }
}

/// Gives schemas and vectors the dimension of their slot, which its name keeps, and vectors elements that
/// their type holds.
struct Fitting<'a> {
    slots: &'a [Slot],
    types: Types,
    is_known: bool,
    was_fitted: bool,
}

impl<'a> Fitting<'a> {
    fn of(slots: &'a [Slot], types: Types, action: &mut Action) -> Self {
        let mut fitting = Self { slots, types, is_known: true, was_fitted: true };
        actions::parts(action).into_iter().for_each(|part| part.visit(&mut fitting));
        fitting
    }

    fn dim(&mut self, slot: usize) -> Option<u32> {
        let dim = self.slots.get(slot).map(|slot| slot.dim);
        self.is_known &= dim.is_some();
        dim
    }
}

impl Visit for Fitting<'_> {
    fn slot(&mut self, slot: &mut usize) {
        self.dim(*slot);
    }

    fn row(&mut self, slot: usize, row: &mut Row) {
        let Some(dim) = self.dim(slot) else { return };
        let is_good =
            |it: &f32| self.types == Types::F32 || [0, 0x3f80_0000].contains(&it.to_bits());
        if row.0.len() == dim as usize && row.0.iter().all(is_good) {
            return;
        }
        let good = |it: &f32| if is_good(it) { *it } else { 1.0 };
        let mut vector: Vec<f32> = row.0.iter().map(good).collect();
        vector.resize(dim as usize, 0.0);
        row.0 = vector.into();
        self.was_fitted = false;
    }

    fn id(&mut self, id: &mut Arc<str>) {
        if !(1..=EXTERNAL_ID_BYTES_MAX).contains(&id.len()) {
            *id = "k0".into();
            self.was_fitted = false;
        }
    }

    fn schema(&mut self, slot: usize, schema: &mut Descriptor) {
        let Some(dim) = self.dim(slot) else { return };
        self.was_fitted &= schema.dim == dim;
        schema.dim = dim;
    }
}

fn change(file: &mut Reproducer, stream: &mut Stream) {
    let history = &mut file.history;
    match stream.below(12) {
        0..3 => insert(history, stream),
        3 if history.operations.len() > 1 => {
            let at = stream.index(history.operations.len());
            history.operations.remove(at);
            history.luck.remove(at);
        }
        4 if !history.operations.is_empty() => {
            let (from, to) =
                (stream.index(history.operations.len()), stream.index(history.operations.len()));
            history.operations.swap(from, to);
        }
        5 if !history.operations.is_empty() => {
            let at = stream.index(history.operations.len());
            let faults = &mut history.operations[at].faults;
            if stream.chance(1, 3) { faults.clear() } else { faults.push(planned(stream)) }
        }
        6 if !history.operations.is_empty() => {
            let luck = stream.index(history.luck.len());
            history.luck[luck].dice = stream.below(1 << 16);
            let action = &history.operations[luck].action;
            if matches!(action, Action::PowerLoss | Action::PowerLossInside(_)) {
                history.luck[luck].loss = Some(survivors(stream));
            }
        }
        7 => {
            let call = stream.below(60);
            let (process, fault) = (stream.index(2), *stream.pick(&Fault::ALL));
            history.strikes.push(Strike { process, call, fault });
        }
        8 => history.strikes.clear(),
        9 => file.chain.then = then(&file.chain, stream),
        _ => crash(&mut file.chain, stream),
    }
    settle(&mut file.history);
}

fn planned(stream: &mut Stream) -> Planned {
    Planned { after_calls: stream.below(12), fault: *stream.pick(&Fault::ALL) }
}

/// An operation of a generated history, or one with any parts; more often than not at the end, where the
/// crash is.
fn insert(history: &mut History, stream: &mut Stream) {
    let action = if stream.chance(1, 4) {
        let samples = actions::samples(stream);
        stream.pick(&samples).clone()
    } else {
        let other = generated(stream);
        if other.operations.is_empty() {
            return;
        }
        stream.pick(&other.operations).action.clone()
    };
    let len = history.operations.len();
    let at = if stream.chance(1, 2) { len } else { stream.index(len + 1) };
    history.operations.insert(at, Operation { action, faults: Vec::new() });
    history.luck.insert(at, Luck { dice: stream.below(1 << 16), loss: None });
}

fn crash(chain: &mut Chain, stream: &mut Stream) {
    if chain.crashes.len() == 3 || stream.chance(1, 8) {
        chain.crashes.clear();
        chain.then = None;
        return;
    }
    let replaces = stream.chance(1, 2);
    let kinds: Vec<IoKind> = IoKind::ALL.into_iter().filter(|kind| kind.mutates()).collect();
    let kind = *stream.pick(&kinds);
    let nth = stream.index(6);
    let at = match stream.below(3) {
        // A recovery has no answer behind which to stop.
        0 if chain.crashes.is_empty() || (replaces && chain.crashes.len() == 1) => At::After,
        1 => At::Before(kind, nth),
        _ => At::Inside(kind, nth, inside(kind, stream)),
    };
    let end = if stream.chance(1, 4) { End::Kill } else { End::Loss(survivors(stream)) };
    if replaces {
        chain.crashes.pop();
    }
    chain.crashes.push(Crash { at, end });
}

fn inside(kind: IoKind, stream: &mut Stream) -> Inside {
    match kind {
        IoKind::Write if stream.chance(1, 2) => Inside::Torn(*stream.pick(&WriteTear::ALL)),
        IoKind::Write => Inside::Cut(stream.below(2048)),
        IoKind::Allocate => Inside::Grown(stream.below(1 << 16)),
        IoKind::Sync | IoKind::SyncDir => {
            let fate = |stream: &mut Stream| match stream.below(3) {
                0 => Synced::Kept,
                1 => Synced::Pending,
                _ => Synced::Scattered(stream.below(64)),
            };
            Inside::Synced((0..=stream.below(4)).map(|_| fate(stream)).collect())
        }
        _ if stream.chance(1, 2) => Inside::Happened,
        _ => Inside::NotHappened,
    }
}

fn then(chain: &Chain, stream: &mut Stream) -> Option<Then> {
    let deed = stream.pick(&Deed::ALL).0;
    let loss = stream.chance(1, 3).then(|| survivors(stream));
    (!chain.crashes.is_empty() && stream.chance(4, 5)).then_some(Then { deed, loss })
}

fn survivors(stream: &mut Stream) -> Survivors {
    let base = if stream.chance(1, 2) { Base::Nothing } else { Base::Everything };
    let exceptions = (0..stream.below(4)).map(|_| exception(stream)).collect();
    Survivors { base, exceptions }
}

/// Names are those of the first files of a store; what names none does not fit, and is passed over.
fn exception(stream: &mut Stream) -> Exception {
    let number = stream.below(6);
    let places = [
        "/store".to_owned(),
        "/store/CURRENT".to_owned(),
        format!("/store/log-{number:010}-*.wal"),
        format!("/store/manifest-{number:010}-*"),
        format!("/store/segment-{number:010}-*.seg"),
        format!("/store/tombstones-{number:010}-*.tmb"),
    ];
    let place = stream.pick(&places).clone();
    let sectors = (0..stream.below(3)).map(|_| stream.below(8)).collect();
    let change = stream.index(5);
    let what = match stream.below(4) {
        0 => What::Length(stream.below(64) * 512),
        1 => What::Loses(change, sectors),
        _ => What::Keeps(change, sectors),
    };
    Exception { place, what }
}

/// Seeds: histories of the generator with a crash, such as fit their run.
pub(crate) fn seeds() -> Vec<(String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for seed in 0..4000 {
        let mut stream = Stream::new(seed);
        let mut file = drawn(&mut stream);
        crash(&mut file.chain, &mut stream);
        let plays = fits(&file.history)
            && catch_unwind(AssertUnwindSafe(|| file.play(&Engine)))
                .is_ok_and(|played| played.met.astray.is_none());
        if plays && !file.chain.crashes.is_empty() {
            seeds.push((format!("drawn-{seed:04}.repro"), file.text().into_bytes()));
        }
        if seeds.len() == 24 {
            break;
        }
    }
    seeds
}
