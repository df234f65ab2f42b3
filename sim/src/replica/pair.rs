//! A history of two stores: the steps, and what each may leave where it stops.
//!
//! - P1. The leader does what a drawn history says. What its observer is told goes through a channel to
//!   the follower, batch by batch, as far as is drawn.
//! - P2. Whoever listens keeps a follower of the model's, so that each batch that is told leads from one
//!   state of the leader's model to another, and what was told last is what was answered last.
//! - P3. The follower's position is noted behind an answer, and not always: it lags, and is drawn older.
//!   Either side that stops has to be connected anew, from there; what is on its way is lost.
//! - P4. Each mutating I/O call of either side is kept with what a crash there may leave. What was told
//!   by then is among it, always.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use quiver_store::{ErrorKind, WalOp};

use super::applied::{Effect, Stand};
use super::side::{Side, Stop, window_of};
use crate::checker::{self, Finding, Invariant};
use crate::digest;
use crate::disk::{DiskState, Onlooker, Policy, Step};
use crate::history::History;
use crate::model::{Model, State, Window};
use crate::panic_trap;
use crate::stream::Stream;
use crate::system::{Copied, Listener, System, Told};
use crate::vault::Vault;

/// Operations of one commit.
pub(super) type Batch = Arc<[Told]>;

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    Leader,
    Follower,
}

/// A mutating I/O call (P4).
pub(super) struct Marked {
    pub(super) who: Who,
    pub(super) step: Step,
    /// What a crash there may leave.
    pub(super) window: Arc<Window>,
    /// The same of a follower, in the same order.
    pub(super) stands: Arc<[Stand]>,
    /// The position that is noted, and what the leader held there.
    pub(super) noted: Option<(u64, Stand)>,
    /// Nothing is known to be sealed behind it.
    pub(super) sealed: u64,
    /// The last LSN that was told.
    pub(super) told: u64,
}

/// What a history came to.
#[derive(Default)]
pub(super) struct Out {
    pub(super) calls: Vec<Marked>,
    pub(super) finding: Option<(usize, Finding)>,
    pub(super) counts: BTreeMap<&'static str, u64>,
    /// Everything that was told, by the first LSN of each batch.
    pub(super) archive: BTreeMap<u64, Batch>,
    /// What the leader held at the end of each batch that was told.
    pub(super) ends: BTreeMap<u64, Stand>,
    pub(super) hash: u64,
    /// Those of the leader and of the follower, where they are encrypted.
    pub(super) vaults: [Option<Arc<Vault>>; 2],
}

/// What became of a batch that a follower was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Applied {
    /// It was answered.
    Done,
    /// It was refused, as it has to be.
    Refused,
    /// A fault was in the way.
    Failed,
    /// The follower stopped in it.
    Stopped,
}

pub(super) struct Pair<'a> {
    pub(super) history: &'a History,
    pub(super) stream: Stream,
    pub(super) leader: Side<'a>,
    pub(super) model: Model,
    /// A checkpoint may have taken everything up to it out of the leader's log.
    pub(super) sealed: u64,
    heard: Arc<Mutex<Vec<Told>>>,
    heard_lsn: Arc<AtomicU64>,
    /// What the listener's own follower holds (P2).
    pub(super) audience: Stand,
    pub(super) channel: VecDeque<Batch>,
    pub(super) follower: Side<'a>,
    pub(super) stand: Stand,
    /// Up to where the leader's operations were applied.
    pub(super) applied: u64,
    /// What is noted of that; nothing until a copy is complete.
    pub(super) noted: Option<u64>,
    pub(super) copying: Option<Copied>,
    pub(super) out: Out,
}

impl<'a> Pair<'a> {
    pub(super) fn new(system: &'a dyn System, history: &'a History) -> Self {
        let stream = |of: u64| Stream::at(history.seed, &[0x7265_706c, of]);
        let (options, medium) = (&history.options, history.medium);
        // Of an encrypted seed either one is, or both are.
        let drawn = Stream::at(history.seed, &[0x656e_6372, 2]).below(3);
        let has_keys = system.encrypts() && History::is_encrypted(history.seed);
        let is_encrypted = |of: u64| has_keys && drawn != of;
        let vaults = [0, 1].map(|of| is_encrypted(of).then(|| Vault::of(history)));
        let mut out = Out { vaults: vaults.clone(), ..Out::default() };
        for (name, vault) in ["encrypted leaders", "encrypted followers"].into_iter().zip(&vaults) {
            out.counts.insert(name, u64::from(vault.is_some()));
        }
        Self {
            history,
            stream: stream(0),
            leader: Side::new(system, options, medium, (stream(1), vaults[0].clone())),
            model: Model::default(),
            sealed: 0,
            heard: Arc::default(),
            heard_lsn: Arc::default(),
            audience: Stand::default(),
            channel: VecDeque::new(),
            follower: Side::new(system, options, medium, (stream(2), vaults[1].clone())),
            stand: Stand::default(),
            applied: 0,
            noted: Some(0),
            copying: None,
            out,
        }
    }

