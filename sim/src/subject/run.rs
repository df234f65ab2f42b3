//! The forward run: one process that carries out a history, and what it may have left at any time.
//!
//! - R1. The window at a time is what the store may show after a crash just then (C2 of the module).
//!   It has one state for each way in which operations that failed may have happened.
//! - R2. A failed sync, or writeback, may take what was acknowledged and not promised to survive. From then on the
//!   store may show what a crash may leave, and goes on from that.
//! - R3. The last crash point is just behind the last act, whose answer is known. What is called behind that,
//!   by a look and by what drops the store, counts as calls of that act.

use std::collections::BTreeMap;

use super::examine::{guarded, left_open};
use super::history::{self, Act, Struck};
use super::told::told_apart;
use super::{Finding, Kind, Options, Subject};
use crate::disk::{CallClass, DiskState, Fault, FaultPlan, Recording, SimDisk, Step};
use crate::fs::SimFs;

/// Ways in which failed operations may have happened, beyond which a run is ended.
const WAYS_MAX: usize = 32;

/// Openings one after another, while a fault excuses that they fail: one is struck, the next is told late.
const OPENED_MAX: usize = 3;

/// Operations that fail one after another before the store is opened again.
const FAILED_MAX: usize = 2;

/// A call that may change what a crash leaves, and the act that made it: zero is the first opening.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) act: usize,
    pub(super) step: Step,
    /// It was made when the act was over (R3).
    pub(super) is_behind: bool,
}

/// What came of an act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Acknowledged,
    Failed(String),
    Restarted,
}

/// A run.
pub(super) struct Run<S: Subject> {
    /// What the first opening said, where the fault struck it.
    pub(super) unopened: Option<String>,
    pub(super) acts: Vec<Act<S::Op>>,
    pub(super) outcomes: Vec<Outcome>,
    pub(super) made: Vec<Made>,
    /// What may be shown after each act; the first is before all.
    states: Vec<Vec<S::State>>,
    /// The act from which on nothing may be missing, after each act.
    floor: Vec<usize>,
    /// The disk behind the last act (R3).
    pub(super) end: DiskState,
    /// How many calls of each class there were, after each act.
    pub(super) classes: Vec<BTreeMap<CallClass, u64>>,
    pub(super) fired: BTreeMap<&'static str, u64>,
    /// The act in which the fault struck.
    pub(super) struck_in: Option<usize>,
    pub(super) calls: u64,
    pub(super) trace_hash: u64,
    pub(super) finding: Option<Finding>,
}

struct Runner<'a, S: Subject> {
    subject: &'a S,
    options: &'a Options,
    fs: SimFs,
    struck: Option<Struck>,
    store: Option<S::Store>,
    failed: usize,
    run: Run<S>,
}

impl<S: Subject> Run<S> {
    /// Carries the acts out.
    pub(super) fn of(
        subject: &S,
        options: &Options,
        seed: u64,
        acts: Vec<Act<S::Op>>,
        struck: Option<Struck>,
    ) -> Self {
        let fs = history::mount(seed, &DiskState::new());
        fs.disk().set_faults(struck.map(|struck| struck.plan(seed)).unwrap_or_default());
        let run = Self {
            unopened: None,
            acts: Vec::new(),
            outcomes: Vec::new(),
            made: Vec::new(),
            states: vec![vec![S::State::default()]],
            floor: vec![0],
            end: fs.disk().state(),
            classes: Vec::new(),
            fired: BTreeMap::new(),
            struck_in: None,
            calls: 0,
            trace_hash: 0,
            finding: None,
        };
        let mut runner = Runner { subject, options, fs, struck, store: None, failed: 0, run };
        runner.carry_out(acts);
        runner.run
    }

    /// What a crash at a call may leave.
    pub(super) fn window_of(&self, subject: &S, made: &Made) -> Vec<S::State> {
        match made.is_behind {
            true => self.window_after(made.act),
            false => self.window(subject, made.act),
        }
    }

    /// What a crash may leave while this act is under way.
    fn window(&self, subject: &S, act: usize) -> Vec<S::State> {
        let Some(before) = act.checked_sub(1) else { return self.states[0].clone() };
        let mut window = self.window_after(before);
        if let Some(Act::Do(op)) = self.acts.get(before) {
            for state in &self.states[before] {
                let mut next = state.clone();
                subject.model(&mut next, op);
                add(&mut window, next);
            }
        }
        window
    }

