//! The forward run: one history on one simulated disk, forked at each I/O call.
//!
//! **Place.** Carries out a [`History`] and returns the crash points that the explorer looks at,
//! each with the window of states that a crash there may leave. Kills and losses of power that are
//! part of the history happen here too, and are checked on the way.
//!
//! - F1. Every mutating I/O call is a point before and a point inside it, under the window of the
//!   call of the store in which it happened. The end of each operation is a point under the window
//!   after its answers: that is where what was acknowledged must be there.
//!   A reader looks just before each call: what it saw has to survive a crash there, though nobody
//!   was answered yet.
//! - F2. Without a fault every call of the store succeeds or is refused as the model says. A call in
//!   which I/O calls failed may answer what these stand for (`blame`), and no other.
//! - F3. An open that fails after a fault is tried again; once the faults are spent it succeeds.
//! - F4. Nothing here depends on time or on threads: equal seeds, equal traces.

mod actions;
mod audience;
pub(crate) mod blame;
mod bounds;
mod copies;
mod held;
mod indexes;
mod keys;
mod names;
mod reopening;
mod space;
mod standing;
mod stepwise;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use quiver_store::Env;
use quiver_store::vfs::Clock;

use crate::address::Address;
use crate::backup::{BACKUP_DIR, Backup};
use crate::checker::{Finding, Invariant};
use crate::digest;
use crate::disk::{
    CallClass, CrashPlan, DiskState, Fault, FaultPlan, IoCall, IoKind, PlannedFault, Recording,
};
use crate::disk::{SimClock, SimDisk, SimEntropy, Step, Ticking};
use crate::history::{Action, History, Operation, Planned, Shape, Strike};
use crate::model::{Answered, Model, Window, is_refusal};
use crate::panic_trap;
use crate::stream::Stream;
use crate::system::{Outcome, Request, Session, Standing, System, Ticket};
use crate::vault::{Custody, Vault};
pub(crate) use audience::Audience;
use blame::Blame;
pub(crate) use reopening::open_any;
pub use space::{FULL_DISK, RESERVE_OWED};
pub use stepwise::{Said, Stepwise, Taken};

/// Where every store of the simulator lives.
pub const STORE_DIR: &str = "/store";

/// I/O calls after which one call of a store counts as hanging.
pub const CALLS_MAX: u64 = 200_000;

/// A mutating I/O call of the forward run.
#[derive(Clone, Debug)]
pub struct Marked {
    /// The call, and the disk before it.
    pub step: Step,
    /// What a crash before or inside it may leave.
    pub window: Arc<Window>,
    /// The operation of the history, by its place.
    pub operation: usize,
}

/// A crash point.
#[derive(Clone, Debug)]
pub enum Point {
    /// Just before a call, which is also just after the one before it.
    Before(usize),
    /// Inside a call.
    Inside(usize),
    /// After an operation, its answers known.
    End {
        /// The disk.
        state: DiskState,
        /// What a crash may leave.
        window: Arc<Window>,
        /// How many mutating calls came before.
        calls: usize,
        /// The operation, by its place.
        operation: usize,
    },
}

/// What a forward run leaves for the explorer.
#[derive(Debug, Default)]
pub struct Forward {
    /// The mutating calls, in order.
    pub calls: Vec<Marked>,
    /// The crash points, in order.
    pub points: Vec<Point>,
    /// Violations seen on the way, with the operation.
    pub findings: Vec<(usize, Finding)>,
    /// How often each invariant was evaluated on the way.
    pub evaluated: BTreeMap<Invariant, u64>,
    /// How often each fault fired.
    pub faults: BTreeMap<&'static str, u64>,
    /// For each disk that was mounted, in order, the calls that faults are counted by, and which
    /// fault struck each.
    pub counted: Vec<Vec<(CallClass, Option<Fault>)>>,
    /// Whether the sync of a directory above the store failed: what that lost cannot be mended
    /// through the seam, and `docs/durability.md` says so.
    pub parent_lost: bool,
    /// How many mutating calls came before the call of the store in which the first fault fired.
    pub first_struck: Option<usize>,
    /// How many calls the first opening made.
    pub opening_calls: usize,
    /// The losses of power that are part of the history, with the operation.
    pub losses: Vec<(usize, CrashPlan)>,
    /// The disk and the window after the last operation, unless a finding ended the run.
    pub last: Option<(DiskState, Arc<Window>)>,
    /// What the history says that does not fit this run.
    pub astray: Option<String>,
    /// Operations carried out.
    pub operations: u64,
    /// What it came to, by the names of [`crate::tally::SPREADS`].
    pub counts: BTreeMap<&'static str, u64>,
    /// A hash of all I/O calls and all answers.
    pub trace_hash: u64,
    /// The keys and secrets of an encrypted run.
    pub vault: Option<Arc<Vault>>,
}

