//! The process behind a crash: it recovers, takes a few operations, and is closed.
//!
//! - V1. The next crash may be at each of its calls that change something. They are counted through from its
//!   opening on, and each has its window: in the recovery that of the crash before it, then what was shown,
//!   then that and what the operations make of it.
//! - V2. What power takes behind all of that is drawn from the seed, and not said by a case (X1 of `examine`).

use std::slice;

use super::examine::{Shares, and_dropped, guarded, left_open};
use super::explore::Explorer;
use super::history::{self, Struck};
use super::told::{short, told_apart};
use super::{Finding, Kind, Subject};
use crate::disk::{DiskState, Policy, Recording, Step};
use crate::fs::SimFs;
use crate::stream::Stream;

/// Operations that an image is gone on with.
const OPERATIONS_FURTHER: u64 = 3;

/// What power takes behind an operation.
const LOSSES: [Policy; 2] = [Policy::Nothing, Policy::Random];

/// The calls of a process behind a crash (V1).
#[derive(Debug)]
pub(super) struct Life<State> {
    /// Each with the place of its window.
    calls: Vec<(Step, usize)>,
    windows: Vec<Vec<State>>,
}

impl<State: Clone> Life<State> {
    /// A recovery.
    pub(super) fn begun(window: &[State]) -> Self {
        Self { calls: Vec::new(), windows: vec![window.to_vec()] }
    }

    /// Takes the calls that were kept since it was asked last.
    pub(super) fn takes(&mut self, fs: &SimFs) {
        let window = self.windows.len() - 1;
        self.calls.extend(fs.disk().take_steps().into_iter().map(|step| (step, window)));
    }

    /// What a crash may leave from now on.
    fn goes_on(&mut self, window: Vec<State>) {
        self.windows.push(window);
    }

    /// The calls and what a crash at each of them may leave.
    pub(super) fn calls(&self) -> Vec<(&Step, &[State])> {
        self.calls.iter().map(|(step, window)| (step, &self.windows[*window][..])).collect()
    }

    /// How many of the calls, the first ones, were made by opening it and looking.
    pub(super) fn calls_of_recovery(&self) -> usize {
        self.calls.partition_point(|(_, window)| *window == 0)
    }
}

