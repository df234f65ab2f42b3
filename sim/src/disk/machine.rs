//! The running machine: a disk, the handles and locks of its one process, faults and the record.
//!
//! **Place.** [`SimDisk`] is the outside of it; `vfs` implements the seam on top of [`SimDisk::run`],
//! through which every call goes: it counts, looks for a due fault, forks, and records.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quiver_store::vfs::{Access, CallSite};

use super::fault::{Fault, FaultPlan, Faults};
use super::key::{low_half, mixed, text_key};
use super::medium::{Medium, WritebackReport};
use super::state::{DiskState, Inner, Node, NodeId};
use super::trace::{IoCall, IoKind, Recording, Step, site_label};

/// What a node costs on a disk with bounded space, besides its bytes.
const NODE_COST_BYTES: u64 = 4096;

/// The message of a process that has made all the calls it may make.
pub(crate) const EXHAUSTED: &str = "call budget exhausted";

/// A simulated disk with the one process that runs on it. Clones are the same machine.
#[derive(Clone)]
pub struct SimDisk {
    machine: Arc<Mutex<Machine>>,
}

impl std::fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimDisk").finish_non_exhaustive()
    }
}

impl Default for SimDisk {
    fn default() -> Self {
        Self::new()
    }
}

/// Somebody who reads the store while it makes a call: answers the LSN that is visible.
#[derive(Clone)]
pub struct Onlooker(pub Arc<dyn Fn() -> u64 + Send + Sync>);

impl std::fmt::Debug for Onlooker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Onlooker").finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(crate) struct Machine {
    onlooker: Option<Onlooker>,
    pub(crate) state: DiskState,
    pub(crate) open: Vec<(NodeId, u32)>,
    open_most: u64,
    pub(crate) bytes_read: u64,
    pub(crate) locked: Vec<(NodeId, Access)>,
    pub(crate) faults: Faults,
    pub(crate) medium: Medium,
    /// Files of which the next sync reports, once, a writeback that failed before it, and how many
    /// handles there had been by then.
    pub(crate) failed_writeback: Vec<(NodeId, u64)>,
    /// Files that lost a name while they were open.
    pub(crate) unlinked: Vec<NodeId>,
    /// How many handles there were.
    pub(crate) handles_given: u64,
    elided: Vec<(String, u32)>,
    lying: bool,
    sync_sites: BTreeMap<(&'static str, u32), u64>,
    calls: u64,
    call_budget: u64,
    capacity: Option<u64>,
    mounted: DiskState,
    created: BTreeSet<Box<str>>,
    reused: Vec<PathBuf>,
    recording: Recording,
    trace: Vec<IoCall>,
    steps: Vec<Step>,
    hash: u128,
}

/// What a call asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    pub(crate) kind: IoKind,
    pub(crate) path: &'a str,
    pub(crate) to: Option<&'a str>,
    pub(crate) offset: u64,
    pub(crate) len: u64,
    pub(crate) site: CallSite,
}

/// What a call is told, and tells, besides its answer.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// The fault that is due.
    pub(crate) due: Option<Fault>,
    /// The fault that struck.
    pub(crate) struck: Option<Fault>,
    /// Whether it was switched off.
    pub(crate) elided: bool,
    /// What it answered, as a number.
    pub(crate) count: u64,
    /// The key of what it read or wrote.
    pub(crate) key: u128,
    /// The node it changed or synced.
    pub(crate) node: Option<NodeId>,
}

impl SimDisk {
    /// A machine with an empty disk: the directory `/`, durable.
    pub fn new() -> Self {
        Self::mount(&DiskState::new())
    }

    /// A new process on a disk: no handle, no lock, nothing recorded, no fault planned.
    pub fn mount(state: &DiskState) -> Self {
        let machine = Machine {
            onlooker: None,
            state: state.clone(),
            open: Vec::new(),
            open_most: 0,
            bytes_read: 0,
            locked: Vec::new(),
            faults: Faults::default(),
            medium: Medium::default(),
            failed_writeback: Vec::new(),
            unlinked: Vec::new(),
            handles_given: 0,
            elided: Vec::new(),
            lying: false,
            sync_sites: BTreeMap::new(),
            calls: 0,
            call_budget: u64::MAX,
            capacity: None,
            mounted: state.clone(),
            created: BTreeSet::new(),
            reused: Vec::new(),
            recording: Recording::Off,
            trace: Vec::new(),
            steps: Vec::new(),
            hash: 0,
        };
        Self { machine: Arc::new(Mutex::new(machine)) }
    }

