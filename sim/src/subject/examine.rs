//! One crash image: opened by the code under test and checked.
//!
//! - X1. What is done to an image is a function of the seed and of the image, whatever was looked at
//!   before it. So a case that names the image alone finds the same.

use std::slice;

use super::explore::Explorer;
use super::told::{told_apart, words_of};
use super::{Finding, Kind, Options, Subject, history};
use crate::disk::{DiskState, EXHAUSTED, Policy, Recording, SimDisk, Step};
use crate::explore::image::Image;
use crate::fs::SimFs;
use crate::panic_trap;
use crate::stream::Stream;

/// Operations that an image is gone on with.
const OPERATIONS_FURTHER: u64 = 3;

/// What is done besides opening it and looking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shares {
    /// It is opened again, loses power, takes an operation (C3, C4).
    pub(super) further: bool,
    /// The calls of the recovery are kept (C5).
    pub(super) steps: bool,
}

/// An image that passed.
#[derive(Debug)]
pub(super) struct Recovered<State> {
    pub(super) shown: State,
    /// The calls of the recovery, if they were kept.
    pub(super) steps: Vec<Step>,
}

/// Lets the code under test do something: a panic and too many calls are findings.
pub(super) fn guarded<T>(
    disk: &SimDisk,
    options: &Options,
    what: &str,
    run: impl FnOnce() -> T,
) -> Result<T, Finding> {
    disk.set_call_budget(options.calls_max);
    let result = panic_trap::catch(run);
    disk.set_call_budget(u64::MAX);
    result.map_err(|message| {
        if message.contains(EXHAUSTED) {
            let expected = format!("at most {} I/O calls for {what}", options.calls_max);
            return Finding::new(Kind::Hangs, expected, "more, with no end in sight");
        }
        let expected = format!("no panic while {what}");
        Finding::new(Kind::Panicked, expected, format!("a panic: {message}"))
    })
}

/// Does something with a store and drops it whatever came of that. The first finding counts.
pub(super) fn and_dropped<Store, T>(
    disk: &SimDisk,
    options: &Options,
    mut store: Store,
    run: impl FnOnce(&mut Store) -> Result<T, Finding>,
) -> Result<T, Finding> {
    let result = run(&mut store);
    let dropped = guarded(disk, options, "dropping it", || drop(store));
    result.and_then(|value| dropped.map(|()| value))
}

/// What a store that is gone has left open or locked.
pub(super) fn left_open(disk: &SimDisk) -> Option<Finding> {
    let (open, locked) = (disk.open_handles(), disk.held_locks());
    let found = format!("{open} open and {locked} locked when the store was gone");
    (open + locked > 0)
        .then(|| Finding::new(Kind::Leaks, "no open file and no lock is left", found))
}

/// What a kill or a loss of power left, opened by the next process.
struct Recovery<Store, State> {
    fs: SimFs,
    store: Store,
    shown: State,
}