impl Forward {
    /// Carries out the history of a seed.
    pub fn of(system: &dyn System, history: &History) -> Self {
        let mut runner = Runner::new(system, history);
        runner.begin();
        for (place, operation) in history.operations.iter().enumerate() {
            if runner.stopped {
                break;
            }
            runner.take_turn(place, operation);
        }
        runner.operation = history.operations.len();
        runner.finish();
        runner.out
    }

    /// The disk, the window and the number of calls before of a point. The disk of a point inside a
    /// call is the one before it.
    pub fn at<'a>(&'a self, point: &'a Point) -> (&'a DiskState, &'a Arc<Window>, usize) {
        match point {
            Point::Before(call) | Point::Inside(call) => {
                let marked = &self.calls[*call];
                (&marked.step.before, &marked.window, *call)
            }
            Point::End { state, window, calls, .. } => (state, window, *calls),
        }
    }
}

struct Runner<'a> {
    system: &'a dyn System,
    history: &'a History,
    address: Address,
    disk: SimDisk,
    clock: Arc<SimClock>,
    session: Option<Box<dyn Session>>,
    model: Model,
    waiting: VecDeque<(Ticket, Request)>,
    /// Snapshots and iterators that the history holds.
    snapshots: Vec<held::Snapshot>,
    paused: Vec<held::Paused>,
    /// Who observes the store of this process.
    audience: Option<Audience>,
    /// Indexes that were built and not kept yet.
    captured: Vec<indexes::Captured>,
    /// The newest backup, how many there are, and whether one is being made.
    backup: Option<Arc<Backup>>,
    backups: u64,
    is_backing_up: bool,
    /// The LSN up to which everything is in segments, where this process sealed it.
    sealed: Option<u64>,
    out: Forward,
    operation: usize,
    /// Tells the draws of this operation from those of the others.
    dice: u64,
    /// How many processes have opened the store.
    processes: u64,
    /// Whether a fault fired in this process.
    excused: bool,
    /// Whether one fired in the process before, or the disk was full, and its log is still there: nothing
    /// was sealed since.
    inherits: bool,
    /// Whether the disk was full in this process.
    was_full: bool,
    /// Which errors the last call of the store may have answered (F2).
    blame: Blame,
    /// How much space there is.
    space: space::Space,
    /// Faults fired on this disk so far.
    fired: u64,
    /// Segments and tombstones that this process has made and that were not seen in a manifest; the first
    /// mutating call that was not looked at for that.
    made: BTreeSet<Arc<str>>,
    /// Files that this process has removed.
    removed: BTreeSet<Arc<str>>,
    unseen_call: usize,
    /// The first mutating call of the last operation, and the manifest version before it.
    last_operation: (usize, u64),
    /// A version of the manifest that is known to be durable.
    manifest: u64,
    /// Whether the one that is visible may be another.
    manifest_unsure: bool,
    /// What it was when this operation began, or where it went back to.
    manifest_before: u64,
    /// What the store of this process said last.
    standing: Standing,
    /// What this operation has done that a tighter bound holds after.
    done: bounds::Done,
    /// What is owed of the keys.
    custody: Custody,
    /// Shreds that were acknowledged as drops and not finished yet.
    shreds: Vec<keys::Begun>,
    /// Whether this process has shredded anything.
    has_shredded: bool,
    words: Vec<u64>,
    /// What the last operation was answered.
    said: Said,
    /// Another clock for its processes than the one that they are drawn.
    time: Option<Arc<dyn Clock>>,
    /// Whether all is done that the history says: nothing is struck any more, in no process.
    faults_over: bool,
    stopped: bool,
}

