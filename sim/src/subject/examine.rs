//! One crash image: opened by the code under test and checked.
//!
//! - X1. What is done to an image is a function of the seed and of the image, whatever was looked at
//!   before it. So a case that names the image alone finds the same.

use super::explore::Explorer;
use super::life::Life;
use super::replay::calls_told;
use super::told::told_apart;
use super::{Finding, Kind, Options, Subject, history};
use crate::disk::{DiskState, EXHAUSTED, Recording, SimDisk};
use crate::explore::image::Image;
use crate::fs::SimFs;
use crate::panic_trap;

/// What is done besides opening it and looking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shares {
    /// It is opened again, loses power, takes operations, is closed, meets a fault (C3, C4, C8).
    pub(super) further: bool,
    /// The calls of its recovery are kept (C5).
    pub(super) steps: bool,
    /// And so are those of the operations behind it, and of its end.
    pub(super) whole_life: bool,
}

/// An image that passed.
#[derive(Debug)]
pub(super) struct Recovered<State> {
    pub(super) shown: State,
    /// The calls of the process behind the crash, if they were kept.
    pub(super) life: Life<State>,
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
        let expected = format!("no panic in {what}");
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
pub(super) struct Recovery<Store, State> {
    pub(super) fs: SimFs,
    pub(super) store: Store,
    pub(super) shown: State,
}

/// An open store and what it shows, or what it says instead.
type Opened<S> = super::Result<(<S as Subject>::Store, <S as Subject>::State)>;

impl<S: Subject> Explorer<'_, S> {
    /// Opens an image and looks at what it shows.
    pub(super) fn recover(
        &self,
        state: &DiskState,
        recording: Recording,
    ) -> Result<Recovery<S::Store, S::State>, Finding> {
        let fs = history::mount(self.seed, state);
        fs.disk().set_recording(recording);
        self.recover_on(fs)
    }

    /// Opens what a process finds, and looks at what it shows.
    pub(super) fn recover_on(&self, fs: SimFs) -> Result<Recovery<S::Store, S::State>, Finding> {
        // One image takes many of them, none of which hangs for that.
        self.desk.watch.goes_on();
        let opened = self.opened_on(&fs).and_then(|opened| {
            opened.map_err(|error| {
                Finding::new(Kind::DoesNotOpen, "it opens", format!("it says: {error}"))
            })
        });
        // Where they are kept, the calls up to that are half of the story.
        let calls = |finding: Finding| finding.behind(calls_told(fs.disk().take_trace().iter()));
        let (store, shown) = opened.map_err(calls)?;
        Ok(Recovery { fs, store, shown })
    }

    /// The same, if it does not say otherwise.
    pub(super) fn opened_on(&self, fs: &SimFs) -> Result<Opened<S>, Finding> {
        let (subject, options) = (self.subject, self.options);
        let mut store = match guarded(fs.disk(), options, "opening it", || subject.open(fs))? {
            Ok(store) => store,
            Err(error) => return Ok(Err(error)),
        };
        let shown = guarded(fs.disk(), options, "a look at it", || subject.observe(&mut store));
        match shown {
            Ok(Ok(shown)) => Ok(Ok((store, shown))),
            Ok(Err(error)) => {
                and_dropped(fs.disk(), options, store, |_| Ok(()))?;
                Ok(Err(error))
            }
            Err(finding) => and_dropped(fs.disk(), options, store, |_| Err(finding)),
        }
    }

    /// Opens an image, looks at what it shows, and drops it.
    pub(super) fn recover_and_drop(&self, state: &DiskState) -> Result<(SimFs, S::State), Finding> {
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
        let mut life = Life::begun(window);
        life.takes(&fs);
        if !shares.whole_life {
            fs.disk().set_recording(Recording::Off);
        }
        let killed = matches!(image, Image::Kill(_));
        let options = self.options;
        if !self.subject.accepts(&shown, window) {
            let (expected, found) = told_apart(window, &shown);
            let lost = Finding::new(Kind::Lost, expected, found);
            return and_dropped(fs.disk(), options, store, |_| Err(lost));
        }
        match shares.further || shares.whole_life {
            true => self.lives_on(&fs, store, &shown, (killed, shares), &mut life)?,
            false => and_dropped(fs.disk(), options, store, |_| Ok(()))?,
        }
        if let Some(finding) = left_open(fs.disk()) {
            return Err(finding);
        }
        if shares.further && options.faults {
            self.struck((&state, image.key()), window, killed)?;
        }
        Ok(Recovered { shown, life })
    }
}