    pub(super) fn count(&mut self, name: &'static str) {
        *self.out.counts.entry(name).or_default() += 1;
    }

    /// Plays the history; the findings and the calls are in what it returns.
    pub(super) fn play(mut self) -> Out {
        let mut operation = 0;
        if let Err(finding) = self.steps(&mut operation) {
            self.out.finding = Some((operation, finding));
        }
        self.copying = None;
        let fired = self.leader.fired() + self.follower.fired();
        self.out.counts.insert("faults", fired);
        let mut words = std::mem::take(&mut self.leader.words);
        words.append(&mut self.follower.words);
        words.extend([self.leader.disk.trace_hash(), self.follower.disk.trace_hash()]);
        self.out.hash = digest::of_words(&words);
        self.out
    }

    fn steps(&mut self, operation: &mut usize) -> Result<(), Finding> {
        self.out.ends.insert(0, Stand::default());
        self.follower.start(&DiskState::new())?;
        self.leader_starts(&DiskState::new(), &self.model.window())?;
        for (place, step) in self.history.operations.iter().enumerate() {
            *operation = place;
            self.lead(step)?;
            for _ in 0..self.stream.below(4) {
                self.follow()?;
            }
            match self.stream.below(48) {
                0 => self.stop_leader()?,
                1 | 2 => self.stop_follower()?,
                3 => self.connect_from_older()?,
                4 | 5 => self.forge()?,
                6..9 => self.tend_follower()?,
                _ => {}
            }
        }
        *operation = self.history.operations.len();
        self.settle_up()
    }

    /// Faults are over: the follower comes to hold what the leader holds.
    fn settle_up(&mut self) -> Result<(), Finding> {
        self.leader.disk.set_free_bytes(None);
        self.leader.arm(&[]);
        self.follower.arm(&[]);
        for turn in 0.. {
            if self.copying.is_none() && self.channel.is_empty() {
                break;
            }
            if turn == 10_000 {
                let expected = "a follower that comes to an end";
                return Err(Finding::new(Invariant::I11, expected, "10,000 turns"));
            }
            self.apply_next(false)?;
        }
        self.compare()
    }

    /// The leader's process ends between two calls.
    pub(super) fn stop_leader(&mut self) -> Result<(), Finding> {
        let stop = self.draw_stop();
        let state = self.leader.disk.state();
        let state = self.leader.stopped(&state, &stop);
        let window = self.model.window();
        self.leader_starts(&state, &window)
    }

    /// The follower's does.
    fn stop_follower(&mut self) -> Result<(), Finding> {
        let stop = self.draw_stop();
        let state = self.follower.disk.state();
        let state = self.follower.stopped(&state, &stop);
        let stand = self.stand.clone();
        self.follower_starts(&state, std::slice::from_ref(&stand))
    }

    pub(super) fn draw_stop(&mut self) -> Stop {
        match self.stream.chance(1, 3) {
            true => Stop::Kill,
            false => Stop::Power(*self.stream.pick(&Policy::ALL)),
        }
    }

    /// Starts the leader on a disk, and connects the follower anew.
    pub(super) fn leader_starts(
        &mut self,
        state: &DiskState,
        window: &Window,
    ) -> Result<(), Finding> {
        self.copying = None;
        self.count("leader starts");
        self.heard_lsn.store(0, Ordering::Relaxed);
        let content = self.leader.start(state)?;
        let place = self.leader.judged(&content, window)?;
        self.model.rewind(window);
        self.model.adopt(&window.states[place], &content.ids_by_key());
        let heard = self.heard_lsn.clone();
        let visible = move || heard.load(Ordering::Relaxed);
        self.leader.look_on(Some(Onlooker(Arc::new(visible))));
        drop(self.leader.steps());
        self.connect()
    }

    /// Starts the follower on a disk, and connects it anew.
    pub(super) fn follower_starts(
        &mut self,
        state: &DiskState,
        stands: &[Stand],
    ) -> Result<(), Finding> {
        self.count("follower starts");
        let content = self.follower.start(state)?;
        let window = window_of_stands(stands);
        let place = self.follower.judged(&content, &window)?;
        self.stand = stands[place].clone();
        drop(self.follower.steps());
        self.connect()
    }