impl<'a> Runner<'a> {
    fn new(system: &'a dyn System, history: &'a History) -> Self {
        let vault = (history.encrypted && system.encrypts()).then(|| Vault::of(history));
        Self {
            system,
            history,
            address: history.address(),
            disk: SimDisk::new(),
            clock: Arc::new(SimClock::new(0)),
            session: None,
            model: Model::default(),
            waiting: VecDeque::new(),
            snapshots: Vec::new(),
            paused: Vec::new(),
            audience: None,
            captured: Vec::new(),
            backup: None,
            backups: 0,
            is_backing_up: false,
            sealed: None,
            out: Forward { vault, ..Forward::default() },
            operation: 0,
            dice: 0,
            processes: 0,
            excused: false,
            inherits: false,
            was_full: false,
            blame: Blame::default(),
            space: space::Space::default(),
            fired: 0,
            made: BTreeSet::new(),
            removed: BTreeSet::new(),
            unseen_call: 0,
            last_operation: (0, 0),
            manifest: 0,
            manifest_unsure: false,
            manifest_before: 0,
            standing: Standing::default(),
            done: bounds::Done::default(),
            custody: Custody::default(),
            shreds: Vec::new(),
            has_shredded: false,
            words: Vec::new(),
            said: Said::default(),
            time: None,
            faults_over: false,
            stopped: false,
        }
    }

    /// Creates the store.
    fn begin(&mut self) {
        self.reopen(SimDisk::new(), &self.history.opening);
        self.out.opening_calls = self.out.calls.len();
    }

    /// Carries out the operation of a place.
    fn take_turn(&mut self, place: usize, operation: &Operation) {
        self.operation = place;
        self.dice = self.history.dice_of(place);
        self.said = Said::default();
        self.carry_out(operation);
    }

    fn carry_out(&mut self, operation: &Operation) {
        let calls_before = self.out.calls.len();
        self.manifest_before = self.manifest;
        self.done = bounds::Done::Other;
        let lsn_before = self.model.committed().lsn;
        let limbo_before = self.model.in_limbo();
        if !operation.faults.is_empty() {
            self.arm(&operation.faults);
        }
        self.perform(&operation.action, &operation.faults);
        if self.stopped {
            self.keep_calls();
        }
        self.heed_vault();
        self.heed_audience();
        self.out.operations += 1;
        self.check_standing();
        // Who is only observed has done nothing that could be stopped inside.
        if !matches!(operation.action, Action::Observe) {
            self.last_operation = (calls_before, self.manifest_before);
        }
        let moved = self.out.calls.len() > calls_before
            || self.model.committed().lsn != lsn_before
            || self.model.in_limbo() != limbo_before;
        if moved && !self.stopped {
            self.mark_end();
        }
    }

    /// A window with what the model does not know.
    fn window_of(&self, window: Window) -> Window {
        let (backup, custody) = (self.backup.clone(), self.custody.clone());
        Window { manifest: self.manifest, backup, custody, ..window }
    }

    fn mark_end(&mut self) {
        if self.history.shape == Shape::Churn {
            return;
        }
        let window = Arc::new(self.window_of(self.model.window()));
        let (state, calls, operation) = (self.disk.state(), self.out.calls.len(), self.operation);
        self.out.points.push(Point::End { state, window, calls, operation });
    }

    fn arm(&mut self, faults: &[Planned]) {
        self.count_faults();
        let faults = faults
            .iter()
            .map(|planned| PlannedFault { call_index: planned.after_calls, fault: planned.fault })
            .collect();
        let seed = self.stream(0x6661_756c).draw();
        self.disk.set_faults(FaultPlan { faults, seed });
    }

    /// Arms what the history has for the process that begins.
    fn arm_strikes(&mut self) {
        if self.faults_over {
            return;
        }
        let process = self.out.counted.len() - 1;
        let own = self.history.strikes.iter().filter(|strike| strike.process == process);
        let planned =
            |strike: &Strike| PlannedFault { call_index: strike.call, fault: strike.fault };
        let faults: Vec<PlannedFault> = own.map(planned).collect();
        if !faults.is_empty() {
            self.disk.set_faults(FaultPlan { faults, seed: self.history.dice });
        }
    }

