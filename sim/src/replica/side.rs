//! One of the two stores, on a disk of its own.

use std::sync::Arc;

use quiver_store::{Error, Options};

use crate::checker::{self, Content, Finding, Invariant};
use crate::disk::{
    DiskState, FaultPlan, Medium, Onlooker, PlannedFault, Policy, Recording, SimDisk, Step,
};
use crate::forward::blame::Blame;
use crate::forward::{CALLS_MAX, env_on};
use crate::history::Planned;
use crate::model::{Window, is_refusal};
use crate::panic_trap;
use crate::stream::Stream;
use crate::system::{Session, System};
use crate::vault::Vault;

/// A store, its process and its disk.
pub(super) struct Side<'a> {
    system: &'a dyn System,
    options: &'a Options,
    medium: Medium,
    pub(super) disk: SimDisk,
    pub(super) session: Option<Box<dyn Session>>,
    pub(super) blame: Blame,
    /// Its keys and all that they sealed, if it is encrypted.
    pub(super) vault: Option<Arc<Vault>>,
    /// What the processes of this side draw from.
    stream: Stream,
    /// How often a fault fired that changed a call, in processes that have ended.
    fired: u64,
    /// The hashes of the disks of processes that have ended.
    pub(super) words: Vec<u64>,
}

/// How a process ends.
#[derive(Clone, Debug)]
pub(super) enum Stop {
    /// It is killed; what is pending stays pending.
    Kill,
    /// Power is lost.
    Power(Policy),
}

impl<'a> Side<'a> {
    /// A store that is not there yet.
    pub(super) fn new(
        system: &'a dyn System,
        options: &'a Options,
        medium: Medium,
        (stream, vault): (Stream, Option<Arc<Vault>>),
    ) -> Self {
        Self {
            system,
            options,
            medium,
            disk: SimDisk::new(),
            session: None,
            blame: Blame::default(),
            vault,
            stream,
            fired: 0,
            words: Vec::new(),
        }
    }

    /// Runs something in the store. The calls are to be taken by [`Side::steps`] afterwards.
    ///
    /// # Errors
    /// A panic.
    pub(super) fn inside<T>(&mut self, run: impl FnOnce(&dyn Session) -> T) -> Result<T, Finding> {
        self.disk.set_call_budget(CALLS_MAX);
        let session = self.session.as_deref().expect("a store that is not open is not called");
        let result = panic_trap::catch(|| run(session));
        self.blame.take_in(&self.disk.take_trace());
        heed(self.vault.as_ref())?;
        result.map_err(|panic| Finding::new(Invariant::I5, "no panic", panic))
    }

    /// The calls since this was asked last.
    pub(super) fn steps(&self) -> Vec<Step> {
        self.disk.take_steps()
    }

    /// Whether an error may be answered: a refusal is the model's business.
    ///
    /// # Errors
    /// It stands for nothing that happened.
    pub(super) fn excused(&self, error: &Error) -> Result<(), Finding> {
        if is_refusal(error.kind()) || self.blame.excuses(error.kind()) {
            return Ok(());
        }
        let expected = "an error that stands for what I/O calls came to, if any failed";
        let found = format!("{error:?}, with {:?}", self.blame);
        Err(Finding::new(Invariant::I10, expected, found))
    }

    /// Arms faults, in the place of those that were armed.
    pub(super) fn arm(&mut self, faults: &[Planned]) {
        self.fired += self.fired_now();
        let planned =
            |fault: &Planned| PlannedFault { call_index: fault.after_calls, fault: fault.fault };
        let faults = faults.iter().map(planned).collect();
        let seed = self.stream.draw();
        self.disk.set_faults(FaultPlan { faults, seed });
    }

    fn fired_now(&self) -> u64 {
        self.disk.faults_fired().values().sum()
    }

    /// How often faults have fired.
    pub(super) fn fired(&self) -> u64 {
        self.fired + self.fired_now()
    }

    /// What a stop at a disk leaves.
    pub(super) fn stopped(&mut self, state: &DiskState, stop: &Stop) -> DiskState {
        match stop {
            Stop::Kill => state.kill(),
            Stop::Power(policy) => {
                let torn = self.stream.chance(1, 4);
                state.plan_power_loss(*policy, torn, &mut self.stream).build()
            }
        }
    }

    /// Ends the process, and starts one on a disk.
    ///
    /// # Errors
    /// The store does not open, or cannot be read.
    pub(super) fn start(&mut self, state: &DiskState) -> Result<Content, Finding> {
        self.session = None;
        self.fired += self.fired_now();
        self.words.push(self.disk.trace_hash());
        self.disk = SimDisk::mount(state);
        self.disk.set_recording(Recording::Forks);
        self.disk.set_medium(self.medium);
        self.disk.set_call_budget(CALLS_MAX);
        self.blame = Blame::new(self.system.latches_early());
        let on = (&self.disk, self.vault.as_ref());
        let (session, content) = opened(self.system, self.options, on, self.stream.draw())?;
        self.session = Some(session);
        self.blame.take_in(&self.disk.take_trace());
        Ok(content)
    }

    /// Everything that the store holds, which must be one of these states.
    ///
    /// # Errors
    /// It is none of them.
    pub(super) fn judged(&self, content: &Content, window: &Window) -> Result<usize, Finding> {
        let session = self.session.as_deref().expect("it was just opened or read");
        judged(session, content, window)
    }

    /// Has what was told asked before each call that changes something.
    pub(super) fn look_on(&self, onlooker: Option<Onlooker>) {
        self.disk.set_onlooker(onlooker);
    }
}

/// Opens a disk and reads everything.
///
/// # Errors
/// The store does not open, or cannot be read.
pub(super) fn opened(
    system: &dyn System,
    options: &Options,
    (disk, vault): (&SimDisk, Option<&Arc<Vault>>),
    entropy: u64,
) -> Result<(Box<dyn Session>, Content), Finding> {
    let env = vault.map_or_else(|| env_on(disk, entropy), |vault| vault.env(disk, entropy, 0));
    let opened = panic_trap::catch(|| {
        let session = system.open(env, options).map_err(checker::Unreadable::Failed)?;
        let content = checker::read(&*session)?;
        Ok((session, content))
    });
    heed(vault)?;
    match opened {
        Ok(opened) => opened.map_err(checker::Unreadable::finding),
        Err(panic) => Err(Finding::new(Invariant::I5, "no panic", panic)),
    }
}

/// What a vault found since it was asked last.
///
/// # Errors
/// The first of it.
pub(super) fn heed(vault: Option<&Arc<Vault>>) -> Result<(), Finding> {
    let found = vault.map(|vault| vault.take_findings()).unwrap_or_default();
    found.into_iter().next().map_or(Ok(()), Err)
}

/// Which of a window's states a store holds.
///
/// # Errors
/// None of them.
pub(super) fn judged(
    session: &dyn Session,
    content: &Content,
    window: &Window,
) -> Result<usize, Finding> {
    checker::judge(content, window).map_err(|mut finding| {
        let diff = panic_trap::catch(|| checker::diff(session, window)).unwrap_or_default();
        finding.found = format!("{}; {diff}", finding.found);
        finding
    })
}

/// A window of one acknowledged state and those that were under way.
pub(super) fn window_of(states: Vec<Arc<crate::model::State>>, floor: u64) -> Window {
    let acked_lsn = states[0].lsn;
    Window { acked_lsn, id_floor: floor, states, batches: true, ..Window::default() }
}