    /// A new process on the same machine, with another disk: the medium and its bound of space stay.
    pub(crate) fn successor(&self, state: &DiskState) -> Self {
        let next = Self::mount(state);
        next.set_medium(self.medium());
        next.set_capacity_bytes(self.capacity_bytes());
        next.set_lying_syncs(self.lock_machine().lying);
        next
    }

    /// The disk as it is now. Later calls do not change it.
    pub fn state(&self) -> DiskState {
        self.lock_machine().state.clone()
    }

    /// Changes bytes beneath whoever has the store open.
    pub fn damage(&self, change: impl FnOnce(&DiskState) -> DiskState) {
        let machine = &mut *self.lock_machine();
        machine.state = change(&machine.state);
    }

    /// Looks at bytes of a file, which is no call of the process; how many there are.
    pub(crate) fn peek(&self, path: &Path, buf: &mut [u8], offset: u64) -> usize {
        let machine = self.lock_machine();
        let inner = machine.state.inner();
        match inner.lookup(path).ok().and_then(|found| found.node).map(|id| inner.node(id)) {
            Some(Node::File(inode)) => inode.volatile.read(buf, offset),
            _ => 0,
        }
    }

    /// Sets how much of the run is kept from now on.
    pub fn set_recording(&self, recording: Recording) {
        self.lock_machine().recording = recording;
    }

    /// Takes the steps recorded so far.
    pub fn take_steps(&self) -> Vec<Step> {
        std::mem::take(&mut self.lock_machine().steps)
    }

    /// Takes the calls recorded so far.
    pub fn take_trace(&self) -> Vec<IoCall> {
        std::mem::take(&mut self.lock_machine().trace)
    }

    /// A running hash of all calls: equal for runs that are equal to the byte.
    pub fn trace_hash(&self) -> u64 {
        low_half(self.lock_machine().hash)
    }

    /// Plans faults; the calls are counted from now on. An empty plan ends all faults, sticky
    /// ones too; what they did to the disk stays.
    pub fn set_faults(&self, plan: FaultPlan) {
        self.lock_machine().faults = Faults::new(plan);
    }