impl<S: Subject> Explorer<'_, S> {
    /// Opens an image and looks at what it shows.
    fn recover(
        &self,
        state: &DiskState,
        recording: Recording,
    ) -> Result<Recovery<S::Store, S::State>, Finding> {
        let (subject, options) = (self.subject, self.options);
        let fs = SimFs::mount(state);
        fs.disk().set_recording(recording);
        let says = |error: super::Error| {
            Finding::new(Kind::DoesNotOpen, "it opens", format!("it says: {error}"))
        };
        let opened = guarded(fs.disk(), options, "opening it", || subject.open(&fs))?;
        let mut store = opened.map_err(says)?;
        let shown = guarded(fs.disk(), options, "a look at it", || subject.observe(&mut store));
        match shown.and_then(|shown| shown.map_err(says)) {
            Ok(shown) => Ok(Recovery { fs, store, shown }),
            Err(finding) => and_dropped(fs.disk(), options, store, |_| Err(finding)),
        }
    }

    /// Opens an image, looks at what it shows, and drops it.
    fn recover_and_drop(&self, state: &DiskState) -> Result<(SimFs, S::State), Finding> {
        let Recovery { fs, store, shown } = self.recover(state, Recording::Off)?;
        let options = self.options;
        and_dropped(fs.disk(), options, store, |_| Ok(()))?;
        Ok((fs, shown))
    }

    /// Checks an image against what it may show.
    pub(super) fn examine(
        &mut self,
        image: &Image,
        window: &[S::State],
        shares: Shares,
    ) -> Result<Recovered<S::State>, Finding> {
        self.tally.images += 1;
        *self.tally.policies.entry(image.policy()).or_default() += 1;
        self.tally.recoveries += u64::from(shares.steps);
        let state = image.build();
        let recording = if shares.steps { Recording::Forks } else { Recording::Off };
        let Recovery { fs, store, shown } = self.recover(&state, recording)?;
        let steps = fs.disk().take_steps();
        fs.disk().set_recording(Recording::Off);
        let killed = matches!(image, Image::Kill(_));
        and_dropped(fs.disk(), self.options, store, |store| {
            if !self.subject.accepts(&shown, window) {
                let (expected, found) = told_apart(window, &shown);
                return Err(Finding::new(Kind::Lost, expected, found));
            }
            if shares.further { self.further(&fs, store, &shown, window, killed) } else { Ok(()) }
        })?;
        left_open(fs.disk()).map_or(Ok(Recovered { shown, steps }), Err)
    }

    /// Opens it again, loses power, and goes on with it.
    fn further(
        &self,
        fs: &SimFs,
        store: &mut S::Store,
        shown: &S::State,
        window: &[S::State],
        killed: bool,
    ) -> Result<(), Finding> {
        let subject = self.subject;
        let left = fs.disk().state();
        self.same_again(&left, shown)?;
        // What a kill left in the page cache was shown, and may go yet where nobody has promised more.
        let stays = !killed || subject.keeps_what_it_showed();
        let accepted = if stays { slice::from_ref(shown) } else { window };
        for policy in [Policy::Nothing, Policy::Random] {
            self.after_loss(&left, policy, |again| {
                let expected = format!("{shown:?}, as it showed before a loss of power");
                let changed = !subject.accepts(again, accepted);
                changed.then(|| Finding::new(Kind::Changed, expected, format!("{again:?}")))
            })?;
        }
        // An operation may change nothing, and sync nothing: what may have been lost before it may be
        // lost behind it.
        let mut bases = vec![shown.clone()];
        bases.extend(accepted.iter().filter(|base| *base != shown).cloned());
        self.operations(fs, store, bases)
    }

    /// Operations behind a recovery, each as durable as any. One is not enough: an engine may be right
    /// about the first, for which it had looked up its place, and wrong about where it left off.
    fn operations(
        &self,
        fs: &SimFs,
        store: &mut S::Store,
        mut latest: Vec<S::State>,
    ) -> Result<(), Finding> {
        let (subject, options) = (self.subject, self.options);
        let mut allowed = latest.clone();
        let mut done = Vec::new();
        for nth in 0..OPERATIONS_FURTHER {
            let op = history::probe(subject, self.seed, nth);
            let applied = guarded(fs.disk(), options, "an operation", || subject.apply(store, &op));
            if let Err(error) = applied.map_err(|finding| finding.behind(done.clone()))? {
                let found = format!("it says: {error}");
                let expected = format!("{op:?} is acknowledged after a recovery");
                let finding = Finding::new(Kind::NotAfterwards, expected, found);
                return Err(finding.behind(done));
            }
            done.push(format!("then {op:?}: acknowledged"));
            latest.iter_mut().for_each(|state| subject.model(state, &op));
            if subject.is_durable(&op) {
                allowed.clear();
            }
            allowed.extend(latest.iter().cloned());
            let written = fs.disk().state();
            for policy in [Policy::Nothing, Policy::Random] {
                let held = self.after_loss(&written, policy, |again| {
                    let lost = !subject.accepts(again, &allowed);
                    let expected = format!("{} after {op:?} was acknowledged", words_of(&allowed));
                    let found = format!("{again:?} after a recovery, it, and a loss of power");
                    lost.then(|| Finding::new(Kind::NotAfterwards, expected, found))
                });
                held.map_err(|finding| finding.behind(done.clone()))?;
            }
        }
        Ok(())
    }

    /// Opened again it shows the same, with no more files.
    fn same_again(&self, left: &DiskState, shown: &S::State) -> Result<(), Finding> {
        let behind = |finding: Finding| {
            finding.behind(["then, after a kill of that process, the next one opens it".to_owned()])
        };
        let Recovery { fs, store, shown: again } =
            self.recover(left, Recording::Off).map_err(behind)?;
        and_dropped(fs.disk(), self.options, store, |_| {
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
        })
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
}
