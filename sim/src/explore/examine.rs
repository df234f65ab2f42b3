//! One image: recovery by the real code, then every check.
//!
//! **Place.** The hot path of the simulator: it runs a million times in a campaign.

use std::sync::Arc;

use super::{Calls, Expect, Explorer, Image, Way, has_room};
use crate::address::Address;
use crate::backup::Backup;
use crate::checker::{self, Content, Finding, Invariant, Unreadable};
use crate::disk::{DiskState, Recording, SimDisk, Step};
use crate::forward::{CALLS_MAX, open_any};
use crate::history::Shape;
use crate::model::{State, Window};
use crate::panic_trap;
use crate::system::Session;

/// One image in so many has the crashes of its recovery looked at.
const NESTED_ONE_IN: u64 = 40;

/// The same of an encrypted history: what is done to keys is met by many histories, not by many images of
/// one.
const NESTED_ONE_IN_OF_ENCRYPTED: u64 = 160;

/// The same where one image takes many times as long.
const NESTED_ONE_IN_OF_LARGE: u64 = 200;

/// What a recovery came to.
pub(super) struct Recovered {
    /// The disk it ran on.
    pub(super) disk: SimDisk,
    /// The open store and what it holds.
    pub(super) outcome: Result<(Box<dyn Session>, Content), Finding>,
}

/// Which of the further recoveries of an image are made (E4).
#[derive(Clone, Copy, Debug)]
pub(super) struct Shares {
    pub(super) nested: bool,
    pub(super) again: bool,
    pub(super) stays: bool,
    pub(super) tidy: bool,
    pub(super) probe: bool,
    pub(super) looked_up: bool,
    pub(super) verified: bool,
    pub(super) backup: bool,
    /// In an encrypted history.
    pub(super) loses_key: bool,
}

impl Shares {
    fn of(kill: bool, (shape, encrypted): (Shape, bool), address: &Address) -> Self {
        let mut stream = address.stream(1);
        let draw = stream.below(32);
        // What a killed process leaves is where seen data is most easily lost.
        let stays = if kill { draw < 8 } else { (4..6).contains(&draw) };
        let nested_one_in = match shape {
            Shape::Small if encrypted => NESTED_ONE_IN_OF_ENCRYPTED,
            Shape::Small => NESTED_ONE_IN,
            Shape::Many | Shape::Wide | Shape::Churn => NESTED_ONE_IN_OF_LARGE,
        };
        Self {
            nested: stream.chance(1, nested_one_in) && has_room(address),
            again: draw < 4,
            stays,
            tidy: (8..10).contains(&draw),
            probe: (10..13).contains(&draw),
            looked_up: (13..18).contains(&draw),
            verified: draw == 18,
            backup: (19..23).contains(&draw),
            loses_key: (23..25).contains(&draw),
        }
    }
}

/// An open store after a recovery whose content is right.
pub(super) struct Left {
    /// The calls of the recovery, where they are kept.
    pub(super) steps: Vec<Step>,
    pub(super) disk: SimDisk,
    pub(super) session: Box<dyn Session>,
    pub(super) content: Content,
    /// The state of the model that the content is.
    pub(super) state: Arc<State>,
    /// The backup that there was.
    pub(super) backup: Option<Arc<Backup>>,
    /// A version of the manifest that was durable before the crash.
    pub(super) manifest: u64,
    /// The highest collection id that anyone knows of.
    pub(super) id_floor: u64,
    pub(super) address: Address,
}