    /// How often each fault of the plan really changed a call.
    pub fn faults_fired(&self) -> BTreeMap<&'static str, u64> {
        self.lock_machine().faults.fired()
    }

    /// What the medium does where it may do more than one thing.
    pub fn set_medium(&self, medium: Medium) {
        let machine = &mut *self.lock_machine();
        machine.medium = medium;
        let kindness = medium.filesystem.kindness();
        // A disk that is only looked at stays shared.
        if machine.state.inner().kindness != kindness {
            machine.state.inner_mut().kindness = kindness;
        }
    }

    /// What [`SimDisk::set_medium`] came to.
    pub fn medium(&self) -> Medium {
        self.lock_machine().medium
    }

    /// Switches off syncs: calls of `sync_data` and `sync_dir` from these sites, each as
    /// `src/wal/writer.rs:120`, answer Ok and do nothing.
    ///
    /// # Panics
    /// If a site is not a file and a line.
    pub fn set_elided(&self, sites: Vec<String>) {
        let parsed = sites.into_iter().map(|site| {
            let (file, line) = site.rsplit_once(':').expect("a site is a file and a line");
            (file.to_owned(), line.parse().expect("a line is a number"))
        });
        self.lock_machine().elided = parsed.collect();
    }

    /// Makes every sync answer Ok and do nothing, as a medium that lies does.
    pub fn set_lying_syncs(&self, lying: bool) {
        self.lock_machine().lying = lying;
    }

    /// The sites that synced, with how often.
    pub fn sync_sites(&self) -> BTreeMap<String, u64> {
        let machine = self.lock_machine();
        let sites = machine.sync_sites.iter();
        sites.map(|((file, line), calls)| (format!("{file}:{line}"), *calls)).collect()
    }

    /// Lets this many more calls through; the one after them panics with `call budget exhausted`.
    pub fn set_call_budget(&self, calls: u64) {
        let mut machine = self.lock_machine();
        machine.call_budget = machine.calls.saturating_add(calls);
    }

    /// How many calls the process made.
    pub fn io_calls(&self) -> u64 {
        self.lock_machine().calls
    }

    /// Bounds the space that new names and longer files may still take; `None` lifts the bound.
    pub fn set_free_bytes(&self, free: Option<u64>) {
        let mut machine = self.lock_machine();
        machine.capacity = free.map(|free| machine.used_bytes().saturating_add(free));
    }

    /// How many bytes everything on the disk may take, where it is bounded: what
    /// [`SimDisk::set_free_bytes`] came to.
    pub fn capacity_bytes(&self) -> Option<u64> {
        self.lock_machine().capacity
    }

    /// Bounds what everything on the disk may take, as it was bounded before a restart.
    pub fn set_capacity_bytes(&self, capacity: Option<u64>) {
        self.lock_machine().capacity = capacity;
    }

    /// Names that were created although this process had seen them taken before, at its mount or
    /// by its own creation. A store whose names never come back leaves this empty.
    pub fn reused_names(&self) -> Vec<PathBuf> {
        self.lock_machine().reused.clone()
    }

    /// How many files are open, each handle counted.
    pub fn open_handles(&self) -> u64 {
        self.lock_machine().handles()
    }

    /// How many locks are held, each guard counted.
    pub fn held_locks(&self) -> u64 {
        self.lock_machine().locked.len() as u64
    }

    /// The most files that were open at a time since this was asked last.
    pub fn take_open_handles_most(&self) -> u64 {
        let mut machine = self.lock_machine();
        let now = machine.handles();
        std::mem::replace(&mut machine.open_most, now)
    }

    /// How many bytes the process has read.
    pub fn bytes_read(&self) -> u64 {
        self.lock_machine().bytes_read
    }

    pub(crate) fn lock_machine(&self) -> MutexGuard<'_, Machine> {
        // A panic inside a call is the call budget; the disk is whole.
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks this one before each call that changes something what a reader would see just then.
    pub fn set_onlooker(&self, onlooker: Option<Onlooker>) {
        self.lock_machine().onlooker = onlooker;
    }

    /// What a reader sees; zero where nobody looks.
    fn visible_lsn(&self) -> u64 {
        let machine = self.lock_machine();
        let onlooker = machine.onlooker.clone().filter(|_| machine.recording == Recording::Forks);
        // A reader may read the disk itself.
        drop(machine);
        onlooker.map_or(0, |onlooker| (onlooker.0)())
    }

    /// Makes one call: counts it, finds the fault that is due, records it.
    pub(crate) fn run<T>(
        &self,
        head: Head<'_>,
        call: impl FnOnce(&mut Machine, &mut Notes) -> io::Result<T>,
    ) -> io::Result<T> {
        let visible = if head.kind.mutates() { self.visible_lsn() } else { 0 };
        let mut machine = self.lock_machine();
        if machine.calls >= machine.call_budget {
            return exhausted();
        }
        let index = machine.calls;
        machine.calls += 1;
        let due = head.kind.class().and_then(|class| machine.faults.due(class));
        let forks = machine.recording == Recording::Forks && head.kind.mutates();
        let before = forks.then(|| machine.state.clone());
        let mut notes = Notes { due, ..Notes::default() };
        let result = call(&mut machine, &mut notes);
        let outcome = result.as_ref().map(|_| notes.count).map_err(io::Error::kind);
        if let Some(fault) = notes.struck {
            machine.faults.fire(fault);
        }
        machine.note(&head, &notes, outcome);
        if machine.recording != Recording::Off {
            let call = IoCall {
                index,
                kind: head.kind,
                path: head.path.into(),
                to: head.to.map(Into::into),
                offset: head.offset,
                len: head.len,
                result: outcome,
                fault: notes.struck,
                elided: notes.elided,
                site: head.site,
                node: notes.node,
            };
            if let Some(before) = before {
                let after = machine.state.clone();
                machine.steps.push(Step { call: call.clone(), before, after, visible });
            }
            machine.trace.push(call);
        }
        result
    }
}

impl Machine {
    /// Adds a call to the running hash.
    fn note(&mut self, head: &Head<'_>, notes: &Notes, outcome: Result<u64, io::ErrorKind>) {
        let outcome = match outcome {
            Ok(count) => u128::from(count),
            Err(kind) => text_key(&kind.to_string()),
        };
        let place = u64::from(head.site.line()) << 8 | head.kind as u64;
        let to = head.to.map_or(0, text_key);
        let mut hash = mixed(self.hash ^ text_key(head.path) ^ to, place);
        hash = mixed(hash ^ (u128::from(head.offset) << 64 | u128::from(head.len)), 1);
        self.hash = mixed(hash ^ outcome ^ notes.key, 2);
    }

    pub(crate) fn inner(&self) -> &Inner {
        self.state.inner()
    }

    pub(crate) fn inner_mut(&mut self) -> &mut Inner {
        self.state.inner_mut()
    }

