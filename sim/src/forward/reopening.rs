//! Stops and reopens within a history: closes, kills, losses of power.
//!
//! **Place.** The part of the forward run that ends one process and starts the next.

use std::collections::BTreeSet;
use std::sync::Arc;

use quiver_store::{Env, ErrorKind, Options};

use super::{Blame, CALLS_MAX, Invariant, Recording, Runner, SimDisk};
use crate::checker::{self, Finding, Unreadable};
use crate::disk::{DiskState, Policy};
use crate::history::{Planned, Shape};
use crate::panic_trap;
use crate::system::{Session, Standing, System};

/// How often an open is tried while faults fire (F3).
const ATTEMPTS: u32 = 8;

impl Runner<'_> {
    pub(super) fn close(&mut self, faults: &[Planned]) {
        self.drive_all();
        self.check_snapshots();
        if self.stopped {
            return;
        }
        let Some(result) = self.inside(|session| session.close()) else { return };
        self.notice_faults();
        self.mark_calls(self.model.window());
        if let Err(error) = result {
            self.check_error(&error);
        } else {
            self.check_closed();
            self.check_held_closed();
        }
        let disk = self.disk.state();
        self.restart(&disk.kill(), faults);
    }

    fn check_closed(&mut self) {
        self.evaluated(Invariant::Answers);
        let Some(result) = self.inside(|session| session.names()) else { return };
        let kind = result.map_err(|error| error.kind());
        if kind != Err(ErrorKind::Closed) {
            let found = format!("{kind:?}");
            self.found(Finding::new(Invariant::Answers, "Closed after a close", found));
        }
    }

    pub(super) fn kill(&mut self, faults: &[Planned]) {
        self.read_all_held();
        let state = self.disk.state().kill();
        self.restart(&state, faults);
    }

    pub(super) fn power_loss(&mut self, faults: &[Planned]) {
        self.read_all_held();
        let state = self.disk.state();
        let state = self.without_power(&state);
        self.restart(&state, faults);
    }

    /// Goes back to a moment of the last operation and stops there.
    pub(super) fn stop_inside(&mut self, number: u64, power: bool, faults: &[Planned]) {
        let (first, manifest) = self.last_operation;
        let calls = self.out.calls.len() - first;
        if calls == 0 {
            return if power { self.power_loss(faults) } else { self.kill(faults) };
        }
        let place = usize::try_from(number).expect("drawn below 1000");
        let marked = self.out.calls[first + place / 2 % calls].clone();
        self.read_all_held();
        let mut stream = self.stream(0x696e_7369);
        let inside = marked.step.inside(&mut stream).filter(|_| place % 2 == 1);
        let state = inside.unwrap_or(marked.step.before).kill();
        let state = if power { self.without_power(&state) } else { state };
        self.model.rewind(&marked.window);
        self.backup.clone_from(&marked.window.backup);
        self.custody = marked.window.custody.clone();
        self.manifest = manifest;
        self.manifest_before = manifest;
        self.restart(&state, faults);
    }

    fn without_power(&mut self, state: &DiskState) -> DiskState {
        let said = self.history.luck.get(self.operation).and_then(|luck| luck.loss.as_ref());
        let said = said.map(|survivors| state.plan_survivors(survivors));
        let plan = match said {
            Some(Ok(plan)) => plan,
            Some(Err(why)) => {
                self.out.astray = Some(format!("operation {}: {why}", self.operation));
                self.stopped = true;
                return state.clone();
            }
            None => {
                let mut stream = self.stream(0x706f_7765);
                let policy = *stream.pick(&Policy::ALL);
                let torn = stream.chance(1, 4);
                state.plan_power_loss(policy, torn, &mut stream)
            }
        };
        let image = plan.build();
        self.out.losses.push((self.operation, plan));
        image
    }

    fn restart(&mut self, state: &DiskState, faults: &[Planned]) {
        if self.stopped {
            return;
        }
        let disk = SimDisk::mount(state);
        // The last reader of a file may be the one that removes it.
        self.snapshots.clear();
        self.paused.clear();
        self.captured.clear();
        self.shreds.clear();
        self.has_shredded = false;
        drop(self.disk.take_steps());
        // Y2: the end of a session without a close writes nothing.
        self.session = None;
        self.evaluated(Invariant::Answers);
        if !self.disk.take_steps().is_empty() {
            let expected = "no write by a session that is dropped";
            self.found(Finding::new(Invariant::Answers, expected, "writes"));
        }
        self.close_books();
        self.reopen(disk, faults);
    }

    /// Starts a process on a disk and reads everything there is (F3).
    pub(super) fn reopen(&mut self, disk: SimDisk, faults: &[Planned]) {
        self.session = None;
        self.audience = None;
        self.waiting.clear();
        self.disk = disk;
        (self.made, self.removed) = (BTreeSet::new(), BTreeSet::new());
        self.unseen_call = self.out.calls.len();
        let went_wrong = self.excused || std::mem::take(&mut self.was_full);
        self.inherits = went_wrong || (self.inherits && self.standing.checkpoints == 0);
        self.standing = Standing::default();
        self.sealed = None;
        if let Some(backup) = self.backup.as_mut().filter(|backup| !backup.is_done) {
            Arc::make_mut(backup).was_struck = true;
        }
        // A long run has no crash points, and would keep a disk for each.
        let long = self.history.shape == Shape::Churn;
        self.disk.set_recording(if long { Recording::Trace } else { Recording::Forks });
        self.disk.set_medium(self.history.medium);
        self.out.counted.push(Vec::new());
        self.fired = 0;
        self.excused = false;
        self.limit_next_disk();
        if !faults.is_empty() {
            self.arm(faults);
        }
        self.arm_strikes();
        for attempt in 0..=ATTEMPTS {
            // Nothing frees space between two attempts.
            if attempt == 2 && self.is_space_limited() {
                self.limit_space(None);
            }
            if attempt == ATTEMPTS {
                self.arm(&[]);
                self.excused = false;
            }
            if self.try_open() || self.stopped {
                return;
            }
        }
    }

    /// One attempt; false if it failed for a fault that fired in this process.
    fn try_open(&mut self) -> bool {
        // What an open that failed left half done latches nobody: the next one reads what it is.
        self.blame = Blame::new(self.system.latches_early());
        self.disk.set_call_budget(CALLS_MAX);
        let (envs, options) = (self.envs(), &self.history.options);
        let system = self.system;
        let (readable, before) = (self.readable_at_open(), self.disk.bytes_read());
        let mut read = 0;
        let opened = panic_trap::catch(|| {
            let session = open_any(system, envs, options).map_err(Unreadable::Failed)?;
            read = self.disk.bytes_read() - before;
            let content = checker::read(&*session)?;
            Ok((session, content))
        });
        self.notice_faults();
        self.mark_calls(self.model.window());
        self.evaluated(Invariant::I5);
        let finding = match opened {
            Ok(Ok((session, content))) => {
                self.check_bytes_read(read, readable);
                self.adopt(session, &content);
                self.resumed();
                self.heed_vault();
                return true;
            }
            Ok(Err(Unreadable::Failed(error))) if self.blame.excuses_open(error.kind()) => {
                self.check_reserve(&error);
                return false;
            }
            Ok(Err(unreadable)) => unreadable.finding(),
            Err(panic) => Finding::new(Invariant::I5, "no panic", panic),
        };
        self.found(finding);
        self.stopped = true;
        true
    }

    fn adopt(&mut self, session: Box<dyn Session>, content: &checker::Content) {
        let window = self.model.window();
        for invariant in [Invariant::I1, Invariant::I3, Invariant::I4] {
            self.evaluated(invariant);
        }
        match checker::judge(content, &window) {
            Ok(place) => {
                let seen = Arc::clone(&window.states[place]);
                self.model.adopt(&seen, &content.ids_by_key());
                self.words.extend(content.words());
                self.session = Some(session);
            }
            Err(mut finding) => {
                finding.found = format!("{}; {}", finding.found, checker::diff(&*session, &window));
                self.found(finding);
                self.stopped = true;
            }
        }
    }
}

/// Opens with the first master key that opens the store; the last one's answer counts if none does.
pub(crate) fn open_any(
    system: &dyn System,
    envs: Vec<Env>,
    options: &Options,
) -> quiver_store::Result<Box<dyn Session>> {
    let last = envs.len() - 1;
    for (place, env) in envs.into_iter().enumerate() {
        match system.open(env, options) {
            Err(error) if place < last && error.kind() == ErrorKind::KeyUnavailable => {}
            opened => return opened,
        }
    }
    unreachable!("there is at least one ring")
}