    /// Another position than the newest, as a file that lags would give.
    fn connect_from_older(&mut self) -> Result<(), Finding> {
        let Some(noted) = self.noted else { return Ok(()) };
        let older: Vec<u64> = self.out.ends.range(..=noted).map(|(lsn, _)| *lsn).collect();
        let last = older.len().min(if self.stream.chance(1, 2) { 4 } else { 40 });
        self.noted = Some(older[older.len() - 1 - self.stream.index(last)]);
        self.connect()
    }

    fn listener(&self) -> Listener {
        let (heard, last) = (self.heard.clone(), self.heard_lsn.clone());
        Arc::new(move |told| {
            if !matches!(told.op, WalOp::Checkpoint { .. }) {
                last.store(told.lsn, Ordering::Relaxed);
            }
            heard.lock().unwrap_or_else(PoisonError::into_inner).push(told);
        })
    }

    fn take_heard(&self) -> Vec<Told> {
        std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Connects the follower with the leader, from the noted position on (P3).
    pub(super) fn connect(&mut self) -> Result<(), Finding> {
        self.leader.arm(&[]);
        self.channel.clear();
        drop(self.take_heard());
        let Some(from) = self.noted else { return self.begin_copy() };
        let listener = self.listener();
        match self.leader.inside(|leader| leader.observe(Some(from), listener))? {
            Ok(()) => {
                self.count("catch-ups by LSN");
                self.applied = from;
                self.audience = self.out.ends[&from].clone();
                self.hear(None, None)
            }
            Err(error) if error.kind() == ErrorKind::NotFound && from < self.sealed => {
                self.count("catch-ups too late");
                drop(self.take_heard());
                self.begin_copy()
            }
            Err(error) => {
                let sealed = self.sealed;
                let expected = format!("a catch-up from LSN {from}, with {sealed} sealed");
                Err(Finding::new(Invariant::I14, expected, format!("{error:?}")))
            }
        }
    }

    /// Begins a new follower with a copy of the leader.
    fn begin_copy(&mut self) -> Result<(), Finding> {
        self.noted = None;
        self.stand = Stand::default();
        self.follower.start(&DiskState::new())?;
        let listener = self.listener();
        let copied = self.leader.inside(|leader| {
            leader.observe(None, listener)?;
            leader.copied()
        })?;
        let committed = self.model.committed().clone();
        self.audience = Stand { state: committed.clone(), floor: self.model.id_floor() };
        let copied = copied.map_err(|error| {
            Finding::new(Invariant::Answers, "a copy of the leader", format!("{error:?}"))
        })?;
        if copied.lsn != committed.lsn {
            let expected = format!("a copy at LSN {}", committed.lsn);
            return Err(Finding::new(Invariant::I13, expected, copied.lsn.to_string()));
        }
        self.out.ends.insert(copied.lsn, self.audience.clone());
        self.copying = Some(copied);
        Ok(())
    }

    /// Takes in what the observer was told; where the leader stopped inside a call, up to an LSN.
    pub(super) fn hear(
        &mut self,
        window: Option<&Window>,
        limit: Option<u64>,
    ) -> Result<(), Finding> {
        let mut batch: Vec<Told> = Vec::new();
        for told in self.take_heard() {
            if let WalOp::Checkpoint { last_checkpointed_lsn: sealed, .. } = &told.op {
                self.hear_checkpoint(&told, sealed.value(), limit)?;
                continue;
            }
            if limit.is_some_and(|limit| told.lsn > limit) {
                continue;
            }
            let next = self.audience.state.lsn + batch.len() as u64 + 1;
            if told.lsn != next {
                let expected = format!("an observer is told of LSN {next} next, once");
                return Err(Finding::new(Invariant::I14, expected, format!("{told:?}")));
            }
            let ends = told.ends_batch;
            batch.push(told);
            if ends {
                self.hear_batch(std::mem::take(&mut batch).into(), window)?;
            }
        }
        let (told, committed) = (&self.audience.state, self.model.committed());
        let short = limit.is_none() && !same(told, committed);
        if short || !batch.is_empty() {
            let expected = format!("an observer is told of all up to LSN {}", committed.lsn);
            let found = format!("up to {}, {} more, or other content", told.lsn, batch.len());
            return Err(Finding::new(Invariant::I14, expected, found));
        }
        Ok(())
    }

    fn hear_checkpoint(
        &mut self,
        told: &Told,
        sealed: u64,
        limit: Option<u64>,
    ) -> Result<(), Finding> {
        self.count("checkpoints observed");
        let last = limit.unwrap_or(self.model.committed().lsn);
        if told.lsn != sealed || (limit.is_none() && sealed > last) {
            let expected = format!("a checkpoint of no more than LSN {last}");
            return Err(Finding::new(Invariant::I14, expected, format!("{told:?}")));
        }
        self.sealed = self.sealed.max(sealed);
        self.channel.push_back(Arc::from([told.clone()]));
        Ok(())
    }

    /// Takes in one commit (P2).
    fn hear_batch(&mut self, batch: Batch, window: Option<&Window>) -> Result<(), Finding> {
        self.count("batches observed");
        let ops: Vec<WalOp> = batch.iter().map(|told| told.op.clone()).collect();
        let wrong = |found: String| {
            let expected = "an observer is told what the leader committed";
            Err(Finding::new(Invariant::I14, expected, found))
        };
        let next = match self.audience.behind(&ops) {
            Effect::Leads(next) => next,
            other => return wrong(format!("{other:?} of {ops:?}")),
        };
        let is_one = |window: &Window| window.states.iter().any(|state| same(state, &next.state));
        if !window.is_none_or(is_one) {
            return wrong(format!("{ops:?}"));
        }
        let first = batch[0].lsn;
        match self.out.archive.get(&first) {
            Some(before) if **before != *batch => {
                return wrong(format!("{ops:?} at LSN {first}, where other things were before"));
            }
            _ => drop(self.out.archive.insert(first, batch.clone())),
        }
        self.out.ends.insert(next.state.lsn, next.clone());
        self.audience = next;
        self.channel.push_back(batch);
        Ok(())
    }

    /// Keeps the calls of one side with what a crash there may leave (P4).
    pub(super) fn mark(
        &mut self,
        who: Who,
        steps: Vec<Step>,
        window: &Arc<Window>,
        stands: &Arc<[Stand]>,
    ) {
        let noted = self.noted.map(|lsn| (lsn, self.out.ends[&lsn].clone()));
        for step in steps {
            let visible = step.visible;
            let window = match visible > window.acked_lsn && who == Who::Leader {
                true => Arc::new(window.seen_up_to(visible)),
                false => window.clone(),
            };
            let (stands, noted) = (stands.clone(), noted.clone());
            let (sealed, told) = (self.sealed, self.audience.state.lsn);
            self.out.calls.push(Marked { who, step, window, stands, noted, sealed, told });
        }
    }

    /// Holds the two stores against one another, where everything that was told was applied.
    pub(super) fn compare(&mut self) -> Result<(), Finding> {
        self.follower.arm(&[]);
        let read = self.follower.inside(|follower| checker::read(follower))?;
        let content = read.map_err(checker::Unreadable::finding)?;
        let window = window_of(vec![self.stand.state.clone()], self.stand.floor);
        self.follower.judged(&content, &window)?;
        if self.copying.is_none() && self.channel.is_empty() {
            self.count("equal states");
            let (mine, theirs) = (&self.stand.state, self.model.committed());
            if !same_but_lsn(mine, theirs) {
                let expected = format!("what the leader holds at LSN {}", theirs.lsn);
                let found = format!("something else on the follower, at its LSN {}", mine.lsn);
                return Err(Finding::new(Invariant::Answers, expected, found));
            }
        }
        Ok(())
    }

    /// The next operations of a copy; nothing at its end.
    pub(super) fn next_copied(&mut self) -> Result<Option<WalOp>, Finding> {
        let Some(copied) = &mut self.copying else { return Ok(None) };
        let next = panic_trap::catch(|| copied.ops.next().transpose());
        self.leader.blame.take_in(&self.leader.disk.take_trace());
        match next {
            Ok(Ok(next)) => Ok(next),
            other => {
                Err(Finding::new(Invariant::I13, "a copy that can be read", format!("{other:?}")))
            }
        }
    }
}

/// Whether two states are the same one.
pub(super) fn same(a: &State, b: &State) -> bool {
    a.lsn == b.lsn && same_but_lsn(a, b)
}

/// Whether two stores hold the same, each at LSNs of its own.
pub(super) fn same_but_lsn(a: &State, b: &State) -> bool {
    let ids = |state: &State| -> Vec<_> {
        state.collections.iter().map(|(name, one)| (name.clone(), one.id)).collect()
    };
    a.digest == b.digest && ids(a) == ids(b)
}

/// The window of what a follower may hold.
pub(super) fn window_of_stands(stands: &[Stand]) -> Window {
    let states = stands.iter().map(|stand| stand.state.clone()).collect();
    window_of(states, stands[0].floor)
}