    /// Counts a sync; whether its site is switched off.
    pub(crate) fn sync_is_elided(&mut self, site: CallSite) -> bool {
        *self.sync_sites.entry((site.file(), site.line())).or_default() += 1;
        self.lying
            || self.elided.iter().any(|(file, line)| *line == site.line() && file == site.file())
    }

    /// Remembers a created name; a name seen before is one that came back.
    pub(crate) fn note_created(&mut self, path: &str) {
        let mounted = self.mounted.inner().lookup(Path::new(path));
        let seen = mounted.is_ok_and(|found| found.node.is_some());
        if !self.created.insert(path.into()) || seen {
            self.reused.push(path.into());
        }
    }

    /// How many of `wanted` more bytes there is space for.
    pub(crate) fn space_for(&self, wanted: u64) -> u64 {
        match self.capacity {
            None => wanted,
            Some(capacity) => wanted.min(capacity.saturating_sub(self.used_bytes())),
        }
    }

    /// Whether there is space for one more name.
    pub(crate) fn has_space_for_node(&self) -> bool {
        self.space_for(NODE_COST_BYTES) == NODE_COST_BYTES
    }

    fn used_bytes(&self) -> u64 {
        let mut used = 0;
        self.inner().collect(super::state::ROOT, Path::new("/"), &mut |_, node| {
            used += NODE_COST_BYTES;
            if let Node::File(inode) = node {
                used += inode.volatile.len();
            }
        });
        // A file without a name takes its space until the last handle is closed.
        for id in &self.unlinked {
            used += NODE_COST_BYTES + self.inner().file(*id).volatile.len();
        }
        used
    }

    /// Notes an open handle; its number.
    pub(crate) fn opened(&mut self, id: NodeId) -> u64 {
        self.handles_given += 1;
        match self.open.iter_mut().find(|(node, _)| *node == id) {
            Some((_, handles)) => *handles += 1,
            None => self.open.push((id, 1)),
        }
        self.open_most = self.open_most.max(self.handles());
        self.handles_given
    }

    fn handles(&self) -> u64 {
        self.open.iter().map(|(_, handles)| u64::from(*handles)).sum()
    }

    /// Notes that a name of a file was removed, or given to another. Nothing is read of a directory that
    /// has none, and it takes no space.
    pub(crate) fn lost_a_name(&mut self, id: NodeId) {
        if self.is_directory(id) {
            return;
        }
        let names = |node: &Option<Node>| match node {
            Some(Node::Directory(directory)) => directory.volatile.iter().any(|(_, n)| *n == id),
            _ => false,
        };
        if self.open.iter().any(|(node, _)| *node == id) && !self.inner().nodes.iter().any(names) {
            self.unlinked.push(id);
        }
    }

    /// Notes a writeback that failed with no sync running.
    pub(crate) fn note_failed_writeback(&mut self, id: NodeId) {
        match self.medium.writeback {
            WritebackReport::AcrossKills => self.inner_mut().unreported.push(id),
            _ => self.failed_writeback.push((id, self.handles_given)),
        }
    }

    /// Whether a sync through a handle is told of a writeback that failed before; once.
    pub(crate) fn takes_report(&mut self, id: NodeId, handle: u64) -> bool {
        if self.medium.writeback == WritebackReport::AcrossKills {
            let place = self.inner().unreported.iter().position(|node| *node == id);
            return place.map(|place| self.inner_mut().unreported.remove(place)).is_some();
        }
        let any = self.medium.writeback == WritebackReport::InTheProcess;
        let told = |(node, handles): &(NodeId, u64)| *node == id && (any || handle <= *handles);
        let place = self.failed_writeback.iter().position(told);
        place.map(|place| self.failed_writeback.remove(place)).is_some()
    }

    pub(crate) fn closed(&mut self, id: NodeId) {
        if let Some(at) = self.open.iter().position(|(node, _)| *node == id) {
            self.open[at].1 -= 1;
            if self.open[at].1 == 0 {
                self.open.swap_remove(at);
                self.unlinked.retain(|node| *node != id);
            }
        }
    }

    /// Forgets nodes that nothing can reach, now and then.
    pub(crate) fn sweep(&mut self) {
        let Self { state, open, .. } = self;
        state.inner_mut().sweep(|id| open.iter().any(|(node, _)| *node == id));
    }
}

/// The end of the call budget: a panic, but for what is dropped while that panic goes on.
#[cold]
fn exhausted<T>() -> io::Result<T> {
    assert!(std::thread::panicking(), "{EXHAUSTED}");
    Err(io::Error::other(EXHAUSTED))
}

/// A call site as the elision list and the reports name it.
pub fn site_name(site: CallSite) -> String {
    site_label(site)
}