    /// Adds the faults of a plan that ends to the run's totals.
    fn count_faults(&mut self) {
        self.notice_faults();
        for (name, times) in self.disk.faults_fired() {
            *self.out.faults.entry(name).or_default() += times;
        }
        self.fired = 0;
    }

    /// Runs something in the store; `None` if it panicked, which ends the history.
    fn inside<T>(&mut self, run: impl FnOnce(&dyn Session) -> T) -> Option<T> {
        let session = self.session.take()?;
        self.disk.set_onlooker(session.onlooker());
        let result = self.guarded(|| run(&*session));
        // It holds the store, which holds the disk.
        self.disk.set_onlooker(None);
        self.session = Some(session);
        result
    }

    /// Runs something on what a store gave away; `None` as for [`Runner::inside`].
    fn guarded<T>(&mut self, run: impl FnOnce() -> T) -> Option<T> {
        self.disk.set_call_budget(CALLS_MAX);
        match panic_trap::catch(run) {
            Ok(value) => Some(value),
            Err(panic) => {
                self.found(Finding::new(Invariant::I5, "no panic", panic));
                self.stopped = true;
                None
            }
        }
    }

    /// After a call that may have committed: who was answered, what it means, which calls it made.
    fn after_call(&mut self, own: Option<(Request, quiver_store::Result<Outcome>)>) {
        self.notice_faults();
        let mut answered = Vec::new();
        while let Some((ticket, _)) = self.waiting.front() {
            let ticket = *ticket;
            let Some(Some(answer)) = self.inside(|session| session.poll(ticket)) else { break };
            let (_, request) = self.waiting.pop_front().expect("it was at the front");
            self.said.hear(Some(ticket), &answer);
            answered.push((request, answer));
        }
        if let Some((request, answer)) = own {
            self.said.hear(None, &answer);
            answered.push((request, answer));
        }
        let shreds = self.shreds_among(&answered);
        let mut list = Vec::with_capacity(answered.len());
        for (request, answer) in answered {
            self.evaluated(Invariant::Answers);
            self.words.push(word_of(&answer));
            let answer = answer.map_err(|error| {
                self.check_error(&error);
                error.kind()
            });
            if answer.is_ok() {
                self.check_success("a request");
            }
            list.push(Answered { request, answer });
        }
        let (window, complaints) = self.model.settle(&list);
        for complaint in complaints {
            self.found(Finding::new(Invariant::Answers, "the model's answer", complaint));
            self.stopped = true;
        }
        self.mark_calls(window);
        self.begin_shreds(shreds);
    }

    /// Whether an error of a call is one that may be answered (F2).
    fn check_error(&mut self, error: &quiver_store::Error) {
        self.evaluated(Invariant::I10);
        if is_refusal(error.kind()) || self.blame.excuses(error.kind()) {
            self.check_reserve(error);
            return;
        }
        let expected = "an error that stands for what I/O calls came to, if any failed";
        let found = format!("{error:?}, with {:?}", self.blame);
        self.found(Finding::new(Invariant::I10, expected, found));
        self.stopped = true;
    }

    /// Whether something may have succeeded: not after a publish failed from its rename on.
    fn check_success(&mut self, what: &str) {
        if self.blame.forbids_writes() {
            self.evaluated(Invariant::I10);
            let expected = "Latched, since a publish of this process failed from its rename on";
            self.found(Finding::new(Invariant::I10, expected, format!("{what} succeeded")));
            self.stopped = true;
        }
    }