    /// What a crash may leave after this act.
    pub(super) fn window_after(&self, act: usize) -> Vec<S::State> {
        let mut window = Vec::new();
        for states in &self.states[self.floor[act]..=act] {
            states.iter().for_each(|state| add(&mut window, state.clone()));
        }
        window
    }
}

impl<S: Subject> Runner<'_, S> {
    fn carry_out(&mut self, acts: Vec<Act<S::Op>>) {
        let disk = self.fs.disk().clone();
        disk.set_recording(Recording::Forks);
        self.run.unopened = self.open();
        self.take_calls(0);
        for (place, act) in acts.into_iter().enumerate() {
            if self.run.finding.is_some() {
                break;
            }
            self.run.acts.push(act.clone());
            match act {
                Act::Do(op) => self.apply(&op),
                Act::Restart => self.restart(),
            }
            self.take_calls(place + 1);
            if self.run.states.last().is_some_and(|states| states.len() > WAYS_MAX) {
                break;
            }
        }
        self.run.end = disk.state();
        if self.run.finding.is_none() {
            self.look();
        }
        self.drop_store();
        self.look_for_open_files();
        self.take_steps(self.run.acts.len(), true);
        for (fault, times) in disk.faults_fired() {
            *self.run.fired.entry(fault).or_default() += times;
        }
        self.run.calls = disk.io_calls();
        self.run.trace_hash = disk.trace_hash();
    }

    fn drop_store(&mut self) {
        let Some(store) = self.store.take() else { return };
        let dropped = guarded(self.fs.disk(), self.options, "dropping it", || drop(store));
        self.find(dropped.err());
    }

    /// Whether the fault is one that excuses, and has struck since the store was opened. A failed writeback may be
    /// told by a sync behind the next opening.
    fn has_struck(&self) -> bool {
        let of_late = self.fs.disk().faults_fired().values().any(|times| *times > 0);
        self.struck.is_some_and(|Struck { fault, .. }| {
            let is_late = fault == Fault::WritebackEio && !self.run.fired.is_empty();
            !fault.is_benign() && (of_late || is_late)
        })
    }

    /// Takes in what may have been lost without a crash (R2).
    fn heed_losses(&mut self) {
        let excuses = self.struck.is_some_and(|struck| !struck.fault.is_benign());
        let has_fired = !self.run.fired.is_empty() || !self.fs.disk().faults_fired().is_empty();
        if excuses && has_fired {
            let last = self.run.states.len() - 1;
            self.run.states[last] = self.run.window_after(last);
        }
    }

    fn find(&mut self, finding: Option<Finding>) {
        if self.run.finding.is_none() {
            self.run.finding = finding;
        }
    }

    /// Opens it; where a fault strikes that, once more without. What it said then.
    fn open(&mut self) -> Option<String> {
        let mut said = None;
        for _ in 0..OPENED_MAX {
            let Some(error) = self.open_once() else { return said };
            if !self.has_struck() {
                let before = said.map(|said| format!("; before, when a call failed: {said}"));
                let found = format!("it says: {error}{}", before.unwrap_or_default());
                self.find(Some(Finding::new(Kind::DoesNotOpen, "it opens", found)));
                return None;
            }
            self.look_for_open_files();
            self.run.fired.extend(self.fs.disk().faults_fired());
            self.fs.disk().set_faults(FaultPlan::default());
            said = Some(error);
        }
        let found = format!("it says, again and again: {}", said.as_deref().unwrap_or_default());
        self.find(Some(Finding::new(Kind::DoesNotOpen, "it opens", found)));
        said
    }

    /// What it says, if it does not open.
    fn open_once(&mut self) -> Option<String> {
        let (subject, fs) = (self.subject, self.fs.clone());
        match guarded(fs.disk(), self.options, "opening it", || subject.open(&fs)) {
            Err(finding) => self.find(Some(finding)),
            Ok(Ok(store)) => self.store = Some(store),
            Ok(Err(error)) => return Some(error.to_string()),
        }
        None
    }

    fn apply(&mut self, op: &S::Op) {
        let (subject, disk) = (self.subject, self.fs.disk().clone());
        let Some(store) = &mut self.store else { return };
        let applied = guarded(&disk, self.options, "an operation", || subject.apply(store, op));
        self.heed_losses();
        let before = self.run.states.last().expect("there is one before all").clone();
        let mut after = Vec::new();
        for state in &before {
            let mut next = state.clone();
            subject.model(&mut next, op);
            add(&mut after, next);
        }
        let mut floor = *self.run.floor.last().expect("there is one before all");
        match applied {
            Err(finding) => {
                self.run.outcomes.push(Outcome::Failed(format!("it {}", finding.kind.name())));
                self.find(Some(finding));
            }
            Ok(Ok(())) => {
                self.failed = 0;
                self.run.outcomes.push(Outcome::Acknowledged);
                if subject.is_durable(op) {
                    floor = self.run.states.len();
                }
            }
            Ok(Err(error)) => {
                if !self.has_struck() {
                    let found = format!("it says: {error}");
                    let expected = format!("{op:?} is acknowledged, as no call failed");
                    self.find(Some(Finding::new(Kind::Refused, expected, found)));
                }
                before.into_iter().for_each(|state| add(&mut after, state));
                self.failed += 1;
                self.run.outcomes.push(Outcome::Failed(error.to_string()));
            }
        }
        self.run.states.push(after);
        self.run.floor.push(floor);
        if self.failed > FAILED_MAX {
            self.failed = 0;
            self.reopen();
        }
    }

    fn restart(&mut self) {
        self.run.outcomes.push(Outcome::Restarted);
        self.heed_losses();
        let states = self.run.states.last().expect("there is one before all").clone();
        self.run.states.push(states);
        self.run.floor.push(*self.run.floor.last().expect("there is one before all"));
        if let Some(store) = self.store.take() {
            let (subject, disk) = (self.subject, self.fs.disk().clone());
            match guarded(&disk, self.options, "closing it", || subject.close(store)) {
                Err(finding) => self.find(Some(finding)),
                Ok(Err(error)) if !self.has_struck() => {
                    let found = format!("it says: {error}");
                    self.find(Some(Finding::new(Kind::Refused, "it closes", found)));
                }
                Ok(_) => {}
            }
        }
        self.look_for_open_files();
        self.reopen();
        self.look();
    }

    /// Opens it anew.
    fn reopen(&mut self) {
        self.drop_store();
        self.open();
    }

    /// What it shows while it is open is what it was made.
    fn look(&mut self) {
        let (subject, disk) = (self.subject, self.fs.disk().clone());
        let Some(store) = &mut self.store else { return };
        let shown = guarded(&disk, self.options, "a look at it", || subject.observe(store));
        self.heed_losses();
        let states = self.run.states.last().expect("there is one before all");
        match shown {
            Err(finding) => self.find(Some(finding)),
            Ok(Err(error)) if !self.has_struck() => {
                let found = format!("it says: {error}");
                self.find(Some(Finding::new(Kind::Refused, "it shows what it holds", found)));
            }
            Ok(Err(_)) => {}
            Ok(Ok(shown)) => {
                if !subject.accepts(&shown, states) {
                    let (expected, found) = told_apart(states, &shown);
                    let found = format!("{found}, with no crash at all");
                    self.find(Some(Finding::new(Kind::Lost, expected, found)));
                }
            }
        }
    }

    fn look_for_open_files(&mut self) {
        self.find(left_open(self.fs.disk()));
    }

    fn take_calls(&mut self, act: usize) {
        self.take_steps(act, false);
        let mut classes = self.run.classes.last().cloned().unwrap_or_default();
        for (class, times) in history::classes(&self.fs.disk().take_trace()) {
            *classes.entry(class).or_default() += times;
        }
        self.run.classes.push(classes);
    }

    fn take_steps(&mut self, act: usize, is_behind: bool) {
        let disk: &SimDisk = self.fs.disk();
        let made = disk.take_steps().into_iter().map(|step| Made { act, step, is_behind });
        self.run.made.extend(made);
        let has_fired = !self.run.fired.is_empty() || !disk.faults_fired().is_empty();
        if self.run.struck_in.is_none() && has_fired {
            self.run.struck_in = Some(act);
        }
    }
}

/// Adds a state that is not there.
fn add<T: PartialEq>(states: &mut Vec<T>, state: T) {
    if !states.contains(&state) {
        states.push(state);
    }
}
