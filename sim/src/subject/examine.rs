//! One crash image: opened by the code under test and checked.
//!
//! - X1. What is done to an image is a function of the seed and of the image, whatever was looked at
//!   before it. So a case that names the image alone finds the same.

use std::fmt::Debug;

use super::explore::Explorer;
use super::run::words_of;
use super::{Finding, Kind, Options, Subject, history};
use crate::disk::{DiskState, EXHAUSTED, Policy, Recording, SimDisk, Step};
use crate::explore::image::Image;
use crate::fs::SimFs;
use crate::panic_trap;
use crate::stream::Stream;

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

impl<S: Subject> Explorer<'_, S> {
    /// Opens an image and looks at what it shows.
    fn recover(
        &self,
        state: &DiskState,
        recording: Recording,
    ) -> Result<(SimFs, S::Store, S::State), Finding> {
        let (subject, options) = (self.subject, self.options);
        let fs = SimFs::mount(state);
        fs.disk().set_recording(recording);
        let says = |error: super::Error| {
            Finding::new(Kind::DoesNotOpen, "it opens", format!("it says: {error}"))
        };
        let opened = guarded(fs.disk(), options, "opening it", || subject.open(&fs))?;
        let mut store = opened.map_err(says)?;
        let shown = guarded(fs.disk(), options, "a look at it", || subject.observe(&mut store))?;
        let shown = shown.map_err(says)?;
        Ok((fs, store, shown))
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
        let state = image.build();
        let recording = if shares.steps { Recording::Forks } else { Recording::Off };
        let (fs, store, shown) = self.recover(&state, recording)?;
        let steps = fs.disk().take_steps();
        fs.disk().set_recording(Recording::Off);
        if !self.subject.accepts(&shown, window) {
            let (expected, found) = told_apart(&words_of(window), &shown);
            return Err(Finding::new(Kind::Lost, expected, found));
        }
        let killed = matches!(image, Image::Kill(_));
        if shares.further {
            self.further(&fs, store, &shown, window, killed)?;
        }
        Ok(Recovered { shown, steps })
    }

    fn further(
        &mut self,
        fs: &SimFs,
        mut store: S::Store,
        shown: &S::State,
        window: &[S::State],
        killed: bool,
    ) -> Result<(), Finding> {
        let (subject, options) = (self.subject, self.options);
        let left = fs.disk().state();
        self.same_again(&left, shown)?;
        let stays = !killed || subject.keeps_what_it_showed();
        for policy in [Policy::Nothing, Policy::Random] {
            self.after_loss(&left, policy, |again| {
                let accepted = if stays { again == shown } else { subject.accepts(again, window) };
                let expected = format!("{shown:?}, as it showed before a loss of power");
                (!accepted).then(|| Finding::new(Kind::Changed, expected, format!("{again:?}")))
            })?;
        }
        let op = history::probe(subject, self.seed);
        let applied =
            guarded(fs.disk(), options, "an operation", || subject.apply(&mut store, &op))?;
        if let Err(error) = applied {
            let found = format!("it says: {error}");
            let expected = format!("{op:?} is acknowledged after a recovery");
            return Err(Finding::new(Kind::NotAfterwards, expected, found));
        }
        let written = fs.disk().state();
        // What a kill left in the page cache was shown, and may go yet where nobody has promised more: the
        // operation may have changed nothing, and synced nothing.
        let bases = if stays { &[][..] } else { window };
        let after: Vec<S::State> = [shown]
            .into_iter()
            .chain(bases)
            .map(|base| {
                let mut after = base.clone();
                subject.model(&mut after, &op);
                after
            })
            .collect();
        if subject.is_durable(&op) {
            for policy in [Policy::Nothing, Policy::Random] {
                self.after_loss(&written, policy, |again| {
                    let lost = !subject.accepts(again, &after);
                    let expected = format!("{} after {op:?} was acknowledged", words_of(&after));
                    let found = format!("{again:?} after a recovery, it, and a loss of power");
                    lost.then(|| Finding::new(Kind::NotAfterwards, expected, found))
                })?;
            }
        }
        guarded(fs.disk(), options, "dropping it", || drop(store))?;
        match fs.disk().open_handles() {
            0 => Ok(()),
            open => {
                let found = format!("{open} open when the store was gone");
                Err(Finding::new(Kind::Leaks, "no open file is left", found))
            }
        }
    }

    /// Opened again it shows the same, with no more files.
    fn same_again(&mut self, left: &DiskState, shown: &S::State) -> Result<(), Finding> {
        let behind = |finding: Finding| {
            finding.behind(["then, after a kill of that process, the next one opens it".to_owned()])
        };
        let (fs, _store, again) = self.recover(left, Recording::Off).map_err(behind)?;
        if again != *shown {
            let expected = format!("{shown:?}, as the first opening showed");
            return Err(Finding::new(Kind::Changed, expected, format!("{again:?}")));
        }
        let (before, after) = (left.list().len(), fs.disk().state().list().len());
        if after > before {
            let expected = format!("no more than {before} files after a second opening");
            return Err(Finding::new(Kind::Leaks, expected, format!("{after} files")));
        }
        Ok(())
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
        let (_, _, again) = self.recover(&plan.build(), Recording::Off).map_err(behind)?;
        wrong(&again).map_or(Ok(()), |finding| Err(behind(finding)))
    }
}

/// Long texts that differ late are no help: tells from where on they do.
fn told_apart(expected: &str, shown: &impl Debug) -> (String, String) {
    const SHOWN_MAX: usize = 400;
    let found = format!("{shown:?}");
    if expected.len() <= SHOWN_MAX && found.len() <= SHOWN_MAX {
        return (expected.to_owned(), found);
    }
    let cut = |text: &str| {
        let short: String = text.chars().take(SHOWN_MAX).collect();
        if short.len() < text.len() { short + "..." } else { short }
    };
    (cut(expected), cut(&found))
}