impl Explorer<'_> {
    /// Checks an image, or holds what its equal recovered to against this window (E2).
    pub(super) fn examine(
        &mut self,
        way: &Way<'_>,
        image: &Image,
        expect: Expect<'_>,
        address: Address,
    ) {
        if let Expect::Window(window) = expect {
            self.custody = window.custody.clone();
        }
        let way = Way { image: Some(image), ..*way };
        if self.keeps_secrets(image, &way, address) {
            self.look_at_image(&way, image, expect, address);
        }
        self.heed_vault(&way, address);
    }

    fn look_at_image(
        &mut self,
        way: &Way<'_>,
        image: &Image,
        expect: Expect<'_>,
        address: Address,
    ) {
        let key = image.key();
        if !self.alone
            && let Some(content) = self.seen.get(&key)
        {
            self.tally.images_duplicate += 1;
            self.watch.goes_on();
            if let Err(finding) = expect.judge(content) {
                self.violated(address, finding, way);
            }
            return;
        }
        self.watch.at(&address);
        let killed = matches!(image, Image::Kill(_));
        let mut shares = Shares::of(killed, (self.history.shape, self.vault.is_some()), &address);
        shares.nested &= self.nests;
        if let Some(nested) = self.thorough {
            shares.nested = nested && has_room(&address);
        }
        let recording = if self.alone || shares.nested { Recording::Forks } else { Recording::Off };
        let recovered = self.recover(&image.build(), recording, &address, 2);
        self.count(image, &expect, &address);
        let steps = recovered.disk.take_steps();
        if self.alone {
            self.log.extend(way.words());
            let trace = recovered.disk.take_trace();
            self.log.extend(trace.iter().map(|call| format!("recovery: {call}")));
        }
        let (session, content) = match recovered.outcome {
            Ok(opened) => opened,
            Err(finding) => {
                let calls = Calls::Recovery(&steps);
                let way = Way { before: Some(way), calls, image: None };
                self.violated(address, finding, &way);
                return;
            }
        };
        self.mix_in(content.words());
        let state = match expect.judge(&content) {
            Ok(state) => state,
            Err(mut finding) => {
                if let Expect::Window(window) = expect {
                    let diff = panic_trap::catch(|| checker::diff(&*session, window));
                    finding.found = format!("{}; {}", finding.found, diff.unwrap_or_default());
                }
                self.violated(address, finding, way);
                return;
            }
        };
        let mut content = content;
        if let (Expect::Window(window), Some(state)) = (expect, state) {
            let (id_floor, manifest) = (window.id_floor, window.manifest);
            let (disk, backup) = (recovered.disk, window.backup.clone());
            let left =
                Left { steps, disk, session, content, state, backup, id_floor, manifest, address };
            if !self.keeps_promises(way, &left) {
                return;
            }
            let nested_in = shares.nested.then_some(window);
            self.go_on(way, image, &left, &shares, nested_in);
            content = left.content;
        }
        self.seen.insert(key, content);
    }

    /// What follows a recovery that was right: what a chain says, everything, or this image's share
    /// of it, and crashes inside the recovery.
    fn go_on(
        &mut self,
        way: &Way<'_>,
        image: &Image,
        left: &Left,
        shares: &Shares,
        nested_in: Option<&Window>,
    ) {
        if let Some(chain) = self.chain {
            return self.said_further(way, image, left, chain);
        }
        if self.alone || self.thorough.is_some() {
            self.everything_further(way, image, left);
        } else {
            self.further(way, left, shares);
            if shares.loses_key {
                self.without_a_key(way, image, left);
            }
        }
        if let Some(window) = nested_in.filter(|_| !self.alone) {
            self.nested(way, &left.steps, window, left.address);
        }
    }

    /// Makes every further recovery, each from where it starts in a campaign.
    pub(super) fn everything_further(&mut self, way: &Way<'_>, image: &Image, left: &Left) {
        let none = Shares {
            nested: false,
            again: false,
            stays: false,
            tidy: false,
            probe: false,
            looked_up: false,
            verified: false,
            backup: false,
            loses_key: false,
        };
        let first = Shares { verified: true, looked_up: true, again: true, ..none };
        let first = Shares { stays: true, tidy: true, ..first };
        self.further(way, left, &first);
        if left.backup.is_some() {
            self.afresh(way, image, left, &Shares { backup: true, ..none }, 10);
        }
        self.afresh(way, image, left, &Shares { probe: true, ..none }, 9);
        self.without_a_key(way, image, left);
    }

    /// Recovers an image once more, and makes further recoveries of that.
    fn afresh(&mut self, way: &Way<'_>, image: &Image, left: &Left, shares: &Shares, of_use: u64) {
        // Two branches of one process would draw one salt for different bytes, which is no fault of
        // the store: where there are nonces, each draws anew.
        let of_use = if self.vault.is_some() { of_use } else { 2 };
        let recording = if self.alone { Recording::Forks } else { Recording::Off };
        let Recovered { disk, outcome } =
            self.recover(&image.build(), recording, &left.address, of_use);
        if let Ok((session, content)) = outcome {
            let (state, backup) = (left.state.clone(), left.backup.clone());
            let steps = disk.take_steps();
            let left = Left { steps, disk, session, content, state, backup, ..*left };
            self.further(way, &left, shares);
        }
    }

    /// Opens a disk with the real code and reads everything.
    pub(super) fn recover(
        &mut self,
        state: &DiskState,
        recording: Recording,
        address: &Address,
        of_use: u64,
    ) -> Recovered {
        let disk = SimDisk::mount(state);
        if recording != Recording::Off {
            disk.set_recording(recording);
        }
        disk.set_call_budget(CALLS_MAX);
        let envs = self.envs(&disk, address.stream(of_use).draw());
        let (system, options) = (self.system, &self.history.options);
        let opened = panic_trap::catch(|| {
            let session = open_any(system, envs, options).map_err(Unreadable::Failed)?;
            let content = checker::read(&*session)?;
            Ok((session, content))
        });
        self.tally.recovery_calls_max = self.tally.recovery_calls_max.max(disk.io_calls());
        let outcome = match opened {
            Ok(Ok(opened)) => Ok(opened),
            Ok(Err(unreadable)) => Err(Unreadable::finding(unreadable)),
            Err(panic) => Err(Finding::new(Invariant::I5, "no panic", panic)),
        };
        Recovered { disk, outcome }
    }

    /// The steps of an image's recovery, as [`Explorer::nested`] sees them.
    pub(super) fn steps_of_recovery(&mut self, image: &Image, address: Address) -> Vec<Step> {
        self.recover(&image.build(), Recording::Forks, &address, 2).disk.take_steps()
    }

    /// Counts an image that was recovered, and what is about to be evaluated on it.
    fn count(&mut self, image: &Image, expect: &Expect<'_>, address: &Address) {
        let tally = &mut self.tally;
        tally.images_checked += 1;
        tally.images_encrypted += u64::from(self.vault.is_some());
        let after_recovery = matches!(expect, Expect::Exactly(..));
        tally.images_nested += u64::from(after_recovery || address.crashes().len() > 1);
        *tally.tears.entry(image.finest_tear().name()).or_default() += 1;
        *tally.policies.entry(image.policy()).or_default() += 1;
        match expect {
            Expect::Exactly(_, invariant) => tally.evaluated(*invariant),
            Expect::Window(window) => {
                if window.acked_lsn > 0 {
                    tally.evaluated(Invariant::I1);
                }
                if window.batches {
                    tally.evaluated(Invariant::I2);
                }
                tally.evaluated(Invariant::I3);
                tally.evaluated(Invariant::I4);
            }
        }
        tally.evaluated(Invariant::I5);
    }
}

impl Expect<'_> {
    /// Holds what was found against what must be; the state of the model that it is, where one is
    /// known.
    pub(super) fn judge(&self, content: &Content) -> Result<Option<Arc<State>>, Finding> {
        match self {
            Self::Window(window) => {
                Ok(Some(window.states[checker::judge(content, window)?].clone()))
            }
            Self::Exactly(seen, _) if *seen == content => Ok(None),
            Self::Exactly(seen, invariant) => {
                let expected = format!("what was seen before: {}", words(seen));
                Err(Finding::new(*invariant, expected, words(content)))
            }
        }
    }
}

/// A content in words.
pub(super) fn words(content: &Content) -> String {
    let ids: Vec<u64> = content.ids.iter().map(|(_, id)| *id).collect();
    format!("LSN {}, digest {:032x}, collections {ids:?}", content.lsn, content.digest)
}