    /// Takes in what the I/O calls of the last call of the store came to.
    fn notice_faults(&mut self) {
        let trace = self.disk.take_trace();
        self.blame.take_in(&trace);
        if let Some(counted) = self.out.counted.last_mut() {
            counted.extend(trace.iter().filter_map(|call| Some((call.class()?, call.fault))));
        }
        let is_above = |path: &str| path != STORE_DIR && !path.starts_with(BACKUP_DIR);
        let lost = trace.iter().any(|call| {
            call.kind == IoKind::SyncDir && call.fault.is_some() && is_above(&call.path)
        });
        match self.is_backing_up {
            // Only what is being made is below it.
            true if lost => self.backup = None,
            _ => self.out.parent_lost |= lost,
        }
        let without_space = |call: &&IoCall| {
            call.fault.is_none() && call.result == Err(std::io::ErrorKind::StorageFull)
        };
        self.count_full(trace.iter().filter(without_space).count() as u64);
        let fired = self.disk.faults_fired();
        let benign =
            |name| Fault::ALL.iter().any(|fault| fault.name() == name && fault.is_benign());
        if !fired.is_empty() {
            self.out.first_struck.get_or_insert(self.out.calls.len());
        }
        let fired = fired.iter().filter(|(name, _)| !benign(**name)).map(|(_, times)| times).sum();
        self.excused |= fired > self.fired;
        self.fired = fired;
    }

    /// Turns the calls made since the last time into crash points (F1).
    fn mark_calls(&mut self, window: Window) {
        let steps = self.disk.take_steps();
        let window = Arc::new(self.window_of(window));
        let mut narrower: BTreeMap<u64, Arc<Window>> = BTreeMap::new();
        for step in steps {
            self.check_name(&step);
            let call = self.out.calls.len();
            let mut window = window.clone();
            if step.visible > window.acked_lsn {
                let narrowed = narrower.entry(step.visible);
                window =
                    narrowed.or_insert_with(|| Arc::new(window.seen_up_to(step.visible))).clone();
                self.more("calls behind what a reader saw", 1);
            }
            let marked = Marked { step, window, operation: self.operation };
            self.out.calls.push(marked);
            self.out.points.push(Point::Before(call));
            self.out.points.push(Point::Inside(call));
        }
    }

    /// Keeps the calls of an operation that did not come to its end, for the story: they are no crash points.
    fn keep_calls(&mut self) {
        let steps = self.disk.take_steps();
        let window = Arc::new(self.window_of(self.model.window()));
        let marked = |step| Marked { step, window: window.clone(), operation: self.operation };
        self.out.calls.extend(steps.into_iter().map(marked));
    }

    fn found(&mut self, finding: Finding) {
        self.out.findings.push((self.operation, finding));
    }

    fn evaluated(&mut self, invariant: Invariant) {
        *self.out.evaluated.entry(invariant).or_default() += 1;
    }

    /// The choices of one use that belong to this operation.
    fn stream(&self, of_use: u64) -> Stream {
        self.address.stream(of_use.wrapping_add(self.dice))
    }

    /// Counts the clock of the last process, where it was odd and looked at.
    fn count_clock(&mut self) {
        let odd = self.clock.noticed().filter(|ticking| *ticking != Ticking::Steady);
        if let Some(ticking) = odd {
            *self.out.faults.entry(ticking.name()).or_default() += 1;
        }
    }

    /// Faults are over: the store must write again (I11). Then the books are closed.
    fn finish(&mut self) {
        if self.history.faulty && !self.stopped {
            self.come_back();
        }
        if self.history.shape == Shape::Churn && !self.stopped {
            self.kill(&[]);
        }
        self.read_all_held();
        self.snapshots.clear();
        self.paused.clear();
        if !self.stopped {
            let window = Arc::new(self.window_of(self.model.window()));
            self.out.last = Some((self.disk.state(), window));
        }
        self.session = None;
        self.heed_vault();
        self.count_clock();
        self.close_books();
        let hashes = std::mem::take(&mut self.words);
        self.out.trace_hash = digest::of_words(&hashes);
    }

    /// Adds what this disk counted to the run's totals.
    fn close_books(&mut self) {
        self.count_faults();
        self.words.push(self.disk.trace_hash());
    }
}

/// What a store on a simulated disk stands on.
pub fn env_on(disk: &SimDisk, entropy_seed: u64) -> Env {
    Env::new(
        PathBuf::from(STORE_DIR),
        Arc::new(disk.clone()),
        Arc::new(SimClock::new(entropy_seed)),
        Arc::new(SimEntropy::with_faults_of(entropy_seed, disk)),
    )
}

fn word_of(answer: &quiver_store::Result<Outcome>) -> u64 {
    let shown = match answer {
        Ok(outcome) => format!("{outcome:?}"),
        Err(error) => format!("{error:?}"),
    };
    crate::digest::name_key(&shown)
}