impl<S: Subject> Explorer<'_, S> {
    /// What a recovered store is asked besides, up to its end.
    pub(super) fn lives_on(
        &self,
        fs: &SimFs,
        mut store: S::Store,
        shown: &S::State,
        (killed, shares): (bool, Shares),
        life: &mut Life<S::State>,
    ) -> Result<(), Finding> {
        // What a kill left in the page cache was shown, and may go yet where nobody has promised more.
        let stays = !killed || self.subject.keeps_what_it_showed();
        let window = life.windows[0].clone();
        let accepted = if stays { slice::from_ref(shown) } else { &window };
        if shares.further
            && let Err(finding) = self.stays(&fs.disk().state(), shown, accepted)
        {
            return and_dropped(fs.disk(), self.options, store, |_| Err(finding));
        }
        // An operation may change nothing, and sync nothing: what may have been lost before it may be
        // lost behind it.
        let mut latest = vec![shown.clone()];
        latest.extend(accepted.iter().filter(|base| *base != shown).cloned());
        let mut done = Vec::new();
        let taken = self.operations(fs, &mut store, &mut latest, shares, life, &mut done);
        let ended = match taken {
            Err(finding) => and_dropped(fs.disk(), self.options, store, |_| Err(finding)),
            Ok(allowed) => self.closes(fs, store, (&latest, &allowed), shares, life),
        };
        ended.map_err(|finding| finding.behind(done))
    }

    /// Opened again it shows the same, and behind a loss of power too.
    fn stays(
        &self,
        left: &DiskState,
        shown: &S::State,
        accepted: &[S::State],
    ) -> Result<(), Finding> {
        self.same_again(left, shown)?;
        for policy in LOSSES {
            self.after_loss(left, policy, |again| {
                let expected = format!("{shown:?}, as it showed before a loss of power");
                let changed = !self.subject.accepts(again, accepted);
                changed.then(|| Finding::new(Kind::Changed, expected, format!("{again:?}")))
            })?;
        }
        Ok(())
    }

    /// Operations behind a recovery, each as durable as any. One is not enough: an engine may be right
    /// about the first, for which it had looked up its place, and wrong about where it left off. What a crash
    /// may leave behind them is returned.
    fn operations(
        &self,
        fs: &SimFs,
        store: &mut S::Store,
        latest: &mut [S::State],
        shares: Shares,
        life: &mut Life<S::State>,
        done: &mut Vec<String>,
    ) -> Result<Vec<S::State>, Finding> {
        let (subject, options) = (self.subject, self.options);
        let mut allowed = latest.to_vec();
        for nth in 0..OPERATIONS_FURTHER {
            let op = history::probe(subject, self.seed, nth);
            latest.iter_mut().for_each(|state| subject.model(state, &op));
            let under_way = allowed.iter().chain(latest.iter()).cloned().collect();
            life.goes_on(under_way);
            let applied = guarded(fs.disk(), options, "an operation", || subject.apply(store, &op));
            life.takes(fs);
            let op_told = short(&format!("{op:?}"));
            if let Err(error) = applied? {
                let found = format!("it says: {error}");
                let expected = format!("{op_told} is acknowledged after a recovery");
                return Err(Finding::new(Kind::NotAfterwards, expected, found));
            }
            done.push(format!("then {op_told}: acknowledged"));
            if subject.is_durable(&op) {
                allowed.clear();
            }
            allowed.extend(latest.iter().cloned());
            for policy in LOSSES.into_iter().filter(|_| shares.further) {
                self.after_loss(&fs.disk().state(), policy, |again| {
                    let lost = !subject.accepts(again, &allowed);
                    let (expected, found) = told_apart(&allowed, again);
                    let expected = format!("{expected} after {op_told} was acknowledged");
                    let found = format!("{found} after a recovery, it, and a loss of power");
                    lost.then(|| Finding::new(Kind::NotAfterwards, expected, found))
                })?;
            }
        }
        Ok(allowed)
    }

    /// The end of the process: closed well, it is as it was.
    fn closes(
        &self,
        fs: &SimFs,
        store: S::Store,
        (latest, allowed): (&[S::State], &[S::State]),
        shares: Shares,
        life: &mut Life<S::State>,
    ) -> Result<(), Finding> {
        let (subject, options) = (self.subject, self.options);
        life.goes_on(allowed.to_vec());
        let closed = guarded(fs.disk(), options, "closing it", || subject.close(store));
        life.takes(fs);
        if let Err(error) = closed? {
            return Err(Finding::new(Kind::Refused, "it closes", format!("it says: {error}")));
        }
        if !shares.further {
            return Ok(());
        }
        let left = fs.disk().state();
        let behind = |finding: Finding| finding.behind(["then it is closed well".to_owned()]);
        let wrong = |again: &S::State, accepted: &[S::State]| {
            let (expected, found) = told_apart(accepted, again);
            let expected = format!("{expected}, as it was before it was closed");
            let is_wrong = !subject.accepts(again, accepted);
            is_wrong.then(|| Finding::new(Kind::NotAfterwards, expected, found))
        };
        let (_, again) = self.recover_and_drop(&left).map_err(behind)?;
        if let Some(finding) = wrong(&again, latest) {
            return Err(behind(finding));
        }
        LOSSES.into_iter().try_for_each(|policy| {
            self.after_loss(&left, policy, |again| wrong(again, allowed)).map_err(behind)
        })
    }

    /// Opened again it shows the same, with no more files.
    fn same_again(&self, left: &DiskState, shown: &S::State) -> Result<(), Finding> {
        let behind = |finding: Finding| {
            finding.behind(["then, after a kill of that process, the next one opens it".to_owned()])
        };
        let recovery = self.recover(left, Recording::Off).map_err(behind)?;
        let (fs, again) = (recovery.fs, recovery.shown);
        let checked = and_dropped(fs.disk(), self.options, recovery.store, |_| {
            if !self.subject.accepts(&again, slice::from_ref(shown)) {
                let expected = format!("{shown:?}, as the first opening showed");
                return Err(Finding::new(Kind::Changed, expected, format!("{again:?}")));
            }
            let (before, after) = (left.list().len(), fs.disk().state().list().len());
            if after > before {
                let expected = format!("no more than {before} files after a second opening");
                return Err(Finding::new(Kind::Leaks, expected, format!("{after} files")));
            }
            Ok(())
        });
        checked.and_then(|()| left_open(fs.disk()).map_or(Ok(()), |finding| Err(behind(finding))))
    }

    fn after_loss(
        &self,
        state: &DiskState,
        policy: Policy,
        wrong: impl FnOnce(&S::State) -> Option<Finding>,
    ) -> Result<(), Finding> {
        let mut dice = Stream::at(self.seed, &[4]);
        let mut plan = state.plan_power_loss(policy, false, &mut dice);
        while plan.shows_stale_bytes() && !self.options.stale_bytes {
            plan = state.plan_power_loss(policy, false, &mut dice);
        }
        let behind = |finding: Finding| {
            let lost = format!("then power is lost, policy {}:", policy.name());
            let lines = plan.describe().into_iter().map(|line| format!("      {line}"));
            finding.behind([lost].into_iter().chain(lines))
        };
        let (_, again) = self.recover_and_drop(&plan.build()).map_err(behind)?;
        wrong(&again).map_or(Ok(()), |finding| Err(behind(finding)))
    }

    /// The same image, opened by a process of which a call fails: whatever it says, nothing is lost by it.
    pub(super) fn struck(
        &mut self,
        (image, key): (&DiskState, u128),
        window: &[S::State],
        killed: bool,
    ) -> Result<(), Finding> {
        let fs = history::mount(self.seed, image);
        fs.disk().set_recording(Recording::Trace);
        self.recover_on(fs.clone()).and_then(|recovery| {
            and_dropped(fs.disk(), self.options, recovery.store, |_| Ok(()))
        })?;
        let classes = history::classes(&fs.disk().take_trace());
        let Some(struck) = history::fault_of_recovery(self.seed, key, &classes) else {
            return Ok(());
        };
        let Struck { fault, call } = struck;
        let story = format!("another process opens it, struck by {} at call {call}", fault.name());
        let behind = |finding: Finding| finding.behind([story.clone()]);
        let fs = history::mount(self.seed, image);
        fs.disk().set_faults(struck.plan(self.seed));
        let came_back = self.comes_back(&fs, struck, window, killed);
        self.tally.struck += u64::from(!fs.disk().faults_fired().is_empty());
        came_back.map_err(behind)
    }

    fn comes_back(
        &self,
        fs: &SimFs,
        struck: Struck,
        window: &[S::State],
        killed: bool,
    ) -> Result<(), Finding> {
        let subject = self.subject;
        let mut accepted = window.to_vec();
        match self.opened_on(fs)? {
            Ok((store, shown)) => {
                and_dropped(fs.disk(), self.options, store, |_| Ok(()))?;
                if !subject.accepts(&shown, window) {
                    let (expected, found) = told_apart(window, &shown);
                    return Err(Finding::new(Kind::Lost, expected, found));
                }
                if !killed || subject.keeps_what_it_showed() {
                    accepted = vec![shown];
                }
            }
            Err(error) => {
                let excused = !struck.fault.is_benign() && !fs.disk().faults_fired().is_empty();
                if !excused {
                    let found = format!("it says: {error}");
                    return Err(Finding::new(Kind::DoesNotOpen, "it opens", found));
                }
            }
        }
        if let Some(finding) = left_open(fs.disk()) {
            return Err(finding);
        }
        let left = fs.disk().state();
        let wrong = |again: &S::State| {
            let (expected, found) = told_apart(&accepted, again);
            let is_wrong = !subject.accepts(again, &accepted);
            is_wrong.then(|| Finding::new(Kind::Lost, expected, found))
        };
        let behind = |finding: Finding| finding.behind(["then the next process opens it".into()]);
        let (_, again) = self.recover_and_drop(&left).map_err(behind)?;
        if let Some(finding) = wrong(&again) {
            return Err(behind(finding));
        }
        LOSSES.into_iter().try_for_each(|policy| self.after_loss(&left, policy, wrong))
    }
}
